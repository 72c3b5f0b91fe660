"""What public bug reports ask of training: frozen norms, decay, last batches, statistics, latest values."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bnlib import NORMS, RunConfig, RunningStats, advance, start
from bnlib.data import batches, load, position_after, spans
from bnlib.networks.inference import batch_moments, inference_layers
from bnlib.networks.network import backward, forward
from bnlib.networks.parameters import Plan, in_layers, plan
from bnlib.training import gan
from bnlib.training.evaluation import corrected, error, precise
from bnlib.training.optimizer import gradient_to_update
from bnlib.training.train import Run, state_of
from tests.bnlib.alone import only
from tests.bnlib.checks import same_run

SMALL = {"depth": 2, "width": 8, "groups": 2, "batch_size": 16, "lr": 0.05, "dtype": "float64", "seed": 3}
RUNNING = [name for name, norm in NORMS.items() if norm.running]
OTHERS = [name for name in ("none", *NORMS) if name not in RUNNING]
# At this rate some seeds diverge, each at its own step.
WILD = {"replicas": 6, "lr": 20.0, "depth": 4, "activation": "gelu", "seed": 0}
torch.set_num_threads(1)


def small(**changes) -> RunConfig:
    return RunConfig(**SMALL | changes)


def stepwise(config: RunConfig, steps: int) -> list[Run]:
    """The run before each of so many steps, and behind them."""
    runs = [start(config)]
    for _ in range(steps):
        runs.append(advance(runs[-1], 1))
    return runs


def next_batch(run: Run) -> np.ndarray:
    config = run.config.at(run.step)
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    return next(batches(config.data(), seeds, run.samples, config.batch_size, 1, *config.arrangement))[0]


# ---- frozen norms ------------------------------------------------------------------------------------------


def test_a_norm_that_is_frozen_in_mid_run_is_pytorchs_after_eval():
    """torch.nn.BatchNorm1d itself: five steps of training, then eval() of the norms alone, and seven more."""
    config = small(edits=((5, "frozen", True),), optimizer="momentum", eps=1e-3, momentum=0.7, record_every=1)
    begin, data = start(config), config.data()
    linears = [torch.nn.Linear(a, b, last, dtype=torch.float64)
               for a, b, last in ((64, 8, False), (8, 8, False), (8, 10, True))]  # fmt: skip
    norms = [torch.nn.BatchNorm1d(8, eps=1e-3, momentum=0.3, dtype=torch.float64) for _ in range(2)]
    named = {f"weight{n}": linear.weight for n, linear in enumerate(linears)} | {"bias2": linears[2].bias}
    named |= {f"gamma{n}": norm.weight for n, norm in enumerate(norms)}
    named |= {f"beta{n}": norm.bias for n, norm in enumerate(norms)}
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(torch.tensor(begin.parameters[name][0]).T.reshape(parameter.shape))
    model = torch.nn.Sequential(
        linears[0], norms[0], torch.nn.ReLU(), linears[1], norms[1], torch.nn.ReLU(), linears[2]
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=config.lr, momentum=0.9)
    losses = []
    for step, (x, labels) in enumerate(batches(data, (config.seed,), 0, 16, 12)):
        for norm in norms if step == 5 else ():
            norm.eval()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.tensor(x[0])), torch.tensor(labels[0]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    run = advance(begin, 12)
    np.testing.assert_allclose(run.history["train_loss"][0], losses, rtol=0, atol=1e-11)
    for name, parameter in named.items():
        theirs = parameter.detach().numpy().T.reshape(run.parameters[name][0].shape)
        np.testing.assert_allclose(run.parameters[name][0], theirs, rtol=0, atol=1e-11, err_msg=name)
    for label in ("mean", "var"):
        theirs = np.concatenate([getattr(norm, f"running_{label}").numpy() for norm in norms])
        np.testing.assert_allclose(getattr(run.running, label)[0], theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("network", ["mlp", "cnn", "rnn", "gan"])
@pytest.mark.parametrize("norm", RUNNING)
def test_frozen_statistics_stay_and_gamma_and_beta_do_not(norm, network):
    config = small(norm=norm, network=network, dataset="ring" if network == "gan" else "digits", lr=0.01)
    before = advance(start(config), 4)
    frozen = replace(before, config=config.branch(4, frozen=True).branch(9, frozen=False))
    after = advance(frozen, 5)
    for name in ("mean", "var", "weight", "var_weight", "steps"):
        np.testing.assert_array_equal(getattr(after.running, name), getattr(before.running, name))
    for name in ("gamma0", "beta0", "weight0", "gamma1"):
        assert (after.parameters[name] != before.parameters[name]).any()
    assert (advance(after, 1).running.mean != after.running.mean).all(), "no longer frozen"
    assert same_run(advance(frozen, 7), advance(advance(advance(frozen, 2), 4), 1))


def test_frozen_from_the_start_means_mean_0_and_variance_1():
    """Without eps the first step is that of a network without a norm."""
    first = [advance(start(small(frozen=norm != "none", norm=norm, eps=0.0, record_every=1)), 1)
             for norm in ("none", "batch", "renorm")]  # fmt: skip
    for run in first[1:]:
        np.testing.assert_array_equal(run.history["train_loss"], first[0].history["train_loss"])
        np.testing.assert_allclose(run.parameters["weight0"], first[0].parameters["weight0"], atol=1e-14)
    run = advance(start(small(frozen=True, eps=3.0, depth=1, activation="linear", record_every=1)), 1)
    halved = advance(start(small(norm="none", depth=1, activation="linear", record_every=1)), 1)
    ratio = run.history["activation_std"] / halved.history["activation_std"]
    np.testing.assert_allclose(ratio, 0.5, atol=1e-12)


@pytest.mark.parametrize("norm", OTHERS)
def test_norms_without_running_statistics_cannot_be_frozen(norm):
    message = f"frozen=True holds running statistics, and norm='{norm}' has none; choose norm='batch'"
    with pytest.raises(ValueError, match=f"^RunConfig: {message}$"):
        small(norm=norm, frozen=True)
    with pytest.raises(ValueError, match=f"^RunConfig: edits at step 300: {message}$"):
        small(norm=norm, edits=((300, "frozen", True),))
    assert small(norm="batch", frozen=True).frozen, "what the message advises is possible"


def test_frozen_norms_are_as_in_inference_whatever_the_batch():
    run = advance(start(small(edits=((3, "frozen", True),), replicas=2)), 6)
    assert (error(run, statistics="batch") == error(run)[:, None].ravel()).all() or len(
        load("digits").y_val
    ) % 16


# ---- decay of gamma and beta -------------------------------------------------------------------------------


@pytest.mark.parametrize("rest_lr", [0.0, 0.03])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
def test_decay_of_gamma_and_beta_is_pytorchs(optimizer, rest_lr):
    """The update alone, from random gradients: PyTorch's optimizers, a group for each parameter."""
    config = small(optimizer=optimizer, rest_lr=rest_lr, weight_decay=0.4, decay_affine=True)
    the_plan, rng = plan(config), np.random.default_rng(1)
    run = start(replace(config, replicas=2))
    flat = run.flat + rng.standard_normal(run.flat.shape)
    tensors = {name: torch.tensor(array[1]) for name, array in the_plan.views(flat).items()}
    hidden = [name for name in tensors if name.startswith("weight") and name != "weight2"]
    groups = []
    for name, tensor in tensors.items():
        decays = name in hidden or name.startswith(("gamma", "beta")) or (name == "weight2" and not rest_lr)
        lr = config.lr if name in hidden or not rest_lr else rest_lr
        groups.append({"params": [tensor], "lr": lr, "weight_decay": 0.4 * decays})
    theirs = (
        torch.optim.AdamW(groups)
        if optimizer == "adamw"
        else torch.optim.SGD(groups, lr=0.1, momentum=0.9 * (optimizer == "momentum"))
    )
    moments = tuple(array.copy() for array in run.optimizer_state)
    for step in range(6):
        gradient = rng.standard_normal(flat.shape)
        for name, array in the_plan.views(gradient).items():
            tensors[name].grad = torch.tensor(array[1])
        theirs.step()
        gradient_to_update(config, the_plan, flat, gradient, moments, step)
        flat -= gradient
    for name, array in the_plan.views(flat).items():
        np.testing.assert_allclose(array[1], tensors[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("network", ["mlp", "gan"])
def test_only_gamma_and_beta_feel_the_choice(network):
    config = small(
        network=network, dataset="ring" if network == "gan" else "digits", weight_decay=0.1, beta=0.5
    )
    one, other = (advance(start(replace(config, decay_affine=choice)), 1) for choice in (False, True))
    for name, array in other.parameters.items():
        if name.startswith("generator"):  # it answers to another discriminator
            continue
        decayed = 0.05 * 0.1 * start(config).parameters[name] if name[:-1] in ("gamma", "beta") else 0.0
        np.testing.assert_allclose(array, one.parameters[name] - decayed, rtol=0, atol=1e-14, err_msg=name)


def test_a_plan_without_gamma_has_nothing_to_decay():
    assert not plan(small(norm="none")).affine.size
    places = Plan.of({"weight0": (2, 3), "gamma0": (1, 3), "gain0": (1, 3), "beta0": (1, 3)})
    np.testing.assert_array_equal(places.affine, [6, 7, 8, 12, 13, 14])


# ---- the last batch of an epoch ----------------------------------------------------------------------------


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 200),
    st.integers(0, 12),
    st.sampled_from(["drop", "keep"]),
)
def test_epochs_are_cut_as_pytorchs_loader_cuts_them(samples, size, position, steps, last):
    """BatchSampler from a position on: the rest of that epoch, then whole epochs."""
    size = min(size, samples)
    rest = torch.utils.data.BatchSampler(range(position % samples, samples), size, last == "drop")
    whole = torch.utils.data.BatchSampler(range(samples), size, last == "drop")
    expected = itertools.islice(
        itertools.chain(rest, itertools.chain.from_iterable(itertools.repeat(whole))), steps
    )
    found = list(itertools.islice(spans(samples, position, size, last), steps))
    assert [list(range(at % samples, at % samples + count)) for at, count in found] == list(expected)
    assert position_after(samples, position, size, steps, last) == (sum(found[-1]) if found else position)


