"""One batch: what happens to one batch?"""

import numpy as np

from bnlib import norms
from book.arithmetic import equations
from book.batch import BATCH_CONTROLS, OPERATIONS, SOURCE_CONTROLS, UNDEFINED, Batch, describe, transform
from book.batch import pytorch as torch_program
from book.batch import script as numpy_script
from book.chapter import Asked, Chapter, Choice, Passage, Scene, Source, View
from book.controls import Control, Values
from book.figure import INK, Figure, dots, faded, line, thumbnail
from book.measures import GRADIENTS, MEASURES, POOLED, digit_figure
from book.passages import NORM, PLAIN_NORM
from book.rows import rows_figure
from book.words import filled

HINT = "Drag a dot of x. It may leave the frame."

# What each scene measures beside the dots.
MEASURED = {
    "shape": ("shape",),
    "undo": ("undo",),
    "cliff": ("share",),
    "microscope": ("spread",),
    "free": ("shape", "share"),
}

# What the CSV of a scene has beside x, x̂ and y.
COLUMNS = {"steps": ("centred", "scaled"), "undo": ("y_minus_x",)}

# The walk through the transform: what each operation is, and what it has come to.
STEPS = {
    "x": "What arrives",
    "mean": "1 of 7: the mean μ",
    "centred": "2 of 7: subtract μ",
    "variance": "3 of 7: the variance σ²",
    "root": "4 of 7: add ε, take the root",
    "divide": "5 of 7: divide",
    "gamma": "6 of 7: times γ",
    "beta": "7 of 7: plus β",
}
WALK = {
    "x": "These numbers arrive.",
    "mean": "Their mean is μ = {x_mean}.",
    "centred": "With μ subtracted, they have mean {centred_mean} and still standard deviation {centred_std}.",
    "variance": "The mean of all (x − μ)² is the variance σ² = {x_var}.",
    "root": "√(σ² + ε) = {root} is what all of them are divided by.",
    "divide": "Divided, they have mean {normalized_mean} and standard deviation {normalized_std}.",
    "undivided": f"All of them are 0, and so is the divisor: {UNDEFINED}.",
    "gamma": "Times γ, they have mean {scaled_mean} and standard deviation {scaled_std}.",
}

