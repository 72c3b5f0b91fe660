"""Learning rate and initialization: which rates and which first weights batch norm forgives, and why."""

from __future__ import annotations

from bnlib import theory
from bnlib.experiments.model import Race
from bnlib.lessons import rates
from book.chapter import Asked, Chapter, Found, Job, Passage, Source, View
from book.controls import Control, Values, seed_control
from pages import _learning_rate_map as table
from pages import _learning_rate_smooth as smooth
from pages._learning_rate_map import COUNT
from pages._learning_rate_parts import (
    DEPTHS,
    DIGITS,
    EVERY,
    LARGE,
    MIDDLE,
    NORMS,
    PARTS,
    RATES,
    SCALES,
    SHORT,
    SLOW,
    SMALL,
    STEPS,
    TAUGHT,
    deep,
    grid,
    near,
    plain,
    rough,
    shallow,
    thumbnail,
)  # fmt: skip
from pages._learning_rate_scenes import SCENES
from pages._learning_rate_scripts import pytorch, script
from pages._learning_rate_views import rate, scale, small

CONTROLS = (
    Control(
        "lr", "number", 0.1, "learning rate", "lr, of both networks", RATES[0], RATES[-1], RATES,
        marks=(0.01, 0.1, 1.0),
        about="How far a training step moves the weights: lr times the gradient. Networks are trained at "
        "these rates only. In PyTorch: lr of torch.optim.SGD.",
    ),
    Control(
        "small_lr", "number", 0.01, "learning rate", "lr, of both networks", SMALL[0], SMALL[-1], SMALL,
        marks=SMALL,
        about="How far a training step moves the weights. At a small rate, what a step gains is lr times a "
        "product of gradients. In PyTorch: lr of torch.optim.SGD.",
    ),
    Control(
        "scale", "number", 1.0, "initial weights", "× He’s scale", SCALES[0], SCALES[-1], SCALES,
        marks=(0.1, 1.0, 10.0),
        about="All weight matrices are multiplied by this before training. 1 is He’s scale: standard "
        "deviation √(2 / inputs). In PyTorch: nn.init.kaiming_normal_.",
    ),
    Control(
        "cell", "whole", -1, "cell of the map", "learning rate and initial scale", -1, COUNT - 1,
        unset="none", plays="step",
        about="Which learning rate and initial scale are shown beside the maps. Click a cell, or draw the "
        "pointer across.",
    ),
    Control(
        "step", "step", SHORT, "step", "", 0, SHORT,
        about="Up to which training step the curves of the cell are drawn. Play to see them grow.",
    ),
    Control(
        "depth", "whole", 20, "layers", "", DEPTHS[0], DEPTHS[-1], DEPTHS, marks=DEPTHS,
        about="How many hidden layers of 32 ReLU units the networks have.",
    ),
    Control(
        "when", "choice", "start", "measured", choices=tuple(smooth.WHEN), look="buttons",
        names=("before training", f"after {TAUGHT} steps"),
        about="Whether the gradient is followed from the initial weights, or from trained ones (learning "
        "rate 0.1).",
    ),
    seed_control(),
)  # fmt: skip


# ---- what runs -------------------------------------------------------------------------------------------


def jobs(values: Values) -> dict[str, Job]:
    """Return what a scene needs of the pool; nothing of it depends on what is dragged."""
    scene = values["scene"]
    if scene == "rate":
        return {
            f"{norm} {place}": Job(rates.row, (deep(values, norm), part, STEPS))
            for norm in NORMS
            for place, part in enumerate(PARTS)
        }
    if scene == "small":
        looked = {
            f"{norm} {lr:g}": Job(rates.gains, (shallow(values, norm, lr=lr), SLOW, EVERY, DIGITS))
            for lr in sorted(SMALL, key=lambda lr: abs(lr - SMALL[1]))
            for norm in NORMS
        }
        raw = {f"{norm} raw": Job(rates.gains, (plain(values, norm), SLOW, SLOW, DIGITS)) for norm in NORMS}
        return looked | raw
    if scene == "scale":
        hidden = (shallow(values, "batch"), (MIDDLE, 10 * MIDDLE), SHORT, LARGE)
        more = {"hidden": Job(rates.row, hidden)}
        more["twin"] = Job(rates.twin, (shallow(values, "batch"), SHORT, LARGE))
        return grid(values) | more
    return grid(values) if scene == "map" else smooth.jobs(values)