@pytest.mark.parametrize("order", [("shuffled", 0), ("sorted", 4), ("pairs", 4), ("grouped", 4)])
@pytest.mark.parametrize("last", ["straddle", "drop", "keep"])
def test_batches_hold_the_samples_of_their_span(order, last):
    data = load("digits", samples=300)
    drawn = list(batches(data, (0, 5), 40, 32, 90, *order, last))
    assert len(drawn) == 90
    for (x, labels), (at, count) in zip(drawn, spans(300, 40, 32, last), strict=False):
        ((plain, own),) = batches(
            data, (0, 5), at, count, 1, "grouped" if order[0] == "grouped" else "shuffled", order[1]
        )
        assert x.shape == (2, count, 64) and labels.shape == (2, count)
        for replica in range(2):  # another order, the same samples
            assert sorted(map(bytes, x[replica])) == sorted(map(bytes, plain[replica]))
        np.testing.assert_array_equal(np.sort(labels), np.sort(own))
        if order[0] == "sorted":  # norm batches are every (count / 4)th sample
            parts = labels.reshape(2, 4, -1).mT
            assert (np.diff(parts.reshape(2, -1)) >= 0).all()


@pytest.mark.parametrize("network", ["mlp", "cnn", "gan"])
@pytest.mark.parametrize("last", ["drop", "keep"])
def test_last_batches_wherever_the_steps_are_divided(last, network):
    config = small(
        last_batch=last, network=network, dataset="ring" if network == "gan" else "digits", train_samples=53,
        edits=((5, "batch_size", 9), (11, "batch_size", 26), (8, "momentum", 0.5)), replicas=2,
        record_every=1, norm_noise=0.3 * (network == "mlp"),
    )  # fmt: skip
    whole = advance(start(config), 20)
    run = start(config)
    for steps in (1, 3, 4, 0, 5, 7):
        run = advance(run, steps)
    assert same_run(run, whole)
    np.testing.assert_array_equal(run.running.weight, whole.running.weight)
    assert np.isfinite(whole.history["train_loss"]).all()
    position = 0
    for size, steps in ((16, 5), (9, 6), (26, 9)):
        position = position_after(53, position, size, steps, last)
    assert whole.samples == position
    assert same_run(only(whole, 1), advance(start(replace(config, seed=4, replicas=1)), 20))


