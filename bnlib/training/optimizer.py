"""The update from gradients, and when a run is given up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..networks.config import RunConfig
from ..networks.parameters import Plan
from ..norms.statistics import Array

HEAVY_BALL = 0.9
ADAM_DECAY, ADAM_EPS = (0.9, 0.999), 1e-8
# Bjorck et al. 2018 call a run divergent when its loss has grown a thousandfold.
DIVERGENCE_RATIO = 1e3


def gradient_to_update(
    config: RunConfig, the_plan: Plan, flat: Array, gradient: Array, state: tuple[Array, ...], step: int
) -> None:
    """Turn ``gradient`` in place into what is subtracted from ``flat``; ``state`` moves on in place."""
    lr, decay = rates(config, the_plan, step), config.weight_decay
    weights: Any = slice(0, the_plan.hidden_size if config.rest_lr else the_plan.weight_size)
    if config.decay_affine:
        weights = np.append(np.arange(weights.stop), the_plan.affine)
    if config.optimizer == "adamw":  # Loshchilov & Hutter 2019, Algorithm 2
        first, second = state
        first *= ADAM_DECAY[0]
        first += (1 - ADAM_DECAY[0]) * gradient
        gradient *= gradient
        gradient *= 1 - ADAM_DECAY[1]
        second *= ADAM_DECAY[1]
        second += gradient
        np.divide(second, 1 - ADAM_DECAY[1] ** (step + 1), out=gradient)
        np.sqrt(gradient, out=gradient)
        gradient += ADAM_EPS
        np.divide(first, gradient, out=gradient)
        gradient *= lr / (1 - ADAM_DECAY[0] ** (step + 1))
        if decay:
            gradient[:, weights] += (lr * decay * flat)[:, weights]
        return
    if decay:
        gradient[:, weights] += decay * flat[:, weights]
    if config.optimizer == "momentum":
        (velocity,) = state
        velocity *= HEAVY_BALL
        velocity += gradient
        np.multiply(velocity, lr, out=gradient)
    else:
        gradient *= lr


def rates(config: RunConfig, the_plan: Plan, step: int) -> Any:
    """Return the learning rate at ``step``: a number, or one for each parameter (size,)."""
    fallen = 1.0
    if config.cosine_steps:
        fallen = 0.5 * (1 + math.cos(math.pi * min(step / config.cosine_steps, 1)))
    if not config.rest_lr:
        return config.lr * fallen
    of_each = np.full(the_plan.size, config.rest_lr * fallen, config.dtype)
    of_each[: the_plan.hidden_size] = config.lr * fallen
    return of_each
