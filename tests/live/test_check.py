"""Checking lanes against PyTorch: in turn, as much as fits, in processes that never are the server's own."""

import asyncio
import base64
import json
import os
import pickle
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, NamedTuple

import psutil
import pytest

import bnlib
from bnlib import RunConfig
from bnlib.jobs.forecast import Forecast
from book.race import lanes
from book.race import settings as lab
from live import check, messages, torch_process
from live.check import CheckError, Checks, TooMuch, seconds_from, size
from tests.live.pages import Page, with_channel
from tests.server import PATIENCE, ROOT, wait_for

SMALL = {"depth": 2, "width": 8, "batch_size": 8, "replicas": 2, "lanes": "none,batch"}
CONFIG = RunConfig(depth=2, width=8, batch_size=8, record_every=1, validate_every=5)
REPORT = {"step": 3, "torch": "2", "agrees": True}


def configs_of(settings):
    values, problems = messages.read(lab.LAB_CONTROLS, settings)
    assert problems == []
    return lanes.lane_configs(values)


def report(config=CONFIG, step=3, past=None):
    async def ask():
        return await (Checks(past) if past else Checks()).report(config, step)

    return asyncio.run(ask())


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))


def gone(pid):
    return not psutil.pid_exists(pid)  # what has ended but wasn't waited for would still be there


# --- with PyTorch ---------------------------------------------------------------------------------------


def test_two_lanes_are_compared_with_pytorch(server, client, patiently):
    settings = SMALL | {"lanes": "batch,spectral~network:cnn", "seed": 11}
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
    again = [client.ask({"kind": "check", "id": 8, "values": settings, "step": 4}), client.receive()]
    assert again == [(answer | {"id": 8}, arrays) for answer, arrays in answers]


def test_a_game_is_compared_and_what_has_diverged_is_told(client):
    values = SMALL | {"network": "gan", "lanes": "spectral"}
    answer, _ = client.ask({"kind": "check", "id": 3, "values": values, "step": 1})
    assert (answer["kind"], answer["id"], answer["report"]["agrees"]) == ("check", 3, True)
    assert {"points", "generator's loss"} <= {name for name, _, _ in answer["report"]["float64"]["rows"]}
    values = SMALL | {"lanes": "none", "lr": 10, "init_scale": 5}
    answer, _ = client.ask({"kind": "check", "id": 4, "values": values, "step": 60})
    assert answer["report"]["agrees"] is None and 0 <= answer["report"]["diverged"] <= 60


def program(text):
    """Run a program that asks a channel's checks; it is Ctrl-C's only."""
    head = """
import asyncio, contextlib, json, os, sys
from live.channel import Channel
from live.crew import Crew
from live.desk import Desk
from live.hand import ProcessHand
from live.torch_process import TorchProcess
from bnlib import RunConfig

CONFIG = RunConfig(depth=1, width=8, batch_size=8)
"""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", head + text], cwd=ROOT, stdout=pipe, stderr=pipe, text=True,
        start_new_session=True,
    )  # fmt: skip


def test_pytorch_never_enters_the_process_that_asks():
    asking = program("""
async def ask():
    return await Channel(Desk(Crew(2, ProcessHand))).track.checks.report(CONFIG, 2)

found = asyncio.run(ask())
print(json.dumps([found["agrees"], bool(found["torch"]), "torch" in sys.modules]))
""")
    out, complaint = asking.communicate(timeout=PATIENCE)
    assert asking.returncode == 0 and complaint == ""
    assert json.loads(out) == [True, True, False]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("busy", [False, True])