def test_a_smaller_batch_of_a_game_has_as_many_generated_points():
    config = small(network="gan", dataset="ring", last_batch="keep", train_samples=37, replicas=2)
    run = advance(start(config), 2)
    players = gan.Players(config, (3, 4), state_of(run, np.arange(2)))
    players.look(2, next_batch(run), None)
    assert [half.points.shape for half in players.halves] == [(2, 5, 2)] * 2
    assert players.seen().accuracy.shape == (2,) and (players.seen().accuracy * 10 % 1 < 1e-9).all()


def test_with_a_batch_of_one_sample_batch_norm_gives_beta():
    """33 = 4 * 8 + 1: the output layer's logits are those of phi(beta), and the running variance stays."""
    config = small(
        batch_size=8, train_samples=33, last_batch="keep", depth=1, gamma=2.0, beta=0.4, learn_affine=False,
        record_every=1,
    )  # fmt: skip
    runs = stepwise(config, 6)
    before, after = runs[4:6]
    x = next_batch(before)
    assert x.shape == (1, 1, 64)
    weight, bias = (before.parameters[name][0] for name in ("weight1", "bias1"))
    logits = torch.tensor(0.4 * weight.sum(axis=0) + bias[0])
    label = next(batches(config.data(), (3,), before.samples, 8, 1, *config.arrangement))[1][0]
    expected = torch.nn.functional.cross_entropy(logits[None], torch.tensor(label)).item()
    assert after.history["train_loss"][0, 4] == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(after.running.var, before.running.var)
    moved = 0.9 * before.running.mean + 0.1 * (x[0] @ before.parameters["weight0"][0])
    np.testing.assert_allclose(after.running.mean, moved, atol=1e-13)
    np.testing.assert_array_equal(after.parameters["weight0"], before.parameters["weight0"])  # no gradient
    assert next_batch(runs[5]).shape == (1, 8, 64)
    assert [run.samples for run in runs] == [0, 8, 16, 24, 32, 33, 41]
    assert after.running.weight == pytest.approx(0.9**5) and after.running.var_weight == pytest.approx(0.9**4)


