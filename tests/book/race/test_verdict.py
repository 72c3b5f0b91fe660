"""The words under a race: what they say follows from the numbers."""

import re

import numpy as np
import pytest
from scipy import stats

from bnlib import RunConfig, advance, start
from bnlib.data import load
from bnlib.networks.inference import inference_layers
from bnlib.networks.network import forward
from book.race import verdict as words
from book.race._lane import Lane
from book.race.settings import NAMES
from book.race.verdict import LEVEL, SMALLEST, accuracy, frames_needed
from live import worker

BATCH = RunConfig(norm="batch", record_every=1, validate_every=5, replicas=2, lr=0.05)
NONE, LAYER, GROUP = (
    RunConfig(norm=norm, record_every=1, validate_every=5, replicas=2, lr=0.05)
    for norm in ("none", "layer", "group")
)


def lane(*final, alive=True, gradient=(1.0, 1.0)):
    """A lane's frames: validated in the first, the loss of the last finite or not; the gradient by layer."""
    shape = len(final), 3
    frames = {"val_accuracy": np.full(shape, np.nan), "train_loss": np.ones(shape), "step": np.arange(3)}
    frames["val_accuracy"][:, 0] = final
    frames["gradient_norm"] = np.broadcast_to(gradient, (*shape, np.shape(gradient)[-1])).copy()
    frames["train_loss"][~np.broadcast_to(alive, len(final)), -1] = np.nan
    return frames


def cut(block, numbers):
    """Some frames of what was recorded, as the session hands them over."""
    return {name: block[name][:, numbers.start : numbers.stop] for name in words.ARRAYS_NEEDED}


def verdict(configs, lanes, step=40, ghosts=None):
    return words.verdict([NAMES[config.norm] for config in configs], configs, lanes, step, ghosts)


def said(configs, lanes, step=40, ghosts=None):
    return verdict(configs, lanes, step, ghosts).text


# --- who is ahead ---------------------------------------------------------------------------------------


FOUR = (0.5, 0.52, 0.51, 0.55), (0.8, 0.82, 0.83, 0.83)


