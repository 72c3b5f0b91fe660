"""The chapters in reading order: every file in ``pages/`` that holds a CHAPTER."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from .chapter import Chapter, Page

FOLDER = Path(__file__).parent.parent / "pages"


@cache
def pages() -> dict[str, Page]:
    """Return all pages by name, in reading order.

    Raises
    ------
    ValueError
        If a file holds no page, or a page has the name of another one, or of no file.
    """
    stems = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    found = [_page(stem) for stem in stems]
    named = {page.name: page for page in sorted(found, key=lambda page: page.order)}
    if set(named) != set(stems):
        raise ValueError(
            f"pages/: the names {sorted(set(named) ^ set(stems))} are of a page or of a file, not of both; "
            "call each chapter as its file"
        )
    return named


def _page(stem: str) -> Page:
    page = getattr(import_module(f"pages.{stem}"), "CHAPTER", None)
    if not isinstance(page, Page):
        raise ValueError(
            f"pages/{stem}.py holds no CHAPTER; declare one, or begin the file's name with an underscore"
        )
    return page


def chapters() -> dict[str, Chapter]:
    """Return the pages that are chapters, by name, in reading order."""
    return {name: page for name, page in pages().items() if isinstance(page, Chapter)}


def after(page: Page) -> Page | None:
    """Return the page that follows in reading order."""
    every = list(pages().values())
    return next((one for one in every if one.order > page.order), None)
