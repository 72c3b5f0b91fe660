"""The questions of "Learning rate and initialization"."""

from __future__ import annotations

from book.chapter import Choice, Scene

RATE = Scene(
    "rate", "How large a rate?",
    "Ten layers without a norm: of eight learning rates, 0.1 is the largest at which half of the answers are "
    "right after 100 steps. Which one is it with batch norm?",
    (
        Choice("0.1, too", 0.1,
               "The loss and the first weights are the same. But a step that is too long does other things."),
        Choice("0.3, three times as large", 0.3, "It is larger. By more than that."),
        Choice("1, ten times as large", 1.0),
        Choice("10, a hundred times as large", 10.0,
               "Lengths of W don’t change what a norm puts out. But one step can turn W by nearly a right "
               "angle."),
    ),
    "largest", {}, {"lr": 1.0},
    "With batch norm, {largest} is the largest rate at which half of the answers are right; without a norm, "
    "{largest_none}.",
    "At rate {lr}, batch norm’s first step is {first:.0%} as long as the weights W, at right angles to them: "
    "it turns W and makes it longer. Ten steps later a step is {later:.0%}. Without a norm, the loss goes "
    "from {loss_none:.1f} up to {peak:.1f} within ten steps (median seed).",
    "It depends on depth: with five layers, networks without a norm train at larger rates than these "
    "(experiment E8). And the largest rate that trains need not be the best one.",
    "Drag the dot to 10. What becomes of batch norm’s steps?",
    ("lr", "seed"),
)  # fmt: skip

SMALL = Scene(
    "small", "At a small rate",
    "Both networks train at learning rate 0.01, with five layers and 300 steps. How does the loss with batch "
    "norm end, beside the one without a norm?",
    (
        Choice("clearly lower", 1.0, "Batch norm does allow larger steps. Here the step is small."),
        Choice("no clear difference", 0.0,
               "At a rate of 0.0001, Bjorck et al. (2018) see no difference. Then hardly anything is learned "
               "in 300 steps."),
        Choice("clearly higher", -1.0),
    ),
    "sooner", {}, {"small_lr": 0.01},
    "With batch norm the loss ends at {loss_batch:.2f}, without a norm at {loss_none:.2f}.",
    "A step follows the gradient of its own batch. For other digits it is worth less: on average it lowers "
    "their loss by {fall_batch:.4f} with batch norm, by {fall_none:.4f} without (first order expects "
    "{expected_batch:.4f} and {expected_none:.4f}). Batch norm’s gradient fits its own batch: its cosine "
    "with that of other digits is {alike_batch:.2f}, without a norm {alike_none:.2f}.",
    "Inputs are standardized here. With pixels as they are, the losses are {raw_batch:.2f} with batch norm "
    "and {raw_none:.2f} without: there the first norm standardizes what comes in. At rate 0.1 they end at "
    "{large_batch:.3f} and {large_none:.3f}: who trains at a rate need not be the faster one there.",
    "Move the rate to 0.1: which bars still reach their diamonds?",
    ("small_lr", "seed"),
)  # fmt: skip

SCALE = Scene(
    "scale", "Weights × 10",
    "Five layers with batch norm end with about 80% right at rate 0.1. Now all initial weights are ten times "
    "as large. Each norm puts out the same numbers as before. How many are right now?",
    (
        Choice("about 80%: the norms see to that", 0.8,
               "What the hidden layers put out is the same before the first step. What a step does is not."),
        Choice("about 40%", 0.4),
        Choice("about 10%: as a guess", 0.1,
               "That is what happens without a norm. Batch norm keeps numbers and gradients in range."),
    ),
    "right", {}, {"scale": 10.0},
    "From weights × 10 batch norm ends with {right:.0%} right, from weights × 1 with {usual:.0%}.",
    "Behind a norm, weights aW with rate a² lr give the same losses as W with lr (here within {difference}). "
    "So hidden weights × 10 at rate 0.1 train like W at 0.001. Hidden weights alone × 10: {hidden:.0%} "
    "right; at rate 1, {hidden_more:.0%}.",
    "Without a norm, He’s scale (× 1) solves the same problem: {usual_none:.0%} right; half of it "
    "{half_none:.0%}, twice {twice_none:.0%}. The output layer has no norm behind it: its weights matter "
    "with batch norm, too.",
    "Drag the dot to 0.1. Why does batch norm hardly change there?",
    ("scale", "seed"),
)  # fmt: skip

MAP = Scene(
    "map", "The map",
    "Six learning rates and seven initial scales make 42 cells, each trained from eight seeds. In how many "
    "cells does batch norm not end clearly ahead of no norm?",
    (
        Choice("in none", 0.0, "It is ahead where the other fails. But some cells suit both, and some "
            "neither."),
        Choice("in about 6", 6.0),
        Choice("in about 20", 20.0, "It isn’t ahead at small rates from He’s scale. That is one row only."),
        Choice("in about 35", 35.0,
               "A well-tuned network without a norm keeps up. Few cells are well tuned."),
    ),
    "cells", {}, {"cell": 21},
    "In {cells:.0f} of {all:.0f} cells batch norm isn’t clearly ahead; in {behind:.0f} of them it is clearly "
    "behind.",
    "Without a norm, half of the answers are right in {train_none:.0f} cells, with batch norm in "
    "{train_batch:.0f}. Of the {cells:.0f} cells, {in_row:.0f} are in the row of He’s scale; in "
    "{both_fail:.0f} neither network gets half right.",
    "With both tuned, less is gained: at its best cell no norm has {best_none:.0%} right, batch norm "
    "{best_batch:.0%}. 60 steps are few; longer training and other data have other maps.",
    "Press and draw the pointer across a row. Which cells have curves that rise late?",
    ("cell", "step", "seed"),
)  # fmt: skip

SMOOTH = Scene(
    "smooth", "Smooth or rough?",
    "Twenty layers, before any training: a tiny step along the gradient. β says how fast the gradient "
    "changes on the way. How large is β with batch norm, beside no norm?",
    (
        Choice("a tenth: it makes the loss smoother", -1.0,
               "In training, and in shallow networks, it does. Not at the start of a deep one."),
        Choice("about the same", 0.0, "Somewhere between 5 and 10 layers it is about the same."),
        Choice("10 times as large", 1.0, "The direction is right. At ten layers it is a few times as large."),
        Choice("over 1,000 times as large", 3.6),
    ),
    "powers", {"depth": 20, "when": "start"}, {"depth": 20, "when": "start"},
    "With batch norm β is {beta_batch}, without a norm {beta_none}: {times} times as large.",
    "Through a norm and a ReLU the gradient grows {growth:.2f} times a layer toward the input (theory: "
    "{theory:.2f}, Yang et al. 2019), over all layers {multiplied:.0f} times; without a norm "
    "{growth_none:.2f} times a layer. β grows even faster; that is measured here, not derived. After 50 "
    "steps the gradient grows {growth_later:.2f} times a layer.",
    "Santurkar et al. (2018) look at training: in 5 layers β is {times_5_later:.2f} times as large after 50 "
    "steps. Yang et al. (2019) look at the start of deep networks. Both are right where they looked. In 20 "
    "layers β is still {times_20_later:.0f} times as large after 50 steps.",
    "Switch to “after 50 steps”: at which depths is batch norm smoother now?",
    ("depth", "when", "seed"),
)  # fmt: skip

SCENES = (RATE, SMALL, SCALE, MAP, SMOOTH)
