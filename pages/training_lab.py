"""Training lab: when does batch normalization help?"""

import streamlit as st

from live.messages import LAB_CONTROLS
from ui.live import picture

st.title("When does batch normalization help?")
st.markdown(
    "Networks that differ only in their norm learn **handwritten digits** on the same initial weights, "
    "the same batches and the same clock."
)
picture("lab", LAB_CONTROLS, title="A race between norms")
