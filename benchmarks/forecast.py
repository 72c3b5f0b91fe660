"""How well a step's cost is known before it runs: `bnlib.jobs.forecast` over what is measured.

A row a configuration, the heaviest of their kinds among them: seconds of a step at the lab's pace (a frame at
each, validation at each fifth), of the longest step, and bytes at the peak, each with forecast / measurement.
"longest" is what a worker does for a race's first picture, `live.worker.extend` by one step from
the start. Seconds are processor time of one thread, the best of a few rounds; bytes are counted by Python.

    PYTHONPATH=. .venv/bin/python benchmarks/forecast.py              # all, a few minutes
    PYTHONPATH=. .venv/bin/python benchmarks/forecast.py --reduced    # the smallest, a few seconds
    PYTHONPATH=. .venv/bin/python benchmarks/forecast.py --slow       # and what the lab refuses
"""

# ruff: noqa: E402 (the number of threads is settled before NumPy is loaded)
from __future__ import annotations

import argparse
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from math import exp, log
from statistics import stdev
from time import thread_time
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from bnlib import RunConfig, advance, start
from bnlib.jobs.forecast import forecast
from live.worker import extend

FIGURES = ("step: forecast / measured", "longest: forecast / measured", "memory: forecast / measured")
SMALL = 0.05  # seconds of the longest step: `--reduced` measures what is forecast to take less
SPENT, ROUNDS = 0.4, 9  # no round after so many seconds, and at most so many

FOUR = ("none", "batch", "layer", "group")
CNN: dict[str, Any] = {"network": "cnn"}
RNN: dict[str, Any] = {"network": "rnn"}
GAN: dict[str, Any] = {"network": "gan", "dataset": "ring"}
DEEP: dict[str, Any] = {"depth": 20, "width": 128}
SHOWN: list[dict[str, Any]] = [
    *({"norm": norm, "depth": 5, "replicas": 4} for norm in FOUR),
    *({"norm": norm, "batch_size": 640, "replicas": 8} | DEEP for norm in FOUR),
    *({"norm": norm, "depth": 3, "width": 16, "replicas": 4} | CNN for norm in FOUR),
    *({"norm": norm, "depth": 3, "width": 16, "batch_size": 640, "replicas": 8} | CNN for norm in FOUR),
    *({"norm": norm, "batch_size": 8} | CNN | DEEP for norm in FOUR),
    *({"norm": norm, "depth": 5, "width": 128, "batch_size": 128, "replicas": 2} | CNN for norm in FOUR),
    *({"norm": norm, "depth": 3, "width": 128, "batch_size": 640, "replicas": 4} | RNN for norm in FOUR),
    {"norm": "batch", "depth": 20, "width": 64, "replicas": 4} | RNN,
    *({"norm": norm, "batch_size": 384, "replicas": 4} | GAN | DEEP for norm in ("batch", "spectral")),
    {"norm": "spectral", "iterations": 20, "replicas": 8} | DEEP,
    {"norm": "renorm", "depth": 20, "batch_size": 1, "replicas": 4},
    {"norm": "running", "depth": 5, "width": 32, "batch_size": 2, "replicas": 4} | RNN,
    {"norm": "instance", "depth": 14, "width": 128, "batch_size": 640, "replicas": 8, "activation": "gelu"},
    {"norm": "frn", "depth": 7, "width": 64, "batch_size": 16, "replicas": 2} | CNN,
    {"norm": "dyt", "depth": 10, "width": 64, "batch_size": 256, "replicas": 4, "optimizer": "adamw"},
    {"norm": "ghost", "norm_batch": 8, "batch_size": 640, "replicas": 8} | DEEP,
    {"norm": "batch", "norm_noise": 1.0, "batch_size": 256, "replicas": 8} | DEEP,
    {"norm": "group", "weight_norm": "standard", "depth": 5, "width": 64, "batch_size": 8, "replicas": 4}
    | CNN,
    {"norm": "batch", "dtype": "float64", "batch_size": 256, "replicas": 4} | DEEP,
]
REFUSED: list[dict[str, Any]] = [
    *({"norm": norm, "batch_size": 160, "replicas": 2} | CNN | DEEP for norm in FOUR),
    {"norm": "layer", "batch_size": 640, "replicas": 8, "depth": 7, "width": 128} | CNN,
    {"norm": "batch", "batch_size": 640, "replicas": 4, "depth": 8, "width": 128} | RNN,
]


def best(job: Callable[[], object]) -> float:
    """Processor time of the best of a few rounds."""
    times: list[float] = []
    while not times or (sum(times) < SPENT and len(times) < ROUNDS):
        begin = thread_time()
        job()
        times.append(thread_time() - begin)
    return min(times)


def measured(config: RunConfig) -> tuple[float, float, int]:
    """What `Forecast` forecasts: seconds of five steps in one turn, a fifth each, and the two others."""
    run = advance(start(config), 1)  # the data are loaded
    seconds = best(lambda: advance(replace(run, step=0, samples=0, frames=()), 5)) / 5
    longest = best(lambda: extend(config, 1))
    tracemalloc.start()
    extend(config, 2)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, longest, memory


def described(fields: dict[str, Any]) -> str:
    """A configuration in a row: what it is, and its depth, width, batch and seeds."""
    config = RunConfig(**fields)
    sizes = f"{config.depth} x {config.width}, batch {config.batch_size}, seeds {config.replicas}"
    plain = {"network", "dataset", "norm", "depth", "width", "batch_size", "replicas"}
    more = "".join(f", {value}" for name, value in fields.items() if name not in plain)
    return f"{config.network} {config.norm} {sizes}{more}"


def main() -> None:
    parser = argparse.ArgumentParser(description="forecasts over what was measured")
    parser.add_argument("--reduced", action="store_true", help="what is light, in a few seconds")
    parser.add_argument("--slow", action="store_true", help="what the lab refuses as well")
    asked = parser.parse_args()
    rows = SHOWN + REFUSED * asked.slow
    configs = {described(row): RunConfig(**row, lr=1e-3, record_every=1, validate_every=5) for row in rows}
    if asked.reduced:
        configs = {name: config for name, config in configs.items() if forecast(config).longest < SMALL}
    print(f"{'':58} {'step ms':>8} ratio  {'longest ms':>10} ratio  {'MiB':>7} ratio")
    ratios = []
    for name, config in configs.items():
        found, known = forecast(config), measured(config)
        ratios.append([a / b for a, b in zip(found, known, strict=True)])
        cells = (f"{known[0] * 1e3:8.2f}", f"{known[1] * 1e3:10.1f}", f"{known[2] / 2**20:7.1f}")
        text = "  ".join(f"{cell} {ratio:5.2f}" for cell, ratio in zip(cells, ratios[-1], strict=True))
        print(f"{name:58} {text}", flush=True)
    for label, column in zip(("step", "longest", "memory"), zip(*ratios, strict=True), strict=True):
        logs = [log(ratio) for ratio in column]
        mean, spread = exp(sum(logs) / len(logs)), exp(stdev(logs))
        ends = f"{min(column):.2f} to {max(column):.2f}"
        print(f"{label}: forecast / measured {mean:.2f} x/÷ {spread:.2f}, {ends}")


if __name__ == "__main__":
    main()
