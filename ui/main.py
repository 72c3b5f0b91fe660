"""The script of every visit: the frame around the chapters."""

from pathlib import Path

import streamlit as st

PAGES = Path(__file__).parent.parent / "pages"

st.set_page_config(page_title="BatchNorm Lab", page_icon="📊", layout="wide")
st.navigation(
    [
        st.Page(PAGES / "home.py", title="BatchNorm Lab", icon=":material/home:", default=True),
        st.Page(
            PAGES / "training_lab.py",
            title="Training lab",
            icon=":material/stacked_line_chart:",
            url_path="training-lab",
        ),
    ],
    position="top",
).run()
