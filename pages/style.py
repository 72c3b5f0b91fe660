"""Style: what instance norm removes of a photo, what stays, and where removing contrast is wrong."""

from __future__ import annotations

from bnlib import norms
from bnlib.experiments.model import Race
from bnlib.lessons import style as lesson
from bnlib.lessons import style_digits
from book import photos
from book.chapter import Asked, Chapter, Found, Job, Passage, Source, View
from book.controls import Control, Values, even_stops, seed_control
from pages import _style_wrong as ink
from pages._style_parts import ENDS, FILTER_NAMES, FILTERS, INKS, thumbnail
from pages._style_scenes import SCENES
from pages._style_scripts import pytorch, script
from pages._style_swap import BATCH_NORMS, batch, swap
from pages._style_views import light, texture

CONTROLS = (
    Control(
        "brightness", "number", 0.0, "brightness", "is added", -0.5, 0.5,
        even_stops(-0.5, 0.5, 40), marks=(-0.5, 0, 0.5),
        about="Is added to every number of the photo; 0 is black, 1 full colour. What gets below 0 or above "
        "1 is clipped.",
    ),
    Control(
        "contrast", "number", 1.0, "contrast", "a factor", 0.02, 2.0,
        (0.02, 0.05, *even_stops(0.1, 2.0, 38)), marks=(0.1, 1, 2),
        about="A factor: every number’s distance from the middle grey, 0.5, is multiplied by it.",
    ),
    Control(
        "cast", "number", 0.0, "colour cast", "blue to red", -0.5, 0.5, even_stops(-0.5, 0.5, 40),
        marks=(-0.5, 0, 0.5),
        about="How warm the light is: red is multiplied by 1 + this, blue by 1 − this.",
    ),
    Control(
        "tone", "number", 1.0, "tone curve", "a power", 0.4, 2.5, even_stops(0.4, 2.5, 42),
        marks=(0.4, 1, 2.5),
        about="Every number is raised to this power, as by a camera’s or a screen’s gamma curve. Above 1, "
        "dark tones get darker.",
    ),
    Control(
        "shadow", "number", 0.0, "shadow", "% of the width", 0, 100, even_stops(0, 100, 100),
        marks=(0, 50, 100),
        about="How much of the photo, from the left, lies in a shadow that leaves 35% of the light.",
    ),
    Control(
        "photo", "choice", photos.NAMES[0], "photo", choices=photos.NAMES, names=photos.NAMES, look="buttons",
        about="Which of two real photos is shown. Both ship with scikit-learn; here, 61 × 91 pixels of them.",
    ),
    Control(
        "first", "number", 32.0, "first window", "middle, in %", *ENDS,
        even_stops(*ENDS, ENDS[1] - ENDS[0]),
        about="Where the first window of 24 × 24 pixels is. It has mean and σ of its own for each filter.",
    ),
    Control(
        "second", "number", 68.0, "second window", "middle, in %", *ENDS,
        even_stops(*ENDS, ENDS[1] - ENDS[0]),
        about="Where the second window of 24 × 24 pixels is. It has mean and σ of its own for each filter.",
    ),
    Control(
        "filter", "choice", "coarse_90", "filter", choices=FILTERS, names=FILTER_NAMES,
        about="Which of eight filters of 7 × 7 weights is shown: fine or coarse lines in four directions. "
        "Filters like these appear in the first layer of many trained networks. Here they are given, not "
        "learned.",
    ),
    Control(
        "mix", "whole", 0, "other’s γ and β", "in %", 0, 100, even_stops(0, 100, 100),
        marks=(0, 50, 100),
        about="How far γ and β of each channel are from this photo’s own σ and μ (0%) to the other photo’s, "
        "σ′ and μ′ (100%). The share is called t.",
    ),
    Control(
        "space", "choice", "rgb", "channels", choices=("rgb", "scales"),
        names=("3 colours", "3 colours × 4 scales"), look="buttons",
        about="What has a γ and a β: each colour; or each colour at four scales, from fine detail to broad "
        "areas, which add up to the photo.",
    ),
    Control(
        "norm", "choice", "train", "norm", choices=tuple(BATCH_NORMS), names=tuple(BATCH_NORMS.values()),
        look="buttons", group="view",
        about="Whose outputs are shown. In eval() batch norm uses statistics of the two photos as they were "
        "at first.",
    ),
    Control(
        "ink", "number", 1.0, "ink of the test", "times", min(INKS), 1.0,
        tuple(sorted(INKS)), marks=(0.08, 0.25, 1.0),
        about="Every pixel of the test digits is multiplied by it. Training digits have full ink.",
    ),
    seed_control(),
)  # fmt: skip

