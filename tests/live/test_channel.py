"""The channel of a real server, by way of a real socket."""

import asyncio
import itertools
import json
import math
import signal
import socket
import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bnlib import advance, start
from bnlib.data import load
from bnlib.training.recordings import HISTOGRAM_EDGES
from book.chapter import packed_figures
from book.race.frames import CURVE_COLUMNS
from book.race.frames import layout as row_layout
from book.race.lanes import ghost_of, lane_configs, lane_names
from book.race.settings import LAB_CONTROLS, LAB_STEPS
from book.registry import chapters
from live import judge, messages, worker
from live.channel import BURST, MESSAGES_PER_SECOND, Channel
from live.judge import Race
from tests.scheduler import ThreadDesk

SETTINGS = {"depth": 2, "width": 8, "batch_size": 8, "replicas": 2, "lanes": "none,batch"}
ROUND = itertools.count(1000)


@pytest.fixture
def settings():
    """Settings that no other test uses, so that nothing of theirs is kept already."""
    return SETTINGS | {"seed": next(ROUND)}


def values_of(settings):
    values, problems = messages.read(LAB_CONTROLS, settings)
    assert problems == []
    return values


def configs_of(settings):
    return lane_configs(values_of(settings))


def rows_here(config, step):
    """What must arrive, computed in this process."""
    _, block = worker.extend(config, step + 1)
    return block["picture"][0]


def race(client, settings, until, number=1, **more):
    """Ask for a race; its header."""
    header, _ = client.ask({"kind": "lab", "id": number, "values": settings, "until": until, **more})
    assert (header["kind"], header["id"]) == ("lab", number)
    return header


