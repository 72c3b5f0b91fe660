"""Weight and spectral norm: what norms of weights do, which never look at the activations."""

from __future__ import annotations

from bnlib import RunConfig
from book.chapter import Asked, Chapter, Source
from book.controls import Values, seed_control
from book.scenes import of_scenes
from pages import _weights_circle as circle
from pages import _weights_gan as gan
from pages import _weights_length as length
from pages import _weights_ratio as ratio
from pages import _weights_spread as spread
from pages._weights_parts import thumbnail


def runs(values: Values) -> dict[str, RunConfig]:
    """Return the GANs, which are watched while they train; other scenes have jobs alone."""
    return dict(gan.runs(values)) if values["scene"] == gan.SCENE.name else {}


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
    **of_scenes(circle, ratio, spread, length, gan, more=(seed_control(),)),
    runs=runs,
    kept=gan.KEPT,
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
