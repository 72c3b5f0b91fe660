"""The front desk: one computation however many watch, and nothing computed that nobody waits for."""

import asyncio
import contextlib
import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig
from bnlib.training.recordings import VALIDATED
from book.race import lanes
from book.race import settings as lab
from book.race.frames import BANDS, CURVE_COLUMNS, CURVES
from live import messages, process, worker
from live.desk import (
    LARGEST_CHUNK,
    ROUND_SECONDS,
    SHORTEST_TURN,
    TURN_SECONDS,
    ComputationError,
    Viewer,
)
from live.scheduler import joined
from tests.scheduler import ThreadDesk, in_a_loop, process_desk, until

SMALL = RunConfig(
    dataset="blobs", depth=2, width=8, batch_size=8, replicas=2, record_every=1, validate_every=5
)
OTHER = replace(SMALL, seed=7)
PATIENCE = 60


def with_desk(scenario, desk=None):
    return in_a_loop(lambda: desk or ThreadDesk(), scenario)


async def watch(desk, config, viewer):
    """Its blocks, those that come together as one."""
    async with contextlib.aclosing(desk.watch(config, viewer)) as coming:
        async for blocks in coming:
            yield joined(blocks)


async def watched(desk, config, step, viewer=None):
    """Everything up to ``step`` as one block, by way of a viewer of its own."""
    viewer, found = viewer or Viewer(step), []
    async with contextlib.aclosing(watch(desk, config, viewer)) as blocks:
        async for block in blocks:
            found.append(block)
            if viewer.next > step // config.record_every:
                break
    return {k: np.concatenate([b[k] for b in found], axis=0 if k == "step" else 1) for k in found[0]}


def check(block, config, step):
    """``block`` is what a run computed here and in one go records up to ``step``, to the last bit."""
    _, whole = worker.extend(config, step + 1)
    assert block.keys() == whole.keys()
    for name in whole:
        assert block[name].tobytes() == whole[name].tobytes(), name


@pytest.fixture
def gate(monkeypatch):
    """Chunks wait in the pool until the gate is opened; ``gate.asked`` counts them."""
    gate, extend = threading.Event(), worker.extend
    gate.asked = 0

    def gated(run, steps):
        gate.asked += 1
        assert gate.wait(PATIENCE)
        return extend(run, steps)

    monkeypatch.setattr(worker, "extend", gated)
    yield gate
    gate.set()


def test_two_viewers_cause_one_computation():
    async def scenario(desk):
        first, second = await asyncio.gather(watched(desk, SMALL, 60), watched(desk, SMALL, 60))
        check(first, SMALL, 60)
        check(second, SMALL, 60)
        await until(lambda: not desk._shows)
        computed = desk.computed_steps
        assert computed == desk.recordings.open(SMALL).step
        check(await watched(desk, SMALL, 60), SMALL, 60)
        assert desk.computed_steps == computed

    with_desk(scenario)


def test_viewers_with_different_horizons_each_see_their_own():
    async def scenario(desk):
        near, far = Viewer(12), Viewer(70)
        blocks = await asyncio.gather(watched(desk, SMALL, 12, near), watched(desk, SMALL, 70, far))
        check(blocks[0], SMALL, 12)
        check(blocks[1], SMALL, 70)
        await until(lambda: not desk._shows)
        assert desk.computed_steps == desk.recordings.open(SMALL).step == 71

    with_desk(scenario)


def test_a_viewer_that_wants_more_gets_more():
    async def scenario(desk):
        viewer = Viewer(3)
        async with contextlib.aclosing(watch(desk, SMALL, viewer)) as blocks:
            async for _ in blocks:
                if viewer.next == 4:
                    viewer.want(500)
                if viewer.next == 501:
                    break
        assert desk.recordings.open(SMALL).step > 500

    with_desk(scenario)


async def stands_still(desk):
    await until(lambda: all(show.task is None for show in desk._shows.values()))
    before = desk.computed_steps
    await asyncio.sleep(0.3)
    assert desk.computed_steps == before < 10**6


def test_work_stops_when_the_viewer_leaves():
    async def scenario(desk):
        await watched(desk, SMALL, 5, Viewer(10**9))
        await stands_still(desk)
        assert not desk._shows

    with_desk(scenario)


