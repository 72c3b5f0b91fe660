"""The check against PyTorch: it agrees where it should, and finds what is broken on purpose."""

import io
import itertools
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import bnlib.networks.units
import bnlib.training.train
from bnlib import RunConfig, norms, start
from bnlib.networks import conv
from bnlib.networks.config import LAYER_NORMS
from bnlib.networks.kinds import NETWORKS
from bnlib.networks.network import forward
from bnlib.torch_check import check as referee
from bnlib.torch_check.check import check, twin
from bnlib.training import gan

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"width": 8, "groups": 2, "batch_size": 16, "lr": 0.05}
torch.set_num_threads(1)


@pytest.mark.parametrize("placement", ["before", "after"])
@pytest.mark.parametrize(("network", "depth"), [("mlp", 3), ("cnn", 3), ("rnn", 2)])
@pytest.mark.parametrize("norm", LAYER_NORMS)
def test_every_norm_agrees(norm, network, depth, placement):
    config = RunConfig(norm=norm, network=network, depth=depth, placement=placement, seed=3, **SMALL)
    found = check(config, 7)
    assert found["agrees"] and found["step"] == 7 and found["torch"] == torch.__version__
    assert found["float64"]["largest"] < 1e-9 and found["float32"]["largest"] < 1e-3
    assert not found["float64"]["nonfinite"] and not found["float32"]["nonfinite"]
    names = [what for what, _, _ in found["float64"]["rows"]]
    assert names == [what for what, _, _ in found["float32"]["rows"]]
    expected = {"logits", "loss", "inference", *(f"input of activation{n}" for n in range(depth))}
    expected |= {f"gradient of {name}" for name in start(config).parameters}
    if norm in ("batch", "ghost", "renorm", "running"):
        expected |= {f"running {what} of layer{n}" for what in ("mean", "variance") for n in range(depth)}
    assert set(names) == expected
    assert all(0 <= difference <= 1e-9 for _, difference, _ in found["float64"]["rows"])
    assert all(size >= 0 for _, _, size in found["float64"]["rows"])
    json.dumps(found, allow_nan=False)


