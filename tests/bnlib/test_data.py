"""The data sets, and the endless stream of batches drawn from them."""

import numpy as np
import pytest

from bnlib import data
from bnlib.data import DATASETS, PLANE, batch_indices, batches, load


def test_digits_are_the_uci_digits_split_once():
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(123).permutation(1797)
    dataset = load("digits")
    assert dataset.x_train.shape == (1297, 64)
    assert dataset.x_val.shape == (500, 64)
    assert dataset.classes == 10
    np.testing.assert_array_equal(dataset.x_train, digits.data[order[:1297]] / 16)
    np.testing.assert_array_equal(dataset.y_val, digits.target[order[1297:]])
    assert np.bincount(dataset.y_train).min() > 110


def test_digits_beside_the_library_come_first(tmp_path, monkeypatch):
    """Where there is no scikit-learn, such as in a browser, the file is brought along."""
    theirs = data.digits_file()
    assert "sklearn" in theirs.parts
    monkeypatch.setattr(data, "__file__", str(tmp_path / "data.py"))
    assert data.digits_file() == theirs
    (tmp_path / "digits.csv.gz").write_bytes(theirs.read_bytes())
    assert data.digits_file() == tmp_path / "digits.csv.gz"


@pytest.mark.parametrize("name", PLANE)
def test_plane_sets_have_balanced_classes_and_known_sizes(name):
    dataset = load(name)
    assert dataset.x_train.shape == (1024, 2)
    assert dataset.x_val.shape == (512, 2)
    labels = np.concatenate([dataset.y_train, dataset.y_val])
    share = np.bincount(labels) / len(labels)
    assert len(share) == dataset.classes
    # Where classes take turns the balance is exact; xor draws them.
    np.testing.assert_allclose(share, 1 / dataset.classes, atol=0.04 if name == "xor" else 1e-9)
    assert np.abs(dataset.x_train.mean(axis=0)).max() < 0.15
    assert 0.3 < dataset.x_train.std() < 1


@pytest.mark.parametrize("name", DATASETS)
def test_sets_are_deterministic_read_only_and_cached(name):
    dataset = load(name)
    assert load(name).x_train is dataset.x_train
    data._load.cache_clear()
    again = load(name)
    assert again.x_train is not dataset.x_train
    for one, other in zip(dataset[:4], again[:4], strict=True):
        np.testing.assert_array_equal(one, other)
        assert not one.flags.writeable


@pytest.mark.parametrize("name", DATASETS)
def test_the_dtype_is_the_only_difference(name):
    single, double = load(name, dtype="float32"), load(name, dtype="float64")
    assert single.x_val.dtype == np.float32
    np.testing.assert_array_equal(single.x_train, double.x_train.astype(np.float32))
    np.testing.assert_array_equal(single.y_train, double.y_train)


@pytest.mark.parametrize("name", PLANE)
def test_noise_moves_the_same_points_the_same_way(name):
    clean, some, more = (load(name, noise).x_train for noise in (0.0, 0.1, 0.3))
    np.testing.assert_allclose(more - clean, 3 * (some - clean), atol=1e-12)
    assert 0.095 < (some - clean).std() < 0.105
    np.testing.assert_array_equal(load(name, 0.0).y_train, load(name, 0.3).y_train)


def test_noise_leaves_digits_alone():
    assert load("digits", 0.5).x_train is load("digits", 0.1).x_train


def test_shapes_of_the_figures():
    """Without noise each class lies where its name says."""
    circles, xor = load("circles", 0.0), load("xor", 0.0)
    radius = np.linalg.norm(circles.x_train, axis=1)
    np.testing.assert_allclose(radius, np.where(circles.y_train == 0, 1.0, 0.45))
    np.testing.assert_array_equal(xor.y_train, xor.x_train.prod(axis=1) > 0)
    moons, spirals, blobs = load("moons", 0.0), load("spirals", 0.0), load("blobs", 0.0)
    centre = np.where(moons.y_train[:, None] == 0, [-0.5, -0.25], [0.5, 0.25])
    np.testing.assert_allclose(np.linalg.norm(moons.x_train - centre, axis=1), 1)
    radius = np.linalg.norm(spirals.x_train, axis=1)
    arm = np.angle(spirals.x_train @ [1, 1j]) - 1.75 * np.pi * radius - spirals.y_train * (2 * np.pi / 3)
    np.testing.assert_allclose(np.exp(1j * arm), 1)
    for label in range(3):
        mean = blobs.x_train[blobs.y_train == label].mean(axis=0)
        angle = label * 2 * np.pi / 3
        np.testing.assert_allclose(mean, [0.8 * np.cos(angle), 0.8 * np.sin(angle)], atol=0.03)


def test_unknown_sets():
    with pytest.raises(ValueError, match="dataset='mnist' is unknown; choose one of digits, circles"):
        load("mnist")


# --- the stream ---------------------------------------------------------------------------------------------


def test_every_epoch_is_a_permutation_and_none_repeats():
    stream = batch_indices(50, (3, 4), 0, 200)
    assert stream.shape == (2, 200)
    epochs = stream.reshape(2, 4, 50)
    np.testing.assert_array_equal(np.sort(epochs), np.broadcast_to(np.arange(50), (2, 4, 50)))
    assert len({tuple(epoch) for seed in epochs for epoch in seed}) == 8


def test_the_stream_can_be_entered_anywhere():
    stream = batch_indices(50, (0, 1), 0, 300)
    for position, count in ((0, 1), (49, 1), (49, 2), (50, 7), (37, 120), (99, 101)):
        part = batch_indices(50, (0, 1), position, count)
        np.testing.assert_array_equal(part, stream[:, position : position + count])


def test_a_seed_has_its_order_whoever_its_neighbours_are():
    np.testing.assert_array_equal(batch_indices(50, (5, 9), 30, 40)[1], batch_indices(50, (9,), 30, 40)[0])


@pytest.mark.parametrize(("size", "steps"), [(1, 5), (32, 130), (700, 7), (1297, 3)])
def test_batches_straddle_epochs_and_blocks(size, steps):
    """Batches are consecutive pieces of the stream, however many are fetched at once."""
    dataset = load("digits")
    stream = batch_indices(1297, (0, 7), 1290, size * steps)
    drawn = list(batches(dataset, (0, 7), 1290, size, steps))
    assert len(drawn) == steps
    for number, (x, labels) in enumerate(drawn):
        indices = stream[:, number * size : (number + 1) * size]
        np.testing.assert_array_equal(x, dataset.x_train[indices])
        np.testing.assert_array_equal(labels, dataset.y_train[indices])
