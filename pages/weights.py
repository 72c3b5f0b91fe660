"""Weight and spectral norm: what norms of weights do, which never look at the activations."""

from __future__ import annotations

from typing import Any

from bnlib import RunConfig
from bnlib.experiments.model import Race
from book.chapter import Asked, Chapter, Found, Job, Source, View
from book.controls import Values, seed_control
from pages import _weights_circle as circle
from pages import _weights_gan as gan
from pages import _weights_length as length
from pages import _weights_ratio as ratio
from pages import _weights_spread as spread
from pages._weights_parts import thumbnail

PLACES: dict[str, Any] = {
    "circle": circle,
    "ratio": ratio,
    "spread": spread,
    "length": length,
    gan.SCENE.name: gan,
}
WITH_NETWORKS = tuple(name for name in PLACES if name != "circle")


def jobs(values: Values) -> dict[str, Job]:
    """Return what a scene needs of the pool; the first one needs nothing."""
    found: dict[str, Job] = PLACES[values["scene"]].jobs(values) if values["scene"] in WITH_NETWORKS else {}
    return found


def runs(values: Values) -> dict[str, RunConfig]:
    """Return the GANs, which are watched while they train; other scenes have jobs alone."""
    return dict(gan.runs(values)) if values["scene"] == gan.SCENE.name else {}


def compute(values: Values, found: Found) -> View:
    """Show the scene that is chosen."""
    if values["scene"] == "circle":
        return circle.view(values)
    view: View = PLACES[values["scene"]].view(values, found)
    return view


def lab(values: Values) -> Race | None:
    """Return the same networks as lanes of the training lab."""
    return PLACES[values["scene"]].lab(values) if values["scene"] in WITH_NETWORKS else None


def pytorch(values: Values) -> str:
    """Write a scene's few lines of PyTorch."""
    return str(PLACES[values["scene"]].pytorch(values))


def script(values: Values) -> str:
    """Write a script that computes the scene's numbers and its table again."""
    return str(PLACES[values["scene"]].script(values))


CHAPTER = Chapter(
    name="weights",
    title="Weight and spectral norm",
    question="What if the weights are normalized, not the activations?",
    icon=":material/straighten:",
    order=86,
    group="Other norms",
    answers=(
        Asked("Does spectral norm replace batch norm?", "spread"),
        Asked("Is one power iteration enough?", "ratio"),
        Asked("What does weight norm do to my learning rate?", "length"),
        Asked("Which norm for the discriminator of a GAN?", gan.SCENE.name),
    ),
    thumbnail=thumbnail,
    lead=(
        "Batch norm needs a batch. Norms of weights don’t. **Spectral norm** divides a matrix W by its "
        "largest singular value; **weight norm** splits each unit’s weights into a length g and a direction. "
        "What do they do, and what don’t they do?"
    ),
    controls=(*(control for place in PLACES.values() for control in place.CONTROLS), seed_control()),
    compute=compute,
    runs=runs,
    kept=gan.KEPT,
    jobs=jobs,
    scenes=tuple(place.SCENE for place in PLACES.values()),
    code=tuple(passage for place in PLACES.values() for passage in place.PASSAGES),
    pytorch=pytorch,
    script=script,
    lab=lab,
    ending=(
        "You can say what dividing by the largest singular value does to a layer, how it is found, and why a "
        "unit’s v only grows with weight norm.",
        "You can’t say that either of them replaces batch norm: neither looks at the activations. In deep "
        "networks signals fade under spectral norm, and weight norm lets the scale of the data through.",
        "Go on to the training lab: let GANs race there, or give spectral norm more power iterations.",
    ),
    experiments=("E18", "E9"),
    sources=(
        Source("Miyato et al. 2018, Spectral Normalization for Generative Adversarial Networks, Algorithm 1"),
        Source("Salimans & Kingma 2016, Weight Normalization; they also set g and biases from a first batch"),
        Source("Yoshida & Miyato 2017, Spectral Norm Regularization: the same number as a penalty"),
        Source("Ba et al. 2016, Layer Normalization, Table 1: which norm does not notice which change"),
        Source("Goodfellow et al. 2014, Generative Adversarial Nets"),
        Source("Metz et al. 2017, Unrolled Generative Adversarial Networks: Gaussians on a ring"),
    ),
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