def frames(client, header, until, got=None):
    """Rows per lane as they come, until every lane has reached step ``until``."""
    every, got = header["every"], got or [[] for _ in header["lanes"]]
    while any(sum(map(len, lane)) <= until // every for lane in got):
        message, arrays = client.receive()
        assert (message["kind"], message["ghost"]) == ("frames", False), message
        got[message["lane"]].append(arrays["rows"])
    return got


def ghosts_too(client, header, until):
    """Lanes and ghosts up to step ``until``: rows, surfaces and their steps by (lane, whether a ghost)."""
    got = {(lane, False): ([], [], []) for lane in range(len(header["lanes"]))}
    got |= {(lane, True): ([], [], []) for lane in header["ghosts"]}
    while any(sum(map(len, rows)) <= until // header["every"] for rows, _, _ in got.values()):
        message, arrays = client.receive()
        rows, surfaces, steps = got[message["lane"], message["ghost"]]
        rows.append(arrays["rows"])
        surfaces.extend(arrays.get("surfaces", ()))
        steps.extend(message.get("surface_steps", ()))
    return {which: (np.concatenate(rows), surfaces, steps) for which, (rows, surfaces, steps) in got.items()}


def check(got, configs, until):
    for lane, config in zip(got, configs, strict=True):
        rows = np.concatenate(lane)
        assert rows.tobytes() == rows_here(config, until).tobytes()


def still(server):
    """Steps computed so far, once nothing is under way."""
    before = None
    while before != (before := server.health()["computed_steps"]):
        time.sleep(0.4)
    return before


def view(number=1, values=None, chapter="home", **more):
    """A quick question: a batch is on the screen at once."""
    return {"kind": "view", "id": number, "chapter": chapter, "values": values or {}} | more


# --- answers are what bnlib computes --------------------------------------------------------------------


@pytest.mark.parametrize("chapter", ["home", "one_batch"])
def test_a_view_is_what_its_chapter_computes(client, chapter):
    table = chapters()[chapter].table
    for number, settings in enumerate([{}, {"batch_size": 5, "moved": [[1, 2.5], [4, -1e6]], "gamma": -2}]):
        for narrow in (False, True):
            header, arrays = client.ask(view(number, settings, chapter, narrow=narrow))
            assert (header["kind"], header["id"], header["chapter"]) == ("view", number, chapter)
            assert (header["problems"], header["growing"], header["waiting"]) == ([], False, "")
            expected = chapters()[chapter].view(messages.read(table, settings)[0] | {"narrow": narrow})
            figures, here = packed_figures(expected.figures)
            assert header["figures"] == json.loads(json.dumps(figures))
            assert header["text"] == expected.text and header["notes"] == dict(expected.notes)
            described = [equation.describe() for equation in expected.equations]
            assert header["equations"] == json.loads(json.dumps(described))
            for name in ("lights", "meters"):
                rows = [row._asdict() for row in getattr(expected, name)]
                assert header[name] == json.loads(json.dumps(rows))
            assert {name: array.tobytes() for name, array in arrays.items()} == {
                name: (array if array.dtype == np.uint8 else array.astype("<f4")).tobytes()
                for name, array in here.items()
            }


def test_an_answered_scene_comes_with_its_story_and_an_open_one_without(client):
    asked = next(scene for scene in chapters()["one_batch"].scenes if scene.choices)
    header, _ = client.ask(view(1, {"scene": asked.name}, "one_batch"))
    assert "story" not in header
    header, _ = client.ask(view(2, {"scene": asked.name, "guesses": f"{asked.name}:0"}, "one_batch"))
    assert header["story"]["because"] and header["story"]["right"] in range(len(asked.choices))


def test_a_race_is_what_bnlib_computes_in_order(client, settings):
    header = race(client, settings, until=40)
    configs = configs_of(settings)
    assert [(lane["norm"], lane["name"], lane["depth"]) for lane in header["lanes"]] == [
        ("none", "no norm", 2),
        ("batch", "batch norm", 2),
    ]
    assert (header["problems"], header["ghosts"]) == ([], [])
    assert (header["every"], header["validate_every"], header["network"]) == (1, 5, "mlp")
    assert "surface" not in header["panels"], "digits have no plane to draw"
    check(frames(client, header, 40), configs, 40)


def test_lanes_of_another_shape_have_a_layout_of_their_own(client, settings):
    settings = settings | {"lanes": "none,batch~depth:4,batch~width:16~batch_size:4"}
    header = race(client, settings, until=12)
    configs = configs_of(settings)
    assert [lane["depth"] for lane in header["lanes"]] == [2, 4, 2]
    assert [lane["name"] for lane in header["lanes"]] == lane_names(values_of(settings))
    got = frames(client, header, 12)
    for lane, config, rows in zip(header["lanes"], configs, got, strict=True):
        layout = row_layout(config, len(HISTOGRAM_EDGES) - 1)
        assert lane["layout"] == json.loads(json.dumps(layout))
        assert {block.shape[1] for block in rows} == {sum(math.prod(shape) for _, shape in layout)}
    check(got, configs, 12)


def test_going_on(client, settings):
    header = race(client, settings, until=10)
    got = frames(client, header, 10)
    client.send({"kind": "until", "id": 1, "step": 60})
    check(frames(client, header, 60, got), configs_of(settings), 60)


def test_a_draft_has_every_tenth_frame(client, settings):
    header = race(client, settings, until=45, draft=True)
    assert header["every"] == 10
    got = frames(client, header, 45)
    for lane, config in zip(got, configs_of(settings), strict=True):
        drafted = rows_here(config, 45)[::10].copy()
        drafted[1::2, 5:CURVE_COLUMNS] = np.nan  # of the curves, only the training loss every time
        assert np.concatenate(lane).tobytes() == drafted.tobytes()


def test_changes_in_mid_run_branch_and_the_old_race_stays_as_a_ghost(client, settings):
    edited = settings | {"edits": [[10, "lr", 0.7], [20, "batch_size", 3]]}
    header = race(client, edited, until=40)
    assert header["ghosts"] == [0, 1] and header["problems"] == []
    got = ghosts_too(client, header, 40)
    first_edit_only = configs_of(settings | {"edits": [[10, "lr", 0.7]]})
    for lane, (config, base) in enumerate(zip(configs_of(edited), first_edit_only, strict=True)):
        rows, ghost = got[lane, False][0], got[lane, True][0]
        assert rows.tobytes() == rows_here(config, 40).tobytes()
        assert ghost.tobytes() == rows_here(base, 40)[:, :CURVE_COLUMNS].tobytes()
        curves = rows[:, :CURVE_COLUMNS]
        assert curves[:20].tobytes() == ghost[:20].tobytes() and curves[20:].tobytes() != ghost[20:].tobytes()


def test_a_ghost_that_is_no_other_is_left_out(client, settings):
    settings = settings | {"lanes": "none,batch~lr:0.5,rms", "lr": 0.2, "before": "lr:0.1"}
    header = race(client, settings, until=20)
    assert header["ghosts"] == [0, 2]
    got = ghosts_too(client, header, 20)
    ghosts = lane_configs(ghost_of(values_of(settings)))
    assert [config.lr for config in ghosts] == [0.1, 0.5, 0.1]
    for lane in header["ghosts"]:
        expected = rows_here(ghosts[lane], 20)[:, :CURVE_COLUMNS]
        assert got[lane, True][0].tobytes() == expected.tobytes()
    check([[got[lane, False][0]] for lane in range(3)], configs_of(settings), 20)
    assert race(client, settings | {"before": "lr:0.2"}, until=0, number=2)["ghosts"] == []


@pytest.mark.parametrize("more", [{"draft": True}, {"ghost": "off"}], ids=["draft", "off"])
def test_drafts_have_no_ghosts(client, settings, more):
    changed = settings | {"lr": 0.2, "before": "lr:0.1"}
    header = race(
        client, changed | {k: v for k, v in more.items() if k != "draft"}, 25, draft="draft" in more
    )
    assert header["ghosts"] == []
    frames(client, header, 25)  # which fails on a ghost's


@pytest.mark.parametrize("dataset", ["spirals", "xor"])
def test_plane_data_come_with_their_points_and_decision_surfaces(client, settings, dataset):
    settings = settings | {"dataset": dataset, "data_noise": 0.25, "before": "lr:0.5"}
    header, arrays = client.ask({"kind": "lab", "id": 1, "values": settings, "until": 31})
    sent = {array.tobytes() for array in arrays.values()}
    data = load(dataset, 0.25)
    some = next(
        n
        for n in range(50, 1000)
        if data.x_train[:n][data.y_train[:n] == 0, 0].astype("f4").tobytes() in sent
    )
    assert "surface" in header["panels"] and some >= 50, "samples of the first class"
    got = ghosts_too(client, header, 31)
    for lane, config in enumerate(configs_of(settings)):
        rows, surfaces, steps = got[lane, False]
        validated = range(0, len(rows), config.validate_every)
        assert steps == list(validated) and len(steps) >= 7
        recorded = advance(start(config), len(rows)).history["decision_surface"][0, validated]
        np.testing.assert_array_equal(np.stack(surfaces), recorded.astype(np.float16))
        assert got[lane, True][1] == [], "of a ghost the curves are enough"


def test_a_gan_comes_with_its_samples_and_without_a_surface(client, settings):
    settings = settings | {"network": "gan", "lanes": "none,spectral", "data_noise": 0.03, "before": "lr:0.5"}
    header, arrays = client.ask({"kind": "lab", "id": 1, "values": settings, "until": 0})
    assert (header["network"], header["ghosts"]) == ("gan", [0, 1])
    assert header["measured"] == "Samples near a Gaussian"
    assert header["panels"]["surface"]["title"] == "Generated samples"
    configs = configs_of(settings)
    got = [([], [], []) for _ in configs]
    until = iter((4, 5, 16))  # of what comes between the first two, nothing is validated
    ghosts = [0, 0]
    while any(sum(map(len, rows)) < 17 for rows, _, _ in got):
        message, arrays = client.receive()
        if message["ghost"]:
            assert set(arrays) == {"rows"} and arrays["rows"].shape[1] == CURVE_COLUMNS
            ghosts[message["lane"]] += len(arrays["rows"])
        else:
            assert set(arrays) == {"rows", "clouds"} and "surface_steps" not in message
            assert arrays["clouds"].shape == (len(message["cloud_steps"]), 2 * 256)
            for list_of, news in zip(
                got[message["lane"]], (arrays["rows"], arrays["clouds"], message["cloud_steps"]), strict=True
            ):
                list_of.append(news)
        counts = {sum(map(len, rows)) for rows, _, _ in got} | set(ghosts)
        if len(counts) == 1 and counts < {1, 5, 6}:
            client.send({"kind": "until", "id": 1, "step": next(until)})
    check([rows for rows, _, _ in got], configs, 16)
    for config, (_, clouds, steps) in zip(configs, got, strict=True):
        assert [step for some in steps for step in some] == [0, 5, 10, 15]
        assert any(not some for some in steps), "a block without a validated step"
        samples = advance(start(config), 17).history["samples"][0, ::5]
        expected = samples.astype(np.float16).reshape(4, -1)
        np.testing.assert_array_equal(np.concatenate(clouds), expected)


def test_a_new_race_replaces_the_old_one(client, settings):
    race(client, settings | {"seed": 1}, until=2000, number=1)
    client.send({"kind": "lab", "id": 2, "values": settings, "until": 20})
    while (header := client.receive()[0])["kind"] == "frames":
        pass
    assert (header["kind"], header["id"]) == ("lab", 2)
    check(frames(client, header, 20), configs_of(settings), 20)


def said_here(settings, step):
    """What a verdict says, computed in this process from all that is recorded."""
    race = Race.of(values_of(settings))
    recorded = [worker.extend(config, step + 1)[1] for config in race.configs]
    ghosts = {lane: worker.extend(config, step + 1)[1] for lane, config in race.ghosts.items()}
    return json.loads(json.dumps(judge.said(race, recorded, ghosts, step)._asdict()))


def test_the_verdict_is_computed_from_the_same_frames(client, settings):
    race(client, settings, until=0)
    client.send({"kind": "verdict", "id": 4, "step": 33})
    while (message := client.receive()[0])["kind"] != "verdict":
        pass
    expected = said_here(settings, 33)
    assert message == {"kind": "verdict", "id": 4, "step": 33, "story": None, "experiment": None} | expected
    assert "batch norm" in message["text"] and message["because"]


def test_the_verdict_tells_of_the_ghost(client, settings):
    settings = settings | {"lanes": "none~eps:0.5,batch,batch~lr:1", "edits": "7:eps:0.5"}
    header = race(client, settings, until=33)
    assert header["ghosts"] == [1, 2], "the first lane keeps its own eps"
    ghosts_too(client, header, 33)
    message, _ = client.ask({"kind": "verdict", "id": 1, "step": 33})
    assert {name: message[name] for name in judge.Said._fields} == said_here(settings, 33)
    assert "The ghost: " in message["text"]
    frames(client, race(client, settings | {"ghost": "off"}, until=33, number=2), 33)
    message, _ = client.ask({"kind": "verdict", "id": 2, "step": 33})
    assert message["text"] == said_here(settings | {"ghost": "off"}, 33)["text"]
    assert "The ghost: " not in message["text"]


def test_problems_of_settings_come_with_the_answer(client):
    header, _ = client.ask(view(1, {"batch_size": -3, "gamma": 2}))
    assert header["problems"] == ["batch_size=-3 is outside 1 to 256; 32 is used"]


# --- one computation ------------------------------------------------------------------------------------


def test_two_readers_of_one_race_cause_one_computation(server, settings):
    before = still(server)
    with server.client() as first, server.client() as second:
        headers = [race(client, settings, until=150) for client in (first, second)]
        for client, header in zip((first, second), headers, strict=True):
            check(frames(client, header, 150), configs_of(settings), 150)
        computed = still(server) - before
        assert 2 * 151 <= computed <= 2 * (151 + 200), "two lanes, each once, and what a last chunk adds"
        with server.client() as third:
            check(frames(third, race(third, settings, until=150), 150), configs_of(settings), 150)
        assert still(server) - before == computed


@pytest.mark.parametrize("way", ["close", "vanish", "stop"])
def test_work_stops_when_nobody_wants_it(server, settings, way, patiently):
    heavy = settings | {"depth": 20, "width": 32, "replicas": 4}
    with server.client() as client:
        race(client, heavy, until=2000)
        client.receive()
        if way == "close":
            client.socket.close()
        elif way == "vanish":
            client.socket.socket.shutdown(socket.SHUT_RDWR)
        else:
            client.send({"kind": "stop"})
        if way != "stop":
            patiently(lambda: server.health()["sockets"] == 0, "the socket's end")
        before = still(server)
        assert server.health()["computed_steps"] == before
        if way == "stop":
            client.send(view(5))
            while (header := client.receive()[0])["kind"] == "frames":
                pass  # on its way when it was stopped
            assert (header["kind"], header["id"]) == ("view", 5)
    with server.client() as client:
        race(client, heavy, until=2000)
        client.receive()
        patiently(lambda: server.health()["computed_steps"] > before, "work, now that somebody wants it")


class FakeSocket:
    """The server's side of a socket whose page asks for a race and, once all is shown, goes away."""

    scope = {"extensions": {}}

    def __init__(self, settings, until):
        question = {"kind": "lab", "id": 1, "values": settings, "until": until}
        self.coming = [{"type": "websocket.receive", "text": json.dumps(question)}]
        self.rows, self.wanted, self.shown = 0, 2 * (until + 1), asyncio.Event()

    async def accept(self):
        pass

    async def receive(self):
        if self.coming:
            return self.coming.pop()
        await self.shown.wait()
        return {"type": "websocket.disconnect"}

    async def send_text(self, message):
        assert json.loads(message)["kind"] == "cost"

    async def send_bytes(self, message):
        _, arrays = messages.unpack(message)
        self.rows += len(arrays.get("rows", ()))
        if self.rows >= self.wanted:
            self.shown.set()


def test_of_a_page_that_is_gone_nothing_stays(settings):
    """Lanes that have shown all that was wanted, and so send nothing any more, end as well."""

    async def scenario():
        desk = ThreadDesk()
        desk.start()
        channel, before = Channel(desk), asyncio.all_tasks()
        await asyncio.wait_for(channel.serve(FakeSocket(settings, until=20)), 60)
        assert not desk._shows and channel.open_sockets == 0
        # A block that was being computed is given up, and ends in its thread.
        if given_up := asyncio.all_tasks() - before:
            _, left = await asyncio.wait(given_up, timeout=60)
            assert not left
        desk.stop()

    asyncio.run(scenario())


# --- what is not let in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://[",
        "",
    ],
)
def test_pages_of_others_are_refused(server, origin):
    with pytest.raises(InvalidStatus) as refusal, server.client(origin=origin):
        pass
    assert refusal.value.response.status_code == 403


