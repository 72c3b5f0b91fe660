"""How fast a training step is: bnlib against an eager PyTorch loop, and against its own matrix products.

The network is 64-64-64-64-10 with batch norm and ReLU on the digits, SGD, telemetry off, one thread for
everybody. All contestants take turns, many short rounds each, and the best round counts, in processor
time: other work on the machine then disturbs everybody alike.

    make bench
    PYTHONPATH=. .venv/bin/python benchmarks/engine.py --reduced    # one row, in seconds
"""

# ruff: noqa: E402 (the number of threads is settled before NumPy is loaded)
from __future__ import annotations

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import time
from collections.abc import Callable
from math import prod

import numpy as np
import torch
from torch import nn

import bnlib
from benchmarks._command import command
from bnlib import data

BATCHES, REPLICAS, LR = (2, 8, 32), (1, 8), 0.1
STEPS, ROUNDS = 100, 25
FIGURES = ("1 2", "geometric mean")
WIDTHS = (64, 64, 64, 64, 10)

Contestant = Callable[[], object]


def ours(batch: int, replicas: int) -> Contestant:
    """`bnlib.advance` by STEPS steps, always from the same run."""
    config = bnlib.RunConfig(
        batch_size=batch, replicas=replicas, lr=LR, record_every=10**6, validate_every=10**6
    )
    run = bnlib.advance(bnlib.start(config), 1)  # past the frame of step 0
    return lambda: bnlib.advance(run, STEPS)


def eager_torch(batch: int) -> Contestant:
    """One seed in PyTorch, the plain way; the batch norms go before the ReLUs as in the 2015 paper."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(WIDTHS[:-2], WIDTHS[1:-1], strict=True):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
    return torch_training(nn.Sequential(*layers, nn.Linear(*WIDTHS[-2:])), batch, STEPS)


def torch_training(model: nn.Module, batch: int, steps: int, shape: tuple[int, ...] = (-1,)) -> Contestant:
    """So many plain SGD steps of ``model`` on digits of that shape, on one thread."""
    torch.set_num_threads(1)
    dataset = data.load("digits")
    x = torch.tensor(dataset.x_train, dtype=torch.float32).reshape(len(dataset.y_train), *shape)
    y = torch.tensor(dataset.y_train)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)

    def train() -> None:
        order = torch.cat([torch.randperm(len(x)) for _ in range(-(-steps * batch // len(x)))])
        for indices in order[: steps * batch].split(batch):
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(model(x[indices]), y[indices])
            loss.backward()
            optimizer.step()

    return train


def products(batch: int, replicas: int) -> Contestant:
    """The matrix products of STEPS steps and nothing else: the floor."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal((replicas, *shape), dtype=np.float32)

    jobs = []
    for layer, (inputs, outputs) in enumerate(zip(WIDTHS[:-1], WIDTHS[1:], strict=True)):
        x, weight, dy = random(batch, inputs), random(inputs, outputs), random(batch, outputs)
        jobs.append((x, weight, dy.copy()))
        jobs.append((x.swapaxes(1, 2), dy, weight.copy()))
        if layer:
            jobs.append((dy, weight.swapaxes(1, 2), x.copy()))

    return multiplication(jobs, STEPS)


def multiplication(jobs: list[tuple[np.ndarray, ...]], steps: int) -> Contestant:
    """So many times the products a @ b -> out."""

    def multiply() -> None:
        for _ in range(steps):
            for a, b, out in jobs:
                np.matmul(a, b, out)

    return multiply


def best_times(
    contestants: dict[tuple, Contestant], steps: Callable[[int], int], rounds: int = ROUNDS
) -> dict[tuple, float]:
    """Microseconds per step, the best of so many rounds in which each contestant runs once.

    Keys are (name, batch size, ...); ``steps`` says how many steps a round has at a batch size.
    """
    for contestant in contestants.values():
        contestant()  # warm
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(rounds):
        for key, contestant in contestants.items():
            begin = time.process_time()
            contestant()
            best[key] = min(best[key], (time.process_time() - begin) / steps(key[1]) * 1e6)
    return best


def main() -> None:
    """Print every figure."""
    reduced = command(__doc__).parse_args().reduced
    sizes, seeds, rounds = ((2,), (1,), 1) if reduced else (BATCHES, REPLICAS, ROUNDS)
    contestants: dict[tuple, Contestant] = {}
    for batch in sizes:
        contestants["torch", batch] = eager_torch(batch)
        for replicas in seeds:
            contestants["ours", batch, replicas] = ours(batch, replicas)
            contestants["products", batch, replicas] = products(batch, replicas)
    best = best_times(contestants, lambda _: STEPS, rounds)
    print("microseconds per step of all seeds; speed-up per seed over PyTorch")
    print("seeds batch    torch    bnlib  products  bnlib/products  speed-up")
    for replicas in seeds:
        speed_ups = []
        for batch in sizes:
            rival, own = best["torch", batch], best["ours", batch, replicas]
            floor = best["products", batch, replicas]
            speed_ups.append(rival * replicas / own)
            print(
                f"{replicas:5d} {batch:5d} {rival:8.1f} {own:8.1f} {floor:9.1f} "
                f"{own / floor:15.2f} {speed_ups[-1]:8.2f}x"
            )
        print(f"{'geometric mean':>52} {prod(speed_ups) ** (1 / len(speed_ups)):10.2f}x")


if __name__ == "__main__":
    main()
