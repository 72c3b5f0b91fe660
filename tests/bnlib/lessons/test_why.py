"""The measurements of "Why does it work?", against plain loops, closed forms, PyTorch and other measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bnlib import RunConfig
from bnlib.experiments.probes.along import landscape, rescaled, unsteadiness
from bnlib.experiments.probes.passes import next_batch, watch
from bnlib.lessons import why
from bnlib.training.train import advance, start

SMALL = RunConfig(depth=2, width=16, batch_size=16, replicas=2, activation="tanh", dtype="float64")


# ---- inputs that move ------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"norm": "none"}, {"norm_noise": 1.0}])
def test_inputs_move_as_far_as_where_every_step_is_looked_at(changes):
    config = replace(SMALL, **changes)
    found, steps = why.moving(config, 6, 1), 6
    # The other measure takes the variances of the last look, too.
    variances = [why.entering(run)[1].mean(axis=(0, 2)) for run in watch(config, steps, 1)]
    other = unsteadiness(config, steps, 1)["moved"]
    expected = other * np.sqrt(np.mean(variances, axis=0) / np.mean(variances[:-1], axis=0))
    np.testing.assert_allclose(found["moved"], expected, rtol=1e-9)


def test_looking_changes_nothing_about_training():
    config = replace(SMALL, record_every=1)
    losses = advance(start(config), 12).history["train_loss"]
    for every in (1, 5, 12):
        np.testing.assert_array_equal(why.moving(config, 12, every)["loss"], losses)


def test_one_of_so_many_steps_is_looked_at():
    config = replace(SMALL, norm="none")
    moves, spreads = [], []
    for step in (0, 4, 8):
        (mean, var), (later, _) = (why.entering(advance(start(config), at)) for at in (step, step + 1))
        moves.append(((later - mean) ** 2).mean(axis=(0, 2)))
        spreads.append(var.mean(axis=(0, 2)))
    expected = np.sqrt(sum(moves) / sum(spreads))
    np.testing.assert_allclose(why.moving(config, 10, 4)["moved"], expected, rtol=1e-12)


@pytest.mark.parametrize("k", [0.5, 1, 3])
def test_noise_moves_a_mean_as_far_as_drawn_noise_does(k):
    rng, units, samples = np.random.default_rng(0), 20_000, 64
    means, variances = [], []
    for _ in range(2):
        x = rng.standard_normal((samples, units))
        x = (x - x.mean(0)) / x.std(0)
        scale = 1 + k * (rng.uniform(0, 0.25, units) + 0.1 * rng.standard_normal((samples, units)))
        out = scale * x + k * (rng.uniform(-0.5, 0.5, units) + rng.uniform(-0.1, 0.1, (samples, units)))
        means.append(out.mean(0))
        variances.append(out.var(0).mean())
    measured = np.sqrt(((means[1] - means[0]) ** 2).mean() / np.mean(variances))
    assert why.noise_moves(k) == pytest.approx(measured, rel=0.02)
    assert why.noise_moves(0) == 0


def test_a_digits_place_varies_with_its_company_as_the_size_of_the_batch_says():
    many, few = (why.company(replace(SMALL, batch_size=m), 200).mean() for m in (256, 64))
    assert few / many == pytest.approx(2, rel=0.15), "mean and deviation of m numbers scatter by 1/√m"
    # Of Gaussian numbers: the mean's variance 1/m, and x̂² / 2m of the deviation; x̂² is 1 on average.
    assert few == pytest.approx(np.sqrt(1.5 / 64), rel=0.25)


def test_company_is_what_a_plain_loop_finds():
    config = replace(SMALL, replicas=1)
    x, weight = config.data().x_train, start(config).parameters["weight0"][0]
    rng, seen = np.random.default_rng((config.seed, 8)), []
    for others in rng.integers(1, len(x), size=(5, config.batch_size)):
        s = x[[0, *others[1:]]] @ weight
        seen.append((s[0] - s.mean(axis=0)) / np.sqrt(s.var(axis=0) + config.eps))
    expected = np.sqrt(np.var(seen, axis=0).mean())
    np.testing.assert_allclose(why.company(config, 5), [expected], rtol=1e-10)


# ---- gradients -------------------------------------------------------------------------------------------


def torch_loss(run, replica, far=0.0, gradients=None, below=99):
    """The next batch's loss in PyTorch, weights moved by `far` along `gradients`; and the weights."""
    x, y = (torch.tensor(np.ascontiguousarray(one[replica])) for one in next_batch(run))
    p = {name: torch.tensor(value[replica].copy()) for name, value in run.parameters.items()}
    for name, gradient in (gradients or {}).items():
        if int(name[-1]) < below:
            p[name] = p[name] - far * gradient
    p = {name: value.requires_grad_() for name, value in p.items()}
    for layer in range(run.config.depth):
        x = x @ p[f"weight{layer}"] + p.get(f"bias{layer}", 0)
        if f"gamma{layer}" in p:
            x = (x - x.mean(0)) / (x.var(0, correction=0) + run.config.eps).sqrt()
            x = p[f"gamma{layer}"] * x + p[f"beta{layer}"]
        x = torch.tanh(x)
    last = run.config.depth
    return F.cross_entropy(x @ p[f"weight{last}"] + p[f"bias{last}"], y), p