BAD = [
    ("", "channel"),
    ("no JSON", "channel"),
    (b"\x00\x01", "channel"),
    ("[" * 4000, "channel"),
    ("[]", "channel"),
    ('"view"', "channel"),
    ("null", "channel"),
    ("{}", "channel"),
    ('{"kind": "nonsense"}', "channel"),
    ('{"kind": ["view"]}', "channel"),
    ('{"kind": "batch", "id": 1, "values": {}}', "channel"),
    ('{"kind": NaN}', "channel"),
    ('{"kind": "handle"}', "channel"),
    ('{"kind": "view"}', "view"),
    ('{"kind": "view", "id": 1, "values": {}}', "view"),
    ('{"kind": "take", "id": 1, "what": "csv", "values": {}}', "take"),
    ('{"kind": "take", "picture": "lab", "id": 1, "what": "csv", "values": {}}', "take"),
    ('{"kind": "take", "picture": ["lab"], "id": 1, "what": "csv", "step": 1}', "take"),
    ('{"kind": "lab", "id": 1, "values": {}}', "lab"),
    ('{"kind": "lab", "id": 1, "values": {}, "until": "all"}', "lab"),
    ('{"kind": "lab", "id": 1, "values": {}, "until": Infinity}', "lab"),
    ('{"kind": "until", "id": 1}', "until"),
    ('{"kind": "until", "id": 1, "step": NaN}', "until"),
    ('{"kind": "verdict", "step": 1}', "verdict"),
    ('{"kind": "verdict", "id": NaN, "step": 1}', "verdict"),
    ('{"kind": "verdict", "id": 1, "step": 1}', "verdict"),
    ('{"kind": "check", "step": 1, "values": {}}', "check"),
    ('{"kind": "check", "id": 1, "values": {}}', "check"),
    ('{"kind": "check", "id": 1, "step": 1, "values": 3}', "check"),
    ('{"kind": "check", "id": 1, "step": 1, "values": {"depth": 99}}', "check"),
]