def test_work_stops_when_a_viewer_wants_less():
    async def scenario(desk):
        viewer = Viewer(10**9)

        async def go_on():
            async for _ in watch(desk, SMALL, viewer):
                pass

        task = asyncio.create_task(go_on())
        await until(lambda: viewer.next > 10)
        viewer.want(2)
        await stands_still(desk)
        task.cancel()
        await asyncio.wait([task])
        assert not desk._shows

    with_desk(scenario)


def test_who_leaves_before_their_turn_costs_nothing(gate):
    async def scenario(desk):
        tasks = [asyncio.create_task(watched(desk, replace(SMALL, seed=s), 50)) for s in range(20)]
        await until(lambda: gate.asked == len(desk.crew.hands))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        gate.set()
        await until(lambda: not desk._shows)
        assert gate.asked == len(desk.crew.hands)

    with_desk(scenario)


def test_leaving_and_coming_back_makes_no_second_computation(gate):
    async def scenario(desk):
        impatient = asyncio.create_task(watched(desk, SMALL, 30))
        await until(lambda: gate.asked == 1)
        impatient.cancel()
        await asyncio.wait([impatient])
        again = asyncio.create_task(watched(desk, SMALL, 30))
        await asyncio.sleep(0.1)
        assert gate.asked == 1
        gate.set()
        check(await again, SMALL, 30)
        await until(lambda: not desk._shows)
        assert desk.computed_steps == desk.recordings.open(SMALL).step

    with_desk(scenario)


def test_what_nobody_waits_for_any_more_is_ended(gate):
    """300 that come with a heavy race of their own and leave: no queue, no memory, no computing stays."""

    async def scenario(desk):
        desk.crew.grace = 0.05

        async def visit(seed):
            await watched(desk, replace(SMALL, seed=seed), 10**6)

        tasks = [asyncio.create_task(visit(seed)) for seed in range(300)]
        await until(lambda: gate.asked == 1 and desk.waiting == 300)
        assert len(desk._shows) == 300
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert len(desk._shows) == 1, "what is being computed has a moment"
        await until(lambda: not desk._shows)
        assert desk.waiting == 0 and not any(map(len, desk.crew._lines.values()))
        assert len(desk.crew._free) == 2 and len(desk.recordings) == 0 and gate.asked == 1
        assert sum(hand.lost for hand in desk.crew.hands) == 1

    with_desk(scenario, ThreadDesk(heavy=lambda config: True))


def test_who_comes_back_has_what_was_being_computed_go_on(gate):
    async def scenario(desk):
        desk.crew.grace = 0.2
        impatient = asyncio.create_task(watched(desk, SMALL, 30))
        await until(lambda: gate.asked == 1)
        impatient.cancel()
        await asyncio.wait([impatient])
        again = asyncio.create_task(watched(desk, SMALL, 30))
        await asyncio.sleep(0.4)
        gate.set()
        check(await again, SMALL, 30)
        assert sum(hand.lost for hand in desk.crew.hands) == 0

    with_desk(scenario)


def test_a_task_that_is_ended_before_it_has_begun_is_ended_too():
    async def scenario(desk):
        watching = asyncio.create_task(watched(desk, SMALL, 10))
        await asyncio.sleep(0)
        (show,) = desk._shows.values()
        show.task.cancel()
        check(await watching, SMALL, 10)
        await until(lambda: not desk._shows)
        assert desk.waiting == 0

    with_desk(scenario)


def test_the_past_of_a_branch_is_ended_with_it(gate):
    branch = SMALL.branch(5000, lr=0.5)

    async def scenario(desk):
        desk.crew.grace = 0.05
        watching = asyncio.create_task(watched(desk, branch, 5010))
        await until(lambda: gate.asked == 1)
        watching.cancel()
        await asyncio.wait([watching])
        await until(lambda: not desk._shows)
        assert sum(hand.lost for hand in desk.crew.hands) == 1 and len(desk.crew._free) == 2

    with_desk(scenario)


def test_heavy_recordings_leave_a_hand_to_light_ones(gate):
    async def scenario(desk):
        heavy = [replace(SMALL, seed=seed, width=64) for seed in range(4)]
        tasks = [asyncio.create_task(watched(desk, config, 10**6)) for config in heavy]
        await until(lambda: desk.waiting == 4 and gate.asked == 1)
        light = asyncio.create_task(watched(desk, SMALL, 10**6))
        await until(lambda: gate.asked == 2)
        assert desk.waiting == 5 and len(desk.crew._free) == 0
        for task in (*tasks, light):
            task.cancel()
        await asyncio.wait([*tasks, light])

    with_desk(scenario, ThreadDesk(heavy=lambda config: config.width > 8))


