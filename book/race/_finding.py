"""What a diagnosis of a race hands back, and the places it sends a reader to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bnlib.experiments import EXPERIMENTS

from ._lane import Lane


class Finding(NamedTuple):
    """One cause that the numbers show.

    main, detail : a sentence each; the detail is left out where another lane's cause needs its place
    change : what would make it otherwise
    read : keys of PLACES
    norm : whether a norm is in `change`
    """

    main: str
    detail: str = ""
    change: str = ""
    read: tuple[str, ...] = ()
    norm: bool = False


# Looks at a lane that is behind, and at the best one: None if there is nothing to compare with. What it says
# must be measured: None if the numbers don't show it.
Diagnosis = Callable[[Lane, Lane | None], Finding | None]

# Where to read on: words and an address below the root.
PLACES: dict[str, tuple[str, str]] = {
    "cliff": ("One batch: batches of two", "one-batch?scene=cliff"),
    "eps microscope": ("One batch: what ε does", "one-batch?scene=microscope"),
    "steps": ("One batch: step by step", "one-batch?scene=steps"),
    "stale": ("Inference: stale averages", "inference?scene=stale"),
    "lag": ("Inference: lag and noise", "inference?scene=lag"),
    "one class": ("Inference: batches of one class", "inference?scene=one_class"),
    "roulette": ("Inference: who shares your batch", "inference?scene=roulette"),
    "alone": ("Inference: a batch of one", "inference?scene=alone"),
}
PLACES |= {  # `scenes.titled` calls them as the menu does
    name: (f"Race: {name}", f"training-lab?preset={name}")
    for name in (
        "opening",
        "deep",
        "shallow",
        "pairs",
        "images",
        "ring",
        "large",
        "sigmoid",
        "mend",
        "fast",
        "eps",
        "gamma",
    )
}
PLACES |= {
    name: (f"{name}: {EXPERIMENTS[name].title}", f"training-lab?experiment={name}")
    for name in ("E5", "E6", "E7", "E8", "E11", "E12", "E13", "E14", "E17", "E19", "E20", "E22")
}
