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
    """Pack a binary message: the header's length, the header as JSON, arrays.

    Arrays are float32; those of uint8 stay what they are, are listed as "u1", and filled up to four bytes.
    """
    listed = dict(header) | {"arrays": [_entry(name, array) for name, array in arrays.items()]}
    text = json.dumps(listed, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    body = [np.ascontiguousarray(a, "u1" if _is_bytes(a) else "<f4").tobytes() for a in arrays.values()]
    return struct.pack("<I", len(text)) + text + b"".join(part + b"\0" * (-len(part) % 4) for part in body)


def _is_bytes(array: Any) -> bool:
    return getattr(array, "dtype", None) == np.uint8


def _entry(name: str, array: Any) -> list[Any]:
    return [name, list(np.shape(array)), *(["u1"] if _is_bytes(array) else [])]


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays that `pack` packed; "bytes" are what follows them, if any do."""
    (length,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + length])
    arrays, start = {}, 4 + length
    for name, shape, *kind in header["arrays"]:
        count = math.prod(shape)
        arrays[name] = np.frombuffer(message, kind[0] if kind else "<f4", count, start).reshape(shape)
        start += -(-count // 4) * 4 if kind else 4 * count
    if "bytes" in header:
        header["bytes"] = message[start : start + header["bytes"]]
    return header, arrays


def problem(kind: str, message: str, number: Any = None) -> str:
    """Make a text message that tells the reader what went wrong."""
    return json.dumps({"kind": "problem", "of": kind, "id": number, "message": message})
