"""How long a reader of a chapter waits: for the first picture of each scene, for all of it, under the finger.

A client asks as the page does when a scene is opened whose question has been answered. "First" is the first
picture, which may have gaps; "whole" the one without; "judged" when the answer is told, which needs the
states before and after the reveal. Each scene with a button for other seeds gets seeds of its own, so that
nothing is kept already. Then each slider of the scene is dragged over its stops: drafts, one after another,
at most 60 a second, and what follows at rest. Seconds, or milliseconds where it says so; ratios are to the
first scene of "One batch", which waits for nothing. Server, pool and client share this machine's cores.

    PYTHONPATH=. .venv/bin/python benchmarks/chapters.py                # all
    PYTHONPATH=. .venv/bin/python benchmarks/chapters.py gradients      # some
    PYTHONPATH=. .venv/bin/python benchmarks/chapters.py --reduced      # two scenes, two stops each
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from statistics import median
from typing import Any, NamedTuple

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from benchmarks._command import command
from book.chapter import Chapter, Scene
from book.controls import Control, Values
from book.registry import chapters
from live.messages import unpack
from tests.server import Server

PATIENCE = 240  # seconds
SEED = itertools.count(100)
STOPS, FEW = 12, 2
FRAME = 1 / 60  # seconds: a page asks once a frame
FIGURES = ("one_batch tug", "inference stale")


class Seen(NamedTuple):
    """When pictures came, in seconds from the question, and the bytes of the last one."""

    first: float
    whole: float
    judged: float
    size: int


class Reader:
    """A page's side of the channel."""

    def __init__(self, socket: ClientConnection):
        self.socket = socket
        self.number = 0

    def ask(self, chapter: Chapter, values: Values, draft: bool = False, moves: str = "") -> Seen:
        """Ask for a view; return once it is there without gaps, and judged where it has a question."""
        time.sleep(FRAME)
        self.number += 1
        said = {name: values[name] for name in (control.name for control in chapter.table)}
        message = {"kind": "view", "id": self.number, "chapter": chapter.name, "values": said, "draft": draft}
        message |= {"moves": moves} if draft else {}
        scene, began = chapter.scene(values), time.monotonic()
        self.socket.send(json.dumps(message))
        first = whole = judged = 0.0
        size = 0
        for header, count in self.answers():
            now = time.monotonic() - began
            if header["kind"] == "view":
                first, size = first or now, count
                whole = whole or (0.0 if header["growing"] else now)
            if "story" in header:
                judged = now
            if whole and (draft or judged or not (scene and scene.choices)):
                return Seen(first, whole, judged, size)
        raise RuntimeError("the socket has ended")

    def answers(self) -> Iterator[tuple[dict[str, Any], int]]:
        """What belongs to the latest question, and its bytes."""
        while True:
            message = self.socket.recv(timeout=PATIENCE)
            header = json.loads(message) if isinstance(message, str) else unpack(message)[0]
            if header["kind"] == "problem":
                raise RuntimeError(header["message"])
            if header.get("id") == self.number:
                yield header, len(message)


def sliders(chapter: Chapter, scene: Scene) -> list[Control]:
    """Return what can be dragged in a scene."""
    controls = [one for one in chapter.controls if one.name in scene.controls]
    return [one for one in controls if len(one.stops) > 1 and one.kind in ("number", "whole")]


def some(control: Control, count: int) -> list[float]:
    """Return so many stops, evenly spread."""
    last, steps = len(control.stops) - 1, min(count, len(control.stops)) - 1
    return [control.stops[round(last * k / steps)] for k in range(steps + 1)]


def visit(reader: Reader, chapter: Chapter, scene: Scene, count: int, usual: float) -> None:
    """Print the waits of one scene; ``usual`` is the first wait of the scene that ratios are to."""
    seeded = any(control.name == "seed" for control in chapter.controls)
    changes = {"seed": next(SEED)} if seeded else {}
    values = chapter.settings(scene, changes, answered=True)
    seen = reader.ask(chapter, values)
    judged = f", judged {seen.judged:.2f}" if scene.choices else ""
    line = f"{chapter.name} {scene.name}: first {seen.first:.3f} ({seen.first / usual:.0f}x), "
    print(f"{line}whole {seen.whole:.2f}{judged}; {seen.size / 1000:.0f} kB", flush=True)
    for control in sliders(chapter, scene):
        states = [values | {control.name: control.parse(stop)} for stop in some(control, count)]
        drafts = [1000 * reader.ask(chapter, state, True, control.name).whole for state in states]
        rest = 1000 * reader.ask(chapter, states[-1]).whole
        told = f"dragged {median(drafts):.0f} ms, at most {max(drafts):.0f}; then at rest {rest:.0f}"
        print(f"    {control.name}: {told}", flush=True)


def main() -> None:
    """Measure the chapters that the command line names."""
    told = {name: one for name, one in chapters().items() if one.scenes}
    parser = command(__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *told])
    asked = parser.parse_args()
    pairs = [(one, scene) for name, one in told.items() for scene in one.scenes
             if not asked.names or name in asked.names]  # fmt: skip
    if asked.reduced:
        pairs = [pair for pair in pairs if f"{pair[0].name} {pair[1].name}" in FIGURES]
    server = Server()
    try:
        address = server.url.replace("http", "ws") + "/live"
        with connect(address, origin=Origin(server.url), max_size=None) as socket:
            reader = Reader(socket)
            one_batch = told["one_batch"]
            start = one_batch.settings(one_batch.scenes[0], {}, answered=True)
            reader.ask(one_batch, start)  # the channel is warm
            usual = reader.ask(one_batch, start).first
            for chapter, scene in pairs:
                visit(reader, chapter, scene, FEW if asked.reduced else STOPS, usual)
    finally:
        server.kill()


if __name__ == "__main__":
    main()
