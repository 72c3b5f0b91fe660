"""Messages between browser and server, as bytes; what they mean is in `live.messages`."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_MESSAGE = 8192


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Pack a binary message: the header's length, the header as JSON, float32 arrays."""
    listed = dict(header) | {"arrays": [[name, list(np.shape(a))] for name, a in arrays.items()]}
    text = json.dumps(listed, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    body = [np.ascontiguousarray(a, "<f4").tobytes() for a in arrays.values()]
    return struct.pack("<I", len(text)) + text + b"".join(body)


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Return the header and the arrays that `pack` packed; "bytes" are what follows them, if any do."""
    (length,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + length])
    arrays, start = {}, 4 + length
    for name, shape in header["arrays"]:
        count = math.prod(shape)
        arrays[name] = np.frombuffer(message, "<f4", count, start).reshape(shape)
        start += 4 * count
    if "bytes" in header:
        header["bytes"] = message[start : start + header["bytes"]]
    return header, arrays


def problem(kind: str, message: str, number: Any = None) -> str:
    """Make a text message that tells the reader what went wrong."""
    return json.dumps({"kind": "problem", "of": kind, "id": number, "message": message})
