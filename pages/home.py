"""Home: what this is, on one screen, with a picture to touch."""

import streamlit as st

from live.messages import BATCH_CONTROLS
from ui.live import picture

st.title("What does batch normalization do to a batch?")
st.markdown(
    "Each dot is what **one unit of a digits network** receives from one handwritten digit. "
    "**Drag a dot**, or move a slider: every number is computed anew while your finger moves."
)
picture("batch", BATCH_CONTROLS, title="One batch, before and after batch normalization")
st.page_link(
    "pages/training_lab.py",
    label="**Does it help?** Race networks with and without it in the Training lab",
    icon=":material/arrow_forward:",
)
