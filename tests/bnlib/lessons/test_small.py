"""Small batches: laws of statistics, what passes a norm, training on devices, and fixes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bnlib import RunConfig, theory
from bnlib.experiments.probes.passes import next_batch
from bnlib.lessons import small, small_fixes
from bnlib.networks.parameters import plan
from bnlib.norms.running import RunningStats
from bnlib.training.train import advance, start

TINY = RunConfig(
    depth=2, width=6, batch_size=8, norm_batch=2, optimizer="momentum", replicas=2, dtype="float64", seed=3
)  # fmt: skip


def test_means_and_deviations_of_batches_follow_their_laws():
    found = small.law(0, 5, (2, 8, 32, 128))
    for place, m in enumerate((2, 8, 32, 128)):
        # 4,000 batches: a standard deviation is known to about 1.1%.
        assert found["spread"][place] == pytest.approx(theory.batch_mean_variance(m) ** 0.5, rel=0.05)
        assert found["std"][place] == pytest.approx(theory.batch_std_mean(m), rel=0.03)
    assert np.isnan(found["inverse"][0]) and found["inverse"][1] == pytest.approx(1.2036, rel=0.03)


def test_batches_are_drawn_from_what_the_unit_gets():
    x = small.unit_numbers(0, 5)
    digits = RunConfig(dtype="float64").data().x_train
    weights = np.sqrt(2 / 64) * np.random.default_rng((0, 0)).standard_normal((64, 64))
    np.testing.assert_allclose(x, digits @ weights[:, 5])
    rows = np.random.default_rng((0, 10)).integers(len(x), size=(small.MOST, small.BATCHES))[:3]
    own = small.drawn(0, 5, 3)
    np.testing.assert_allclose(own.mean, (x[rows].mean(axis=0) - x.mean()) / x.std(), atol=1e-12)
    np.testing.assert_allclose(own.std, x[rows].std(axis=0) / x.std(), atol=1e-12)
    with pytest.raises(ValueError, match="m=0 must lie in 1 to 128"):
        small.drawn(0, 5, 0)


# ---- PyTorch as the reference ----------------------------------------------------------------------------


def through(run, replica, m, correct):
    """The loss of the run's next batch in PyTorch: its parameters, and what enters and leaves each norm."""
    x, labels = (torch.tensor(array[replica]) for array in next_batch(run))
    own = {name: torch.tensor(a[replica], requires_grad=True) for name, a in run.parameters.items()}
    before, after, width, config = [], [], run.config.width, run.config
    for layer in range(config.depth):
        x = x @ own[f"weight{layer}"]
        x.retain_grad()
        before.append(x)
        parts = x.reshape(m, -1, width)  # samples 0, N/m, 2N/m, ... share
        mean, std = parts.mean(0), (parts.var(0, correction=0) + config.eps).sqrt()
        here = slice(layer * width, (layer + 1) * width)
        running = [torch.tensor(a[replica, here]) for a in (run.running.mean, run.running.var)]
        r, d = correct(mean, std, running[0], (running[1] + config.eps).sqrt())
        y = (((parts - mean) / std) * r + d).reshape(-1, width)
        y = own[f"gamma{layer}"] * y + own[f"beta{layer}"]
        y.retain_grad()
        after.append((y, std))
        x = F.relu(y)
    loss = F.cross_entropy(x @ own[f"weight{config.depth}"] + own[f"bias{config.depth}"], labels)
    loss.backward()
    return own, before, after


def test_the_share_that_passes_is_that_of_autograd():
    for config in (replace(TINY, norm_batch=4), replace(TINY, norm_batch=0)):
        run = advance(start(config), 3)
        found, m = small.passed(run), config.norm_batch or config.batch_size
        for replica in range(2):
            own, before, after = through(run, replica, m, lambda mean, std, *_: (1.0, 0.0))
            for layer, (x, (y, std)) in enumerate(zip(before, after, strict=True)):
                scaled = x.grad.reshape(m, -1, 6) * std / own[f"gamma{layer}"]
                share = (scaled.detach() ** 2).sum() / (y.grad**2).sum()
                assert found[replica, layer] == pytest.approx(share.item(), rel=1e-9)
    assert np.isnan(small.passed(start(replace(TINY, norm="layer", norm_batch=0)))).all()


def test_two_samples_let_next_to_nothing_pass():
    assert (
        small.passed(start(TINY)).max() < 0.05 < 0.3 < small.passed(start(replace(TINY, norm_batch=8))).min()
    )


