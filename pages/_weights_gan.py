"""Scene 5 of "Normalize the weights instead": a small GAN whose discriminator has spectral norm, or not."""

from __future__ import annotations

from bnlib.experiments.model import Race
from bnlib.lessons import rings
from bnlib.norms import weights
from bnlib.training import gan
from book.chapter import Choice, Job, Passage, Scene
from book.controls import Control, Values, seeds
from pages._weights_gan_parts import (
    ADAM,
    BEST,
    COMMON,
    LATE,
    LATER,
    LOOKS,
    NORMS,
    RATES,
    SCENE_NAME,
    STEPS,
    networks,
    rates_of,
    runs,
)
from pages._weights_gan_scripts import pytorch, script
from pages._weights_gan_views import view

__all__ = [
    "CONTROLS", "KEPT", "PASSAGES", "SCENE", "jobs", "lab", "pytorch", "runs", "script", "view",
]  # fmt: skip

KEPT = ("cloud", "val_accuracy", "val_accuracy_batch")

# The playhead comes first: how far runs are watched is the first one of a chapter.
CONTROLS = (
    Control(
        "gan_step", "step", STEPS, "step", "", 0, STEPS,
        about="Up to which training step points and curves are shown. Play to see the points move.",
    ),
    Control(
        "rates", "choice", "common", "learning rates", choices=("common", "own"),
        names=("one in common", "each at its own best"), look="buttons",
        about="Whether all three GANs train at one learning rate, or each at the rate that was best for it "
        f"among {len(RATES)}, on 32 other seeds.",
    ),
    Control(
        "common_rate", "number", COMMON, "rate in common", "of both networks", RATES[0],
        RATES[-1], RATES, marks=(0.01, 0.1, 1.0),
        about="The learning rate of all three GANs, where they have one in common. In PyTorch: lr of "
        "torch.optim.SGD.",
    ),
)  # fmt: skip


def jobs(values: Values) -> dict[str, Job]:
    """Return the measurements of discriminators at their own best rates; nothing of them is dragged."""
    rates = rates_of(values)
    if rates != BEST:
        return {}
    found = {norm: networks(norm, lr, **seeds(values)) for norm, lr in rates.items()}
    looks = {"batch": LOOKS[:2]}  # what it doesn't notice, it never does
    return {
        f"slope {norm}": Job(rings.steepness, (config, looks.get(norm, LOOKS)))
        for norm, config in found.items()
    }


def lab(values: Values) -> Race | None:
    """Return the same GANs as lanes of the training lab."""
    lanes = tuple(runs(values).values())
    return Race("GANs on a ring: " + ", ".join(NORMS.values()), lanes, STEPS)


SCENE = Scene(
    SCENE_NAME, "A GAN on a ring",
    f"One network draws points. Its discriminator tells them from points of eight Gaussians on a ring, with "
    f"no norm, batch norm or spectral norm. You see all three at a learning rate of {COMMON:g}. Now each "
    "gets the rate that is best for it. Which covers the ring best?",
    (
        Choice("the one without a norm", 0.0,
               f"It had its best rate already, {COMMON:g}. The other two had not."),
        Choice("the one with batch norm", 1.0,
               "In classifiers batch norm does allow larger rates. A discriminator sees something else."),
        Choice("the one with spectral norm", 2.0),
        Choice("none is clearly ahead", 3.0,
               "Much of a difference at one rate is due to the rate. Not all of it is."),
    ),
    "leader", {"rates": "common", "common_rate": COMMON, "gan_step": STEPS}, {"rates": "own"},
    "Score, share near × share covered: spectral norm {score_spectral:.0%} at rate {rate_spectral}, no norm "
    "{score_none:.0%} at {rate_none}, batch norm {score_batch:.0%} at {rate_batch}. At one rate: "
    "{before_score_spectral:.0%}, {before_score_none:.0%}, {before_score_batch:.0%}.",
    "Batch norm centres and scales real and generated points apart. Move all generated points, and no logit "
    "changes (mean change {noticed_batch}; without a norm {noticed_none:.1f}). So the generator isn’t told "
    "where they belong. Spectral norm bounds the slope: by 1, here by {bound_spectral:.2f}, as σ is an "
    "estimate. Without a norm slopes grew from {steepest_start_none:.1f} to {steepest_none:.1f}. At first "
    "they are {gentler:.0f} times smaller with spectral norm: it needs larger rates, and stands them.",
    f"Much of this lead is speed. After {LATER:,} steps no norm reaches {LATE['none'][1]:.0%} at a rate of "
    f"{LATE['none'][0]:g}, spectral norm {LATE['spectral'][1]:.0%} at {LATE['spectral'][0]:g}. With AdamW "
    f"instead of plain SGD, none of the three gets beyond {ADAM:.0%} in {STEPS} steps (32 other seeds, best "
    "of 7 rates).",
    "Set one rate for all. At which rates is spectral norm ahead?",
    ("rates", "common_rate", "gan_step", "seed"),
)  # fmt: skip

PASSAGES = (
    Passage("The discriminator sees real and generated points apart", gan.Players.judge),
    Passage("Spectral norm: a power iteration, then W / σ", weights.spectral_norm),
    Passage("How steep a discriminator is, and what it notices", rings.measured),
)
