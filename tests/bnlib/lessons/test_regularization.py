"""Regularization: each measurement against PyTorch, a plain loop, central differences or a closed form."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnlib import RunConfig, advance, start
from bnlib.lessons import regularization as lesson
from bnlib.networks.inference import inference_layers
from bnlib.networks.parameters import in_layers, plan
from bnlib.training.evaluation import error, precise

TINY = RunConfig(
    depth=3, width=8, batch_size=16, train_samples=64, label_noise=0.3, lr=0.05, optimizer="momentum",
    replicas=2, dtype="float64", record_every=10**6, validate_every=10**6,
)  # fmt: skip

# --- the same digit in other company ------------------------------------------------------------------------


def test_a_digit_in_company_is_what_pytorch_makes_of_the_batch():
    m, x = 5, lesson.standard(3, 2)
    assert x.mean() == pytest.approx(0, abs=1e-12) and x.std() == pytest.approx(1)
    xhat = lesson.company(3, 2, m)
    chosen = np.random.default_rng((3, 13)).integers(lesson.PINNED, len(x), size=(127, lesson.DRAWS))[: m - 1]
    assert xhat.shape == (lesson.DRAWS, lesson.PINNED) and chosen.min() >= lesson.PINNED, "never its own"
    norm = nn.BatchNorm1d(1, affine=False, dtype=torch.float64)
    for draw, digit in ((0, 0), (7, 39), (1999, 11)):
        batch = torch.tensor([x[digit], *x[chosen[:, draw]]])[:, None]
        assert xhat[draw, digit] == pytest.approx(norm(batch)[0].item(), abs=1e-10)


@pytest.mark.parametrize("m", [1, 129])
def test_a_digit_needs_company(m):
    with pytest.raises(ValueError, match=f"m={m} must lie in 2 to 128"):
        lesson.company(0, 0, m)


@pytest.mark.parametrize("m", [2, 3, 4, 8, 64])
def test_the_law_of_its_spread_is_that_of_gaussian_companions(m):
    rng, count = np.random.default_rng(m), 100_000
    for z in (0.0, 0.83, -2.5):
        batches = np.concatenate([np.full((count, 1), z), rng.standard_normal((count, m - 1))], axis=1)
        xhat = (z - batches.mean(axis=1)) / batches.std(axis=1)
        mean, std = lesson.spread_law(z, m)
        assert mean == pytest.approx(xhat.mean(), abs=0.012) and std == pytest.approx(xhat.std(), abs=0.012)


def test_for_large_batches_the_law_is_its_first_order():
    for z in (0.0, 1.0, 2.0):
        assert lesson.spread_law(z, 1000)[1] == pytest.approx(np.sqrt((1 + z**2 / 2) / 1000), rel=0.005)
    np.testing.assert_allclose(lesson.noise_law((500, 1000))["share"], [1.5 / 500, 1.5 / 1000], rtol=0.01)


def test_which_share_is_noise():
    numbers = np.random.default_rng(0).standard_normal((4, 60_000))
    numbers = np.stack(
        [numbers, np.concatenate([numbers[:1], np.random.default_rng(1).permuted(numbers[1:])])]
    )
    one, other = ((batch[0] - batch.mean(axis=0)) / batch.std(axis=0) for batch in numbers)
    # Two batches with one digit in common: what both have of it is no noise.
    assert lesson.noise_law((4,))["share"][0] == pytest.approx(1 - (one * other).mean(), abs=0.02)
    measured = lesson.noise_shares((0, 1), 5, (4, 64))["share"]
    x = lesson.company(1, 5, 64)
    assert measured.shape == (2, 2) and measured[1, 1] == pytest.approx(x.var(axis=0).mean() / (x**2).mean())


# --- a network with noise and dropout -----------------------------------------------------------------------


def passed(config, flat, x, noise=0, masks=None):
    """Logits and a function that takes the gradient of the sum of logits times numbers."""
    layers = in_layers(config, plan(config).views(flat))
    logits, seen, top = lesson.forward(config, layers, x, noise, masks)

    def gradient(upstream):
        found = np.zeros_like(flat)
        into = in_layers(config, plan(config).views(found))
        lesson.backward(layers, into, upstream, seen, top, masks)
        return found

    return logits, gradient


def shaken(config):
    """Parameters away from gamma = 1 and beta = 0, a batch and numbers to multiply logits with."""
    rng = np.random.default_rng(5)
    flat = start(config).flat + 0.2 * rng.standard_normal(start(config).flat.shape)
    x = np.broadcast_to(config.data().x_train[:16], (2, 16, 64))
    return flat, x, rng.standard_normal((2, 16, 10))


@pytest.mark.parametrize("m", [0, 4])
@pytest.mark.parametrize("dropout", [False, True])
def test_its_gradient_is_that_of_central_differences(m, dropout):
    config = replace(TINY, norm_batch=m)
    flat, x, upstream = shaken(config)
    masks = lesson.dropout_masks(config, (0, 1), 3, (0.5, 0.3, 0.0)) if dropout else None
    gradient = passed(config, flat, x, 0, masks)[1](upstream)
    direction = np.random.default_rng(6).standard_normal(flat.shape)
    step = 1e-6
    ends = [
        (passed(config, flat + s * direction, x, 0, masks)[0] * upstream).sum((1, 2)) for s in (step, -step)
    ]
    np.testing.assert_allclose(
        (gradient * direction).sum(axis=1), (ends[0] - ends[1]) / (2 * step), rtol=1e-5
    )


def with_pytorch(config, flat, x, upstream, noise, masks):
    """Logits and gradient in PyTorch, where the noise's factors and shifts are detached."""
    flat = torch.tensor(flat, requires_grad=True)
    views = plan(config).slots
    p = {name: flat[:, a:b].reshape(2, *shape) for name, (a, b, shape) in views.items()}
    x = torch.tensor(x)
    for layer in range(config.depth):
        z = x @ p[f"weight{layer}"]
        xhat = (z - z.mean(1, keepdim=True)) / (z.var(1, correction=0, keepdim=True) + config.eps).sqrt()
        if noise:
            parts = z.reshape(2, noise, -1, config.width).detach()
            mean, var = parts.mean(1, keepdim=True), parts.var(1, correction=0, keepdim=True) + config.eps
            whole, total = z.mean(1, keepdim=True).detach(), z.var(1, correction=0, keepdim=True).detach()
            std = (total + config.eps).sqrt()
            scale = std[:, :, None] / var.sqrt()
            shift = (whole[:, :, None] - mean) / var.sqrt()
            xhat = (xhat.reshape(2, noise, -1, config.width) * scale + shift).reshape(xhat.shape)
        x = F.relu(p[f"gamma{layer}"] * xhat + p[f"beta{layer}"])
        x = x if masks is None else x * torch.tensor(masks[layer])
    logits = x @ p[f"weight{config.depth}"] + p[f"bias{config.depth}"]
    (logits * torch.tensor(upstream)).sum().backward()
    return logits.detach().numpy(), flat.grad.numpy()


