"""Training: gradients against central differences, whole runs against PyTorch, and a run as a value."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

import bnlib.train
from bnlib import Run, RunConfig, RunningStats, advance, start
from bnlib.config import LAYER_NORMS
from bnlib.data import batch_indices, load
from bnlib.layers import ACTIVATIONS, cross_entropy
from bnlib.network import backward, forward, inference_layers
from bnlib.plan import in_layers, plan

PLACEMENTS = ("before", "after")
OPTIMIZERS = ("sgd", "momentum", "adamw")
SMALL = {"width": 12, "groups": 3, "depth": 2, "batch_size": 17, "record_every": 7, "validate_every": 14}
LR = {"sgd": 0.1, "momentum": 0.03, "adamw": 0.003}

torch.set_num_threads(1)  # more would only wait for each other on matrices this small

every_norm = pytest.mark.parametrize("norm", LAYER_NORMS)
every_placement = pytest.mark.parametrize("placement", PLACEMENTS)


def same_run(one: Run, other: Run) -> bool:
    """Bit for bit, history included."""

    def arrays(run):
        state = [run.flat, *run.optimizer_state, run.running.mean, run.running.var, run.diverged_at]
        return {**run.history, **dict(enumerate(state))}

    left, right = arrays(one), arrays(other)
    plain = [
        (run.config, run.step, run.samples, run.running.steps, run.running.momentum) for run in (one, other)
    ]
    return (
        plain[0] == plain[1]
        and left.keys() == right.keys()
        and all(np.array_equal(left[name], right[name], equal_nan=True) for name in left)
    )


def only(run: Run, replica: int) -> Run:
    """One replica of a run, as a run of its own."""
    row = slice(replica, replica + 1)
    config = replace(run.config, seed=run.config.seed + replica, replicas=1)
    running = replace(run.running, mean=run.running.mean[row], var=run.running.var[row])
    frames = tuple({k: v if k == "step" else v[row] for k, v in block.items()} for block in run.frames)
    state = tuple(array[row] for array in run.optimizer_state)
    return Run(config, run.step, run.samples, run.flat[row], state, running, run.diverged_at[row], frames)


# --- gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@every_placement
@every_norm
def test_gradients_of_the_whole_network(norm, placement, activation):
    """Central differences over every parameter, float64, random data, labels, gamma and beta."""
    config = RunConfig(
        dataset="spirals", norm=norm, placement=placement, activation=activation,
        width=6, groups=2, depth=2, replicas=2, eps=1e-3, dtype="float64",
    )  # fmt: skip
    rng = np.random.default_rng(11)
    the_plan = plan(config)
    flat = rng.standard_normal((2, the_plan.size))
    x, labels = rng.standard_normal((2, 5, 2)), rng.integers(0, 3, (2, 5))

    def loss(flat):
        return cross_entropy(forward(config, the_plan.views(flat), x)[0], labels)[0]

    gradient = np.full_like(flat, np.nan)
    logits, trace, output_cache = forward(config, the_plan.views(flat), x)
    dlogits = cross_entropy(logits, labels)[1]
    gradients = in_layers(config, the_plan.views(gradient))
    dz = backward(config, gradients, dlogits, trace, output_cache)
    assert [array.shape for array in dz] == [(2, 5, 6)] * 2

    h = 1e-5
    numeric = np.empty_like(flat)
    for i in range(the_plan.size):
        step = np.zeros_like(flat)
        step[:, i] = h
        numeric[:, i] = (loss(flat + step) - loss(flat - step)) / (2 * h)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=2e-8)


@every_placement
@every_norm
def test_gradients_with_respect_to_what_enters_the_activations(norm, placement):
    """dz, which telemetry shows, from nudging z: a bias between norm and activation has gradient sum(dz)."""
    config = RunConfig(
        dataset="spirals", norm=norm, placement=placement, activation="gelu",
        width=6, groups=2, depth=1, eps=1e-3, dtype="float64",
    )  # fmt: skip
    rng = np.random.default_rng(5)
    flat = rng.standard_normal((1, plan(config).size))
    x, labels = rng.standard_normal((1, 4, 2)), rng.integers(0, 3, (1, 4))
    layers = in_layers(config, plan(config).views(flat))
    gradients = in_layers(config, plan(config).views(np.zeros_like(flat)))
    logits, trace, cache = forward(config, layers, x)
    (dz,) = backward(config, gradients, cross_entropy(logits, labels)[1], trace, cache)
    name = "beta0" if placement == "before" and norm != "none" else "bias0"
    np.testing.assert_allclose(
        dz.sum(axis=1), plan(config).views(_flat_gradient(config, layers, x, labels))[name][:, 0], atol=1e-14
    )


def _flat_gradient(config, layers, x, labels):
    gradient = np.zeros((1, plan(config).size))
    logits, trace, cache = forward(config, layers, x)
    gradients = in_layers(config, plan(config).views(gradient))
    backward(config, gradients, cross_entropy(logits, labels)[1], trace, cache)
    return gradient


def test_cross_entropy_of_extreme_logits():
    logits = np.array([[[1e4, 0.0, -1e4], [0.0, 1.0, 2.0]]])
    labels = np.array([[1, 2]])
    loss, dlogits = cross_entropy(logits, labels)
    expected = torch.tensor(logits[0], requires_grad=True)
    reference = torch.nn.functional.cross_entropy(expected, torch.tensor(labels[0]))
    reference.backward()
    np.testing.assert_allclose(loss, [reference.item()])
    np.testing.assert_allclose(dlogits[0], expected.grad.numpy(), atol=1e-16)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_against_torch(name):
    z = np.linspace(-6, 6, 241)[None, None]
    functions = {
        "linear": lambda z: z * 1, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
        "gelu": lambda t: torch.nn.functional.gelu(t, approximate="tanh"),
    }  # fmt: skip
    t = torch.tensor(z, requires_grad=True)
    functions[name](t).sum().backward()
    activation = ACTIVATIONS[name]
    a = activation.forward(z)
    np.testing.assert_allclose(a, functions[name](t).detach().numpy(), atol=1e-14)
    np.testing.assert_allclose(activation.slope(z, a), t.grad.numpy(), atol=1e-14)
    assert activation.slope(z, a).max() == pytest.approx(activation.steepest, abs=2e-3)
    far = np.array([[[-1e4, 1e4]]], np.float32)
    assert np.isfinite(activation.slope(far, activation.forward(far))).all()


# --- PyTorch ------------------------------------------------------------------------------------------------


class RMSNorm(torch.nn.Module):
    """Zhang & Sennrich 2019 with a shift, which torch's own lacks."""

    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.bias = (torch.nn.Parameter(torch.zeros(width)) for _ in range(2))
        self.eps = eps

    def forward(self, x):
        return torch.nn.functional.rms_norm(x, x.shape[1:], self.weight, self.eps) + self.bias


