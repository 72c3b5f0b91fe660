"""Regularization: does the noise of batch norm keep a network from memorizing?"""

from __future__ import annotations

from bnlib.experiments.model import Race
from bnlib.lessons import regularization as lesson
from book.chapter import Asked, Chapter, Found, Job, Passage, Source, View
from book.controls import SEEDS, Control, Values, seed_control
from pages._regularization_parts import (
    DROP_STEPS,
    DROPOUT,
    EVERY,
    LABEL_SIZES,
    ORDERS,
    RATE,
    RATES,
    SIZES,
    SLOW,
    SMALL,
    STEP_BATCH,
    STEPS,
    SUSPECTS,
    UNIT,
    WRONG,
    dense,
    near,
    rates_of,
    thumbnail,
)  # fmt: skip
from pages._regularization_scenes import SCENES
from pages._regularization_scripts import pytorch, script
from pages._regularization_views import VIEWS

CONTROLS = (
    Control(
        "m", "whole", 64, "batch m", "the digit and its companions", 2, 128, SIZES, marks=(2, 16, 128),
        about="How many digits share a mean and a standard deviation, the pinned digit among them. In "
        "PyTorch: the batch of one device.",
    ),
    Control(
        "digit", "whole", 7, "pinned digit", "of 40", 0, lesson.PINNED - 1, tuple(range(lesson.PINNED)),
        about="Which training digit is put into other batches. Each gives the unit another number z, in "
        "standard deviations from the mean of all digits.",
    ),
    Control(
        "size", "whole", STEP_BATCH, "norm batch m", "how many of a step’s 64 share one mean", 2, STEP_BATCH,
        LABEL_SIZES, marks=LABEL_SIZES,
        about="How many samples share a mean and a standard deviation. A step has 64 samples whatever it is "
        "(ghost batch norm). Networks are trained with these sizes only. With 4 and 2, rounding errors grow: "
        "on another machine a run ends with similar errors, not the same.",
    ),
    Control(
        "suspect", "choice", "noise", "suspect", choices=tuple(SUSPECTS),
        names=tuple(name for name, _ in SUSPECTS.values()), group="view",
        about="What is changed in a network with norm batches of 64. “Noise of 4, gradient of 64”: forward, "
        "each four samples have their own statistics; for the gradient their difference from those of all 64 "
        "is a constant (detach in PyTorch).",
    ),
    Control(
        "wrong", "number", 0.0, "wrong labels", "share of the training labels", 0, 0.3, WRONG, marks=WRONG,
        says=lambda share: f"{share:.0%}",
        about="The share of training labels that are replaced by another class. Networks are trained with "
        "these shares only. Validation labels are always right.",
    ),
    Control(
        "p", "number", 0.5, "p of dropout", "share of numbers set to 0", RATES[0], RATES[-1], RATES,
        marks=RATES,
        about="Each number is set to 0 with probability p in training, and else divided by 1 − p. In "
        "eval() nothing is dropped. In PyTorch: nn.Dropout(p). Networks are trained with these p only.",
    ),
    Control(
        "order", "choice", "before", "place of dropout", choices=tuple(ORDERS), names=tuple(ORDERS.values()),
        look="buttons",
        about="Behind the ReLUs of layers 1 and 2, so that the next norm gets what is left; or behind the "
        "ReLU of layer 3 only, where no norm follows.",
    ),
    seed_control(),
)  # fmt: skip


# ---- what runs -------------------------------------------------------------------------------------------


def _followed(values: Values, m: int = STEP_BATCH, **more: float) -> Job:
    return Job(lesson.followed, (dense(values, m, **more), STEPS, EVERY))


def _labels(values: Values) -> dict[str, Job]:
    sizes = (STEP_BATCH, SMALL, *(size for size in LABEL_SIZES if size not in (STEP_BATCH, SMALL)))
    found = {f"m{size}": _followed(values, size) for size in sizes}
    return found | {"none": Job(lesson.followed, (dense(values, norm="none"), STEPS, STEPS))}


def _why(values: Values) -> dict[str, Job]:
    config = dense(values)
    return {
        "whole": _followed(values),
        "small": _followed(values, SMALL),
        "noise": Job(lesson.followed, (config, STEPS, EVERY, SMALL)),
        "slow": _followed(values, lr=SLOW * RATE),
        "dropout": Job(lesson.followed, (config, STEPS, EVERY, 0, (DROPOUT,) * 3)),
    }


