"""What a run records: a frame is a dict of small arrays, replica axis first."""

from __future__ import annotations

import numpy as np

from . import data
from .config import RunConfig
from .layers import ACTIVATIONS, cross_entropy
from .network import Layer, Trace, forward, inference_layers
from .stats import Array, RunningStats

HISTOGRAM_EDGES = np.linspace(-4, 4, 65)
SATURATED_SLOPE = 0.05
_BLOCK = 1 << 15  # entries measured at once
VALIDATED = ("val_loss", "val_accuracy", "val_accuracy_batch")
_ACTIVATIONS = ("activation_mean", "activation_std", "saturation", "statistics_gap")
PER_LAYER = (*_ACTIVATIONS, "gradient_norm", "weight_norm", "weight_gradient_norm", "update_ratio")
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
    update_ratio : log10 of ||update|| / ||weight||, which the training loop adds
    statistics_gap : root mean square over features of (batch mean - running mean) / running standard
        deviation; 0 without batch norm
    activation_histogram, preactivation_histogram : share of entries per bin of HISTOGRAM_EDGES;
        the outermost bins also hold what lies beyond them
    """
    frame = {
        "gradient_norm": _norms(dz),
        "weight_norm": weight_norms(layers),
        "weight_gradient_norm": weight_norms(gradients),
        "statistics_gap": _statistics_gap(config, batch_mean, running),
    }
    # So many replicas at once that their arrays stay in the cache.
    count = max(1, _BLOCK // (config.depth * dz[0][0].size))
    blocks = [
        _distributions(config, [t.z[r : r + count] for t in trace], [t.a[r : r + count] for t in trace])
        for r in range(0, len(dz[0]), count)
    ]
    if len(blocks) == 1:
        return frame | blocks[0]
    return frame | {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _distributions(config: RunConfig, zs: list[Array], activations: list[Array]) -> Frame:
    """The part of `measure` that looks at every entry of z and a, each (R, N, width)."""
    activation = ACTIVATIONS[config.activation]
    rows = [array.reshape(len(array), 1, -1) for array in (*zs, *activations)]
    both = np.concatenate(rows, axis=1)  # (R, 2 * layers, N * width)
    z, a = both[:, : config.depth], both[:, config.depth :]
    entries = both.shape[2]
    mean = np.add.reduce(a, axis=2, keepdims=True) / entries
    centred = a - mean
    saturated = activation.slope(z, a) < SATURATED_SLOPE * activation.steepest
    histograms = _histograms(both)
    return {
        "activation_mean": mean[:, :, 0],
        "activation_std": np.sqrt(np.vecdot(centred, centred) / entries),
        "saturation": np.add.reduce(saturated.astype(a.dtype), axis=2) / entries,
        "activation_histogram": histograms[:, config.depth :],
        "preactivation_histogram": histograms[:, : config.depth],
    }


def weight_norms(layers: list[Layer]) -> Array:
    """L2 norm per replica of each hidden layer's weights, (R, layers)."""
    return _norms([layer.weight for layer in layers[:-1]])


def _norms(arrays: list[Array]) -> Array:
    squares = np.empty((len(arrays[0]), len(arrays)), arrays[0].dtype)
    for number, array in enumerate(arrays):
        row = array.reshape(len(array), -1)
        np.vecdot(row, row, out=squares[:, number])
    return np.sqrt(squares, out=squares)


def _statistics_gap(config: RunConfig, batch_mean: Array, running: RunningStats) -> Array:
    if config.norm != "batch":
        return np.zeros((len(batch_mean), config.depth), config.dtype)
    distance = (batch_mean - running.mean) / np.sqrt(running.var + config.eps)
    distance = distance.reshape(len(distance), config.depth, -1)
    gap: Array = np.sqrt(np.vecdot(distance, distance) / config.width)
    return gap


def _histograms(x: Array) -> Array:
    """Share of each row's entries per bin, (R, L, n) -> float32 (R, L, bins); NaN counts as very low."""
    bins = len(HISTOGRAM_EDGES) - 1
    per_unit = bins / float(HISTOGRAM_EDGES[-1] - HISTOGRAM_EDGES[0])
    position = x * per_unit
    position -= float(HISTOGRAM_EDGES[0]) * per_unit
    np.fmax(position, 0, out=position)
    np.minimum(position, bins - 1, out=position)
    index = position.astype(np.intp).reshape(-1, x.shape[2])
    counts = np.array([np.bincount(row, minlength=bins) for row in index], np.float32)
    counts /= x.shape[2]
    return counts.reshape(*x.shape[:2], bins)


def validate(config: RunConfig, layers: list[Layer], running: RunningStats) -> Frame:
    """Loss and accuracy on the validation samples, arrays of shape (R,).

    ``val_loss``, ``val_accuracy``: batch norm uses its running statistics, as in inference.
    ``val_accuracy_batch``: it uses the statistics of validation batches of ``batch_size`` samples (what
    a model does that was left in training mode); a last incomplete batch is left out. Other norms know
    no difference.
    """
    dataset = data.load(config.dataset, config.data_noise, config.dtype)
    size = min(config.batch_size, len(dataset.y_val))
    whole = len(dataset.y_val) // size * size
    inference = inference_layers(config, layers, running)
    results = []
    for replica in range(len(layers[0].weight)):  # one by one, its arrays stay in the cache
        logits, _, _ = forward(config, _replica(inference, replica), dataset.x_val)
        loss, _ = cross_entropy(logits, dataset.y_val)
        accuracy = accuracy_batch = _accuracy(logits, dataset.y_val)
        if config.norm == "batch":
            batches = dataset.x_val[:whole]
            logits, _, _ = forward(config, _replica(layers, replica), batches, norm_batch=size)
            accuracy_batch = _accuracy(logits, dataset.y_val[:whole])
        results.append((loss[0], accuracy, accuracy_batch))
    return dict(zip(VALIDATED, np.array(results).T, strict=True))


def _replica(layers: list[Layer], number: int) -> list[Layer]:
    one = slice(number, number + 1)
    return [Layer._make(None if array is None else array[one] for array in layer) for layer in layers]


def _accuracy(logits: Array, labels: Array) -> float:
    """Share of right answers, NaN where the network's output isn't finite."""
    right = np.count_nonzero(logits[0].argmax(axis=1) == labels) / len(labels)
    return right if np.isfinite(logits).all() else np.nan
