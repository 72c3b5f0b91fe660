"""Training lab: when does batch normalization help?"""

from functools import cache

from bnlib import RunConfig, advance, start
from book.chapter import Asked, Page
from book.controls import Values
from book.figure import BLUE, ORANGE, Figure, line, thumbnail
from book.race.scenes import SCENES

# Small enough to be trained while the first page opens, once a process.
SMALL = {
    "no norm": (RunConfig(depth=5, width=16, batch_size=32, norm="none", replicas=4, record_every=2), ORANGE),
    "batch norm": (
        RunConfig(depth=5, width=16, batch_size=32, norm="batch", replicas=4, record_every=2),
        BLUE,
    ),
}
STEPS = 60


def small(values: Values) -> Figure:
    """Draw two small networks' training losses; the first page's batch is none that they learn from."""
    return _raced()


@cache
def _raced() -> Figure:
    losses = {
        name: advance(start(config), STEPS).history["train_loss"].mean(axis=0)
        for name, (config, _) in SMALL.items()
    }
    steps = range(0, STEPS, 2)
    data = [line(steps, loss, name, SMALL[name][1]) for name, loss in losses.items()]
    alt = f"Training losses of two networks over {STEPS} steps: {' and '.join(SMALL)}."
    return thumbnail(data, "Two networks learn", alt, (0, STEPS), (0, 2.8))


CHAPTER = Page(
    name="training_lab",
    title="Training lab",
    question="When does batch normalization help?",
    lead="Networks are trained side by side: **on the same data, from the same initial weights, with the "
    "same batches**. Each is a lane, and lanes differ only in the settings that you choose. Lines are means "
    "over several seeds, and bands reach from the lowest seed to the highest.",
    icon=":material/stacked_line_chart:",
    order=90,
    scenes=tuple(one.scene for one in SCENES.values()),
    answers=(
        Asked("Does batch norm allow a higher learning rate?", "fast"),
        Asked("Does it make up for bad initial weights?", "deep"),
        Asked("Is it covariate shift: must a layer’s inputs be steady?", "shift"),
        Asked("Does it regularize?", "noise"),
        Asked("Does it make a network more accurate?", "accuracy"),
        Asked("Does it suit recurrent networks?", "recurrent"),
    ),
    thumbnail=small,
)

if __name__ == "__main__":
    import streamlit as st

    from book.beside import beside
    from ui.code import show_code
    from ui.picture import picture

    st.title(CHAPTER.question)
    st.markdown(CHAPTER.lead)
    show_code(beside(CHAPTER, picture("lab", title=CHAPTER.question, page=CHAPTER.name)).code)
