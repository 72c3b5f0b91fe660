"""The chapters, in reading order."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_PAGES = Path(__file__).parent.parent / "pages"
_CHAPTERS = {
    "home": ("BatchNorm Lab", ":material/home:"),
    "one_batch": ("One batch", ":material/scatter_plot:"),
    "training_lab": ("Training lab", ":material/stacked_line_chart:"),
}


def chapter(name: str) -> st.Page:
    """The page of a chapter, for the navigation and for links to it."""
    title, icon = _CHAPTERS[name]
    home = name == "home"
    return st.Page(
        _PAGES / f"{name}.py",
        title=title,
        icon=icon,
        default=home,
        url_path=None if home else name.replace("_", "-"),
    )


def all_chapters() -> list[st.Page]:
    """Every chapter."""
    return [chapter(name) for name in _CHAPTERS]
