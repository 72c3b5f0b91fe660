"""Home: what this is, on one screen, with a picture to touch."""

import math

from book.arithmetic import mean_steps
from book.batch import BATCH_CONTROLS, bound_words, describe, pytorch, script, transform
from book.chapter import Chapter, View
from book.controls import Values
from book.equations import Equation, Term, root, row, told
from book.measures import digit_figure
from book.rows import rows_figure

HINT = (
    "Drag any dot of the top row, out of the frame too. Keys: ← → move the chosen dot (Shift: faster; far "
    "out, ever faster), Page Up and Down choose another."
)


def compute(values: Values) -> View:
    """Put the batch through batch norm."""
    batch = transform(values)
    numbers, size, narrow = batch.numbers, batch.size, values.get("narrow", False)
    text = describe(batch)
    wall = Term(bound_words(numbers)[0], rounded=math.isqrt(size - 1) ** 2 != size - 1)
    short = (
        Equation("mean", "the mean μ", Term("μ"), numbers["x_mean"], mean_steps(batch)),
        Equation(
            "std", "the standard deviation σ", Term("σ"), numbers["x_std"],
            (Term("σ"), root(told(numbers["x_var"])), told(numbers["x_std"])),
        ),
        Equation(
            "bound", "the farthest that x̂ can be from 0", Term("√(N−1)"), numbers["bound"],
            (Term("√(N−1)"), root(row(str(size), " − 1")), wall),
        ),
    )  # fmt: skip
    figures = {"dots": rows_figure(batch, text, HINT, narrow=narrow), "digit": digit_figure(batch, narrow)}
    return View(numbers, text, figures, batch.table, short)


CHAPTER = Chapter(
    name="home",
    title="BatchNorm Lab",
    question="What does batch normalization do to a batch?",
    icon=":material/home:",
    order=0,
    lead=(
        "Each dot is what **one unit of a network** receives from one **handwritten digit**. Batch norm "
        "moves the batch to mean 0 and spread 1 (x̂), then scales and shifts it by what the network learns "
        "(y). "
        "**Drag a dot** or a slider: everything is computed anew while your finger moves."
    ),
    controls=BATCH_CONTROLS,
    compute=compute,
    pytorch=pytorch,
    script=script,
    links=(
        ("Chapter one: what happens to one batch? →", "/one-batch"),
        ("And does it help? Watch networks learn →", "/training-lab"),
    ),
)

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
