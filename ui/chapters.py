"""The pages of the book for Streamlit, in reading order; in groups once there are many."""

from __future__ import annotations

from itertools import groupby

import streamlit as st

from book.chapter import Page
from book.registry import FOLDER, pages

from .navigation import Groups

MOST_IN_ONE_ROW = 6


def all_chapters() -> Groups:
    """Return every page; from seven on by group, those without one as they stand in reading order."""
    every = list(pages().values())
    if len(every) <= MOST_IN_ONE_ROW:
        return [("", [_made(page) for page in every])]
    return [
        (name, [_made(page) for page in group]) for name, group in groupby(every, lambda page: page.group)
    ]


def _made(page: Page) -> st.Page:
    file = FOLDER / f"{page.name}.py"
    return st.Page(file, title=page.title, icon=page.icon, default=not page.path, url_path=page.path or None)
