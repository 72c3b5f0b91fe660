"""The settings of a training run that a reader can choose, and which norms each of them concerns."""

from __future__ import annotations

from typing import Any

from bnlib import NORMS
from bnlib.data import LAST_BATCHES, PLANE, TRAIN_SIZES
from bnlib.networks.config import EDITABLE
from bnlib.networks.kinds import NETWORKS
from bnlib.norms.weights import WEIGHT_NORMS
from book.controls import EPS_STOPS, Codec, Control, even_stops, log_stops

Pairs = tuple[tuple[str, Any], ...]  # (setting, value), ...
Lane = tuple[str, Pairs]  # norm, and what else differs
Edit = tuple[int, str, Any]  # (step, setting, value)

LAB_STEPS = 2000
MAX_LANES, MAX_EDITS = 4, 12
LANES: tuple[Lane, ...] = (("none", ()), ("batch", ()))  # of the lab as it starts

NAMES = {"none": "no norm"} | {name: norm.label for name, norm in NORMS.items()}

_GHOST = NORMS["ghost"].together
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 640)
_NORM_BATCHES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
_COSINES = (0, 100, 160, 200, 240, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000, 10_000)
_SAMPLES = (0, 32, 64, 128, 256, 512, 640, 768, 1024, 1280)
_SCALES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0)
_GROUPS = (1, 2, 4, 8, 16, 32, 64)
_MOMENTA = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)

_FLAGS: dict[Any, bool] = {"false": False, "true": True}
_NO_YES: Any = (False, True)


