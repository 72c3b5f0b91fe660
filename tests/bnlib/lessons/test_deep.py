"""Deep networks before and in training: against PyTorch, an integral, closed forms, the house’s own code."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from bnlib import RunConfig, advance, start
from bnlib.experiments.probes.passes import next_batch
from bnlib.lessons import deep
from bnlib.networks.parameters import initialize, plan
from bnlib.training import evaluation

SMALL = RunConfig(
    width=12, batch_size=8, replicas=2, seed=3, inputs="standardized", dtype="float64", init_scale=0.7
)
WIDE = replace(SMALL, width=384, batch_size=64, replicas=3, init_scale=1.0)
DRAWN = ("none", "batch", "layer", "skip")


def in_pytorch(config, replica):
    """What `profile` measures of one network: norms of gradients, sizes, sigmas, mean cosines."""
    parameters = plan(config).views(initialize(config))
    own = {name: torch.tensor(array[replica]) for name, array in parameters.items()}
    x, labels = (torch.tensor(array[replica]) for array in next_batch(start(config)))
    entered, left, sigmas, stream = [], [], [], 0
    for layer in range(config.depth):
        x = x @ own[f"weight{layer}"] + own.get(f"bias{layer}", 0) + stream
        stream = x if config.residual == "pre" else 0
        if config.norm != "none":
            axis = 0 if config.norm == "batch" else 1
            mean, var = x.mean(axis, keepdim=True), x.var(axis, correction=0, keepdim=True)
            sigmas.append(float(var.detach().mean().sqrt()))
            x = (x - mean) / (var + config.eps).sqrt()
        alone = x.clone()  # what enters the ReLU, without the sum beside it
        entered.append(alone if alone.requires_grad else alone.requires_grad_())
        x = torch.relu(entered[-1])
        left.append(x.detach())
    logits = x @ own[f"weight{config.depth}"] + own[f"bias{config.depth}"]
    gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), entered)
    alike = []
    for out in left:
        pairs = torch.nn.functional.cosine_similarity(out[:, None], out[None], dim=2)
        alike.append(float(pairs[~torch.eye(len(out), dtype=bool)].mean()))
    return (
        [float(g.norm()) for g in gradients],
        [float(out.square().mean().sqrt()) for out in left],
        sigmas or [1.0] * config.depth,
        alike,
    )


@pytest.mark.parametrize("arm", deep.ARMS)
def test_a_profile_is_what_pytorch_measures(arm):
    config = deep.network(arm, 3, SMALL)
    found = deep.profile(config)
    assert deep.layers_of(config) == 3 and found["gradient"].shape == (2, 3)
    for replica in range(2):
        there = in_pytorch(config, replica)
        for name, own in zip(("gradient", "size", "sigma", "similarity"), there, strict=True):
            assert found[name][replica] == pytest.approx(own[:3], rel=1e-9), name


def test_gradients_after_no_step_are_the_profiles_and_are_measured_anew_after_each():
    config = deep.network("batch", 3, SMALL)
    found = deep.ratios_after(config, (0, 2))
    assert found[:, 0] == pytest.approx(deep.ratio(deep.profile(config)["gradient"]))
    assert found[:, 1] == pytest.approx(deep.ratio(deep.gradients(advance(start(config), 2))))
    assert not np.allclose(found[:, 0], found[:, 1])


# ---- closed forms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", DRAWN)
def test_wide_networks_are_as_the_closed_forms_say(arm):
    scale = 0.6 if arm == "none" else 1.0
    config = replace(deep.network(arm, 8, WIDE), init_scale=scale)
    found, var = deep.profile(config), float(config.data().x_train.var(axis=0).mean())
    curve = np.exp(np.log(found["gradient"] / found["gradient"][:, -1:]).mean(axis=0))
    assert curve == pytest.approx(deep.expected_gradients(arm, 8, scale, 64, var), rel=0.12)
    sigma = found["sigma"].mean(axis=0)[1:]
    assert sigma == pytest.approx(deep.expected_sigma(arm, 8, var)[1:], rel=0.05)
    if arm in ("none", "layer"):
        assert found["similarity"].mean(axis=0) == pytest.approx(found["expected"].mean(axis=0), abs=0.03)


@pytest.mark.parametrize("cosine", [-1.0, -0.4, 0.0, 0.3, 0.9, 1.0])
def test_the_cosine_behind_a_relu_is_its_integral(cosine):
    """E[relu(u) relu(v)] / E[relu(u)²] over Gaussians of that correlation, by a sum over angles."""
    angle = 2 * np.pi * (np.arange(20_000) + 0.5) / 20_000
    u, v = np.cos(angle), np.cos(angle - np.arccos(cosine))
    integral = np.mean(np.maximum(u, 0) * np.maximum(v, 0)) / np.mean(np.maximum(u, 0) ** 2)
    pair = np.array([[[1.0, cosine], [cosine, 1.0]]])
    assert deep.similarities(pair, 1)[0, 0] == pytest.approx(integral, abs=1e-6)


def test_many_relu_layers_make_all_samples_alike():
    alike = deep.similarities(np.eye(5)[None], 400)[0]
    assert (np.diff(alike) > 0).all() and 0.999 < alike[-1] < 1


def test_the_margin_of_a_power_is_its_root():
    scales = (0.25, 0.5, 1.0, 2.0, 4.0)
    assert deep.margin(scales, np.array(scales) ** 9.0, 1000) == pytest.approx(1000 ** (1 / 9))
    assert deep.margin(scales, np.array(scales), 1000) == pytest.approx(4), "the limit isn't reached"


def test_a_row_has_the_profile_of_each_scale():
    config = deep.network("batch", 2, SMALL)
    found = deep.row(config, (0.5, 2.0))
    own = deep.profile(replace(config, init_scale=2.0))
    assert all(np.array_equal(found[name][1], own[name]) for name in found)


# ---- training ----------------------------------------------------------------------------------------------


def test_learning_is_training_with_statistics_of_batches():
    config = deep.network("batch", 2, replace(SMALL, lr=0.2))
    found = deep.learning(config, 6, 3)
    run = advance(start(config), 6)
    assert list(found["step"]) == [0, 3, 6]
    assert found["right"][:, -1] == pytest.approx(1 - evaluation.error(run, statistics="batch") / 100)


def test_what_diverges_keeps_quiet():
    config = deep.network("skip_none", 40, replace(SMALL, init_scale=0.3, lr=1000.0, dtype="float32"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = deep.learning(config, 10, 10)
    assert (advance(start(config), 10).diverged_at >= 0).all() and (found["right"] < 0.4).all()


def test_copies_that_differ_by_nothing_stay_the_same_and_others_start_as_far_apart_as_asked():
    config = deep.network("batch", 2, replace(SMALL, lr=0.2))
    assert not deep.twins(config, 3, 0.0).any()
    apart, double = (deep.twins(config, 3, change) for change in (1e-9, 2e-9))
    assert apart[:, 0] == pytest.approx(1e-9, rel=0.2)
    assert double == pytest.approx(2 * apart, rel=1e-3), "a small change: what becomes of it is linear"