@pytest.mark.parametrize(("r_max", "d_max"), [(1.5, 0.5), (1e3, 1e3), (1.0, 0.0)])
def test_renorm_on_devices_has_the_gradient_of_autograd(r_max, d_max):
    config = replace(TINY, norm="renorm", norm_batch=0, r_max=r_max, d_max=d_max)
    rng, run = np.random.default_rng(1), start(config)
    shape = run.running.mean.shape
    moved = RunningStats(rng.normal(size=shape), rng.uniform(0.3, 2, shape), 0.9, 1)
    flat = run.flat + 0.1 * rng.normal(size=run.flat.shape)
    run = replace(run, running=moved, flat=flat)
    gradient, seen = small_fixes.device_gradient(run, 4, *next_batch(run))

    def correct(mean, std, running, running_std):
        r = (std / running_std).clamp(1 / r_max, r_max).detach()
        return r, ((mean - running) / running_std).clamp(-d_max, d_max).detach()

    for replica in range(2):
        own, before, _ = through(run, replica, 4, correct)
        for name, array in plan(config).views(gradient).items():
            np.testing.assert_allclose(
                array[replica], own[name].grad.numpy(), rtol=1e-8, atol=1e-12, err_msg=name
            )
        means = torch.cat([x.reshape(4, -1, 6).mean((0, 1)) for x in before])
        np.testing.assert_allclose(seen[replica, 0], means.detach().numpy(), atol=1e-12)


def test_renorm_without_corrections_is_training_in_norm_batches():
    plain = replace(TINY, norm="renorm", norm_batch=0, r_max=1.0, d_max=0.0)
    *_, last = small_fixes.on_devices(plain, 4, 5, 5)
    usual = advance(start(replace(TINY, norm_batch=4)), 5)
    np.testing.assert_allclose(last.flat, usual.flat, atol=1e-13)
    for one, other in ((last.running.mean, usual.running.mean), (last.running.var, usual.running.var)):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_frozen_statistics_are_those_of_one_pass_and_stay():
    runs = list(small_fixes.frozen(TINY, 4, 2))
    assert [run.step for run in runs] == [0, 2, 4]
    digits, weight = TINY.data().x_train, runs[0].parameters["weight0"][1]
    for run in runs:
        np.testing.assert_allclose(run.running.mean[1, :6], (digits @ weight).mean(axis=0))
        np.testing.assert_allclose(run.running.var[1, :6], (digits @ weight).var(axis=0, ddof=1))
    assert np.abs(runs[2].flat - runs[0].flat).max() > 1e-3


def test_rounding_grows_in_norm_batches_of_two_alone():
    config = replace(TINY, width=32, batch_size=32, lr=0.1)
    assert small.rounding(config, 15)["differs"].min() > 0.2
    assert not small.rounding(replace(config, norm_batch=16), 15)["differs"].any()


def test_what_an_image_is_worth_is_found_by_torch_as_well():
    run = start(RunConfig(network="cnn", depth=2, width=8, batch_size=8, replicas=2, dtype="float64"))
    found, images = small.worth(run), run.config.data().x_train[: small.ASKED]
    for replica in range(2):
        kernel = torch.tensor(run.parameters["weight0"][replica]).T.reshape(4, 3, 3, 1).permute(0, 3, 1, 2)
        z = F.conv2d(torch.tensor(images.reshape(-1, 1, 8, 8)), kernel, padding=1)
        # What enters the activation is normalized by the batch, with gamma 1 and beta 0.
        std = (z.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        z = (z - z.mean((0, 2, 3), keepdim=True)) / std
        whole, means = z.var((0, 2, 3), correction=0).mean(), z.mean((2, 3)).var(0, correction=0).mean()
        assert found[replica, 0] == pytest.approx((whole / means).item(), rel=1e-9)


def test_every_fix_is_looked_at_alike():
    for name in small_fixes.FIXES:
        config = replace(TINY, width=16, batch_size=16)
        found = small_fixes.mended(config, 4, 2, name)
        assert found["step"].tolist() == [0, 2, 4] and found["val"].shape == (2, 3)
        assert np.isfinite(found["val"]).all()
    with pytest.raises(ValueError, match="fix='prayer' is not one of asis, accumulate"):
        small_fixes.mended(TINY, 4, 2, "prayer")


def test_accumulating_is_a_larger_batch_in_norm_batches_as_before():
    (found,) = (small_fixes.mended(TINY, 3, 3, "accumulate")["val"][:, -1],)
    larger = advance(start(replace(TINY, batch_size=32)), 3)
    np.testing.assert_array_equal(found, small.curve([larger])["val"][:, 0])
