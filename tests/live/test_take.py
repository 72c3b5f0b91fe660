"""What is taken away: CSV against the runs and the closed forms, and scripts that are executed."""

import ast
import asyncio
import csv
import gzip
import json
import subprocess
import sys
import time
from itertools import product

import numpy as np
import pytest

import bnlib
from book.batch import transform
from book.race import lanes
from book.race import settings as lab
from book.race.runs import VALIDATE_EVERY
from book.registry import chapters
from live import outbox as outboxes
from live import take
from live.messages import LAB_CONTROLS, read
from live.outbox import Outbox
from live.race import LabSession
from live.scheduler import ComputationError
from live.wire import unpack
from live.worker import BANDS, CURVES
from tests.scheduler import Inline, Puppet, process_desk, shared

SMALL = {"depth": 3, "width": 16, "replicas": 2}


def settings(controls, **chosen):
    values, problems = read(controls, chosen)
    assert not problems
    return values


def table(text):
    """Comment lines, and the rows as dicts."""
    lines = text.splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert lines[: len(comments)] == comments
    return comments, list(csv.DictReader(lines[len(comments) :]))


PACKED = ("base64", "os", "sys", "tempfile", "numpy", "bnlib")  # bnlib comes along in the script


def run_script(text, folder, modules=PACKED):
    """What the script prints, run in an empty folder where nothing of ours is at hand."""
    path = folder / "taken.py"
    path.write_text(text, encoding="utf-8")
    tree = ast.parse(text)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= set(modules)
    done = subprocess.run(
        [sys.executable, "-I", "-X", "utf8", "-W", "error", str(path)],
        cwd=folder, capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == [path], "it leaves nothing behind"
    return done.stdout.splitlines()


def ran(values, step):
    """The runs behind a picture, made here and in one go."""
    return [
        bnlib.advance(bnlib.start(shown.config), step + 1).history | {"shown": shown}
        for shown in take.lanes_shown(values)
    ]


def lab_csv(values, step, recorded):
    """The text of a lab's CSV, of runs that were made in one go."""
    kept = {history["shown"].config: history for history in recorded}

    async def frames(config, numbers, names):
        part = slice(numbers.start, numbers.stop)
        arrays = {name: kept[config][name] for name in names}
        return {name: array[part] if name == "step" else array[:, part] for name, array in arrays.items()}

    gathered = asyncio.run(take.lab_frames(values, step, frames))
    return "".join(take.lab_csv(values, step, gathered))


def receive_file(client):
    """The next file, joined from its portions: its header, with the text; or what came in its place."""
    content, header = b"", None
    while header is None or header["kind"] == "file" and len(content) < header["size"]:
        header, _ = client.receive()
        if header["kind"] == "file":
            assert header["start"] == len(content)
            content += header["bytes"]
    return header | {"text": gzip.decompress(content).decode()} if content else header


def taken(client, request):
    """The answer to a request for a file."""
    client.send(request)
    return receive_file(client)


# ---- the training lab -------------------------------------------------------------------------------


def test_every_number_of_every_seed_is_in_the_csv():
    values = settings(LAB_CONTROLS, **SMALL, lanes="none,batch~lr:0.3", seed=7)
    recorded = ran(values, 12)
    comments, rows = table(lab_csv(values, 12, recorded))
    found = {
        (r["lane"], int(r["seed"]), int(r["step"]), r["layer"], r["quantity"]): np.float32(r["value"])
        for r in rows
    }
    assert len(found) == len(rows)
    expected = {}
    for history in recorded:
        for replica, step in product(range(2), range(13)):
            place = history["shown"].name, 7 + replica, step
            for name in ("train_loss",) if step % VALIDATE_EVERY else CURVES:
                expected[*place, "", name] = history[name][replica, step]
            for name, layer in product(BANDS, range(3)):
                expected[*place, str(layer + 1), name] = history[name][replica, step, layer]
    assert found == expected
    assert {row["lane"] for row in rows} == {"no norm", "batch norm (learning rate 0.3)"}
    assert any(np.__version__ in line and "bnlib" in line for line in comments)
    address = "?lanes=none,batch~lr:0.3&depth=3&width=16&replicas=2&seed=7"
    assert any(line.endswith(address) for line in comments)


def test_comments_hold_the_very_configurations():
    values = settings(LAB_CONTROLS, **SMALL, lanes="layer,batch", lr=0.0123456789012345, edits="4:eps:0.001")
    comments, _ = table(lab_csv(values, 5, ran(values, 5)))
    written = [line.split(" = ")[1] for line in comments if " = bnlib.RunConfig(" in line]
    here = {"bnlib": bnlib, "__builtins__": {}}
    configs = [eval(text, here) for text in written]  # noqa: S307
    race = lanes.lane_configs(values)
    assert configs[: len(race)] == race
    assert configs[len(race) :] == lanes.lane_configs(values | {"edits": ()})


def test_a_ghost_brings_its_curves():
    values = settings(LAB_CONTROLS, **SMALL, edits="4:lr:0.5")
    _, rows = table(lab_csv(values, 8, ran(values, 8)))
    ghost = [row for row in rows if row["lane"] == "ghost: batch norm"]
    assert {row["quantity"] for row in ghost} == set(CURVES)
    (loss,) = (r["value"] for r in ghost if (r["step"], r["quantity"], r["seed"]) == ("8", "train_loss", "0"))
    without = lanes.lane_configs(values | {"edits": ()})[1]
    assert loss == str(bnlib.advance(bnlib.start(without), 9).history["train_loss"][0, 8])


def test_a_diverged_seed_has_no_rows_beyond():
    values = settings(LAB_CONTROLS, **SMALL, lanes="none", lr=10, init_scale=5)
    (history,) = recorded = ran(values, 30)
    alive = np.isfinite(history["train_loss"])
    assert not alive[:, -1].all(), "these settings should diverge"
    _, rows = table(lab_csv(values, 30, recorded))
    assert not [row for row in rows if "nan" in row["value"]]
    losses = [row for row in rows if row["quantity"] == "train_loss"]
    assert len(losses) == alive.sum()


def test_a_long_file_is_thinned_and_says_so(monkeypatch):
    values = settings(LAB_CONTROLS, **SMALL)
    recorded = ran(values, 33)
    monkeypatch.setattr(take, "MOST_ROWS", 600)
    comments, rows = table(lab_csv(values, 33, recorded))
    assert len(rows) <= 600 + 2 * 2 * 3 * len(BANDS)  # the last step is always there
    layers = {int(row["step"]) for row in rows if row["layer"]}
    assert layers == {0, 10, 20, 30, 33} and "every 10th step" in comments[0]
    assert {int(r["step"]) for r in rows if r["quantity"] == "train_loss"} == set(range(34))


def test_a_ghost_has_no_layers_that_could_make_a_file_too_long(monkeypatch):
    values = settings(LAB_CONTROLS, **SMALL, edits="4:lr:0.5")
    _, rows = table(lab_csv(values, 8, recorded := ran(values, 8)))
    monkeypatch.setattr(take, "MOST_ROWS", len(rows))
    assert table(lab_csv(values, 8, recorded))[1] == rows
    monkeypatch.setattr(take, "MOST_ROWS", len(rows) - 1)
    assert len(table(lab_csv(values, 8, recorded))[1]) < len(rows)


def test_the_largest_race_stays_bounded():
    """Four lanes with ghosts, eight seeds, twenty layers, all steps: what the settings allow at most."""
    frames = lab.LAB_STEPS + 1
    curves = 2 * 4 * 8 * (frames + 3 * (frames // VALIDATE_EVERY + 1))
    layers = 4 * 8 * 20 * len(BANDS) * frames
    every = take._thinning(layers, take.MOST_ROWS - curves)
    assert curves + layers / every <= take.MOST_ROWS


@pytest.mark.parametrize(
    "chosen",
    [
        {"lanes": "none,batch,group"},
        {"lanes": "batch,batch~lr:0.7", "activation": "tanh", "optimizer": "adamw", "eps": 0.0123},
        {"edits": "5:lr:0.5,11:gamma:0.3", "dataset": "spirals", "data_noise": 0.05, "seed": 3},
        {"lanes": "none,layer", "lr": 10, "init_scale": 5},
        {
            "lanes": "batch,batch~norm_batch:2~batch_order:sorted,none~norm_noise:1",
            "norm_batch": 5,
            "weight_decay": 0.01,
            "cosine_steps": 9,
            "optimizer": "momentum",
            "edits": "6:weight_decay:0.1",
            "label_noise": 0.3,
            "train_samples": 100,
            "inputs": "standardized",
            "init": "normal",
            "init_scale": 0.1,
        },
        {"network": "cnn", "lanes": "batch,instance~weight_norm:standard,spectral,group", "width": 12},
        {"network": "rnn", "lanes": "none,running,dyt~alpha:0.25", "edits": "7:alpha:2"},
        {"network": "gan", "lanes": "batch,spectral~iterations:3,frn~placement:after", "seed": 5},
        {
            "lanes": "renorm,ghost,weight,batch~network:cnn",
            "edits": "9:r_max:1.5,9:d_max:0",
            "batch_size": 24,
        },
    ],
)
def test_the_script_repeats_the_recording_to_the_last_digit(client, tmp_path, chosen):
    values = SMALL | chosen
    request = {"kind": "take", "picture": "lab", "values": values, "step": 13}
    file = taken(client, request | {"id": 5, "what": "csv"})
    assert (file["kind"], file["id"], file["name"]) == ("file", 5, "batchnorm-lab-step-13.csv")
    _, rows = table(file["text"])
    script = taken(client, request | {"id": 6, "what": "python"})
    assert (script["id"], script["name"]) == (6, "batchnorm-lab-step-13.py")
    measured = "samples near a Gaussian" if chosen.get("network") == "gan" else "validation accuracy"
    printed = dict(
        line.split(f": {measured} at step 10, by seed: ") for line in run_script(script["text"], tmp_path)
    )
    names = lanes.lane_names(settings(LAB_CONTROLS, **values))
    assert list(printed) == names
    for name in names:
        for seed, accuracy in enumerate(printed[name].split(), start=chosen.get("seed", 0)):
            of_seed = [r for r in rows if r["lane"] == name and r["seed"] == str(seed)]
            alive = any(r["quantity"] == "train_loss" and r["step"] == "13" for r in of_seed)
            (said,) = [
                r["value"] for r in of_seed if r["quantity"] == "val_accuracy" and r["step"] == "10"
            ] or ["nan"]
            assert accuracy == (said if alive else "nan")


# ---- one batch --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chapter", "name"), [("one_batch", "batchnorm-one-batch.csv"), ("home", "batchnorm-home.csv")]
)
def test_the_csv_of_a_batch_holds_the_transform(client, chapter, name):
    values = {"batch_size": 9, "gamma": -1.5, "beta": 0.25, "eps": 0.01, "moved": "3:2.5"}
    request = {"kind": "take", "id": 1, "what": "csv", "chapter": chapter, "values": values}
    file = taken(client, request)
    assert file["name"] == name
    comments, rows = table(file["text"])
    assert any("?batch_size=9&gamma=-1.5&beta=0.25&eps=0.01&moved=3:2.5" in line for line in comments)
    assert [int(row["index"]) for row in rows] == list(range(9))
    x, x_hat, y = (np.array([float(row[name]) for row in rows]) for name in ("x", "x_hat", "y"))
    assert x[3] == 2.5
    normalized = (x - x.mean()) / np.sqrt(np.square(x - x.mean()).mean() + 0.01)
    np.testing.assert_allclose(x_hat, normalized, rtol=1e-12)
    np.testing.assert_allclose(y, -1.5 * normalized + 0.25, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 256])
def test_the_script_of_a_batch_prints_its_csv(client, size, tmp_path):
    chosen = {"batch_size": size, "gamma": 0.7, "beta": -1.2, "eps": 3e-4}
    request = {"kind": "take", "chapter": "one_batch", "values": chosen}
    file = taken(client, request | {"id": 1, "what": "csv"})
    script = taken(client, request | {"id": 2, "what": "python"})
    assert script["name"] == "batchnorm-one-batch.py"
    printed = run_script(script["text"], tmp_path, ("numpy",))
    said = dict(line.split(" = ") for line in printed if " = " in line)
    table_lines = [line for line in printed if " = " not in line]
    _, here = table("\n".join(table_lines))
    _, rows = table(file["text"])
    assert table_lines[0] == "index,x,x_hat,y" and len(here) == len(rows) == size
    assert [row["index"] for row in here] == [row["index"] for row in rows]
    for name in ("x", "x_hat", "y"):
        computed, sent = (np.array([float(row[name]) for row in lines]) for lines in (here, rows))
        np.testing.assert_allclose(computed, sent, rtol=1e-12, atol=1e-12)
    x = transform(settings(chapters()["one_batch"].table, **chosen)).arrays["x"]
    assert float(said["x_mean"]) == pytest.approx(x.mean(), rel=1e-12)
    assert float(said["x_var"]) == pytest.approx(np.square(x - x.mean()).mean(), rel=1e-12)


# ---- the channel ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"what": "pdf"}, "what=pdf must be one of csv, python"),
        ({"what": None}, "what=None must be"),
        ({"picture": "zoo"}, "chapter=None must be one of home, one_batch"),
        ({"picture": ["lab"]}, "chapter=None must be one of"),
        ({"picture": "lab", "chapter": "home", "step": None}, "step=None must be a whole number"),
        ({"picture": None, "chapter": "lab"}, "chapter=lab must be one of home, one_batch"),
        ({"picture": None, "chapter": ["home"]}, "chapter=['home'] must be one of"),
        (
            {"picture": None, "chapter": "home", "values": {}, "what": "pdf"},
            "what=pdf must be one of csv, python",
        ),
        ({"picture": None, "chapter": "home", "values": {}, "what": ["csv"]}, "what=['csv'] must be"),
        ({"picture": None, "chapter": "home", "values": {"gamma": 9}}, "gamma=9 is outside -4 to 4"),
        ({"picture": None, "chapter": "home", "values": {"depth": 3}}, "depth is no setting of this page"),
        ({"values": {"depth": 99}}, "depth=99 is outside 1 to 20"),
        ({"values": 3}, "values=3 must be an object"),
        ({"step": -1}, "step=-1 must be a whole number"),
        ({"id": "one"}, "id=one must be a whole number"),
    ],
)
def test_a_bad_request_is_answered_by_a_problem(client, changed, words):
    good = {"kind": "take", "id": 3, "what": "csv", "picture": "lab", "values": SMALL, "step": 2}
    problem = taken(client, good | changed)
    assert (problem["kind"], problem["of"]) == ("problem", "take")
    assert words in problem["message"]
    file = taken(client, good | {"id": 4})
    assert (file["kind"], file["id"]) == ("file", 4)


