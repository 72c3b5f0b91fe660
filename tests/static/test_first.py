"""First pictures: what is recorded of pages is what their sessions answer, and tells no answer beforehand."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from book.chapter import Chapter
from book.controls import read
from book.race.asking import is_open
from book.race.settings import LAB_CONTROLS
from book.registry import chapters, pages
from live.wire import unpack
from static import asks, recordings
from static.asks import Ask, groups
from static.fetch import BuildError
from static.first import (
    MOST,
    Recorder,
    Reply,
    Room,
    first_pictures,
    header_of,
    opened,
    packed,
    queries,
    recorded,
    unpacked,
)

LAB = pages()["training_lab"]
QUICK = "one_batch"


def openings_of(name: str) -> dict[str, Any]:
    page = pages()[name]
    return {urlencode(query): opened(page, query) for query in queries(page)}


def asked_of(name: str) -> list[list[Ask]]:
    openings = {query: one["opening"] for query, one in openings_of(name).items()}
    return list(groups(pages()[name], openings))


def answered(ask: Ask) -> list[Reply]:
    return asyncio.run(Recorder().answer(ask))


def parts_of(reply: dict[str, Any], body: bytes) -> list[str | bytes]:
    found: list[str | bytes] = []
    for start, length, kind in reply["parts"]:
        part = body[start : start + length]
        found.append(part.decode() if kind == "text" else part)
    return found


# ---- the published files ---------------------------------------------------------------------------------


def test_every_page_has_its_first_pictures(dist: Path) -> None:
    version = json.loads((dist / "build.json").read_text())["version"]
    for name, page in pages().items():
        content = (dist / version / "first" / f"{name}.bin").read_bytes()
        assert len(content) < 1.1 * MOST
        openings, replies, body = unpacked(content)
        assert list(openings) == [urlencode(query) for query in queries(page)]
        assert openings[""]["opening"]["title"] == page.question
        first, *_ = asked_of(name)
        known = [reply["ask"] for reply in replies]
        assert all(ask.message in known for ask in first)
        assert sum(len(part) for reply in replies for part in parts_of(reply, body)) > 1000


def test_what_is_published_is_what_the_session_answers_now(dist: Path) -> None:
    version = json.loads((dist / "build.json").read_text())["version"]
    published = dist / version / "first"
    assert (published / f"{QUICK}.bin").read_bytes() == asyncio.run(
        first_pictures(pages()[QUICK], Recorder())
    )
    openings, replies, body = unpacked((published / f"{LAB.name}.bin").read_bytes())
    assert openings[""] == opened(LAB, {})
    known = {json.dumps(reply["ask"]): reply for reply in replies if "of" not in reply}
    first, played, *_ = asked_of(LAB.name)
    for ask in (*first, played[-1]):
        race, *verdicts = answered(ask)
        kept = known[json.dumps(ask.message)]
        assert parts_of(kept, body) == race.parts and kept["reached"] == race.reached
        told = [one for one in replies if one.get("of") == replies.index(kept)]
        assert [one["ask"] for one in told] == [verdict.ask for verdict in verdicts]
        assert [parts_of(one, body) for one in told] == [verdict.parts for verdict in verdicts]


# ---- what is asked ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", pages())
def test_every_scene_is_asked_for_at_both_widths(name: str) -> None:
    """A browser is listened to in tests/browser/test_first_pictures.py."""
    page, every = pages()[name], [ask for group in asked_of(name) for ask in group]
    scene = "scene" if isinstance(page, Chapter) else "preset"
    for one in page.scenes:
        found = [ask.message for ask in every if ask.message["values"][scene] == one.name]
        assert {message["narrow"] for message in found} == {False, True}
        assert all(message["draft"] is False for message in found)
    assert {ask.message["kind"] for ask in every} == {"view" if isinstance(page, Chapter) else "lab"}


@pytest.mark.parametrize("name", [name for name, chapter in chapters().items() if chapter.scenes])
def test_an_untouched_scene_begins_at_its_start(name: str) -> None:
    chapter, found = chapters()[name], openings_of(name)
    for scene in chapter.scenes:
        values, problems = read(chapter.table, asks.entered(found[f"scene={scene.name}"]["opening"]))
        assert not problems and values == chapter.settings(scene, {})


@pytest.mark.parametrize("name", chapters())
def test_questions_are_asked_open_and_the_first_one_with_each_answer(name: str) -> None:
    chapter = chapters()[name]
    found: dict[str, list[Any]] = {scene.name: [] for scene in chapter.scenes}
    for ask in (ask for group in asked_of(name) for ask in group if chapter.scenes):
        values, problems = read(chapter.table, ask.message["values"])
        assert not problems and ask.predicted == bool(values["guesses"])
        found[values["scene"]].append((ask.message["narrow"], values["guesses"]))
    for place, scene in enumerate(chapter.scenes):
        choices = range(len(scene.choices) if place == 0 else 0)
        guesses = [(), *(((scene.name, choice),) for choice in choices)]
        expected = [(narrow, guess) for narrow in (False, True) for guess in guesses]
        assert sorted({*found[scene.name]}) == sorted(expected), scene.name


def test_sliders_move_where_no_question_is_open() -> None:
    free = [
        name for name, chapter in chapters().items() if not chapter.scenes or not chapter.scenes[0].choices
    ]
    assert free
    for name in free:
        bare, *others = asked_of(name)
        start = bare[0].message["values"]
        for control in chapters()[name].controls:
            if control.kind in ("number", "whole") and control.stops:
                (moved,) = [
                    group
                    for group in others
                    if len({repr(a.message["values"][control.name]) for a in group}) > 1
                    and {n for a in group for n in start if a.message["values"][n] != start[n]}
                    == {control.name}
                ]
                assert [ask.message["values"][control.name] for ask in moved[::2]] == list(control.stops)


def test_a_race_can_be_played_whatever_was_answered() -> None:
    bare, played, *others = asked_of(LAB.name)
    values, _ = read(LAB_CONTROLS, bare[0].message["values"])
    assert is_open(values) and values["preset"] == "opening" and values["step"] == 0
    guesses = [ask.message["values"]["guess"] for ask in played[::2]]
    assert guesses == [0, 1, -1, -3]
    assert {ask.further for ask in played} == {asks.AHEAD}
    assert not any(ask.further for group in (bare, *others) for ask in group)


# ---- what is answered ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["home", QUICK, "placement"])
def test_a_view_is_recorded_once_it_is_complete(name: str) -> None:
    for ask in asked_of(name)[0]:
        (reply,) = answered(ask)
        (part,) = reply.parts
        header, _ = unpack(bytes(part))  # type: ignore[arg-type]
        assert header["kind"] == "view" and not header["growing"] and header["id"] == 0
        assert "story" not in header and not header["problems"] and not header["waiting"]


@pytest.mark.parametrize("name", [QUICK, "inference"])
def test_after_each_answer_the_reveal_is_recorded(name: str) -> None:
    """In a chapter that says at once what was measured, and in one that says it later."""
    chapter = chapters()[name]
    asked = [ask for group in asked_of(name) for ask in group if ask.predicted]
    credits = set()
    for ask in asked:
        before, after = answered(ask)
        assert header_of(before.parts[0])["kind"] == header_of(after.parts[0])["kind"] == "view"
        story = header_of(before.parts[-1])["story"]
        assert after.ask["values"] == ask.message["values"] | story["reveal"]
        credits.add(header_of(after.parts[-1])["story"]["credit"])
    assert len(credits) == len(chapter.scenes[0].choices), "each answer has words of its own"


def test_an_open_race_shows_its_start_and_no_verdict() -> None:
    (race,) = answered(asked_of(LAB.name)[0][0])
    kinds = [header_of(part)["kind"] for part in race.parts]
    assert kinds == ["lab", "frames", "frames"] and race.reached == 0
    assert header_of(race.parts[0])["open"]


def test_a_played_race_has_its_verdicts() -> None:
    race, *verdicts = answered(asked_of(LAB.name)[1][0])
    header, *blocks = [header_of(part) for part in race.parts]
    assert not header["open"] and race.reached == asks.AHEAD
    assert all(dict(block["arrays"])["rows"][0] == asks.AHEAD + 1 for block in blocks)
    steps = [verdict.ask["step"] for verdict in verdicts]
    assert steps == list(range(0, asks.AHEAD + 1, header["validate_every"]))
    for verdict in verdicts:
        (told,) = (json.loads(part) for part in verdict.parts)
        assert (
            verdict.of is race and told["step"] == verdict.ask["step"] and told["text"] and not told["story"]
        )


def test_a_problem_ends_the_build() -> None:
    with pytest.raises(BuildError, match="chapter=“?nowhere|nowhere"):
        answered(Ask({"kind": "view", "chapter": "nowhere", "values": {}, "narrow": False, "draft": False}))


# ---- the file --------------------------------------------------------------------------------------------


def opening_with(**parts: Any) -> dict[str, Any]:
    return {"values": {}, "opening": {"title": "t", **parts}, "beside": {"code": [], "open": True}}


def test_a_file_gives_back_what_was_packed_once() -> None:
    race = Reply({"kind": "lab", "values": {"a": 1.0}}, [b"lab0", b"frames00"], reached=7)
    again = Reply({"kind": "lab", "values": {"a": 2.0}}, [b"lab0", b"frames00"], reached=7)
    verdict = Reply({"kind": "verdict", "step": 5}, ["Σ"], of=again)
    openings = {"": opening_with(a=1, b=2), "x=1": opening_with(a=1, b=3, c=4)}
    content = packed(openings, [race, again, verdict])
    assert content[:2] == bytes([0x1F, 0x8B]) and content == packed(openings, [race, again, verdict])
    found, replies, body = unpacked(content)
    assert found == openings
    assert [reply["ask"] for reply in replies] == [race.ask, again.ask, verdict.ask]
    assert [parts_of(reply, body) for reply in replies] == [race.parts, again.parts, verdict.parts]
    assert body == b"lab0frames00" + "Σ".encode()
    assert [reply.get("reached") for reply in replies] == [7, 7, None]
    assert [reply.get("of") for reply in replies] == [None, None, 1]


def test_long_code_is_left_for_later() -> None:
    code = {"beside": {"code": [{"what": "w", "source": "s"}], "open": False}}
    openings = {"": opening_with() | code, "x=1": opening_with(c=1), "x=2": opening_with() | code}
    openings["x=3"] = openings["x=1"] | {"beside": {"code": [{"what": "v", "source": "s"}], "open": False}}
    found, _, _ = unpacked(packed(openings, []))
    assert found["x=1"] == openings["x=1"] and found["x=2"] == openings["x=2"]
    assert found["x=3"] == openings["x=1"] | {"beside": None}


def test_there_is_room_for_so_much_and_for_what_is_there_already() -> None:
    room = Room(100)
    room.take([bytes(range(90))])
    assert not room.full
    other = room.copy()
    other.take([bytes(range(90)), bytes(range(90))])
    assert not other.full
    other.take([bytes(range(90, 180))])
    assert other.full and not room.full


def test_a_group_is_in_it_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("static.first.MOST", 6000)
    openings = openings_of(QUICK)
    replies = asyncio.run(recorded(pages()[QUICK], openings, Recorder()))
    listed = [reply.ask for reply in replies]
    first, *others = asked_of(QUICK)
    assert all(ask.message in listed for ask in first)
    there = [[ask.message in listed for ask in group] for group in others]
    assert all(all(group) or not any(group) for group in there)
    assert any(map(all, there)) and not all(map(all, there))


# ---- kept recordings -------------------------------------------------------------------------------------


def test_a_recording_is_of_its_own_page_and_what_all_share(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    before = {name: recordings.key(root, page) for name, page in pages().items()}
    assert len(set(before.values())) == len(before)

    def changed(path: Path) -> set[str]:
        text = path.read_bytes()
        real = Path.read_bytes
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda self: text + b" " if self == path else real(self))
            return {name for name, page in pages().items() if recordings.key(root, page) != before[name]}

    assert changed(root / "pages" / "_gradients_depth.py") == {"gradients", "home"}
    assert changed(root / "bnlib" / "norms" / "core.py") == set(before)
    assert changed(root / "static" / "asks.py") == set(before)
    assert changed(root / "static" / "document.py") == set()
