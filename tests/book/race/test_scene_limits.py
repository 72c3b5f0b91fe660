"""What the lab's scenes say of their limits holds: other settings than their own, other seeds."""

from dataclasses import replace

import numpy as np

from bnlib import advance, start
from book.race.runs import lane_configs
from book.race.scenes import SCENES
from book.race.verdict import NOISE
from tests.book.race.raced import SEEDS, SHOWN, accuracies, but, measured, percent, settings


def test_batch_norm_is_sooner_in_the_opening_race():
    none, batch = accuracies("opening", 50)
    assert (batch - none > 10).all()


def test_no_norm_learns_from_hes_weights():
    none, batch = accuracies("deep", 400, init_scale=1.0)
    assert (none > 80).all() and (batch > none).all(), "if later"


def test_large_weights_cost_batch_norm_something():
    hes = accuracies("large", 200, ("batch", ()), init_scale=1.0)
    large = [one["accuracy_1"] for one in measured(settings("large"), 200)]
    assert (hes[0] - large > 3).all()
    slow = measured(settings("large", lanes=(("none", ()),), lr=0.001), 200)
    assert all(one["lost_0"] == 0 for one in slow)


def test_high_rates_have_a_limit():
    (batch,) = accuracies("fast", 200, ("batch", ()), lr=10.0)
    assert (batch < 20).all()


def test_the_gain_of_tuned_networks_comes_with_the_rate():
    """At 0.1 they are level, and at 1 a network without a norm doesn't learn."""
    none = np.array([one["accuracy_0"] for one in measured(settings("accuracy"), 600)])
    (batch,) = accuracies("accuracy", 600, ("batch", (("lr", 0.1),)))
    assert (abs(batch - none) < NOISE).all()
    (fast,) = accuracies("accuracy", 600, ("none", (("lr", 1.0),)))
    assert not (fast > 20).any()


def test_gradients_of_relu_networks_do_not_vanish_without_a_norm():
    for found in measured(settings("flow", activation="relu"), 5):
        assert found["shrink_0"] < 2 and found["shrink_1"] < 0.6


def test_with_right_labels_norm_batches_of_four_cost_accuracy():
    batch, parts = accuracies("noise", 400, *settings("noise")["lanes"][1:], label_noise=0.0)
    assert (batch - parts > 0.5).all()


def test_one_at_a_time_the_lead_of_layer_norm_depends_on_the_rate():
    none, layer = accuracies("one", 600, ("none", ()), ("layer", ()), lr=0.02)
    assert (abs(none - layer) < NOISE).all()


def test_recurrent_networks_in_batches_of_32_do_not_lose_by_batch_norm():
    layer, batch = accuracies("recurrent", 300, batch_size=32)
    assert f"({percent(batch)} against {percent(layer)}, means of {SEEDS} seeds)" in but("recurrent")
    assert batch.mean() > layer.mean() - NOISE


def test_late_statistics_arrive():
    soon, late = accuracies("late", 1000)
    assert (soon - late < 5).all()


def test_in_batches_of_two_no_norm_learns_about_as_well_as_layer_norm():
    (none,) = accuracies("mend", 100, ("none", ()))
    layer = [one["accuracy_1"] for one in measured(settings("mend"), 100)]
    assert abs(none.mean() - np.mean(layer)) < 6


def test_after_equally_many_digits_batches_of_16_are_not_ahead_at_first():
    large = [accuracies("mend", step, ("batch", (("batch_size", 16),)))[0] for step in (10, 20)]
    small = [accuracies("mend", 8 * step, ("layer", ()))[0] for step in (10, 20)]
    (early, later), (soon, late) = map(percent, large), map(percent, small)
    assert f"after 160 they have {early} and layer norm in batches of two {soon}" in but("mend")
    assert f"after 320 {later} and {late} (means of {SEEDS} seeds)" in but("mend")
    assert (small[0] > large[0] + 10).all() and large[1].mean() < small[1].mean()


