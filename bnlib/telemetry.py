"""What a run records: a frame is a dict of small arrays, replica axis first."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from . import data
from .config import RunConfig
from .layers import ACTIVATIONS, cross_entropy
from .network import Layer, Trace, forward, inference_layers
from .stats import Array, RunningStats

HISTOGRAM_EDGES = np.linspace(-4, 4, 65)
SATURATED_SLOPE = 0.05
VALIDATED = ("val_loss", "val_accuracy", "val_accuracy_batch")
PER_LAYER = (
    "activation_mean",
    "activation_std",
    "saturation",
    "gradient_norm",
    "weight_norm",
    "weight_gradient_norm",
    "update_ratio",
    "statistics_gap",
)
HISTOGRAMS = ("activation_histogram", "preactivation_histogram")

Frame = dict[str, Array]


def blank(config: RunConfig, replicas: int, steps: range) -> Frame:
    """A block of frames to be filled in: ``step`` (frames,), all else NaN of shape (R, frames, ...)."""
    shape = replicas, len(steps)
    bins = len(HISTOGRAM_EDGES) - 1
    return (
        {"step": np.array(steps, dtype=int)}
        | {name: np.full(shape, np.nan, config.dtype) for name in ("train_loss", *VALIDATED)}
        | {name: np.full((*shape, config.depth), np.nan, config.dtype) for name in PER_LAYER}
        | {name: np.full((*shape, config.depth, bins), np.nan, np.float32) for name in HISTOGRAMS}
    )


def block(config: RunConfig, steps: range, live: Array, frames: list[Frame]) -> Frame:
    """``frames`` of the ``live`` replicas as one read-only block; NaN is what wasn't recorded."""
    joined = blank(config, config.replicas, steps)
    for number, frame in enumerate(frames):
        for name, values in frame.items():
            joined[name][live, number] = values
    for array in joined.values():
        array.setflags(write=False)
    return joined


def measure(
    config: RunConfig,
    layers: list[Layer],
    gradients: list[Layer],
    trace: list[Trace],
    dz: list[Array],
    batch_mean: Array,
    running: RunningStats,
) -> Frame:
    """What is recorded per layer from a step's own batch, before its update.

    Returns arrays of shape (R, layers), the histograms (R, layers, bins):

    activation_mean, activation_std : of what leaves the activation, over samples and units
    saturation : share of entries where the activation's slope is under 5% of its steepest
        (ReLU: share of zeros; tanh: share with \\|a\\| > 0.975)
    gradient_norm : L2 norm of the loss gradient with respect to what enters the activation
    weight_norm, weight_gradient_norm : L2 norms of the weight matrix and of its gradient
    statistics_gap : root mean square over features of (batch mean - running mean) / running standard
        deviation; 0 without batch norm
    activation_histogram, preactivation_histogram : share of entries per bin of HISTOGRAM_EDGES;
        the outermost bins also hold what lies beyond them
    """
    activation = ACTIVATIONS[config.activation]
    z = _stack(layer.z for layer in trace)
    a = _stack(layer.a for layer in trace)
    entries = z.shape[2]
    mean = np.add.reduce(a, axis=2, keepdims=True) / entries
    centred = a - mean
    flat_slope = activation.slope(z, a) < SATURATED_SLOPE * activation.steepest
    return {
        "activation_mean": mean[:, :, 0],
        "activation_std": np.sqrt(np.vecdot(centred, centred) / entries),
        "saturation": np.count_nonzero(flat_slope, axis=2) / entries,
        "gradient_norm": norms(dz),
        "weight_norm": norms(layer.weight for layer in layers[:-1]),
        "weight_gradient_norm": norms(layer.weight for layer in gradients[:-1]),
        "statistics_gap": _statistics_gap(config, batch_mean, running),
        "activation_histogram": _histogram(a),
        "preactivation_histogram": _histogram(z),
    }


def _stack(arrays: Iterable[Array]) -> Array:
    """Arrays (R, N, C), one a layer, as (R, layers, N * C)."""
    stacked = np.stack(list(arrays), axis=1)
    return stacked.reshape(*stacked.shape[:2], -1)


def norms(arrays: Iterable[Array]) -> Array:
    """L2 norm per replica of each array (R, ...), as (R, layers)."""
    rows = [array.reshape(len(array), -1) for array in arrays]
    return np.sqrt(np.stack([np.vecdot(row, row) for row in rows], axis=1))


def update_ratio(updates: list[Layer], weight_norm: Array) -> Array:
    """log10 of ||update|| / ||weight|| (R, layers): the update:data ratio."""
    return np.log10(norms(layer.weight for layer in updates[:-1]) / weight_norm)


def _statistics_gap(config: RunConfig, batch_mean: Array, running: RunningStats) -> Array:
    if config.norm != "batch":
        return np.zeros((len(batch_mean), config.depth), config.dtype)
    distance = (batch_mean - running.mean) / np.sqrt(running.var + config.eps)
    distance = distance.reshape(len(distance), config.depth, -1)
    return np.sqrt(np.vecdot(distance, distance) / config.width)


def _histogram(x: Array) -> Array:
    """Share of x (R, L, n) per bin, as float32 (R, L, bins); NaN counts as below the lowest edge."""
    replicas, layers, entries = x.shape
    bins = len(HISTOGRAM_EDGES) - 1
    low, high = float(HISTOGRAM_EDGES[0]), float(HISTOGRAM_EDGES[-1])
    position = x * (bins / (high - low))
    position -= low * bins / (high - low)
    np.fmax(position, 0, out=position)
    np.minimum(position, bins - 1, out=position)
    index = position.astype(np.intp)
    index += np.arange(0, replicas * layers * bins, bins).reshape(replicas, layers, 1)
    counts = np.bincount(index.ravel(), minlength=replicas * layers * bins)
    return (counts / np.float32(entries)).astype(np.float32).reshape(replicas, layers, bins)


def validate(config: RunConfig, layers: list[Layer], running: RunningStats) -> Frame:
    """Loss and accuracy on the validation samples, arrays of shape (R,).

    ``val_loss``, ``val_accuracy``: batch norm uses its running statistics, as in inference.
    ``val_accuracy_batch``: it uses the statistics of validation batches of ``batch_size`` samples (what
    a model does that was left in training mode); a last incomplete batch is left out. Other norms know
    no difference.
    """
    dataset = data.load(config.dataset, config.data_noise, config.dtype)
    x, labels = dataset.x_val, dataset.y_val
    logits, _, _ = forward(config, inference_layers(config, layers, running), x)
    loss, _ = cross_entropy(logits, labels)
    frame = {"val_loss": loss, "val_accuracy": _accuracy(logits, labels)}
    frame["val_accuracy_batch"] = frame["val_accuracy"]
    if config.norm == "batch":
        size = min(config.batch_size, len(labels))
        used = len(labels) - len(labels) % size
        logits, _, _ = forward(config, layers, x[:used], norm_batch=size)
        frame["val_accuracy_batch"] = _accuracy(logits, labels[:used])
    return frame


def _accuracy(logits: Array, labels: Array) -> Array:
    """Share of right answers, NaN where the network's output isn't finite."""
    share = (logits.argmax(axis=2) == labels).mean(axis=1)
    share[~np.isfinite(logits).all(axis=(1, 2))] = np.nan
    return share
