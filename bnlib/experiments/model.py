"""What an experiment is, and what one has found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from textwrap import fill
from typing import Any

from ..networks.config import RunConfig
from .findings import Check, Findings, Label, Results
from .probes import Cell

Cells = dict[Label, Cell]
Arms = dict[str, dict[str, Any]]  # by name, what differs in a configuration

CLAIMS = {
    "faster": "Training is faster",
    "rates": "Higher learning rates",
    "flow": "Gradients flow better",
    "regularization": "It regularizes",
    "initialization": "Less depends on the initial weights",
    "accuracy": "Accuracy is higher",
    "shift": "It works by steadying distributions (internal covariate shift)",
    "smooth": "It works by smoothing the loss",
    "branch": "In residual networks it works by keeping branches small",
    "affine": "Gamma and beta learn a lot by themselves",
    "small": "Small batches fail",
    "discrepancy": "Training and inference differ",
    "online": "Learning from one sample at a time fails",
    "depth": "Without skip connections depth is limited",
    "cost": "It costs parameters and time",
    "recurrent": "Recurrent networks don’t fit",
    "place": "In deep residual networks the norm belongs inside the branch",
    "repair": "Statistics of the test batch repair a shift of the inputs",
}
EXPLANATIONS = ("shift", "smooth", "branch", "affine")
RELATIVES = ("place", "repair")
NO_SIDE = "takes no side"
LIMITS = ("small", "discrepancy", "online", "depth", "cost", "recurrent")
STANCES = {  # by whether what speaks for a claim holds, and what limits it
    (True, False): "supports",
    (True, True): "qualifies",
    (False, True): "speaks against",
    (False, False): "does not show",
}
NAMES = {"none": "no norm", "batch": "batch norm", "layer": "layer norm", "group": "group norm"}
QUIET: dict[str, Any] = {"record_every": 10**6, "validate_every": 10**6}
WRAPPED = 100  # characters of a line on a terminal


@dataclass(frozen=True)
class Race:
    """Runs of an experiment that the training lab can show side by side, up to a step."""

    title: str
    configs: tuple[RunConfig, ...]
    steps: int


@dataclass(frozen=True)
class Sides:
    """What a stance on a claim rests on: names of judged checks.

    shows : hold where the claim is right
    limits : hold where it isn't, or where it has a price
    controls : hold where the experiment works at all; without them the others say nothing
    """

    shows: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All checks that a stance rests on."""
        return (*self.shows, *self.limits, *self.controls)

    def stance(self, checks: Iterable[Check]) -> str:
        """Return what these checks say of the claim: a value of STANCES. A side holds if all of it does."""
        judged = [one for one in checks if not one.reported]
        sides = ([one.holds for one in judged if one.name in names] for names in (self.shows, self.limits))
        works = all(one.holds for one in judged if one.name in self.controls)
        shown, limited = (works and bool(held) and all(held) for held in sides)
        return STANCES[shown, limited]


@dataclass(frozen=True)
class Null:
    """A world without the effect: `of` makes of what was measured what would be measured there."""

    words: str
    of: Callable[[Results], Results]


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    claims : keys of CLAIMS that it tests, and the checks on which its stance on each rests; without one it
        takes no side
    nulls : worlds without the effects; each check that a stance rests on fails in one of them (`audit`)
    cells : of size "full" (True) or "reduced"
    read : what the measured cells say: pictures, checks, sentences
    contested : what the literature disagrees about; caveat : what else to keep in mind
    races : for the training lab; or why it can't show this, in words
    """

    name: str
    title: str
    claims: dict[str, Sides]
    setup: str
    theory: str
    accepted: str
    sources: tuple[str, ...]
    contested: str
    cells: Callable[[bool], Cells]
    read: Callable[[Results], Findings]
    races: Callable[[], tuple[Race, ...]] | str
    caveat: str = ""
    nulls: tuple[Null, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            text = getattr(self, field.name)
            if isinstance(text, str):  # paragraphs may be wrapped where they are written
                object.__setattr__(self, field.name, " ".join(text.split()))


def counted(judged: Sequence[Check]) -> str:
    """Return how many checks these are, those of claims apart from those of identities, in words."""
    exact = sum(one.exact for one in judged)
    kinds = {"check of claims": len(judged) - exact, "identity, moment or count": exact}
    plural = {
        "check of claims": "checks of claims",
        "identity, moment or count": "identities, moments or counts",
    }
    return " and ".join(f"{n} {kind if n == 1 else plural[kind]}" for kind, n in kinds.items() if n)


@dataclass(frozen=True)
class Result:
    """What an experiment found. `print` it for a table, `figure()` it for a Plotly figure."""

    experiment: Experiment
    size: str
    findings: Findings

    @property
    def failed(self) -> list[Check]:
        """The judged checks that don't hold."""
        return [found for found in self.findings.checks if not (found.reported or found.holds)]

    @property
    def stances(self) -> dict[str, str]:
        """What it says of each claim that it tests, computed from the checks: values of STANCES."""
        return {claim: sides.stance(self.findings.checks) for claim, sides in self.experiment.claims.items()}

    @property
    def claimed(self) -> str:
        """What it says of its claims, in words."""
        said = [f"{stance} “{CLAIMS[claim]}”" for claim, stance in self.stances.items()]
        return "; ".join(said) or NO_SIDE

    @property
    def verdict(self) -> str:
        """One sentence, computed from the checks."""
        judged = [found for found in self.findings.checks if not found.reported]
        size = "" if self.size == "full" else " at reduced size"
        if not self.failed:
            return f"As accepted{size}: {counted(judged)} {'holds' if len(judged) == 1 else 'hold'}."
        failed = "; ".join(
            f"{found.what}: {found.measured:.4g}, accepted {found.accepted}" for found in self.failed
        )
        return f"Not as accepted{size}: {len(self.failed)} of {len(judged)} checks fail ({failed})."

    def figure(self, number: int = 0) -> Any:
        """Draw picture `number` as a Plotly figure (needs plotly)."""
        from .figures import figure

        pictures = self.findings.pictures
        if number not in range(len(pictures)):
            raise ValueError(f"figure: number={number!r} is none of the pictures 0 to {len(pictures) - 1}")
        return figure(pictures[number])

    def __str__(self) -> str:
        experiment = self.experiment
        rows: list[tuple[str, ...]] = [("", "theory", "measured", "lowest to highest", "accepted", "")]
        for found in self.findings.checks:
            expected = "" if found.expected is None else f"{found.expected:.4g}"
            spread = "" if found.low == found.high else f"{found.low:.4g} to {found.high:.4g}"
            mark = "" if found.reported else "holds" if found.holds else "FAILS"
            rows.append((found.what, expected, f"{found.measured:.4g}", spread, found.accepted, mark))
        if not any(row[1] for row in rows[1:]):
            rows = [(row[0], *row[2:]) for row in rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        prose = [self.verdict, f"It {self.claimed}.", *self.findings.notes]
        for name in ("contested", "caveat"):
            if text := getattr(experiment, name):
                prose.append(f"{name.capitalize()}: {text}")
        prose.append(f"Sources: {'; '.join(experiment.sources)}")
        setup = experiment.setup
        if self.size != "full":
            setup += " Here at reduced size: smaller grids, fewer seeds or steps."
        head = [f"{experiment.name}  {experiment.title}", fill(setup, WRAPPED)]
        return "\n".join([*head, "", *table, "", *(fill(text, WRAPPED) for text in prose)])
