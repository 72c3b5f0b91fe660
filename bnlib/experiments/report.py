"""All that experiments have found as one page that needs no other file."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

import numpy as np

from ..jobs.sweep import library_version
from . import audit
from .figures import DRESS, number, plotly_script, readable
from .findings import Check
from .model import CLAIMS, EXPLANATIONS, LIMITS, NO_SIDE, RELATIVES, Result, Sides, counted

MARKS = {
    "supports": ("holds", "✓"),
    "qualifies": ("mixed", "±"),
    "speaks against": ("fails", "✗"),
    "does not show": ("reported", "○"),
    "as accepted": ("holds", "✓"),
    "not as accepted": ("fails", "✗"),
}
PAGE = Path(__file__).with_suffix(".html")
FEW = 3  # checks of a side that are listed in a line
LONG, SHOWN = 12, 8  # with more rows a table is folded, all but so many


def write(results: Sequence[Result], path: Path, *, lab: str = "http://127.0.0.1:8501") -> None:
    """Write what experiments have found as one HTML file that loads nothing; whole, or not at all.

    Parameters
    ----------
    results : of `run_all`, in the order of the page
    path : the file; one that is there is replaced
    lab : where the training lab is, for links to races

    Raises
    ------
    ValueError
        If there are no results.
    ImportError
        If plotly isn't installed.
    OSError
        If the file can't be written, in words with the file and the system's reason.
    """
    if not results:
        raise ValueError("report: results is empty; there must be one at least")
    page, path = _page(results, lab), Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            part.write_text(page, "utf-8")
            part.replace(path)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    except OSError as error:
        fix = "make room, or name another file"
        raise OSError(f"report: {path} can't be written ({error.strerror or error}); {fix}") from error


def _page(results: Sequence[Result], lab: str) -> str:
    sections = "".join(_section(result, lab) for result in results)
    page = Template(PAGE.read_text("utf-8"))
    others = (*EXPLANATIONS, *LIMITS, *RELATIVES)
    return page.substitute(
        lead=_lead(results),
        benefits=_claims(results, [claim for claim in CLAIMS if claim not in others]),
        explanations=_claims(results, EXPLANATIONS),
        limits=_claims(results, LIMITS),
        relatives=_claims(results, RELATIVES),
        contents="".join(f"<li>{_link(result)}</li>" for result in results),
        sections=sections,
        plotly=plotly_script(),
        dress=json.dumps(DRESS),
    )


def _lead(results: Sequence[Result]) -> str:
    """Say how much was computed and what came out, how, and how to have it again."""
    from . import EXPERIMENTS

    names = [result.experiment.name for result in results]
    checks = [found for result in results for found in result.findings.checks]
    judged = [found for found in checks if not found.reported]
    failing = sum(len(result.failed) for result in results)
    sizes = dict.fromkeys(result.size for result in results)
    command = "python -m bnlib experiments report"
    if set(names) != set(EXPERIMENTS):
        command = " ".join([command, *names])
    if list(sizes) == ["reduced"]:
        command += " --reduced"
    outcome = f"They judge {counted(judged)} by accepted outcomes: all hold."
    if failing:
        where = ", ".join(result.experiment.name for result in results if result.failed)
        verb = "fails" if failing == 1 else "fail"
        outcome = f"They judge {counted(judged)} by accepted outcomes: {failing:,} {verb}, in {where}."
    smaller = " Setups name the full size: here grids, seeds or widths are smaller, accepted ranges wider."
    return (
        f"{len(results)} experiment{'s' * (len(results) > 1)}, computed at {_text(' and '.join(sizes))} "
        f"size.{smaller if 'reduced' in sizes else ''} {_text(outcome)} Numbers that are only reported: "
        f"{len(checks) - len(judged):,}. {_text(_audited(results))}"
        f"Library {library_version()}, NumPy {np.__version__}. "
        f"To compute all of it again: <code>{_text(command)}</code>"
    )


def _audited(results: Sequence[Result]) -> str:
    """Say how rarely a check fails on fresh seeds, by the audits that were kept of these experiments."""
    shares = {
        f"{result.experiment.name}, {found.what}": share
        for result in results
        for found in result.findings.checks
        if (share := audit.misses(result.experiment.name, found)) is not None
    }
    if not shares:
        return ""
    worst = max(shares, key=lambda what: shares[what])
    most = f"at most {shares[worst]:.1%} of draws ({worst})" if shares[worst] else "no draw"
    return (
        f"On fresh seeds a check fails in {most}; each check that a stance rests on fails in a world without "
        "its effect (python -m bnlib experiments audit). "
    )


def _claims(results: Sequence[Result], claims: Iterable[str]) -> str:
    """Return a row for each claim: what experiments say of it, and where something is contested."""
    from . import EXPERIMENTS

    rows = []
    for claim in claims:
        testing = [result for result in results if claim in result.experiment.claims]
        here = {result.experiment.name for result in testing}
        absent = [e.name for e in EXPERIMENTS.values() if claim in e.claims and e.name not in here]
        contested = ", ".join(
            f'<a href="#{_anchor(result)}-contested">{_text(result.experiment.name)}</a>'
            for result in testing
            if result.experiment.contested
        )
        cell = "".join(f"<li>{_link(result, result.stances[claim])}</li>" for result in testing)
        if absent:
            cell += f"<li>not run for this page: {_text(', '.join(absent))}</li>"
        cell = cell or "<li>not tested here</li>"
        rows.append(f"<tr>{_head(CLAIMS[claim])}<td><ul>{cell}</ul></td><td>{contested or '–'}</td></tr>")
    return "".join(rows)


def _link(result: Result, stance: str = "") -> str:
    """Link to the experiment, with what it says of a claim; of none, whether it came out as accepted."""
    stance = stance or ("not as accepted" if result.failed else "as accepted")
    kind, mark = MARKS[stance]
    title = _text(f"{result.experiment.name} {result.experiment.title}")
    return f'<a href="#{_anchor(result)}">{title}</a> <span class="{kind}">{mark} {stance}</span>'


def _anchor(result: Result) -> str:
    return quote(result.experiment.name.lower())


def _section(result: Result, lab: str) -> str:
    experiment, anchor = result.experiment, _anchor(result)
    kind, mark = ("fails", "✗") if result.failed else ("holds", "✓")
    about = {
        "Setup": experiment.setup,
        "Theory": experiment.theory,
        "Accepted": experiment.accepted,
    }
    contested = ""
    if experiment.contested:
        contested = f"<h3>Contested</h3><p>{_text(experiment.contested)}</p>"
        contested = f'<aside class="contested" id="{anchor}-contested">{contested}</aside>'
    if isinstance(experiment.races, str):
        links = f"<p>Not in the training lab. {_text(experiment.races)}</p>"
    else:
        address = f"{lab.rstrip('/')}/training-lab?experiment={quote(experiment.name)}&race="
        races = "".join(
            f'<li><a href="{escape(address)}{place}">{_text(race.title)}</a></li>'
            for place, race in enumerate(experiment.races(), start=1)
        )
        links = f"<p>Open in the training lab (<code>make run</code> starts it):</p><ul>{races}</ul>"
    caveat = f"<p>Mind: {_text(experiment.caveat)}</p>" if experiment.caveat else ""
    described = "".join(f"<dt>{name}</dt><dd>{_text(text)}</dd>" for name, text in about.items() if text)
    parts = (
        f"<h2>{_text(experiment.name)} · {_text(experiment.title)}</h2>",
        f'<p class="verdict {kind}"><span aria-hidden="true">{mark}</span> {_text(result.verdict)}</p>',
        *(_figure(result, place) for place in range(len(result.findings.pictures))),
        *(f"<p>{_text(note)}</p>" for note in result.findings.notes),
        contested,
        caveat,
        f"<h3>Claims</h3>{_stances(result)}",
        f"<dl>{described}</dl>",
        _table(result),
        f'<p class="sources">Sources: {_text("; ".join(experiment.sources))}</p>',
        links,
    )
    return f'<section id="{anchor}">{"".join(parts)}</section>'


def _stances(result: Result) -> str:
    """Return what is said of each claim, on which checks that rests, and what is left without the effect."""
    worlds = audit.kept().get(result.experiment.name, {}).get("stances", {})
    items = []
    for claim, stance in result.stances.items():
        kind, mark = MARKS[stance]
        rests = _rests(result, result.experiment.claims[claim])
        said = f'<span class="{kind}">{mark} {stance}</span> “{_text(CLAIMS[claim])}”'
        gone: dict[str, list[str]] = {}
        for null, says in worlds.get(claim, {}).items():
            if says != stance:
                gone.setdefault(says, []).append(f"where {null}")
        for says, where in gone.items():
            rests += f"<li>On data {_text(', or '.join(where))}, the stance would be “{says}”.</li>"
        items.append(f"<li>{said}<ul>{rests}</ul></li>")
    return f"<ul>{''.join(items)}</ul>" if items else f"<p>It {NO_SIDE}: identities, moments and counts.</p>"


def _rests(result: Result, sides: Sides) -> str:
    """List the checks on which a stance rests, an item for each side."""
    words = {"It shows in": sides.shows, "Limits": sides.limits, "Controls": sides.controls}
    judged = [found for found in result.findings.checks if not found.reported]
    items = []
    for begin, names in words.items():
        on = [f"{one.what}: {one.measured:.4g} ({one.accepted})" for one in judged if one.name in names]
        if len(on) > FEW:
            listed = "".join(f"<li>{_text(one)}</li>" for one in on)
            items.append(
                f"<li><details><summary>{begin}: {len(on)} checks</summary><ul>{listed}</ul></details></li>"
            )
        elif on:
            items.append(f"<li>{begin}: {_text('; '.join(on))}</li>")
    return "".join(items)


def _figure(result: Result, place: int) -> str:
    """Return a picture with its title as a caption; its text alternative is the table of checks."""
    title = result.findings.pictures[place].title
    drawn = result.figure(place).update_layout(title=None, margin_t=12)
    label = escape(f"{title}. The table of checks has the numbers.")
    return (
        f"<figure><figcaption>{_text(title)}</figcaption>"
        f'<div class="plot" role="img" aria-label="{label}"></div>'
        f'<script type="application/json">{drawn.to_json()}</script></figure>'
    )


def _table(result: Result) -> str:
    """List the checks. Of many, those that fail come first, then the judged ones; the rest is folded."""
    checks, shown = list(result.findings.checks), len(result.findings.checks)
    if shown > LONG:
        checks.sort(key=lambda found: (found not in result.failed, found.reported, found.exact))
        shown = max(SHOWN, len(result.failed))
    theory = any(found.expected is not None for found in checks)
    name = result.experiment.name
    table = _rows(name, checks[:shown], theory)
    if rest := checks[shown:]:
        table += f"<details><summary>{len(rest)} more rows</summary>{_rows(name, rest, theory)}</details>"
    return f"<h3>Checks</h3>{table}"


def _rows(name: str, checks: Sequence[Check], theory: bool) -> str:
    heads = ["Check", *["Theory"] * theory, "Measured", "Lowest to highest", "Accepted", "Outcome"]
    heads.append("Fresh seeds")
    rows = []
    for found in checks:
        kind = "reported" if found.reported else "holds" if found.holds else "fails"
        cells = ["" if found.expected is None else number(found.expected)] * theory
        spread = "" if found.low == found.high else f"{number(found.low)} to {number(found.high)}"
        missed = audit.misses(name, found)
        cells += [number(found.measured), spread, _text(found.accepted), kind]
        cells.append("" if missed is None else f"{missed:.1%} fail")
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr class="{kind}">{_head(found.what)}{row}</tr>')
    head = "".join(_head(text, "col") for text in heads)
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Checks"><table class="checks">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _head(text: str, scope: str = "row") -> str:
    return f'<th scope="{scope}">{_text(text)}</th>'


def _text(text: str) -> str:
    """Escape an experiment's text for HTML."""
    return escape(readable(text))
