"""What is particular about the streams of "Sequences and streams": torch's batch norm, errors and laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bnlib import RunConfig
from bnlib.data import batch_indices
from bnlib.lessons import streams
from book.controls import SEEDS, Values
from book.registry import chapters
from pages import _sequences_sample as sample
from pages import _sequences_stream as stream

CHAPTER = chapters()["sequences"]
SCENES = {scene.name: scene for scene in CHAPTER.scenes}


def settings(name: str, answered: bool = True, **changes: Any) -> Values:
    return CHAPTER.settings(SCENES[name], changes, answered)


# ---- one sample ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("images", "side"), [(1, 6), (2, 1), (5, 3), (8, 2)])
def test_the_layer_is_torchs_convolution_pooling_and_batch_norm(images: int, side: int) -> None:
    found = streams.layer(3, images, side, digit=2, contrast=1.7)
    weight = np.random.default_rng((3, 12))
    weight.permutation(500)
    kernel = torch.tensor(np.sqrt(2 / 9) * weight.standard_normal((streams.CHANNELS, 1, 3, 3)))
    x = F.adaptive_avg_pool2d(F.conv2d(torch.tensor(found.images[:, None]), kernel), side)
    np.testing.assert_allclose(found.x, x.numpy(), atol=1e-12)
    norm = torch.nn.BatchNorm2d(streams.CHANNELS, dtype=torch.float64)
    norm.bias.data = torch.tensor(streams.betas())
    np.testing.assert_allclose(found.y, norm(x).detach().numpy(), atol=1e-10)


def test_contrast_and_another_digit_change_the_first_image_alone() -> None:
    usual, other = streams.layer(0, 3, 6).images, streams.layer(0, 3, 6, digit=4, contrast=2.0).images
    np.testing.assert_array_equal(usual[1:], other[1:])
    np.testing.assert_array_equal(2 * streams.layer(0, 3, 6, digit=4).images[0], other[0])
    assert np.abs(usual[0] - other[0]).max() > 0.5
    with pytest.raises(ValueError, match="side=4 must be one of 6, 3, 2, 1"):
        streams.layer(0, 1, 4)


@pytest.mark.parametrize("shape", [*sample.LAYERS.values(), (2, 5), (1, 3, 1), (1, 3, 2, 1), (2, 3, 1, 1)])
def test_pytorch_refuses_what_the_scene_says_with_these_words(shape: tuple[int, ...]) -> None:
    kind = torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d
    norm, x = kind(shape[1]), torch.rand(shape)
    if sample.refused(shape):
        with pytest.raises(ValueError) as caught:
            norm(x)
        assert str(caught.value) == sample.message(shape)
    else:
        norm(x)
    norm.eval()(x)


def test_one_value_leaves_beta_whatever_comes_in_and_two_leave_signs() -> None:
    beta = streams.betas().reshape(1, -1, 1, 1)
    for digit, contrast in ((0, 1.0), (5, 4.0), (9, 0.25)):
        np.testing.assert_array_equal(streams.layer(1, 1, 1, digit, contrast).y, beta)
        pair = streams.layer(1, 2, 1, digit, contrast)
        apart = np.abs(pair.x[0] - pair.x[1]) / 2  # the standard deviation of two values
        np.testing.assert_allclose(np.abs(pair.y - beta)[0], apart / np.sqrt(apart**2 + streams.EPS))
    numbers = CHAPTER.view(settings("sample", images=1, side=1, contrast=2.0)).numbers
    assert numbers["size"] == numbers["share"] == numbers["changed"] == 0 and numbers["m"] == 1


def test_one_image_with_positions_is_torchs_instance_norm_and_loses_its_contrast() -> None:
    beta = streams.betas().reshape(1, -1, 1, 1)
    found = streams.layer(2, 1, 6)
    own = F.instance_norm(torch.tensor(found.x), eps=streams.EPS).numpy()
    np.testing.assert_allclose(found.y - beta, own, atol=1e-12)
    assert np.abs(streams.layer(2, 1, 6, contrast=2.0).y - found.y).max() < 2e-3


@pytest.mark.parametrize("side", streams.SIDES)
def test_the_gradient_that_passes_is_torchs_and_follows_the_law(side: int) -> None:
    counts = (1, 2, 3, 8)
    kept = np.mean([streams.gradient_kept(seed, side, counts) for seed in range(8)], axis=0)
    m = np.array(counts) * side**2
    law = np.where(m > 1, (m - 2) / m, 0)
    assert (np.abs(kept - law) < 0.03 + 0.04 * (m == 2)).all()  # two values may be as near as ε
    x = torch.tensor(streams.layer(0, 3, side).x, requires_grad=True)
    rng, shares = np.random.default_rng((0, 13)), []
    std = (x.var((0, 2, 3), correction=0, keepdim=True) + streams.EPS).sqrt()
    for _ in range(8):
        dy = torch.tensor(rng.standard_normal(x.shape))
        y = F.batch_norm(x, None, None, training=True, eps=streams.EPS)
        dx = torch.autograd.grad(y, x, dy)[0] * std
        shares.append(float((dx.square().sum() / dy.square().sum()).detach()))
    assert streams.gradient_kept(0, side, (3,))[0] == pytest.approx(np.mean(shares), rel=1e-9)


def test_the_dot_sets_the_batch_size_and_pooling_that_lies_between_goes_to_the_nearest() -> None:
    figures = CHAPTER.view(settings("sample", images=3)).figures
    (drag,) = (t["meta"] for t in figures["gradient"]["data"] if "drag" in t.get("meta", {}))
    assert drag["drag"] == "images"
    assert CHAPTER.view(settings("sample", side=5, images=2)).numbers["m"] == 72


# ---- a stream --------------------------------------------------------------------------------------------

SMALL = RunConfig(replicas=2, batch_size=1, lr=0.01, dtype="float64")


def test_a_digit_is_predicted_before_it_is_learned_from_and_later_ones_weigh_more() -> None:
    found = streams.streamed(RunConfig(norm="none", replicas=2, lr=0.0, dtype="float64"), 30)
    digits = SMALL.data()
    order = batch_indices(len(digits.y_train), (0, 1), 0, 30)
    x, y = digits.x_train[order], digits.y_train[order]
    for k in range(2):  # without steps, all are judged by the weights of the start
        rng, h, sizes = np.random.default_rng((k, 0)), x[k], [64, 64, 64, 64, 10]
        for rows, columns in zip(sizes, sizes[1:], strict=False):
            h = h @ (np.sqrt(2 / rows) * rng.standard_normal((rows, columns)))
            h = np.maximum(h, 0) if columns == 64 else h
        np.testing.assert_array_equal(found["right"][k], h.argmax(axis=1) == y[k])
    ages = np.arange(30)[::-1]
    weights = 0.99**ages
    np.testing.assert_allclose(found["online"][:, -1], found["right"] @ weights / weights.sum())


def test_of_batch_norm_the_biases_of_the_output_alone_move_and_it_says_what_is_frequent() -> None:
    found = streams.streamed(SMALL, 120)
    np.testing.assert_array_equal(found["moved"], [10, 10])
    other = streams.streamed(RunConfig(norm="layer", replicas=2, lr=0.01, dtype="float64"), 120)
    assert (other["moved"] > 10_000).all()
    labels = SMALL.data().y_train[batch_indices(SMALL.data().y_train.size, (0, 1), 0, 120)]
    for k in range(2):  # softmax regression on nothing but biases
        bias, right = np.zeros(10), []
        for label in labels[k]:
            right.append(bias.argmax() == label)
            share = np.exp(bias) / np.exp(bias).sum()
            bias -= 0.01 * (share - np.eye(10)[label])
        np.testing.assert_array_equal(found["right"][k], right)


def made(wrong_shown: dict[float, float], wrong_chosen: dict[float, float]) -> dict[str, Any]:
    """Recordings of one arm whose last samples are wrong at these shares, by rate."""
    found = {}
    for rate in stream.RATES:
        right = np.ones((SEEDS + stream.CHOOSING, stream.SAMPLES), bool)
        for some, share in ((slice(SEEDS), wrong_shown[rate]), (slice(SEEDS, None), wrong_chosen[rate])):
            right[some, stream.SAMPLES - round(share * stream.LATE) :] = False
        found[f"layer {rate:g}"] = {"right": right}
    return found


def test_an_arms_own_rate_is_chosen_on_seeds_that_are_not_shown() -> None:
    shown = dict(zip(stream.RATES, (0.1, 0.2, 0.3, 0.4), strict=True))
    chosen = dict(zip(stream.RATES, (0.4, 0.3, 0.1, 0.2), strict=True))
    found = made(shown, chosen)
    assert stream.own_best(found, "layer") == stream.RATES[2]
    np.testing.assert_allclose(stream.wrong(found[f"layer {stream.RATES[2]:g}"]), 30)


def test_the_stream_is_drawn_up_to_the_playhead() -> None:
    values = settings("stream") | {"narrow": False}
    right = np.random.default_rng(0).random((SEEDS + stream.CHOOSING, stream.SAMPLES)) < 0.5
    run = {"right": right, "online": right.astype(float)}
    data = stream._answers({"none": run}, 40, values, False)["data"]
    config = stream.config_of(values, "none", stream.RATE)
    last = batch_indices(1297, (config.seed,), 39, 1)[0, 0]
    np.testing.assert_array_equal(data[0]["z"][:, 9 * 11 : 9 * 11 + 8].ravel(), config.data().x_train[last])
    shown = {trace["marker"]["symbol"]: len(trace["x"]) for trace in data[1:]}
    assert shown == {"circle": right[0, 28:40].sum(), "x": 12 - right[0, 28:40].sum()}
    curve = stream._online({"none": run}, 40, stream.RATE)["data"][2]
    assert curve["x"][-1] == 40 and curve["y"][-1] == pytest.approx(right[:SEEDS, 39].mean())
