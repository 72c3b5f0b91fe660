"""Five norms, forward and backward: bnlib, PyTorch and, for batch norm, plain NumPy, on one thread each.

    PYTHONPATH=. .venv/bin/python benchmarks/norms.py [rounds]
    PYTHONPATH=. .venv/bin/python benchmarks/norms.py --reduced    # two small shapes, in seconds

Processor time, since elsewhere work may wait in line; rounds are interleaved, so that whatever else the
machine does meets all alike; medians are shown. PyTorch runs its own CPU kernels with gamma and beta (RMS
norm: gamma), and autograd's backward on a fixed upstream gradient; bnlib its public functions, their checks
included.
"""

# ruff: noqa: E402 (the number of threads is settled before NumPy is loaded)
import os
from collections.abc import Callable
from time import process_time
from typing import Any, NamedTuple

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch
import torch.nn.functional as F

import bnlib
from benchmarks._command import command

ROUNDS = 60
GROUPS = 8
ROWS = [(32, 64), (256, 256), (4096, 256), (16384, 1024)]
IMAGES = [(32, 64, 8, 8), (32, 256, 32, 32)]

Shape = tuple[int, ...]
Step = Callable[[], object]


class Row(NamedTuple):
    """A norm: bnlib's and PyTorch's forward pass of x, gamma and beta, the shapes, and gamma's axes in x."""

    ours: Callable[..., Any]
    torchs: Callable[..., Any]
    shapes: list[Shape]
    affine: slice = slice(1, 2)
    shift: bool = True


NORMS = {
    "batch": Row(
        bnlib.batch_norm,
        lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True),
        [*ROWS[:3], (65536, 64), ROWS[3], IMAGES[0]],
    ),
    "layer": Row(
        bnlib.layer_norm,
        lambda x, gamma, beta: F.layer_norm(x, x.shape[1:], gamma, beta, 1e-5),
        [*ROWS, *IMAGES],
        slice(1, None),
    ),
    "group": Row(
        lambda x, gamma, beta: bnlib.group_norm(x, gamma, beta, groups=GROUPS),
        lambda x, gamma, beta: F.group_norm(x, GROUPS, gamma, beta),
        [*ROWS, *IMAGES],
    ),
    "instance": Row(
        bnlib.instance_norm,
        lambda x, gamma, beta: F.instance_norm(x, weight=gamma, bias=beta),
        [(32, 64, 64), *IMAGES],
    ),
    "RMS": Row(
        bnlib.rms_norm,
        lambda x, gamma: F.rms_norm(x, x.shape[1:], gamma, 1e-5),
        [*ROWS, *IMAGES],
        slice(1, None),
        False,
    ),
}
FIGURES = tuple(f"{norm} geometric mean" for norm in (*NORMS, "all"))


def with_bnlib(forward: Callable[..., Any], inputs: list[np.ndarray], dy: np.ndarray) -> Step:
    def step() -> object:
        _, cache = forward(*inputs)
        return bnlib.norm_backward(dy, cache)

    return step


def with_torch(forward: Callable[..., Any], inputs: list[np.ndarray], dy: np.ndarray) -> Step:
    tensors = [torch.tensor(array, requires_grad=True) for array in inputs]
    upstream = torch.tensor(dy)
    return lambda: torch.autograd.grad(forward(*tensors), tensors, upstream)


def with_plain_numpy(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray) -> Step:
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


def seconds(step: Step) -> float:
    start = process_time()
    step()
    return process_time() - start


def measured(norm: str, shape: Shape, rounds: int) -> np.ndarray:
    """Return the median milliseconds of a step of bnlib, of PyTorch and, for batch norm, of plain NumPy."""
    rng, row = np.random.default_rng(0), NORMS[norm]
    x, dy = (rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
    affine = [rng.standard_normal(shape[row.affine], dtype=np.float32) for _ in range(1 + row.shift)]
    steps = [with_bnlib(row.ours, [x, *affine], dy), with_torch(row.torchs, [x, *affine], dy)]
    if norm == "batch":
        steps.append(with_plain_numpy(x, *affine, dy))
    repeats = int(np.clip(rounds * 2**20 // x.size, 9, 100 * rounds))
    times = [[seconds(step) for step in steps] for _ in range(repeats + 2)][2:]
    return np.median(times, axis=0) * 1e3


def line(name: str, shape: str, milliseconds: list[float], ratios: list[float]) -> None:
    cells = [f"{number:12.3f}" for number in milliseconds]
    cells += [""] * (3 - len(cells)) + [f"{ratio:12.3f}" for ratio in ratios]
    print(f"{name:>10} {shape:>16}", *(f"{cell:>12}" for cell in cells), flush=True)


def main() -> None:
    """Print every figure."""
    parser = command(__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS)
    asked = parser.parse_args()
    rounds = 1 if asked.reduced else asked.rounds
    torch.set_num_threads(1)
    np.ones(31 << 18, np.float32)  # 31 MB: glibc then keeps freed arrays of up to that size for the next ones
    columns = ("bnlib ms", "torch ms", "plain ms", "bnlib/torch", "plain/torch")
    print(f"{'norm':>10} {'shape':>16}", *(f"{column:>12}" for column in columns))
    means = []
    for norm, row in NORMS.items():
        logs = []
        for shape in row.shapes[: 2 if asked.reduced else None]:
            ours, torchs, *plain = measured(norm, shape, rounds)
            ratios = [ours / torchs, *(other / torchs for other in plain)]
            logs.append(np.log(ratios))
            line(norm, "x".join(map(str, shape)), [ours, torchs, *plain], ratios)
        means.append(np.exp(np.mean(logs, axis=0)))
        line(norm, "geometric mean", [], list(means[-1]))
    line("all", "geometric mean", [], [np.exp(np.mean([np.log(mean[0]) for mean in means]))])


if __name__ == "__main__":
    main()
