""" "Show the code": the source of the very functions that computed a picture, beside their equations."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from book.beside import source
from book.chapter import Passage


@st.fragment
def show_code(passages: Sequence[Passage]) -> None:
    """Show an expander with the passages; its contents are made, and sent, only while it is open."""
    expander = st.expander("Show the code", icon=":material/code:", key="code", on_change="rerun")
    if not expander.open:
        return
    with expander:
        st.caption(
            "The functions that computed these pictures, read from the running program. Where a norm is "
            "among them, a short version of it comes first, for reading."
        )
        for what, function in passages:
            st.markdown(what)
            st.code(source(function), language="python")
