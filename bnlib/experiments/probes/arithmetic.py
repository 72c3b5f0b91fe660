"""Measures that need no network: one batch, one matrix or one layer against what theory says of it."""

from __future__ import annotations

import numpy as np

from ... import theory
from ...networks.config import RunConfig
from ...norms.public import batch_norm, norm_backward
from ...norms.statistics import Array
from ...norms.table import NORMS
from ...norms.weights import spectral_norm

Measured = dict[str, Array]


def gaussian_batches(config: RunConfig, steps: int) -> Measured:
    """Measure statistics of `steps` Gaussian batches through batch norm with eps=0, seed by seed.

    Each comes with its standard error, name + "_se"; "distance" is Kolmogorov and Smirnov's between the
    x-hats of one element of each batch, which are independent, and `theory.xhat_cdf`; "density" (R, 80) of
    those x-hats from -4 to 4.
    """
    m, rows = config.batch_size, []
    for replica in range(config.replicas):
        rng = np.random.default_rng((config.seed + replica, m))
        samples: dict[str, list[Array]] = {}
        for begin in range(0, steps, 20_000):
            x = rng.standard_normal((m, min(20_000, steps - begin)))
            xhat, cache = batch_norm(x, eps=0.0)
            std = np.sqrt(cache.var)
            part = {"s": std, "inverse_s": 1 / std, "inverse_s2": 1 / cache.var, "mean2": cache.mean**2}
            part |= {"s2": cache.var, "kurtosis": (xhat**4).mean(axis=0), "first": xhat[0]}
            part["largest"] = np.abs(xhat).max(axis=0)
            for name, array in part.items():
                samples.setdefault(name, []).append(array)
        whole = {name: np.concatenate(parts) for name, parts in samples.items()}
        first, largest = np.sort(whole.pop("first")), whole.pop("largest").max()
        cdf = theory.xhat_cdf(first, m)
        if m == 2:  # a jump: what the distance is at each number would be the jump
            distance = abs((first < 0).mean() - 0.5)
        else:
            rank = np.arange(steps)
            distance = max((cdf - rank / steps).max(), ((rank + 1) / steps - cdf).max())
        row = {name: array.mean() for name, array in whole.items()}
        row |= {f"{name}_se": array.std() / np.sqrt(steps) for name, array in whole.items()}
        density = np.histogram(first, 80, (-4, 4))[0] / steps * 10
        rows.append(row | {"distance": distance, "largest": largest, "density": density, "batches": steps})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def jacobian(config: RunConfig, steps: int) -> Measured:
    """Measure how far batch norm's Jacobian, for `batch_size` and eps, is from theory; (R,) each.

    "spectrum": largest error of an eigenvalue; "projector": of P^2 = P with eps=0; "santurkar": relative
    error of Theorem 4.1 as an equality, random upstream gradients, `steps` of them; "pair": of the m=2 form.
    """
    m, eps, rows = config.batch_size, config.eps, []
    for replica in range(config.replicas):
        rng = np.random.default_rng((config.seed + replica, m))
        x = rng.standard_normal(m)
        _, cache = batch_norm(np.repeat(x[:, None], m, axis=1), eps=eps)
        columns, _, _ = norm_backward(np.eye(m), cache)
        var = float(x.var())
        scaled = columns * np.sqrt(var + eps)
        expected = np.sort(theory.jacobian_eigenvalues(m, var, eps)) * np.sqrt(var + eps)
        found = np.linalg.eigvalsh((scaled + scaled.T) / 2)
        row = {"spectrum": np.abs(found - expected).max(), "eigenvalues": found}
        row["gradient"] = np.square(scaled).sum() / m  # of a random gradient's energy
        row["projector"] = np.abs(scaled @ scaled - scaled).max() if eps == 0 else 0.0
        xhat, cache = batch_norm(np.repeat(x[:, None], steps, axis=1), eps=eps)
        g = rng.standard_normal((m, steps))
        dx, _, _ = norm_backward(g, cache)
        bound = theory.squared_gradient_bound(g, xhat, np.sqrt(cache.var))
        error = np.abs(np.square(dx).sum(axis=0) - bound) * cache.var / np.square(g).sum(axis=0)
        row["santurkar"] = error.max() if eps == 0 else 0.0  # a share of the gradient's own square
        # Two numbers: x-hat and its slope, closed forms of their distance.
        _, pair = batch_norm(x[:2, None], eps=eps)
        slope = norm_backward(np.array([[1.0], [0.0]]), pair)[0][0, 0]
        row["pair"] = abs(slope - theory.pair_slope(x[0] - x[1], eps))
        rows.append(row)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def invariances(config: RunConfig, steps: int) -> Measured:
    """Measure how far a normalized linear map's output moves when weights or data do; (R,) each.

    The largest change over the largest output, eps=0, Gaussian weights and data, a random factor and a random
    vector a seed (Ba et al. 2016, Table 1). "weights_shifted": by the same vector for every unit;
    "unit_scaled": the first unit's weights alone; "sample_scaled": the first sample alone.
    """
    norm, inputs, rows = NORMS[config.norm], config.data().x_train.shape[1], []
    first = np.eye(max(config.width, config.batch_size))[:, :1]

    def output(x: Array, w: Array) -> Array:
        if norm.weights:
            return np.asarray(x @ norm.forward(w, np.ones(len(w)))[0].T)
        return np.asarray(norm.forward(x @ w.T, eps=0.0)[0])

    for replica in range(config.replicas):
        rng = np.random.default_rng((config.seed + replica, 5))
        x, w = (rng.standard_normal((n, inputs)) for n in (config.batch_size, config.width))
        factor, shift = rng.uniform(2, 5), rng.standard_normal(inputs)
        before = output(x, w)
        after = {
            "weights_scaled": output(x, factor * w),
            "weights_shifted": output(x, w + shift),
            "unit_scaled": output(x, w * factor ** first[: len(w)]),
            "data_scaled": output(factor * x, w),
            "data_shifted": output(x + shift, w),
            "sample_scaled": output(x * factor ** first[: len(x)], w),
        }
        rows.append({name: np.abs(y - before).max() / np.abs(before).max() for name, y in after.items()})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def power_iteration(config: RunConfig, steps: int, values: tuple[float, ...]) -> Measured:
    """Follow spectral norm to the first of a random matrix's singular `values`, descending; (R,) each.

    "ratio": the relative error of sigma over the one an iteration before, where it is last above 1e-9, far
    from rounding; "vector": the same of the sine of the angle between u and the first left singular vector,
    last above 1e-6; "excess": the most by which sigma is too large, relative, in `steps` iterations.
    """
    shape, rows = (config.width, config.data().x_train.shape[1]), []
    for replica in range(config.replicas):
        rng = np.random.default_rng((config.seed + replica, 7))
        left, right = (np.linalg.qr(rng.standard_normal((n, len(values))))[0] for n in shape)
        weight, u, sigma, sine = left * values @ right.T, None, np.empty(steps), np.empty(steps)
        for step in range(steps):
            _, sigma[step], u = spectral_norm(weight, u, seed=config.seed + replica)
            sine[step] = np.linalg.norm(u - (left[:, 0] @ u) * left[:, 0])
        excess, row = sigma / values[0] - 1, {}
        for name, error, least in (("ratio", -excess, 1e-9), ("vector", sine, 1e-6)):
            last = np.flatnonzero(error > least)[-1]
            row[name] = error[last] / error[last - 1]
        rows.append(row | {"excess": excess.max()})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
