"""One visitor's session: messages in, messages out. It knows no server, no process and no chapter by name."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from bnlib import RunConfig
from book import export
from book.chapter import Chapter, Job, Scene, View, packed_figures
from book.controls import Values, read, shown
from book.predictions import Answer, answer, measured_states, told
from book.registry import chapters

from .once import Once
from .outbox import GivenUp, Outbox, compressed
from .scheduler import ComputationError, Gone, Scheduler, Viewer, joined
from .share import Share
from .wire import pack, problem

log = logging.getLogger(__name__)

PRESENT = partial(bool, 1)  # nobody knows otherwise
MOST_RESULTS = 256  # of jobs, kept for all sessions
PATIENCE = 0.4  # seconds before a view with gaps is better than the one before
EVERY = 0.04  # seconds between two views of a recording that grows
MOMENT = 0.25  # seconds for a task to end whose last message was sent
# While a finger moves, recordings have every tenth step: the same run, some three times sooner.
DRAFT_EVERY, DRAFT_VALIDATE_EVERY = 10, 20


def compute_view(name: str, values: Values, found: Mapping[str, Any]) -> View:
    """Compute a slow chapter's view; a function for a worker process."""
    return chapters()[name].view(values, found)


class Shelf:
    """What all sessions share: the chapters, results of jobs, and the answers that were measured."""

    def __init__(self, scheduler: Scheduler):
        self.scheduler = scheduler
        self.chapters = chapters()
        self.results = Once(MOST_RESULTS)
        self.share = Share()
        self.outbox = Outbox()

    async def job(self, job: Job) -> Any:
        """Return what a job returns."""
        run = partial(self.scheduler.run, job.function, *job.arguments, heavy=not job.light)
        return await self.results.get(job, run)

    async def view(self, chapter: Chapter, values: Values, found: Mapping[str, Any]) -> View:
        """Compute a view: here, or if it is slow, in the pool."""
        if chapter.slow:
            view: View = await self.scheduler.run(compute_view, chapter.name, values, found, heavy=True)
            return view
        async with self.share:
            return chapter.view(values, found)

    async def complete(self, chapter: Chapter, values: Values) -> View:
        """Compute a view once everything that it needs is there."""
        found: dict[str, Any] = {}
        for name, config in runs_of(chapter, values).items():
            stop = until(chapter, values) // config.record_every + 1
            found[name] = await self.scheduler.frames(config, range(stop), ("step", *chapter.kept))
        jobs = jobs_of(chapter, values)
        found |= zip(jobs, await asyncio.gather(*map(self.job, jobs.values())), strict=True)
        return await self.view(chapter, values, found)

    async def answer(self, chapter: Chapter, scene: Scene) -> Answer:
        """Measure which choice of a scene is right."""

        async def measure() -> Answer:
            start, reveal = measured_states(chapter, scene)
            before = (await self.complete(chapter, start)).numbers
            after = reveal(before)
            return answer(scene, before, after, (await self.complete(chapter, after)).numbers)

        return await self.results.get((chapter.name, scene.name), measure)


def runs_of(chapter: Chapter, values: Values, draft: bool = False) -> dict[str, RunConfig]:
    """Return the training runs that settings stand for; as drafts, with every tenth step."""
    runs = dict(chapter.runs(values)) if chapter.runs else {}
    if draft:
        every = {"record_every": DRAFT_EVERY, "validate_every": DRAFT_VALIDATE_EVERY}
        runs = {name: replace(config, **every) for name, config in runs.items()}  # type: ignore[arg-type]
    return runs


def jobs_of(chapter: Chapter, values: Values) -> dict[str, Job]:
    """Return the jobs that settings stand for."""
    return dict(chapter.jobs({"draft": False, **values})) if chapter.jobs else {}


def until(chapter: Chapter, values: Values) -> int:
    """Return how far the recordings are looked at: to the scene's playhead, or to the chapter's first one."""
    scene, steps = chapter.scene(values), [one.name for one in chapter.controls if one.kind == "step"]
    own = [name for name in steps if scene and name in scene.controls] or steps
    return int(values[own[0]]) if own else 0


@dataclass
class _Request:
    """What one message asks to see."""

    chapter: Chapter
    values: Values
    number: int
    draft: bool
    problems: list[str]
    found: dict[str, Any] = field(default_factory=dict)