def test_a_round_is_one_over_those_who_share_the_same_hands():
    async def scenario(desk):
        desk._growing = {False: 20, True: 40}
        assert desk.turn_seconds(SMALL) == pytest.approx(ROUND_SECONDS / 20)
        assert desk.turn_seconds(replace(SMALL, width=64)) == pytest.approx(ROUND_SECONDS / 40)
        desk._growing = {False: 20, True: 0}
        assert desk.turn_seconds(SMALL) == pytest.approx(2 * ROUND_SECONDS / 20)

    with_desk(scenario, ThreadDesk(heavy=lambda config: config.width > 8))


def test_what_turns_out_to_be_slow_is_heavy(monkeypatch):
    """Whatever its forecast: so it does not hold the last hand for long."""
    monkeypatch.setattr(worker, "timed", lambda function, run, steps: (function(run, steps), 0.5 * steps))
    kinds = []

    async def scenario(desk):
        turn = desk.crew.turn
        monkeypatch.setattr(desk.crew, "turn", lambda heavy: (kinds.append(heavy), turn(heavy))[1])
        await watched(desk, SMALL, 2)
        assert kinds == [False, True, True]

    with_desk(scenario)


def test_a_slow_viewer_holds_up_nobody_else():
    async def scenario(desk):
        slow = watch(desk, SMALL, Viewer(80))
        first = await anext(slow)
        check(await watched(desk, SMALL, 80), SMALL, 80)
        assert first["step"][0] == 0
        await slow.aclose()

    with_desk(scenario)


def test_a_light_recording_is_not_held_up_by_heavy_ones():
    """They take turns, chunk by chunk; the heavy ones are far from their end when the light one is done."""

    async def scenario(desk):
        heavy = [replace(SMALL, seed=seed, width=64, batch_size=256, depth=8) for seed in (1, 2, 3)]
        tasks = [asyncio.create_task(watched(desk, config, 10**6)) for config in heavy]
        await until(lambda: len(desk.recordings) == len(heavy))
        await watched(desk, SMALL, 100)
        assert all(desk.recordings.open(config).step < 10**4 for config in heavy)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    with_desk(scenario)


def test_a_round_over_all_who_wait_is_short(gate):
    """Eighty lanes wait less than a second for their turn; one alone has the turn that costs least."""

    async def scenario(desk):
        assert desk.turn_seconds(SMALL) == TURN_SECONDS
        tasks = []
        for count in (10, 80, 500):
            more = [replace(SMALL, seed=seed) for seed in range(len(tasks), count)]
            tasks += [asyncio.create_task(watched(desk, config, 10**6)) for config in more]
            await until(lambda count=count: len(desk._shows) == count)
            turn = desk.turn_seconds(SMALL)
            assert SHORTEST_TURN <= turn <= TURN_SECONDS
            assert turn * count / len(desk.crew.hands) <= ROUND_SECONDS or turn == SHORTEST_TURN
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        gate.set()
        await until(lambda: not desk._shows)
        assert desk.turn_seconds(SMALL) == TURN_SECONDS

    with_desk(scenario)


@pytest.mark.parametrize(("every", "turns"), [(1, [1, 4, 16, 64, 200, 116]), (10, [1, 10, 40, 160, 190])])
def test_turns_grow_from_one_frame_on_and_end_where_nobody_wants_more(every, turns, monkeypatch):
    extend, asked = worker.extend, []

    def noted(run, steps):
        asked.append(steps)
        return extend(run, steps)

    async def scenario(desk):
        monkeypatch.setattr(desk, "turn_seconds", lambda *_: 1e9)
        config = replace(SMALL, record_every=every)
        await watched(desk, config, 400)
        await until(lambda: not desk._shows)
        assert asked == turns and desk.recordings.open(config).step == 401

    monkeypatch.setattr(worker, "extend", noted)
    with_desk(scenario)


def test_turns_follow_the_time_that_they_may_take(monkeypatch):
    extend, asked = worker.extend, []

    def noted(run, steps):
        asked.append(steps)
        return extend(run, steps)

    async def scenario(desk):
        monkeypatch.setattr(desk, "turn_seconds", lambda *_: 1e9 if len(asked) < 4 else 0.0)
        await watched(desk, SMALL, 90)
        assert asked == [1, 4, 16, 64, *[1] * 6]

    monkeypatch.setattr(worker, "extend", noted)
    with_desk(scenario)