def test_a_clear_lead():
    assert verdict([NONE, BATCH], [lane(*seeds) for seeds in FOUR]) == (
        "Step 40, validation accuracy (lowest–highest seed): no norm 52.0% (50.0–55.0), batch norm 82.0% "
        "(80.0–83.0). Batch norm is 30.0 points ahead of no norm, 95% interval +27.4 to +32.6 over 4 seeds.",
        1,
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_is_that_of_a_paired_t_test(seed):
    rng = np.random.default_rng(seed)
    one, other = (rng.uniform(0.3, 0.6, int(rng.integers(2, 9))) for _ in range(2))
    other = rng.permutation(np.resize(other, len(one))) + rng.choice([0, 0.1, 0.3])
    expected = stats.ttest_rel(100 * other, 100 * one).confidence_interval()
    first, second = words.standing(["none", "batch"], [NONE, BATCH], [lane(*one), lane(*other)])
    found = words.lead(second, first)
    assert found.interval[1:3] == pytest.approx(tuple(expected))
    assert found.points == pytest.approx(round(100 * (other.mean() - one.mean()), 1), abs=0.11)
    assert found.clear == (expected.low > 0 and found.points >= SMALLEST)
    if abs(found.points) > 0.2:
        shown = [float(part.replace("−", "-")) for part in re.findall(
            r"interval (\S+) to (\S+) over", said([NONE, BATCH], [lane(*one), lane(*other)]))[0]]  # fmt: skip
        ends = sorted(np.clip(np.sign(found.points) * np.array(expected), -100, 100))
        assert shown == pytest.approx(ends, abs=0.051)


@pytest.mark.parametrize(
    ("step", "start"),
    [
        (20, "Step 20, validation accuracy (lowest–highest seed): no norm "),
        (21, "Step 21, validation accuracy at step 20 (lowest–highest seed): no norm "),
        (24, "Step 24, validation accuracy at step 20 (lowest–highest seed): no norm "),
        (25, "Step 25, validation accuracy (lowest–highest seed): no norm "),
        (4, "Step 4, validation accuracy at step 0 (lowest–highest seed): no norm "),
        (0, "Step 0, validation accuracy (lowest–highest seed): no norm "),
    ],
)
def test_an_accuracy_of_an_earlier_step_says_so(step, start):
    text = said([NONE, BATCH], [lane(0.5, 0.6), lane(0.9, 0.8)], step)
    assert text.startswith(start) and ("at step" in text) == (step % 5 > 0)


def test_lanes_have_the_names_they_are_given():
    names = ["batch norm (ε 1)", "no norm (γ 2)", "RMS norm"]
    text, leader = words.verdict(names, [BATCH, BATCH, LAYER], [lane(0.9), lane(0.4), lane(0.2)], 40)
    assert "batch norm (ε 1) 90.0%, no norm (γ 2) 40.0%, RMS norm 20.0%." in text and leader == 0
    assert "Batch norm (ε 1) is 50.0 points ahead of no norm (γ 2)" in text
    text, leader = words.verdict(names, [BATCH, BATCH, LAYER], [lane(0.3), lane(0.9), lane(0.2)], 40)
    assert "No norm (γ 2) is 60.0 points ahead of batch norm (ε 1)" in text and leader == 1


def test_a_lead_whose_sign_hangs_on_the_seeds_is_no_clear_one():
    text, leader = verdict([NONE, BATCH], [lane(0.5, 0.85, 0.6, 0.7), lane(0.9, 0.8, 0.7, 0.7)])
    assert text.endswith(
        "Batch norm has no clear lead over no norm: +11.2 points, 95% interval −20.8 to +43.3 over 4 seeds."
    )
    assert leader == LEVEL


def test_pairs_show_a_lead_though_seeds_overlap():
    """Seeds that do well do so in both lanes."""
    none, batch = (0.5, 0.6, 0.7, 0.8), (0.55, 0.66, 0.74, 0.86)
    text, leader = verdict([NONE, BATCH], [lane(*none), lane(*batch)])
    assert (
        text.endswith("5.3 points ahead of no norm, 95% interval +3.7 to +6.8 over 4 seeds.") and leader == 1
    )
    text, leader = verdict([NONE, BATCH], [lane(*none), lane(*batch[::-1])])
    assert "no clear lead" in text and leader == LEVEL


def test_the_lead_is_the_difference_of_the_printed_numbers():
    text = said([NONE, BATCH], [lane(0.80344, 0.80344), lane(0.95356, 0.95356)])
    assert "80.3%" in text and "95.4%" in text and "15.1 points" in text


def test_equal_lanes_are_level():
    text, leader = verdict([NONE, BATCH], [lane(0.5, 0.6)] * 2)
    assert text.endswith("No norm and batch norm are level.") and leader == LEVEL == -1
    text, leader = verdict([NONE, BATCH], [lane(0.5, 0.6), lane(0.6, 0.5)])
    assert text.endswith(
        "no clear lead over batch norm: +0.0 points, 95% interval −100.0 to +100.0 over 2 seeds."
    )
    assert leader == LEVEL


@pytest.mark.parametrize(
    ("none", "batch", "leader"),
    [
        (0.85, 0.90, 1),
        (0.90, 0.85, 0),
        (0.892, 0.90, LEVEL),
        (0.90, 0.892, LEVEL),
        (0.626, 0.636, 1),  # in binary 63.6 − 62.6 is a little more than 1, 97.0 − 96.0 is exact
        (0.641, 0.651, 1),  # and 65.1 − 64.1 a little less
        (0.8902, 0.90, 1),  # 0.98, and printed 89.0 and 90.0
        (0.8906, 0.90, LEVEL),
    ],
)
def test_within_a_point_nobody_leads_however_sure_the_seeds(none, batch, leader):
    text, found = verdict([NONE, BATCH], [lane(*[none] * 3), lane(*[batch] * 3)])
    assert found == leader
    assert ("points ahead" in text) == (leader != LEVEL)
    assert text.endswith(" over 3 seeds: less than a point doesn’t count.") == (leader == LEVEL)


def test_a_point_is_what_other_samples_may_change():
    """Twice the standard error, over validation samples, of two level lanes' mean difference."""
    right = []
    for placement in ("before", "after"):
        config = RunConfig(placement=placement, replicas=4, record_every=200, validate_every=200, lr=0.1)
        run = advance(start(config), 201)
        used = inference_layers(config, run.layers, run.running)
        logits = forward(config, used, config.data().x_val, keep=False)[0]
        right.append(logits.argmax(axis=2) == config.data().y_val)
    each = 100 * (right[0].astype(float) - right[1]).mean(axis=0)
    error = each.std(ddof=1) / np.sqrt(len(each))
    assert 0.5 * SMALLEST < 2 * error < 1.5 * SMALLEST


def test_the_leader_is_the_best_lane_whoever_is_compared():
    lanes = [lane(0.9, 0.9), lane(0.5, 0.5), lane(0.3, 0.3)]
    text, leader = verdict([LAYER, GROUP, BATCH], lanes)
    assert leader == 0 and "Layer norm is 40.0 points ahead of group norm" in text
    text, leader = verdict([LAYER, GROUP, BATCH], [lane(0.9, 0.9), lane(0.9, 0.9), lane(0.3, 0.3)])
    assert leader == LEVEL
    assert text.endswith("Layer norm and group norm are level. Batch norm is 60.0 points behind layer norm.")
    text, leader = verdict([LAYER, GROUP, BATCH], [lane(0.9, 0.91), lane(0.893, 0.9), lane(0.895, 0.91)])
    assert leader == LEVEL and text.endswith(
        "Layer norm has no clear lead over batch norm: +0.2 points, 95% interval −2.9 to +3.4 over 2 seeds; "
        "nor over group norm (+0.8)."
    )


def test_who_leads_leads_clearly_over_every_lane():
    """Also over one that is further behind, but with seeds that differ more."""
    unsteady = lane(0.9, 0.1, 0.9, 0.9)
    lanes = [lane(0.9, 0.91, 0.9, 0.91), lane(0.8, 0.81, 0.8, 0.81), unsteady]
    text, leader = verdict([LAYER, GROUP, BATCH], lanes)
    assert leader == LEVEL and "Layer norm has no clear lead over batch norm: +20.5 points" in text
    assert verdict([LAYER, GROUP, BATCH], [*lanes[:2], lane(0.1, 0.2, 0.1, 0.1)])[1] == 0


def test_one_seed_is_said_to_be_one():
    text, leader = verdict([NONE, BATCH], [lane(0.5), lane(0.9)])
    assert "(" not in text
    assert text.endswith("40.0 points ahead of no norm, with one seed each: other seeds may differ.")
    assert leader == 1


@pytest.mark.parametrize(("none", "batch"), [(0.5, 0.57), (0.9, 0.93), (0.96, 0.98)])
def test_one_seed_leads_by_more_than_its_samples_scatter(none, batch):
    """Two standard errors of an unpaired difference: 6.3 points at 50% of 500 samples, 3.8 at 90%."""
    error = 200 * np.sqrt((none * (1 - none) + batch * (1 - batch)) / 500)
    text, leader = verdict([NONE, BATCH], [lane(none), lane(batch)])
    assert leader == (1 if 100 * (batch - none) >= error else LEVEL)
    shown = f"with one seed each, where two standard errors on 500 validation samples are {error:.1f}."
    assert text.endswith(shown) == (leader == LEVEL)
    assert round(200 * np.sqrt(2 * 0.25 / 500), 1) == 6.3 and round(200 * np.sqrt(2 * 0.09 / 500), 1) == 3.8


@pytest.mark.parametrize("dataset", ["digits", "spirals"])
def test_evidence_counts_the_samples_that_there_are(dataset):
    config = RunConfig(dataset=dataset, lr=0.05)
    samples = len(load(dataset).y_val)
    assert f"two standard errors on {samples} validation samples" in said(
        [config] * 2, [lane(0.9), lane(0.89)]
    )


def test_batch_norm_is_compared_with_the_best_even_when_it_is_last():
    text = said([GROUP, LAYER, BATCH], [lane(0.6, 0.7), lane(0.7, 0.8), lane(0.2, 0.3)])
    first, last = text.split(". ")[-2:]
    assert first == "Layer norm is 10.0 points ahead of group norm, 95% interval +10.0 to +10.0 over 2 seeds"
    assert last == "Batch norm is 50.0 points behind layer norm."


def test_a_half_is_rounded_as_the_page_rounds_it():
    assert "6.3% (6.3–6.3)" in said([NONE], [lane(0.0625, 0.0625)])
    assert "31.3%" in said([NONE], [lane(0.3125)])


def test_without_batch_norm_the_best_two_are_compared():
    text = said([NONE, LAYER, GROUP], [lane(0.1, 0.2), lane(0.7, 0.8), lane(0.88, 0.97)])
    assert "Group norm is 17.5 points ahead of layer norm" in text and "no norm 15.0%" in text


def test_one_lane_alone_is_compared_with_nobody():
    text, leader = verdict([BATCH], [lane(0.9, 0.8)])
    assert text == (
        "Step 40, validation accuracy (lowest–highest seed): batch norm 85.0% (80.0–90.0)."
    ) and leader == 0  # fmt: skip
    assert verdict([BATCH], [lane(0.9, 0.8, alive=False)])[1] == LEVEL


def test_lost_seeds_are_counted_and_left_out():
    three = [False, True, True]
    text, leader = verdict([NONE, BATCH], [lane(0.5, 0.6, 0.62, alive=three), lane(0.9, 0.8, 0.83)])
    assert "no norm 61.0% (60.0–62.0) in the 2 of 3 seeds that have not diverged" in text
    assert text.endswith(
        "20.5 points ahead of no norm, 95% interval +14.1 to +26.9 over the 2 seeds left in both."
    )
    assert leader == 1
    text, leader = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=False), lane(0.9, 0.8)])
    assert "no norm diverged," in text and text.endswith("Only batch norm is left to compare.")
    assert leader == 1
    text, leader = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=False)] * 2)
    assert text.endswith("No lane is left to compare.") and leader == LEVEL


