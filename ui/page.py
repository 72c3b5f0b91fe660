"""A chapter on the screen: its title, its live picture, and what is told beside it."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from book.chapter import Chapter

from .chapters import page_of
from .code import show_code
from .picture import picture


def show(chapter: Chapter) -> None:
    """Show a chapter: what a page's script does."""
    st.title(chapter.question)
    if chapter.lead:
        with st.container(key="lead"):
            st.markdown(chapter.lead)
    values = picture(chapter.name, title=chapter.question)
    if chapter.pytorch is not None and not chapter.is_open(values):
        with st.expander("In PyTorch", icon=":material/terminal:"):
            st.code(chapter.pytorch(values), language="python")
    if chapter.code:
        show_code(chapter.code)
    if chapter.sources:
        with st.expander("Sources", icon=":material/menu_book:"):
            st.markdown("\n".join(f"- {source.text}" for source in chapter.sources))
    _ways_on(chapter)


def _ways_on(chapter: Chapter) -> None:
    """Show the links that lead on; on a page without scenes they are what it is for."""
    if not chapter.links:
        return
    for column, (words, address) in zip(st.columns(len(chapter.links)), chapter.links, strict=True):
        first = not chapter.scenes and address == chapter.links[0][1]
        kind: Literal["primary", "secondary"] = "primary" if first else "secondary"
        if column.button(words, type=kind, width="stretch", key=f"way-{chapter.name}-{address}"):
            _go(address)


def _go(address: str) -> None:
    """Switch to a page of the house, with the settings of ``address``."""
    path, _, query = address.partition("?")
    settings = dict(part.split("=", 1) for part in query.split("&") if part)
    st.switch_page(page_of(path.strip("/")), query_params=settings or None)
