"""The words under a race: what they say follows from the numbers."""

import numpy as np
import pytest

from bnlib import RunConfig
from live import worker
from live.verdict import accuracy, frames_needed, verdict

BATCH = RunConfig(norm="batch", record_every=1, validate_every=5, replicas=2, lr=0.05)
NONE, LAYER, GROUP = (RunConfig(norm=norm, replicas=2, lr=0.05) for norm in ("none", "layer", "group"))


def lane(*final, alive=True):
    """A lane's frames: validated in the first, the loss of the last one finite or not."""
    shape = len(final), 3
    frames = {"val_accuracy": np.full(shape, np.nan), "train_loss": np.ones(shape), "step": np.arange(3)}
    frames["val_accuracy"][:, 0] = final
    frames["train_loss"][~np.broadcast_to(alive, len(final)), -1] = np.nan
    return frames


def test_a_clear_lead():
    assert verdict([NONE, BATCH], [lane(0.5, 0.6), lane(0.9, 0.8)], 42) == (
        "Step 42, validation accuracy (lowest–highest seed): no norm 55.0% (50.0–60.0), "
        "batch norm 85.0% (80.0–90.0). Batch norm is 30.0 points ahead of no norm; so is each of its seeds."
    )


def test_lanes_whose_seeds_overlap_do_not_lead_clearly():
    text = verdict([NONE, BATCH], [lane(0.5, 0.85), lane(0.9, 0.8)], 42)
    assert text.endswith("Batch norm is 17.5 points ahead of no norm, but their seeds overlap.")
    text = verdict([NONE, BATCH], [lane(0.5, 0.8), lane(0.9, 0.8)], 42)
    assert "overlap" in text, "touching ranges overlap"


def test_the_lead_is_the_difference_of_the_printed_numbers():
    text = verdict([NONE, BATCH], [lane(0.80344, 0.80344), lane(0.95356, 0.95356)], 1)
    assert "80.3%" in text and "95.4%" in text and "15.1 points" in text


def test_equal_lanes_are_level():
    assert verdict([NONE, BATCH], [lane(0.5, 0.6)] * 2, 0).endswith("No norm and batch norm are level.")


def test_one_seed_is_an_anecdote():
    text = verdict([NONE, BATCH], [lane(0.5), lane(0.9)], 42)
    assert "(" not in text and text.endswith("40.0 points ahead of no norm, with one seed: an anecdote.")


def test_batch_norm_is_compared_with_the_best_even_when_it_is_last():
    text = verdict([GROUP, LAYER, BATCH], [lane(0.6, 0.7), lane(0.7, 0.8), lane(0.2, 0.25)], 42)
    assert text.endswith("Layer norm is 52.5 points ahead of batch norm; so is each of its seeds.")


def test_without_batch_norm_the_best_two_are_compared():
    text = verdict([NONE, LAYER, GROUP], [lane(0.1, 0.2), lane(0.7, 0.8), lane(0.9, 0.95)], 42)
    assert "Group norm is 17.5 points ahead of layer norm" in text and "no norm 15.0%" in text


def test_lost_seeds_are_counted_and_left_out():
    text = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=[False, True]), lane(0.9, 0.8)], 42)
    assert "no norm 60.0% in the 1 of 2 seeds that have not diverged" in text and "25.0 points" in text
    text = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=False), lane(0.9, 0.8)], 42)
    assert "no norm diverged," in text and text.endswith("Only batch norm has not diverged.")
    text = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=False)] * 2, 42)
    assert text.endswith("Nothing learns at these settings.")


@pytest.mark.parametrize(
    ("norm", "changes", "step", "words"),
    [
        ("batch", {"batch_size": 1}, 0, "A batch of one is its own mean"),
        ("batch", {"batch_size": 2}, 0, "every x̂ is close to ±1"),
        ("none", {"batch_size": 1}, 0, ""),
        ("none", {"lr": 0.1}, 50, "a smaller learning rate may help"),
        ("none", {"lr": 0.1}, 49, ""),
        ("none", {"lr": 0.01}, 50, ""),
    ],
)
def test_what_the_settings_decide_is_said(norm, changes, step, words):
    config = RunConfig(norm=norm, replicas=2, **({"lr": 0.01} | changes))
    text = verdict([config], [lane(0.1, 0.1)], step)
    assert text.endswith("has not diverged.") if not words else words in text


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
    some = {
        k: v[needed.start : needed.stop] if k == "step" else v[:, needed.start : needed.stop]
        for k, v in block.items()
    }
    recorded = block["val_accuracy"][:, : step + 1]
    latest = [row[np.isfinite(row)][-1] for row in recorded]
    assert accuracy(some).tolist() == latest
