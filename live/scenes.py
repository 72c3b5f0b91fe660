"""The chapter "One batch": one idea a scene, and each begins with a prediction that is then measured.

A scene is a declaration. Which of its choices is right is nowhere typed: it is the one nearest to what
comes out when its settings are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from book.controls import Codec, Control, Values, read

from .batch import BATCH_CONTROLS, OPERATIONS, SOURCE_CONTROLS, UNDEFINED, Array, Numbers, brief, transform
from .measures import MEASURES


@dataclass(frozen=True)
class Scene:
    """One idea.

    choices : the answers on offer, each with the number that it stands for, or its name at the start
    measured : which number decides, at the settings of the reveal
    start : settings while the question is open, where they aren't the defaults
    reveal : settings that move then; the name of a number stands for that number at the start
    said : the answer, with the numbers at the reveal
    task : what to try next
    controls, measures : what is on the screen beside the dots
    """

    name: str
    title: str
    question: str = ""
    choices: tuple[tuple[str, float | str], ...] = ()
    measured: str = ""
    start: Mapping[str, Any] = field(default_factory=dict)
    reveal: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""
    task: str = ""
    controls: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()


_ALL = (
    Scene(
        "tug",
        "Tug a dot",
        "Five dots. One of them is pulled out to 1,000. Where does batch norm put it?",
        (("at 1,000", 1000), ("at about 31", 31), ("at 2", 2), ("at 1", 1)),
        "largest",
        {"source": "gaussian", "batch_size": 5},
        {"moved": ((2, 1000.0),)},
        "It ends at {largest}. The dot that is pulled drags μ and σ along, and so it never gets beyond "
        "√(N−1), here {bound}.",
        "Drag any dot, as far as you like. Then make the batch larger: where is the wall now?",
        ("batch_size",),
    ),
    Scene(
        "steps",
        "Step by step",
        "γ is 2 and β is 1. When all is computed, where is the mean of y?",
        (("at 0", 0), ("where it was before", "x_mean"), ("at 1", 1), ("at 3", 3)),
        "y_mean",
        {"batch_size": 12, "gamma": 2.0, "beta": 1.0, "operation": "x"},
        {"operation": "beta"},
        "At {y_mean}: x̂ has mean {normalized_mean} whatever came in, γ stretches around 0, and β alone says "
        "where y is.",
        "Go back and forth, one operation at a time, and touch the numbers.",
        ("gamma", "beta", "draw"),
    ),
    Scene(
        "shape",
        "Shape",
        "This batch has 64 numbers from a bell curve. Now come many batches of four: which shape have all "
        "their x̂ together?",
        (("a bell", 3), ("flat", 1.8), ("two spikes", 1)),
        "kurtosis",
        {"source": "gaussian", "batch_size": 64},
        {"batch_size": 4},
        "The kurtosis tells shapes apart: a bell has 3, a flat one 1.8, two spikes have 1. Batches of four "
        "have {kurtosis}. Batch norm doesn’t make numbers Gaussian.",
        "Try other batch sizes, 2, 3 and 5 too, and sources that are no bell.",
        ("source", "batch_size", "draw"),
        ("shape",),
    ),
    Scene(
        "undo",
        "Undo it",
        "Can γ and β undo batch norm, so that every y is where its x was?",
        (("yes, exactly", 0), ("only roughly", 0.3), ("no, y keeps mean 0 and spread 1", 1)),
        "undo_distance",
        {"source": "skewed"},
        {"gamma": "root", "beta": "x_mean"},
        "γ = √(σ² + ε) and β = μ bring every dot back: y is {undo_distance} σ away from x. What the network "
        "could express before, it still can.",
        "The lamp is on. Take the next batch: same γ, same β. Then mend it by hand.",
        ("draw", "gamma", "beta"),
        ("undo",),
    ),
    Scene(
        "cliff",
        "Batch cliff",
        "The batch shrinks to two. How much of a random gradient still gets through to x?",
        (("all of it", 1), ("half of it", 0.5), ("nothing", 0)),
        "share",
        {"source": "gaussian", "batch_size": 128},
        {"batch_size": 2},
        "{share_percent} of it. Two dots end up at −1 and 1 wherever they were, so moving them changes "
        "nothing: no layer below can learn from it, only γ and β here.",
        "Move the batch size: 1, 2, 3, 4, 8. Push the two dots together: a large ε then lets "
        "something through.",
        ("batch_size", "eps", "draw"),
        ("share",),
    ),
    Scene(
        "microscope",
        "ε microscope",
        "σ is 1, and x̂ spreads 1. Now x is multiplied by 0.001; ε stays 0.00001. How far does x̂ spread?",
        (("1, as always", 1), ("0.9", 0.9), ("0.3", 0.3), ("0.001", 0.001)),
        "normalized_std",
        {"source": "gaussian", "draw": 88, "batch_size": 100},
        {"scale": 0.001},
        "It spreads {normalized_std}: σ² = {x_var} is small beside ε, so the division is by {root}, "
        "not by σ. ε doesn’t only prevent a division by zero.",
        "Move scale and ε. Where the curve bends, σ² = ε.",
        ("scale", "eps", "batch_size", "draw"),
        ("spread",),
    ),
    Scene(
        "free",
        "Play",
        task="Everything in one place. Every state of this page is in its address: share it.",
        controls=("source", "batch_size", "scale", "eps", "gamma", "beta", "draw"),
        measures=("shape", "share"),
    ),
)
# The walk through the transform, in words: what each operation has come to.
_WALK = {
    "x": "These numbers arrive.",
    "mean": "Their mean is μ = {x_mean}.",
    "centred": "With μ subtracted, their mean is {centred_mean}; they spread as before, {centred_std}.",
    "variance": "The mean of their squares is the variance σ² = {x_var}.",
    "root": "ε added and the root taken makes {root}: what all of them are divided by.",
    "divide": "Divided, they have mean {normalized_mean} and standard deviation {normalized_std}.",
    "undivided": f"All of them are 0, and so is the divisor: {UNDEFINED}.",
    "gamma": "Times γ, they have mean {scaled_mean} and standard deviation {scaled_std}.",
}

SCENES = {scene.name: scene for scene in _ALL}

Guesses = tuple[tuple[str, int], ...]  # (scene, number of the choice), in the scenes' order


def _parse_guesses(raw: Any) -> Guesses:
    """``tug:2,undo:0``, or JSON: [["tug", 2], ["undo", 0]]."""
    try:
        if isinstance(raw, str):
            raw = [(name, int(guess)) for name, guess in (p.split(":") for p in raw.split(",") if p)]
        guesses = {name: guess for name, guess in raw}
        fine = all(
            type(guess) is int and 0 <= guess < len(SCENES[name].choices) for name, guess in guesses.items()
        )
    except (TypeError, ValueError, KeyError):
        fine = False
    if not fine:
        raise ValueError("must be scenes and numbers of their choices, such as tug:2,undo:0")
    return tuple((name, guesses[name]) for name in SCENES if name in guesses)


def _write_guesses(guesses: Guesses) -> str:
    return ",".join(f"{name}:{guess}" for name, guess in guesses)


ONE_BATCH_CONTROLS = (
    *BATCH_CONTROLS,
    *SOURCE_CONTROLS,
    Control("operation", "choice", OPERATIONS[-1], "operation", choices=OPERATIONS),
    Control("scene", "choice", _ALL[0].name, "scene", choices=tuple(SCENES)),
    Control("guesses", "guesses", (), "guesses", unset="none", codec=Codec(_parse_guesses, _write_guesses)),
)


def picture(values: Values) -> tuple[dict[str, Any], dict[str, Array]]:
    """The batch's transform, and what the scene measures beside it."""
    header, arrays = transform(values)
    header["notes"] = {}
    if values["scene"] == "steps" and values["operation"] in _WALK:
        said = "divide" if header["numbers"]["root"] else "undivided"
        operation = said if values["operation"] == "divide" else values["operation"]
        header["text"] = _WALK[operation].format_map(_words(header["numbers"]))
    for name in SCENES[values["scene"]].measures:
        found, header["notes"][name], more = MEASURES[name](values, header["numbers"], arrays)
        header["numbers"] |= found
        arrays |= more
    return header, arrays


