"""What a run records: a frame is a dict of small arrays, replica axis first."""

from __future__ import annotations

from functools import partial
from itertools import groupby

import numpy as np

from ..networks.config import RunConfig
from ..networks.inference import inference_layers
from ..networks.layers import ACTIVATIONS, cross_entropy
from ..networks.network import by_batch_statistics, forward
from ..networks.parameters import Layer, one_of, plan
from ..networks.units import Trace
from ..norms.running import RunningStats
from ..norms.statistics import Array
from .recordings import HISTOGRAM_EDGES, MOST_CONFIDENT, SURFACE_EDGES, VALIDATED, Frame, has_surface

SATURATED_SLOPE = 0.05
BLOCK = 1 << 16  # entries measured at once


def measure(
    config: RunConfig,
    layers: list[Layer],
    gradients: list[Layer],
    trace: list[Trace],
    dz: list[Array],
    batch_mean: Array,
    running: RunningStats,
) -> Frame:
    r"""Measure what is recorded per layer from a step's own batch, before its update.

    Returns arrays of shape (R, layers), the histograms (R, layers, bins):

    activation_mean, activation_std : of what leaves the activation, over samples and units
    saturation : share of entries where the activation's slope is under 5% of its steepest
        (ReLU: share of zeros; tanh: share with \|a\| > 0.975)
    dead : share of units that are saturated at every sample of the batch (ReLU: off for all of it)
    gradient_norm : L2 norm of the loss gradient with respect to what enters the activation
    weight_norm, weight_gradient_norm : L2 norms of the weight matrix and of its gradient
    update_ratio : log10 of ||update|| / ||weight||, which the training loop adds
    statistics_gap : root mean square over features of (batch mean - running mean) / running standard
        deviation; 0 without batch norm
    activation_histogram, preactivation_histogram : share of entries per bin of HISTOGRAM_EDGES;
        the outermost bins also hold what lies beyond them
    """
    # Layers of one shape at once, and so many replicas that their arrays stay in the cache.
    layers_of = []
    for _, alike in groupby(trace, key=lambda layer: layer.z.shape):
        some = list(alike)
        count = max(1, BLOCK // (len(some) * some[0].z[0].size))
        rows = [slice(first, first + count) for first in range(0, len(dz[0]), count)]
        layers_of.append(_joined([_distributions(config, some, here) for here in rows], axis=0))
    return _joined(layers_of, axis=1) | {
        "statistics_gap": _statistics_gap(config, batch_mean, running),
        "gradient_norm": _norms(dz),
        "weight_norm": weight_norms(layers),
        "weight_gradient_norm": weight_norms(gradients),
    }


def _joined(parts: list[Frame], axis: int) -> Frame:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts], axis=axis) for name in parts[0]}


def _distributions(config: RunConfig, trace: list[Trace], here: slice) -> Frame:
    """Do the part of `measure` that looks at every entry, of some replicas and of layers of one shape."""
    activation = config.nonlinearity
    z = np.stack([layer.z[here] for layer in trace], axis=1)
    a = np.stack([layer.a[here] for layer in trace], axis=1)
    replicas, layers, width = *a.shape[:2], a.shape[-1]
    z, a = (array.reshape(replicas, layers, -1, width) for array in (z, a))
    samples = a.shape[2]  # and positions
    entries = samples * width
    row = a.reshape(replicas, layers, entries)
    mean = np.add.reduce(row, axis=2, keepdims=True) / entries
    centred = row - mean
    saturated = activation.slope(z, a) < SATURATED_SLOPE * activation.steepest
    at_samples = np.matmul(np.ones(samples, a.dtype), saturated.astype(a.dtype))  # (R, layers, width)
    before = _histograms(z.reshape(row.shape))
    if activation is ACTIVATIONS["relu"]:  # what is positive stays in its bin, all else has become zero
        after, zero = before.copy(), len(HISTOGRAM_EDGES) // 2
        after[:, :, :zero] = 0
        after[:, :, zero] += np.add.reduce(before[:, :, :zero], axis=2)
    else:
        after = _histograms(row)
    return {
        "activation_mean": mean[:, :, 0],
        "activation_std": np.sqrt(np.vecdot(centred, centred) / entries),
        "saturation": np.add.reduce(at_samples, axis=2) / entries,
        "dead": np.add.reduce(at_samples == samples, axis=2, dtype=a.dtype) / width,
        "activation_histogram": after,
        "preactivation_histogram": before,
    }


