"""Convolution and global average pooling, with the replica axis of `layers`.

Inside the engine channels come last: x is ``(R, N, H, W, C)``, R independent networks, N samples; a kernel
is a matrix ``(R, k * k * C, O)`` with rows ordered (kernel row, kernel column, channel). A convolution is
then the linear layer of unfolded patches. `convolve` is the same in PyTorch's layout, and checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..norms.checks import expected, float_array, is_whole, one_each, plain_array
from ..norms.statistics import Array, averager

BLOCK_BYTES = 1 << 18  # of patches unfolded at a time: they stay in a core's L2 cache


class ConvCache(NamedTuple):
    """What `conv` leaves for `conv_backward`: its arguments."""

    x: Array
    weight: Array
    bias: Array | None
    kernel: int
    stride: int
    padding: int


def out_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Return the number of positions of a kernel along an axis of `size` pixels."""
    return (size + 2 * padding - kernel) // stride + 1


def conv(
    x: Array, weight: Array, bias: Array | None = None, *, kernel: int = 3, stride: int = 1, padding: int = 1
) -> tuple[Array, ConvCache]:
    """Convolve: y[i, j] = sum of x[stride i + row - padding, stride j + column - padding] W[row, column] + b.

    x is (R, N, H, W, C) and 0 beyond its border, weight (R, kernel * kernel * C, O), bias (R, 1, O) or None,
    and y (R, N, out_size(H, ...), out_size(W, ...), O). The cache refers to x and weight, which must stay
    unchanged until `conv_backward`.
    """
    size = (out_size(x.shape[2], kernel, stride, padding), out_size(x.shape[3], kernel, stride, padding))
    y = _correlate(x, weight, kernel, stride, padding, size)
    if bias is not None:
        y += bias[:, :, None, None]
    return y, ConvCache(x, weight, bias, kernel, stride, padding)


def conv_backward(
    dy: Array, cache: ConvCache, dweight: Array, dbias: Array | None = None, *, need_dx: bool = True
) -> Array | None:
    """Write the gradients of `conv` into ``dweight`` and ``dbias``, as `linear_backward` writes its own.

    Returns dx of shape (R, N, H, W, C), or None when the layer's input needs no gradient.
    """
    blocks = _unfolded(cache.x, cache.kernel, cache.stride, cache.padding, dy.shape[2:4])
    for replicas, samples, patches in blocks:
        block = dy[replicas, samples].reshape(len(patches), -1, dy.shape[4])
        if samples.start == 0:
            np.matmul(patches.mT, block, out=dweight[replicas])
        else:
            dweight[replicas] += np.matmul(patches.mT, block)
    if dbias is not None:
        np.add.reduce(dy.reshape(len(dy), -1, dy.shape[4]), axis=1, keepdims=True, out=dbias)
    return _input_gradient(dy, *cache) if need_dx else None


