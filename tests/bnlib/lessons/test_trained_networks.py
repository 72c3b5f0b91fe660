"""Training and inference: each function against slow code of its own, PyTorch, or a closed form."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bnlib import RunConfig, RunningStats, advance, start
from bnlib.data import batch_indices
from bnlib.lessons import inference
from bnlib.lessons.clinic import REMEDIES, Patient, examine, frozen, remedy
from bnlib.networks.network import forward

SMALL = RunConfig(
    depth=3, width=64, batch_size=64, lr=0.3, momentum=0.9, replicas=2, dtype="float64", record_every=10**6
)
STEPS = 60  # crosses the border of a block


def torch_says(run, x, batch=0, replica=0):
    """Logits by PyTorch: samples 0, N / batch, ... share statistics, or all have the running ones."""
    parameters = {name: torch.tensor(array[replica]) for name, array in run.parameters.items()}
    means, variances = (torch.tensor(a[replica]).split(64) for a in (run.running.mean, run.running.var))
    parts = len(x) // batch if batch else 1
    out = torch.empty(len(x), 10, dtype=torch.float64)
    for first in range(parts):
        z = torch.tensor(x[first::parts])
        for layer in range(3):
            affine = (parameters[f"gamma{layer}"][0], parameters[f"beta{layer}"][0])
            kept = (means[layer].clone(), variances[layer].clone())
            z = F.batch_norm(
                z @ parameters[f"weight{layer}"], *kept, *affine, bool(batch), 0.1, run.config.eps
            )
            z = F.relu(z)
        out[first::parts] = z @ parameters["weight3"] + parameters["bias3"][0]
    return out.numpy()


# --- running statistics after the fact ------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("m", [1, 8, 0])
def test_a_run_is_the_one_that_the_engine_trains(momentum, m):
    config = replace(SMALL, momentum=momentum, norm_batch=m)
    ours, engine = inference.trained(config, STEPS), advance(start(config), STEPS)
    assert np.array_equal(ours.flat, engine.flat), "training doesn't depend on the momentum"
    np.testing.assert_allclose(ours.running.mean, engine.running.mean, atol=1e-12)
    np.testing.assert_allclose(ours.running.var, engine.running.var, atol=1e-12)
    assert ours.running.momentum == momentum and ours.running.steps == STEPS
    assert ours.step == STEPS and ours.config.momentum == momentum


def test_an_average_after_the_fact_is_that_of_single_updates():
    rng = np.random.default_rng(1)
    means, variances = rng.standard_normal((2, 3, 25, 5))
    found = inference.averaged(inference.Stream(means, variances**2), 0.7)
    now = RunningStats.zeros((3, 5), 0.7)
    for step in range(25):
        now = now.update(means[:, step], variances[:, step] ** 2 * 63 / 64, 64)
    np.testing.assert_allclose(found, (now.mean, now.var), atol=1e-12)
    np.testing.assert_allclose(inference.moving(means[0], 0.7, 0.0)[-1], now.mean[0], atol=1e-12)


def test_before_the_first_step_the_statistics_are_their_start():
    run = inference.trained(SMALL, 0)
    assert not run.running.mean.any() and (run.running.var == 1).all()


def test_the_first_device_has_the_first_norm_batch_alone():
    config = replace(SMALL, norm_batch=4)
    fed = inference.stream(config, 3, first=True)
    rows = batch_indices(1297, (0, 1), 0, 64)[1, ::16]  # of the second seed: samples 0, 16, 32, 48
    z = config.data().x_train[rows] @ start(config).parameters["weight0"][1]
    np.testing.assert_allclose(fed.mean[1, 0, :64], z.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(fed.var[1, 0, :64], z.var(axis=0, ddof=1), atol=1e-12)
    everybody = inference.stream(config, 3)
    assert np.abs(everybody.mean - fed.mean).max() > 0.01, "other devices have other statistics"


def test_a_cumulative_average_is_pytorchs():
    fed = inference.stream(SMALL, 5)
    norm = torch.nn.BatchNorm1d(192, momentum=None, dtype=torch.float64)
    for mean, var in zip(fed.mean[0], fed.var[0], strict=True):  # two samples with this mean and variance
        away = np.sqrt(var / 2)
        norm(torch.tensor(np.stack([mean - away, mean + away])))
    found = inference.cumulative(fed)
    np.testing.assert_allclose(found[0][0], norm.running_mean, atol=1e-12)
    np.testing.assert_allclose(found[1][0], norm.running_var, atol=1e-12)


@pytest.mark.parametrize(("norm", "step"), [("running", 3), ("renorm", 3), ("batch", -1)])
def test_what_can_not_be_done_after_the_fact_is_refused(norm, step):
    with pytest.raises(ValueError, match="trained: (norm|step)="):
        inference.trained(replace(SMALL, norm=norm), step)


# --- what a network says --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [0, 4, 64])
def test_what_a_network_says_is_what_pytorch_says(batch):
    run = inference.trained(SMALL, STEPS)
    x = SMALL.data().x_val[:448]
    np.testing.assert_allclose(inference.says(run, x, batch)[1], torch_says(run, x, batch, 1), atol=1e-9)


def test_accuracy_counts_right_answers_on_the_data_in_use():
    run = inference.trained(SMALL, STEPS)
    x, labels = SMALL.data().x_val, SMALL.data().y_val
    right = torch_says(run, 0.5 * x + 0.5).argmax(axis=1) == labels
    assert inference.accuracy(run, change=(0.5, 0.5))[0] == pytest.approx(right.mean(), abs=1e-12)
    kept = torch_says(run, x[:448], 64).argmax(axis=1) == labels[:448]
    assert inference.accuracy(run, 64)[0] == pytest.approx(kept.mean(), abs=1e-12)


@pytest.mark.parametrize("change", [(0.5, 0.5), (2.0, -0.3)])
def test_train_does_not_notice_contrast_and_brightness(change):
    """The first norm follows a linear map: it subtracts the one and divides by the other."""
    run = inference.trained(replace(SMALL, eps=0.0), STEPS)
    x = SMALL.data().x_val[:448]
    plain, other = (inference.says(run, images, 64) for images in (x, x * change[0] + change[1]))
    np.testing.assert_allclose(plain, other, atol=1e-8)
    assert np.abs(inference.says(run, x) - inference.says(run, x * change[0] + change[1])).max() > 1


def test_modes_compare_four_kinds_of_statistics():
    config = replace(SMALL, momentum=0.999)
    found, run = inference.modes(config, 20), inference.trained(config, 20)
    data = config.data()
    assert found["answers_eval"].tolist() == torch_says(run, data.x_val).argmax(axis=1)[:40].tolist()
    assert (
        found["train"][1] == inference.accuracy(run, 64)[1] and found["eval"][1] == inference.accuracy(run)[1]
    )
    z = data.x_train[:1280] @ run.parameters["weight0"]
    assert found["batch"][1] == pytest.approx(z.var(axis=1).mean(axis=1)[0], rel=0.05)
    assert found["running"][1] == pytest.approx(0.98, abs=0.01)
    anew = inference.with_statistics(run, *inference.population(run, data.x_train))
    np.testing.assert_allclose(found["precise"], inference.accuracy(anew), atol=0.01)


def test_population_and_gap_are_means_variances_and_their_distance():
    run = inference.trained(SMALL, 20)
    x = SMALL.data().x_train[:100]
    mean, var = inference.population(run, x)
    z = x @ run.parameters["weight0"][1]
    np.testing.assert_allclose(mean[1, :64], z.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(var[1, :64], z.var(axis=0, ddof=1), atol=1e-12)
    away = (z.mean(axis=0) - run.running.mean[1, :64]) / np.sqrt(run.running.var[1, :64] + 1e-5)
    assert inference.gap(run, x)[1, 0] == pytest.approx(np.sqrt((away**2).mean()), rel=1e-9)
    assert inference.gaps(SMALL, 20, 100).tolist() == inference.gap(run, SMALL.data().x_val[:100]).tolist()


# --- lag and noise --------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_an_expected_average_is_the_mean_of_many(momentum):
    chains = np.random.default_rng(3).normal(2.0, 0.5, (40, 4000))
    seen = inference.moving(chains, momentum, -1.0)
    middle, spread = inference.expected_average(40, momentum, -1.0, 2.0, 0.5)
    assert (np.abs(seen.mean(axis=1) - middle) < 4 * spread / np.sqrt(4000)).all()
    np.testing.assert_allclose(seen.std(axis=1), spread, rtol=0.06)
    assert spread[-1] == pytest.approx(0.5 * np.sqrt((1 - momentum) / (1 + momentum)), rel=1e-3)


@pytest.mark.parametrize("momentum", [0.1, 0.9, 0.999])
def test_after_a_half_life_half_is_left(momentum):
    assert momentum ** inference.half_life(momentum) == pytest.approx(0.5)
    assert inference.half_life(0.0) == 0


def test_what_sampling_makes_of_a_gap():
    rng = np.random.default_rng(5)
    means = rng.standard_normal((300, 64, 400)).mean(axis=1)
    distance = means[-1] - inference.moving(means[:-1], 0.9, 0.0)[-1]
    assert inference.expected_gap(64, 0.9) == pytest.approx(np.sqrt((distance**2).mean()), rel=0.1)


def test_lag_follows_the_first_layer_of_the_first_seed():
    found, fed = inference.lag(replace(SMALL, lr=0.0), 30), inference.stream(replace(SMALL, lr=0.0), 30)
    assert found["mean"].tolist() == fed.mean[0, :, :64].tolist()
    assert found["population"].tolist() == found["now"].tolist(), "at rate 0 the weights rest"
    z = SMALL.data().x_train @ start(SMALL).parameters["weight0"][0]
    np.testing.assert_allclose(found["population"], (z.mean(axis=0), z.var(axis=0, ddof=1)), atol=1e-12)
    assert np.abs(inference.lag(SMALL, 30)["now"] - found["now"]).max() > 0.01


# --- companions -----------------------------------------------------------------------------------------


def test_companions_of_validation_are_those_of_training():
    config = replace(SMALL, norm_batch=8, batch_order="sorted")
    found, run = inference.grouped(config, 20), inference.trained(config, 20)
    x, labels = config.data().x_val, config.data().y_val
    right, met = [], []
    for step in range(7):
        rows = np.random.default_rng((0, 1, 0)).permutation(500)[64 * step : 64 * step + 64]
        rows = rows[np.argsort(labels[rows], kind="stable")]
        for first in range(0, 64, 8):  # eight neighbours in the order of their labels
            group = rows[first : first + 8]
            right += (torch_says(run, x[group], 8).argmax(axis=1) == labels[group]).tolist()
            met.append(len(set(labels[group])))
    assert found["own"][0] == pytest.approx(np.mean(right), abs=1e-12)
    assert 1.2 < np.mean(met) < 2.6 and found["classes"][0] == pytest.approx(np.mean(met), abs=0.15)


def test_roulette_counts_who_changes():
    found, run = inference.roulette(SMALL, 20, 16, 6, 4), inference.trained(SMALL, 20)
    x, usual = SMALL.data().x_val, torch_says(inference.trained(SMALL, 20), SMALL.data().x_val).argmax(axis=1)
    said, rng = [set() for _ in x], np.random.default_rng((4, 5))
    other = total = 0
    for _ in range(6):
        rows = rng.permutation(500)[:496]
        for row, answer in zip(rows, torch_says(run, x[rows], 16).argmax(axis=1), strict=True):
            said[row].add(answer)
            other, total = other + (answer != usual[row]), total + 1
    assert found["changed"][0] == pytest.approx(np.mean([len(own) > 1 for own in said]), abs=1e-12)
    assert found["differs"][0] == pytest.approx(other / total, abs=1e-12)


def test_no_company_changes_what_layer_norm_says():
    found = inference.roulette(replace(SMALL, norm="layer"), 20, 16, 6, 4)
    assert not found["changed"].any() and not found["differs"].any()


def test_a_pinned_sample_is_in_every_draw():
    found, run = inference.pinned(SMALL, 20, 16, 5, 2, 149), inference.trained(SMALL, 20)
    assert (found["companions"][:, 0] == 149).all()
    assert all(len(set(rows)) == 16 for rows in found["companions"].tolist())
    logits = torch.tensor(torch_says(run, SMALL.data().x_val[found["companions"][3]], 16)[0])
    np.testing.assert_allclose(found["odds"][3], logits.softmax(0), atol=1e-9)
    logits = torch.tensor(torch_says(run, SMALL.data().x_val[149:150])[0])
    np.testing.assert_allclose(found["eval"], logits.softmax(0), atol=1e-9)


def test_a_dense_network_says_one_thing_to_a_batch_of_one():
    found, run = inference.alone(SMALL, STEPS), inference.trained(SMALL, STEPS)
    assert found["distinct"].tolist() == [1, 1]
    own = {name: array[0] for name, array in run.parameters.items()}
    last = np.maximum(own["beta2"], 0) @ own["weight3"] + own["bias3"]  # x^ is 0, y is beta
    counts = np.bincount([last.argmax()] * 500, minlength=10)
    assert found["answers"][0].tolist() == counts.tolist()


def test_alone_a_convolution_is_instance_norm():
    config = replace(SMALL, network="cnn", width=8, replicas=1)
    run, x = inference.trained(config, 20), config.data().x_val[:30]
    ours = inference.says(run, x, 1)
    other, _, _ = forward(replace(config, norm="instance"), run.layers, x)
    np.testing.assert_allclose(ours, other, atol=1e-9)
    assert inference.alone(config, 20)["distinct"][0] == 500


# --- the clinic -----------------------------------------------------------------------------------------

STALE = Patient(replace(SMALL, momentum=0.999), 20)
WASHED = Patient(SMALL, STEPS, change=(0.5, 0.5))


def test_an_examination_looks_at_the_data_in_use():
    found, run = examine(WASHED), inference.trained(SMALL, STEPS)
    data = SMALL.data()
    assert found["eval"].tolist() == inference.accuracy(run, change=(0.5, 0.5)).tolist()
    assert found["eval_training"].tolist() == inference.accuracy(run, split="train").tolist()
    assert found["gap"].tolist() == inference.gap(run, 0.5 * data.x_val + 0.5).tolist()
    assert found["gap_training"].tolist() == inference.gap(run, data.x_train).tolist()
    own = examine(Patient(replace(SMALL, norm_batch=4), 20))
    four = inference.accuracy(inference.trained(replace(SMALL, norm_batch=4), 20), 4)
    assert own["train_own"].tolist() == four.tolist() and (own["train"] > own["train_own"]).all()


@pytest.mark.parametrize("name", ["training", "use", "cumulative"])
def test_statistics_alone_change_where_no_weight_does(name):
    for patient in (STALE, WASHED):
        run, mended = inference.trained(patient.config, patient.steps), REMEDIES[name](patient)
        assert np.array_equal(mended.flat, run.flat)
        assert np.abs(mended.running.mean - run.running.mean).max() > 1e-3
        assert (
            remedy(patient, name)["eval"].tolist()
            == inference.accuracy(mended, change=patient.change).tolist()
        )
    x = SMALL.data().x_train @ run.parameters["weight0"]
    expected = {"training": x, "use": 0.5 * x + 0.5 * run.parameters["weight0"].sum(axis=1, keepdims=True)}
    if name in expected:
        np.testing.assert_allclose(mended.running.mean[:, :64], expected[name].mean(axis=1), atol=1e-9)


def test_frozen_statistics_stay_and_weights_learn_behind_them():
    run = inference.trained(STALE.config, 20)
    after = frozen(run, 3)
    assert np.array_equal(after.running.mean, run.running.mean)
    assert np.array_equal(after.running.var, run.running.var)
    assert after.step == 23 and after.config == run.config
    parameters = {name: torch.tensor(array[0], requires_grad=True) for name, array in run.parameters.items()}
    means, variances = (torch.tensor(a[0]).split(64) for a in (run.running.mean, run.running.var))
    data = SMALL.data()
    for step in range(20, 23):
        rows = np.concatenate([np.random.default_rng((0, 1, e)).permutation(1297) for e in (0, 1)])
        rows = rows[64 * step : 64 * step + 64]
        z = torch.tensor(data.x_train[rows])
        for k in range(3):
            affine = (parameters[f"gamma{k}"][0], parameters[f"beta{k}"][0])
            z = F.relu(F.batch_norm(z @ parameters[f"weight{k}"], means[k], variances[k], *affine, eps=1e-5))
        loss = F.cross_entropy(
            z @ parameters["weight3"] + parameters["bias3"][0], torch.tensor(data.y_train[rows])
        )
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        with torch.no_grad():
            for parameter, gradient in zip(parameters.values(), gradients, strict=True):
                parameter -= 0.3 * gradient
    for name, parameter in parameters.items():
        np.testing.assert_allclose(after.parameters[name][0], parameter.detach(), atol=1e-9)


def test_networks_trained_otherwise_are_other_networks():
    small = Patient(replace(SMALL, norm_batch=4), 20)
    together = inference.accuracy(inference.trained(SMALL, 20))
    assert remedy(small, "sync")["eval"].tolist() == together.tolist()
    groups = inference.accuracy(inference.trained(replace(SMALL, norm="group"), 20))
    assert remedy(small, "group")["eval"].tolist() == groups.tolist()


def test_an_unknown_remedy_is_refused():
    with pytest.raises(ValueError, match="remedy: name='sleep' is not one of training, use"):
        remedy(STALE, "sleep")