@pytest.mark.parametrize("noise", [0, 4])
@pytest.mark.parametrize("rates", [(), (0.5, 0.0, 0.3)])
def test_forward_and_backward_are_those_of_pytorch(noise, rates):
    flat, x, upstream = shaken(TINY)
    masks = lesson.dropout_masks(TINY, (0, 1), 3, rates) if rates else None
    logits, gradient = passed(TINY, flat, x, noise, masks)
    expected, slope = with_pytorch(TINY, flat, x, upstream, noise, masks)
    np.testing.assert_allclose(logits, expected, atol=1e-9)
    np.testing.assert_allclose(gradient(upstream), slope, atol=1e-8)


def test_noise_is_forward_as_smaller_norm_batches_and_backward_as_the_whole_one():
    flat, x, upstream = shaken(TINY)
    logits, gradient = passed(TINY, flat, x, noise=4)
    small, other = passed(replace(TINY, norm_batch=4), flat, x)
    np.testing.assert_allclose(logits, small, atol=1e-9)
    assert np.abs(gradient(upstream) - other(upstream)).max() > 0.01


def test_masks_are_zero_with_probability_p_and_keep_the_mean():
    config = replace(TINY, width=64, batch_size=64)
    masks = lesson.dropout_masks(config, (0, 1), 1, (0.5, 0.2, 0.0))
    for mask, p in zip(masks, (0.5, 0.2, 0.0), strict=True):
        assert mask.shape == (2, 64, 64) and set(np.unique(mask)) <= {0.0, 1 / (1 - p)}
        assert (mask == 0).mean() == pytest.approx(p, abs=0.02) and mask.mean() == pytest.approx(1, abs=0.03)
    again, later = (lesson.dropout_masks(config, (1, 2), step, (0.5, 0.2, 0.0)) for step in (1, 2))
    assert np.array_equal(masks[0][1], again[0][0]) and not np.array_equal(again[0], later[0])


