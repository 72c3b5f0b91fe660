"""A chapter on the screen: its title, its live picture, and what is told beside it."""

from __future__ import annotations

from html import escape

import streamlit as st

from bnlib.experiments import EXPERIMENTS
from book.chapter import Chapter
from book.controls import Values
from book.race.evidence import race_address
from book.registry import after

from . import assets
from .code import show_code
from .picture import picture


def show(chapter: Chapter) -> None:
    """Show a chapter: what a page's script does."""
    st.title(chapter.question)
    if chapter.lead:
        with st.container(key="lead"):
            st.markdown(chapter.lead)
    values = picture(chapter.name, title=chapter.question)
    asked = chapter.is_open(values)  # programs, code and experiments would give the answer away
    if chapter.pytorch is not None and not asked:
        with st.expander("In PyTorch", icon=":material/terminal:"):
            st.code(chapter.pytorch(values), language="python")
    if chapter.code and not asked:
        show_code(chapter.code)
    if chapter.sources:
        with st.expander("Sources", icon=":material/menu_book:"):
            st.markdown("\n".join(f"- {source.text}" for source in chapter.sources))
    _ways_on(chapter, values, asked)


def _ways_on(chapter: Chapter, values: Values, asked: bool) -> None:
    """Show the links that lead on: real ones, which the bar of chapters follows within the session."""
    ways = list(chapter.links)
    if chapter.scenes:
        race = chapter.lab(values) if chapter.lab and not asked else None
        address = race_address(race) if race is not None else None
        if address is not None:
            ways.insert(0, ("These networks in the training lab", f"/training-lab?{address}"))
        following = after(chapter)
        if following is not None:
            ways.insert(0, (f"Next: {following.question}", f"/{following.path}"))
    if ways:
        st.html(f'<nav class="onward" aria-label="Where to go on">{"".join(map(_link, ways))}</nav>')
    if chapter.experiments and not asked:
        with st.expander("Experiments", icon=":material/experiment:"):
            st.html(f'<ul class="evidence">{"".join(map(_evidence, chapter.experiments))}</ul>')


def _link(way: tuple[str, str]) -> str:
    words, address = way
    return f'<a href="{escape(assets.base() + address)}">{escape(words)}</a>'


def _evidence(name: str) -> str:
    """Name an experiment that judges what a chapter shows, with its race in the lab or its command."""
    experiment = EXPERIMENTS[name]
    title = f"{name}: {experiment.title}"
    if isinstance(experiment.races, str):
        return f"<li>{escape(title)}. <code>python -m bnlib experiments run {name}</code></li>"
    return f"<li>{_link((title, f'/training-lab?experiment={name}'))}</li>"