def _input_gradient(
    dy: Array, x: Array, weight: Array, _: Array | None, kernel: int, stride: int, padding: int
) -> Array:
    """Return dx: a convolution of dy with stride 1, each of whose outputs holds stride x stride pixels.

    In row ``stride a + p`` of x, row ``a - m`` of dy meets weight row ``stride m + p + padding``, for all
    m from `first` to `last`, or a zero. Adding up overlapping patches makes this backward pass 1.4 x slower.
    """
    (replicas, samples, height, width, channels), outputs = x.shape, dy.shape[4]
    first, last = -((stride - 1 + padding) // stride), (kernel - 1 - padding) // stride
    window = last - first + 1
    full = np.zeros((replicas, window * stride, window * stride, channels, outputs), weight.dtype)
    inside = slice(-stride * first - padding, -stride * first - padding + kernel)
    full[:, inside, inside] = weight.reshape(replicas, kernel, kernel, channels, outputs)
    turned = full.reshape(replicas, window, stride, window, stride, channels, outputs)[:, ::-1, :, ::-1]
    turned = turned.transpose(0, 1, 3, 6, 2, 4, 5).reshape(replicas, -1, stride * stride * channels)
    rows, columns = -(-height // stride), -(-width // stride)
    dx = _correlate(dy, turned, window, 1, last, (rows, columns))
    if stride > 1:
        dx = dx.reshape(replicas, samples, rows, columns, stride, -1).swapaxes(3, 4)
        dx = dx.reshape(replicas, samples, rows * stride, columns * stride, channels)
    return dx[:, :, :height, :width]


def _correlate(
    x: Array, weight: Array, kernel: int, stride: int, before: int, size: tuple[int, ...]
) -> Array:
    y = np.empty((*x.shape[:2], *size, weight.shape[2]), x.dtype)
    for replicas, samples, patches in _unfolded(x, kernel, stride, before, size):
        np.matmul(patches, weight[replicas], out=y[replicas, samples].reshape(len(patches), -1, y.shape[4]))
    return y


def _unfolded(
    x: Array, kernel: int, stride: int, before: int, size: tuple[int, ...]
) -> Iterator[tuple[slice, slice, Array]]:
    """Yield replicas, samples and their patches (r, n * positions, k * k * C), block by block in one memory.

    `before` rows and columns of zeros precede x, or are left out of it if negative; `size`: positions.
    """
    replicas, samples, height, width, channels = x.shape
    sample_bytes = size[0] * size[1] * kernel * kernel * channels * x.itemsize
    # What a matrix product rounds to can depend on its rows: n doesn't depend on how many replicas run side
    # by side, and several share a block only where each is in it as a whole (r is 1 otherwise).
    n = min(samples, max(1, BLOCK_BYTES // sample_bytes))
    r = min(replicas, max(1, BLOCK_BYTES // (n * sample_bytes)))
    tall, wide = ((positions - 1) * stride + kernel for positions in size)
    padded = np.zeros((r, n, tall, wide, channels), x.dtype)
    a, b, down, right, pixel = padded.strides
    patches = np.empty((r, n, *size, kernel, kernel * channels), x.dtype)
    windows: Array = np.ndarray(
        patches.shape, x.dtype, padded, 0, (a, b, stride * down, stride * right, down, pixel)
    )
    skip, start = max(-before, 0), max(before, 0)
    rows, columns = (max(0, min(had - skip, has - start)) for had, has in ((height, tall), (width, wide)))
    inner, seen = (
        array[:, :, at : at + rows, at : at + columns] for array, at in ((padded, start), (x, skip))
    )
    for i in range(0, replicas, r):
        for j in range(0, samples, n):
            part = seen[i : i + r, j : j + n]
            a, b = part.shape[:2]
            inner[:a, :b] = part
            patches[:a, :b] = windows[:a, :b]  # kernel columns and channels are one contiguous run
            flat = patches[:a, :b].reshape(a, -1, kernel * kernel * channels)
            yield slice(i, i + a), slice(j, j + b), flat


def pool(x: Array) -> tuple[Array, tuple[int, ...]]:
    """Average over all positions, (R, N, H, W, C) -> (R, N, C): global average pooling."""
    return averager(x.shape, (2, 3), x.dtype)(x)[:, :, 0, 0], x.shape


def pool_backward(dy: Array, cache: tuple[int, ...]) -> Array:
    """Return the gradient of `pool`: every position gets an equal share."""
    return np.broadcast_to((dy / (cache[2] * cache[3]))[:, :, None, None], cache).copy()


def convolve(
    x: Array, weight: Array, bias: Array | None = None, *, stride: int = 1, padding: int = 0
) -> tuple[Array, ConvCache]:
    """Convolve images as torch.nn.functional.conv2d does: `conv` of one network, checked.

    x is an ndarray of shape (N, C, H, W), float32 or float64; weight (O, C, k, k) and bias (O,), or None for
    0, have its dtype. stride >= 1 is in pixels, padding >= 0 so many pixels of 0 around each image. y has the
    shape (N, O, H', W') with ``H' = (H + 2 padding - k) // stride + 1``, and W' likewise. The cache, for
    `convolve_backward`, holds copies: the arguments may change after the call.

    Anything else raises ValueError, as does an image that is smaller than the kernel.
    """
    name, x = "convolve", float_array("convolve", "x", x)
    if x.ndim != 4 or x.size == 0:
        fix = "try np.expand_dims(x, 0) for one image" if x.ndim == 3 else "pass an array of that shape"
        raise ValueError(f"{name}: x has shape {x.shape}, but needs (N, C, H, W), none of them 0; {fix}")
    channels, height, width = x.shape[1:]
    shape = plain_array(name, "weight", weight).shape
    if len(shape) != 4 or 0 in shape or shape[1:] != (channels, *shape[2:3] * 2):
        swap = len(shape) == 4 and shape[0] == channels
        fix = (
            "try np.swapaxes(weight, 0, 1) if input channels come first" if swap else "pass one of that shape"
        )
        raise ValueError(
            f"{name}: weight has shape {shape}, but x of shape {x.shape} needs (O, {channels}, k, k); {fix}"
        )
    weight = expected(name, "weight", weight, shape, x.dtype, "")
    outputs, kernel = len(weight), weight.shape[3]
    if bias is not None:
        bias = one_each(name, "bias", bias, shape[:1], 0, x.dtype)[None, None]
    for label, number, least in (("stride", stride, 1), ("padding", padding, 0)):
        if not is_whole(number) or number < least:
            raise ValueError(f"{name}: {label}={number!r} must be an integer from {least}; try {least}")
    if min(height, width) + 2 * padding < kernel:
        raise ValueError(
            f"{name}: padding={padding} leaves {height} x {width} pixels smaller than the kernel, "
            f"{kernel} x {kernel}; try padding={-(-(kernel - min(height, width)) // 2)}"
        )
    matrix = weight.transpose(2, 3, 1, 0).reshape(1, -1, outputs).copy()
    sizes = {"kernel": kernel, "stride": int(stride), "padding": int(padding)}
    y, cache = conv(x.transpose(0, 2, 3, 1).copy()[None], matrix, bias, **sizes)
    return y[0].transpose(0, 3, 1, 2), cache


def convolve_backward(dy: Array, cache: ConvCache) -> tuple[Array, Array, Array | None]:
    """Return the gradients of x, weight and bias in their shapes, None for a bias that wasn't given.

    dy has the shape and dtype of y; `cache`, as `convolve` returned it, stays as it is and can be used again.
    ValueError if dy is another, or the cache another's.
    """
    name = "convolve_backward"
    if not isinstance(cache, ConvCache):
        kind = type(cache).__name__
        raise ValueError(f"{name}: cache is a {kind}, not a ConvCache; try y, cache = convolve(x, weight)")
    x, weight, bias, kernel, stride, padding = cache
    (samples, height, width, channels), outputs = x.shape[1:], weight.shape[2]
    size = (out_size(height, kernel, stride, padding), out_size(width, kernel, stride, padding))
    fix = "pass the gradient of y together with the cache of the same call"
    dy = expected(name, "dy", dy, (samples, outputs, *size), x.dtype, fix)
    dweight, dbias = np.empty_like(weight), None if bias is None else np.empty_like(bias)
    dx = conv_backward(dy.transpose(0, 2, 3, 1)[None], cache, dweight, dbias)
    assert dx is not None
    dweight = dweight.reshape(kernel, kernel, channels, outputs).transpose(3, 2, 0, 1)
    return dx[0].transpose(0, 3, 1, 2), dweight, None if dbias is None else dbias[0, 0]
