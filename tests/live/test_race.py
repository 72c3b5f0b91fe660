"""The lab's side of a session without a server: what is told of a race, what an open question keeps back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import numpy as np
import pytest

from bnlib import RunConfig
from bnlib.experiments.found import found
from bnlib.training.recordings import Frame
from book.chapter import packed_figures
from book.race import panels, verdict
from book.race._scene import lab_scene
from book.race.asking import SKIPPED, UNANSWERED
from book.race.evidence import RACES, settings_of
from book.race.lanes import notes
from book.race.lanes import settings as words
from book.race.looks import looks
from book.race.scenes import OPENING, SCENES
from book.race.settings import DEFAULTS
from live import judge, worker
from live.judge import Race
from live.race import OPEN, LabSession
from live.scheduler import Gone
from live.track import Track
from live.wire import unpack
from tests.scheduler import Inline, Puppet, shared

PATIENCE = 60
SMALL = {"depth": 2, "width": 8, "batch_size": 8, "replicas": 2, "init_scale": 0.5}
UNTIL = 20
Message = dict[str, Any]


class Visitor:
    """A session, and what it has sent."""

    def __init__(self, scheduler: Inline | Puppet):
        self.got: list[Message] = []
        self.news = asyncio.Event()
        self.session = LabSession(shared(scheduler), self.take)

    async def take(self, message: str | bytes) -> None:
        """Keep a message, with its arrays by name."""
        header, arrays = (json.loads(message), {}) if isinstance(message, str) else unpack(message)
        self.got.append(header | {"arrays": arrays})
        self.news.set()

    async def tell(self, kind: str, **message: Any) -> None:
        """Send a message."""
        await self.session.handle(json.dumps({"kind": kind, "id": 1} | message))

    async def ask(self, kind: str, of: str = "", **message: Any) -> Message:
        """Send a message; return the first answer of its kind."""
        before = len(self.got)
        await self.tell(kind, **message)
        while True:
            for answer in self.got[before:]:
                if answer["kind"] in (of or kind, "problem"):
                    return answer
            self.news.clear()
            await self.news.wait()

    def rows(self) -> list[int]:
        """Return how many frames have come, lane by lane."""
        lanes = next(m for m in reversed(self.got) if m["kind"] == "lab")["lanes"]
        found = [0] * len(lanes)
        for message in self.got:
            if message["kind"] == "frames" and not message["ghost"]:
                found[message["lane"]] += len(message["arrays"]["rows"])
        return found

    async def frames(self, count: int) -> None:
        """Wait for so many frames of each lane."""
        while min(self.rows()) < count:
            self.news.clear()
            await self.news.wait()


def visit(scenario: Callable[[Visitor], Awaitable[None]], scheduler: Inline | Puppet | None = None) -> None:
    """Run ``scenario(visitor)`` and end the session."""

    async def run() -> None:
        visitor = Visitor(scheduler or Inline())
        await asyncio.wait_for(scenario(visitor), PATIENCE)
        await visitor.session.close()

    asyncio.run(run())


async def rest() -> None:
    """Let everything happen that can."""
    for _ in range(50):
        await asyncio.sleep(0)


def full(**settings: Any) -> Message:
    """Return all settings, where they differ from the lab's as given."""
    return DEFAULTS | {"step": 0} | settings


# ---- the header --------------------------------------------------------------------------------------


def test_a_race_is_described_before_its_frames() -> None:
    lanes = [["none", []], ["batch", [["lr", 0.5]]], ["batch", [["depth", 3]]]]

    async def scenario(visitor: Visitor) -> None:
        header = await visitor.ask("lab", values=SMALL | {"lanes": lanes, "step": 0}, until=3)
        values = full(**SMALL, lanes=(("none", ()), ("batch", (("lr", 0.5),)), ("batch", (("depth", 3),))))
        race = Race.of(values)
        told = [(lane["name"], lane["norm"], lane["depth"]) for lane in header["lanes"]]
        assert told == [(n, c.norm, c.depth) for n, c in zip(race.names, race.configs, strict=True)]
        ways = looks(["none", "batch", "batch"])
        assert [(lane["colour"], lane["dash"]) for lane in header["lanes"]] == [tuple(way) for way in ways]
        assert (header["scene"], header["open"], header["until"], header["heading"]) == ("", False, 0, "")
        assert header["measured"] == "Validation accuracy" and header["problems"] == []
        assert header["notes"] == notes(values) and len(header["notes"]) > 1
        assert header["settings"] == words(values) and "depth" in header["settings"]
        made, arrays = packed_figures(panels.described(values))
        assert header["panels"] == json.loads(json.dumps(made))
        assert {name: a.tobytes() for name, a in header["arrays"].items()} == {
            name: np.asarray(a).astype("<f4").tobytes() for name, a in arrays.items()
        }
        await visitor.frames(4)
        assert visitor.rows() == [4, 4, 4]

    visit(scenario)


