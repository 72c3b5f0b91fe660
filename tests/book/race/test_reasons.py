"""The reasons under a race: each cause is found where a run shows it, and changes sides with the numbers."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bnlib import RunConfig
from book.race import _reasons_learning as learning
from book.race import _reasons_statistics as statistics
from book.race import reasons as why
from book.race._lane import Lane, shared
from book.race.looks import Race
from book.race.reasons import ARRAYS_NEEDED, DIAGNOSES, PLACES, frames_needed, reasons
from book.race.settings import NAMES
from book.words import brief
from tests.book.race.raced import seldom, whole
from tests.book.race.sentences import leads_somewhere, legible
from tests.once import once

DENSE = RunConfig(width=32, depth=4, replicas=4, record_every=1, validate_every=5)


@cache
def recorded(config, step):
    """What a run has recorded up to ``step``."""
    history = once(whole, seldom(config, step), step)
    return {name: history[name] for name in ARRAYS_NEEDED}


def race(step, common, *lanes):
    """Names, configurations and frames of lanes that differ in what is given."""
    configs = [replace(DENSE, **{**common, **lane}) for lane in lanes]
    labels = {"lr": "learning rate", "batch_order": "order"}
    names = []
    for config, lane in zip(configs, lanes, strict=True):
        own = ", ".join(f"{labels.get(k, k)} {v}" for k, v in lane.items() if k != "norm")
        names.append(f"{NAMES[config.norm]} ({own})" if own else NAMES[config.norm])
    return names, configs, [recorded(config, step) for config in configs], step


NONE, BATCH, LAYER = {"norm": "none"}, {"norm": "batch"}, {"norm": "layer"}
GAN = {"network": "gan", "dataset": "ring", "depth": 3, "batch_size": 32}

# By what is looked for: the race, what must be said, and words that must be in what would change it.
SHOWN = {
    "diverged": (
        (30, {"lr": 3.0}, NONE, BATCH),
        ["With no norm training diverged", "Just before, an update was"],
        "with batch norm training hasn’t diverged at 3",
    ),
    "diverged before the first update": (
        (10, {"init_scale": 5.0, "depth": 8}, NONE, BATCH),
        ["With no norm the loss of the initial weights", "5⁸ = 390,625 after 8 layers"],
        "init scale 1",
    ),
    "a batch of one": (
        (60, {"batch_size": 1, "lr": 0.02}, BATCH, LAYER),
        ["With batch norm each mean is over a single number", "gradient in the first layer is exactly 0"],
        "layer norm",
    ),
    "instance norm without positions": (
        (60, {}, {"norm": "instance"}, LAYER),
        ["With instance norm each mean is over a single number"],
        "convolutional",
    ),
    "frozen statistics": (
        (60, {"depth": 6, "lr": 0.02}, BATCH | {"frozen": True}, BATCH),
        ["are those of the start, mean 0 and variance 1: in layer", "(root mean square)"],
        "Statistics that are frozen later",
    ),
    "pairs": (
        (100, {"batch_size": 64, "lr": 0.2}, {"norm": "batch", "norm_batch": 2}, BATCH),
        ["With batch norm (norm_batch 2) two numbers share a mean", "the gradient"],
        "Larger norm batches",
    ),
    "few numbers": (
        (100, {"batch_size": 64, "lr": 0.2}, {"norm": "batch", "norm_batch": 4}, BATCH),
        ["With batch norm (norm_batch 4) a mean over 4 numbers scatters by 1/√4 = 50% of σ"],
        "More samples",
    ),
    "lanes of the same weights": (
        (40, {}, {"norm": "batch", "momentum": 0.999}, BATCH),
        ["0.999⁴⁰ = 96% is left with batch norm (momentum 0.999)", "the same weights (training loss 1.09"],
        "after 4,603 steps 1% of the start is left; with momentum 0.9 after 44; statistics computed anew",
    ),
    "stale averages": (
        (40, {}, {"norm": "batch", "momentum": 0.999}, LAYER),
        ["With batch norm (momentum 0.999) the same weights are right on", "0.999⁴⁰ = 96% is left"],
        "with momentum 0.9 after 44.",
    ),
    "batch renorm in batches of two": (
        (400, {"batch_size": 2, "lr": 0.05, "depth": 3}, {"norm": "renorm"}, LAYER),
        ["of two numbers hardly any gradient gets", "as long as layer 1’s weights with batch renorm, "],
        "Batches of 4 or more",
    ),
    "norm batches of one class": (
        (60, {"batch_size": 64, "norm_batch": 8}, {"norm": "batch", "batch_order": "sorted"}, BATCH),
        ["With batch norm (order sorted) a mean in training is over 8 samples of nearly one class",
         "the running averages, over all classes, give it"],
        "mixed classes",
    ),
    "a large ε": (
        (60, {"init_scale": 0.5}, {"norm": "batch", "eps": 1.0}, BATCH),
        ["The ε of 1 is added to the variance v", "The closed form, from layer 1 on"],
        "0.00001",
    ),
    "a small γ": (
        (60, {}, {"norm": "batch", "gamma": 0.05}, BATCH),
        ["A γ of 0.05 at the start leaves"],
        "starts at 1",
    ),
    "a low β": (
        (60, {}, {"norm": "batch", "beta": -3.0}, BATCH),
        ["A β of −3 at the start keeps", "of the ReLUs off with batch norm (beta -3.0)"],
        "starts at 0",
    ),
    "initial weights": (
        (60, {"depth": 8, "init_scale": 0.4}, NONE, BATCH),
        ["0.4⁷ = 0.00164 from layer 1 to layer 8", "(measured at step 0 with no norm: "],
        "He’s weights",
    ),
    "wrong labels": (
        (250, {"label_noise": 0.3, "train_samples": 256, "batch_size": 64, "optimizer": "momentum"}
         | {"lr": 0.05}, NONE, {"norm": "batch", "norm_batch": 4}),
        ["30% of the training labels are wrong, and the lane without a norm fits them more closely than",
         "over 4 numbers"],
        "wrong labels",
    ),
    "too large initial weights": (
        (30, {"init_scale": 2.5, "depth": 6, "lr": 0.2}, NONE, BATCH),
        ["With no norm training diverged", "2.5⁶ = 244 after 6 layers"],
        "Init scale 1",
    ),
    "injected noise": (
        (60, {}, {"norm": "batch", "norm_noise": 4.0}, BATCH),
        ["With batch norm (norm_noise 4.0) each layer’s values are multiplied and shifted at random"],
        "Less noise",
    ),
    "weight decay": (
        (100, {}, {"norm": "batch", "weight_decay": 1.0}, BATCH),
        ["With batch norm (weight_decay 1.0) weight decay takes η·λ = 10% off every weight"],
        "smaller weight decay",
    ),
    "an exploding gradient": (
        (120, {"depth": 20, "width": 64, "lr": 0.01, "inputs": "standardized"}, BATCH, NONE),
        ["to layer 1 with batch norm; for wide networks Yang et al. (2019) predict"],
        "Fewer layers",
    ),
    "saturation": (
        (60, {"activation": "tanh", "init_scale": 4.0}, NONE, BATCH),
        ["With no norm", "tanh units’ outputs are saturated, with batch norm"],
        "Smaller initial weights",
    ),
    "dead units": (
        (60, {"depth": 6, "init_scale": 0.1, "lr": 0.3}, LAYER, BATCH),
        ["With layer norm", "of the ReLUs are off for the whole batch", "Batch norm centres each unit"],
        "weights × 0.1 act like a learning rate 100 times as large: a rate below 0.3 keeps",
    ),
    "a vanishing gradient": (
        (80, {"activation": "sigmoid", "lr": 0.5}, NONE, BATCH),
        ["-fold with no norm and grows", "A sigmoid’s slope is at most ¼"],
        "ReLU or batch norm",
    ),
    "a smaller learning rate": (
        (60, {}, {"norm": "batch", "lr": 0.005}, BATCH),
        ["With batch norm (learning rate 0.005) an update is"],
        "More steps",
    ),
    "small updates": (
        (60, {"lr": 0.03}, NONE, BATCH),
        ["as long as the weights with no norm,", "At the same learning rate, "],
        "More steps",
    ),
    "a learning rate that has come to 0": (
        (80, {}, {"norm": "batch", "cosine_steps": 20}, BATCH),
        ["With batch norm (cosine_steps 20) the learning rate has come down to 0"],
        "longer cosine",
    ),
    "a GAN with batch norm": (
        (400, GAN, BATCH, {"norm": "spectral"}),
        ["With batch norm real and generated points are normalized apart"],
        "Spectral norm",
    ),
    "a GAN whose discriminator tells real from generated": (
        (400, GAN | {"replicas": 2}, {"norm": "none", "lr": 0.3}, {"norm": "spectral", "lr": 1.0}),
        ["With no norm (learning rate 0.3) the discriminator tells real from", "slope is at most 1"],
        "at one rate",
    ),
    "fewer samples": (
        (60, {}, {"norm": "layer", "batch_size": 4}, {"norm": "layer", "batch_size": 64}),
        ["By step 60 layer norm (batch_size 4) has learned from 240 samples, layer norm (batch_size 64)"],
        "after as many samples",
    ),
    "a norm before sigmoids": (
        (40, {"activation": "sigmoid"}, {"norm": "batch", "placement": "before"},
         {"norm": "batch", "placement": "after"}),
        ["those of the sigmoid, with a spread of 0.2", "the norm makes their mean 0 and their spread 1"],
        "tanh",
    ),
    "running averages that are less noisy": (
        (400, {"network": "cnn", "depth": 3, "width": 16, "batch_size": 2}, NONE, BATCH),
        ["Inference uses running averages", "no norm on"],
        "More steps",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SHOWN)
def test_a_cause_is_found_where_a_run_shows_it(case):
    setup, expected, change = SHOWN[case]
    found = reasons(*race(*setup))
    for part in expected:
        assert part in found.because
    assert change in found.change and found.read is not None


@pytest.mark.parametrize("case", SHOWN)
def test_numbers_turned_round_change_the_sentence(case):
    """The frames go to the other lanes: the cause must not be found where it was."""
    setup, expected, _ = SHOWN[case]
    names, configs, frames, step = race(*setup)
    depth = max(config.depth for config in configs)
    assert all(config.depth == depth for config in configs), "frames can be exchanged"
    turned = reasons(names, configs, frames[::-1], step)
    assert turned.because and expected[0] not in turned.because


def reaching(frames, accuracy):
    """The same numbers, but for their accuracies."""
    return frames | {
        name: np.where(np.isfinite(frames[name]), np.float32(accuracy), np.nan)
        for name in ("val_accuracy", "val_accuracy_batch")
    }


@pytest.mark.parametrize("case", [case for case in SHOWN if "GAN" not in case])
def test_no_cause_is_claimed_that_the_numbers_do_not_show(case):
    """The same settings, and a lane that is behind as before; but else it has the other's numbers."""
    setup, expected, _ = SHOWN[case]
    names, configs, frames, step = race(*setup)
    found = reasons(names, configs, [reaching(frames[1], at) for at in (0.5, 0.7)], step)
    assert expected[0] not in found.because and not any(part in found.because for part in expected[1:])


