"""What the lab's scenes say of their limits holds: other settings than their own, on fresh seeds."""

from dataclasses import replace

import numpy as np

from bnlib import advance, start
from bnlib.experiments.intervals import paired
from book.race.runs import lane_configs
from book.race.scenes import SCENES
from book.race.verdict import SMALLEST
from tests.book.race.raced import MANY, accuracies, but, judged, measured, percent, settings

NONE, LAYER, BATCH = (("none", ()), ("layer", ()), ("batch", ()))


def ahead(name, step, *lanes, **changes):
    """How far the second lane is ahead of the first, over fresh seeds."""
    first, second = accuracies(name, step, *lanes, **changes)
    return paired(second - first)


def clear(interval):
    return interval.low > 0 and interval.mean >= SMALLEST


def test_batch_norm_is_sooner_in_the_opening_race():
    assert ahead("opening", 50).low > 10


def test_other_shapes_turn_the_opening_race():
    shapes = ({"depth": 3}, {"depth": 7}, {"width": settings("opening")["width"] // 2})
    found = [ahead("opening", 600, **shape) for shape in shapes]
    assert all(clear(one) and 1 <= round(one.mean) <= 3 for one in found), found
    assert f"1 to 3 points ahead at step 600, too (means of {MANY} other seeds)" in but("opening")


def test_the_lead_in_two_layers_is_small():
    found = ahead("shallow", 600, many=24)
    words = f"{found.mean:.1f} points ahead (95% interval {found.low:+.1f} to {found.high:+.1f})"
    assert f"Over {found.seeds} other seeds batch norm is {words}" in but("shallow")
    assert found.clear and not clear(found), "two of 500 samples"


def test_noise_behind_the_norm_has_a_price():
    lanes = (("batch", ()), ("batch", (("norm_noise", 1.0),)))
    found = judged(settings("shift", lanes=lanes), 100, every=5, fresh=True)
    words = (
        f"is {found['train_loss_0']:.2f}, with it {found['train_loss_1']:.2f} (means of {MANY} other seeds)"
    )
    assert words in but("shift")


def test_with_relu_noise_leaves_no_clear_lead():
    found = ahead("shift", 200, activation="relu", init_scale=1.0, lr=0.1)
    assert found.low < 0 < found.high and "no clear lead after 200 steps" in but("shift")


def test_four_layers_are_too_many_for_some_networks_at_that_rate():
    none, batch = accuracies("shallow", 600, depth=4)
    assert 1 <= (none < 90).sum() < MANY / 2 and (batch > 90).all()


def test_no_norm_learns_from_hes_weights():
    none, batch = accuracies("deep", 400, init_scale=1.0)
    assert np.median(none) > 85 and none.min() > 20 and clear(paired(batch - none)), "if later"


def test_large_weights_cost_batch_norm_something():
    hes, large = (accuracies("large", 200, BATCH, **more)[0] for more in ({"init_scale": 1.0}, {}))
    assert paired(hes - large).low > 3
    (slow,) = accuracies("large", 200, NONE, lr=0.001)
    assert np.isfinite(slow).all()
    none, batch = accuracies("large", 200, depth=3)
    assert np.isfinite(none).sum() > MANY / 2 and np.nanmean(none) > 50 and clear(paired(batch - none))


def test_high_rates_have_a_limit():
    (batch,) = accuracies("fast", 200, BATCH, lr=10.0)
    assert (batch < 20).all()


def test_of_the_lead_at_a_high_rate_two_points_are_left():
    found = accuracies("fast", 600)
    nearest = paired(found[3] - found[np.argsort(np.nanmean(found, axis=1))[-2]])
    assert nearest.clear and round(nearest.mean) == 2 and "after 600 steps 2 points are left" in but("fast")


def test_the_gain_of_tuned_networks_comes_with_the_rate():
    """At 0.1 a point of it is left, and at 1 a network without a norm doesn't learn."""
    slow = ahead("accuracy", 600, *((norm, (("lr", 0.1),)) for norm in ("none", "batch")))
    assert slow.clear and round(slow.mean) == 1
    assert f"at 0.1 batch norm is 1 point ahead ({MANY} other seeds)" in but("accuracy")
    assert slow.mean < ahead("accuracy", 600).mean / 2, "most of it"
    (fast,) = accuracies("accuracy", 600, ("none", (("lr", 1.0),)))
    assert not (fast > 20).any()


def test_gradients_of_relu_networks_do_not_vanish_without_a_norm():
    for found in measured(settings("flow", activation="relu"), 5):
        assert found["shrink_0"] < 2 and found["shrink_1"] < 0.6


def test_with_right_labels_norm_batches_of_four_gain_nothing():
    assert ahead("noise", 400, *settings("noise")["lanes"][1:], label_noise=0.0).high < SMALLEST


def test_norm_batches_have_a_best_size():
    whole, some, two = accuracies(
        "noise", 400, *(("batch", (("norm_batch", size),) if size else ()) for size in (0, 16, 2))
    )
    assert not clear(paired(some - whole)) and (two < 60).all()
    assert f"than 64 ({percent(some)} and {percent(whole)}, means of {MANY} other seeds)" in but("noise")
    assert f"trains ({percent(two)})" in but("noise")


def test_one_at_a_time_the_lead_of_layer_norm_is_one_of_speed():
    soon, late = (ahead("one", step, NONE, LAYER) for step in (400, 1200))
    assert late.clear and f"{late.mean:.0f} of {soon.mean:.0f} points are left" in but("one")
    assert not clear(ahead("one", 600, NONE, LAYER, lr=0.02))


def test_recurrent_networks_in_batches_of_32_do_not_lose_by_batch_norm():
    layer, batch = accuracies("recurrent", 300, batch_size=32)
    words = f"({percent(layer)} against {percent(batch)}, means of {MANY} other seeds)"
    assert f"layer norm has no clear lead {words}" in but("recurrent")
    assert not clear(paired(layer - batch)) and paired(layer - batch).high < 3


def test_late_statistics_arrive():
    late, soon = accuracies("late", 1000)[::-1]
    assert (soon - late).mean() < 5


def test_in_batches_of_two_no_norm_learns_about_as_well_as_layer_norm():
    found = ahead("mend", 100, NONE, LAYER)
    assert not clear(found) and found.high < 10


def test_after_equally_many_digits_batches_of_16_are_not_ahead_at_first():
    large = [accuracies("mend", step, ("batch", (("batch_size", 16),)))[0] for step in (10, 20)]
    small = [accuracies("mend", 8 * step, LAYER)[0] for step in (10, 20)]
    (early, later), (soon, late) = map(percent, large), map(percent, small)
    assert f"after 160 they have {early} and layer norm in batches of two {soon}" in but("mend")
    assert f"after 320 {later} and {late} (means of {MANY} other seeds)" in but("mend")
    assert all(clear(paired(one - other)) for one, other in zip(small, large, strict=True))


def test_in_batches_of_two_batch_renorm_hardly_changes_its_first_layer():
    typical = []
    for config in lane_configs(settings("mend"))[:3]:
        ratios = advance(start(replace(config, record_every=1)), 101).history["update_ratio"]
        typical.append(f"{np.median(ratios[:, 1:, 0]):.1f}".replace("-", "−"))
    batch, layer, renorm = typical
    said = SCENES["mend"].scene.because
    assert f"typically {renorm}, with batch norm {batch}, with layer norm {layer}." in said


def test_pairs_have_nearly_one_size_where_the_page_says_so():
    """The closed form at the gap that is named, and measured at the start of the race."""
    gap, eps = 0.03, settings("pairs")["eps"]
    assert f"for any gap above {gap}" in SCENES["pairs"].scene.because
    assert gap / np.sqrt(gap**2 + 4 * eps) > 0.97
    config = replace(lane_configs(settings("pairs"))[1], record_every=1)
    first = advance(start(config), 1).history["preactivation_histogram"][:, 0]  # bins of an eighth
    share = first[..., 24] + first[..., 39]  # from 7/8 to 1, either way
    assert 0.95 < share.min() <= 1.001


def test_gradients_in_the_opening_race_grow_toward_the_input():
    found = judged(settings("opening"), 600)
    none, batch = (f"{1 / found[f'shrink_{lane}']:.1f} times" for lane in (0, 1))
    said = SCENES["opening"].scene.because
    assert f"was {none} the last layer’s, with batch norm {batch}." in said


def test_running_averages_add_to_images_and_group_norm_is_behind():
    group, batch = accuracies("images", 400, ("group", ()), BATCH)
    words = f"{percent(group)} here at the same learning rate (batch norm {percent(batch)}, means of {MANY}"
    assert words in but("images") and clear(paired(batch - group))


def test_the_lead_in_images_is_one_of_speed_and_takes_more_than_a_layer():
    late = ahead("images", 1200)
    assert late.clear and late.mean < 10 and "after 1,200 steps fewer than 10" in but("images")
    assert (accuracies("images", 400, depth=1).mean(axis=1) < 20).all()


def test_without_a_norm_a_gan_depends_on_the_seed():
    (none,) = accuracies("ring", 1000, ("none", (("lr", 0.1),)))
    ends = f"{percent(none)} are near a Gaussian, but seeds reach from {none.min():.1f}% to {none.max():.1f}%"
    assert ends in but("ring")
    deep, lipschitz = accuracies(
        "ring", 1000, *((n, (("lr", lr),)) for n, lr in (("none", 0.05), ("spectral", 2.0))), depth=5
    )
    words = f"({percent(lipschitz)} against {percent(deep)}, means of {MANY} other seeds)"
    assert f"no clear lead {words}" in but("ring") and lipschitz.mean() < deep.mean()


def test_a_smaller_rate_does_not_help_batch_norm_in_a_gan():
    (slow,) = accuracies("ring", 1000, ("batch", (("lr", 0.003),)))
    assert f"doesn’t help batch norm ({percent(slow)})" in but("ring") and slow.mean() < 25


def test_placements_differ_less_later_and_not_with_tanh():
    later = ahead("sigmoid", 400)
    assert later.mean > 0 and later.high < 2
    assert not clear(ahead("sigmoid", 50, activation="tanh"))


def test_a_large_eps_costs_little_with_hes_weights():
    found = ahead("eps", 200, *settings("eps")["lanes"][::-1], init_scale=1.0)
    assert found.clear and 1 <= round(found.mean, 1) <= 2
    later = ahead("eps", 600, *settings("eps")["lanes"][::-1])
    assert later.clear and f"after 600 steps {later.mean:.0f} points are left" in but("eps")


def test_a_large_eps_is_above_the_variance_with_hes_weights_too():
    config = lane_configs(settings("eps", init_scale=1.0))[1]
    running = advance(start(config), 1).running
    old = config.momentum  # of the start, a variance of 1
    layers = ((running.var - old) / (1 - old)).reshape(config.replicas, config.depth, -1).mean(axis=(0, 2))
    assert config.eps == 1 and (layers < 0.2).all()
    assert f"{layers[0]:.2f} in layer 1 and {layers[4]:.2f} in layer 5" in but("eps")
    (none,) = accuracies("eps", 200, NONE, init_scale=1.0)
    assert (none > 90).all(), "those weights carry the signal"


def test_a_small_gamma_costs_less_where_no_unit_can_die_and_less_later():
    relu, later = (ahead("gamma", step, *settings("gamma")["lanes"][::-1]) for step in (200, 600))
    tanh = ahead("gamma", 200, *settings("gamma")["lanes"][::-1], activation="tanh")
    assert tanh.mean < relu.mean - 2
    assert later.clear and f"{later.mean:.0f} points are left of it after 600 steps" in but("gamma")
