"""Which axes? What shares a mean and a variance in each norm, and what follows from that."""

from __future__ import annotations

from bnlib.experiments.probes.arithmetic import invariances
from bnlib.lessons import axes
from bnlib.lessons import axes_compared as compared
from book.chapter import Asked, Chapter, Choice, Found, Job, Passage, Scene, Source, View
from book.controls import Control, Values, cells_control
from pages._axes_paint import paint
from pages._axes_parts import CELLS, NORM_NAMES, first, thumbnail
from pages._axes_scale import KINDS, WHAT, scale, table_jobs, two
from pages._axes_scripts import pytorch, script
from pages._axes_views import COMPANY, company, groups

FACTORS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

CONTROLS = (
    cells_control(
        "painted", "painted", CELLS,
        "Painted cells share one mean and one standard deviation: your set. The framed cell always belongs "
        "to it, painted or not. PyTorch has no such setting: each of its modules has its own sets.",
    ),
    Control(
        "groups", "whole", 1, "groups G", "of 6 channels", 1, 6, compared.GROUPS, marks=compared.GROUPS,
        about="Into how many groups the channels are divided: GroupNorm(G, 6). Each group of each image has "
        "its own mean and standard deviation.",
    ),
    Control(
        "mate", "next", 0, "another image 4", "image 1 stays", 0, axes.MATES,
        about="Exchanges the last digit of the batch for another one. The filters and the other three digits "
        "stay.",
    ),
    Control(
        "norm", "choice", "batch", "norm", choices=COMPANY, names=tuple(NORM_NAMES[name] for name in COMPANY),
        group="view", about="Whose outputs the grid shows. Group norm has 3 groups here.",
    ),
    Control(
        "what", "choice", "image", "multiplied", choices=tuple(WHAT), names=tuple(WHAT.values()),
        about="What is multiplied: the pixels of one image or of all, or the weights of one filter (it makes "
        "channel 3) or of all.",
    ),
    Control(
        "factor", "number", 2.0, "by the factor", low=0.1, high=10, stops=FACTORS, marks=(0.1, 1, 10),
        about="By what it is multiplied. Of an image, 2 is twice the contrast.",
    ),
    Control(
        "eps", "number", 1e-5, "ε", "added to the variance", 1e-12, 0.1, (1e-12, 1e-8, 1e-5, 1e-3, 0.1),
        about="Is added to the variance before the root is taken. PyTorch: eps, 1e-5 by default.",
    ),
    Control(
        "layer", "choice", "group", "layer norm", choices=tuple(KINDS), names=tuple(KINDS.values()),
        about="Three ways to write layer norm for images in PyTorch. The first two share one mean over an "
        "image, the last one at each position.",
    ),
    Control(
        "seed", "next", 0, "other images and filters", "drawn by this number", 0, 10_000,
        about="Draws four other digits and six other filters, and where numbers are a mean of 8 seeds, all "
        "eight anew. What holds for one draw only was chance.",
    ),
)  # fmt: skip

VIEWS = {"paint": paint, "groups": groups, "company": company, "two": two}


def jobs(values: Values) -> dict[str, Job]:
    """Return what a scene needs of the pool: the table of invariances."""
    return table_jobs(first(values)) if values["scene"] == "scale" else {}


def compute(values: Values, found: Found) -> View:
    """Show the scene that is chosen."""
    if values["scene"] == "scale":
        return scale(values, found)
    return VIEWS[values["scene"]](values)


# ---- scenes ----------------------------------------------------------------------------------------------

PAINT = Scene(
    "paint", "Paint it",
    "The 64 blue numbers share a mean and a standard deviation: batch norm gives them mean 0 and standard "
    "deviation 1. Each image has 16 of them. By how much do the images’ standard deviations differ "
    "afterwards?",
    (
        Choice("not at all: each is 1", 1.0,
               "All 64 together have 1. Each image would, too, if its 16 numbers were a set: instance norm."),
        Choice("by less than before", "less",
               "All numbers are divided. But all by the same one, and that leaves ratios as they are."),
        Choice("by the same factor as before", "times"),
    ),
    "ratio", {"painted": axes.pattern((4, 1, 4, 4))}, {},
    "The largest was {before_times:.2f} times the smallest, and it still is {ratio:.2f} times as large.",
    "All 64 numbers lose the same μ = {mean} and are divided by the same σ = {std}. A norm removes only the "
    "set’s own μ and σ; ratios of spreads inside the set stay. Images had {low} to {high}, now they have "
    "{low_after} to {high_after}.",
    "The factor depends on the filters and the digits; that it stays doesn’t.",
    "Erase all, then paint layer norm. Then instance norm. Then a set that nobody has named.",
    ("painted", "seed"),
)  # fmt: skip

