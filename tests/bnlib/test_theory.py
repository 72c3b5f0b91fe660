"""The closed forms, against special cases, printed formulas and Monte Carlo through the library itself."""

import math
from functools import cache

import numpy as np
import pytest

from bnlib import RunningStats, batch_norm, norm_backward, theory
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


# Statistics of a batch.


def chi_moment(m, power):
    """E[s_b^power] by quadrature: s_b = u / sqrt(m), u with density ~ u^(m-2) exp(-u^2/2), in t = log u."""
    t = np.linspace(-45, 6, 60_001)
    log_density = (m - 1) * t - np.exp(2 * t) / 2
    density = np.exp(log_density - log_density.max())
    return float((density * np.exp(power * (t - math.log(m) / 2))).sum() / density.sum())


SIZES = [2, 3, 4, 5, 6, 8, 32, 300]


@pytest.mark.parametrize(
    ("form", "power", "first"),
    [
        (theory.batch_std_mean, 1, 2),
        (theory.batch_var_mean, 2, 2),
        (theory.inverse_std_mean, -1, 3),
        (theory.inverse_var_mean, -2, 4),
    ],
)
def test_moments_of_the_batch_std_are_those_of_a_chi(form, power, first):
    for m in SIZES:
        if m >= first:
            assert form(m) == pytest.approx(chi_moment(m, power), rel=1e-10), m


@pytest.mark.parametrize("m", SIZES)
def test_variance_of_the_batch_variance_is_that_of_a_chi_squared(m):
    expected = chi_moment(m, 4) - chi_moment(m, 2) ** 2
    assert theory.batch_var_variance(m) == pytest.approx(expected, rel=1e-8)


def test_printed_means_of_the_inverse_std():
    printed = {3: 2.1708, 4: 1.5958, 8: 1.2036, 32: 1.0414}
    for m, value in printed.items():
        assert theory.inverse_std_mean(m) == pytest.approx(value, abs=5e-5)


def test_where_a_moment_does_not_exist_it_is_infinite():
    assert [theory.inverse_std_mean(m) for m in (1, 2)] == [math.inf] * 2
    assert [theory.inverse_var_mean(m) for m in (1, 2, 3)] == [math.inf] * 3
    assert max(theory.inverse_std_mean(3), theory.inverse_var_mean(4)) < math.inf


def test_one_number_has_no_spread():
    assert theory.batch_mean_variance(1) == 1
    assert theory.batch_var_mean(1) == theory.batch_var_variance(1) == theory.batch_std_mean(1) == 0
    assert theory.xhat_bound(1) == 0


@cache
def batches(m):
    """Means and biased stds of 20,000 Gaussian batches, in units of sigma, and their x-hats."""
    x = np.random.default_rng(100 + m).normal(3, 2, (m, 20_000))
    normalized, kept = batch_norm(x, eps=0)
    return (kept.mean - 3) / 2, np.sqrt(kept.var) / 2, normalized


def agrees(samples, expected):
    """Within four standard errors; numbers that are all equal are compared to rounding."""
    error = samples.std(ddof=1) / math.sqrt(len(samples))
    assert abs(samples.mean() - expected) < 4 * error + 1e-12


# Only where the samples have a finite variance: 1/s_b from m=4, 1/s2_b from m=6.
@pytest.mark.parametrize("m", [1, 2, 3, 4, 6, 8, 32])
def test_measured_moments_of_gaussian_batches(m):
    mean, std, normalized = batches(m)
    agrees(mean**2, theory.batch_mean_variance(m))
    agrees(std, theory.batch_std_mean(m))
    agrees(std**2, theory.batch_var_mean(m))
    agrees((std**2 - np.mean(std**2)) ** 2, theory.batch_var_variance(m))
    if m >= 2:
        agrees((normalized**4).mean(axis=0), theory.xhat_kurtosis(m))
    if m >= 4:
        agrees(1 / std, theory.inverse_std_mean(m))
    if m >= 6:
        agrees(1 / std**2, theory.inverse_var_mean(m))


# What comes out of batch norm.


@pytest.mark.parametrize("m", [3, 4, 5, 8, 33])
def test_the_kurtosis_is_that_of_the_distribution(m):
    x, step = np.linspace(0, math.sqrt(m - 1), 200_001, retstep=True)
    tail = 4 * x**3 * (1 - xhat_cdf(x, m))  # E[x^4], integrated by parts; x is symmetric
    assert theory.xhat_kurtosis(m) == pytest.approx(2 * step * (tail.sum() - tail[-1] / 2), rel=1e-6)


