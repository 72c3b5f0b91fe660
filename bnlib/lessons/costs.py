"""What the chapter about costs measures: operations and numbers counted, times taken, a norm folded away.

Counts are exact and follow a setting at once. Times are processor time of one thread, of contestants that
take turns: ratios carry over to other machines, seconds don't.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..experiments.probes.costs import cost, step_seconds, thread_time
from ..networks.config import RunConfig
from ..networks.inference import inference_layers
from ..networks.network import forward
from ..networks.parameters import Layer, plan
from ..norms.statistics import Array
from ..norms.table import NORMS
from ..training.train import Run, advance, start

NORM_OPERATIONS = 15  # a number, forward and backward: `operations`
KEPT_NUMBERS = 3  # a mean or variance leaves: mean, variance and 1 / sqrt(variance + eps)
TURN, MOST = 8e-3, 15  # seconds that a contestant works before the next one's turn, and steps at most
ROUNDS, LONG = (5, 3), 20e-3  # rounds; fewer where a step takes so many seconds


# ---- times -----------------------------------------------------------------------------------------------


def has_torch() -> bool:
    """Say whether PyTorch is installed here; in a browser it isn't."""
    return find_spec("torch") is not None


def machine() -> str:
    """Say on what times are measured: processor, Python's NumPy and PyTorch."""
    name = "a browser, Python compiled to WebAssembly" if sys.platform == "emscripten" else ""
    facts = Path("/proc/cpuinfo")
    if not name and facts.exists():
        lines = (line.partition(":") for line in facts.read_text(errors="replace").splitlines())
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), "")
    name = name or platform.processor() or platform.machine() or "an unknown processor"
    torch = ", without PyTorch"
    if has_torch():
        from importlib import metadata  # it needs sockets, which a browser lacks

        torch = f", PyTorch {metadata.version('torch')}"
    return f"{name}, one thread, NumPy {np.__version__}{torch}"


def timed(config: RunConfig, again: int) -> dict[str, Any]:
    """Measure steps with the configuration's norm and without it: in NumPy, and in PyTorch if it is there.

    Returns milliseconds by name: ``training`` and ``inference`` with the norm, ``training_bare`` and
    ``inference_bare`` without, each with ``torch_`` before its name for PyTorch; and as ``memory`` the bytes
    that the norm adds to what a step holds; as ``machine`` on what it was measured. ``again`` plays no role:
    another number is another measurement.
    """
    seconds = step_seconds(config)
    steps, rounds = int(np.clip(TURN / seconds, 1, MOST)), ROUNDS[seconds > LONG]
    found = cost(config, rounds=rounds, steps=steps, torch=has_torch())
    result: dict[str, Any] = {"memory": float(found.extra_memory), "machine": machine()}
    for name in ("training", "inference", "torch_training", "torch_inference"):
        seconds, ratio = getattr(found, name), getattr(found, f"{name}_ratio")
        if seconds is not None:
            result |= {name: 1e3 * seconds, f"{name}_bare": 1e3 * seconds / ratio}
    return result


def in_turns(jobs: Sequence[Callable[[], Any]], rounds: int = 9, steps: int = 10) -> Array:
    """Return the least milliseconds a call of each job, (jobs,); in each round all have their turn."""
    best = np.full(len(jobs), np.inf)
    for _ in range(rounds):
        for number, job in enumerate(jobs):
            job()
            begin = thread_time()
            for _ in range(steps):
                job()
            best[number] = min(best[number], 1e3 * (thread_time() - begin) / steps)
    return best


def trend(narrow: float, wide: float) -> int:
    """Return 0 if a share becomes smaller, 2 if it grows, 1 if it stays within two thirds and three halves.

    narrow, wide : shares, before and after; what is measured as less than nothing counts as nothing
    """
    before, after = max(narrow, 0.0), max(wide, 0.0)
    return 1 + (after > 1.5 * before) - (after < before / 1.5)


# ---- counts ----------------------------------------------------------------------------------------------


def operations(config: RunConfig) -> tuple[int, int]:
    """Count a training step's operations for one sample in a dense network: of products, and of its norms.

    A product of a vector with an I x O matrix takes 2 I O; going back takes it twice more, once in the first
    layer. Batch, layer, group and RMS norm take about 7 for each number forward (sum; subtract; square, sum;
    divide; gamma, beta) and 8 back (two sums, one of them of products, gamma; and dx, Ioffe & Szegedy 2015,
    section 3).
    """
    matrices = [
        rows * columns for name, (_, _, (rows, columns)) in plan(config).slots.items() if "weight" in name
    ]
    return 6 * sum(matrices) - 2 * matrices[0], NORM_OPERATIONS * config.depth * config.width


