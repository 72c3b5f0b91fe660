"""A chapter on the screen: its title, its live picture, and what is told beside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from book.beside import Evidence, Way, beside
from book.chapter import Chapter

from . import assets
from .code import show_code
from .picture import picture


def show(chapter: Chapter) -> None:
    """Show a chapter: what a page's script does."""
    st.title(chapter.question)
    if chapter.lead:
        with st.container(key="lead"):
            st.markdown(chapter.lead)
    told = beside(chapter, picture(chapter.name, title=chapter.question))
    if told.pytorch is not None:
        with st.expander("In PyTorch", icon=":material/terminal:"):
            st.code(told.pytorch, language="python")
    if told.code:
        show_code(told.code)
    if chapter.sources:
        with st.expander("Sources", icon=":material/menu_book:"):
            st.markdown("\n".join(f"- {source.text}" for source in chapter.sources))
    _ways_on(told.ways)
    if told.evidence:
        with st.expander("Experiments", icon=":material/experiment:"):
            st.html(f'<ul class="evidence">{"".join(map(_evidence, told.evidence))}</ul>')


def _ways_on(ways: Sequence[Way]) -> None:
    """Show the links that lead on: real ones, which the bar of chapters follows within the session."""
    if ways:
        links = "".join(_link(way.words, way.address) for way in ways)
        st.html(f'<nav class="onward" aria-label="Where to go on">{links}</nav>')


def _link(words: str, address: str) -> str:
    return f'<a href="{escape(assets.base() + address)}">{escape(words)}</a>'


def _evidence(one: Evidence) -> str:
    """Name an experiment, as a link to its race in the lab or with its command."""
    if one.address is None:
        return f"<li>{escape(one.title)}. <code>{one.command}</code></li>"
    return f"<li>{_link(one.title, one.address)}</li>"
