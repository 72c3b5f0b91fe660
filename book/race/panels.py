"""The pictures of a race, declared: what each shows, what its terms mean, and the template of its figure.

`templates` makes those that apply to a lab's settings, `race_figures` finished figures for a chapter's view.
What is recorded is put in by `fill`, in Python or in the browser.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.data import PLANE
from bnlib.training.recordings import HISTOGRAM_EDGES
from book.controls import Values
from book.figure import Figure

from . import columns, draw
from .fill import Frames, fill
from .frames import layout
from .looks import Race

VIEW: Values = {"loss": "training", "histogram": "activation", "layer": 0, "ghost": "off", "playhead": "step"}

BANDS = "Lines are means over a lane’s seeds, and bands reach from the lowest seed to the highest."
CURVES = (
    "Lines are means over a lane’s seeds, bands reach from the lowest seed to the highest, and what lies "
    "ahead of the playhead is faint. Dotted lines are the ghost: the same race without the last change of a "
    "setting."
)
RINGS = (
    "Lines use running statistics, as at inference; rings use the statistics of each validation batch, as a "
    "network does that was left in training mode."
)


Make = Callable[[Race, Values], Figure]


@dataclass(frozen=True)
class Panel:
    """A picture of a race.

    title, hint : what it is called, and how it is read, in a few words
    about : what is drawn, with every term in it
    rings : added to ``about`` where lanes have rings; then ``hint_rings`` is the hint
    gan : title, hint and about where these differ for a GAN
    choice : the view setting that is offered in the caption
    spoils : it can give the answer to an open prediction away, even at step 0
    plane : it is for two-dimensional data only
    make : race and view settings -> template
    """

    name: str
    title: str
    hint: str
    about: str
    make: Make
    choice: str = ""
    spoils: bool = True
    plane: bool = False
    rings: str = ""
    hint_rings: str = ""
    gan: Mapping[str, str] = field(default_factory=dict)

    def said(self, race: Race) -> dict[str, str]:
        """Return title, hint and about of the picture of this race."""
        found = {"title": self.title, "hint": self.hint, "about": self.about}
        if race.gan:
            return found | dict(self.gan)
        if self.rings and any(race.rings(lane) for lane in range(len(race.names))):
            found |= {"hint": self.hint_rings, "about": f"{self.about} {self.rings}"}
        return found

    def template(self, race: Race, values: Values) -> Figure:
        """Make the figure of this race with bindings in the places of what is recorded."""
        made, said = self.make(race, values), self.said(race)
        meta = made["layout"]["meta"] | {"title": said["title"], "hint": said["hint"]}
        return made | {"layout": made["layout"] | {"meta": meta}}


_ALL = (
    Panel(
        "accuracy", "Validation accuracy", "band: all seeds · faint: computed ahead",
        f"The share of validation samples that are classified correctly. {CURVES}",
        draw.accuracy, spoils=False, rings=RINGS,
        hint_rings="band: all seeds · rings: with batch statistics",
        gan={
            "title": "Samples near a Gaussian", "hint": "line: within 3 σ · rings: Gaussians reached",
            "about": "The line is the share of generated samples within three standard deviations of a "
            "Gaussian’s mean. Rings are the share of the eight Gaussians that get at least a quarter of "
            f"their fair share of samples. {CURVES}",
        },
    ),
    Panel(
        "loss", "Loss", "log scale · faint: computed ahead",
        "The mean cross-entropy in nats, 0 where every sample gets its own class with certainty. The "
        "training loss is that of the step’s own batch before its update; the validation loss uses running "
        f"statistics where a norm has them. {CURVES}",
        draw.loss, choice="loss",
        gan={
            "about": "The discriminator’s loss is the cross-entropy of real or generated, log 2 = 0.69 "
            "where it guesses. The generator’s loss is the cross-entropy of the discriminator’s calling its "
            f"samples real. {CURVES}",
        },
    ),
    Panel(
        "surface", "Decision surface", "first seed · a grey for each class · symbols: samples",
        "Each place of the square has the grey of the class that the network predicts there, at inference; "
        "the less confident the prediction is, the nearer is its grey to the middle tone. The network is "
        "that of the first seed that has not diverged. Symbols are training samples, one kind for each "
        "class.",
        columns.surface, plane=True,
        gan={
            "title": "Generated samples", "hint": "first seed · grey: real samples",
            "about": "Samples of the first seed’s generator that has not diverged, over real samples in "
            "grey. They should lie on all eight Gaussians; where some are left out, that is mode collapse.",
        },
    ),
    Panel(
        "ridges", "Histograms", "per layer · height: √share · outer bars: beyond ±4",
        "A histogram for each layer, over units, samples and seeds, of what leaves the activation or of "
        "what enters it (pre-activations), at the playhead. Heights are square roots of the shares, so that "
        "rare values can be seen. The outermost bars also hold all values beyond ±4.",
        columns.ridges, choice="histogram",
        gan={
            "hint": "of the discriminator · height: √share",
            "about": "A histogram for each layer of the discriminator, over units, samples and seeds, of "
            "what leaves the activation or of what enters it (pre-activations), at the playhead. Heights "
            "are square roots of the shares, so that rare values can be seen. The outermost bars also hold "
            "all values beyond ±4.",
        },
    ),
    Panel(
        "time", "Histograms over time", "of one layer · steps run down · colour: √share",
        "The histogram of one layer at every step up to the playhead: steps run down, values run across. "
        "The stronger the colour, the larger is the square root of the share of values there. The outermost "
        "columns also hold all values beyond ±4.",
        columns.time, choice="layer",
    ),
    Panel(
        "flow", "Gradient flow", "‖∂loss / ∂pre-activations‖ per layer · log scale",
        "The length (L2 norm) of the loss gradient with respect to each layer’s pre-activations, which is "
        "what enters the activation. A line that falls toward layer 1 is a vanishing gradient, one that "
        f"rises an exploding one. {BANDS}",
        draw.flow,
        gan={"hint": "of the discriminator · ‖∂loss / ∂pre-activations‖ per layer"},
    ),
    Panel(
        "ratio", "Update : data", "log₁₀ ‖update‖ / ‖weights‖ per layer · dashed: −3",
        "The update:data ratio is the length of one step’s update over the length of the layer’s weights, "
        "here as its logarithm to base 10. At −3 (dashed) a step changes the weights by about a thousandth: "
        f"a rule of thumb from Andrej Karpathy’s lectures, not a law. {BANDS}",
        draw.ratio,
    ),
    Panel(
        "saturation", "Saturation", "dots: saturated activations · rings: dead units",
        "Dots are the share of activations on the flat part of the activation function, where its slope is "
        "under 5% of its steepest: for ReLU the zeros, for tanh what is beyond ±0.975. Rings are the share "
        f"of dead units, which are saturated at every sample of the batch. {BANDS}",
        draw.saturation,
    ),
)  # fmt: skip
PANELS: dict[str, Panel] = {panel.name: panel for panel in _ALL}


def templates(values: Values, narrow: bool = False, only: Collection[str] | None = None) -> dict[str, Figure]:
    """Make the templates of the panels that apply to a lab's settings, in order.

    Parameters
    ----------
    narrow : the figures are about 360 pixels wide
    only : names of the panels that are wanted; None: all

    Raises
    ------
    ValueError
        If there is no panel of that name.
    """
    race = Race.of(values)
    shown = VIEW | values | {"narrow": narrow}
    return {panel.name: panel.template(race, shown) for panel in _chosen(race, only)}


def described(
    values: Values, narrow: bool = False, only: Collection[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return `templates` with what is said of each: title, hint, about, choice, spoils, figure."""
    race = Race.of(values)
    return {
        name: PANELS[name].said(race)
        | {"choice": PANELS[name].choice, "spoils": PANELS[name].spoils, "figure": figure}
        for name, figure in templates(values, narrow, only).items()
    }


