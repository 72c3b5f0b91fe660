"""What experiments add to the engine: against PyTorch, central differences and the definitions."""

import itertools
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from bnlib import RunConfig, advance, start
from bnlib.data import batch_indices, batches, load
from bnlib.networks.inference import inference_layers
from bnlib.networks.network import forward, there_and_back
from bnlib.networks.parameters import in_layers, plan
from bnlib.training.train import noise

SMALL = {"width": 12, "depth": 3, "batch_size": 24, "record_every": 7, "validate_every": 7, "groups": 3}
MECHANISMS = {
    "residual": {"residual": "pre"},
    "post": {"residual": "post"},
    "skip": {"residual": "pre", "skip_init": True},
    "post, skip": {"residual": "post", "skip_init": True},
    "norm batches": {"norm_batch": 6},
    "noise": {"norm_noise": 0.7},
    "all": {"residual": "pre", "norm_batch": 8, "norm_noise": 0.7, "batch_order": "sorted"},
    "all, post": {
        "residual": "post", "skip_init": True, "norm_batch": 8, "norm_noise": 0.7, "weight_norm": "weight",
    },
}  # fmt: skip
PLACED = [
    (mechanism, placement)
    for mechanism, placement in itertools.product(MECHANISMS, ("before", "after"))
    if (MECHANISMS[mechanism].get("residual"), placement) != ("post", "after")
]
every_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)
every_norm = pytest.mark.parametrize("norm", ["none", "batch", "layer", "group", "rms"])
every_placement = pytest.mark.parametrize(("mechanism", "placement"), PLACED)


# --- gradients ----------------------------------------------------------------------------------------------


@every_placement
@every_norm
def test_gradients(mechanism, norm, placement):
    """Central differences over every parameter, float64; what comes from above is random, as is all else."""
    config = RunConfig(
        dataset="spirals", norm=norm, placement=placement, activation="gelu", width=6, groups=2, depth=3,
        replicas=2, eps=0.05, dtype="float64", batch_size=8, **MECHANISMS[mechanism] | _divided(mechanism),
    )  # fmt: skip
    rng = np.random.default_rng(11)
    the_plan = plan(config)
    flat = rng.standard_normal((2, the_plan.size))
    x, top = rng.standard_normal((2, 8, 2)), rng.standard_normal((2, 8, 3))
    behind = noise(config, (0, 1), 5) if config.norm_noise else None
    how = {"norm_batch": config.norm_batch, "noise": behind}

    def loss(flat):
        return (forward(config, the_plan.views(flat), x, **how)[0] * top).sum(axis=(1, 2))

    gradient = np.full_like(flat, np.nan)
    layers, gradients = (in_layers(config, the_plan.views(array)) for array in (flat, gradient))
    there_and_back(config, layers, gradients, x, lambda logits: top, **how)
    h, numeric = 1e-5, np.empty_like(flat)
    for i in range(the_plan.size):
        step = np.zeros_like(flat)
        step[:, i] = h
        numeric[:, i] = (loss(flat + step) - loss(flat - step)) / (2 * h)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=5e-8)


def _divided(mechanism):
    return {"norm_batch": 4} if "norm_batch" in MECHANISMS[mechanism] else {}


# --- whole trainings against PyTorch ------------------------------------------------------------------------