def test_seeds_are_compared_that_are_left_in_both():
    one = lane(0.1, 0.2, alive=[False, True])
    text, leader = verdict([NONE, BATCH], [one, lane(0.9, 0.8)])
    assert "no norm 20.0% in the 1 of 2 seeds that has not diverged" in text
    assert text.endswith("60.0 points ahead of no norm in the one seed left in both: other seeds may differ.")
    assert leader == 1
    text, leader = verdict([NONE, BATCH], [one, lane(0.9, 0.8, alive=[True, False])])
    assert text.endswith("Batch norm has no clear lead over no norm: no seed is left in both.")
    assert leader == LEVEL


def test_a_lane_without_a_finite_output_is_not_called_diverged():
    text = said([NONE, BATCH], [lane(np.nan, np.nan), lane(0.9, 0.8)])
    assert "no norm gives no finite output," in text and "diverged" not in text


def test_long_names_are_cut_to_what_tells_lanes_apart():
    names = [
        "batch norm",
        "batch norm (batch size 8, learning rate 0.01)",
        "batch norm (batch size 2, learning rate 0.1)",
    ]
    text, _ = words.verdict(names, [BATCH] * 3, [lane(0.5), lane(0.9), lane(0.4)], 40)
    assert "batch norm 50.0%, batch norm (batch size 8) 90.0%, batch norm (batch size 2) 40.0%." in text
    assert "Batch norm (batch size 8) is 40.0 points ahead of batch norm, with" in text
    names[2] = "batch norm (batch size 8, learning rate 0.1)"
    text, _ = words.verdict(names, [BATCH] * 3, [lane(0.5), lane(0.9), lane(0.6)], 40)
    assert (
        "Batch norm (batch size 8, learning rate 0.01) is 30.0 points ahead of batch norm (batch size 8"
        in text
    )


