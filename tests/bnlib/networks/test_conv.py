"""Convolution and pooling against PyTorch's autograd, central differences and the linear layer."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bnlib.networks import conv as module
from bnlib.networks.conv import (
    BLOCK_BYTES,
    conv,
    conv_backward,
    convolve,
    convolve_backward,
    out_size,
    pool,
    pool_backward,
)
from bnlib.networks.layers import linear, linear_backward

# (N, C, H, W), outputs
SHAPES = [((1, 1, 5, 5), 1), ((3, 2, 7, 5), 4), ((2, 3, 4, 9), 1)]
GEOMETRIES = list(product((1, 2, 3), (1, 2, 3), (0, 1, 2)))  # kernel, stride, padding


def random(*shape: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def arrays(
    shape: tuple[int, ...], outputs: int, kernel: int, stride: int, padding: int, dtype: Any = np.float64
) -> list[np.ndarray]:
    """x, weight, bias and dy in PyTorch's layout."""
    size = [(pixels + 2 * padding - kernel) // stride + 1 for pixels in shape[2:]]
    shapes = (shape, (outputs, shape[1], kernel, kernel), (outputs,), (shape[0], outputs, *size))
    return [random(*s, seed=seed, dtype=dtype) for seed, s in enumerate(shapes)]


def check_against_autograd(x: Any, weight: Any, bias: Any, dy: Any, stride: int, padding: int) -> None:
    inputs = [torch.tensor(array, requires_grad=True) for array in (x, weight, bias)]
    expected = F.conv2d(*inputs, stride=stride, padding=padding)
    gradients = torch.autograd.grad(expected, inputs, torch.tensor(dy))
    y, cache = convolve(x, weight, bias, stride=stride, padding=padding)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(convolve_backward(dy, cache), gradients, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-10, atol=1e-10)


# --- against PyTorch ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kernel", "stride", "padding"), GEOMETRIES)
@pytest.mark.parametrize(("shape", "outputs"), SHAPES)
def test_agrees_with_autograd(shape: Any, outputs: int, kernel: int, stride: int, padding: int) -> None:
    check_against_autograd(*arrays(shape, outputs, kernel, stride, padding), stride, padding)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(4, 3, 5), (5, 2, 1), (4, 1, 3), (2, 4, 3), (1, 20, 3)]
)
def test_agrees_with_autograd_beyond_the_usual_sizes(kernel: int, stride: int, padding: int) -> None:
    check_against_autograd(*arrays((2, 2, 9, 6), 3, kernel, stride, padding), stride, padding)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (2, 1)])
def test_agrees_with_autograd_over_several_blocks(kernel: int, stride: int) -> None:
    shape, outputs = (301, 6, 9, 8), 5
    sample = (
        kernel * kernel * shape[1] * 8 * int(np.prod([out_size(n, kernel, stride, 1) for n in shape[2:]]))
    )
    per_block = BLOCK_BYTES // sample
    assert 2 * per_block < 301 and 301 % per_block
    check_against_autograd(*arrays(shape, outputs, kernel, stride, 1), stride, 1)


