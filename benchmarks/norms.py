"""Batch norm, forward and backward: bnlib, PyTorch and plain NumPy side by side, on one thread each.

    PYTHONPATH=. .venv/bin/python benchmarks/norms.py [rounds]
    PYTHONPATH=. .venv/bin/python benchmarks/norms.py --reduced    # two small shapes, in seconds

Rounds are interleaved, so that whatever else the machine does meets all three alike; medians are shown.
PyTorch runs its own CPU kernel with gamma and beta, and autograd's backward on a fixed upstream gradient;
bnlib its public functions, their checks included.
"""

# ruff: noqa: E402 (the number of threads is settled before NumPy is loaded)
import os
from collections.abc import Callable
from time import perf_counter

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch
import torch.nn.functional as F

import bnlib
from benchmarks._command import command

ROUNDS = 60
SHAPES = [(32, 64), (256, 256), (4096, 256), (65536, 64), (16384, 1024), (32, 64, 8, 8)]
FIGURES = ("32x64", "256x256", "geometric mean")


def with_bnlib(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray) -> Callable[[], object]:
    def step() -> object:
        _, cache = bnlib.batch_norm(x, gamma, beta)
        return bnlib.norm_backward(dy, cache)

    return step


def with_torch(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray) -> Callable[[], object]:
    inputs = [torch.tensor(array, requires_grad=True) for array in (x, gamma, beta)]
    upstream = torch.tensor(dy)

    def step() -> object:
        y = F.batch_norm(inputs[0], None, None, inputs[1], inputs[2], training=True)
        return torch.autograd.grad(y, inputs, upstream)

    return step


def with_plain_numpy(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray
) -> Callable[[], object]:
    axes = (0, *range(2, x.ndim))
    gamma, beta = (array.reshape(-1, *(1,) * (x.ndim - 2)) for array in (gamma, beta))

    def step() -> object:
        std = np.sqrt(x.var(axes, keepdims=True) + 1e-5)
        xhat = (x - x.mean(axes, keepdims=True)) / std
        y = gamma * xhat + beta
        dgamma, dbeta = (dy * xhat).sum(axes), dy.sum(axes)
        g = gamma * dy
        dx = g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True)
        return y, dx / std, dgamma, dbeta

    return step


def seconds(step: Callable[[], object]) -> float:
    start = perf_counter()
    step()
    return perf_counter() - start


def main() -> None:
    """Print every figure."""
    parser = command(__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS)
    asked = parser.parse_args()
    shapes, rounds = (SHAPES[:2], 1) if asked.reduced else (SHAPES, asked.rounds)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    columns = ("bnlib ms", "torch ms", "plain ms", "bnlib/torch", "plain/torch")
    print(f"{'shape':>16}", *(f"{column:>12}" for column in columns))
    ratios = []
    for shape in shapes:
        x, dy = (rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
        gamma, beta = (rng.standard_normal(shape[1], dtype=np.float32) for _ in range(2))
        steps = [make(x, gamma, beta, dy) for make in (with_bnlib, with_torch, with_plain_numpy)]
        repeats = int(np.clip(rounds * 2**20 // x.size, 9, 100 * rounds))
        times = [[seconds(step) for step in steps] for _ in range(repeats + 2)][2:]
        ours, torchs, plain = np.median(times, axis=0) * 1e3
        ratios.append([ours / torchs, plain / torchs])
        cells = (f"{number:12.3f}" for number in (ours, torchs, plain, *ratios[-1]))
        print(f"{'x'.join(map(str, shape)):>16}", *cells, flush=True)
    means = np.exp(np.log(ratios).mean(0))
    print(f"{'geometric mean':>16}", " " * 38, *(f"{mean:12.3f}" for mean in means))


if __name__ == "__main__":
    main()
