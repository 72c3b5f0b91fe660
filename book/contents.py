"""The book's table of contents: what each page answers, how long it takes, and a small figure of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from .chapter import Chapter, Page
from .controls import Values
from .figure import Figure
from .registry import pages

WORDS_A_MINUTE = 180  # of a text in which things are looked at, in a language that may not be one's own
DOING = 0.75  # minutes a scene: a prediction, a gesture, a look


def listed() -> tuple[Page, ...]:
    """Return the pages that the first page lists, in reading order: all others."""
    return tuple(page for page in pages().values() if page.path)


def minutes(page: Page) -> int:
    """Return about how many minutes a page takes: its words are read, its scenes are done."""
    texts = [page.question]
    for scene in page.scenes:
        texts += [scene.question, *(choice.label for choice in scene.choices)]
        texts += [scene.said, scene.because, scene.but, scene.task]
    if isinstance(page, Chapter):
        texts += [page.lead, *page.ending]
    words = sum(len(text.split()) for text in texts)
    return max(1, round(words / WORDS_A_MINUTE + DOING * len(page.scenes)))


@cache
def entries() -> list[dict[str, Any]]:
    """Return the table of contents as plain JSON.

    Returns
    -------
    a list of dicts with "name", "number" (of chapters, from 1; 0: no chapter), "title", "question",
    "address" (below the root), "group", "minutes", "figure" (what its small figure is called, "" without
    one), "scenes" ("name", "title", "address", "asks") and "answers" ("question", "scene", "address")
    """
    numbers = {page.name: number for number, page in enumerate(_chapters(), start=1)}
    return [
        {
            "name": page.name, "number": numbers.get(page.name, 0), "title": page.title,
            "question": page.question, "address": page.path, "group": page.group, "minutes": minutes(page),
            "figure": _called(page) if page.thumbnail else "",
            "scenes": [
                {"name": one.name, "title": one.title, "asks": bool(one.choices)} | _at(page, one.name)
                for one in page.scenes
            ],
            "answers": [one._asdict() | _at(page, one.scene) for one in page.answers],
        }
        for page in listed()
    ]  # fmt: skip


def _chapters() -> list[Page]:
    return [page for page in listed() if isinstance(page, Chapter)]


def _at(page: Page, scene: str) -> dict[str, str]:
    return {"address": page.at(scene)}


def _called(page: Page) -> str:
    return f"contents_{page.name}"


def thumbnails(values: Values) -> Mapping[str, Figure]:
    """Return the small figures of all pages at the first page's settings, by name; none while a finger moves.

    They are drawn once for the same settings.
    """
    if values.get("draft"):
        return {}
    looks = ("open", "narrow", "draft")  # what a view is given beside the settings
    return _drawn(tuple((name, value) for name, value in values.items() if name not in looks))


@lru_cache(maxsize=32)
def _drawn(settings: tuple[tuple[str, Any], ...]) -> Mapping[str, Figure]:
    values = dict(settings)
    return {_called(page): page.thumbnail(values) for page in listed() if page.thumbnail is not None}