@pytest.mark.parametrize("block_bytes", [1, 3000, 10**9])
def test_the_size_of_a_block_changes_nothing_but_rounding(
    block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    check_against_autograd(*arrays((7, 2, 7, 5), 4, 3, 2, 1), 2, 1)


@pytest.mark.parametrize(
    ("replicas", "samples", "blocks"), [(1, 1, 1), (5, 10, 3), (28, 1, 1), (2, 28, 2), (3, 300, 33)]
)
def test_blocks_are_as_few_as_fit_and_cover_everything_once(replicas: int, samples: int, blocks: int) -> None:
    assert BLOCK_BYTES // (8 * 8 * 18 * 8) == 28, "so many samples are in a block"
    seen = np.zeros((replicas, samples), int)
    for r, n, patches in module._unfolded(random(replicas, samples, 8, 8, 2), 3, 1, 1, (8, 8)):
        assert patches.nbytes <= BLOCK_BYTES
        seen[r, n] += 1
        blocks -= 1
    assert blocks == 0 and (seen == 1).all()


def test_without_a_bias_it_is_0() -> None:
    x, weight, bias, dy = arrays((3, 2, 7, 5), 4, 3, 1, 1)
    y, cache = convolve(x, weight, padding=1)
    filled, full = convolve(x, weight, 0 * bias, padding=1)
    np.testing.assert_array_equal(y, filled)
    dx, dweight, dbias = convolve_backward(dy, cache)
    assert dbias is None
    np.testing.assert_array_equal(dx, convolve_backward(dy, full)[0])
    np.testing.assert_array_equal(dweight, convolve_backward(dy, full)[1])


def test_stride_and_padding_are_those_of_torch_unless_given() -> None:
    x, weight, bias, _ = arrays((3, 2, 7, 5), 4, 3, 1, 0)
    expected = F.conv2d(*map(torch.tensor, (x, weight, bias))).numpy()
    np.testing.assert_allclose(convolve(x, weight, bias)[0], expected, atol=1e-12)
    same = conv(random(1, 2, 6, 5, 2), random(1, 18, 3))[0]
    assert same.shape == (1, 2, 6, 5, 3), "inside the engine a kernel of 3 keeps the size"


def test_pooling_agrees_with_autograd() -> None:
    x, dy = random(2, 3, 7, 5, 4), random(2, 3, 4, seed=1)
    leaf = torch.tensor(x, requires_grad=True)
    expected = leaf.mean((2, 3))
    (gradient,) = torch.autograd.grad(expected, leaf, torch.tensor(dy))
    y, cache = pool(x)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-12)
    dx = pool_backward(dy, cache)
    np.testing.assert_allclose(dx, gradient.numpy(), atol=1e-12)
    dx += 1  # it is an array of its own


# --- against central differences and the linear layer ---------------------------------------------------


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (2, 3, 2), (1, 2, 0)])
def test_agrees_with_central_differences(kernel: int, stride: int, padding: int) -> None:
    x, weight, bias, dy = arrays((2, 2, 4, 5), 3, kernel, stride, padding)
    _, cache = convolve(x, weight, bias, stride=stride, padding=padding)
    for array, gradient in zip((x, weight, bias), convolve_backward(dy, cache), strict=True):
        assert gradient is not None and gradient.shape == array.shape
        for index in np.ndindex(array.shape):
            losses = []
            for step in (1e-5, -1e-5):
                moved = array.copy()
                moved[index] += step
                inputs = [moved if a is array else a for a in (x, weight, bias)]
                losses.append((dy * convolve(*inputs, stride=stride, padding=padding)[0]).sum())
            assert gradient[index] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-7)


