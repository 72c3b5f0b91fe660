"""E26 and E30: gradients of blocks against PyTorch's, what the cells are, and what is said of the numbers."""

import math

import numpy as np
import pytest
import torch

from bnlib import RunConfig, advance, start
from bnlib.data import batches
from bnlib.experiments import find
from bnlib.experiments.probes import MEASURES
from bnlib.torch_check.twin import twin
from tests.bnlib.claims import failed, read


@pytest.mark.parametrize("source", ["random", "loss"])
@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("residual", ["pre", "post"])
def test_gradients_of_blocks_are_pytorchs(residual, norm, source):
    config = RunConfig(
        residual=residual, norm=norm, depth=4, width=8, batch_size=6, replicas=2, seed=3, dtype="float64"
    )
    found = MEASURES["block_gradients"](config, 0, source)["gradient"]
    run = start(config)
    x, labels = next(batches(config.data(), (3, 4), 0, 6, 1))
    for replica in range(2):
        model = twin(run, replica)
        if source == "random":
            rng = np.random.default_rng((3 + replica, 3))
            drawn, top = rng.standard_normal((6, 64)), rng.standard_normal((6, 10))
            (
                model(torch.tensor(drawn / math.sqrt(2))) * torch.tensor(top / np.linalg.norm(top))
            ).sum().backward()
        else:
            logits, right = model(torch.tensor(x[replica])), torch.tensor(labels[replica])
            torch.nn.functional.cross_entropy(logits, right).backward()
        norms = [float(model.named[f"weight{block}"].grad.norm()) for block in (1, 2, 3)]
        np.testing.assert_allclose(found[replica], norms, rtol=1e-9)


def test_arms_differ_in_what_they_are_called_after():
    for (arm, layers, rate), cell in find("E26").cells(True).items():
        config = cell.config
        assert (config.residual, config.depth, config.lr, config.seed) == ("pre", layers, rate, 0)
        assert (config.norm, config.skip_init) == ("batch" if arm == "batch" else "none", arm == "skip")
    for label, cell in find("E30").cells(True).items():
        place = "post" if label[1] == "warmed up" else label[1]
        assert (cell.config.residual, cell.config.depth) == (place, label[2] + 1)
        assert cell.config.norm == (label[0] if label[0] in ("rms", "batch") else "layer")


def test_a_learning_rate_that_rises_gets_where_the_others_are():
    cells = find("E30").cells(True)
    warm, plain = (cells["trained", place, 48].config for place in ("warmed up", "post"))
    rates = [warm.at(step).lr for step in range(100)]
    assert rates == sorted(rates) and rates[0] == pytest.approx(plain.lr / 10)
    assert rates[44] < plain.lr and rates[45:] == [plain.lr] * 55
    assert not np.array_equal(advance(start(warm), 1).flat, advance(start(plain), 1).flat)


# --- small branches -----------------------------------------------------------------------------------------

ERRORS = {"none": np.nan, "batch": 5.0, "skip": 6.0}


def branches(errors=ERRORS, high=(np.nan, 3.0), lost=0, spread=0.5):
    """Numbers of E26 at full size: errors by arm, at the high rate those of SkipInit and batch norm."""
    ripple = spread * np.arange(-2.0, 3)  # five seeds
    found = {}
    for arm, layers, rate in find("E26").cells(True):
        usual = errors[arm] if rate == 0.1 else high[arm == "batch"] if rate == 1.0 else 20.0
        final = usual + ripple * (arm == "skip")
        found[arm, layers, rate] = {"final": final, "diverged_at": np.where(np.isnan(final), lost, -1)}
    return found


