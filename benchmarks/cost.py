"""What each norm costs, in bnlib and in PyTorch: parameters, what is kept, memory, and time.

A row a norm, everything beside the same network without it, with which it takes turns in many short rounds
on one thread. Milliseconds of processor time are those of the best round, ratios the median over rounds.
PyTorch is what `bnlib.torch_check` makes of the network, eagerly and always on the same batch: it is made to
be checked against, with formulas and autograd where PyTorch has no layer, or none that follows the statistics
of norm batches. The last row is therefore batch norm by PyTorch's own module.

    PYTHONPATH=. .venv/bin/python benchmarks/cost.py [rounds]
    PYTHONPATH=. .venv/bin/python benchmarks/cost.py --reduced    # the dense network, two norms, in seconds
"""

# ruff: noqa: E402 (the number of threads is settled before NumPy is loaded)
from __future__ import annotations

import os
from dataclasses import replace

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from torch import nn

from benchmarks._command import command
from bnlib import Run, RunConfig
from bnlib.experiments.probes.costs import Cost, cost
from bnlib.norms.table import NORMS
from bnlib.torch_check import twin

ROUNDS = 11
FIGURES = ("dense", "none, beside itself", "batch norm", "batch norm by nn module")
NETWORKS = {  # and how many steps a round
    "dense, 4 x 64, batch 32": (RunConfig(depth=4, width=64, batch_size=32), 12),
    "convolutional, 3 layers, width 32, batch 32": (
        RunConfig(network="cnn", depth=3, width=32, batch_size=32),
        3,
    ),
}
COLUMNS = ("more", "kept", "more KiB", *("training ms", "ratio", "inference ms", "ratio") * 2)
WIDTHS = (6, 6, 9, *(12, 6, 13, 6) * 2)


def times(found: Cost, prefix: str = "") -> list[str]:
    names = ("training", "training_ratio", "inference", "inference_ratio")
    ms, ratio, inference_ms, inference_ratio = (getattr(found, prefix + name) for name in names)
    return [f"{1e3 * ms:.3f}", f"{ratio:.2f}", f"{1e3 * inference_ms:.3f}", f"{inference_ratio:.2f}"]


def show(label: str, counts: list[str], found: Cost) -> None:
    cells = zip([*counts, *times(found), *times(found, "torch_")], WIDTHS, strict=True)
    print(f"{label:24}", *(f"{cell:>{width}}" for cell, width in cells), flush=True)


def by_modules(run: Run) -> nn.Module:
    """The network as one writes it in PyTorch, without a norm or with batch norm."""
    config, layers = run.config, []
    features, batch = run.config.data().x_train.shape[1], config.norm == "batch"
    if config.network == "cnn":
        layers, features = [nn.Unflatten(1, (1, 8, 8))], 1
    for before, shape in zip(((8,), *config.shapes), config.shapes, strict=False):
        if config.network == "cnn":
            layers += [nn.Conv2d(features, shape[-1], 3, before[0] // shape[0], 1, bias=not batch)]
            layers += [nn.BatchNorm2d(shape[-1])] * batch
        else:
            layers += [nn.Linear(features, shape[-1], bias=not batch)]
            layers += [nn.BatchNorm1d(shape[-1])] * batch
        layers, features = [*layers, nn.ReLU()], shape[-1]
    if config.network == "cnn":
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(features, 10))


def main() -> None:
    """Print every figure."""
    parser = command(__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS)
    asked = parser.parse_args()
    networks, norms, rounds = list(NETWORKS.items()), ("none", *NORMS), asked.rounds
    if asked.reduced:
        networks, norms, rounds = networks[:1], ("none", "batch"), 1
    for title, (config, steps) in networks:
        bare = cost(replace(config, norm="none"), rounds=1, steps=1)
        print(f"{title}: without a norm {bare.parameters} parameters, {bare.memory / 1024:.0f} KiB a step")
        print(f"{'':24}", *(f"{name:>{width}}" for name, width in zip(COLUMNS, WIDTHS, strict=True)))
        for norm in norms:
            found = cost(replace(config, norm=norm), rounds=rounds, steps=steps, torch=True)
            counts = [str(found.extra_parameters), str(found.kept), f"{found.extra_memory / 1024:.1f}"]
            show(NORMS[norm].label if norm in NORMS else "none, beside itself", counts, found)
        before, twin.twin = twin.twin, by_modules
        found = cost(config, rounds=rounds, steps=steps, torch=True)
        twin.twin = before
        show("batch norm by nn module", [""] * 3, found)
        print()


if __name__ == "__main__":
    main()