def test_a_kernel_of_1_is_a_linear_layer_at_every_position() -> None:
    x, weight, bias = random(2, 3, 4, 5, 6), random(2, 6, 7, seed=1), random(2, 1, 7, seed=2)
    dy = random(2, 3, 4, 5, 7, seed=3)
    y, cache = conv(x, weight, bias, kernel=1, padding=0)
    expected, linear_cache = linear(x.reshape(2, -1, 6), weight, bias)
    np.testing.assert_allclose(y, expected.reshape(y.shape), atol=1e-12)
    ours, theirs = ((np.empty_like(weight), np.empty_like(bias)) for _ in range(2))
    dx = conv_backward(dy, cache, *ours)
    expected_dx = linear_backward(dy.reshape(2, -1, 7), linear_cache, *theirs)
    np.testing.assert_allclose(dx, expected_dx.reshape(x.shape), atol=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_rows_of_a_weight_are_ordered_by_kernel_row_kernel_column_and_channel() -> None:
    x = random(1, 1, 3, 3, 2)
    for row, column, channel in np.ndindex(3, 3, 2):
        weight = np.zeros((3, 3, 2, 1))
        weight[row, column, channel] = 1
        y, _ = conv(x, weight.reshape(1, 18, 1), padding=0)
        assert y.item() == x[0, 0, row, column, channel]


# --- replicas -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("samples", "channels", "outputs", "stride"),
    [(1, 1, 1, 1), (2, 3, 4, 1), (10, 2, 1, 1), (10, 2, 5, 2), (14, 16, 32, 2), (40, 8, 16, 1)],
)
def test_a_replica_does_not_depend_on_the_others(
    samples: int, channels: int, outputs: int, stride: int, dtype: Any
) -> None:
    x = random(5, samples, 8, 8, channels, dtype=dtype)
    weight, bias = (random(5, n, outputs, seed=n, dtype=dtype) for n in (9 * channels, 1))
    dy = random(5, samples, 8 // stride, 8 // stride, outputs, seed=3, dtype=dtype)

    def everything(replicas: slice) -> list[Any]:
        arrays = [a[replicas] for a in (weight, bias)]
        y, cache = conv(x[replicas], *arrays, stride=stride)
        gradients = [np.empty_like(a) for a in arrays]
        dx = conv_backward(dy[replicas], cache, *gradients)
        pooled, shape = pool(y)
        return [y, dx, *gradients, pooled, pool_backward(pooled, shape)]

    together = everything(slice(None))
    for replica in range(5):
        alone = everything(slice(replica, replica + 1))
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_array_equal(a[replica], b[0])
    for first, second in ((0, 4), (1, 3)):
        for a, b in zip(together, everything(slice(first, second)), strict=True):
            np.testing.assert_array_equal(a[first:second], b)


def test_gradients_are_written_into_views_of_a_flat_array() -> None:
    x, weight = random(3, 40, 8, 8, 8), random(3, 72, 4, seed=1)
    _, cache = conv(x, weight)
    dy = random(3, 40, 8, 8, 4, seed=2)
    flat = np.full((3, 300), 7.0)
    dweight, dbias = flat[:, 5:293].reshape(3, 72, 4), flat[:, 294:298].reshape(3, 1, 4)
    assert conv_backward(dy, cache, dweight, dbias, need_dx=False) is None
    separate = np.empty_like(weight), np.empty((3, 1, 4))
    assert conv_backward(dy, cache, *separate) is not None
    np.testing.assert_array_equal(dweight, separate[0])
    np.testing.assert_array_equal(dbias, separate[1])
    np.testing.assert_array_equal(flat[:, [0, 4, 293, 298, 299]], 7)


# --- what stays as it is --------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(3, 2, 7, 5), (200, 6, 9, 8)])
def test_arguments_stay_and_a_cache_serves_twice(shape: Any, stride: int) -> None:
    given = arrays(shape, 4, 3, stride, 1)
    copies = [array.copy() for array in given]
    for array in given:
        array.flags.writeable = False
    *inputs, dy = given
    _, cache = convolve(*inputs, stride=stride, padding=1)
    first = convolve_backward(dy, cache)
    convolve_backward(2 * dy, cache)
    for a, b in zip(first, convolve_backward(dy, cache), strict=True):
        np.testing.assert_array_equal(a, b)
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("stride", [1, 2])
def test_float32_stays_and_is_close_to_float64(stride: int) -> None:
    *inputs, dy = arrays((200, 6, 9, 8), 4, 3, stride, 1, np.float32)
    y, cache = convolve(*inputs, stride=stride, padding=1)
    wide, wide_cache = convolve(*(a.astype(np.float64) for a in inputs), stride=stride, padding=1)
    results = [y, *convolve_backward(dy, cache)]
    for a, b in zip(results, [wide, *convolve_backward(dy.astype(np.float64), wide_cache)], strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * np.abs(b).max())
    pooled, shape = pool(random(2, 3, 4, 4, 5, dtype=np.float32))
    assert pooled.dtype == pool_backward(pooled, shape).dtype == np.float32


def test_noncontiguous_arguments_make_no_difference() -> None:
    *inputs, dy = arrays((3, 2, 7, 5), 4, 3, 2, 1)
    y, cache = convolve(*inputs, stride=2, padding=1)
    strange = [np.repeat(a, 2, axis=-1)[..., ::2] for a in (*inputs, dy)]
    assert not strange[0].flags.contiguous
    y_strange, strange_cache = convolve(*strange[:3], stride=2, padding=1)
    np.testing.assert_allclose(y_strange, y, atol=1e-12)
    for a, b in zip(convolve_backward(strange[3], strange_cache), convolve_backward(dy, cache), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), [(8, 3, 1, 1), (8, 3, 2, 1), (7, 2, 3, 2)])
