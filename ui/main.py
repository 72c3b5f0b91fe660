"""The script of every visit: the frame around the chapters."""

import streamlit as st

from ui.chapters import all_chapters

# Streamlit leaves a third of a small screen empty above the title; our pictures need it.
_STYLE = """<style>
.stMainBlockContainer { padding-top: 4.2rem; padding-bottom: 2rem; }
.stMainBlockContainer h1 { padding: 0 0 .2rem; }
header a:focus-visible { outline: 3px solid currentColor; outline-offset: 2px; }
@media (max-width: 640px) { .stMainBlockContainer { padding-left: .8rem; padding-right: .8rem; } }
</style>"""

st.set_page_config(page_title="BatchNorm Lab", page_icon="📊", layout="wide")
st.html(_STYLE)
st.navigation(all_chapters(), position="top").run()
