"""Home: what this is, on one screen, with a picture to touch; and below it the book's contents."""

from book.arithmetic import mean_steps
from book.batch import BATCH_CONTROLS, Batch, bound_words, describe, pytorch, script, transform
from book.chapter import Chapter, View
from book.contents import thumbnails
from book.controls import Values
from book.equations import Equation, Term, root, told
from book.measures import digit_figure
from book.rows import rows_figure

HINT = "Drag a dot of x. It may leave the frame."


def compute(values: Values) -> View:
    """Put the batch through batch norm."""
    batch = transform(values)
    numbers, narrow = batch.numbers, values.get("narrow", False)
    text = describe(batch, given_away=False) + _farthest(batch)
    short = (
        Equation("mean", "the mean μ", Term("μ"), numbers["x_mean"], mean_steps(batch)),
        Equation(
            "std", "the standard deviation σ", Term("σ"), numbers["x_std"],
            (Term("σ"), root(told(numbers["x_var"])), told(numbers["x_std"])),
        ),
    )  # fmt: skip
    figures = {
        # Chapter one asks how far a dot can get, so no wall is shown here.
        "dots": rows_figure(batch, text, HINT, narrow=narrow, walls=False),
        "digit": digit_figure(batch),
        **thumbnails(values),
    }
    return View(numbers, text, figures, batch.table, short)


def _farthest(batch: Batch) -> str:
    """Say how far the farthest x̂ is, once a dot has been dragged."""
    dragged = any(index < batch.size for index, _ in batch.values["moved"])
    if not dragged or batch.size == 1 or not batch.numbers["root"]:
        return ""
    return f" The farthest x̂ is {bound_words(batch.numbers)[1]} away from 0."


CHAPTER = Chapter(
    name="home",
    title="BatchNorm Lab",
    question="What does batch normalization do to a batch?",
    icon=":material/home:",
    order=0,
    lead=(
        "Each dot is what **one unit of a network** receives from one **handwritten digit**. Batch norm "
        "gives the batch mean 0 and standard deviation 1 (x̂), then scales and shifts it (y). **Drag a dot** "
        "or a slider: everything is computed anew while you move it."
    ),
    controls=BATCH_CONTROLS,
    compute=compute,
    pytorch=pytorch,
    script=script,
)

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
