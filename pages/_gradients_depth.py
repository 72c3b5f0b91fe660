"""The scenes about depth: "Twenty layers", "A map" and "What trains"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bnlib.experiments import Race
from bnlib.lessons import deep
from book.chapter import Choice, Found, Job, Passage, Scene, Source, View
from book.controls import Control, Values
from pages import _gradients_depth_map as maps
from pages._gradients_depth_parts import SHOWN, network
from pages._gradients_depth_scripts import pytorch, script
from pages._gradients_depth_views import (
    CHANGE,
    EVERY,
    LATER,
    LATER_RATE,
    RATE,
    SHALLOW,
    STEPS,
    TWIN_STEPS,
    TWINS,
    depth,
    trains,
)  # fmt: skip

__all__ = ["CODE", "CONTROLS", "SCENES", "SOURCES", "VIEWS", "jobs", "lab", "pytorch", "script"]


CONTROLS = (
    Control(
        "layers", "whole", 20, "layers", "", 2, 40, (2, 5, 10, 15, 20, 25, 30, 35, 40), marks=(20,),
        about="Hidden layers of 64 ReLU units, between the 64 pixels and the ten outputs. With skip "
        "connections a layer is a block: norm, ReLU, weights, added to what came in.",
    ),
    Control(
        "init_scale", "number", 1.0, "initial weights", "× He’s", 0.25, 4,
        tuple(round(2 ** (k / 4), 3) for k in range(-8, 9)), marks=(0.5, 1, 2),
        about="Factor on the initial weights of He et al. (2015), whose variance is 2 / inputs. In PyTorch: "
        "kaiming_normal_(weight, nonlinearity='relu') and a factor.",
    ),
    Control(
        "samples", "whole", 32, "batch size", "samples that share μ and σ", 8, 128, (8, 16, 32, 64, 128),
        about="Samples in a batch. Batch norm takes its mean and variance from them.",
    ),
    Control(
        "arm", "choice", "none", "networks", choices=SHOWN,
        names=("no norm", "batch norm", "layer norm", "batch norm, skips"), look="buttons",
        about="Which networks the map shows. Skips: batch norm inside h + W · ReLU(norm(h)), as in a "
        "pre-activation residual network (He et al. 2016).",
    ),
    Control(
        "cell", "whole", -1, "network", "", -1, maps.CELLS - 1, unset="20 layers at half of He’s scale",
        about="The cell of the map whose network is opened.",
    ),
)  # fmt: skip

VIEWS: dict[str, Callable[[Values, Found], View]] = {"depth": depth, "map": maps.view, "trains": trains}


def jobs(values: Values) -> dict[str, Job]:
    """Return what a scene waits for; while a finger moves, one seed's passes."""
    scene, draft, layers = values["scene"], values["draft"], values["layers"]
    one: dict[str, Any] = {"replicas": 1} if draft else {}
    if scene == "depth":
        fields = {"init_scale": values["init_scale"], "batch_size": values["samples"]}
        found = {
            arm: Job(deep.profile, (network(values, arm, layers, **fields, **one),), draft) for arm in SHOWN
        }
        if not draft:
            config = network(values, "batch", layers, **fields, lr=LATER_RATE)
            found["later"] = Job(deep.ratios_after, (config, LATER))
        return found
    if scene == "map" and not draft:
        return {
            f"{arm} {rows}": Job(deep.row, (network(values, arm, rows), maps.SCALES))
            for rows in maps.DEPTHS
            for arm in maps.arms(values)
        }
    if scene == "trains":
        found = {
            f"profile {arm}": Job(deep.profile, (network(values, arm, layers, **one),), draft)
            for arm in SHOWN
        }
        return found if draft else found | _training(values)
    return {}


def _training(values: Values) -> dict[str, Job]:
    """Return the trainings of "What trains"."""
    found, layers = {}, values["layers"]
    for arm in SHOWN:
        config = network(values, arm, layers, lr=RATE)
        learned = replace(config, dtype="float32")
        found[f"learning {arm}"] = Job(deep.learning, (learned, STEPS, EVERY))
        if arm in TWINS:
            found[f"twins {arm}"] = Job(deep.twins, (config, TWIN_STEPS, CHANGE))
    others = {
        "ten": network(values, "batch", SHALLOW, lr=RATE, dtype="float32"),
        "learning skip_layer": network(values, "skip_layer", layers, lr=RATE, dtype="float32"),
        "learning skip_none": network(values, "skip_none", layers, lr=RATE, dtype="float32"),
    }
    return found | {name: Job(deep.learning, (config, STEPS, STEPS)) for name, config in others.items()}


def lab(values: Values) -> Race:
    """Return the networks without skip connections, which the lab doesn't have, as a race."""
    scene = values["scene"]
    if scene == "map":
        arms, (layers, scale) = maps.arms(values), maps.picked(values)
        fields: dict[str, Any] = {"init_scale": scale}
    else:
        arms, layers, fields = ("none", "batch", "layer"), values["layers"], {"lr": RATE}
        if scene == "depth":
            fields = {"init_scale": values["init_scale"], "batch_size": values["samples"]}
    configs = tuple(network(values, arm, layers, **fields) for arm in arms if arm != "skip")
    return Race(f"{layers} layers", configs, STEPS)


# ---- scenes ----------------------------------------------------------------------------------------------

