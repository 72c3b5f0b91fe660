"""A visitor's session without a server: what is sent, when, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnlib import RunConfig
from book.chapter import Chapter, Choice, Job, Light, Meter, Scene, View
from book.controls import Control, Values, read
from book.figure import axis, figure, line
from book.registry import chapters
from live import session as sessions
from live.scheduler import ComputationError, Gone
from live.session import DRAFT_EVERY, Session, Shelf
from live.wire import unpack
from tests.scheduler import Inline, Puppet, Sharing, until

PATIENCE = 60

X = Control("x", "number", 1.0, "x", low=-10, high=10)
STEP = Control("step", "step", 9, "step", low=0, high=500)
CONFIG = RunConfig(depth=1, width=8, batch_size=8, record_every=1, validate_every=5)
OTHER = replace(CONFIG, seed=1)


def broken(values: Values) -> View:
    """Divide by what may be 0."""
    return View(text=f"{1 / values['x']:g}", meters=(Meter("m", "m", values["x"], 0, ""),))


def squared(x: float, seeds: int = 0) -> float:
    """Do what the pool does."""
    return x * x


def curves(values: Values, found: Mapping[str, Any]) -> View:
    """Draw what has been recorded so far."""
    there = {name: frame for name, frame in found.items() if frame is not None}
    lines = [line(frame["step"], frame["train_loss"][0], name) for name, frame in there.items()]
    drawn = figure(lines, "Loss", "It is drawn.", axis(0, 500), axis(0, 5))
    return View(
        {"frames": float(sum(len(frame["step"]) for frame in there.values()))},
        figures={"loss": drawn}, waiting="" if len(there) == len(found) else "still training",
        table={"step": np.arange(3)},
    )  # fmt: skip


def asked_of_pool(values: Values, found: Mapping[str, Any]) -> View:
    """Show what a job has returned."""
    square = found["square"]
    if square is None:
        return View({"square": 0.0}, waiting="soon")
    return View({"square": square}, f"{square:g}")


ASKS = Scene(
    "asks", "Asks", "How large is the square of 3?", (Choice("six", 6.0, "it grows"), Choice("nine", 9.0)),
    "square", reveal={"x": 3.0}, said="It is {square}.", because="Because.", but="But.",
)  # fmt: skip
CHAPTERS = {
    "broken": Chapter("broken", "Broken", "Does it divide?", controls=(X,), compute=broken),
    "slow": Chapter("slow", "Slow", "Is it slow?", controls=(X,), compute=broken, slow=True),
    "curves": Chapter(
        "curves", "Curves", "Does it fall?", controls=(STEP,), compute=curves, kept=("train_loss",),
        runs=lambda values: {"one": CONFIG},
    ),
    "two": Chapter(
        "two", "Two", "Which falls?", controls=(STEP,), compute=curves, kept=("train_loss",),
        runs=lambda values: {"one": CONFIG, "other": OTHER},
    ),
    "jobs": Chapter(
        "jobs", "Jobs", "How much?", controls=(X,), compute=asked_of_pool,
        scenes=(ASKS, Scene("free", "Free")), jobs=lambda values: {"square": Job(squared, (values["x"],))},
        script=lambda values: "print('x =', 1)\n",
    ),
    "drafts": Chapter(
        "drafts", "Drafts", "How soon?", controls=(X,),
        compute=lambda values, found: asked_of_pool(
            values, {"square": found["draft" if values["draft"] else "full"]}
        ),
        jobs=lambda values: (
            {"draft": Job(squared, (values["x"], 1), light=True)} if values["draft"]
            else {"full": Job(squared, (values["x"], 8))}
        ),
    ),
    "bad_settings": Chapter(
        "bad_settings", "Bad", "?", controls=(X,), compute=curves,
        runs=lambda values: {"one": RunConfig(depth=-1)},
    ),
}  # fmt: skip


class Page:
    """The page's side: what was sent, in order."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.news = asyncio.Event()
        self.gone = False

    async def receive(self, message: str | bytes) -> None:
        await asyncio.sleep(0)  # a socket takes its time
        if self.gone:
            raise Gone("the page has left")
        if isinstance(message, str):
            self.got.append(json.loads(message))
        else:
            header, arrays = unpack(message)
            self.got.append(header | {"data": arrays})
        self.news.set()

    async def next(self) -> dict[str, Any]:
        """Take the first message that hasn't been taken."""
        while not self.got:
            self.news.clear()
            await self.news.wait()
        return self.got.pop(0)

    async def file(self) -> dict[str, Any]:
        """Take a file's portions: its header, and its text."""
        header, content = {"kind": "file", "size": 1}, b""
        while header["kind"] == "file" and len(content) < header["size"]:
            header = await self.next()
            content += header.get("bytes", b"")
        return header | ({"text": gzip.decompress(content).decode()} if content else {})

    async def last(self) -> dict[str, Any]:
        """Take messages up to a view that doesn't grow any more."""
        while (message := await self.next()).get("growing"):
            pass
        return message


