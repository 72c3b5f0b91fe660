"""Training: gradients against central differences, whole runs against PyTorch, and a run as a value."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

import bnlib.training.train
from bnlib import NORMS, Run, RunConfig, RunningStats, advance, start
from bnlib.data import batch_indices, batches, load
from bnlib.networks.config import LAYER_NORMS
from bnlib.networks.inference import inference_layers
from bnlib.networks.layers import ACTIVATIONS, cross_entropy
from bnlib.networks.network import forward, there_and_back
from bnlib.networks.parameters import in_layers, normalize_weights, plan
from bnlib.torch_check.check import twin
from tests.bnlib.alone import only
from tests.bnlib.checks import same_run, torch_optimizer

PLACEMENTS = ("before", "after")
OPTIMIZERS = ("sgd", "momentum", "adamw")
SMALL = {"width": 12, "groups": 3, "depth": 2, "batch_size": 17, "record_every": 7, "validate_every": 14}
TINY = SMALL | {"width": 6, "batch_size": 8}  # of convolutional and recurrent networks
LR = {"sgd": 0.1, "momentum": 0.03, "adamw": 0.003}

torch.set_num_threads(1)  # more would only wait for each other on matrices this small

every_norm = pytest.mark.parametrize("norm", LAYER_NORMS)
every_placement = pytest.mark.parametrize("placement", PLACEMENTS)
every_pair = pytest.mark.parametrize(
    ("norm", "weight_norm"),
    [*((n, "none") for n in LAYER_NORMS), ("batch", "spectral"), ("layer", "weight"), ("frn", "standard")],
)
every_other_network = pytest.mark.parametrize("network", ["cnn", "rnn"])


def shaped(norm, **shape):
    """A shape with a batch size that ghost batches fit into."""
    if norm != "ghost":
        return shape
    size = shape["batch_size"]
    return shape | ({"norm_batch": 1} if size < 8 else {"batch_size": size // 8 * 8})


def logits_of(config, parameters, x, running=None):
    """In training, at parameters by name; spectral norm finds its u anew."""
    used, _ = normalize_weights(config, in_layers(config, parameters, running))
    return forward(config, used, x, norm_batch=config.statistics_of)[0]


# --- gradients ----------------------------------------------------------------------------------------------


def gradients_at_random(config, size=0.0):
    """At random parameters and running statistics: all that `there_and_back` gives, and the loss again."""
    rng = np.random.default_rng(11)
    the_plan, shape = plan(config), (config.replicas, config.batch_size)
    flat = rng.standard_normal((config.replicas, the_plan.size)) * (size or 1)
    features = the_plan.statistics[-1].stop if the_plan.statistics else 0
    running = RunningStats(*rng.standard_normal((2, config.replicas, features)))
    running = replace(running, var=running.var**2 + 0.5)
    if config.norm == "renorm":  # its corrections count as constants, which they are at their limits
        running = replace(running, mean=1e9 * running.mean, var=1e9 * running.var)
    if config.on_weights == "spectral":  # one singular value far above the others
        for name, array in the_plan.views(flat).items():
            array += name.startswith("weight")
    x = rng.standard_normal((*shape, config.data().x_train.shape[1]))
    labels = rng.integers(0, config.data().classes, shape)

    def losses(flats, replica):
        """Of one replica with other parameters, a row each."""
        rows = (np.repeat(a[replica : replica + 1], len(flats), axis=0) for a in (running.mean, running.var))
        logits = logits_of(config, the_plan.views(flats), x[replica], RunningStats(*rows))
        return cross_entropy(logits, np.repeat(labels[replica : replica + 1], len(flats), axis=0))[0]

    gradient = np.full_like(flat, np.nan)
    layers = in_layers(config, the_plan.views(flat), running)
    gradients = in_layers(config, the_plan.views(gradient))
    top = lambda logits: cross_entropy(logits, labels)[1]  # noqa: E731
    _, _, dz = there_and_back(config, layers, gradients, x, top, config.statistics_of)
    return flat, gradient, dz, losses


def assert_central_differences(config, size=0.0, most=10**6, h=1e-5):
    """Of every parameter, or of so many of each array, in float64; returns dz."""
    flat, gradient, dz, losses = gradients_at_random(config, size)
    rng = np.random.default_rng(3)
    for name, (begin, stop, _) in plan(config).slots.items():
        some = begin + rng.permutation(stop - begin)[:most]
        for replica in range(config.replicas):
            flats = np.repeat(flat[replica : replica + 1], 2 * len(some), axis=0)
            flats[np.arange(2 * len(some)), np.tile(some, 2)] += np.repeat([h, -h], len(some))
            up, down = losses(flats, replica).reshape(2, -1)
            np.testing.assert_allclose(
                gradient[replica, some], (up - down) / (2 * h), rtol=1e-6, atol=4e-8, err_msg=name
            )
    return dz


@pytest.mark.parametrize("activation", ACTIVATIONS)
@every_placement
@every_norm
def test_gradients_of_the_whole_network(norm, placement, activation):
    """Central differences over every parameter: random data, labels, gamma, beta and running statistics."""
    config = RunConfig(
        dataset="spirals", norm=norm, placement=placement, activation=activation, batch_size=6,
        norm_batch=3 if norm == "ghost" else 0, width=6, groups=2, depth=2, replicas=2, eps=1e-3,
        iterations=100, r_max=1.2, dtype="float64",
    )  # fmt: skip
    dz = assert_central_differences(config)
    assert [array.shape for array in dz] == [(2, 6, 6)] * 2


@every_other_network
@every_placement
@every_pair
def test_gradients_of_other_networks(norm, placement, network, weight_norm):
    """Some of each array; the two layers of the convolutional one have a stride of 1 and of 2."""
    config = RunConfig(
        norm=norm, placement=placement, network=network, weight_norm=weight_norm, activation="gelu",
        batch_size=4, norm_batch=2 if norm == "ghost" else 0, width=4, groups=2, depth=2, eps=0.05,
        replicas=2, iterations=100, r_max=1.2, dtype="float64",
    )  # fmt: skip
    dz = assert_central_differences(config, size=0.5, most=24)
    channels = ((2, 8, 8), (4, 4, 4))
    expected = [(2, 4, *side, c) for c, *side in channels] if network == "cnn" else [(2, 4, 8, 4)] * 2
    assert [array.shape for array in dz] == expected


@pytest.mark.parametrize("network", ["mlp", "cnn", "rnn"])
@every_placement
@every_norm
def test_gradients_with_respect_to_what_enters_the_activations(norm, placement, network):
    """dz, which telemetry shows, from nudging z: a bias between norm and activation has gradient sum(dz)."""
    config = RunConfig(
        norm=norm, placement=placement, network=network, activation="gelu", batch_size=4,
        norm_batch=2 if norm == "ghost" else 0, width=6, groups=3, depth=1, eps=1e-3, dtype="float64",
    )  # fmt: skip
    _, gradient, (dz,), _ = gradients_at_random(config)
    known = plan(config).views(gradient)
    expected = known["bias0"] if placement == "after" or not config.on_activations else known["beta0"]
    if placement == "before" and norm == "frn":
        expected = expected + known["tau0"]  # a threshold takes the rest
    np.testing.assert_allclose(dz.sum(axis=tuple(range(1, dz.ndim - 1))), expected[:, 0], atol=1e-14)


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


TORCH_CASES = [
    (*case, optimizer, activation)
    for case, optimizer, activation in zip(
        itertools.product(LAYER_NORMS, ["mlp", "cnn", "rnn"], PLACEMENTS),
        itertools.cycle(OPTIMIZERS),
        itertools.cycle(["gelu", "tanh", "relu", "sigmoid"]),
        strict=False,
    )
]


@pytest.mark.parametrize(("norm", "network", "placement", "optimizer", "activation"), TORCH_CASES)
def test_training_is_pytorchs(norm, network, placement, optimizer, activation):
    """12 steps in float64 from the same weights on the same batches, then both ways of validation."""
    steps = 12
    config = RunConfig(
        norm=norm, network=network, placement=placement, optimizer=optimizer, activation=activation,
        lr=LR[optimizer] / (30 if norm == "frn" else 3), weight_decay=0.02, gamma=1.2, beta=0.3, eps=1e-3,
        momentum=0.8, seed=4, replicas=2, dtype="float64", width=8, groups=2, depth=2, batch_size=16,
        record_every=1, validate_every=steps,
    )  # fmt: skip
    run = start(config)
    model, losses = twin(run, replica=1), []
    optimizer = torch_optimizer(model.named, config)
    for x, labels in batches(config.data(), (config.seed + 1,), 0, config.batch_size, steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.tensor(x[0])), torch.tensor(labels[0]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    run = advance(run, steps)
    assert run.parameters.keys() == model.named.keys()
    for name, theirs in model.named.items():
        ours = run.parameters[name][1]
        atol = 1e-8 * max(1, np.abs(ours).max())
        np.testing.assert_allclose(ours, model.array(theirs), rtol=0, atol=atol, err_msg=name)
    np.testing.assert_allclose(run.history["train_loss"][1], losses, rtol=0, atol=1e-9)
    assert len(model.running) == len(plan(config).statistics) == 2 * run.running.mean.any()
    for here, (mean, var) in zip(plan(config).statistics, model.running, strict=True):
        np.testing.assert_allclose(run.running.mean[1, here], mean.ravel(), rtol=0, atol=1e-8)
        np.testing.assert_allclose(run.running.var[1, here], var.ravel(), rtol=0, atol=1e-8)

    # The next frame validates these very parameters.
    history = advance(run, 1).history
    frame = {name: values[1, -1] for name, values in history.items() if name.startswith("val_")}
    data, size = config.data(), config.statistics_of or config.batch_size
    x, y, count = torch.tensor(data.x_val), torch.tensor(data.y_val), len(data.y_val) // size
    folded = inference_layers(config, run.layers, run.running)
    with torch.no_grad():
        logits = model.train(False)(x)
        loss = torch.nn.functional.cross_entropy(logits, y).item()
        accuracy = (logits.argmax(1) == y).double().mean().item()
        np.testing.assert_allclose(forward(config, folded, data.x_val)[0][1], logits, rtol=0, atol=1e-7)
        parts = [slice(i, count * size, count) for i in range(count)]
        right = [(twin(run, 1)(x[i]).argmax(1) == y[i]).double().mean().item() for i in parts]
    if norm != "spectral":  # a frame has the u of its own step, one iteration on
        assert frame["val_loss"] == pytest.approx(loss, abs=1e-8)
        assert frame["val_accuracy"] == pytest.approx(accuracy, abs=1e-12)
    expected = np.mean(right) if model.running else accuracy
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
        **shaped(norm, **SMALL),
    )
    assert_halves_are_the_whole(config, 60)


def assert_halves_are_the_whole(config, steps):
    whole = advance(start(config), steps)
    halves = advance(pickle.loads(pickle.dumps(advance(start(config), steps // 2))), steps // 2)
    assert same_run(whole, halves)
    assert not same_run(whole, advance(start(config), steps - 1))
    assert (whole.diverged_at < 0).all()


@every_other_network
@every_placement
@every_norm
def test_twelve_steps_are_six_a_pickle_and_six(norm, placement, network):
    shape = shaped(norm, **TINY)
    assert_halves_are_the_whole(
        RunConfig(norm=norm, placement=placement, network=network, optimizer="momentum", lr=0.03, **shape), 12
    )


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
    shape = shaped(norm, **SMALL | {"batch_size": batch_size})
    config = RunConfig(norm=norm, placement=placement, seed=3, replicas=3, activation="tanh", **shape)
    assert_replicas_are_runs(config, 25)


def assert_replicas_are_runs(config, steps):
    together = advance(start(config), steps)
    for replica in range(config.replicas):
        alone = advance(start(replace(config, seed=config.seed + replica, replicas=1)), steps)
        assert same_run(only(together, replica), alone)


@every_other_network
@every_placement
@every_pair
def test_a_replica_of_other_networks_is_the_run_of_its_own_seed(norm, placement, network, weight_norm):
    config = RunConfig(
        norm=norm, placement=placement, network=network, weight_norm=weight_norm, seed=3, replicas=3,
        **shaped(norm, **TINY),
    )  # fmt: skip
    assert_replicas_are_runs(config, 8)


def test_norms_share_weights_and_batches(monkeypatch):
    seen = {}
    real = bnlib.training.train.forward

    def spy(config, layers, x, **rest):
        seen.setdefault(config.norm, []).append(x.copy())
        return real(config, layers, x, **rest)

    monkeypatch.setattr(bnlib.training.train, "forward", spy)
    weights = {}
    for norm in LAYER_NORMS:
        run = start(RunConfig(norm=norm, replicas=2, **SMALL | {"batch_size": 16}))
        weights[norm] = [run.parameters[f"weight{layer}"] for layer in range(3)]
        advance(run, 3)
    for norm in LAYER_NORMS:
        np.testing.assert_array_equal(seen[norm], seen["none"])
        for ours, others in zip(weights[norm], weights["none"], strict=True):
            np.testing.assert_array_equal(ours, others)
    assert not np.array_equal(weights["none"][0][0], weights["none"][0][1])


def test_spectral_norm_starts_after_fifteen_iterations():
    run = start(RunConfig(norm="spectral", replicas=2, seed=8, dtype="float64", **SMALL))
    for replica in (0, 1):
        drawn = np.random.default_rng((8 + replica, 4)).standard_normal(24)
        for number, u in enumerate((drawn[:12], drawn[12:])):
            weight = run.parameters[f"weight{number}"][replica]
            for _ in range(15):
                u = weight.T @ (weight @ u)
            here = slice(12 * number, 12 * number + 12)
            np.testing.assert_allclose(run.power[replica, here], u / np.linalg.norm(u), atol=1e-12)


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


@pytest.mark.parametrize("network", ["mlp", "cnn", "rnn"])
@pytest.mark.parametrize("norm", NORMS)
def test_fixed_gamma_and_beta_stay_as_they_are(norm, network):
    """Each step changes all else as it does where they are learned, from the same values."""
    config = RunConfig(
        norm=norm, network=network, learn_affine=False, gamma=1.5, beta=0.25, alpha=0.7, init_scale=0.8,
        dtype="float64", **shaped(norm, **TINY),
    )  # fmt: skip
    learned, names = replace(config, learn_affine=True), NORMS[norm].learned
    run, ours = start(learned), start(config)
    assert set(run.parameters) - set(ours.parameters) == {f"{name}{n}" for name in names for n in (0, 1)}
    flat = run.flat.copy()
    for name, array in plan(learned).views(flat).items():
        if name.startswith("gain"):  # what it is on average
            rows = array.shape[1] * run.parameters[name.replace("gain", "weight")].shape[1]
            array[:] = 0.8 * np.sqrt(2 / rows) * (np.sqrt(rows) if norm == "weight" else 1)
            np.testing.assert_allclose(array.mean(), run.parameters[name].mean(), rtol=0.4)
    run = replace(run, flat=flat)
    for name, value in {"gamma": 1.5, "beta": 0.25, "alpha": 0.7, "tau": 0.0}.items():
        if name in names:
            assert (run.parameters[f"{name}1"] == value).all()
    for _ in range(3):  # from the same values again, since those that are learned have moved
        parameters = plan(learned).views(flat)
        for name, array in ours.parameters.items():
            parameters[name][:] = array
        after = advance(replace(run, flat=flat, running=ours.running, power=ours.power, step=ours.step), 1)
        ours = advance(ours, 1)
        for name, array in ours.parameters.items():
            np.testing.assert_array_equal(array, after.parameters[name], err_msg=name)
        run = replace(run, samples=ours.samples)
        assert not names or any(
            (after.parameters[f"{name}1"] != run.parameters[f"{name}1"]).any() for name in names
        )


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
    monkeypatch.setattr(bnlib.training.train, "forward", None)
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


def test_a_convolutional_network_with_batch_norm_reads_97_percent_of_the_digits():
    """The mean of four seeds, everything else as it comes."""
    run = advance(start(RunConfig(network="cnn", replicas=4, record_every=400, validate_every=400)), 401)
    accuracy = run.history["val_accuracy"][:, -1]
    assert accuracy.mean() >= 0.97, accuracy


def test_a_recurrent_network_reads_digits_row_by_row():
    fields = {"activation": "tanh", "depth": 1, "init_scale": 0.7, "lr": 0.3, "replicas": 2}
    for norm in ("batch", "layer"):
        config = RunConfig(network="rnn", norm=norm, record_every=300, validate_every=300, **fields)
        accuracy = advance(start(config), 301).history["val_accuracy"][:, -1]
        assert (accuracy > 0.85).all(), (norm, accuracy)


@pytest.mark.parametrize("dataset", ["circles", "moons", "spirals", "xor", "blobs"])
def test_plane_sets_can_be_learned(dataset):
    config = RunConfig(dataset=dataset, data_noise=0.05, width=32, record_every=100, validate_every=100)
    assert advance(start(config), 301).history["val_accuracy"][0, -1] > 0.9
