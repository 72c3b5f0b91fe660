"""The reasons under races with little to show: lanes that are alone, lost or without numbers."""

import numpy as np
import pytest

from book.race._lane import Lane, short
from book.race.reasons import PLACES, reasons
from book.race.scenes import titled
from tests.book.race.sentences import legible
from tests.book.race.test_reasons import BATCH, DENSE, GAN, LAYER, NONE, race

ODD = {
    "one lane": (40, {}, BATCH),
    "one lane that diverged": (40, {"lr": 5.0}, NONE),
    "all lanes diverged": (40, {"lr": 8.0}, NONE, {"norm": "weight"}),
    "four lanes": (40, {}, NONE, BATCH, LAYER, {"norm": "dyt"}),
    "twenty layers": (10, {"depth": 20, "width": 16}, NONE, BATCH),
    "one layer": (40, {"depth": 1}, NONE, BATCH),
    "a GAN": (20, GAN, NONE, BATCH, {"norm": "spectral"}),
    "a recurrent network": (20, {"network": "rnn", "depth": 1, "activation": "tanh"}, NONE, BATCH, LAYER),
    "other depths": (30, {}, {"norm": "none", "depth": 8}, BATCH),
    "the plane": (30, {"dataset": "moons"}, NONE, {"norm": "running"}, {"norm": "renorm"}),
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("lost", [None, 0, -1])
def test_every_race_ends_in_a_sentence(case, lost):
    """Also where a lane has nothing to show at all."""
    names, configs, frames, step = race(*ODD[case])
    if lost is not None:
        frames[lost] = {name: np.full_like(array, np.nan) for name, array in frames[lost].items()}
    legible(reasons(names, configs, frames, step))


def test_fewer_frames_find_less_but_something():
    names, configs, frames, step = race(60, {"depth": 8, "init_scale": 0.4}, NONE, BATCH)
    few = [{name: array[:, 60:] for name, array in one.items()} for one in frames]
    found = reasons(names, configs, few, step)
    assert "step 0" not in found.because, "it isn't among the frames"
    legible(found)
    only = [{name: one[name] for name in ("train_loss", "val_accuracy")} for one in frames]
    legible(reasons(names, configs, only, step))


def test_the_loss_of_single_batches_is_not_taken_for_progress():
    rng = np.random.default_rng(0)
    noisy = (1 + 0.3 * rng.normal(size=(2, 100))).astype(np.float32)
    falling = noisy - 0.005 * np.arange(100, dtype=np.float32)
    lanes = [Lane(0, "a", DENSE, {"train_loss": loss}, 99) for loss in (noisy, falling)]
    assert lanes[0].fall == 0 and lanes[1].fall > 0.1


def test_names_are_cut_to_what_tells_them_apart():
    names = [
        "batch norm",
        "batch norm (batch size 8, lr 1)",
        "batch norm (batch size 8, lr 2, eps 3)",
        "no norm",
    ]
    assert short(names) == [
        "batch norm",
        "batch norm (batch size 8, lr 1)",
        "batch norm (batch size 8, lr 2)",
        "no norm",
    ]


def test_nobody_is_sent_to_where_they_are():
    found = reasons(*race(60, {"depth": 8, "init_scale": 0.4}, NONE, BATCH))
    (deep,) = titled([PLACES["deep"]])
    assert deep in found.read
    there = reasons(*race(60, {"depth": 8, "init_scale": 0.4}, NONE, BATCH), here=PLACES["deep"][1])
    assert deep not in there.read and there.because == found.because