def test_the_process_ends_with_the_server_however_that_ends(how, busy):
    asking = program(f"""
async def ask():
    checks, real, asked = Channel(Desk(Crew(2, ProcessHand))).track.checks, TorchProcess.ask, []

    def seen(process, *question):
        asked.append(process)
        return real(process, *question)

    TorchProcess.ask = seen
    task = asyncio.create_task(checks.report(CONFIG, {30_000 if busy else 2}))
    while not (asked if {busy} else task.done()):
        await asyncio.sleep(0.01)
    print(asked[0]._process.pid, flush=True)
    await asyncio.sleep(60)

with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(ask())
""")
    pid = int(asking.stdout.readline() or pytest.fail(asking.stderr.read()))
    assert psutil.pid_exists(pid)
    os.killpg(asking.pid, how) if how == signal.SIGINT else asking.send_signal(how)
    _, complaint = asking.communicate(timeout=PATIENCE)
    wait_for(lambda: gone(pid), "the end of the process")
    assert complaint == ""


def test_a_process_is_kept_for_a_while_and_used_again(monkeypatch):
    monkeypatch.setattr(check, "IDLE", 0.2)

    async def scenario():
        checks, used = Checks(), []
        for step in (1, 2):
            await checks.report(CONFIG, step)
            used += [process._process.pid for process in checks._idle]
        assert len(used) == 2 and used[0] == used[1]
        ((process, resting),) = checks._idle.items()
        await resting
        assert not checks._idle and gone(used[0]) and not process.alive
        assert (await checks.report(CONFIG, 3))["agrees"]
        (process,) = checks._idle
        process._process.kill()
        await process._process.wait()
        assert (await checks.report(CONFIG, 4))["agrees"], "another takes its place"

    run(scenario)


# --- the other end --------------------------------------------------------------------------------------


def question(config=CONFIG, step=3, run=None):
    return base64.b64encode(pickle.dumps((config, step, run)))


def test_what_a_question_needs_too_much_memory_for_is_said(monkeypatch):
    def answer(wrong):
        def fail(*asked, run):
            raise wrong

        monkeypatch.setattr(torch_process.check, "check", fail)
        return torch_process.answer(question())

    for wrong in (MemoryError("no"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 GB")):
        found = answer(wrong)
        assert found["too_much"] and found["error"].startswith("the check needs more than the 2.5 GiB that")
    assert answer(ValueError("referee: no such run")) == {"error": "referee: no such run"}
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        answer(RuntimeError("a shape is wrong"))


def test_a_question_brings_its_run(monkeypatch):
    seen = []
    monkeypatch.setattr(torch_process.check, "check", lambda *asked, run: seen.append((*asked, run)) or {})
    run = bnlib.advance(bnlib.start(CONFIG), 2)
    torch_process.answer(question(run=run))
    ((config, step, taken),) = seen
    assert (config, step, taken.step) == (CONFIG, 3, 2)


STUB = """
import os
import numpy as np
from live import torch_process

torch_process.ROOM = 64 * 2**20
torch_process.check.load = lambda: os.nice(0)
torch_process.check.check = lambda config, step, run: {"bytes": np.ones(step * 2**20, np.uint8).nbytes}
torch_process.main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is Linux's")
def test_memory_is_bounded_and_the_end_of_questions_is_the_end():
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", STUB], cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        assert json.loads(process.stdout.readline())["torch"] >= 5, "it gives way to others"
        process.send_signal(signal.SIGINT)  # Ctrl-C is for the server
        for mebibytes, words in ((16, "bytes"), (200, "too_much"), (16, "bytes")):
            process.stdin.write(question(step=mebibytes) + b"\n")
            process.stdin.flush()
            assert words in json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_whose_answer_nobody_reads_ends():
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", STUB], cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(question(step=1) + b"\n")
        process.stdin.flush()  # and stays open, as where the server has just been killed
        assert process.wait(PATIENCE) == 0


def test_without_pytorch_that_is_the_first_thing_said(monkeypatch, capsys):
    def missing():
        raise ImportError("No module named 'torch'")

    monkeypatch.setattr(torch_process.check, "load", missing)
    monkeypatch.setattr(torch_process.os, "nice", lambda by: None, raising=False)
    torch_process.serve(SimpleQueue())
    assert json.loads(capsys.readouterr().out) == {"error": "No module named 'torch'"}


# --- processes that misbehave ---------------------------------------------------------------------------


@pytest.fixture
def referee(monkeypatch, tmp_path):
    """Have another program answer, which writes its process's number down first."""
    number = tmp_path / "pid"

    def program(text, loaded='print(\'{"torch": "2"}\', flush=True)\nline = sys.stdin.readline()'):
        script = tmp_path / "referee"
        head = f"#!{sys.executable}\nimport json, os, sys, time\n"
        head += f"open({str(number)!r} + '_', 'w').write(str(os.getpid()))\n"
        head += f"os.rename({str(number)!r} + '_', {str(number)!r})\n"
        script.write_text(f"{head}{loaded}\n{text}")
        script.chmod(0o755)
        monkeypatch.setattr(torch_process.sys, "executable", str(script))

    program.pid = lambda: int(number.read_text()) if number.exists() else 0
    return program


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print('nonsense')", "the check failed: its process ended"),
        ("", "the check failed: its process ended"),
        ("sys.exit('first line\\nthe disk is full')", "the check failed: the disk is full"),
        ("raise MemoryError('no room')", "the check failed: MemoryError: no room"),
        ("sys.stderr.write('x' * 200_000)", "the check failed: xxxxxxxx"),
        ("sys.stderr.buffer.write(b'\\xff\\xfe')", "the check failed: "),
        ("print('x' * 2_000_000)", "the check failed: its process ended"),
        ("print('[1, 2]')", "the check failed: its process ended"),
        ("print('5')", "the check failed: its process ended"),
        ("print('null')", "the check failed: its process ended"),
        ("print('\"text\"')", "the check failed: its process ended"),
        ("""print('{"error": "there is no PyTorch"}')""", "there is no PyTorch"),
        ("""print('{"error": 7}')""", "7"),
    ],
)
@pytest.mark.parametrize("early", [False, True])
def test_a_process_that_writes_nonsense_is_told_in_words(referee, text, words, early):
    referee(text, *[""] * early)
    with pytest.raises(CheckError) as error:
        report()
    said = str(error.value)
    assert said.startswith(words) and len(said) <= 200 and "Traceback" not in said
    assert words != "the check failed: its process ended" or said == words
    assert not isinstance(error.value, TooMuch) and gone(referee.pid())