VARIANTS = {
    "residual": {"residual": "pre"},
    "residual, after": {"residual": "pre", "placement": "after", "norm": "layer"},
    "post": {"residual": "post", "norm_noise": 0.5},
    "post, layer": {"residual": "post", "norm": "layer", "activation": "tanh"},
    "skip": {"residual": "pre", "skip_init": True, "norm": "none"},
    "skip, post": {"residual": "post", "skip_init": True, "norm": "rms", "weight_norm": "weight"},
    "skip, batch": {"residual": "pre", "skip_init": True, "lr": 0.5},
    "noise": {"norm_noise": 0.7},
    "noise, after": {"norm_noise": 0.7, "norm": "renorm", "placement": "after"},
    "norm batches": {"norm_batch": 4, "batch_order": "sorted"},
    "norm batches in a ghost": {"norm": "ghost", "norm_batch": 2, "network": "cnn"},
    "a norm batch that isn't its own": {"norm": "renorm", "norm_batch": 4},
    "pairs, recurrent": {"norm_batch": 4, "batch_order": "pairs", "network": "rnn"},
    "fixed": {"learn_affine": False, "gamma": 1.3, "beta": 0.2},
    "fixed alpha": {"learn_affine": False, "norm": "dyt", "alpha": 1.4},
    "fixed tau": {"learn_affine": False, "norm": "frn", "network": "cnn"},
    "fixed gain": {"learn_affine": False, "norm": "weight", "init_scale": 0.7},
    "fixed gain, normal": {"learn_affine": False, "norm": "standard", "init": "normal", "init_scale": 0.3},
    "two norms": {"weight_norm": "weight"},
    "two norms, spectral": {"weight_norm": "spectral", "norm": "group", "network": "cnn", "iterations": 3},
    "two norms, standard": {"weight_norm": "standard", "norm": "rms", "network": "rnn"},
    "corrections at their limits": {"norm": "renorm", "r_max": 1.1, "d_max": 0.1, "network": "cnn"},
    "padding": {"network": "rnn", "dataset": "pauses"},
    "padding, after": {"network": "rnn", "dataset": "pauses", "placement": "after", "batch_size": 5},
    "padding, one or two sequences": {"network": "rnn", "dataset": "pauses", "batch_size": 2},
    "padding, one sequence": {"network": "rnn", "dataset": "pauses", "batch_size": 1},
    "padding, frozen": {"network": "rnn", "dataset": "pauses", "frozen": True},
    "padding that counts": {"network": "rnn", "dataset": "pauses", "padding": "counted", "norm_batch": 4},
    "padding and renorm": {
        "network": "rnn",
        "dataset": "pauses",
        "padding": "counted",
        "norm": "renorm",
        "activation": "tanh",
    },
    "padding and layer norm": {"network": "rnn", "dataset": "pauses", "norm": "layer"},
    "one sample": {"batch_size": 1},
    "one sample, instances": {"batch_size": 1, "norm": "instance", "network": "cnn"},
    "one sample, renorm": {"batch_size": 1, "norm": "renorm", "network": "rnn"},
    "two samples": {"batch_size": 2, "placement": "after", "eps": 1e-12},
    "no eps": {"eps": 0.0, "network": "cnn"},
    "no eps, layer": {"eps": 0.0, "norm": "layer"},
    "one unit": {"width": 1, "groups": 1, "norm": "layer", "activation": "tanh"},
    "a group each": {"groups": 8, "norm": "group"},
    "in blocks": {"width": 300, "batch_size": 256, "depth": 1},
    "in blocks of images": {"network": "cnn", "width": 48, "batch_size": 48, "depth": 2},
    "plane": {"dataset": "spirals", "activation": "tanh", "depth": 4},
    "standardized": {"inputs": "standardized", "label_noise": 0.2, "train_samples": 500},
    "gelu": {"activation": "gelu", "network": "rnn", "norm": "running", "momentum": 0.3},
    "sigmoid": {"activation": "sigmoid", "placement": "after"},
    "linear": {"activation": "linear", "norm": "none"},
    "all": {"residual": "pre", "norm_noise": 0.5, "norm_batch": 8, "weight_norm": "weight", "depth": 5},
    "double": {"dtype": "float64", "optimizer": "momentum"},
    "deep": {"depth": 40, "optimizer": "adamw", "lr": 0.003},
    "edits": {"edits": ((3, "eps", 0.01), (5, "gamma", 0.7), (5, "lr", 0.01), (5, "momentum", 0.3))},
    "more samples": {"edits": ((2, "batch_size", 24), (5, "beta", 0.1))},
    "frozen": {"frozen": True},
    "frozen later": {"edits": ((3, "frozen", True),), "network": "cnn", "placement": "after"},
    "frozen, recurrent": {"edits": ((3, "frozen", True),), "network": "rnn", "norm": "renorm"},
    "frozen ghost": {"edits": ((3, "frozen", True),), "norm": "ghost", "residual": "post", "norm_noise": 0.5},
    "frozen, running": {"edits": ((3, "frozen", True),), "norm": "running", "weight_norm": "weight"},
    "frozen for a while": {"edits": ((2, "frozen", True), (4, "frozen", False))},
    "the last batch is smaller": {"last_batch": "keep", "train_samples": 88, "norm_noise": 0.5},
    "the last batch is one sample": {"last_batch": "keep", "train_samples": 81},
    "the last batch is one image": {"last_batch": "keep", "train_samples": 81, "network": "cnn"},
    "the last batch is dropped": {"last_batch": "drop", "train_samples": 79, "optimizer": "adamw"},
    "the last norm batch": {"last_batch": "keep", "train_samples": 88, "norm_batch": 4},
    "edits of what is fixed": {"edits": ((5, "gamma", 0.7), (4, "alpha", 0.2)), "learn_affine": False},
}