class Session:
    """One visitor: a view at a time, and a file at a time.

    ``send`` delivers a message, text or bytes, and raises `Gone` when the page has left; ``here`` says
    whether it is there.
    """

    ANSWERS: ClassVar[dict[str, Callable[[Any, dict[str, Any]], Awaitable[None]]]]

    def __init__(
        self, shelf: Shelf, send: Callable[[str | bytes], Awaitable[None]], here: Callable[[], bool] = PRESENT
    ):
        self.shelf = shelf
        self.send = send
        self.here = here
        self.showing: asyncio.Task[None] | None = None
        self.taking: asyncio.Task[None] | None = None

    async def handle(self, text: str) -> None:
        """Answer one message; whatever it holds, the session goes on."""
        try:
            message = json.loads(text)
            kind = message["kind"]
            found = self.ANSWERS[kind]
        except (ValueError, TypeError, KeyError, RecursionError):
            kinds = ", ".join(self.ANSWERS)
            await self.tell("channel", f"a message must be JSON with a kind out of {kinds}")
            return
        try:
            await found(self, message)
        except (ValueError, ComputationError) as error:
            await self.tell(kind, str(error), message.get("id"))

    def stay(self) -> None:
        """Do nothing for a page that has left meanwhile."""
        if not self.here():
            raise Gone("the page has left")

    async def tell(self, kind: str, what: str, number: Any = None) -> None:
        """Tell the reader what went wrong."""
        await self.send(problem(kind, what, number if type(number) is int else None))

    # ---- views -------------------------------------------------------------------------------------------

    async def view(self, message: dict[str, Any]) -> None:
        """Show a chapter's state, now or as what it needs comes in."""
        request = self.request(message)
        if self.showing is not None:
            self.showing.cancel()
            self.showing = None
        chapter = request.chapter
        if chapter.has_waits or chapter.slow:
            self.showing = asyncio.create_task(self._show(request))
        else:
            await self._guarded(request, self._send_view(request))

    def request(self, message: dict[str, Any]) -> _Request:
        """Read a message that names a chapter and its settings."""
        name = message.get("chapter")
        chapter = self.shelf.chapters.get(name) if isinstance(name, str) else None
        if chapter is None:
            raise ValueError(f"chapter={shown(name)} must be one of {', '.join(self.shelf.chapters)}")
        values, problems = read(chapter.table, settings(message))
        values["narrow"], values["draft"] = (message.get(name) is True for name in ("narrow", "draft"))
        moves = message.get("moves")
        values["moves"] = next((one.name for one in chapter.table if one.name == moves), "")
        return _Request(chapter, values, whole(message, "id"), values["draft"], problems)

    async def _guarded(self, request: _Request, work: Awaitable[None]) -> None:
        """Do the work of a view; what goes wrong becomes a sentence, and other pages go on."""
        try:
            await work
        except Gone as error:
            log.debug("a view ended: %s", error)
        except ComputationError as error:
            with contextlib.suppress(Gone):
                await self.tell("view", str(error), request.number)
        except Exception:
            log.exception("a view of %s failed", request.chapter.name)
            sentence = "This picture could not be computed with these settings. Go back to the ones before."
            with contextlib.suppress(Gone):
                await self.tell("view", sentence, request.number)

    async def _show(self, request: _Request) -> None:
        """Watch recordings and jobs, and send the view again as they come in."""
        await self._guarded(request, self._watch(request))

    async def _watch(self, request: _Request) -> None:
        chapter, values = request.chapter, request.values
        runs, jobs = runs_of(chapter, values, request.draft), jobs_of(chapter, values)
        request.found = dict.fromkeys([*runs, *jobs])
        news = asyncio.Event()

        async def follow(name: str, config: RunConfig) -> None:
            last = until(chapter, values)
            viewer, found = Viewer(last), []
            async with contextlib.aclosing(self.shelf.scheduler.watch(config, viewer)) as coming:
                async for blocks in coming:
                    found += [{key: block[key] for key in ("step", *chapter.kept)} for block in blocks]
                    request.found[name] = joined(found)
                    news.set()
                    if viewer.next > last // config.record_every:
                        break

        async def fetch(name: str, job: Job) -> None:
            request.found[name] = await self.shelf.job(job)  # that it is done is news

        work = [asyncio.create_task(follow(name, config)) for name, config in runs.items()]
        work += [asyncio.create_task(fetch(name, job)) for name, job in jobs.items()]
        for task in work:
            task.add_done_callback(lambda _: news.set())
        clock = asyncio.get_running_loop().time
        began, sent, fresh = clock(), -math.inf, True
        try:
            while not all(task.done() for task in work):
                gaps = any(found is None for found in request.found.values())
                due: float | None = max(sent + EVERY, began + PATIENCE * (gaps or request.draft))
                if not fresh or (request.draft and gaps):
                    due = None  # there is nothing to show before there is news
                if due is not None and due <= clock():
                    await self._send_view(request, waiting=True)
                    sent, fresh = clock(), False
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await news.wait()
                        news.clear()
                        fresh = True
                for task in work:
                    if task.done():
                        task.result()  # what failed ends the rest
            for task in work:
                task.result()
            await self._send_view(request)
            await self._measure_ahead(request)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _measure_ahead(self, request: _Request) -> None:
        """Measure an open question's answer while the reader thinks: once for all readers."""
        scene = request.chapter.scene(request.values)
        if scene is not None and request.chapter.is_open(request.values):
            with contextlib.suppress(ComputationError):  # it is told where the answer is asked for
                await self.shelf.answer(request.chapter, scene)

    async def _send_view(self, request: _Request, waiting: bool = False) -> None:
        chapter, values = request.chapter, request.values
        view = await self.shelf.view(chapter, values, request.found)
        figures, arrays = packed_figures(view.figures)
        header = {
            "kind": "view", "id": request.number, "chapter": chapter.name, "problems": request.problems,
            "figures": figures, "text": view.text, "notes": dict(view.notes), "waiting": view.waiting,
            "growing": waiting, "equations": [equation.describe() for equation in view.equations],
            "lights": [light._asdict() for light in view.lights],
            "meters": [meter._asdict() for meter in view.meters], "board": view.board,
        }  # fmt: skip
        scene = chapter.scene(values)
        asked = scene is not None and bool(scene.choices) and not chapter.is_open(values)
        if scene is not None and asked and not chapter.has_waits and not chapter.slow:
            header["story"] = told(chapter, values, await self.shelf.answer(chapter, scene))
        await self.send(pack(header, arrays))
        if scene is not None and asked and "story" not in header and not waiting:
            story = told(chapter, values, await self.shelf.answer(chapter, scene))
            await self.send(
                json.dumps({"kind": "story", "id": request.number, "scene": scene.name, "story": story})
            )

    # ---- files -------------------------------------------------------------------------------------------

    async def take(self, message: dict[str, Any]) -> None:
        """Write a file of what is on the screen, one at a time."""
        request, what = self.request(message), message.get("what")
        if request.problems:
            raise ValueError("; ".join(request.problems))
        if not isinstance(what, str) or what not in export.KINDS:
            raise ValueError(f"what={shown(what)} must be one of {', '.join(export.KINDS)}")
        if what == "python" and request.chapter.script is None:
            raise ValueError("this page has no script to take away; its numbers are in the CSV")
        await self.one_at_a_time(self.taking, "file")
        name = export.file_name(request.chapter, what)
        written = partial(self._written, request, what)
        self.taking = asyncio.create_task(self.hand_over(request.number, name, written))

    async def one_at_a_time(self, before: asyncio.Task[None] | None, what: str) -> None:
        """Refuse a second file or check while the first is on its way."""
        if before is not None:
            # Its last message may have been read, and answered, before its task has ended.
            await asyncio.wait({before}, timeout=MOMENT)
            if not before.done():
                raise ValueError(f"one {what} at a time: the one before is still on its way")

    async def _written(self, request: _Request, what: str) -> bytes:
        """Write a chapter's file, compressed."""
        chapter, values = request.chapter, request.values
        if what == "csv":
            view = await self.shelf.complete(chapter, values)
            write = partial(export.csv_text, chapter, values, view)
        else:
            write = partial(export.script_text, chapter, values)
        async with self.shelf.outbox.writing():
            return compressed([write()])

    async def hand_over(self, number: int, name: str, written: Callable[[], Awaitable[bytes]]) -> None:
        """Have a file written, and send it; what goes wrong becomes a sentence."""
        try:
            await self.shelf.outbox.send(number, name, await written(), self.send)
            return
        except Gone as error:
            log.debug("a file ended: %s", error)
            return
        except (ComputationError, GivenUp) as error:
            sentence = str(error)
        except Exception:
            log.exception("writing a file failed")
            sentence = "the file could not be written"
        with contextlib.suppress(Gone):
            await self.tell("take", sentence, number)

    # ---- the end -----------------------------------------------------------------------------------------

    async def stop(self, message: dict[str, Any]) -> None:
        """Stop watching: nothing more is wanted."""
        await self.end()

    async def end(self) -> None:
        """End what is being shown."""
        if self.showing is not None:
            self.showing.cancel()
            await asyncio.gather(self.showing, return_exceptions=True)
            self.showing = None

    async def close(self) -> None:
        """End everything: the page has left."""
        if self.taking is not None:
            self.taking.cancel()
            await asyncio.gather(self.taking, return_exceptions=True)
        await self.end()


Session.ANSWERS = {"view": Session.view, "take": Session.take, "stop": Session.stop}


def settings(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message's settings."""
    values = message.get("values", {})
    if not isinstance(values, dict):
        raise ValueError(f"values={shown(values)} must be an object of settings")
    return values


def whole(message: dict[str, Any], name: str) -> int:
    """Return a whole number of a message."""
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2**53:
        raise ValueError(f"{name}={shown(value)} must be a whole number, 0 or more")
    return value