def test_one_file_at_a_time_and_others_are_answered_meanwhile(server):
    slow = {"lanes": "none,batch", "depth": 4, "seed": 8127}
    request = {"kind": "take", "what": "csv", "picture": "lab", "values": slow, "step": 150}
    with server.client(max_size=None) as client:
        client.send(request | {"id": 1})
        refused, _ = client.ask(request | {"id": 2})
        assert (refused["kind"], refused["id"]) == ("problem", 2)
        assert "one file at a time" in refused["message"]
        shown, _ = client.ask({"kind": "view", "id": 3, "chapter": "home", "values": {}})
        assert shown["kind"] == "view"
        file = receive_file(client)
        assert (file["kind"], file["id"]) == ("file", 1) and table(file["text"])


def test_who_leaves_has_nothing_computed_any_more(server, patiently):
    values = {"lanes": "none,batch", "depth": 4, "seed": 8128}
    request = {"kind": "take", "id": 1, "what": "csv", "picture": "lab", "values": values}
    with server.client() as client:
        taken(client, request | {"step": 1})  # now the pool is awake
        computed = server.health()["computed_steps"]
        client.send(request | {"step": 2000})
        client.ask({"kind": "view", "id": 2, "chapter": "home", "values": {}})

    def at_rest():
        before = server.health()
        time.sleep(1)
        return before == server.health() and before["sockets"] == 0

    patiently(at_rest, "the end of the computation")
    assert server.health()["computed_steps"] - computed < 2000  # of 2 x 2000


