"""Convolution and global average pooling, with the replica axis of `layers`.

Inside the engine channels come last: x is ``(R, N, H, W, C)``, R independent networks, N samples; a kernel
is a matrix ``(R, k * k * C, O)`` with rows ordered (kernel row, kernel column, channel). A convolution is
then the linear layer of unfolded patches. `convolve` is the same in PyTorch's layout, and checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..norms.checks import expected, float_array, is_whole, one_each, plain_array
from ..norms.statistics import Array, Shape, averager

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
    size = tuple(out_size(pixels, kernel, stride, padding) for pixels in x.shape[2:4])
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
    x, weight, _, kernel, stride, padding = cache
    for replicas, samples, patches in _unfolded(x, kernel, stride, padding, dy.shape[2:4]):
        block = dy[replicas, samples].reshape(len(patches), -1, dy.shape[4])
        if samples.start == 0:
            np.matmul(patches.mT, block, out=dweight[replicas])
        else:
            dweight[replicas] += np.matmul(patches.mT, block)
    if dbias is not None:
        np.add.reduce(dy.reshape(len(dy), -1, dy.shape[4]), axis=1, keepdims=True, out=dbias)
    return _input_gradient(dy, x.shape, weight, kernel, stride, padding) if need_dx else None


def _input_gradient(dy: Array, shape: Shape, weight: Array, kernel: int, stride: int, padding: int) -> Array:
    """Return dx: a convolution of dy with stride 1, each of whose outputs holds stride x stride pixels.

    In row ``stride a + p`` of x, row ``a - m`` of dy meets weight row ``stride m + p + padding``, for all
    m from `first` to `last`, or a zero. Adding up overlapping patches makes this backward pass 1.4 x slower.
    """
    (replicas, samples, height, width, channels), outputs = shape, dy.shape[4]
    first, last = -((stride - 1 + padding) // stride), (kernel - 1 - padding) // stride
    window = last - first + 1
    full = np.zeros((replicas, window * stride, window * stride, channels, outputs), weight.dtype)
    inside = slice(-stride * first - padding, -stride * first - padding + kernel)
    full[:, inside, inside] = weight.reshape(replicas, kernel, kernel, channels, outputs)
    turned = full.reshape(replicas, window, stride, window, stride, channels, outputs)[:, ::-1, :, ::-1]
    turned = turned.transpose(0, 1, 3, 6, 2, 4, 5).reshape(replicas, -1, stride * stride * channels)
    rows, columns = -(-height // stride), -(-width // stride)
    dx = _correlate(dy, turned, window, 1, last, (rows, columns))
    dx = dx.reshape(replicas, samples, rows, columns, stride, -1).swapaxes(3, 4)
    dx = dx.reshape(replicas, samples, rows * stride, columns * stride, channels)
    return dx[:, :, :height, :width]


def _correlate(x: Array, weight: Array, kernel: int, stride: int, before: int, size: Shape) -> Array:
    y = np.empty((*x.shape[:2], *size, weight.shape[2]), x.dtype)
    for replicas, samples, patches in _unfolded(x, kernel, stride, before, size):
        np.matmul(patches, weight[replicas], out=y[replicas, samples].reshape(len(patches), -1, y.shape[4]))
    return y


def _unfolded(
    x: Array, kernel: int, stride: int, before: int, size: Shape
) -> Iterator[tuple[slice, slice, Array]]:
    """Yield replicas, samples and their patches (r, n * positions, k * k * C), block by block in one memory.

    `before` rows and columns of zeros precede x, or are left out of it if negative; `size`: positions.
    """
    replicas, samples, _, _, channels = x.shape
    sample_bytes = size[0] * size[1] * kernel * kernel * channels * x.itemsize
    # What a matrix product rounds to can depend on its rows: n doesn't depend on how many replicas run side
    # by side, and several share a block only where each is in it as a whole (r is 1 otherwise).
    n = min(samples, max(1, BLOCK_BYTES // sample_bytes))
    r = min(replicas, max(1, BLOCK_BYTES // (n * sample_bytes)))
    tall, wide = ((positions - 1) * stride + kernel for positions in size)
    padded = np.zeros((r, n, tall, wide, channels), x.dtype)
    a, b, down, right, pixel = padded.strides
    patches = np.empty((r, n, *size, kernel, kernel * channels), x.dtype)
    strides = (a, b, stride * down, stride * right, down, pixel)
    windows: Array = np.ndarray(patches.shape, x.dtype, padded, 0, strides)
    skip, start = max(-before, 0), max(before, 0)
    seen = x[:, :, skip : skip + max(0, tall - start), skip : skip + max(0, wide - start)]
    inner = padded[:, :, start : start + seen.shape[2], start : start + seen.shape[3]]
    for i in range(0, replicas, r):
        for j in range(0, samples, n):
            part = seen[i : i + r, j : j + n]
            a, b = part.shape[:2]
            inner[:a, :b] = part
            patches[:a, :b] = windows[:a, :b]  # kernel columns and channels are one contiguous run
            flat = patches[:a, :b].reshape(a, -1, kernel * kernel * channels)
            yield slice(i, i + a), slice(j, j + b), flat


def pool(x: Array) -> tuple[Array, Shape]:
    """Average over all positions, (R, N, H, W, C) -> (R, N, C): global average pooling."""
    return averager(x.shape, (2, 3), x.dtype)(x)[:, :, 0, 0], x.shape


def pool_backward(dy: Array, cache: Shape) -> Array:
    """Return the gradient of `pool`: every position gets an equal share."""
    return np.broadcast_to((dy / (cache[2] * cache[3]))[:, :, None, None], cache).copy()


def convolve(
    x: Array, weight: Array, bias: Array | None = None, *, stride: int = 1, padding: int = 0
) -> tuple[Array, ConvCache]:
    """Convolve images as torch.nn.functional.conv2d does: `conv` of one network, checked.

    x is an ndarray of shape (N, C, H, W), float32 or float64; weight (O, C, k, k) and bias (O,), or None for
    0, have its dtype. stride >= 1 is in pixels, padding >= 0 so many pixels of 0 around each image, which
    must not be smaller than the kernel. Anything else raises ValueError.

    y has the shape (N, O, H', W') with ``H' = (H + 2 padding - k) // stride + 1``, and W' likewise. The
    cache, for `convolve_backward`, holds copies: the arguments may change after the call.
    """
    name, x = "convolve", float_array("convolve", "x", x)
    if x.ndim != 4 or x.size == 0:
        fix = "try np.expand_dims(x, 0) for one image" if x.ndim == 3 else "pass an array of that shape"
        raise ValueError(f"{name}: x has shape {x.shape}, but needs (N, C, H, W), none of them 0; {fix}")
    _, channels, *pixels = x.shape
    shape = plain_array(name, "weight", weight).shape
    if len(shape) != 4 or 0 in shape or shape[1:] != (channels, shape[2], shape[2]):
        fix = "pass one of that shape"
        if len(shape) == 4 and shape[0] == channels:
            fix = "try np.swapaxes(weight, 0, 1) if input channels come first"
        raise ValueError(
            f"{name}: weight has shape {shape}, but x of shape {x.shape} needs (O, {channels}, k, k); {fix}"
        )
    weight = expected(name, "weight", weight, shape, x.dtype, "")
    if bias is not None:
        bias = one_each(name, "bias", bias, shape[:1], 0, x.dtype)[None, None]
    for label, number, least in (("stride", stride, 1), ("padding", padding, 0)):
        if not is_whole(number) or number < least:
            raise ValueError(f"{name}: {label}={number!r} must be an integer from {least}; try {least}")
    outputs, _, _, kernel = shape
    missing = kernel - min(pixels)
    if missing > 2 * padding:
        raise ValueError(
            f"{name}: padding={padding} leaves {pixels[0]} x {pixels[1]} pixels smaller than the kernel, "
            f"{kernel} x {kernel}; try padding={-(-missing // 2)}"
        )
    matrix = weight.transpose(2, 3, 1, 0).reshape(1, -1, outputs).copy()
    images = x.transpose(0, 2, 3, 1).copy()[None]
    y, cache = conv(images, matrix, bias, kernel=kernel, stride=int(stride), padding=int(padding))
    return y[0].transpose(0, 3, 1, 2), cache


def convolve_backward(dy: Array, cache: ConvCache) -> tuple[Array, Array, Array | None]:
    """Return the gradients of x, weight and bias in their shapes, None for a bias that wasn't given.

    The cache stays as it is. ValueError if dy hasn't the shape and dtype of y, or the cache is another's.
    """
    name = "convolve_backward"
    if not isinstance(cache, ConvCache):
        kind = type(cache).__name__
        raise ValueError(f"{name}: cache is a {kind}, not a ConvCache; try y, cache = convolve(x, weight)")
    x, weight, bias, kernel, *how = cache
    samples, *pixels, channels = x.shape[1:]
    outputs = weight.shape[2]
    shape = (samples, outputs, *(out_size(number, kernel, *how) for number in pixels))
    fix = "pass the gradient of y together with the cache of the same call"
    dy = expected(name, "dy", dy, shape, x.dtype, fix)
    dweight, dbias = np.empty_like(weight), None if bias is None else np.empty_like(bias)
    dx: Any = conv_backward(dy.transpose(0, 2, 3, 1)[None], cache, dweight, dbias)
    dweight = dweight.reshape(kernel, kernel, channels, outputs).transpose(3, 2, 0, 1)
    return dx[0].transpose(0, 3, 1, 2), dweight, None if dbias is None else dbias[0, 0]
