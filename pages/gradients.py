"""Gradients: what reaches the weights, through one norm and through many layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnlib import theory
from bnlib.experiments.model import Race
from bnlib.lessons import gradients
from bnlib.norms.core import normalize_backward
from book import figure as fig
from book.chapter import Asked, Chapter, Found, Job, Passage, Source, View
from book.controls import Values, seed_control
from book.figure import BLUE, GREEN, ORANGE, Figure
from book.torch_script import NETWORKS
from pages import _gradients_decay as decay
from pages import _gradients_depth as depth
from pages import _gradients_scale as scale
from pages import _gradients_xray as xray

VIEWS: dict[str, Callable[[Values, Found], View]] = {
    "scale": scale.view, "xray": xray.view, "decay": decay.view, **depth.VIEWS,
}  # fmt: skip
OWN = {"scale": scale, "xray": xray, "decay": decay}  # scenes by the file that they are in


def jobs(values: Values) -> dict[str, Job]:
    """Return what a scene needs of the pool."""
    found: dict[str, Job] = OWN.get(values["scene"], depth).jobs(values)
    return found


def compute(values: Values, found: Found) -> View:
    """Show the scene that is chosen."""
    return VIEWS[values["scene"]](values, found)


def pytorch(values: Values) -> str:
    """Write the scene's PyTorch program."""
    program: str = OWN.get(values["scene"], depth).pytorch(values)
    return program


def script(values: Values) -> str:
    """Write the scene's script; what it trains are the networks that all chapters share."""
    here = OWN.get(values["scene"])
    return NETWORKS + here.script(values) if here else depth.script(values)


def lab(values: Values) -> Race | None:
    """Return the same networks as a race of the lab, where it has their settings."""
    own = {"scale": lambda _: None, "xray": lambda _: None, "decay": decay.lab}
    race: Race | None = own.get(values["scene"], depth.lab)(values)
    return race


LAYERS = 20


def thumbnail(values: Values) -> Figure:
    """Draw gradients on their way down by theory: batch norm at this batch size, residual, small weights."""
    m = max(4, int(values["batch_size"]))
    below = np.arange(LAYERS + 1)  # layers that are behind
    residual = [theory.residual_gradient_growth(m, block, 1 / theory.RELU_GROWTH) for block in range(2, 22)]
    curves = (
        (below * np.log10(theory.gradient_growth_relu(m)) / 2, BLUE),
        (np.append(0, np.cumsum(np.log10(residual[::-1]))) / 2, GREEN),
        (below * np.log10(0.5), ORANGE),
    )
    data = [fig.line(-below, heights, colour=colour, width=3) for heights, colour in curves]
    alt = f"Three lines over {LAYERS} layers: one rises, one stays nearly level, one falls."
    return fig.thumbnail(data, "Gradients on their way to the first layer", alt, (-LAYERS, 0), (-4, 4))


CHAPTER = Chapter(
    name="gradients",
    title="Gradients",
    question="How far does the gradient get?",
    icon=":material/south_west:",
    order=40,
    group="What it does to training",
    answers=(
        Asked("How do gradients get through many layers?", "depth"),
        Asked("What does backpropagation through μ and σ do?", "xray"),
        Asked("How many layers can be trained?", "trains"),
        Asked("What does weight decay do in front of a norm?", "decay"),
    ),
    thumbnail=thumbnail,
    lead=(
        "A **gradient** says how the loss changes with each weight. On its way back it passes every norm. "
        "What does batch norm let through, and what does it change? In each scene eight dense ReLU networks "
        "learn digits, each from its own random start (seed). In scenes 1, 2 and 6 they have two or three "
        "layers of 32 units, in scenes 3 to 5 up to 40 layers of 64 units."
    ),
    controls=(
        *xray.CONTROLS, *scale.CONTROLS, *depth.CONTROLS, *decay.CONTROLS, seed_control(),
    ),
    compute=compute,
    jobs=jobs,
    scenes=(scale.SCALE, xray.XRAY, *depth.SCENES, decay.DECAY),
    code=(
        Passage("Weights times a factor: outputs and gradients", gradients.scaled),
        Passage(
            r"From the gradient of y to that of x: $(g - \overline{g} - \hat{x}\,\overline{g\,\hat{x}})"
            r" / \sqrt{\sigma^2 + \epsilon}$",
            normalize_backward,
        ),
        Passage("The same with a switch for each subtracted term", gradients.through_norm),
        Passage("A network’s backward pass with these switches", gradients.loss_and_gradients),
        *depth.CODE,
        *decay.CODE,
    ),
    pytorch=pytorch,
    script=script,
    ending=(
        "You can say which two directions a norm takes out of the gradient, why larger weights get smaller "
        "gradients, and what gradients do over many layers with batch norm, without it and with skip "
        "connections.",
        "You can’t say from dense networks and 1,297 digits how deep your network can be: a gradient that "
        "arrives is needed for training, but it is not enough.",
        "Go on to small batches: of m directions two are taken out, so in a batch of two nothing is left.",
    ),
    sources=(
        Source(
            "S. Ioffe and C. Szegedy (2015). [Batch normalization: accelerating deep network training by "
            "reducing internal covariate shift](https://arxiv.org/abs/1502.03167): section 2, what happens "
            "if μ and σ are taken for constants; section 3, the backward pass; section 3.3, larger weights "
            "get smaller gradients.",
            "https://arxiv.org/abs/1502.03167",
        ),
        *depth.SOURCES,
        Source(
            "T. van Laarhoven (2017). [L2 regularization versus batch and weight normalization]"
            "(https://arxiv.org/abs/1706.05350): weight decay sets the effective learning rate.",
            "https://arxiv.org/abs/1706.05350",
        ),
        Source(
            "R. Wan, Z. Zhu, X. Zhang and J. Sun (2020). [Spherical motion dynamics]"
            "(https://arxiv.org/abs/2006.08419): the angle of a step in equilibrium.",
            "https://arxiv.org/abs/2006.08419",
        ),
    ),
    experiments=("E2", "E3", "E4", "E9", "E10", "E16", "E24"),
    lab=lab,
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
