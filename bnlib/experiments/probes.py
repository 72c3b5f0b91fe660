"""What experiments measure: each measure is a function of a configuration, arrays by name come out.

Results have the replica axis first. What follows a run in training is a function of that run between two
calls of `advance`: a run is a value, so looking at it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .. import theory
from ..config import RunConfig
from ..costs import cost as cost_of
from ..data import batches
from ..evaluation import STATISTICS, error
from ..layers import cross_entropy
from ..network import by_batch_statistics, forward, inference_layers, there_and_back
from ..optimizer import DIVERGENCE_RATIO, HEAVY_BALL
from ..plan import Layer, in_layers, initialize, plan
from ..stats import Array
from ..train import Run, advance, noise, start
from ..units import Trace
from .arithmetic import Measured, gaussian_batches, invariances, jacobian, power_iteration


class Cell(NamedTuple):
    """One cell of an experiment's grid: what is measured, of which run. A value, with a repr that says all.

    measure : a name in MEASURES
    steps : of training; of `gaussian_batches`, how many batches
    options : keywords of the measure, in order
    """

    measure: str
    config: RunConfig
    steps: int = 0
    options: tuple[tuple[str, Any], ...] = ()


def measure(cell: Cell) -> Measured:
    """The measured arrays of a cell, replica axis first. A function for `sweep`."""
    with np.errstate(all="ignore"):  # what diverges is a result
        return MEASURES[cell.measure](cell.config, cell.steps, **dict(cell.options))


# ---- networks before training --------------------------------------------------------------------------


def gradient_growth(config: RunConfig, steps: int, first: int, last: int, source: str = "random") -> Measured:
    """Growth of the squared gradient norm, layer by layer toward the input, before any training.

    "growth" (R,): factor per layer, a least-squares line through the logarithms of layers `first` to `last`;
    "energy" (R, depth): the squared norms of the gradient with respect to what enters each activation.
    `source` "random": Gaussian inputs and a Gaussian gradient of the logits; "loss": digits and their loss;
    "isotropic": without the first layer, so that "energy" is (R, depth - 1), samples at right angles, at most
    `width` of them, and a Gaussian gradient of what the last hidden layer puts out.
    """
    flat = initialize(config)
    if source == "isotropic":
        dz = _isotropic(config, flat)
    elif source == "random":
        x, top = _drawn(config)
        _, _, dz = _back(config, flat, x, lambda logits: top)
    else:
        x, labels = _next_batch(start(config))
        _, _, dz = _back(config, flat, x, lambda logits: cross_entropy(logits, labels)[1])
    width = np.full(config.replicas, config.width)
    energy = np.stack([np.square(d, dtype=float).sum(axis=(1, 2)) for d in dz], axis=1)
    layers = np.arange(first, last + 1)
    slope = np.polyfit(layers, np.log(energy[:, first - 1 : last]).T, 1)[0]
    return {"growth": np.exp(-slope), "energy": energy, "width": width, "last": np.full_like(width, last)}


def residual_stream(config: RunConfig, steps: int) -> Measured:
    """E[h^2] after each block of a residual network before training, Gaussian inputs; "stream" (R, depth).

    Inputs are scaled so that the stream begins at 1: column l is after l blocks.
    """
    _, trace, _ = forward(config, plan(config).views(initialize(config)), _drawn(config, np.sqrt(0.5))[0])
    if config.norm == "batch":  # the norm has seen the stream, the activation only what came out
        squares = [layer.norm.mean**2 + layer.norm.var for layer in trace]
    else:
        squares = [layer.z**2 for layer in trace]
    return {"stream": np.stack([s.mean(axis=(1, 2), dtype=float) for s in squares], axis=1)}


def block_gradients(config: RunConfig, steps: int, source: str = "random") -> Measured:
    """Norms of the gradients of residual blocks' weights before training, the first block's first: "gradient"
    (R, depth - 1).

    `source` "random": Gaussian inputs, with which the stream begins at 1, and a Gaussian gradient of the
    logits of length 1; "loss": digits and their loss.
    """
    flat = initialize(config)
    gradient = np.zeros_like(flat)
    if source == "random":
        x, top = _drawn(config, np.sqrt(0.5))
        top /= np.linalg.norm(top, axis=(1, 2), keepdims=True)
        _back(config, flat, x, lambda logits: top, gradient)
    else:
        gradient = _gradient(config, flat, *_next_batch(start(config)))[1]
    blocks = [plan(config).views(gradient)[f"weight{block}"] for block in range(1, config.depth)]
    return {"gradient": np.stack([np.linalg.norm(b.astype(float), axis=(1, 2)) for b in blocks], axis=1)}


# ---- runs in training ----------------------------------------------------------------------------------


def learning(config: RunConfig, steps: int, precise: bool = False) -> Measured:
    """A training run: its curves, and its errors at the end, in percent; NaN for what has diverged.

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