@pytest.mark.parametrize(
    ("change", "fails", "stance"),
    [
        ({}, 0, "qualifies"),
        ({"errors": ERRORS | {"skip": 7.9}}, 0, "qualifies"),
        ({"errors": ERRORS | {"skip": 8.1}}, 2, "speaks against"),
        ({"errors": ERRORS | {"skip": 1.9}}, 2, "speaks against"),  # better is another matter, too
        ({"errors": ERRORS | {"none": 79.0}}, 2, "speaks against"),
        ({"high": (42.0, 3.0)}, 1, "supports"),
        ({"high": (44.0, 3.0)}, 0, "qualifies"),
        ({"errors": dict.fromkeys(ERRORS, 5.0), "high": (5.0, 5.0)}, 3, "does not show"),
    ],
)
def test_small_branches_are_judged_by_bounds(change, fails, stance):
    measured = branches(**change)
    assert len(failed("E26", measured)) == fails
    assert read("E26", measured, "full").stances == {"branch": stance}


def test_a_run_that_is_given_up_guesses_and_is_counted():
    result = read("E26", branches(), "full")
    guesses = [one.measured for one in result.findings.checks if one.what.startswith("error, no norm, 30")]
    assert guesses == [90.0]
    said = " ".join(result.findings.notes)
    assert "At learning rate 1, 5 of 5 networks with SkipInit and 0 with batch norm are given up." in said
    assert "5 of 5 with 30 layers, of these 5 at once" in said
    later = " ".join(read("E26", branches(lost=7), "full").findings.notes)
    assert "5 of 5 with 30 layers, of these 0 at once" in later


def test_what_is_said_of_skip_init_follows_the_numbers():
    clear, level = (" ".join(read("E26", branches(spread=s), "full").findings.notes) for s in (0.5, 2.0))
    assert "30 layers, learning rate 0.1: SkipInit − batch norm +1.0 points" in clear
    assert "no evidence" not in clear and level.count("no evidence of a difference") >= 2


# --- where the norm is --------------------------------------------------------------------------------------


def places(post=90.0, warm=80.0, tilt=0.0):
    """Numbers of E30 at full size as theory has them; 12 blocks err by 4 and 6%, 48 by 5% and `post`."""
    found = {}
    for label, cell in find("E30").cells(True).items():
        kind, place, blocks = label
        if kind == "trained":
            usual = (
                {"pre": 5.0, "post": post, "warmed up": warm} if blocks == 48 else {"pre": 4.0, "post": 6.0}
            )
            found[label] = {"final": usual[place] + (place != "pre") * np.array([-1.0, 0, 0, 1.0])}
        else:
            square = 1 / np.arange(2.0, blocks + 2) if place == "pre" else np.full(blocks, 0.5)
            square = square * (blocks / 12) ** tilt
            found[label] = {"gradient": np.tile(np.sqrt(32 * square), (cell.config.replicas, 1))}
    return found


@pytest.mark.parametrize(
    ("change", "fails", "stance"),
    [
        ({}, 0, "qualifies"),
        ({"post": 46.0}, 0, "qualifies"),
        ({"post": 44.0}, 1, "speaks against"),
        ({"tilt": 0.12}, 0, "qualifies"),  # 48 blocks: 18% above
        ({"tilt": 0.14}, 4, "does not show"),  # and 21%
        ({"tilt": -0.14}, 0, "qualifies"),
        ({"tilt": -0.17}, 4, "does not show"),
    ],
)
def test_where_the_norm_is_is_judged_by_bounds(change, fails, stance):
    measured = places(**change)
    assert len(failed("E30", measured)) == fails
    assert read("E30", measured, "full").stances == {"place": stance}


def test_what_is_said_of_places_follows_the_numbers():
    said, level = (" ".join(read("E30", places(warm=warm), "full").findings.notes) for warm in (80.0, 90.0))
    assert "‖gradient‖² of 0.50 with layer norm inside the branch and of 0.50 behind the sum" in said
    assert "inside the branch: +85.0 points" in said and "with 12 blocks +2.0 points" in said
    assert "rises over 50 steps − one that does not: -10.0 points" in said
    assert "no evidence of a difference" not in said and level.count("no evidence of a difference") == 1
