"""Training lab: when does batch normalization help?"""

import streamlit as st

from ui.picture import picture

st.title("When does batch normalization help?")
st.markdown(
    "Networks that differ **only in their norm** learn handwritten digits: same initial weights, same "
    "batches, same clock. Lines are means over several seeds, shades reach from the lowest to the highest."
)
picture("lab", title="A race between norms")