# --- no sentence contradicts another, whatever the standings --------------------------------------------


@pytest.mark.parametrize("seed", range(300))
def test_no_sentence_contradicts_the_numbers(seed):
    """Random standings, often close and often diverged: what is said follows from what is printed."""
    rng = np.random.default_rng(seed)
    norms = [NONE, BATCH, LAYER, GROUP]
    configs = [norms[number] for number in rng.permutation(4)[: rng.integers(1, 5)]]
    seeds = int(rng.integers(1, 4))
    centre = rng.choice([0.1, 0.5, 0.9, 0.999])
    lanes = []
    for _ in configs:
        final = np.clip(centre + rng.choice([0.0, 0.005, 0.02, 0.2]) * rng.normal(size=seeds), 0, 1)
        lanes.append(lane(*final, alive=rng.random(seeds) > rng.choice([0, 0, 0.5, 1])))
    text, leader = verdict(configs, lanes)
    assert not {"nan", "inf", "None"} & set(re.findall(r"\w+", text)) and "  " not in text
    assert " 0.0 points" not in text
    printed = {
        name: float(value) for name, value in re.findall(r"((?:no|batch|layer|group) norm) ([\d.]+)%", text)
    }
    ranked = sorted(printed, key=lambda name: -printed[name])
    for first, points, second in re.findall(
        r"(\w+ norm) is ([\d.]+) points (?:ahead of|behind) (\w+ norm)", text
    ):
        apart = abs(printed[first.lower()] - printed[second])
        lost = any("has not diverged" in part or "have not diverged" in part for part in text.split(", "))
        assert (abs(apart - float(points)) < 0.051 or lost) and float(points) >= SMALLEST
    values = {NAMES[c.norm]: np.where(np.isfinite(accuracy(one)), 100 * accuracy(one), np.nan)
              for c, one in zip(configs, lanes, strict=True)}  # fmt: skip
    if leader == LEVEL:
        close = "are level" in text or "no clear lead" in text
        assert close or len(configs) == 1 or "No lane is left to compare." in text
        assert "ahead" not in text
    else:
        assert NAMES[configs[leader].norm] == ranked[0]
        assert len(printed) < 2 or f"{ranked[0].capitalize()} is" in text
        for other in printed:  # another way to the same: how many standard errors the mean is from 0
            apart = values[ranked[0]] - values[other]
            apart = apart[np.isfinite(apart)]
            if other != ranked[0] and len(apart) > 1:
                assert stats.ttest_1samp(apart, 0).pvalue < 0.0501 or np.ptp(apart) < 1e-9
    found = words.numbers([NAMES[c.norm] for c in configs], configs, lanes, 40)
    assert found["leader"] == leader
    for number, config in enumerate(configs):
        value = found[f"accuracy_{number}"]
        assert np.isnan(value) == (NAMES[config.norm] not in printed)
        assert np.isnan(value) or value == printed[NAMES[config.norm]]


