"""Scene 5 of "Weight and spectral norm": a small GAN whose discriminator has spectral norm, or not."""

from __future__ import annotations

from bnlib.experiments.model import Race
from bnlib.lessons import rings
from bnlib.norms import weights
from bnlib.training import gan
from book.chapter import Choice, Job, Passage, Scene
from book.controls import Control, Values, seeds
from pages._weights_gan_parts import (
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

BRIEFLY = (0, 20)  # steps

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
        "torch.optim.SGD. Moving it gives all three this one rate.", resets=("rates",),
    ),
)  # fmt: skip


def jobs(values: Values) -> dict[str, Job]:
    """Return the measurements of discriminators at their own best rates; nothing of them is dragged."""
    rates = rates_of(values)
    if rates != BEST:
        return {}
    found = {norm: networks(norm, lr, **seeds(values)) for norm, lr in rates.items()}
    looks = {"batch": BRIEFLY}  # what it doesn't notice, it never does
    return {
        f"slope {norm}": Job(rings.steepness, (config, looks.get(norm, LOOKS)))
        for norm, config in found.items()
    }


def lab(values: Values) -> Race | None:
    """Return the same GANs as lanes of the training lab, and the one that does better there later."""
    lanes = [networks(norm, lr, **seeds(values)) for norm, lr in rates_of(values).items()]
    if rates_of(values) == BEST:
        lanes.append(networks("none", LATE["none"][0], **seeds(values)))
    return Race("GANs on a ring: " + ", ".join(NORMS.values()), tuple(lanes), STEPS)


SCENE = Scene(
    SCENE_NAME, "A GAN on a ring",
    "A generator learns to draw eight Gaussians on a ring. Its discriminator has no norm, batch norm or "
    "spectral norm, each at its best learning rate. Which generator scores best (share of points on the ring "
    "× share of Gaussians reached)?",
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
    "Scores: spectral norm {score_spectral:.0%} at rate {rate_spectral}, no norm {score_none:.0%} at "
    "{rate_none}. Batch norm got clearly beyond its start ({begin_batch:.0%}) at no rate.",
    "Batch norm centres and scales real and generated points separately. Shift all generated points alike: "
    "no logit changes (0, up to rounding). So the generator isn’t told where its points belong. Spectral "
    "norm bounds the slope near 1. At first it is {gentler:.0f} times smaller than without a norm: spectral "
    "norm needs larger rates, and tolerates them.",
    f"Much of the lead is speed, with plain SGD. No norm at rate {LATE['none'][0]:g} has "
    f"{LATE['none'][1]:.0%} after {LATER[0]:,} steps and {LATE['none'][2]:.0%} after {LATER[1]:,}; spectral "
    f"norm {LATE['spectral'][1]:.0%} and {LATE['spectral'][2]:.0%} (32 other seeds). The training lab goes "
    f"on to step {LATER[0]:,}.",
    "Set one rate for all. At which rates is spectral norm ahead?",
    ("rates", "common_rate", "gan_step", "seed"),
)  # fmt: skip

PASSAGES = (
    Passage("The discriminator sees real and generated points apart", gan.Players.judge),
    Passage("Spectral norm: a power iteration, then W / σ", weights.spectral_norm),
    Passage("How steep a discriminator is, and what it notices", rings.measured),
)