def test_a_lane_that_needs_too_much_is_too_much(referee):
    referee("""print('{"error": "too large", "too_much": true}')""")
    with pytest.raises(TooMuch, match="^too large$"):
        report()
    assert gone(referee.pid())


@pytest.mark.parametrize(
    ("loaded", "kind", "words"),
    [
        ([], TooMuch, "PyTorch took longer than 1 s; try an earlier step or a smaller network"),
        (["time.sleep(60)"], CheckError, "PyTorch wasn't ready within 2 s; try again later"),
    ],
)
def test_a_process_that_never_answers_is_ended(referee, monkeypatch, loaded, kind, words):
    monkeypatch.setattr(check, "SECONDS", 1.0)
    monkeypatch.setattr(check, "START", 2.0)
    referee("time.sleep(60)", *loaded)
    with pytest.raises(kind, match=f"^{words}$"):
        report()
    assert gone(referee.pid())


def test_the_question_is_a_configuration_a_step_and_the_first_seeds_run(referee, monkeypatch):
    config = replace(CONFIG, edits=((2, "lr", 0.5),), norm="renorm", r_max=2.0, replicas=3)
    run = bnlib.advance(bnlib.start(config), 4)
    referee("print(json.dumps({'asked': line, 'how': sys.argv[1:]}))")
    found = report(config, 9, lambda config, step: run)
    assert found["how"] == ["-m", "live.torch_process"]
    asked, step, taken = pickle.loads(base64.b64decode(found["asked"]))
    assert (asked, step, taken.step) == (config, 9, 4) and taken.flat.shape == (1, run.flat.shape[1])


