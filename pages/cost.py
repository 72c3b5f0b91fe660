"""What it costs: parameters, memory and time of norms, counted and measured where the page runs."""

from __future__ import annotations

from book.chapter import Asked, Chapter, Source
from book.controls import seed_control
from book.scenes import of_scenes
from pages import _cost_fold as fold
from pages import _cost_memory as memory
from pages import _cost_numbers as numbers
from pages import _cost_share as share
from pages import _cost_table as table
from pages._cost_parts import AGAIN, BATCH, NORM, WIDTH, thumbnail

CHAPTER = Chapter(
    name="cost",
    title="What it costs",
    question="What does a norm cost, in training and in inference?",
    icon=":material/speed:",
    order=88,
    group="Other norms",
    answers=(
        Asked("Is the norm why my training is slow?", "share"),
        Asked("How many parameters does batch norm add?", "numbers"),
        Asked("Why does my network need more memory with a norm?", "memory"),
        Asked("How do I make batch norm free in inference?", "fold"),
        Asked("Which norm is the fastest?", "table"),
    ),
    thumbnail=thumbnail,
    lead=(
        "A norm adds parameters, memory and time. Numbers are **counted** and follow a slider at once. "
        "Times are **measured**, with one thread, in NumPy and in PyTorch, and the page says on which "
        "processor: trends carry over to other processors, milliseconds and the ratios of GPUs don’t."
    ),
    **of_scenes(share, numbers, memory, fold, table, more=(NORM, WIDTH, BATCH, AGAIN, seed_control())),
    ending=(
        "You can say what a norm adds to a step, why its share shrinks in wide layers, and how batch norm "
        "becomes part of the weights in inference.",
        "You can’t say how long it takes on a GPU: these are times of one CPU thread, one call after "
        "another. There memory bandwidth and fused kernels decide; use torch.profiler on your own network.",
        "Go on to the question which norm to use: cost seldom decides it.",
    ),
    experiments=("E21",),
    sources=(
        Source("Ioffe & Szegedy 2015, Batch Normalization, section 3 and Algorithm 2: inference as an "
               "affine map"),
        Source("Bulò et al. 2018, In-Place Activated BatchNorm for Memory-Optimized Training of DNNs, "
               "abstract"),
        Source("He et al. 2016, Deep Residual Learning for Image Recognition, Table 1: the layers of "
               "ResNet-50"),
        Source("PyTorch’s documentation: torch.nn.utils.fuse_conv_bn_eval, fuse_linear_bn_eval"),
    ),
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
