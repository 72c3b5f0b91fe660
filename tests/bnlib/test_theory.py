"""The closed forms, against special cases, printed formulas and Monte Carlo through the library itself."""

import math

import numpy as np
import pytest

from bnlib import batch_norm, norm_backward
from bnlib.theory import gradient_share, output_spread, xhat_cdf

X = np.linspace(-3, 3, 601)


def inside(x, m):
    return np.clip(x / math.sqrt(m - 1), -1, 1)


def semicircle(t):
    return 0.5 + (t * np.sqrt(1 - t * t) + np.arcsin(t)) / math.pi


@pytest.mark.parametrize(
    ("m", "known"),
    [
        (1, lambda x: (x >= 0) * 1.0),
        (2, lambda x: 0.5 * (x >= -1) + 0.5 * (x >= 1)),
        (3, lambda x: 0.5 + np.arcsin(inside(x, 3)) / math.pi),
        (4, lambda x: (1 + inside(x, 4)) / 2),
        (5, lambda x: semicircle(inside(x, 5))),
    ],
    ids=["zero", "two spikes", "arcsine", "uniform", "semicircle"],
)
def test_small_batches_have_well_known_shapes(m, known):
    np.testing.assert_allclose(xhat_cdf(X, m), known(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("m", [5, 6, 7, 12, 33, 256])
def test_its_slope_is_the_density(m):
    """(1 - x^2/(m-1))^((m-4)/2), normalised by Gamma functions."""
    norm = math.exp(math.lgamma((m - 1) / 2) - math.lgamma((m - 2) / 2)) / math.sqrt(math.pi * (m - 1))
    x, step = np.linspace(-0.9, 0.9, 37) * min(math.sqrt(m - 1), 4), 1e-5
    slope = (xhat_cdf(x + step, m) - xhat_cdf(x - step, m)) / (2 * step)
    np.testing.assert_allclose(slope, norm * (1 - x * x / (m - 1)) ** ((m - 4) / 2), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("m", [2, 3, 4, 5, 8, 31, 200])
def test_measured_shares_of_gaussian_batches(m):
    """Kolmogorov's 1% limit; numbers of one batch repel each other, which only brings them closer."""
    batches = 40_000 // m
    normalized, _ = batch_norm(np.random.default_rng(m).normal(3, 2, (m, batches)), eps=0)
    places = np.linspace(-4.05, 4.05, 271)  # not at ±1, where all of a batch of two is
    measured = np.searchsorted(np.sort(normalized.ravel()), places, side="right") / normalized.size
    assert np.abs(measured - xhat_cdf(places, m)).max() < 1.63 / math.sqrt(normalized.size)


def test_large_batches_are_nearly_normal():
    normal = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in X])
    for m in (64, 256, 1000):
        assert np.abs(xhat_cdf(X, m) - normal).max() < 0.3 / m


@pytest.mark.parametrize("eps", [0, 1e-5, 0.3, 1e3])
@pytest.mark.parametrize("m", [1, 2, 3, 7, 40])
def test_the_share_of_a_gradient_is_that_of_the_jacobian(m, eps):
    """Over gradients of any direction it is the mean over an orthonormal basis, which is exact."""
    x = np.random.default_rng(5).normal(size=m)
    _, cache = batch_norm(np.repeat(x[:, None], m, axis=1), eps=eps)
    back, _, _ = norm_backward(np.eye(m), cache)
    var = float(np.var(x))
    measured = np.square(back * math.sqrt(var + eps)).sum() / m
    assert gradient_share(m, var, eps) == pytest.approx(measured, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("m", [2, 5, 100])
def test_without_eps_two_directions_of_a_gradient_are_lost(m):
    assert gradient_share(m, 0.7, 0) == pytest.approx((m - 2) / m, abs=1e-15)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 50.0])
@pytest.mark.parametrize("eps", [0.0, 1e-8, 1e-5, 1.0])
def test_the_spread_is_what_comes_out(scale, eps):
    x = scale * np.random.default_rng(6).normal(size=(50, 3))
    normalized, _ = batch_norm(x, eps=eps)
    np.testing.assert_allclose(output_spread(x.std(axis=0), eps), normalized.std(axis=0), rtol=1e-9)
    assert output_spread(np.zeros(2), eps).tolist() == [0, 0]
