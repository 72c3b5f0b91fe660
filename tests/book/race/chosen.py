"""The lab's settings for tests."""

from book.controls import read
from book.race.settings import LAB_CONTROLS


def settings(**chosen):
    """The lab's settings with some chosen, which must all be right."""
    values, problems = read(LAB_CONTROLS, chosen)
    assert problems == []
    return values