GROUPS = Scene(
    "groups", "Layer to instance norm",
    "With one group, group norm is layer norm: channels of an image keep different means. Now there are "
    "3 groups of two channels. How much of the variance between channel means is left?",
    (
        Choice("all of it", 1.0, "Inside a group, channels do keep different means. Groups don’t."),
        Choice("about 60%", 0.6),
        Choice("nothing", 0.0, "Each group’s mean is 0: of its channels together, not of each."),
    ),
    "left", {}, {"groups": 3},
    "Of {differences:.0f} differences between six channel means, {remain:.0f} remain: {theory:.0%} expected, "
    "{left:.0%} measured (8 seeds).",
    "Each group’s mean is 0: what groups differed by is gone, what channels of a group differ by stays. "
    "{theory:.0%} holds if all groups spread alike. Which channels form a group is arbitrary, so 16 orders "
    "are averaged. With 6 groups, instance norm, {left_6:.0%} is left.",
    "Random filters don’t say which G is best. ResNet-50 on ImageNet had 24.1% errors with 32 groups, 25.3% "
    "with one and 28.4% with instance norm (Wu & He 2018).",
    "Drag the large dot. At which G are the outputs about as far from layer norm as from instance norm?",
    ("groups", "seed"),
)  # fmt: skip

SWAP = Scene(
    "company", "Swap one batch-mate",
    "Four digits go through a norm in train(). Image 4 is exchanged for another digit. Which of these norms "
    "change the outputs of image 1: batch, layer, group, instance, RMS?",
    (
        Choice("batch norm only", 1.0),
        Choice("batch and layer norm", 2.0,
               "Both share a mean over much of the tensor. But layer norm’s mean is over one image."),
        Choice("all but instance norm", 4.0,
               "Instance norm does look at one image only. So do layer, group and RMS norm."),
        Choice("all five", 5.0, "All five compute statistics. But four of them take those of image 1 alone."),
    ),
    "changed", {}, {"mate": 1},
    "Only batch norm, {changed:.0f} of the 5: an output of image 1 moved by up to {moved_batch:.2f}. With "
    "layer norm it moved by {moved_layer:.0f} (mean of 8 seeds).",
    "Only batch norm’s sets contain numbers of both images. So the gradient crosses, too: from a loss of "
    "image 1, image 4 gets a gradient, {pulled_batch:.0%} as large as image 1’s own. With layer norm it is "
    "{pulled_layer:.0f}.",
    "In eval(), batch norm uses running statistics: image 1 moves by {moved_eval:.0f}. What differs between "
    "train() and eval() has a chapter of its own: Training and inference.",
    "Click the columns. Then exchange image 4 several times: how large does batch norm’s bar get?",
    ("mate", "norm", "seed"),
)  # fmt: skip

SCALE = Scene(
    "scale", "Which norms don’t notice?",
    "Image 2 gets twice the contrast: its pixels × 2. Five norms divide outputs; weight norm divides each "
    "filter by its length. Which give the same outputs as before: batch, layer, group, instance, RMS or "
    "weight norm?",
    (
        Choice("all six: norms remove scale", 6.0, "Each does remove the scale of its own sets."),
        Choice("layer, group, instance and RMS norm", 4.0),
        Choice("batch and instance norm", 2.0,
               "Both take each channel by itself. But batch norm’s sets have all images in them."),
        Choice("instance norm only", 1.0,
               "It is known for removing contrast. Other norms of single images do that, too."),
    ),
    "same", {}, {"factor": 2.0},
    "{same:.0f} of {all:.0f} did, within 1%. Batch norm’s outputs changed by up to {batch:.0%} of the "
    "largest, weight norm’s by {weight:.0%}.",
    "A norm doesn’t notice a factor that all numbers of a set have. The sets of these four lie inside one "
    "image. Batch norm’s sets have other images, too. Weight norm divides weights; data keep their scale.",
    "Not exactly: ε isn’t scaled along. It moved instance norm’s outputs by {instance:.4%}. The text of "
    "Ba et al. (2016) calls all norms invariant to scaled data. Their table doesn’t, nor does the one below: "
    "weight norm is the exception.",
    "Take the factor 0.1, then ε = 10⁻¹². Then multiply filter 3: which norms notice that?",
    ("what", "factor", "eps", "seed"),
)  # fmt: skip