@pytest.mark.parametrize("step", [0, 5])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_option_agrees(name, step):
    found = check(RunConfig(**{"depth": 3, "seed": 1, "replicas": 2} | SMALL | VARIANTS[name]), step)
    assert found["agrees"]
    assert found["float64"]["largest"] < (1e-8 if name == "deep" else 1e-9)
    alone = check(RunConfig(**{"depth": 3, "seed": 1} | SMALL | VARIANTS[name]), step, "float64")
    assert alone.keys() == {"step", "torch", "agrees", "float64"}
    assert alone["float64"]["rows"] == found["float64"]["rows"]


def test_the_batch_is_the_one_of_that_step():
    config = RunConfig(record_every=1, dtype="float64", **SMALL)
    history = bnlib.advance(start(config), 6).history
    seen = {what: size for what, _, size in check(config, 5)["float64"]["rows"]}
    assert seen["loss"] == pytest.approx(history["train_loss"][0, 5], rel=1e-12)


def test_differences_are_relative_to_their_kind():
    ours = {"gradient of weight0": np.array([4.0, 1.0]), "gradient of bias0": np.array([1e-18])}
    theirs = {"gradient of weight0": np.array([4.0, 1.5]), "gradient of bias0": np.array([-1e-18])}
    rows = referee._compare(ours | {"loss": np.array([1e-9])}, theirs | {"loss": np.array([3e-9])})
    assert rows == [
        ("gradient of weight0", 0.5, 4.0, 0.125),
        ("gradient of bias0", 2e-18, 1e-18, 5e-19),
        ("loss", pytest.approx(2e-9), 3e-9, pytest.approx(2e-6)),
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([np.nan, 2.0], [np.nan, 2.0], 0.0),
        ([np.inf, 2.0], [np.inf, 1.0], 0.5),
        ([np.nan, 2.0], [1.0, 2.0], 1.0),
        ([0.0], [np.inf], 1.0),
    ],
)
def test_what_is_not_finite_must_be_so_in_both(one, other, expected):
    ((_, _, _, relative),) = referee._compare({"loss": np.array(one)}, {"loss": np.array(other)})
    assert relative == expected


def test_a_diverged_run_has_nothing_to_compare():
    config = RunConfig(norm="none", lr=1000.0, width=8)
    found = check(config, 30)
    at = int(bnlib.advance(start(config), 30).diverged_at[0])
    assert found == {"step": 30, "torch": torch.__version__, "agrees": None, "diverged": at} and at > 0
    assert check(config, at) == found | {"step": at}
    assert check(config, at - 1)["agrees"]


# --- from a run that is known -------------------------------------------------------------------------------

KNOWN = {
    "renorm": {"norm": "renorm", "optimizer": "momentum", "norm_noise": 0.5},
    "images": {"network": "cnn", "norm": "ghost", "norm_batch": 4, "optimizer": "adamw"},
    "spectral": {"network": "rnn", "norm": "batch", "weight_norm": "spectral", "depth": 2},
    "running": {"norm": "running", "momentum": 0.3, "label_noise": 0.2},
    "a game": {"network": "gan", "dataset": "ring", "norm": "spectral", "optimizer": "adamw"},
    "edits": {"edits": ((3, "gamma", 0.7), (5, "lr", 0.01), (6, "batch_size", 24), (9, "lr", 1.0))},
    "the first diverges": {"norm": "none", "lr": 0.8, "init_scale": 3.0},
    "another diverges": {"norm": "none", "lr": 0.8, "init_scale": 3.0, "seed": 3},
}


