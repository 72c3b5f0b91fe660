"""Learning from a stream: one sample at a time, each predicted first, then learned from, then gone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..networks.config import RunConfig
from ..norms.checks import is_whole
from ..norms.statistics import Array
from .train import Run, advance, start


@dataclass(frozen=True, eq=False)
class Stream:
    """What a learner has seen so far.

    run : the network as it is now
    right : bool ndarray (R, samples), whether it knew each sample before it learned from it; False where a
        replica has diverged
    """

    run: Run
    right: Array

    def online_accuracy(self, memory: float = 0.99) -> Array:
        """Return the share of right predictions after each sample (R, samples); earlier ones weigh less.

        The faded prequential accuracy of Gama, Sebastião & Rodrigues (2013): every sample tests the network
        before it trains it. ``memory`` 1 weighs all alike.
        """
        if not 0 < memory <= 1:
            raise ValueError(f"online_accuracy: memory={memory!r} must lie in (0, 1]; try 0.99")
        found = np.empty(self.right.shape)
        right, weight = np.zeros(len(found)), 0.0
        for sample in range(self.right.shape[-1]):
            right, weight = memory * right + self.right[:, sample], memory * weight + 1
            found[:, sample] = right / weight
        return found


def learn(stream: RunConfig | Stream, samples: int) -> Stream:
    """Return the learner ``samples`` later, with its predictions, each made before learning from the sample.

    A pure function, like `train.advance`: a configuration stands for the learner before its first sample,
    and its batch size gives way to 1. With one sample, batch norm gives beta whatever comes in; norms of
    single samples and "running", which normalizes with what it has seen so far, learn. Raises ValueError if
    ``samples`` isn't a whole number, 0 or more, or the configuration can't have batches of one.
    """
    if not is_whole(samples) or samples < 0:
        raise ValueError(f"learn: samples={samples!r} must be a whole number, 0 or more")
    if isinstance(stream, RunConfig):
        single = replace(stream, batch_size=1, record_every=1, validate_every=10**6)
        stream = Stream(start(single), np.zeros((stream.replicas, 0), bool))
    run = advance(replace(stream.run, frames=()), int(samples))
    right = run.history["train_accuracy"] == 1
    return Stream(replace(run, frames=()), np.concatenate([stream.right, right], axis=1))