def test_the_process_is_at_home_and_on_one_thread(referee, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("SOMETHING", "else")
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SOMETHING")
    told = f"[os.getcwd()] + [os.environ[name] for name in {names}]"
    referee(f"print(json.dumps({{'is': {told}}}))")
    assert report()["is"] == [str(ROOT), "1", "1", "else"]


def test_where_the_processes_start_bnlib_is():
    assert (torch_process.FOLDER / "bnlib" / "torch_check" / "check.py").is_file()
    assert os.path.samefile(torch_process.FOLDER, ROOT)


# --- a size that fits -----------------------------------------------------------------------------------


@pytest.fixture
def forecasts(monkeypatch):
    """What steps take, by the width of their network, and what is asked for it."""
    costs = {8: Forecast(0.01, 0.02, 0), 16: Forecast(0.05, 0.1, 0), 32: Forecast(1.0, 2.0, 0)}
    asked = []

    def forecast(config):
        asked.append(config)
        return costs[config.width]

    monkeypatch.setattr(check, "forecast", forecast)
    return asked


def test_a_check_is_the_steps_on_the_way_and_a_comparison(forecasts):
    config = replace(
        CONFIG, width=16, replicas=8, norm="layer", edits=((5, "lr", 0.1), (9, "batch_size", 640))
    )
    assert size(config, 6) == (0.05, check.STEPS * 0.1)
    assert size(replace(config, network="gan", dataset="ring"), 6)[1] == check.STEPS_OF_GAN * 0.1
    seen = forecasts[0]
    assert (seen.replicas, seen.edits) == (1, config.edits[:1]), (
        "of one seed, and what comes later is no matter"
    )
    assert seconds_from(config, 16, 6) == pytest.approx(10 * 0.05 + check.STEPS * 0.1)


@pytest.mark.parametrize(("network", "parts"), [("mlp", 3 * 16), ("rnn", 8 * 3 * 16)])
def test_parts_of_a_batch_count_one_by_one(forecasts, network, parts):
    config = replace(CONFIG, network=network, depth=3, norm="ghost", norm_batch=2, batch_size=32)
    whole = replace(config, norm_batch=0, norm="layer")
    assert size(config, 0)[1] - size(whole, 0)[1] == pytest.approx(parts * check.EACH_PART)


@pytest.mark.parametrize("known", [0, 1, 60, 700])
def test_what_is_too_long_is_refused_with_a_step_that_fits(forecasts, known):
    config = replace(CONFIG, width=16)
    assert seconds_from(config, known + 100, known) <= check.FITS
    with pytest.raises(TooMuch) as error:
        seconds_from(config, 1800, known)
    said = str(error.value)
    seconds = 0.05 * (1800 - known) + check.STEPS * 0.1
    assert said.startswith(
        f"checking step 1,800 of this lane takes about {seconds:.0f} s, more than the 8 s "
    )
    named = int(said.partition("; step ")[2].partition(" takes less: go there")[0].replace(",", ""))
    assert known + 100 <= named < 1800 and seconds_from(config, named, known) <= check.FITS


def test_what_is_too_long_at_any_step_is_refused_with_what_helps(forecasts):
    with pytest.raises(TooMuch) as error:
        seconds_from(replace(CONFIG, width=32), 0, 0)
    assert str(error.value) == (
        f"comparing a single step of this lane takes about {2 * check.STEPS:.0f} s, more than the 8 s that a "
        "check may take; try a smaller batch, a narrower network or fewer layers"
    )


def test_a_run_that_is_known_spares_its_steps(forecasts, asked):
    config, run = replace(CONFIG, width=16), bnlib.advance(bnlib.start(replace(CONFIG, width=16)), 5)
    with pytest.raises(TooMuch):
        report(config, 190)
    assert not asked
    known = replace(run, step=150)
    report(config, 190, lambda config, step: known if (config, step) == (known.config, 190) else None)
    assert [(one.step, one.run) for one in asked] == [(190, known)]


def test_a_check_goes_on_from_what_a_race_has_computed(asked):
    async def scenario(channel):
        page = Page(channel)
        page.ask("lab", values=SMALL, until=150)
        await page.rows(2 * 151)
        page.ask("until", step=300)  # the run between two turns is kept
        await page.rows(2 * 301)
        page.ask("check", values=SMALL, step=290)
        await page.first("check", 2)
        assert [100 <= one.run.step <= 290 for one in asked] == [True, True]
        await page.leave()

    with_channel(scenario)


def test_what_the_store_has_dropped_meanwhile_is_counted_at_its_turn(forecasts, asked):
    known = [replace(bnlib.start(CONFIG), step=2000)]

    async def scenario():
        checks = Checks(lambda config, step: known[0] if step == 2000 else None)
        first = [asyncio.create_task(checks.report(CONFIG, step)) for step in (1, 2)]
        await asked.until(2)
        late = asyncio.create_task(checks.report(CONFIG, 2000))
        await asyncio.sleep(0)
        known[0] = None
        asked.go(2)
        await asyncio.gather(*first)
        with pytest.raises(TooMuch, match="step 770 takes less"):
            await late

    run(scenario)


# --- in turn, and once ----------------------------------------------------------------------------------


class Asked(list):
    """The questions that are put to processes; each is answered when it may be."""

    def __init__(self):
        self.ended, self.started, self.at_once = [], 0, 0
        self.free = False
        self.news, self.may = asyncio.Event(), asyncio.Semaphore(0)

    def go(self, count=1):
        """Let so many be answered."""
        for _ in range(count):
            self.may.release()

    async def until(self, count):
        """Wait for so many questions."""
        while len(self) < count:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), PATIENCE)

    async def start(self):
        self.started += 1
        return Process(self)