def test_a_turn_is_no_shorter_than_handing_over_took():
    async def scenario(desk):
        assert desk.turn_seconds(SMALL, TURN_SECONDS / 2) == TURN_SECONDS
        assert desk.turn_seconds(SMALL, 3 * TURN_SECONDS) == 3 * TURN_SECONDS
        assert desk.turn_seconds(SMALL, 100.0) == ROUND_SECONDS

    with_desk(scenario)


def test_who_comes_late_gets_what_is_there_in_few_blocks(monkeypatch):
    async def scenario(desk):
        monkeypatch.setattr(desk, "turn_seconds", lambda *_: 0.0)
        await watched(desk, SMALL, 250)
        late, sizes = Viewer(250), []
        async with contextlib.aclosing(watch(desk, SMALL, late)) as blocks:
            async for block in blocks:
                sizes.append(len(block["step"]))
                if late.next == 251:
                    break
        assert sizes == [LARGEST_CHUNK, 51]

    with_desk(scenario)


def test_eviction_while_watched_loses_nothing():
    """Two recordings that never fit at once, watched side by side by readers who go on and on."""

    async def scenario(desk):
        blocks = await asyncio.gather(watched(desk, SMALL, 400), watched(desk, OTHER, 400))
        assert len(desk.recordings) == 1
        check(blocks[0], SMALL, 400)
        check(blocks[1], OTHER, 400)

    with_desk(scenario, ThreadDesk(max_bytes=1))


def test_an_evicted_recording_is_computed_again_for_who_comes_late():
    async def scenario(desk):
        paused = Viewer(10)
        watching = watch(desk, SMALL, paused)
        seen = 0
        while seen <= 10:
            seen += len((await anext(watching))["step"])
        await watched(desk, OTHER, 10)
        await until(lambda: SMALL not in desk.recordings)
        paused.want(15)
        more = (await anext(watching))["step"]
        assert more[0] == 11
        check(await watched(desk, SMALL, 40), SMALL, 40)
        await watching.aclose()

    with_desk(scenario, ThreadDesk(max_bytes=1))


def test_single_frames_are_found_or_computed():
    async def scenario(desk):
        _, whole = worker.extend(SMALL, 30)
        for _ in range(2):
            block = await desk.frames(SMALL, range(20, 24), ("step", "picture"))
            assert block["step"].tolist() == [20, 21, 22, 23]
            assert block["picture"].tobytes() == whole["picture"][:, 20:24].tobytes()
            await desk.frames(OTHER, range(1), ["step"])

    with_desk(scenario, ThreadDesk(max_bytes=1))


def test_a_failure_is_told_and_does_not_stay(monkeypatch):
    extend, working = worker.extend, threading.Event()

    def failing_at_first(run, steps):
        if not working.is_set() and not isinstance(run, RunConfig):
            raise ArithmeticError("no room")
        return extend(run, steps)

    async def scenario(desk):
        slow = watch(desk, SMALL, Viewer(20))
        await anext(slow)  # has seen the first frame, and hears of the failure much later than the others
        seen = await asyncio.gather(*[watched(desk, SMALL, 20) for _ in range(2)], return_exceptions=True)
        assert [type(error) for error in seen] == [ComputationError, ComputationError]
        assert "no room" in str(seen[0])
        working.set()
        check(await watched(desk, SMALL, 20), SMALL, 20)
        with pytest.raises(ComputationError, match="no room"):
            async for _ in slow:
                pass

    monkeypatch.setattr(worker, "extend", failing_at_first)
    with_desk(scenario)


def test_branches_of_one_race_share_what_came_before():
    """Also those of a race that nobody has watched: dragging a branch computes its past once."""
    base = replace(SMALL, seed=9)

    async def scenario(desk):
        for number, lr in enumerate((0.3, 0.5, 0.7)):
            branch = base.branch(40, lr=lr)
            rows = await watched(desk, branch, 49)
            _, alone = worker.extend(branch, 50)
            assert rows["picture"].tobytes() == alone["picture"].tobytes()
            assert desk.computed_steps <= 40 + 10 * (number + 1)
        twice = base.branch(40, lr=0.7).branch(45, eps=0.1)
        _, alone = worker.extend(twice, 50)
        assert (await watched(desk, twice, 49))["picture"].tobytes() == alone["picture"].tobytes()

    with_desk(scenario)


