"""Recurrent layers, unrolled over their steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..norms.statistics import Array
from .config import RunConfig
from .layers import Activation, linear, linear_backward
from .parameters import Layer
from .units import Trace, unit, unit_backward, write


def unroll(
    config: RunConfig, x: Array, layer: Layer, norm_batch: int, phi: Activation, going: Array | None = None
) -> tuple[Array, Trace]:
    """Apply a recurrent layer to x (R, N, T, I): a step's linear map gets its x and the state before it.

    The norm is on their sum, with statistics of its own at each step, and one gamma and beta for all steps
    (Cooijmans et al. 2017, who normalize what comes from input and state apart). Running statistics of the
    last step serve at later ones, too, as theirs do.

    going : (R, N, T), where a sequence has not ended; one that has keeps its state. None: all go on
    """
    replicas, samples, steps, _ = x.shape
    state = np.zeros((replicas, samples, layer.weight.shape[2]), x.dtype)
    seen, caches = [], []
    for step in range(steps):
        now, here = layer, None if going is None else going[:, :, step, None]
        if layer.running is not None:
            known = min(step, layer.running[0].shape[1] - 1)
            now = layer._replace(running=tuple(array[:, known : known + 1] for array in layer.running))
        elif layer.settled:
            known = min(step, layer.gamma.shape[1] - 1)
            now = layer._replace(gamma=layer.gamma[:, known], beta=layer.beta[:, known])  # (R, C)
        s, cache = linear(np.concatenate([x[:, :, step], state], axis=2), layer.weight, layer.bias)
        z, a, y, norm_cache = unit(config, s, now, norm_batch, phi, keep=here if config.masks else None)
        state = y if here is None else np.where(here, y, state)
        seen.append((z, a, state))
        caches.append((cache, norm_cache))
    z, a, out = (np.stack(parts, axis=2) for parts in zip(*seen, strict=True))
    linears, norms = zip(*caches, strict=True)
    return out, Trace(z, a, linears, norms if norms[0] is not None else None, None, going)


def unroll_backward(
    config: RunConfig, dy: Array, layer: Trace, gradient: Layer, phi: Activation
) -> tuple[Array, Array]:
    """Return the gradients dz (R, N, T, C) and dx (R, N, T, I) of `unroll`, from that of its output."""
    weight = layer.linear[0][1]
    replicas, samples, steps, outputs = dy.shape
    inputs = weight.shape[1] - outputs
    dx = np.empty((replicas, samples, steps, inputs), dy.dtype)
    dz, ds = np.empty((2, *dy.shape), dy.dtype)
    dstate: Any = 0
    kept: Any = 0  # the gradient that passes sequences which have ended
    total: dict[str, Array] = {}
    for step in reversed(range(steps)):
        now = Trace(layer.z[:, :, step], layer.a[:, :, step], None, layer.norm and layer.norm[step], None)
        dout = dy[:, :, step] + dstate
        if layer.going is not None:
            going = layer.going[:, :, step, None]
            dout, kept = np.where(going, dout, 0), np.where(going, 0, dout)
        dz[:, :, step], here, affine = unit_backward(config, dout, now, phi)
        ds[:, :, step] = here
        total = {name: array + total.get(name, 0) for name, array in affine.items()}
        both = np.matmul(here, weight.mT)
        dx[:, :, step], dstate = both[:, :, :inputs], both[:, :, inputs:] + kept
    write(gradient, total)
    x = np.stack([x for x, _ in layer.linear], axis=2).reshape(replicas, samples * steps, -1)
    ds = ds.reshape(replicas, samples * steps, outputs)
    linear_backward(ds, (x, weight), gradient.weight, gradient.bias, need_dx=False)
    return dz, dx