class Question(NamedTuple):
    config: RunConfig
    step: int
    run: Any
    process: Any


class Process:
    """Stands for a process; a question of the seed 666 is answered by an error."""

    def __init__(self, asked):
        self.asked, self.alive = asked, True

    async def ask(self, config, step, run):
        asked, self.last = self.asked, (config.seed, step)
        asked.append(Question(config, step, run, self))
        asked.news.set()
        number = len(asked)
        asked.at_once += 1
        try:
            assert asked.at_once <= check.HANDS
            await (asyncio.sleep(0) if asked.free else asked.may.acquire())
        finally:
            asked.at_once -= 1
        if config.seed == 666:
            raise CheckError("there is no PyTorch")
        return REPORT | {"step": step, "number": number}

    async def end(self):
        self.alive = False
        self.asked.ended.append(self.last)


@pytest.fixture
def asked(monkeypatch):
    questions = Asked()
    questions.free = True
    monkeypatch.setattr(check.TorchProcess, "start", questions.start)
    monkeypatch.setattr(check, "EVERY", 0.01)
    return questions


@pytest.fixture
def held(asked):
    """The same; each waits for its `go`."""
    asked.free = False
    return asked


@asynccontextmanager
async def asking(checks, *questions, told=None):
    """Ask for checks, each in a task of its own; those that are left are broken off."""
    tasks = [asyncio.create_task(checks.report(config, step, told)) for config, step in questions]
    await asyncio.sleep(0)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_a_check_is_made_once(asked):
    async def scenario():
        checks = Checks()
        found = await asyncio.gather(*(checks.report(CONFIG, step) for step in (3, 3, 4, 3)))
        assert [one["number"] for one in found] == [1, 1, 2, 1] and len(asked) == 2
        assert (await checks.report(CONFIG, 4))["number"] == 2
        assert (await checks.report(replace(CONFIG, lr=0.5), 4))["number"] == 3
        assert not checks._jobs and not checks._line and not checks._working

    run(scenario)


