"""The scenes of "Placement": what is asked, and what is said of the answer."""

from __future__ import annotations

from book.chapter import Choice, Scene

COUNT = Scene(
    "count", "Who shares a mean",
    "A convolution puts out 32 digits × 16 channels × 8 × 8 positions. Batch norm subtracts a mean from "
    "each of these numbers. How many of them share one mean?",
    (
        Choice("32: one for each position", 32.0,
               "In a dense layer 32 numbers share one: the digits. A convolution has the same weights at all "
               "positions, and one mean for all of them."),
        Choice("64: one for each digit and channel", 64.0,
               "That is instance norm. Batch norm takes the digits of the batch together."),
        Choice("2,048: one for each channel", 2048.0),
        Choice("32,768: one for all", 32768.0,
               "All do go through one norm. But each channel has a mean of its own, as each unit has in a "
               "dense layer."),
    ),
    "shared", {}, {},
    "One number was changed, and {shared:,.0f} outputs changed.",
    "There is one mean for each of the {channels:.0f} channels: {samples:.0f} digits × {side:.0f} × "
    "{side:.0f} positions share it.",
    "From batch to batch the mean of channel {channel:.0f} varies {ratio:.2f} times as much as if all "
    "{shared:,.0f} numbers were independent (other channels: {lowest:.2f} to {highest:.2f}). {layout:.0%} of "
    "its variance is between positions, and every batch has the same positions.",
    "With which settings does a convolution have as few numbers for a mean as a dense layer?",
    ("samples", "channels", "side", "channel"),
)  # fmt: skip

BIAS = Scene(
    "bias", "The bias before a norm",
    "Linear map with a bias, batch norm, ReLU. In training, how large is the gradient of that bias, compared "
    "with the gradient of β behind the normalization?",
    (
        Choice("as large: both shift a unit", 1.0,
               "Both do shift it. But the norm stands between them, and subtracts the mean."),
        Choice("about a tenth of it", 0.1,
               "Dividing by σ would change its size so. Subtracting the mean does more."),
        Choice("zero, except for rounding errors", 0.0),
    ),
    "share", {}, {},
    "The bias’s gradient was {bias_gradient}, β’s {beta_gradient} (root mean square over all units).",
    "A bias moves all samples of the batch and their mean alike, so x̂ stays the same. Without signs the "
    "gradients of the {batch:.0f} samples add up to {pull}. With signs they cancel, whatever the loss. "
    "β does the bias’s work.",
    "This holds in train(), where mean and bias are of the same unit. With layer norm, without a norm, or "
    "with the norm behind the activation, the bias counts. It does in eval(), too: there the mean is a "
    "constant.",
    "Choose another norm: when does dragging the bias move what leaves the layer?",
    ("shift", "arm", "seed"),
)  # fmt: skip

ORDER = Scene(
    "order", "Before or after the activation",
    "Three sigmoid layers learn digits for 50 steps. Batch norm stands before each sigmoid, or after it; the "
    "initial weights are the same. Which order is right on more digits?",
    (
        Choice("before, by about 10 points", -10.0,
               "The 2015 paper puts it there, and before a sigmoid it does keep the numbers where the "
               "slope is large."),
        Choice("they are level, within 2 points", 0.0,
               "Nearly so with other activations, or much later in training: try it."),
        Choice("after, by about 10 points", 10.0),
    ),
    "gain", {}, {},
    "With the norm after the sigmoid {after_right:.1%} of the digits were right, before it "
    "{before_right:.1%}.",
    "At the start a sigmoid behind a norm passes on mean {before_mean:.2f} and standard deviation "
    "{before_std:.2f} (bell curve: {before_bell_std:.2f}). A norm behind the sigmoid passes on "
    "mean 0 (its β) and {after_std:.2f}. So the next weights see differences between digits {times:.1f} "
    "times as large.",
    "The lead depends on the learning rate (below: each order with its best) and on time: after {last:.0f} "
    "steps {late:.1f} points are left. Ioffe & Szegedy chose “before”: there numbers are “more Gaussian”. "
    "For ReLU, reports differ (sources).",
    "Choose ReLU, learning rate 0.1: is there a clear difference? How many units are dead in each layer?",
    ("activation", "lr", "layer", "step", "seed"),
)  # fmt: skip

START = Scene(
    "start", "γ at the start",
    "A plain network: ten layers of linear map, batch norm and ReLU. γ starts at 0 in all of them instead of "
    "1, and is learned from there. How many digits are right after 100 steps?",
    (
        Choice("as many: γ is learned", "right_one",
               "γ is learned, if a gradient arrives at it. Here none does."),
        Choice("fewer, by about 20 points", "fewer",
               "A small γ does that. At 0 nothing passes at all."),
        Choice("one in ten: it guesses", 0.1),
    ),
    "right", {}, {"gamma": 0.0},
    "It was right on {right:.1%} of the digits. With γ = 1 it is {right_one:.1%}.",
    "With γ = 0 every ReLU gives 0. All digits get the same answer, and {common:.1%} of them are of that "
    "class. The slope of ReLU at 0 is 0, too: the first layer’s gradient is {first}; with γ = 1 it is "
    "{first_one}.",
    "With γ = 0.05 gradients are small, not 0: {small:.0%} right. Residual networks do start with branches "
    "× 0 (γ = 0 in each branch’s last norm): digits and gradients go around them. {branch:.0%} are right; "
    "with full branches it is {whole:.0%}.",
    "Drag γ: from which γ on are you within 1 point of γ = 1?",
    ("gamma", "seed"),
)  # fmt: skip

BETA = Scene(
    "beta", "β at the start",
    "Linear map, batch norm, ReLU. β starts at −2 in all units instead of 0. What share of the norm’s "
    "outputs in the first layer is above 0 and passes the ReLU?",
    (
        Choice("half, as always", 0.5,
               "Of x̂ about half is above 0. β moves it before the ReLU cuts."),
        Choice("a sixth", 0.16,
               "That is what lies more than one standard deviation above the mean. Here two are needed."),
        Choice("one in fifty", 0.02),
        Choice("none: all units are dead", 0.0,
               "Hardly a unit is: each has mean 0 and standard deviation 1 over the batch, so that a few of "
               "its numbers lie above 2."),
    ),
    "active", {}, {"beta": -2.0},
    "{active:.1%} of the first layer’s outputs were above 0.",
    "x̂ has standard deviation 1. With β = −2 a number passes if it lies more than 2 standard deviations "
    "above the mean. After {steps:.0f} steps {right:.0%} of the digits are right; with β = 0 "
    "it is {right_zero:.0%}.",
    "β above 0 lets more pass: {law_one:.0%} of a bell curve with β = 1. Then {right_one:.1%} of the digits "
    "are right. β is learned, so it can leave a bad start. That costs time.",
    "Drag β: which starts are level with 0 (no clear difference)?",
    ("beta", "seed"),
)  # fmt: skip

PLAY = Scene(
    "play", "Play",
    task="Find a start from which the network learns nothing. Does it help to move the norm? Which settings "
    "make dead units?",
    start={"activation": "relu"},
    controls=("activation", "order", "norm", "lr", "gamma", "beta", "layer", "step", "seed"),
)  # fmt: skip

SCENES = (COUNT, BIAS, ORDER, START, BETA, PLAY)
