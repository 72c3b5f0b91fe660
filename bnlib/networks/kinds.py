"""The table of networks: what a hidden layer looks at, its linear map, and what the output layer gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..data import DIGIT
from ..norms.statistics import Array, Shape
from . import conv
from .layers import linear, linear_backward

KERNEL = 3  # of convolutions: pixels across


class Network(NamedTuple):
    """A row of the table of networks. The defaults are those of a dense classifier.

    seen : from the number of features to the shape in which the first layer gets a sample, channels last
    shapes : from depth and width to the shape in which each hidden layer puts out a sample, channels last
    rows : from the channels of the layer before and a layer's own to the rows of its weight matrix
    connect, back : the linear map, given x, weight, bias and a sample's shape behind it; its backward
    top, top_back : from the last hidden layer's output to the output layer's input, and back
    """

    label: str
    seen: Callable[[int], Shape] = lambda features: (features,)
    shapes: Callable[[int, int], tuple[Shape, ...]] = lambda depth, width: ((width,),) * depth
    rows: Callable[[int, int], int] = lambda before, own: before
    connect: Callable[[Array, Array, Any, Shape], tuple[Array, Any]] = lambda x, w, b, shape: linear(x, w, b)
    back: Callable[..., Array | None] = linear_backward
    top: Callable[[Array], tuple[Array, Any]] = lambda x: (x, None)
    top_back: Callable[[Array, Any], Array] = lambda dy, cache: dy
    data: tuple[str, ...] = ()  # the data sets that it takes, and in ``why`` the reason; (): any of vectors
    why: str = ""
    branches: bool = False  # it can have residual branches, and noise behind its norms
    convolves: bool = False  # its maps are convolutions, padded with zeros
    recurrent: bool = False  # a layer takes one step after another; each has statistics of its own
    adversarial: bool = False  # the norm is in a discriminator with one output that plays against a generator


def _convolve(x: Array, weight: Array, bias: Any, shape: Shape) -> tuple[Array, Any]:
    stride = x.shape[2] // shape[0]
    return conv.conv(x, weight, bias, kernel=KERNEL, stride=stride, padding=KERNEL // 2)


def _images(depth: int, width: int) -> tuple[Shape, ...]:
    """Return shapes of which the first third, at full size, have half as many channels."""
    (height, side, _), first = DIGIT, -(-depth // 3)
    narrow, wide = (height, side, max(1, width // 2)), (height // 2, side // 2, width)
    return (narrow,) * first + (wide,) * (depth - first)


def _last_step(x: Array) -> tuple[Array, Shape]:
    return x[:, :, -1], x.shape


def _last_step_back(dy: Array, shape: Shape) -> Array:
    dx = np.zeros(shape, dy.dtype)
    dx[:, :, -1] = dy
    return dx


NETWORKS: dict[str, Network] = {
    "mlp": Network("dense", branches=True),
    "cnn": Network(
        "convolutional", seen=lambda features: DIGIT, shapes=_images,
        rows=lambda before, own: KERNEL**2 * before, connect=_convolve, back=conv.conv_backward,
        top=conv.pool, top_back=conv.pool_backward,
        data=("digits",), why="needs images", convolves=True,
    ),
    "rnn": Network(
        "recurrent", seen=lambda features: (features // DIGIT[1], DIGIT[1]),
        shapes=lambda depth, width: ((DIGIT[0], width),) * depth, rows=lambda before, own: before + own,
        top=_last_step, top_back=_last_step_back, data=("digits", "pauses"), why="reads an image row by row",
        recurrent=True,
    ),
    "gan": Network("GAN", data=("ring",), why="draws points of the ring", adversarial=True),
}  # fmt: skip
