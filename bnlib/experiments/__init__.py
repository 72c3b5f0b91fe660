"""The named experiments: what is claimed of batch norm, as something that anyone can run.

Each is a declaration: which cells are measured (`probes.Cell`), what is read from them (pictures, checks
against accepted outcomes, sentences), where the claim comes from and what is contested. One runner,
`run`, sends all cells through `sweep`, and a `Result` says what came out. At size "reduced" grids, seeds or
widths are smaller, and tolerances wider by what that size costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .claims import EXPERIMENTS
from .model import CLAIMS, LIMITS, Experiment, Race, Result
from .probes import measure

__all__ = [
    "CLAIMS",
    "EXPERIMENTS",
    "LIMITS",
    "SIZES",
    "Experiment",
    "Race",
    "Result",
    "find",
    "run",
    "run_all",
]

SIZES = ("full", "reduced")


def run(name: str, *, size: str = "full", progress: Any = None, **how: Any) -> Result:
    """Run experiment `name` ("E1" ...); `how` is what `sweep` takes besides cells (executor, store ...).

    Raises
    ------
    ValueError
        If there is no such experiment or size.
    SweepError
        If cells could not be computed; what is finished is kept, and the same call resumes.
    """
    return run_all([name], size=size, progress=progress, **how)[0]


def run_all(names: Iterable[str], *, size: str = "full", progress: Any = None, **how: Any) -> list[Result]:
    """Run several experiments as one sweep, which keeps all processes busy; results as in `names`."""
    from ..jobs.sweep import sweep  # chapters link to experiments where there are no processes to run them on

    chosen = [find(name) for name in names]
    if size not in SIZES:
        raise ValueError(f"run: size={size!r} is not one of {', '.join(SIZES)}")
    cells = {experiment.name: experiment.cells(size == "full") for experiment in chosen}
    everything = [cell for group in cells.values() for cell in group.values()]
    measured = sweep(measure, everything, progress=progress, **how)
    return [
        Result(e, size, e.read({label: measured[cell] for label, cell in cells[e.name].items()}))
        for e in chosen
    ]


def find(name: str) -> Experiment:
    """Return the experiment called `name`, in capitals or not; a ValueError lists the names there are."""
    wanted = name.strip().upper() if isinstance(name, str) else ""
    if wanted not in EXPERIMENTS:
        raise ValueError(f"there is no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[wanted]