class Twin(torch.nn.Module):
    """The network of a configuration in PyTorch, with the parameters of a run's first replica."""

    def __init__(self, run: Run):
        super().__init__()
        config, parameters = run.config, run.parameters
        build = {
            "none": lambda: torch.nn.Identity(),
            "batch": lambda: torch.nn.BatchNorm1d(config.width, config.eps, momentum=1 - config.momentum),
            "layer": lambda: torch.nn.LayerNorm(config.width, config.eps),
            "group": lambda: torch.nn.GroupNorm(config.groups, config.width, config.eps),
            "rms": lambda: RMSNorm(config.width, config.eps),
        }[config.norm]
        activation = {
            "relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid,
            "gelu": lambda: torch.nn.GELU(approximate="tanh"),
        }[config.activation]  # fmt: skip
        self.linears, self.norms, layers = [], [], []
        for number in range(config.depth + 1):
            weight = parameters[f"weight{number}"][0]
            linear = torch.nn.Linear(*weight.shape, bias=f"bias{number}" in parameters)
            self.linears.append(linear)
            layers.append(linear)
            if number < config.depth:
                self.norms.append(build())
                pair = [self.norms[-1], activation()]
                layers += pair if config.placement == "before" else pair[::-1]
        self.network = torch.nn.Sequential(*layers).double()
        self.names = dict(self._by_name())
        with torch.no_grad():
            for name, (parameter, transposed) in self.names.items():
                ours = torch.tensor(parameters[name][0])
                parameter.copy_(ours.T if transposed else ours.reshape(parameter.shape))

    def _by_name(self):
        for number, linear in enumerate(self.linears):
            yield f"weight{number}", (linear.weight, True)
            if linear.bias is not None:
                yield f"bias{number}", (linear.bias, False)
        for number, norm in enumerate(self.norms):
            if not isinstance(norm, torch.nn.Identity):
                yield f"gamma{number}", (norm.weight, False)
                yield f"beta{number}", (norm.bias, False)

    def optimizer(self, config: RunConfig) -> torch.optim.Optimizer:
        weights = [linear.weight for linear in self.linears]
        others = [p for p, _ in self.names.values() if not any(p is w for w in weights)]
        groups = [
            {"params": weights, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        if config.optimizer == "adamw":
            return torch.optim.AdamW(groups, lr=config.lr)
        return torch.optim.SGD(groups, lr=config.lr, momentum=0.9 if config.optimizer == "momentum" else 0.0)

    def arrays(self) -> dict[str, np.ndarray]:
        found = {name: (p.T if t else p).detach().numpy() for name, (p, t) in self.names.items()}
        return {name: array.reshape(1, -1, array.shape[-1]) for name, array in found.items()}


TORCH_CASES = [
    (norm, placement, optimizer, activation)
    for (norm, placement, optimizer), activation in zip(
        itertools.product(LAYER_NORMS, PLACEMENTS, OPTIMIZERS),
        itertools.cycle(["gelu", "tanh", "relu", "sigmoid"]),
        strict=False,
    )
]


@pytest.mark.parametrize(("norm", "placement", "optimizer", "activation"), TORCH_CASES)
def test_training_is_pytorchs(norm, placement, optimizer, activation):
    """25 steps in float64 from the same weights on the same batches, then both ways of validation."""
    steps = 25
    config = RunConfig(
        norm=norm, placement=placement, optimizer=optimizer, activation=activation, lr=LR[optimizer],
        weight_decay=0.02, gamma=1.2, beta=0.3, eps=1e-3, momentum=0.8, seed=4, dtype="float64",
        **SMALL | {"validate_every": 1},
    )  # fmt: skip
    run = start(config)
    twin = Twin(run)
    optimizer = twin.optimizer(config)
    dataset = load("digits")
    x, y = torch.tensor(dataset.x_train), torch.tensor(dataset.y_train)
    losses = []
    for step in range(steps):
        (indices,) = batch_indices(len(y), (config.seed,), step * config.batch_size, config.batch_size)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(twin.network(x[indices]), y[indices])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    run = advance(run, steps)
    assert run.parameters.keys() == twin.arrays().keys()
    for name, theirs in twin.arrays().items():
        np.testing.assert_allclose(run.parameters[name], theirs, rtol=0, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(run.history["train_loss"][0], losses[::7], rtol=0, atol=1e-9)
    if norm == "batch":
        mean, var = (torch.cat([getattr(n, f"running_{m}") for n in twin.norms]) for m in ("mean", "var"))
        np.testing.assert_allclose(run.running.mean[0], mean.numpy(), rtol=0, atol=1e-9)
        np.testing.assert_allclose(run.running.var[0], var.numpy(), rtol=0, atol=1e-9)

    # The next frame validates these very parameters.
    frame = {
        name: values[0, -1]
        for name, values in advance(run, 28 + 1 - steps).history.items()
        if values.ndim > 1
    }
    twin = Twin(advance(run, 28 - steps))
    if norm == "batch":
        running = advance(run, 28 - steps).running
        for number, module in enumerate(twin.norms):
            here = slice(number * config.width, (number + 1) * config.width)
            module.running_mean.copy_(torch.tensor(running.mean[0, here]))
            module.running_var.copy_(torch.tensor(running.var[0, here]))
    x, y = torch.tensor(dataset.x_val), torch.tensor(dataset.y_val)
    with torch.no_grad():
        twin.network.eval()
        logits = twin.network(x)
        loss = torch.nn.functional.cross_entropy(logits, y).item()
        accuracy = (logits.argmax(1) == y).double().mean().item()
        twin.network.train()
        batches = len(y) // config.batch_size
        right = [
            (twin.network(x[i : batches * config.batch_size : batches]).argmax(1)
             == y[i : batches * config.batch_size : batches]).double().mean().item()
            for i in range(batches)
        ]  # fmt: skip
    assert frame["val_loss"] == pytest.approx(loss, abs=1e-9)
    assert frame["val_accuracy"] == pytest.approx(accuracy, abs=1e-12)
    expected = np.mean(right) if norm == "batch" else accuracy
    assert frame["val_accuracy_batch"] == pytest.approx(expected, abs=1e-12)


# --- a run is a value ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@every_placement
@every_norm
def test_sixty_steps_are_thirty_a_pickle_and_thirty(norm, placement, optimizer):
    config = RunConfig(
        norm=norm,
        placement=placement,
        optimizer=optimizer,
        activation="gelu",
        replicas=2,
        lr=LR[optimizer],
        **SMALL,
    )
    whole = advance(start(config), 60)
    halves = advance(pickle.loads(pickle.dumps(advance(start(config), 30))), 30)
    assert same_run(whole, halves)
    assert not same_run(whole, advance(start(config), 59))


def test_any_division_of_the_steps_gives_the_same_run():
    config = RunConfig(**SMALL, edits=((5, "batch_size", 3), (12, "lr", 0.5), (12, "gamma", 2)))
    whole = advance(start(config), 31)
    run = start(config)
    for steps in (0, 1, 4, 7, 0, 12, 7):
        run = advance(run, steps)
    assert same_run(run, whole)


def test_advance_leaves_its_run_alone():
    run = advance(start(RunConfig(optimizer="momentum", replicas=2, **SMALL)), 10)
    before = pickle.dumps(run)
    advance(run, 20)
    assert pickle.dumps(run) == before
    arrays = [run.flat, *run.optimizer_state, run.running.mean, run.running.var, run.diverged_at]
    arrays += [array for block in run.frames for array in block.values()]
    arrays += list(run.parameters.values())
    for array in arrays:
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_run_is_cheap_to_pickle():
    run = advance(start(RunConfig(record_every=10**6)), 50)
    bare = replace(run, frames=())
    assert len(pickle.dumps(bare)) < run.flat.nbytes + run.running.mean.nbytes * 2 + 4000
    assert bare.history["train_loss"].shape == (1, 0)
    assert same_run(advance(bare, 5), replace(advance(run, 5), frames=advance(bare, 5).frames))


@pytest.mark.parametrize("steps", [-1, 1.0, True, "3", None, float("nan")])
def test_steps_are_whole_numbers(steps):
    with pytest.raises(ValueError, match="steps=.*whole number, 0 or more"):
        advance(start(RunConfig(**SMALL)), steps)


def test_steps_may_be_numpy_integers():
    assert advance(start(RunConfig(**SMALL)), np.int32(2)).step == 2


# --- replicas -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 17])
@every_placement
@every_norm
def test_a_replica_is_the_run_of_its_own_seed(norm, placement, batch_size):
    shape = SMALL | {"batch_size": batch_size}
    config = RunConfig(norm=norm, placement=placement, seed=3, replicas=3, activation="tanh", **shape)
    together = advance(start(config), 25)
    for replica in range(3):
        alone = advance(start(replace(config, seed=3 + replica, replicas=1)), 25)
        assert same_run(only(together, replica), alone)


def test_norms_share_weights_and_batches(monkeypatch):
    seen = {}
    real = bnlib.train.forward

    def spy(config, layers, x, **rest):
        seen.setdefault(config.norm, []).append(x.copy())
        return real(config, layers, x, **rest)

    monkeypatch.setattr(bnlib.train, "forward", spy)
    weights = {}
    for norm in LAYER_NORMS:
        run = start(RunConfig(norm=norm, replicas=2, **SMALL))
        weights[norm] = [run.parameters[f"weight{layer}"] for layer in range(3)]
        advance(run, 3)
    for norm in LAYER_NORMS:
        np.testing.assert_array_equal(seen[norm], seen["none"])
        for ours, others in zip(weights[norm], weights["none"], strict=True):
            np.testing.assert_array_equal(ours, others)
    assert not np.array_equal(weights["none"][0][0], weights["none"][0][1])


@pytest.mark.parametrize("init_scale", [0.5, 1.0, 3.0])
def test_initialization_is_hes_times_a_factor(init_scale):
    parameters = start(RunConfig(width=256, depth=2, init_scale=init_scale, norm="layer")).parameters
    for name, array in parameters.items():
        if name.startswith("weight"):
            assert array.std() == pytest.approx(init_scale * np.sqrt(2 / array.shape[1]), rel=0.03)
            assert abs(array.mean()) < 0.05 * array.std()
        else:
            assert (array == (1 if name.startswith("gamma") else 0)).all()


# --- running statistics, affine parameters ------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "momentum"), [(1, 0.9), (2, 0.0), (17, 0.99)])
def test_running_statistics_are_those_of_RunningStats(batch_size, momentum):
    config = RunConfig(**SMALL | {"batch_size": batch_size}, replicas=2, momentum=momentum)
    stats = RunningStats.zeros((2, 24), momentum=momentum, dtype="float32")
    run = start(config)
    for _ in range(6):
        indices = batch_indices(1297, (0, 1), run.samples, batch_size)
        x = load("digits", dtype="float32").x_train[indices]
        _, trace, _ = forward(config, run.parameters, x)
        mean, var = (
            np.concatenate([getattr(layer.norm, name).reshape(2, -1) for layer in trace], axis=1)
            for name in ("mean", "var")
        )
        stats = stats.update(mean, var, batch_size)
        run = advance(run, 1)
        np.testing.assert_array_equal(run.running.mean, stats.mean)
        np.testing.assert_array_equal(run.running.var, stats.var)
        assert run.running.steps == stats.steps


@every_placement
def test_inference_folds_batch_norm_into_the_linear_layers(placement):
    config = RunConfig(placement=placement, replicas=2, activation="tanh", dtype="float64", **SMALL)
    run = advance(start(config), 40)
    x = load("digits").x_val
    folded = inference_layers(config, in_layers(config, run.parameters), run.running)
    logits, _, _ = forward(config, folded, x)

    h, parameters = x, run.parameters
    for layer in range(2):
        here = slice(12 * layer, 12 * layer + 12)

        def norm(t, layer=layer, here=here):
            xhat = (t - run.running.mean[:, None, here]) / np.sqrt(
                run.running.var[:, None, here] + config.eps
            )
            return xhat * parameters[f"gamma{layer}"] + parameters[f"beta{layer}"]

        z = h @ parameters[f"weight{layer}"] + parameters.get(f"bias{layer}", 0)
        h = np.tanh(norm(z)) if placement == "before" else norm(np.tanh(z))
    np.testing.assert_allclose(logits, h @ parameters["weight2"] + parameters["bias2"], atol=1e-12)


@pytest.mark.parametrize("norm", [norm for norm in LAYER_NORMS if norm != "none"])
def test_fixed_gamma_and_beta_stay_as_they_are(norm):
    config = RunConfig(norm=norm, learn_affine=False, gamma=1.5, beta=-0.25, dtype="float64", **SMALL)
    run = advance(start(config), 20)
    assert not [name for name in run.parameters if name.startswith(("gamma", "beta"))]
    x = load("digits").x_train[:9]
    affine = {
        f"{name}{layer}": np.full((1, 1, 12), getattr(config, name))
        for name in ("gamma", "beta")
        for layer in (0, 1)
    }
    learned = replace(config, learn_affine=True)
    expected, _, _ = forward(learned, run.parameters | affine, x)
    np.testing.assert_array_equal(forward(config, run.parameters, x)[0], expected)
    # The first step changes everything else as it does where gamma and beta are learned.
    first, first_learned = advance(start(config), 1), advance(start(learned), 1)
    for name, array in first.parameters.items():
        np.testing.assert_array_equal(array, first_learned.parameters[name])
    assert set(affine) | set(first.parameters) == set(first_learned.parameters)


# --- edits and branches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.5}, {"batch_size": 40}, {"eps": 0.1}, {"momentum": 0.5}, {"weight_decay": 0.1}],
    ids=str,
)
def test_a_branch_shares_the_past_and_then_goes_by_the_changed_configuration(change):
    base = RunConfig(replicas=2, optimizer="momentum", **SMALL)
    branch = base.branch(20, **change)
    assert same_run(replace(advance(start(branch), 20), config=base), advance(start(base), 20))

    # A hand-made switch: the base's run at step 20, from there on under a configuration of its own.
    switched = replace(advance(start(base), 20), config=replace(base, **change))
    by_hand = advance(switched, 25)
    branched = advance(start(branch), 45)
    assert same_run(replace(branched, config=by_hand.config), by_hand)
    assert not np.array_equal(branched.flat, advance(start(base), 45).flat) or change == {"momentum": 0.5}
    # An edit can also be made on a run that is already there.
    assert same_run(advance(replace(advance(start(base), 20), config=branch), 25), branched)


@pytest.mark.parametrize("learn_affine", [True, False])
def test_editing_gamma_or_beta_sets_all_of_them(learn_affine):
    base = RunConfig(learn_affine=learn_affine, **SMALL)
    before = advance(start(base), 20)
    after = advance(replace(before, config=base.branch(20, gamma=0.5)), 1)
    if learn_affine:
        by_hand = before.flat.copy()
        for name, array in plan(base).views(by_hand).items():
            if name.startswith("gamma"):
                array[:] = 0.5
        assert same_run(replace(after, config=base), advance(replace(before, flat=by_hand), 1))
        assert np.abs(before.parameters["beta0"]).max() > 0
    else:
        by_hand = advance(replace(before, config=replace(base, gamma=0.5)), 1)
        assert same_run(replace(after, config=by_hand.config), by_hand)


def test_an_edit_at_step_0_is_a_configuration():
    plain = advance(start(RunConfig(**SMALL, lr=0.3, gamma=2.0)), 15)
    edited = advance(start(RunConfig(**SMALL, edits=((0, "lr", 0.3), (0, "gamma", 2.0)))), 15)
    assert same_run(replace(edited, config=plain.config), plain)


# --- divergence ---------------------------------------------------------------------------------------------

# Without a norm and at this rate, some seeds diverge, each at its own step.
WILD = RunConfig(
    **SMALL | {"record_every": 1, "validate_every": 4}, norm="none", lr=8.0, optimizer="momentum", replicas=6
)


def wild_start() -> Run:
    """Replica 0 starts far too large; replica 5 starts at zero, where only the last bias learns."""
    run = start(WILD)
    flat = run.flat.copy()
    flat[0] *= np.float32(1e20)
    flat[5] = 0
    return replace(run, flat=flat)


def test_a_diverged_replica_stops_and_does_not_disturb():
    run = advance(wild_start(), 60)
    fates = run.diverged_at
    assert (fates[0], fates[5]) == (0, -1)
    assert (fates > 0).any(), f"a mix of fates is wanted: {fates}"
    for replica, at in enumerate(fates):
        alone = advance(only(wild_start(), replica), 60)
        assert same_run(only(run, replica), alone)
        history = alone.history
        if at >= 0:
            last = advance(only(wild_start(), replica), int(at))
            assert last.diverged_at[0] == -1
            np.testing.assert_array_equal(alone.flat, last.flat)
            np.testing.assert_array_equal(alone.optimizer_state[0], last.optimizer_state[0])
            for name, values in history.items():
                if name not in ("step", "histogram_edges"):
                    assert np.isnan(values[0, at:]).all(), name
                    every = 4 if name.startswith("val_") else 1
                    assert not np.isnan(values[0, :at:every]).any(), name
        else:
            assert np.isfinite(history["train_loss"]).all()


def test_divergence_is_found_wherever_the_steps_are_divided():
    run = wild_start()
    for _ in range(20):
        run = advance(run, 3)
    assert same_run(run, advance(wild_start(), 60))


def test_when_all_have_diverged_nothing_is_computed(monkeypatch):
    config = RunConfig(**SMALL, norm="none", lr=1000.0, replicas=2)
    run = advance(start(config), 40)
    assert (run.diverged_at >= 0).all()
    monkeypatch.setattr(bnlib.train, "forward", None)
    later = advance(run, 10_000)
    assert (later.step, later.samples) == (10_040, 10_040 * 17)
    np.testing.assert_array_equal(later.flat, run.flat)
    history = later.history
    np.testing.assert_array_equal(history["step"], np.arange(0, 10_040, 7))
    assert np.isnan(history["train_loss"][:, 6:]).all()
    assert history["activation_histogram"].shape == (2, 1435, 2, 64)


def test_an_infinite_loss_is_a_divergence_not_an_exception():
    config = RunConfig(**SMALL, norm="none", init_scale=100.0)
    run = start(config)
    run = advance(replace(run, flat=run.flat * np.float32(1e30)), 3)
    assert run.diverged_at[0] == 0
    assert np.isnan(run.history["train_loss"]).all()


# --- it learns ----------------------------------------------------------------------------------------------


def test_batch_norm_learns_digits():
    run = advance(start(RunConfig(replicas=2, record_every=50, validate_every=50)), 301)
    accuracy = run.history["val_accuracy"][:, -1]
    assert (accuracy > 0.93).all(), accuracy


@pytest.mark.parametrize("dataset", ["circles", "moons", "spirals", "xor", "blobs"])
def test_plane_sets_can_be_learned(dataset):
    config = RunConfig(dataset=dataset, data_noise=0.05, width=32, record_every=100, validate_every=100)
    assert advance(start(config), 301).history["val_accuracy"][0, -1] > 0.9
