"""What the page talks to in its worker: sessions behind channels, answers to what it asks, and hands."""

import asyncio
import json
import time

import pytest

from book.beside import beside
from book.controls import read, write
from book.race.table import RUN
from book.registry import chapters, pages
from live import messages
from live.race import LabSession
from live.share import Share
from static import shell as shell_module
from static.hand import InlineHand, WorkerHand
from static.shell import FAILED, NO_TORCH, Shell, Whole, address, arrive
from tests.scheduler import until
from tests.static.test_hand import Workers

HOME = {"kind": "view", "chapter": "home", "values": {}, "draft": True}
RACE = {"guess": -3, "step": 0, "width": 4, "depth": 1, "replicas": 1}
PICTURES = {name: name for name in chapters()} | {"training_lab": "lab"}


class Page:
    """The other side of the channels: what it was sent, unpacked, by channel."""

    def __init__(self):
        self.got = {}

    def __call__(self, channel, message):
        header = json.loads(message) if isinstance(message, str) else messages.unpack(message)[0]
        self.got.setdefault(channel, []).append(header)

    def kinds(self, channel=1):
        return [header["kind"] for header in self.got.get(channel, [])]

    async def answer(self, kind, channel=1):
        """Wait for the first message of a kind."""
        await until(lambda: kind in self.kinds(channel))
        return next(header for header in self.got[channel] if header["kind"] == kind)


def with_shell(scenario, *fails, cores=1, bring=True):
    """Run a scenario with a shell, its page and the workers that it starts."""

    async def run():
        page, workers = Page(), Workers(*fails)
        shell = Shell(page, workers, cores)
        if bring:
            shell.bring()
        try:
            await scenario(shell, page, workers)
        finally:
            shell.desk.stop()

    asyncio.run(run())


def say(shell, channel=1, **message):
    shell.say(channel, json.dumps(message))


# --- channels -------------------------------------------------------------------------------------------


def test_each_channel_has_a_session_of_its_own_and_they_share_what_was_computed():
    async def scenario(shell, page, workers):
        for channel in (1, 2):
            shell.open(channel)
            say(shell, channel, id=channel, **HOME)
        views = [await page.answer("view", channel) for channel in (1, 2)]
        assert [view["id"] for view in views] == [1, 2] and views[0] | {"id": 2} == views[1]
        one, other = (shell._channels[channel].session for channel in (1, 2))
        assert one is not other and one.shelf is other.shelf

    with_shell(scenario)


def test_messages_are_answered_in_order():
    async def scenario(shell, page, workers):
        shell.open(1)
        for number in range(5):
            say(shell, id=number, **HOME)
        await until(lambda: len(page.kinds()) == 5)
        assert [view["id"] for view in page.got[1]] == list(range(5))

    with_shell(scenario)


def test_a_race_comes_from_the_hand_with_its_frames_and_costs():
    async def scenario(shell, page, workers):
        shell.open(1)
        say(shell, kind="lab", id=3, values=RACE, until=20, draft=False)
        await until(lambda: page.kinds().count("cost") == 2)
        assert page.kinds()[0] == "lab" and page.got[1][0]["refused"] is None
        frames = [header for header in page.got[1] if header["kind"] == "frames"]
        counted = [sum(one["arrays"][0][1][0] for one in frames if one["lane"] == k) for k in (0, 1)]
        assert counted == [21, 21]
        assert sum(worker.calls for worker in workers.started) > 2

    with_shell(scenario)


def test_what_goes_wrong_is_told_and_the_next_message_is_answered(monkeypatch, caplog):
    handle = LabSession.handle

    async def broken(session, text):
        if "broken" in text:
            raise ZeroDivisionError
        await handle(session, text)

    monkeypatch.setattr(LabSession, "handle", broken)

    async def scenario(shell, page, workers):
        shell.open(1)
        for text in ("{", "broken", "x" * (messages.MAX_MESSAGE + 1)):
            shell.say(1, text)
        say(shell, id=4, **HOME)
        await page.answer("view")
        told = [header["message"] for header in page.got[1][:3]]
        assert told[0].startswith("a message must be JSON") and told[1] == FAILED
        assert told[2].endswith("characters exceeds 8192") and page.kinds()[3:] == ["view"]

    with_shell(scenario)
    assert "ZeroDivisionError" in caplog.text


