"""The scenes of "Why does it work?": what is asked, and what is said of the answer."""

from __future__ import annotations

from book.chapter import Choice, Scene

VOTE = Scene(
    "vote", "What is to be explained",
    "Three sigmoid layers, as in figure 1 of the 2015 paper, at learning rate 0.1. After 500 steps they are "
    "right hardly more often than a guess. How often with batch norm?",
    (
        Choice("hardly more often, too", "none_right",
               "Both begin with the same weights and see the same digits."),
        Choice("about 50%", 0.5, "It passes 50% within its first 50 steps, and goes on."),
        Choice("over 90%", 0.95),
    ),
    "batch_right", {}, {},
    "Batch norm was right on {batch_right:.1%} of the digits, the other network on {none_right:.1%}.",
    "With these small weights, a sigmoid of the last layer gets nearly the same from every digit: before "
    "training most inputs (15% to 85%) lie within {narrow:.2f} of each other, with batch norm within "
    "{wide:.2f}. But four explanations of the lead are on offer.",
    "This gap belongs to this learning rate and these weights; experiment E5 has others. And each "
    "explanation makes a prediction that can fail.",
    "Which explanation do you believe? Vote beside the picture, then test it. Your vote stays with you.",
    ("vote", "seed"),
)  # fmt: skip

STEADY = Scene(
    "steady", "Steady inputs?",
    "At rate 0.5 (in the pictures) a network without a norm has inputs that drift further, and learns later. "
    "At rate 2 they drift further still. How many more digits is batch norm right on after 500 steps?",
    (
        Choice("about 30 points more", 30.0,
               "Early in training it does lead by that much and more. The other network catches up."),
        Choice("about 10 points more", 10.0,
               "During training it leads by that much for a while. The other network goes on learning."),
        Choice("1 or 2 points more", 1.5),
    ),
    "gap", {}, {"lr": "2"},
    "Batch norm was right on {batch_right:.1%}, the network without a norm on {none_right:.1%}. Its inputs "
    "drifted {drift:.1f} times as far.",
    "Batch norm does steady the inputs: at rate 0.5 they drift {drift_half:.1f} times less. But at rate 2 "
    "the network without a norm drifts by {none_drift:.1f}, more than at 0.5 ({still:.1f}), and it learns. "
    "So steady inputs can’t be what learning needs.",
    "The network without a norm gets there later: at step 100 it is right on {none_soon:.0%}, batch norm on "
    "{batch_soon:.0%}. Ioffe & Szegedy (2015) saw steadier inputs as the cause of the lead. The next scene "
    "tests that.",
    "Choose rate 0.1. Whose inputs drift less in the first 200 steps, and who learns?",
    ("lr", "vote", "seed"),
)  # fmt: skip

NOISE = Scene(
    "noise", "Noise behind the norm",
    "Random noise is added behind each batch norm, new at every step. It moves the inputs of the activations "
    "more than they move without a norm. How large is the loss then, compared with no norm?",
    (
        Choice("larger: nearly twice", 1.8,
               "Noise does cost something. And a network without a norm suffers more from it."),
        Choice("about the same", 1.0, "That is where stronger noise takes it: try × 3."),
        Choice("less than half", 0.45),
    ),
    "ratio", {}, {"strength": 1},
    "Over steps 50 to 99 the loss with noisy batch norm was {noisy_loss:.2f}; without a norm "
    "{none_loss:.2f}, with plain batch norm {batch_loss:.2f}.",
    "Its inputs move {times:.1f} times as far in a step as without a norm: {noisy_moved:.2f} standard "
    "deviations (closed form for the noise alone: {law:.2f}) against {none_moved:.2f}. Still it learns "
    "faster. So the lead doesn’t need steady inputs.",
    "Noise has a price: the loss is {noisy_loss:.2f} instead of {batch_loss:.2f}. Santurkar et al. (2018), "
    "whose noise this is, report about the same as without noise. And noise also disturbs gradients, so it "
    "is a hard test.",
    "Which strength takes the lead away? Choose ReLU: are noisy inputs less steady there than without a "
    "norm?",
    ("strength", "activation", "step", "vote", "seed"),
)  # fmt: skip