TWO = Scene(
    "two", "Two layer norms",
    "In GroupNorm(1, C) all 96 numbers of an image share a mean. ConvNeXt applies LayerNorm(C), with "
    "channels last. How many of the 384 numbers share a mean there?",
    (
        Choice("96: an image", 96.0, "That is how Wu & He (2018) draw layer norm: LayerNorm([C, H, W])."),
        Choice("16: a channel’s positions", 16.0, "That is instance norm."),
        Choice("6: a position’s channels", 6.0),
        Choice("384: the tensor", 384.0, "No layer norm mixes images. That is what it is for."),
    ),
    "shared", {}, {"layer": "position"},
    "In LayerNorm(C) only {shared:.0f} share a mean. The outputs of both layer norms differ by {apart:.2f} "
    "(root mean square, 8 seeds).",
    "LayerNorm(C) takes the mean over the last axis alone. So it removes what positions differ by: their "
    "means over channels scatter by {whole_spread:.2f} after GroupNorm(1, C), after LayerNorm(C) by "
    "{position_spread:.2f} (8 seeds).",
    "Both are called layer norm, and it is open which is better: ConvNeXt uses LayerNorm(C), PoolFormer "
    "GroupNorm(1, C). LayerNorm([C, H, W]) normalizes as GroupNorm(1, C) does, but learns {per_element:.0f} "
    "numbers, not {per_channel:.0f}.",
    "Choose LayerNorm([C, H, W]). What changes: the outputs, or how many γ and β there are?",
    ("layer", "seed"),
)  # fmt: skip

CHAPTER = Chapter(
    name="axes",
    title="Which axes?",
    question="Which numbers share a mean?",
    icon=":material/grid_on:",
    order=82,
    group="Other norms",
    answers=(
        Asked("What do batch, layer, instance and group norm have in common?", "paint"),
        Asked("Does my output depend on the other images in the batch?", "company"),
        Asked("LayerNorm or GroupNorm(1, C)?", "two"),
        Asked("Which norm ignores brightness and contrast?", "scale"),
    ),
    thumbnail=thumbnail,
    lead=(
        "Batch, layer, instance and group norm use the same formula; they differ in which numbers share a "
        "mean μ and a standard deviation σ. Here are the feature maps of four handwritten digits after one "
        "convolution: six random 3 × 3 filters (He initialization), stride 2. Here for LayerNorm or "
        "GroupNorm(1, C)? Go to [scene 5](/axes?scene=two)."
    ),
    controls=CONTROLS,
    compute=compute,
    jobs=jobs,
    scenes=(PAINT, GROUPS, SWAP, SCALE, TWO),
    code=(
        Passage("Which sets follow from a painted one", axes.partition),
        Passage("Each set gets mean 0 and variance 1", axes.normalized),
        Passage("Which norm has such sets", axes.named),
        Passage("Image 4 is exchanged, and image 1’s gradient", compared.company),
        Passage("Something is multiplied by a factor", compared.scaled),
        Passage("The table of invariances", invariances),
    ),
    pytorch=pytorch,
    script=script,
    ending=(
        "You can say of each norm which numbers share a mean, and from that what it doesn’t notice and "
        "whether images in a batch change each other.",
        "You can’t say from that which norm trains your network best.",
        "Go on to the training lab and race them, or to style, where instance norm takes contrast away.",
    ),
    experiments=("E18", "E15"),
    sources=(
        Source("Wu & He 2018, Group Normalization: figure 2, and the number of groups"),
        Source("Ba, Kiros & Hinton 2016, Layer Normalization: Table 1, invariances"),
        Source("Ulyanov, Vedaldi & Lempitsky 2016, Instance Normalization"),
        Source("Li, Wu, Weinberger & Belongie 2019, Positional Normalization", "https://arxiv.org/abs/1907.04312"),
        Source("Summers & Dinneen 2020, Four Things Everyone Should Know to Improve Batch Normalization",
               "https://arxiv.org/abs/1906.03548"),
        Source("“LayerNorm2d != GroupNorm w/ groups=1”, an issue of Apple’s CVNets",
               "https://github.com/apple/ml-cvnets/issues/34"),
        Source("“Question about layer norm”, an issue of ConvNeXt",
               "https://github.com/facebookresearch/ConvNeXt/issues/19"),
        Source("“About Normalization”, an issue of PoolFormer: GroupNorm(1, C) and layer norm",
               "https://github.com/sail-sg/poolformer/issues/9"),
    ),
)  # fmt: skip

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
