"""Which norm?: a few questions about the reader's network, an answer, and where its evidence is."""

from __future__ import annotations

from book import figure as fig
from book.chapter import Asked, Chapter, Source
from book.controls import Values, seed_control
from book.figure import INK, PAPER, Figure
from book.scenes import of_scenes
from pages import _which_guide as guide
from pages import _which_pre as pre
from pages import _which_rms as rms
from pages import _which_table as table
from pages._which_rules import BATCHES, KINDS, rule_of


def thumbnail(values: Values) -> Figure:
    """Draw the map of answers as tiles, and where the batch size is."""
    batch = max(size for size in BATCHES if size <= max(values["batch_size"], 1))
    shapes = []
    for row, kind in enumerate(reversed(KINDS)):
        for column, size in enumerate(BATCHES):
            tint = guide.MAP[rule_of(kind, size, "shuffled").norm]
            shapes.append(fig.area(column - 0.46, row - 0.44, column + 0.46, row + 0.44, tint))
    here = fig.dots([BATCHES.index(batch)], [5], "batch size", INK, size=8, edge=PAPER)
    answer = rule_of("dense", batch, "shuffled").norm
    return fig.thumbnail(
        [here], "Which norm?", f"Coloured tiles, a norm each. Dense, batches of {batch}: {answer}.",
        (-0.7, 6.7), (-0.7, 5.7), shapes=shapes,
    )  # fmt: skip


CHAPTER = Chapter(
    name="which",
    title="Which norm?",
    question="Which norm do I use in my network?",
    icon=":material/checklist:",
    order=89,
    group="Other norms",
    answers=(
        Asked("Which norm fits my network?", "guide"),
        Asked("Pre-norm or post-norm?", "pre"),
        Asked("RMS norm in place of layer norm: what do I lose?", "rms"),
        Asked("Which norms are the same in training and inference?", "table"),
    ),
    thumbnail=thumbnail,
    lead=(
        "Say what you build, how many samples a device has, and where they come from. You get a norm, the "
        "reason, the limit, and links to what shows them. Small networks in your situation are trained, "
        "too; they may disagree with the rule."
    ),
    **of_scenes(guide, pre, rms, table, more=(seed_control(),), light=True),
    ending=(
        "You can say which norm to begin with, why, and what would make you choose another one.",
        "You can’t say that it is best in your network: these are rules and small networks. Try two norms "
        "there, each at its own learning rate, on several seeds.",
        "Go on to the training lab: put two of these norms side by side.",
    ),
    experiments=("E11", "E12", "E20", "E22", "E23", "E30"),
    sources=(
        Source("Ioffe & Szegedy 2015, Batch Normalization"),
        Source("Ba et al. 2016, Layer Normalization"),
        Source("Wu & He 2018, Group Normalization: ResNet-50 on ImageNet with 32 to 2 images a device"),
        Source("Zhang & Sennrich 2019, Root Mean Square Layer Normalization"),
        Source("Xiong et al. 2020, On Layer Normalization in the Transformer Architecture"),
        Source("Miyato et al. 2018, Spectral Normalization for Generative Adversarial Networks"),
        Source("Ulyanov et al. 2016, Instance Normalization; Huang & Belongie 2017, adaptive instance norm"),
        Source("Ioffe 2017, Batch Renormalization"),
    ),
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
