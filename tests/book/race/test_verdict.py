"""The words under a race: what they say follows from the numbers."""

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from bnlib.data import load
from book.race import verdict as words
from book.race.settings import NAMES
from book.race.verdict import LEVEL, NOISE, accuracy, frames_needed
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


def verdict(configs, lanes, step=40, ghosts=None):
    return words.verdict([NAMES[config.norm] for config in configs], configs, lanes, step, ghosts)


def said(configs, lanes, step=40, ghosts=None):
    return verdict(configs, lanes, step, ghosts).text


# --- who is ahead ---------------------------------------------------------------------------------------


def test_a_clear_lead():
    assert verdict([NONE, BATCH], [lane(0.5, 0.6), lane(0.9, 0.8)]) == (
        "Step 40, validation accuracy (lowest–highest seed): no norm 55.0% (50.0–60.0), "
        "batch norm 85.0% (80.0–90.0). Batch norm is 30.0 points ahead of no norm; so is each of its seeds.",
        1,
    )


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


def test_lanes_whose_seeds_overlap_do_not_lead_clearly():
    text = said([NONE, BATCH], [lane(0.5, 0.85), lane(0.9, 0.8)])
    assert text.endswith("Batch norm is 17.5 points ahead of no norm, but their seeds overlap.")
    text = said([NONE, BATCH], [lane(0.5, 0.8), lane(0.9, 0.8)])
    assert "overlap" in text, "touching ranges overlap"


def test_the_lead_is_the_difference_of_the_printed_numbers():
    text = said([NONE, BATCH], [lane(0.80344, 0.80344), lane(0.95356, 0.95356)])
    assert "80.3%" in text and "95.4%" in text and "15.1 points" in text


def test_equal_lanes_are_level():
    text, leader = verdict([NONE, BATCH], [lane(0.5, 0.6)] * 2)
    assert text.endswith("No norm and batch norm are level.") and leader == LEVEL == -1


@pytest.mark.parametrize(
    ("none", "batch", "leader"),
    [
        (0.85, 0.90, 1),
        (0.90, 0.85, 0),
        (0.886, 0.90, LEVEL),
        (0.90, 0.886, LEVEL),
        (0.626, 0.641, 1),  # in binary 64.1 − 62.6 is a little less than 1.5
        (0.955, 0.970, 1),
        (0.8852, 0.90, 1),  # 1.48, and printed 88.5 and 90.0
        (0.8856, 0.90, LEVEL),
    ],
)
def test_within_the_noise_nobody_leads(none, batch, leader):
    """Of n samples with an error rate p the standard error is √(p(1−p)/n): .6 points at 2% of 500."""
    assert abs(NOISE - 200 * np.sqrt(0.02 * 0.98 / 500)) < 0.3
    text, found = verdict([NONE, BATCH], [lane(none, none), lane(batch, batch)])
    assert found == leader
    assert text.endswith("points ahead of no norm; so is each of its seeds.") == (leader == 1)
    assert text.endswith(": on 500 validation samples that is no evidence.") == (leader == LEVEL)


@pytest.mark.parametrize("dataset", ["digits", "spirals"])
def test_evidence_counts_the_samples_that_there_are(dataset):
    config = RunConfig(dataset=dataset, lr=0.05)
    samples = len(load(dataset).y_val)
    assert f"on {samples} validation samples that is no evidence" in said(
        [config] * 2, [lane(0.9), lane(0.89)]
    )


def test_the_leader_is_the_best_lane_whoever_is_compared():
    lanes = [lane(0.9, 0.9), lane(0.5, 0.5), lane(0.3, 0.3)]
    text, leader = verdict([LAYER, GROUP, BATCH], lanes)
    assert leader == 0 and "Layer norm is 40.0 points ahead of group norm" in text
    text, leader = verdict([LAYER, GROUP, BATCH], [lane(0.9, 0.9), lane(0.9, 0.9), lane(0.3, 0.3)])
    assert leader == LEVEL and "are level. Batch norm is 60.0 points behind." in text


def test_one_seed_is_an_anecdote():
    text, leader = verdict([NONE, BATCH], [lane(0.5), lane(0.9)])
    assert "(" not in text and text.endswith("40.0 points ahead of no norm, with one seed: an anecdote.")
    assert leader == 1


def test_batch_norm_is_compared_with_the_best_even_when_it_is_last():
    text = said([GROUP, LAYER, BATCH], [lane(0.6, 0.7), lane(0.7, 0.8), lane(0.2, 0.25)])
    first, last = text.split(". ")[-2:]
    assert first.endswith("Layer norm is 10.0 points ahead of group norm, but their seeds overlap")
    assert last == "Batch norm is 52.5 points behind."