def test_what_is_no_message_is_told_and_the_socket_lives_on(client):
    for text, kind in BAD:
        problem, _ = client.ask(text)
        assert (problem["kind"], problem["of"]) == ("problem", kind), text
        assert problem["message"], text
    header, _ = client.ask(view(7))
    assert (header["kind"], header["id"]) == ("view", 7)


BAD_IDS = (
    "null",
    '"1"',
    "true",
    "-1",
    "1.5",
    "NaN",
    "Infinity",
    "[]",
    "{}",
    "1" + "0" * 4000,
    str(2**53 + 1),
)
BAD_VALUES = ("null", "[]", '"x"', '"\\u202e\\u0000"', "3", "true", "NaN", '[["gamma", 2]]')
BAD_CHAPTERS = (
    *("null", "3", "true", '""', '"lab"', '"zoo"', '"../home"', '["home"]', '{"home": 1}', "NaN", '"Home"'),
)


@pytest.mark.parametrize("chapter", chapters())
def test_broken_questions_to_a_chapter_are_told_and_the_socket_lives_on(client, chapter):
    for kind in ("view", "take"):
        fine = {"kind": f'"{kind}"', "chapter": f'"{chapter}"', "what": '"csv"', "id": "1", "values": "{}"}
        broken = [{"id": bad} for bad in BAD_IDS] + [{"values": bad} for bad in BAD_VALUES]
        broken += [{"chapter": bad} for bad in BAD_CHAPTERS]
        for change in broken:
            text = ", ".join(f'"{name}": {value}' for name, value in (fine | change).items())
            problem, _ = client.ask("{" + text + "}")
            assert (problem["kind"], problem["of"]) == ("problem", kind), text[:200]
            assert problem["message"] and len(problem["message"]) < 250, text[:200]
            assert problem["message"].isprintable(), text[:200]
        for missing in ("id", "chapter"):
            text = ", ".join(f'"{name}": {value}' for name, value in fine.items() if name != missing)
            problem, _ = client.ask("{" + text + "}")
            assert (problem["kind"], problem["of"]) == ("problem", kind) and missing in problem["message"]
    assert client.ask(view(7))[0]["id"] == 7