@pytest.mark.parametrize(
    "case", ["a vanishing gradient", "saturation", "dead units", "an exploding gradient"]
)
def test_what_both_have_is_no_cause_of_a_difference(case):
    setup, expected, _ = SHOWN[case]
    names, configs, frames, step = race(*setup)
    found = reasons(names, configs, [reaching(frames[0], at) for at in (0.5, 0.7)], step)
    assert expected[0] not in found.because and "no single cause" in found.because


@pytest.mark.parametrize("case", SHOWN)
def test_what_is_said_reads_well(case):
    setup, _, _ = SHOWN[case]
    legible(reasons(*race(*setup)))


# --- no difference --------------------------------------------------------------------------------------


def test_level_lanes_have_nothing_to_repair():
    names, configs, frames, step = race(
        300, {"depth": 2, "lr": 0.5, "width": 64, "batch_size": 64}, NONE, BATCH
    )
    found = reasons(names, configs, frames, step)
    assert "Each lane’s gradient reaches the first layer" in found.because
    assert "with no norm" in found.because and "with batch norm" in found.because
    assert "larger learning rate" in found.change
    fading = dict(frames[0], gradient_norm=frames[0]["gradient_norm"] * np.array([0.01, 1], np.float32))
    assert (
        "The gradients differ, but not what was learned"
        in reasons(names, configs, [fading, frames[1]], step).because
    )