def torch_gradients(run, replica, **how):
    loss, p = torch_loss(run, replica, **how)
    return dict(zip(p, torch.autograd.grad(loss, list(p.values())), strict=True)), loss


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_walks_along_gradients_are_pytorchs(norm):
    config = replace(SMALL, norm=norm)
    found = why.along_gradient(config, 3, 3)
    for look, run in enumerate(watch(config, 3, 3)):
        for replica in range(2):
            gradients, loss = torch_gradients(run, replica)
            squared = sum(float((g**2).sum()) for g in gradients.values())
            far = [config.lr * step for step in why.AHEAD]
            ahead = [float(torch_loss(run, replica, f, gradients)[0].detach()) for f in far]
            there = found["ahead"][replica, look]
            np.testing.assert_allclose(there, ahead, rtol=1e-9)
            np.testing.assert_allclose(found["loss"][replica, look], float(loss.detach()), rtol=1e-9)
            np.testing.assert_allclose(found["squared"][replica, look], squared, rtol=1e-9)


def test_a_walk_agrees_with_the_experiments_landscape():
    config = replace(SMALL, activation="relu")
    found, other = why.along_gradient(config, 4, 2), landscape(config, 4, 2)
    np.testing.assert_allclose(np.ptp(found["ahead"], axis=2), other["loss_range"], rtol=1e-12)
    np.testing.assert_allclose(found["smoothness"], other["smoothness"], rtol=1e-12)


def test_gradients_shift_and_are_as_long_as_pytorch_says():
    config = replace(SMALL, replicas=1)
    found = why.shifting(config, 2, 2)
    for look, run in enumerate(watch(config, 2, 2)):
        gradients, _ = torch_gradients(run, 0)
        rows = []
        for layer in (1, 2):
            after, _ = torch_gradients(run, 0, far=config.lr, gradients=gradients, below=layer)
            g, g2 = (one[f"weight{layer}"].flatten() for one in (gradients, after))
            rows.append((float((g - g2).norm()), float(F.cosine_similarity(g, g2, dim=0)), float(g.norm())))
        expected = np.mean(rows, axis=0)
        for name, value in zip(("distance", "cosine", "length"), expected, strict=True):
            np.testing.assert_allclose(found[name][0, look], value, rtol=1e-8)
    assert found["step"].tolist() == [0, 2]


# ---- weights that are rescaled ---------------------------------------------------------------------------

IDENTITY = replace(SMALL, activation="relu", eps=0.0)
FACTORS = (1.0, 3.0, 10.0)


def test_with_batch_norm_length_is_a_learning_rate():
    found = why.midway(IDENTITY, 5, 5, FACTORS)
    np.testing.assert_allclose(found["loss"], found["loss"][:1].repeat(3, axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        found["gradient"] * np.array(FACTORS)[:, None], found["gradient"][:1].repeat(3, 0)
    )
    tangents = np.tan(found["turn"]) * np.square(FACTORS)[:, None]
    np.testing.assert_allclose(tangents, tangents[:1].repeat(3, axis=0), rtol=1e-8)
    np.testing.assert_allclose(found["turn_follow"], found["turn"][:1].repeat(3, axis=0), rtol=1e-8)
    np.testing.assert_allclose(found["follow"], found["stay"][:1].repeat(3, axis=0), rtol=1e-9)
    assert np.abs(found["stay"][1:, :, 1:] - found["stay"][:1, :, 1:]).min(axis=(1, 2)).max() > 1e-9


def test_without_a_norm_it_is_not():
    found = why.midway(replace(IDENTITY, norm="none"), 5, 5, FACTORS)
    assert np.abs(found["loss"][1:] - found["loss"][:1]).min() > 1e-3
    assert np.abs(found["follow"][1, :, 1] - found["stay"][0, :, 1]).min() > 1e-2


def test_from_the_start_it_is_what_the_experiment_finds():
    config = replace(IDENTITY, rest_lr=IDENTITY.lr)
    for follow, name in ((True, "follow"), (False, "stay")):
        other = rescaled(config, 6, 3.0, follow)["other_loss"]
        np.testing.assert_allclose(why.midway(config, 0, 6, (3.0,))[name][0], other, rtol=1e-12)


def test_factor_one_is_the_same_run():
    found = why.midway(IDENTITY, 4, 4, (1.0,))
    whole = advance(start(replace(IDENTITY, record_every=1, rest_lr=IDENTITY.lr)), 8).history["train_loss"]
    np.testing.assert_array_equal(np.concatenate([found["first"], found["stay"][0]], axis=1), whole)


@pytest.mark.parametrize("angle", [1e-9, 0.3, 2.0])
def test_angles_are_exact_even_where_a_cosine_has_lost_them(angle):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 3, 40))
    b -= (a * b).sum(1, keepdims=True) / (a * a).sum(1, keepdims=True) * a
    a, b = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (a, b))
    turned = 5 * (np.cos(angle) * a + np.sin(angle) * b)
    np.testing.assert_allclose(why.angle(a, turned), angle, rtol=1e-6)