def test_only_so_many_checks_are_kept_and_errors_are_not(asked, monkeypatch):
    monkeypatch.setattr(check, "KEPT", 2)

    async def scenario():
        checks = Checks()
        for step in (1, 2, 3, 3, 2, 1, 3):
            await checks.report(CONFIG, step)
        assert [one.step for one in asked] == [1, 2, 3, 1]
        assert len(checks._found) == 2
        for _ in range(2):
            with pytest.raises(CheckError):
                await checks.report(replace(CONFIG, seed=666), 1)
        assert len(asked) == 6
        assert (await checks.report(CONFIG, 3))["number"] == 3, "an error takes no other's place"
        assert asked.started == 2 and len(asked.ended) == 2, "what has failed isn't asked again"

    run(scenario)


def test_those_who_ask_first_come_first_and_two_at_once(held):
    async def scenario():
        async with asking(Checks(), *((CONFIG, step) for step in range(5))) as tasks:
            await held.until(2)
            for done in range(1, 5):
                assert [one.step for one in held] == list(range(min(done + 1, 5)))
                held.go()
                await held.until(min(done + 2, 5))
            held.go()
            await asyncio.gather(*tasks)
        assert held.started == 2

    run(scenario)


def test_heavy_checks_do_not_take_the_last_hand(held, forecasts):
    heavy = replace(CONFIG, width=16)

    async def scenario():
        checks = Checks()
        questions = [(heavy, 0), (heavy, 1), (CONFIG, 2), (heavy, 3), (CONFIG, 4)]
        async with asking(checks, *questions) as tasks:
            await held.until(2)
            assert [one.step for one in held] == [0, 2], "a light one passes the second heavy one"
            tasks[2].cancel()
            await held.until(3)
            assert [one.step for one in held] == [0, 2, 4]
            tasks[4].cancel()
            await asyncio.sleep(0.05)
            assert len(held) == 3, "the second hand is for light ones"
            held.go()
            await held.until(4)
            assert held[-1].step == 1 and (heavy.seed, 0) in held.ended, "a heavy one's memory isn't kept"
        assert held.at_once == 0 and not checks._working

    run(scenario)


def test_a_heavy_check_leaves_the_process_that_waits_to_light_ones(held, forecasts):
    async def scenario():
        checks = Checks()
        held.go()
        await checks.report(CONFIG, 0)
        async with asking(checks, (replace(CONFIG, width=16), 1), (CONFIG, 2)) as tasks:
            await held.until(3)
            assert held[2].process is held[0].process is not held[1].process
            held.go(2)
            await asyncio.gather(*tasks)
        assert held.ended == [(0, 1)] and len(checks._idle) == 1

    run(scenario)


def test_who_leaves_gets_out_of_the_line_and_its_process_is_ended(held):
    async def scenario():
        checks = Checks()
        async with asking(checks, *((CONFIG, step) for step in (0, 1, 2, 2, 3))) as tasks:
            await held.until(2)
            tasks[2].cancel()
            tasks[0].cancel()
            await held.until(3)
            assert held[-1].step == 2 and held.ended == [(0, 0)], "somebody else still waits for that one"
            tasks[3].cancel()
            await held.until(4)
            assert held[-1].step == 3 and held.ended == [(0, 0), (0, 2)]
            async with asking(checks, (CONFIG, 0)) as (again,):
                held.go(3)
                assert (await again)["step"] == 0 and (await tasks[4])["step"] == 3
        assert not checks._jobs and not checks._line and not checks._working

    run(scenario)