DRAFTED = {"record_every": 10, "validate_every": 20}


async def settled(desk):
    """Steps computed, once nothing is under way."""
    await until(lambda: not desk._shows)
    return desk.computed_steps


@pytest.mark.parametrize("draft", [True, False], ids=["draft", "full"])
def test_the_past_of_a_branch_comes_from_recordings_that_are_there(draft):
    """Also where it is recorded less often; only from a checkpoint to the branch is anything advanced."""

    async def scenario(desk):
        await watched(desk, SMALL, 340)
        base = await settled(desk)
        (checkpoint,) = [run.step for run in desk.recordings.open(SMALL).checkpoints if run.step <= 297][-1:]
        how = DRAFTED if draft else {}
        for number, lr in enumerate((0.3, 0.5, 0.7), start=1):
            branch = replace(SMALL.branch(297, lr=lr), **how)
            check(await watched(desk, branch, 330), branch, 330)
            done = await settled(desk) - base
            assert done == 297 - checkpoint + number * (331 - 297), "nothing before it is advanced twice"
        full = SMALL.branch(297, lr=0.7)
        check(await watched(desk, full, 330), full, 330)
        again = await settled(desk) - base - done
        assert again == (331 - 297 if draft else 0), "at rest the run at the branch is there"

    with_desk(scenario)


def test_a_branch_of_a_branch_begins_where_its_base_branched_off():
    once = SMALL.branch(150, lr=0.5)

    async def scenario(desk):
        await watched(desk, once, 300)
        before = await settled(desk)
        twice = replace(once.branch(160, eps=0.1), **DRAFTED)
        check(await watched(desk, twice, 200), twice, 200)
        assert await settled(desk) - before <= 201 - 150

    with_desk(scenario)


def test_what_is_known_of_the_past_is_shown_while_the_rest_is_computed(gate):
    branch = SMALL.branch(50, lr=0.5)

    async def scenario(desk):
        gate.set()
        await watched(desk, SMALL, 20)
        await settled(desk)
        gate.clear()
        watching = watch(desk, branch, Viewer(60))
        block = await asyncio.wait_for(anext(watching), PATIENCE)
        assert len(block["step"]) == desk.recordings.open(SMALL).stop <= 50
        gate.set()
        await watching.aclose()

    with_desk(scenario)


def test_a_past_that_nobody_has_seen_is_shown_as_it_is_computed(monkeypatch):
    branch = SMALL.branch(50, lr=0.5)

    async def scenario(desk):
        monkeypatch.setattr(desk, "turn_seconds", lambda *_: 0.0)
        watching = watch(desk, branch, Viewer(60))
        assert len((await anext(watching))["step"]) < 25
        await watching.aclose()

    with_desk(scenario)


def test_a_branch_survives_that_nothing_is_kept():
    branch = SMALL.branch(40, lr=0.5)

    async def scenario(desk):
        blocks = await asyncio.gather(watched(desk, branch, 60), watched(desk, OTHER, 200))
        check(blocks[0], branch, 60)
        check(blocks[1], OTHER, 200)

    with_desk(scenario, ThreadDesk(max_bytes=1))


def test_a_draft_of_what_is_recorded_in_full_costs_nothing():
    draft = replace(SMALL, **DRAFTED)

    async def scenario(desk):
        await watched(desk, SMALL, 100)
        before = await settled(desk)
        check(await watched(desk, draft, 100), draft, 100)
        assert await settled(desk) == before
        check(await watched(desk, draft, 150), draft, 150)  # and goes on from there
        assert await settled(desk) <= before + 50

    with_desk(scenario)


def test_each_lane_has_its_first_turn_before_any_has_its_second(monkeypatch):
    extend, asked = worker.extend, []

    def noted(run, steps):
        asked.append(run.seed if isinstance(run, RunConfig) else run.config.seed)
        return extend(run, steps)

    monkeypatch.setattr(worker, "extend", noted)

    async def scenario(desk):
        race = [replace(SMALL, seed=seed) for seed in range(8)]
        await asyncio.gather(*(watched(desk, config, 30) for config in race))
        assert sorted(asked[:8]) == list(range(8))

    with_desk(scenario, ThreadDesk(workers=1))


