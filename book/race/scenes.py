"""Races worth a prediction: each is a link into the training lab with a question."""

from __future__ import annotations

from typing import Any, NamedTuple

from book.controls import Values


class Preset(NamedTuple):
    """A race and the question to answer before it is run.

    label : what it is called on its button; it gives nothing away
    about : what is particular about these settings
    until : the step at which the race is judged
    settings : what differs from the lab's defaults
    """

    label: str
    about: str
    until: int
    settings: Values

    def values(self, name: str) -> dict[str, Any]:
        """The settings of the link, at the start of the race."""
        return self.settings | {"preset": name, "step": 0}


PRESETS = {
    "deep": Preset(
        "Ten layers, small weights",
        "Ten layers, initial weights half as large as He et al. (2015) advise.",
        200,
        {"depth": 10},
    ),
    "shallow": Preset(
        "Two layers, He’s weights",
        "Two layers, initial weights as He et al. (2015) advise, batches and a learning rate that suit them.",
        400,
        {"depth": 2, "init_scale": 1.0, "batch_size": 64, "lr": 0.5},
    ),
    "pairs": Preset(
        "Batches of two",
        "Every mean and variance comes from two samples; the learning rate is halved.",
        200,
        {"batch_size": 2, "depth": 3, "init_scale": 1.0, "lr": 0.05},
    ),
    "images": Preset(
        "Two pictures",
        "Batches of two again, but of pictures for a convolutional network: means are over pixels, too.",
        400,
        {"network": "cnn", "batch_size": 2, "depth": 3, "width": 16, "init_scale": 1.0},
    ),
    "ring": Preset(
        "A GAN draws a ring",
        "Two networks: one draws points, the other tells them from those of eight Gaussians on a ring, "
        "and has the norm. Spectral norm bears twenty times the learning rate.",
        1000,
        {
            "lanes": (("none", ()), ("batch", ()), ("spectral", (("lr", 2.0),))),
            "network": "gan",
            "dataset": "ring",
            "depth": 3,
            "width": 32,
            "batch_size": 64,
            "init_scale": 1.0,
        },
    ),
    "fast": Preset(
        "Learning rate × 10",
        "One lane at learning rate 0.2, two at 2.",
        200,
        {
            "lanes": (("none", ()), ("none", (("lr", 2.0),)), ("batch", (("lr", 2.0),))),
            "lr": 0.2,
            "init_scale": 1.0,
        },
    ),
    "eps": Preset(
        "ε = 1",
        "ε keeps the division from failing; 0.00001 is usual, and one lane has 1.",
        200,
        {"lanes": (("batch", ()), ("batch", (("eps", 1.0),)))},
    ),
    "gamma": Preset(
        "γ = 0.05",
        "γ usually starts at 1; in one lane at 0.05. It is learned from there.",
        200,
        {"lanes": (("batch", ()), ("batch", (("gamma", 0.05),))), "depth": 10},
    ),
}