def test_out_size_is_that_of_torch(size: int, kernel: int, stride: int, padding: int) -> None:
    y = F.conv2d(
        torch.zeros(1, 1, size, 9), torch.zeros(1, 1, kernel, kernel), stride=stride, padding=padding
    )
    assert out_size(size, kernel, stride, padding) == y.shape[2]


# --- errors ---------------------------------------------------------------------------------------------

X, W, B = np.zeros((2, 3, 7, 5)), np.zeros((4, 3, 3, 3)), np.zeros(4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"x": X.astype("i8")},
            r"x has dtype int64, not float32 or float64; try np\.asarray\(x, np\.float64\)",
        ),
        ({"x": X[0]}, r"x has shape \(3, 7, 5\), but needs \(N, C, H, W\).*; try np\.expand_dims\(x, 0\)"),
        ({"x": X[:0]}, r"x has shape \(0, 3, 7, 5\), but needs .*; pass an array"),
        ({"x": X[0, 0]}, r"x has shape \(7, 5\), but needs .*; pass an array"),
        ({"weight": W[0]}, r"weight has shape \(3, 3, 3\), but x of shape .* needs \(O, 3, k, k\); pass"),
        ({"weight": W[:, :, 0, 0]}, r"weight has shape \(4, 3\), but"),
        ({"weight": W[:, :2]}, r"weight has shape \(4, 2, 3, 3\), but .* needs \(O, 3, k, k\)"),
        ({"weight": W[..., :2]}, r"weight has shape \(4, 3, 3, 2\), but"),
        (
            {"weight": W.swapaxes(0, 1)},
            r"weight has shape \(3, 4, 3, 3\), but .*; try np\.swapaxes\(weight, 0, 1\)",
        ),
        ({"weight": W[:0]}, r"weight has shape \(0, 3, 3, 3\), but"),
        ({"weight": W[..., :0, :0]}, r"weight has shape \(4, 3, 0, 0\), but"),
        ({"weight": np.array(1.0)}, r"weight has shape \(\), but"),
        (
            {"weight": W.astype(np.float32)},
            r"weight has dtype float32, but must have float64; try np\.asarray\(weight, np\.float64\)",
        ),
        (
            {"bias": B[:3]},
            r"bias has shape \(3,\), but must have shape \(4,\); pass one number for each of the 4",
        ),
        ({"bias": B[None]}, r"bias has shape \(1, 4\), but must have shape \(4,\); try np\.ravel\(bias\)"),
        ({"bias": B.astype(np.float32)}, r"bias has dtype float32, but must have float64; try np\.asarray"),
        ({"stride": 0}, r"stride=0 must be an integer from 1; try 1"),
        ({"stride": 1.5}, r"stride=1\.5 must be an integer from 1"),
        ({"padding": -1}, r"padding=-1 must be an integer from 0; try 0"),
        ({"padding": "same"}, r"padding='same' must be an integer from 0"),
        (
            {"weight": np.zeros((4, 3, 6, 6))},
            r"padding=0 leaves 7 x 5 pixels smaller .* 6 x 6; try padding=1",
        ),
    ],
)
def test_convolve_says_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    arguments = {"x": X, "weight": W, "bias": B} | changes
    with pytest.raises(ValueError, match="convolve: " + message):
        convolve(**arguments)


def test_the_suggested_padding_is_enough_and_needed() -> None:
    weight = np.zeros((4, 3, 9, 9))
    with pytest.raises(ValueError, match="try padding=2"):
        convolve(X, weight, padding=1)
    assert convolve(X, weight, padding=2)[0].shape == (2, 4, 3, 1)


def test_convolve_backward_says_what_is_wrong() -> None:
    y, cache = convolve(X, W, B)
    with pytest.raises(
        ValueError, match=r"dy has shape \(2, 4, 3, 5\), but must have shape \(2, 4, 5, 3\); pass"
    ):
        convolve_backward(y.swapaxes(2, 3), cache)
    with pytest.raises(
        ValueError, match=r"dy has dtype float32, but must have float64; try np\.asarray\(dy, np\.float64"
    ):
        convolve_backward(y.astype(np.float32), cache)
    with pytest.raises(ValueError, match=r"cache is a tuple, not a ConvCache; try y, cache = convolve"):
        convolve_backward(y, tuple(cache))  # type: ignore[arg-type]