def test_frames_of_the_desk_are_those_of_the_run():
    """The recording, chunk by chunk from the pool, is the run in one go."""
    values = settings(LAB_CONTROLS, **SMALL)

    async def recorded():
        desk = process_desk(1)
        desk.start()
        try:
            return await take.lab_frames(values, 17, desk.frames)
        finally:
            desk.stop()

    for frame, history in zip(asyncio.run(recorded()), ran(values, 17), strict=True):
        assert set(frame) == {"step", "layer_step", *CURVES, *BANDS}
        np.testing.assert_array_equal(frame["layer_step"], history["step"])
        for name in ("step", *CURVES, *BANDS):
            np.testing.assert_array_equal(frame[name], history[name])


# ---- what writing takes -----------------------------------------------------------------------------


def written(values, step, scheduler, what="csv"):
    return asyncio.run(take.written(take.Wanted(what, values, step), scheduler, Outbox()))


def test_numbers_are_written_in_a_worker_and_are_those_of_the_runs():
    values, pool = settings(LAB_CONTROLS, **SMALL), Inline()
    content = written(values, 9, pool)
    ((function, arguments),) = pool.ran
    assert function is take.lab_file and function(*arguments) == content
    assert gzip.decompress(content).decode() == lab_csv(values, 9, ran(values, 9))
    script = written(values, 9, pool, "python")
    assert gzip.decompress(script).decode() == take.lab_python(values, 9) and len(pool.ran) == 1