# --- how the ghost stood --------------------------------------------------------------------------------


def test_the_ghost_is_told_by_lane():
    lanes = [lane(0.5, 0.6), lane(0.9, 0.8)]
    bare = verdict([NONE, BATCH], lanes)
    for ghosts, sentence in [
        ({1: lane(0.3, 0.2)}, " The ghost: batch norm 25.0%."),
        ({0: lane(0.4, 0.4), 1: lane(0.3, 0.2)}, " The ghost: no norm 40.0%, batch norm 25.0%."),
        ({0: lane(0.4, 0.4, alive=False)}, " The ghost: no norm diverged."),
        ({0: lane(0.4, 0.1, alive=[True, False])}, " The ghost: no norm 40.0%."),
        ({0: lane(0.5, 0.6), 1: lane(0.3, 0.2)}, " The ghost: batch norm 25.0%."),  # not yet branched
        ({}, ""),
    ]:
        assert verdict([NONE, BATCH], lanes, ghosts=ghosts) == (bare.text + sentence, bare.leader)


# --- two networks that play against each other ----------------------------------------------------------

GANS = [
    RunConfig(norm=norm, network="gan", dataset="ring", replicas=2, record_every=1, validate_every=5, lr=0.2)
    for norm in ("none", "batch")
]


def test_a_gan_is_judged_by_its_samples():
    assert verdict(GANS, [lane(0.5, 0.6), lane(0.8, 0.91)], 43) == (
        "Step 43, samples near a Gaussian at step 40 (lowest–highest seed): no norm 55.0% (50.0–60.0), batch "
        "norm 85.5% (80.0–91.0). Batch norm is 30.5 points ahead of no norm, 95% interval +24.1 to +36.9 "
        "over 2 seeds.",
        1,
    )
    assert "two standard errors on 256 samples are 8.8." in said(GANS, [lane(0.5), lane(0.51)])


def test_nobody_guesses_in_a_gan():
    assert [words.guessing(config) for config in (*GANS, BATCH)] == [0, 0, 0.1]


def test_a_gan_is_judged_by_what_it_recorded():
    """Quality is where a classifier's validation accuracy is; the discriminator's gradient is looked at."""
    config = RunConfig(**{"network": "gan", "dataset": "ring", "depth": 2, "width": 8, "batch_size": 8})
    history = advance(start(config), 1).history
    near = 100 * float(history["val_accuracy"][0, 0])
    frames = {name: history[name] for name in words.ARRAYS_NEEDED}
    assert said([config], [frames], 0).startswith(f"Step 0, samples near a Gaussian: batch norm {near:.1f}%.")


@pytest.mark.parametrize("change", [{"label_noise": 0.5}, {"train_samples": 64}, {"inputs": "standardized"}])
def test_what_is_trained_on_does_not_change_what_is_validated_on(change):
    configs = [RunConfig(lr=0.5, batch_size=32, **more) for more in ({}, change)]
    lanes = [lane(0.11), lane(0.12)]
    one, other = (said([config] * 2, lanes, 60) for config in configs)
    assert one == other and "on 500 validation samples" in one


