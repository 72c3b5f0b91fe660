"""Small batches: what happens to training when few samples share a mean, and what mends it."""

from __future__ import annotations

from dataclasses import replace

from bnlib import norms
from bnlib.experiments.model import Race
from bnlib.lessons import small, small_fixes
from bnlib.norms import relatives
from book.chapter import Asked, Chapter, Choice, Found, Job, Passage, Scene, Source, View
from book.controls import SEEDS, Control, Values, seed_control
from pages._small_batches_mend import BETWEEN, FIXES, mend, protocols
from pages._small_batches_parts import (
    CONV_SIZES,
    CONV_STEPS,
    EPOCH_SIZES,
    EVERY,
    SIZES,
    STEP_BATCH,
    STEPS,
    UNIT,
    convolutional,
    dense,
    epochs,
    steps_of,
    thumbnail,
)  # fmt: skip
from pages._small_batches_scripts import pytorch, script
from pages._small_batches_views import cliff, conv, spread

CONTROLS = (
    Control(
        "m", "whole", 128, "norm batch m", "how many samples share one mean", 2, 128, SIZES,
        marks=(2, 16, 128),
        about="How many samples share a mean and a standard deviation. In PyTorch: the batch of one device, "
        "unless SyncBatchNorm is used.",
    ),
    Control(
        "conv_m", "whole", 32, "norm batch m", "how many images share one mean", 2, 32,
        tuple(sorted(CONV_SIZES)), marks=CONV_SIZES,
        about="How many images share the means and standard deviations of the convolutional network. It is "
        "trained with these sizes only.",
    ),
    Control(
        "batch", "whole", 64, "batch size", "samples of a step, and of one mean", 2, 64,
        tuple(sorted(EPOCH_SIZES)), marks=EPOCH_SIZES,
        about="On the right, how many samples a step has, which also share one mean. On the left, the norm "
        "batch alone.",
    ),
    Control(
        "fix", "choice", "asis", "fix", choices=tuple(FIXES), names=tuple(name for name, _ in FIXES.values()),
        group="view",
        about="What is changed in the failing training run. “In PyTorch” shows how each is written.",
    ),
    seed_control(),
)  # fmt: skip


# ---- what runs -------------------------------------------------------------------------------------------


def jobs(values: Values) -> dict[str, Job]:
    """Return what a scene needs of the pool; nothing of it depends on what is dragged."""
    scene = values["scene"]
    if scene == "spread":
        return {"law": Job(small.law, (SEEDS * values["seed"], UNIT, SIZES), light=True)}
    if scene == "conv":
        found = {}
        for m in reversed(CONV_SIZES):
            images = convolutional(values, m)
            samples = replace(images, network="mlp", depth=4, width=64)
            found[f"dense{m}"] = Job(small_fixes.mended, (samples, CONV_STEPS, CONV_STEPS, "asis"))
            found[f"conv{m}"] = Job(small.convolved, (images, CONV_STEPS))
        return found
    if scene == "cliff":
        return _by_size(values) | {"rounding": Job(small.rounding, (dense(values), STEPS))}
    group = Job(small_fixes.mended, (dense(values), STEPS, EVERY, "group"))
    if scene == "protocols":
        return _by_size(values) | {"group": group} | _by_epochs(values)
    known = {"asis": 2, "more": 16, "sync": STEP_BATCH}  # what the cliff has trained already
    found = {fix: _learned(values, m) for fix, m in known.items()}
    found |= {f"m{m}": _learned(values, m) for m in BETWEEN}
    rest = (fix for fix in FIXES if fix not in known)
    return found | {fix: Job(small_fixes.mended, (dense(values), STEPS, EVERY, fix)) for fix in rest}


def _learned(values: Values, m: int) -> Job:
    return Job(small.learned, (dense(values, m), STEPS, EVERY))


def _by_size(values: Values) -> dict[str, Job]:
    return {f"m{m}": _learned(values, m) for m in reversed(SIZES)}


def _by_epochs(values: Values) -> dict[str, Job]:
    found = {}
    for norm in ("batch", "group"):
        for size in reversed(EPOCH_SIZES):
            arguments = (epochs(values, norm, size), steps_of(size), steps_of(size), "asis")
            found[f"{norm}{size}"] = Job(small_fixes.mended, arguments)
    return found


VIEWS = {"spread": spread, "cliff": cliff, "conv": conv, "mend": mend, "protocols": protocols}


def compute(values: Values, found: Found) -> View:
    """Show the scene that is chosen."""
    return VIEWS[values["scene"]](values, found)