def test_pictures_are_made_again_when_the_race_is_looked_at_in_another_way() -> None:
    async def scenario(visitor: Visitor) -> None:
        first = await visitor.ask("lab", values=SMALL | {"step": 0}, until=0)
        await visitor.frames(1)
        before = len(visitor.got)
        again = await visitor.ask("panels", values=SMALL | {"loss": "validation", "step": 0}, narrow=True)
        made, _ = packed_figures(panels.described(full(**SMALL, loss="validation"), narrow=True))
        assert again["panels"] == json.loads(json.dumps(made)) != first["panels"]
        await rest()
        assert [m["kind"] for m in visitor.got[before:] if m["kind"] != "cost"] == ["panels"], "nothing else"

    visit(scenario)


def test_a_lane_that_is_broken_is_named_and_the_others_race() -> None:
    async def scenario(visitor: Visitor) -> None:
        header = await visitor.ask(
            "lab", values=SMALL | {"lanes": "none,btach,batch~lr:2", "step": 0}, until=1
        )
        assert [lane["norm"] for lane in header["lanes"]] == ["none", "batch"]
        assert header["lanes"][1]["name"] == "batch norm (learning rate 2)"
        (problem,) = header["problems"]
        assert "btach" in problem and "lane 2" in problem
        await visitor.frames(2)

    visit(scenario)


def test_a_visitor_is_told_among_how_many_the_server_is_shared() -> None:
    class Busy(Inline):
        sharing = 80

        @property
        def waiting(self) -> int:
            return self.sharing

    busy = Busy()

    async def scenario(visitor: Visitor) -> None:
        await visitor.ask("lab", values=SMALL | {"step": 0}, until=2)
        for busy.sharing in (82, 40, 2):  # with two lanes here, 2 are no others
            await visitor.ask("verdict", step=1)
        told = [m["sharing"] for m in visitor.got if m["kind"] == "line"]
        assert told == [80, 40, 0], "a small change isn't worth a message"

    visit(scenario, busy)


