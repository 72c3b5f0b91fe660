"""A clinic for networks that are good in train() and bad in eval(): tests, and what mends them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..networks.config import RunConfig
from ..training.train import Run, advance
from .inference import (
    BLOCK,
    Found,
    accuracy,
    cumulative,
    gap,
    in_use,
    population,
    stream,
    trained,
    with_statistics,
)

BATCH = 64  # samples of a batch where train() is given many


class Patient(NamedTuple):
    """A network that is good in train() and bad in eval().

    first : its running statistics come from the first norm batch of each step
    change : contrast and brightness of the data in use
    """

    config: RunConfig
    steps: int
    first: bool = False
    change: tuple[float, float] = (1.0, 0.0)


def examine(patient: Patient) -> Found:
    """Test a patient: accuracies (R,) on the data in use, but for those of training data.

    train, train_own : in train(), with batches of BATCH, and of as many samples as in training
    eval, eval_training : with running averages, on the data in use and on the training data
    gap, gap_training : (R, layers) distance of these data's means from the running means
    """
    run = trained(patient.config, patient.steps, patient.first)
    own = run.config.statistics_of or run.config.batch_size
    x = in_use(run.config, "val", patient.change)[0]
    return {
        "train": accuracy(run, BATCH, change=patient.change),
        "train_own": accuracy(run, own, change=patient.change),
        "eval": accuracy(run, change=patient.change),
        "eval_training": accuracy(run, split="train"),
        "gap": gap(run, x),
        "gap_training": gap(run, run.config.data().x_train),
    }


def _recomputed(patient: Patient, change: tuple[float, float]) -> Run:
    run = trained(patient.config, patient.steps, patient.first)
    # Of the data in use no more is taken than the images, and not those that are judged.
    return with_statistics(run, *population(run, in_use(run.config, "train", change)[0]))


def _averaged_all(patient: Patient) -> Run:
    run = trained(patient.config, patient.steps, patient.first)
    return with_statistics(run, *cumulative(stream(patient.config, patient.steps, patient.first)))


def frozen(run: Run, steps: int) -> Run:
    """Train on with the running statistics in place of the batch's, and as they are."""
    fixed, config = run.running, replace(run.config, norm="running", norm_batch=0, batch_order="shuffled")
    now = replace(run, config=config)
    for _ in range(steps):
        now = replace(advance(now, 1), running=fixed)
    return replace(now, config=run.config)


def _frozen(patient: Patient) -> Run:
    run = trained(patient.config, patient.steps, patient.first)
    return frozen(replace(run, config=replace(run.config, lr=run.config.lr / 3)), BLOCK)


REMEDIES: dict[str, Callable[[Patient], Run]] = {
    "training": lambda patient: _recomputed(patient, (1.0, 0.0)),
    "use": lambda patient: _recomputed(patient, patient.change),
    "cumulative": _averaged_all,
    "sync": lambda patient: trained(replace(patient.config, norm_batch=0), patient.steps),
    "group": lambda patient: trained(replace(patient.config, norm="group", norm_batch=0), patient.steps),
    "frozen": _frozen,
}


def remedy(patient: Patient, name: str) -> Found:
    """Try a remedy: ``eval`` (R,), the accuracy in eval() on the data in use after it.

    "training", "use": statistics recomputed from the training data, as they were or as in use; "cumulative":
    the plain average of all steps; "sync": trained with statistics of whole steps; "group": trained with
    group norm; "frozen": BLOCK more steps at a third of the learning rate, with the statistics fixed.

    Raises
    ------
    ValueError
        If there is no remedy of that name.
    """
    if name not in REMEDIES:
        raise ValueError(f"remedy: name={name!r} is not one of {', '.join(REMEDIES)}")
    with np.errstate(all="ignore"):
        return {"eval": accuracy(REMEDIES[name](patient), change=patient.change)}
