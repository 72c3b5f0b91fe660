"""How long a reader of the training lab waits: for each lane's first frame, and for all to reach a step.

A client asks as the page does when a race is opened to be played: step 120 first, the rest when that is
there. A branch is asked for as the page does while a finger moves (drafts, one after another, at another
learning rate each), and in full when it rests. Each race has a seed of its own, so that nothing is kept
already. Seconds from the question; server, pool and client share this machine's cores. "Pool" is processor
time of the worker processes, which other work on the machine hardly changes.

    PYTHONPATH=. .venv/bin/python benchmarks/waits.py                # all
    PYTHONPATH=. .venv/bin/python benchmarks/waits.py E6 branch      # some
    PYTHONPATH=. .venv/bin/python benchmarks/waits.py --house PATH   # the server of another checkout
    PYTHONPATH=. .venv/bin/python benchmarks/waits.py --reduced      # the default race alone, in seconds
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from benchmarks._command import command
from book.race.evidence import address_of
from live.messages import unpack
from tests.server import ROOT, Server

SEED = itertools.count(5000)
PATIENCE = 240  # seconds
AHEAD = 120  # steps that the page asks for first
CONV = {"network": "cnn"}
RACES: dict[str, dict[str, Any]] = {
    "default": {},
    "cnn 5 x 64": CONV,
    "cnn 3 x 16": CONV | {"depth": 3, "width": 16},
    "four cnn 5 x 64": CONV | {"lanes": "none,batch,layer,group"},
    "E6": address_of("E6"),
}
STEPS = (0, 60, 120, 400)
BRANCH_AT, BRANCH_SEEN, DRAFTS = 300, 340, 8
FIGURES = ("default", "branch at 300")


@dataclass
class Watched:
    """What has come of a race: the seconds at which lanes had their frames."""

    lanes: int
    every: int
    began: float
    frames: list[int] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    reached: dict[int, float] = field(default_factory=dict)

    def take(self, lane: int, rows: int) -> None:
        """Count a lane's frames."""
        now = time.monotonic() - self.began
        if not self.frames[lane]:
            self.first.append(now)
        self.frames[lane] += rows
        last = (min(self.frames) - 1) * self.every
        self.reached |= {step: now for step in range(last + 1) if step not in self.reached}


class Reader:
    """A page's side of the channel."""

    def __init__(self, socket: ClientConnection):
        self.socket = socket
        self.number = 0  # of the latest question
        self.shown = 0  # and of the one whose frames come

    def ask(self, values: dict[str, Any], until: int, draft: bool = False, horizon: int = 0) -> Watched:
        """Ask for a race; return what came once all lanes have reached ``horizon`` (else ``until``)."""
        self.number += 1
        message = {"kind": "lab", "id": self.number, "values": values, "until": until, "draft": draft}
        began = time.monotonic()
        self.socket.send(json.dumps(message))
        watched = Watched(0, 1, began)
        for header, arrays in self.answers():
            if header["kind"] == "lab":
                lanes = len(header["lanes"])
                watched = Watched(lanes, header["every"], began, [0] * lanes)
            elif header["kind"] == "frames" and not header["ghost"]:
                watched.take(header["lane"], len(arrays["rows"]))
                last = (min(watched.frames) - 1) * watched.every
                if last >= until and until < horizon:
                    until = horizon
                    self.socket.send(json.dumps({"kind": "until", "id": self.number, "step": until}))
                if last >= until // watched.every * watched.every >= horizon // watched.every * watched.every:
                    return watched
        raise RuntimeError("the socket has ended")

    def answers(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """What belongs to the latest question."""
        while True:
            message = self.socket.recv(timeout=PATIENCE)
            header, arrays = (json.loads(message), {}) if isinstance(message, str) else unpack(message)
            if header["kind"] == "problem":
                raise RuntimeError(header["message"])
            if header["kind"] == "lab":
                self.shown = header["id"]
            if (self.shown if header["kind"] == "frames" else header.get("id")) == self.number:
                yield header, arrays


def computing(server: Server) -> float:
    """Return the processor time that the worker processes have used."""
    return sum(sum(process.cpu_times()[:2]) for process in server.workers())


def race(reader: Reader, server: Server, name: str) -> None:
    """Print the waits of one race."""
    values = RACES[name] | {"seed": next(SEED), "guess": -3}
    before = computing(server)
    watched = reader.ask(values, AHEAD, horizon=max(STEPS))
    first = ", ".join(f"{seconds:.2f}" for seconds in sorted(watched.first))
    steps = ", ".join(f"step {step}: {watched.reached[step]:.2f}" for step in STEPS if step)
    used = computing(server) - before
    print(f"{name}: first frames of its lanes {first}; all lanes at {steps}; pool {used:.1f}", flush=True)


def branch(reader: Reader, server: Server, drafts: int) -> None:
    """Print how long a branch takes while it is dragged, and at rest; and the steps computed for it."""
    values = RACES["default"] | {"seed": next(SEED), "guess": -3, "step": BRANCH_AT}
    reader.ask(values, 401)
    before, used = server.health()["computed_steps"], computing(server)
    times = []
    for number in range(drafts):
        edits = [[BRANCH_AT, "lr", round(0.2 + 0.01 * number, 2)]]
        times.append(reader.ask(values | {"edits": edits}, BRANCH_SEEN, draft=True).reached[BRANCH_SEEN])
    drafting = computing(server) - used
    drafted = server.health()["computed_steps"]
    rest = reader.ask(values | {"edits": edits}, 401)
    full = server.health()["computed_steps"]
    print(
        f"branch at {BRANCH_AT}, drafts to {BRANCH_SEEN}: first {times[0]:.2f}, then "
        f"{sum(times[1:]) / (drafts - 1):.3f} each ({drafted - before} steps, pool {drafting:.2f}); at rest: "
        f"step 300 after {rest.reached[300]:.3f}, 400 after {rest.reached[400]:.2f} ({full - drafted} steps)",
        flush=True,
    )


def main() -> None:
    """Measure what the command line names."""
    parser = command(__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *RACES, "branch"])
    parser.add_argument("--house", type=Path, default=ROOT)
    asked = parser.parse_args()
    names = asked.names or (["default", "branch"] if asked.reduced else [*RACES, "branch"])
    server = Server(house=asked.house)
    try:
        address = server.url.replace("http", "ws") + "/live"
        with connect(address, origin=Origin(server.url), max_size=None) as socket:
            reader = Reader(socket)
            reader.ask({"seed": next(SEED)}, 60)  # the pool has started
            for name in names:
                if name == "branch":
                    branch(reader, server, 2 if asked.reduced else DRAFTS)
                else:
                    race(reader, server, name)
    finally:
        server.kill()


if __name__ == "__main__":
    main()