@pytest.mark.parametrize("m", [0, 4])
def test_without_noise_and_dropout_it_trains_as_the_engine_does(m):
    config = replace(TINY, norm_batch=m)
    runs = list(lesson.watch(config, 20, 10))
    run, expected = runs[-1][0], advance(start(config), 20)
    assert [one.step for one, _ in runs] == [0, 10, 20]
    np.testing.assert_allclose(run.flat, expected.flat, atol=1e-9)
    for name in ("mean", "var"):
        ours, theirs = getattr(run.running, name), getattr(expected.running, name)
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


# --- wrong labels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_what_is_said_of_wrongly_labelled_digits_by_a_plain_loop(norm):
    config = replace(TINY, norm=norm)
    found = lesson.followed(config, 20, 10)
    run = advance(start(config), 20)
    data, truth = config.data(), replace(config, label_noise=0.0).data().y_train
    layers = inference_layers(config, run.layers, precise(run).running)
    for seed in range(2):
        repeated, undone, wrong = 0, 0, 0
        for x, label, true in zip(data.x_train, data.y_train, truth, strict=True):
            if label == true:
                continue
            for layer in layers[:-1]:
                x = np.maximum(x @ layer.weight[seed] + layer.bias[seed, 0], 0)
            said = (x @ layers[-1].weight[seed] + layers[-1].bias[seed, 0]).argmax()
            wrong, repeated, undone = wrong + 1, repeated + (said == label), undone + (said == true)
        assert wrong > 5 and found["repeated"][seed, -1] == pytest.approx(repeated / wrong)
        assert found["undone"][seed, -1] == pytest.approx(undone / wrong)
    np.testing.assert_allclose(found["val"][:, -1], error(run, statistics="precise"))
    assert found["step"].tolist() == [0, 10, 20] and np.isnan(found["loss"]).all() == (norm == "none")


def test_without_wrong_labels_none_is_repeated_and_none_undone():
    found = lesson.followed(replace(TINY, label_noise=0.0), 10, 10)
    assert np.isnan(found["repeated"]).all() and np.isnan(found["undone"]).all()
    assert np.isfinite(found["val"]).all() and np.isfinite(found["loss"]).all()


# --- dropout ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.2, 0.5, 0.7])
def test_what_masks_add_to_a_variance_by_drawing_them(p):
    rng = np.random.default_rng(0)
    weight, a = rng.standard_normal((2, 20, 6)), np.maximum(rng.standard_normal((2, 50, 20)), 0) + 0.1
    drawn = (rng.random((2000, *a.shape)) >= p) / (1 - p)
    h = np.einsum("drni,rio->rdno", drawn * a, weight).reshape(2, -1, 6)
    expected = h.var(axis=1).mean(axis=1) / (a @ weight).var(axis=1).mean(axis=1)
    np.testing.assert_allclose(lesson.variance_ratio(weight, a, p), expected, rtol=0.01)


def test_running_variances_are_compared_with_what_arrives_in_inference():
    rates = (0.5, 0.0, 0.3)
    found = lesson.dropped(TINY, 20, rates)
    run = list(lesson.watch(TINY, 20, 20, rates=rates))[-1][0]
    for seed in range(2):
        x = torch.tensor(TINY.data().x_train)
        for layer in range(3):
            own, here = run.layers[layer], slice(8 * layer, 8 * layer + 8)
            mean, var = (torch.tensor(array[seed, here]) for array in (run.running.mean, run.running.var))
            z = x @ torch.tensor(own.weight[seed])
            ratio = var.mean() / z.var(0, correction=0).mean()
            assert found["ratio"][seed, layer] == pytest.approx(ratio.item())
            gamma, beta = (torch.tensor(array[seed, 0]) for array in (own.gamma, own.beta))
            x = F.relu(F.batch_norm(z, mean, var, gamma, beta, eps=TINY.eps))
    assert (found["expected"][:, [0, 2]] == 1).all() and (found["expected"][:, 1] > 1.1).all()
    np.testing.assert_allclose(found["val"], error(run))
    np.testing.assert_allclose(found["anew"], error(precise(run)))
