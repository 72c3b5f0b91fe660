"""The short pair, as in the papers, is the fast pair."""

import numpy as np
import pytest

import bnlib
from bnlib.norms import plain
from bnlib.norms.axes import in_training, layout
from bnlib.norms.core import normalize, normalize_backward

ROWS = [name for name, norm in bnlib.NORMS.items() if norm.shared]
SHAPES = [
    (1, 1, 12),
    (2, 6, 12),
    (3, 12, 64),
    (1, 6, 2, 2, 12),
    (2, 4, 5, 3, 12),
    (1, 1024, 12, 8),
    (2, 90, 40, 24),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ROWS)
def test_the_plain_pair_is_the_fast_pair_for_every_norm_in_training(name, shape, dtype):
    size = 2 if name == "ghost" and shape[1] % 2 == 0 else 0
    how = in_training(name, shape, 4, size)
    affine = (shape[0], *how.affine[1:])
    rng = np.random.default_rng(len(shape) + shape[1])
    x = (3 * rng.standard_normal(how.shape) + 2).astype(dtype)
    gamma, beta = (rng.standard_normal(affine).astype(dtype) for _ in range(2))
    compare(x, how.reduced, gamma, beta, bnlib.NORMS[name].centre, rng)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("letters", "shape", "shared"),
    [
        ("NC", (700, 128), "NP"),
        ("NCPP", (16, 8, 30, 30), "NP"),
        ("NCPP", (16, 8, 30, 30), "P"),
        ("NCPP", (16, 8, 30, 30), "PC"),
        ("NcCPP", (16, 4, 2, 30, 30), "PC"),
        ("NnCP", (4, 20, 8, 200), "NP"),
        ("NNC", (20, 40, 96), "C"),
    ],
)
def test_the_plain_pair_is_the_fast_pair_for_large_arrays(letters, shape, shared, dtype):
    """More than 65,536 elements go block by block."""
    how, rng = layout(letters, shape, shared), np.random.default_rng(7)
    x = (3 * rng.standard_normal(shape) + 2).astype(dtype)
    gamma, beta = (rng.standard_normal(how.affine).astype(dtype) for _ in range(2))
    for centre in (True, False):
        compare(x, how.reduced, gamma, beta, centre, rng)


def compare(x, axes, gamma, beta, centre, rng):
    dy = rng.standard_normal(x.shape).astype(x.dtype)
    y, cache = normalize(x, axes, gamma, beta, 1e-5, centre)
    found = (y, *normalize_backward(dy, cache))
    expected_y, kept = plain.forward(x, axes, gamma, beta, 1e-5, centre)
    expected = (expected_y, *plain.backward(dy, kept))
    digits = 2e-5 if x.dtype == np.float32 else 1e-12
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype == x.dtype
        np.testing.assert_allclose(one, other, rtol=digits, atol=digits * max(1, np.abs(other).max()))


def test_replicas_of_one_are_summed_apart():
    """One replica has an axis of length 1 that is none of those over which gamma is shared."""
    x, gamma = np.arange(6.0).reshape(1, 3, 2), np.ones((1, 1, 2))
    _, cache = plain.forward(x, (1,), gamma, gamma)
    assert [gradient.shape for gradient in plain.backward(x, cache)] == [(1, 3, 2), (1, 1, 2), (1, 1, 2)]
