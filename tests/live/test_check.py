"""Checking lanes against PyTorch: in processes that come and go, and never in the server's own."""

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace

import psutil
import pytest

from bnlib import RunConfig
from book.race import lanes
from book.race import settings as lab
from live import check, messages
from live.check import CheckError, Checks
from tests.live.pages import Page, with_channel
from tests.server import ROOT

SMALL = {"depth": 2, "width": 8, "batch_size": 8, "replicas": 2, "lanes": "none,batch"}
CONFIG = RunConfig(depth=2, width=8, batch_size=8, record_every=1, validate_every=5)
REPORT = {"step": 3, "torch": "2", "agrees": True}


def configs_of(settings):
    values, problems = messages.read(lab.LAB_CONTROLS, settings)
    assert problems == []
    return lanes.lane_configs(values)


def report(config=CONFIG, step=3, checks=None):
    async def ask():
        return await (checks or Checks()).report(config, step)

    return asyncio.run(ask())


# --- with PyTorch ---------------------------------------------------------------------------------------


def test_two_lanes_are_compared_with_pytorch(server, client, patiently):
    settings = SMALL | {"lanes": "batch,spectral~network:cnn", "seed": 11}
    before = {process.pid for process in server.workers()}
    answers = [client.ask({"kind": "check", "id": 7, "values": settings, "step": 4}), client.receive()]
    (first, _), (second, _) = answers
    for lane, (answer, _) in enumerate(answers):
        assert set(answer) == {"kind", "id", "lane", "of", "name", "report"}
        assert (answer["kind"], answer["id"], answer["lane"], answer["of"]) == ("check", 7, lane, 2)
        found = answer["report"]
        assert (found["step"], found["agrees"]) == (4, True) and found["torch"][0].isdigit()
        for precision, digits in (("float32", 1e-3), ("float64", 1e-9)):
            assert 0 <= found[precision]["largest"] < digits and found[precision]["where"]
            names = [name for name, _, _ in found[precision]["rows"]]
            assert {"logits", "loss", "gradient of weight0", "inference"} <= set(names)
    assert (first["name"], second["name"]) == ("batch norm", "spectral norm (convolutional)")
    rows = [{name for name, _, _ in answer["report"]["float64"]["rows"]} for answer, _ in answers]
    assert "running mean of layer1" in rows[0] - rows[1]
    patiently(lambda: {process.pid for process in server.workers()} <= before, "the end of the processes")
    began = time.perf_counter()
    again = [client.ask({"kind": "check", "id": 8, "values": settings, "step": 4}), client.receive()]
    assert time.perf_counter() - began < 0.5, "PyTorch alone takes longer to start"
    assert again == [(answer | {"id": 8}, arrays) for answer, arrays in answers]


def test_a_game_is_compared_and_what_has_diverged_is_told(client):
    values = SMALL | {"network": "gan", "lanes": "spectral"}
    answer, _ = client.ask({"kind": "check", "id": 3, "values": values, "step": 1})
    assert (answer["kind"], answer["id"], answer["report"]["agrees"]) == ("check", 3, True)
    assert {"points", "generator's loss"} <= {name for name, _, _ in answer["report"]["float64"]["rows"]}
    values = SMALL | {"lanes": "none", "lr": 10, "init_scale": 5}
    answer, _ = client.ask({"kind": "check", "id": 4, "values": values, "step": 60})
    assert answer["report"]["agrees"] is None and 0 <= answer["report"]["diverged"] <= 60


def test_pytorch_never_enters_the_process_that_asks():
    program = """
import asyncio, json, sys
from concurrent.futures import ThreadPoolExecutor
from live.channel import Channel
from live.desk import Desk
from bnlib import RunConfig

async def ask():
    return await Channel(Desk()).track.checks.report(RunConfig(depth=1, width=8, batch_size=8), 2)

found = asyncio.run(ask())
print(json.dumps([found["agrees"], bool(found["torch"]), "torch" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, True, False]


# --- processes that misbehave ---------------------------------------------------------------------------


@pytest.fixture
def referee(monkeypatch, tmp_path):
    """Have another program answer, which writes its process's number down first."""
    number = tmp_path / "pid"

    def program(text):
        script = tmp_path / "referee"
        head = f"#!{sys.executable}\nimport os, sys, time\n"
        head += f"open({str(number)!r} + '_', 'w').write(str(os.getpid()))\n"
        head += f"os.rename({str(number)!r} + '_', {str(number)!r})\n"
        script.write_text(head + text)
        script.chmod(0o755)
        monkeypatch.setattr(check.sys, "executable", str(script))

    program.pid = lambda: int(number.read_text()) if number.exists() else 0
    return program


