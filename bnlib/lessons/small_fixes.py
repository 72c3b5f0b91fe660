"""What mends training with norm batches of two: fixes, each tried on the same failing run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..experiments.probes.passes import next_batch, watch
from ..networks.config import RunConfig
from ..networks.layers import cross_entropy, linear, linear_backward
from ..networks.parameters import Layer, in_layers, plan
from ..norms.relatives import renorm_backward, renorm_forward
from ..norms.running import RunningStats
from ..norms.statistics import Array
from ..training.evaluation import precise
from ..training.optimizer import gradient_to_update
from ..training.train import Run, advance, start
from .inference import population, with_statistics
from .small import Found, curve


def on_devices(config: RunConfig, m: int, steps: int, every: int) -> Iterator[Run]:
    """Train batch renorm on devices with m samples each: step 0, then the run after each ``every`` steps.

    Each device corrects its own statistics towards the running ones, which all share; they move by the
    average over devices. Samples i, i + N / m, ... are device i's, as with ``norm_batch``.
    """
    run = start(config)
    flat, moments = run.flat.copy(), tuple(array.copy() for array in run.optimizer_state)
    statistics = np.stack([run.running.mean, run.running.var], axis=1)  # (R, 2, features)
    for step in range(steps + 1):
        now = RunningStats(statistics[:, 0], statistics[:, 1], config.momentum, step)
        run = replace(run, step=step, samples=step * config.batch_size, flat=flat.copy(), running=now)
        if step % every == 0 or step == steps:
            yield run
        if step < steps:
            gradient, seen = device_gradient(run, m, *next_batch(run))
            gradient_to_update(config, plan(config), flat, gradient, moments, step)
            flat -= gradient
            seen[:, 1] *= m / max(m - 1, 1)
            statistics = config.momentum * statistics + (1 - config.momentum) * seen


def device_gradient(run: Run, m: int, x: Array, labels: Array) -> tuple[Array, Array]:
    """Return the gradient (R, size) of a batch on devices with m samples each, and what their norms saw.

    The latter is mean and biased variance, averaged over devices: (R, 2, features).
    """
    config, (replicas, samples) = run.config, labels.shape
    devices, phi = samples // m, config.nonlinearity
    gradient = np.zeros_like(run.flat)
    layers = in_layers(config, plan(config).views(run.flat), run.running)
    gradients = in_layers(config, plan(config).views(gradient))
    trace: list[Any] = []
    for layer in layers[:-1]:
        s, below = linear(x, layer.weight, layer.bias)
        parameters, running = _for_each(layer, devices)
        # Devices stand side by side like channels, so that each has statistics of its own.
        y, cache = renorm_forward(s.reshape(replicas, m, 1, -1), parameters, config, running)
        z = y.reshape(s.shape)
        x = phi.forward(z)
        trace.append((below, cache, z, x))
    logits, top = linear(x, layers[-1].weight, layers[-1].bias)
    dx: Any = linear_backward(cross_entropy(logits, labels)[1], top, gradients[-1].weight, gradients[-1].bias)
    seen = []
    for (below, cache, z, a), into in zip(trace[::-1], gradients[-2::-1], strict=True):
        dy = phi.slope(z, a) * dx
        ds, affine = renorm_backward(dy.reshape(replicas, m, 1, -1), cache)
        for name in ("gamma", "beta"):
            getattr(into, name)[...] = affine[name].reshape(replicas, devices, 1, -1).sum(axis=1)
        seen.append([own.reshape(replicas, devices, -1).mean(axis=1) for own in (cache.mean, cache.var)])
        dx = linear_backward(ds.reshape(dy.shape), below, into.weight, into.bias, need_dx=True)
    return gradient, np.stack(
        [np.concatenate(parts, axis=1) for parts in zip(*seen[::-1], strict=True)], axis=1
    )


def _for_each(layer: Layer, devices: int) -> tuple[dict[str, Array], list[Array]]:
    """Repeat a layer's gamma, beta and running statistics for devices side by side: (R, 1, 1, devices C)."""
    assert layer.gamma is not None and layer.beta is not None and layer.running is not None
    arrays = [layer.gamma, layer.beta, *layer.running]
    gamma, beta, mean, var = (np.tile(a.reshape(len(a), 1, 1, -1), devices) for a in arrays)
    return {"gamma": gamma, "beta": beta}, [mean, var]


def frozen(config: RunConfig, steps: int, every: int) -> Iterator[Run]:
    """Train with statistics of one pass over all training samples before the first step, kept as they are."""
    first = start(replace(config, norm_batch=0))
    first = with_statistics(first, *population(first, config.data().x_train))
    now = first = replace(first, config=replace(first.config, norm="running"))
    yield now
    while now.step < steps:
        now = replace(advance(now, 1), running=first.running)
        if now.step % every == 0 or now.step == steps:
            yield now


def _changed(**changes: Any) -> Callable[[RunConfig, int, int], Iterator[Run]]:
    return lambda config, steps, every: watch(replace(config, **changes), steps, every)


ACCUMULATED = 4  # times as many samples a step
FIXES: dict[str, Callable[[RunConfig, int, int], Iterator[Run]]] = {
    "asis": watch,
    "accumulate": lambda config, steps, every: watch(
        replace(config, batch_size=ACCUMULATED * config.batch_size), steps, every
    ),
    "recompute": lambda config, steps, every: (precise(run) for run in watch(config, steps, every)),
    "renorm": lambda config, steps, every: on_devices(
        replace(config, norm="renorm", norm_batch=0), config.norm_batch, steps, every
    ),
    "frozen": frozen,
    "more": _changed(norm_batch=16),
    "sync": _changed(norm_batch=0),
    "group": _changed(norm="group", norm_batch=0),
    "layer": _changed(norm="layer", norm_batch=0),
    "none": _changed(norm="none", norm_batch=0),
}


def mended(config: RunConfig, steps: int, every: int, fix: str) -> Found:
    """Try a fix on the run of ``config``: its `curve`.

    "asis": none; "accumulate": the gradients of ACCUMULATED times as many samples a step, in norm batches as
    before; "recompute": statistics of one pass over the training samples at each look; "renorm": batch renorm
    on devices that have a norm batch each; "frozen": see there; "more": norm batches of 16; "sync": of the
    whole batch; "group", "layer", "none": another norm, or none.

    Raises
    ------
    ValueError
        If there is no fix of that name.
    """
    if fix not in FIXES:
        raise ValueError(f"mended: fix={fix!r} is not one of {', '.join(FIXES)}")
    with np.errstate(all="ignore"):
        return curve(list(FIXES[fix](config, steps, every)))
