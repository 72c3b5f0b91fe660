"""RunConfig: the value that determines a training run completely, and the one place that validates it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from itertools import groupby
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..data import DATASETS, LAST_BATCHES, ORDERS, TRAIN_SIZES, Dataset, load
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

    Fields
    ------
    dataset, data_noise : what is learned; noise (standard deviation) concerns the two-dimensional sets
    inputs : "standardized" gives every input feature mean 0 and variance 1 over the training samples
    label_noise, train_samples : share of training labels that are wrong; samples trained on, 0: all
    network : "mlp"; "cnn": 3 x 3 convolutions over an image, the first third of them at full size with
        half as many channels as ``width``, the others behind a stride of 2, and a global average; "rnn":
        reads an image row by row; "gan": two networks, of which the norm concerns the discriminator (see
        `gan`)
    depth, width, activation : depth counts hidden layers, which have so many units, or channels, each
    residual : whether each hidden layer but the first adds what its linear map puts out to a stream. "pre":
        the norm is inside the branch, h + W phi(norm(h)), the pre-activation network of He et al. 2016 with
        one linear layer a block; "post": the norm is behind the sum, norm(h + W phi(h))
    skip_init : what each such branch adds is multiplied by a learned number that starts at 0 (De & Smith
        2020)
    norm, placement, groups : which norm in each hidden layer, before or after its activation; one of weights
        has its place in the linear map itself
    weight_norm : which norm of weights goes with a norm of activations
    iterations : power iterations of spectral norm at each step
    r_max, d_max : how far batch renorm corrects; 1 and 0 make it batch norm
    alpha : of dynamic tanh; the value that training starts from
    norm_batch : batch norm takes the statistics of so many samples of a batch at a time; 0: of all together,
        ghost batch norm: of 8
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
    eps, gamma, beta, learn_affine : of the norms; gamma and beta are the values that training starts
        from, and keeps to when ``learn_affine`` is false
    momentum : weight of the OLD value in the running statistics (PyTorch's momentum is 1 minus this)
    frozen : training normalizes with the running statistics as they are, and they no longer move, as after
        eval() of PyTorch's batch norm; gamma and beta are learned on. The edit (300, "frozen", True) freezes
        them from step 300 on
    seed, replicas : replica r is the network of seed + r: its weights, its batches
    record_every, validate_every : a frame of telemetry each so many steps, with validation each so many
    dtype : "float32", or "float64" where an identity is to be checked
    edits : ((step, field, value), ...): from that step on, the field has that value; gamma and beta are
        set at that step, and learned on from there. One of EDITABLE each

    Raises
    ------
    ValueError
        Names the field, the value received and the range.
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
        return _together(self) if norm and "norm_batch" in norm.options else 0

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each hidden layer's activations for one sample, the channels last."""
        return hidden_shapes(self)

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


Like = RunConfig | SimpleNamespace  # a configuration, or one that isn't yet known to be one


def _together(config: Like) -> int:
    return config.norm_batch or _row(config, "together") or 0


def hidden_shapes(config: Like) -> tuple[tuple[int, ...], ...]:
    """Return the shape of each hidden layer's activations for one sample, the channels last."""
    return NETWORKS[config.network].shapes(config.depth, config.width)


FIELDS = {f.name: f for f in fields(RunConfig) if f.name != "edits"}
EDITABLE = tuple(name for name, f in FIELDS.items() if f.metadata.get("edit"))


def check_field(name: str, value: Any) -> Any:
    """Return ``value`` in the field's own type; a ValueError names field, value and range."""
    if not isinstance(name, str) or name not in FIELDS:
        raise ValueError(f"RunConfig: there is no field {_show(name)}; the fields are {', '.join(FIELDS)}")
    kind, rule = FIELDS[name].type, FIELDS[name].metadata
    if kind == "str":
        if not isinstance(value, str) or value not in rule["choices"]:
            raise ValueError(f"RunConfig: {name}={_show(value)} is not one of {', '.join(rule['choices'])}")
        return str(value)
    if kind == "bool":
        if not isinstance(value, (bool, np.bool_)):
            raise ValueError(f"RunConfig: {name}={_show(value)} must be True or False")
        return bool(value)
    whole, low, high = kind == "int", rule["low"], rule["high"]
    number = isinstance(value, numbers.Integral if whole else numbers.Real) and not isinstance(value, bool)
    if not (number and low <= value <= high):  # so written, NaN is outside too
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"RunConfig: {name}={_show(value)} must be {kind} from {low:g} to {high:g}")
    return int(value) if whole else float(value)