def gone(pid):
    return not psutil.pid_exists(pid)  # what has ended but wasn't waited for would still be there


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print('nonsense')", "the check failed: its process ended"),
        ("", "the check failed: its process ended"),
        ("sys.exit('first line\\nthe disk is full')", "the check failed: the disk is full"),
        ("raise MemoryError('no room')", "the check failed: MemoryError: no room"),
        ("sys.stderr.write('x' * 10_000)", "the check failed: xxxxxxxx"),
        ("sys.stderr.buffer.write(b'\\xff\\xfe')", "the check failed: "),
        ("print('[1, 2]')", "the check failed: its process ended"),
        ("print('5')", "the check failed: its process ended"),
        ("print('null')", "the check failed: its process ended"),
        ("print('\"text\"')", "the check failed: its process ended"),
        ("""print('{"error": "there is no PyTorch"}')""", "there is no PyTorch"),
        ("""print('{"error": 7}')""", "7"),
    ],
)
def test_a_process_that_writes_nonsense_is_told_in_words(referee, text, words):
    referee(text)
    with pytest.raises(CheckError) as error:
        report()
    said = str(error.value)
    assert said.startswith(words) and len(said) <= 200 and "Traceback" not in said
    assert words != "the check failed: its process ended" or said == words


def test_a_process_that_never_answers_is_ended(referee, monkeypatch):
    monkeypatch.setattr(check, "SECONDS", 1.0)
    referee("sys.stdin.read()\ntime.sleep(60)")
    began = time.perf_counter()
    with pytest.raises(CheckError, match="^PyTorch took longer than 1 seconds; try an earlier step$"):
        report()
    assert time.perf_counter() - began < 20
    assert gone(referee.pid())


def test_the_question_is_the_configuration_and_the_step(referee):
    referee("import json\nprint(json.dumps({'asked': json.load(sys.stdin), 'how': sys.argv[1:]}))")
    config = replace(CONFIG, edits=((2, "lr", 0.5),), norm="renorm", r_max=2.0)
    found = report(config, 9)
    assert found == {
        "asked": json.loads(json.dumps({"config": asdict(config), "step": 9})),
        "how": ["-m", "bnlib.referee"],
    }
    fields = found["asked"]["config"]
    assert RunConfig(**fields) == config