def test_a_half_is_rounded_as_the_page_rounds_it():
    assert "6.3% (6.3–6.3)" in said([NONE], [lane(0.0625, 0.0625)])
    assert "31.3%" in said([NONE], [lane(0.3125)])


def test_the_gradient_shrinks_as_its_picture_shows_the_means_of_all_seeds():
    """One seed whose gradient has all but vanished in the first layer doesn't speak for the others."""
    text = said([NONE], [lane(0.5, 0.5, gradient=[[[1e-9, 1.0]], [[0.01, 1.0]]])])
    assert "the gradient shrinks 200-fold with no norm: see Gradient flow." in text


def test_without_batch_norm_the_best_two_are_compared():
    text = said([NONE, LAYER, GROUP], [lane(0.1, 0.2), lane(0.7, 0.8), lane(0.9, 0.95)])
    assert "Group norm is 17.5 points ahead of layer norm" in text and "no norm 15.0%" in text


def test_one_lane_alone_is_compared_with_nobody():
    text, leader = verdict([BATCH], [lane(0.9, 0.8)])
    assert text == (
        "Step 40, validation accuracy (lowest–highest seed): batch norm 85.0% (80.0–90.0)."
    ) and leader == 0  # fmt: skip
    assert verdict([BATCH], [lane(0.9, 0.8, alive=False)])[1] == LEVEL


def test_lost_seeds_are_counted_and_left_out():
    text, leader = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=[False, True]), lane(0.9, 0.8)])
    assert "no norm 60.0% in the 1 of 2 seeds that have not diverged" in text and "25.0 points" in text
    assert leader == 1
    text, leader = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=False), lane(0.9, 0.8)])
    assert "no norm diverged," in text and text.endswith("Only batch norm has not diverged.")
    assert leader == 1
    text, leader = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=False)] * 2)
    assert text.endswith("Nothing learns at these settings.") and leader == LEVEL


def test_a_lead_over_lost_seeds_is_no_clear_one():
    text = said([NONE, BATCH], [lane(0.1, 0.2, alive=[False, True]), lane(0.9, 0.8)])
    assert text.endswith("Batch norm is 65.0 points ahead of no norm, but seeds that diverged are left out.")


def test_a_gradient_that_fades_toward_the_input_is_told_beside_one_that_does_not():
    fading, steady = lane(0.1, 0.1, gradient=(0.002, 0.5, 1.0)), lane(0.9, 0.9, gradient=(2.0, 1.0, 1.0))
    assert said([NONE, BATCH], [fading, steady]).endswith(
        " From the last layer to the first the gradient shrinks 500-fold with no norm, grows 2-fold with "
        "batch norm: see Gradient flow."
    )
    weaker = lane(0.9, 0.9, gradient=(0.25, 1.0))
    assert "500-fold with no norm, shrinks 4-fold with batch norm" in said([NONE, BATCH], [fading, weaker])
    assert "Gradient flow" not in said([NONE, BATCH], [weaker, steady])
    gone = lane(0.1, 0.1, gradient=(1e-12, 1.0))
    assert "shrinks over a million-fold with no norm, grows 2-fold" in said([NONE, BATCH], [gone, steady])
    dead = lane(0.1, 0.1, gradient=(0.0, 0.0))
    assert "Gradient flow" not in said([NONE, BATCH], [dead, steady])
    mixed = lane(0.1, 0.1, gradient=np.array([[[0.01, 1.0]], [[np.nan, np.nan]]]))
    assert said([NONE], [mixed]).endswith("the gradient shrinks 100-fold with no norm: see Gradient flow.")


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