@pytest.mark.parametrize("known", [0, 3, 7])
@pytest.mark.parametrize("name", KNOWN)
def test_a_known_run_spares_its_steps_and_changes_nothing(name, known, monkeypatch):
    config = RunConfig(**{"replicas": 3, "seed": 4, "record_every": 2} | SMALL | KNOWN[name])
    expected = check(config, 7)
    run = bnlib.advance(start(config), known)
    monkeypatch.setattr(referee.train, "start", None)
    assert check(config, 7, run=run) == expected
    assert check(config, 7, run=referee.first_seed(run)) == expected
    assert expected["agrees"] is (None if name == "the first diverges" else True)


def test_the_first_seed_is_taken_along_alone():
    config = RunConfig(**SMALL, replicas=3, norm="spectral", optimizer="adamw", record_every=1)
    one = referee.first_seed(bnlib.advance(start(config), 4))
    alone = bnlib.advance(start(referee.alone(config)), 4)
    assert one.config == alone.config and one.config.replicas == 1 and not one.frames
    for name in ("flat", "power", "diverged_at"):
        np.testing.assert_array_equal(getattr(one, name), getattr(alone, name))
    for ours, theirs in zip(one.optimizer_state, alone.optimizer_state, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (one.step, one.samples, one.running.steps) == (alone.step, alone.samples, alone.running.steps)


def test_another_run_or_a_later_one_is_refused():
    config = RunConfig(**SMALL)
    later, other = bnlib.advance(start(config), 5), start(replace(config, seed=1))
    for run in (later, other):
        with pytest.raises(ValueError, match=f"run, at step {run.step} of RunConfig.*must lead to 4 of"):
            check(config, 4, run=run)


@pytest.mark.parametrize("step", [-1, 1.5, True, "3", None, 10**9 + 1])
def test_steps_are_whole_numbers(step):
    with pytest.raises(ValueError, match="torch_check: step=.* must be a whole number from 0 to 1000000000"):
        check(RunConfig(**SMALL), step)


# --- two networks that play against each other --------------------------------------------------------------


def game(**changes):
    return RunConfig(**{"network": "gan", "dataset": "ring", "depth": 2} | SMALL | changes)


GAMES = {
    **{norm: {"norm": norm} for norm in ("none", *LAYER_NORMS)},
    "tanh, after": {"activation": "tanh", "placement": "after", "norm": "renorm"},
    "two norms, adamw": {"weight_norm": "spectral", "optimizer": "adamw", "lr": 0.003, "iterations": 3},
    "norm batches": {"norm_batch": 4, "batch_order": "pairs"},
    "a fast one": {"norm": "spectral", "lr": 2.0, "replicas": 2},
    "one sample": {"batch_size": 1},
    "edits": {"edits": ((7, "gamma", 2.0), (7, "lr", 0.5), (5, "batch_size", 24)), "momentum": 0.3},
    "fixed": {"learn_affine": False, "gamma": 1.3, "beta": 0.2, "optimizer": "momentum"},
    "frozen": {"edits": ((4, "frozen", True),), "momentum": 0.5},
    "the last batch is one sample": {"last_batch": "keep", "train_samples": 113},
    "penalty": {"norm": "none", "gradient_penalty": 0.7, "activation": "gelu"},
    "penalty, spectral": {"norm": "spectral", "gradient_penalty": 2.0, "activation": "tanh", "iterations": 2},
    "penalty, weight": {"norm": "weight", "gradient_penalty": 0.7},
    "penalty, standard": {"norm": "standard", "gradient_penalty": 0.7, "activation": "sigmoid"},
}


@pytest.mark.parametrize("step", [0, 7])
@pytest.mark.parametrize("name", GAMES)
def test_every_game_agrees(name, step):
    config = game(**{"seed": 2} | GAMES[name])
    found = check(config, step)
    assert found["agrees"] and found["step"] == step
    assert found["float64"]["largest"] < 1e-9 and found["float32"]["largest"] < 1e-3
    rows = {what: (difference, size) for what, difference, size in found["float64"]["rows"]}
    expected = {"points", "logits", "loss", "generator's loss", "inference"}
    expected |= {f"input of activation{n}" for n in range(2)}
    expected |= {f"gradient of {name}" for name in start(config).parameters}
    if config.on_activations and config.on_activations.running:
        expected |= {f"running {what} of layer{n}" for what in ("mean", "variance") for n in range(2)}
    assert set(rows) == expected and "gradient of generator_bias2" in rows
    assert all(difference < 1e-9 for difference, _ in rows.values())
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("norm", ["batch", "running", "spectral"])
def test_the_losses_of_a_game_are_those_of_that_step(norm):
    config = game(norm=norm, record_every=1, validate_every=1, dtype="float64", lr=0.5)
    history = bnlib.advance(start(config), 6).history
    seen = {what: size for what, _, size in check(config, 5)["float64"]["rows"]}
    assert seen["loss"] == pytest.approx(history["train_loss"][0, 5], rel=1e-12)
    assert seen["generator's loss"] == pytest.approx(history["val_loss"][0, 5], rel=1e-12)


def test_a_game_that_has_diverged_has_nothing_to_compare():
    found = check(game(norm="none", lr=1000.0), 30)
    assert found["agrees"] is None and 0 <= found["diverged"] < 30


def test_the_generator_has_a_twin_of_its_own():
    run = start(game(replicas=2, dtype="float64"))
    made, judge = (twin(run, 1, prefix) for prefix in ("generator_", ""))
    assert made.named.keys() | judge.named.keys() == run.parameters.keys()
    z = gan.shown_latents(run.config, (0, 1))[1]
    points = gan.Players(run.config, (0, 1), bnlib.training.train.state_of(run, np.arange(2))).made
    expected = forward(gan.generator(run.config)[0], points, z)[0][1]
    np.testing.assert_allclose(made(torch.tensor(z)).detach(), expected, rtol=0, atol=1e-12)


# --- the twin -----------------------------------------------------------------------------------------------


def test_a_twin_is_of_one_replica():
    run = start(RunConfig(replicas=3, norm="spectral", dtype="float64", seed=5, **SMALL))
    x = torch.tensor(run.config.data().x_val[:16])
    one = start(replace(run.config, seed=7, replicas=1))
    np.testing.assert_allclose(twin(run, 2)(x).detach(), twin(one)(x).detach(), rtol=0, atol=1e-12)
    assert (twin(run, 1)(x) != twin(run, 2)(x)).any()


@pytest.mark.parametrize("norm", LAYER_NORMS)
def test_a_twin_is_trained_and_then_asked_in_inference(norm):
    model = twin(start(RunConfig(norm=norm, **SMALL)))
    x = torch.tensor(model.config.data().x_train[:16])
    assert model.training and model.train(False) is model and not model.training
    before = [moment.clone() for pair in model.running for moment in pair]
    np.testing.assert_array_equal(model(x).detach(), model(x).detach())
    assert all(map(torch.equal, before, itertools.chain(*model.running)))
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] or norm in ("running", "instance")  # the latter is 0 all along
    assert not all(map(torch.equal, before, itertools.chain(*model.running))) or not before