class Visit:
    """A session, its page, and questions to it."""

    def __init__(self, shelf: Shelf) -> None:
        self.page = Page()
        self.session = Session(shelf, self.page.receive)

    async def ask(self, chapter: str, values: Any = None, number: int = 1, **more: Any) -> None:
        message = {"kind": "view", "id": number, "chapter": chapter, "values": values or {}}
        await self.session.handle(json.dumps(message | more))


def played(scenario: Callable[..., Awaitable[None]], scheduler: Any = None, visits: int = 1) -> None:
    """Run a scenario with sessions over one shelf; afterwards nothing is left."""

    async def run() -> None:
        pool = scheduler or Inline()
        shelf = Shelf(pool)
        shelf.chapters = shelf.chapters | CHAPTERS
        here = [Visit(shelf) for _ in range(visits)]
        before = asyncio.all_tasks()
        await asyncio.wait_for(scenario(pool, *here), PATIENCE)
        for visit in here:
            await visit.session.close()
        for call in getattr(pool, "calls", ()):
            call[2].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        left = [task for task in asyncio.all_tasks() - before if not task.done()]
        assert not left and not getattr(pool, "viewers", ())

    asyncio.run(run())


async def settle() -> None:
    """Let everything happen that can happen by itself."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No view is held back: each piece of news is seen."""
    monkeypatch.setattr(sessions, "PATIENCE", 0.0)
    monkeypatch.setattr(sessions, "EVERY", 0.0)


@pytest.fixture
def failing() -> None:
    """Of a test that is about a mistake: there is one in the log."""


