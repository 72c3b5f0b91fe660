"""Which norm: how networks end with each, what centring removes, and what a norm's output depends on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data import load
from ..networks.config import RunConfig
from ..networks.inference import inference_layers
from ..networks.network import forward
from ..networks.parameters import Layer
from ..norms.statistics import Array
from ..norms.table import NORMS
from ..training.evaluation import error
from ..training.train import Run, advance, start
from .axes import maps_of

Found = dict[str, Array]

GUESSING = 90.0  # per cent of ten classes
QUIET = 10**6  # record nothing


def ended(config: RunConfig, steps: int) -> Array:
    """Train for so many steps; return the validation error in per cent (R,), `GUESSING` for what diverged."""
    return _wrong(_trained(config, steps))


def _trained(config: RunConfig, steps: int) -> Run:
    with np.errstate(all="ignore"):  # of networks that diverge
        return advance(start(replace(config, record_every=QUIET, validate_every=QUIET)), steps)


def _wrong(run: Run) -> Array:
    return np.nan_to_num(error(run), nan=GUESSING)


# ---- what centring removes -------------------------------------------------------------------------------


def shifted(config: RunConfig, steps: int, offsets: tuple[float, ...]) -> Found:
    """Train pre-norm residual networks, then add one number to all features of their streams.

    The number is an offset times the root mean square of the stream behind the first layer. All blocks add
    to the stream, so each norm gets the offset.

    Returns
    -------
    error : (R, offsets), validation error in per cent
    share : (R, L), squared mean over features / mean square, of what enters each norm, without offset
    """
    run = _trained(config, steps)
    data, layers = run.config.data(), run.layers
    streams = _streams(run, layers)
    size = np.sqrt(np.square(streams[0]).mean(axis=(1, 2)))
    found = []
    for offset in offsets:
        moved = with_offset(layers, offset * size)
        said = forward(run.config, moved, data.x_val, keep=False)[0].argmax(axis=2)
        found.append(100 * (said != data.y_val).mean(axis=1))
    shares = [np.square(s.mean(axis=2)).mean(axis=1) / np.square(s).mean(axis=(1, 2)) for s in streams]
    return {"error": np.stack(found, axis=1), "share": np.stack(shares, axis=1)}


def with_offset(layers: list[Layer], offset: Array) -> list[Layer]:
    """Return layers whose first one has ``offset`` (R,) added to all of its biases."""
    bias = layers[0].bias
    assert bias is not None
    return [layers[0]._replace(bias=bias + offset[:, None, None].astype(bias.dtype)), *layers[1:]]


def _streams(run: Run, layers: list[Layer]) -> list[Array]:
    """Return what enters each norm of a pre-norm network, (R, N, width) each, for the validation samples."""
    assert run.config.residual == "pre"
    x = run.config.data().x_val
    trace = forward(run.config, layers, x)[1]
    found: list[Array] = []
    stream: Array = np.zeros(())
    for layer, left in zip(layers[:-1], trace, strict=True):
        stream = np.asarray(x @ layer.weight + (0 if layer.bias is None else layer.bias) + stream)
        found.append(stream)
        x = left.a
    return found


# ---- what an output depends on ---------------------------------------------------------------------------


def traits(norm: str, seed: int = 0, replicas: int = 8, steps: int = 5) -> Found:
    """Train small convolutional networks with a norm, and change what one sample's output may depend on.

    Returns
    -------
    mates : (R,), largest change of a sample's logits in training, relative to the largest logit, once the
        seven other samples of its batch are exchanged
    inference : (R,), the same between training and inference, the batch as before
    """
    config = RunConfig(
        network="cnn", depth=2, width=8, groups=2, batch_size=8, norm=norm, seed=seed, replicas=replicas,
        lr=0.05, dtype="float64", record_every=QUIET, validate_every=QUIET,
    )  # fmt: skip
    run = _trained(config, steps)
    x = config.data().x_val
    one, other = x[:8], np.concatenate([x[:1], x[8:15]])
    there, mates = (_first(config, run.layers, batch) for batch in (one, other))
    settled = _first(config, inference_layers(config, run.layers, run.running), one)
    size = np.abs(there).max(axis=1)
    return {
        "mates": np.abs(there - mates).max(axis=1) / size,
        "inference": np.abs(there - settled).max(axis=1) / size,
    }


def _first(config: RunConfig, layers: list[Layer], batch: Array) -> Array:
    """Return the logits of a batch's first sample, (R, classes)."""
    logits: Array = forward(config, layers, batch, norm_batch=config.statistics_of, keep=False)[0]
    return logits[:, 0]


# ---- what is left of an image's own contrast --------------------------------------------------------------


def contrast_left(norm: str, samples: int, seed: int, replicas: int = 8) -> Array:
    """Measure how much of the images' own contrast passes a norm, (R,): 1 is all of it, 0 nothing.

    Standard deviation over images of a channel's standard deviation over positions, relative to its mean;
    behind the norm over before. Feature maps of digits, six filters, batches of ``samples``.
    """
    found = []
    for one in range(seed, seed + replicas):
        rng, digits = np.random.default_rng((one, 12)), load("digits").x_val
        weight = np.sqrt(2 / 9) * rng.standard_normal((6, 1, 3, 3))
        chosen = digits[rng.permutation(len(digits))[: max(samples, 1)]]
        chosen = chosen * rng.uniform(0.5, 1.5, (len(chosen), 1))
        x = maps_of(chosen, weight)
        y = x if norm == "none" else NORMS[norm].forward(x)[0]
        found.append(_scatter(y) / _scatter(x))
    return np.array(found)


def _scatter(x: Array) -> float:
    spread = x.std(axis=(2, 3))
    return float((spread.std(axis=0) / spread.mean(axis=0)).mean())
