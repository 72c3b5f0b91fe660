"""The scenes of "Style": what is asked, and what is said of the outcome."""

from __future__ import annotations

from book.chapter import Choice, Scene

LIGHT = Scene(
    "light", "Another light",
    "The right photo has half the contrast; it is brighter and warmer. Both photos go through instance norm, "
    "channel by channel. How much of their difference is left?",
    (
        Choice("all of it: both get the same treatment", 1.0,
               "Both get the same formula. But each is divided by its own σ."),
        Choice("about half: brightness leaves, contrast stays", "kept_mean",
               "That is left if only the mean is subtracted. Then comes the division by σ."),
        Choice("next to nothing", 0.0),
    ),
    "kept", {"brightness": 0.1, "contrast": 0.5, "cast": 0.15}, {},
    "The photos differed by {before:.2f} σ, their outputs by {after:.4f} σ: {kept:.2%} is left.",
    "This light makes a·x + b of a channel’s numbers x: the mean becomes aμ + b, and σ becomes aσ. So "
    "(x − μ)/σ stays what it was. The rest comes from ε = 0.00001, which is small, but not 0, "
    "compared with σ² = {var}.",
    "Only what all pixels of a channel share is removed. A shadow over half of the photo alone makes "
    "outputs differ by {half:.2f} σ; a tone curve of power 2 alone, by {bent:.2f} σ. What is clipped stays, "
    "too.",
    "Drag the edge to 50%, then to 100%. Why does the difference vanish again?",
    ("brightness", "contrast", "cast", "tone", "shadow", "photo"),
)  # fmt: skip

TEXTURE = Scene(
    "texture", "Textures",
    "The first window shows a roof, the second the sky. A filter for coarse horizontal lines "
    "responds far more strongly in the roof. Each window goes through instance norm by itself. How much more "
    "strongly does it respond in the roof afterwards?",
    (
        Choice("as many times as before: a norm only scales", "ratio",
               "One common factor would keep the ratio, as batch norm does. Here each window has its own."),
        Choice("less: the square root of it", "root",
               "Large numbers are pulled in. But not halfway: all the way."),
        Choice("equally strongly", 1.0),
    ),
    "ratio_after", {}, {},
    "Before, the filter’s responses spread {ratio:.0f} times as far in the roof; after instance norm "
    "{ratio_after:.2f} times.",
    "A channel is one filter, and σ says how strongly it responds in this picture. Dividing by σ makes every "
    "filter equally strong in every window. Where it responds stays: the correlation before and after is "
    "{same:.3f}.",
    "The sky’s faint noise is made {louder:.0f} times as strong. And not all of a texture is removed: "
    "filters that respond together still do. The correlation of two filters’ responses differs by up to "
    "{tied:.2f} between the windows, before the norm and after it.",
    "Drag the windows. Then choose a fine filter: there ε keeps the sky’s responses small.",
    ("filter", "first", "second", "photo"),
)  # fmt: skip

SWAP = Scene(
    "swap", "Swap γ and β",
    "The pagoda goes through instance norm. Then each channel gets the flower’s σ as γ, and the flower’s "
    "mean as β. How well do the new picture’s edges agree with the pagoda’s own (1: fully, 0: not at all)?",
    (
        Choice("0: it has become the flower", 0.0,
               "Its colours have: mean and σ of each channel are the flower’s."),
        Choice("0.5: half of each photo", 0.5, "It has something of each. But not half of each edge."),
        Choice("1: it keeps all edges", 1.0),
    ),
    "edges", {}, {"mix": 100},
    "Edges agreed by {edges:.3f} with the pagoda’s, by {edges_other:.2f} with the flower’s; mean and σ of "
    "each channel are the flower’s.",
    "Only {swapped:.0f} numbers come from the flower: 3 means, 3 σ. γ and β are the same for all pixels of a "
    "channel: they make an edge stronger or weaker, but move none.",
    "On red, green and blue this is a transfer of colours (Reinhard et al. 2001). Brush strokes need the "
    "features of a trained network and a decoder (Huang & Belongie 2017), which aren’t shown here. Edges "
    "of the grey picture, the mean of the three colours, agree by {edges_grey:.2f}: each colour has "
    "got another γ.",
    "Choose four scales: fine detail gets a γ of its own. Then give the flower the pagoda’s style.",
    ("mix", "space", "photo"),
)  # fmt: skip

BATCH = Scene(
    "batch", "Two photos in a batch",
    "The pagoda and the flower are a batch of two, in train(). Then the flower’s contrast falls to 40%. "
    "Whose output of batch norm changes?",
    (
        Choice("nobody’s: norms remove contrast", 0.0,
               "Instance norm does. Its statistics are each photo’s own."),
        Choice("the flower’s alone", 1.0, "So it is in eval(), where statistics are constants."),
        Choice("that of both", 2.0),
    ),
    "changed_train", {}, {"contrast": 0.4, "norm": "train"},
    "The pagoda’s output changed by {pagoda_train:.2f} σ, the flower’s by {flower_train:.2f} σ.",
    "Both photos share one mean and one σ for each channel, so a change of one photo moves what is "
    "subtracted from both. With instance norm, changes are {pagoda_instance} and {flower_instance} σ.",
    "In exchange, batch norm keeps what sets photos apart: their outputs’ means differ by {apart_train:.2f} "
    "σ, with instance norm by 0. In eval() the pagoda is safe: {pagoda_eval} σ. And instance norm needs "
    "positions: on a map of 1 × 1 its output is β alone; in training PyTorch raises an error.",
    "Click each norm’s column. Then change the flower’s brightness and colour cast.",
    ("contrast", "brightness", "cast", "norm"),
)  # fmt: skip

WRONG = Scene(
    "wrong", "Contrast as the signal",
    "Is a digit printed in full ink or in half of it? Eight small networks with instance norm after their "
    "convolution learn to tell. How often are they right?",
    (
        Choice("nearly always: it is easy to see", 1.0,
               "It is easy for networks with batch norm or no norm."),
        Choice("three times in four", 0.75, "A little contrast would have to get through for that."),
        Choice("half the time, like guessing", 0.5),
    ),
    "asked_instance", {"ink": 0.5}, {"ink": 0.25},
    "With instance norm they were right in {asked_instance:.1%}, with batch norm in {asked_batch:.0%}, "
    "without a norm in {asked_none:.0%}.",
    "Half the ink is half of every number: x̂ stays the same. When a digit fades, no logit of these "
    "networks moves by more than {leak:.4f}, because of ε. Where contrast matters, concatenate log σ to the "
    "output as a further channel, as “In PyTorch” shows.",
    "The same blindness helps where ink is no signal. Trained to read digits in full ink, at {ink:.0%} of it "
    "instance norm still reads {right_instance:.0%}, batch norm {right_batch:.0%}. No norm at all reads "
    "{right_none:.0%}. On grey paper (half the ink, and 0.5 added to every pixel) instance norm reads "
    "{paper_instance:.0%}, as the convolution pads the border with 0; batch norm reads {paper_batch:.0%}.",
    "Drag the ink: where does each norm begin to lose? Then take other seeds.",
    ("ink", "seed"),
)  # fmt: skip

SCENES = (LIGHT, TEXTURE, SWAP, BATCH, WRONG)
