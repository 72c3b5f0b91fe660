"""RunConfig: the value that determines a training run completely, and the one place that validates it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, fields, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from ..data import DATASETS, LAST_BATCHES, LONGEST, ORDERS, TRAIN_SIZES, Dataset, load
from ..norms.checks import is_number, is_whole
from ..norms.table import NORMS, Norm
from ..norms.weights import WEIGHT_NORMS
from .kinds import NETWORKS, Network
from .layers import ACTIVATIONS, Activation

LAST_STEP = 10**9
LAYER_NORMS = ("none", *NORMS)

Edit = tuple[int, str, Any]  # (step, field, value)


def _choice(default: str, *choices: str) -> Any:
    return field(default=default, metadata={"choices": choices})


def _number(default: float, low: float, high: float, edit: bool = False) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "edit": edit})


@dataclass(frozen=True)
class RunConfig:
    """Everything that a training run depends on. Same configuration, same bytes out.

    dataset, data_noise : what is learned; noise (standard deviation) concerns the two-dimensional sets
    inputs : "standardized" gives every input feature mean 0 and variance 1 over the training samples
    label_noise, train_samples : share of training labels that are wrong; samples trained on, 0: all
    network : "mlp"; "cnn": 3 x 3 convolutions over an image, the first third of them at full size with half
        as many channels as ``width``, the others behind a stride of 2, and a global average; "rnn": reads an
        image row by row; "gan": two networks, of which the norm concerns the discriminator (see `gan`)
    depth, width, activation : of hidden layers, which have so many units, or channels, each
    residual : whether each hidden layer but the first adds what its linear map puts out to a stream. "pre":
        the norm is inside the branch, h + W phi(norm(h)), the pre-activation network of He et al. 2016 with
        one linear layer a block; "post": the norm is behind the sum, norm(h + W phi(h))
    skip_init : each such branch is multiplied by a learned number that starts at 0 (De & Smith 2020)
    norm, placement, groups : which norm in each hidden layer, before or after its activation; one of weights
        has its place in the linear map itself
    weight_norm : which norm of weights goes with a norm of activations
    iterations : power iterations of spectral norm at each step
    r_max, d_max : how far batch renorm corrects; 1 and 0 make it batch norm
    alpha : of dynamic tanh; the value that training starts from
    norm_batch : batch norm takes the statistics of so many samples of a batch at a time; 0: of all together,
        ghost batch norm: of 8
    padding : of sequences of unequal length, whether batch norm's statistics at a step are those of the
        sequences that are still going on, "masked", or of all, "counted"; a sequence that has ended keeps its
        state
    norm_noise : strength of the noise behind each norm in training; 1 is Santurkar et al.'s (`train.noise`)
    gradient_penalty : factor of half the mean squared gradient of a GAN's discriminator at real points,
        added to its loss: R1 of Mescheder et al. 2018
    batch_size, optimizer, lr, weight_decay : decay acts on weight matrices only; "momentum" is heavy-ball
        SGD with coefficient 0.9; "adamw" uses decay rates 0.9 and 0.999
    decay_affine : whether it acts on gamma and beta as well, as PyTorch's optimizers do by default
    batch_order : how samples meet in a norm batch: "shuffled", "sorted" by label within each batch, "pairs"
        of classes, or "grouped": neighbours in the data set stay together
    last_batch : where an epoch doesn't divide into batches: "straddle", the last one goes on into the next
        epoch; "drop", it is left out, PyTorch's drop_last=True; "keep", it is smaller, if need be one sample
    rest_lr : 0, or the learning rate of all but the hidden weight matrices, which alone decay then
    cosine_steps : 0, or over how many steps lr falls to 0 along half a cosine (Loshchilov & Hutter 2017)
    init, init_scale : standard deviation of the initial weights: "he", init_scale sqrt(2 / fan_in)
        (He et al. 2015, eq. 10), or "normal", init_scale itself
    eps, gamma, beta, learn_affine : of the norms; gamma and beta are the values that training starts from,
        and keeps to when ``learn_affine`` is false
    momentum : weight of the OLD value in the running statistics (PyTorch's momentum is 1 minus this)
    frozen : training normalizes with the running statistics as they are, which no longer move, as after
        eval() of PyTorch's batch norm; gamma and beta are learned on
    seed, replicas : replica r is the network of seed + r: its weights, its batches
    record_every, validate_every : a frame of telemetry each so many steps, with validation each so many
    dtype : "float32", or "float64" where an identity is to be checked
    edits : ((step, field, value), ...): from that step on, the field, one of EDITABLE, has that value; gamma
        and beta are set at that step, and learned on from there

    ValueError names the field, the value received and the range.
    """

    dataset: str = _choice("digits", *DATASETS)
    data_noise: float = _number(0.1, 0.0, 5.0)
    inputs: str = _choice("raw", "raw", "standardized")
    label_noise: float = _number(0.0, 0.0, 1.0)
    train_samples: int = _number(0, 0, 2000)
    network: str = _choice("mlp", *NETWORKS)
    depth: int = _number(3, 1, 100)
    width: int = _number(64, 1, 4096)
    activation: str = _choice("relu", *ACTIVATIONS)
    residual: str = _choice("none", "none", "pre", "post")
    skip_init: bool = False
    norm: str = _choice("batch", *LAYER_NORMS)
    placement: str = _choice("before", "before", "after")
    weight_norm: str = _choice("none", *WEIGHT_NORMS)
    groups: int = _number(8, 1, 4096)
    iterations: int = _number(1, 1, 100)
    r_max: float = _number(3.0, 1.0, 1000.0, edit=True)
    d_max: float = _number(5.0, 0.0, 1000.0, edit=True)
    alpha: float = _number(0.5, -100.0, 100.0, edit=True)
    norm_batch: int = _number(0, 0, 2000)
    padding: str = _choice("masked", "masked", "counted")
    norm_noise: float = _number(0.0, 0.0, 10.0)
    gradient_penalty: float = _number(0.0, 0.0, 1000.0)
    batch_size: int = _number(32, 1, 2000, edit=True)
    batch_order: str = _choice("shuffled", *ORDERS)
    last_batch: str = _choice("straddle", *LAST_BATCHES)
    optimizer: str = _choice("sgd", "sgd", "momentum", "adamw")
    lr: float = _number(0.1, 0.0, 1000.0, edit=True)
    rest_lr: float = _number(0.0, 0.0, 1000.0)
    cosine_steps: int = _number(0, 0, LAST_STEP)
    weight_decay: float = _number(0.0, 0.0, 10.0, edit=True)
    decay_affine: bool = False
    init: str = _choice("he", "he", "normal")
    init_scale: float = _number(1.0, 0.0, 100.0)
    eps: float = _number(1e-5, 0.0, 1000.0, edit=True)
    gamma: float = _number(1.0, -100.0, 100.0, edit=True)
    beta: float = _number(0.0, -100.0, 100.0, edit=True)
    learn_affine: bool = True
    momentum: float = _number(0.9, 0.0, 0.9999, edit=True)
    frozen: bool = field(default=False, metadata={"edit": True})
    seed: int = _number(0, 0, 2**31 - 1)
    replicas: int = _number(1, 1, 256)
    record_every: int = _number(30, 1, 10**6)
    validate_every: int = _number(300, 1, 10**6)
    dtype: str = _choice("float32", "float32", "float64")
    edits: tuple[Edit, ...] = ()

    def __post_init__(self) -> None:
        for name in FIELDS:
            object.__setattr__(self, name, check_field(name, getattr(self, name)))
        for problem in conflicts(self):
            raise ValueError(f"RunConfig: {problem}")
        object.__setattr__(self, "edits", _check_edits(self))

    @property
    def kind(self) -> Network:
        """The row of the network."""
        return NETWORKS[self.network]

    @property
    def on_activations(self) -> Norm | None:
        """The row of the norm of activations, if there is one."""
        norm = NORMS.get(self.norm)
        return None if norm is None or norm.weights else norm

    @property
    def on_weights(self) -> str:
        """The name of the norm of weights, "none" if there is none."""
        norm = NORMS.get(self.norm)
        return self.norm if norm and norm.weights else self.weight_norm

    @property
    def trains_as(self) -> str:
        """The name of the norm whose forward and backward pass training takes."""
        return "running" if self.frozen else self.norm

    @property
    def arrangement(self) -> tuple[str, int, str]:
        """What `data.batches` takes behind the number of steps."""
        return self.batch_order, self.norm_batch, self.last_batch

    @property
    def nonlinearity(self) -> Activation:
        """What follows the linear maps; nothing where the norm brings its own."""
        norm = self.on_activations
        return ACTIVATIONS["linear" if norm and norm.activates else self.activation]

    @property
    def statistics_of(self) -> int:
        """How many samples of a batch share their statistics at a time; 0: all of them."""
        norm = self.on_activations
        return self.norm_batch or norm.together if norm and "norm_batch" in norm.options else 0

    @property
    def padded(self) -> bool:
        """Whether samples are sequences of unequal length, padded with NaN."""
        return self.dataset == "pauses"

    @property
    def masks(self) -> bool:
        """Whether the norm's statistics leave padding out; those of single samples never see another's."""
        return self.padded and self.padding == "masked" and self.trains_as == "batch"

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each hidden layer's activations for one sample, the channels last."""
        shapes = self.kind.shapes(self.depth, self.width)
        return tuple((LONGEST, *shape[1:]) for shape in shapes) if self.padded else shapes

    def data(self) -> Dataset:
        """Load what is learned: the training and validation samples."""
        changes = (self.label_noise, self.train_samples, self.inputs == "standardized")
        return load(self.dataset, self.data_noise, self.dtype, *changes)

    def at(self, step: int) -> RunConfig:
        """Return the configuration in force at ``step``: edits up to it applied, none left."""
        if not self.edits:
            return self
        changes = {name: value for start, name, value in self.edits if start <= step}
        return replace(self, edits=(), **changes)

    def branch(self, step: int, **changes: Any) -> RunConfig:
        """Return this configuration with fields changed from ``step`` on; what came before is shared."""
        kept = tuple(edit for edit in self.edits if edit[0] <= step)
        return replace(self, edits=kept + tuple((step, name, value) for name, value in changes.items()))


FIELDS = {f.name: f for f in fields(RunConfig) if f.name != "edits"}
EDITABLE = tuple(name for name, f in FIELDS.items() if f.metadata.get("edit"))


def check_field(name: str, value: Any) -> Any:
    """Return ``value`` in the field's own type; a ValueError names field, value and range."""
    if not isinstance(name, str) or name not in FIELDS:
        raise ValueError(f"RunConfig: there is no field {_show(name)}; the fields are {', '.join(FIELDS)}")
    kind, rule = FIELDS[name].type, FIELDS[name].metadata
    if kind == "str":
        if isinstance(value, str) and value in rule["choices"]:
            return str(value)
        must = f"is not one of {', '.join(rule['choices'])}"
    elif kind == "bool":
        if isinstance(value, bool | np.bool_):
            return bool(value)
        must = "must be True or False"
    else:
        whole, low, high = kind == "int", rule["low"], rule["high"]
        if (is_whole if whole else is_number)(value) and low <= value <= high:  # so written, NaN is outside
            return int(value) if whole else float(value)
        must = f"must be {'a whole number' if whole else 'a number'} from {low:g} to {high:g}"
    raise ValueError(f"RunConfig: {name}={_show(value)} {must}")


def _show(value: Any) -> str:
    """Return repr(value), cut to fit a message; Python refuses to print the largest integers."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} that can't be printed"
    return text if len(text) <= 60 else f"{text[:57]}..."


def conflicts(config: RunConfig) -> Iterator[str]:
    """Say what is wrong between fields that are right by themselves, a sentence each."""
    norm, kind = config.on_activations, config.kind
    dense = "is for dense networks; choose network='mlp'"
    # A field, whether it may be other than its default beside the others, and what is wrong and the fix.
    rules: tuple[tuple[str, Any, str], ...] = (
        ("weight_norm", norm or config.norm == "none",
         f"goes with norms of activations; {config.norm} is none"),
        ("inputs", not kind.adversarial,
         f"isn't what network={config.network!r} draws: it draws the data as they are; choose inputs='raw'"),
        ("residual", kind.branches, dense),
        ("norm_noise", kind.branches, dense),
        ("skip_init", config.residual != "none",
         "multiplies residual branches; choose residual='pre' or 'post'"),
        ("gradient_penalty", kind.adversarial, "is for a discriminator; choose network='gan'"),
        ("gradient_penalty", norm is None,
         f"takes the gradient of a gradient, which norm={config.norm!r} has not; "
         "choose norm='none' or 'spectral'"),
        ("frozen", norm and norm.running,
         f"holds running statistics, and norm={config.norm!r} has none; choose norm='batch'"),
        ("batch_order", config.norm_batch > 0, "says who meets in a norm batch; set norm_batch"),
        ("network", not kind.data or config.dataset in kind.data,
         f"{kind.why}; choose dataset={' or '.join(map(repr, kind.data))}"),
        ("dataset", kind.recurrent or not config.padded,
         "has sequences of unequal length; choose network='rnn'"),
        ("norm", not config.padded or config.padding == "counted" or not norm or not norm.running,
         "can't leave padding out; choose norm='batch', or padding='counted'"),
        ("norm_batch", not config.masks, "can't leave padding out; choose padding='counted'"),
        ("inputs", not config.padded, "would count the padding of dataset='pauses'; choose inputs='raw'"),
        ("padding", config.padded, "concerns sequences of unequal length; choose dataset='pauses'"),
        ("residual", config.residual == "pre" or config.placement == "before",
         "keeps what leaves the norm, not phi; choose placement='before'"),
    )  # fmt: skip
    for name, possible, why in rules:
        if not possible and getattr(config, name) != FIELDS[name].default:
            yield f"{name}={getattr(config, name)!r} {why}"

    channels = math.gcd(*(shape[-1] for shape in config.shapes))
    if config.norm == "group" and channels % config.groups:
        halved = f", whose layers have {channels} and more channels" if channels < config.width else ""
        yield (
            f"groups={config.groups} does not divide width={config.width}{halved}; try {_divisors(channels)}"
        )
    available = min(TRAIN_SIZES[config.dataset], config.train_samples or LAST_STEP)
    for name in ("train_samples", "batch_size"):
        if getattr(config, name) > available:
            yield (
                f"{name}={getattr(config, name)} exceeds the {available} training samples of "
                f"dataset={config.dataset!r}; choose 1 to {available}"
            )
    together = config.norm_batch or config.statistics_of
    if together and config.batch_size % together:
        whole = "" if norm and norm.together else ", or 0 for the whole batch"
        fitting = _divisors(config.batch_size)
        yield f"norm_batch={together} does not divide batch_size={config.batch_size}; try {fitting}{whole}"
    for name, value in (("batch_order", "grouped"), ("last_batch", "keep")):
        if together and available % together and getattr(config, name) == value:
            yield (
                f"{name}={value!r} needs whole groups of norm_batch={together}, but there are "
                f"{available} training samples; try train_samples={available // together * together}"
            )


def _divisors(number: int) -> str:
    fitting = ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)
    return " or ".join(fitting.rsplit(", ", 1))


def _check_edits(config: RunConfig) -> tuple[Edit, ...]:
    """Return the edits in their own types and in order; of two for one field and step, the later counts."""
    if not isinstance(config.edits, tuple | list):
        raise ValueError(f"RunConfig: edits={_show(config.edits)} must be ((step, field, value), ...)")
    checked: dict[tuple[int, str], Any] = {}
    for edit in config.edits:
        if not (isinstance(edit, tuple | list) and len(edit) == 3):
            raise ValueError(f"RunConfig: edits: {_show(edit)} must be (step, field, value)")
        step, name, value = edit
        if not (is_whole(step) and 0 <= step <= LAST_STEP):
            raise ValueError(f"RunConfig: edits: step={_show(step)} must be a whole number, 0 to {LAST_STEP}")
        if not isinstance(name, str) or name not in EDITABLE:
            raise ValueError(f"RunConfig: edits: {_show(name)} can't change; {', '.join(EDITABLE)} can")
        checked[int(step), str(name)] = check_field(name, value)
    edits = tuple((step, name, checked[step, name]) for step, name in sorted(checked))
    now = copy(config)
    for step, group in groupby(edits, key=itemgetter(0)):
        vars(now).update({name: value for _, name, value in group})
        for problem in conflicts(now):
            raise ValueError(f"RunConfig: edits at step {step}: {problem}")
    return edits
