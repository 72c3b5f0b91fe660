"""The questions of "Regularization", and what is said of what comes out."""

from __future__ import annotations

from book.chapter import Choice, Scene

COMPANY = Scene(
    "company", "The same digit in other company",
    "In training, x̂ of a digit depends on its companions: that is noise. Dropout sets a share p of numbers "
    "to 0. Which p makes as much noise as batches of 64?",
    (
        Choice("about 50%, the usual rate", 0.5, "Batches of 2 or 3 make so much."),
        Choice("about 20%", 0.2, "Batches of 8 come close to that."),
        Choice("about 10%", 0.1, "Batches of 16 come close to that."),
        Choice("2 or 3%", 0.025),
    ),
    "share", {"m": 4}, {"m": 64},
    "With batches of 64, {share:.1%} of x̂’s mean square is noise; with batches of 4, {before_share:.0%}. "
    "Dropout with p makes the share p.",
    "The mean of m numbers has variance 1/m, in units of σ². The error of their σ adds z²/(2m), on average "
    "half as much. Together 1.5/m = {share_first:.1%}; the law for Gaussian companions says {share_law:.1%}.",
    "The sizes are alike, not the kinds: dropout draws anew for each digit and unit; a batch shares one "
    "mean. In eval() both stop. By the law, batches of {most:.0f} have {share_most:.1%} left.",
    "Choose a digit far from the mean (large z). Is its x̂ more noisy, or less?",
    ("m", "digit", "seed"),
)  # fmt: skip

LABELS = Scene(
    "labels", "Three labels in ten are wrong",
    "640 digits, 3 of 10 labels wrong. A step has 64 digits, which share one mean. Now only 4 at a time do. "
    "How many clean digits does the network get wrong, compared with before?",
    (
        Choice("a third more", 4 / 3,
               "The noise does disturb learning. But part of what is not learned here is wrong."),
        Choice("as many", 1.0, "Weights, digits, labels and steps are the same. One thing isn’t: see the "
                               "next scene."),
        Choice("a third fewer", 2 / 3, "That is about what norm batches of 8 do."),
        Choice("two thirds fewer", 1 / 3),
    ),
    "level", {}, {"size": 4},
    "With norm batches of 4, {error:.0f}% of the clean digits were wrong; with 64, {before_error:.0f}%.",
    "With 64 the network gave {repeated_64:.0%} of the wrongly labelled digits their wrong label. It had "
    "learned them one by one, and right answers suffered. With 4 it gave {repeated_4:.0%}. What keeps them "
    "out is the next question.",
    "Norm batches of 2 fail: {error_2:.0f}% wrong. Batch norm by itself doesn’t protect: without a norm "
    "{bare:.0f}% are wrong, and {repeated_none:.0%} of the wrong labels are repeated. Norm batches of 64 "
    "against no norm: {worse:+.0f} points of error (95% interval {worse_low:+.0f} to {worse_high:+.0f}).",
    "Drag the dot to 8 and 16: do these keep wrong labels out, or only delay them?",
    ("size", "seed"),
)  # fmt: skip

WHY = Scene(
    "why", "What keeps them out?",
    "Norm batches of 4 repeat few wrong labels. Why? In a network with norm batches of 64, one thing is "
    "changed at a time. Which change alone reaches an error as low as theirs?",
    (
        Choice("adding the noise of norm batches of 4", 0.0),
        Choice("a learning rate ten times smaller", 1.0,
               "It does learn wrong labels later, but right ones, too."),
        Choice("stopping at the best step", 2.0,
               "Right labels are learned first, so stopping helps. Some are not learned by then."),
        Choice("none of them alone", 3.0,
               "Norm batches of 4 also change the gradient. That turns out not to be needed."),
    ),
    "winner", {}, {"suspect": "noise"},
    "The lowest errors: {low_noise:.1f}% with the noise alone, {low_slow:.1f}% with the smaller rate, "
    "{low_stop:.1f}% when stopped at step {step_stop:.0f}; with norm batches of 4, {low_small:.1f}%.",
    "With the noise, {undone_noise:.0%} of the wrongly labelled digits get their true class, "
    "{then_noise:.0%} their wrong label. Stopped at its best step, m = 64 has {undone_stop:.0%} and "
    "{then_stop:.0%}. Trained to the end, it repeats {repeated_stop:.0%} of the wrong labels.",
    "It needn’t be batch norm’s noise: dropout with as large a share (p = {p}) has {low_dropout:.1f}%. Norm "
    "batches of 4 also shorten gradients: of a random gradient’s squared length, {passed:.0%} gets through "
    "such a norm. That isn’t what helps: without it the error is {low_noise:.1f}%.",
    "Click each suspect: which ones repeat more wrong labels the longer they train?",
    ("suspect", "seed"),
)  # fmt: skip

