"""The presets: links that restore their race, and races that show what their questions are about."""

from dataclasses import replace
from functools import cache
from urllib.parse import parse_qsl

import numpy as np
import pytest

from bnlib import advance, start
from live.lab import DEFAULTS, LAB_CONTROLS, LAB_STEPS, extras, lane_configs, lane_names
from live.messages import EXTRAS, read
from live.presets import PRESETS
from live.verdict import NOISE


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_link_that_reads_back(name):
    told = extras()["presets"][name]
    assert told["address"].startswith("?")
    values, problems = read(LAB_CONTROLS, dict(parse_qsl(told["address"][1:], strict_parsing=True)))
    assert problems == [] and values == DEFAULTS | PRESETS[name].settings | {"preset": name, "step": 0}
    assert read(LAB_CONTROLS, told["values"]) == (values, [])
    assert 0 < told["until"] == PRESETS[name].until <= LAB_STEPS
    assert (told["label"], told["about"]) == (PRESETS[name].label, PRESETS[name].about)


def test_the_page_knows_every_preset():
    assert list(EXTRAS["lab"]["presets"]) == list(PRESETS)
    assert len({tuple(lane_configs(DEFAULTS | preset.settings)) for preset in PRESETS.values()}) == 6


# --- what they show -------------------------------------------------------------------------------------


@cache
def shown(name):
    """Each lane's name, accuracies at the preset's last step (percent, a seed each) and diverged_at."""
    values, until = DEFAULTS | PRESETS[name].settings, PRESETS[name].until
    lanes = []
    for config in lane_configs(values):
        run = advance(start(replace(config, record_every=until, validate_every=until)), until + 1)
        lanes.append((100 * run.history["val_accuracy"][:, -1], run.diverged_at))
    return dict(zip(lane_names(values), lanes, strict=True))


def means(name):
    return {lane: float(accuracy.mean()) for lane, (accuracy, _) in shown(name).items()}


def test_deep_networks_of_small_weights_need_batch_norm():
    found = means("deep")
    assert found["batch norm"] - found["no norm"] > 30


def test_in_a_shallow_network_with_he_weights_batch_norm_does_nothing():
    found = means("shallow")
    assert abs(found["batch norm"] - found["no norm"]) < NOISE
    assert min(found.values()) > 90, "both have learned"


def test_in_batches_of_two_batch_norm_hurts():
    found = means("pairs")
    assert found["no norm"] - found["batch norm"] > 10


def test_at_a_tenfold_learning_rate_only_batch_norm_holds():
    base, fast, batch = shown("fast").values()
    assert list(shown("fast")) == ["no norm", "no norm, learning rate 2", "batch norm, learning rate 2"]
    assert (fast[1] >= 0).all() and np.isnan(fast[0]).all(), "every seed has diverged"
    assert (batch[1] < 0).all() and batch[0].min() > 50
    assert (base[1] < 0).all() and base[0].min() > 50, "the tenth part of it is fine"


@pytest.mark.parametrize(("name", "lane"), [("eps", "batch norm, ε 1"), ("gamma", "batch norm, γ 0.05")])
def test_extremes_hurt(name, lane):
    found = means(name)
    assert found["batch norm"] - found[lane] > 5
