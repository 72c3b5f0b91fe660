"""Forecasts against what isn't them: PyTorch's count of products, Python's of bytes, the engine's shapes."""

import itertools
import tracemalloc
from dataclasses import replace
from math import prod

import pytest
import torch

from bnlib import NORMS, RunConfig, advance, start
from bnlib.data import DATASETS, load
from bnlib.jobs import forecast, work
from bnlib.networks import config
from bnlib.networks.parameters import plan
from bnlib.norms.weights import WEIGHT_NORMS


def of(**fields):
    found = forecast.forecast(RunConfig(**fields))
    return found


NETWORKS = {
    "dense": {"depth": 4, "width": 24, "batch_size": 20},
    "plane": {"dataset": "moons", "depth": 2, "width": 16, "batch_size": 12, "norm": "layer"},
    "deep": {"depth": 6, "width": 16, "residual": "pre", "norm": "group"},
    "one convolution": {"network": "cnn", "depth": 1, "width": 16, "batch_size": 6},
    "convolutions": {"network": "cnn", "depth": 5, "width": 12, "batch_size": 5, "norm": "layer"},
    "recurrent": {"network": "rnn", "depth": 2, "width": 12, "batch_size": 7},
    "sequences": {"network": "rnn", "dataset": "pauses", "depth": 2, "width": 12, "batch_size": 7},
    "gan": {"network": "gan", "dataset": "ring", "depth": 3, "width": 16, "batch_size": 9},
    "penalty": {
        **{"network": "gan", "dataset": "ring", "depth": 3, "width": 16, "batch_size": 9, "norm": "none"},
        "gradient_penalty": 1.0, "activation": "tanh",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", DATASETS)
def test_the_sizes_of_data_sets_are_known_without_loading_them(name):
    data = load(name)
    assert work.SIZES[name] == (data.x_train.shape[1], data.classes, len(data.y_val))


@pytest.mark.parametrize("fields", NETWORKS.values(), ids=NETWORKS)
def test_maps_are_those_of_the_network(fields):
    run = start(RunConfig(**fields))
    weights = {name: array.shape[1:] for name, array in run.parameters.items() if "weight" in name}
    own = {f"weight{layer}": (one.rows, one.columns) for layer, one in enumerate(work.maps(run.config))}
    made = enumerate(work.generator_maps(run.config))
    assert weights == own | {f"generator_weight{layer}": (one.rows, one.columns) for layer, one in made}


@pytest.mark.parametrize("norm", [*NORMS, "none"])
@pytest.mark.parametrize("network", ["mlp", "rnn"])
def test_parameters_are_counted(network, norm):
    """But for biases, which some norms make superfluous, and for those that a layer has one of."""
    run = RunConfig(network=network, norm=norm, depth=2, width=16)
    hidden, every = work.parameters(run)
    exact = plan(run)
    assert hidden == exact.hidden_size
    assert exact.size - run.depth <= every <= exact.size + run.depth * run.width


def by_torch(fields):
    """Multiply-adds of a step of one network in PyTorch, forward and backward."""
    from torch.utils.flop_counter import FlopCounterMode

    from bnlib.torch_check.twin import twin

    run = start(RunConfig(**fields))
    size, features = run.config.batch_size, work.SIZES[run.config.dataset][0]
    x = torch.zeros(size, features)

    def labelled(logits):
        return torch.nn.functional.cross_entropy(logits, torch.zeros(size, dtype=torch.long))

    if run.config.network != "gan":
        net = twin(run)
        with FlopCounterMode(display=False) as counter:
            labelled(net(x)).backward()
        return counter.get_total_flops() / 2
    judge, maker = twin(run), twin(run, prefix="generator_")
    latent = torch.zeros(size, 8)
    with FlopCounterMode(display=False) as counter:
        logits = judge(x.requires_grad_("gradient_penalty" in fields))
        if "gradient_penalty" in fields:  # apart from the loss, as in the engine
            (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
            slope.square().sum().backward(retain_graph=True)
        (logits.sum() + judge(maker(latent).detach()).sum()).backward()
        judge(maker(latent)).sum().backward()
    found = counter.get_total_flops() / 2
    if "gradient_penalty" in fields:
        # Where the output's gradient is 1 in all samples, its weights are that product already; and
        # autograd brings the gradients of both to x, which is no parameter.
        rows = work.maps(run.config)
        found -= 2 * size * (rows[-1].weights + rows[0].weights)
    return found


@pytest.mark.parametrize("fields", NETWORKS.values(), ids=NETWORKS)
def test_multiply_adds_are_those_of_pytorch(fields):
    run = RunConfig(**fields)
    known = by_torch(fields)
    for one in work.maps(run)[:-1]:
        if one.stride == 2 and not one.first:  # 16 products where 9 aren't with zeros
            known += run.batch_size * one.positions * one.weights * 7 / 9
        if run.network == "rnn" and one.first:  # PyTorch leaves out the way back to the first state
            known += run.batch_size * one.weights
    assert sum(work.multiply_adds(run)) == pytest.approx(known, rel=1e-12)
    assert sum(work.multiply_adds(replace(run, replicas=3))) == pytest.approx(3 * known, rel=1e-12)


@pytest.mark.parametrize("fields", NETWORKS.values(), ids=NETWORKS)
def test_a_step_does_the_multiply_adds_of_its_maps(fields):
    run = RunConfig(**fields, replicas=2)
    assert work.training(run).products == pytest.approx(sum(work.multiply_adds(run)), rel=1e-12)


def peak(run):
    """Bytes that two steps hold at most, data sets aside."""
    advance(start(replace(run, replicas=1, batch_size=4)), 1)
    tracemalloc.start()
    try:
        advance(start(run), 2)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


MEMORABLE = [
    {"depth": 8, "width": 128, "batch_size": 320, "replicas": 4},
    {"depth": 4, "width": 128, "batch_size": 640, "replicas": 8, "norm": "none"},
    {"depth": 20, "width": 128, "batch_size": 640, "replicas": 4, "norm": "group"},
    {"depth": 8, "width": 64, "batch_size": 320, "replicas": 2, "norm": "layer", "dtype": "float64"},
    {"depth": 5, "width": 128, "batch_size": 256, "replicas": 4, "norm": "instance", "activation": "gelu"},
    {"depth": 5, "width": 128, "batch_size": 256, "replicas": 4, "norm": "frn"},
    {"depth": 5, "width": 128, "batch_size": 256, "replicas": 4, "norm": "dyt", "placement": "after"},
    {"depth": 5, "width": 64, "batch_size": 256, "replicas": 4, "norm": "ghost", "norm_batch": 1},
    {"depth": 20, "width": 128, "batch_size": 4, "replicas": 8, "optimizer": "adamw"},
    {"depth": 9, "width": 128, "batch_size": 8, "norm": "spectral", "replicas": 8, "optimizer": "momentum"},
    {"depth": 4, "width": 64, "batch_size": 256, "replicas": 4, "norm_noise": 1.0, "residual": "post"},
    {"depth": 5, "width": 64, "batch_size": 32, "replicas": 4, "dataset": "moons"},
    {"network": "cnn", "depth": 3, "width": 16, "batch_size": 320, "replicas": 4},
    {"network": "cnn", "depth": 6, "width": 32, "batch_size": 2, "norm": "frn", "placement": "after"},
    {"network": "cnn", "depth": 5, "width": 64, "batch_size": 16, "norm": "layer", "weight_norm": "standard"},
    {"network": "cnn", "depth": 4, "width": 32, "batch_size": 8, "norm": "renorm", "replicas": 2},
    {"network": "rnn", "depth": 3, "width": 64, "batch_size": 320, "replicas": 2, "norm": "rms"},
    {"network": "rnn", "depth": 2, "width": 64, "batch_size": 8, "activation": "tanh"},
    {"network": "gan", "dataset": "ring", "depth": 4, "width": 128, "batch_size": 256, "replicas": 4},
    {"network": "gan", "dataset": "ring", "depth": 3, "width": 64, "batch_size": 64, "norm": "spectral"},
    {
        **{"network": "gan", "dataset": "ring", "depth": 4, "width": 128, "batch_size": 256, "norm": "none"},
        **{"gradient_penalty": 1.0, "replicas": 2},
    },
    {"depth": 5, "width": 128, "batch_size": 256, "replicas": 4, "frozen": True},
]


def told(fields):
    return " ".join(map(str, fields.values()))


@pytest.mark.parametrize("fields", MEMORABLE, ids=told)
def test_memory_is_what_python_counts(fields):
    run = RunConfig(**fields, lr=1e-4, record_every=1, validate_every=5)
    assert 1 / 1.3 < forecast.forecast(run).memory / peak(run) < 1.3


STEPS = {
    "replicas": (1, 2, 3, 5, 8, 16),
    "batch_size": (1, 2, 3, 8, 16, 48, 128, 384, 640),
    "width": (8, 16, 32, 64, 96, 128, 256),
    "depth": (1, 2, 3, 4, 5, 8, 12, 20, 30),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("network", ["mlp", "cnn", "rnn", "gan"])
@pytest.mark.parametrize("norm", ["none", "batch", "group", "spectral"])
def test_more_costs_more(name, network, norm):
    dataset = "ring" if network == "gan" else "digits"
    fixed = {"network": network, "dataset": dataset, "norm": norm, "groups": 4}
    for small in ({"width": 8, "depth": 2, "batch_size": 4}, {"width": 64, "depth": 5, "replicas": 4}):
        found = [of(**fixed | small | {name: value}) for value in STEPS[name]]
        for less, more in itertools.pairwise(found):
            assert all(a <= b for a, b in zip(less, more, strict=True)), (less, more)
        assert found[0].longest < found[-1].longest and found[0].memory < found[-1].memory


def test_every_norm_costs_something():
    for network, dataset in (("mlp", "digits"), ("cnn", "digits"), ("rnn", "digits"), ("gan", "ring")):
        fields = {"network": network, "dataset": dataset, "width": 16, "groups": 4}
        bare = of(norm="none", activation="tanh", **fields)
        for norm in NORMS:
            found = of(norm=norm, activation="tanh", **fields)
            assert found.seconds > bare.seconds, norm
        for norm in WEIGHT_NORMS[1:]:
            assert of(norm="layer", weight_norm=norm, **fields).seconds > of(norm="layer", **fields).seconds


def test_what_else_a_step_does_costs_something():
    plain = of(depth=4)
    for more in ("norm_noise", "residual", "optimizer", "weight_decay", "activation", "dtype"):
        values = {"norm_noise": 1.0, "residual": "pre", "optimizer": "adamw", "weight_decay": 0.1}
        values |= {"activation": "gelu", "dtype": "float64"}
        assert of(depth=4, **{more: values[more]}).seconds > plain.seconds, more
    game = {"network": "gan", "dataset": "ring", "norm": "none"}
    assert of(**game, gradient_penalty=1.0).seconds > of(**game).seconds
    assert of(norm="batch", frozen=True).seconds < of(norm="batch").seconds
    assert of(edits=((5, "frozen", True),)).seconds == of().seconds, "dearest before"
    assert of(norm="spectral", iterations=20).seconds > of(norm="spectral").seconds
    # Of few samples at a time, batch renorm validates a few at a time.
    assert of(norm="renorm", batch_size=2).longest > of(norm="renorm", batch_size=32).longest


def test_an_average_step_has_its_share_of_frames():
    every = [
        of(record_every=record, validate_every=validate) for record, validate in ((1, 1), (1, 5), (10, 20))
    ]
    assert every[0].longest == every[1].longest == every[2].longest
    assert every[0].seconds > every[1].seconds > every[2].seconds
    quiet = of(record_every=10**6, validate_every=10**6)
    assert quiet.seconds < every[2].seconds < every[2].longest
    # Validation needs a frame: every third and every second is every sixth.
    assert of(record_every=3, validate_every=2).seconds < of(record_every=3, validate_every=3).seconds


def test_edits_count_where_they_make_it_most():
    base = {"depth": 3, "batch_size": 32}
    large = of(**base | {"batch_size": 256})
    assert of(**base, edits=((5, "batch_size", 256), (9, "batch_size", 8))) == large
    assert of(**base, edits=((5, "batch_size", 8), (7, "lr", 1.0))) == of(**base)
    assert of(**base, edits=((0, "batch_size", 8),)) == of(**base | {"batch_size": 8})


def test_configurations_that_cost_alike_are_forecast_once(monkeypatch):
    forecast._forecast.cache_clear()
    counted = []
    monkeypatch.setattr(work, "training", lambda run, real=work.training: counted.append(run) or real(run))
    same = {of(lr=lr, seed=seed, gamma=0.5) for lr in (0.1, 0.2) for seed in (0, 1)}
    assert len(same) == len(counted) == 1


def test_no_data_set_is_loaded(monkeypatch):
    forecast._forecast.cache_clear()
    monkeypatch.setattr(config, "load", lambda *_: pytest.fail("a data set is loaded"))
    for fields in NETWORKS.values():
        assert prod(of(**fields)) > 0