def test_what_yang_et_al_predict_is_for_a_norm_before_the_activation():
    deep = {"depth": 10, "lr": 0.3}
    places = ({"norm": "batch", "placement": place} for place in ("before", "after"))
    found = reasons(*race(100, deep, *places))
    assert "At step 0 the gradient grows" in found.because and "predict" not in found.because


def test_before_the_first_update_there_is_nothing_to_explain():
    found = reasons(*race(0, {}, NONE, BATCH))
    assert found.because.startswith("No update has been made yet") and not found.read


def test_lanes_that_are_still_near_guessing_are_not_called_level():
    assert "At step 3 no lane is far from guessing (10%) yet." in reasons(*race(3, {}, NONE, BATCH)).because


@pytest.mark.parametrize(
    ("lr", "change"), [(1e-4, "A larger learning rate."), (0.0, "A learning rate above 0")]
)
def test_lanes_that_learn_nothing_get_the_advice_that_fits(lr, change):
    found = reasons(*race(60, {"lr": lr}, NONE, LAYER))
    assert "No lane is far from guessing (10%)" in found.because and found.change.startswith(change)


def test_lanes_of_instance_norm_are_not_told_to_train_longer():
    found = reasons(*race(60, {}, {"norm": "instance"}, {"norm": "instance", "lr": 0.2}))
    assert "each mean is over a single number" in found.because
    assert "steps" not in found.change and "rate" not in found.change


