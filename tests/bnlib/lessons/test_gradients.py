"""Scaled weights, a backward pass without its terms, turning weights: against differences and PyTorch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bnlib import RunConfig, advance, start, theory
from bnlib.lessons import gradients
from bnlib.networks.parameters import initialize
from bnlib.norms.core import normalize

CONFIG = RunConfig(depth=3, width=16, batch_size=32, lr=0.1, dtype="float64", replicas=2)
WAYS = [(True, True), (False, True), (True, False), (False, False)]


def central(function, x, upstream, step=1e-6):
    """The gradient of sum(upstream * function(x)) by central differences."""
    found = np.empty_like(x)
    for place in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            ends.append(np.sum(upstream * function(moved)))
        found[place] = (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize("eps", [1e-5, 0.3])
@pytest.mark.parametrize("way", WAYS)
def test_a_norm_sends_back_its_gradient_only_with_both_terms(way, eps):
    rng = np.random.default_rng(3)
    x, upstream = rng.normal(2, 1.5, (2, 6, 3)), rng.normal(size=(2, 6, 3))
    _, cache = normalize(x, (1,), None, None, eps)
    dx = gradients.through_norm(upstream, cache, *way)
    right = central(lambda moved: normalize(moved, (1,), None, None, eps)[0], x, upstream)
    assert np.allclose(dx, right, atol=1e-7) == (way == (True, True))


@pytest.mark.parametrize("way", WAYS)
def test_a_term_is_left_out_as_pytorchs_detach_leaves_it_out(way):
    rng = np.random.default_rng(4)
    x, upstream = rng.normal(2, 1.5, (7, 3)), rng.normal(size=(7, 3))
    _, cache = normalize(x[None], (1,), None, None, 0.1)
    mean_term, xhat_term = way
    z = torch.tensor(x, requires_grad=True)
    mean = z.mean(0) if mean_term else z.mean(0).detach()
    std = ((z - mean).square().mean(0) + 0.1).sqrt()
    ((z - mean) / (std if xhat_term else std.detach())).backward(torch.tensor(upstream))
    assert gradients.through_norm(upstream[None], cache, *way)[0] == pytest.approx(z.grad.numpy(), abs=1e-12)


def test_what_is_left_along_ones_and_x_hat_is_the_closed_form():
    """Sum of dx: 0; of dx x-hat: eps / (var + eps)^(3/2) <g, x-hat>."""
    rng = np.random.default_rng(5)
    x, g = rng.normal(size=(1, 9, 1)), rng.normal(size=(1, 9, 1))
    _, cache = normalize(x, (1,), None, None, 0.5)
    dx, var = gradients.through_norm(g, cache), float(x.var())
    assert dx.sum() == pytest.approx(0, abs=1e-14)
    along = 0.5 / (var + 0.5) ** 1.5 * np.sum(g * cache.xhat)
    assert np.sum(dx * cache.xhat) == pytest.approx(along, rel=1e-12)


def small():
    config = replace(CONFIG, depth=2, width=4, replicas=1)
    rng, data = np.random.default_rng(6), config.data()
    layers = gradients.with_biases(config, initialize(config))
    layers = [  # nothing at a value where it would hide a mistake
        layer._replace(
            **{
                name: array + 0.3 * rng.normal(size=array.shape)
                for name in ("bias", "gamma", "beta")
                if (array := getattr(layer, name)) is not None
            }
        )
        for layer in layers
    ]
    return layers, data.x_train[None, :8], data.y_train[None, :8]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["weight", "bias", "gamma", "beta"])
def test_a_networks_backward_pass_is_its_gradient_only_with_both_terms(name, way):
    layers, x, labels = small()
    _, said = gradients.loss_and_gradients(layers, x, labels, 0.01, *way)

    def loss(array):
        changed = [layers[0]._replace(**{name: array}), *layers[1:]]
        return gradients.loss_and_gradients(changed, x, labels, 0.01)[0]

    array = getattr(layers[0], name)
    if name == "weight":  # a few of its rows
        rows = array[:, 20:24]

        def of_rows(part):
            whole = array.copy()
            whole[:, 20:24] = part
            return loss(whole)

        right, own = central(of_rows, rows, np.ones(1)), said[0].weight[:, 20:24]
    else:
        right, own = central(loss, array, np.ones(1)), getattr(said[0], name)
    # A bias in front of a norm has none, and the mean term alone sees to that.
    assert np.allclose(own, right, atol=1e-8) == (way[0] if name == "bias" else all(way))


def test_a_bias_in_front_of_a_norm_moves_only_without_the_mean_term():
    full, bare = (gradients.trained_without(CONFIG, 40, mean_term, True) for mean_term in (True, False))
    assert full["bias"].max() < 1e-13 < 0.1 < bare["bias"][:, -1].min()
    assert (full["angle"] < 1e-3).all() and (bare["angle"] > 5).all()


def test_with_both_terms_the_loop_trains_as_the_engine_does():
    found = gradients.trained_without(CONFIG, 40, True, True)
    run = advance(start(replace(CONFIG, record_every=10, validate_every=10**6)), 41)
    assert found["step"].tolist() == run.history["step"].tolist() == [0, 10, 20, 30, 40]
    assert found["weight"] == pytest.approx(run.history["weight_norm"][:, :, 0], rel=1e-10)


def test_scaled_weights_give_the_same_outputs_and_a_gradient_by_the_law():
    factors = (0.1, 1.0, 30.0)
    found = gradients.scaled(CONFIG, 20, factors, (0.0, 0.1))
    exact, bent = found["gradient"]
    for place, factor in enumerate(factors):
        assert exact[place] == pytest.approx(theory.rescaled_gradient(exact[1], factor), rel=1e-9)
    assert found["change"][0].max() < 1e-10
    assert (bent[0] < 0.5 * 10 * bent[1]).all(), "far below eps the law ends"
    assert found["change"][1, 0].min() > 0.1 and not found["change"][:, 1].any()


def test_what_arrives_at_a_unit_is_pytorchs_gradient():
    found = gradients.arriving(CONFIG, 10)
    run = advance(start(replace(CONFIG, replicas=1)), 10)
    p = {name: torch.tensor(array[0]) for name, array in run.parameters.items()}
    x, few = torch.tensor(CONFIG.data().x_train[: gradients.FEW]), gradients.FEW
    for layer in range(3):
        z = x @ p[f"weight{layer}"]
        x_hat = (z - z.mean(0)) / (z.var(0, correction=0) + CONFIG.eps).sqrt()
        if layer == gradients.LAYER:
            seen, x_hat = z, x_hat.requires_grad_()
            kept = x_hat
        x = torch.relu(p[f"gamma{layer}"] * x_hat + p[f"beta{layer}"])
    logits, labels = x @ p["weight3"] + p["bias3"], torch.tensor(found["label"])
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    (g,) = torch.autograd.grad(loss, kept)
    assert found["z"] == pytest.approx(seen.numpy(), abs=1e-10) and len(g) == few
    assert found["g"] == pytest.approx(g.numpy(), abs=1e-10)


def test_the_turning_of_a_step_is_the_angle_between_the_weights_before_and_behind_it():
    config = replace(CONFIG, depth=2, weight_decay=0.05, lr=0.3)
    found = gradients.turning(config, 11, 10)
    before = advance(start(config), 10)
    behind = advance(before, 1)
    angles = []
    for name in ("weight0", "weight1"):
        a, b = (run.parameters[name].reshape(2, -1) for run in (before, behind))
        cosine = np.vecdot(a, b) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        angles.append(np.degrees(np.arccos(cosine)))
    assert found["step"].tolist() == [0, 10]
    # eps keeps the gradient from being quite at right angles
    assert found["angle"][:, 1] == pytest.approx(np.sqrt(np.square(angles).mean(axis=0)), rel=1e-3)
    assert found["length"][:, 1] == pytest.approx(np.linalg.norm(before.parameters["weight0"], axis=(1, 2)))