@cache
def story() -> list[dict[str, Any]]:
    """The scenes as plain JSON, with the right choices and the answers as they were measured."""
    return [_told(scene) for scene in _ALL]


def _told(scene: Scene) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": scene.name,
        "title": scene.title,
        "question": scene.question,
        "choices": [label for label, _ in scene.choices],
        "task": scene.task,
        "controls": scene.controls,
        "measures": scene.measures,
        "start": _settings(scene, {}),
    }
    if scene.choices:
        before = picture(_settings(scene, {}))[0]["numbers"]
        moved = {name: _number(value, before) for name, value in scene.reveal.items()}
        told["reveal"] = _settings(scene, moved)
        numbers = picture(told["reveal"])[0]["numbers"]
        told["right"] = nearest(
            [_number(value, before) for _, value in scene.choices], numbers[scene.measured]
        )
        told["said"] = scene.said.format_map(_words(numbers))
    return told


def nearest(values: Sequence[float], measured: float) -> int:
    """Which of the values comes nearest to what was measured."""
    return min(range(len(values)), key=lambda i: abs(values[i] - measured))


def _settings(scene: Scene, moved: Mapping[str, Any]) -> Values:
    values, problems = read(ONE_BATCH_CONTROLS, {"scene": scene.name, **scene.start, **moved})
    assert not problems, problems
    return {name: value for name, value in values.items() if name != "guesses"}


def _number(value: Any, numbers: Numbers) -> Any:
    return float(f"{numbers[value]:.6g}") if isinstance(value, str) and value in numbers else value


def _words(numbers: Numbers) -> dict[str, str]:
    words = {name: brief(float(f"{value:.3g}")) for name, value in numbers.items()}
    return words | {
        "share_percent": f"{numbers.get('share', 0):.1%}",
        "undo_distance": f"{numbers.get('undo_distance', 0):.3f}",
    }