MEASURES = Scene(
    "measures", "Two measures of shift",
    "G is a layer’s gradient, G′ its gradient after the layers before it have made their step. Over 100 "
    "steps, the angle between them is smaller with batch norm. How large is the length ‖G − G′‖, compared "
    "with no norm?",
    (
        Choice("0.8 times: smaller, too", 0.8,
               "If gradients were equally long, the smaller angle would make the smaller length."),
        Choice("the same", 1.0, "Later in training both networks shift about as far. At first they don’t."),
        Choice("about 1.4 times: larger", 1.4),
    ),
    "factor", {}, {},
    "By length the shift with batch norm was {factor:.2f} times that without; by the angle it was "
    "{batch_angle:.0f}° against {none_angle:.0f}°.",
    "‖G − G′‖ also counts how long G is. With batch norm gradients are {longer:.2f} times as long here. A "
    "gradient that turns by θ and keeps its length moves by 2 sin(θ/2) · ‖G‖ (dashed): a small angle of a "
    "long gradient can be a long shift.",
    "Most of it is early: {early:.1f} times up to step 20, {late:.2f} times after step 50. With ReLU both "
    "say smaller: {relu_factor:.2f} times, {relu_batch_angle:.0f}° against {relu_none_angle:.0f}°. Santurkar "
    "et al. (2018) used the length. Say which measure, which network, and when.",
    "Choose ReLU. Is there still a step at which batch norm’s shift is larger?",
    ("activation", "vote", "seed"),
)  # fmt: skip

SMOOTH = Scene(
    "smooth", "A smoother loss?",
    "At each step of training we walk along the gradient, half to four learning rates, and note the range of "
    "the loss. Five ReLU layers: how much smaller is this range with batch norm?",
    (
        Choice("not smaller: batches make it rough", 0.7,
               "Each loss does depend on its batch. But along the gradient the batch stays the same."),
        Choice("3 times smaller", 3.0, "Experiment E7 asks for at least that, at three depths. Here it is "
                                       "more."),
        Choice("about 15 times smaller", 15.0),
    ),
    "factor", {"look": 50}, {},
    "The range was typically {none_range:.2f} without a norm and {batch_range:.2f} with batch norm, "
    "{factor:.0f} times smaller.",
    "Four learning rates on, the loss without a norm is higher than before in {none_uphill:.0%} of the "
    "looks, with batch norm in {batch_uphill:.0%}. In a bowl one step goes down while β, how fast the "
    "gradient changes, is below 2/rate = {edge:.0f}: no norm has {none_beta:.0f}, batch norm "
    "{batch_beta:.1f}.",
    "Layer norm’s range is {layer_range:.2f}, {rough:.0f} times batch norm’s, yet its loss ends at "
    "{layer_late:.2f}; no norm {none_late:.2f}, batch norm {batch_late:.2f}. And before the first step batch "
    "norm is the roughest ({first:.2f} against {none_first:.2f}).",
    "Drag the diamond: from which step on is batch norm the smoothest?",
    ("look", "vote", "seed"),
)  # fmt: skip

LENGTH = Scene(
    "length", "Length and direction",
    "In mid-training all hidden weights of a network with batch norm are multiplied by 3. The learning rate "
    "stays. How far does the next step turn the weights, compared with before?",
    (
        Choice("as far: the outputs are the same", 1.0,
               "The outputs and the loss do stay the same. The gradient doesn’t."),
        Choice("a third as far", 1 / 3,
               "The gradient is a third. And it acts on weights three times as long."),
        Choice("a ninth as far", 1 / 9),
    ),
    "turned", {"factor": 1.0}, {"factor": 3.0},
    "The next step turned the weights {turned:.3f} times as far. The loss was {loss:.3f} before and after.",
    "The norm divides by what the weights are multiplied by, so outputs stay. The gradient is {gradient:.3f} "
    "times as long, on weights {factor:.0f} times as long: the angle is 1/{factor:.0f}² = {law:.3f} times. "
    "Their length acts as a learning rate.",
    "With the learning rate × {square:.0f} it is the same training: losses differ by {same}. This needs a "
    "small eps. Without a norm the loss jumps from {bare_before:.2f} to {bare_loss:.2f}, and to "
    "{bare_next:.0f} on average over the next 10 steps.",
    "Switch on “learning rate × factor²” and drag the factor. Which curve never changes?",
    ("factor", "follow", "vote", "seed"),
)  # fmt: skip

VERDICT = Scene(
    "verdict", "What is settled",
    task="Four explanations, three questions each. A cell says what was measured here, or in an experiment "
         "of the training lab, and leads to it. Which one surprises you?",
    controls=("vote", "seed"),
)  # fmt: skip

SCENES = (VOTE, STEADY, NOISE, MEASURES, SMOOTH, LENGTH, VERDICT)
