"""What a run records, against the same numbers computed in another way from its parameters."""

from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from bnlib.data import PLANE, batch_indices, load
from bnlib.networks.layers import ACTIVATIONS
from bnlib.networks.network import forward
from bnlib.networks.parameters import in_layers, normalize_weights
from bnlib.training import recordings
from bnlib.training.recordings import (
    HISTOGRAM_EDGES,
    HISTOGRAMS,
    MOST_CONFIDENT,
    PER_LAYER,
    SURFACE_EDGES,
    TRAINED,
    VALIDATED,
)

BY_HAND = ("none", "batch", "layer", "group", "rms")
SHAPE = {"width": 12, "groups": 3, "depth": 3, "batch_size": 16, "replicas": 2, "record_every": 5}


def recorded_at(config, steps):
    """The run just before step `steps`, the one after it, and the frame between."""
    before = advance(start(config), steps)
    after = advance(replace(before, frames=()), 1)
    frame = {k: v[0] if k == "step" else v[:, 0] for k, v in after.history.items() if k != "histogram_edges"}
    assert frame["step"] == steps
    return before, after, frame


def by_hand(run):
    """z, a, batch means and variances (lists over layers) and the loss, on the run's next batch."""
    config, parameters = run.config, run.parameters
    indices = batch_indices(1297, tuple(range(config.replicas)), run.samples, config.batch_size)
    dataset = load("digits")
    h, zs, activations, means, variances = dataset.x_train[indices], [], [], [], []
    phi = ACTIVATIONS[config.activation].forward

    def norm(x, layer):
        gamma, beta = (parameters.get(f"{name}{layer}") for name in ("gamma", "beta"))
        if config.norm == "none":
            return x
        grouped = x.reshape(*x.shape[:2], config.groups, -1)
        mean, var = {
            "batch": lambda: (x.mean(1, keepdims=True), x.var(1, keepdims=True)),
            "layer": lambda: (x.mean(2, keepdims=True), x.var(2, keepdims=True)),
            "rms": lambda: (0, (x**2).mean(2, keepdims=True)),
            "group": lambda: [np.repeat(f(grouped, 3), 4, axis=2) for f in (np.mean, np.var)],
        }[config.norm]()
        means.append(mean)
        variances.append(var)
        return (x - mean) / np.sqrt(var + config.eps) * gamma + beta

    for layer in range(config.depth):
        z = h @ parameters[f"weight{layer}"] + parameters.get(f"bias{layer}", 0)
        z = norm(z, layer) if config.placement == "before" else z
        a = phi(z)
        h = norm(a, layer) if config.placement == "after" else a
        zs.append(z)
        activations.append(a)
    logits = h @ parameters[f"weight{config.depth}"] + parameters[f"bias{config.depth}"]
    log_p = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    labels = dataset.y_train[indices]
    loss = -np.take_along_axis(log_p, labels[:, :, None], axis=2).mean(axis=(1, 2))
    return zs, activations, means, variances, loss


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("placement", ["before", "after"])
@pytest.mark.parametrize("norm", BY_HAND)
def test_a_frame_is_what_the_parameters_say(norm, placement, activation):
    config = RunConfig(
        norm=norm, placement=placement, activation=activation, lr=0.05, dtype="float64", eps=1e-3, **SHAPE
    )
    before, after, frame = recorded_at(config, 20)
    zs, activations, means, _, loss = by_hand(before)
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(frame["train_loss"], loss, **close)
    phi = ACTIVATIONS[activation].forward
    for layer, (z, a) in enumerate(zip(zs, activations, strict=True)):
        np.testing.assert_allclose(frame["activation_mean"][:, layer], a.mean(axis=(1, 2)), **close)
        np.testing.assert_allclose(frame["activation_std"][:, layer], a.std(axis=(1, 2)), **close)
        slope = (phi(z + 1e-6) - phi(z - 1e-6)) / 2e-6
        steepest = {"linear": 1, "relu": 1, "tanh": 1, "sigmoid": 0.25, "gelu": 1.13}[activation]
        flat = slope < 0.05 * steepest
        np.testing.assert_allclose(frame["saturation"][:, layer], flat.mean(axis=(1, 2)), **close)
        np.testing.assert_allclose(frame["dead"][:, layer], flat.all(axis=1).mean(axis=1), **close)
        for name, values in (("activation_histogram", a), ("preactivation_histogram", z)):
            for replica in range(2):
                inside = np.clip(values[replica], HISTOGRAM_EDGES[0], HISTOGRAM_EDGES[-1])
                counts, _ = np.histogram(inside, HISTOGRAM_EDGES)
                np.testing.assert_allclose(frame[name][replica, layer], counts / inside.size, atol=1e-7)
        weight, update = (
            np.linalg.norm(array, axis=(1, 2))
            for array in (
                before.parameters[f"weight{layer}"],
                after.parameters[f"weight{layer}"] - before.parameters[f"weight{layer}"],
            )
        )
        np.testing.assert_allclose(frame["weight_norm"][:, layer], weight, **close)
        np.testing.assert_allclose(frame["update_ratio"][:, layer], np.log10(update / weight), atol=1e-9)
        # Plain SGD: the update is lr times the gradient.
        np.testing.assert_allclose(frame["weight_gradient_norm"][:, layer], update / config.lr, rtol=1e-9)
        gap = np.zeros(2)
        if norm == "batch":
            here = slice(12 * layer, 12 * layer + 12)
            distance = (means[layer][:, 0] - before.running.mean[:, here]) / np.sqrt(
                before.running.var[:, here] + config.eps
            )
            gap = np.sqrt((distance**2).mean(axis=1))
            assert (gap > 0).all()
        np.testing.assert_allclose(frame["statistics_gap"][:, layer], gap, **close)