@pytest.mark.parametrize("chapter", chapters())
def test_broken_settings_of_a_chapter_are_named_and_a_file_is_refused(client, chapter):
    """Anything may stand for a setting: the others still count. A file is of what was asked for, or none."""
    table = chapters()[chapter].table
    anything = [None, True, [], {}, "x" * 60, "\u202e\u0000", -1e300, 10**99, [[1, {"x": []}]], math.nan]
    for bad in anything:
        raw = {control.name: bad for control in table} | {"nonsense": bad}
        _, expected = messages.read(table, json.loads(json.dumps(raw)))
        problem, _ = client.ask(view(1, raw, chapter, kind="take", what="csv"))
        assert (problem["kind"], problem["of"], problem["id"]) == ("problem", "take", 1)
        assert problem["message"] == "; ".join(expected) and problem["message"].isprintable()
        if not chapters()[chapter].has_waits:
            header, _ = client.ask(view(2, raw, chapter))
            assert (header["kind"], header["id"], header["problems"]) == ("view", 2, expected)
    assert client.ask(view(7))[0]["id"] == 7


DEEP = (100, 500, 900, 950, 980, 990, 995, 1990)


@pytest.mark.parametrize(
    "place", ["values", "setting", "id", "chapter", "what", "narrow", "draft", "moves", "more"]
)
@pytest.mark.parametrize("kind", ["view", "take"])
def test_deep_messages_are_told_and_the_socket_lives_on(client, kind, place):
    for depth in DEEP:
        fine = {"kind": f'"{kind}"', "chapter": '"home"', "what": '"python"', "id": "1", "values": "{}"}
        deep = "[" * depth + "]" * depth
        changed = {"values": '{"moved": ' + deep + "}"} if place == "setting" else {place: deep}
        text = ", ".join(f'"{name}": {value}' for name, value in (fine | changed).items())
        header, _ = client.ask("{" + text + "}")
        assert header["kind"] in ("view", "file", "problem")
        if place in ("values", "id", "chapter"):
            assert header["kind"] == "problem"
    assert client.ask(view(7))[0]["id"] == 7


