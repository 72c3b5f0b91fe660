"""What the pool computes: pictures that hold what was recorded, number by number."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from bnlib.data import load
from bnlib.networks.config import LAYER_NORMS
from bnlib.training.recordings import HISTOGRAM_EDGES, SHOWN
from book.race import frames
from book.race.lanes import lane_configs
from book.race.settings import LAB_CONTROLS
from live import process, worker
from live.messages import read

SMALL = RunConfig(
    dataset="blobs", depth=2, width=8, batch_size=8, replicas=3, record_every=1, validate_every=5
)
BINS = len(HISTOGRAM_EDGES) - 1


def fields(config, rows):
    """A picture's rows taken apart by its layout."""
    found, start_at = {}, 0
    for name, shape in frames.layout(config, BINS):
        size = math.prod(shape)
        found[name] = rows[:, start_at : start_at + size].reshape(len(rows), *shape)
        start_at += size
    assert start_at == rows.shape[1]
    return found


def with_a_lost_seed():
    """A history in which the middle seed diverged at step 4, by hand: rare settings do it by themselves."""
    history = {name: array.copy() for name, array in advance(start(SMALL), 12).history.items()}
    for name, array in history.items():
        if name not in ("step", "histogram_edges", "decision_surface"):
            array[1, 4:] = np.nan
    return history


def test_a_row_holds_what_its_layout_says():
    history = advance(start(SMALL), 12).history
    rows = frames.picture(history)
    assert rows.dtype == np.float32 and len(rows) == 12
    found = fields(SMALL, rows)
    assert list(found) == ["step", "seeds_left", *frames.CURVES, *frames.BANDS, *frames.HISTOGRAMS]
    assert rows[:, frames.CURVE_COLUMNS].tolist() == found[frames.BANDS[0]][:, 0, 0].tolist()
    assert found["step"][:, 0].tolist() == list(range(12))
    assert found["seeds_left"][:, 0].tolist() == [3] * 12
    for name in (*frames.CURVES, *frames.BANDS):
        mean, low, high = np.moveaxis(found[name], -1, 0)
        np.testing.assert_allclose(mean, history[name].mean(axis=0), rtol=1e-6)
        np.testing.assert_array_equal(low, history[name].min(axis=0))
        np.testing.assert_array_equal(high, history[name].max(axis=0))
    for name in frames.HISTOGRAMS:
        np.testing.assert_allclose(found[name], history[name].mean(axis=0), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found[name].sum(axis=-1), 1, rtol=1e-5)
    assert np.isnan(found["val_accuracy"][1:5]).all() and np.isfinite(found["val_accuracy"][::5]).all()


