"""One batch: what happens to one batch?"""

import streamlit as st

from ui.code import batch_code, show_code
from ui.picture import picture

st.title("What happens to one batch?")
picture("one_batch", title="One batch, before and after batch normalization")
show_code(batch_code())