@pytest.fixture(autouse=True)
def _errors_are_in_the_log_where_a_test_is_about_them(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> Iterator[None]:
    yield
    said = [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING]
    assert bool(said) == ("failing" in request.fixturenames), said


# ---- views ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", chapters())
def test_every_chapter_has_a_view(name: str) -> None:
    async def scenario(pool: Inline, visit: Visit) -> None:
        await visit.ask(name, number=5)
        shown = await visit.page.last()
        assert (shown["kind"], shown["id"], shown["chapter"]) == ("view", 5, name), shown
        assert shown["figures"] and not shown["growing"] and not shown["waiting"] and not shown["problems"]
        assert "story" not in shown
        for _, shape, *_ in shown["arrays"]:
            assert all(shape)

    played(scenario, Sharing())


def test_settings_that_cannot_be_used_are_named_beside_the_view() -> None:
    async def scenario(pool: Inline, visit: Visit) -> None:
        await visit.ask("broken", {"x": 99, "y": 1})
        shown = await visit.page.next()
        assert shown["text"] == "1"
        assert shown["problems"] == [
            "x=99 is outside -10 to 10; 1.0 is used",
            "y is no setting of this page and is ignored",
        ]

    played(scenario)


@pytest.mark.parametrize(
    ("narrow", "seen"), [(True, True), (False, False), (1, False), ("yes", False), (None, False)]
)
def test_a_chapter_is_told_how_wide_it_is_drawn(narrow: Any, seen: bool) -> None:
    async def scenario(pool: Inline, visit: Visit) -> None:
        told: list[Any] = []

        def compute(values: Values) -> View:
            told.append(values["narrow"])
            return View()

        wide = replace(CHAPTERS["broken"], compute=compute)
        visit.session.shelf.chapters = visit.session.shelf.chapters | {"broken": wide}
        await visit.ask("broken", narrow=narrow)
        await visit.page.next()
        assert told == [seen]

    played(scenario)


@pytest.mark.parametrize(
    ("moves", "seen"), [("x", "x"), ("scene", ""), ("", ""), (["x"], ""), (None, ""), (7, "")]
)
def test_a_chapter_is_told_which_of_its_controls_moves(moves: Any, seen: str) -> None:
    async def scenario(pool: Inline, visit: Visit) -> None:
        told: list[Any] = []

        def compute(values: Values) -> View:
            told.append((values["draft"], values["moves"]))
            return View()

        moved = replace(CHAPTERS["broken"], compute=compute)
        visit.session.shelf.chapters = visit.session.shelf.chapters | {"broken": moved}
        await visit.ask("broken", draft=True, moves=moves)
        await visit.page.next()
        assert told == [(True, seen)]

    played(scenario)


@pytest.mark.parametrize("name", ["broken", "slow", "bad_settings"])
def test_a_view_that_fails_is_told_and_the_next_one_comes(
    name: str, failing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "chapters", lambda: CHAPTERS)

    async def scenario(pool: Inline, visit: Visit) -> None:
        await visit.ask(name, {"x": 0}, number=3)
        problem = await visit.page.next()
        assert (problem["kind"], problem["of"], problem["id"]) == ("problem", "view", 3)
        assert (
            problem["message"].endswith("Go back to the ones before.")
            and "division" not in problem["message"]
        )
        good = "broken" if name == "bad_settings" else name
        await visit.ask(good, {"x": 4}, number=4)
        assert ((await visit.page.last())["id"], visit.page.got) == (4, [])

    played(scenario)


def test_a_view_that_no_header_can_hold_is_told(failing: None) -> None:
    async def scenario(pool: Inline, visit: Visit) -> None:
        lost = replace(
            CHAPTERS["broken"], compute=lambda values: View(meters=(Meter("m", "m", float("nan"), 0, ""),))
        )
        visit.session.shelf.chapters = visit.session.shelf.chapters | {"broken": lost}
        await visit.ask("broken")
        assert (await visit.page.next())["of"] == "view"
        await visit.ask("home", number=2)
        assert (await visit.page.next())["id"] == 2

    played(scenario)


def test_lights_meters_and_notes_come_along() -> None:
    async def scenario(pool: Inline, visit: Visit) -> None:
        full = replace(
            CHAPTERS["broken"],
            compute=lambda values: View(
                lights=(Light("lamp", True, "on"),), meters=(Meter("share", "share", 0.5, 1, "half"),),
                notes={"lamp": "a note"},
            ),
        )  # fmt: skip
        visit.session.shelf.chapters = visit.session.shelf.chapters | {"broken": full}
        await visit.ask("broken")
        shown = await visit.page.next()
        assert shown["lights"] == [{"name": "lamp", "on": True, "text": "on", "level": "good"}]
        assert shown["meters"] == [
            {"name": "share", "title": "share", "value": 0.5, "expected": 1, "text": "half"}
        ]
        assert shown["notes"] == {"lamp": "a note"}

    played(scenario)


def test_a_slow_view_is_computed_in_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "chapters", lambda: CHAPTERS)

    async def scenario(pool: Inline, visit: Visit) -> None:
        await visit.ask("slow", {"x": 4})
        assert (await visit.page.last())["text"] == "0.25"
        ((function, (name, values, found)),) = pool.ran
        assert (function, name, values["x"], found) == (sessions.compute_view, "slow", 4, {})
        await visit.ask("broken", {"x": 4})
        await visit.page.last()
        assert len(pool.ran) == 1, "what is quick is computed here"

    played(scenario)


# ---- runs ----------------------------------------------------------------------------------------------


def frames_of(config: RunConfig, first: int, stop: int) -> Any:
    """Frames as the desk hands them out."""
    block = Inline().recorded(config, stop)
    return {name: array[first:] if name == "step" else array[:, first:] for name, array in block.items()}


