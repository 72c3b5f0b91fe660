"""How fast the E11 curve is: 9 networks x 6 seeds by `bnlib.jobs.sweep`, against eager PyTorch one by one.

Six norm batches, group norm, layer norm and no norm, six seeds each, 240 steps: the cells of experiment
E11 at full size, nothing taken from disk. PyTorch trains the same networks on the same data with the same
optimizer and schedule, one by one, with as many threads as are fastest for it; its norm batches are one call
of batch_norm on a view, not a loop. Both evaluate what they have trained; their errors are printed too.

    make bench
    PYTHONPATH=. .venv/bin/python benchmarks/sweep.py --reduced    # two short networks, one round, in seconds
"""

# ruff: noqa: E402 (the number of threads is settled before NumPy is loaded)
from __future__ import annotations

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import time
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import bnlib
from benchmarks._command import command
from bnlib.experiments import find
from bnlib.experiments.probes import Cell, measure
from bnlib.jobs.sweep import sweep
from bnlib.jobs.workers import processes

ROUNDS, SHORT = 3, 20
FIGURES = ("PyTorch", "median speed-up", "16", "64")


class NormBatches(nn.BatchNorm1d):
    """Batch norm with statistics of `size` samples at a time: (N, C) seen as (size, N / size * C)."""

    def __init__(self, width: int, size: int, eps: float):
        super().__init__(width, eps)
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.size == len(x):
            return super().forward(x)
        groups = len(x) // self.size
        view = x.view(self.size, groups * self.num_features)
        mean, var = view.mean(0), view.var(0)
        with torch.no_grad():
            self.running_mean.lerp_(mean.view(groups, -1).mean(0), self.momentum)
            self.running_var.lerp_(var.view(groups, -1).mean(0), self.momentum)
        gamma, beta = self.weight.repeat(groups), self.bias.repeat(groups)
        return functional.batch_norm(view, None, None, gamma, beta, True, 0.0, self.eps).view_as(x)


def eager_torch(config: bnlib.RunConfig, steps: int, seed: int) -> float:
    """One network trained in plain PyTorch; its validation error in percent."""
    torch.manual_seed(seed)
    data = config.data()
    x, y = torch.tensor(data.x_train), torch.tensor(data.y_train)
    norm = {
        "none": nn.Identity,
        "batch": lambda: NormBatches(config.width, config.norm_batch, config.eps),
        "layer": lambda: nn.LayerNorm(config.width, config.eps),
        "group": lambda: nn.GroupNorm(config.groups, config.width, config.eps),
    }[config.norm]
    layers: list[nn.Module] = []
    inputs = x.shape[1]
    for _ in range(config.depth):
        linear = nn.Linear(inputs, config.width, bias=config.norm != "batch")
        nn.init.kaiming_normal_(linear.weight)
        layers += [linear, norm(), nn.ReLU()]
        inputs = config.width
    model = nn.Sequential(*layers, nn.Linear(inputs, data.classes))
    weights = [p for p in model.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": weights, "weight_decay": config.weight_decay}, {"params": rest}]
    optimizer = torch.optim.SGD(groups, lr=config.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.cosine_steps)
    size = config.batch_size
    order = torch.cat([torch.randperm(len(x)) for _ in range(-(-steps * size // len(x)))])
    for indices in order[: steps * size].split(size):
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(x[indices]), y[indices]).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        wrong = model(torch.tensor(data.x_val)).argmax(1) != torch.tensor(data.y_val)
    return 100 * float(wrong.double().mean())


def threads_for(cell: Cell) -> int:
    """With how many threads PyTorch is fastest."""
    seconds = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        eager_torch(cell.config, 40, 0)
        begin = time.perf_counter()
        eager_torch(cell.config, 120, 0)
        seconds[threads] = time.perf_counter() - begin
    return min(seconds, key=seconds.__getitem__)


def _short(cell: Cell) -> Cell:
    """One seed for a few steps."""
    return cell._replace(config=replace(cell.config, replicas=1), steps=SHORT)


def main() -> None:
    """Print every figure."""
    reduced = command(__doc__).parse_args().reduced
    cells = find("E11").cells(True)
    workers = None
    if reduced:
        cells, workers = {size: _short(cells[size]) for size in (16, 64)}, 1
    seeds = next(iter(cells.values())).config.replicas
    torch.set_num_threads(1 if reduced else threads_for(cells[16]))
    ratios, inside = [], []
    for _ in range(1 if reduced else ROUNDS):
        begin = time.perf_counter()
        theirs = {
            label: [eager_torch(cell.config, cell.steps, seed) for seed in range(seeds)]
            for label, cell in cells.items()
        }
        torch_seconds = time.perf_counter() - begin
        begin = time.perf_counter()
        found = sweep(measure, cells.values(), workers=workers, store=False)
        own_seconds = time.perf_counter() - begin
        with processes(workers or 2) as pool:
            list(pool.map(len, ["warm"] * 8))
            begin = time.perf_counter()
            sweep(measure, cells.values(), executor=pool, store=False)
            inside.append(torch_seconds / (time.perf_counter() - begin))
        ratios.append(torch_seconds / own_seconds)
        print(f"PyTorch {torch_seconds:6.2f} s   bnlib {own_seconds:5.2f} s   {ratios[-1]:5.1f}x")
    print(f"\n{len(cells)} networks x {seeds} seeds, PyTorch with {torch.get_num_threads()} thread(s)")
    print(
        f"median speed-up {np.median(ratios):.1f}x; {np.median(inside):.1f}x with processes that run already"
    )
    print("\nvalidation error, %, mean of the seeds      PyTorch   bnlib")
    for label, cell in cells.items():
        print(f"  {label!s:40} {np.mean(theirs[label]):8.1f} {found[cell]['final'].mean():7.1f}")


if __name__ == "__main__":
    main()