@pytest.mark.parametrize("placement", ["before", "after"])
@pytest.mark.parametrize("norm", BY_HAND)
def test_gradient_norm_is_that_of_what_enters_the_activation(norm, placement):
    """From central differences: z is nudged, everything behind it computed by hand."""
    config = RunConfig(
        norm=norm,
        placement=placement,
        activation="tanh",
        dtype="float64",
        **SHAPE | {"depth": 1, "batch_size": 5},
    )
    before, _, frame = recorded_at(config, 5)
    z = by_hand(before)[0][0]
    indices = batch_indices(1297, (0, 1), before.samples, 5)
    labels, parameters = load("digits").y_train[indices], before.parameters

    def loss(z):
        h = np.tanh(z)
        if placement == "after" and norm != "none":
            split = h.reshape(2, 5, 3, 4)
            shape = {"batch": (h, 1), "layer": (h, 2), "rms": (h, 2), "group": (split, 3)}[norm]
            values, axis = shape
            centred = values - (0 if norm == "rms" else values.mean(axis, keepdims=True))
            h = (centred / np.sqrt((centred**2).mean(axis, keepdims=True) + config.eps)).reshape(h.shape)
            h = h * parameters["gamma0"] + parameters["beta0"]
        logits = h @ parameters["weight1"] + parameters["bias1"]
        own = np.take_along_axis(logits, labels[:, :, None], axis=2)[:, :, 0]
        return (np.log(np.exp(logits).sum(axis=2)) - own).mean(axis=1)

    square = np.zeros(2)
    for sample in range(5):
        for unit in range(12):
            nudge = np.zeros_like(z)
            nudge[:, sample, unit] = 1e-5
            square += ((loss(z + nudge) - loss(z - nudge)) / 2e-5) ** 2
    np.testing.assert_allclose(frame["gradient_norm"][:, 0], np.sqrt(square), rtol=1e-6)


