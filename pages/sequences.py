"""Sequences and streams: norms where samples come step by step, or one at a time."""

from __future__ import annotations

from book.chapter import Asked, Chapter, Source
from book.controls import seed_control
from book.scenes import of_scenes
from pages import _sequences_drift as drift
from pages import _sequences_longer as longer
from pages import _sequences_padding as padding
from pages import _sequences_sample as sample
from pages import _sequences_steps as steps
from pages import _sequences_stream as stream
from pages._sequences_parts import thumbnail

CHAPTER = Chapter(
    name="sequences",
    title="Sequences and streams",
    question="What if samples have many steps, or come one at a time?",
    icon=":material/timeline:",
    order=87,
    group="Other norms",
    answers=(
        Asked("Should batch norm’s statistics leave padding out?", "padding"),
        Asked("Can one BatchNorm1d serve all steps of a recurrent network?", "steps"),
        Asked("What if a sequence is longer than any in training?", "longer"),
        Asked("Why does PyTorch expect more than 1 value per channel?", "sample"),
        Asked("Can batch norm learn online, one sample at a time?", "stream"),
        Asked("Should running averages go on in use?", "drift"),
    ),
    thumbnail=thumbnail,
    lead=(
        "Batch norm compares samples that are there at the same time. A **sequence** has many steps, and not "
        "all sequences are equally long. In a **stream** each sample comes alone. What can a norm compare "
        "there?"
    ),
    **of_scenes(padding, steps, longer, sample, stream, drift, more=(seed_control(),)),
    ending=(
        "You can say how many values share a mean in any layer and at any step of a sequence, and what batch "
        "norm makes of one.",
        "You can’t say that a mask is always right, nor that one norm is best for all streams: it depends "
        "on how many values share a mean, and on what changes.",
        "Go on to the training lab: choose its recurrent network, or set the batch size to 1.",
    ),
    experiments=("E20", "E22"),
    sources=(
        Source("Ioffe & Szegedy 2015, Batch Normalization, Algorithm 1 with m = 1"),
        Source("Ba et al. 2016, Layer Normalization"),
        Source("Cooijmans et al. 2017, Recurrent Batch Normalization: each step has its own statistics, and "
               "the last step’s serve later ones"),
        Source("Laurent et al. 2016, Batch Normalized Recurrent Neural Networks: normalizing the input "
               "helped; normalizing the recurrent part did not"),
        Source("Schneider et al. 2020, Improving Robustness against Common Corruptions by Covariate Shift "
               "Adaptation: statistics of the new data"),
        Source("Gong et al. 2022, NOTE: adaptation to streams whose samples are not mixed"),
    ),
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