class Reference:
    """The same network written with PyTorch's functions, and the same training by its optimizers."""

    def __init__(self, config, run):
        self.config = config
        self.parameters = {
            name: torch.tensor(array[0], requires_grad=True) for name, array in run.parameters.items()
        }
        size = config.width
        self.running = [(torch.zeros(size).double(), torch.ones(size).double()) for _ in range(config.depth)]
        hidden = [f"weight{layer}" for layer in range(config.depth)]
        output = [] if config.rest_lr else [f"weight{config.depth}"]
        rest = [name for name in self.parameters if name not in (*hidden, *output)]
        groups = [
            {"params": [self.parameters[n] for n in (*hidden, *output)], "weight_decay": config.weight_decay,
             "lr": config.lr},
            {"params": [self.parameters[n] for n in rest], "weight_decay": 0.0,
             "lr": config.rest_lr or config.lr},
        ]  # fmt: skip
        self.optimizer = {
            "sgd": lambda: torch.optim.SGD(groups),
            "momentum": lambda: torch.optim.SGD(groups, momentum=0.9),
            "adamw": lambda: torch.optim.AdamW(groups),
        }[config.optimizer]()
        self.schedule = None
        if config.cosine_steps:
            self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, config.cosine_steps)

    def norm(self, x, layer, training):
        config, (mean, var) = self.config, self.running[layer]
        gamma, beta = (self.parameters.get(f"{name}{layer}") for name in ("gamma", "beta"))
        keep = config.momentum
        if config.norm == "none":
            return x
        affine = (gamma[0], beta[0], config.eps)
        if config.norm == "layer":
            return torch.nn.functional.layer_norm(x, x.shape[1:], *affine)
        if not training:
            return torch.nn.functional.batch_norm(x, mean, var, gamma[0], beta[0], False, 0.0, config.eps)
        size = config.norm_batch or len(x)
        groups = [x[i :: len(x) // size] for i in range(len(x) // size)]
        y = torch.empty_like(x)
        for i, group in enumerate(groups):
            normed = torch.nn.functional.batch_norm(
                group, None, None, gamma[0], beta[0], True, 0.0, config.eps
            )
            y[i :: len(groups)] = normed
        with torch.no_grad():
            means, variances = (torch.stack(parts).mean(0) for parts in zip(
                *((g.mean(0), g.var(0, unbiased=True)) for g in groups), strict=True))  # fmt: skip
            mean.copy_(keep * mean + (1 - keep) * means)
            var.copy_(keep * var + (1 - keep) * variances)
        return y

    def logits(self, x, training=True, behind=None):
        config, stream = self.config, None
        activation = {"relu": torch.relu, "tanh": torch.tanh, "linear": lambda z: z}[config.activation]
        for layer in range(config.depth):
            weight, bias, skip = (
                self.parameters.get(f"{name}{layer}") for name in ("weight", "bias", "skip")
            )
            if config.weight_norm == "weight":
                weight = self.parameters[f"gain{layer}"] * weight / weight.norm(dim=0)
            z = x @ weight
            z = z if bias is None else z + bias
            z = z if skip is None else skip * z
            z = z if stream is None else stream + z
            stream = z if config.residual == "pre" else None
            scale, shift = behind[layer] if behind else (np.ones((1, 1, 1)), np.zeros((1, 1, 1)))
            scale, shift = torch.tensor(scale[0]), torch.tensor(shift[0])
            if config.placement == "before":
                z = self.norm(z, layer, training) * scale + shift
                stream = z if config.residual == "post" else stream
                x = activation(z)
            else:
                x = self.norm(activation(z), layer, training) * scale + shift
        last = config.depth
        return x @ self.parameters[f"weight{last}"] + self.parameters[f"bias{last}"]

    def step(self, x, labels, behind):
        self.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            self.logits(torch.tensor(x), True, behind), torch.tensor(labels)
        )
        loss.backward()
        self.optimizer.step()
        if self.schedule:
            self.schedule.step()
        return loss.item()


TRAININGS = {
    **{f"{name}, {placement}": fields | {"placement": placement}
       for name, placement in PLACED for fields in [MECHANISMS[name]]},
    "residual, layer norm": {"residual": "pre", "norm": "layer"},
    "residual, no norm": {"residual": "pre", "norm": "none", "lr": 0.02},
    "post, layer norm": {"residual": "post", "norm": "layer"},
    "skip, no norm": {
        "residual": "pre", "skip_init": True, "norm": "none", "weight_decay": 0.1, "rest_lr": 0.3,
    },
    "skip, momentum": {"residual": "pre", "skip_init": True, "optimizer": "momentum", "cosine_steps": 25},
    "noise, no norm": {"norm": "none", "norm_noise": 1.0},
    "pairs": {"norm_batch": 4, "batch_order": "pairs"},
    "linear": {"activation": "linear"},
    "cosine": {"cosine_steps": 25, "optimizer": "momentum"},
    "cosine, adamw": {"cosine_steps": 40, "optimizer": "adamw", "lr": 0.01, "weight_decay": 0.1},
    "two rates": {"rest_lr": 0.3, "weight_decay": 0.05},
    "two rates, momentum": {
        "rest_lr": 0.03, "weight_decay": 0.05, "optimizer": "momentum", "cosine_steps": 30,
    },
    "two rates, adamw": {"rest_lr": 0.02, "weight_decay": 0.3, "optimizer": "adamw", "lr": 0.01},
    "label noise": {"label_noise": 0.4, "train_samples": 100},
    "standardized": {"inputs": "standardized", "init": "normal", "init_scale": 0.2},
}  # fmt: skip


@pytest.mark.parametrize("name", TRAININGS)
def test_training_is_pytorchs(name):
    """20 steps in float64 from the same weights on the same batches, then inference."""
    steps = 20
    fields = {"activation": "tanh", "gamma": 1.2, "beta": 0.3, "eps": 1e-3, "momentum": 0.8} | SMALL
    config = RunConfig(seed=4, dtype="float64", **fields | TRAININGS[name])
    run = start(config)
    reference = Reference(config, run)
    order = (config.batch_order, config.norm_batch)
    losses = [
        reference.step(x[0], labels[0], noise(config, (4,), step) if config.norm_noise else None)
        for step, (x, labels) in enumerate(batches(config.data(), (4,), 0, config.batch_size, steps, *order))
    ]
    run = advance(run, steps)
    np.testing.assert_allclose(run.history["train_loss"][0], losses[::7], rtol=0, atol=1e-9)
    for parameter, theirs in reference.parameters.items():
        np.testing.assert_allclose(
            run.parameters[parameter][0], theirs.detach(), atol=1e-9, err_msg=parameter
        )
    if config.norm == "batch":
        mean, var = (torch.cat(parts).numpy() for parts in zip(*reference.running, strict=True))
        np.testing.assert_allclose(run.running.mean[0], mean, atol=1e-9)
        np.testing.assert_allclose(run.running.var[0], var, atol=1e-9)
    x = config.data().x_val
    inference = inference_layers(config, run.layers, run.running)
    with torch.no_grad():
        theirs = reference.logits(torch.tensor(x), training=False).numpy()
    np.testing.assert_allclose(forward(config, inference, x, keep=False)[0][0], theirs, atol=1e-9)


@every_mechanism
def test_forty_steps_are_twenty_a_pickle_and_twenty(mechanism):
    config = RunConfig(replicas=2, optimizer="momentum", cosine_steps=50, **SMALL | MECHANISMS[mechanism])
    whole = advance(start(config), 40)
    halves = advance(pickle.loads(pickle.dumps(advance(start(config), 20))), 20)
    np.testing.assert_array_equal(whole.flat, halves.flat)
    np.testing.assert_array_equal(whole.running.var, halves.running.var)
    assert (whole.flat != advance(halves, 1).flat).any()


@every_norm
@every_mechanism
def test_a_replica_is_the_run_of_its_own_seed(mechanism, norm):
    config = RunConfig(norm=norm, seed=3, replicas=3, **SMALL | MECHANISMS[mechanism])
    together = advance(start(config), 15)
    for replica in range(3):
        alone = advance(start(replace(config, seed=3 + replica, replicas=1)), 15)
        np.testing.assert_array_equal(together.flat[replica], alone.flat[0])
        np.testing.assert_array_equal(together.history["val_loss"][replica], alone.history["val_loss"][0])


@pytest.mark.parametrize("residual", ["pre", "post"])
def test_residual_inference_keeps_the_stream(residual):
    """Batch norm can't be folded into its linear layer: the stream is no part of that."""
    config = RunConfig(residual=residual, dtype="float64", **SMALL)
    run = advance(start(config), 30)
    layers = inference_layers(config, run.layers, run.running)
    assert [layer.settled for layer in layers] == [True, True, True, False]
    frame = advance(run, 6).history
    assert np.isfinite(frame["val_loss"][0, -1])


# --- the parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("residual", ["pre", "post"])
def test_skip_init_starts_with_the_stem_alone(residual):
    config = RunConfig(residual=residual, skip_init=True, norm="none", dtype="float64", **SMALL)
    run = start(config)
    skips = {name: array for name, array in run.parameters.items() if name.startswith("skip")}
    assert {name: array.shape for name, array in skips.items()} == {"skip1": (1, 1, 1), "skip2": (1, 1, 1)}
    assert not any(array.any() for array in skips.values())
    x, own = config.data().x_val, {name: array[0] for name, array in run.parameters.items()}
    expected = np.maximum(x @ own["weight0"], 0) @ own["weight3"]
    np.testing.assert_allclose(forward(config, run.layers, x)[0][0], expected, atol=1e-12)
    assert all(array.all() for name, array in advance(run, 2).parameters.items() if name in skips)


def test_the_cosine_ends_at_zero_and_stays_there():
    config = RunConfig(cosine_steps=10, optimizer="sgd", **SMALL)
    run = advance(start(config), 10)
    np.testing.assert_array_equal(advance(run, 5).flat, run.flat)
    one = advance(start(replace(config, cosine_steps=0)), 1).flat
    np.testing.assert_array_equal(advance(start(config), 1).flat, one)  # it begins at lr


def test_noise_is_santurkars():
    config = RunConfig(norm_noise=1.0, width=400, depth=2, batch_size=300, dtype="float64")
    (scale, shift), (other, _) = noise(config, (7,), 3)
    assert scale.shape == shift.shape == (1, 300, 400)
    unit_scale, unit_shift = scale.mean(axis=1), shift.mean(axis=1)
    assert unit_shift.min() == pytest.approx(-0.5, abs=0.02) and unit_shift.max() == pytest.approx(
        0.5, abs=0.02
    )
    assert unit_scale.min() == pytest.approx(1.0, abs=0.03) and unit_scale.max() == pytest.approx(
        1.25, abs=0.03
    )
    assert (scale - unit_scale[:, None]).std() == pytest.approx(0.1, rel=0.01)
    spread = np.abs(shift - unit_shift[:, None])
    assert 0.099 < spread.max() < 0.115 and spread.mean() == pytest.approx(0.05, rel=0.02)
    assert not np.array_equal(scale, other)
    assert not np.array_equal(scale, noise(config, (7,), 4)[0][0])
    np.testing.assert_array_equal(scale, noise(config, (2, 7), 3)[0][0][1:])
    half = noise(replace(config, norm_noise=0.5), (7,), 3)[0]
    np.testing.assert_allclose(half[0], 1 + (scale - 1) / 2)
    np.testing.assert_allclose(half[1], shift / 2)


def test_initial_weights_can_have_a_deviation_of_their_own():
    parameters = start(RunConfig(init="normal", init_scale=0.01, width=256, depth=2)).parameters
    for layer in range(3):
        assert parameters[f"weight{layer}"].std() == pytest.approx(0.01, rel=0.03)


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_label_noise_is_a_share_of_training_labels(share):
    clean, noisy = load("digits"), load("digits", label_noise=share)
    assert np.mean(clean.y_train != noisy.y_train) == pytest.approx(share, abs=0.03)
    np.testing.assert_array_equal(clean.y_val, noisy.y_val)
    np.testing.assert_array_equal(clean.x_train, noisy.x_train)
    assert noisy.y_train.min() >= 0 and noisy.y_train.max() == 9
    some = load("digits", label_noise=share, samples=50)
    np.testing.assert_array_equal(some.y_train, noisy.y_train[:50])


def test_standardized_inputs():
    data = load("digits", samples=200, standardized=True)
    live = data.x_train.std(axis=0) > 0
    assert 40 < live.sum() < 64
    np.testing.assert_allclose(data.x_train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.x_train.std(axis=0)[live], 1)
    assert (data.x_val[:, ~live] == 0).all()
    raw = load("digits", samples=200)
    expected = (raw.x_val - raw.x_train.mean(0))[:, live] / raw.x_train.std(0)[live]
    np.testing.assert_allclose(data.x_val[:, live], expected)


def test_groups_share_an_offset_and_have_one_positive():
    data = load("groups")
    x, y = data.x_train.reshape(-1, 8, 16), data.y_train.reshape(-1, 8)
    assert (y == np.eye(8, dtype=int)[0]).all()
    offset = x[:, 1:].mean(axis=1)
    assert offset.std() == pytest.approx(math.sqrt(2.4**2 + 1 / 7), rel=0.05)
    assert (x[:, 1:] - offset[:, None]).std() == pytest.approx(math.sqrt(6 / 7), rel=0.02)
    signal = (x[:, 0] - offset).mean(axis=0)
    assert np.linalg.norm(signal) == pytest.approx(2.6, abs=0.25)


# --- who meets in a norm batch ------------------------------------------------------------------------------


def norm_batches(labels, size):
    """(R, N) -> (R, N / size, size), as `network.forward` takes them."""
    return labels.reshape(len(labels), size, -1).mT


@pytest.mark.parametrize(("order", "most"), [("sorted", 1), ("pairs", 2)])
def test_ordered_batches_hold_the_same_samples(order, most):
    data, kinds = load("digits"), []
    plain = batches(data, (0, 5), 40, 160, 12)
    ordered = batches(data, (0, 5), 40, 160, 12, order, 8)
    for (x, y), (x2, y2) in zip(plain, ordered, strict=True):
        np.testing.assert_array_equal(np.sort(y), np.sort(y2))
        np.testing.assert_allclose(np.sort(x.sum(axis=2)), np.sort(x2.sum(axis=2)))
        met = norm_batches(y2, 8).reshape(2, -1) // most
        np.testing.assert_array_equal(met, np.sort(met))  # norm batch after norm batch
        kinds += [len(set(group)) for group in norm_batches(y2, 8).reshape(-1, 8)]
    # One class, or two; more only where one kind ends in the midst of a norm batch.
    assert np.mean(np.array(kinds) == most) > 0.45
    assert max(kinds) <= most + 2


def test_grouped_batches_keep_neighbours_together():
    data = load("groups")
    rows = {row.tobytes(): number for number, row in enumerate(data.x_train)}
    seen = []
    for x, y in batches(data, (3,), 0, 64, 70, "grouped", 8):
        numbers = norm_batches(np.array([[rows[row.tobytes()] for row in x[0]]]), 8)[0]
        np.testing.assert_array_equal(numbers - numbers[:, :1], np.broadcast_to(np.arange(8), (8, 8)))
        assert (numbers[:, 0] % 8 == 0).all()
        assert (norm_batches(y, 8) == np.eye(8, dtype=int)[0]).all()
        seen += numbers[:, 0].tolist()
    assert sorted(seen[:250]) == list(range(0, 2000, 8)) and seen[:250] != sorted(seen[:250])
    stream = batch_indices(2000, (3,), 0, 2000, together=8)
    np.testing.assert_array_equal(batch_indices(2000, (3,), 24, 80, together=8)[0], stream[0, 24:104])


def test_running_statistics_of_norm_batches_are_their_average():
    config = RunConfig(norm_batch=4, momentum=0.0, dtype="float64", **SMALL)
    run = advance(start(config), 1)
    x, _ = next(batches(config.data(), (0,), 0, 24, 1))
    z = x[0] @ start(config).parameters["weight0"][0]
    groups = z.reshape(4, 6, 12)
    np.testing.assert_allclose(run.running.mean[0, :12], groups.mean(axis=0).mean(axis=0))
    np.testing.assert_allclose(run.running.var[0, :12], groups.var(axis=0, ddof=1).mean(axis=0))


def test_validation_with_batch_statistics_uses_norm_batches():
    config = RunConfig(norm_batch=4, dtype="float64", **SMALL)
    run = advance(start(config), 21)
    logits, _, _ = forward(config, run.parameters, config.data().x_val, norm_batch=4)
    frame = advance(run, 1).history
    right = (logits[0].argmax(axis=1) == config.data().y_val).mean()
    assert frame["val_accuracy_batch"][0, -1] == pytest.approx(right)


# --- conflicts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"norm_batch": 5}, r"norm_batch=5 does not divide batch_size=32; try 1, 2, 4, 8, 16 or 32, or 0"),
        ({"norm_batch": 64}, "norm_batch=64 does not divide batch_size=32"),
        ({"batch_order": "sorted"}, "batch_order='sorted' says who meets in a norm batch; set norm_batch"),
        ({"batch_order": "grouped", "norm_batch": 8}, "needs whole groups.*1297.*try train_samples=1296"),
        ({"train_samples": 1500}, "train_samples=1500 exceeds the 1297 training samples"),
        ({"train_samples": 20}, "batch_size=32 exceeds the 20 training samples"),
        (
            {"norm_batch": 8, "edits": ((5, "batch_size", 12),)},
            "edits at step 5: norm_batch=8 does not divide",
        ),
        ({"batch_order": "mixed"}, "batch_order='mixed' is not one of shuffled, sorted, pairs, grouped"),
        ({"label_noise": 1.5}, "label_noise=1.5 must be a number from 0 to 1"),
    ],
)
def test_conflicts_say_what_fits(fields, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**fields)