@pytest.mark.parametrize(
    ("network", "norm"),
    [("cnn", "batch"), ("cnn", "group"), ("cnn", "spectral"), ("cnn", "frn"), ("rnn", "batch"),
     ("rnn", "layer"), ("rnn", "renorm")],
)  # fmt: skip
def test_a_frame_of_images_and_of_sequences_counts_every_position(network, norm):
    shape = SHAPE | {"width": 8, "groups": 2, "depth": 3}
    config = RunConfig(network=network, norm=norm, activation="tanh", lr=0.05, dtype="float64", **shape)
    before, _, frame = recorded_at(config, 5)
    indices = batch_indices(1297, (0, 1), before.samples, config.batch_size)
    data = load("digits")
    layers = in_layers(config, before.parameters, before.running, before.power)
    used, _ = normalize_weights(config, layers)
    logits, trace, _ = forward(config, used, data.x_train[indices])
    assert [layer.z.shape[2:] for layer in trace] == list(config.shapes)
    first = 0
    for number, layer in enumerate(trace):
        entries = layer.a.reshape(2, -1, layer.a.shape[-1])
        np.testing.assert_allclose(frame["activation_mean"][:, number], entries.mean(axis=(1, 2)), atol=1e-12)
        np.testing.assert_allclose(frame["activation_std"][:, number], entries.std(axis=(1, 2)), atol=1e-12)
        flat = np.zeros(entries.shape, bool) if norm == "frn" else 1 - entries**2 < 0.05
        np.testing.assert_allclose(frame["saturation"][:, number], flat.mean(axis=(1, 2)), atol=1e-12)
        np.testing.assert_allclose(frame["dead"][:, number], flat.all(axis=1).mean(axis=1), atol=1e-12)
        inside = np.clip(entries[1], HISTOGRAM_EDGES[0], HISTOGRAM_EDGES[-1])
        counts, _ = np.histogram(inside, HISTOGRAM_EDGES)
        shares = frame["activation_histogram"][1, number]
        np.testing.assert_allclose(shares, counts / inside.size, atol=1e-7)
        gap = np.zeros(2)
        if norm in ("batch", "renorm"):
            caches = layer.norm if network == "rnn" else (layer.norm,)
            mean = np.concatenate([cache.mean.reshape(2, -1) for cache in caches], axis=1)
            here = slice(first, first := first + mean.shape[1])
            spread = np.sqrt(before.running.var[:, here] + config.eps)
            gap = np.sqrt((((mean - before.running.mean[:, here]) / spread) ** 2).mean(axis=1))
            assert (gap > 0).all()
        np.testing.assert_allclose(frame["statistics_gap"][:, number], gap, atol=1e-12)
    right = logits.argmax(axis=2) == data.y_train[indices]
    np.testing.assert_allclose(frame["train_accuracy"], right.mean(axis=1))


def test_saturation_of_tanh_is_the_share_beyond_0_975():
    config = RunConfig(norm="none", activation="tanh", init_scale=4.0, **SHAPE)
    before, _, frame = recorded_at(config, 0)
    activations = by_hand(before)[1]
    expected = [(np.abs(a) > np.sqrt(0.95)).mean(axis=(1, 2)) for a in activations]
    np.testing.assert_allclose(frame["saturation"], np.transpose(expected), atol=2e-3)
    assert 0.2 < frame["saturation"].min() < frame["saturation"].max() < 1


@pytest.mark.parametrize(("activation", "batch_size"), [("relu", 5), ("tanh", 3), ("sigmoid", 1)])
def test_a_unit_is_dead_that_is_saturated_at_every_sample(activation, batch_size):
    shape = SHAPE | {"batch_size": batch_size, "width": 24}
    scale = 1.0 if activation == "relu" else 8.0
    config = RunConfig(norm="none", activation=activation, init_scale=scale, lr=0.0, **shape)
    before, _, frame = recorded_at(config, 5)
    zs, activations, *_ = by_hand(before)
    for layer, (z, a) in enumerate(zip(zs, activations, strict=True)):
        off = {"relu": z <= 0, "tanh": 1 - a**2 < 0.05, "sigmoid": a * (1 - a) < 0.0125}[activation]
        np.testing.assert_allclose(frame["dead"][:, layer], off.all(axis=1).mean(axis=1), atol=1e-6)
    assert 0 < frame["dead"].min() < frame["dead"].max() < 1
    if batch_size == 1:
        np.testing.assert_allclose(frame["dead"], frame["saturation"], atol=1e-6)
    else:
        assert (frame["dead"] < frame["saturation"]).all()


