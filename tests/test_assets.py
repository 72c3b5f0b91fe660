"""What is kept ready in assets/ is what the library computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bnlib.data import load
from live.worker import digits_batch

ASSETS = Path(__file__).parents[1] / "assets"


def test_the_numbers_of_a_batch_are_a_units_real_input() -> None:
    digits = load("digits").x_train
    np.testing.assert_allclose(np.load(ASSETS / "digits_batch.npy"), digits_batch(len(digits)), rtol=1e-12)


def test_the_pictures_beside_them_are_those_digits() -> None:
    pixels = np.fromfile(ASSETS / "digits_batch.bin", np.uint8).reshape(-1, 64)
    np.testing.assert_array_equal(pixels / 16, load("digits").x_train)
