"""Training and inference: what a trained network says in train() and in eval(), and what mends it.

Training doesn't depend on the momentum of the running statistics: they are averages of what the batches had,
and play no part in a step. So a run is trained once, the statistics of its batches are kept, and the running
averages of any momentum are made of them afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..data import Dataset, batches
from ..networks.config import RunConfig
from ..networks.inference import batch_moments, inference_layers
from ..networks.network import by_batch_statistics, forward
from ..networks.parameters import one_of
from ..norms.running import RunningStats
from ..norms.statistics import Array
from ..training.evaluation import corrected, precise
from ..training.train import Run, advance, start

Found = dict[str, Array]

BLOCK = 50  # steps that are kept together
SHOWN = 40  # validation samples whose answers are told one by one
QUIET = 10**6  # record nothing


class Stream(NamedTuple):
    """What each step of a run fed to its running statistics.

    mean, var : (R, steps, features); the variance unbiased, as running statistics take it
    """

    mean: Array
    var: Array


@lru_cache(maxsize=64)  # a megabyte each, and 40 lead to the last step
def _block(config: RunConfig, number: int, first: bool) -> tuple[Run, Stream]:
    """Train block ``number`` of BLOCK steps: the run behind it, and the stream of these steps."""
    run = start(config) if number == 0 else _block(config, number - 1, first)[0]
    means, variances = [], []
    for _ in range(BLOCK):
        moments = _first_moments(run) if first else None
        run = advance(run, 1)
        # With momentum 0 the running statistics are those of the latest batch.
        mean, var = moments or (run.running.mean, run.running.var)
        means.append(mean)
        variances.append(var)
    return run, Stream(np.stack(means, axis=1), np.stack(variances, axis=1))


def _first_moments(run: Run) -> tuple[Array, Array]:
    """Return mean and unbiased variance, (R, features) each, of the next batch's first norm batch."""
    config = run.config
    ((x, _),) = _batches(config, config.data(), run.samples, 1)
    return population(run, x[:, :: config.batch_size // (config.statistics_of or config.batch_size)])


def _batches(config: RunConfig, data: Dataset, position: int, steps: int) -> Iterator[tuple[Array, Array]]:
    """Return the batches of a run on ``data``, from ``position`` of the stream on."""
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    return batches(data, seeds, position, config.batch_size, steps, *config.arrangement)


def _plain(config: RunConfig) -> RunConfig:
    """Return the configuration that all momenta of the running statistics share."""
    return replace(config, momentum=0.0, record_every=QUIET, validate_every=QUIET)


def trained(config: RunConfig, step: int, first: bool = False) -> Run:
    """Train ``step`` steps; the running statistics are those of ``config.momentum``.

    Parameters
    ----------
    config : of a network whose running statistics take no part in training
    step : int, 0 or more
    first : the running statistics come from the first norm batch of each step alone, as data-parallel
        training keeps those of its first device; else from all of them

    Raises
    ------
    ValueError
        If ``step`` is negative, or the norm looks at its running statistics in training.
    """
    if config.norm in ("running", "renorm"):
        raise ValueError(f"trained: norm={config.norm!r} trains with its running statistics; choose 'batch'")
    if step < 0:
        raise ValueError(f"trained: step={step!r} must be 0 or more")
    plain = _plain(config)
    whole, rest = divmod(step, BLOCK)
    run = advance(_block(plain, whole - 1, first)[0] if whole else start(plain), rest)
    mean, var = averaged(stream(config, step, first), config.momentum)
    return with_statistics(replace(run, config=replace(plain, momentum=config.momentum)), mean, var)


def stream(config: RunConfig, steps: int, first: bool = False) -> Stream:
    """Return what each of the first ``steps`` steps fed to the running statistics."""
    plain = _plain(config)
    if steps == 0:
        nothing = start(plain).running.mean[:, None][:, :0]
        return Stream(nothing, nothing)
    parts = [_block(plain, number, first)[1] for number in range(-(-steps // BLOCK))]
    return Stream(*(np.concatenate(arrays, axis=1)[:, :steps] for arrays in zip(*parts, strict=True)))


def averaged(fed: Stream, momentum: float) -> tuple[Array, Array]:
    """Return the running mean and variance (R, features) that `RunningStats.update` would leave.

    They start at 0 and 1; ``new = momentum * old + (1 - momentum) * batch``, so the batch k steps back has
    the weight ``(1 - momentum) * momentum**k``, and the start ``momentum**steps``.
    """
    steps = fed.mean.shape[1]
    weights = (1 - momentum) * momentum ** np.arange(steps - 1, -1, -1, dtype=float)
    mean, var = (np.einsum("t,rtf->rf", weights, array) for array in fed)
    return mean, var + momentum**steps


def cumulative(fed: Stream) -> tuple[Array, Array]:
    """Return the plain average of all steps, as PyTorch keeps it with ``momentum=None``."""
    return fed.mean.mean(axis=1), fed.var.mean(axis=1)


def with_statistics(run: Run, mean: Array, var: Array) -> Run:
    """Return the run with other running statistics."""
    dtype = run.running.mean.dtype
    statistics = RunningStats(mean.astype(dtype), var.astype(dtype), run.config.momentum, run.step)
    return replace(run, running=statistics)


def population(run: Run, x: Array) -> tuple[Array, Array]:
    """Return mean and unbiased variance (R, features) of what enters each norm, ``x`` being one batch.

    x : ndarray (N, features) or (R, N, features) with N above 1, for a dense network
    """
    mean, var = batch_moments(forward(run.config, run.layers, x)[1]).swapaxes(0, 1)
    count = x.shape[-2]
    return mean, var * (count / (count - 1))


# ---- what a network says ---------------------------------------------------------------------------------


def says(run: Run, x: Array, batch: int = 0) -> Array:
    """Return logits (R, N, classes) of x (N, features).

    ``batch`` 0: as in eval(), with the running statistics; else as in train(), with the statistics of so many
    samples at a time: of samples 0, N / batch, 2 N / batch and so on. It must divide N.
    """
    if batch:
        return by_batch_statistics(run.config, run.layers, x, batch)
    return forward(run.config, inference_layers(run.config, run.layers, run.running), x, keep=False)[0]


def accuracy(run: Run, batch: int = 0, split: str = "val", change: tuple[float, float] = (1.0, 0.0)) -> Array:
    """Return the share of right answers (R,) to samples times contrast plus brightness.

    A last incomplete batch is left out.
    """
    x, labels = in_use(run.config, split, change)
    whole = len(x) // batch * batch if batch else len(x)
    right: Array = (says(run, x[:whole], batch).argmax(axis=2) == labels[:whole]).mean(axis=1)
    return right


def in_use(config: RunConfig, split: str, change: tuple[float, float]) -> tuple[Array, Array]:
    """Return samples of "val" or "train", times contrast plus brightness, and their labels."""
    data = config.data()
    x, labels = (data.x_val, data.y_val) if split == "val" else (data.x_train, data.y_train)
    contrast, brightness = change
    return (x * contrast + brightness).astype(x.dtype), labels


def gap(run: Run, x: Array) -> Array:
    """Return how far the mean of ``x`` lies from the running mean, per layer of a dense network (R, layers).

    In running standard deviations, the root mean square over a layer's features; one without any spread
    counts as 0.
    """
    mean, _ = population(run, x)
    std = np.sqrt(run.running.var + run.config.eps)
    distance = np.divide(mean - run.running.mean, std, out=np.zeros_like(std), where=std > 0)
    layers: Array = np.sqrt((distance**2).reshape(len(mean), run.config.depth, -1).mean(axis=2))
    return layers


def expected_gap(samples: int, momentum: float) -> float:
    """Return the `gap` of one batch from the running mean that sampling alone makes.

    A mean of n independent samples has variance sigma^2 / n, a running mean of such means
    (1 - momentum) / (1 + momentum) of that; the two are independent: sqrt(2 / (n (1 + momentum))).
    """
    return float(np.sqrt(2 / (samples * (1 + momentum))))


def modes(config: RunConfig, step: int) -> Found:
    """Compare what a run says in train() and in eval().

    Returns
    -------
    train, eval, corrected, precise : (R,) accuracies on validation samples: statistics of batches as in
        training; running averages; those without their start; those of a pass over the training samples
    answers_train, answers_eval, answers_precise : (SHOWN,) what the first network says of the first samples
    gap, gap_precise : (R, layers), from one batch of validation samples as large as a step's
    running, batch : (2,) mean and variance of a feature of the first layer, averaged over features
    """
    run = trained(config, step)
    anew, size = precise(run), config.statistics_of or config.batch_size
    x = config.data().x_val
    whole = len(x) // size * size
    answers = {"train": says(run, x[:whole], size).argmax(axis=2)}
    for name, used in (("eval", run), ("corrected", corrected(run)), ("precise", anew)):
        answers[name] = says(used, x).argmax(axis=2)
    labels = config.data().y_val
    found = {name: (said == labels[: said.shape[1]]).mean(axis=1) for name, said in answers.items()}
    found |= {f"answers_{name}": said[0, :SHOWN] for name, said in answers.items()}
    width = config.width
    for name, one in (("running", run), ("batch", anew)):
        found[name] = np.array([array[:, :width].mean() for array in (one.running.mean, one.running.var)])
    batch = x[: config.batch_size]
    return found | {"gap": gap(run, batch), "gap_precise": gap(anew, batch)}


# ---- lag and noise ---------------------------------------------------------------------------------------


def lag(config: RunConfig, steps: int) -> Found:
    """Follow the first layer of the first replica: what each batch fed to its running statistics.

    Returns
    -------
    mean, var : (steps, width), the variance unbiased
    population, now : (2, width) mean and unbiased variance over all training samples, by the weights before
        the first step and after the last one
    """
    fed, x, width = stream(config, steps), config.data().x_train, config.width
    moments = [population(trained(config, step), x) for step in (0, steps)]
    before, after = (np.stack([array[0, :width] for array in pair]) for pair in moments)
    return {"mean": fed.mean[0, :, :width], "var": fed.var[0, :, :width], "population": before, "now": after}


def moving(values: Array, momentum: float, begin: Any) -> Array:
    """Return the running average after each of ``values`` (steps, ...); it starts at ``begin``."""
    now, averages = begin, np.empty(np.shape(values))
    for place, value in enumerate(values):
        now = momentum * now + (1 - momentum) * value
        averages[place] = now
    return averages


def expected_average(
    steps: int, momentum: float, begin: float, mean: float, deviation: float
) -> tuple[Array, Array]:
    """Return expected value and standard deviation of a running average after 1 to ``steps`` updates.

    Of independent values with that ``mean`` and standard ``deviation``: the start keeps the weight a^t, and
    the variance is deviation^2 (1 - a) / (1 + a) (1 - a^2t), with a the momentum.
    """
    left = momentum ** np.arange(1, steps + 1, dtype=float)
    spread = deviation * np.sqrt((1 - momentum) / (1 + momentum) * (1 - left**2))
    return mean + left * (begin - mean), spread


def half_life(momentum: float) -> float:
    """Return after how many steps half of a jump's lag is gone: a^t = 1/2. Without momentum, at once: 0."""
    return float(np.log(0.5) / np.log(momentum)) if momentum else 0.0


def gaps(config: RunConfig, step: int, samples: int) -> Array:
    """Return the `gap` of a run at ``step`` (R, layers), from so many validation samples."""
    return gap(trained(config, step), config.data().x_val[:samples])


# ---- companions ------------------------------------------------------------------------------------------


def grouped(config: RunConfig, step: int) -> Found:
    """Compare statistics of companions as in training, which may be of one class, with others.

    Returns accuracies (R,) on validation samples: ``eval`` and ``precise`` as in `modes`; ``mixed``: in
    train(), with companions of all classes; ``own``: in train(), with companions as in training; and
    ``classes`` (1,), how many classes meet in a norm batch of training on average.
    """
    run = trained(config, step)
    size, m = config.batch_size, config.statistics_of or config.batch_size
    data = config.data()
    # Validation samples in the training samples' place: the same arrangement of batches, seed by seed.
    there = data._replace(x_train=data.x_val, y_train=data.y_val)
    right, classes = [], []
    for batch, wanted in _batches(config, there, 0, len(data.x_val) // size):
        said = forward(run.config, run.layers, batch, norm_batch=m)[0].argmax(axis=2)
        right.append((said == wanted).mean(axis=1))
        groups = np.sort(wanted.reshape(len(wanted), m, -1), axis=1)
        classes.append(1 + np.count_nonzero(np.diff(groups, axis=1), axis=1).mean())
    return {
        "eval": accuracy(run),
        "precise": accuracy(precise(run)),
        "mixed": accuracy(run, m),
        "own": np.mean(right, axis=0),
        "classes": np.array([np.mean(classes)]),
    }


def roulette(config: RunConfig, step: int, m: int, draws: int, seed: int) -> Found:
    """Ask about every validation sample ``draws`` times in train(), among other companions each time.

    Returns ``changed`` (R,), the share of samples that got more than one answer, and ``differs`` (R,), the
    share of single answers that differ from eval()'s; ``differs_by_draw`` (draws,), the same of each draw.
    """
    run = trained(config, step)
    x = config.data().x_val
    rng = np.random.default_rng((seed, 5))
    votes = np.full((config.replicas, len(x), draws), -1)
    for draw in range(draws):
        order = rng.permutation(len(x))[: len(x) // m * m]
        votes[:, order, draw] = says(run, x[order], m).argmax(axis=2)
    asked, inference = votes >= 0, says(run, x).argmax(axis=2)
    highest, lowest = votes.max(axis=2), np.where(asked, votes, np.inf).min(axis=2)
    differs = (votes != inference[:, :, None]) & asked
    return {
        "changed": (highest > lowest).mean(axis=1),
        "differs": differs.sum(axis=(1, 2)) / asked.sum(axis=(1, 2)),
        "differs_by_draw": differs.sum(axis=(0, 1)) / asked.sum(axis=(0, 1)),
    }


def pinned(config: RunConfig, step: int, m: int, draws: int, seed: int, sample: int) -> Found:
    """Ask the first network about one validation sample, among other companions each time.

    Returns
    -------
    companions : (draws, m) validation samples in its batch, itself first
    odds : (draws, classes) what train() gives each class; eval : (classes,) what eval() does
    """
    run = trained(config, step)
    x, layers = config.data().x_val, one_of(run.layers, 0)
    rng, others = np.random.default_rng((seed, 6)), np.delete(np.arange(len(x)), sample)
    companions = np.stack([[sample, *rng.choice(others, m - 1, replace=False)] for _ in range(draws)])
    logits = [by_batch_statistics(run.config, layers, x[rows], m)[0, 0] for rows in companions]
    inference = says(run, x[sample : sample + 1])[0, 0]
    return {"companions": companions, "odds": odds_of(np.stack(logits)), "eval": odds_of(inference)}


def odds_of(logits: Array) -> Array:
    """Return the probabilities (..., classes) that logits stand for."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    odds: Array = raised / raised.sum(axis=-1, keepdims=True)
    return odds


def alone(config: RunConfig, step: int) -> Found:
    """Ask about one validation sample at a time in train().

    Returns
    -------
    right : (R,) accuracy; eval : (R,) that with running averages
    distinct : (R,) how many different logits came out, rounded to 1e-6; answers : (R, classes) how often each
        class was said
    """
    run = trained(config, step)
    x, labels, classes = config.data().x_val, config.data().y_val, config.data().classes
    logits = says(run, x, 1)
    said = logits.argmax(axis=2)
    rows = [np.unique(np.round(own, 6), axis=0) for own in logits]
    return {
        "right": (said == labels).mean(axis=1),
        "eval": accuracy(run),
        "distinct": np.array([len(own) for own in rows]),
        "answers": np.stack([np.bincount(own, minlength=classes) for own in said]),
    }
