"""Closed forms, to be drawn beside what is measured. All are for a batch of m numbers of one feature.

"Gaussian" marks what needs independent Gaussian numbers; all else holds for any distribution that has the
moments in question. sigma is the standard deviation of the population, not of the batch.
"""

from __future__ import annotations

from math import acos, exp, hypot, inf, lgamma, log, pi, sqrt
from numbers import Integral

import numpy as np

from .norms.statistics import Array

RELU_GROWTH = pi / (pi - 1)  # what `gradient_growth_relu` tends to for large batches


def _check(name: str, m: int, least: int = 1) -> None:
    if not isinstance(m, Integral) or m < least:
        raise ValueError(
            f"{name}: m={m!r} must be an int of at least {least}; it counts the numbers that share a mean, "
            f"N for vectors, N * H * W for images; try m={max(least, 32)}"
        )


# Statistics of a batch of independent numbers; s2_b is the biased variance that batch norm uses. Elementary:
# if Gaussian, m s2_b / sigma^2 is chi-squared with m-1 degrees of freedom, and sqrt(m) s_b / sigma is chi.


def batch_mean_variance(m: int) -> float:
    """Return the variance of the batch mean in units of sigma^2."""
    _check("batch_mean_variance", m)
    return 1 / m


def batch_var_mean(m: int) -> float:
    """Return E[s2_b] in units of sigma^2; Bessel's correction undoes it."""
    _check("batch_var_mean", m)
    return (m - 1) / m


def batch_var_variance(m: int) -> float:
    """Return the variance of s2_b in units of sigma^4; Gaussian."""
    _check("batch_var_variance", m)
    return 2 * (m - 1) / m / m


def batch_std_mean(m: int) -> float:
    """Return E[s_b] in units of sigma; Gaussian."""
    _check("batch_std_mean", m)
    return sqrt(2 / m) * exp(lgamma(m / 2) - lgamma((m - 1) / 2)) if m > 1 else 0.0


def inverse_std_mean(m: int) -> float:
    """Return E[1/s_b] in units of 1/sigma; Gaussian, infinite for m <= 2, its variance for m=3."""
    _check("inverse_std_mean", m)
    return sqrt(m / 2) * exp(lgamma(m / 2 - 1) - lgamma((m - 1) / 2)) if m > 2 else inf


def inverse_var_mean(m: int) -> float:
    """Return E[1/s2_b] in units of 1/sigma^2; Gaussian, infinite for m <= 3, its variance for m=4, 5."""
    _check("inverse_var_mean", m)
    return m / (m - 3) if m > 3 else inf


# What comes out of batch norm, eps=0 where it is not an argument.


def xhat_cdf(x: Array, m: int) -> Array:
    """Return the share of the x-hats of Gaussian batches of m at or below `x`, eps=0.

    The density is proportional to ``(1 - x^2 / (m-1)) ** ((m-4)/2)`` within ±sqrt(m-1): arcsine for m=3,
    uniform for 4, a semicircle for 5, towards the normal one for large m (Thompson 1935: x-hat is a function
    of a Student t with m-2 degrees of freedom). With x = sqrt(m-1) sin(t) its integral is that of
    cos(t)^(m-3), here by the recurrence from m-2 to m. For m=2 half are at -1, half at 1; for m=1 all at 0.
    """
    if m < 3:
        return np.where(x < 1 - m, 0.0, np.where(x < m - 1, 0.5, 1.0))
    sine = np.clip(x / sqrt(m - 1), -1, 1)
    cosine = np.sqrt(1 - sine * sine)
    power, share = (0, 2 / pi * np.arcsin(sine)) if m % 2 else (1, sine)
    whole = pi / 2 if m % 2 else 1.0  # the integral from 0 to pi/2
    term = sine * cosine ** (power + 1)
    while power < m - 3:
        power += 2
        whole *= (power - 1) / power
        share = share + term / (power * whole)
        term = term * cosine * cosine
    return 0.5 + share / 2


def xhat_kurtosis(m: int) -> float:
    """Return the kurtosis E[xhat^4]; Gaussian. The fourth moment of the density in `xhat_cdf`."""
    _check("xhat_kurtosis", m, 2)
    return 3 * (m - 1) / (m + 1)


