"""Measures along a run: it is a value, so looking at it between two steps changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ... import theory
from ...networks.config import RunConfig
from ...networks.network import forward
from ...networks.parameters import plan
from ...norms.statistics import Array
from ...training.evaluation import STATISTICS, error
from ...training.optimizer import DIVERGENCE_RATIO, HEAVY_BALL
from ...training.train import Run, advance, noise, start
from .arithmetic import Measured
from .passes import gradient_at, next_batch, watch


def precision(config: RunConfig, steps: int, every: int) -> Measured:
    """Measure the validation error in percent after each `every` steps, (R, n), by each kind of statistics.

    "running": moving averages; "corrected": without what is left in them of their start, mean 0 and variance
    1; "precise": computed anew.
    """
    runs = list(watch(config, steps, every))[1:]
    found = {name: np.stack([error(run, statistics=name) for run in runs], axis=1) for name in STATISTICS[:3]}
    return {"step": np.array([[run.step for run in runs]])} | found


def input_drift(config: RunConfig, steps: int, every: int) -> Measured:
    """Follow the distribution of what enters the last hidden layer's activations through training.

    "quantiles" (R, n, 3): 15th, 50th and 85th percentile of a typical unit's inputs, the one whose median
    wanders as far as half of all units' do; "width"
    (R,): largest over smallest distance between the outer two, the median over units; "drift" (R,): how far
    a unit's median wanders (largest minus smallest), on average over units (Ioffe & Szegedy 2015, figure 1).
    "val_error" (R, n): the error on the way, in percent.
    """
    x, found, errors = config.data().x_train, [], []
    for run in watch(config, steps, every):
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
    """Return how far the mean of a unit's inputs moves between two looks at the same batch; (R,).

    "moved": root mean square over looks, hidden layers and units, in standard deviations over samples. The
    forward pass is that of training, its noise included, which is another one at each step.
    """
    x, found = config.data().x_train[: config.batch_size], []
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    for run in watch(config, steps, every):
        behind = noise(config, seeds, run.step) if config.norm_noise else None
        _, trace, _ = forward(config, run.parameters, x, norm_batch=config.statistics_of, noise=behind)
        found.append([(layer.z.mean(axis=1), layer.z.var(axis=1)) for layer in trace])
    mean, var = np.array(found, float).transpose(2, 3, 0, 1, 4)  # (R, looks, layers, units) each
    moved = np.square(np.diff(mean, axis=1)).mean(axis=(1, 2, 3))
    return {"moved": np.sqrt(moved / var.mean(axis=(1, 2, 3)))}


def landscape(config: RunConfig, steps: int, every: int, points: int = 8) -> Measured:
    """Measure the loss along the gradient, at every so many steps of training or at step 0; (R, n) each.

    From each run's parameters, steps of 1/2 to 4 times the learning rate along the gradient of its next
    batch: "loss_range" is the range of that batch's loss, "gradient_change" the largest norm of the
    gradient's change, "smoothness" the largest change over distance (Santurkar et al. 2018).
    """
    found: dict[str, list[Array]] = {"loss_range": [], "gradient_change": [], "smoothness": []}
    runs = list(watch(config, steps, every))
    for run in runs:
        distance = config.lr * np.linspace(0.5, 4, points)
        _, gradient, loss, change = ahead(run, distance)
        found["loss_range"].append(np.ptp(loss, axis=1))
        found["gradient_change"].append(change.max(axis=1))
        walked = distance * np.linalg.norm(gradient, axis=1)[:, None]
        found["smoothness"].append((change / walked).max(axis=1))
    step = {"step": np.array([[run.step for run in runs]])}
    return step | {name: np.stack(parts, axis=1) for name, parts in found.items()}


def ahead(run: Run, distance: Array) -> tuple[Array, Array, Array, Array]:
    """Look along the gradient of the next batch, at ``distance`` (n,) times it.

    Returns that batch's loss (R,) and gradient (R, size) here, the losses there (R, n), and the norm of the
    gradient's change on the way (R, n).
    """
    config, points, (x, labels) = run.config, len(distance), next_batch(run)
    loss, gradient = gradient_at(config, run.flat, x, labels)
    there = run.flat[:, None] - distance[:, None] * gradient[:, None]  # (R, points, size)
    many = [np.repeat(array, points, axis=0) for array in (x, labels)]
    losses, moved = gradient_at(config, there.reshape(-1, there.shape[2]), *many)
    change = np.linalg.norm(moved.reshape(there.shape) - gradient[:, None], axis=2)
    return loss, gradient, losses.reshape(len(x), points), change


def covariate_shift(config: RunConfig, steps: int, every: int) -> Measured:
    """Measure internal covariate shift, of the gradient: (R, n) averages over layers.

    G is the gradient of a layer's weights, G' that on the same batch after all layers before it have made
    their step. "distance": ||G - G'||; "cosine": of the angle between them (Santurkar et al. 2018
    have the distance alone).
    """
    depth, the_plan, found = config.depth, plan(config), []
    for run in watch(config, steps, every):
        x, labels = next_batch(run)
        _, gradient = gradient_at(config, run.flat, x, labels)
        moved = np.repeat(run.flat[:, None], depth, axis=1)  # (R, layers, size): row i has moved below i+1
        for name, (begin, stop, _) in the_plan.slots.items():
            number = int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
            moved[:, number:, begin:stop] -= config.lr * gradient[:, None, begin:stop]
        many = [np.repeat(array, depth, axis=0) for array in (x, labels)]
        _, after = gradient_at(config, moved.reshape(-1, the_plan.size), *many)
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
    """Train from hidden weights times `factor`, the learning rate times its square if `follow`.

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
    """Measure where weight decay and gradients balance: in the last quarter, layers averaged; (R,).

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
