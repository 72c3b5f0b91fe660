"""Placement: where batch norm stands, who shares a mean, and what gamma and beta start from."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bnlib import RunConfig, norms
from bnlib.experiments.model import Race
from bnlib.lessons import placement
from bnlib.networks import network
from book import figure as fig
from book.chapter import Asked, Chapter, Found, Job, Passage, Source, View
from book.controls import Control, Values, even_stops, seed_control
from book.figure import BLUE, COLOURS, Figure
from pages._placement_count import ARMS
from pages._placement_parts import (
    ACTIVATIONS,
    BETAS,
    DEEP,
    EVERY,
    GAMMAS,
    LOOKS,
    ORDERS,
    RATES,
    SIDES,
    SIZES,
    STEPS,
    UNIT,
    config_of,
    layer_of,
)  # fmt: skip
from pages._placement_scenes import SCENES
from pages._placement_scripts import pytorch, script
from pages._placement_views import VIEWS

CONTROLS = (
    Control(
        "samples", "whole", 32, "N, digits", "in the batch", 1, 64, SIZES,
        about="How many images are in the batch: N. In PyTorch it is the first axis of the tensor.",
    ),
    Control(
        "channels", "whole", 16, "C, channels", "or units", 1, 32, (1, 2, 4, 8, 16, 32),
        about="How many channels the layer has: C. Each has a mean, a variance, a γ and a β of its own. In "
        "PyTorch: num_features.",
    ),
    Control(
        "side", "choice", "8", "H × W, positions", choices=SIDES, look="buttons",
        names=(*(f"{side} × {side}" for side in SIDES[:-1]), "dense layer"),
        about="Height and width of each channel’s map, behind a 3 × 3 convolution with random weights. "
        "Smaller maps are averages over squares of the 8 × 8 one. A dense layer of 64 pixels has units, no "
        "positions. In PyTorch: BatchNorm2d and BatchNorm1d.",
    ),
    Control(
        "channel", "whole", 4, "changed channel", "or unit", 1, 32, tuple(range(1, 33)),
        about="The channel, or unit, in which one number of the first digit is changed. All outputs of the "
        "norm that change with it are counted.",
    ),
    Control(
        "shift", "number", 1.0, "bias", f"of unit {UNIT}", -3, 3, even_stops(-3, 3, 60),
        about="A number that is added to what leaves the linear map, for every digit alike. In PyTorch: the "
        "bias of nn.Linear or nn.Conv2d.",
    ),
    Control(
        "arm", "choice", "batch", "behind the linear map", choices=tuple(ARMS), names=tuple(ARMS.values()),
        about="What follows the linear map and its bias: a norm and then a ReLU, a ReLU alone, or a ReLU "
        "and then batch norm.",
    ),
    Control(
        "activation", "choice", "sigmoid", "activation", choices=tuple(ACTIVATIONS), look="buttons",
        names=tuple(ACTIVATIONS.values()),
        about="The function behind each linear map. ReLU cuts off what is below 0; sigmoid and tanh are flat "
        "(saturated) far from 0.",
    ),
    Control(
        "order", "choice", "before", "norm placed", choices=ORDERS, look="buttons",
        names=("before activation", "after activation"),
        about="Linear map, norm, activation; or linear map, activation, norm.",
    ),
    Control(
        "norm", "choice", "batch", "norm", choices=("batch", "layer", "none"), look="buttons",
        names=("batch norm", "layer norm", "no norm"),
        about="Batch norm takes mean and variance of each unit over the batch, layer norm of each sample "
        "over its units.",
    ),
    Control(
        "lr", "choice", "0.1", "learning rate", choices=RATES, names=RATES, look="buttons",
        about="How far a training step moves the weights. Which order leads can depend on it.",
    ),
    Control(
        "layer", "whole", 1, "layer", "of 3", 1, 3, (1, 2, 3),
        about="The hidden layer whose numbers are drawn; layer 1 is next to the image.",
    ),
    Control(
        "step", "whole", 50, "step", "", 0, LOOKS[-1], LOOKS,
        about="After how many training steps the networks are looked at. A step uses 32 digits.",
    ),
    Control(
        "gamma", "number", 1.0, "γ at the start", "", 0, 2,
        (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2), marks=(0, 1),
        about="The factor behind the normalization, in all layers, before the first step. From then on it is "
        "learned. In PyTorch: weight, 1 at the start.",
    ),
    Control(
        "beta", "number", 0.0, "β at the start", "", -2, 2, even_stops(-2, 2, 40), marks=(-2, 0),
        about="What is added behind the normalization, in all layers, before the first step. From then on it "
        "is learned. In PyTorch: bias, 0 at the start.",
    ),
    seed_control(),
)  # fmt: skip


# ---- what runs -------------------------------------------------------------------------------------------


def _order_configs(values: Values) -> dict[str, RunConfig]:
    return {
        f"{order} {rate}": config_of(values, activation=values["activation"], placement=order, lr=float(rate))
        for order in ORDERS
        for rate in RATES
    }


def played(values: Values) -> RunConfig:
    """Return the network of the free scene."""
    return config_of(
        values, activation=values["activation"], placement=values["order"], norm=values["norm"],
        lr=float(values["lr"]), gamma=values["gamma"], beta=values["beta"],
    )  # fmt: skip


def jobs(values: Values) -> dict[str, Job]:
    """Return what a scene needs of the pool; while a finger moves, what doesn't depend on what it drags."""
    scene, draft = values["scene"], values.get("draft", False)
    if scene == "count":
        return {"scatter": Job(placement.scatter, (*layer_of(values), SIZES), light=True)}
    if scene == "bias":
        arm = values["arm"]
        differs = {"placement": "after"} if arm == "after" else {"norm": arm}
        config = config_of(values, **differs)
        return {
            "begin": Job(placement.bias, (config, 0, EVERY, UNIT), light=True),
            "bias": Job(placement.bias, (config, STEPS, EVERY, UNIT)),
        }
    if scene == "order":
        configs = _order_configs(values)
        begin = {
            f"{order} begin": Job(placement.follow, (configs[f"{order} {RATES[0]}"], LOOKS[:1]), light=True)
            for order in ORDERS
        }
        return begin | {name: Job(placement.follow, (config, LOOKS)) for name, config in configs.items()}
    if scene == "play":
        begin = {"begin": Job(placement.follow, (played(values), LOOKS[:1]), light=True)}
        return begin if draft else begin | {"play": Job(placement.follow, (played(values), LOOKS))}
    if scene == "start":
        config = config_of(values, depth=DEEP)
        found = {f"gamma {g:g}": Job(placement.learned, (_started(values, gamma=g), STEPS)) for g in GAMMAS}
        for name, skipped in (("branch", True), ("whole", False)):
            residual = config_of(values, depth=DEEP, residual="pre", skip_init=skipped)
            found[name] = Job(placement.learned, (residual, STEPS))
        found["usual"] = Job(placement.arriving, (config,), light=True)
        found["signal"] = Job(placement.arriving, (_started(values, gamma=values["gamma"]),), light=True)
        if values["gamma"] not in GAMMAS and not draft:
            found["here"] = Job(placement.learned, (_started(values, gamma=values["gamma"]), STEPS))
        return found
    found = {f"beta {b:g}": Job(placement.learned, (config_of(values, beta=b), STEPS)) for b in BETAS}
    found["plain"] = Job(placement.entering, (config_of(values),), light=True)
    found["entered"] = Job(placement.entering, (config_of(values, beta=values["beta"]),), light=True)
    if values["beta"] not in BETAS and not draft:
        found["here"] = Job(placement.learned, (config_of(values, beta=values["beta"]), STEPS))
    return found