def race_figures(
    configs: Mapping[str, RunConfig],
    found: Mapping[str, Any],
    step: int,
    horizon: int,
    only: Collection[str] = ("accuracy", "loss"),
    narrow: bool = False,
    **view: Any,
) -> dict[str, Figure]:
    """Make figures of a race for a chapter's view.

    Parameters
    ----------
    configs : the training runs by their names, which are shown
    found : by the same names their recordings, with "picture" and for a surface "surface" or "cloud" among
        what is ``kept``; None, or missing: nothing is recorded yet
    step, horizon : the playhead, and where the axis of steps ends
    only : names of `PANELS`
    view : settings of the pictures that differ from `VIEW`; ``playhead`` is the name of the chapter's control
        for the step, "" if the curves don't move it

    Raises
    ------
    ValueError
        If there is no panel of that name, or if the runs are not recorded at the same steps.
    """
    race = Race.between(list(configs), list(configs.values()))
    shown = VIEW | {"narrow": narrow, "legend": not {"accuracy", "loss"} & set(only)} | view
    frames = frames_of(configs, found)
    return {
        panel.name: fill(panel.template(race, shown), frames, step, horizon) for panel in _chosen(race, only)
    }


def frames_of(configs: Mapping[str, RunConfig], found: Mapping[str, Any]) -> Frames:
    """Put recordings together, as far as they are there."""
    first = next(iter(configs.values()))
    apart = {(config.record_every, config.validate_every) for config in configs.values()}
    if len(apart) > 1:
        raise ValueError(
            f"record_every, validate_every = {sorted(apart)}: runs of one race must be recorded at the same "
            "steps; give all of them the same two numbers"
        )
    layouts = [layout(config, len(HISTOGRAM_EDGES) - 1) for config in configs.values()]
    rows = []
    kept: dict[str, dict[int, list[tuple[int, Any]]]] = {"surface": {}, "cloud": {}}
    for lane, (name, fields) in enumerate(zip(configs, layouts, strict=True)):
        block = found.get(name)
        width = sum(int(np.prod(shape)) for _, shape in fields)
        rows.append(np.empty((0, width), np.float32) if block is None else block["picture"][0])
        for what, lanes in kept.items():
            if block is not None and what in block:
                known = np.isfinite(block[what][0].reshape(len(block["step"]), -1)[:, 0])
                steps = block["step"][known].tolist()
                lanes[lane] = list(zip(steps, block[what][0][known], strict=True))
    return Frames(
        list(configs), layouts, rows, first.record_every,
        int(np.lcm(first.record_every, first.validate_every)), kept["surface"], kept["cloud"],
    )  # fmt: skip


def _chosen(race: Race, only: Collection[str] | None) -> list[Panel]:
    if unknown := set(only or ()) - set(PANELS):
        raise ValueError(f"only={sorted(unknown)} are no panels; choose from {', '.join(PANELS)}")
    flat = race.configs[0].dataset in PLANE
    return [p for p in _ALL if (only is None or p.name in only) and (flat or not p.plane)]