def _show(value: Any) -> str:
    """Return repr(value), cut to fit a message; Python refuses to print the largest integers."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} that can't be printed"
    return text if len(text) <= 60 else f"{text[:57]}..."


class Only(NamedTuple):
    """A setting that means something only beside certain others.

    field, neutral : its name, and the value that it must have elsewhere
    where : whether a configuration may have another value
    why : what is wrong with another value elsewhere, and the fix, with the configuration's fields in braces
    """

    field: str
    neutral: Any
    where: Callable[[Like], bool]
    why: str


_DENSE = "is for dense networks; choose network='mlp'"
ONLY = (
    Only("weight_norm", "none", lambda c: not _row(c, "weights"),
         "goes with norms of activations; {norm} is none"),
    Only("inputs", "raw", lambda c: not NETWORKS[c.network].adversarial,
         "isn't what network={network!r} draws: it draws the data as they are; choose inputs='raw'"),
    Only("residual", "none", lambda c: NETWORKS[c.network].branches, _DENSE),
    Only("norm_noise", 0, lambda c: NETWORKS[c.network].branches, _DENSE),
    Only("skip_init", False, lambda c: c.residual != "none",
         "multiplies residual branches; choose residual='pre' or 'post'"),
    Only("gradient_penalty", 0, lambda c: NETWORKS[c.network].adversarial,
         "is for a discriminator; choose network='gan'"),
    Only("gradient_penalty", 0, lambda c: c.norm == "none" or _row(c, "weights"),
         "takes the gradient of a gradient, which norm={norm!r} has not; choose norm='none' or 'spectral'"),
    Only("frozen", False, lambda c: _row(c, "running"),
         "holds running statistics, and norm={norm!r} has none; choose norm='batch'"),
    Only("batch_order", "shuffled", lambda c: c.norm_batch > 0,
         "says who meets in a norm batch; set norm_batch"),
)  # fmt: skip


def _row(config: Like, name: str) -> Any:
    """Return what the table of norms says of the configuration's norm; None without a norm."""
    return getattr(NORMS.get(config.norm), name, None)


def conflicts(config: Like) -> list[str]:
    """Return what is wrong between fields that are right by themselves, a sentence each."""
    told = vars(config)
    found = [
        f"{one.field}={told[one.field]!r} {one.why.format(**told)}"
        for one in ONLY
        if told[one.field] != one.neutral and not one.where(config)
    ]
    kind = NETWORKS[config.network]
    if kind.data not in ("", config.dataset):
        found.append(f"network={config.network!r} {kind.why}; choose dataset={kind.data!r}")
    if config.residual == "post" and config.placement != "before":
        found.append("residual='post' keeps what leaves the norm, not phi; choose placement='before'")
    return found + _sizes_that_do_not_fit(config)


def _sizes_that_do_not_fit(config: Like) -> list[str]:
    """Return what is wrong between numbers: of groups and channels, of samples and batches."""
    found = []
    channels = math.gcd(*(shape[-1] for shape in hidden_shapes(config)))
    if config.norm == "group" and channels % config.groups:
        halved = f", whose layers have {channels} and more channels" if channels < config.width else ""
        found.append(
            f"groups={config.groups} does not divide width={config.width}{halved}; try {_divisors(channels)}"
        )
    available = TRAIN_SIZES[config.dataset]
    if config.train_samples:
        available = min(available, config.train_samples)
    for name in ("train_samples", "batch_size"):
        if getattr(config, name) > available:
            found.append(
                f"{name}={getattr(config, name)} exceeds the {available} training samples of "
                f"dataset={config.dataset!r}; choose 1 to {available}"
            )
    together = _together(config)
    if together and config.batch_size % together:
        whole = "" if _row(config, "together") else ", or 0 for the whole batch"
        found.append(
            f"norm_batch={together} does not divide batch_size={config.batch_size}; "
            f"try {_divisors(config.batch_size)}{whole}"
        )
    elif together and available % together:
        of_groups = {"batch_order": "grouped", "last_batch": "keep"}
        found += [
            f"{name}={value!r} needs whole groups of norm_batch={together}, but there are "
            f"{available} training samples; try train_samples={available // together * together}"
            for name, value in of_groups.items()
            if getattr(config, name) == value
        ]
    return found


def _divisors(number: int) -> str:
    fitting = [str(n) for n in range(1, number + 1) if number % n == 0]
    return " or ".join(filter(None, [", ".join(fitting[:-1]), fitting[-1]]))


def _check_edits(config: RunConfig) -> tuple[Edit, ...]:
    """Return the edits in their own types and in order; of two for one field and step, the later counts."""
    if not isinstance(config.edits, (tuple, list)):
        raise ValueError(f"RunConfig: edits={_show(config.edits)} must be ((step, field, value), ...)")
    checked: dict[tuple[int, str], Any] = {}
    for edit in config.edits:
        if not (isinstance(edit, (tuple, list)) and len(edit) == 3):
            raise ValueError(f"RunConfig: edits: {_show(edit)} must be (step, field, value)")
        step, name, value = edit
        whole = isinstance(step, numbers.Integral) and not isinstance(step, bool)
        if not (whole and 0 <= step <= LAST_STEP):
            raise ValueError(f"RunConfig: edits: step={_show(step)} must be a whole number, 0 to {LAST_STEP}")
        if not isinstance(name, str) or name not in EDITABLE:
            raise ValueError(f"RunConfig: edits: {_show(name)} can't change; {', '.join(EDITABLE)} can")
        checked[int(step), str(name)] = check_field(name, value)
    now = SimpleNamespace(**{name: getattr(config, name) for name in FIELDS})
    edits = tuple((step, name, checked[step, name]) for step, name in sorted(checked))
    for step, group in groupby(edits, key=itemgetter(0)):
        now.__dict__.update({name: value for _, name, value in group})
        for problem in conflicts(now):
            raise ValueError(f"RunConfig: edits at step {step}: {problem}")
    return edits
