"""The reasons where seeds overlap, or training losses are of two kinds: what is not said there."""

from dataclasses import replace

import numpy as np

from book.race import _reasons_learning as learning
from book.race._lane import Lane
from book.race.reasons import reasons
from tests.book.race.test_reasons import BATCH, DENSE, LAYER, NONE, SHOWN, race, recorded


def seeds(frames, *accuracies):
    """The same numbers with other validation accuracies, one a seed."""
    values = np.where(np.isfinite(frames["val_accuracy"]), np.array(accuracies)[:, None], np.nan)
    return frames | {"val_accuracy": values.astype(np.float32)}


def test_a_difference_whose_seeds_overlap_gets_no_cause():
    names, configs, frames, step = race(60, {"batch_size": 64, "lr": 0.2}, NONE, BATCH, LAYER)
    some = [seeds(frames[0], 0.5, 0.72), seeds(frames[1], 0.7, 0.9), seeds(frames[2], 0.6, 0.8)]
    found = reasons(names, configs, some, step)
    assert found.because == (
        "The seeds of no norm (50.0–72.0%) and batch norm (70.0–90.0%) overlap: a difference of 19.0 points "
        "may be chance. The distance of layer norm is no evidence either (seeds overlap)."
    )
    some[0] = seeds(frames[0], 0.5, 0.52)
    found = reasons(names, configs, some, step)
    assert "chance" not in found.because
    assert found.because.endswith(". The distance of layer norm is no evidence (seeds overlap).")


def test_training_losses_are_compared_only_where_they_are_of_one_kind():
    names, configs, frames, step = race(60, {}, NONE, LAYER, BATCH)
    lower = [dict(one) for one in frames]
    for one, loss, validation in zip(lower, (0.1, 0.5, 0.5), (0.9, 0.4, 0.4), strict=True):
        one["train_loss"] = np.full_like(one["train_loss"], loss)
        one["val_loss"] = np.full_like(one["val_loss"], validation)
    first = seeds(lower[0], 0.5, 0.52)

    def told(other):
        pair = [names[0], names[other]], [configs[0], configs[other]]
        return reasons(*pair, [first, seeds(lower[other], 0.7, 0.72)], step).because

    def fitted(other):
        lanes = [Lane(n, names[k], configs[k], f, step) for n, (k, f) in enumerate(
            ((0, first), (other, seeds(lower[other], 0.7, 0.72))))]  # fmt: skip
        return learning.fitted(*lanes)

    assert told(1) and "the training loss is lower, 0.1 against 0.5" in fitted(1).main
    assert fitted(2).main == (
        "The training loss of batch norm includes the noise of its batch statistics; the validation losses "
        "are 0.9 with no norm and 0.4 with batch norm."
    )
    first = seeds(lower[0], 0.5, 0.71)
    assert fitted(1) is None and fitted(2) is None


def test_other_norms_that_fail_are_named_where_a_norm_is_advised():
    names, configs, frames, step = race(80, {"activation": "sigmoid", "lr": 0.5}, NONE, BATCH, LAYER)
    failed = [seeds(frames[0], 0.1, 0.12), seeds(frames[1], 0.8, 0.81), seeds(frames[2], 0.2, 0.21)]
    change = reasons(names, configs, failed, step).change
    assert "or a norm" not in change
    assert change == "Fewer layers, ReLU or batch norm. Layer norm is behind, too."


def test_a_norm_that_does_not_diverge_but_does_not_learn_is_no_remedy():
    names, configs, frames, step = race(30, {"lr": 3.0}, NONE, BATCH)
    found = reasons(names, configs, [frames[0], seeds(frames[1], 0.11, 0.12)], step)
    assert found.change.endswith(
        "Batch norm doesn’t diverge at 3, but it doesn’t learn either: 11.5%, guessing has about 10%."
    )


def test_a_lane_whose_cosine_has_ended_learns_from_no_more_samples():
    lane = Lane(0, "a", replace(DENSE, batch_size=4, cosine_steps=20), recorded(DENSE, 60), 60)
    assert lane.learned_from == 80 and replace(lane, config=DENSE).learned_from == 60 * DENSE.batch_size


def test_noise_costs_the_lead_in_training_loss_only_where_seeds_show_it():
    names, configs, frames, step = race(60, {}, NONE, BATCH, {"norm": "batch", "norm_noise": 1.0})
    losses, accuracies = (1.0, 0.2, 0.4), (0.5, 0.8, 0.8)
    some = [
        seeds(frame, accuracy, accuracy) | {"train_loss": np.full_like(frame["train_loss"], loss)}
        for frame, loss, accuracy in zip(frames, losses, accuracies, strict=True)
    ]
    found = reasons(names, configs, some, step).because
    assert "in validation accuracy, though its training loss is 2 times as high." in found
    assert "some speed, not the lead in training loss over no norm (0.4 against 1)." in found
    some[0]["train_loss"][0] = 0.3
    assert "lead in training loss" not in reasons(names, configs, some, step).because


def test_the_lane_that_fits_wrong_labels_most_closely_is_named():
    (common_step, common, *lanes), _, _ = SHOWN["wrong labels"]
    names, configs, frames, step = race(common_step, common, *lanes, LAYER)
    some = [seeds(frame, at, at, at) for frame, at in zip(frames, (0.5, 0.7, 0.6), strict=True)]
    some[2]["train_loss"] = np.full_like(frames[2]["train_loss"], 0.25)
    assert "layer norm fits them most closely (loss 0.25)" in reasons(names, configs, some, step).because
