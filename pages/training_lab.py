"""Training lab: when does batch normalization help?"""

import streamlit as st

from ui.code import lab_code, show_code
from ui.picture import picture

st.title("When does batch normalization help?")
st.markdown(
    "Networks race: **same data, same initial weights, same batches, same clock**; each lane differs only "
    "where you say so. Lines are means over several seeds, shades reach from the lowest to the highest."
)
show_code(lab_code(picture("lab", title="When does batch normalization help?")))