SCENES = (
    Scene(
        "tug",
        "Tug a dot",
        "Five dots. One of them is pulled out to 1,000. Where does batch norm put it?",
        (
            Choice("at 1,000", 1000, "It does stay the farthest of the five."),
            Choice("at about 31", 31, "A square root is right, but of N − 1 = 4, not of 1,000."),
            Choice("at 2", 2, "2 is √(5−1)."),
            Choice("at 1", 1, "1 is the standard deviation of x̂. A single dot can lie farther out."),
        ),
        "largest",
        {"source": "gaussian", "batch_size": 5},
        {"moved": ((2, 1000.0),)},
        "It ended at {largest}.",
        "A dot that is pulled away takes μ and σ along. So no x̂ of five dots is beyond √(5−1) = {bound}, "
        "and none of N dots is beyond √(N−1).",
        "The x̂ of the other four became almost equal, with a standard deviation of {rest_spread}. One "
        "outlier hides the differences between all others.",
        "Drag any dot as far as you like, then make the batch larger: how far can x̂ get now?",
        ("batch_size",),
    ),
    Scene(
        "steps",
        "Step by step",
        "γ is 2 and β is 1. When all is computed, where is the mean of y?",
        (
            Choice("at 0", 0, "0 is the mean of x̂, before γ and β."),
            Choice("where it was before", "x_mean", "It would be there with β = μ, and β can learn that."),
            Choice("at 1", 1, "1 is β."),
            Choice("at 3", 3, "3 is where a dot with x̂ = 1 lands."),
        ),
        "y_mean",
        {"batch_size": 12, "gamma": 2.0, "beta": 1.0, "operation": "x"},
        {"operation": "beta"},
        "The mean of y was {y_mean}.",
        "The mean of x̂ is {normalized_mean}, whatever came in. γ stretches x̂ around 0, so β alone sets the "
        "mean of y.",
        "This holds for the batch that μ and σ were taken from. Another batch that is normalized with the "
        "same μ and σ, as at inference, can have another mean.",
        "Go back and forth, one operation at a time, and touch the numbers.",
        ("gamma", "beta", "draw"),
        STEPS,
    ),
    Scene(
        "shape",
        "Shape",
        "This batch has 64 numbers from a bell curve. Now come many batches of four: what shape do all "
        "their x̂ make together?",
        (
            Choice("a bell", 3, "A bell is what comes in, and large batches keep it."),
            Choice("flat", 1.8, "Flat is what theory gives for four Gaussian numbers."),
            Choice("two spikes", 1, "Two spikes are what batches of two make."),
        ),
        "kurtosis",
        {"source": "gaussian", "batch_size": 64},
        {"batch_size": 4},
        "The x̂ of batches of four had kurtosis {kurtosis}; a bell has 3, a flat shape 1.8, two spikes 1.",
        "Each number helps to set the σ that it is divided by. That holds extremes back: the kurtosis falls "
        "from 3 to 3(N−1)/(N+1).",
        "In large batches this is hardly seen: x̂ has the shape of x, moved and scaled. Batch norm doesn’t "
        "make numbers Gaussian.",
        "Try other batch sizes, 2, 3 and 5 too, and other sources.",
        ("source", "batch_size", "draw"),
    ),
    Scene(
        "undo",
        "Undo it",
        "Can γ and β undo batch norm, so that every y is where its x was?",
        (
            Choice("yes, exactly", 0, "γ and β can be any numbers, also √(σ² + ε) and μ of this batch."),
            Choice("only roughly", 0.3, "Roughly is right for other batches: γ and β stay, μ and σ change."),
            Choice("no, y keeps mean 0 and spread 1", 1, "That is true of x̂, and of y while γ = 1, β = 0."),
        ),
        "undo_distance",
        {"source": "skewed"},
        {"gamma": "root", "beta": "x_mean"},
        "The lamp came on: y was {undo_distance:.3f} σ away from x.",
        "With γ = √(σ² + ε) and β = μ every y equals its x. So the network can still express what it could "
        "without batch norm.",
        "This works for one batch at a time. The next one has its own μ and σ, and γ and β don’t follow.",
        "Take the next batch with the same γ and β, then move them until the lamp is on again.",
        ("draw", "gamma", "beta"),
    ),
    Scene(
        "cliff",
        "Batch cliff",
        "The batch shrinks to two. A gradient of random numbers arrives at y. How much of its energy, the "
        "sum of its squares, gets through to x in units of σ?",
        (
            Choice("all of it", 1, "Large batches let nearly all of it through."),
            Choice("half of it", 0.5, "Batches of four let half of the energy through."),
            Choice("nothing", 0, "Every batch loses two directions, and two dots have only two."),
        ),
        "share",
        {"source": "gaussian", "batch_size": 128},
        {"batch_size": 2},
        "Next to nothing got through: {share:.1%} of its energy.",
        "Apart from ε, two dots end at −1 and 1 wherever they are, so moving them changes nothing. Layers "
        "below learn next to nothing; γ and β still learn.",
        "What counts is numbers, not images. A convolution’s channel has one at each position: two images of "
        "8 × 8 positions let 126/128 of the energy through.",
        "Try batch sizes 1, 2, 3, 4 and 8, then push two dots together and raise ε.",
        ("batch_size", "eps", "draw"),
    ),
    Scene(
        "microscope",
        "ε microscope",
        "σ is 1, and so is the standard deviation of x̂. Now x is multiplied by 0.001, and ε stays 0.00001. "
        "What is the standard deviation of x̂ then?",
        (
            Choice("1, as always", 1, "Without ε it would be 1: dividing by σ undoes any scale."),
            Choice("0.9", 0.9, "ε does make it less than 1."),
            Choice("0.3", 0.3, "0.3 is about 0.001 / √(0.001² + 0.00001)."),
            Choice("0.001", 0.001, "x itself has 0.001, and ε does keep x̂ from getting back to 1."),
        ),
        "normalized_std",
        {"source": "gaussian", "draw": 88, "batch_size": 100},
        {"scale": 0.001},
        "The standard deviation of x̂ fell to {normalized_std}.",
        "With x that small, σ² = {x_var} is below ε: x is divided by {root}, not by σ. So ε does more than "
        "prevent division by zero.",
        "Before, σ² was {before_x_var}, far above ε, and the standard deviation of x̂ was "
        "{before_normalized_std}. With σ near 1, ε changes nothing you can see.",
        "Move scale and ε: the curve bends where σ² = ε.",
        ("scale", "eps", "batch_size", "draw"),
    ),
    Scene(
        "free",
        "Play",
        task="Change anything here; the page’s address keeps what you see, so you can share it.",
        controls=("source", "batch_size", "scale", "eps", "gamma", "beta", "draw"),
    ),
)  # fmt: skip


