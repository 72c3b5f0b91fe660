"""Training lab: when does batch normalization help?"""

from book.chapter import Page

CHAPTER = Page(
    name="training_lab",
    title="Training lab",
    question="When does batch normalization help?",
    icon=":material/stacked_line_chart:",
    order=90,
)

if __name__ == "__main__":
    import streamlit as st

    from ui.code import lab_code, show_code
    from ui.picture import picture

    st.title(CHAPTER.question)
    st.markdown(
        "Networks are trained side by side: **on the same data, from the same initial weights, with the same "
        "batches**. Each is a lane, and lanes differ only in the settings that you choose. Lines are means "
        "over several seeds, and bands reach from the lowest seed to the highest."
    )
    show_code(lab_code(picture("lab", title=CHAPTER.question)))
