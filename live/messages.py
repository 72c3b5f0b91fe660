"""The one schema of the live channel: which picture has which settings, and the messages that carry them.

Messages, browser to server (JSON text, at most MAX_MESSAGE characters)::

    {"kind": "batch", "id": n, "values": {...}}                 answered by one "batch"
    {"kind": "lab", "id": n, "values": {...}, "until": step}    answered by "lab", then "frames" as they come;
                                                                "draft": true: every DRAFT_EVERYth step only,
                                                                without the ghost
    {"kind": "until", "id": n, "step": step}                    go on to that step
    {"kind": "verdict", "id": n, "step": step}                  answered by one "verdict"
    {"kind": "check", "id": n, "values": {...}, "step": step}   answered by one "check" a lane
    {"kind": "take", "id": n, "picture": name of a picture,     answered by one "file" of what the settings
     "what": "csv" or "python", "values": {...}, "step": step}  show at that step, with its name and text
    {"kind": "stop"}                                            nothing more is wanted

Messages, server to browser: JSON text for "verdict", "file" and "problem"; else binary: the header's
length as uint32 (little endian), the header as JSON padded with blanks to a multiple of 4, then float32
numbers. Headers list their arrays as [name, shape] in order.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batch import BATCH_CONTROLS
from .controls import Control, Values, describe, read, write
from .evidence import Link, listed, open_link
from .lab import LAB_CONTROLS, extras
from .lanes import lane_configs
from .scenes import ONE_BATCH_CONTROLS, story

__all__ = [
    "CONTROLS",
    "EXTRAS",
    "Control",
    "Link",
    "Values",
    "describe",
    "follow",
    "lane_configs",
    "pack",
    "problem",
    "read",
    "unpack",
    "write",
]

MAX_MESSAGE = 8192
CONTROLS = {"batch": BATCH_CONTROLS, "one_batch": ONE_BATCH_CONTROLS, "lab": LAB_CONTROLS}
# What a picture has to know besides its settings.
EXTRAS = {"lab": extras() | {"experiments": listed()}, "one_batch": {"story": story()}}


def follow(picture: str, query: Mapping[str, str]) -> Link:
    """A page's address as the settings that it leads to; the lab has short ones for experiments' races."""
    return open_link(query) if picture == "lab" else Link(dict(query))


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A binary message: header and float32 arrays; see the top of this module."""
    listed = dict(header) | {"arrays": [[name, list(np.shape(a))] for name, a in arrays.items()]}
    text = json.dumps(listed, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    body = [np.ascontiguousarray(a, "<f4").tobytes() for a in arrays.values()]
    return struct.pack("<I", len(text)) + text + b"".join(body)


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """What `pack` packed."""
    (length,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + length])
    arrays, start = {}, 4 + length
    for name, shape in header["arrays"]:
        count = math.prod(shape)
        arrays[name] = np.frombuffer(message, "<f4", count, start).reshape(shape)
        start += 4 * count
    return header, arrays


def problem(kind: str, message: str, number: Any = None) -> str:
    """A text message that tells the reader what went wrong."""
    return json.dumps({"kind": "problem", "of": kind, "id": number, "message": message})