def _started(values: Values, gamma: float) -> RunConfig:
    return config_of(values, depth=DEEP, gamma=gamma)


def compute(values: Values, found: Found) -> View:
    """Show the scene that is chosen."""
    return VIEWS[values["scene"]](values, found)


def lab(values: Values) -> Race | None:
    """Return the same networks for the training lab, where it has them."""
    scene = values["scene"]
    if scene == "order":
        configs = _order_configs(values)
        pair = tuple(configs[f"{order} {values['lr']}"] for order in ORDERS)
        race = Race("Before and after the activation", pair, max(10, values["step"]))
    elif scene == "start":
        starts = tuple(_started(values, gamma=g) for g in dict.fromkeys((1.0, values["gamma"])))
        race = Race("γ at the start", starts, STEPS)
    elif scene == "beta":
        starts = tuple(config_of(values, beta=b) for b in dict.fromkeys((0.0, values["beta"])))
        race = Race("β at the start", starts, STEPS)
    elif scene == "play":
        race = Race("One network", (played(values),), max(10, values["step"]))
    else:
        return None
    return race


@lru_cache(maxsize=8)
def _tiles(rows: int) -> Figure:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(8.0), np.arange(rows, dtype=float)))
    lit = x == 2
    data = [
        fig.dots(x[~lit], -y[~lit], "numbers", COLOURS[9], size=7, symbol="square"),
        fig.dots(x[lit], -y[lit], "share a mean", BLUE, size=9, symbol="square"),
    ]
    alt = f"{rows} rows of 8 squares; one column is blue."
    return fig.thumbnail(data, "Who shares a mean", alt, (-0.8, 7.8), (0.2 - max(rows, 5), 0.8))