def lab(values: Values) -> Race | None:
    """Return the same networks as lanes of the training lab."""
    scene = values["scene"]
    if scene == "conv":
        images = tuple(convolutional(values, m) for m in sorted(CONV_SIZES, reverse=True))
        return Race("A convolutional network, norm batches of 32, 8 and 2", images, CONV_STEPS)
    if scene == "cliff":
        return Race("Norm batches of 128, 8, 4 and 2", tuple(dense(values, m) for m in (128, 8, 4, 2)), STEPS)
    if scene == "mend":
        norms_ = (dense(values, STEP_BATCH, norm=norm) for norm in ("group", "none"))
        lanes = (dense(values), dense(values, 16), *norms_)
        return Race("Norm batches of 2 and of 16, group norm and no norm", lanes, STEPS)
    if scene == "protocols":
        lanes = tuple(epochs(values, norm, size) for norm in ("batch", "group") for size in (64, 2))
        return Race("Equal epochs: batches of 64 and 2", lanes, steps_of(2))
    return None


# ---- scenes ----------------------------------------------------------------------------------------------

SPREAD = Scene(
    "spread", "How far off is a mean of m?",
    "Batches of 128 digits have slightly different means. Now batches have 8 digits. How far do their means "
    "scatter?",
    (
        Choice("as far: the digits are the same", 1.0,
               "Each digit scatters as before. But in a mean of many, high and low ones cancel."),
        Choice("twice as far", 2.0, "That would be right for batches of 32."),
        Choice("4 times as far", 4.0),
        Choice("16 times as far", 16.0,
               "The variance is 16 times as large. The scatter is its root."),
    ),
    "ratio", {}, {"m": 8},
    "The means scatter {ratio:.1f} times as far: by {spread} σ; before, by {before_spread} σ.",
    "A mean of m independent numbers has variance σ²/m. With {fewer:.0f} times fewer numbers, means scatter "
    "√{fewer:.0f} = {root:.3g} times as far; here {ratio:.2f}.",
    "This needs independent numbers; positions of one image are not (scene 3). The law of the batch’s σ "
    "holds for Gaussian numbers only. That σ is too small, {std} σ on average: eval() uses variances times "
    "m/(m − 1).",
    "Go down to m = 2: do both histograms still follow their laws?",
    ("m", "seed"),
)  # fmt: skip

CLIFF = Scene(
    "cliff", "Batches of 2 fail",
    "Eight networks train. A step has 128 digits, which share one mean. They end with about 5% wrong in "
    "eval(). Now 64 devices have 2 digits each: a step still has 128, but each mean is of 2. How many are "
    "wrong?",
    (
        Choice("5%, as before", 0.05,
               "The gradient is still an average over 128 digits. But it has to pass the norms."),
        Choice("about 10%", 0.1, "Noisier statistics could cost that. More than noise changes."),
        Choice("about 25%", 0.25, "Much noisier statistics could cost that. More than noise changes."),
        Choice("more than 50%", 0.6),
    ),
    "level", {}, {"m": 2},
    "With norm batches of 2, {eval:.0f}% are wrong; with 128, {before_eval:.1f}%.",
    "Two numbers at a distance d become x̂ = ±d/√(d² + 4ε): nearly −1 and 1, wherever they are. Moving them "
    "changes nothing. Only {passed:.1%} of the gradient’s squared length passes a norm; at m = 4, "
    "{passed_4:.0%}.",
    "At m = 4, {eval_4:.0f}% are wrong. At m = 2 training is chaotic: a change of 10⁻¹⁵ changes "
    "{differs:.0%} of the answers. Your own run will give other numbers. At m = 1, PyTorch refuses.",
    "Drag m: from which size on does eval() lose almost nothing? And train()?",
    ("m", "seed"),
)  # fmt: skip

CONV = Scene(
    "conv", "And in a convolution?",
    "A dense network with norm batches of 2 fails (dashed). A convolutional network trains on the same "
    "batches, at the same rate. How does it end with norm batches of 2?",
    (
        Choice("as bad as the dense one", "dense_2",
               "Its mean is of two images, too. But each image brings many numbers to it."),
        Choice("about half as bad", "half",
               "Of its three layers, none has as few numbers in a mean as a dense layer."),
        Choice("a few points worse than with 32", 8.0),
    ),
    "conv", {}, {"conv_m": 2},
    "The convolutional network ended at {conv:.1f}%, with norm batches of 32 at {conv_32:.1f}%; the dense "
    "one at {dense:.0f}%.",
    "A mean is over images and positions: of {first:.0f} numbers in the first layer, of {last:.0f} in the "
    "last one. In a dense layer it is of 2.",
    "{passed_last:.0%} of the gradient’s squared length passes the last norm: all positions of an image "
    "get the same gradient. ResNet-50 on ImageNet: 23.6% wrong with 32 images a device, 34.7% with 2 "
    "(Wu & He 2018; their step shrank, too).",
    "Move m from 2 to 32. How much of the gradient passes the last norm?",
    ("conv_m", "seed"),
)  # fmt: skip

