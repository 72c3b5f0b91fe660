"""What a norm costs: numbers to learn and to keep, memory, and time beside the same network without it.

Counts are exact. Times are processor time of the calling thread, on whatever machine it is: ratios carry
over to others, seconds don't. They mean something where NumPy is on one thread (OPENBLAS_NUM_THREADS=1).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np

from ...networks.config import RunConfig
from ...networks.inference import inference_layers
from ...networks.network import forward
from ...networks.parameters import features, in_layers, normalize_weights, plan
from ...norms.checks import is_whole
from ...norms.statistics import Array
from ...torch_check.twin import steps_in_torch
from ...training.train import Run, advance, noise, start

thread_time = getattr(time, "thread_time", time.perf_counter)  # a browser has no threads
ROUNDS, ENOUGH = 6, 0.04  # `step_seconds`: at most so many rounds, and none after so many seconds
Job = Callable[[int], Any]  # does so many steps


@dataclass(frozen=True)
class Cost:
    """The cost of one network, one replica; what `cost` returns. Counts of a GAN are its discriminator's.

    parameters, extra_parameters : learned numbers, and how many more than without any norm
    kept : numbers kept from step to step beside them: running means and variances, spectral norm's u
    memory, extra_memory : bytes that a training step holds from its forward to its backward pass, and how
        many more than without any norm: each buffer once, but no parameters, no batch, nothing ``kept``
    training, inference : seconds of a step, and of a batch in inference; the best round
    training_ratio, inference_ratio : the same over those without any norm; the median of rounds
    torch_training and so on : the same in PyTorch; None where it wasn't asked for
    """

    parameters: int
    extra_parameters: int
    kept: int
    memory: int
    extra_memory: int
    training: float
    training_ratio: float
    inference: float
    inference_ratio: float
    torch_training: float | None = None
    torch_training_ratio: float | None = None
    torch_inference: float | None = None
    torch_inference_ratio: float | None = None


def cost(
    config: RunConfig, *, batch_size: int | None = None, rounds: int = 5, steps: int = 40, torch: bool = False
) -> Cost:
    """Measure the cost of ``config``'s network, without its edits.

    In each of so many rounds all contestants make so many steps in turn, there and back. ``batch_size`` None
    is the configuration's. ``torch`` measures its twin, too, eagerly on one thread: always the same
    batch, plain SGD. Raises ValueError if a number is out of range or doesn't fit the configuration, or if a
    GAN is to be measured in ``torch``.
    """
    for label, number in (("rounds", rounds), ("steps", steps)):
        if not is_whole(number) or number < 1:
            raise ValueError(f"cost: {label}={number!r} must be an integer of at least 1; try 5")
    if torch and config.kind.adversarial:
        raise ValueError(f"cost: network={config.network!r} is measured in bnlib alone; choose torch=False")
    size = config.batch_size if batch_size is None else batch_size
    config = replace(config, replicas=1, batch_size=size)
    bare = replace(config, norm="none", frozen=False, weight_norm="none")
    own, others = (_jobs(run) | (steps_in_torch(run) if torch else {}) for run in map(_run, (config, bare)))
    turns = [job for name in own for job in (own[name], others[name])]
    ways = (1, -1) * rounds  # of each two, the second has the warmer caches
    times = np.array([[_seconds(job, steps) for job in turns[::way]][::way] for way in ways])
    found = dict(zip(own, times[:, ::2].min(axis=0).tolist(), strict=True))
    ratios = np.median(times[:, ::2] / times[:, 1::2], axis=0).tolist()
    found |= {f"{name}_ratio": ratio for name, ratio in zip(own, ratios, strict=True)}
    places, memory = plan(config), _memory(config)
    kept = 2 * features(places.statistics) + features(places.power)
    return Cost(places.size, places.size - plan(bare).size, kept, memory, memory - _memory(bare), **found)


def step_seconds(config: RunConfig) -> float:
    """Measure the seconds of a step of all replicas, nothing recorded: the best of a few rounds.

    Takes a tenth of a second, or two steps. Edits are left out: pass ``config.at(step)``.
    """
    job, best, spent, steps = partial(advance, _run(config)), inf, 0.0, 1
    for _ in range(ROUNDS):
        seconds = _seconds(job, steps)
        best, spent = min(best, seconds), spent + steps * seconds
        if spent >= ENOUGH:
            break
        steps = int(np.clip(ENOUGH / ROUNDS / max(best, 1e-6), 1, 50))
    return best


def _run(config: RunConfig) -> Run:
    """Return a run to measure: past step 0, which records, and one that can't diverge."""
    config = replace(config, edits=(), record_every=10**6, validate_every=10**6, init="he", init_scale=1.0)
    slow = min(config.rest_lr, 1e-12)  # 0 would mean lr
    return replace(start(replace(config, lr=0.0, rest_lr=slow, gamma=1.0)), step=1)


def _memory(config: RunConfig) -> int:
    """Count the bytes that a forward pass leaves for the backward pass."""
    run, x = _run(config), config.data().x_train[None, : config.batch_size]
    layers = in_layers(config, run.parameters, run.running, run.power)
    behind = noise(config, (config.seed,), 0) if config.norm_noise else None
    used, kept = normalize_weights(config, layers)
    _, *left = forward(config, used, x, norm_batch=config.statistics_of, noise=behind)
    there = _buffers((x, layers))
    return sum(buffer.nbytes for key, buffer in _buffers((left, kept)).items() if key not in there)


def _buffers(value: Any) -> dict[int, Array]:
    """Return the arrays that own the memory of all in nested tuples, lists and dicts, by identity."""
    if isinstance(value, np.ndarray):
        while isinstance(value.base, np.ndarray):
            value = value.base
        return {id(value): value}
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else ()
    return {key: buffer for part in parts for key, buffer in _buffers(part).items()}


def _jobs(run: Run) -> dict[str, Job]:
    config = run.config
    layers, x = inference_layers(config, run.layers, run.running), config.data().x_train[: config.batch_size]
    return {
        "training": partial(advance, run),
        "inference": lambda steps: [forward(config, layers, x, keep=False) for _ in range(steps)],
    }


def _seconds(job: Job, steps: int) -> float:
    job(1)  # to warm up
    begin = thread_time()
    job(steps)
    return (thread_time() - begin) / steps
