"""Measures of what training ends in: errors with all kinds of statistics, and costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...data import batches
from ...networks.config import RunConfig
from ...networks.inference import inference_layers
from ...networks.network import by_batch_statistics, forward
from ...norms.statistics import Array
from ...training.evaluation import error
from ...training.train import advance, start
from .arithmetic import Measured
from .costs import cost as cost_of


def learning(config: RunConfig, steps: int, precise: bool = False) -> Measured:
    """Train; return curves, and errors at the end, in percent; NaN for what has diverged.

    "step" (1, frames), "train_loss" (R, frames), "val_error" and "val_error_batch" (R, frames; NaN between
    validations); "final_loss": mean of the last 20 steps' worth of frames; "final", "final_batch",
    "final_train_batch": errors with running statistics, and with batch statistics on validation and on
    training samples; "final_precise" if asked for; "diverged_at" (R,); "steps" (1,).
    """
    run = advance(start(config), steps)
    history = run.history
    recent = max(1, 20 // config.record_every)
    found = {
        "step": history["step"][None],
        "train_loss": history["train_loss"],
        "val_error": 100 * (1 - history["val_accuracy"]),
        "val_error_batch": 100 * (1 - history["val_accuracy_batch"]),
        "final_loss": history["train_loss"][:, -recent:].mean(axis=1),
        "diverged_at": run.diverged_at,
        "steps": np.array([steps]),
        "final": error(run),
        "final_batch": error(run, statistics="batch"),
        "final_train_batch": error(run, "train", "batch"),
    }
    if precise:
        found["final_precise"] = error(run, statistics="precise")
    return found


def composition(config: RunConfig, steps: int) -> Measured:
    """Measure one run's validation error in percent, by who shares statistics in evaluation; (R,) each.

    "running": in inference; "own": in batches and norm batches put together as in training; "mixed": in
    shuffled ones. Samples that don't fill a batch are left out of the latter two.
    """
    run, data = advance(start(config), steps), config.data()
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    held = data._replace(x_train=data.x_val, y_train=data.y_val)
    count, size, found = len(data.y_val) // config.batch_size, config.norm_batch, {"running": error(run)}
    for name, order in (("own", config.batch_order), ("mixed", "shuffled")):
        wrong = []
        for x, labels in batches(held, seeds, 0, config.batch_size, count, order, size):
            logits = forward(config, run.layers, x, norm_batch=size, keep=False)[0]
            wrong.append(100 * (logits.argmax(axis=2) != labels).mean(axis=1))
        found[name] = np.mean(wrong, axis=0)
    return found


def leakage(config: RunConfig, steps: int) -> Measured:
    """Measure the area under the ROC curve of class 1 on validation samples, (R,) each.

    "grouped": batch norm takes its statistics from each group, as in training; "shuffled": from as many
    samples that don't belong together; "running": in inference.
    """
    run, data, size = advance(start(config), steps), config.data(), config.norm_batch
    shuffled = np.random.default_rng(0).permutation(len(data.y_val))
    apart = np.arange(len(data.y_val)).reshape(-1, size).T.ravel()  # groups meet in a norm batch
    inference = inference_layers(config, run.layers, run.running)
    found = {"running": _auc(forward(config, inference, data.x_val)[0], data.y_val)}
    for name, order in (("grouped", apart), ("shuffled", shuffled)):
        logits, _, _ = forward(config, run.parameters, data.x_val[order], norm_batch=size)
        found[name] = _auc(logits, data.y_val[order])
    return found


def units_off(config: RunConfig, steps: int) -> Measured:
    """Train; return what is left of the features at the end, in percent; (R,) each.

    "final": the validation error with running statistics; "off": hidden units that no validation sample
    activates in inference; "small": gammas that are within 0.1 of 0, NaN where none is learned.
    """
    run = advance(start(config), steps)
    layers = inference_layers(config, run.layers, run.running)
    _, trace, _ = forward(config, layers, config.data().x_val)
    off = np.mean([(layer.z <= 0).all(axis=1) for layer in trace], axis=(0, 2))
    gammas = [array for name, array in run.parameters.items() if name.startswith("gamma")]
    small = np.mean([np.abs(gamma) < 0.1 for gamma in gammas], axis=(0, 2, 3)) if gammas else np.nan * off
    return {"final": error(run), "off": 100 * off, "small": 100 * small}


def under_shift(
    config: RunConfig, steps: int, contrast: float, spread: float, sizes: tuple[int, ...]
) -> Measured:
    """Measure errors on changed images, in percent; (R, 1 + sizes) each, NaN for what has diverged.

    "clean": as they are; "paler": every pixel times `contrast`; "contrast": differences from the image's own
    mean times `contrast`; "noise": plus Gaussian noise of standard deviation `spread`, other noise in each
    replica. Columns: in inference, with running statistics; then with those of batches of each of `sizes`,
    which divide the number of samples. Where a norm has no running statistics, all columns are alike.
    """
    run, data = advance(start(config), steps), config.data()
    x, seeds = data.x_val, range(config.seed, config.seed + config.replicas)
    mean = x.mean(axis=1, keepdims=True)
    drawn = np.stack([np.random.default_rng((seed, 8)).standard_normal(x.shape) for seed in seeds])
    images = {
        "clean": x,
        "paler": contrast * x,
        "contrast": mean + contrast * (x - mean),
        "noise": x + spread * drawn,
    }
    settled, found = inference_layers(config, run.layers, run.running), {}
    for name, changed in images.items():
        changed = changed.astype(config.dtype)
        logits = [forward(config, settled, changed, keep=False)[0]]
        logits += [by_batch_statistics(config, run.layers, changed, size) for size in sizes]
        wrong = 100 * (np.stack(logits, axis=1).argmax(axis=3) != data.y_val).mean(axis=2)
        found[name] = np.where((run.diverged_at < 0)[:, None], wrong, np.nan)
    return found


def cost(config: RunConfig, steps: int) -> Measured:
    """Measure what the norm costs beside the same network without it; (R,) each, of one replica.

    "parameters": more learned numbers per unit; "statistics": numbers per unit kept for inference; "folded":
    more numbers per unit in the layers that inference uses; "training", "inference": processor time of a
    step, and of a batch, over that without a norm (`cost.cost`).
    """
    found, units = cost_of(config, steps=steps), config.depth * config.width
    runs = (start(replace(config, norm=norm, replicas=1)) for norm in (config.norm, "none"))
    used = (
        [array for layer in inference_layers(r.config, r.layers, r.running) for array in layer] for r in runs
    )
    own, bare = (sum(array.size for array in arrays if isinstance(array, np.ndarray)) for arrays in used)
    return {
        "parameters": np.array([found.extra_parameters / units]),
        "statistics": np.array([found.kept / units]),
        "folded": np.array([(own - bare) / units]),
        "training": np.array([found.training_ratio]),
        "inference": np.array([found.inference_ratio]),
    }


def _auc(logits: Array, labels: Array) -> Array:
    """Return the share of pairs of a positive and a negative that the score puts in order, (R,)."""
    score = logits[:, :, 1] - logits[:, :, 0]
    rank = score.argsort(axis=1).argsort(axis=1)
    positive = np.count_nonzero(labels == 1)
    above = rank[:, labels == 1].sum(axis=1) - positive * (positive - 1) / 2
    share: Array = above / (positive * (len(labels) - positive))
    return share
