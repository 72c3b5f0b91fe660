"""The reasons where seeds don't agree, or training losses are of two kinds: what is not said there."""

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


def test_a_difference_whose_sign_hangs_on_the_seeds_gets_no_cause():
    names, configs, frames, step = race(60, {"batch_size": 64, "lr": 0.2}, NONE, BATCH, LAYER)
    best = seeds(frames[1], 0.7, 0.9, 0.8, 0.8)
    some = [seeds(frames[0], 0.72, 0.5, 0.7, 0.52), best, seeds(frames[2], 0.8, 0.6, 0.6, 0.8)]
    found = reasons(names, configs, some, step)
    assert found.because == (
        "The difference of 19.0 points between batch norm and no norm may be chance: its 95% interval over "
        "seeds includes 0. So may that of layer norm."
    )
    some[0] = seeds(frames[0], 0.4, 0.6, 0.5, 0.5)
    found = reasons(names, configs, some, step)
    assert "between" not in found.because
    assert found.because.endswith(". The distance of layer norm may be chance.")


def test_a_cause_is_given_where_pairs_are_clear_though_seeds_overlap():
    names, configs, frames, step = race(60, {"batch_size": 64, "lr": 0.2}, NONE, BATCH)
    some = [seeds(frames[0], 0.5, 0.6, 0.7, 0.8), seeds(frames[1], 0.56, 0.66, 0.74, 0.86)]
    assert "chance" not in reasons(names, configs, some, step).because
    some[1] = seeds(frames[1], 0.86, 0.74, 0.66, 0.56)
    assert "may be chance" in reasons(names, configs, some, step).because


def test_a_single_seed_needs_more_than_its_samples_scatter():
    names, configs, frames, step = race(60, {"batch_size": 64, "lr": 0.2, "replicas": 1}, NONE, BATCH)
    some = [seeds(frames[0], 0.8), seeds(frames[1], 0.83)]
    assert reasons(names, configs, some, step).because.startswith(
        "The difference of 3.0 points between batch norm and no norm may be chance: it is within two "
        "standard errors of the validation samples."
    )
    some[1] = seeds(frames[1], 0.9)
    assert "chance" not in reasons(names, configs, some, step).because


def test_seeds_that_diverged_are_told_though_the_others_show_no_lead():
    names, configs, frames, step = race(60, {"batch_size": 64, "lr": 0.2}, NONE, BATCH)
    some = [seeds(frame, 0.8, 0.8, 0.8, 0.8) for frame in frames]
    some[0]["train_loss"] = some[0]["train_loss"].copy()
    some[0]["train_loss"][2, 30:] = np.nan
    assert (
        "With no norm training diverged at step 30 at learning rate 0.2 in 1 of 4 seeds"
        in reasons(names, configs, some, step).because
    )


def test_training_losses_are_compared_only_where_they_are_of_one_kind():
    names, configs, frames, step = race(60, {}, NONE, LAYER, BATCH)
    lower = [dict(one) for one in frames]
    for one, loss, validation in zip(lower, (0.1, 0.5, 0.5), (0.9, 0.4, 0.4), strict=True):
        one["train_loss"] = np.full_like(one["train_loss"], loss)
        one["val_loss"] = np.full_like(one["val_loss"], validation)
    first = seeds(lower[0], 0.5, 0.52, 0.5, 0.5)

    def told(other):
        pair = [names[0], names[other]], [configs[0], configs[other]]
        return reasons(*pair, [first, seeds(lower[other], 0.7, 0.72, 0.7, 0.7)], step).because

    def fitted(other):
        lanes = [Lane(n, names[k], configs[k], f, step) for n, (k, f) in enumerate(
            ((0, first), (other, seeds(lower[other], 0.7, 0.72, 0.7, 0.7))))]  # fmt: skip
        return learning.fitted(*lanes)

    assert told(1) and "the training loss is lower, 0.1 against 0.5" in fitted(1).main
    assert fitted(2).main == (
        "The training loss of batch norm includes the noise of its batch statistics; the validation losses "
        "are 0.9 with no norm and 0.4 with batch norm."
    )
    first = seeds(lower[0], 0.5, 0.9, 0.5, 0.9)
    assert "the training loss is lower" not in told(1)


def test_other_norms_that_fail_are_named_where_a_norm_is_advised():
    names, configs, frames, step = race(80, {"activation": "sigmoid", "lr": 0.5}, NONE, BATCH, LAYER)
    failed = [seeds(frame, at, at, at, at + 0.01) for frame, at in zip(frames, (0.1, 0.8, 0.2), strict=True)]
    change = reasons(names, configs, failed, step).change
    assert "or a norm" not in change
    assert change == "Fewer layers, ReLU or batch norm. Layer norm is behind, too."
    failed[2] = seeds(frames[2], 0.2, 0.9, 0.2, 0.9)
    assert "behind, too" not in reasons(names, configs, failed, step).change, "that isn't clear"


def test_a_norm_that_does_not_diverge_but_does_not_learn_is_no_remedy():
    names, configs, frames, step = race(30, {"lr": 3.0}, NONE, BATCH)
    found = reasons(names, configs, [frames[0], seeds(frames[1], 0.11, 0.12, 0.11, 0.12)], step)
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
        seeds(frame, *[accuracy] * 4) | {"train_loss": np.full_like(frame["train_loss"], loss)}
        for frame, loss, accuracy in zip(frames, losses, accuracies, strict=True)
    ]
    found = reasons(names, configs, some, step).because
    assert "in validation accuracy, though its training loss is 2 times as high." in found
    assert "some speed, not the lead in training loss over no norm (0.4 against 1)." in found
    some[0]["train_loss"][:2] = np.array([[0.3], [0.5]])
    assert "lead in training loss" not in reasons(names, configs, some, step).because


def test_the_lane_that_fits_wrong_labels_most_closely_is_named():
    (common_step, common, *lanes), _, _ = SHOWN["wrong labels"]
    names, configs, frames, step = race(common_step, common, *lanes, LAYER)
    some = [seeds(frame, *[at] * 4) for frame, at in zip(frames, (0.5, 0.7, 0.6), strict=True)]
    some[2]["train_loss"] = np.full_like(frames[2]["train_loss"], 0.25)
    assert "layer norm fits them most closely (loss 0.25)" in reasons(names, configs, some, step).because


def test_the_losses_of_seeds_that_diverged_are_left_out_and_keep_their_place():
    frame = recorded(DENSE, 60)
    losses = frame["train_loss"].copy()
    losses[1, -3:] = np.nan
    lane, whole = (Lane(0, "a", DENSE, one, 60) for one in (frame | {"train_loss": losses}, frame))
    expected = np.where([False, True, False, False], np.nan, whole.seed_losses)
    np.testing.assert_array_equal(lane.seed_losses, expected)