def test_where_norm_batches_do_not_fit_the_last_batch_the_words_lead_on():
    words = "last_batch='keep' needs whole groups of norm_batch=8, .* 1297 .*; try train_samples=1296"
    with pytest.raises(ValueError, match=words) as caught:
        small(norm="ghost", last_batch="keep")
    fitting = int(str(caught.value).rpartition("=")[2])
    advance(start(small(norm="ghost", last_batch="keep", train_samples=fitting, batch_size=640)), 3)
    assert small(norm="ghost", last_batch="drop").last_batch == "drop"


# ---- the gradient penalty ----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh", "sigmoid", "gelu"])
@pytest.mark.parametrize("depth", [1, 4])
def test_the_penaltys_gradient_is_autograds(activation, depth):
    """Added to random gradients, which stay what they were besides; two replicas, and one alone."""
    rng = np.random.default_rng(depth)
    config = RunConfig(network="gan", dataset="ring", norm="none", depth=depth, width=7, replicas=2,
                       activation=activation, dtype="float64", gradient_penalty=1.7)  # fmt: skip
    places = plan(config)
    flat, gradient = rng.standard_normal((2, 2, places.size))
    x, before = rng.standard_normal((2, 9, 2)), gradient.copy()
    layers, gradients = (in_layers(config, places.views(array)) for array in (flat, gradient))
    trace = forward(config, layers, x)[1]
    gan.penalize(config, layers, gradients, x, trace)
    functions = {"linear": lambda z: z, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
    functions["gelu"] = lambda z: torch.nn.functional.gelu(z, approximate="tanh")
    for replica in range(2):
        named = {name: torch.tensor(a[replica], requires_grad=True) for name, a in places.views(flat).items()}
        points = torch.tensor(x[replica], requires_grad=True)
        h = points
        for number in range(depth):
            h = functions[activation](h @ named[f"weight{number}"] + named[f"bias{number}"])
        logits = h @ named[f"weight{depth}"] + named[f"bias{depth}"]
        (slope,) = torch.autograd.grad(logits.sum(), points, create_graph=True)
        penalty = 1.7 / 2 * slope.square().sum(1).mean()
        theirs = torch.autograd.grad(penalty, list(named.values()), allow_unused=True)
        for (name, one), other in zip(named.items(), theirs, strict=True):
            added = (places.views(gradient)[name] - places.views(before)[name])[replica]
            expected = np.zeros(one.shape) if other is None else other.numpy()
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(added, expected, rtol=0, atol=1e-11 * scale, err_msg=name)
    alone = before[:1].copy()
    one = [in_layers(replace(config, replicas=1), places.views(array)) for array in (flat[:1], alone)]
    gan.penalize(config, *one, x[:1], forward(config, one[0], x[:1])[1])
    np.testing.assert_array_equal(alone, gradient[:1])


def test_the_penalty_flattens_the_discriminator():
    config = RunConfig(
        network="gan", dataset="ring", norm="none", depth=2, width=32, activation="tanh", lr=0.2
    )
    steepness = []
    for strength in (0.0, 1.0):
        run = advance(start(replace(config, gradient_penalty=strength)), 150)
        x = run.config.data().x_train[None]
        layers = run.layers
        nothing = in_layers(
            run.config, plan(run.config).views(np.zeros_like(run.flat[:, : plan(run.config).size]))
        )
        logits, trace, cache = forward(run.config, layers, x)
        slope = backward(run.config, nothing, np.ones_like(logits), trace, cache, need_dx=True)[0]
        steepness.append(np.square(slope).sum(axis=2).mean())
    assert steepness[1] < steepness[0] / 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"network": "mlp", "dataset": "digits", "norm": "none"},
            "is for a discriminator; choose network='gan'",
        ),
        ({"norm": "batch"}, "norm='batch' has not; choose norm='none' or 'spectral'"),
        ({"norm": "layer"}, "norm='layer' has not; choose norm='none' or 'spectral'"),
    ],
)
def test_where_there_is_no_gradient_of_a_gradient_the_words_lead_on(changes, words):
    with pytest.raises(ValueError, match=f"gradient_penalty=0.5 .*{words}"):
        small(**{"network": "gan", "dataset": "ring", "gradient_penalty": 0.5} | changes)
    for norm in ("none", "spectral", "weight", "standard"):
        small(network="gan", dataset="ring", gradient_penalty=0.5, norm=norm)


