"""What the chapter on explanations measures: inputs that move, the loss along its gradient, weights rescaled.

Networks are trained in eight seeds side by side; each function is a job for the pool, about a second.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..experiments.probes.along import ahead, covariate_shift
from ..experiments.probes.passes import gradient_at, next_batch, watch
from ..networks.config import RunConfig
from ..networks.network import forward
from ..networks.parameters import plan
from ..norms.statistics import Array
from ..training.train import Run, advance, noise, start

Found = dict[str, Array]

AHEAD = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)  # learning rates, as in Santurkar et al. 2018
QUIET = 10**6  # steps between frames that nobody looks at


# ---- inputs that move ------------------------------------------------------------------------------------


def moving(config: RunConfig, steps: int, every: int) -> Found:
    """Train, and measure how far in one step the inputs of the activations move.

    Returns
    -------
    loss : (R, steps), of each step's batch; NaN once a network has diverged
    moved : (R,), how far the mean of a unit's inputs moves in a step, always on the first ``batch_size``
        training samples, in standard deviations over samples: root mean square over hidden layers, units and
        one of each ``every`` steps. `along.unsteadiness` looks at every step. The forward pass is that of
        training, its noise included.
    """
    config = replace(config, record_every=1, validate_every=QUIET)
    run, moves, spreads = start(config), [], []
    while run.step < steps:
        after = advance(run, 1)
        (mean, var), (later, _) = entering(run), entering(after)
        moves.append(np.square(later - mean).mean(axis=(0, 2)))
        spreads.append(var.mean(axis=(0, 2)))
        run = advance(after, min(every - 1, steps - after.step))
    moved = np.sqrt(np.mean(moves, axis=0) / np.mean(spreads, axis=0))
    return {"loss": run.history["train_loss"].astype(float), "moved": moved.astype(float)}


def entering(run: Run) -> tuple[Array, Array]:
    """Return mean and variance, over the first batch of samples, of what enters: (layers, R, units) each."""
    config = run.config
    x = config.data().x_train[: config.batch_size]
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    behind = noise(config, seeds, run.step) if config.norm_noise else None
    _, trace, _ = forward(config, run.parameters, x, norm_batch=config.statistics_of, noise=behind)
    return np.stack([t.z.mean(axis=1) for t in trace]), np.stack([t.z.var(axis=1) for t in trace])


def noise_moves(strength: float) -> float:
    """Return how far noise alone moves a unit's mean in a step, in standard deviations: a closed form.

    Before the noise the unit has mean 0 and variance 1, as behind batch norm at its start. The noise's own
    mean, U(-1/2, 1/2) times ``strength``, is drawn anew at each step: two differ by a variance of 1/6. The
    other draws, U(1, 1.25), N(0, 0.1) and U(-0.1, 0.1), widen the unit.
    """
    k = strength
    variance = (1 + k / 8) ** 2 + k * k * (0.25**2 / 12 + 0.1**2 + 0.2**2 / 12)
    return float(k * np.sqrt(1 / 6) / np.sqrt(variance))


def company(config: RunConfig, draws: int) -> Array:
    """Measure how much the x-hat of one digit depends on the batch it is in, before training: (R,).

    Returns the standard deviation over ``draws`` batches of x-hat in the first layer, root mean square over
    units. The digit is the first training sample, its companions are drawn at random.
    """
    x = config.data().x_train
    weight = start(config).parameters["weight0"]
    rng = np.random.default_rng((config.seed, 8))
    batches = rng.integers(1, len(x), size=(draws, config.batch_size))
    batches[:, 0] = 0
    s = np.matmul(x, weight)[:, batches]  # (R, draws, m, units)
    xhat = (s[:, :, 0] - s.mean(axis=2)) / np.sqrt(s.var(axis=2) + config.eps)
    scatter: Array = np.sqrt(xhat.var(axis=1).mean(axis=1)).astype(float)
    return scatter


# ---- gradients that shift --------------------------------------------------------------------------------


def shifting(config: RunConfig, steps: int, every: int) -> Found:
    """Measure how far a layer's gradient shifts when the layers before it step, by two measures.

    Returns
    -------
    distance, cosine : (R, n), see `along.covariate_shift`
    length : (R, n), of the gradient itself, averaged over the same layers
    step : (n,)
    """
    found = dict(covariate_shift(config, steps, every))
    slots = [plan(config).slots[f"weight{layer}"][:2] for layer in range(1, config.depth + 1)]
    lengths = []
    for run in watch(config, steps, every):
        _, gradient = gradient_at(config, run.flat, *next_batch(run))
        own = [np.linalg.norm(gradient[:, begin:stop], axis=1) for begin, stop in slots]
        lengths.append(np.mean(own, axis=0))
    return found | {"length": np.stack(lengths, axis=1), "step": np.arange(0, steps + 1, every)}


# ---- the loss along its gradient -------------------------------------------------------------------------


def along_gradient(config: RunConfig, steps: int, every: int) -> Found:
    """Walk along the gradient of the next batch, at every so many steps of training.

    Returns
    -------
    step : (n,)
    loss : (R, n), of that batch where the network stands
    ahead : (R, n, 8), the same batch's loss `AHEAD` learning rates along the gradient
    squared : (R, n), the gradient's squared length: by so much the loss falls for each unit of step
    smoothness : (R, n), the largest change of the gradient over the distance: the effective beta
    """
    found: dict[str, list[Array]] = {"loss": [], "ahead": [], "squared": [], "smoothness": []}
    where = config.lr * np.array(AHEAD, dtype=config.dtype)
    runs = list(watch(config, steps, every))
    for run in runs:
        loss, gradient, losses, change = ahead(run, where)
        length = np.linalg.norm(gradient, axis=1)
        found["loss"].append(loss)
        found["ahead"].append(losses)
        found["squared"].append(length**2)
        found["smoothness"].append((change / (where * length[:, None])).max(axis=1))
    step = {"step": np.array([run.step for run in runs])}
    return step | {name: np.stack(parts, axis=1).astype(float) for name, parts in found.items()}


# ---- weights that are rescaled ---------------------------------------------------------------------------


def midway(config: RunConfig, before: int, after: int, factors: tuple[float, ...]) -> Found:
    """Multiply all hidden weights in mid-training, after ``before`` steps, and train on.

    Returns
    -------
    first : (R, before), losses up to there
    loss : (F, R), of the next batch, at once after the weights are multiplied by each of F factors
    gradient : (F, R), the length of the hidden weights' gradient then
    turn : (F, R), by what angle the next step turns the hidden weights, in radians; ``turn_follow``: if the
        learning rate of the hidden weights is multiplied by factor^2
    stay, follow : (F, R, after), the losses from there on, with that learning rate kept, or multiplied
    """
    config = replace(config, record_every=1, validate_every=QUIET, rest_lr=config.lr)
    run, hidden = advance(start(config), before), plan(config).hidden_size
    found: dict[str, list[Array]] = {
        name: [] for name in ("loss", "gradient", "turn", "turn_follow", "stay", "follow")
    }
    for factor in factors:
        flat = run.flat.copy()
        flat[:, :hidden] *= factor
        loss, gradient = gradient_at(config, flat, *next_batch(run))
        found["loss"].append(loss)
        found["gradient"].append(np.linalg.norm(gradient[:, :hidden], axis=1))
        for turn, name, lr in (("turn", "stay", config.lr), ("turn_follow", "follow", config.lr * factor**2)):
            found[turn].append(angle(flat[:, :hidden], flat[:, :hidden] - lr * gradient[:, :hidden]))
            on = replace(run, config=replace(config, lr=lr), flat=flat, frames=())
            found[name].append(advance(on, after).history["train_loss"])
    return {"first": run.history["train_loss"]} | {name: np.array(one) for name, one in found.items()}


def angle(a: Array, b: Array) -> Array:
    """Return the angle between vectors (R, n) in radians (R,), by halves so that tiny ones are exact.

    atan2(|u - v|, |u + v|) of unit vectors is half of it (Kahan 2006).
    """
    u, v = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (a, b))
    halves: Array = 2 * np.arctan2(np.linalg.norm(u - v, axis=1), np.linalg.norm(u + v, axis=1))
    return halves
