"""What a lane costs: parameters that are counted, and a step that is timed, once for all who ask."""

import asyncio
import itertools
import math
import time
from dataclasses import replace

import pytest
from hypothesis import given

from bnlib import RunConfig, start
from bnlib.networks.config import FIELDS
from bnlib.networks.parameters import plan
from book.race.lanes import lane_configs
from book.race.settings import LAB_CONTROLS
from live import messages, track, worker
from live.desk import ComputationError
from tests.live.drawn import addresses_of
from tests.live.pages import Page, with_channel

SMALL = {"depth": 2, "width": 8, "batch_size": 8, "replicas": 2, "lanes": "none,batch,batch~lr:0.5"}
SEED = itertools.count(3000)


def configs_of(settings):
    values, problems = messages.read(LAB_CONTROLS, settings)
    assert problems == []
    return lane_configs(values)


@pytest.fixture
def measured(monkeypatch):
    """The configurations that are measured, in their order."""
    asked = []

    def cost(config):
        asked.append(config)
        time.sleep(0.02)
        return len(asked), 0.5

    monkeypatch.setattr(worker, "cost", cost)
    return asked


# --- what costs alike -----------------------------------------------------------------------------------

BASE = RunConfig(norm="batch", norm_batch=2, batch_order="pairs", width=16, record_every=1)
OTHERWISE = {
    "dataset": "ring", "network": "cnn", "depth": 4, "width": 32, "activation": "tanh", "residual": "pre",
    "norm": "group", "placement": "after", "weight_norm": "weight", "groups": 4, "iterations": 2,
    "norm_batch": 4, "norm_noise": 1.0, "batch_size": 64, "optimizer": "adamw", "weight_decay": 0.1,
    "frozen": True, "replicas": 3, "dtype": "float64",
}  # fmt: skip
NO_MATTER = {
    "data_noise": 0.2, "inputs": "standardized", "label_noise": 0.1, "train_samples": 100, "r_max": 2.0,
    "d_max": 1.0, "alpha": 0.25, "batch_order": "sorted", "lr": 0.5, "cosine_steps": 100, "init": "normal",
    "init_scale": 0.5, "eps": 0.1, "gamma": 0.5, "beta": 0.5, "momentum": 0.5, "seed": 7,
    "record_every": 2, "validate_every": 7, "edits": ((5, "lr", 0.1), (9, "batch_size", 4)),
    "decay_affine": True, "last_batch": "drop", "learn_affine": False, "rest_lr": 0.1,
}  # fmt: skip
BESIDES = {"skip_init", "gradient_penalty", "padding"}  # of a residual network, a GAN, and sequences


def test_each_field_matters_or_does_not():
    assert set(OTHERWISE) | set(NO_MATTER) | BESIDES == {*FIELDS, "edits"}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_makes_steps_dearer_is_measured_apart(name):
    other = replace(BASE, **{name: OTHERWISE[name]})
    assert worker.cost_alike(other) != worker.cost_alike(BASE)
    assert getattr(worker.cost_alike(other), name) == OTHERWISE[name]


@pytest.mark.parametrize("name", NO_MATTER)
def test_what_does_not_make_steps_dearer_is_measured_once(name):
    assert worker.cost_alike(replace(BASE, **{name: NO_MATTER[name]})) == worker.cost_alike(BASE)


@given(raw=addresses_of(LAB_CONTROLS))
def test_every_lane_has_a_cost(raw):
    values, _ = messages.read(LAB_CONTROLS, raw)
    for config in lane_configs(values):
        alike = worker.cost_alike(config)
        assert worker.cost_alike(alike) == alike
        assert plan(alike).size == plan(config.at(0)).size and alike.replicas == config.replicas


# --- what is measured -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({"norm": "none"}, 64 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10),
        ({"norm": "none", "replicas": 5}, 64 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10),
        ({"norm": "batch"}, 64 * 8 + 8 * 8 + 8 * 10 + 10 + 2 * 2 * 8),
        ({"norm": "none", "network": "cnn"}, 9 * 4 + 4 + 9 * 4 * 8 + 8 + 8 * 10 + 10),
        ({"norm": "none", "network": "rnn"}, (8 + 8) * 8 + 8 + (8 + 8) * 8 + 8 + 8 * 10 + 10),
        (
            {"norm": "none", "network": "gan", "dataset": "ring"},  # the discriminator, and the generator
            (2 * 8 + 8 + 8 * 8 + 8 + 8 + 1) + (8 * 8 + 8 + 8 * 8 + 8 + 8 * 2 + 2),
        ),
    ],
)
def test_parameters_are_counted(changes, parameters):
    config = RunConfig(**{"depth": 2, "width": 8, "batch_size": 8, "replicas": 2} | changes)
    counted, seconds = worker.cost(config)
    assert counted == parameters == sum(a[0].size for a in start(config).parameters.values())
    assert 0 < seconds < 1 and isinstance(counted, int) and isinstance(seconds, float)


def test_a_larger_race_takes_longer():
    small = RunConfig(depth=2, width=8, batch_size=8)
    large = replace(small, depth=8, width=128, batch_size=128, replicas=4)
    assert worker.cost(large)[1] > 5 * worker.cost(small)[1]


# --- the channel ----------------------------------------------------------------------------------------