def compute(values: Values) -> View:
    """Put the batch through batch norm, and measure what the scene is about once its question is answered."""
    batch, scene = transform(values), values["scene"]
    is_open, narrow = values.get("open", False), values.get("narrow", False)
    operation = None
    if scene == "steps":
        operation = "x" if is_open else values["operation"]
    text = describe(batch, not is_open)
    if operation in WALK:
        said = "undivided" if operation == "divide" and not batch.numbers["root"] else operation
        text = filled(WALK[said], batch.numbers)
    names = () if is_open else MEASURED.get(scene, ())
    found = {name: MEASURES[name](batch) for name in names}
    numbers = batch.numbers | ({"rest_spread": _rest_spread(batch)} if scene == "tug" else {})
    for one in found.values():
        numbers |= one.numbers
    pooled = found["shape"].pooled if "shape" in found else None
    if pooled and scene == "free":
        pooled = pooled._replace(counts=None)  # this batch's own bars stay
    figures = {
        "dots": rows_figure(
            batch, text, HINT, narrow=narrow, walls=not is_open, operation=operation, pooled=pooled
        )
    }
    if batch.digit >= 0 and scene != "free":
        figures["digit"] = digit_figure(batch)
    if scene != "free":
        figures |= {name: one.figure for name, one in found.items() if one.figure}
    return View(
        numbers,
        text,
        figures,
        batch.table | {name: batch.column(name) for name in COLUMNS.get(scene, ())},
        equations(batch, operation),
        tuple(light for one in found.values() for light in one.lights),
        tuple(meter for one in found.values() for meter in one.meters),
        {name: one.note for name, one in found.items()},
    )


def _rest_spread(batch: Batch) -> float:
    """Return how far x̂ spreads without the farthest dot."""
    x_hat = batch.arrays["normalized"]
    rest = np.delete(x_hat, np.abs(x_hat).argmax())
    return float(rest.std()) if len(rest) else 0.0


THREADS = 32  # at most


