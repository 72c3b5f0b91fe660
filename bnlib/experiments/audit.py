"""Whether the evidence can fail: each check in a world without its effect, and on seeds nobody has looked at.

The audit of nulls gives the measured numbers to other arms (`nulls`): every check that a stance rests on
must fail in one of these worlds, and every stance must be gone in one. The audit of seeds measures all cells
on many fresh seeds, draws as many of them as the experiment has, again and again, and counts how often a
check fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import find
from .findings import Check, Label, Results
from .kept import Kept, load, refuse_reduced, write
from .model import Cells, Experiment, Result
from .probes import measure

FILE = Path(__file__).with_suffix(".json")
FRESH = 10_000  # the first of the seeds that nobody has looked at
SEEDS = {"full": 48, "reduced": 8}  # fresh ones, at least, and TIMES as many as there are
TIMES = {"full": 4, "reduced": 2}
DRAWS = {"full": 1000, "reduced": 100}
RARE = 0.01  # of all draws, in so many a check may fail


@dataclass(frozen=True)
class Audited:
    """What an audit says of one experiment.

    nulls : by judged check, in which worlds without an effect it fails
    misses : by judged check, the share of draws of fresh seeds on which it fails
    stances : by claim, what the experiment says, and what it would say in each world without an effect
    seeds, draws : how many fresh seeds were measured, at most, and how often some of them were drawn
    """

    experiment: Experiment
    size: str
    checks: tuple[Check, ...]
    nulls: Mapping[str, tuple[str, ...]]
    misses: Mapping[str, float]
    stances: Mapping[str, tuple[str, Mapping[str, str]]]
    seeds: int
    draws: int

    @property
    def problems(self) -> list[str]:
        """Say what is wrong with the evidence, a sentence each."""
        name, found = self.experiment.name, []
        resting = {one for sides in self.experiment.claims.values() for one in sides.names}
        there = {one.name for one in self.checks}
        found += [f"{name}: no judged check is called {missing!r}" for missing in sorted(resting - there)]
        for one in self.checks:
            if one.exact == (one.name in resting):
                found.append(
                    f"{name}: no stance rests on {one.what!r}; is it exact?" if not one.exact
                    else f"{name}: a stance rests on {one.what!r}, which is exact"
                )  # fmt: skip
            elif not one.exact and not self.nulls[one.what]:
                found.append(f"{name}: {one.what!r} holds in every world without an effect")
            if self.misses.get(one.what, 0.0) > RARE:
                found.append(f"{name}: {one.what!r} fails on {self.misses[one.what]:.1%} of fresh seed sets")
        for claim, (stance, elsewhere) in self.stances.items():
            if stance in elsewhere.values() and set(elsewhere.values()) == {stance}:
                found.append(f"{name}: it {stance} {claim!r} in every world without an effect, too")
        return found

    def __str__(self) -> str:
        rows = [("", "without the effect", "fresh seeds")]
        for one in self.checks:
            fails = "exact" if one.exact else f"fails: {'; '.join(self.nulls[one.what]) or 'NEVER'}"
            missed = f"{self.misses[one.what]:.1%} fail" if one.what in self.misses else ""
            rows.append((one.what, fails, missed))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        said = [
            f"{claim}: {stance}; " + ", ".join(f"{says} where {null}" for null, says in elsewhere.items())
            for claim, (stance, elsewhere) in self.stances.items()
        ]
        seeds = (
            f"{self.draws:,} draws from {self.seeds} fresh seeds" if self.seeds else "no seeds to draw from"
        )
        head = f"{self.experiment.name}  {self.experiment.title} ({self.size} size, {seeds})"
        return "\n".join([head, *table, *said])


def audit(names: Iterable[str], *, size: str = "full", progress: Any = None, **how: Any) -> list[Audited]:
    """Audit experiments at one size; `how` is what `sweep` takes besides cells.

    Raises
    ------
    ValueError, SweepError
        As `run_all`.
    """
    from ..jobs.sweep import sweep  # as in `run_all`

    chosen = [find(name) for name in names]
    own = {e.name: e.cells(size == "full") for e in chosen}
    fresh = {name: on_fresh_seeds(cells, size) for name, cells in own.items()}
    everything = [cell for cells in (*own.values(), *fresh.values()) for cell in cells.values()]
    measured = sweep(measure, everything, progress=progress, **how)
    return [
        _audited(
            e, size, own[e.name],
            {label: measured[cell] for label, cell in own[e.name].items()},
            {label: measured[cell] for label, cell in fresh[e.name].items()},
        )
        for e in chosen
    ]  # fmt: skip


def on_fresh_seeds(cells: Cells, size: str) -> Cells:
    """Return the cells on many fresh seeds; none where there is nothing random.

    At full size all have as many as the cell with most seeds needs, at reduced size each what it needs.
    """
    most = max(cell.config.replicas for cell in cells.values())
    if most == 1:
        return {}
    found: Cells = {}
    for label, cell in cells.items():
        seeds = max(SEEDS[size], TIMES[size] * (most if size == "full" else cell.config.replicas))
        found[label] = cell._replace(
            config=replace(cell.config, seed=FRESH + cell.config.seed, replicas=seeds)
        )
    return found


def _audited(experiment: Experiment, size: str, cells: Cells, results: Results, fresh: Results) -> Audited:
    checks = _judged(experiment, results)
    worlds = {null.words: null.of(results) for null in experiment.nulls}
    failing = {words: _failing(experiment, world) for words, world in worlds.items()}
    stances = Result(experiment, size, experiment.read(results)).stances
    elsewhere = {words: Result(experiment, size, experiment.read(w)).stances for words, w in worlds.items()}
    missed = dict.fromkeys((one.what for one in checks), 0)
    many = {label: cell.config.replicas for label, cell in on_fresh_seeds(cells, size).items()}
    seeds, draws = max(many.values(), default=0), DRAWS[size] if fresh else 0
    own = {label: cell.config.replicas for label, cell in cells.items()}
    rng = np.random.default_rng(0)
    for _ in range(draws):
        for what in _failing(experiment, drawn(fresh, own, many, rng.permutation(seeds))):
            missed[what] = missed.get(what, 0) + 1
    return Audited(
        experiment, size, tuple(checks),
        {one.what: tuple(words for words, lost in failing.items() if one.what in lost) for one in checks},
        {what: count / draws for what, count in missed.items()} if draws else {},
        {claim: (says, {words: found[claim] for words, found in elsewhere.items()})
         for claim, says in stances.items()},
        seeds, draws,
    )  # fmt: skip


def drawn(
    fresh: Results, own: Mapping[Label, int], many: Mapping[Label, int], order: Sequence[int] | Any
) -> dict[Label, Any]:
    """Return what would have been measured on as many seeds as each cell has, of the many that were measured.

    Each takes the first ones in `order` that it has been measured on: cells with as many seeds get the same
    ones, so that pairs stay pairs. Arrays that aren't one row a seed stay whole.
    """
    found = {}
    for label, arrays in fresh.items():
        seeds = np.asarray(order)
        seeds = seeds[seeds < many[label]][: own[label]]
        found[label] = {
            name: array[seeds] if np.ndim(array) and len(array) == many[label] else array
            for name, array in arrays.items()
        }
    return found


def _judged(experiment: Experiment, results: Results) -> list[Check]:
    return [one for one in experiment.read(results).checks if not one.reported]


def _failing(experiment: Experiment, results: Results) -> set[str]:
    with np.errstate(all="ignore"):  # in a world without the effect ratios may have no sense
        return {one.what for one in _judged(experiment, results) if not one.holds}


# ---- kept for pages that can't wait for it ----------------------------------------------------------------


def keep(audits: Sequence[Audited], path: Path = FILE) -> None:
    """Write what audits at full size have found; those of other experiments stay as they are.

    Raises
    ------
    ValueError
        If an audit is of another size.
    """
    refuse_reduced(audits, "audit them")
    write(path, load(path) | {one.experiment.name: _plain(one) for one in audits})
    kept.cache_clear()


@cache
def kept() -> Kept:
    """Return what audits found, by experiment.

    "seeds", "draws"; "checks": by judged check "misses" and "nulls"; "stances": by claim, what the experiment
    would say in each world without an effect.
    """
    return load(FILE)


def misses(name: str, check: Check) -> float | None:
    """Return the share of draws of fresh seeds on which a check of experiment `name` fails; None: unknown."""
    found = kept().get(name, {"checks": {}})["checks"].get(check.what)
    return None if found is None else found["misses"]


def _plain(one: Audited) -> dict[str, Any]:
    checks = {
        check.what: {"misses": one.misses.get(check.what), "nulls": list(one.nulls[check.what])}
        for check in one.checks
    }
    stances = {claim: dict(elsewhere) for claim, (_, elsewhere) in one.stances.items()}
    return {"seeds": one.seeds, "draws": one.draws, "checks": checks, "stances": stances}