def test_the_place_in_line_is_told_when_it_changes(held, forecasts):
    heavy, heard = replace(CONFIG, width=16), []

    async def told(waiting):
        heard.append(waiting)

    async def scenario():
        checks = Checks()
        async with (
            asking(checks, (heavy, 0), (heavy, 10), (heavy, 20), (CONFIG, 0), (CONFIG, 1)) as first,
            asking(checks, (heavy, 30), told=told) as (mine,),
        ):
            await held.until(2)
            first[1].cancel()
            while len(heard) < 2:
                await asyncio.sleep(0)
            each = [check.STEPS * 0.1 + 0.05 * step for step in (0, 10, 20, 30)]
            assert heard == [(3, -(-sum(each[:3]) // 1)), (2, -(-(each[0] + each[2]) // 1))]
            for known, questions in ((3, 4), (4, 5)):
                held.go(2)
                await held.until(questions)
                while len(heard) < known:
                    await asyncio.sleep(0)
            held.go()
            await mine
        assert [waiting.place for waiting in heard] == [3, 2, 1, 0]

    run(scenario)


def test_who_need_not_wait_is_told_nothing(asked):
    async def told(waiting):
        raise AssertionError(waiting)

    async def scenario():
        checks = Checks()
        assert await checks.report(CONFIG, 3, told) == await checks.report(CONFIG, 3, told)

    run(scenario)


def test_seconds_are_those_of_this_machine(forecasts):
    """What the latest checks took, compared with their forecasts, is expected of the next ones."""
    checks = Checks()
    for job in (jobs := [check._Job(CONFIG, step, 0.5) for step in range(4)]):
        checks._line.append(job)
    checks._call()
    assert [checks._place(job) for job in jobs] == [(0, 1), (0, 1), (2, 1), (3, 2)]
    checks._moved, checks._spent, checks._forecast = True, 6.0, 2.0
    assert [checks._place(job) for job in jobs] == [(0, 2), (0, 2), (2, 3), (3, 5)]


# --- sessions -------------------------------------------------------------------------------------------


def test_lanes_are_told_one_by_one_up_to_the_last_step(asked):
    settings = SMALL | {"lanes": "none,batch~lr:0.5,rms", "edits": "2:lr:0.25", "before": "lr:1.0"}

    async def scenario(channel):
        page = Page(channel)
        page.ask("check", id=9, values=settings, step=lab.LAB_STEPS + 1)
        found = await page.first("check", 3)
        assert [(one["lane"], one["of"], one["id"]) for one in found] == [(k, 3, 9) for k in range(3)]
        assert [one["name"] for one in found] == ["no norm", "batch norm (learning rate 0.5)", "RMS norm"]
        assert [one["report"]["step"] for one in found] == [lab.LAB_STEPS] * 3
        assert [one.config for one in asked] == configs_of(settings)
        await page.leave()

    with_channel(scenario)


def test_a_lane_that_is_too_much_is_refused_and_the_others_are_checked(asked, forecasts):
    settings = SMALL | {"lanes": "none,batch~width:16,rms"}

    async def scenario(channel):
        page = Page(channel)
        page.ask("check", id=9, values=settings, step=400)
        found = await page.first("check", 3)
        assert ["report" in one for one in found] == [True, False, True]
        assert set(found[1]) == {"kind", "id", "lane", "of", "name", "refused"}
        assert found[1]["name"] == "batch norm (width 16)" and found[1]["lane"] == 1
        assert found[1]["refused"].startswith("checking step 400 of this lane takes about")
        assert not page.of("problem") and len(asked) == 2
        await page.leave()

    with_channel(scenario)


def test_visitors_take_turns_lane_by_lane_and_are_told_their_place(held):
    async def scenario(channel):
        pages = [Page(channel) for _ in range(3)]
        for seed, page in enumerate(pages):
            page.ask("check", id=seed, values=SMALL | {"seed": seed, "lanes": "none,batch,rms"}, step=3)
            while sum(map(len, (channel.track.checks._line, channel.track.checks._working))) <= seed:
                await asyncio.sleep(0.001)
        first = (await pages[2].first("check"))[0]
        assert first["waiting"] == {"place": 2, "seconds": 1} and "report" not in first
        assert (first["lane"], first["of"], first["name"], first["id"]) == (0, 3, "no norm", 2)
        for done in range(9):
            held.go()
            await held.until(min(9, done + 3))
        for page in pages:
            while sum("report" in one for one in page.of("check")) < 3:
                await asyncio.sleep(0.001)
        order = [one.config.seed for one in held]
        assert all(sorted(order[k : k + 3]) == [0, 1, 2] for k in (0, 3, 6)), "rounds over visitors"
        for page in pages:
            await page.leave()

    with_channel(scenario)


class Reading(Page):
    """A page that counts reports, not the messages about its place in line."""

    def read(self):
        return [message["id"] for message in self.of("check") if "report" in message]

    async def reports(self, count):
        while len(self.read()) < count:
            self.news.clear()
            await self.news.wait()
        return self.read()


def test_a_second_request_of_one_page_is_refused_in_words(held):
    async def scenario(channel):
        page, other = Reading(channel), Reading(channel)
        page.ask("check", id=1, values=SMALL, step=3)
        page.ask("check", id=2, values=SMALL, step=4)
        other.ask("check", id=1, values=SMALL | {"seed": 5}, step=4)
        (problem,) = await page.first("problem")
        assert (problem["of"], problem["id"]) == ("check", 2)
        assert problem["message"] == "one check at a time: the one before is still on its way"
        page.ask("view", id=3, chapter="home", values={})
        await page.first("view")
        assert len(page.read()) < 2, "other questions needn't wait"
        held.go(4)
        await other.reports(2)
        await page.reports(2)
        assert set(page.read()) == {1} and not other.of("problem")
        held.go(2)
        page.ask("check", id=4, values=SMALL, step=4)
        assert await page.reports(4) == [1, 1, 4, 4]
        await page.leave()
        await other.leave()

    with_channel(scenario)


def test_who_has_the_last_answer_may_ask_again_before_the_server_has_noticed(asked):
    class Quick(Reading):
        async def send_text(self, message):
            await super().send_text(message)
            if "report" in json.loads(message) and self.read() == [1, 1]:
                self.ask("check", id=2, values=SMALL, step=4)
                await asyncio.sleep(0.02)

    async def scenario(channel):
        page = Quick(channel)
        page.ask("check", id=1, values=SMALL, step=3)
        assert await page.reports(4) == [1, 1, 2, 2]
        assert not page.of("problem")
        await page.leave()

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
        assert [one.config.seed for one in asked] == [666, 0, 0], "the second lane waits for it"
        await page.leave()

    with_channel(scenario)


@pytest.mark.parametrize("kind", ["nowhere", "nan", "broken"])
def test_whatever_goes_wrong_is_told(monkeypatch, referee, kind):
    if kind == "nowhere":
        monkeypatch.setattr(torch_process.sys, "executable", "nowhere-at-all")
    elif kind == "nan":
        referee("""print('{"step": 3, "agrees": NaN}')""")
    else:

        async def start():
            raise OSError("no more processes")

        monkeypatch.setattr(check.TorchProcess, "start", start)

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


def test_a_page_that_leaves_takes_its_process_along(referee):
    referee("time.sleep(60)")

    async def scenario(channel):
        page = Page(channel)
        page.ask("check", values=SMALL, step=3)
        while not referee.pid():
            await asyncio.sleep(0.01)
        assert psutil.pid_exists(referee.pid())
        await page.leave()
        while channel.track.checks._working or not gone(referee.pid()):
            await asyncio.sleep(0.01)
        assert not page.of("problem")

    with_channel(scenario)


def test_a_check_waits_neither_for_a_race_nor_ends_with_it(asked):
    async def scenario(channel):
        page = Page(channel)
        page.ask("lab", values=SMALL, until=10)
        page.ask("check", id=2, values=SMALL, step=3)
        page.ask("stop")
        assert [one["id"] for one in await page.first("check", 2)] == [2, 2]
        await page.leave()

    with_channel(scenario)


def test_a_page_that_is_gone_leaves_no_task_behind(held, caplog):
    async def scenario(channel):
        before = asyncio.all_tasks()
        page = Page(channel)
        page.ask("check", values=SMALL, step=3)
        await held.until(1)
        await page.leave()
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0.01)
        assert len(held) == 1 and not page.of("check") and held.ended == [(0, 3)]

    with_channel(scenario)
    assert "a check failed" not in caplog.text