def small(values: Values) -> Figure:
    """Draw the first page's batch, and below it y: each dot above is joined to the one that it becomes."""
    batch = transform(values)
    every = -(-batch.size // THREADS)
    x, y = (batch.arrays[name][::every] for name in ("x", "y"))
    above, below = np.ones(len(x)), np.zeros(len(x))
    gap = np.full(len(x), np.nan)
    across, down = (np.column_stack(ends).ravel() for ends in ((x, y, gap), (above, below, gap)))
    threads = line(across, down, "from x to y", faded(INK, 0.3), width=1)
    data = [threads, dots(x, above, "x", INK, size=6), dots(y, below, "y", size=6)]
    alt = f"A row of dots, x, and one below it, y. {describe(batch, given_away=False)}"
    return thumbnail(data, "A batch before and after", alt, (-4, 4), (-0.2, 1.2))


# ---- the same elsewhere ------------------------------------------------------------------------------------

TORCH = {
    "tug": """x_hat = bn(x)  # γ is 1 and β is 0 at first
print("largest =", x_hat.abs().max().item())
print("bound =", (len(x) - 1) ** 0.5)
""",
    "shape": """print("x_std =", x.std(correction=0).item())
print("normalized_std =", bn(x).std(correction=0).item())
""",
    "undo": """torch.nn.init.constant_(bn.weight, {gamma!r})  # γ
torch.nn.init.constant_(bn.bias, {beta!r})  # β
y = bn(x)
print("x_mean =", x.mean().item())
print("root =", (x.var(correction=0) + bn.eps).sqrt().item())
print("y_mean =", round(y.mean().item(), 12))
print("y_std =", y.std(correction=0).item())
""",
    "cliff": """J = torch.autograd.functional.jacobian(bn, x).reshape(len(x), len(x))  # dy/dx
root = (x.var(correction=0) + bn.eps).sqrt()
print("share_theory =", ((J * root).square().sum() / len(x)).item())
""",
    "microscope": """print("x_var =", x.var(correction=0).item())
print("normalized_std =", bn(x).std(correction=0).item())
""",
}
# Many batches at once are many channels; as NumPy draws them they are the chapter's own.
TORCH_SHAPE = """import numpy as np
import torch

rng, size = np.random.default_rng([97, {size}]), {size}
x = torch.tensor({drawn}) * {scale!r}  # many batches side by side
x_hat = torch.nn.BatchNorm1d(x.shape[1], eps={eps!r}, dtype=torch.float64)(x)
print("kurtosis =", (x_hat.pow(4).mean() / x_hat.pow(2).mean() ** 2).item())
"""
DRAWN = {
    "gaussian": "rng.normal(1, 1, (size, {batches}))",
    "skewed": "rng.exponential(1.5, (size, {batches}))",
    "outlier": "np.where(np.arange(size)[:, None] == 0, 5.5, rng.normal(0, 1, (size, {batches})))",
}


def pytorch(values: Values) -> str:
    """Write the PyTorch program of a scene."""
    scene, size, source = values["scene"], values["batch_size"], values["source"]
    if scene == "shape" and source in DRAWN and size > 1 and values["eps"]:
        drawn = DRAWN[source].format(batches=POOLED // size)
        return TORCH_SHAPE.format(size=size, drawn=drawn, scale=values["scale"], eps=values["eps"])
    return torch_program(values, TORCH.get(scene, "").format(**values))


SHARE = """
gradients = np.random.default_rng([83, len(x)]).normal(size=(len(x), max(64, {gradients} // len(x))))
h = x_hat[:, None]
back = gradients - gradients.mean(axis=0) - h * (gradients * h).mean(axis=0) if root else 0 * gradients
numbers["share"] = (np.square(back).sum(axis=0) / np.square(gradients).sum(axis=0)).mean()
along = eps / root**2 if root else 0
numbers["share_theory"] = (len(x) - 2 + along**2) / len(x) if root and len(x) > 1 else 0.0
"""
SHAPE = """
rng, size = np.random.default_rng([97, len(x)]), len(x)
many = {drawn} * {scale!r}
many = many - many.mean(axis=0)
many = many / np.maximum(np.sqrt(np.square(many).mean(axis=0) + eps), 1e-300)
numbers["kurtosis"] = (many**4).mean() / max((many**2).mean() ** 2, 1e-300)
"""
SCRIPTS = {
    "tug": """
rest = np.delete(x_hat, np.abs(x_hat).argmax())
numbers["rest_spread"] = rest.std() if len(rest) else 0.0
""",
    "undo": """
y_minus_x = y - x
away = np.sqrt(np.square(y_minus_x).mean())
distance = min(away / root, 999.0) if root else 0.0 if away == 0 else 999.0
numbers |= {"undo_distance": distance, "lamp": distance <= 0.1, "exact": distance < 1e-5}
""",
    "cliff": SHARE.format(gradients=GRADIENTS),
    "microscope": """
numbers["spread_theory"] = numbers["x_std"] / max(root, 1e-300)
""",
    "free": SHARE.format(gradients=GRADIENTS),
}


def script(values: Values) -> str:
    """Write the script of a scene."""
    scene, size, source = values["scene"], values["batch_size"], values["source"]
    more = SCRIPTS.get(scene, "")
    if scene in ("shape", "free") and source in DRAWN:
        drawn = DRAWN[source].format(batches=max(1, POOLED // size))
        more += SHAPE.format(drawn=drawn, scale=values["scale"])
    return numpy_script(values, more, COLUMNS.get(scene, ()))


CHAPTER = Chapter(
    name="one_batch",
    title="One batch",
    question="What happens to one batch?",
    icon=":material/scatter_plot:",
    order=10,
    group="How it works",
    answers=(
        Asked("What do μ, σ, ε, γ and β do to a batch?", "steps"),
        Asked("Can γ and β undo batch norm?", "undo"),
        Asked("When does ε change what comes out?", "microscope"),
        Asked("Does batch norm make numbers Gaussian?", "shape"),
    ),
    thumbnail=small,
    controls=(
        *BATCH_CONTROLS,
        *SOURCE_CONTROLS,
        Control(
            "operation",
            "choice",
            OPERATIONS[-1],
            "operation",
            choices=OPERATIONS,
            names=tuple(STEPS.values()),
            about="How many of batch norm’s operations are done, from the mean to the shift by β.",
        ),
    ),
    compute=compute,
    scenes=SCENES,
    code=(
        *PLAIN_NORM,
        Passage(
            "What ran. Batch norm: all that share a channel share a mean and a variance", norms.batch_norm
        ),
        Passage("What ran, from the gradient of y to that of x, γ and β", norms.norm_backward),
        *NORM,
    ),
    pytorch=pytorch,
    script=script,
    ending=(
        "You can say now where batch norm puts every number of a batch, what γ, β and ε do to it, and why "
        "the layers below learn next to nothing from a batch of two.",
        "You can’t say yet whether a network learns better with it: nothing here was trained.",
        "Go to the training lab and watch the same network learn with it and without it.",
    ),
    sources=(
        Source(
            "S. Ioffe and C. Szegedy (2015). [Batch normalization: accelerating deep network training by "
            "reducing internal covariate shift](https://arxiv.org/abs/1502.03167): the equations.",
            "https://arxiv.org/abs/1502.03167",
        ),
        Source(
            "P. A. Samuelson (1968). [How deviant can you be?]"
            "(https://doi.org/10.1080/01621459.1968.10480944) No number is more than √(N−1) standard "
            "deviations from the mean.",
            "https://doi.org/10.1080/01621459.1968.10480944",
        ),
        Source(
            "W. R. Thompson (1935). [On a criterion for the rejection of observations and the distribution "
            "of the ratio of deviation to sample standard deviation]"
            "(https://doi.org/10.1214/aoms/1177732567): the law of x̂ for Gaussian x.",
            "https://doi.org/10.1214/aoms/1177732567",
        ),
        Source(
            "E. Alpaydin and C. Kaynak (1998). [Optical recognition of handwritten digits]"
            "(https://archive.ics.uci.edu/dataset/80): the digits.",
            "https://archive.ics.uci.edu/dataset/80",
        ),
    ),
    links=(("And does it help? Watch networks learn with and without it", "/training-lab"),),
)

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