def points(shown: dict[str, Any]) -> list[int]:
    """How many points each curve of a view has."""
    traces = shown["figures"]["loss"]["data"]
    return [len(shown["data"][str(trace["y"]["$"])]) for trace in traces]


def test_a_run_is_seen_growing_and_the_last_view_says_so(impatient: None) -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("curves", {"step": 9})
        empty = await visit.page.next()
        assert (empty["growing"], empty["waiting"], points(empty)) == (True, "still training", [])
        for first, stop in ((0, 1), (1, 4)):
            pool.give(CONFIG, frames_of(CONFIG, first, stop))
            shown = await visit.page.next()
            assert (shown["growing"], shown["waiting"], points(shown)) == (True, "", [stop])
        pool.give(CONFIG, frames_of(CONFIG, 4, 10))
        shown = await visit.page.last()
        assert points(shown) == [10] and not visit.page.got
        loss = Inline().recorded(CONFIG, 10)["train_loss"][0]
        np.testing.assert_array_equal(shown["data"]["1"], loss.astype("f4"))
        await settle()
        assert not pool.viewers and not visit.page.got, "what is complete is watched no longer"

    played(scenario, Puppet())


def test_only_what_is_kept_is_handed_to_the_chapter(impatient: None) -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        seen: list[set[str]] = []

        def compute(values: Values, found: Mapping[str, Any]) -> View:
            seen.append(set(found["one"] or ()))
            return View()

        nosy = replace(CHAPTERS["curves"], compute=compute)
        visit.session.shelf.chapters = visit.session.shelf.chapters | {"curves": nosy}
        await visit.ask("curves", {"step": 3})
        pool.give(CONFIG, frames_of(CONFIG, 0, 4))
        await visit.page.last()
        assert seen[-1] == {"step", "train_loss"}

    played(scenario, Puppet())


def test_views_are_not_sent_again_without_news(impatient: None) -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("curves", {"step": 9})
        await visit.page.next()
        await asyncio.sleep(0.05)
        assert not visit.page.got, "still nothing to see"
        pool.give(CONFIG, frames_of(CONFIG, 0, 4))
        assert points(await visit.page.next()) == [4]
        await asyncio.sleep(0.05)
        assert not visit.page.got

    played(scenario, Puppet())


def test_a_view_with_gaps_waits_for_what_may_come_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "PATIENCE", 1e6)
    monkeypatch.setattr(sessions, "EVERY", 0.0)

    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("two", {"step": 3})
        pool.give(CONFIG, frames_of(CONFIG, 0, 4))
        await settle()
        assert not visit.page.got
        pool.give(OTHER, frames_of(OTHER, 0, 2))
        shown = await visit.page.next()
        assert (points(shown), shown["growing"]) == ([4, 2], True)
        pool.give(OTHER, frames_of(OTHER, 2, 4))
        assert points(await visit.page.last()) == [4, 4]

    played(scenario, Puppet())


def test_after_a_while_a_view_with_gaps_is_better_than_none(impatient: None) -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        pool.give(CONFIG, frames_of(CONFIG, 0, 4))
        await visit.ask("two", {"step": 3})
        while not points(shown := await visit.page.next()):
            pass
        assert (points(shown), shown["waiting"], shown["growing"]) == ([4], "still training", True)

    played(scenario, Puppet())


def drafted(config: RunConfig) -> RunConfig:
    return replace(config, record_every=DRAFT_EVERY, validate_every=sessions.DRAFT_VALIDATE_EVERY)


def test_a_draft_has_every_tenth_step_and_comes_only_when_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "PATIENCE", 1e6)
    monkeypatch.setattr(sessions, "EVERY", 0.0)

    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("two", {"step": 45}, draft=True)
        await settle()
        assert {config for config, _ in pool.viewers} == {drafted(CONFIG), drafted(OTHER)}
        pool.give(drafted(CONFIG), frames_of(drafted(CONFIG), 0, 5))
        pool.give(drafted(OTHER), frames_of(drafted(OTHER), 0, 3))
        await settle()
        assert not visit.page.got, "half a curve would jump"
        pool.give(drafted(OTHER), frames_of(drafted(OTHER), 3, 5))
        shown = await visit.page.next()
        assert (points(shown), shown["growing"], visit.page.got) == ([5, 5], False, [])

    played(scenario, Puppet())