VIEWS = {"rate": rate, "small": small, "scale": scale, "map": table.view, "smooth": smooth.view}


def compute(values: Values, found: Found) -> View:
    """Show the scene that is chosen."""
    return VIEWS[values["scene"]](values, found)


def lab(values: Values) -> Race | None:
    """Return the same networks as lanes of the training lab."""
    scene = values["scene"]
    if scene == "rate":
        lr = near(values["lr"], RATES)
        return Race(f"Ten layers at learning rate {lr:g}", tuple(deep(values, n, lr) for n in NORMS), STEPS)
    if scene == "small":
        lr = near(values["small_lr"], SMALL)
        lanes = tuple(shallow(values, norm, lr=lr) for norm in NORMS)
        return Race(f"Five layers at learning rate {lr:g}", lanes, SLOW)
    if scene == "smooth":
        depth = int(near(values["depth"], DEPTHS))
        lanes = tuple(rough(values, norm, depth) for norm in NORMS)
        return Race(f"{depth} layers, with and without batch norm", lanes, TAUGHT)
    lr, at = table.picked(values) if scene == "map" else (MIDDLE, near(values["scale"], SCALES))
    lanes = tuple(shallow(values, norm, at, lr) for norm in NORMS)
    return Race(f"Learning rate {lr:g}, weights × {at:g}", lanes, SHORT)


CHAPTER = Chapter(
    name="learning_rate",
    title="Learning rate and initialization",
    question="Which learning rates and which initial weights does it forgive?",
    icon=":material/speed:",
    order=60,
    group="What it does to training",
    answers=(
        Asked("Which learning rates can I use?", "rate"),
        Asked("Does it train faster at any learning rate?", "small"),
        Asked("How much do the initial weights matter?", "scale"),
        Asked("Does it make the loss smoother?", "smooth"),
    ),
    thumbnail=thumbnail,
    lead=(
        "Two settings are chosen before training: the **learning rate**, by which each step multiplies the "
        "gradient, and the **scale of the initial weights**. Networks of 32 ReLU units a layer learn "
        "handwritten digits by plain SGD, with and without batch norm, from the same weights and batches."
    ),
    controls=CONTROLS,
    compute=compute,
    jobs=jobs,
    scenes=SCENES,
    code=(
        Passage("Many learning rates side by side, from the same weights", rates.row),
        Passage("What a step gains for other digits, and what first order expects", rates.gains),
        Passage("A run and its twin: weights × a, learning rate × a²", rates.twin),
        Passage("The loss and the gradient along the gradient", rates.line),
        Passage("How much a gradient grows a layer (Yang et al. 2019)", theory.gradient_growth_relu),
    ),
    pytorch=pytorch,
    script=script,
    lab=lab,
    ending=(
        "You can say why a step that is too long turns weights in front of a norm and makes them longer, so "
        "that later steps turn them less, and why their scale acts as a learning rate.",
        "You can’t say from this that batch norm trains faster: at a small rate it is behind here, and a "
        "network without a norm with tuned settings comes close.",
        "Go on to “Why does it work?”, or race learning rates of your own choice in the training lab.",
    ),
    experiments=("E7", "E8", "E9", "E19", "E25"),
    sources=(
        Source("Ioffe & Szegedy 2015, Batch Normalization, section 3.3: higher learning rates",
               "https://arxiv.org/abs/1502.03167"),
        Source("Bjorck et al. 2018, Understanding Batch Normalization", "https://arxiv.org/abs/1806.02375"),
        Source("van Laarhoven 2017, L2 Regularization versus Batch and Weight Normalization: the scale of "
               "weights is a learning rate", "https://arxiv.org/abs/1706.05350"),
        Source("He et al. 2015, Delving Deep into Rectifiers: the initial scale",
               "https://arxiv.org/abs/1502.01852"),
        Source("Santurkar et al. 2018, How Does Batch Normalization Help Optimization?",
               "https://arxiv.org/abs/1805.11604"),
        Source("Yang et al. 2019, A Mean Field Theory of Batch Normalization",
               "https://arxiv.org/abs/1902.08129"),
    ),
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