@pytest.mark.parametrize("name", ["lanes", "edits", "before"])
def test_broken_lanes_and_branches_are_told_and_the_race_goes_on_without_them(client, settings, name):
    deep = json.loads("[" * 100 + "]" * 100)
    for broken in ("\u202e:~,", [["none", [["lr", deep]]]], [[5, "lr", [9]]], deep, 10**99, None, {"x": 1}):
        header = race(client, settings | {name: broken}, until=1)
        assert header["problems"]
        assert all(p.startswith((f"{name}=", f"{name}:")) and p.isprintable() for p in header["problems"])
        fallen_back, _ = messages.read(LAB_CONTROLS, settings | {name: broken})
        check(frames(client, header, 1), lane_configs(fallen_back), 1)


def test_a_longer_horizon_than_there_is_is_cut(client, settings):
    header = race(client, settings, until=0)
    client.send({"kind": "until", "id": 1, "step": 2**53})
    got = frames(client, header, LAB_STEPS)
    assert [sum(map(len, lane)) for lane in got] == [LAB_STEPS + 1] * 2


def closing(client):
    """Everything that still comes, and the code that the socket is closed with."""
    came = []
    while True:
        try:
            came.append(client.receive()[0])
        except ConnectionClosed as end:
            return came, end.rcvd.code