def test_each_lane_is_told_its_cost_once(client):
    settings = SMALL | {"seed": next(SEED), "lanes": "none,batch,spectral~width:16,layer~network:cnn"}
    client.ask({"kind": "lab", "id": 4, "values": settings, "until": 0, "draft": True})
    header, _ = client.ask({"kind": "lab", "id": 5, "values": settings, "until": 0})
    while header["kind"] != "lab" or header["id"] != 5:
        header, _ = client.receive()
    costs = client.receive_costs(4)
    assert client.ask({"kind": "view", "id": 6, "chapter": "home", "values": {}})
    assert client.costs == costs, "and no more"
    assert [set(cost) for cost in costs] == [{"kind", "id", "lane", "parameters", "seconds"}] * 4
    assert [(cost["kind"], cost["id"], cost["lane"]) for cost in costs] == [("cost", 5, k) for k in range(4)]
    assert [cost["parameters"] for cost in costs] == [start(c).flat.shape[1] for c in configs_of(settings)]
    assert all(0 < cost["seconds"] < 1 and math.isfinite(cost["seconds"]) for cost in costs)


def test_two_sockets_cause_one_measurement(server):
    settings = SMALL | {"seed": next(SEED), "depth": 3}
    with server.client() as first, server.client() as second:
        for client in (first, second):
            client.send({"kind": "lab", "id": 1, "values": settings | {"seed": next(SEED)}, "until": 0})
        seconds = [[cost["seconds"] for cost in client.receive_costs(3)] for client in (first, second)]
    assert seconds[0] == seconds[1], "to the last digit: it is the very same"
    assert seconds[0][1] == seconds[0][2] != seconds[0][0], "another learning rate costs the same"


def test_what_is_asked_for_at_once_is_measured_once(measured):
    async def scenario(channel):
        config = configs_of(SMALL)[0]
        found = await asyncio.gather(*(channel.track.cost(replace(config, seed=seed)) for seed in range(8)))
        assert len(measured) == 1 and set(found) == {(1, 0.5)}
        assert await channel.track.cost(config) == (1, 0.5) and len(measured) == 1
        assert measured == [worker.cost_alike(config)]

    with_channel(scenario)


def test_costs_are_measured_one_after_another(monkeypatch):
    """Side by side they would take each other's time."""
    now, most = [], []

    def cost(config):
        now.append(config)
        most.append(len(now))
        time.sleep(0.02)
        now.remove(config)
        return 1, 0.5

    monkeypatch.setattr(worker, "cost", cost)

    async def scenario(channel):
        config = configs_of(SMALL)[0]
        await asyncio.gather(*(channel.track.cost(replace(config, depth=depth)) for depth in (1, 2, 3, 4)))
        assert most == [1] * 4

    with_channel(scenario)


def test_only_so_many_costs_are_kept(measured, monkeypatch):
    monkeypatch.setattr(track, "MOST_COSTS", 2)

    async def scenario(channel):
        config = configs_of(SMALL)[0]
        one, two, three = (replace(config, depth=depth) for depth in (1, 2, 3))
        for asked in (one, two, three, three, two, one, three):
            await channel.track.cost(asked)
        assert [config.depth for config in measured] == [1, 2, 3, 1]
        assert len(channel.track._costs) == 2

    with_channel(scenario)


def test_a_draft_is_not_measured(measured):
    async def scenario(channel):
        page = await watch(channel, draft=True)
        await page.rows(3 * 3)
        await page.leave()
        assert measured == [] and page.of("cost") == []

    with_channel(scenario)


async def watch(channel, **more):
    page = Page(channel)
    page.ask("lab", values=SMALL | {"seed": next(SEED)}, until=20, **more)
    await page.first("lab")
    return page


@pytest.mark.parametrize(
    "error", [ComputationError("the pool is gone"), ValueError("broken"), MemoryError()], ids=repr
)
def test_a_race_goes_on_when_its_costs_cannot_be_measured(monkeypatch, error):
    async def scenario(channel):
        run = channel.desk.run

        async def fail(function, *arguments, **how):
            if function is worker.cost:
                raise error
            return await run(function, *arguments, **how)

        monkeypatch.setattr(channel.desk, "run", fail)
        page = await watch(channel)
        await page.rows(3 * 21)
        page.ask("verdict", step=20)
        (verdict,) = await page.first("verdict")
        assert verdict["step"] == 20 and page.of("cost") == [] and page.of("problem") == []
        await page.leave()
        assert channel.open_sockets == 0

    with_channel(scenario)


def test_after_a_failure_it_is_measured_again(monkeypatch, measured):
    async def scenario(channel):
        config, run = configs_of(SMALL)[0], channel.desk.run

        async def fail(*arguments, **how):
            raise ComputationError("the pool is gone")

        monkeypatch.setattr(channel.desk, "run", fail)
        with pytest.raises(ComputationError):
            await channel.track.cost(config)
        monkeypatch.setattr(channel.desk, "run", run)
        assert await channel.track.cost(config) == (1, 0.5)

    with_channel(scenario)


@pytest.mark.parametrize("way", ["stop", "lab", "leave"])
def test_what_nobody_watches_is_not_measured(monkeypatch, way):
    asked = []

    def cost(config):
        asked.append(config)
        time.sleep(0.3)
        return len(asked), 0.5

    monkeypatch.setattr(worker, "cost", cost)

    async def scenario(channel):
        page = await watch(channel)
        while not asked:
            await asyncio.sleep(0.01)
        if way == "leave":
            await page.leave()
        elif way == "stop":
            page.ask("stop")
        else:
            page.ask("lab", id=2, values=SMALL, until=0, draft=True)
        await asyncio.sleep(0.5)
        assert len(asked) == 1 and page.of("cost") == []
        if way != "leave":
            await page.leave()

    with_channel(scenario)