def xhat_bound(m: int) -> float:
    """Return the largest possible |x-hat|, which a batch with one number unlike all others attains.

    Elementary: x-hat sums to 0 and its squares to m. (With the unbiased variance: (m-1) / sqrt(m).)
    """
    _check("xhat_bound", m)
    return sqrt(m - 1)


def xhat_correlation(m: int) -> float:
    """Return the correlation of two x-hats of a batch, of any exchangeable numbers; it is negative.

    Elementary: 0 = E[(sum of x-hat)^2] = m + m (m-1) correlation.
    """
    _check("xhat_correlation", m, 2)
    return -1 / (m - 1)


def pair_xhat(gap: Array, eps: float) -> Array:
    """Return x-hat of the first of m=2 numbers, ``gap`` = first - second: ``gap / sqrt(gap^2 + 4 eps)``.

    The second's is its negative. Elementary: the standard deviation is |gap| / 2.
    """
    return output_spread(gap / 2, eps)


def pair_slope(gap: Array, eps: float) -> Array:
    """Return the derivative of the first x-hat by the first of m=2: ``4 eps / (gap^2 + 4 eps)^(3/2)``.

    With eps=0 it is 0: a batch of two lets no gradient pass. Elementary: the derivative of `pair_xhat`.
    """
    cube: Array = np.maximum(np.sqrt(gap * gap + 4 * eps) ** 3, np.finfo(float).tiny)
    return 4 * eps / cube


def output_spread(std: Array, eps: float) -> Array:
    """Return the deviation of x-hat where x has `std`: ``std / sqrt(std^2 + eps)``, 1 without eps."""
    return std / np.maximum(np.sqrt(std * std + eps), np.finfo(float).tiny)


# Gradients through one norm.


def gradient_share(m: int, var: float, eps: float) -> float:
    """Return the expected share of a random gradient's energy that passes back through batch norm.

    Of the m directions the one of equal numbers is lost, the one along x-hat keeps eps / (var + eps), all
    others pass, each times gamma / sqrt(var + eps), which is left out here: (m-2)/m for eps=0. From the
    backward equations of Ioffe & Szegedy 2015, section 3.
    """
    along = eps / (var + eps) if eps else 0.0
    return (m - 2 + along * along) / m if m > 1 else 0.0


def jacobian_eigenvalues(m: int, var: float, eps: float) -> Array:
    """Return the m eigenvalues of the symmetric d xhat / d x of a batch of biased variance `var`, ascending.

    Their eigenvectors: equal numbers (0), x-hat, and all directions at right angles to both. gamma
    multiplies them. From the backward equations of Ioffe & Szegedy 2015, section 3.
    """
    _check("jacobian_eigenvalues", m)
    if var + eps == 0:  # the house's convention for a constant batch without eps
        return np.zeros(m)
    values = np.full(m, 1 / sqrt(var + eps))
    values[0] = 0
    values[1:2] *= eps / (var + eps)
    return values


def squared_gradient_bound(gradient: Array, xhat: Array, std: Array, gamma: Array | float = 1.0) -> Array:
    """Bound the squared norm of the gradient by x, from that by y: shapes (m, ...) give (...).

    ``(gamma / std)^2 (|g|^2 - <1, g>^2 / m - <g, xhat>^2 / m)``, with std = sqrt(var + eps). Santurkar et
    al. 2018, Theorem 4.1; with the same g on both sides it is an equality for eps=0. (Copies that print
    1 / sqrt(m) in the last term state what is not true.)
    """
    m = len(gradient)
    lost = np.square(gradient.sum(axis=0)) + np.square((gradient * xhat).sum(axis=0))
    bound: Array = np.square(gamma / std) * (np.square(gradient).sum(axis=0) - lost / m)
    return bound


# Gradients through many layers.


