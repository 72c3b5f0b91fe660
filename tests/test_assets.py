"""What is kept ready in assets/ is what the library computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_image

from bnlib.data import load
from book import photos
from live.worker import digits_batch

ASSETS = Path(__file__).parents[1] / "assets"


def test_the_numbers_of_a_batch_are_a_units_real_input() -> None:
    digits = load("digits").x_train
    np.testing.assert_allclose(np.load(ASSETS / "digits_batch.npy"), digits_batch(len(digits)), rtol=1e-12)


def test_the_pictures_beside_them_are_those_digits() -> None:
    pixels = np.fromfile(ASSETS / "digits_batch.bin", np.uint8).reshape(-1, 64)
    np.testing.assert_array_equal(pixels / 16, load("digits").x_train)


def test_the_photos_are_averages_of_those_that_ship_with_scikit_learn() -> None:
    kept = np.load(ASSETS / "photos.npy")
    assert kept.shape == (2, 61, 91, 3) and kept.dtype == np.uint8
    for name, small in zip(photos.FILES, kept, strict=True):
        pixels = load_sample_image(name)[: 61 * 7, : 91 * 7].reshape(61, 7, 91, 7, 3)
        # Decoders of JPEG differ by a level here and there.
        np.testing.assert_allclose(small.astype(float), pixels.mean(axis=(1, 3)), atol=1.5)
