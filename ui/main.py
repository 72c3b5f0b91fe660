"""The script of every visit: the frame around the chapters."""

import streamlit as st

from ui.chapters import all_chapters
from ui.navigation import navigate

# Streamlit leaves a third of a small screen empty above the title; our pictures need it.
_STYLE = """<style>
.stMainBlockContainer { padding-top: .25rem; padding-bottom: 2rem; }
.stMainBlockContainer h1 { padding: 0 0 .2rem; }
.stButton :is([data-testid=stMarkdownContainer], [data-testid=stMarkdownContainer] *) { white-space: normal; }
@media (max-width: 640px) { .stMainBlockContainer { padding-left: .8rem; padding-right: .8rem; }
  .stMainBlockContainer h1 { font-size: 1.6rem; } }
@media (max-height: 480px) { .stMainBlockContainer h1 { font-size: 1.3rem; } .st-key-lead { display: none; } }
</style>"""

_NAME = "BatchNorm Lab"

st.set_page_config(page_title=_NAME, page_icon="📊", layout="wide")
st.html(_STYLE)
page = navigate(all_chapters())
if page.title != _NAME:
    st.set_page_config(page_title=f"{page.title} · {_NAME}")
page.run()
