"""Home: what this is, on one screen, with a picture to touch."""

import streamlit as st

from ui.chapters import chapter
from ui.picture import picture

st.title("What does batch normalization do to a batch?")
st.markdown(
    "Each dot is what **one unit of a network** receives from one **handwritten digit**. Batch norm moves "
    "the batch to mean 0 and spread 1 (x̂), then scales and shifts it by what the network learns (y). "
    "**Drag a dot** or a slider: everything is computed anew while your finger moves."
)
picture("batch", title="One batch, before and after batch normalization")
first, then = st.columns(2)
if first.button("Chapter one: what happens to one batch? →", type="primary", width="stretch"):
    st.switch_page(chapter("one_batch"))
if then.button("And does it help? Watch networks learn →", width="stretch"):
    st.switch_page(chapter("training_lab"))