@pytest.mark.parametrize("network", ["mlp", "cnn", "rnn"])
def test_plain_batch_norm_is_pytorchs_alone(network, monkeypatch):
    """What it costs in PyTorch is what its own module costs there."""
    calls = []
    real = torch.nn.functional.batch_norm

    def batch_norm(x, mean, var, *rest):
        calls.append((mean, var))
        return real(x, mean, var, *rest)

    model = twin(start(RunConfig(norm="batch", network=network, depth=2, momentum=0.7, **SMALL)))
    monkeypatch.setattr(model.F, "batch_norm", batch_norm)
    monkeypatch.setattr(torch.Tensor, "var", None)
    x = torch.tensor(model.config.data().x_train[:16])
    for mode in (True, False):
        before = [moment.clone() for pair in model.running for moment in pair]
        model.train(mode)(x)
        moved = [not torch.equal(*pair) for pair in zip(before, itertools.chain(*model.running), strict=True)]
        assert all(moved) if mode else not any(moved)
    own = {moment.data_ptr() for pair in model.running for moments in pair for moment in moments}
    assert {moment.data_ptr() for pair in calls for moment in pair} == own
    assert len(calls) == (2 * 2 * 8 if network == "rnn" else 2 * 2)


# --- what is broken is found --------------------------------------------------------------------------------


