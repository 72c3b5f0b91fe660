"""How a call goes to whoever does it, and how its answer comes back: as pickles, whatever carries them.

A call is a function, its arguments and its keywords; an answer whether it succeeded, and what it returned or
raised.
"""

from __future__ import annotations

import io
import pickle
import traceback
from typing import Any


def packed(value: Any, room: int = 0) -> io.BytesIO:
    """Return a stream of a value's pickle behind ``room`` empty bytes.

    There its size can be written, say, without a copy of what may be large.
    """
    stream = io.BytesIO(bytes(room))
    stream.seek(room)
    pickle.dump(value, stream, protocol=5)
    return stream


def answer(call: bytes | memoryview, room: int = 0) -> io.BytesIO:
    """Do a call, and return its answer like `packed`; an `Exception` is an answer too."""
    try:
        function, arguments, keywords = pickle.loads(call)
        return packed((True, function(*arguments, **keywords)), room)
    except Exception as error:
        return _failure(error, room)


def outcome(answer: bytes | memoryview) -> Any:
    """Return what a call returned, or raise what it raised."""
    succeeded, found = pickle.loads(answer)
    if not succeeded:
        raise found
    return found


def _failure(error: Exception, room: int) -> io.BytesIO:
    """Return what was raised, with where, as an answer; in words where it can't be sent as it is."""
    if isinstance(error, MemoryError):
        return packed((False, MemoryError(str(error))), room)
    error.add_note("".join(traceback.format_tb(error.__traceback__)))
    try:
        stream = packed((False, error), room)
        pickle.loads(stream.getbuffer()[room:])
    except Exception:
        stream = packed((False, RuntimeError(f"{type(error).__name__}: {error}")), room)
    return stream