def _flag(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if not isinstance(raw, str) or raw not in _FLAGS:
        raise ValueError(f"is not one of {', '.join(_FLAGS)}")
    return _FLAGS[raw]


FLAG = Codec(_flag, lambda value: str(value).lower())

# What the runs depend on. Everything here may stand in an address, in a lane or in a ghost.
RUN_CONTROLS = (
    Control(
        "dataset", "choice", "digits", "data", choices=("digits", *PLANE), group="data",
        names=("handwritten digits", "circles", "moons", "spirals", "XOR", "blobs", "ring of Gaussians"),
        about="What the networks learn: handwritten digits, 8 × 8 pixels in ten classes, or points of a "
        "plane. Of points in a plane the lab draws the region that each class is given.",
    ),
    Control(
        "data_noise", "number", 0.1, "noise", "of the 2-D sets", 0, 1, even_stops(0, 1, 20), group="data",
        about="Standard deviation of the noise in each coordinate of 2-D data; the figure’s radius is 1. "
        "With more noise the classes overlap and nobody reaches 100%.",
    ),
    Control(
        "network", "choice", "mlp", "network", choices=tuple(NETWORKS), group="network",
        names=tuple(kind.label for kind in NETWORKS.values()),
        about="Dense layers; 3 × 3 convolutions; a recurrent network that reads an image row by row; or a "
        "GAN, in which a generator draws points like those of eight Gaussians on a ring. The norm of a GAN "
        "is in the discriminator only.",
    ),
    Control(
        "depth", "whole", 5, "depth", "hidden layers", 1, 20, tuple(range(1, 21)), group="network",
        about="Number of hidden layers. With each layer more, gradients without a norm vanish or explode "
        "more easily, and a step takes longer.",
    ),
    Control(
        "width", "whole", 64, "width", "units a layer", 8, 128, (8, 16, 32, 64, 128), group="network",
        about="Units in each hidden layer; in a convolutional network channels, of which the first third of "
        "the layers has half as many. A wider network learns more easily and takes longer for a step.",
    ),
    Control(
        "activation", "choice", "relu", "activation", choices=("relu", "tanh", "sigmoid", "gelu"),
        names=("ReLU", "tanh", "sigmoid", "GELU"), group="network",
        about="The nonlinear function of the hidden layers. Sigmoid and tanh saturate: far from 0 their "
        "slope is nearly 0, and so is the gradient behind them.",
    ),
    Control(
        "placement", "choice", "before", "norm placed", choices=("before", "after"), group="network",
        names=("before activation", "after activation"),
        about="Whether the norm comes before the activation, as in Ioffe & Szegedy (2015), or after it. "
        "Before a sigmoid or tanh it keeps most numbers where the slope is large.",
    ),
    Control(
        "init_scale", "number", 1.0, "init scale", "× He 2015; normal: σ", 0.05, 5, _SCALES,
        group="network",
        about="Factor on the initial weights of He et al. (2015), which keep a signal’s size from layer to "
        "layer in a ReLU network. Without a norm the signal shrinks below 1 and grows above 1. With normal "
        "initial weights it is their standard deviation.",
    ),
    Control(
        "batch_size", "whole", 32, "batch size", "samples a step", 1, 640, _SIZES, group="training",
        about="Samples in one training step. Batch norm takes its mean and variance from them, so in small "
        "batches both are noisy.",
    ),
    Control(
        "lr", "number", 0.1, "learning rate", "", 1e-4, 10, log_stops(-4, 1, 12), group="training",
        about="How far a step moves the parameters along the negative gradient. Too large, and training "
        "diverges; too small, and the loss hardly falls. In PyTorch: lr.",
    ),
    Control(
        "optimizer", "choice", "sgd", "optimizer", choices=("sgd", "momentum", "adamw"), group="training",
        names=("SGD", "momentum SGD", "AdamW"),
        about="How gradients become updates: plain SGD, SGD with momentum 0.9, or AdamW with decay rates 0.9 "
        "and 0.999. AdamW usually needs a learning rate that is much smaller.",
    ),
    Control(
        "replicas", "whole", 4, "seeds", "networks per lane", 1, 8, tuple(range(1, 9)), group="training",
        about="Networks in each lane, with different initial weights and batches. Lines show their mean, "
        "bands reach from the lowest to the highest; with one seed a difference may be chance.",
    ),
    Control(
        "seed", "whole", 0, "first seed", "", 0, 9999, tuple(range(0, 21)), group="training",
        about="Number that the first network’s initial weights and batches are drawn from. Another one "
        "repeats the race with other chance.",
    ),
    Control(
        "eps", "number", 1e-5, "ε eps", "added to the variance", 0, 1, EPS_STOPS, group="norm",
        about="Added to the variance before the root is taken, so that nothing is divided by 0. Near the "
        "variance or above it, outputs shrink. In PyTorch: eps.",
    ),
    Control(
        "gamma", "number", 1.0, "γ gamma", "start value", -4, 4, even_stops(-4, 4, 80), group="norm",
        about="The learned factor behind the normalization; this is the value it starts from. Small values "
        "let less of the signal and of the gradient through. In PyTorch: weight.",
    ),
    Control(
        "beta", "number", 0.0, "β beta", "start value", -4, 4, even_stops(-4, 4, 80), group="norm",
        about="The learned shift behind the normalization; this is the value it starts from. Far below 0 it "
        "switches ReLUs off. In PyTorch: bias.",
    ),
    Control(
        "momentum", "number", 0.9, "momentum", "of the old value; PyTorch: 1 − this", 0, 0.999,
        _MOMENTA, group="norm",
        about="Weight of the old value in the running mean and variance, which inference uses. Near 1 they "
        "lag behind, near 0 they are noisy. PyTorch’s momentum weighs the new value: it is 1 minus this.",
    ),
    Control(
        "frozen", "choice", False, "running μ and σ", choices=_NO_YES, codec=FLAG, group="norm",
        names=("follow the batches", "frozen"),
        about="Frozen, running mean and variance stay as they are, and training normalizes with them; γ "
        "and β are learned on. As a change in mid-run this is what fine-tuning often does. In PyTorch: "
        "eval() of the norms alone.",
    ),
    Control(
        "groups", "whole", 8, "groups", "of channels that share μ and σ", 1, 64, _GROUPS, group="norm",
        about="Number of groups that group norm divides a layer’s channels into. One group is layer norm; "
        "one for each channel is instance norm. In PyTorch: num_groups.",
    ),
    Control(
        "iterations", "whole", 1, "power iterations", "of spectral norm", 1, 20, (1, 2, 3, 5, 10, 20),
        group="norm",
        about="Rounds in which spectral norm estimates the largest singular value at each step. More make it "
        "more exact and slower. In PyTorch: n_power_iterations.",
    ),
    Control(
        "r_max", "number", 3.0, "r max", "how far σ is corrected; 1: not", 1, 100,
        (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 100.0), group="norm",
        about="Batch renorm multiplies by σ of the batch / running σ, kept between 1 / r max and r max. With "
        "r max 1 and d max 0 it is batch norm.",
    ),
    Control(
        "d_max", "number", 5.0, "d max", "how far μ is corrected; 0: not", 0, 100,
        (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 100.0), group="norm",
        about="Batch renorm adds (μ of the batch − running μ) / running σ, kept between −d max and d max. "
        "With d max 0 and r max 1 it is batch norm.",
    ),
    Control(
        "alpha", "number", 0.5, "α alpha", "inside the tanh, start", -4, 4, even_stops(-4, 4, 80),
        group="norm",
        about="Dynamic tanh computes γ · tanh(α x) + β; α is learned, and this is the value it starts from. "
        "A large α saturates the tanh, at 0 nothing gets through.",
    ),
    Control(
        "weight_norm", "choice", "none", "weights", choices=WEIGHT_NORMS, group="more",
        names=("plain weights", *(NORMS[name].label for name in WEIGHT_NORMS[1:])),
        about="A norm of the weight matrices in addition to the lane’s norm of activations. Weight "
        "standardization is meant to go with group norm.",
    ),
    Control(
        "norm_batch", "whole", 0, "norm batch", f"samples that share μ and σ; 0: all, ghost: {_GHOST}", 0,
        640, _NORM_BATCHES, group="more",
        about="Samples that share a mean and a variance, like the batch of one GPU when several train "
        "together without SyncBatchNorm. Small ones make statistics noisy, while the step still uses the "
        "whole batch.",
    ),
    Control(
        "batch_order", "choice", "shuffled", "batch order", choices=("shuffled", "pairs", "sorted"),
        names=("shuffled", "two classes each", "one class each"), group="more",
        about="Which samples meet in a norm batch. With one or two classes in each, the norm subtracts what "
        "tells classes apart.",
    ),
    Control(
        "last_batch", "choice", "straddle", "last batch", choices=LAST_BATCHES,
        names=("goes on into the next epoch", "left out", "smaller"), group="more",
        about="What happens where the training samples don’t divide into batches: the last batch of an epoch "
        "goes on with samples of the next, is left out, or is smaller. Of one sample, batch norm gives β. In "
        "PyTorch: drop_last.",
    ),
    Control(
        "norm_noise", "number", 0.0, "injected noise", "behind each norm", 0, 10,
        even_stops(0, 4, 16), group="more",
        about="Random factors and shifts behind each norm, new ones at each training step, as in Santurkar "
        "et al. (2018); 1 is their strength. They make the distributions unstable on purpose.",
    ),
    Control(
        "weight_decay", "number", 0.0, "weight decay", "λ", 0, 1,
        (0.0, *log_stops(-6, 0, 6)), group="more",
        about="Pulls every weight towards 0 at each step. In front of batch norm, where the weights’ size "
        "makes no difference, it raises the effective learning rate instead. In PyTorch: weight_decay.",
    ),
    Control(
        "decay_affine", "choice", False, "decay of γ and β", choices=_NO_YES, codec=FLAG, group="more",
        names=("none", "as of weights"),
        about="Whether weight decay pulls γ and β towards 0, too. It does in PyTorch’s optimizers unless "
        "they get parameter groups; most recipes leave γ and β out.",
    ),
    Control(
        "cosine_steps", "whole", 0, "cosine over", "steps; 0: none", 0, 10_000, _COSINES,
        group="more",
        about="Steps over which the learning rate falls to 0 along half a cosine; from then on nothing "
        "changes. 0 keeps it constant. In PyTorch: CosineAnnealingLR, whose rate rises again after T_max.",
    ),
    Control(
        "init", "choice", "he", "initial weights", choices=("he", "normal"), group="more",
        names=("He 2015", "normal"),
        about="The standard deviation of initial weights: √(2 / inputs) × init scale, after He et al. "
        "(2015), or init scale itself in every layer, whatever its size.",
    ),
    Control(
        "inputs", "choice", "raw", "inputs", choices=("raw", "standardized"), group="more",
        names=("pixels from 0 to 1", "standardized"),
        about="Pixels as they are, or each with mean 0 and variance 1 over the training samples: what batch "
        "norm does for the later layers, done once for the first.",
    ),
    Control(
        "label_noise", "number", 0.0, "label noise", "share that is wrong", 0, 1,
        even_stops(0, 1, 20), group="more",
        about="Share of training labels that are replaced by another class. A network that memorizes them "
        "does worse on validation samples, whose labels are right.",
    ),
    Control(
        "train_samples", "whole", 0, "training samples", "0: all", 0, max(TRAIN_SIZES.values()), _SAMPLES,
        group="more",
        about="Training samples that are used; 0: all. With few, a network memorizes them and does worse on "
        "validation samples.",
    ),
)  # fmt: skip
RUN = {control.name: control for control in RUN_CONTROLS}
# Lanes can't differ in the data and the seeds: it would be no race.
SHARED = ("dataset", "data_noise", "inputs", "label_noise", "train_samples", "replicas", "seed")
LANE_FIELDS = tuple(name for name in RUN if name not in SHARED)
EDIT_FIELDS = tuple(name for name in RUN if name in EDITABLE)


def _concerns(name: str) -> list[str]:
    """The norms that a setting concerns; none: it isn't one of a norm."""
    if name == "weight_norm":
        return ["none", *(norm for norm, row in NORMS.items() if not row.weights)]
    if name == "placement":
        return [norm for norm, row in NORMS.items() if not row.weights and not row.activates]
    if name in ("momentum", "frozen"):
        return [norm for norm, row in NORMS.items() if row.running]
    name = {"batch_order": "norm_batch", "decay_affine": "gamma"}.get(name, name)
    return [norm for norm, row in NORMS.items() if name in (*row.options, *row.learned)]


# What data a network needs here.
NEEDS = {name: kind.data[0] for name, kind in NETWORKS.items() if kind.data}
# By setting, the norms of which one must be in a lane for the setting to do anything.
CONCERNS = {name: norms for name in RUN if (norms := _concerns(name))}
