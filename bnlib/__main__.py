"""python -m bnlib experiments: list, run and report the named experiments."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import experiments
from .experiments.model import counted
from .jobs.sweep import SweepError, progress_bar

STOPPED = 130  # what a shell says of a program that Ctrl-C has ended
UNREAD = 141  # and of one whose output nobody reads any more


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bnlib", description="BatchNorm Lab’s library")
    rooms = parser.add_subparsers(dest="room", required=True, metavar="experiments")
    room = rooms.add_parser(
        "experiments",
        help="what is claimed of batch norm, as experiments",
        description="Without a command: the list. Finished parts are kept on disk; a stopped run resumes. "
        "BNLAB_DASK=tcp://HOST:PORT computes on a Dask cluster.",
    )
    commands = room.add_subparsers(dest="command", metavar="run, report, audit, keep")
    run = commands.add_parser("run", help="run some, or all: theory, measured, tolerance, verdict")
    run.add_argument("names", nargs="+", metavar="NAME", help="E1 ..., or all")
    report = commands.add_parser("report", help="run all and write one HTML page")
    report.add_argument("names", nargs="*", metavar="NAME", default=["all"], help="E1 ..., or all (default)")
    report.add_argument("--out", type=Path, default=Path("experiments.html"), help="default: %(default)s")
    report.add_argument("--lab", default="http://127.0.0.1:8501", metavar="URL",
                        help="where the training lab is, for links; default: %(default)s")  # fmt: skip
    audit = commands.add_parser(
        "audit",
        help="whether checks fail without their effect, and how often on fresh seeds",
        description="Each check that a stance rests on must fail in a world without its effect, and "
        "on at most 1%% of fresh seed sets.",
    )
    audit.add_argument("names", nargs="*", metavar="NAME", default=["all"], help="E1 ..., or all (default)")
    audit.add_argument("--keep", action="store_true", help="keep what comes out for report and pages")
    keep = commands.add_parser("keep", help="run all in full and keep what they find for the pages")
    keep.set_defaults(names=["all"], reduced=False)
    for command in (run, report, audit):
        command.add_argument("--reduced", action="store_true", help="smaller grids and fewer seeds: seconds")
    for command in (run, report, audit, keep):
        command.add_argument("--workers", type=int, metavar="N", help="processes; default: one a core")
        command.add_argument("--fresh", action="store_true", help="neither use nor keep what is on disk")
    return parser


def listing() -> str:
    """Return the experiments, a line each, and what they said of which claims when they were last kept."""
    from .experiments.found import found

    said = {name: found(name) for name in experiments.EXPERIMENTS}
    lines = [
        f"{e.name:4} {e.title}\n     {(said[e.name] or {'claims': 'not kept yet'})['claims']}"
        for e in experiments.EXPERIMENTS.values()
    ]
    return "\n".join([*lines, "", "python -m bnlib experiments run E3    (or several, or all)"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, 1 (something failed) or 2 (asked wrongly)."""
    asked = _parser().parse_args(arguments)
    if asked.command is None:
        print(listing())
        return 0
    names = list(experiments.EXPERIMENTS) if "all" in asked.names else asked.names
    try:
        if asked.command == "audit":
            return _audit(names, asked)
        results = experiments.run_all(
            names,
            size="reduced" if asked.reduced else "full",
            progress=progress_bar(label=" ".join(asked.names)),
            workers=asked.workers,
            store=False if asked.fresh else None,
        )
        if asked.command == "report":
            from .experiments import report

            report.write(results, asked.out, lab=asked.lab)
            print(f"{asked.out}: {len(results)} experiments")
        elif asked.command == "keep":
            from .experiments import found

            found.keep(results)
            print(f"{found.FILE}: {len(results)} experiments")
        else:
            print("\n\n".join(map(str, results)))
            if len(results) > 1:
                judged = [found for r in results for found in r.findings.checks if not found.reported]
                holding = sum(found.holds for found in judged)
                print(f"\n{len(results)} experiments, {counted(judged)}: {holding} of {len(judged)} hold.")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise
    except (SweepError, OSError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print("\n".join(["\nStopped.", *getattr(interrupt, "__notes__", ())]), file=sys.stderr)
        return STOPPED
    failed = [result for result in results if result.failed]
    for result in failed if len(results) > 1 else ():
        print(f"{result.experiment.name}: {result.verdict}", file=sys.stderr)
    return 1 if failed else 0


def _audit(names: Sequence[str], asked: argparse.Namespace) -> int:
    """Audit, print and perhaps keep; 1 if some evidence can't fail, or fails too often."""
    from .experiments import audit

    audits = audit.audit(
        names,
        size="reduced" if asked.reduced else "full",
        progress=progress_bar(label=f"audit {' '.join(asked.names)}"),
        workers=asked.workers,
        store=False if asked.fresh else None,
    )
    print("\n\n".join(map(str, audits)))
    problems = [problem for one in audits for problem in one.problems]
    print("\n".join(["", *problems]) if problems else "\nEvery check of a claim can fail, and seldom does.")
    if asked.keep:
        audit.keep(audits)
    return 1 if problems else 0


def run() -> int:
    """Run the command line as a program; ``| head`` or a full disk may cut its output off."""
    try:
        status = main()
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except OSError as error:
        # What is left of the output is written once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return UNREAD
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(run())