def precision(config: RunConfig, steps: int, every: int) -> Measured:
    """Validation error in percent after each `every` steps, (R, n), with other statistics each.

    "running": moving averages; "corrected": without what is left in them of their start, mean 0 and variance
    1; "precise": computed anew.
    """
    runs = list(_watch(config, steps, every))[1:]
    found = {name: np.stack([error(run, statistics=name) for run in runs], axis=1) for name in STATISTICS[:3]}
    return {"step": np.array([[run.step for run in runs]])} | found


def composition(config: RunConfig, steps: int) -> Measured:
    """Validation error in percent of one training run, by who shares statistics in evaluation; (R,) each.

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


def input_drift(config: RunConfig, steps: int, every: int) -> Measured:
    """How the distribution of what enters the last hidden layer's activations moves in training.

    "quantiles" (R, n, 3): 15th, 50th and 85th percentile of a typical unit's inputs, the one whose median
    wanders as far as half of all units' do; "width"
    (R,): largest over smallest distance between the outer two, the median over units; "drift" (R,): how far
    a unit's median wanders (largest minus smallest), on average over units (Ioffe & Szegedy 2015, figure 1).
    "val_error" (R, n): the error on the way, in percent.
    """
    x, found, errors = config.data().x_train, [], []
    for run in _watch(config, steps, every):
        errors.append(error(run))
        _, trace, _ = forward(config, run.parameters, x)
        found.append(np.quantile(trace[-1].z, (0.15, 0.5, 0.85), axis=1))  # (3, R, units)
    quantiles = np.stack(found, axis=1).transpose(2, 1, 0, 3)  # (R, n, 3, units)
    width, median = quantiles[:, :, 2] - quantiles[:, :, 0], quantiles[:, :, 1]
    wandering = np.ptp(median, axis=1)  # (R, units)
    typical = wandering.argsort(axis=1)[:, wandering.shape[1] // 2]
    return {
        "step": np.arange(0, steps + 1, every)[None],
        "val_error": np.stack(errors, axis=1),
        "quantiles": np.stack([own[:, :, unit] for own, unit in zip(quantiles, typical, strict=True)]),
        "width": np.median(width.max(axis=1) / width.min(axis=1), axis=1),
        "drift": wandering.mean(axis=1),
    }


def unsteadiness(config: RunConfig, steps: int, every: int) -> Measured:
    """How far the mean of a unit's inputs moves between two looks, always at the same batch; (R,).

    "moved": root mean square over looks, hidden layers and units, in standard deviations over samples. The
    forward pass is that of training, its noise included, which is another one at each step.
    """
    x, found = config.data().x_train[: config.batch_size], []
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    for run in _watch(config, steps, every):
        behind = noise(config, seeds, run.step) if config.norm_noise else None
        _, trace, _ = forward(config, run.parameters, x, norm_batch=config.statistics_of, noise=behind)
        found.append([(layer.z.mean(axis=1), layer.z.var(axis=1)) for layer in trace])
    mean, var = np.array(found, float).transpose(2, 3, 0, 1, 4)  # (R, looks, layers, units) each
    moved = np.square(np.diff(mean, axis=1)).mean(axis=(1, 2, 3))
    return {"moved": np.sqrt(moved / var.mean(axis=(1, 2, 3)))}


def landscape(config: RunConfig, steps: int, every: int, points: int = 8) -> Measured:
    """The loss along the gradient, at every so many steps of training; (R, n) each, or at step 0 alone.

    From each run's parameters, steps of 1/2 to 4 times the learning rate along the gradient of its next
    batch: "loss_range" is the range of that batch's loss, "gradient_change" the largest norm of the
    gradient's change, "smoothness" the largest change over distance (Santurkar et al. 2018).
    """
    found: dict[str, list[Array]] = {"loss_range": [], "gradient_change": [], "smoothness": []}
    runs = list(_watch(config, steps, every))
    for run in runs:
        x, labels = _next_batch(run)
        _, gradient = _gradient(config, run.flat, x, labels)
        distance = config.lr * np.linspace(0.5, 4, points)
        there = run.flat[:, None] - distance[:, None] * gradient[:, None]  # (R, points, size)
        many = [np.repeat(array, points, axis=0) for array in (x, labels)]
        loss, moved = _gradient(config, there.reshape(-1, there.shape[2]), *many)
        loss, change = loss.reshape(len(x), points), moved.reshape(there.shape) - gradient[:, None]
        norm = np.linalg.norm(change, axis=2)
        found["loss_range"].append(np.ptp(loss, axis=1))
        found["gradient_change"].append(norm.max(axis=1))
        walked = distance * np.linalg.norm(gradient, axis=1)[:, None]
        found["smoothness"].append((norm / walked).max(axis=1))
    step = {"step": np.array([[run.step for run in runs]])}
    return step | {name: np.stack(parts, axis=1) for name, parts in found.items()}


def covariate_shift(config: RunConfig, steps: int, every: int) -> Measured:
    """Internal covariate shift, of the gradient: (R, n) averages over layers.

    G is the gradient of a layer's weights, G' that on the same batch after all layers before it have made
    their step. "distance": ||G - G'||; "cosine": of the angle between them (Santurkar et al. 2018
    have the distance alone).
    """
    depth, the_plan, found = config.depth, plan(config), []
    for run in _watch(config, steps, every):
        x, labels = _next_batch(run)
        _, gradient = _gradient(config, run.flat, x, labels)
        moved = np.repeat(run.flat[:, None], depth, axis=1)  # (R, layers, size): row i has moved below i+1
        for name, (begin, stop, _) in the_plan.slots.items():
            number = int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
            moved[:, number:, begin:stop] -= config.lr * gradient[:, None, begin:stop]
        many = [np.repeat(array, depth, axis=0) for array in (x, labels)]
        _, after = _gradient(config, moved.reshape(-1, the_plan.size), *many)
        after = after.reshape(moved.shape)
        rows = []
        for layer in range(1, depth + 1):
            here = slice(*the_plan.slots[f"weight{layer}"][:2])
            g, g2 = gradient[:, here], after[:, layer - 1, here]
            cosine = np.vecdot(g, g2) / np.linalg.norm(g, axis=1) / np.linalg.norm(g2, axis=1)
            rows.append((np.linalg.norm(g - g2, axis=1), cosine))
        found.append(np.array(rows).mean(axis=0))  # (2, R)
    distance, cosine = np.stack(found, axis=2)
    return {"distance": distance, "cosine": cosine}


def rescaled(config: RunConfig, steps: int, factor: float, follow: bool = True) -> Measured:
    """Training from hidden weights times `factor`, the learning rate times its square if `follow`.

    "loss_difference" (R,): largest difference of the training loss from the run as configured, where a run
    that has diverged has the loss at which it counts as diverged; "recursion" (R,): largest relative error of
    ||W+||^2 = ||W||^2 + lr^2 ||gradient||^2 over steps and hidden layers. The configuration needs a rest_lr,
    eps=0 and a norm before the activation for both to be 0.
    """
    config = replace(config, record_every=1, validate_every=10**6)
    run = start(config)
    flat = run.flat.copy()
    flat[:, : plan(config).hidden_size] *= factor
    other = replace(config, lr=config.lr * factor**2 if follow else config.lr)
    first = advance(run, steps).history
    second = advance(replace(run, config=other, flat=flat), steps).history
    squares, gradients = first["weight_norm"] ** 2, first["weight_gradient_norm"] ** 2
    expected = squares[:, :-1] + config.lr**2 * gradients[:, :-1]
    lost = DIVERGENCE_RATIO * np.log(config.data().classes)
    losses = (np.nan_to_num(history["train_loss"], nan=lost) for history in (first, second))
    return {
        "loss_difference": np.abs(np.subtract(*losses)).max(axis=1),
        "recursion": np.abs(squares[:, 1:] / expected - 1).max(axis=(1, 2)),
        "step": first["step"][None],
        "train_loss": first["train_loss"],
        "other_loss": second["train_loss"],
    }


def equilibrium(config: RunConfig, steps: int, scale: float = 1.0) -> Measured:
    """Where weight decay and gradients balance: the last quarter of `steps`, hidden layers averaged; (R,).

    "angle": root mean square angle per step over theory's; "norm4": mean ||W||^4 over theory's, with the
    (||gradient|| ||W||)^2 measured on the way; of the first hidden layer, all along, "weight_norm" (R, n)
    and "turning", the angle of single steps over theory's. Hidden weights start `scale` times as large.
    """
    quarter, names = steps // 4, [f"weight{layer}" for layer in range(config.depth)]
    every = max(1, steps // 60)
    loud = replace(config, record_every=1, validate_every=10**6)
    run = start(replace(loud, record_every=10**6))
    flat = run.flat.copy()
    flat[:, : plan(config).hidden_size] *= scale
    run, seen, angles = replace(run, flat=flat), [], []
    while run.step < steps:
        settled = run.step >= steps - quarter
        if run.step == steps - quarter:  # the last quarter alone is recorded
            run = replace(run, config=loud, frames=())
        ahead = 1 if settled or run.step % every == 0 else every - run.step % every
        after = advance(run, ahead if settled else min(ahead, steps - quarter - run.step))
        if settled or run.step % every == 0:
            pairs = [[r.parameters[n].reshape(config.replicas, -1) for r in (run, after)] for n in names]
            cosines = [np.vecdot(a, b) / np.sqrt(np.vecdot(a, a) * np.vecdot(b, b)) for a, b in pairs]
            angle = np.arccos(np.clip(cosines, -1, 1))  # (layers, R)
            if settled:
                angles.append(angle.T)
            if run.step % every == 0:
                seen.append((run.step, np.linalg.norm(pairs[0][0], axis=1), angle[0]))
        run = after
    history = run.history
    known = (config.lr, config.weight_decay, HEAVY_BALL if config.optimizer == "momentum" else 0.0)
    angle = np.sqrt(np.square(angles).mean(axis=0)) / theory.equilibrium_angle(*known)
    norm, gradient = (history[name].astype(float) for name in ("weight_norm", "weight_gradient_norm"))
    unit = np.sqrt(np.square(norm * gradient).mean(axis=1))  # (R, layers)
    balance = np.vectorize(lambda g: theory.equilibrium_norm(g, *known))(unit)
    return {
        "angle": angle.mean(axis=1),
        "norm4": ((norm**4).mean(axis=1) / balance**4).mean(axis=1),
        "step": np.array([[step for step, _, _ in seen]]),
        "weight_norm": np.stack([length for _, length, _ in seen], axis=1),
        "turning": np.stack([angle for _, _, angle in seen], axis=1) / theory.equilibrium_angle(*known),
    }


def leakage(config: RunConfig, steps: int) -> Measured:
    """Area under the ROC curve of class 1 on validation samples, (R,) each.

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
    """A training run and what is left of its features at the end, in percent; (R,) each.

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
    """Errors on changed validation images, in percent; (R, 1 + sizes) each, NaN for what has diverged.

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
    """What the norm costs beside the same network without it; (R,) each, of one replica.

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


MEASURES: dict[str, Callable[..., Measured]] = {
    function.__name__: function
    for function in (
        *(gaussian_batches, jacobian, invariances, power_iteration, gradient_growth, residual_stream),
        *(learning, precision, composition, input_drift, unsteadiness, landscape, covariate_shift, rescaled),
        *(equilibrium, leakage, units_off, under_shift, cost, block_gradients),
    )
}


# ---- what measures share -------------------------------------------------------------------------------


def _watch(config: RunConfig, steps: int, every: int) -> Iterator[Run]:
    """The run at step 0 and at every so many steps, up to `steps`."""
    run = start(config)
    yield run
    while run.step < steps:
        run = advance(run, min(every, steps - run.step))
        yield run


def _drawn(config: RunConfig, scale: float = 1.0) -> tuple[Array, Array]:
    """Gaussian inputs (R, N, features), and a Gaussian gradient of the logits (R, N, classes)."""
    data, rows = config.data(), []
    for seed in range(config.seed, config.seed + config.replicas):
        rng = np.random.default_rng((seed, 3))
        sizes = (data.x_train.shape[1], data.classes)
        rows.append([rng.standard_normal((config.batch_size, size)) for size in sizes])
    x, top = (np.stack(arrays) for arrays in zip(*rows, strict=True))
    return (x * scale).astype(config.dtype), top.astype(config.dtype)


def _isotropic(config: RunConfig, flat: Array) -> list[Array]:
    """Gradients with respect to z of all hidden layers but the first, which isn't there.

    The second gets samples at right angles to each other, of length sqrt(width); what comes out of the last
    has a Gaussian gradient.
    """
    drawn = []
    for seed in range(config.seed, config.seed + config.replicas):
        rng = np.random.default_rng((seed, 9))
        basis = np.linalg.qr(rng.standard_normal((config.width, config.batch_size)))[0]
        drawn.append((np.sqrt(config.width) * basis.T, rng.standard_normal(basis.T.shape)))
    x, top = (np.stack(arrays).astype(config.dtype) for arrays in zip(*drawn, strict=True))
    same = np.broadcast_to(np.eye(config.width, dtype=config.dtype), (config.replicas, *(config.width,) * 2))
    hidden, gradients = (
        [*in_layers(config, plan(config).views(array))[1:-1], Layer(last, None)]
        for array, last in ((flat, same), (np.zeros_like(flat), same.copy()))
    )
    return there_and_back(config, hidden, gradients, x, lambda out: top, config.statistics_of)[2]


def _next_batch(run: Run) -> tuple[Array, Array]:
    """What the run's next step will be made from: x (R, N, features), labels (R, N)."""
    config = run.config.at(run.step)
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    order = (config.batch_order, config.norm_batch)
    return next(batches(config.data(), seeds, run.samples, config.batch_size, 1, *order))


