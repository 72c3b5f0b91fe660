"""The store of recordings: bounded in bytes, and losing nothing that cannot be computed again."""

from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from live import recordings as store
from live.recordings import Recording, Recordings

SMALL = RunConfig(
    dataset="blobs", depth=2, width=8, batch_size=8, replicas=2, record_every=1, validate_every=5
)


def computed(run, steps):
    """What a caller's worker does: the run later, and what it recorded on the way."""
    later = advance(replace(run, frames=()), steps)
    block = later.history
    del block["histogram_edges"]
    return later, block


def extend(kept, config, steps):
    run, block = computed(kept.open(config).run or start(config), steps)
    kept.extend(config, run, block)


def joined(recording, first=0, stop=10**9):
    blocks = recording.between(first, stop)
    return {k: np.concatenate([b[k] for b in blocks], axis=0 if k == "step" else 1) for k in blocks[0]}


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].tobytes() == theirs[name].tobytes(), name


def sizes(kept):
    return sum(recording.nbytes for recording in kept._kept.values())


def test_a_recording_is_what_the_run_records_however_it_was_cut():
    kept = Recordings()
    for steps in (1, 7, 20, 2):
        extend(kept, SMALL, steps)
    recording = kept.open(SMALL)
    assert (recording.first, recording.stop, recording.step) == (0, 30, 30)
    same(joined(recording), computed(start(SMALL), 30)[1])