def gradient_growth_linear(m: int, width: float = inf) -> float:
    """Return the growth of the *squared* gradient norm per layer of a linear network with batch norm.

    Towards the input, at initialization, without skip connections, gamma=1, beta=0, eps=0; infinite for
    m <= 3. Yang et al. 2019, for infinite width. Of a centred gradient (m-2) / (m-1) passes, times
    E[1/s2_b] = (m-1) / (m-3).

    Of a finite `width` one thing is counted, as long as all samples are equally far from each other: the
    gradient meets |w|^2 of the very weights w that have made s2_b. Only their part within the m-1 dimensions
    of the centred samples did, so that E[|w|^2 / s2_b] is (width-2) / width of the product of the means.
    Elementary. For m near `width` the samples don't stay equally far from each other.
    """
    _check("gradient_growth_linear", m, 4)
    return (m - 2) / (m - 3) * (1 - 2 / width)


def gradient_growth_relu(m: int) -> float:
    """Return `gradient_growth_linear` with ReLU after every norm: from m=4 it falls to `RELU_GROWTH`.

    Yang et al. 2019. J(c) = 2 E[relu(u) relu(v)], for standard Gaussians u, v of correlation c, is the
    arc-cosine kernel of Cho & Saul 2009; two numbers of a batch have c = `xhat_correlation`.
    """
    _check("gradient_growth_relu", m, 4)
    c = xhat_correlation(m)
    angle = acos(c)
    j = (sqrt(1 - c * c) + (pi - angle) * c) / pi
    slope = 1 - angle / pi  # dJ/dc
    return ((slope + m - 1) / (1 - j) - 1) / (m - 3)


def trainable_depth(growth: float) -> float:
    """Return about how many layers can be trained if the squared gradient norm grows by `growth` in each.

    16 times the depth over which it grows by a factor e. Yang et al. 2019.
    """
    return 16 / log(growth) if growth > 1 else inf


def residual_second_moment(blocks: int, normalized: bool = True) -> float:
    """Return E[h^2] of a residual stream from 1 on, after `blocks` times h + branch(h), untrained.

    A normalized branch adds 1, its share 1 / (blocks + 1) (De & Smith 2020); one that keeps the second moment
    of what it gets (He et al. 2015) doubles it.
    """
    return blocks + 1.0 if normalized else 2.0**blocks


def residual_gradient_growth(m: int, block: int, start: float = 1.0) -> float:
    """Return the growth of the squared gradient norm through a block h + W relu(norm(h)), from 1 on.

    Batch norm, wide layers, He weights; towards the input, at initialization. What comes back through the
    skip connection is the gradient as it is. What comes back through the branch would have grown by
    `gradient_growth_relu` if the norm saw one branch, as in a plain network; here it sees `block` - 1 of them
    and the beginning of the stream, and divides by their variance over samples. `start` is the beginning's,
    in units of a branch's, which is 1 / `RELU_GROWTH` for large batches. The two have independent signs, so
    that their squares add.
    """
    return 1 + gradient_growth_relu(m) / (start + block - 1)


def block_gradient(block: int, inside: bool = True) -> float:
    """Return the squared gradient norm of a residual block's weights, untrained, in units of width / 2.

    Of W in h + W relu(norm(h)) if the norm is ``inside`` the branch, in norm(h + W relu(h)) if not. Layer or
    RMS norm, wide layers, He weights; the stream begins at E[h^2] = 1; the gradient of the logits is random
    and has length 1. Inside: E[h^2] = l + 1 behind block l, and the last norm divides the gradient's square
    by it; on its way down, block l multiplies that by 1 + 1 / l. So block l has 1 / (l + 1), however many
    blocks follow; of L blocks the last has 1 / (L + 1). Behind the sum: each norm divides the square by 2,
    each block doubles it, and all have 1/2. The orders of the last block are those of Xiong et al. 2020.
    """
    return 1 / (block + 1) if inside else 0.5


# Running statistics as `RunningStats` keeps them: `momentum` weighs the OLD value, so that PyTorch's momentum
# is 1 - momentum. All are elementary: sums of geometric series.


def running_mean_expected(steps: float, momentum: float, mean: float) -> float:
    """Return the expected running mean after `steps` batches with this mean; it starts at 0."""
    start: float = momentum**steps  # the weight the start still has
    return (1 - start) * mean


