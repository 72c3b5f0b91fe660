"""The wire of calls: what is called answers, and whatever goes wrong there is an answer too."""

import pickle
import threading
import tracemalloc
from functools import partial

import pytest

from live import calls


def done(function, *arguments, **keywords):
    """What a call comes to on the way there and back."""
    call = calls.packed((function, arguments, keywords)).getvalue()
    return calls.outcome(calls.answer(call).getvalue())


class Unpassable(Exception):
    """An error that is pickled, but doesn't come out again."""

    def __init__(self, one, other):
        super().__init__("cannot be made again")


class Held(Exception):
    """An error that can't be pickled."""

    def __init__(self):
        super().__init__("the door is locked")
        self.lock = threading.Lock()


class Short(MemoryError):
    """A kind of it, as NumPy has."""


def fail(error, *arguments):
    raise error(*arguments)


def test_what_is_called_gives_what_it_returns():
    assert done(sorted, [1, 3, 2], reverse=True) == [3, 2, 1]
    assert done(dict) == {}


def test_an_error_comes_with_where_it_was_raised():
    with pytest.raises(ValueError, match="no such norm") as error:
        done(fail, ValueError, "no such norm")
    (note,) = error.value.__notes__
    assert "test_calls.py" in note and "in fail" in note and "raise error(*arguments)" in note


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (partial(fail, Unpassable, 1, 2), "^Unpassable: cannot be made again$"),
        (partial(fail, Held), "^Held: the door is locked$"),
    ],
)
def test_an_error_that_can_not_be_sent_is_told_in_words(function, words):
    with pytest.raises(RuntimeError, match=words):
        done(function)


def test_too_little_memory_stays_that_and_brings_nothing_along():
    with pytest.raises(MemoryError, match="^4 GiB$") as error:
        done(fail, Short, "4 GiB")
    assert type(error.value) is MemoryError and not hasattr(error.value, "__notes__")


def test_what_can_not_be_packed_is_an_error_on_either_side():
    with pytest.raises(Exception, match="pickle"):
        calls.packed((len, (lambda: None,), {}))
    with pytest.raises(Exception, match="pickle"):
        done(threading.Lock)
    with pytest.raises(pickle.UnpicklingError):
        calls.outcome(calls.answer(b"no call").getvalue())


@pytest.mark.parametrize(
    "function", [partial(abs, -3), *(partial(fail, error) for error in (ValueError, Held, Short))]
)
def test_there_is_room_before_every_answer(function):
    call = calls.packed((function, (), {}), 3).getbuffer()
    assert call[:3] == bytes(3)
    found = calls.answer(call[3:], 8).getbuffer()
    assert found[:8] == bytes(8) and found[8:] == calls.answer(call[3:]).getbuffer()


def test_a_large_answer_is_there_once():
    size = 2**24
    call = calls.packed((bytes, (size,), {})).getvalue()
    tracemalloc.start()
    try:
        stream = calls.answer(call, 8)
        _, most = tracemalloc.get_traced_memory()
        assert most < 2.5 * size, "what was returned and its pickle"
        tracemalloc.reset_peak()
        stream.getbuffer()[0] = 1
        assert len(stream.getvalue()) > size
        _, most = tracemalloc.get_traced_memory()
        assert most < 1.5 * size, "its pickle"
    finally:
        tracemalloc.stop()
