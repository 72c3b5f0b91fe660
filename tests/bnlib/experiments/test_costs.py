"""What norms cost: counts and bytes by hand, folding against PyTorch, times of a clock that tests turn."""

import warnings
from dataclasses import fields, replace
from math import isfinite, prod
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import fusion

import bnlib
from bnlib import RunConfig, advance, batch_norm_inference
from bnlib.experiments.probes import costs
from bnlib.experiments.probes.costs import Cost, _run, cost, step_seconds
from bnlib.norms.table import NORMS
from bnlib.norms.weights import fold_batch_norm

N, W, DEPTH, CLASSES = 6, 4, 2, 3
SPIRALS = RunConfig(dataset="spirals", width=W, depth=DEPTH, batch_size=N, groups=2)
CNN = RunConfig(network="cnn", width=6, depth=3, batch_size=N, groups=3)
RNN = RunConfig(network="rnn", width=W, depth=DEPTH, batch_size=N, groups=2)
GAN = RunConfig(network="gan", dataset="ring", width=W, depth=DEPTH, batch_size=N, groups=2)
UNITS = {"mlp": DEPTH * W, "cnn": 3 + 6 + 6, "rnn": DEPTH * W, "gan": DEPTH * W}
every_network = pytest.mark.parametrize("config", [SPIRALS, CNN, RNN, GAN], ids=lambda config: config.network)
SHAPES = [(1, 1), (4, 7), (5, 3, 2), (5, 3, 3, 3), (2, 3, 1, 2, 3)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def price(config: RunConfig, **options: Any) -> Cost:
    return cost(config, rounds=1, steps=1, **options)


# --- folding --------------------------------------------------------------------------------------------


def arrays(shape: tuple[int, ...], dtype: Any = np.float64) -> list[np.ndarray]:
    """weight, bias, mean, var, gamma and beta of a layer and the batch norm behind it."""
    rng = np.random.default_rng(len(shape))
    vectors = rng.standard_normal((5, shape[0]))
    vectors[2] = 4 * rng.random(shape[0])
    return [array.astype(dtype) for array in (rng.standard_normal(shape), *vectors)]


def modules(shape: tuple[int, ...], given: list[np.ndarray], eps: float) -> tuple[nn.Module, nn.Module]:
    """The layer and its batch norm in PyTorch, in inference."""
    if len(shape) == 2:
        layer: Any = nn.Linear(shape[1], shape[0]).double()
    else:
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(shape) - 3]
        layer = kind(shape[1], shape[0], shape[2:], padding=1, stride=2).double()
    norm = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[len(shape) - 2](shape[0], eps=eps)
    norm.double()
    places = (layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    with torch.no_grad():
        for place, array in zip(places, given, strict=True):
            place.copy_(torch.tensor(array))
    return layer.eval(), norm.eval()


@shapes
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_folding_agrees_with_torch(shape: tuple[int, ...], eps: float) -> None:
    """With its own folding, and with the two layers one after the other."""
    given = arrays(shape)
    weight, bias = fold_batch_norm(*given, eps=eps)
    layer, norm = modules(shape, given, eps)
    fuse = fusion.fuse_linear_bn_eval if len(shape) == 2 else fusion.fuse_conv_bn_eval
    fused = fuse(layer, norm)
    np.testing.assert_allclose(weight, fused.weight.detach(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(bias, fused.bias.detach(), rtol=1e-12, atol=1e-12)
    x = torch.tensor(np.random.default_rng(0).standard_normal((3, shape[1], *[6] * (len(shape) - 2))))
    expected = norm(layer(x)).detach()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-12, atol=1e-12)


def test_what_is_not_given_to_fold_is_0_or_1() -> None:
    weight, bias, mean, var, gamma, beta = arrays((4, 3))
    zero, one = np.zeros(4), np.ones(4)
    for b, g, s in [(None, None, None), (bias, None, beta), (None, gamma, None), (bias, gamma, None)]:
        filled = (zero if b is None else b, mean, var, one if g is None else g, zero if s is None else s)
        found, expected = fold_batch_norm(weight, b, mean, var, g, s), fold_batch_norm(weight, *filled)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
    default, explicit = (
        fold_batch_norm(weight, bias, mean, var),
        fold_batch_norm(weight, bias, mean, var, eps=1e-5),
    )
    np.testing.assert_array_equal(default[0], explicit[0])


@shapes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_folding_keeps_dtypes_shapes_and_arguments(shape: tuple[int, ...], dtype: Any) -> None:
    given = arrays(shape, dtype)
    for array in given:
        array.setflags(write=False)
    copies = [array.copy() for array in given]
    for optional in (given[4:], (None, None)):
        for bias in (given[1], None):
            found = fold_batch_norm(given[0], bias, given[2], given[3], *optional, eps=np.float64(1e-3))
            assert [array.dtype for array in found] == [dtype, dtype]
            assert [array.shape for array in found] == [shape, shape[:1]]
            assert all(array.flags.writeable for array in found)
            assert not any(np.shares_memory(array, old) for array in found for old in given)
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_without_variance_the_folded_layer_gives_beta() -> None:
    """As batch norm in inference does; where eps is above 0 there is nothing special about it."""
    weight, bias, mean, var, gamma, beta = arrays((4, 3))
    var[1] = 0
    folded = fold_batch_norm(weight, bias, mean, var, gamma, beta, eps=0)
    assert not folded[0][1].any() and folded[1][1] == beta[1]
    x = np.random.default_rng(0).standard_normal((5, 3))
    for eps in (0.0, 1e-5):
        folded = fold_batch_norm(weight, bias, mean, var, gamma, beta, eps=eps)
        expected = batch_norm_inference(x @ weight.T + bias, mean, var, gamma, beta, eps=eps)
        np.testing.assert_allclose(x @ folded[0].T + folded[1], expected, rtol=1e-9)


def test_a_frozen_norm_is_measured_beside_no_norm() -> None:
    found = costs.cost(RunConfig(depth=1, width=8, batch_size=4, frozen=True), rounds=1, steps=1)
    assert found.extra_parameters > 0 and found.training_ratio > 0


W0, V0 = np.ones((4, 3)), np.ones(4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight": np.ones((4, 3), "i8")}, ("weight has dtype int64", "np.asarray(weight, np.float64)")),
        ({"weight": np.ones(4)}, ("weight has shape (4,)", "(O, I, *kernel)", "np.reshape(weight, (1, -1))")),
        ({"weight": np.ones((4, 0))}, ("weight has shape (4, 0)", "none of them 0")),
        ({"axis": 2}, ("axis=2 is no axis of weight", "(4, 3)", "1 for a transposed convolution")),
        *(({name: np.ones(n)}, (f"{name} has shape ({n},)", "must have shape (4,)", fix))
          for name in ("bias", "mean", "var", "gamma", "beta")
          for n, fix in ((3, "try axis=1"), (5, "pass one number for each of the 4 output features"))),
        *(({name: np.ones(4, "i8")}, (f"{name} has dtype int64", f"try np.asarray({name}, np.float64)"))
          for name in ("bias", "mean", "var", "gamma", "beta")),
        *(({name: None}, (f"{name} is None, but must have shape (4,)",)) for name in ("mean", "var")),
        ({"mean": 0.0}, ("mean has shape ()", "try np.full(4, mean, np.float64)")),
        ({"var": np.array([1.0, -0.5, 0, -2])}, ("var contains -2.0", "must not be negative", "a variance")),
        *(({"eps": eps}, (f"eps={eps!r}", "finite and not negative", "try 1e-5"))
          for eps in (-1e-9, float("inf"), float("nan"), None, "1")),
    ],
)  # fmt: skip
def test_folding_says_what_is_wrong(change: dict[str, Any], words: tuple[str, ...]) -> None:
    given = {"weight": W0, "bias": V0, "mean": V0, "var": V0, "gamma": V0, "beta": V0, **change}
    with pytest.raises(ValueError) as error:
        fold_batch_norm(**given)
    assert str(error.value).startswith("fold_batch_norm: ")
    assert all(word in str(error.value) for word in words)


# --- counts ---------------------------------------------------------------------------------------------

# Per unit: parameters beyond those without a norm, numbers kept. Gamma and beta replace a bias in batch norm.
PER_UNIT = {
    "none": (0, 0), "batch": (1, 2), "ghost": (1, 2), "renorm": (1, 2), "running": (1, 2), "layer": (2, 0),
    "group": (2, 0), "instance": (2, 0), "rms": (2, 0), "frn": (3, 0), "dyt": (2, 0), "spectral": (0, 1),
    "weight": (1, 0), "standard": (1, 0),
}  # fmt: skip


def test_the_table_of_counts_is_complete() -> None:
    assert set(PER_UNIT) == {"none", *NORMS}


@pytest.mark.parametrize("norm", PER_UNIT)
@every_network
def test_counts(config: RunConfig, norm: str) -> None:
    config = replace(config, norm=norm, batch_size=8)
    found, (more, kept) = price(config), PER_UNIT[norm]
    units, times = UNITS[config.network], 8 if config.network == "rnn" and kept == 2 else 1
    assert found.extra_parameters == more * units + (config.depth if norm == "dyt" else 0)
    more_kept = 1 if (config.network, norm) == ("gan", "spectral") else 0  # its output layer's u
    assert (
        found.kept == kept * units * times + more_kept
    )  # of batch norm in a recurrent network: at each step
    bare = {
        "mlp": 2 * W + W + W * W + W + W * CLASSES + CLASSES,
        "cnn": 9 * 3 + 3 + 27 * 6 + 6 + 54 * 6 + 6 + 6 * 10 + 10,
        "rnn": (8 + W) * W + W + 2 * W * W + W + W * 10 + 10,
        "gan": 2 * W + W + W * W + W + W + 1,
    }
    assert found.parameters - found.extra_parameters == bare[config.network]


def test_counts_of_other_arrangements() -> None:
    after = price(replace(SPIRALS, placement="after"))
    assert (after.extra_parameters, after.kept) == (2 * UNITS["mlp"], 2 * UNITS["mlp"])  # the bias stays
    fixed = price(replace(SPIRALS, learn_affine=False))
    assert (fixed.extra_parameters, fixed.kept) == (-UNITS["mlp"], 2 * UNITS["mlp"])  # and no gamma, beta
    both = price(replace(SPIRALS, norm="group", weight_norm="standard"))
    assert (both.extra_parameters, both.kept) == (3 * UNITS["mlp"], 0)
    several = price(replace(SPIRALS, norm="spectral", replicas=3))
    assert (several.parameters, several.kept) == (
        price(replace(SPIRALS, norm="none")).parameters,
        UNITS["mlp"],
    )


# --- memory ---------------------------------------------------------------------------------------------

A = N * W  # entries of a layer's activations
WEIGHTS = [(2, W), (W, W)]
BARE = 4 * DEPTH * 2 * A  # in bytes: what enters each activation, and what leaves it
# A layer's share of what is kept beyond that, in numbers; statistics: mean, variance, 1 / sqrt(var + eps).
EXTRA = {
    "none": 0,
    "batch": A + 3 * W,  # x-hat and the statistics
    "ghost": A + 3 * W * 2,  # of two ghost batches
    "layer": A + 3 * N,
    "rms": A + 3 * N,  # a mean of 0 among them
    "group": A + 3 * N * 2,
    "instance": A + 3 * A,  # without positions, each element is a group of its own
    "renorm": A + 7 * W,  # and r, d, and the scale and shift that they make
    "running": A + 3 * W,
    "frn": A + A + A / 4,  # gamma / root mean square, and a byte for each entry: is it above the threshold?
    "dyt": A + A,  # x and its tanh
}


@pytest.mark.parametrize("norm", EXTRA)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_by_hand(norm: str, dtype: str) -> None:
    config = replace(SPIRALS, norm=norm, dtype=dtype, norm_batch=3 if norm == "ghost" else 0)
    factor, extra = 2 if dtype == "float64" else 1, 4 * DEPTH * EXTRA[norm]
    if norm == "frn" and factor == 2:
        extra -= DEPTH * A / 2  # a byte stays a byte
    found = price(config)
    assert found.extra_memory == factor * extra
    assert found.memory == factor * (BARE + extra)


@pytest.mark.parametrize(
    ("norm", "numbers"),
    [
        # The weights used; the matrix that is learned is there anyway. New u, v and sigma.
        ("spectral", sum(i * o + o + i + 1 for i, o in WEIGHTS)),
        # The same normalized by rows, its statistics; of weight norm also gain / sqrt(fan-in).
        ("weight", sum(2 * i * o + 4 * o for i, o in WEIGHTS)),
        ("standard", sum(2 * i * o + 3 * o for i, o in WEIGHTS)),
    ],
)
def test_memory_of_normalized_weights(norm: str, numbers: int) -> None:
    assert price(replace(SPIRALS, norm=norm)).extra_memory == 4 * numbers
    both = price(replace(SPIRALS, norm="batch", weight_norm=norm))
    assert both.extra_memory == 4 * (numbers + DEPTH * EXTRA["batch"])


def test_memory_of_other_arrangements() -> None:
    batch, none = replace(SPIRALS, norm="batch"), replace(SPIRALS, norm="none")
    after = price(replace(batch, placement="after"))
    assert after.extra_memory == 4 * DEPTH * (2 * A + 3 * W)  # the activation's output is none of the norm's
    fixed = price(replace(batch, learn_affine=False))
    assert fixed.memory == price(batch).memory  # gamma and beta are there before the step
    assert price(batch, batch_size=2 * N).extra_memory == 4 * DEPTH * (2 * A + 3 * W)
    assert price(replace(batch, replicas=5)).memory == price(batch).memory
    noisy = price(replace(none, norm_noise=1.0))
    assert noisy.memory == BARE + 4 * DEPTH * 2 * A and noisy.extra_memory == 0  # its scales and shifts


def test_memory_of_convolutions() -> None:
    """Of the layer before it a convolution keeps the output itself, not its patches."""
    sizes = [64 * 3, 16 * 6, 16 * 6]
    bare = 4 * N * (2 * sum(sizes) + 6)  # and what the pooling leaves
    assert price(replace(CNN, norm="none")).memory == bare
    found = price(replace(CNN, norm="batch"))
    assert found.extra_memory == 4 * (N * sum(sizes) + 3 * UNITS["cnn"]) and found.memory > bare
    positions = price(replace(CNN, norm="frn")).extra_memory
    assert positions == 4 * (N * sum(sizes) + N * UNITS["cnn"]) + N * sum(sizes)


def test_memory_of_a_gan_is_that_of_its_discriminator() -> None:
    found = price(replace(GAN, norm="batch"))
    assert (found.memory, found.extra_memory) == (BARE + found.extra_memory, 4 * DEPTH * EXTRA["batch"])
    used = price(replace(GAN, norm="spectral")).extra_memory
    assert used == 4 * sum(i * o + o + i + 1 for i, o in [*WEIGHTS, (W, 1)])


def test_memory_of_recurrent_layers() -> None:
    """A step keeps its input and the state side by side; the top layer's states stay as a whole."""
    steps = 8
    bare = N * steps * ((8 + W) + 2 * W + DEPTH * 2 * W + W)
    assert price(replace(RNN, norm="none")).memory == 4 * bare
    assert price(replace(RNN, norm="batch")).extra_memory == 4 * steps * DEPTH * EXTRA["batch"]


# --- time: a clock that the test turns -------------------------------------------------------------------


class Clock:
    """Time passes where work says so; `log` is what happened in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 0.0
        self.log: list[Any] = []
        self.runs: list[Any] = []
        monkeypatch.setattr(costs, "thread_time", lambda: self.now)
        real = costs.forward

        def training(run: Any, steps: int) -> Any:
            self.runs.append(run)
            self.work("training", run.config.norm, steps)
            return run

        def inference(config: RunConfig, layers: Any, x: Any, **options: Any) -> Any:
            if options.get("keep", True):  # memory, not time
                return real(config, layers, x, **options)
            self.last = layers, x, options
            self.work("inference", config.norm, 1)

        monkeypatch.setattr(costs, "advance", training)
        monkeypatch.setattr(costs, "forward", inference)
        self.prices: dict[tuple[str, str], list[float]] = {}

    def work(self, what: str, norm: str, steps: int) -> None:
        """A call costs so much a step; a price list of several entries serves one call each."""
        prices = self.prices.get((what, norm), [1.0])
        self.now += steps * (prices.pop(0) if len(prices) > 1 else prices[0])
        self.log.append((what, norm, steps))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_times_and_ratios(clock: Clock) -> None:
    clock.prices = {
        ("training", "batch"): [3], ("training", "none"): [2],
        ("inference", "batch"): [5], ("inference", "none"): [4],
    }  # fmt: skip
    found = cost(SPIRALS, rounds=4, steps=7)
    assert (found.training, found.training_ratio) == (3, 1.5)
    assert (found.inference, found.inference_ratio) == (5, 1.25)
    assert found.torch_training is found.torch_training_ratio is None
    assert found.torch_inference is found.torch_inference_ratio is None


def test_contestants_take_turns_and_are_warm_when_the_clock_starts(clock: Clock) -> None:
    cost(SPIRALS, rounds=2, steps=3)
    jobs = {
        (what, norm): [(what, norm, count) for count in counts]
        for what, counts in {"training": [1, 3], "inference": [1] * 4}.items()
        for norm in ("batch", "none")
    }
    there, back = (sum(order, []) for order in (jobs.values(), reversed(jobs.values())))
    assert clock.log == 2 * (there + back)


def test_the_best_counts_and_the_median_ratio(clock: Clock) -> None:
    """Of every second call, that is: those before warm up. There and back, each price meets its own."""
    batch, none = (8, 6, 30, 27), (2, 3, 3, 3)
    clock.prices = {("training", "batch"): [p for price in batch for p in (1, price)] + [0],
                    ("training", "none"): [p for price in none for p in (100, price)] + [0]}  # fmt: skip
    found = cost(SPIRALS, rounds=2, steps=1)
    assert found.training == 6
    assert found.training_ratio == 6.5  # of 4, 2, 10 and 9


def test_what_is_timed(clock: Clock) -> None:
    """One replica past step 0, nothing recorded, no edits; in inference one batch, folded."""
    config = replace(
        SPIRALS, replicas=3, record_every=1, validate_every=1, edits=((0, "lr", 0.5), (9, "eps", 1.0))
    )
    cost(config, rounds=1, steps=1, batch_size=5)
    for run, norm in zip(clock.runs, 2 * ["batch"] + 4 * ["none"] + 2 * ["batch"], strict=True):
        assert (run.step, run.config.replicas, run.config.batch_size, run.config.norm) == (1, 1, 5, norm)
        assert run.config.record_every == run.config.validate_every == 10**6 and run.config.edits == ()
    cost(replace(SPIRALS, norm="none", weight_norm="spectral"), rounds=1, steps=1)
    assert [run.config.weight_norm for run in clock.runs[-8:-4:2]] == ["spectral", "none"]
    cost(replace(SPIRALS, norm="running"), rounds=1, steps=1)
    layers, x, options = clock.last
    assert options == {"keep": False} and x.shape == (N, 2) and layers[0].gamma is None


def test_in_inference_batch_norm_is_folded_and_layer_norm_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = costs.forward

    def forward(config: RunConfig, layers: Any, x: Any, **options: Any) -> Any:
        if not options.get("keep", True):
            seen.append((config.norm, [layer.gamma is None for layer in layers]))
        return real(config, layers, x, **options)

    monkeypatch.setattr(costs, "forward", forward)
    price(replace(SPIRALS, norm="batch"))
    assert seen[0] == ("batch", [True, True, True])
    seen.clear()
    price(replace(SPIRALS, norm="layer"))
    assert seen[0] == ("layer", [False, False, True]) and seen[2] == ("none", [True, True, True])


class Twin(nn.Module):
    """A stand-in for a network's twin that turns the clock, and notes how it is called."""

    def __init__(self, clock: Clock, norm: str):
        super().__init__()
        self.linear = nn.Linear(2, CLASSES)
        self.clock, self.norm = clock, norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        what = "torch training" if self.training else "torch inference"
        assert torch.is_inference_mode_enabled() != self.training
        assert torch.get_num_threads() == 1 and x.shape == (N, 2) and x.dtype == torch.float32
        self.clock.work(what, self.norm, 1)
        return self.linear(x)


@pytest.fixture
def twins(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> list[Twin]:
    made: list[Twin] = []

    def twin(run: Any, replica: int = 0) -> Twin:
        made.append(Twin(clock, run.config.norm))
        return made[-1]

    step = torch.optim.SGD.step

    def stepping(self: Any, *arguments: Any) -> Any:
        clock.work("torch update", "", 1)
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", stepping)
    monkeypatch.setattr("bnlib.torch_check.twin.twin", twin)
    return made


def test_torch_takes_turns_too(clock: Clock, twins: list[Twin]) -> None:
    clock.prices = {
        ("torch training", "batch"): [8], ("torch training", "none"): [3], ("torch update", ""): [1],
        ("torch inference", "batch"): [3], ("torch inference", "none"): [2],
    }  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = cost(SPIRALS, rounds=2, steps=2, torch=True)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert (found.torch_training, found.torch_training_ratio) == (9, 9 / 4)
    assert (found.torch_inference, found.torch_inference_ratio) == (3, 1.5)
    assert (found.training, found.training_ratio) == (1, 1)
    jobs = [[("training", norm, count) for count in (1, 2)] for norm in ("batch", "none")]
    jobs += [3 * [("inference", norm, 1)] for norm in ("batch", "none")]
    jobs += [3 * [("torch training", norm, 1), ("torch update", "", 1)] for norm in ("batch", "none")]
    jobs += [3 * [("torch inference", norm, 1)] for norm in ("batch", "none")]
    assert clock.log == 2 * (sum(jobs, []) + sum(jobs[::-1], []))


def test_torch_learns_from_each_step_alone(clock: Clock, twins: list[Twin]) -> None:
    """Gradients of a step are those of its cross-entropy: none are left of the step before."""
    cost(SPIRALS, rounds=2, steps=3, torch=True)
    model, data = twins[0], SPIRALS.data()
    x, labels = torch.tensor(data.x_train[:N]), torch.tensor(data.y_train[:N])
    loss = nn.functional.cross_entropy(model.linear(x), labels)
    expected = torch.autograd.grad(loss, [model.linear.weight, model.linear.bias])
    for parameter, gradient in zip(model.linear.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad, gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("torch_too", [False, True])
@every_network
def test_times_are_positive_and_finite(config: RunConfig, torch_too: bool) -> None:
    config = replace(config, width=12, groups=3)
    if config.network == "gan" and torch_too:
        with pytest.raises(ValueError, match="network='gan'"):
            price(config, torch=True)
        return
    found = price(config, torch=torch_too)
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    absent = {name for name, value in values.items() if value is None}
    assert absent == (set() if torch_too else {name for name in values if name.startswith("torch")})
    times = [value for name, value in values.items() if "ing" in name or "inference" in name]
    assert all(isinstance(t, float) and isfinite(t) and t > 0 for t in times if t is not None)


@pytest.mark.parametrize("norm", NORMS)
def test_each_norm_has_a_price(norm: str) -> None:
    found = price(replace(SPIRALS, norm=norm, batch_size=8))
    assert isfinite(found.training_ratio) and isfinite(found.inference_ratio) and found.extra_memory > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *(({name: value}, (f"cost: {name}={value!r} must be an integer of at least 1",))
          for name in ("rounds", "steps") for value in (0, 1.5, None)),
        ({"batch_size": 0}, ("batch_size=0",)),
        ({"batch_size": 1500}, ("batch_size=1500", "1024")),
    ],
)  # fmt: skip
def test_cost_says_what_is_wrong(options: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as error:
        cost(SPIRALS, **options)
    assert all(word in str(error.value) for word in words)


def test_a_batch_size_must_go_with_the_norm() -> None:
    with pytest.raises(ValueError, match="norm_batch=8 does not divide batch_size=6"):
        price(replace(SPIRALS, norm="ghost", batch_size=8), batch_size=6)


# --- a label's worth ------------------------------------------------------------------------------------


def timed(clock: Clock) -> list[int]:
    """How many steps each round took, behind one that warmed up."""
    steps = [count for _, _, count in clock.log]
    assert set(steps[::2]) == {1}
    return steps[1::2]


def test_step_seconds_is_the_best_of_few_rounds(clock: Clock) -> None:
    clock.prices = {("training", "batch"): [0, 0.012, 0, 0.006, 0, 0.003, 0, 0.005]}
    assert step_seconds(SPIRALS) == pytest.approx(0.003)
    assert timed(clock) == [1, 1, 1, 2, 2]
    assert all(run is clock.runs[0] for run in clock.runs)


@pytest.mark.parametrize(
    ("price_of_a_step", "expected"),
    [
        (5.0, [1]), (0.03, [1, 1]), (0.011, 4 * [1]), (0.006, 6 * [1]),
        (2**-10, [1] + 5 * [6]), (1e-7, [1] + 5 * [50]), (0, [1] + 5 * [50]),
    ],
)  # fmt: skip
def test_step_seconds_ends_soon(clock: Clock, price_of_a_step: float, expected: list[int]) -> None:
    clock.prices = {("training", "batch"): [price_of_a_step]}
    assert step_seconds(SPIRALS) == pytest.approx(price_of_a_step)
    assert timed(clock) == expected


def test_step_seconds_is_of_all_replicas_and_records_nothing(clock: Clock) -> None:
    config = replace(
        SPIRALS, replicas=3, record_every=1, validate_every=1, optimizer="momentum", edits=((2, "lr", 1.0),)
    )
    step_seconds(config)
    run = clock.runs[0]
    assert run.flat.shape[0] == 3 and run.step == 1
    assert replace(run.config, lr=config.lr, record_every=1, validate_every=1) == replace(config, edits=())


@every_network
def test_step_seconds_of_each_network(config: RunConfig) -> None:
    seconds = step_seconds(replace(config, replicas=2))
    assert isfinite(seconds) and seconds > 0


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 1000.0},
        {"rest_lr": 1000.0},
        {"init": "normal", "init_scale": 100.0},
        {"init_scale": 100.0},
        {"lr": 1000.0, "optimizer": "momentum"},
        {"lr": 1000.0, "weight_decay": 10.0},
        {"norm": "running", "gamma": 100.0},
    ],
    ids=str,
)
def test_what_is_timed_does_not_diverge(change: dict[str, Any]) -> None:
    """A replica that diverges is not computed any more: the time would be that of nothing."""
    config = replace(SPIRALS, **{"norm": "none", "depth": 6, "replicas": 2, **change})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        price(config)
    assert (advance(bnlib.start(config), 100).diverged_at >= 0).any()
    after = advance(_run(config), 100)
    assert (after.diverged_at == -1).all() and not after.frames
    assert (after.config.rest_lr > 0) == (config.rest_lr > 0)


def test_buffers_count_once() -> None:
    base, other = np.zeros((4, 6)), np.ones(3)
    nested = (
        base[1:],
        [base.T, {"a": base[::2].reshape(-1), "b": (other, None, 3)}],
        np.broadcast_to(other, (2, 3)),
    )
    found = costs._buffers(nested)
    assert sum(array.nbytes for array in found.values()) >= base.nbytes + other.nbytes
    assert {id(base), id(other)} <= set(found)
    assert (
        prod(base[::2].reshape(-1).shape) * 8
        == sum(array.nbytes for array in found.values()) - base.nbytes - other.nbytes
    )
