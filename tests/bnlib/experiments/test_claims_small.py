"""E11, E12, E20: where the bounds of small batches lie, and what is said of them."""

import numpy as np
import pytest

from bnlib.experiments import find
from tests.bnlib.claims import failed, measured_of, read


def said(name, measured):
    """Return what experiment `name` says of these numbers."""
    return " ".join(read(name, measured, "full").findings.notes)


def normed(**changes):
    """Numbers of E11: the error of all seeds by size of the norm batch (`m4`), or norm."""
    errors = {64: 2.0, 32: 2.0, 16: 2.5, 8: 2.5, 4: 6.0, 2: 75.0, "group": 4.0, "layer": 4.0, "none": 4.0}
    errors |= {int(key[1:]) if key[1:].isdigit() else key: value for key, value in changes.items()}
    names = ("final", "final_batch", "final_train_batch")
    return {m: dict.fromkeys(names, np.full(6, errors[m])) for m in find("E11").cells(True)}


@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        ({}, []),
        ({"m64": 39.0}, []),
        ({"m64": 41.0}, ["error at m=2 − at m=64"]),
        ({"m2": 36.0, "m64": 0.9, "m16": 1.0}, []),
        ({"m2": 33.0}, ["error at m=2 − at m=64", "error at m=2 − of group norm"]),
        ({"group": 1.0}, []),  # a better reference is welcome
        ({"group": 46.0}, ["error at m=2 − of group norm"]),
        ({"m4": 3.8}, []),
        ({"m4": 3.7}, ["error at m=4 / at m=16"]),
        ({"m8": 90.0, "layer": 90.0, "none": 90.0}, []),  # only reported
    ],
)
def test_small_norm_batches_are_judged_by_bounds(changes, fails):
    found = failed("E11", normed(**changes))
    assert len(found) == len(fails)
    assert all(one.startswith(start) for one, start in zip(found, fails, strict=True))
    stance = "does not show" if fails else "supports"
    assert read("E11", normed(**changes), "full").stances == {"small": stance}


def test_one_seed_does_not_make_four_samples_worse_than_sixteen():
    measured = normed()
    measured[4] = measured[4] | {"final": np.array([2.4] * 5 + [30.0])}
    assert measured[4]["final"].mean() / 2.5 == pytest.approx(2.8)
    assert failed("E11", measured) == ["error at m=4 / at m=16"]  # the geometric mean is 1.46


def test_sentences_of_small_norm_batches_follow_the_numbers():
    measured = normed()
    measured[32] = measured[32] | {"final": np.array([1.0, 4.0, 1.0, 4.0, 1.0, 4.0])}
    text = said("E11", measured)
    assert "clearly higher at m=16: +0.5 (+0.5 to +0.5), at m=8: +0.5 (+0.5 to +0.5), at m=4: +4.0" in text
    assert "; no clear difference at m=32: +0.5 (-1.2 to +2.2)." in text
    assert "m=64 − group norm: -2.0 points (95% interval -2.0 to -2.0, 6 seeds)" in text
    assert "; clearly lower at m=8: -1.0 (-1.0 to -1.0); no" in said("E11", normed(m8=1.0))


def sized(**changes):
    """Numbers of E12: `norm`_`batch size` is the error of all seeds."""
    errors = {"batch_4": 7.0, "batch_2": 70.0} | changes
    return {
        (norm, size): {"final": np.full(3, errors.get(f"{norm}_{size}", 3.0))}
        for norm, size in find("E12").cells(True)
    }


@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        ({}, ""),
        ({"batch_4": 4.6}, ""),
        ({"batch_4": 4.4}, "batch norm − group norm at batch 4"),
        ({"batch_2": 33.1}, ""),
        ({"batch_2": 32.9}, "batch norm − group norm at batch 2"),
        ({"group_64": 4.9}, ""),
        ({"group_64": 5.1}, "group norm, highest − lowest"),
        ({"layer_2": 80.0, "batch_64": 1.0}, ""),  # only reported
    ],
)
def test_small_batches_are_judged_by_bounds(changes, fails):
    found = failed("E12", sized(**changes))
    assert len(found) == bool(fails) and all(one.startswith(fails) for one in found)
    stance = "does not show" if fails else "supports"
    assert read("E12", sized(**changes), "full").stances == {"small": stance}


def test_sentences_of_small_batches_follow_the_numbers():
    text = said("E12", sized(batch_64=2.0))
    assert "clearly higher at batch 4: +4.0 (+4.0 to +4.0), at batch 2: +67.0 (" in text
    assert "; clearly lower at batch 64: -1.0 (-1.0 to -1.0); no clear difference at batch 32: +0.0" in text


def test_what_one_sample_at_a_time_teaches_is_judged_by_bounds(store):
    for norm, error, fails in (
        ("batch", 79.0, 1), ("batch", 70.0, 3), ("layer", 40.0, 1), ("none", 40.0, 1), ("none", 0.0, 0),
    ):  # fmt: skip
        measured = measured_of("E20", store)
        assert failed("E20", measured) == []
        measured[norm]["final"] = np.full(3, error)
        assert len(failed("E20", measured)) == fails
        assert read("E20", measured, "full").stances == {"online": "does not show" if fails else "supports"}
    measured = measured_of("E20", store)
    measured["batch"]["final_batch"] = np.zeros(3)  # with these statistics it can't but guess: reported
    assert failed("E20", measured) == []