def test_a_lost_seed_is_left_out_and_counted():
    history = with_a_lost_seed()
    found = fields(SMALL, frames.picture(history))
    assert found["seeds_left"][:, 0].tolist() == [3] * 4 + [2] * 8
    for name in (*frames.CURVES, *frames.BANDS):
        left = history[name][[0, 2], 5]
        np.testing.assert_allclose(found[name][5, ..., 0], left.mean(axis=0), rtol=1e-6)
        np.testing.assert_array_equal(found[name][5, ..., 1], left.min(axis=0))
        np.testing.assert_array_equal(found[name][5, ..., 2], left.max(axis=0))
    np.testing.assert_allclose(found[frames.HISTOGRAMS[0]][5].sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_where_all_seeds_are_lost_there_is_nothing_and_no_complaint():
    config = replace(SMALL, norm="none", lr=1000.0, init_scale=50.0)
    _, block = worker.extend(config, 12)
    found = fields(config, block["picture"][0])
    assert found["seeds_left"][-1, 0] == 0
    assert np.isnan(found["train_loss"][-1]).all() and np.isnan(found["activation_histogram"][-1]).all()
    assert found["step"][:, 0].tolist() == list(range(12))


def test_extending_goes_on_where_it_stopped_and_carries_no_frames():
    run, first = worker.extend(SMALL, 5)
    later, second = worker.extend(run, 7)
    whole, block = worker.extend(start(SMALL), 12)
    assert run.frames == later.frames == () and later.step == 12
    assert later.flat.tobytes() == whole.flat.tobytes()
    assert set(block) == {"step", *worker.WATCHED, "picture", "surface"}
    for name in block:
        joined = np.concatenate([first[name], second[name]], axis=0 if name == "step" else 1)
        assert joined.tobytes() == block[name].tobytes(), name


def test_planes_come_with_their_decision_surface_and_digits_without():
    run = start(SMALL)
    _, block = worker.extend(run, 12)
    recorded = advance(run, 12).history["decision_surface"]
    assert block["surface"].shape == recorded.shape == (1, 12, 32 * 32)
    known = recorded[0, ::5]
    np.testing.assert_array_equal(np.floor(block["surface"][0, ::5]), np.floor(known))
    np.testing.assert_allclose(block["surface"][0, ::5], known, atol=1e-3)
    assert np.isnan(block["surface"][0, 1:5]).all()
    _, block = worker.extend(replace(SMALL, dataset="digits"), 1)
    assert "surface" not in block


@pytest.mark.parametrize("network", ["mlp", "cnn", "rnn", "gan"])
def test_every_norm_can_be_a_lane_on_every_network(network):
    small = {"network": network, "depth": 4, "width": 12, "batch_size": 16, "replicas": 2}
    for norm in LAYER_NORMS:
        values, _ = read(LAB_CONTROLS, small | {"lanes": norm})
        (config,) = lane_configs(values)
        assert (config.norm, config.network) == (norm, network)
        run, block = worker.extend(config, 2)
        assert run.step == 2 and (run.diverged_at == -1).all() and block["step"].tolist() == [0, 1]
        found = fields(config, block["picture"][0])
        # Instance norm without an image gives β: no gradient passes, and no hidden weight moves.
        stands = norm == "instance" and network != "cnn"
        for name in (*frames.BANDS, *frames.HISTOGRAMS):
            assert found[name].shape[:2] == (2, 4), (norm, name)
            assert np.isfinite(found[name]).all() != (stands and name == "update_ratio"), (norm, name)
        assert (found["gradient_norm"] > 0).any() != stands, norm
        assert np.isfinite(found["train_loss"]).all(), norm
        assert np.isfinite(found["val_accuracy"][0]).all() and np.isnan(found["val_accuracy"][1]).all()
        moved = (run.flat != start(config).flat).any()  # a GAN's two halves look alike then, and cancel
        assert moved != (stands and network == "gan"), norm
        assert ("cloud" in block, "surface" in block) == (network == "gan", False)


def test_a_gan_comes_with_its_samples():
    config = replace(SMALL, dataset="ring", network="gan", norm="spectral")
    run, first = worker.extend(config, 3)
    _, second = worker.extend(run, 9)
    recorded = advance(start(config), 12).history["samples"]
    assert "surface" not in first and first["cloud"].dtype == np.float16
    assert first["cloud"].shape == (1, 3, SHOWN, 2) and second["cloud"].shape == (1, 9, SHOWN, 2)
    cloud = np.concatenate([first["cloud"], second["cloud"]], axis=1)
    np.testing.assert_array_equal(cloud[0], recorded[0].astype(np.float16))
    assert np.isfinite(cloud[0, ::5]).all() and np.isnan(cloud[0, 1:5]).all()
    _, block = worker.extend(worker.extend(config, 1)[0], 3)
    assert block["cloud"].shape == (1, 3, SHOWN, 2) and np.isnan(block["cloud"]).all()


def test_when_the_first_seed_is_lost_the_next_one_shows_its_samples():
    run, _ = worker.extend(replace(SMALL, dataset="ring", network="gan"), 5)
    lost = replace(run, diverged_at=np.array([4, -1, -1]))
    _, block = worker.extend(lost, 1)
    recorded = advance(replace(lost, frames=()), 1).history["samples"]
    assert np.isnan(recorded[0]).all()
    np.testing.assert_array_equal(block["cloud"][0], recorded[1].astype(np.float16))


@pytest.mark.filterwarnings("error")
def test_samples_are_those_of_the_first_seed_that_is_left():
    samples = np.arange(3 * 4 * SHOWN * 2, dtype=np.float32).reshape(3, 4, SHOWN, 2) / 4
    samples[0, 1:] = np.nan
    samples[1, 2:] = np.nan
    samples[2, 3:] = np.nan
    samples[0, 0, 0] = 1e6, -1e6
    cloud = worker._cloud(samples)
    assert cloud.shape == (1, 4, SHOWN, 2) and cloud.dtype == np.float16
    assert cloud[0, 0, 0].tolist() == [65504, -65504], "the largest there is, not infinity"
    np.testing.assert_array_equal(cloud[0, 0, 1:], samples[0, 0, 1:].astype(np.float16))
    for frame, seed in ((1, 1), (2, 2)):
        np.testing.assert_array_equal(cloud[0, frame], samples[seed, frame].astype(np.float16))
    assert np.isnan(cloud[0, 3]).all()


def test_the_points_shown_are_training_points_with_their_classes():
    config = replace(SMALL, dataset="spirals", data_noise=0.3)
    x, labels = frames.points(config)
    dataset = load("spirals", 0.3)
    assert x.shape == (300, 2) and labels.shape == (300,)
    np.testing.assert_allclose(x, dataset.x_train[:300], rtol=1e-6)
    np.testing.assert_array_equal(labels, dataset.y_train[:300])
    assert set(labels) == {0, 1, 2}


def test_steps_between_two_frames_record_nothing():
    run, _ = worker.extend(replace(SMALL, record_every=10), 1)
    later, block = worker.extend(run, 4)
    assert later.step == 5 and list(block) == ["step"] and len(block["step"]) == 0


@pytest.mark.parametrize(("seconds", "steps"), [(0.002, 100), (0.11, 5), (3.0, 2), (0.0, 100)])
def test_a_shown_step_is_measured_for_a_third_of_a_second(monkeypatch, seconds, steps):
    done = []

    def timed(function, run, count):
        done.append(count)
        return function(run, count), seconds

    monkeypatch.setattr(worker, "timed", timed)
    found = worker.shown_step_seconds(RunConfig(depth=1, width=4, train_samples=64))
    assert done == [2, steps] and found == seconds / steps


def test_the_batch_shown_first_is_what_a_unit_receives_from_digits():
    batch = worker.digits_batch(64)
    run = start(RunConfig(norm="none", depth=1, dtype="float64"))
    z = load("digits").x_train[:64] @ run.parameters["weight0"][0] + run.parameters["bias0"][0]
    offset = abs(z.mean(axis=0)) / z.std(axis=0)
    np.testing.assert_allclose(batch, z[:, offset.argmax()], rtol=1e-12)
    assert offset.max() > 1, "batch norm should have something to do"
    assert batch.shape == (64,) and batch.flags.c_contiguous


@pytest.mark.parametrize("more", [{}, {"dataset": "ring", "network": "gan"}, {"dataset": "digits"}], ids=str)
@pytest.mark.parametrize(("every", "validate"), [(10, 20), (2, 10), (5, 5)])
def test_what_is_thinned_is_what_is_recorded_less_often(more, every, validate):
    often = replace(SMALL, **more)
    config = replace(often, record_every=every, validate_every=validate)
    thin = worker.thinned(worker.extend(often, 43)[1], config)
    _, expected = worker.extend(config, 43)
    assert thin.keys() == expected.keys()
    for name, array in expected.items():
        assert thin[name].tobytes() == array.tobytes() and thin[name].shape == array.shape, name


def test_thinning_leaves_what_it_is_given_as_it_is():
    _, block = worker.extend(SMALL, 43)
    before = {name: array.copy() for name, array in block.items()}
    worker.thinned(block, replace(SMALL, record_every=10, validate_every=20))
    assert all(block[name].tobytes() == before[name].tobytes() for name in before)


def test_skipping_steps_makes_the_same_run():
    config = replace(SMALL, record_every=1).branch(12, lr=0.5)
    expected, _ = worker.extend(config, 20)
    for begin in (config, worker.extend(config, 5)[0]):
        run = worker.skip(begin, 20 - getattr(begin, "step", 0))
        assert (run.config, run.step, run.frames) == (config, 20, ())
        assert run.flat.tobytes() == expected.flat.tobytes()
        assert run.running.mean.tobytes() == expected.running.mean.tobytes()


def test_recordings_grow_alike_where_steps_cost_as_much_and_frames_are_as_many():
    assert worker.recorded_alike(replace(SMALL, lr=0.5, seed=3)) == worker.recorded_alike(SMALL)
    for other in ({"record_every": 10}, {"validate_every": 20}, {"width": 16}):
        assert worker.recorded_alike(replace(SMALL, **other)) != worker.recorded_alike(SMALL)


@pytest.mark.skipif(not process.STATUS.exists(), reason="only Linux bounds what a process allocates")
def test_a_process_is_bounded_by_what_it_has_and_room(monkeypatch):
    bounds, most = [], 2**32
    monkeypatch.setattr(process.resource, "setrlimit", lambda kind, pair: bounds.append((kind, pair)))
    monkeypatch.setattr(process.resource, "getrlimit", lambda kind: (-1, -1))
    process.bound_memory(2**30)
    monkeypatch.setattr(process.resource, "getrlimit", lambda kind: (-1, most))
    process.bound_memory(2**40)
    (kind, (bound, hard)), lower = bounds
    assert kind == process.resource.RLIMIT_DATA and hard == -1
    assert 2**30 < bound < 2**30 + 2**35 and bound % 1024 == 0
    assert lower == (kind, (most, most)), "never above what the system allows"


def test_where_no_bound_can_be_had_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "STATUS", tmp_path / "status")
    process.bound_memory(1)
    (tmp_path / "status").write_text("Name: python\n")
    process.bound_memory(1)
    monkeypatch.setattr(process, "resource", None)
    process.bound_memory(1)