def running_var_expected(steps: float, momentum: float, var: float) -> float:
    """Return the expected running variance, from 1 on; `var` is the expected *unbiased* batch variance."""
    return 1 + running_mean_expected(steps, momentum, var - 1)


def running_mean_variance(momentum: float, variance: float, steps: float = inf) -> float:
    """Return the running mean's variance if that of batch means is `variance`, after `steps` or at last."""
    return running_mean_expected(2 * steps, momentum, variance) / running_window(momentum)


def running_window(momentum: float) -> float:
    """Return how many batches a plain average of the same variance spans: 19 for 0.9."""
    return (1 + momentum) / (1 - momentum)


def running_lag(momentum: float) -> float:
    """Return by how many steps the running mean trails a mean that changes steadily: 9 for 0.9."""
    return momentum / (1 - momentum)


# Statistics put together from those of parts.


def combine_shards(means: Array, variances: Array, counts: Array) -> tuple[Array, Array]:
    """Return mean and biased variance of all data from those of shards of any size (SyncBN).

    Shapes (shards, ...) and (shards,) give (...). Elementary: the variance within plus that between, which
    is ``sum n_k (s2_k + mean_k^2) / n - mean^2`` without its cancellation.
    """
    mean = np.average(means, axis=0, weights=counts)
    return mean, np.average(variances + np.square(means - mean), axis=0, weights=counts)


def precise_stats(means: Array, variances: Array) -> tuple[Array, Array]:
    """Return population statistics of equal batches, (batches, ...) to (...): PreciseBN (Wu & Johnson 2021).

    ``E[mean_b]`` and ``E[mean_b^2 + s2_b] - E[mean_b]^2``: those of all batches taken as one, biased. An
    average of `variances` alone lacks the variance between batches.
    """
    return combine_shards(means, variances, np.ones(len(means)))


# Weights W in front of a norm: the loss is the same for a W, a > 0 (eps=0), so that its gradient is at right
# angles to W and shrinks as W grows (van Laarhoven 2017). What is not cited follows from this.


def rescaled_gradient(gradient: Array, scale: float) -> Array:
    """Return the gradient at ``scale * W`` from that at W, scale > 0."""
    return gradient / scale


def equivalent_pair(lr: float, weight: Array, scale: float) -> tuple[float, Array]:
    """Return rate and weights that give the same function at every step; weight decay goes by 1/scale^2."""
    return scale**2 * lr, scale * weight


def next_weight_norm(norm: float, gradient_norm: float, lr: float, weight_decay: float = 0.0) -> float:
    """Return |W| after a step of SGD: ``|W+|^2 = (1 - lr weight_decay)^2 |W|^2 + lr^2 |gradient|^2``."""
    return hypot((1 - lr * weight_decay) * norm, lr * gradient_norm)


def equilibrium_norm(unit_gradient: float, lr: float, weight_decay: float, momentum: float = 0.0) -> float:
    """Return |W| where decay and gradients balance: ``|W|^4 = lr G^2 / (2 weight_decay (1 - momentum))``.

    To first order in lr * weight_decay, for gradients independent from step to step. G, `unit_gradient`, is
    their root mean square norm at |W|=1, that is, of |gradient| |W|. `momentum` is the optimizer's, PyTorch's
    SGD. Without it the fixed point of `next_weight_norm`. Wan et al. 2020; Kosson et al. 2023.
    """
    return sqrt(sqrt(lr * unit_gradient**2 / (2 * weight_decay * (1 - momentum))))


def equilibrium_angle(lr: float, weight_decay: float, momentum: float = 0.0) -> float:
    """Return the root mean square angle, in radians, by which W turns in a step at `equilibrium_norm`."""
    return sqrt(2 * lr * weight_decay / (1 + momentum))


def power_iteration_ratio(first: float, second: float, vector: bool = False) -> float:
    """Return by what an iteration of spectral norm multiplies the error of its sigma, or of its `vector`.

    From the two largest singular values, once all others are forgotten. Elementary: W W' multiplies the
    vector's component along the second by (second / first)^2 of that along the first, and sigma, which is
    never too large, is stationary at the true vector: it is off by the square.
    """
    return (second / first) ** (2 if vector else 4)