def test_in_batches_of_two_batch_renorm_hardly_changes_its_first_layer():
    typical = []
    for config in lane_configs(settings("mend"))[:3]:
        ratios = advance(start(replace(config, record_every=1)), 101).history["update_ratio"]
        typical.append(f"{np.median(ratios[:, 1:, 0]):.1f}".replace("-", "−"))
    batch, layer, renorm = typical
    said = SCENES["mend"].scene.because
    assert f"typically {renorm}, with batch norm {batch}, with layer norm {layer}." in said


def test_gradients_in_the_opening_race_grow_toward_the_input():
    found = measured(settings("opening"), 600)[0]
    none, batch = (f"{1 / found[f'shrink_{lane}']:.1f} times" for lane in (0, 1))
    said = SCENES["opening"].scene.because
    assert f"was {none} the last layer’s, with batch norm {batch}." in said


def test_norm_batches_have_a_best_size():
    whole, some, two = accuracies(
        "noise", 400, *(("batch", (("norm_batch", size),) if size else ()) for size in (0, 16, 2))
    )
    assert (some - whole < 2).all() and (two < 50).all()
    assert f"than 64 ({some[0]:.1f}%)" in but("noise") and f"trains ({two[0]:.1f}%)" in but("noise")


def test_running_averages_add_to_images_and_group_norm_is_behind():
    found = measured(settings("images"), 400)
    added = found[0]["accuracy_1"] - found[0]["batch_accuracy_1"]
    assert f"add {added:.0f} points" in SCENES["images"].scene.because
    (group,) = accuracies("images", 400, ("group", ()))
    assert f"has {group[0]:.1f}% here" in but("images")
    assert (group < [one["accuracy_1"] for one in found]).all()


def test_without_a_norm_a_gan_does_not_train_at_the_rate_of_spectral_norm():
    for lr in (1.0, 2.0):
        assert all(
            one["lost_0"] == SHOWN for one in measured(settings("ring", lanes=(("none", ()),), lr=lr), 1000)
        )
    (slow,) = accuracies("ring", 1000, ("batch", (("lr", 0.003),)))
    assert f"doesn’t help it ({slow[0]:.1f}%)" in but("ring") and (slow < 20).all()
    assert measured(settings("ring"), 1000)[0]["low_0"] < 5, "one seed failed"


def test_at_one_rate_for_all_spectral_norm_is_behind_no_norm():
    (spectral,) = accuracies("ring", 1000, ("spectral", (("lr", 0.1),)))
    none = [one["accuracy_0"] for one in measured(settings("ring"), 1000)]
    assert (none - spectral > 10).all()
    (batch,) = accuracies("ring", 1000, ("batch", (("lr", 0.1),)))
    best = [one["accuracy_1"] for one in measured(settings("ring"), 1000)]
    assert (batch < best).all()


def test_placements_differ_less_later_and_not_with_tanh():
    before, after = accuracies("sigmoid", 400)
    assert (after - before < 2).all()
    before, after = accuracies("sigmoid", 50, activation="tanh")
    assert (abs(after - before) < NOISE).all()


def test_a_large_eps_costs_little_with_hes_weights():
    small, large = accuracies("eps", 200, init_scale=1.0)
    assert ((small - large).round(1) >= 1).all() and ((small - large).round(1) <= 2).all()


def test_a_large_eps_is_above_the_variance_with_hes_weights_too():
    config = lane_configs(settings("eps", init_scale=1.0))[1]
    running = advance(start(config), 1).running
    old = config.momentum  # of the start, a variance of 1
    layers = ((running.var - old) / (1 - old)).reshape(config.replicas, config.depth, -1).mean(axis=(0, 2))
    assert config.eps == 1 and (layers < 0.2).all()
    assert f"{layers[0]:.2f} in layer 1 and {layers[4]:.2f} in layer 5" in but("eps")
    (none,) = accuracies("eps", 200, ("none", ()), init_scale=1.0)
    assert (none > 90).all(), "those weights carry the signal"


def test_a_small_gamma_costs_less_where_no_unit_can_die():
    usual, small = accuracies("gamma", 200, activation="tanh")
    relu = [one["lead"] for one in measured(settings("gamma"), 200)]
    assert (usual - small < np.array(relu) - 2).all()
