"""How fast a training step of a convolutional network is: bnlib against an eager PyTorch loop.

conv16 - conv32 with stride 2 - conv32, each 3 x 3, batch norm, ReLU; global average pooling; 10 classes. Data
are the digits, 8 x 8 pixels, SGD, float32, one thread for everybody. All contestants take turns, many short
rounds each, and the best round counts, in processor time.

Memory that a step frees stays with the process, for all contestants alike, as in the processes of the lab
and of sweeps (`bnlib.jobs.workers.keep_memory`); with the argument "plain" it doesn't. "--reduced" is one
row, in seconds.
"""

# ruff: noqa: E402 (the number of threads is settled before NumPy is loaded)
from __future__ import annotations

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
from torch import nn

import bnlib
from benchmarks._command import command
from benchmarks.engine import LR, ROUNDS, Contestant, best_times, multiplication, torch_training
from bnlib.jobs.workers import keep_memory

BATCHES, REPLICAS = (2, 8, 32, 128), (1, 4)
CONVS = ((1, 16, 1), (16, 32, 2), (32, 32, 1))  # inputs, outputs, stride
FEATURES, CLASSES, PIXELS = 32, 10, 8
FIGURES = ("1 2",)


def steps(batch: int) -> int:
    """Steps per round: so many that rounds are short but not too short for the clock."""
    return max(2, 40 // batch)


def ours(batch: int, replicas: int) -> Contestant:
    """`bnlib.advance`, always from the same run; telemetry off."""
    config = bnlib.RunConfig(
        network="cnn", depth=3, width=FEATURES, batch_size=batch, replicas=replicas, lr=LR,
        record_every=10**6, validate_every=10**6,
    )  # fmt: skip
    run = bnlib.advance(bnlib.start(config), 1)  # past the frame of step 0
    return lambda: bnlib.advance(run, steps(batch))


def eager_torch(batch: int) -> Contestant:
    """One seed in PyTorch, the plain way."""
    layers: list[nn.Module] = []
    for inputs, outputs, stride in CONVS:
        layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(FEATURES, CLASSES))
    return torch_training(model, batch, steps(batch), (1, PIXELS, PIXELS))


def products(batch: int, replicas: int) -> Contestant:
    """The matrix products of the convolutions and nothing else, patches ready: the floor."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal((replicas, *shape), dtype=np.float32)

    jobs, size = [], PIXELS
    for inputs, outputs, stride in CONVS:
        size //= stride
        patches, weight = random(batch * size * size, 9 * inputs), random(9 * inputs, outputs)
        dy = random(batch * size * size, outputs)
        jobs.append((patches, weight, dy.copy()))
        jobs.append((patches.swapaxes(1, 2), dy, weight.copy()))
        if inputs > 1:
            jobs.append((dy, weight.swapaxes(1, 2), patches.copy()))

    return multiplication(jobs, steps(batch))


def main() -> None:
    """Print every figure."""
    parser = command(__doc__)
    parser.add_argument("memory", nargs="?", choices=("plain",), help="don't keep memory that is freed")
    asked = parser.parse_args()
    if asked.memory != "plain":
        keep_memory()
    sizes, seeds, rounds = ((2,), (1,), 1) if asked.reduced else (BATCHES, REPLICAS, ROUNDS)
    contestants: dict[tuple, Contestant] = {}
    for batch in sizes:
        contestants["torch", batch] = eager_torch(batch)
        for replicas in seeds:
            contestants["ours", batch, replicas] = ours(batch, replicas)
            contestants["products", batch, replicas] = products(batch, replicas)
    best = best_times(contestants, steps, rounds)
    print("microseconds per step of all seeds; speed-up per seed over PyTorch")
    print("seeds batch    torch    bnlib  products  products/bnlib  speed-up")
    for replicas in seeds:
        for batch in sizes:
            rival, own = best["torch", batch], best["ours", batch, replicas]
            floor = best["products", batch, replicas]
            print(
                f"{replicas:5d} {batch:5d} {rival:8.0f} {own:8.0f} {floor:9.0f} "
                f"{floor / own:15.0%} {rival * replicas / own:8.2f}x"
            )


if __name__ == "__main__":
    main()