def test_a_page_that_has_left_is_sent_nothing_more():
    async def scenario(shell, page, workers):
        shell.open(1)
        say(shell, kind="lab", id=1, values=RACE, until=10**6, draft=False)
        await page.answer("frames")
        session = shell._channels[1].session
        shell.close(1)
        await until(lambda: not shell._ending)
        assert not session.tasks and session.race is None
        seen = len(page.got[1])
        say(shell, id=2, **HOME)
        shell.close(1)
        await until(lambda: not shell.desk._shows)
        assert len(page.got[1]) == seen

    with_shell(scenario)


def test_there_is_no_torch_and_it_is_said():
    async def scenario(shell, page, workers):
        shell.open(1)
        say(shell, kind="check", id=7, values=RACE, step=5)
        said = await page.answer("problem")
        assert (said["of"], said["id"], said["message"]) == ("check", 7, NO_TORCH)

    with_shell(scenario)


def test_nobody_else_needs_a_part_of_the_event_loop():
    async def seconds(share):
        began = time.perf_counter()
        for _ in range(3):
            async with share:
                time.sleep(0.05)
        return time.perf_counter() - began

    async def compared():
        return await seconds(Whole()) < await seconds(Share())

    assert asyncio.run(compared())
    with_shell(lambda shell, page, workers: asyncio.sleep(0, isinstance(shell.track.share, Whole)))


# --- hands ----------------------------------------------------------------------------------------------


def test_who_calls_before_a_hand_has_come_waits_for_it():
    async def scenario(shell, page, workers):
        asked = asyncio.create_task(shell.desk.run(abs, -1))
        await asyncio.sleep(0.01)
        assert not asked.done() and not workers.started
        shell.bring()
        assert await asked == 1

    with_shell(scenario, bring=False)


@pytest.mark.parametrize("cores", [2, 4])
def test_the_second_hand_comes_when_the_first_is_called_or_where_there_are_cores_at_once(cores):
    async def scenario(shell, page, workers):
        await until(lambda: shell.crew.hands)
        await asyncio.sleep(0.01)
        assert len(shell.crew.hands) == (1 if cores == 2 else 2)
        assert await shell.desk.run(abs, -1) == 1
        await until(lambda: len(shell.crew.hands) == 2)
        await asyncio.gather(*(shell.desk.run(abs, -1) for _ in range(8)))
        assert len(workers.started) == 2 and all(type(one) is WorkerHand for one in shell.crew.hands)
        assert shell.crew.most_heavy == 1

    with_shell(scenario, cores=cores)


def test_light_work_is_done_beside_heavy_work():
    async def scenario(shell, page, workers):
        await until(lambda: shell.crew.hands)
        stuck = asyncio.Event()
        workers.started[0].fails.append(stuck)
        heavy = asyncio.create_task(shell.desk.run(abs, -1, heavy=True))
        assert await shell.desk.run(abs, -2) == 2
        assert not heavy.done()
        stuck.set()
        assert await heavy == 1

    with_shell(scenario)


def test_where_no_worker_can_be_had_it_is_computed_here():
    async def scenario(shell, page, workers):
        assert await shell.desk.run(abs, -1) == 1
        assert [type(one) for one in shell.crew.hands] == [InlineHand] and not workers.started

    with_shell(scenario, ReferenceError("Worker is not defined"))


def test_one_hand_is_enough_where_there_is_no_second():
    async def scenario(shell, page, workers):
        assert await shell.desk.run(abs, -1) == 1
        await until(lambda: all(task.done() for task in shell._coming) and len(shell._coming) == 2)
        assert len(shell.crew.hands) == 1 and await shell.desk.run(abs, -2, heavy=True) == 2

    with_shell(scenario, (), RuntimeError("no memory"))


# --- what the page asks ---------------------------------------------------------------------------------


def plain(value):
    """Say it as JSON and back, as it reaches the page."""
    return json.loads(json.dumps(value))


def asked(name, **arguments):
    """Ask as the page does."""
    answers = []

    async def scenario(shell, page, workers):
        question = json.dumps({"name": name, "arguments": arguments})
        answers.append(json.loads(await shell.answer(question)))

    with_shell(scenario)
    return answers[0]