def weight_norms(layers: list[Layer]) -> Array:
    """Return the L2 norm per replica of each hidden layer's weights, (R, layers)."""
    return _norms([layer.weight for layer in layers[:-1]])


def _norms(arrays: list[Array]) -> Array:
    squares = np.empty((len(arrays[0]), len(arrays)), arrays[0].dtype)
    for number, array in enumerate(arrays):
        row = array.reshape(len(array), -1)
        np.vecdot(row, row, out=squares[:, number])
    return np.sqrt(squares, out=squares)


def _statistics_gap(config: RunConfig, batch_mean: Array, running: RunningStats) -> Array:
    places = plan(config).statistics
    if not places:
        return np.zeros((len(batch_mean), config.depth), config.dtype)
    distance = (batch_mean - running.mean) / np.sqrt(running.var + config.eps)
    np.square(distance, out=distance)
    squares = np.add.reduceat(distance, [here.start for here in places], axis=1)
    gaps: Array = np.sqrt(squares / [here.stop - here.start for here in places])
    return gaps.astype(config.dtype, copy=False)


def _histograms(x: Array) -> Array:
    """Return the share of each row's entries per bin, (R, L, n) -> float32 (R, L, bins); NaN is very low."""
    bins = len(HISTOGRAM_EDGES) - 1
    per_unit = bins / float(HISTOGRAM_EDGES[-1] - HISTOGRAM_EDGES[0])
    position = x * per_unit
    position -= float(HISTOGRAM_EDGES[0]) * per_unit
    lowest, highest = np.zeros(x.shape, x.dtype), np.full(x.shape, bins - 1, x.dtype)  # faster than numbers
    np.fmax(position, lowest, out=position)
    np.minimum(position, highest, out=position)
    index = position.astype(np.intp).reshape(-1, x.shape[2])
    counts = np.array([np.bincount(row, minlength=bins) for row in index], np.float32)
    counts /= x.shape[2]
    return counts.reshape(*x.shape[:2], bins)


def validate(config: RunConfig, layers: list[Layer], running: RunningStats) -> Frame:
    """Compute loss and accuracy on the validation samples, arrays of shape (R,).

    val_loss, val_accuracy : in inference
    val_accuracy_batch : batch norm uses statistics of validation batches as large as its own in training, as
        a model does that was left in training mode; a last incomplete batch is left out
    decision_surface : (1, cells), of two-dimensional data only, for the first replica that hasn't diverged:
        at the centre of each cell of the square with SURFACE_EDGES, row by row from the lowest y, each from
        the lowest x, the class in inference plus its probability, which is at most MOST_CONFIDENT
    """
    dataset = config.data()
    size = min(config.statistics_of or config.batch_size, len(dataset.y_val))
    whole = len(dataset.y_val) // size * size
    inference = inference_layers(config, layers, running)
    logits_of, results = partial(forward, config, keep=False), []
    for replica in range(len(layers[0].weight)):  # one by one, its arrays stay in the cache
        logits = logits_of(one_of(inference, replica), dataset.x_val)[0]
        loss, _ = cross_entropy(logits, dataset.y_val)
        right = right_batch = accuracy(logits, dataset.y_val)
        if plan(config).statistics:
            logits = by_batch_statistics(config, one_of(layers, replica), dataset.x_val[:whole], size)
            right_batch = accuracy(logits, dataset.y_val[:whole])
        results.append((loss[0], right[0], right_batch[0]))
    frame = dict(zip(VALIDATED, np.array(results).T, strict=True))
    if has_surface(config):
        centres = (SURFACE_EDGES[:-1] + SURFACE_EDGES[1:]) / 2
        grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2).astype(config.dtype)
        logits = logits_of(one_of(inference, 0), grid)[0]
        odds = np.exp(logits - logits.max(axis=2, keepdims=True))  # the likeliest class has 1
        frame["decision_surface"] = odds.argmax(axis=2) + np.minimum(1 / odds.sum(axis=2), MOST_CONFIDENT)
    return frame


def accuracy(logits: Array, labels: Array) -> Array:
    """Return the share of right answers (R,), NaN where the network's output isn't finite."""
    right: Array = np.count_nonzero(logits.argmax(axis=2) == labels, axis=1) / labels.shape[-1]
    right[~np.isfinite(logits).all(axis=(1, 2))] = np.nan
    return right