def test_the_process_is_at_home_and_on_one_thread(referee, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("SOMETHING", "else")
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SOMETHING")
    told = f"[os.getcwd()] + [os.environ[name] for name in {names}]"
    referee(f"import json\nprint(json.dumps({{'is': {told}}}))")
    assert report()["is"] == [str(ROOT), "1", "1", "else"]


# --- one at a time, and once ----------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """The questions that are put; each is answered after a moment, one at a time."""
    questions, now = [], []

    async def ask(question):
        now.append(question)
        assert len(now) == 1, "two at once"
        questions.append(question)
        await asyncio.sleep(0.03)
        now.remove(question)
        if question["config"]["seed"] == 666:
            raise CheckError("there is no PyTorch")
        return REPORT | {"step": question["step"], "number": len(questions)}

    monkeypatch.setattr(check, "_ask", ask)
    return questions


def test_a_check_is_made_once(asked):
    async def scenario():
        checks = Checks()
        found = await asyncio.gather(*(checks.report(CONFIG, step) for step in (3, 3, 4, 3)))
        assert [one["number"] for one in found] == [1, 1, 2, 1] and len(asked) == 2
        assert (await checks.report(CONFIG, 4))["number"] == 2
        assert (await checks.report(replace(CONFIG, lr=0.5), 4))["number"] == 3

    asyncio.run(scenario())


def test_only_so_many_checks_are_kept_and_errors_are_not(asked, monkeypatch):
    monkeypatch.setattr(check, "KEPT", 2)

    async def scenario():
        checks = Checks()
        for step in (1, 2, 3, 3, 2, 1, 3):
            await checks.report(CONFIG, step)
        assert [question["step"] for question in asked] == [1, 2, 3, 1]
        assert len(checks._found) == 2
        for _ in range(2):
            with pytest.raises(CheckError):
                await checks.report(replace(CONFIG, seed=666), 1)
        assert len(asked) == 6
        assert (await checks.report(CONFIG, 3))["number"] == 3, "an error takes no other's place"

    asyncio.run(scenario())


def test_lanes_are_told_one_by_one_up_to_the_last_step(asked):
    settings = SMALL | {"lanes": "none,batch~lr:0.5,rms", "edits": "2:lr:0.25", "before": "lr:1.0"}

    async def scenario(channel):
        page = Page(channel)
        page.ask("check", id=9, values=settings, step=lab.LAB_STEPS + 1)
        found = await page.first("check", 3)
        assert [(one["lane"], one["of"], one["id"]) for one in found] == [(k, 3, 9) for k in range(3)]
        assert [one["name"] for one in found] == ["no norm", "batch norm (learning rate 0.5)", "RMS norm"]
        assert [one["report"]["step"] for one in found] == [lab.LAB_STEPS] * 3
        assert [question["config"] for question in asked] == [asdict(c) for c in configs_of(settings)]
        await page.leave()

    with_channel(scenario)


def test_a_second_request_of_one_page_is_refused_in_words(asked):
    async def scenario(channel):
        page, other = Page(channel), Page(channel)
        page.ask("check", id=1, values=SMALL, step=3)
        page.ask("check", id=2, values=SMALL, step=4)
        other.ask("check", id=1, values=SMALL | {"seed": 5}, step=4)
        (problem,) = await page.first("problem")
        assert (problem["of"], problem["id"]) == ("check", 2)
        assert problem["message"] == "one check at a time: the one before is still on its way"
        page.ask("view", id=3, chapter="home", values={})
        await page.first("view")
        assert len(page.of("check")) < 2, "other questions needn't wait"
        await other.first("check", 2)
        await page.first("check", 2)
        assert {one["id"] for one in page.of("check")} == {1} and not other.of("problem")
        page.ask("check", id=4, values=SMALL, step=4)
        assert [one["id"] for one in await page.first("check", 4)] == [1, 1, 4, 4]
        await page.leave()
        await other.leave()

    with_channel(scenario)


def test_an_error_ends_a_check_and_the_next_one_goes_on(asked):
    async def scenario(channel):
        page = Page(channel)
        page.ask("check", id=1, values=SMALL | {"seed": 666}, step=3)
        (problem,) = await page.first("problem")
        assert problem == {"kind": "problem", "of": "check", "id": 1, "message": "there is no PyTorch"}
        page.ask("check", id=2, values=SMALL | {"depth": 99}, step=3)
        problem = (await page.first("problem", 2))[1]
        assert problem["id"] == 2 and problem["message"].startswith("depth=99 is outside 1 to 20")
        page.ask("check", id=3, values=SMALL, step=3)
        assert [one["id"] for one in await page.first("check", 2)] == [3, 3]
        assert [question["config"]["seed"] for question in asked] == [666, 0, 0], (
            "the second lane waits for it"
        )
        await page.leave()

    with_channel(scenario)


@pytest.mark.parametrize("kind", ["nowhere", "nan", "broken"])
def test_whatever_goes_wrong_is_told(monkeypatch, referee, kind):
    if kind == "nowhere":
        monkeypatch.setattr(check.sys, "executable", "nowhere-at-all")
    elif kind == "nan":
        referee("""print('{"step": 3, "agrees": NaN}')""")
    else:

        async def ask(question):
            raise OSError("no more processes")

        monkeypatch.setattr(check, "_ask", ask)

    async def scenario(channel):
        page = Page(channel)
        for number in (1, 2):
            page.ask("check", id=number, values=SMALL, step=3)
            problem = (await page.first("problem", number))[-1]
            assert (problem["of"], problem["id"]) == ("check", number)
            assert problem["message"] == "the check could not be made" and not page.of("check")
        await page.leave()
        assert channel.open_sockets == 0

    with_channel(scenario)


@pytest.mark.parametrize("way", ["leave", "close"])
def test_a_page_that_leaves_takes_its_process_along(referee, server, patiently, way):
    referee("sys.stdin.read()\ntime.sleep(60)")

    async def scenario(channel):
        page = Page(channel)
        page.ask("check", values=SMALL, step=3)
        while not referee.pid():
            await asyncio.sleep(0.01)
        assert psutil.pid_exists(referee.pid())
        await page.leave()
        for _ in range(500):
            if gone(referee.pid()):
                break
            await asyncio.sleep(0.01)
        assert gone(referee.pid()) and not page.of("problem")

    if way == "leave":
        with_channel(scenario)
        return
    before = {process.pid for process in server.workers()}
    with server.client() as client:  # a real one, with a check that takes long
        values = SMALL | {"depth": 20, "width": 128, "network": "cnn", "batch_size": 64}
        client.send({"kind": "check", "id": 1, "values": values, "step": 2000})
        patiently(lambda: {process.pid for process in server.workers()} - before, "the process")
    patiently(lambda: {process.pid for process in server.workers()} <= before, "the end of the process")


def test_a_check_waits_neither_for_a_race_nor_ends_with_it(asked):
    async def scenario(channel):
        page = Page(channel)
        page.ask("lab", values=SMALL, until=10)
        page.ask("check", id=2, values=SMALL, step=3)
        page.ask("stop")
        assert [one["id"] for one in await page.first("check", 2)] == [2, 2]
        await page.leave()

    with_channel(scenario)


def test_a_page_that_is_gone_leaves_no_task_behind(asked):
    async def scenario(channel):
        before = asyncio.all_tasks()
        page = Page(channel)
        page.ask("check", values=SMALL, step=3)
        while not asked:
            await asyncio.sleep(0.005)
        await page.leave()
        await asyncio.sleep(0.1)
        assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()
        assert len(asked) == 1 and not page.of("check")

    with_channel(scenario)


def test_where_the_processes_start_bnlib_is():
    assert (check.FOLDER / "bnlib" / "referee.py").is_file() and os.path.samefile(check.FOLDER, ROOT)