def test_a_draft_never_has_gaps_however_long_it_takes(impatient: None) -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("two", {"step": 45}, draft=True)
        pool.give(drafted(CONFIG), frames_of(drafted(CONFIG), 0, 5))
        await settle()
        await asyncio.sleep(0.05)
        assert not visit.page.got
        pool.give(drafted(OTHER), frames_of(drafted(OTHER), 0, 5))
        assert points(await visit.page.last()) == [5, 5]

    played(scenario, Puppet())


@pytest.mark.parametrize("then", ["curves", "home", "stop", "close"])
def test_a_new_question_ends_the_old_ones_watching(impatient: None, then: str) -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        calm = asyncio.all_tasks()
        await visit.ask("two", {"step": 300})
        pool.give(CONFIG, frames_of(CONFIG, 0, 4))
        await settle()
        assert len(pool.viewers) == 2
        if then == "stop":
            await visit.session.handle('{"kind": "stop"}')
        elif then == "close":
            await visit.session.close()
        else:
            await visit.ask(then, number=2)
        await settle()
        visit.page.got.clear()
        pool.give(CONFIG, frames_of(CONFIG, 4, 8))
        pool.give(OTHER, frames_of(OTHER, 0, 4))
        await settle()
        assert len(pool.viewers) == (then == "curves"), "of the old one nobody watches"
        assert all(message["id"] == 2 for message in visit.page.got)
        if then != "curves":
            assert asyncio.all_tasks() == calm

    played(scenario, Puppet())


def test_a_run_that_cannot_be_computed_is_told_and_the_other_is_left(impatient: None) -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("two", {"step": 9}, number=7)
        pool.give(CONFIG, ComputationError("the computation was broken off; try a smaller network"))
        while (message := await visit.page.next())["kind"] == "view":
            pass
        assert (message["kind"], message["of"], message["id"]) == ("problem", "view", 7)
        assert message["message"] == "the computation was broken off; try a smaller network"
        await settle()
        assert not pool.viewers

    played(scenario, Puppet())


# ---- jobs ----------------------------------------------------------------------------------------------


def test_a_job_is_done_once_for_all_sessions() -> None:
    async def scenario(pool: Puppet, first: Visit, second: Visit) -> None:
        await first.ask("jobs", {"scene": "free", "x": 3})
        await second.ask("jobs", {"scene": "free", "x": 3})
        await settle()
        ((function, arguments, future),) = pool.calls
        assert (function, arguments) == (squared, (3.0,))
        future.set_result(9.0)
        assert [(await visit.page.last())["text"] for visit in (first, second)] == ["9", "9"]
        await first.ask("jobs", {"scene": "free", "x": 3}, number=2)
        assert (await first.page.last())["text"] == "9" and len(pool.calls) == 1, "it is kept"
        await first.ask("jobs", {"scene": "free", "x": 4}, number=3)
        await settle()
        assert [arguments for _, arguments, _ in pool.calls] == [(3.0,), (4.0,)]

    played(scenario, Puppet(), visits=2)


def test_while_a_finger_moves_a_chapter_asks_for_its_light_jobs() -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("drafts", {"x": 3}, draft=True)
        await settle()
        assert ([arguments for _, arguments, _ in pool.calls], pool.heavy) == ([(3.0, 1)], [False])
        pool.calls[0][2].set_result(9.0)
        assert (await visit.page.last())["text"] == "9"
        await visit.ask("drafts", {"x": 3}, number=2)
        await settle()
        assert (pool.calls[1][1], pool.heavy[1]) == ((3.0, 8), True)

    played(scenario, Puppet())