def test_a_message_that_is_too_long_ends_the_socket(server):
    with server.client() as client:
        client.send("x" * (messages.MAX_MESSAGE + 1))
        (problem,), code = closing(client)
    assert code == 1009 and problem["kind"] == "problem" and str(messages.MAX_MESSAGE) in problem["message"]
    with server.client() as client:
        client.send(b"x" * 10**6)  # the protocol itself refuses what can't be a message
        assert closing(client) == ([], 1009)
    with server.client() as client:
        fine = json.dumps(view())
        assert client.ask(fine + " " * (messages.MAX_MESSAGE - len(fine)))[0]["kind"] == "view"


def test_a_flood_ends_the_socket_and_no_other(server, client):
    with server.client() as flood:
        try:
            for _ in range(20 * BURST):
                flood.send("{}")
        except ConnectionClosed:
            pass
        came, code = closing(flood)
    assert code == 1008 and len(came) < 20 * BURST
    assert client.ask(view(7))[0]["id"] == 7


class Flood(FakeSocket):
    """A socket that sends without end."""

    def __init__(self):
        self.told, self.code = [], None

    async def receive(self):
        return {"type": "websocket.receive", "text": "{}"}

    async def send_text(self, message):
        self.told.append(json.loads(message)["message"])

    async def close(self, code):
        self.code = code