# --- what the settings decide ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("norm", "changes", "step", "sentence"),
    [
        ("batch", {"batch_size": 1}, 0, "A batch of one is its own mean"),
        ("batch", {"batch_size": 2}, 0, "every normalized value is close to ±1"),
        ("batch", {"batch_size": 3}, 0, ""),
        ("none", {"batch_size": 1}, 0, ""),
        ("layer", {"batch_size": 2}, 0, ""),
        ("none", {"lr": 0.1}, 50, "a smaller learning rate may help"),
        ("none", {"lr": 0.1}, 49, ""),
        ("none", {"lr": 0.01}, 50, ""),
        # What counts is what is in force at the step: edits begin at theirs.
        ("batch", {"edits": ((20, "batch_size", 1),)}, 20, "A batch of one is its own mean"),
        ("batch", {"edits": ((20, "batch_size", 2),)}, 21, "every normalized value is close to ±1"),
        ("batch", {"edits": ((20, "batch_size", 1),)}, 19, ""),
        ("batch", {"batch_size": 2, "edits": ((20, "batch_size", 32),)}, 20, ""),
        ("none", {"edits": ((60, "lr", 0.5),)}, 60, "a smaller learning rate may help"),
        ("none", {"edits": ((60, "lr", 0.5),)}, 59, ""),
        ("none", {"lr": 0.5, "edits": ((60, "lr", 0.01),)}, 60, ""),
        # Who shares a mean are the samples of a norm batch, where there are such.
        ("batch", {"batch_size": 64, "norm_batch": 2}, 0, "In a norm batch of two every normalized"),
        ("batch", {"batch_size": 64, "norm_batch": 1}, 0, "A norm batch of one is its own mean"),
        ("batch", {"batch_size": 2, "norm_batch": 1}, 0, "A norm batch of one is its own mean"),
        ("batch", {"batch_size": 64, "norm_batch": 4}, 0, ""),
        # A learning rate that has come down doesn't want to be smaller.
        ("none", {"lr": 0.5, "cosine_steps": 80}, 79, "a smaller learning rate may help"),
        ("none", {"lr": 0.5, "cosine_steps": 80}, 80, ""),
        ("none", {"lr": 0.5, "cosine_steps": 80}, 81, "come down its cosine to 0 in all lanes"),
    ],
)
def test_what_the_settings_decide_is_said(norm, changes, step, sentence):
    config = RunConfig(norm=norm, replicas=2, **({"lr": 0.01} | changes))
    text = said([config], [lane(0.1, 0.1)], step)
    assert sentence in text if sentence else text.endswith("10.0% (10.0–10.0).")


@pytest.mark.parametrize(
    ("norm", "changes", "sentence"),
    [
        ("instance", {}, "Without an image, instance norm takes the mean of a single number: it gives β"),
        ("instance", {"network": "rnn"}, "Without an image, instance norm takes the mean"),
        ("instance", {"network": "gan", "dataset": "ring"}, "Without an image, instance norm takes the mean"),
        ("instance", {"network": "cnn"}, ""),
        ("frn", {}, "Without an image, filter response norm divides each number by its own size"),
        ("frn", {"network": "rnn"}, "little more than the sign is left."),
        ("frn", {"network": "cnn"}, ""),
        ("layer", {}, ""),
        # Where an image has many positions, two samples of it are many numbers.
        ("batch", {"batch_size": 1, "network": "cnn"}, ""),
        ("batch", {"batch_size": 2, "network": "cnn"}, ""),
        ("batch", {"batch_size": 2, "network": "rnn"}, "every normalized value is close to ±1"),
        ("batch", {"batch_size": 1, "network": "gan", "dataset": "ring"}, "A batch of one is its own mean"),
        ("ghost", {"batch_size": 64, "norm_batch": 2}, "In a norm batch of two every normalized"),
        ("ghost", {"batch_size": 64, "norm_batch": 1}, "A norm batch of one is its own mean"),
        ("ghost", {"batch_size": 64, "norm_batch": 8}, ""),
        ("renorm", {"batch_size": 2}, ""),
        ("running", {"batch_size": 1}, ""),
    ],
)
def test_what_a_norm_does_without_an_image_or_a_batch_is_said(norm, changes, sentence):
    config = RunConfig(norm=norm, replicas=2, **({"lr": 0.01} | changes))
    text = said([config], [lane(0.5, 0.5)], 0)
    assert sentence in text if sentence else text.endswith("50.0% (50.0–50.0).")


def test_each_hint_is_given_once():
    lonely = [RunConfig(norm=norm, lr=0.01) for norm in ("instance", "frn", "instance")]
    text = said(lonely, [lane(0.5)] * 3, 0)
    assert (
        text.count("Without an image, instance norm takes")
        == text.count("Without an image, filter response norm")
        == 1
    )
    beside = [RunConfig(norm="instance", lr=0.01, network=network) for network in ("cnn", "mlp")]
    assert "Without an image, instance norm takes" in said(beside, [lane(0.5)] * 2, 0)


# --- two networks that play against each other ----------------------------------------------------------

GANS = [
    RunConfig(norm=norm, network="gan", dataset="ring", replicas=2, record_every=1, validate_every=5, lr=0.2)
    for norm in ("none", "batch")
]


def test_a_gan_is_judged_by_its_samples():
    assert verdict(GANS, [lane(0.5, 0.6), lane(0.9, 0.8)], 43) == (
        "Step 43, samples near a Gaussian at step 40 (lowest–highest seed): no norm 55.0% (50.0–60.0), batch "
        "norm 85.0% (80.0–90.0). Batch norm is 30.0 points ahead of no norm; so is each of its seeds.",
        1,
    )
    assert "1.0 points ahead of no norm: on 256 samples that is no evidence." in said(
        GANS, [lane(0.5, 0.6), lane(0.51, 0.61)]
    )


def test_nobody_guesses_in_a_gan():
    assert [words.guessing(config) for config in (*GANS, BATCH)] == [0, 0, 0.1]
    few = said(GANS, [lane(0.05, 0.09), lane(0.02, 0.03)], 60)
    assert few.endswith("Hardly a sample is near a Gaussian: more steps or a smaller learning rate may help.")
    assert "guessing" not in few
    for lanes, step in (([lane(0.05, 0.09), lane(0.12, 0.13)], 60), ([lane(0.05, 0.09)] * 2, 49)):
        assert "Hardly a sample" not in said(GANS, lanes, step)


def test_a_gan_is_judged_by_what_it_recorded():
    """Quality is where a classifier's validation accuracy is; the discriminator's gradient is looked at."""
    config = RunConfig(**{"network": "gan", "dataset": "ring", "depth": 2, "width": 8, "batch_size": 8})
    history = advance(start(config), 1).history
    near = 100 * float(history["val_accuracy"][0, 0])
    frames = {name: history[name] for name in words.ARRAYS_NEEDED}
    assert said([config], [frames], 0).startswith(f"Step 0, samples near a Gaussian: batch norm {near:.1f}%.")


def test_layer_and_group_norm_are_recommended_where_there_is_none():
    two = RunConfig(batch_size=2, replicas=2, lr=0.01)
    advice = "try one as a lane"
    assert advice in said([two, NONE], [lane(0.5), lane(0.5)])
    assert "close to ±1" in said([two, GROUP], [lane(0.5), lane(0.5)])
    assert advice not in said([two, GROUP], [lane(0.5), lane(0.5)])


def test_lanes_that_have_come_to_rest_are_named():
    configs = [RunConfig(cosine_steps=steps, replicas=2) for steps in (100, 0, 120, 200)]
    lanes = [lane(0.5, 0.6)] * 4
    assert "to 0 in lanes 1 and 3: the weights rest" in said(configs, lanes, 150)
    assert "to 0 in lane 1: the weights rest" in said(configs, lanes, 101)
    assert "weights rest" not in said(configs, lanes, 100)


@pytest.mark.parametrize("change", [{"label_noise": 0.5}, {"train_samples": 64}, {"inputs": "standardized"}])
def test_what_is_trained_on_does_not_change_what_is_validated_on(change):
    configs = [RunConfig(lr=0.5, batch_size=32, **more) for more in ({}, change)]
    lanes = [lane(0.11), lane(0.12)]
    one, other = (said([config] * 2, lanes, 60) for config in configs)
    assert one == other and "on 500 validation samples" in one and "Nobody is far from guessing" in one


@pytest.mark.parametrize(("dataset", "classes"), [("digits", 10), ("spirals", 3), ("xor", 2)])
def test_how_far_from_guessing_depends_on_the_classes(dataset, classes):
    config = RunConfig(dataset=dataset, lr=0.5)
    near, far = 1 / classes + 0.09, 1 / classes + 0.11
    hint = "Nobody is far from guessing"
    assert hint in said([config] * 2, [lane(near), lane(near)], 50)
    assert hint not in said([config] * 2, [lane(near), lane(far)], 50)
    assert hint not in said([config] * 2, [lane(near, alive=False)] * 2, 50)


# --- from what was recorded -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "validate", "step", "expected"),
    [(1, 5, 0, [0]), (1, 5, 4, [0, 1, 2, 3, 4]), (1, 5, 5, [5]), (1, 5, 12, [10, 11, 12]), (10, 10, 39, [3])],
)
def test_the_frames_needed_begin_with_the_latest_validation(every, validate, step, expected):
    config = RunConfig(record_every=every, validate_every=validate)
    assert list(frames_needed(config, step)) == expected


@pytest.mark.parametrize("step", [0, 3, 5, 14])
def test_accuracy_is_the_latest_that_the_run_recorded(step):
    config = RunConfig(
        dataset="blobs", depth=1, width=8, batch_size=8, replicas=3, record_every=1, validate_every=5
    )
    _, block = worker.extend(config, 15)
    needed = frames_needed(config, step)
    some = {name: block[name][:, needed.start : needed.stop] for name in words.ARRAYS_NEEDED}
    recorded = block["val_accuracy"][:, : step + 1]
    latest = [row[np.isfinite(row)][-1] for row in recorded]
    assert accuracy(some).tolist() == latest