@pytest.mark.parametrize(("dataset", "classes"), [("digits", 10), ("spirals", 3), ("xor", 2)])
def test_guessing_depends_on_the_classes(dataset, classes):
    assert words.guessing(RunConfig(dataset=dataset)) == 1 / classes


# --- from what was recorded -----------------------------------------------------------------------------


NEEDED = [(1, 5, 0, [0]), (1, 5, 4, [0, 1, 2, 3, 4]), (1, 5, 32, range(13, 33)), (1, 50, 74, range(50, 75)),
          (10, 10, 39, [2, 3]), (10, 50, 94, [5, 6, 7, 8, 9]), (50, 50, 120, [2])]  # fmt: skip


@pytest.mark.parametrize(("every", "validate", "step", "expected"), NEEDED)
def test_frames_needed_begin_with_the_latest_validation_or_20_steps_ago(every, validate, step, expected):
    config = RunConfig(record_every=every, validate_every=validate)
    assert list(frames_needed(config, step)) == list(expected)


@pytest.mark.parametrize("step", [0, 3, 5, 14])
def test_accuracy_is_the_latest_that_the_run_recorded(step):
    config = RunConfig(
        dataset="blobs", depth=1, width=8, batch_size=8, replicas=3, record_every=1, validate_every=5
    )
    _, block = worker.extend(config, 15)
    needed = frames_needed(config, step)
    some = cut(block, needed)
    recorded = block["val_accuracy"][:, : step + 1]
    latest = [row[np.isfinite(row)][-1] for row in recorded]
    assert accuracy(some).tolist() == latest


@pytest.mark.parametrize("step", [5, 14, 34])
def test_more_frames_than_needed_change_nothing(step):
    """Those that the reasons need begin at step 0."""
    config = RunConfig(
        dataset="blobs", depth=1, width=8, batch_size=8, replicas=3, record_every=1, validate_every=5
    )
    _, block = worker.extend(config, 35)
    needed = frames_needed(config, step)
    one, other = (cut(block, frames) for frames in (needed, range(step + 1)))
    assert verdict([config], [one], step) == verdict([config], [other], step)
    first, second = (words.numbers(["batch norm"], [config], [frames], step) for frames in (one, other))
    np.testing.assert_equal(first, second)


def test_numbers_are_those_of_the_frames():
    config = RunConfig(
        dataset="blobs", depth=2, width=8, batch_size=8, replicas=3, record_every=1, validate_every=5
    )
    history = advance(start(config), 11).history
    frames = {name: history[name].copy() for name in words.ARRAYS_NEEDED}
    frames["train_loss"][0, 8:] = np.nan
    found = words.numbers(["batch norm"], [config], [frames], 10)
    left = history["gradient_norm"][1:, -1].astype(float).mean(axis=0)
    assert found["lost_0"] == 1 and found["leader"] == 0 and found["lead"] == 0
    assert found["train_loss_0"] == pytest.approx(history["train_loss"][1:].mean(dtype=float))
    assert found["train_loss_0"] == Lane(0, "batch norm", config, frames, 10).loss, "as in the reasons"
    assert found["val_loss_0"] == pytest.approx(history["val_loss"][1:, 10].mean(dtype=float))
    assert found["batch_accuracy_0"] == pytest.approx(
        100 * history["val_accuracy_batch"][1:, 10].mean(dtype=float)
    )
    assert (found["first_gradient_0"], found["last_gradient_0"]) == pytest.approx(tuple(left))
    assert found["shrink_0"] == pytest.approx(left[1] / left[0])
    assert found["saturation_0"] == pytest.approx(100 * history["saturation"][1:, -1].mean(dtype=float))
    assert found["dead_0"] == pytest.approx(100 * history["dead"][1:, -1].mean(dtype=float))
    assert found["gap_0"] == pytest.approx(history["statistics_gap"][1:, -1].astype(float).mean(axis=0).max())
    assert found["update_0"] == pytest.approx(history["update_ratio"][1:, -1].mean(dtype=float))
    assert found["spread_0"] == pytest.approx(history["activation_std"][1:, -1, -1].mean(dtype=float))
    frames["train_loss"][:] = np.nan
    gone = words.numbers(["batch norm"], [config], [frames], 10)
    assert gone["leader"] == LEVEL and gone["lost_0"] == 3
    assert all(np.isnan(v) for name, v in gone.items() if not re.match("lead|lost", name))