# ---- running statistics without their start ----------------------------------------------------------------


def directly(runs: list[Run]) -> tuple[np.ndarray, np.ndarray, float]:
    """Average batch means and unbiased variances by the weights of the momenta; the smaller sum of these."""
    means, variances, weights = [], [], []
    for run in runs[:-1]:
        config, x = run.config.at(run.step), next_batch(run)
        moments = batch_moments(forward(config, run.layers, x, norm_batch=config.statistics_of)[1])
        m = config.statistics_of or x.shape[1]
        weights = [[config.momentum * w, config.momentum ** (m > 1) * v] for w, v in weights]
        weights.append([1 - config.momentum, (1 - config.momentum) * (m > 1)])
        means.append(moments[:, 0])
        variances.append(moments[:, 1] * m / max(m - 1, 1))
    w = np.array(weights)
    parts = [np.tensordot(w[:, k] / w[:, k].sum(), np.array(a), 1) for k, a in enumerate((means, variances))]
    return parts[0], parts[1], w.sum(axis=0).min()


momenta = st.sampled_from([0.0, 0.3, 0.5, 0.9, 0.99, 0.9999])
sizes = st.sampled_from([1, 2, 5, 10])


@example([(3, "batch_size", 0.9, 1), (7, "momentum", 0.5, 1)], 0.9, "straddle", "batch")
@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 11), st.sampled_from(["momentum", "batch_size"]), momenta, sizes)),
    momenta, st.sampled_from(["straddle", "drop", "keep"]), st.sampled_from(["batch", "ghost", "renorm"]),
)  # fmt: skip
def test_corrected_statistics_are_those_of_the_batches_after_any_edits(changes, momentum, last, norm):
    edits = tuple(
        (step, name, size if name == "batch_size" else value) for step, name, value, size in changes
    )
    if norm == "ghost":  # whole norm batches
        edits = tuple(
            (step, name, 4 * value if name == "batch_size" else value) for step, name, value in edits
        )
    config = small(
        norm=norm, edits=edits, momentum=momentum, last_batch=last, train_samples=44, replicas=2, lr=1e-3,
        norm_batch=4 if norm == "ghost" else 0,
    )  # fmt: skip
    runs = stepwise(config, 12)
    found = corrected(runs[-1]).running
    mean, var, weight = directly(runs)
    atol = 1e-12 / weight  # rounding of the start's share is divided by what the batches weigh
    np.testing.assert_allclose(found.mean, mean, rtol=0, atol=atol)
    np.testing.assert_allclose(found.var, var, rtol=0, atol=atol)


