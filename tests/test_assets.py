"""What is kept ready in assets/ is what the library computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bnlib.data import load
from live.messages import BATCH_LIMIT
from live.worker import digits_batch

ASSETS = Path(__file__).parents[1] / "assets"


def test_the_first_batch_is_a_units_real_input() -> None:
    np.testing.assert_allclose(np.load(ASSETS / "digits_batch.npy"), digits_batch(BATCH_LIMIT), rtol=1e-12)


def test_the_pictures_beside_it_are_those_digits() -> None:
    pixels = np.fromfile(ASSETS / "digits_batch.bin", np.uint8).reshape(BATCH_LIMIT, 64)
    np.testing.assert_array_equal(pixels / 16, load("digits").x_train[:BATCH_LIMIT])
