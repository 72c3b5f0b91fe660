"""The words under a race: what they say follows from the numbers."""

import numpy as np
import pytest

from bnlib import RunConfig
from live import worker
from live.verdict import accuracy, frames_needed, verdict

BATCH = RunConfig(norm="batch", record_every=1, validate_every=5, replicas=2)
NONE, LAYER = RunConfig(norm="none", replicas=2), RunConfig(norm="layer", replicas=2)


def lane(*final, alive=True):
    """A lane's frames: validated in the first, the loss of the last one finite or not."""
    shape = len(final), 3
    frames = {"val_accuracy": np.full(shape, np.nan), "train_loss": np.ones(shape), "step": np.arange(3)}
    frames["val_accuracy"][:, 0] = final
    frames["train_loss"][~np.broadcast_to(alive, len(final)), -1] = np.nan
    return frames


def test_a_clear_lead():
    text = verdict([NONE, BATCH], [lane(0.5, 0.6), lane(0.9, 0.8)], 42)
    assert text == (
        "Validation accuracy at step 42: no norm 55.0% [50.0% to 60.0%]; "
        "batch norm 85.0% [80.0% to 90.0%]. "
        "Batch norm leads no norm by 30.0 points, and no seed contradicts it."
    )


def test_lanes_whose_seeds_overlap_do_not_lead():
    text = verdict([NONE, BATCH], [lane(0.5, 0.85), lane(0.9, 0.8)], 42)
    assert text.endswith("Batch norm and no norm differ by 17.5 points, less than their seeds differ.")
    text = verdict([NONE, BATCH], [lane(0.5, 0.8), lane(0.9, 0.8)], 42)
    assert "less than their seeds differ" in text, "touching ranges overlap"


def test_one_seed_is_an_anecdote():
    text = verdict([NONE, BATCH], [lane(0.5), lane(0.9)], 42)
    assert "[" not in text and text.endswith("by 40.0 points, with one seed: an anecdote.")


def test_the_best_two_are_compared():
    text = verdict([NONE, LAYER, BATCH], [lane(0.1, 0.2), lane(0.7, 0.8), lane(0.9, 0.95)], 42)
    assert "Batch norm leads layer norm by 17.5 points" in text and "no norm 15.0%" in text


def test_lost_seeds_are_counted_and_left_out():
    text = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=[False, True]), lane(0.9, 0.8)], 42)
    assert "no norm 60.0%, 1 of 2 seeds diverged;" in text and "leads no norm by 25.0 points" in text
    text = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=False), lane(0.9, 0.8)], 42)
    assert "no norm has diverged;" in text and text.endswith("Only batch norm still learns.")
    text = verdict([NONE, BATCH], [lane(0.5, 0.6, alive=False)] * 2, 42)
    assert text.endswith("Nothing learns at these settings.")


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
