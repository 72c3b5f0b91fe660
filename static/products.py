"""NumPy's matrix products in a browser, four numbers at a time: `static/products.ts`, as a shared library.

Pyodide's NumPy has no BLAS (pyodide/pyodide#227). Nothing of this is imported but in a browser, and where
the library can't be loaded, NumPy's own products stay.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger(__name__)

LIBRARY = Path(__file__).with_suffix(".wasm")  # the build puts it there
LEAST = 2**15  # multiplications; a call takes as long as so many of NumPy's
FLOAT = np.dtype(np.float32)

Products = Callable[..., Any]


def install(library: Path = LIBRARY) -> bool:
    """Have `numpy.matmul` do its larger float32 products by the library; say whether that could be loaded."""
    try:
        loaded = ctypes.CDLL(str(library))
    except OSError as error:
        log.warning("matrix products are NumPy's own, which are slow here: %s", error)
        return False
    np.matmul = through(loaded.products, loaded.room, np.matmul)  # type: ignore[assignment]
    return True


def through(products: Products, room: Callable[[int], int], others: Products) -> Products:
    """Return `numpy.matmul` for two arrays, or two stacks of as many matrices.

    products : multiplies, as `static/products.ts` says
    room : how many bytes that needs besides, by the columns of a product
    others : does what isn't float32, what is small, and what NumPy would stretch or refuse
    """
    free = np.empty(0, np.uint8)
    place = 0  # its address

    def matmul(a: Any, b: Any, out: Any = None) -> Any:
        nonlocal free, place
        if not _suits(a, b, out):
            return others(a, b) if out is None else others(a, b, out=out)
        (*stack, m, k), n = a.shape, b.shape[-1]
        c = np.empty((*stack, m, n), FLOAT) if out is None else out
        if free.nbytes < (needed := room(n)):
            free = np.empty(needed, np.uint8)
            place = free.ctypes.data
        products(
            stack[0] if stack else 1, m, k, n,
            a.ctypes.data, a.strides[0], *a.strides[-2:],
            b.ctypes.data, b.strides[0], *b.strides[-2:],
            c.ctypes.data, c.strides[0], c.strides[-2], place,
        )  # fmt: skip
        return c

    return matmul


def _suits(a: Any, b: Any, out: Any) -> bool:
    """Return whether a product is large, of float32, and of two arrays or of pairs of a stack."""
    if type(a) is not np.ndarray or type(b) is not np.ndarray or not 2 <= a.ndim == b.ndim <= 3:
        return False
    shape = (*a.shape[:-1], b.shape[-1])
    if b.shape[:-1] != (*a.shape[:-2], a.shape[-1]) or a.size * b.shape[-1] < LEAST:
        return False
    if not a.dtype == b.dtype == FLOAT:
        return False
    if out is None:
        return True
    fits = out.shape == shape and out.dtype == FLOAT and out.strides[-1] == FLOAT.itemsize
    return fits and not (np.may_share_memory(out, a) or np.may_share_memory(out, b))