def test_all_who_follow_a_link_are_sent_the_same_bytes() -> None:
    sent: list[list[str | bytes]] = [[], []]

    async def scenario() -> None:
        track = shared(Inline())
        sessions = []
        for messages in sent:

            async def send(message: str | bytes, to: list[str | bytes] = messages) -> None:
                to.append(message)

            sessions.append(LabSession(track, send))
        for session in sessions:
            await session.handle(json.dumps({"kind": "lab", "id": 1, "values": SMALL, "until": 5}))
            await rest()
        for session in sessions:
            await session.close()

    asyncio.run(scenario())
    first, second = ([m for m in messages if isinstance(m, bytes)] for messages in sent)
    assert len(first) == 3, "the answer, and two lanes"
    assert all(one is other for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("kind", ["lab", "panels"])
def test_nothing_is_made_for_a_page_that_has_left(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels, "described", None)  # would fail

    async def scenario() -> None:
        async def send(message: str | bytes) -> None:
            raise AssertionError(message)

        session = LabSession(shared(Puppet()), send, lambda: False)
        with pytest.raises(Gone):
            await session.handle(json.dumps({"kind": kind, "id": 1, "values": SMALL, "until": 5}))

    asyncio.run(scenario())


def test_a_race_that_is_too_heavy_is_refused_before_anything_is_computed() -> None:
    heavy = {"lanes": "none,batch", "network": "cnn", "depth": 20, "width": 128}
    heavy |= {"replicas": 8, "batch_size": 640}

    async def scenario(visitor: Visitor) -> None:
        answer = await visitor.ask("lab", values=heavy, until=0)
        refused = answer["refused"]
        assert "8 seeds" in refused["text"] and refused["label"]
        await rest()
        assert [m["kind"] for m in visitor.got] == ["lab"], "no frames, no costs"
        problem = await visitor.ask("verdict", step=0)
        assert problem["kind"] == "problem" and "no race" in problem["message"]
        for kind in ("take", "check"):
            problem = await visitor.ask(kind, values=heavy, step=0, picture="lab", what="csv")
            assert (problem["of"], problem["message"]) == (kind, refused["text"])
        again = await visitor.ask("lab", values=heavy | refused["fix"] | {"lanes": "batch"}, until=0)
        assert again["refused"] is None

    scheduler = Puppet()  # computes nothing
    visit(scenario, scheduler)


# ---- an open question --------------------------------------------------------------------------------


@pytest.fixture
def small_scene(monkeypatch: pytest.MonkeyPatch) -> str:
    """A scene that takes no time in the place of the opening one, with all its defaults but the step."""
    scene = lab_scene(
        OPENING, "Small", "Which leads?", group="Benefits", until=UNTIL, start=SMALL,
        because="The first gradients: {first_gradient_0:.3f} and {first_gradient_1:.3f}.",
        but="The lead is {lead:.1f}.", task="Try it.", read=(("Elsewhere", "training-lab?preset=deep"),),
        credits={0: "Right of no norm.", 1: "Right of batch norm.", -1: "Right of level."},
    )  # fmt: skip
    monkeypatch.setitem(SCENES, OPENING, scene)
    return OPENING


def asked(guess: int = UNANSWERED) -> Message:
    """Return the small scene's settings with an answer."""
    return SMALL | {"preset": OPENING, "guess": guess, "step": 0}


@pytest.mark.parametrize("way", ["lab", "until", "draft"])
def test_while_its_question_is_open_a_race_shows_step_0_and_no_more(small_scene: str, way: str) -> None:
    async def scenario(visitor: Visitor) -> None:
        changed = asked() | {"before": "lr:1"}
        first = 0 if way == "until" else 2000
        header = await visitor.ask("lab", values=changed, until=first, draft=way == "draft")
        assert (header["scene"], header["open"], header["until"]) == (small_scene, True, UNTIL)
        values = full(**changed | {"before": (("lr", 1.0),)})
        assert header["notes"] == notes(values, is_open=True) != notes(values)
        await visitor.frames(1)
        await visitor.tell("until", step=2000)
        await rest()
        assert visitor.rows() == [1, 1]
        assert sum(len(m["arrays"]["rows"]) for m in visitor.got if m.get("ghost")) <= 2
        said = await visitor.ask("verdict", step=UNTIL)
        kept = {"text", "because", "change", "read", "leader", "story", "experiment"}
        assert not any(said[name] for name in kept) and said["leader"] is None
        assert visitor.rows() == [1, 1], "and none for the sake of a verdict"

    scheduler = Inline()
    visit(scenario, scheduler)
    assert all(len(blocks[0]["step"]) == 1 for blocks in scheduler._blocks.values())


@pytest.mark.parametrize("guess", [0, 1, -1, SKIPPED])
def test_an_answer_or_a_skip_lets_the_race_go(small_scene: str, guess: int) -> None:
    async def scenario(visitor: Visitor) -> None:
        header = await visitor.ask("lab", values=asked(guess), until=5)
        assert (header["scene"], header["open"]) == (small_scene, False)
        await visitor.frames(6)
        await visitor.tell("until", step=9)
        await visitor.frames(10)
        assert (await visitor.ask("verdict", step=9))["text"]

    visit(scenario)


@pytest.mark.parametrize("kind", ["take", "check"])
def test_files_and_checks_of_an_open_question_are_refused(small_scene: str, kind: str) -> None:
    async def scenario(visitor: Visitor) -> None:
        how = {"picture": "lab", "what": "csv", "values": asked(), "step": 3}
        answer = await visitor.ask(kind, "file", **how)
        assert (answer["kind"], answer["of"], answer["message"]) == ("problem", kind, OPEN)
        if kind == "take":
            how = {"picture": "lab", "what": "csv", "values": asked(SKIPPED), "step": 3}
            assert (await visitor.ask(kind, "file", **how))["kind"] == "file"

    visit(scenario)


def test_an_address_that_asks_for_nothing_is_the_opening_scene_and_open() -> None:
    async def scenario(visitor: Visitor) -> None:
        header = await visitor.ask("lab", values={}, until=300)
        assert (header["scene"], header["open"]) == (OPENING, True)
        assert header["until"] == SCENES[OPENING].until
        await visitor.frames(1)
        await rest()
        assert visitor.rows() == [1, 1]

    visit(scenario)


def test_a_scene_whose_settings_were_changed_asks_nothing(small_scene: str) -> None:
    async def scenario(visitor: Visitor) -> None:
        header = await visitor.ask("lab", values=asked() | {"lr": 0.3}, until=3)
        assert (header["scene"], header["open"], header["until"]) == ("", False, 0)
        await visitor.frames(4)

    visit(scenario)


# ---- what an answer is told --------------------------------------------------------------------------


def measured(leader: int) -> dict[str, float]:
    """Return numbers of two lanes of which one leads."""
    names = ("accuracy", "first_gradient")
    by_lane = {f"{name}_{lane}": 10.0 * lane + 1 for name in names for lane in (0, 1)}
    return by_lane | {"leader": float(leader), "lead": 4.25}


@pytest.mark.parametrize("leader", [0, 1, -1])
@pytest.mark.parametrize("guess", [0, 1, -1, SKIPPED])
def test_a_story_says_who_leads_and_what_was_right(small_scene: str, leader: int, guess: int) -> None:
    race = Race.of(full(**asked(guess)))
    told = judge.story(race, measured(leader), UNTIL)
    assert told["right"] == {0: 0, 1: 1, -1: 2}[leader]
    credits = {0: "Right of no norm.", 1: "Right of batch norm.", -1: "Right of level."}
    assert told["credit"] == ("" if guess in (leader, SKIPPED) else credits[guess])
    assert told["said"] == "At step 20: no norm 1.0%, batch norm 11.0%."
    assert told["because"] == "The first gradients: 1.000 and 11.000." and told["but"] == "The lead is 4.2."
    assert (told["holds"], told["reveal"]) == (True, {"step": UNTIL})
    assert not judge.story(race, measured(leader), UNTIL + 1)["holds"]


@pytest.mark.parametrize("guess", [0, SKIPPED])
def test_the_story_comes_with_the_verdict_where_the_race_is_judged(small_scene: str, guess: int) -> None:
    async def scenario(visitor: Visitor) -> None:
        await visitor.ask("lab", values=asked(guess), until=UNTIL + 5)
        early = await visitor.ask("verdict", step=UNTIL - 1)
        assert early["text"] and early["because"] and early["story"] is None
        race = Race.of(full(**asked(guess)))
        recorded = [worker.extend(config, UNTIL + 1)[1] for config in race.configs]
        numbers = verdict.numbers(race.names, race.configs, recorded, UNTIL)
        for step in (UNTIL, UNTIL + 5):
            said = await visitor.ask("verdict", step=step)
            assert said["story"] == judge.story(race, numbers, step)
            assert said["read"] == [["Elsewhere", "training-lab?preset=deep"]]
        assert early["read"] != said["read"]

    visit(scenario)


# ---- experiments -------------------------------------------------------------------------------------


def of_experiment(name: str, number: int = 1) -> Message:
    """Return the settings of an experiment's race."""
    return settings_of(RACES[name, number][1]) | {"experiment": name, "race": number}


@pytest.mark.parametrize(("name", "number"), RACES)
def test_every_race_of_an_experiment_is_known_by_its_settings(name: str, number: int) -> None:
    values = of_experiment(name, number)
    experiment, declared = RACES[name, number]
    race = Race.of(values)
    assert (race.experiment, race.until) == (name, min(declared.steps, 2000))
    assert experiment.title in race.heading and f"judged at step {race.until}" in race.heading
    assert not race.open and not race.scene
    assert judge.evidence(race, race.until - 1) is None
    assert judge.evidence(race, race.until) == judge.evidence(race, race.until + 1) == found(name)
    changed = Race.of(values | {"lr": 0.0123})
    assert (changed.experiment, changed.heading, changed.until) == ("", "", 0)
    assert judge.evidence(changed, 2000) is None


@pytest.mark.parametrize("name", sorted({name for name, _ in RACES}))
def test_what_an_experiment_found_is_plain_json(name: str) -> None:
    what = found(name)
    assert what is not None and json.loads(json.dumps(what, allow_nan=False)) == what
    assert {"name", "title", "verdict", "rows", "notes", "contested", "caveat", "sources", "where"} <= set(
        what
    )


def test_an_experiment_is_judged_from_its_step_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said = judge.Said("It stands so.", 0, "Because.", "", ())

    async def nothing(track: Track, race: Race, step: int) -> list[Frame]:
        return []

    monkeypatch.setattr(Track, "course", nothing)
    monkeypatch.setattr(judge, "said", lambda *_: said)

    async def scenario(visitor: Visitor) -> None:
        header = await visitor.ask("lab", values=of_experiment("E6"), until=0)
        assert header["heading"].startswith("E6, Is it covariate shift?") and header["until"] == 400
        assert (await visitor.ask("verdict", step=399))["experiment"] is None
        assert (await visitor.ask("verdict", step=400))["experiment"] == found("E6")

    visit(scenario)


# ---- what is looked at -------------------------------------------------------------------------------


@pytest.mark.parametrize(("kept", "first"), [(0, 0), (7, 14), (31, 14)])
def test_what_the_store_has_dropped_is_not_computed_again_for_a_sentence(kept: int, first: int) -> None:
    asked_for: list[range] = []

    class Stripped(Inline):
        def first(self, config: RunConfig) -> int:
            return kept

        async def frames(self, config: RunConfig, numbers: range, names: Collection[str]) -> Frame:
            asked_for.append(numbers)
            return await super().frames(config, numbers, names)

    async def scenario(visitor: Visitor) -> None:
        await visitor.ask("lab", values=SMALL | {"step": 0}, until=0)
        said = await visitor.ask("verdict", step=33)
        assert said["text"].startswith("Step 33, validation accuracy at step 30") and said["because"]
        assert asked_for == [range(first, 34)] * 2

    visit(scenario, Stripped())


def test_a_verdict_that_fails_is_told_and_the_next_one_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    fails = [True]
    said = judge.said

    def once(*what: Any) -> judge.Said:
        if fails.pop() if fails else False:
            raise ZeroDivisionError
        return said(*what)

    monkeypatch.setattr(judge, "said", once)

    async def scenario(visitor: Visitor) -> None:
        await visitor.ask("lab", values=SMALL | {"step": 0}, until=0)
        failed = await visitor.ask("verdict", step=3)
        assert (failed["kind"], failed["of"]) == ("problem", "verdict") and failed["message"]
        assert (await visitor.ask("verdict", step=3))["kind"] == "verdict"

    visit(scenario)


# ---- costs -------------------------------------------------------------------------------------------


def test_costs_are_measured_while_no_lane_waits_for_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()
    monkeypatch.setattr(worker, "cost", lambda config: (1, 0.5))

    class Slow(Inline):
        async def watch(self, config: RunConfig, viewer: Any) -> Any:
            await gate.wait()
            async for blocks in super().watch(config, viewer):
                yield blocks

    async def scenario(visitor: Visitor) -> None:
        scheduler = visitor.session.shelf.scheduler
        await visitor.ask("lab", values=SMALL | {"step": 0}, until=5)
        await rest()
        assert scheduler.ran == [], "no lane has a frame yet"  # type: ignore[attr-defined]
        gate.set()
        await visitor.frames(6)
        await rest()
        costs = [m for m in visitor.got if m["kind"] == "cost"]
        assert [cost["lane"] for cost in costs] == [0, 1]
        assert visitor.got.index(costs[0]) > max(
            i for i, m in enumerate(visitor.got) if m["kind"] == "frames"
        )

    visit(scenario, Slow())