def test_what_lies_beyond_the_edges_is_in_the_outermost_bins():
    config = RunConfig(norm="none", activation="relu", init_scale=4.0, **SHAPE)
    _, _, frame = recorded_at(config, 0)
    for name in HISTOGRAMS:
        np.testing.assert_allclose(frame[name].sum(axis=2), 1, atol=1e-6)
    assert (frame["preactivation_histogram"][:, 1, [0, -1]] > 0.1).all()
    # Zero lies on an edge and belongs to the bin above it, as in np.histogram.
    assert (frame["activation_histogram"][:, 1, 32] > 0.1).all()
    assert (frame["activation_histogram"][:, :, :32] == 0).all()


@pytest.mark.parametrize("batch_size", [3, 200])
def test_large_batches_are_measured_in_blocks_without_a_difference(batch_size):
    config = RunConfig(depth=2, width=64, replicas=3, batch_size=batch_size, validate_every=10**6)
    together = advance(start(config), 1).history
    for replica in range(3):
        alone = advance(start(replace(config, seed=replica, replicas=1)), 1).history
        for name in (*PER_LAYER, *HISTOGRAMS):
            np.testing.assert_array_equal(alone[name][0], together[name][replica], err_msg=name)


@pytest.mark.parametrize("batch_size", [1, 7, 500, 700])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_validation_with_batch_statistics(norm, batch_size):
    """By hand: each batch takes every k-th validation sample; an incomplete batch is left out."""
    config = RunConfig(norm=norm, validate_every=5, dtype="float64", **SHAPE | {"batch_size": batch_size})
    before, _, frame = recorded_at(config, 10)
    if norm == "layer":
        np.testing.assert_array_equal(frame["val_accuracy_batch"], frame["val_accuracy"])
        return
    size = min(batch_size, 500)
    count = 500 // size
    x, y = load("digits").x_val[: count * size], load("digits").y_val[: count * size]
    right = np.zeros(2)
    for batch in range(count):
        h = x[batch::count][None]
        assert h.shape[1] == size
        for layer in range(3):
            z = h @ before.parameters[f"weight{layer}"]
            xhat = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + config.eps)
            h = np.maximum(xhat * before.parameters[f"gamma{layer}"] + before.parameters[f"beta{layer}"], 0)
        logits = h @ before.parameters["weight3"] + before.parameters["bias3"]
        right += (logits.argmax(axis=2) == y[batch::count]).sum(axis=1)
    np.testing.assert_allclose(frame["val_accuracy_batch"], right / (count * size))


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_the_decision_surface_is_what_the_network_says_in_inference(norm):
    """By hand, cell by cell: the first replica's likeliest class and its probability."""
    config = RunConfig(dataset="spirals", norm=norm, dtype="float64", eps=1e-3, init_scale=3.0, gamma=6.0)
    run, _, frame = recorded_at(replace(config, validate_every=20, **SHAPE | {"depth": 2}), 40)
    centres = (SURFACE_EDGES[1:] + SURFACE_EDGES[:-1]) / 2
    h = np.array([(x, y) for y in centres for x in centres])
    p = {name: array[0] for name, array in run.parameters.items()}
    for layer in range(2):
        h = h @ p[f"weight{layer}"] + p.get(f"bias{layer}", 0)
        if norm != "none":
            here = slice(12 * layer, 12 * layer + 12)
            if norm == "batch":
                mean, var = run.running.mean[0, here], run.running.var[0, here]
            else:
                mean, var = h.mean(axis=1, keepdims=True), h.var(axis=1, keepdims=True)
            h = (h - mean) / np.sqrt(var + config.eps) * p[f"gamma{layer}"] + p[f"beta{layer}"]
        h = np.maximum(h, 0)
    odds = np.exp(h @ p["weight2"] + p["bias2"])
    odds /= odds.sum(axis=1, keepdims=True)
    assert odds.max() > MOST_CONFIDENT
    surface = frame["decision_surface"][0]
    np.testing.assert_array_equal(np.floor(surface), odds.argmax(axis=1))
    np.testing.assert_allclose(surface % 1, np.minimum(odds.max(axis=1), MOST_CONFIDENT), atol=1e-6)
    assert len(set(np.floor(surface))) == 3 and surface.shape == (32 * 32,)
    np.testing.assert_array_equal(np.floor(surface.astype(np.float16)), np.floor(surface))