def test_a_job_that_failed_is_tried_again() -> None:
    async def scenario(pool: Puppet, first: Visit, second: Visit) -> None:
        for visit in (first, second):
            await visit.ask("jobs", {"x": 3})
        await settle()
        pool.calls[0][2].set_exception(ComputationError("the server can't start its worker processes"))
        for visit in (first, second):
            problem = await visit.page.next()
            assert (problem["kind"], problem["of"]) == ("problem", "view")
            assert problem["message"] == "the server can't start its worker processes"
        await second.ask("jobs", {"x": 3}, number=2)
        await settle()
        assert len(pool.calls) == 2
        pool.calls[1][2].set_result(9.0)
        assert (await second.page.last())["text"] == "9"

    played(scenario, Puppet(), visits=2)


def test_a_job_that_broke_is_logged_and_told_in_our_words(
    failing: None, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("jobs", {"x": 3})
        await settle()
        pool.calls[0][2].set_exception(ZeroDivisionError("somewhere inside"))
        assert "inside" not in (await visit.page.next())["message"]
        assert "somewhere inside" in caplog.text

    played(scenario, Puppet())


def test_who_leaves_does_not_take_a_job_away_from_the_others() -> None:
    async def scenario(pool: Puppet, first: Visit, second: Visit) -> None:
        for visit in (first, second):
            await visit.ask("jobs", {"x": 3})
        await settle()
        await first.session.close()
        await settle()
        assert not pool.calls[0][2].cancelled()
        pool.calls[0][2].set_result(9.0)
        assert (await second.page.last())["text"] == "9"

    played(scenario, Puppet(), visits=2)


def test_only_so_many_results_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_RESULTS", 2)

    async def scenario(pool: Inline, visit: Visit) -> None:
        async def ask(x: float) -> None:
            await visit.ask("jobs", {"scene": "free", "x": x})
            assert (await visit.page.last())["text"] == f"{x * x:g}"

        for x in (1, 2, 1, 3, 1, 2):
            await ask(x)
        assert [arguments[0] for _, arguments in pool.ran] == [1, 2, 3, 2], (
            "the one asked for longest ago goes"
        )

    played(scenario)


# ---- stories -------------------------------------------------------------------------------------------


AT_ONCE = [name for name, chapter in chapters().items() if not (chapter.has_waits or chapter.slow)]
ASKING = [(name, scene.name) for name in AT_ONCE for scene in chapters()[name].scenes]


@pytest.mark.parametrize(("name", "asked"), ASKING)
def test_a_story_is_told_of_answered_scenes_only(name: str, asked: str) -> None:
    """Of a scene that asks, with each of its answers; of one that doesn't ask there is none."""
    chapter = chapters()[name]
    (scene,) = (scene for scene in chapter.scenes if scene.name == asked)

    async def scenario(pool: Inline, visit: Visit) -> None:
        async def story_of(values: Mapping[str, Any]) -> dict[str, Any] | None:
            await visit.ask(name, values)
            shown = await visit.page.next()
            assert shown["kind"] == "view" and not visit.page.got
            return shown.get("story")

        start = {"scene": asked, **scene.start}
        assert await story_of(start) is None
        stories = []
        for guess, choice in enumerate(scene.choices):
            story = await story_of(start | {"guesses": [[asked, guess]]})
            assert story is not None
            stories.append(story)
            assert set(story) == {"right", "credit", "because", "but", "said", "holds", "reveal"}
            assert story["credit"] == ("" if guess == story["right"] else choice.credit)
        if stories:
            assert len({story["right"] for story in stories}) == 1
            there = stories[0]["reveal"]
            assert read(chapter.table, there)[1] == []
            at_reveal = await story_of(there | {"guesses": [[asked, 0]]})
            assert at_reveal is not None and at_reveal["holds"]

    played(scenario)


def test_a_story_that_takes_time_follows_the_view() -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("jobs", {"scene": "asks", "guesses": "asks:0"}, number=4)
        await settle()
        pool.calls[0][2].set_result(1.0)
        view = await visit.page.last()
        assert (view["id"], "story" in view) == (4, False)
        await until(lambda: len(pool.calls) > 1)
        ((_, arguments, future),) = pool.calls[1:]
        assert arguments == (3.0,), "the reveal; what is shown at the start is known already"
        future.set_result(9.0)
        message = await visit.page.next()
        assert (message["kind"], message["id"], message["scene"]) == ("story", 4, "asks")
        story = message["story"]
        assert (story["right"], story["said"], story["credit"]) == (1, "It is 9.", "it grows")
        assert not story["holds"] and story["reveal"]["x"] == 3
        await visit.ask("jobs", {"scene": "asks", "guesses": "asks:1", "x": 3}, number=5)
        assert (await visit.page.last())["id"] == 5
        story = (await visit.page.next())["story"]
        assert (story["said"], story["holds"], story["credit"]) == ("It is 9.", True, "")
        assert len(pool.calls) == 2, "it was measured once"

    played(scenario, Puppet())


def test_an_open_questions_answer_is_measured_while_the_reader_thinks_and_not_told() -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("jobs", {"scene": "asks"})
        await settle()
        pool.calls[0][2].set_result(1.0)
        assert "story" not in await visit.page.last()
        await until(lambda: len(pool.calls) > 1)
        ahead = [arguments for _, arguments, _ in pool.calls]
        assert ahead == [(1.0,), (3.0,)] and not visit.page.got, "the reveal's job"
        await visit.ask("jobs", {"scene": "asks", "guesses": "asks:1", "x": 3}, number=2)
        pool.calls[1][2].set_result(9.0)
        assert (await visit.page.last())["text"] == "9"
        story = await visit.page.next()
        assert (story["kind"], story["story"]["right"]) == ("story", 1) and len(pool.calls) == 2

    played(scenario, Puppet())


def test_what_is_measured_ahead_fails_where_it_is_asked_for() -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("jobs", {"scene": "asks"})
        await settle()
        pool.calls[0][2].set_result(1.0)
        await visit.page.last()
        await settle()
        pool.calls[1][2].set_exception(ComputationError("a worker process was lost"))
        await settle()
        assert not visit.page.got

    played(scenario, Puppet())


# ---- files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_file_is_written_of_a_chapter(name: str) -> None:
    chapter = chapters()[name]

    async def scenario(pool: Inline, visit: Visit) -> None:
        await visit.ask(name, kind="take", what="csv", number=2)
        file = await visit.page.file()
        assert (file["kind"], file["id"]) == ("file", 2), file
        assert file["name"] == f"batchnorm-{name.replace('_', '-')}.csv"
        lines = file["text"].splitlines()
        assert lines[0] == f"# {chapter.question} From BatchNorm Lab"
        rows = list(csv.reader(line for line in lines if not line.startswith("#")))
        view = await visit.session.shelf.complete(chapter, read(chapter.table, {})[0])
        assert (
            rows[0] == list(view.table) and len(rows) > 1 and {len(row) for row in rows} == {len(view.table)}
        )
        await visit.ask(name, kind="take", what="python", number=3)
        file = await visit.page.file()
        assert file["name"].endswith(".py")
        compile(file["text"], "taken.py", "exec")

    played(scenario)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"what": "pdf"}, "what=pdf must be one of csv, python"),
        ({"what": None}, "what=None must be one of"),
        ({"what": ["csv"]}, "what=['csv'] must be one of"),
        ({"what": {"csv": 1}}, "what={'csv': 1} must be one of"),
        ({"what": "python"}, "this page has no script to take away; its numbers are in the CSV"),
        ({"chapter": "lab"}, "chapter=lab must be one of home, "),
        ({"chapter": None}, "chapter=None must be one of"),
        ({"values": {"x": 99}}, "x=99 is outside -10 to 10; 1.0 is used"),
        ({"values": {"y": 1}}, "y is no setting of this page and is ignored"),
        ({"values": []}, "values=[] must be an object of settings"),
        ({"id": None}, "id=None must be a whole number"),
    ],
)
def test_a_file_is_of_what_was_asked_for_or_there_is_none(message: dict[str, Any], words: str) -> None:
    async def scenario(pool: Inline, visit: Visit) -> None:
        fine = {"kind": "take", "id": 1, "chapter": "broken", "what": "csv", "values": {}}
        await visit.session.handle(json.dumps(fine | message))
        problem = await visit.page.next()
        assert (problem["kind"], problem["of"]) == ("problem", "take")
        assert problem["message"].startswith(words)
        await visit.session.handle(json.dumps(fine))
        assert (await visit.page.next())["kind"] == "file"

    played(scenario)