def test_of_layers_only_a_part_is_held_at_a_time_and_only_what_is_written(monkeypatch):
    monkeypatch.setattr(take, "MOST_ROWS", 600)
    monkeypatch.setattr(take, "PART", 4)
    values, pool, asked = settings(LAB_CONTROLS, **SMALL), Inline(), []

    async def frames(config, numbers, names):
        if set(names) & set(BANDS):
            asked.append(len(numbers))
        return await Inline.frames(pool, config, numbers, names)

    for frame in asyncio.run(take.lab_frames(values, 33, frames)):
        assert frame["layer_step"].tolist() == [0, 10, 20, 30, 33]
        assert {frame[name].shape for name in BANDS} == {(2, 5, 3)} and frame["train_loss"].shape == (2, 34)
    assert asked == 2 * [4, 4, 4, 4, 4, 4, 4, 4, 2]


class Forgetful(Inline):
    """Has dropped what a file needs whenever it is gathered, at first or always."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    async def frames(self, config, numbers, names):
        if "train_loss" in names and self.times > 0:
            self.times -= 1
            await asyncio.Event().wait()
        return await super().frames(config, numbers, names)


def test_runs_that_were_dropped_before_they_are_written_are_computed_again(monkeypatch):
    """Nobody else waits for that: the place among those that are written is free meanwhile."""
    monkeypatch.setattr(take, "GATHERING", 0.01)
    values = settings(LAB_CONTROLS, **SMALL)
    content = written(values, 9, Forgetful(take.TRIES - 1))
    assert gzip.decompress(content).decode() == lab_csv(values, 9, ran(values, 9))
    with pytest.raises(
        ComputationError, match=r"step=9: the runs of this race were dropped 3 times .* take an"
    ):
        written(values, 9, Forgetful(take.TRIES))


def test_a_file_holds_no_place_while_its_runs_are_computed():
    values, outbox = settings(LAB_CONTROLS, **SMALL), Outbox()

    class Slow(Inline):
        async def frames(self, config, numbers, names):
            assert (outbox.nbytes > 0) == (len(names) > 1)  # at first only whether they are there
            return await super().frames(config, numbers, names)

    asyncio.run(take.written(take.Wanted("csv", values, 9), Slow(), outbox))
    assert outbox.nbytes == 0


@pytest.mark.parametrize("small", [2**30, 0])
def test_a_large_file_is_heavy_work(monkeypatch, small):
    monkeypatch.setattr(take, "SMALL", small)
    told = []

    class Told(Inline):
        async def run(self, function, *arguments, heavy=False):
            told.append(heavy)
            return await super().run(function, *arguments)

    written(settings(LAB_CONTROLS, **SMALL), 3, Told())
    assert told == [not small]


@pytest.mark.parametrize("step", [0, 12, 150])
def test_what_a_file_is_expected_to_take_is_about_what_it_takes(step):
    values = settings(LAB_CONTROLS, depth=20, width=8, replicas=8, batch_size=8, lanes="none,batch")
    size = len(written(values, step, Inline()))
    assert size / 3 - 4096 < take._most_bytes(values, step) and size < take._most_bytes(values, step) + 4096


# ---- many who take ----------------------------------------------------------------------------------


class Taker:
    """A session whose page reads when it is told to."""

    def __init__(self, track, reads=True):
        self.got, self.reads, self.offered = [], asyncio.Event(), asyncio.Event()
        if reads:
            self.reads.set()
        self.session = LabSession(track, self.receive)

    async def receive(self, message):
        self.offered.set()
        await self.reads.wait()
        self.got.append(json.loads(message) if isinstance(message, str) else unpack(message)[0])

    async def ask(self, step=9, what="csv", number=1):
        request = {"kind": "take", "id": number, "picture": "lab", "values": SMALL, "step": step}
        await self.session.handle(json.dumps(request | {"what": what}))

    @property
    def text(self):
        return gzip.decompress(b"".join(portion["bytes"] for portion in self.got)).decode()


def test_who_take_the_same_share_what_is_written():
    async def scenario():
        pool = Inline()
        track = shared(pool)
        takers = [Taker(track) for _ in range(3)]
        for taker in takers:
            await taker.ask()
        await asyncio.gather(*(taker.session.taking for taker in takers))
        late = Taker(track)
        await late.ask()
        await late.session.taking
        assert len(pool.ran) == 1 and len({taker.text for taker in [*takers, late]}) == 1
        await late.ask(step=8)
        await late.session.taking
        assert len(pool.ran) == 2

    asyncio.run(scenario())


def test_a_file_that_was_given_up_is_told_and_can_be_taken_again(monkeypatch):
    monkeypatch.setattr(outboxes, "PATIENCE", 0.0)

    async def scenario():
        track = shared(Inline())
        track.outbox.most = 1
        lazy, busy = Taker(track, reads=False), Taker(track)
        await lazy.ask()
        await lazy.offered.wait()
        await busy.ask(step=8)
        await busy.session.taking
        assert busy.text and not lazy.got
        lazy.reads.set()
        await lazy.session.taking
        (problem,) = lazy.got
        assert (problem["kind"], problem["of"], problem["id"]) == ("problem", "take", 1)
        assert problem["message"].startswith("batchnorm-lab-step-9.csv came through at less than")
        lazy.got.clear()
        await lazy.ask(number=2)
        await lazy.session.taking
        assert lazy.text.startswith("# Training runs of BatchNorm Lab up to step 9")

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_who_leaves_has_nothing_written_any_more():
    async def scenario():
        pool = Puppet()
        track = shared(pool)
        taker = Taker(track)
        await taker.ask()
        while not pool.calls:
            await asyncio.sleep(0)
        assert track.outbox.nbytes > 0
        await taker.session.close()
        await asyncio.sleep(0)
        assert pool.calls[0][2].cancelled() and track.outbox.nbytes == 0

    asyncio.run(asyncio.wait_for(scenario(), 60))