def test_one_step_after_an_edit_of_momentum_the_old_start_is_told_from_the_batches():
    """99 steps at 0.99 leave 0.37 of the start, one more at 0.5 leaves half of that."""
    run = advance(start(small(momentum=0.99, edits=((99, "momentum", 0.5),), lr=0.0)), 100)
    np.testing.assert_allclose(run.running.weight, 0.5 * 0.99**99)
    raw, found = run.running, corrected(run).running
    np.testing.assert_allclose(found.mean, raw.mean / (1 - 0.5 * 0.99**99), rtol=1e-12)
    np.testing.assert_allclose(found.var, (raw.var - 0.5 * 0.99**99) / (1 - 0.5 * 0.99**99), rtol=1e-9)
    np.testing.assert_allclose(found.mean, precise(run).running.mean, atol=0.2)  # what the batches agree on


def test_a_replica_that_diverged_keeps_what_its_start_weighed_then():
    config = small(**WILD)
    run = advance(start(config), 40)
    at = run.diverged_at
    assert (at > 0).any() and len(set(at.tolist())) > 2, at
    np.testing.assert_allclose(run.running.weight[:, 0], 0.9 ** np.where(at < 0, 40, at))
    for replica in range(6):
        stopped = advance(
            start(replace(config, seed=replica, replicas=1)), 40 if at[replica] < 0 else int(at[replica])
        )
        np.testing.assert_array_equal(
            corrected(only(run, replica)).running.var, corrected(stopped).running.var
        )


@pytest.mark.parametrize("network", ["mlp", "cnn", "rnn"])
def test_norm_running_averages_what_its_batches_held(network):
    """Of its variances, around its running mean, the start has its share of the squares."""
    config = small(norm="running", network=network, momentum=0.8, edits=((4, "momentum", 0.6),), lr=0.01)
    runs = stepwise(config, 9)
    means, squares, weights = [], [], []
    for run in runs[:-1]:
        now = run.config.at(run.step)
        mean, around = batch_moments(forward(now, run.layers, next_batch(run))[1]).swapaxes(0, 1)
        var = around - now.momentum * (mean - run.running.mean) ** 2
        weights = [now.momentum * w for w in weights] + [1 - now.momentum]
        means.append(mean)
        squares.append(var + mean**2)
    w = np.array(weights) / sum(weights)
    mean, square = (np.tensordot(w, np.array(a), 1) for a in (means, squares))
    found = corrected(runs[-1]).running
    np.testing.assert_allclose(found.mean, mean, atol=1e-12)
    np.testing.assert_allclose(found.var, square - mean**2, atol=1e-11)