def _back(
    config: RunConfig, flat: Array, x: Array, top: Callable[[Array], Array], gradient: Array | None = None
) -> tuple[Array, list[Trace], list[Array]]:
    """Forward, then backward from ``top(logits)``: logits, traces and dz; the gradient is filled."""
    gradient = np.zeros_like(flat) if gradient is None else gradient
    layers, gradients = (in_layers(config, plan(config).views(array)) for array in (flat, gradient))
    return there_and_back(config, layers, gradients, x, top, config.statistics_of)


def _gradient(config: RunConfig, flat: Array, x: Array, labels: Array) -> tuple[Array, Array]:
    """Loss (R,) and its gradient (R, size) at the parameters `flat`."""
    gradient = np.zeros_like(flat)
    losses: list[Array] = []

    def top(logits: Array) -> Array:
        loss, dlogits = cross_entropy(logits, labels)
        losses.append(loss)
        return dlogits

    _back(config, flat, x, top, gradient)
    return losses[0], gradient


def _auc(logits: Array, labels: Array) -> Array:
    """Share of pairs of a positive and a negative that the score puts in the right order, (R,)."""
    score = logits[:, :, 1] - logits[:, :, 0]
    rank = score.argsort(axis=1).argsort(axis=1)
    positive = np.count_nonzero(labels == 1)
    above = rank[:, labels == 1].sum(axis=1) - positive * (positive - 1) / 2
    share: Array = above / (positive * (len(labels) - positive))
    return share
