"""E28: training and inference differ, when test images aren't like those of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...networks.config import RunConfig
from ...norms.statistics import Array
from ..findings import Findings, Picture, Results, band, check, mean
from ..intervals import paired
from ..model import NAMES, QUIET, Cells, Experiment, Sides
from ..nulls import changed, same
from ..probes import Cell
from ..probes.arithmetic import Measured

_E28 = RunConfig(depth=3, batch_size=64, lr=0.1, replicas=16)
_SIZES = (500, 100, 20, 4)  # of test batches; they divide the 500 validation samples
_SHIFT = (("contrast", 0.4), ("spread", 0.3), ("sizes", _SIZES))
_STATISTICS = ("running averages", *(f"{size} images" for size in _SIZES))
_IMAGES = {
    "clean": "as in training",
    "paler": "pixels × 0.4",
    "contrast": "contrast × 0.4",
    "noise": "noise",
}
_CONTRASTS = ("paler", "contrast")
_RUNNING, _WHOLE, _FOUR = 0, 1, len(_SIZES)  # columns


def _e28_cells(full: bool) -> Cells:
    config = replace(_E28, replicas=16 if full else 4, **QUIET)
    return {
        norm: Cell("under_shift", replace(config, norm=norm), 300, _SHIFT)
        for norm in ("batch", "layer", "none")
    }


def _e28_read(results: Results) -> Findings:
    batch = results["batch"]
    gain = {image: batch[image][:, _RUNNING] - batch[image][:, _WHOLE] for image in _IMAGES}
    loss = {norm: _loss(found) for norm, found in results.items()}
    clean, few = mean(batch["clean"][:, _RUNNING]), mean(batch["clean"][:, _FOUR])
    checks = [
        check(f"{_IMAGES[image]}: running averages − statistics of 500, points", gain[image],
              least=20, seeds=16, null=0, name="repaired")
        for image in _CONTRASTS
    ]  # fmt: skip
    checks += [
        check(f"{_IMAGES[image]}, statistics of 4 / clean images, running averages",
              batch[image][:, _FOUR] / clean, least=3, seeds=16, null=1, name="small batches")
        for image in _CONTRASTS
    ]  # fmt: skip
    checks += [
        check("pixels × 0.4, running averages: batch norm’s loss − no norm’s, points",
              loss["batch"]["paler"] - loss["none"]["paler"], least=15, seeds=16, null=0, name="hurt"),
        check("noise: running averages − statistics of 500, points", gain["noise"],
              most=8, seeds=16, null=20, name="noise stays"),
        check("pixels × 0.4 − clean images, statistics of 500, points",
              batch["paler"][:, _WHOLE] - batch["clean"][:, _WHOLE], -0.4, 0.4, expected=0.0, exact=True),
    ]  # fmt: skip
    for norm, found in results.items():
        for image, words in _IMAGES.items():
            checks.append(check(f"error, {NAMES[norm]}, {words}, %", found[image][:, _RUNNING]))
    for image, words in _IMAGES.items():
        for column, size in enumerate(_SIZES, 1):
            checks.append(check(f"error, statistics of {size}, {words}, %", batch[image][:, column]))
    lost = "; ".join(
        f"{words}, " + ", ".join(f"{NAMES[norm]} {mean(loss[norm][image]):+.1f}" for norm in results)
        for image, words in _IMAGES.items() if image != "clean"
    )  # fmt: skip
    apart = paired(gain["paler"] - gain["noise"])
    four = paired(batch["paler"][:, _RUNNING] - batch["paler"][:, _FOUR])
    notes = (
        f"Added to the error in inference, in points: {lost}.",
        f"Statistics of all 500 images take back {paired(gain['paler']).text()} where pixels are × 0.4, and "
        f"{paired(gain['noise']).text()} under noise"
        + (", which is less." if apart.low > 0 else "; that it is less isn’t sure."),
        f"Statistics of 4 images take back {four.text()} where pixels are × 0.4"
        + (", " if four.clear else ", no evidence for either; ")
        + f"on clean images they err by {few:.1f}%, running averages by {clean:.1f}%.",
    )
    norms = tuple(
        band(NAMES[norm], _IMAGES.values(), np.stack([found[i][:, _RUNNING] for i in _IMAGES], axis=1))
        for norm, found in results.items()
    )
    pictures = (
        Picture("Batch norm on changed images, with other statistics each",
                "statistics", "validation error, %",
                tuple(band(words, _STATISTICS, batch[image]) for image, words in _IMAGES.items())),
        Picture("In inference, three networks on changed images", "images", "validation error, %", norms),
    )  # fmt: skip
    return Findings(pictures, tuple(checks), notes)


def _loss(found: Measured) -> dict[str, Array]:
    """Return what each change adds to the error in inference, by image."""
    return {image: found[image][:, _RUNNING] - found["clean"][:, _RUNNING] for image in _IMAGES}


def _column(source: int, target: int) -> Callable[[Any, dict[str, Array]], dict[str, Array]]:
    """Return what gives the errors with one kind of statistics to another, on changed images."""

    def change(_: Any, found: dict[str, Array]) -> dict[str, Array]:
        moved = {image: found[image].copy() for image in _CONTRASTS}
        for errors in moved.values():
            errors[:, target] = errors[:, source]
        return moved

    return change


E28 = Experiment(
    name="E28",
    title="Statistics of a large test batch repair lower contrast, not noise",
    claims={
        "discrepancy": Sides(shows=("hurt", "repaired")),
        "repair": Sides(shows=("repaired",), limits=("small batches", "noise stays")),
    },
    setup="""
        Digits, 3 × 64 ReLU units, batch 64, SGD at 0.1, 300 steps, 16 seeds. The 500 validation images are
        changed: all pixels (0 to 1) × 0.4, which makes the ink paler; contrast × 0.4, differences from each
        image’s own mean; or Gaussian noise of standard deviation 0.3. Batch norm then uses its running
        averages, or statistics of test batches of 500, 100, 20 or 4.
    """,
    theory="""
        Where x becomes ax, z = Wx becomes az. Statistics of the batch undo z ↦ az + c, up to ε (E18).
        Running averages don’t: (az − μ)/σ = a(z − μ)/σ − (1 − a)μ/σ, a smaller signal and a shift in every
        unit. A ReLU network without a norm, its biases small, only scales its logits, and the largest stays
        the largest; layer norm divides by each image’s own scale. Toward each image’s own mean, a is the
        same and c is not. Noise is no such map: its variance joins the signal’s, and no mean or variance
        tells the two apart.
    """,
    accepted="""
        With both changes of contrast statistics of 500 images err by at least 20 points less than running
        averages, and statistics of 4 images err at least 3 times as much as running averages on clean
        images. In inference pixels × 0.4 cost batch norm at least 15 points more than no norm. Under noise
        statistics of 500 gain at most 8 points. Pixels × 0.4 leave the error with statistics of 500 as it is
        within 0.4 points, two images.
    """,
    sources=(
        "Schneider et al. 2020 (quoted from the abstract: mCE 76.7 → 62.2 on ImageNet-C)",
        "Ba et al. 2016, Table 1",
    ),
    contested="""
        Schneider et al. argue (abstract) for statistics of the corrupted images, and report that even a
        single image improves a ResNet-50. Of a convolution’s output one image gives many positions; in a
        dense network it gives one value, and four images are few. They average over many corruptions; of
        those here, noise gains little.
    """,
    caveat="""
        In PyTorch: model.eval(), then m.train() for each m in model.modules() that is an
        nn.modules.batchnorm._BatchNorm, which also moves its running averages; or norms built with
        track_running_stats=False, which always use the batch. An answer then depends on who else is in the
        batch, and one class alone in it is a shift, too (E14).
    """,
    cells=_e28_cells,
    read=_e28_read,
    races="The lab validates on the images as they are: it has no control that changes them.",
    nulls=(
        same("batch norm is like no norm", {"batch": "none"}),
        changed("statistics of 500 repair nothing", _column(_RUNNING, _WHOLE)),
        changed("statistics of 4 are as good as those of 500", _column(_WHOLE, _FOUR)),
        changed("noise is like contrast", lambda _, found: {"noise": found["paler"]}),
    ),
)