def test_a_race_that_is_not_over_is_said_to_be_none():
    names, configs, frames, step = race(50, {"lr": 0.02}, BATCH, {"norm": "batch", "eps": 2e-5})
    found = reasons(names, configs, frames, step)
    assert found.because.startswith("Both are still learning: over the last 10 steps")
    flat = [dict(one, train_loss=np.full_like(one["train_loss"], 1.0)) for one in frames]
    assert "still learning" not in reasons(names, configs, flat, step).because


def test_what_nothing_explains_is_said_to_be_unexplained():
    names, configs, frames, step = race(60, {}, BATCH, LAYER)
    same = {name: frames[0][name] for name in ARRAYS_NEEDED}
    worse = dict(same, gradient_norm=same["gradient_norm"] * 3)
    worse |= {name: same[name] - np.float32(0.2) for name in ("val_accuracy", "val_accuracy_batch")}
    configs[1] = replace(configs[0], seed=1)
    found = reasons(names, configs, [worse, same], step)
    assert found.because.startswith("The recorded numbers give no single cause for this difference.")
    assert "Most different is the gradient in layer 1" in found.because


# --- several lanes, edits, images -----------------------------------------------------------------------


def test_two_lanes_have_two_causes():
    both = race(
        60, {"batch_size": 64, "lr": 0.2}, {"norm": "batch", "norm_batch": 2}, BATCH, {"norm": "instance"}
    )
    found = reasons(*both)
    assert "two numbers share a mean" in found.because and "over a single number" in found.because
    assert found.read[0] != found.read[1]
    legible(found)


def test_a_change_in_mid_run_is_told():
    edited = {"edits": ((30, "lr", 1.0),)}
    names, configs, frames, step = race(60, edited, NONE, BATCH)
    found = reasons(names, configs, frames, step)
    assert "Since step 30 the learning rate is 1 instead of 0.1" in found.because
    before = [{name: array[:, :30] for name, array in one.items()} for one in frames]
    assert "Since step 30" not in reasons(names, configs, before, 29).because


def test_a_frozen_norm_looks_at_no_batch():
    for config, of_batch in ((RunConfig(), True), (RunConfig(frozen=True), False)):
        assert Lane(0, "batch norm", config, {}, 0).of_batch == of_batch == bool(shared(config))
    thawed = RunConfig(frozen=True, edits=((5, "frozen", False),))
    assert [Lane(0, "batch norm", thawed, {}, step).of_batch for step in (4, 5)] == [False, True]


@pytest.mark.parametrize(
    ("edits", "step", "since"),
    [
        ((), 9, 0),
        (((5, "frozen", True),), 4, 0),
        (((7, "frozen", False), (9, "frozen", True)), 12, 9),
        (((7, "frozen", False), (9, "frozen", True), (20, "frozen", False), (22, "frozen", True)), 12, 9),
    ],
)
def test_statistics_are_frozen_since_they_last_moved(edits, step, since):
    assert Lane(0, "batch norm", RunConfig(frozen=True, edits=edits), {}, step).frozen_since == since
    assert Lane(0, "batch norm", RunConfig(edits=((5, "frozen", True),)), {}, 4).frozen_since is None


def test_a_norm_that_no_longer_sees_the_spread_does_not_hold_it():
    """At this learning rate batch norm trains; five steps after its statistics are frozen it diverges."""
    held = {"edits": ((30, "frozen", True),)}
    names, configs, frames, step = race(60, {"depth": 6, "lr": 0.3}, BATCH, BATCH | held)
    found = reasons(names, configs, frames, step)
    spread = frames[1]["activation_std"][:, :, -1]
    ends = np.argmax(~np.isfinite(frames[1]["train_loss"]), axis=1)
    grown = np.mean([spread[seed, end - 1] for seed, end in enumerate(ends)])
    words = (brief(float(number)) for number in (spread[:, 30].mean(), grown))
    told = "no longer divides by the spread that it gets: in layer 6 the spread of the activations grew from "
    assert "have been frozen since step 30" in found.because and told + " to ".join(words) in found.because
    assert found.change.startswith("Statistics that follow the batches again")
    legible(found)
    both = race(60, {"depth": 6, "lr": 0.3}, NONE, BATCH | held)
    assert "no longer divides" in reasons(*both).because