def test_one_file_at_a_time_and_views_go_on_meanwhile() -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("jobs", {"x": 3}, kind="take", what="csv", number=1)
        await settle()
        await visit.ask("jobs", {"x": 3}, kind="take", what="python", number=2)
        problem = await visit.page.next()
        assert (problem["id"], "one file at a time" in problem["message"]) == (2, True)
        await visit.ask("home", number=3)
        assert (await visit.page.next())["id"] == 3
        pool.calls[0][2].set_result(9.0)
        assert ((file := await visit.page.file())["kind"], file["id"]) == ("file", 1)
        await settle()
        await visit.ask("jobs", {"x": 3}, kind="take", what="python", number=4)
        assert (await visit.page.next())["name"] == "batchnorm-jobs.py"

    played(scenario, Puppet())


def test_a_file_that_cannot_be_computed_is_told() -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        await visit.ask("jobs", {"x": 3}, kind="take", what="csv", number=6)
        await settle()
        pool.calls[0][2].set_exception(ComputationError("the server is going away"))
        problem = await visit.page.next()
        assert (problem["of"], problem["id"], problem["message"]) == ("take", 6, "the server is going away")

    played(scenario, Puppet())


def test_a_file_that_failed_is_told_in_our_words(failing: None) -> None:
    async def scenario(pool: Inline, visit: Visit) -> None:
        await visit.ask("broken", {"x": 0}, kind="take", what="csv")
        problem = await visit.page.next()
        assert (problem["of"], problem["message"]) == ("take", "the file could not be written")
        await settle()
        await visit.ask("broken", {"x": 2}, kind="take", what="csv")
        assert (await visit.page.next())["kind"] == "file"

    played(scenario)