# ---- precise statistics ------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["mlp", "cnn", "rnn"])
@pytest.mark.parametrize("change", [{"norm": "running"}, {"edits": ((3, "frozen", True),)}])
def test_precise_statistics_are_those_of_all_training_samples(change, network):
    """In inference over the training samples each channel behind its norm has mean beta and variance
    gamma^2 var / (var + eps)."""
    config = small(
        network=network, width=6, gamma=1.5, beta=0.3, momentum=0.95, replicas=2, eps=1e-3, **change
    )
    run = precise(advance(start(config), 6))
    now = config.at(6)
    _, trace, _ = forward(now, inference_layers(now, run.layers, run.running), now.data().x_train)
    for number, (layer, here) in enumerate(zip(trace, plan(now).statistics, strict=True)):
        axes = (1,) if network == "rnn" else tuple(range(1, layer.z.ndim - 1))
        gamma, beta = (run.parameters[f"{name}{number}"] for name in ("gamma", "beta"))
        var = run.running.var[:, here].reshape(2, -1, layer.z.shape[-1])
        expected = gamma**2 * var / (var + 1e-3)
        shape = layer.z.mean(axis=axes).shape
        np.testing.assert_allclose(
            layer.z.mean(axis=axes), np.broadcast_to(beta, var.shape).reshape(shape), atol=1e-9
        )
        np.testing.assert_allclose(layer.z.var(axis=axes), expected.reshape(shape), atol=1e-9)


# ---- the last value that was recorded ----------------------------------------------------------------------


def test_the_latest_value_is_the_last_that_is_not_nan():
    """A default run of 300 steps records ten frames, and validates once: at step 0."""
    run = advance(start(RunConfig(width=8, depth=1, replicas=2)), 300)
    assert np.isnan(run.history["val_accuracy"][:, -1]).all()
    value, step = run.latest("val_accuracy")
    np.testing.assert_array_equal(value, run.history["val_accuracy"][:, 0])
    np.testing.assert_array_equal(step, [0, 0])
    value, step = run.latest("train_loss")
    np.testing.assert_array_equal(value, run.history["train_loss"][:, -1])
    np.testing.assert_array_equal(step, [270, 270])
    assert run.latest("gradient_norm").value.shape == (2, 1)
    assert run.latest("activation_histogram").value.shape == (2, 1, 64)
    np.testing.assert_array_equal(advance(run, 1).latest("val_accuracy").step, [300, 300])


def test_the_latest_value_of_a_replica_that_diverged_is_from_before():
    config = small(**WILD, record_every=1)
    run = advance(start(config), 40)
    at = run.diverged_at
    value, step = run.latest("train_loss")
    np.testing.assert_array_equal(step, np.where(at < 0, 39, at - 1))
    np.testing.assert_array_equal(value, run.history["train_loss"][np.arange(6), step])
    assert np.isfinite(value[step >= 0]).all()
    wild = advance(start(small(norm="none", init_scale=100.0, depth=6, lr=1.0)), 1)
    value, step = wild.latest("train_loss")
    assert wild.diverged_at == [0] and np.isnan(value).all() and step == [-1]


@pytest.mark.parametrize("name", ["val_acc", "step", "histogram_edges", None, 3, ["val_loss"]])
def test_the_latest_value_of_what_is_not_recorded(name):
    run = advance(start(small()), 1)
    with pytest.raises(
        ValueError, match=r"Run.latest: name=.* isn't recorded; choose one of train_loss, .*val_acc"
    ):
        run.latest(name)
    with pytest.raises(ValueError, match=r"nothing is recorded before the first step; try advance\(run, 1\)"):
        start(small()).latest("val_accuracy")


def test_latest_statistics_continue_as_running_stats_do():
    """What a run carries is what RunningStats.update leaves, its weights included."""
    config = small(edits=((3, "momentum", 0.5), (5, "batch_size", 1)), depth=1)
    runs, stats = stepwise(config, 8), RunningStats.zeros((1, 8), 0.9)
    for run in runs[:-1]:
        now, x = config.at(run.step), next_batch(run)
        mean, var = batch_moments(forward(now, run.layers, x)[1]).swapaxes(0, 1)
        stats = replace(stats, momentum=now.momentum).update(mean, var, x.shape[1])
    for name in ("mean", "var", "weight", "var_weight"):
        expected = np.broadcast_to(getattr(stats, name), getattr(runs[-1].running, name).shape)
        np.testing.assert_allclose(getattr(runs[-1].running, name), expected, rtol=1e-12)