def without_mean(dy, cache, into=(None, None)):
    return norms.normalize_backward(dy, cache._replace(centre=False), into)


def badly_shared(dy, shape):
    return np.broadcast_to((dy / shape[2])[:, :, None, None], shape).copy()


SABOTAGE = {
    "a term of the norm": (
        {"norm": "layer"}, bnlib.networks.units, "normalize_backward", without_mean, "gradient of ",
    ),
    "a term of the norm, recurrent": (
        {"norm": "batch", "network": "rnn"}, bnlib.networks.units, "normalize_backward", without_mean,
        "gradient of weight",
    ),
    "the eps": (
        {"norm": "batch"}, bnlib.networks.units, "normalize",
        lambda x, axes, gamma, beta, eps, *rest, **how: norms.normalize(
            x, axes, gamma, beta, 2 * eps, *rest, **how
        ),
        "",
    ),
    "a turned kernel": (
        {"network": "cnn"}, conv, "_input_gradient",
        lambda dy, shape, weight, *rest: np.full(shape, dy.sum(), dy.dtype), "gradient of ",
    ),
    "pooling": (
        {"network": "cnn"}, RunConfig, "kind",
        property(lambda config: NETWORKS[config.network]._replace(top_back=badly_shared)), "gradient of ",
    ),
    "unbiased variance": (
        {}, bnlib.training.train, "averaging_weights",
        lambda config, _: tuple(np.full((2, 24), w) for w in (config.momentum, 1 - config.momentum)),
        "running variance of layer",
    ),
    "inference": (
        {"norm": "batch"}, referee, "inference_layers", lambda config, layers, running: layers, "inference",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SABOTAGE)
def test_what_is_broken_is_found(name, monkeypatch):
    fields, module, function, broken, where = SABOTAGE[name]
    config = RunConfig(depth=3, activation="tanh", **SMALL | fields)
    assert check(config, 5)["agrees"]
    monkeypatch.setattr(module, function, broken)
    found = check(config, 5)
    assert found["agrees"] is False
    assert found["float64"]["where"].startswith(where) and found["float64"]["largest"] > 1e-6


REAL_OR_NOT, NORMALIZE_WEIGHTS, MOMENTS = gan.real_or_not, gan.normalize_weights, gan.batch_moments


def wrong_on_fakes(logits, real):
    loss, dlogits = REAL_OR_NOT(logits, real)
    return loss, dlogits if real else 1.001 * dlogits


def without_iterating(config, layers, iterations=None):
    return NORMALIZE_WEIGHTS(config, layers, 0 if iterations is None else iterations)


def always_iterating(config, layers, iterations=None):
    return NORMALIZE_WEIGHTS(config, layers)


FOUL_PLAY = {
    "a term of the norm": ("batch", bnlib.networks.units, "normalize_backward", without_mean, "gradient of "),
    "a gradient on fakes": ("layer", gan, "real_or_not", wrong_on_fakes, "gradient of "),
    "spectral norm stands still": ("spectral", gan, "normalize_weights", without_iterating, ""),
    "spectral norm goes on": (
        "spectral",
        gan,
        "normalize_weights",
        always_iterating,
        "gradient of generator_",
    ),
    "a gradient of weights": ("weight", gan, "weights_backward", lambda *rest: None, "gradient of "),
    "statistics": ("batch", gan, "batch_moments", lambda trace: 1.001 * MOMENTS(trace), "running "),
}


@pytest.mark.parametrize("name", FOUL_PLAY)
def test_foul_play_is_found(name, monkeypatch):
    norm, module, function, broken, where = FOUL_PLAY[name]
    config = game(norm=norm, activation="tanh", dtype="float64", lr=0.5, depth=3)
    assert check(config, 5)["agrees"]
    monkeypatch.setattr(module, function, broken)
    found = check(config, 5)
    assert found["agrees"] is False and found["float64"]["largest"] > 1e-7
    assert found["float64"]["where"].startswith(where)


@pytest.mark.parametrize("norm", ["spectral", "weight", "standard"])
def test_a_wrong_gradient_of_weights_is_found(norm, monkeypatch):
    config = RunConfig(norm=norm, **SMALL)
    real = bnlib.NORMS[norm].pair

    def slip(dw, cache):
        dweight, dgain = real[1](dw, cache)
        return 1.001 * dweight, dgain

    monkeypatch.setitem(bnlib.NORMS, norm, bnlib.NORMS[norm]._replace(pair=(real[0], slip)))
    found = check(config, 5)
    assert found["agrees"] is False and found["float64"]["where"].startswith("gradient of weight")
    wrong = [what for what, difference, _ in found["float64"]["rows"] if difference > 1e-9]
    assert wrong == ["gradient of weight0", "gradient of weight1", "gradient of weight2"]


@pytest.mark.parametrize("norm", ["renorm", "running", "frn", "dyt"])
def test_a_wrong_gradient_of_a_relative_is_found(norm, monkeypatch):
    config = RunConfig(norm=norm, **SMALL)
    forward, real = bnlib.NORMS[norm].pair

    def slip(dy, cache):
        dx, gradients = real(dy, cache)
        return dx, gradients | {"beta": 1.001 * gradients["beta"]}

    monkeypatch.setitem(bnlib.NORMS, norm, bnlib.NORMS[norm]._replace(pair=(forward, slip)))
    found = check(config, 5)
    assert found["agrees"] is False and found["float64"]["where"].startswith("gradient of beta")


# --- as a program -------------------------------------------------------------------------------------------


def answer(question):
    text = question if isinstance(question, str) else json.dumps(question)
    done = subprocess.run(
        [sys.executable, "-m", "bnlib.torch_check"], input=text, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_question_is_answered():
    config = RunConfig(**SMALL, depth=2, edits=((3, "lr", 0.1), (4, "gamma", 0.5)))
    found = answer({"config": asdict(config), "step": 4})
    assert found == json.loads(json.dumps(check(config, 4))) and found["agrees"]
    found = answer({"config": asdict(game(norm="spectral")), "step": 4})
    assert found == json.loads(json.dumps(check(game(norm="spectral"), 4))) and found["agrees"]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("", "must be JSON, .*JSONDecodeError"),
        ("[1, 2]", "must be JSON"),
        ({"step": 3}, "must be JSON, .*KeyError.*config"),
        ({"config": {"widht": 3}, "step": 3}, "there is no field 'widht'; the fields are"),
        ({"config": {"width": 0}, "step": 3}, "width=0 must be a whole number from 1 to 4096"),
        ({"config": {"width": 8, "edits": [[2, "lr"]]}, "step": 3}, "edits.*must be .step, field, value."),
        ({"config": {}, "step": -1}, "step=-1 must be a whole number"),
        ({"config": {"network": "gan"}, "step": 1}, "network='gan' draws points of the ring"),
    ],
)
def test_a_bad_question_is_answered_by_a_sentence(question, message, monkeypatch, capsys):
    text = question if isinstance(question, str) else json.dumps(question)
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    referee.main()
    with pytest.raises(ValueError, match=message):
        raise ValueError(json.loads(capsys.readouterr().out)["error"])


def test_a_bad_question_to_the_program():
    assert "must be JSON" in answer("{")["error"]
    assert "norm='bach' is not one of" in answer({"config": {"norm": "bach"}, "step": 1})["error"]


def test_importing_costs_no_torch():
    program = "import sys, bnlib.torch_check.check; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stderr
