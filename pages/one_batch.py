"""One batch: what happens to one batch?"""

import streamlit as st

from ui.chapters import chapter
from ui.picture import picture

st.title("What happens to one batch?")
values = picture("one_batch", title="One batch, before and after batch normalization")
if values["scene"] == "free" and st.button("And does it help? Watch networks learn with and without it →"):
    st.switch_page(chapter("training_lab"))