DEPTH = Scene(
    "depth", "Twenty layers",
    "Twenty layers with batch norm and the initial weights of He et al. (2015), before any training. The "
    "gradient comes in at the last layer. How long is it in the first layer, compared with the last?",
    (
        Choice("a fiftieth", 0.02,
               "It vanishes without a norm where the weights are too small. Behind a norm the size of the "
               "weights plays no role."),
        Choice("about as long", 1.0,
               "A norm keeps the activations level. Layer norm keeps the gradient level, too."),
        Choice("about 50 times as long", 50.0),
        Choice("500,000 times as long", 2.0**19,
               "It does grow in each layer, but it doesn’t double."),
    ),
    "ratio_batch", {"layers": 20, "init_scale": 1.0, "samples": 32}, {},
    "It was {ratio_batch:.0f} times as long; Yang et al. (2019) expect {theory_batch:.0f}.",
    "Each norm divides what comes back by its σ. A ReLU’s outputs have a mean, and batch norm subtracts it: "
    "of a size of 1, σ = {sigma_theory:.3f} is left. So each layer makes the gradient longer: by theory "
    "{large_batch:.2f} times with very large batches, {growth_theory:.3f} with {samples} samples.",
    "This is the start: after {after_1_steps:.0f} training step the ratio is {after_1:.0f}, after "
    "{after_5_steps:.0f} steps {after_5:.0f}. Yang et al. report a stable balance after one step. In a skip "
    "connection nothing is divided, so the gradient grows less.",
    "Drag the initial weights to 0.5: which curves move? Then choose a batch of 8.",
    ("init_scale", "layers", "samples", "seed"),
)  # fmt: skip

MAP = Scene(
    "map", "A map",
    "Without a norm, 20 layers. How many times too large or too small may the initial weights be before the "
    "gradients of the first and last layer differ 1,000 times?",
    (
        Choice("1.4", 1.4),
        Choice("2", 2.0, "A factor of 2 would do in ten layers. Each further layer multiplies again."),
        Choice("10", 10.0, "Ten in each of three layers makes 1,000. Here are twenty."),
        Choice("1,000", 1000.0, "In one layer it would be so. But each layer multiplies the gradient."),
    ),
    "margin", {}, {},
    "It was {margin:.2f} times, on every seed between {margin_lowest:.2f} and {margin_highest:.2f}.",
    "Without a norm each of the 19 layers on the way multiplies the gradient by the scale, and "
    "{margin_theory:.4f}¹⁹ ≈ 1,000. Behind a norm the scale cancels: with batch norm it changes no row of "
    "the map by more than a factor {moved:.2f}.",
    "The scale cancels, depth doesn’t: with batch norm and {deepest:.0f} layers the first layer’s gradient "
    "is {batch_deepest:,.0f} times the last one’s at any scale. And the map is of the start, before "
    "training.",
    "Click a cell, then switch the networks: what becomes of the two curves?",
    ("arm", "seed"),
)  # fmt: skip

TRAINS = Scene(
    "trains", "What trains",
    "Four networks of 40 layers with He’s weights train for 50 steps: no norm, batch norm, layer norm, and "
    "batch norm with skip connections. Which of them get more than half of the digits right?",
    (
        Choice("all four", 15.0,
               "He’s weights keep the size of activations, and without a norm that of the gradient, too. "
               "Size is not all that counts."),
        Choice("all with a norm", 14.0,
               "With ten layers these three do learn. Forty are another matter."),
        Choice("layer norm, skip connections", 12.0,
               "Of these two the gradients are nearly level. But something else is lost in layer norm."),
        Choice("only skip connections", 8.0),
    ),
    "trained", {"layers": 40}, {},
    "Without a norm {right_none:.0%} were right, with batch norm {right_batch:.0%}, with layer norm "
    "{right_layer:.0%}, with skip connections {right_skip:.0%}.",
    "Two things are needed: digits must stay different, and the gradient must stay level. Without a norm or "
    "with layer norm, digits end alike (cosine {alike:.2f} or more). With batch norm the first layer’s "
    "gradient is {ratio_batch:,.0f} times the last one’s.",
    "Skip connections need a norm, but not batch norm: with layer norm {right_skip_layer:.0%} are right, "
    "without a norm {right_skip_none:.0%}. With {shallow:.0f} layers plain batch norm has "
    "{right_shallow:.0%}. This is one learning rate: experiment E24 tries more.",
    "Drag the layers down: at which depth does plain batch norm get more than half right?",
    ("layers", "seed"),
)  # fmt: skip

SCENES = (DEPTH, MAP, TRAINS)

CODE = (
    Passage("A pass forward and back before any training, measured in each layer", deep.profile),
    Passage("What theory expects of the gradient in each layer", deep.expected_gradients),
    Passage("How alike samples become behind ReLU layers (Cho & Saul 2009)", deep.similarities),
    Passage("Two copies that differ by a rounding error", deep.twins),
)

SOURCES = (
    Source(
        "G. Yang, J. Pennington, V. Rao, J. Sohl-Dickstein and S. Schoenholz (2019). [A mean field theory of "
        "batch normalization](https://arxiv.org/abs/1902.08129): theorem 8, how gradients grow.",
        "https://arxiv.org/abs/1902.08129",
    ),
    Source(
        "K. He, X. Zhang, S. Ren and J. Sun (2015). [Delving deep into rectifiers]"
        "(https://arxiv.org/abs/1502.01852): equation 10, initial weights for ReLU.",
        "https://arxiv.org/abs/1502.01852",
    ),
    Source("Y. Cho and L. Saul (2009). Kernel methods for deep learning: the cosine behind a ReLU layer."),
    Source(
        "S. De and S. Smith (2020). [Batch normalization biases residual blocks towards the identity "
        "function in deep networks](https://arxiv.org/abs/2002.10444).",
        "https://arxiv.org/abs/2002.10444",
    ),
)
