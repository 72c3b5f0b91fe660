"""The training lab's settings: a table, and what the page is told besides.

A race is one to four lanes of networks on the same data. Lanes share every setting but their norm and what
the reader chose to let them differ in. Edits change a shared setting in mid-run, from a step on; the race
without the last edit, or before the last change, is the ghost that stays beside the present one.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from bnlib import NORMS
from bnlib.experiments import EXPERIMENTS
from bnlib.networks.config import LAYER_NORMS
from book.controls import Control, Values, write

from .codecs import BEFORE_CODEC, EDITS_CODEC, LANES_CODEC
from .scenes import SCENES
from .table import (
    CONCERNS,
    EDIT_FIELDS,
    LAB_STEPS,
    LANE_FIELDS,
    LANES,
    MAX_EDITS,
    MAX_LANES,
    NAMES,
    NEEDS,
    RUN,
    RUN_CONTROLS,
    SHARED,
)  # fmt: skip
from .terms import TERMS

__all__ = [
    "CONCERNS", "DEFAULTS", "EDIT_FIELDS", "LAB_CONTROLS", "LAB_STEPS", "LANE_FIELDS", "MAX_EDITS",
    "MAX_LANES", "NAMES", "NEEDS", "RUN", "RUN_CONTROLS", "SHARED", "extras",
]  # fmt: skip

MAX_RACES = 9  # of one experiment

# Of a network that takes long, what it starts with where nothing else was chosen.
STARTS = {
    "cnn": {"depth": 3, "width": 16},
    "rnn": {"depth": 1, "width": 64},
    "gan": {"depth": 3, "width": 32},
}

_RACES = tuple(name for name, experiment in EXPERIMENTS.items() if callable(experiment.races))

LAB_CONTROLS = (
    Control(
        "lanes", "lanes", LANES, "lanes", choices=LAYER_NORMS, names=tuple(NAMES.values()), codec=LANES_CODEC,
        about=TERMS["lane"],
    ),
    *RUN_CONTROLS,
    Control(
        "edits", "edits", (), "changes in mid-run", unset="none", codec=EDITS_CODEC,
        about="Settings that change in mid-run, each from a step on. Up to there the race is as it was.",
    ),
    Control(
        "change", "choice", "start", "a change applies", choices=("start", "here"), group="view",
        names=("from the start", "from here on: a branch"),
        about="Whether a changed setting makes a new race, or a branch of this one from the step that is "
        "shown.",
    ),
    Control(
        "before", "before", (), "settings before the last change", unset="none", codec=BEFORE_CODEC,
        about="The settings that the last change replaced: the ghost runs with them.",
    ),
    Control(
        "ghost", "choice", "on", "ghost", choices=("on", "off"), names=("shown", "hidden"), group="view",
        about=TERMS["ghost"],
    ),
    Control(
        "histogram", "choice", "activation", "histograms of", choices=("activation", "preactivation"),
        names=("activations", "pre-activations"), group="view",
        about="Activations are what leaves a layer’s activation function; pre-activations are what enters "
        "it.",
    ),
    Control(
        "loss", "choice", "training", "loss on", choices=("training", "validation"),
        names=("training batches", "validation samples"), group="view",
        about="The cross-entropy of each training batch, before the step’s update, or that of all validation "
        "samples, which the network isn’t trained on.",
    ),
    Control(
        "layer", "whole", 0, "layer", "0: the last", 0, 20, tuple(range(21)), group="view",
        says=lambda layer: f"layer {layer}" if layer else "last layer",
        about="The hidden layer whose histograms are shown over time; layer 1 is next to the input.",
    ),
    Control(
        "preset", "choice", "", "question", choices=("", *SCENES), unset="none",
        names=("none", *(one.scene.title for one in SCENES.values())),
        about="A race with a question: predict how it ends, then watch it. Its settings are those of the "
        "address.",
    ),
    Control(
        "guess", "whole", -2, "prediction", "a lane from 0 on; −1: level, −2: not answered, −3: skipped", -3,
        MAX_LANES - 1, unset="none",
        about="The lane that you expect to lead, counted from 0; −1 means level, −2 not answered yet, and "
        "−3 that you skipped the question.",
    ),
    Control(
        "experiment", "choice", "", "experiment", choices=("", *_RACES), unset="none",
        names=("none", *(f"{name} {EXPERIMENTS[name].title}" for name in _RACES)),
        about="A claim about batch norm that was tested with many seeds. The lab shows one of its races, "
        "and what the whole experiment found.",
    ),
    Control(
        "race", "whole", 1, "race", "of the experiment", 1, MAX_RACES,
        about="Which of the experiment’s races is shown, counted from 1.",
    ),
    Control(
        "speed", "whole", 30, "speed", "steps a second", 1, 240, (5, 15, 30, 60, 120), group="play",
        about="Training steps a second while the race plays. Where computing takes longer, it plays as fast "
        "as it is computed.",
    ),
    Control(
        "step", "whole", -1, "step", "", -1, LAB_STEPS, group="view", unset="0",
        about="The training step that everything on the page is shown at; −1: where the lab starts.",
    ),
)  # fmt: skip


DEFAULTS: Values = {control.name: control.default for control in LAB_CONTROLS}

_NONE = {
    "about": "No normalization: the activation receives what the linear layer computes.",
    "use": "Use it as the reference. It needs initial weights and a learning rate that suit its depth.",
}


def scenes() -> list[dict[str, Any]]:
    """The races with a question, as the page lists, opens and asks them: no answer is among it."""
    found = []
    for name, one in SCENES.items():
        values = dict(one.scene.start) | {"preset": name, "step": 0}
        found.append(
            {
                "name": name,
                "title": one.scene.title,
                "group": one.group,
                "question": one.scene.question,
                "choices": [choice.label for choice in one.scene.choices],
                "until": one.until,
                "values": values,
                "address": f"?{urlencode(write(LAB_CONTROLS, DEFAULTS | values))}",
            }
        )
    return found


def norms() -> list[dict[str, str]]:
    """Every norm that a lane can have: its name, what it does and when to use it."""
    told = {"none": _NONE} | {norm: {"about": row.about, "use": row.use} for norm, row in NORMS.items()}
    return [{"norm": norm, "name": name} | told[norm] for norm, name in NAMES.items()]


def extras() -> dict[str, Any]:
    """What the page has to know besides the table of settings."""
    return {
        "editable": EDIT_FIELDS,
        "differing": LANE_FIELDS,
        "most_edits": MAX_EDITS,
        "norms": norms(),
        "terms": TERMS,
        "starts": STARTS,
        "concerns": CONCERNS,
        "needs": NEEDS,
        "run": ("lanes", "edits", *RUN),
        "scenes": scenes(),
    }