def test_decision_surfaces_are_recorded_where_there_is_a_plane_at_validation():
    history = advance(start(RunConfig(dataset="moons", **SHAPE, validate_every=10)), 30).history
    assert history["decision_surface"].shape == (1, 6, 32 * 32)
    known = np.isfinite(history["decision_surface"][0])
    assert known.all(axis=1).tolist() == [True, False] * 3 and not known[1::2].any()
    assert "decision_surface" not in advance(start(RunConfig(**SHAPE)), 1).history
    for name in PLANE:
        samples = np.concatenate([load(name).x_train, load(name).x_val])
        assert SURFACE_EDGES[0] < samples.min() and samples.max() < SURFACE_EDGES[-1]


def test_when_the_first_replica_has_diverged_the_surface_is_the_next_ones():
    """Such runs are rare: one replica diverges, the other doesn't, in the midst of a call."""
    config = RunConfig(dataset="blobs", replicas=2, depth=1)
    surface = np.full((1, 32 * 32), 1.5)
    frames = [{"val_loss": np.array([0.1]), "decision_surface": surface}, {"train_loss": np.array([0.2])}]
    block = recordings.block(config, range(0, 60, 30), np.array([1]), frames)
    np.testing.assert_array_equal(block["decision_surface"][:, 0], surface)
    assert np.isnan(block["decision_surface"][:, 1]).all()
    np.testing.assert_array_equal(block["val_loss"], np.float32([[np.nan, np.nan], [0.1, np.nan]]))
    np.testing.assert_array_equal(block["train_loss"], np.float32([[np.nan, np.nan], [np.nan, 0.2]]))


def test_frames_come_at_their_steps():
    config = RunConfig(**SHAPE | {"record_every": 4}, validate_every=6)
    history = advance(start(config), 25).history
    np.testing.assert_array_equal(history["step"], [0, 4, 8, 12, 16, 20, 24])
    for name in VALIDATED:
        recorded = np.isfinite(history[name]).all(axis=0)
        np.testing.assert_array_equal(recorded, [True, False, False, True, False, False, True])
    assert np.isfinite(history["train_loss"]).all()


@pytest.mark.parametrize("steps", [0, 12])
def test_the_history_has_names_and_shapes_from_the_start(steps):
    history = advance(start(RunConfig(**SHAPE)), steps).history
    frames = (steps + 4) // 5
    assert history["step"].shape == (frames,)
    for name in (*TRAINED, *VALIDATED):
        assert history[name].shape == (2, frames)
    for name in PER_LAYER:
        assert history[name].shape == (2, frames, 3)
    for name in HISTOGRAMS:
        assert history[name].shape == (2, frames, 3, 64)
    assert history["histogram_edges"].shape == (65,)
    assert len(history) == 2 + 5 + len(PER_LAYER) + 2


def test_recording_does_not_change_the_training():
    config = RunConfig(**SHAPE, optimizer="adamw", validate_every=5)
    for every in (1, 3, 10**6):
        other = advance(start(replace(config, record_every=every)), 30)
        np.testing.assert_array_equal(other.flat, advance(start(config), 30).flat)
