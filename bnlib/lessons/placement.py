"""What the chapter on placement measures: who shares a mean, a bias before a norm, both orders, starts.

Networks are trained in eight seeds side by side; each function is a job for the pool, a second at most.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from ..data import load
from ..experiments.probes.passes import next_batch, watch
from ..networks.config import RunConfig
from ..networks.conv import convolve
from ..networks.layers import cross_entropy
from ..networks.network import forward, there_and_back
from ..networks.parameters import Layer, in_layers, one_of, plan
from ..networks.units import Trace
from ..norms.core import normalize_backward
from ..norms.public import batch_norm
from ..norms.statistics import Array
from ..training.evaluation import error
from ..training.telemetry import SATURATED_SLOPE
from ..training.train import Run, advance, start

Found = dict[str, Array]

SAMPLES, INPUTS, CHANNELS, SIDE = 500, 16, 32, 8  # validation digits; channels in, at most out; pixels across
EDGES = np.linspace(-4, 4, 81)  # of histograms; the outermost bins hold what lies beyond
STAGES = 3
QUIET = 10**6  # steps between frames that nobody looks at


# ---- who shares a mean -----------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def activations(network: str, seed: int = 0) -> Array:
    """Return what leaves a linear map of 500 digits, before any norm; float64, read-only.

    "cnn": the second of two 3 x 3 convolutions, with 16 channels in between and ReLU behind the first,
    (500, 32, 8, 8); "mlp": a dense layer, (500, 32, 1, 1). He et al.'s weights, drawn from ``(seed, 9)``.
    """
    rng, x = np.random.default_rng((seed, 9)), load("digits").x_val
    if network == "mlp":
        z = (x @ _drawn(rng, SIDE**2, (SIDE**2, CHANNELS)))[:, :, None, None]
    else:
        first = _drawn(rng, 9, (INPUTS, 1, 3, 3))
        second = _drawn(rng, 9 * INPUTS, (CHANNELS, INPUTS, 3, 3))
        hidden = np.maximum(convolve(x.reshape(-1, 1, SIDE, SIDE), first, padding=1)[0], 0)
        z = convolve(hidden, second, padding=1)[0]
    z.setflags(write=False)
    return z


def _drawn(rng: np.random.Generator, inputs: int, shape: tuple[int, ...]) -> Array:
    weights: Array = np.sqrt(2 / inputs) * rng.standard_normal(shape)
    return weights


def pooled(network: str, side: int) -> Array:
    """Return `activations` averaged over squares, so that ``side`` x ``side`` positions are left."""
    z = activations(network)
    whole = z.shape[-1]
    if side >= whole:
        return z
    parts = z.reshape(*z.shape[:2], side, whole // side, side, whole // side)
    small: Array = parts.mean(axis=(3, 5))
    return small


def sharers(x: Array, sample: int, channel: int, by: float = 1.0) -> Array:
    """Return which outputs of batch norm change when one number of ``x`` (N, C, H, W) does: a mask.

    The number is that of the first position of ``sample`` in ``channel``; ``by`` is in standard deviations
    of ``x``. Where a number is alone, none changes: it is its own mean.
    """
    nudged = x.copy()
    nudged[sample, channel, 0, 0] += by * x.std()
    moved = np.abs(batch_norm(nudged)[0] - batch_norm(x)[0])
    changed: Array = moved > 1e-12  # a number that shares its mean moves by 1e-4 and more; rounding is 1e-15
    return changed


def scatter(network: str, side: int, sizes: tuple[int, ...], draws: int = 400) -> Found:
    """Measure how far the mean of a channel scatters from batch to batch.

    Batches of each of ``sizes`` are drawn at random from the 500 digits, ``draws`` of them.

    Returns
    -------
    measured : (sizes, channels), the standard deviation of the mean over batches, in units of that of all
        numbers of the channel
    exact : (channels,), that of a single image's mean, which for n images is divided by sqrt(n)
    layout : (channels,), the share of the variance that lies between positions, in all images alike
    """
    x = pooled(network, side)
    means, spread = x.mean(axis=(2, 3)), x.std(axis=(0, 2, 3))
    layout = x.mean(axis=0).var(axis=(1, 2)) / spread**2
    rng = np.random.default_rng(10)
    measured = [means[rng.integers(SAMPLES, size=(draws, n))].mean(axis=1).std(axis=0) for n in sizes]
    return {"measured": np.array(measured) / spread, "exact": means.std(axis=0) / spread, "layout": layout}


# ---- a bias before a norm --------------------------------------------------------------------------------


def with_biases(layers: list[Layer]) -> list[Layer]:
    """Give every layer a bias of zeros where it has none: the engine leaves it out before batch norm."""
    return [
        layer if layer.bias is not None else layer._replace(bias=np.zeros_like(layer.weight[:, :1]))
        for layer in layers
    ]


def gradients_with_biases(run: Run) -> tuple[list[Layer], list[Trace], list[Array]]:
    """Return the gradients of the run's next loss, of biases before batch norm too, its traces and ds.

    ds, per hidden layer (R, N, units), is the gradient of what leaves the linear map: its sum over the batch
    is that of the bias.
    """
    config, (x, labels) = run.config, next_batch(run)
    flat = np.zeros_like(run.flat)
    gradients = with_biases(in_layers(config, plan(config).views(flat)))

    def top(logits: Array) -> Array:
        return cross_entropy(logits, labels)[1]

    _, trace, dz = there_and_back(config, with_biases(run.layers), gradients, x, top)
    behind = config.norm == "none" or config.placement == "after"
    pulls = [d if behind else normalize_backward(d, t.norm)[0] for d, t in zip(dz, trace, strict=True)]
    return gradients, trace, pulls


def bias(config: RunConfig, steps: int, every: int, unit: int) -> Found:
    """Train, and look at the gradients of a dense network that has a bias in every layer.

    Returns
    -------
    step : (looks,)
    weight, bias, gamma, beta : (R, looks), root mean square over all hidden layers' numbers of that kind;
        gamma and beta only where there is a norm
    pulls : (N,), what each sample of the last batch adds to the gradient of the unit's bias in the first
        layer of the first network
    z : (500, units), what leaves that layer's linear map for the validation digits
    own_gamma, own_beta : (units,) of its norm, where there is one
    """
    runs = list(watch(config, steps, every))
    kinds = ("weight", "bias") + (() if config.norm == "none" else ("gamma", "beta"))
    looks: dict[str, list[Array]] = {name: [] for name in kinds}
    pulls: list[Array] = []
    for run in runs:
        gradients, _, pulls = gradients_with_biases(run)
        for name in kinds:
            squares = [np.square(getattr(one, name)).mean(axis=(1, 2)) for one in gradients[:-1]]
            looks[name].append(np.sqrt(np.mean(squares, axis=0)))
    found = {name: np.stack(values, axis=1) for name, values in looks.items()}
    first = runs[-1].layers[0]
    x = config.data().x_val
    z = x @ first.weight[0] + (0 if first.bias is None else first.bias[0])
    found |= {"step": np.array([run.step for run in runs]), "pulls": pulls[0][0, :, unit], "z": z}
    if first.gamma is not None:
        found |= {"own_gamma": first.gamma[0, 0], "own_beta": first.beta[0, 0]}
    return found


# ---- before or after the activation ----------------------------------------------------------------------


def stages(config: RunConfig, layers: list[Layer], x: Array) -> list[list[Array]]:
    """Return per hidden layer what leaves its linear map, its norm and its activation, in the order they run.

    Each is (R, N, units); statistics are those of ``x`` (N, features).
    """
    _, trace, (output, _) = forward(config, layers, x)
    outputs = [t.linear[0] for t in trace[1:]] + [output[0]]
    found = []
    for layer, seen, out in zip(layers[:-1], trace, outputs, strict=True):
        entered, weight = seen.linear
        linear = entered @ weight + (0 if layer.bias is None else layer.bias)
        middle = seen.z if config.placement == "before" else seen.a
        found.append([linear, middle, out])
    return found


def follow(config: RunConfig, looks: tuple[int, ...]) -> Found:
    """Train, and look at every layer at so many steps.

    Returns
    -------
    right : (looks, R), share of right answers with running statistics
    histograms : (looks, layers, 3, bins), shares of the numbers of the first network's `stages`
    saturated, dead : (looks, R, layers), share of numbers at which the activation's slope is under 5% of its
        steepest; share of units at which it is so for all 500 digits
    mean, std : (looks, R, layers) of what the next layer gets
    """
    config = replace(config, record_every=QUIET, validate_every=QUIET)
    run, x, phi = start(config), config.data().x_val, config.nonlinearity
    found: dict[str, list[Array]] = {
        name: [] for name in ("right", "histograms", "saturated", "dead", "mean", "std")
    }
    for look in looks:
        run = advance(run, look - run.step)
        _, trace, _ = forward(config, run.layers, x)
        flat = [phi.slope(t.z, t.a) < SATURATED_SLOPE * phi.steepest for t in trace]
        passed = stages(config, run.layers, x)
        found["right"].append(1 - error(run) / 100)
        found["saturated"].append(np.stack([off.mean(axis=(1, 2)) for off in flat], axis=1))
        found["dead"].append(np.stack([off.all(axis=1).mean(axis=1) for off in flat], axis=1))
        found["mean"].append(np.stack([out.mean(axis=(1, 2)) for *_, out in passed], axis=1))
        found["std"].append(np.stack([out.std(axis=1).mean(axis=1) for *_, out in passed], axis=1))
        found["histograms"].append(np.array([[_shares(part[0]) for part in layer] for layer in passed]))
    return {name: np.nan_to_num(np.stack(values)) for name, values in found.items()}


def _shares(values: Array) -> Array:
    """Return the share of numbers in each bin of `EDGES`."""
    clipped = np.clip(values.ravel(), EDGES[0], EDGES[-1] - 1e-9)
    shares: Array = np.histogram(clipped, EDGES)[0] / values.size
    return shares


# ---- what gamma and beta start from ----------------------------------------------------------------------


def learned(config: RunConfig, steps: int) -> Found:
    """Train, and look at the validation digits.

    Returns
    -------
    right : (R,), the share of right answers
    answers : (R,), how many different outputs there are
    common : (R,), the share of digits whose class is the one that is answered most often
    """
    run = advance(start(replace(config, record_every=QUIET, validate_every=QUIET)), steps)
    data = config.data()
    logits = forward(config, run.layers, data.x_val, keep=False)[0]
    kinds = [len(np.unique(np.round(own, 9), axis=0)) for own in logits]
    common = [np.bincount(own).argmax() for own in logits.argmax(axis=-1)]
    return {
        "right": np.nan_to_num(1 - error(run) / 100), "answers": np.array(kinds),
        "common": np.array([np.mean(data.y_val == kind) for kind in common]),
    }  # fmt: skip


def arriving(config: RunConfig) -> Array:
    """Return the length of the gradient of each hidden layer's weights before the first step, (R, layers)."""
    gradients, _, _ = gradients_with_biases(start(config))
    lengths: Array = np.stack([np.linalg.norm(one.weight, axis=(1, 2)) for one in gradients[:-1]], axis=1)
    return lengths


def entering(config: RunConfig) -> Found:
    """Look at what enters each ReLU before the first step, with the statistics of the 500 validation digits.

    Returns
    -------
    active, dead : (R, layers), share of numbers above 0; share of units that are never above 0
    shares : (bins,), histogram of the first layer's normalized numbers in the first network, without beta
    """
    run = start(config)
    layers, x = run.layers, config.data().x_val
    _, trace, _ = forward(config, layers, x)
    own = one_of(layers, 0)
    plain, _, _ = forward(config, [own[0]._replace(beta=0 * own[0].beta), *own[1:]], x)[1][0][:3]
    return {
        "active": np.stack([(t.z > 0).mean(axis=(1, 2)) for t in trace], axis=1),
        "dead": np.stack([(t.z <= 0).all(axis=1).mean(axis=1) for t in trace], axis=1),
        "shares": _shares(plain),
    }
