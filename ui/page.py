"""A chapter on the screen: its title, its live picture, and what is told beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import parse_qsl

import streamlit as st

from bnlib.experiments import EXPERIMENTS
from book.chapter import Chapter
from book.controls import Values
from book.race.evidence import race_address
from book.registry import after

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
    _ways_on(chapter, values)


def _ways_on(chapter: Chapter, values: Values) -> None:
    """Show the links that lead on; on a page without scenes they are what it is for."""
    ways = list(chapter.links)
    if chapter.scenes:
        race = chapter.lab(values) if chapter.lab and not chapter.is_open(values) else None
        if race is not None:
            ways.insert(0, ("These networks in the training lab", f"/training-lab?{race_address(race)}"))
        following = after(chapter)
        if following is not None:
            ways.insert(0, (f"Next: {following.question}", f"/{following.path}"))
    for column, (words, address) in zip(st.columns(len(ways)) if ways else (), ways, strict=True):
        kind: Literal["primary", "secondary"] = "primary" if address == ways[0][1] else "secondary"
        if column.button(words, type=kind, width="stretch", key=f"way-{chapter.name}-{address}"):
            _go(address)
    if chapter.experiments:
        _evidence(chapter.experiments)


def _evidence(names: Sequence[str]) -> None:
    """Show the experiments that judge what a chapter shows, each with its race in the lab."""
    with st.expander("Experiments", icon=":material/experiment:"):
        for name in names:
            experiment = EXPERIMENTS[name]
            if isinstance(experiment.races, str):
                st.markdown(f"{name}: {experiment.title}. `python -m bnlib experiments run {name}`")
            elif st.button(f"{name}: {experiment.title}", type="tertiary", key=f"evidence-{name}"):
                _go(f"/training-lab?experiment={name}")


def _go(address: str) -> None:
    """Switch to a page of the house, with the settings of ``address``."""
    path, _, query = address.partition("?")
    st.switch_page(page_of(path.strip("/")), query_params=dict(parse_qsl(query)) or None)