# ---- pages that leave ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("home", {}), ("curves", {}), ("jobs", {}), ("curves", {"draft": True}),
        ("jobs", {"values": {"scene": "asks", "guesses": "asks:0"}}),
        ("home", {"kind": "take", "what": "csv"}), ("jobs", {"kind": "take", "what": "csv"}),
        ("jobs", {"kind": "take", "what": "python"}),
    ],
)  # fmt: skip
def test_a_page_that_has_left_is_no_mistake(impatient: None, name: str, more: dict[str, Any]) -> None:
    async def scenario(pool: Puppet, visit: Visit) -> None:
        visit.page.gone = True
        await visit.ask(name, **more)
        for config in (CONFIG, drafted(CONFIG)):
            pool.give(config, frames_of(config, 0, 10))
        for _ in range(3):
            await settle()
            for *_, future in pool.calls:
                if not future.done():
                    future.set_result(2.0)
        assert not visit.page.got and not pool.viewers

    played(scenario, Puppet())


def test_a_page_that_leaves_before_a_refusal_ends_its_session() -> None:
    """There is nobody to tell: whoever serves the socket is told that."""

    async def scenario(pool: Inline, visit: Visit) -> None:
        visit.page.gone = True
        for text in ("nonsense", '{"kind": "view"}'):
            with pytest.raises(Gone):
                await visit.session.handle(text)

    played(scenario)


def test_recordings_are_watched_up_to_the_playhead_of_the_scene_that_is_shown() -> None:
    other = Control("iteration", "step", 3, "iteration", low=0, high=40)
    shown = [Scene("first", "First", controls=("iteration",)), Scene("second", "Second", controls=("step",))]
    shown.append(Scene("third", "Third", controls=("x",)))
    chapter = Chapter(
        "both", "Both", "Which?", controls=(other, X, STEP), compute=broken, scenes=tuple(shown)
    )
    at = [sessions.until(chapter, read(chapter.table, {"scene": one.name})[0]) for one in shown]
    assert at == [3, 9, 3], "where a scene has none, the chapter's first one"
    alone = replace(chapter, controls=(X,), scenes=())
    assert sessions.until(alone, read(alone.table, {})[0]) == 0
