"""Training lab: when does batch normalization help?"""

import streamlit as st

from ui.live import picture

st.title("When does batch normalization help?")
st.markdown(
    "Networks that differ **only in their norm** learn handwritten digits: same initial weights, same "
    "batches, same clock. Every curve is the mean of several seeds. Change anything and watch."
)
picture("lab", title="A race between norms")
