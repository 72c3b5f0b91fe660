"""The gradient penalty of a discriminator: the gradient of a gradient, exactly."""

from __future__ import annotations

import numpy as np

from ..networks.layers import Activation
from ..networks.parameters import Layer
from ..networks.units import Trace
from ..norms.statistics import Array


def penalize(
    strength: float,
    layers: list[Layer],
    gradients: list[Layer],
    x: Array,
    trace: list[Trace],
    phi: Activation,
) -> Array:
    """Add the gradient of ``strength / 2 * mean(|dD/dx|^2)`` to ``gradients``; return this penalty (R,).

    Parameters
    ----------
    layers : of a dense network without a norm of activations, with the weights that are used; D is its logit
    gradients : of ``layers``, changed in place
    x : ndarray of shape (R, N, features)
    trace : what `network.forward` left of x
    phi : the activation behind each hidden layer

    Notes
    -----
    R1 of Mescheder et al. (2018), equation 9. With ``u = dD/dz`` and ``g = dD/dx``, its gradient is the
    derivative of D's own gradient when x moves along ``v = strength g / N``: a pass forward, and one back.
    """
    hidden, slopes = layers[:-1], [phi.slope(layer.z, layer.a) for layer in trace]
    above, u = [layers[-1].weight.mT], list[Array]()
    for layer, slope in zip(hidden[::-1], slopes[::-1], strict=True):
        u.insert(0, slope * above[0])
        above.insert(0, np.matmul(u[0], layer.weight.mT))
    g = above.pop(0)
    moved, bends = strength / x.shape[1] * g, []
    for number, (layer, seen) in enumerate(zip(hidden, trace, strict=True)):
        gradients[number].weight[:] += np.matmul(moved.mT, u[number])
        moved = np.matmul(moved, layer.weight)
        bends.append(moved * above[number] * phi.bend(seen.z, seen.a))
        moved *= slopes[number]
    gradients[-1].weight[:] += moved.sum(axis=1)[:, :, None]
    dz = bends[-1]
    for number in reversed(range(len(hidden))):
        gradients[number].weight[:] += np.matmul((trace[number - 1].a if number else x).mT, dz)
        gradients[number].bias[:] += dz.sum(axis=1, keepdims=True)
        if number:
            dz = bends[number - 1] + slopes[number - 1] * np.matmul(dz, hidden[number].weight.mT)
    penalty: Array = strength / 2 * np.square(g).sum(axis=2).mean(axis=1)
    return penalty
