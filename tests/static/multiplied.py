"""Matrix products inside Pyodide, by the shared library and by NumPy (static/products.py)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from static import products

# Shapes (stack, m, k, n): each side of 4 rows, 8 columns, 64 rows and 256 deep.
SIZES = {"m": (1, 3, 4, 5, 63, 64, 67), "k": (1, 2, 255, 256, 257, 600), "n": (1, 7, 8, 9, 15, 16, 33)}
TRIALS = 400


def everything() -> bytes:
    """Return, as JSON, how products compare: see the functions below."""
    own = np.matmul
    with tempfile.TemporaryDirectory() as folder:
        broken = Path(folder) / "broken.wasm"
        broken.write_bytes(b"\0asm\1\0\0\0 nothing")
        loaded = [products.install(broken), np.matmul is own, products.install(), np.matmul is not own]
    products.LEAST = 1
    found = {
        "loaded": loaded,
        "errors": list(errors(own)),
        "rows": rows_alone(),
        "left": left_to_numpy(own),
    }
    return json.dumps(found).encode()


def errors(own: Any) -> Iterator[dict[str, Any]]:
    """Yield the largest error of products of many shapes and layouts.

    Numbers are whole, and float32 holds each sum exactly: a product that is right has no error at all.
    """
    rng = np.random.default_rng(3)
    for _ in range(TRIALS):
        m, k, n = (int(rng.choice(SIZES[name])) for name in "mkn")
        stack = tuple(rng.integers(1, 4, size=rng.integers(0, 2)).tolist())
        a, b = laid_out(rng, (*stack, m, k)), laid_out(rng, (*stack, k, n))
        exact = own(a.astype(float), b.astype(float))
        out = laid_out(rng, exact.shape) if rng.random() < 0.5 else None
        got = np.matmul(a, b, out=out)
        kept = out is None or got is out
        yield {"shape": [*stack, m, k, n], "error": float(np.abs(got - exact).max()), "kept": kept}


def laid_out(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return whole numbers, whose rows, columns or both lie apart in memory, or the wrong way round."""
    *stack, rows, columns = shape
    plain = rng.integers(-9, 10, (*stack, 2 * rows, 2 * columns)).astype(np.float32)
    turned = rng.integers(-9, 10, (*stack, columns, rows)).astype(np.float32).mT
    kinds = [plain[..., :rows, :columns].copy(), plain[..., ::2, ::2], turned, plain[..., :rows, :columns]]
    return kinds[rng.integers(len(kinds))][..., :: rng.choice([1, -1]), :]


def rows_alone() -> bool:
    """Return whether a row has the same bits whichever rows and columns are multiplied with it."""
    rng = np.random.default_rng(4)
    a = rng.standard_normal((67, 600)).astype(np.float32)
    b = rng.standard_normal((600, 33)).astype(np.float32)
    whole = np.matmul(a, b)
    some = [np.array_equal(np.matmul(a[:m], b[:, :n]), whole[:m, :n]) for m in (1, 4, 66) for n in (1, 8, 31)]
    pairs = np.matmul(np.stack([a, a]), np.stack([b, b]))
    return all(some) and np.array_equal(pairs, np.stack([whole, whole]))


def left_to_numpy(own: Any) -> dict[str, bool]:
    """Return, of what isn't two stacks of float32, whether it is just what NumPy answers."""
    rng = np.random.default_rng(5)
    a = rng.standard_normal((3, 40, 50)).astype(np.float32)
    b = rng.standard_normal((3, 50, 60)).astype(np.float32)
    calls: dict[str, tuple[Any, ...]] = {
        "64 bits": (a.astype(float), b.astype(float)),
        "mixed": (a, b.astype(float)),
        "other byte order": (a.astype(">f4"), b.astype(">f4")),
        "whole numbers": (a.astype(int), b.astype(int)),
        "a number": (a, np.array(2, np.float32)),
        "a vector": (a[0], b[0, :, 0]),
        "stretched": (a[:1], b),
        "one stack": (a, b[0]),
        "four axes": (a[None], b[None]),
        "lists": (a[0].tolist(), b[0].tolist()),
        "unlike": (a, b[:, :-1]),
        "nothing": (a[:, :0], b),
        "small": (a[:, :1, :1], b[:, :1, :1]),
    }
    found = {name: told(np.matmul, *call) == told(own, *call) for name, call in calls.items()}
    square = a[:, :40, :40].copy()
    into = [square.copy(), square.copy()]
    for product, one in zip((np.matmul, own), into, strict=True):
        product(one, one, out=one)
    found["into itself"] = bool(np.allclose(*into, rtol=1e-3, atol=1e-3))
    found["out of 64 bits"] = bool(
        np.array_equal(*(product(a, b, out=np.empty((3, 40, 60))) for product in (np.matmul, own)))
    )
    return found


def told(product: Any, *call: Any) -> Any:
    """Return all that a product answers: its numbers and their kind, or why there are none."""
    try:
        found = product(*call)
        return found.shape, found.dtype.str, found.tobytes()
    except (TypeError, ValueError) as error:
        return str(error)