CLEAN = Scene(
    "clean", "With right labels",
    "With 3 of 10 labels wrong (picture), norm batches of 4 make far fewer errors than those of 64. Now all "
    "labels are right. How many points do they gain?",
    (
        Choice("about 20 points, too", 20.0, "The noise is the same. But what it keeps out is gone."),
        Choice("about 10 points", 10.0, "With 1 label in 10 wrong they gain about 5 points."),
        Choice("no point, or they lose a little", 0.0),
    ),
    "fives", {"wrong": 0.3}, {"wrong": 0.0},
    "With right labels m = 64 ended with {whole:.1f}% wrong answers, m = 4 with {small:.1f}%.",
    "What m = 64 fits is right now: its training loss ends at {loss_whole:.3f}, with few errors on new "
    "digits. Noise keeps m = 4 at {loss_small:.2f}, and there is nothing wrong to keep out.",
    "Ioffe & Szegedy (2015, section 3.4) found on ImageNet that with batch norm dropout could be reduced or "
    "left out. That may be so there. Here, errors with norm batches of 64 minus those with 4: {gain:+.1f} "
    "points (95% interval {low:+.1f} to {high:+.1f}); with 3 of 10 labels wrong {before_gain:+.1f}.",
    "Move to 10% wrong labels. How many points per wrong label in a hundred does m = 4 gain?",
    ("wrong", "seed"),
)  # fmt: skip

DROPOUT = Scene(
    "dropout", "Dropout and batch norm",
    "Dropout with p = 0.5 is placed in front of norms 2 and 3. It doubles what it keeps, so means stay. How "
    "large is norm 3’s running variance, against the variance in eval()?",
    (
        Choice("half as large", 0.5, "Half of the numbers were 0. But what is kept counts double."),
        Choice("as large: doubling is made for that", 1.0,
               "Doubling keeps the mean. The variance also has the noise of the masks."),
        Choice("about twice as large", 2.0),
        Choice("four times as large", 4.0,
               "Squared, what is kept counts 4 times. But only half of the numbers are kept."),
    ),
    "ratio", {"order": "behind"}, {"order": "before"},
    "The last norm’s running variance was {ratio:.2f} times the variance that arrives in eval().",
    "Masks add p/(1 − p) · Σ w² E[a²] to a variance, in training only. Norm 2: {expected_2:.2f} times by the "
    "formula, {ratio_2:.2f} measured. For norm 3 the formula alone says {expected_3:.2f}. The rest comes "
    "from norm 2: in eval() it divides by too much, so less arrives at norm 3.",
    "What it costs here, in points of error, against statistics computed again without dropout: {cost:+.1f} "
    "at p = {p} (95% interval {low:+.1f} to {high:+.1f}), {worst:+.1f} at p = {worst_p} ({worst_low:+.1f} to "
    "{worst_high:+.1f}). Li et al. (2018) report worse predictions in deep convolutional networks.",
    "Put dropout behind the last norm. What is left of the difference at p = 0.7?",
    ("order", "p", "seed"),
)  # fmt: skip

SCENES = (COMPANY, LABELS, WHY, CLEAN, DROPOUT)