@pytest.mark.parametrize("every", [1, 4, 10])
def test_between_gives_exactly_the_frames_asked_for(every):
    config, kept = replace(SMALL, record_every=every), Recordings()
    for steps in (3, 6, 1, 30, 2):
        extend(kept, config, steps)
    recording = kept.open(config)
    assert recording.stop == -(-42 // every)
    for first in range(recording.stop + 2):
        for stop in range(recording.stop + 2):
            steps = [step for block in recording.between(first, stop) for step in block["step"]]
            assert steps == [every * n for n in range(first, min(stop, recording.stop))]
            assert all(len(block["step"]) for block in recording.between(first, stop))


def test_of_a_recording_that_holds_nothing_nothing_is_kept():
    kept = Recordings()
    assert kept.open(SMALL).run is None
    assert len(kept) == 0 and kept.nbytes == 0 and SMALL not in kept


def test_bytes_are_bounded_and_the_oldest_go_first():
    configs = [replace(SMALL, seed=seed) for seed in range(12)]
    whole = Recordings()
    extend(whole, configs[0], 40)
    kept = Recordings(max_bytes=4 * whole.nbytes)
    for config in configs:
        for _ in range(2):
            extend(kept, config, 20)
            assert kept.nbytes == sizes(kept) <= kept.max_bytes
    assert [config in kept for config in configs] == sorted(config in kept for config in configs)
    assert configs[0] not in kept and configs[-1] in kept


def test_what_is_used_stays():
    configs = [replace(SMALL, seed=seed) for seed in range(12)]
    whole = Recordings()
    extend(whole, configs[0], 40)
    kept = Recordings(max_bytes=4 * whole.nbytes)
    for config in configs:
        extend(kept, config, 40)
        kept.open(configs[0])
    assert kept.open(configs[0]).stop == 40 and kept.open(configs[0]).first == 0
    assert configs[1] not in kept


def test_small_recordings_count_too():
    """Python's own bytes count, or a million tiny recordings would fit into any bound."""
    kept = Recordings(max_bytes=50_000)
    for seed in range(200):
        config = RunConfig(dataset="blobs", depth=1, width=1, record_every=100, seed=seed)
        extend(kept, config, 1)
    assert len(kept) <= 50_000 // store.RECORDING_OVERHEAD


def test_the_recording_in_hand_is_kept_even_beyond_the_bound():
    kept = Recordings(max_bytes=1)
    extend(kept, replace(SMALL, seed=1), 5)
    extend(kept, SMALL, 5)
    extend(kept, SMALL, 5)
    assert len(kept) == 1 and kept.open(SMALL).stop == 10


def test_eviction_loses_nothing():
    kept = Recordings(max_bytes=1)
    extend(kept, SMALL, 30)
    before = joined(kept.open(SMALL))
    extend(kept, replace(SMALL, seed=1), 5)
    assert SMALL not in kept
    extend(kept, SMALL, 12)
    extend(kept, SMALL, 18)
    same(joined(kept.open(SMALL)), before)


def test_a_stripped_recording_goes_on_for_those_who_have_seen_it():
    """And begins anew for those who have not."""
    extend(whole := Recordings(), SMALL, 30)
    kept = Recordings()
    extend(kept, SMALL, 20)
    kept.open(SMALL).strip()
    assert kept.open(SMALL, frame=20).first == 20
    run, block = computed(kept.open(SMALL, frame=20).run, 10)
    kept.extend(SMALL, run, block)
    assert kept.open(SMALL, frame=20).step == 30
    same(joined(kept.open(SMALL, frame=20)), joined(whole.open(SMALL), 20))
    assert kept.open(SMALL, frame=19).run is None
    assert len(kept) == 0 and kept.nbytes == 0


def test_a_chunk_that_outlived_its_recording():
    """Evicted meanwhile: the recording goes on from there. Begun anew meanwhile: the chunk is left out."""
    run, _ = computed(start(SMALL), 20)
    later, block = computed(run, 10)
    kept = Recordings()
    kept.extend(SMALL, later, block)
    assert kept.open(SMALL, frame=20).first == 20
    same(joined(kept.open(SMALL, frame=20), 20), block)

    again = Recordings()
    extend(again, SMALL, 5)
    again.extend(SMALL, later, block)
    assert again.open(SMALL).step == 5
    extend(again, SMALL, 25)
    again.extend(SMALL, later, block)
    same(joined(again.open(SMALL)), computed(start(SMALL), 30)[1])


def test_extend_refuses_what_does_not_belong_together():
    kept = Recordings()
    run, block = computed(start(SMALL), 10)
    with pytest.raises(ValueError, match="the run is one of"):
        kept.extend(replace(SMALL, seed=1), run, block)
    with pytest.raises(ValueError, match="ends at step 4, the run at 10"):
        kept.extend(SMALL, run, computed(start(SMALL), 5)[1])
    assert len(kept) == 0


def test_a_store_without_room_is_refused():
    with pytest.raises(ValueError, match="max_bytes=0"):
        Recordings(max_bytes=0)


EDITED = SMALL.branch(130, lr=0.5)


def test_a_branch_shares_what_came_before():
    kept = Recordings()
    for _ in range(4):
        extend(kept, SMALL, 50)
    branch = kept.open(EDITED)
    assert (branch.first, branch.step) == (0, 100)  # the latest checkpoint that is not past the edit
    same(joined(branch), joined(kept.open(SMALL), 0, 100))
    assert np.shares_memory(branch.blocks[0]["train_loss"], kept.open(SMALL).blocks[0]["train_loss"])


@pytest.mark.parametrize("edit", [0, 60, 100, 130, 200])
def test_a_branch_equals_computing_it_from_scratch(edit):
    config = SMALL.branch(edit, lr=0.5, momentum=0.5)
    kept = Recordings()
    for _ in range(4):
        extend(kept, SMALL, 50)
    extend(kept, config, 220 - kept.open(config).step)
    run, block = computed(start(config), 220)
    same(joined(kept.open(config)), block)
    assert kept.open(config).run.flat.tobytes() == run.flat.tobytes()


def test_the_past_of_a_run_is_the_latest_that_is_kept():
    kept, often = Recordings(), replace(SMALL, record_every=5)
    assert kept.past(SMALL, 70) is None
    for config, steps in ((SMALL, 130), (often, 60), (EDITED, 50)):
        while kept.open(config).step < steps:
            extend(kept, config, 10)
    before = list(kept._kept)
    later = EDITED.branch(190, lr=0.1)
    for config, step, there in (
        (SMALL, 130, 130), (SMALL, 129, 100), (SMALL, 99, 60), (SMALL, 59, None), (often, 129, 100),
        (EDITED, 115, 100), (later, 115, 100), (later, 99, 60),
    ):  # fmt: skip
        found = kept.past(config, step)
        assert (found and found.step) == there, (config, step)
        if found:
            assert found.config == config
            assert found.flat.tobytes() == advance(start(config), there).flat.tobytes()
    assert list(kept._kept) == before, "looking is no use of a recording"
    kept.open(SMALL).strip()
    assert kept.past(SMALL, 130).step == 130


def test_a_branch_of_a_recording_that_is_not_there_starts_from_scratch():
    kept = Recordings()
    assert kept.open(EDITED).run is None
    extend(kept, SMALL, 120)
    assert kept.open(EDITED.branch(130, lr=0.4)).step == 120
    kept.open(SMALL).strip()
    assert kept.open(EDITED).run is None, "the frames before the edit are missing"


def tenth(block, config):
    """What `Recordings` is given to thin with; what is validated is left as it is."""
    kept = block["step"] % config.record_every == 0
    return {name: a[kept] if name == "step" else a[:, kept] for name, a in block.items()}


TENTH = replace(SMALL, record_every=10, validate_every=10)


def test_a_recording_serves_where_less_is_recorded():
    kept = Recordings(thin=tenth)
    for steps in (7, 30, 4):
        extend(kept, SMALL, steps)
    thin = kept.open(TENTH)
    assert (thin.first, thin.stop, thin.step) == (0, 5, 41) and thin.run.config == TENTH
    same(joined(thin), tenth(joined(kept.open(SMALL)), TENTH))
    extend(kept, TENTH, 9)
    assert kept.open(TENTH).step == 50 and kept.open(SMALL).step == 41
    extend(kept, SMALL, 40)
    assert kept.open(TENTH).step == 81, "whichever has come further"
    run, block = computed(start(TENTH), 81)
    same(joined(kept.open(TENTH)), block)
    assert kept.open(TENTH).run.flat.tobytes() == run.flat.tobytes()
    assert kept.nbytes == sizes(kept)


@pytest.mark.parametrize("other", [{"validate_every": 12}, {"seed": 1}, {"lr": 0.2}], ids=str)
def test_a_recording_serves_no_other(other):
    kept = Recordings(thin=tenth)
    extend(kept, SMALL, 41)
    assert kept.open(TENTH).step == 41 and kept.open(replace(TENTH, **other)).run is None
    extend(unable := Recordings(), SMALL, 41)
    assert unable.open(TENTH).run is None, "it was not told how to thin"


def test_what_has_lost_its_beginning_serves_nobody():
    kept = Recordings(thin=tenth)
    extend(kept, SMALL, 41)
    kept.open(SMALL).strip()
    assert kept.open(TENTH).run is None


def test_a_run_at_a_fork_is_kept_for_all_that_branches_off_there():
    kept = Recordings(thin=tenth)
    for _ in range(4):
        extend(kept, SMALL, 50)
    run, _ = computed(start(SMALL), 130)
    kept.fork(run)
    assert kept.open(EDITED).step == 130 and kept.open(SMALL.branch(131, lr=0.5)).step == 130
    assert kept.open(SMALL.branch(129, lr=0.5)).step == 100
    assert kept.open(replace(TENTH, edits=EDITED.edits)).step == 130
    assert kept.nbytes == sizes(kept)
    for step in (140, 150, 160, 170):
        kept.fork(computed(start(SMALL), step)[0])
    forks = [fork.step for fork in kept.open(SMALL).forks]
    assert forks == [140, 150, 160, 170][-store.FORKS :] and kept.nbytes == sizes(kept)


def test_a_run_that_nothing_kept_leads_to_is_dropped():
    kept = Recordings()
    extend(kept, SMALL, 50)
    kept.fork(computed(start(SMALL), 130)[0])
    kept.fork(computed(start(replace(SMALL, seed=1)), 20)[0])
    assert kept.open(SMALL).forks == []


def test_the_first_frame_that_is_kept_is_known():
    kept = Recordings()
    assert kept.first(SMALL) == 0
    extend(kept, SMALL, 20)
    assert kept.first(SMALL) == 0
    kept.open(SMALL).strip()
    assert kept.first(SMALL) == 20


def test_checkpoints_are_thinned_to_their_budget(monkeypatch):
    run = start(SMALL)
    monkeypatch.setattr(store, "CHECKPOINT_BYTES", 3 * store._run_bytes(run))
    recording = Recording(SMALL)
    for _ in range(24):
        recording.append(*computed(recording.run or run, 50))
        assert len(recording.checkpoints) <= 3
    steps = [kept.step for kept in recording.checkpoints]
    assert len(steps) >= 2 and steps == sorted(set(steps)) and steps[0] <= 600
    assert recording.before(steps[1])[0].step == steps[1]

    monkeypatch.setattr(store, "CHECKPOINT_BYTES", 1)
    recording = Recording(SMALL)
    for _ in range(5):
        recording.append(*computed(recording.run or run, 50))
    assert recording.checkpoints == [] and recording.before(100) == (None, [])