def thumbnail(values: Values) -> Figure:
    """Draw samples by channels, a row for each doubling of the batch; one channel is lit."""
    return _tiles(int(values["batch_size"]).bit_length())


CHAPTER = Chapter(
    name="placement",
    title="Placement",
    question="Where does it go?",
    icon=":material/layers:",
    order=30,
    group="How it works",
    lead=(
        "A layer is a linear map, a norm and an activation. Here they change places. The first scene looks "
        "at one layer. In the others eight networks are trained, each from its own random start (seed), with "
        "32 digits a step. They have 3 layers of 64 units; in the scene on how γ starts, 10 layers."
    ),
    controls=CONTROLS,
    compute=compute,
    jobs=jobs,
    scenes=SCENES,
    code=(
        Passage("Batch norm: all that share a channel share a mean and a variance", norms.batch_norm),
        Passage("Which outputs change with one number", placement.sharers),
        Passage("A bias where the engine leaves it out, and its gradient", placement.gradients_with_biases),
        Passage("Back through a norm: what is subtracted makes the sum 0", norms.normalize_backward),
        Passage("Linear map, norm and activation in either order", placement.stages),
        Passage("The network forward", network.forward),
    ),
    pytorch=pytorch,
    script=script,
    ending=(
        "You can say who shares a mean in dense and convolutional layers, why the bias before batch norm "
        "goes, and which starts of γ and β stop a network.",
        "You can’t say from three small layers which order is better in yours: the lead depends on the "
        "activation, the learning rate and how long you train.",
        "Go on to gradients: what the norm does to them, and how far they get.",
    ),
    sources=(
        Source(
            "S. Ioffe and C. Szegedy (2015). [Batch normalization](https://arxiv.org/abs/1502.03167), "
            "section 3.2: before the activation, b is subsumed by β; in a convolution m′ = m · p q numbers "
            "share a mean.",
            "https://arxiv.org/abs/1502.03167",
        ),
        Source(
            "D. Mishkin, caffenet-benchmark: [batch norm before and after ReLU]"
            "(https://github.com/ducha-aiki/caffenet-benchmark/blob/master/batchnorm.md) on ImageNet at 128 "
            "pixels, one run each: after is ahead in CaffeNet, before in GoogLeNet (with another "
            "initialization).",
            "https://github.com/ducha-aiki/caffenet-benchmark/blob/master/batchnorm.md",
        ),
        Source(
            "Keras, [issue 1802](https://github.com/keras-team/keras/issues/1802): before or after, as users "
            "argue it.",
            "https://github.com/keras-team/keras/issues/1802",
        ),
        Source(
            "S. De and S. Smith (2020). Batch normalization biases residual blocks towards the identity "
            "function (read as an abstract): branches multiplied by 0 at the start.",
        ),
        Source("PyTorch, torch.nn.BatchNorm2d: weight (γ) starts at 1, bias (β) at 0"),
    ),
    experiments=("E23", "E26", "E27"),
    lab=lab,
    answers=(
        Asked("Does it go before or after the activation?", "order"),
        Asked("What is different in a convolutional network?", "count"),
        Asked("Why has a layer before batch norm no bias?", "bias"),
        Asked("What happens if γ starts at 0?", "start"),
    ),
    thumbnail=thumbnail,
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