MEND = Scene(
    "mend", "Which fix helps?",
    "64 devices have 2 samples each, and training fails. Which two of these fixes help least?",
    (
        Choice("accumulate gradients; recompute statistics", 0.0),
        Choice("16 samples a device; SyncBatchNorm", 1.0,
               "A step has 128 samples before and after. But these two change what a norm sees."),
        Choice("GroupNorm; no norm at all", 2.0,
               "They give up the batch’s statistics. Then the gradient passes no means of two."),
    ),
    "pair", {}, {"fix": "accumulate"},
    "As it was, {error_asis:.0f}% were wrong. With gradients accumulated {error_accumulate:.0f}%, with "
    "statistics recomputed {error_recompute:.0f}%; with SyncBatchNorm {error_sync:.1f}%.",
    "More gradients are averaged, but norms of two numbers let {passed:.1%} of each one’s squared length "
    "pass. Recomputing changes eval() only. What helps: more numbers in each mean, a mean over other "
    "numbers, or none.",
    "Don’t use batch norm where few samples share a mean: GroupNorm ({error_group:.1f}%) was better up to "
    "m = {beaten:.0f}. No norm: {error_none:.1f}%; at 20 layers it falls further behind (experiment E8). "
    "Batch renorm ends at {error_renorm:.0f}%: for the gradient its corrections are constants.",
    "Click each row, and read its PyTorch below.",
    ("fix", "seed"),
)  # fmt: skip

PROTOCOLS = Scene(
    "protocols", "Same steps or same epochs?",
    "Left, only the norm batch shrinks. Right, the step’s batch shrinks with it: two epochs each, learning "
    "rate proportional to the batch. How does GroupNorm’s error change from batch 64 to batch 2?",
    (
        Choice("it doubles", 2.0,
               "Gradients of 2 are noisy. But the learning rate is 32 times smaller, so 32 steps average as "
               "much."),
        Choice("it stays the same", 1.0, "It sees the same samples. But it makes many more steps with them."),
        Choice("it falls to about half", 0.5),
    ),
    "ratio", {}, {"batch": 2},
    "GroupNorm’s error went from {group_64:.1f}% to {group_2:.1f}%: {ratio:.2f} times as large.",
    "Two epochs are {steps_64:.0f} steps of 64 samples, but {steps_2:.0f} steps of 2. Early in training, "
    "more steps lower the error. Noisier statistics act against that: batch norm has {batch_64:.1f}% at 64, "
    "{batch_16:.1f}% at 16, {batch_2:.0f}% at 2.",
    "Left, steps and rate stay: batch norm has {still_64:.1f}% at 64, {still_16:.1f}% at 16. But a norm "
    "batch of 2 means 64 devices there. One small device is the case on the right, as in Wu & He (2018).",
    "Drag the dot: how do steps and learning rate change with the batch?",
    ("batch", "seed"),
)  # fmt: skip

CHAPTER = Chapter(
    name="small_batches",
    title="Small batches",
    question="What if the batch is small?",
    icon=":material/compress:",
    order=50,
    group="What it does to training",
    answers=(
        Asked("What happens with batches of 2, and of 1?", "cliff"),
        Asked("Batches are small: what else can I use?", "mend"),
        Asked("When should I not use it?", "mend"),
    ),
    thumbnail=thumbnail,
    lead=(
        "Loss stuck at two samples a device? [Scene 4](/small-batches?scene=mend). "
        "Batch norm takes mean μ and standard deviation σ from m samples: the **norm batch**. Without "
        "SyncBatchNorm these are the samples of one device. Networks learn handwritten digits, each with 8 "
        "seeds. Dense ones have four layers of 64 ReLU units, convolutional ones three layers."
    ),
    controls=CONTROLS,
    compute=compute,
    jobs=jobs,
    scenes=(SPREAD, CLIFF, CONV, MEND, PROTOCOLS),
    code=(
        Passage("Batches of m digits: their means and standard deviations", small.drawn),
        Passage("What a gradient loses in a norm", norms.normalize_backward),
        Passage("The share of its squared length that passes", small.passed),
        Passage("How many independent numbers an image is worth", small.worth),
        Passage("Batch renorm on devices of two samples", small_fixes.device_gradient),
        Passage("Batch renorm (Ioffe 2017)", relatives.renorm_forward),
    ),
    pytorch=pytorch,
    script=script,
    lab=lab,
    ending=(
        "You can say how far statistics of m samples are off, why two samples in a dense layer let no "
        "gradient pass, and which fix changes that: more samples in a mean, or a norm that doesn’t need "
        "the batch.",
        "You can’t say from digits and small networks how much your network loses: train it for a while with "
        "SyncBatchNorm or GroupNorm, with the same steps and the same learning rate, and compare.",
        "Go on to the training lab and race norm batches of your own choice.",
    ),
    experiments=("E1", "E8", "E11", "E12", "E23", "E29"),
    sources=(
        Source("Wu & He 2018, Group Normalization: ResNet-50 on ImageNet with 32 to 2 images a device"),
        Source("Ioffe 2017, Batch Renormalization: corrections towards running statistics"),
        Source("Wu & Johnson 2021, Rethinking “Batch” in BatchNorm: statistics computed anew, frozen ones"),
        Source("Ioffe & Szegedy 2015, Batch Normalization, section 3: the backward pass"),
    ),
)

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
