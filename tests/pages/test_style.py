"""What is particular about "Style": norms of photos against PyTorch, filters, and networks on digits."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bnlib.data import load
from bnlib.lessons import style, style_digits
from bnlib.lessons.style import Light
from book import photos
from book.chapter import Values, View
from book.registry import chapters
from pages import _style_parts as parts
from pages._style_swap import BATCH_NORMS

CHAPTER = chapters()["style"]
SCENES = {scene.name: scene for scene in CHAPTER.scenes}
PAGODA, FLOWER = photos.PHOTOS


def settings(name: str, answered: bool = True, **changes: Any) -> Values:
    return CHAPTER.settings(SCENES[name], changes, answered)


def view(name: str, answered: bool = True, **changes: Any) -> View:
    return CHAPTER.view(settings(name, answered, **changes))


def tensor(images: Any) -> torch.Tensor:
    """Images (N, H, W, C) as PyTorch has them."""
    return torch.tensor(np.moveaxis(images, -1, 1).copy())


def back(images: torch.Tensor) -> Any:
    return np.moveaxis(images.detach().numpy(), 1, -1)


# ---- photos ----------------------------------------------------------------------------------------------


def test_norms_of_photos_are_those_of_pytorch() -> None:
    x = tensor(photos.PHOTOS)
    np.testing.assert_allclose(style.normed(photos.PHOTOS), back(torch.nn.InstanceNorm2d(3)(x)), atol=1e-12)
    norm = torch.nn.BatchNorm2d(3, momentum=1.0).double()
    np.testing.assert_allclose(style.batch_normed(photos.PHOTOS), back(norm(x)), atol=1e-12)
    norm.eval()  # its running statistics are those of this one batch
    other = np.stack([FLOWER, style.relit(PAGODA, Light(contrast=0.3))[0]])
    ours = style.batch_normed(other, photos.PHOTOS)
    np.testing.assert_allclose(ours, back(norm(tensor(other))), atol=1e-12)


@pytest.mark.parametrize("contrast", [0.5, 0.1, 0.02])
def test_what_is_left_of_another_light_is_what_eps_leaves(contrast: float) -> None:
    lit, clipped = style.relit(PAGODA, Light(brightness=0.05, contrast=contrast))
    out = style.normed(np.stack([PAGODA, lit]))
    var = PAGODA.var(axis=(0, 1))
    # Of a channel with variance v, the output has v / (v + eps): the photo's, and that of contrast² v.
    spread = [np.sqrt(v / (v + style.EPS)) for v in (var, contrast**2 * var)]
    law = np.sqrt(np.square(spread[1] - spread[0]).mean())
    assert clipped == 0 and style.rms(out[1] - out[0]) == pytest.approx(law, rel=1e-6)


def test_light_is_what_it_says() -> None:
    assert style.relit(PAGODA, Light())[0] == pytest.approx(PAGODA, abs=1e-15)
    warm, _ = style.relit(PAGODA, Light(cast=0.1))
    assert warm[..., 0] == pytest.approx(np.minimum(1.1 * PAGODA[..., 0], 1))
    assert warm[..., 2] == pytest.approx(0.9 * PAGODA[..., 2])
    dark, _ = style.relit(PAGODA, Light(shadow=0.5))
    assert dark[:, :45] == pytest.approx(0.35 * PAGODA[:, :45])
    assert dark[:, 46:] == pytest.approx(PAGODA[:, 46:])
    bright, clipped = style.relit(PAGODA, Light(brightness=0.5))
    assert bright.max() == 1 and clipped == pytest.approx((PAGODA > 0.5).mean())
    assert style.relit(PAGODA, Light(tone=2.0))[0] == pytest.approx(PAGODA**2)


def test_a_shadow_stays_unless_all_lies_in_it() -> None:
    plain = {"brightness": 0, "contrast": 1, "cast": 0}
    left = [view("light", **plain, shadow=at).numbers["after"] for at in (0, 50, 100)]
    assert left[0] == 0 and left[1] > 0.5 and left[2] < 0.001
    assert view("light").numbers["half"] == pytest.approx(left[1])


def test_the_same_light_leaves_no_difference_to_measure() -> None:
    numbers = view("light", brightness=0, contrast=1, cast=0).numbers
    assert numbers["before"] == numbers["after"] == numbers["kept"] == numbers["kept_mean"] == 0


def test_outputs_are_shown_by_the_rule_that_is_told() -> None:
    shown = photos.output_levels([-3, -2.5, 0, 1, 2.5])
    assert shown.tolist() == [0, 0, 128, 179, 255] and "128 + 51" in photos.SHOWN


def test_an_open_question_shows_no_output() -> None:
    assert "outputs" not in view("light", answered=False).figures
    assert "left" not in view("light", answered=False).table
    for answered, pictures in ((False, 2), (True, 3)):
        shown = view("swap", answered=answered, mix=100)
        assert len(shown.figures["blend"]["data"]) == pictures
        assert ("made_gamma" in shown.table) == answered
    assert "moved" not in view("batch", answered=False, contrast=0.4).figures
    strengths = view("texture", answered=False).figures["strength"]["data"]
    assert not [trace for trace in strengths if "after" in trace["name"]]


# ---- filters ---------------------------------------------------------------------------------------------


def test_filters_respond_to_lines_and_to_nothing_flat() -> None:
    kernels = style.filters()
    assert kernels.shape == (8, 7, 7)
    assert kernels.sum(axis=(1, 2)) == pytest.approx(np.zeros(8), abs=1e-12)
    assert np.square(kernels).sum(axis=(1, 2)) == pytest.approx(np.ones(8))
    padded = F.pad(torch.tensor(PAGODA.mean(axis=2))[None, None], (3, 3, 3, 3), mode="replicate")
    found = F.conv2d(padded, torch.tensor(kernels)[:, None])[0].numpy()
    np.testing.assert_allclose(style.responses(PAGODA), found, atol=1e-12)
    # Horizontal lines, and those that run down from left to right: which filter responds most strongly?
    rows, columns = np.indices((40, 40))
    for lines, name in ((rows, "coarse, horizontal —"), (columns, "coarse, vertical |"),
                        ((rows - columns) / np.sqrt(2), "coarse, falling \\"),
                        ((rows + columns) / np.sqrt(2), "coarse, rising /")):  # fmt: skip
        wave = np.sin(2 * np.pi * lines / 6)[..., None].repeat(3, 2)
        strongest = int(style.responses(wave)[:, 8:-8, 8:-8].std(axis=(1, 2)).argmax())
        assert parts.FILTER_NAMES[strongest] == name


def test_windows_are_normalized_each_by_itself() -> None:
    shown = view("texture", first=20, second=70, filter="fine_0")
    found = style.responses(PAGODA)[:, 2:26]
    for name, at in (("first", 20), ("second", 70)):
        edge = parts.left_edge(at)
        window = found[:, :, edge : edge + 24]
        assert shown.table[name] == pytest.approx(window.std(axis=(1, 2)))
        var = window.var(axis=(1, 2))
        assert shown.table[f"{name}_after"] == pytest.approx(np.sqrt(var / (var + style.EPS)))
    assert shown.numbers["same"] == pytest.approx(1) and shown.numbers["together"] < 1e-9
    assert parts.left_edge(14) == 1 and parts.left_edge(86) == 66


# ---- styles ----------------------------------------------------------------------------------------------


def test_adaptive_instance_norm_takes_the_styles_moments() -> None:
    made = style.swapped(PAGODA, FLOWER)
    assert made.mean(axis=(0, 1)) == pytest.approx(FLOWER.mean(axis=(0, 1)))
    assert made.std(axis=(0, 1)) == pytest.approx(FLOWER.std(axis=(0, 1)), rel=1e-3)
    x, y = (tensor(one[None]) for one in (PAGODA, FLOWER))
    gamma, beta = y.std((2, 3), correction=0), y.mean((2, 3))
    theirs = F.instance_norm(x, weight=gamma[0], bias=beta[0])
    np.testing.assert_allclose(made, back(theirs)[0], atol=1e-12)
    half = style.swapped(PAGODA, FLOWER, 0.5)
    mean, std = (np.stack([p.mean((0, 1)), p.std((0, 1))]) for p in (PAGODA, FLOWER))
    assert half.mean(axis=(0, 1)) == pytest.approx((mean[0] + std[0]) / 2)
    assert half.std(axis=(0, 1)) == pytest.approx((mean[1] + std[1]) / 2, rel=1e-3)


def test_scales_add_up_and_are_averages() -> None:
    found = style.scales(FLOWER)
    assert found.sum(axis=0) == pytest.approx(FLOWER)
    for band, size in enumerate(style.BLURS):
        reach = size // 2
        padded = F.pad(tensor(FLOWER[None]), (reach, reach, reach, reach), mode="replicate")
        coarse = back(F.avg_pool2d(padded, size, stride=1))[0]
        # Each average is of the photo itself, so what is left are the coarser bands.
        assert found[band + 1 :].sum(axis=0) == pytest.approx(coarse)


def test_edges_belong_to_the_content() -> None:
    for photo in photos.NAMES:
        numbers = view("swap", photo=photo, mix=100).numbers
        assert numbers["edges"] == pytest.approx(1) and abs(numbers["edges_other"]) < 0.2
        assert numbers["way"] > 0.99 and numbers["swapped"] == 6
        by_scales = view("swap", photo=photo, mix=100, space="scales").numbers
        assert by_scales["swapped"] == 24 and 0.9 < by_scales["edges"] < 0.999
        assert by_scales["edges"] == pytest.approx(numbers["edges_scales"])
    assert style.agreement(style.edges(PAGODA), style.edges(1 - 0.3 * PAGODA)) == pytest.approx(1)
    halfway = view("swap", mix=50).numbers
    assert halfway["beta_red"] == pytest.approx((PAGODA[..., 0].mean() + FLOWER[..., 0].mean()) / 2)
    assert halfway["way"] == pytest.approx(0.5, abs=0.01)


# ---- a batch of two --------------------------------------------------------------------------------------


@pytest.mark.parametrize("light", [{"contrast": 0.4}, {"brightness": 0.02}, {"contrast": 0.7, "cast": -0.2}])
def test_who_changes_depends_on_who_shares(light: dict[str, float]) -> None:
    numbers = view("batch", **light).numbers
    assert [numbers[f"pagoda_{one}"] > 0 for one in BATCH_NORMS] == [False, True, False]
    assert numbers["flower_instance"] < 0.01 < numbers["flower_eval"]
    assert numbers["apart_instance"] == pytest.approx(0, abs=1e-9) and numbers["apart_train"] > 0.5


def test_a_light_that_the_batchs_scene_does_not_have_changes_nothing_there() -> None:
    plain = view("batch", contrast=0.4).numbers
    assert view("batch", contrast=0.4, shadow=50, tone=2.0).numbers == plain


def test_one_position_is_its_own_mean() -> None:
    one = np.random.default_rng(0).normal(size=(2, 1, 1, 3))
    assert style.normed(one) == pytest.approx(np.zeros((2, 1, 1, 3)))
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        torch.nn.InstanceNorm2d(3)(tensor(one))
    assert torch.nn.InstanceNorm2d(3).weight is None  # affine=False is the default


# ---- networks on digits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", parts.NORMS)
def test_gradients_of_the_small_network_are_central_differences(norm: str) -> None:
    rng = np.random.default_rng(3)
    net = style_digits.started((0, 1))
    net = net._replace(gamma=rng.normal(1, 0.3, net.gamma.shape), beta=rng.normal(0, 0.3, net.beta.shape))
    x, upstream = rng.random((2, 5, 64)), rng.normal(size=(2, 5, 10))
    found = style_digits.gradients(net, upstream, style_digits.look(net, x, norm)[1])
    for name in net._fields:
        along = rng.normal(size=getattr(net, name).shape)
        step = 1e-6 * along
        moved = [net._replace(**{name: getattr(net, name) + way * step}) for way in (1, -1)]
        ends = [(style_digits.look(one, x, norm)[0] * upstream).sum(axis=(1, 2)) for one in moved]
        slope = (ends[0] - ends[1]) / 2e-6
        own = (getattr(found, name) * along).reshape(2, -1).sum(axis=1)
        np.testing.assert_allclose(own, slope, rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_network_with_instance_norm_is_that_of_pytorch_and_blind_for_ink() -> None:
    net = style_digits.started((5,))
    x = load("digits").x_val[:20]
    logits = style_digits.look(net, x[None], "instance")[0][0]
    kernel = torch.tensor(net.kernel[0].T.reshape(-1, 1, 3, 3).copy())
    z = F.instance_norm(F.conv2d(torch.tensor(x).reshape(-1, 1, 8, 8), kernel, padding=1))
    a = F.relu(z).permute(0, 2, 3, 1).reshape(20, -1)
    theirs = a @ torch.tensor(net.weight[0]) + torch.tensor(net.bias[0])
    np.testing.assert_allclose(logits, theirs.numpy(), atol=1e-10)
    for norm, least, most in (("instance", 0, 1e-3), ("none", 0.1, 100)):
        moved = [style_digits.look(net, ink * x[None], norm)[0] for ink in (1.0, 0.5)]
        assert least <= np.abs(moved[0] - moved[1]).max() <= most


def cell(share: float) -> dict[str, Any]:
    return {"right": np.full(8, share), "leak": np.full(8, 0.001)}


def curve(*shares: float) -> dict[str, Any]:
    right = np.linspace(shares[0], shares[1], len(parts.INKS)) + 0.001 * np.arange(8)[:, None]
    return {"right": right, "paper": right[:, -1]}


def wrong(answered: bool = True, **changes: Any) -> View:
    found = {"ink_none": cell(1), "ink_batch": cell(0.98), "ink_instance": cell(0.51)}
    found |= {"digits_none": curve(0.95, 0.5), "digits_batch": curve(0.95, 0.3)}
    found["digits_instance"] = curve(0.9, 0.9)
    return CHAPTER.view(settings("wrong", answered, **changes), found)


def test_what_is_said_of_the_digits_follows_the_networks() -> None:
    numbers = wrong(ink=0.08).numbers
    assert numbers["asked_instance"] == 0.51 and numbers["right_batch"] == pytest.approx(0.3035)
    assert numbers["gap"] == pytest.approx(60) and numbers["gap_low"] == pytest.approx(60)
    assert "at 8% of the ink: +60.0 points" in wrong(ink=0.08).notes["faint"]
    assert wrong(ink=1.0).numbers["gap"] == pytest.approx(-5)
    assert wrong(ink=0.3).numbers["ink"] == 0.35  # the tested one that is nearest
    assert wrong(ink=0.3).figures["samples"]["layout"]["meta"]["title"].endswith("in the test’s: 35%")


def test_an_open_question_shows_no_network_with_instance_norm() -> None:
    shown = wrong(answered=False)
    assert not [t for t in shown.figures["faint"]["data"] if "instance" in t.get("name", "")]
    assert np.isnan(shown.figures["ink"]["data"][0]["y"][2]) and "instance" not in shown.text
    assert not wrong(answered=False).table


def test_whoever_waits_reads_what_is_trained() -> None:
    found = {f"{asked}_{norm}": None for asked in ("ink", "digits") for norm in parts.NORMS}
    waiting = CHAPTER.view(settings("wrong"), found).waiting
    assert waiting == "0 of 6 trainings are done (8 networks each)."
    grey = next(scene for scene in CHAPTER.scenes if scene.name == "wrong").but
    assert "{paper_instance" in grey and "{paper_batch" in grey


def test_columns_can_be_clicked_at_any_height() -> None:
    for name, figure in (("batch", "moved"), ("texture", "strength")):
        shown = view(name).figures[figure]
        column = shown["data"][0]
        ends = np.array([column.get("base", 0), np.add(column.get("base", 0), column["y"])], dtype=object)
        low, high = shown["layout"]["yaxis"]["range"]
        if shown["layout"]["yaxis"]["type"] == "log":
            low, high = 10**low, 10**high
        assert np.min(ends[0]) == pytest.approx(low) and np.max(ends[1]) == pytest.approx(high)
        assert column["width"] == 1 and len(column["meta"]["values"]) == len(column["x"])


def test_both_filters_that_are_named_correlate_as_is_said() -> None:
    shown = view("texture")
    windows = [style.responses(PAGODA)[:, 2:26, e : e + 24] for e in map(parts.left_edge, (32, 68))]
    tied = [np.corrcoef(window.reshape(8, -1)) for window in windows]
    most = np.unravel_index(np.abs(tied[0] - tied[1]).argmax(), (8, 8))
    first, second = (one[most] for one in tied)
    assert shown.numbers["tied"] == pytest.approx(abs(first - second))
    words = f"correlate by {first:.2f} in the first window and by {second:.2f} in the second"
    assert words.replace("-", "−") in shown.notes["maps"]


def test_dragging_needs_nothing_new() -> None:
    assert CHAPTER.jobs is not None
    found = [CHAPTER.jobs(settings("wrong", ink=ink)) for ink in (1.0, 0.08)]
    assert found[0] == found[1] and len(found[0]) == 6
    assert not [job for name in ("light", "texture", "swap", "batch") for job in CHAPTER.jobs(settings(name))]


# ---- taken away ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("light", {"shadow": 30, "tone": 1.5, "photo": "flower"}),
        ("light", {"brightness": 0.5, "contrast": 2.0, "cast": -0.5}),
        ("texture", {"first": 80, "second": 30, "filter": "fine_135", "photo": "flower"}),
        ("swap", {"mix": 30, "photo": "flower", "space": "scales"}),
        ("batch", {"contrast": 0.5, "cast": 0.3}),
    ],
)
def test_programs_say_the_views_numbers_at_other_settings(name: str, changes: dict[str, Any]) -> None:
    assert CHAPTER.pytorch is not None and CHAPTER.script is not None
    values = settings(name, **changes)
    numbers = CHAPTER.view(values).numbers
    for program in (CHAPTER.pytorch(values), CHAPTER.script(values)):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(program, name, "exec"), {"__name__": "program"})
        told = [line.split(" = ") for line in out.getvalue().splitlines() if " = " in line]
        assert told
        for what, value in told:
            assert float(value) == pytest.approx(numbers[what], rel=1e-4, abs=1e-6), what


def test_the_first_pages_picture_follows_gamma_and_beta() -> None:
    plain, strong, bright = (
        parts.thumbnail({"gamma": gamma, "beta": beta})["data"]
        for gamma, beta in ((1.0, 0.0), (2.0, 0.0), (0.5, 1.0))
    )
    assert (plain[0]["z"] == strong[0]["z"]).all()
    assert strong[1]["z"].std() > 1.3 * plain[1]["z"].std() and bright[1]["z"].mean() > plain[1]["z"].mean()
