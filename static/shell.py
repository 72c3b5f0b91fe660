"""Python in the page's Web Worker: sessions behind channels, and answers to what the page itself asks.

JavaScript (`static/worker.js`) hands over messages as they come, and posts what a session sends. There are no
threads: all of it lives in the worker's event loop, and what takes time is done by hands, other workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any

from bnlib import RunConfig
from book.beside import beside as told_beside
from book.chapter import Chapter, Page
from book.controls import Values, shown
from book.race.lanes import lane_configs
from book.race.settings import DEFAULTS
from book.race.table import RUN
from book.registry import pages
from live import messages, worker
from live.crew import Crew
from live.desk import Desk
from live.race import LabSession
from live.scheduler import Checker, CheckError, ComputationError, Gone, Told
from live.share import Share
from live.track import Track

from . import measured, products
from .hand import InlineHand, Line, Packed, WorkerHand

log = logging.getLogger(__name__)

Post = Callable[[int, str | bytes], None]  # a message of a channel's session, to the page
Start = Callable[[], Line]
Fetch = Callable[[str], Awaitable[Packed]]

KEPT = 96 * 2**20  # bytes of recordings: one reader's
# One for any work and one for light work, so that a picture under a finger waits for no long computation.
HANDS = 2
# A browser takes several times as long as a server, twenty times for large matrix products, and nobody else
# waits. What a reader has left is given up after about the time that another hand takes to come.
LONGEST, GRACE = 120.0, 4.0
NO_TORCH = "This edition has no PyTorch, which can't run in a browser; the edition with a server compares."
FAILED = "This could not be answered; reload the page to try again."


class NoChecks(Checker):
    """Says why nothing is compared with PyTorch here."""

    async def report(self, config: RunConfig, step: int, told: Told | None = None) -> dict[str, Any]:
        """Raise CheckError, with what to do instead."""
        raise CheckError(NO_TORCH)


class Whole(Share):
    """All of the event loop: no other reader needs a part of it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.release()


class Channel:
    """A session, and its messages in order, one after another."""

    def __init__(self, number: int, track: Track, post: Post):
        self._number, self._post, self._open = number, post, True
        self._ahead: asyncio.Queue[str] = asyncio.Queue()
        self.session = LabSession(track, self._send, lambda: self._open)
        self._task = asyncio.create_task(self._listen())

    def say(self, text: str) -> None:
        """Take a message in."""
        self._ahead.put_nowait(text)

    async def close(self) -> None:
        """End everything: the page has left."""
        self._open = False
        self._task.cancel()
        await asyncio.wait([self._task])
        await self.session.close()

    async def _listen(self) -> None:
        with contextlib.suppress(Gone):
            while True:
                await self._handle(await self._ahead.get())

    async def _handle(self, text: str) -> None:
        """Have a message answered; whatever goes wrong, others follow."""
        try:
            if len(text) > messages.MAX_MESSAGE:
                problem = f"a message of {len(text)} characters exceeds {messages.MAX_MESSAGE}"
                await self.session.tell("channel", problem)
                return
            await self.session.handle(text)
        except Gone:
            raise
        except Exception:
            log.exception("a message could not be answered")
            await self.session.tell("channel", FAILED)

    async def _send(self, message: str | bytes) -> None:
        if not self._open:
            raise Gone("the page has left")
        self._post(self._number, message)