def jobs(values: Values) -> dict[str, Job]:
    """Return what a scene needs of the pool; nothing of it depends on what is dragged."""
    scene = values["scene"]
    if scene == "company":
        first = SEEDS * values["seed"]
        own = tuple(range(first, first + SEEDS))
        return {
            "share": Job(lesson.noise_shares, (own, UNIT, SIZES), light=True),
            "law": Job(lesson.noise_law, (SIZES,), light=True),
        }
    if scene == "labels":
        return _labels(values)
    if scene == "why":
        return _why(values)
    if scene == "clean":
        pairs = [(m, share) for share in reversed(WRONG) for m in (STEP_BATCH, SMALL)]
        return {f"{m} {share:g}": _followed(values, m, label_noise=share) for m, share in pairs}
    config = dense(values, label_noise=0.0)
    pairs_ = [(order, p) for order in reversed(ORDERS) for p in sorted(RATES, key=lambda p: p != 0.5)]
    return {f"{o} {p:g}": Job(lesson.dropped, (config, DROP_STEPS, rates_of(o, p))) for o, p in pairs_}


def compute(values: Values, found: Found) -> View:
    """Show the scene that is chosen."""
    return VIEWS[values["scene"]](values, found)


def lab(values: Values) -> Race | None:
    """Return the same networks for the training lab, where it has them."""
    scene = values["scene"]
    if scene == "labels":
        sizes = dict.fromkeys((STEP_BATCH, near(values["size"], LABEL_SIZES), SMALL))
        lanes = (*(dense(values, m) for m in sizes), dense(values, norm="none"))
        return Race("Norm batches among wrong labels, and no norm", lanes, STEPS)
    if scene == "clean":
        share = near(values["wrong"], WRONG)
        pair = tuple(dense(values, m, label_noise=share) for m in (STEP_BATCH, SMALL))
        return Race("Norm batches of 64 and 4", pair, STEPS)
    return None


CHAPTER = Chapter(
    name="regularization",
    title="Regularization",
    question="Does its noise keep a network from memorizing?",
    icon=":material/blur_on:",
    order=80,
    group="What it does to training",
    lead=(
        "Regularization keeps a network from fitting its training data too closely. What batch norm makes "
        "of a digit in training depends on the rest of the batch. Here that noise is measured, and what it "
        "does. Networks: three layers of 64 ReLU units, 640 digits, 64 a step, SGD (momentum 0.9, learning "
        "rate 0.05), 8 seeds. Where nothing else is said, eval() takes statistics of one pass over the "
        "training digits."
    ),
    controls=CONTROLS,
    compute=compute,
    jobs=jobs,
    scenes=SCENES,
    code=(
        Passage("x̂ of the same digits in many batches", lesson.company),
        Passage("How far x̂ scatters among Gaussian companions", lesson.spread_law),
        Passage("Forward, with the noise of smaller norm batches and with dropout", lesson.forward),
        Passage("Backward: the noise counts as a constant", lesson.backward),
        Passage("How much dropout adds to a variance", lesson.variance_ratio),
    ),
    pytorch=pytorch,
    script=script,
    lab=lab,
    ending=(
        "You can say how much noise a batch of m makes, which dropout makes as much, and that among wrong "
        "labels this noise alone keeps a small network from memorizing.",
        "You can’t say that batch norm regularizes in general: batches of 64 did not here, and with right "
        "labels nothing was gained. On large data with real label errors, measure it.",
        "Go on to the training lab: race norm batches of 64, 8 and 4 among wrong labels for longer.",
    ),
    sources=(
        Source(
            "S. Ioffe and C. Szegedy (2015). [Batch normalization](https://arxiv.org/abs/1502.03167), "
            "section 3.4: a sample is seen together with others, which helps generalization.",
            "https://arxiv.org/abs/1502.03167",
        ),
        Source(
            "P. Luo, X. Wang, W. Shao and Z. Peng (2019). Towards understanding regularization in batch "
            "normalization (read as an abstract)."
        ),
        Source(
            "X. Li, S. Chen, X. Hu and J. Yang (2018). [Understanding the disharmony between dropout and "
            "batch normalization by variance shift](https://arxiv.org/abs/1801.05134).",
            "https://arxiv.org/abs/1801.05134",
        ),
        Source("PyTorch, torch.nn.Dropout: what is kept is divided by 1 − p in training"),
    ),
    experiments=("E17",),
    answers=(
        Asked("Does batch norm regularize?", "clean"),
        Asked("Do small batches help against wrong labels?", "labels"),
        Asked("Can I use it with dropout?", "dropout"),
    ),
    thumbnail=thumbnail,
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
