"""Scenes about where batch norm has a disadvantage, and what is done about it."""

from __future__ import annotations

from ._finding import PLACES
from ._scene import lab_scene

MENDED = ("A race of three changes", "training-lab?preset=mend")

LIMITS = (
    lab_scene(
        "pairs",
        "Batches of two, dense",
        "A dense network with three hidden layers sees two digits a step. Which lane leads after 200 steps?",
        group="Samples that share a mean",
        until=200,
        start={"batch_size": 2, "depth": 3, "init_scale": 1.0, "lr": 0.05},
        because="Of two numbers that differ by a gap, x̂ is ±gap/√(gap² + 4ε): nearly +1 and −1 for any gap "
        "above 0.03. Only which one is larger gets through. Moving one of them changes nothing, so hardly a "
        "gradient gets through either. Averaged over the layers, log₁₀ of update : data was {update_1:.1f}, "
        "without a norm {update_0:.1f}.",
        but="This is a property of two numbers, not of two samples. Where a channel has many positions a "
        "mean is taken over more, as in the convolutional race. Image networks lose less with two images "
        "(Wu & He 2018).",
        task="Set the batch size to 3, 4 and 8.",
        read=(PLACES["cliff"], PLACES["E11"], MENDED),
    ),
    lab_scene(
        "images",
        "Batches of two, convolutional",
        "A convolutional network with three layers sees two digits a step. Which lane leads after 400 "
        "steps?",
        group="Samples that share a mean",
        until=400,
        start={
            "network": "cnn",
            "batch_size": 2,
            "depth": 3,
            "width": 24,
            "init_scale": 1.0,
            "replicas": 8,
        },
        because="A channel’s mean is taken over images and positions: 2 × 8 × 8 = 128 numbers in the first "
        "layer and 2 × 4 × 4 = 32 in the others, not 2 as in a dense layer. Gradients pass, so it trains; at "
        "inference the running averages, which are less noisy, then add to it ({batch_accuracy_1:.1f}% → "
        "{accuracy_1:.1f}%).",
        but="Much of the lead is speed: after 1,200 steps fewer than 10 points are left, and with a single "
        "layer nothing is learned in 400 steps. Group norm, which uses no other images, has 57.3% here at "
        "the same learning rate (batch norm 73.9%, means of 12 other seeds). On ImageNet Wu & He (2018) find "
        "it ahead: with two images per GPU its error is 10.6 points lower than batch norm’s. A channel with "
        "a single position, a 1 × 1 map, would be like a dense layer; the smallest maps here are 4 × 4.",
        task="Change the network to dense.",
        read=(PLACES["pairs"], PLACES["cliff"], PLACES["E11"]),
        credits={0: "In a dense network you would have been right."},
    ),
    lab_scene(
        "one",
        "One sample at a time",
        "A dense network learns from one digit a step. Which lane leads after 400 steps?",
        group="Samples that share a mean",
        until=400,
        start={
            "lanes": (("none", ()), ("layer", ()), ("batch", ())),
            "batch_size": 1,
            "depth": 3,
            "lr": 0.005,
            "init_scale": 1.0,
            "replicas": 8,
        },
        because="A single sample is its own mean. Batch norm puts out β whatever comes in, and no gradient "
        "passes: its training loss stayed at {train_loss_2:.2f}, where guessing has 2.30. Layer norm takes "
        "its mean over the units of one sample.",
        but="PyTorch refuses such a batch in training with an error. Layer norm’s lead over no norm is one "
        "of speed: after 1,200 steps 4 of 15 points are left, and at a rate of 0.02 it has no clear lead "
        "after 600 steps (12 other seeds).",
        task="Set the learning rate to 0.02, then the batch size to 2.",
        read=(PLACES["E20"], PLACES["alone"], PLACES["pairs"]),
        credits={0: "Without a norm it does learn from one sample, only more slowly at this rate."},
    ),
    lab_scene(
        "recurrent",
        "A recurrent network",
        "A recurrent network reads digits row by row, in batches of four. One lane has layer norm, the "
        "other batch norm with statistics of its own for each row. Which leads after 300 steps?",
        group="Other networks",
        until=300,
        start={
            "lanes": (("layer", ()), ("batch", ())),
            "network": "rnn",
            "activation": "tanh",
            "depth": 1,
            "batch_size": 4,
            "lr": 0.03,
            "init_scale": 0.7,
            "replicas": 8,
        },
        because="Batch norm has eight means per unit, one for each row, and each is taken from four "
        "samples. With so much noise its training loss was {train_loss_1:.2f}; layer norm’s, which looks "
        "at one sample and one row at a time, was {train_loss_0:.2f}.",
        but="It is the small batch, not recurrence: in batches of 32 at the same rate layer norm has no "
        "clear lead (92.3% against 91.4%, means of 12 other seeds), and E22 agrees. Laurent et al. (2016) "
        "saw no help from batch norm in the recurrent part. The argument of Ba et al. (2016) is about "
        "sequences of different lengths; all of these have eight rows, so that it can’t show.",
        task="Set the batch size to 32.",
        read=(PLACES["E22"], PLACES["pairs"]),
        credits={1: "In batches of 32 it isn’t clearly behind."},
    ),
    lab_scene(
        "late",
        "Momentum 0.999",
        "Two lanes differ in the momentum of the running statistics alone: 0.9, which is PyTorch’s 0.1, or "
        "0.999. Which is more accurate after 100 steps?",
        group="Settings of a norm",
        until=100,
        start={
            "lanes": tuple(("batch", (("momentum", momentum),)) for momentum in (0.9, 0.999)),
            "depth": 3,
            "batch_size": 64,
            "init_scale": 1.0,
        },
        because="Both lanes train the same weights: training losses were {train_loss_0:.3f} and "
        "{train_loss_1:.3f}, and with statistics of a batch both had {batch_accuracy_0:.1f}% and "
        "{batch_accuracy_1:.1f}%. Validation uses running statistics, which begin at mean 0 and variance "
        "1. With momentum 0.999, 90% of that is left after 100 steps.",
        but="It passes: after 1,000 steps 37% is left, and both lanes are within 5 points. Statistics that "
        "are computed anew from the training samples repair it at once.",
        task="Watch to step 1,000, or try 0.99.",
        read=(PLACES["stale"], PLACES["lag"], PLACES["E13"]),
        credits={-1: "In training mode they are level: the weights are the same."},
    ),
)  # fmt: skip
