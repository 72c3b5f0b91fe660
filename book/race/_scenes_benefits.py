"""Scenes about what batch norm is said to be good for."""

from __future__ import annotations

from ._finding import PLACES
from ._scene import lab_scene

BENEFITS = (
    lab_scene(
        "opening",
        "The opening race",
        "Both networks have five hidden layers and initial weights as He et al. (2015) advise. One of them "
        "has batch norm. Which recognizes more new digits after 600 steps?",
        group="Depth and initial weights",
        until=600,
        start={},
        because="There was nothing to repair. With these weights the gradient reaches the first layer "
        "without a norm, too: the first layer’s gradient was 4.5 times the last layer’s, with batch norm "
        "3.5 times. Both networks fit their training batches, with losses of {train_loss_0:.3f} and "
        "{train_loss_1:.3f}.",
        but="Batch norm got there sooner: at step 50 it is more than 10 points ahead. And it depends on the "
        "shape: with three or seven layers, or half the width, batch norm is 1 to 3 points ahead at step "
        "600, too (means of 12 other seeds).",
        task="Set the depth to 10, or the init scale to 0.5, and compare again.",
        read=(PLACES["deep"], PLACES["fast"], PLACES["E8"]),
        credits={1: "It was ahead at first, for example at step 50."},
    ),
    lab_scene(
        "shallow",
        "Two layers",
        "Only two hidden layers, He’s initial weights, batches of 64, learning rate 0.5. Which network is "
        "more accurate after 600 steps?",
        group="Depth and initial weights",
        until=600,
        start={"depth": 2, "init_scale": 1.0, "batch_size": 64, "lr": 0.5},
        because="Across two layers a gradient neither vanishes nor explodes, and the learning rate suits "
        "both networks: training losses were {train_loss_0:.3f} and {train_loss_1:.3f}.",
        but="No clear lead isn’t no difference. Over 24 other seeds batch norm is 0.4 points ahead (95% "
        "interval +0.1 to +0.7): two of 500 validation samples, and on others it might be less. And it "
        "depends on the depth: with four layers this learning rate is too high for some of the networks "
        "without a norm.",
        task="Add layers one by one, or raise the learning rate, until the lanes differ.",
        read=(PLACES["opening"], PLACES["deep"]),
    ),
    lab_scene(
        "fast",
        "Learning rate × 10",
        "Ten layers with He’s weights. Each network is trained at learning rate 0.03 and at 0.3. Which of "
        "the four lanes leads after 200 steps?",
        group="Learning rate",
        until=200,
        start={
            "replicas": 8,
            "lanes": tuple((norm, (("lr", lr),)) for lr in (0.03, 0.3) for norm in ("none", "batch")),
            "lr": 0.03,
            "depth": 10,
            "batch_size": 64,
            "init_scale": 1.0,
        },
        because="At 0.3 without a norm {lost_2:.0f} of 8 seeds diverged, and the others had a training loss "
        "of {train_loss_2:.2f}; always guessing has 2.30. For the whole batch {dead_2:.0f}% of their ReLUs "
        "were off, at 0.03 {dead_0:.0f}%. Batch norm subtracts each unit’s mean over the batch, so that a "
        "long step can’t push a unit below 0 for all samples unless β does: {dead_3:.0f}% were off, and the "
        "loss was {train_loss_3:.2f}.",
        but="At 0.03 batch norm mattered much less: {accuracy_1:.1f}% against {accuracy_0:.1f}%. Bjorck et "
        "al. (2018) see no difference at very small rates. The lead is one of speed: after 600 steps 2 "
        "points are left of it. And batch norm has a limit, too: at a rate of 10 it doesn’t learn here.",
        task="Find the highest learning rate at which each network still learns.",
        read=(PLACES["E8"], PLACES["E7"], ("A race at tuned rates", "training-lab?preset=accuracy")),
        credits={1: "At 0.03 it led, but at 0.3 batch norm learns more in the same 200 steps."},
    ),
    lab_scene(
        "accuracy",
        "Both networks tuned",
        "Each network has the learning rate out of 0.01, 0.03, 0.1, 0.3, 1 and 3 that did best for it on "
        "other seeds, and the rate falls to 0 along a cosine. Ten layers. Which is more accurate after 600 "
        "steps?",
        group="Learning rate",
        until=600,
        start={
            "lanes": (("none", (("lr", 0.1),)), ("batch", (("lr", 1.0),))),
            "depth": 10,
            "batch_size": 64,
            "cosine_steps": 600,
            "init_scale": 1.0,
        },
        because="Both networks fit their training batches, with losses of {train_loss_0:.3f} and "
        "{train_loss_1:.3f}: the difference is one of generalization. On the validation samples the losses "
        "were {val_loss_0:.2f} and {val_loss_1:.2f}. Batch norm was trained at ten times the rate, at "
        "which the other network doesn’t learn.",
        but="The lead is {lead:.1f} points (95% interval {lead_low:+.1f} to {lead_high:+.1f}), and most of "
        "it comes with the rate: at 0.1 batch norm is 1 point ahead (12 other seeds). Experiment E8, with "
        "half as many steps and no cosine, finds no gain that is beyond chance at 5 and 10 layers.",
        task="Give both lanes a learning rate of 0.1, then race again.",
        read=(PLACES["E8"], PLACES["fast"]),
        credits={-1: "At one and the same rate, 0.1, only 1 point is left."},
    ),
    lab_scene(
        "deep",
        "Ten layers, small weights",
        "Ten hidden layers, and initial weights half as large as He et al. (2015) advise. Which network "
        "leads after 200 steps?",
        group="Depth and initial weights",
        until=200,
        start={"depth": 10, "init_scale": 0.5},
        because="Such weights halve the signal in every layer. Without a norm the last layer’s activations "
        "had a standard deviation of {spread_0}, and the first layer’s gradient was {shrink_0} times "
        "smaller than the last layer’s. Batch norm divides by each unit’s own σ, so the scale of the "
        "weights cancels: there the activations had {spread_1}.",
        but="Better initial weights repair this, too: with He’s the network without a norm learns, if "
        "later than batch norm.",
        task="Set the init scale to 1, then to 0.1.",
        read=(PLACES["E19"], ("A race with large weights", "training-lab?preset=large")),
    ),
    lab_scene(
        "large",
        "Weights three times He’s",
        "Five hidden layers, and initial weights three times as large as He et al. (2015) advise. Which "
        "network leads after 200 steps?",
        group="Depth and initial weights",
        until=200,
        start={"init_scale": 3.0},
        said="At step 200: no norm diverged in {lost_0:.0f} seeds, batch norm {accuracy_1:.1f}%.",
        because="Each layer multiplied the signal by about three. Without a norm the loss went beyond a "
        "thousand times that of guessing, and {lost_0:.0f} seeds diverged. With batch norm the factor "
        "cancels, and the last layer’s activations had a standard deviation of {spread_1}.",
        but="At a learning rate of 0.001 the network without a norm doesn’t diverge, and with three layers "
        "it is behind but learns. And batch norm pays for such weights: they act as a smaller learning rate, "
        "and from He’s weights it is more accurate by 3 points or more.",
        task="Lower the learning rate until the network without a norm learns.",
        read=(PLACES["E19"], PLACES["deep"]),
    ),
    lab_scene(
        "flow",
        "Eight sigmoid layers",
        "Eight hidden layers with sigmoids. Which network leads after 200 steps?",
        group="Depth and initial weights",
        until=200,
        start={"depth": 8, "activation": "sigmoid", "init_scale": 1.0},
        because="A sigmoid’s slope is at most ¼. Without a norm the first layer’s gradient was {shrink_0} "
        "times smaller than the last layer’s, so the first layers hardly changed. What a unit receives "
        "here differs little from sample to sample: batch norm divides by this small σ, and so the "
        "gradient, too. With it, the last layer’s gradient was {shrink_1} times the first layer’s.",
        but="It isn’t so for every activation. With ReLU and He’s weights the gradient doesn’t vanish "
        "without a norm; there it is batch norm that makes it grow toward the input, the more the deeper "
        "(Yang et al. 2019).",
        task="Change the activation to ReLU, then compare the gradients per layer at step 0.",
        read=(PLACES["E5"], PLACES["E7"], ("A race of two placements", "training-lab?preset=sigmoid")),
    ),
    lab_scene(
        "shift",
        "Noise after the norm",
        "Ten layers with tanh. One lane has no norm. In the other, what leaves each batch norm is stretched "
        "and shifted at random, anew in every step, so that the next layer’s inputs are never steady. Which "
        "lane leads after 100 steps?",
        group="Settings of a norm",
        until=100,
        start={
            "lanes": (("none", ()), ("batch", (("norm_noise", 1.0),))),
            "activation": "tanh",
            "depth": 10,
            "batch_size": 64,
            "lr": 0.03,
            "init_scale": 0.7,
        },
        because="The noise moved every layer’s inputs in every step, and this lane still learned sooner: its "
        "training loss was {train_loss_1:.2f}, the other’s {train_loss_0:.2f}. So inputs that stay the same "
        "from step to step aren’t what the lead needs. What batch norm still does here is to set each unit’s "
        "scale, before the noise.",
        but="The noise has a price: without it batch norm’s training loss is 0.30, with it 0.45 (means of 12 "
        "other seeds). Santurkar et al. (2018) report no such price; Ioffe & Szegedy (2015) see steadier "
        "inputs as the cause. And with ReLU, He’s weights and a learning rate of 0.1 the noise leaves no "
        "clear lead after 200 steps.",
        task="Add a lane with batch norm and without the noise.",
        read=(PLACES["E6"], PLACES["E7"]),
    ),
    lab_scene(
        "noise",
        "Three labels in ten are wrong",
        "Of 640 training digits, 30% have a wrong label; those for validation are right. Batch norm takes "
        "its statistics from the batch of 64 or from 4 samples at a time. Which lane leads after 400 steps?",
        group="Samples that share a mean",
        until=400,
        start={
            "lanes": (("none", ()), ("batch", ()), ("batch", (("norm_batch", 4),))),
            "label_noise": 0.3,
            "train_samples": 640,
            "depth": 3,
            "batch_size": 64,
            "optimizer": "momentum",
            "lr": 0.05,
            "init_scale": 1.0,
        },
        because="It learned the wrong labels least: its training loss was {train_loss_2:.2f}, the others’ "
        "{train_loss_0:.2f} and {train_loss_1:.2f}. A mean of four samples changes with their company, so "
        "that x̂ is noisy, and an image is harder to learn by heart.",
        but="Smaller isn’t always better: 16 samples at a time do no better than 64 (66.4% and 65.4%, means "
        "of 12 other seeds), and with 2 the network hardly trains (39.2%). With statistics of all 64 batch "
        "norm doesn’t regularize here: it fits the wrong labels most closely and has {accuracy_1:.1f}%, no "
        "norm {accuracy_0:.1f}%. With right labels, norm batches of 4 gain nothing. A network that learns "
        "more slowly also resembles one that was stopped early: this race doesn’t separate the two.",
        task="Set the label noise to 0.",
        read=(PLACES["E17"], PLACES["roulette"]),
    ),
)  # fmt: skip