VIEWS = {"light": light, "texture": texture, "swap": swap, "batch": batch}


def jobs(values: Values) -> dict[str, Job]:
    """Return the networks of the last scene; all others are computed at once."""
    return ink.jobs(values) if values["scene"] == "wrong" else {}


def compute(values: Values, found: Found) -> View:
    """Show the scene that is chosen."""
    if values["scene"] == "wrong":
        return ink.wrong(values, found)
    return VIEWS[values["scene"]](values)


def lab(values: Values) -> Race | None:
    """Return networks of the training lab with instance norm."""
    return ink.lab(values) if values["scene"] == "wrong" else None


CHAPTER = Chapter(
    name="style",
    title="Instance norm and style",
    question="What does instance norm do to an image?",
    icon=":material/palette:",
    order=84,
    group="Other norms",
    answers=(
        Asked("What is AdaIN?", "swap"),
        Asked("When do I use instance norm?", "wrong"),
        Asked("Why did my classifier get worse with InstanceNorm?", "wrong"),
    ),
    thumbnail=thumbnail,
    lead=(
        "**Instance norm** takes mean μ and standard deviation σ of each channel, a colour or a filter’s "
        "responses, of **one image**: x̂ = (x − μ)/√(σ² + ε). It doesn’t use the batch, and is the same in "
        "train() and eval(). What is removed with μ and σ is often called the image’s **style**. Two photos, "
        "of a pagoda and a flower, show it."
    ),
    controls=CONTROLS,
    compute=compute,
    jobs=jobs,
    scenes=SCENES,
    code=(
        Passage("A photo in another light", lesson.relit),
        Passage("What ran: instance norm", norms.instance_norm),
        Passage("Gamma and beta of another photo: AdaIN", lesson.swapped),
        Passage("Eight filters", lesson.filters),
        Passage("The small network, forward", style_digits.look),
    ),
    pytorch=pytorch,
    script=script,
    lab=lab,
    ending=(
        "You can say what instance norm removes of an image, two numbers a channel: its light and the "
        "strength of each filter. And what it keeps: where things are.",
        "You can’t say from two photos and small networks what it costs your model: ask whether brightness, "
        "contrast or the strength of a texture is part of your signal.",
        "Go on to the norms of weights, or let instance norm and batch norm race in the training lab.",
    ),
    sources=(
        Source(
            "Ulyanov, Vedaldi & Lempitsky 2016, [Instance Normalization: The Missing Ingredient for Fast "
            "Stylization](https://arxiv.org/abs/1607.08022)"
        ),
        Source(
            "Huang & Belongie 2017, [Arbitrary Style Transfer in Real-time with Adaptive Instance "
            "Normalization](https://arxiv.org/abs/1703.06868), equation 8"
        ),
        Source(
            "Dumoulin, Shlens & Kudlur 2017, A Learned Representation for Artistic Style: a row of γ and β "
            "for each style"
        ),
        Source(
            "Reinhard et al. 2001, Color Transfer between Images: mean and σ, in channels with little "
            "correlation"
        ),
        Source(
            "Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN: its AdaIN caused "
            "droplets in generated images, and was replaced by demodulated weights"
        ),
        Source(
            "Photos: [china.jpg](https://www.flickr.com/photos/danielbuechele/6061409035/) by "
            "danielbuechele, and [flower.jpg](https://www.flickr.com/photos/vultilion/6056698931/), whose "
            "author scikit-learn’s README calls danielbuechele, while its link leads to vultilion; both "
            "[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/). They ship with scikit-learn; here "
            "each pixel is an average over 7 × 7 of theirs"
        ),
    ),
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