def numbers_of(config: RunConfig) -> dict[str, int]:
    """Count a network's numbers by kind: weights, biases, affine (of norms), kept beside the parameters."""
    places = plan(config)
    found = {"weights": 0, "biases": 0, "affine": 0}
    for name, (first, stop, _) in places.slots.items():
        kind = "weights" if name.startswith("weight") else "biases" if name.startswith("bias") else "affine"
        found[kind] += stop - first
    statistics, power = (places_[-1].stop if places_ else 0 for places_ in (places.statistics, places.power))
    return found | {"kept": 2 * statistics + power}


@lru_cache(maxsize=1)
def resnet50() -> dict[str, int]:
    """Count ResNet-50's numbers (He et al. 2016, Table 1; 1,000 classes): weights, biases, affine, kept.

    Each of 53 convolutions has a batch norm and no bias. Running statistics are as many as gammas and betas.
    """
    weights, channels, before = 3 * 64 * 7**2, 64, 64
    for blocks, width in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for block in range(blocks):
            weights += width * (before + 9 * width + 4 * width)
            channels += 6 * width
            if not block:  # the shortcut changes its size
                weights += 4 * width * before
                channels += 4 * width
            before = 4 * width
    return {"weights": weights + 1000 * before, "biases": 1000, "affine": 2 * channels, "kept": 2 * channels}


def held(norm: str, batch: int, width: int, groups: int = 8) -> tuple[int, int]:
    """Count the numbers that a dense layer's norm has its step hold for the backward pass: here, in PyTorch.

    Here it is x̂ and three numbers for each mean; PyTorch holds what came in and two for each mean. Its RMS
    norm is made of several operations on a CPU: what came in, x̂, and one number for each sample.
    """
    means = {"batch": width, "layer": batch, "rms": batch, "group": groups * batch}[norm]
    numbers = batch * width
    return numbers + KEPT_NUMBERS * means, 2 * numbers + means if norm == "rms" else numbers + 2 * means


def more_held(config: RunConfig) -> float:
    """Count the bytes that a layer's norm adds to what a training step really holds, mean of the layers."""
    return float(cost(config, rounds=1, steps=1).extra_memory / config.depth)


# ---- folding ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def vanishes(config: RunConfig) -> bool:
    """Say whether nothing is left of the norm in inference: it is part of the weights and biases."""
    run = start(replace(config, replicas=1))
    layers = inference_layers(config, run.layers, run.running)
    return all(layer.gamma is None for layer in layers)


def unfolded(config: RunConfig, run: Run) -> list[Layer]:
    """Return the network in inference with each batch norm a map of its own, s x + t (R, 1, O)."""
    layers = []
    for number, layer in enumerate(run.layers[: config.depth]):
        here = plan(config).statistics[number]
        mean, var = (moment[:, None, here] for moment in (run.running.mean, run.running.var))
        s = layer.gamma / np.sqrt(var + config.eps)
        layers.append(Layer(layer.weight, layer.bias, s, layer.beta - s * mean, settled=True))
    return [*layers, run.layers[-1]]


def folding(config: RunConfig, steps: int) -> dict[str, Any]:
    """Train dense networks, fold their batch norms one after another, and compare the logits.

    Returns ``difference`` (depth + 1, R), the largest change of a logit on the validation samples when so
    many norms are folded, in ``config.dtype``; ``size`` (R,), the standard deviation of the logits; and
    by how many norms are folded ``changed``, the samples whose answer changes, all seeds together, and
    ``left``, the operations that are left of a norm for a unit, mean of the layers.
    """
    run = advance(start(config), steps)
    x = config.data().x_val
    apart, whole = unfolded(config, run), inference_layers(config, run.layers, run.running)
    nets = [[*whole[:k], *apart[k:]] for k in range(config.depth + 1)]
    logits = [forward(config, layers, x, keep=False)[0].copy() for layers in nets]
    answers = [one.argmax(axis=-1) for one in logits]
    return {
        "difference": np.array([np.abs(one - logits[0]).max(axis=(1, 2)) for one in logits]),
        "size": logits[0].std(axis=(1, 2)),
        "changed": np.array([int(np.sum(one != answers[0])) for one in answers]),
        "left": np.array([2 * sum(layer.gamma is not None for layer in net) / config.depth for net in nets]),
    }


def folded_times(config: RunConfig, again: int) -> dict[str, Any]:
    """Measure a batch in inference, ``ms`` (depth + 2,): so many norms folded, or no norm; ``machine``."""
    one = replace(config, replicas=1)
    run, bare = start(one), replace(one, norm="none")
    apart, whole = unfolded(one, run), inference_layers(one, run.layers, run.running)
    x = one.data().x_train[: one.batch_size]
    nets = [(one, [*whole[:k], *apart[k:]]) for k in range(one.depth + 1)] + [(bare, start(bare).layers)]
    jobs = [partial(forward, network, layers, x, keep=False) for network, layers in nets]
    return {"ms": in_turns(jobs), "machine": machine()}


def norms_for(network: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the norms that make sense there: instance norm needs positions to average over."""
    return tuple(name for name in names if name in NORMS and (name != "instance" or network == "cnn"))