class Shell:
    """All that the page talks to.

    post : hands a session's message over to the page
    start : starts another worker; raises where a worker can't have one
    fetch : gets a file that lies beside Pyodide's
    cores : that the machine has
    """

    def __init__(self, post: Post, start: Start, fetch: Fetch, cores: int = 1):
        self._post, self._start, self._fetch, self._cores = post, start, fetch, cores
        self.crew = Crew(0, InlineHand, LONGEST, GRACE)
        self.desk = Desk(self.crew, KEPT)
        self.track = measured.Measured(self.desk, NoChecks(), self._measured)
        self.track.share = Whole()
        self.desk.start()  # who calls before a hand has come waits for it
        self._channels: dict[int, Channel] = {}
        self._coming: list[asyncio.Task[None]] = []
        self._ending: set[asyncio.Task[None]] = set()

    def settle(self) -> None:
        """Bring in the background what may come after the page is live: the build's results, and hands."""
        self.track.begin()
        self.bring()

    async def _measured(self) -> bytes:
        return (await self._fetch(measured.FILE)).to_bytes()

    # ---- hands -------------------------------------------------------------------------------------------

    def bring(self) -> None:
        """Bring a hand, in the background.

        The next follows when that is there, or on few cores when it is called: the page comes first.
        """
        if len(self._coming) < HANDS:
            self._coming.append(asyncio.create_task(self._bring()))

    async def _bring(self) -> None:
        hand = WorkerHand(self._start, called=self.bring)
        try:
            await hand.ready()
        except ComputationError as error:
            if self.crew.hands:
                log.warning("there is no more than one hand: %s", error)
            else:
                self.crew.join(InlineHand())
            return
        self.crew.join(hand)
        if self._cores > HANDS:
            self.bring()

    # ---- channels ----------------------------------------------------------------------------------------

    def open(self, channel: int) -> None:
        """Begin a session."""
        self._channels[channel] = Channel(channel, self.track, self._post)

    def say(self, channel: int, text: str) -> None:
        """Hand a message to a session; one to nobody is dropped."""
        if channel in self._channels:
            self._channels[channel].say(text)

    def close(self, channel: int) -> None:
        """End a session, in the background."""
        if (closing := self._channels.pop(channel, None)) is not None:
            ending = asyncio.create_task(closing.close())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    # ---- what the page itself asks -----------------------------------------------------------------------

    async def ask(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Return an answer as plain JSON.

        Raises
        ------
        ValueError
            Says what is wrong with the question.
        ComputationError
            If the answer can't be computed.
        """
        if name == "arrive":
            return arrive(arguments.get("page"), arguments.get("query"))
        if name == "address":
            return address(arguments.get("page"), arguments.get("values"))
        if name == "beside":
            return beside(arguments.get("page"), arguments.get("values"))
        if name == "speed":
            return await self.speed()
        raise ValueError(f"ask={shown(name)} must be one of arrive, address, beside, speed")

    async def answer(self, question: str) -> str:
        """Return the answer to a question, JSON both: a "value", or a "problem" in words."""
        try:
            asked = json.loads(question)
            return json.dumps({"value": await self.ask(asked["name"], asked["arguments"])}, allow_nan=False)
        except (ValueError, ComputationError) as error:
            problem = str(error)
        except Exception:
            log.exception("a question could not be answered")
            problem = FAILED
        return json.dumps({"problem": problem})

    async def speed(self) -> dict[str, Any]:
        """Measure how many training steps a second a lane of the lab makes here with each kind of network."""
        found = {}
        for network in RUN["network"].choices:
            config = lane_configs(DEFAULTS | {"network": network})[-1]
            seconds = await self.desk.run(worker.shown_step_seconds, config, heavy=True)
            if seconds:  # a browser's clock may be too coarse
                found[RUN["network"].called(network)] = float(f"{1 / seconds:.3g}")
        return {"seeds": DEFAULTS["replicas"], "steps": found}


def begin(post: Post, start: Start, fetch: Fetch, cores: int) -> Shell:
    """Return the shell of this worker, once its matrix products are quick (`static.products`).

    Pyodide's event loop refuses a time that has passed since it was chosen; every other takes it for now.
    """
    loop = asyncio.get_running_loop()
    later = loop.call_later

    def call_later(delay: float, callback: Callable[..., Any], *arguments: Any, **how: Any) -> Any:
        return later(max(0.0, delay), callback, *arguments, **how)

    loop.call_later = call_later  # type: ignore[assignment, method-assign]
    products.install()
    return Shell(post, start, fetch, cores)


def arrive(page: Any, query: Any) -> dict[str, Any]:
    """Return how a page opens at an address, as `live.messages.arrive` says it, with the picture's "opening".

    "written" is the address of the settings: where it changes, the reader has come from elsewhere.
    """
    there, picture = _named(page)
    if not isinstance(query, dict) or not all(isinstance(text, str) for text in query.values()):
        raise ValueError(f"query={shown(query)} must be an object of texts")
    found = messages.arrive(picture, query)
    opened = messages.opening(picture, found.values, there.question)
    written = messages.write(messages.CONTROLS[picture], found.values)
    return found._asdict() | {"opening": opened, "written": written}


def address(page: Any, values: Any) -> dict[str, str]:
    """Return the address of a page's settings, as texts by name; defaults are left out."""
    _, picture = _named(page)
    return messages.write(messages.CONTROLS[picture], _read(picture, values))


def beside(page: Any, values: Any) -> dict[str, Any]:
    """Return what is told beside a page's picture: `book.beside.Beside` as plain JSON."""
    there, picture = _named(page)
    return told_beside(there, _read(picture, values)).told()


def _named(page: Any) -> tuple[Page, str]:
    """Return a page, and what its picture is called."""
    there = pages().get(page) if isinstance(page, str) else None
    if there is None:
        raise ValueError(f"page={shown(page)} must be one of {', '.join(pages())}")
    return there, there.name if isinstance(there, Chapter) else "lab"


def _read(picture: str, values: Any) -> Values:
    """Return settings that a page has said; what is broken has its default."""
    if not isinstance(values, dict):
        raise ValueError(f"values={shown(values)} must be an object of settings")
    known = {control.name for control in messages.CONTROLS[picture]}
    read, _ = messages.read(messages.CONTROLS[picture], {k: v for k, v in values.items() if k in known})
    return read
