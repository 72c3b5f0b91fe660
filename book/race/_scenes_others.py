"""Scenes about other norms, and about batch norm's own settings."""

from __future__ import annotations

from ._finding import PLACES
from ._scene import lab_scene

PLACEMENTS = tuple(("batch", (("placement", place),)) for place in ("before", "after"))

OTHERS = (
    lab_scene(
        "mend",
        "Batches of two, three changes",
        "A dense network in batches of two. One lane keeps batch norm, the others change one thing each: "
        "layer norm, batch renorm, or batches of 16. Which leads after 100 steps?",
        group="Samples that share a mean",
        until=100,
        start={
            "lanes": (("batch", ()), ("layer", ()), ("renorm", ()), ("batch", (("batch_size", 16),))),
            "batch_size": 2,
            "depth": 3,
            "lr": 0.05,
            "init_scale": 1.0,
        },
        because="Of 16 numbers x̂ keeps more than a sign, and 14/16 of a gradient’s squared length "
        "get through in each layer instead of nothing. Layer norm takes no mean over the batch at all. "
        "Batch renorm moves x̂ toward what running statistics would give, as far as r max and d max allow. "
        "But r and d pass no gradient, and of two numbers nearly nothing gets through there, too: in the "
        "first layer log₁₀ of update : data was typically −4.4, with batch norm −4.3, with layer norm −1.8.",
        but="Batches of 16 saw eight times as many digits and need the memory for them. After equally many "
        "digits they aren’t ahead at first: after 160 they have 35.3% and layer norm in batches of two "
        "51.8%, after 320 61.2% and 68.8% (means of 12 other seeds). Without any norm this network learns "
        "about as well as with layer norm: it is shallow, and its weights are He’s.",
        task="Replace a lane’s norm by group norm, or by no norm.",
        read=(PLACES["cliff"], PLACES["E11"], PLACES["pairs"]),
        credits={
            1: "Among those that keep batches of two it did best.",
            2: "It did better than batch norm, in the same batches.",
        },
    ),
    lab_scene(
        "ring",
        "A GAN draws a ring",
        "One network draws points; the other, which has the norm, tells them from points of eight Gaussians "
        "on a ring. Each lane has a learning rate that suits it, found on other seeds. Which lane draws more "
        "points near a Gaussian after 1,000 steps?",
        group="Other networks",
        until=1000,
        start={
            "lanes": (("batch", (("lr", 0.01),)), ("spectral", (("lr", 2.0),))),
            "network": "gan",
            "dataset": "ring",
            "depth": 3,
            "width": 32,
            "batch_size": 64,
            "init_scale": 1.0,
        },
        because="Batch norm normalizes real and drawn points separately. So behind its first layer the "
        "discriminator no longer sees where a cloud of points lies or how large it is, and can’t tell the "
        "generator. Spectral norm limits the discriminator’s slope, and the networks train at a rate of 2. "
        "It covered {batch_accuracy_1:.0f}% of the Gaussians, batch norm {batch_accuracy_0:.0f}%.",
        but="It doesn’t take spectral norm: without a norm, at a rate of 0.1, 60.7% are near a Gaussian, but "
        "seeds reach from 27.3% to 80.9%, and with five layers at a rate of 0.05 spectral norm has no clear "
        "lead (50.5% against 58.3%, means of 12 other seeds). A rate of 0.003 doesn’t help batch norm "
        "(19.4%). Plain SGD and a norm in the discriminator only are choices of this race. DCGANs, for "
        "images, have batch norm in every layer of the discriminator but the first.",
        task="Add a lane without a norm, at a learning rate of 0.1.",
        read=(PLACES["steps"],),
        said="At step 1,000, points near a Gaussian: batch norm (learning rate 0.01) {accuracy_0:.1f}%, "
        "spectral norm (learning rate 2) {accuracy_1:.1f}%.",
    ),
    lab_scene(
        "relu",
        "Before or after ReLU",
        "Batch norm stands before the ReLU in one lane, after it in the other. Which leads after 200 steps?",
        group="Settings of a norm",
        until=200,
        start={"lanes": PLACEMENTS, "init_scale": 1.0},
        because="In either place it sets the scale of each unit once per layer, and the networks fit their "
        "training batches alike: training losses were {train_loss_0:.3f} and {train_loss_1:.3f}.",
        but="Ioffe & Szegedy (2015) put it before the activation; others report better results after it. "
        "Here the seeds show no clear lead for either.",
        task="Change the activation to sigmoid.",
        read=(("The same with sigmoids", "training-lab?preset=sigmoid"), PLACES["steps"]),
    ),
    lab_scene(
        "sigmoid",
        "Before or after a sigmoid",
        "Five layers of sigmoids, batch norm before or after them. Which lane leads after 50 steps?",
        group="Settings of a norm",
        until=50,
        start={
            "lanes": PLACEMENTS,
            "activation": "sigmoid",
            "init_scale": 1.0,
        },
        because="A sigmoid’s outputs are positive: they lie around 0.5, with a standard deviation of "
        "{spread_0} in the last layer. After the sigmoid, batch norm at first passes them on with mean 0 and "
        "standard deviation 1, which is easier to learn from: training losses were {train_loss_1:.2f} "
        "after the sigmoid and {train_loss_0:.2f} before it.",
        but="It is a difference in speed: after 400 steps less than 2 points are left. With tanh, whose "
        "outputs are centred already, neither has a clear lead.",
        task="Change the activation to tanh, or watch to step 400.",
        read=(("The same with ReLU", "training-lab?preset=relu"), PLACES["E5"]),
        credits={0: "This is where Ioffe & Szegedy (2015) put it."},
    ),
    lab_scene(
        "eps",
        "ε = 1",
        "ε is added to the variance before the root is taken. 0.00001 is usual, and one lane has 1. Initial "
        "weights are half of He’s. Which lane leads after 200 steps?",
        group="Settings of a norm",
        until=200,
        start={"lanes": tuple(("batch", (("eps", eps),)) for eps in (1e-5, 1.0)), "init_scale": 0.5},
        because="With such weights the variance σ² of what comes in is well below 1, so that √(σ² + 1) is "
        "close to 1 and hardly anything is normalized. The signal shrank from layer to layer: the last "
        "layer’s activations had a standard deviation of {spread_1}, with the usual ε {spread_0}.",
        but="It takes both, the ε and the weights. With He’s weights σ² is still below ε, 0.16 in layer 1 "
        "and 0.02 in layer 5 at first, and the same ε costs only 1 to 2 points: those weights carry the "
        "signal even where nothing is normalized. And it is a lead in speed: after 600 steps 3 points are "
        "left of it.",
        task="Set the init scale to 1, or try ε = 0.01.",
        read=(PLACES["eps microscope"], PLACES["deep"]),
    ),
    lab_scene(
        "gamma",
        "γ = 0.05",
        "Ten layers. γ usually starts at 1, in one lane at 0.05; it is learned from there. Which lane "
        "leads after 200 steps?",
        group="Settings of a norm",
        until=200,
        start={
            "lanes": tuple(("batch", (("gamma", gamma),)) for gamma in (1.0, 0.05)),
            "depth": 10,
            "init_scale": 1.0,
            "replicas": 8,
        },
        because="γ x̂ reaches to about ±0.1 at first, while β moves as fast as ever. A β below −0.1 "
        "switches a ReLU off for the whole batch: {dead_1:.0f}% of the units were off, {dead_0:.0f}% "
        "with γ = 1.",
        but="With tanh, which has no such units, the difference is smaller, and with ReLU 2 points are left "
        "of it after 600 steps. Small values are used on purpose, too: Cooijmans et al. (2017) start γ at "
        "0.1 in LSTMs.",
        task="Change the activation to tanh, or try γ = 0 and γ = 2.",
        read=(PLACES["steps"],),
    ),
)  # fmt: skip
