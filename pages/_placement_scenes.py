"""The scenes of "Placement": what is asked, and what is said of the answer."""

from __future__ import annotations

from book.chapter import Choice, Scene

COUNT = Scene(
    "count", "Who shares a mean",
    "A convolution puts out 32 digits × 16 channels × 8 × 8 positions. Batch norm subtracts a mean from "
    "each of these numbers. How many of them share one mean?",
    (
        Choice("32: a mean for each number’s place", 32.0,
               "In a dense layer it is so: one mean for each unit, over the 32 digits. A convolution has the "
               "same weights at all positions, and one mean for all of them."),
        Choice("64: a mean for each digit and channel", 64.0,
               "That is instance norm. Batch norm takes the digits of the batch together."),
        Choice("2,048: a mean for each channel", 2048.0),
        Choice("32,768: one mean for all", 32768.0,
               "All do go through one norm. But each channel has a mean of its own, as each unit has in a "
               "dense layer."),
    ),
    "shared", {}, {},
    "One number was changed, and {shared:,.0f} outputs changed.",
    "There is one mean for each of the {channels:.0f} channels: {samples:.0f} digits × {side:.0f} × "
    "{side:.0f} positions share it. For these the norm learns {learned:.0f} numbers (γ and β) and keeps "
    "{kept:.0f} more (running mean and variance); the convolution has {weights:,.0f} weights.",
    "Positions of one image are no independent samples: channel {channel:.0f}’s mean scatters {ratio:.2f} "
    "times as much from batch to batch as that of independent numbers would, other channels’ between "
    "{lowest:.2f} and {highest:.2f} times. Differences between positions are the same in every batch; they "
    "are {layout:.0%} of this channel’s variance.",
    "Choose 1 × 1 positions: when is a convolution like a dense layer?",
    ("network", "samples", "channels", "side", "channel"),
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
        Choice("zero, but for rounding", 0.0),
    ),
    "share", {}, {},
    "The bias’s gradient was {bias_gradient}, β’s {beta_gradient} (root mean square over all units).",
    "A bias moves all samples of the batch and their mean alike, so that x̂ stays. The gradients of the "
    "{batch:.0f} samples, {pull} in absolute values, sum up to {sum}: for batch norm this sum is 0 "
    "whatever the loss. β does the bias’s work.",
    "This holds where mean and bias are of the same unit, in train(). With layer norm, without a norm, or "
    "with the norm behind the activation, the bias counts; so it does in eval(), where the mean is a "
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
    "The norm after the sigmoid was right on {after_right:.1%}, before it on {before_right:.1%}: "
    "{gain:.1f} points (95% interval {low:.1f} to {high:.1f}).",
    "At the start a sigmoid behind a norm passes on numbers of mean {before_mean:.2f} and standard "
    "deviation {before_std:.2f}; a norm behind the sigmoid passes on {after_mean:.2f} and {after_std:.2f}. "
    "The next weights see what differs between digits {times:.1f} times as large. Saturated are "
    "{before_flat:.1%} of the numbers before, {after_flat:.1%} after.",
    "Part of it is the learning rate: with the best of three for each order, chosen on other seeds, "
    "{fair:.1f} points are left; after {last:.0f} steps at {rate}, {late:.1f}. Ioffe & Szegedy chose "
    "“before”, since what leaves a linear map is “more Gaussian”. For ReLU reports differ: see the sources.",
    "Choose ReLU: does the interval tell the orders apart? And how many units are dead?",
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
    "It was right on {right:.1%} of the digits; from γ = 1 on {right_one:.1%}.",
    "With γ = 0 every ReLU gets 0 and gives 0: all digits get {answers:.0f} answer. The slope of ReLU at 0 "
    "is 0, too, so that the gradient in the first layer is {first}; from γ = 1 it was {first_one}.",
    "From γ = 0.05 the gradients of the weights are small, not 0: {small:.0%} right. In a residual network "
    "whose branches are multiplied by 0 at first, digits and gradients go around the branches: "
    "{branch:.0%}, against {whole:.0%} with branches in full. There γ = 0 is in use: in the last "
    "norm of each branch.",
    "Drag γ: from which start on is nothing lost?",
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
    "{active:.1%} of the first layer’s outputs were above 0; in a bell curve {law:.1%} are.",
    "x̂ has standard deviation 1, so β counts in standard deviations: what passes lay more than 2 of them "
    "above the mean. Little passes, and little is learned: after {steps:.0f} steps {right:.0%} of the "
    "digits are right; from β = 0 {right_zero:.0%}. {dead:.1%} of the units are dead: never above 0.",
    "β above 0 lets more pass: from β = 1 {law_one:.0%} pass, and {right_one:.1%} are right. β is learned, "
    "so that it can leave a bad start; that costs time.",
    "Drag β: which start learns best here, and is it 0?",
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