def test_on_any_other_server_a_flood_is_told_and_ended(settings, monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    flood = Flood()
    asyncio.run(Channel(ThreadDesk()).serve(flood))
    assert flood.code == 1008 and len(flood.told) == BURST + 1
    assert flood.told[-1] == f"more than {MESSAGES_PER_SECOND} messages a second; goodbye"


def test_a_reader_that_does_not_read_holds_up_nobody(server, settings):
    with server.client(max_queue=1) as slow:  # buffers fill, and its session must wait
        for number in range(100):
            slow.send(view(number, {"batch_size": 256}))
        slow.send({"kind": "lab", "id": 1, "values": settings | {"depth": 20}, "until": 2000})
        with server.client() as quick:
            check(frames(quick, race(quick, settings, until=60), 60), configs_of(settings), 60)
        slow.socket.socket.shutdown(socket.SHUT_RDWR)


# --- servers come and go --------------------------------------------------------------------------------


def test_a_new_server_gives_the_same_bytes_and_ends_with_its_workers(server, start_server, ended, settings):
    question = view(1, {"batch_size": 99, "moved": "3:2.25"})
    answers = []
    other = start_server()
    for one in (server, other):
        with one.client() as client:
            client.send(question)
            view_bytes = client.socket.recv()
            rows = frames(client, race(client, settings, until=30), 30)
        answers.append((view_bytes, [np.concatenate(lane).tobytes() for lane in rows]))
    assert answers[0] == answers[1]

    workers = other.workers()
    assert len(workers) >= 2
    with other.client() as watching:
        race(watching, settings | {"depth": 20}, until=2000)
        watching.receive()
        other.process.send_signal(signal.SIGTERM)
        assert closing(watching)[1] in (1001, 1012)
    other.process.wait(60)
    ended(workers)
    assert "Traceback" not in other.log.read_text(), other.log.read_text()


def test_a_killed_server_takes_its_workers_along_and_a_killed_worker_is_replaced(
    start_server, ended, settings
):
    doomed = start_server()
    with doomed.client() as client:
        header = race(client, settings, until=2000)
        got = frames(client, header, 30)
        for process in doomed.workers():
            process.kill()
        check(
            [[np.concatenate(lane)[:301]] for lane in frames(client, header, 300, got)],
            configs_of(settings),
            300,
        )
        workers = doomed.workers()
        assert len(workers) >= 2
        doomed.kill()
        ended(workers)


def test_a_chapter_outlives_killed_workers_and_a_new_server_shows_the_same(start_server):
    settings = {"scene": "free", "step": 400, "lr": 0.2, "momentum": 0.95}

    def last(client):
        while (answer := client.receive())[0].get("growing", True):
            assert answer[0]["kind"] == "view", answer[0]
        return answer

    server = start_server()
    with server.client(max_size=None) as client:
        client.send(view(1, settings, "inference"))
        first, _ = client.receive()
        assert first["growing"], "it is still being recorded"
        for process in server.workers():
            process.kill()
        header, arrays = last(client)
    server.stop()
    with start_server().client(max_size=None) as client:
        client.send(view(1, settings, "inference"))
        again, same = last(client)
    assert again["text"] == header["text"] and again["figures"] == header["figures"]
    assert {name: array.tobytes() for name, array in same.items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }
