"""The presets: links that restore their race, and races that show what their questions are about."""

from dataclasses import replace
from functools import cache
from urllib.parse import parse_qsl

import pytest

from bnlib import advance, start
from book.race.lanes import lane_configs, lane_names
from book.race.scenes import PRESETS
from book.race.settings import DEFAULTS, LAB_CONTROLS, LAB_STEPS, extras
from book.race.verdict import NOISE
from live.messages import LAB, read


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
    assert list(LAB["presets"]) == list(PRESETS)
    assert len({tuple(lane_configs(DEFAULTS | preset.settings)) for preset in PRESETS.values()}) == 8


# --- what they show -------------------------------------------------------------------------------------


@cache
def outcome(config, step):
    """Validation accuracies at ``step`` (percent), fours of seeds, and which seeds have diverged."""
    run = advance(start(replace(config, record_every=step, validate_every=step)), step + 1)
    return (100 * run.history["val_accuracy"][:, -1]).reshape(-1, 4), run.diverged_at.reshape(-1, 4) >= 0


def shown(name):
    """Outcomes by lane, for three times the seeds of the link: what only four show isn't so."""
    values = DEFAULTS | PRESETS[name].settings
    configs = lane_configs(values | {"replicas": 12})
    lanes = [outcome(config, PRESETS[name].until) for config in configs]
    return dict(zip(lane_names(values), lanes, strict=True))


def means(name):
    """By lane, what a reader reads: means over four seeds, three of them."""
    return {lane: accuracy.mean(axis=1) for lane, (accuracy, _) in shown(name).items()}


def test_the_link_shows_four_of_the_seeds():
    assert DEFAULTS["replicas"] == 4 and not any("replicas" in p.settings for p in PRESETS.values())


def test_deep_networks_of_small_weights_need_batch_norm():
    found = means("deep")
    assert (found["batch norm"] - found["no norm"] > 30).all()


def test_in_a_shallow_network_with_he_weights_batch_norm_does_nothing():
    found = means("shallow")
    assert (abs(found["batch norm"] - found["no norm"]) < NOISE).all()
    assert (found["no norm"] > 90).all(), "both have learned"


def test_in_batches_of_two_batch_norm_hurts():
    found = means("pairs")
    assert (found["no norm"] - found["batch norm"] > 10).all()


def test_in_batches_of_two_pictures_batch_norm_helps():
    found = means("images")
    assert (found["batch norm"] - found["no norm"] > 10).all()


def test_on_the_ring_spectral_norm_draws_best_and_batch_norm_loses_the_place():
    found = means("ring")
    spectral = found["spectral norm (learning rate 2)"]
    assert (spectral - found["no norm"] > 5).all() and (spectral > 60).all()
    assert (found["batch norm"] < 5).all()


def test_at_a_tenfold_learning_rate_only_batch_norm_holds():
    assert list(shown("fast")) == ["no norm", "no norm (learning rate 2)", "batch norm (learning rate 2)"]
    (base, base_lost), (fast, fast_lost), (batch, batch_lost) = shown("fast").values()
    assert fast_lost[0].all() and fast_lost.mean() > 0.8, "every seed of the link, and most others"
    assert not (fast[~fast_lost] > 20).any(), "who is left hasn't learned"
    assert not batch_lost.any() and (batch > 50).all()
    assert not base_lost.any() and (base > 50).all(), "the tenth part of it is fine"


@pytest.mark.parametrize(("name", "lane"), [("eps", "batch norm (ε 1)"), ("gamma", "batch norm (γ 0.05)")])
def test_extremes_hurt(name, lane):
    found = means(name)
    assert (found["batch norm"] - found[lane] > 2 * NOISE).all()