@pytest.mark.parametrize("page", PICTURES)
def test_a_bare_address_opens_a_page_as_the_served_edition_does(page):
    picture = PICTURES[page]
    values, _ = read(messages.CONTROLS[picture], {})
    found = asked("arrive", page=page, query={})["value"]
    assert found["opening"] == plain(messages.opening(picture, values, pages()[page].question))
    assert found["values"] == plain(values) == found["opening"]["values"]
    assert found["address"] == found["written"] == {} and found["problems"] == []
    assert (found["note"], found["paused"], found["opens"]) == ("", False, False)


def test_an_address_is_read_and_what_is_broken_in_it_is_named():
    found = arrive("home", {"gamma": "2.5", "beta": "x", "moved": "3:1"})
    assert found["values"]["gamma"] == 2.5 and found["written"] == {"gamma": "2.5", "moved": "3:1.0"}
    assert found["problems"] == ["beta=x is not a number; 0.0 is used"]
    assert arrive("training_lab", {"step": "5"})["paused"]


def test_a_short_link_is_spelled_out():
    found = arrive("training_lab", {"experiment": "E11"})
    assert found["opens"] and found["address"]["experiment"] == "E11" and found["paused"]
    assert found["written"] == found["address"]
    note = arrive("training_lab", {"experiment": "e9"})
    assert "E9" in note["note"] and not note["opens"] and note["address"] == {}


@pytest.mark.parametrize("page", PICTURES)
def test_settings_are_written_as_the_address_that_they_come_from(page):
    controls = messages.CONTROLS[PICTURES[page]]
    for scene in pages()[page].scenes:
        query = {"preset" if page == "training_lab" else "scene": scene.name}
        found = plain(arrive(page, query))
        assert found["problems"] == []
        again = address(page, found["values"])
        assert again == found["written"] and write(controls, read(controls, again)[0]) == again


def test_settings_that_nobody_can_choose_have_their_default():
    assert address("home", {"gamma": "x", "beta": 2, "revision": 3}) == {"beta": "2.0"}


@pytest.mark.parametrize("page", PICTURES)
def test_what_stands_beside_a_picture_is_what_the_served_edition_shows(page):
    values, _ = read(messages.CONTROLS[PICTURES[page]], {})
    assert asked("beside", page=page, values=plain(values))["value"] == plain(
        beside(pages()[page], values).told()
    )


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("arrive", {"page": "nowhere", "query": {}}, "page=nowhere must be one of home, "),
        ("arrive", {"page": ["home"], "query": {}}, "page=['home'] must be one of home, "),
        ("arrive", {"query": {}}, "page=None must be one of home, "),
        ("arrive", {"page": "home", "query": {"gamma": 1}}, "must be an object of texts"),
        ("arrive", {"page": "home"}, "query=None must be an object of texts"),
        ("address", {"page": "home", "values": 3}, "values=3 must be an object of settings"),
        ("beside", {"page": "home"}, "values=None must be an object of settings"),
        ("dance", {}, "ask=dance must be one of arrive, address, beside, speed"),
        (None, {}, "ask=None must be one of arrive, address, beside, speed"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_what_is_wrong(name, arguments, words):
    answer = asked(name, **arguments)
    assert list(answer) == ["problem"] and words in answer["problem"]


@pytest.mark.parametrize("question", ["{", "[]", "{}", '{"name": "arrive"}', '{"name": "arrive", "arguments": 3}'])
def test_a_question_that_is_none_is_answered_too(question):
    async def scenario(shell, page, workers):
        assert list(json.loads(await shell.answer(question))) == ["problem"]

    with_shell(scenario)


def test_an_answer_that_fails_ends_nothing(monkeypatch, caplog):
    def broken(page, values):
        raise ZeroDivisionError

    monkeypatch.setattr(shell_module, "beside", broken)
    assert asked("beside", page="home", values={}) == {"problem": FAILED}
    assert "ZeroDivisionError" in caplog.text


def test_how_fast_each_network_trains_is_measured(monkeypatch):
    monkeypatch.setattr("live.worker.cost", lambda config: (1, 0.0 if config.network == "gan" else 0.0123456))
    steps = asked("speed")["value"]["steps"]
    assert list(steps) == list(RUN["network"].names) and steps["dense"] == 81.0 and steps["GAN"] is None