@pytest.mark.parametrize("m", [1, 2, 3, 8, 50])
def test_no_xhat_exceeds_the_bound_and_a_lone_number_attains_it(m):
    lone, _ = batch_norm(np.eye(m)[:, :1] * 7 + 2, eps=0)
    assert lone[0, 0] == pytest.approx(theory.xhat_bound(m), rel=1e-12)
    heavy = np.random.default_rng(m).standard_cauchy((m, 2000))
    assert np.abs(batch_norm(heavy, eps=0)[0]).max() <= theory.xhat_bound(m) * (1 + 1e-12)


@pytest.mark.parametrize("m", [2, 3, 7, 40])
def test_the_numbers_of_a_batch_repel_each_other(m):
    """The mean product of two of a batch is the same for every batch, of whatever numbers."""
    normalized, _ = batch_norm(np.random.default_rng(m).exponential(size=(m, 20)), eps=0)
    products = np.einsum("ic,jc->cij", normalized, normalized)
    pairs = products[:, ~np.eye(m, dtype=bool)].mean(axis=1)
    np.testing.assert_allclose(pairs, theory.xhat_correlation(m), rtol=0, atol=1e-12)


@pytest.mark.parametrize("eps", [0, 1e-5, 0.3, 20.0])
def test_a_batch_of_two_depends_on_the_gap_alone(eps):
    gap = np.array([-30, -1, -0.02, 0, 1e-4, 0.5, 3, 1e3])
    normalized, kept = batch_norm(np.stack([5 + gap / 2, 5 - gap / 2]), eps=eps)
    slope, _, _ = norm_backward(np.stack([np.ones(8), np.zeros(8)]), kept)
    np.testing.assert_allclose(theory.pair_xhat(gap, eps), normalized[0], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(theory.pair_xhat(-gap, eps), normalized[1], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(theory.pair_slope(gap, eps), slope[0], rtol=1e-9, atol=1e-10)


def test_without_eps_a_batch_of_two_passes_no_gradient():
    assert theory.pair_slope(np.array([-2, 0, 1e-3, 5]), 0).tolist() == [0] * 4
    assert theory.pair_xhat(np.array([-2, 0, 1e-3, 5]), 0).tolist() == [-1, 0, 1, 1]


# Gradients through one norm.


@pytest.mark.parametrize("eps", [0, 1e-3, 0.3, 50.0])
@pytest.mark.parametrize("m", [1, 2, 3, 9, 40])
def test_eigenvalues_are_those_of_the_jacobian(m, eps):
    for x in (np.random.default_rng(m).normal(1, 2, m), np.full(m, 4.0)):
        _, kept = batch_norm(np.repeat(x[:, None], m, axis=1), eps=eps)
        jacobian, _, _ = norm_backward(np.eye(m), kept)
        np.testing.assert_allclose(jacobian, jacobian.T, rtol=0, atol=1e-12)
        formula = theory.jacobian_eigenvalues(m, float(np.var(x)), eps)
        np.testing.assert_allclose(formula, np.linalg.eigvalsh(jacobian), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("m", [2, 3, 8, 64])
def test_santurkars_bound_is_met_without_eps_and_only_then(m):
    rng = np.random.default_rng(m)
    x, gradient, gamma = rng.normal(1, 3, (m, 50)), rng.normal(0.5, 1, (m, 50)), rng.normal(size=50)
    squared, bound = {}, {}
    for eps in (0.0, 0.3):
        normalized, kept = batch_norm(x, gamma, eps=eps)
        squared[eps] = np.square(norm_backward(gradient, kept)[0]).sum(axis=0)
        std, xhat = np.sqrt(kept.var + eps), normalized / gamma
        bound[eps] = theory.squared_gradient_bound(gradient, xhat, std, gamma)
        unscaled = theory.squared_gradient_bound(gradient, xhat, std)
        np.testing.assert_allclose(bound[eps], gamma**2 * unscaled, rtol=1e-12)
    scale = np.square(gamma / x.std(axis=0) * gradient).sum(axis=0)  # of two numbers no gradient is left
    np.testing.assert_allclose(bound[0.0] / scale, squared[0.0] / scale, rtol=1e-10, atol=1e-13)
    assert (squared[0.3] < bound[0.3]).all()


# Gradients through many layers.


@pytest.mark.parametrize(
    ("growth", "printed"),
    [
        (theory.gradient_growth_linear, [1.5, 1.333, 1.2, 1.077, 1.034, 1.016, 1.008, 1.004]),
        (theory.gradient_growth_relu, [2.274, 2.004, 1.788, 1.590, 1.522, 1.493, 1.480, 1.473]),
    ],
)
def test_printed_growth_of_gradients(growth, printed):
    sizes = [5, 6, 8, 16, 32, 64, 128, 256]
    np.testing.assert_allclose([growth(m) for m in sizes], printed, rtol=0, atol=6e-4)


def test_linear_growth_is_what_one_norm_passes():
    """Shares and E[1/s2_b] of independent Gaussian numbers give the same product as those of the network."""
    for m in (4, 5, 20, 300):
        one = gradient_share(m, 1, 0) * theory.inverse_var_mean(m)
        assert theory.gradient_growth_linear(m) == pytest.approx(one, rel=1e-12)


@pytest.mark.parametrize(("m", "width"), [(6, 8), (8, 14)])
def test_linear_growth_of_few_units(m, width):
    """One layer, samples equally far from each other, which leaves nothing to large numbers."""
    rng, growth = np.random.default_rng(3), []
    for _ in range(3000):
        x = np.linalg.qr(rng.normal(size=(width, m)))[0].T
        weight = rng.normal(size=(width, width)) / math.sqrt(width)
        x = (x - x.mean(axis=0)) * math.sqrt(width * m / (m - 1))  # mean square 1, as behind a norm
        assert np.square(x).mean() == pytest.approx(1)
        g = rng.normal(size=(m, width))
        g -= g.mean(axis=0)
        back, _, _ = norm_backward(g, batch_norm(x @ weight, eps=0)[1])
        growth.append(np.square(back @ weight.T).sum() / np.square(g).sum())
    error = np.std(growth) / math.sqrt(len(growth))
    assert error < 0.05 * theory.gradient_growth_linear(m)
    assert np.mean(growth) == pytest.approx(theory.gradient_growth_linear(m, width), abs=4 * error)
    assert theory.gradient_growth_linear(m) - np.mean(growth) > 6 * error


@pytest.mark.parametrize("variance", [0.2, 2.0])
def test_measured_growth_through_residual_blocks(variance):
    """Geometric mean of eight streams that begin with this variance; a branch has 1 - 1/pi."""
    width, m, blocks, logs = 256, 32, 8, []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        h, kept = rng.normal(0, math.sqrt(variance), (m, width)), []
        for _ in range(blocks):
            weight = rng.normal(0, math.sqrt(2 / width), (width, width))
            xhat, cache = batch_norm(h, eps=0)
            kept.append((weight, xhat, cache))
            h = h + np.maximum(xhat, 0) @ weight
        back = rng.normal(size=h.shape)
        lengths = [np.square(back).sum()]
        for weight, xhat, cache in reversed(kept):
            back = back + norm_backward(back @ weight.T * (xhat > 0), cache)[0]
            lengths.append(np.square(back).sum())
        logs.append(np.diff(np.log(lengths))[::-1])
    start = variance / (1 - 1 / math.pi)
    expected = [theory.residual_gradient_growth(m, block, start) for block in range(1, blocks + 1)]
    found = np.exp(np.mean(logs, axis=0))
    np.testing.assert_allclose(found - 1, np.array(expected) - 1, rtol=0.12)
    assert np.prod(found) == pytest.approx(np.prod(expected), rel=0.05)


def test_relu_growth_of_large_batches():
    assert abs(theory.RELU_GROWTH - 1.4669) < 5e-5
    assert math.sqrt(theory.RELU_GROWTH) == pytest.approx(1.211, abs=5e-4)
    assert theory.gradient_growth_relu(10**7) == pytest.approx(theory.RELU_GROWTH, abs=1e-6)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("m", [8, 24])
def test_measured_growth_of_gradients(m, relu):
    """Slope between layers 5 and 24 of 30, leaving out the outer ones, on average over six networks."""
    width, slopes = 400, []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        layers, h = [], rng.normal(size=(m, width))
        for _ in range(30):
            weight = rng.normal(size=(width, width)) / math.sqrt(width)
            h, kept = batch_norm(h @ weight, eps=0)
            passed = (h > 0) if relu else np.ones_like(h)
            h = h * passed
            layers.append((weight, kept, passed))
        back, logs = rng.normal(size=(m, width)), []
        for weight, kept, passed in reversed(layers):
            before, _, _ = norm_backward(back * passed, kept)
            logs.append(math.log(np.square(before).sum()))
            back = before @ weight.T
        slopes.append((logs[25] - logs[6]) / 19)
    growth = theory.gradient_growth_relu if relu else theory.gradient_growth_linear
    assert math.exp(np.mean(slopes)) == pytest.approx(growth(m), rel=0.04)


def test_trainable_depth():
    assert round(theory.trainable_depth(theory.RELU_GROWTH)) == 42
    depth = theory.trainable_depth(1.2)
    assert 1.2**depth == pytest.approx(math.exp(16), rel=1e-9)
    assert theory.trainable_depth(1.0) == theory.trainable_depth(0.9) == math.inf


@pytest.mark.parametrize(("normalized", "tolerance"), [(True, 0.03), (False, 0.15)])
def test_measured_residual_stream(normalized, tolerance):
    rng, width = np.random.default_rng(4), 400
    h = rng.normal(size=(64, width))
    for blocks in range(1, 13):
        inner = batch_norm(h, eps=0)[0] if normalized else h
        h = h + np.maximum(inner, 0) @ rng.normal(0, math.sqrt(2 / width), (width, width))
        expected = theory.residual_second_moment(blocks, normalized)
        assert np.square(h).mean() == pytest.approx(expected, rel=tolerance)
    assert theory.residual_second_moment(0, normalized) == 1


@pytest.mark.parametrize("inside", [True, False])
def test_measured_block_gradients(inside):
    """RMS norm by hand, one sample at a time: its gradient of W is an outer product."""
    rng, width, blocks = np.random.default_rng(8), 300, 9

    def rms(h):
        return np.sqrt(np.square(h).mean(axis=1, keepdims=True))

    def back(d, h):  # through h / rms(h)
        return (d - h * (d * h).mean(axis=1, keepdims=True) / rms(h) ** 2) / rms(h)

    streams, weights = [rng.normal(size=(200, width))], []
    for _ in range(blocks):
        h = streams[-1] if inside else streams[-1] / rms(streams[-1])  # what enters the block
        weights.append(rng.normal(0, math.sqrt(2 / width), (width, width)))
        streams.append(h + np.maximum(h / rms(h), 0) @ weights[-1])
    top = rng.normal(size=(200, 100)) / math.sqrt(100)
    d = top @ rng.normal(0, math.sqrt(2 / width), (100, width))
    d = back(
        d * (streams[-1] > 0), streams[-1]
    )  # of the last stream: its norm and ReLU come before the output
    for block in range(blocks, 0, -1):
        h = streams[block - 1] if inside else streams[block - 1] / rms(streams[block - 1])
        active = np.maximum(h / rms(h), 0)
        energy = np.square(active).sum(axis=1) * np.square(d).sum(axis=1) / (width / 2)
        assert energy.mean() == pytest.approx(theory.block_gradient(block, inside), rel=0.1)
        branch = d @ weights[block - 1].T * (h > 0)
        d = d + back(branch, h) if inside else back(d + branch, streams[block - 1])


# Running statistics.


@pytest.mark.parametrize("momentum", [0, 0.5, 0.9, 0.99])
def test_running_statistics_of_equal_batches(momentum):
    stats = RunningStats.zeros(1, momentum=momentum)
    for steps in range(40):
        assert stats.mean[0] == pytest.approx(theory.running_mean_expected(steps, momentum, -3), abs=1e-12)
        assert stats.var[0] == pytest.approx(theory.running_var_expected(steps, momentum, 7), abs=1e-12)
        stats = stats.update(np.array([-3.0]), np.array([7 * 3 / 4]), 4)  # biased: 7 by Bessel's correction


def test_running_statistics_of_gaussian_batches():
    rng, m, momentum = np.random.default_rng(8), 8, 0.8
    stats = RunningStats.zeros(4000, momentum=momentum)
    variance = 4 * theory.batch_mean_variance(m)
    for steps in range(1, 81):
        _, kept = batch_norm(rng.normal(3, 2, (m, 4000)))
        stats = stats.update(kept.mean, kept.var, m)
        if steps in (1, 4, 80):
            agrees(stats.mean, theory.running_mean_expected(steps, momentum, 3))
            agrees(stats.var, theory.running_var_expected(steps, momentum, 4))
            spread = (stats.mean - stats.mean.mean()) ** 2
            agrees(spread, theory.running_mean_variance(momentum, variance, steps))
    agrees(spread, theory.running_mean_variance(momentum, variance))


@pytest.mark.parametrize("momentum", [0, 0.5, 0.9, 0.99])
def test_window_and_lag_are_those_of_the_weights(momentum):
    lone = RunningStats.zeros(1, momentum=momentum).update(np.ones(1), np.ones(1), 2)
    weights = lone.mean[0] * momentum ** np.arange(3000)  # of batches by their age
    assert theory.running_window(momentum) == pytest.approx(1 / np.square(weights).sum(), rel=1e-9)
    assert theory.running_lag(momentum) == pytest.approx((np.arange(3000) * weights).sum(), rel=1e-9)


def test_printed_window_and_the_lag_behind_a_ramp():
    pytorch = 0.1
    assert theory.running_window(1 - pytorch) == pytest.approx((2 - pytorch) / pytorch) == pytest.approx(19)
    stats = RunningStats.zeros(1, momentum=1 - pytorch)
    for step in range(400):
        stats = stats.update(np.array([float(step)]), np.ones(1), 2)
    assert step - stats.mean[0] == pytest.approx(theory.running_lag(1 - pytorch)) == pytest.approx(9)


# Statistics put together from those of parts.


def test_uneven_shards_are_put_together_to_the_full_batch():
    rng = np.random.default_rng(9)
    x = np.sort(rng.normal(1e3, 2, (60, 4)), axis=0)  # sorted, so that the shards' means differ
    parts = [batch_norm(part)[1] for part in np.split(x, [1, 4, 30])]
    means, variances = (np.stack([getattr(part, name) for part in parts]) for name in ("mean", "var"))
    mean, var = theory.combine_shards(means, variances, np.array([1, 3, 26, 30]))
    _, full = batch_norm(x)
    np.testing.assert_allclose(mean, full.mean, rtol=1e-13)
    np.testing.assert_allclose(var, full.var, rtol=1e-11)
    np.testing.assert_allclose(var, x.var(axis=0), rtol=1e-11)


def test_precise_statistics_of_equal_batches_are_those_of_all_data():
    x = np.random.default_rng(10).normal(1, 2, (12, 5, 3)) + np.arange(12)[:, None, None]
    mean, var = theory.precise_stats(x.mean(axis=1), x.var(axis=1))
    np.testing.assert_allclose(mean, x.reshape(60, 3).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(var, x.reshape(60, 3).var(axis=0), rtol=1e-12)


# Weights in front of a norm.


def step(weight, x, target):
    """Output and gradient of a loss behind batch norm that depends on the weights in no simple way."""
    y, kept = batch_norm(x @ weight, eps=0)
    dx, _, _ = norm_backward((y - target) ** 3 / len(x), kept)
    return y, x.T @ dx


def problem(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(7, 5)), rng.normal(size=(40, 7)), rng.normal(size=(40, 5))


@pytest.mark.parametrize("scale", [0.01, 0.5, 30.0])
def test_a_gradient_shrinks_as_its_weights_grow(scale):
    weight, x, target = problem(11)
    _, gradient = step(weight, x, target)
    _, there = step(scale * weight, x, target)
    np.testing.assert_allclose(theory.rescaled_gradient(gradient, scale), there, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose((weight * gradient).sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_the_norm_of_weights_follows_from_the_norms_of_gradients(decay):
    weight, x, target = problem(12)
    norm = [math.hypot(*column) for column in weight.T]
    for _ in range(20):
        _, gradient = step(weight, x, target)
        norm = [
            theory.next_weight_norm(n, math.hypot(*column), 0.3, decay)
            for n, column in zip(norm, gradient.T, strict=True)
        ]
        weight = weight - 0.3 * (gradient + decay * weight)
        np.testing.assert_allclose(np.linalg.norm(weight, axis=0), norm, rtol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_equivalent_pairs_train_alike(decay):
    weight, x, target = problem(13)
    scale = 10.0
    lr, other = theory.equivalent_pair(0.3, weight, scale)
    for _ in range(30):
        y, gradient = step(weight, x, target)
        same, scaled = step(other, x, target)
        np.testing.assert_allclose(y, same, rtol=0, atol=1e-10)
        weight = weight - 0.3 * (gradient + decay * weight)
        other = other - lr * (scaled + decay / scale**2 * other)
    np.testing.assert_allclose(other, scale * weight, rtol=1e-9)
    assert np.abs(batch_norm(x @ problem(13)[0], eps=0)[0] - y).max() > 0.1  # it did go somewhere


@pytest.mark.parametrize("momentum", [0, 0.5, 0.9])
@pytest.mark.parametrize(("lr", "decay", "start"), [(0.5, 0.01, 3.0), (0.1, 0.04, 0.4)])
def test_weight_decay_and_gradients_come_to_a_balance(lr, decay, start, momentum):
    """SGD as PyTorch writes it, on 40 neurons behind batch norm; a new random gradient in every step."""
    rng, replicas, steps = np.random.default_rng(14), 40, round(6 / (lr * decay))
    weight = rng.normal(size=(16, replicas)) * start / 4
    velocity, squares, angles, units = np.zeros_like(weight), [], [], []
    for _ in range(steps):
        x = rng.normal(size=(12, 16))
        _, kept = batch_norm(x @ weight, eps=0)
        gradient = x.T @ norm_backward(rng.normal(size=(12, replicas)) / 12, kept)[0]
        velocity = momentum * velocity + gradient + decay * weight
        moved = weight - lr * velocity
        norm, after = np.linalg.norm(weight, axis=0), np.linalg.norm(moved, axis=0)
        squares.append(norm**2)
        units.append((np.linalg.norm(gradient, axis=0) * norm) ** 2)
        angles.append(np.arccos((weight * moved).sum(axis=0) / (norm * after)) ** 2)
        weight = moved
    square, unit, angle = (np.mean(values[steps // 2 :]) for values in (squares, units, angles))
    expected = theory.equilibrium_norm(math.sqrt(unit), lr, decay, momentum)
    assert square == pytest.approx(expected**2, rel=0.03)
    assert math.sqrt(angle) == pytest.approx(theory.equilibrium_angle(lr, decay, momentum), rel=0.02)


def test_the_balance_is_where_the_norm_stays():
    norm, lr, decay = theory.equilibrium_norm(3.0, 0.2, 1e-4), 0.2, 1e-4
    after = theory.next_weight_norm(norm, 3.0 / norm, lr, decay)
    assert after == pytest.approx(norm, rel=(lr * decay) ** 2)
    assert math.cos(theory.equilibrium_angle(lr, decay)) == pytest.approx(
        1 - lr * decay, rel=(lr * decay) ** 2
    )


@pytest.mark.parametrize(("first", "second"), [(2.0, 1.6), (5.0, 2.5)])
def test_power_iteration_converges_at_its_ratio(first, second):
    rng = np.random.default_rng(15)
    left, _ = np.linalg.qr(rng.normal(size=(9, 5)))
    right, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    weight = left * [first, second, 0.7, 0.3, 0.1] @ right.T
    u, errors, sines = rng.normal(size=9), [], []
    for _ in range(30):
        v = weight.T @ u
        u = weight @ (v / np.linalg.norm(v))
        errors.append(first - np.linalg.norm(u))
        sines.append(np.linalg.norm(left[:, 1:].T @ u) / np.linalg.norm(u))
    late = [k for k in range(30) if 1e-11 < errors[k] < 1e-5]  # after the start, before rounding
    for k in late[1:]:
        assert errors[k] / errors[k - 1] == pytest.approx(
            theory.power_iteration_ratio(first, second), rel=2e-3
        )
        assert sines[k] / sines[k - 1] == pytest.approx(
            theory.power_iteration_ratio(first, second, vector=True), rel=2e-3
        )
    assert len(late) > 2
    assert min(errors) > -1e-14


# Errors.


def jacobian_eigenvalues(m):
    return theory.jacobian_eigenvalues(m, 1.0, 0.0)


LEAST = {
    theory.batch_mean_variance: 1,
    theory.batch_var_mean: 1,
    theory.batch_var_variance: 1,
    theory.batch_std_mean: 1,
    theory.inverse_std_mean: 1,
    theory.inverse_var_mean: 1,
    theory.xhat_kurtosis: 2,
    theory.xhat_bound: 1,
    theory.xhat_correlation: 2,
    jacobian_eigenvalues: 1,
    theory.gradient_growth_linear: 4,
    theory.gradient_growth_relu: 4,
}


@pytest.mark.parametrize(("form", "least"), LEAST.items())
def test_a_batch_size_that_means_nothing_is_refused(form, least):
    for m in (least - 1, -8, 8.0, math.nan, math.inf, "8", None):
        message = rf"^{form.__name__}: m={m!r} must be an int of at least {least}; .*try m=32"
        with pytest.raises(ValueError, match=message):
            form(m)
    form(least)
    np.testing.assert_array_equal(form(np.int64(least + 5)), form(least + 5))
