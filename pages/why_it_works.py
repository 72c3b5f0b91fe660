"""Why does it work: four explanations, each put to a test on networks that train."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bnlib import norms
from bnlib.experiments.model import Race
from bnlib.experiments.probes import along
from bnlib.lessons import why
from book import figure as fig
from book.chapter import Asked, Chapter, Found, Job, Passage, Source, View
from book.controls import Control, Values, seed_control
from book.figure import BLUE, COLOURS, Figure
from pages._why_it_works_loss import NORMS, length, smooth
from pages._why_it_works_parts import (
    AFTER,
    BEFORE,
    EVERY,
    FACTORS,
    FULL,
    LONG,
    LOOK_EVERY,
    RATES,
    SHORT,
    STRENGTHS,
    VOTES,
    five,
    sigmoid,
    six,
    two,
    whole,
    with_vote,
)  # fmt: skip
from pages._why_it_works_scenes import SCENES
from pages._why_it_works_scripts import pytorch, script
from pages._why_it_works_shift import EVERY as SHIFT_EVERY
from pages._why_it_works_shift import measures
from pages._why_it_works_verdict import verdict
from pages._why_it_works_views import noise, steady, vote

CONTROLS = (
    Control(
        "vote", "choice", "", "your vote", choices=tuple(VOTES), names=tuple(VOTES.values()), look="buttons",
        group="view", keeps=True, unset="no vote",
        about="What you believe is the reason why batch norm helps training. It changes no number. The last "
        "scene puts what was measured beside it.",
    ),
    Control(
        "lr", "choice", "0.5", "learning rate", choices=RATES, names=RATES, look="buttons",
        about="How far a training step moves the weights. In PyTorch: lr.",
    ),
    Control(
        "strength", "whole", 1, "noise", "strength behind batch norm", 1, 3, STRENGTHS, plays="step",
        says=lambda k: f"× {k}",
        about="Each unit’s outputs are multiplied by random numbers around 1.1 and shifted by a random "
        "number, new ones at each step. × 1 is as in Santurkar et al. (2018), × 2 is twice as strong.",
    ),
    Control(
        "activation", "choice", "tanh", "activation", choices=("tanh", "relu"), names=("tanh", "ReLU"),
        look="buttons",
        about="The function behind each linear map and its norm. Initial weights are scaled for each.",
    ),
    Control(
        "step", "step", SHORT - 1, "step", "", 0, SHORT - 1,
        about="How far training has come. Play it to see the losses fall.",
    ),
    Control(
        "look", "whole", 50, "step", "of training that is looked at", 0, SHORT,
        tuple(range(0, SHORT + 1, EVERY)), marks=(0, 50, 100),
        about="At which step of training the loss is followed along its gradient.",
    ),
    Control(
        "factor", "number", 3.0, "factor", "of all hidden weights", FACTORS[0], FACTORS[-1], FACTORS,
        marks=(0.3, 1, 3, 10),
        about=f"All weights of the hidden layers are multiplied by it after step {BEFORE}. In PyTorch: "
        "weight.data *= factor.",
    ),
    Control(
        "follow", "choice", "no", "learning rate × factor²", choices=("no", "yes"), names=("off", "on"),
        look="buttons",
        about="Multiplies the learning rate of the hidden weights by the factor’s square from there on. All "
        "other parameters keep theirs.",
    ),
    seed_control(),
)  # fmt: skip


# ---- what runs -------------------------------------------------------------------------------------------


def _drifting(values: Values, rate: str) -> dict[str, Job]:
    return {
        f"{norm} {rate}": Job(along.input_drift, (sigmoid(values, norm, rate), LONG, LOOK_EVERY))
        for norm in ("none", "batch")
    }


def _noisy(values: Values, activation: str, strengths: tuple[int, ...]) -> dict[str, Job]:
    found = {norm: six(values, activation, norm) for norm in ("none", "batch")}
    found |= {f"noise{k}": six(values, activation, "batch", k) for k in strengths}
    return {name: Job(why.moving, (config, SHORT, EVERY)) for name, config in found.items()}


def _along(values: Values) -> dict[str, Job]:
    return {norm: Job(why.along_gradient, (five(values, norm), SHORT, EVERY)) for norm in NORMS}


def _midway(values: Values) -> dict[str, Job]:
    more = (BEFORE, AFTER, FACTORS)
    return {norm: Job(why.midway, (two(values, norm), *more)) for norm in ("batch", "none")}


def jobs(values: Values) -> dict[str, Job]:
    """Return what a scene needs of the pool; nothing of it depends on what is dragged."""
    scene = values["scene"]
    if scene == "vote":
        return _drifting(values, "0.1")
    if scene == "steady":
        rates = dict.fromkeys((values["lr"], "0.5", "2"))
        return {name: job for rate in rates for name, job in _drifting(values, rate).items()}
    if scene == "noise":
        first = tuple(dict.fromkeys((values["strength"], *STRENGTHS)))
        return _noisy(values, values["activation"], first)
    if scene == "measures":
        kinds = dict.fromkeys((values["activation"], "tanh", "relu"))
        return {
            f"{kind} {norm}": Job(why.shifting, (six(values, kind, norm), SHORT, SHIFT_EVERY))
            for kind in kinds
            for norm in ("none", "batch")
        }
    if scene == "smooth":
        return _along(values)
    if scene == "length":
        return _midway(values)
    company = Job(why.company, (six(values, "tanh", "batch"), 40))
    noisy = _noisy(values, "tanh", (1,))
    noisy["noisy"] = noisy.pop("noise1")
    full = {f"whole {norm}": Job(why.moving, (whole(values, norm), FULL, FULL)) for norm in ("none", "batch")}
    return (
        {"company": company} | _drifting(values, "0.5") | noisy
        | {f"smooth {norm}": job for norm, job in _along(values).items()}
        | {"midway batch": _midway(values)["batch"]} | full | _drifting(values, "2")
    )  # fmt: skip


VIEWS = {
    "vote": vote, "steady": steady, "noise": noise, "measures": measures, "smooth": smooth, "length": length,
    "verdict": verdict,
}  # fmt: skip


def compute(values: Values, found: Found) -> View:
    """Show the scene that is chosen."""
    return with_vote(values, VIEWS[values["scene"]](values, found))


def lab(values: Values) -> Race | None:
    """Return the same networks as lanes of the training lab."""
    scene = values["scene"]
    if scene in ("vote", "steady"):
        rate = "0.1" if scene == "vote" else values["lr"]
        pair = tuple(sigmoid(values, norm, rate) for norm in ("none", "batch"))
        return Race(f"Three sigmoid layers, learning rate {rate}", pair, LONG)
    if scene in ("noise", "measures"):
        lanes = [six(values, values["activation"], norm) for norm in ("none", "batch")]
        if scene == "noise":
            lanes.append(six(values, values["activation"], "batch", values["strength"]))
        return Race("Six layers, no norm and batch norm", tuple(lanes), SHORT)
    if scene == "smooth":
        lanes = [five(values, norm) for norm in NORMS]
        return Race("Five layers: no norm, layer norm, batch norm", tuple(lanes), SHORT)
    return None


@lru_cache(maxsize=8)
def _walks(m: int) -> Figure:
    x = np.linspace(0, 4, 41)
    data = [
        fig.line(x, 1 - x + 0.62 * x**2, colour=COLOURS[9]),
        fig.line(x, np.exp(-x / 2) + 0.4 / m, colour=BLUE, width=2.5),
    ]
    alt = "Two curves from the same height: one falls and rises steeply, the other falls slowly."
    return fig.thumbnail(data, "The loss along its gradient", alt, (0, 3), (0, 2.2))


def thumbnail(values: Values) -> Figure:
    """Draw two losses along a gradient, one that keeps falling; the smaller the batch, the higher it ends."""
    return _walks(int(values["batch_size"]))


CHAPTER = Chapter(
    name="why_it_works",
    title="Why does it work?",
    question="Why does it work?",
    icon=":material/psychology:",
    order=70,
    group="What it does to training",
    lead=(
        "Batch norm came with an explanation: it keeps the inputs of each layer steady (Ioffe & Szegedy "
        "2015). Others followed: it makes the loss smoother (Santurkar et al. 2018), it takes the length of "
        "weights apart from their direction, its noise helps. Each makes a prediction that can fail. Here "
        "each is put to a test, on small networks that learn handwritten digits, each with 8 seeds."
    ),
    controls=CONTROLS,
    compute=compute,
    jobs=jobs,
    scenes=SCENES,
    code=(
        Passage("How the last layer’s inputs drift", along.input_drift),
        Passage("How far inputs move in one step", why.moving),
        Passage("The shift of gradients, by length and by angle", along.covariate_shift),
        Passage("The loss along its gradient", why.along_gradient),
        Passage("Weights multiplied in mid-training", why.midway),
        Passage("How far the noise alone moves a mean", why.noise_moves),
        Passage("Back through a norm", norms.normalize_backward),
    ),
    pytorch=pytorch,
    script=script,
    ending=(
        "You can say which explanations batch norm’s lead does without on these networks, and how each of "
        "these claims can be tested.",
        "You can’t say that what is left is the cause: here a smoother loss and faster training come "
        "together, and layer norm is between no norm and batch norm in both.",
        "Go on to “Regularization” for what the noise does, or test an explanation of your own in the "
        "training lab.",
    ),
    sources=(
        Source(
            "S. Ioffe and C. Szegedy (2015). [Batch normalization](https://arxiv.org/abs/1502.03167): "
            "internal covariate shift, and figure 1.",
            "https://arxiv.org/abs/1502.03167",
        ),
        Source(
            "S. Santurkar, D. Tsipras, A. Ilyas and A. Mądry (2018). [How does batch normalization help "
            "optimization?](https://arxiv.org/abs/1805.11604): noise behind the norm, the shift of "
            "gradients, the loss along its gradient (read in notes and code of others).",
            "https://arxiv.org/abs/1805.11604",
        ),
        Source(
            "T. van Laarhoven (2017). [L2 regularization versus batch and weight normalization]"
            "(https://arxiv.org/abs/1706.05350): the length of weights sets the learning rate.",
            "https://arxiv.org/abs/1706.05350",
        ),
        Source(
            "G. Yang et al. (2019). [A mean field theory of batch normalization]"
            "(https://arxiv.org/abs/1902.08129): gradients explode at the start of deep networks.",
            "https://arxiv.org/abs/1902.08129",
        ),
    ),
    experiments=("E5", "E6", "E7", "E9", "E10", "E17"),
    lab=lab,
    answers=(
        Asked("Is it internal covariate shift?", "steady"),
        Asked("What if its inputs are not steady?", "noise"),
        Asked("Does it smooth the loss?", "smooth"),
        Asked("Why can the weights’ length be ignored?", "length"),
    ),
    thumbnail=thumbnail,
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