@pytest.mark.parametrize(("every", "turns"), [(1, [1, 100]), (10, [101])])
def test_where_it_is_known_how_fast_its_like_was_turns_are_long_at_once(every, turns, monkeypatch):
    """But for the first picture, which a draft doesn't have before all of it is there."""
    extend, asked = worker.extend, []

    def noted(run, steps):
        asked.append(steps)
        return extend(run, steps)

    async def scenario(desk):
        monkeypatch.setattr(desk, "turn_seconds", lambda *_: 1e9)
        config = replace(SMALL, record_every=every, validate_every=20)
        await watched(desk, config, 100)
        await settled(desk)
        monkeypatch.setattr(worker, "extend", noted)
        await watched(desk, replace(config, lr=0.123), 100)
        assert asked == turns

    with_desk(scenario)


def test_a_branch_that_nobody_waits_for_any_more_stops_its_base_too():
    branch = replace(SMALL, seed=10, depth=8, width=64).branch(5000, lr=0.5)

    async def scenario(desk):
        watching = asyncio.create_task(watched(desk, branch, 5010))
        while not desk.computed_steps:
            await asyncio.sleep(0.01)
        watching.cancel()
        while desk._shows:
            await asyncio.sleep(0.01)
        before = desk.computed_steps
        await asyncio.sleep(0.3)
        assert desk.computed_steps == before < 5000

    with_desk(scenario)


def test_drafts_are_every_tenth_frame_of_the_whole():
    values, _ = messages.read(lab.LAB_CONTROLS, {"depth": 2, "width": 8, "batch_size": 8, "replicas": 2})
    pairs = zip(lanes.lane_configs(values), lanes.lane_configs(values, draft=True), strict=True)

    async def scenario(desk):
        for whole, draft in pairs:
            frames, tenth = await asyncio.gather(watched(desk, whole, 100), watched(desk, draft, 100))
            assert tenth["step"].tolist() == list(range(0, 101, 10))
            for name in ("picture", *CURVES, *BANDS):
                drafted = frames[name][:, ::10].copy()
                if name in VALIDATED:  # a draft is validated at every second of its frames
                    drafted[:, 1::2] = np.nan
                elif name == "picture":
                    drafted[:, 1::2, CURVE_COLUMNS - 3 * len(VALIDATED) : CURVE_COLUMNS] = np.nan
                assert drafted.tobytes() == tenth[name].tobytes(), name

    with_desk(scenario)


# --- processes ------------------------------------------------------------------------------------------


@pytest.fixture
def quick_processes(monkeypatch):
    """Processes that needn't load the digits: these tests start many."""
    monkeypatch.setattr(process, "warm_up", worker.ready)


def processes(desk):
    return [hand._process for hand in desk.crew.hands]


def test_a_killed_process_loses_nothing(quick_processes):
    async def scenario(desk):
        viewer, killed = Viewer(150), []
        async with contextlib.aclosing(watch(desk, SMALL, viewer)) as blocks:
            found = []
            async for block in blocks:
                found.append(block)
                if not killed:
                    await until(lambda: all(processes(desk)))
                    killed = processes(desk)
                    for process in killed:
                        os.kill(process.pid, signal.SIGKILL)
                if viewer.next > 150:
                    break
        await until(lambda: not any(process.is_alive() for process in killed))
        whole = {k: np.concatenate([b[k] for b in found], axis=0 if k == "step" else 1) for k in found[0]}
        check(whole, SMALL, 150)
        assert desk.computed_steps == desk.recordings.open(SMALL).step

    with_desk(scenario, process_desk())


def test_a_desk_that_stopped_stays_stopped(quick_processes):
    async def scenario(desk):
        await asyncio.gather(*(hand.ready() for hand in desk.crew.hands))
        children = processes(desk)
        assert len(children) == 2 and all(child.is_alive() for child in children)
        watching = asyncio.create_task(watched(desk, SMALL, 10**6))
        await until(lambda: desk.computed_steps)
        desk.stop()
        assert not any(child.is_alive() for child in children)
        with pytest.raises(ComputationError, match="going away"):
            await desk.run(worker.ready)
        with pytest.raises(ComputationError, match="going away"):
            await watched(desk, SMALL, 5)
        with pytest.raises(ComputationError, match="going away"):
            await watching

    with_desk(scenario, process_desk())