def test_activations_leave_frozen_statistics_behind():
    names, configs, frames, step = race(60, {"depth": 6, "lr": 0.02}, BATCH, BATCH | {"frozen": True})
    found = reasons(names, configs, frames, step)
    gaps = frames[1]["statistics_gap"][:, -1].mean(axis=0)
    most = int(gaps.argmax())
    away = (
        f"in layer {most + 1} the means of a batch lie {brief(float(gaps[most]))} frozen standard deviations"
    )
    assert f"are those of the start, mean 0 and variance 1: {away}" in found.because
    legible(found)
    later = race(60, {"depth": 6, "lr": 0.02}, BATCH, BATCH | {"edits": ((55, "frozen", True),)})
    assert "frozen since" not in reasons(*later).because, "they fit as yet"


@pytest.mark.parametrize("rates", [(0.3, 0.02), (0.05, 0.1)])
def test_what_both_lanes_have_is_no_cause(rates):
    """One diverges, or both have left their statistics behind: lanes differ in their rates alone."""
    held = BATCH | {"frozen": True} if rates[0] < 0.1 else BATCH | {"edits": ((30, "frozen", True),)}
    names, configs, frames, step = race(60, {"depth": 6}, *(held | {"lr": rate} for rate in rates))
    lanes = [Lane(*one, step) for one in zip(range(2), names, configs, frames, strict=True)]
    assert lanes[0].lost or all(lane.at("statistics_gap").max() > 0.5 for lane in lanes)
    lost = learning.diverged(lanes[0], lanes[1])
    assert not lost or "no longer divides" not in lost.detail
    assert statistics.frozen(lanes[0], lanes[1]) is None


def test_frozen_statistics_are_told_of_the_lane_that_has_some():
    frozen, never = {"edits": ((30, "frozen", True),)}, {"edits": ((30, "frozen", False),)}
    found = reasons(*race(60, {}, NONE | never, BATCH | frozen))
    told = "Since step 30 running mean and variance are frozen: with batch norm"
    assert told in found.because
    shown = Race.between(["no norm", "batch norm"], [RunConfig(norm="none", **never), RunConfig(**frozen)])
    assert shown.edits == [(30, "running μ and σ frozen")]


@pytest.mark.parametrize(
    ("size", "shown"), [(2, "2 × 8 × 8 = 128 numbers, and over 32 in"), (1, "8 × 8 = 64 numbers")]
)
def test_of_few_images_the_numbers_that_share_a_mean_are_counted(size, shown):
    images = {"network": "cnn", "depth": 3, "width": 8, "batch_size": size}
    found = reasons(*race(20, images, NONE, BATCH))
    assert shown in found.because
    many = reasons(*race(20, images | {"batch_size": 32}, NONE, BATCH))
    assert "in a dense network)" not in many.because


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"norm": "batch", "batch_size": 8}, (8, 8, 8, 8)),
        ({"norm": "batch", "batch_size": 8, "norm_batch": 4}, (4,) * 4),
        ({"norm": "ghost", "batch_size": 64}, (8,) * 4),
        ({"norm": "layer"}, (32,) * 4),
        ({"norm": "group", "groups": 16}, (2,) * 4),
        ({"norm": "instance"}, (1,) * 4),
        ({"norm": "frn"}, (1,) * 4),
        ({"norm": "none"}, ()),
        ({"norm": "spectral"}, ()),
        ({"norm": "batch", "network": "cnn", "batch_size": 2, "depth": 3}, (128, 32, 32)),
        ({"norm": "group", "network": "cnn", "groups": 8, "depth": 3}, (64 * 2, 16 * 4, 16 * 4)),
        ({"norm": "batch", "network": "rnn", "batch_size": 4, "depth": 1}, (4,)),
    ],
)  # fmt: skip
def test_numbers_per_statistic(changes, expected):
    assert shared(replace(DENSE, **changes)) == expected


def test_all_frames_are_asked_for():
    assert list(frames_needed(replace(DENSE, record_every=10, validate_every=20), 39)) == [0, 1, 2, 3]


def test_every_rule_has_a_run_that_shows_it():
    """Each is the first to find something in one of the races above."""
    seen = set()
    for setup, _, _ in SHOWN.values():
        names, configs, frames, step = race(*setup)
        lanes = [
            Lane(n, name, *rest, step)
            for n, (name, *rest) in enumerate(zip(names, configs, frames, strict=True))
        ]
        seen.add(why._first(lanes[0], lanes[1])[0])
    assert seen == set(DIAGNOSES)


# --- where to read on -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", PLACES)
def test_places_exist(key):
    words, address = PLACES[key]
    assert words and leads_somewhere(address)
