"""RunConfig: the value that determines a training run completely, and the one place that validates it."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, field, fields, replace
from itertools import groupby
from operator import itemgetter
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..data import DATASETS, DIGIT, ORDERS, TRAIN_SIZES, Dataset, load
from ..norms.table import NORMS, Norm
from ..norms.weights import WEIGHT_NORMS
from .layers import ACTIVATIONS, Activation

LAST_STEP = 10**9
LAYER_NORMS = ("none", *NORMS)

Edit = tuple[int, str, Any]  # (step, field, value)


def _choice(default: str, *choices: str) -> Any:
    return field(default=default, metadata={"choices": choices})


def _number(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


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
    batch_size, optimizer, lr, weight_decay : decay acts on weight matrices only; "momentum" is heavy-ball
        SGD with coefficient 0.9; "adamw" uses decay rates 0.9 and 0.999
    batch_order : how samples meet in a norm batch: "shuffled", "sorted" by label within each batch, "pairs"
        of classes, or "grouped": neighbours in the data set stay together
    rest_lr : 0, or the learning rate of all but the hidden weight matrices, which alone decay then
    cosine_steps : 0, or over how many steps lr falls to 0 along half a cosine (Loshchilov & Hutter 2017)
    init, init_scale : standard deviation of the initial weights: "he", init_scale sqrt(2 / fan_in)
        (He et al. 2015, eq. 10), or "normal", init_scale itself
    eps, gamma, beta, learn_affine : of the norms; gamma and beta are the values that training starts
        from, and keeps to when ``learn_affine`` is false
    momentum : weight of the OLD value in the running statistics (PyTorch's momentum is 1 minus this)
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
    network: str = _choice("mlp", "mlp", "cnn", "rnn", "gan")
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
    r_max: float = _number(3.0, 1.0, 1000.0)
    d_max: float = _number(5.0, 0.0, 1000.0)
    alpha: float = _number(0.5, -100.0, 100.0)
    norm_batch: int = _number(0, 0, 2000)
    norm_noise: float = _number(0.0, 0.0, 10.0)
    batch_size: int = _number(32, 1, 2000)
    batch_order: str = _choice("shuffled", *ORDERS)
    optimizer: str = _choice("sgd", "sgd", "momentum", "adamw")
    lr: float = _number(0.1, 0.0, 1000.0)
    rest_lr: float = _number(0.0, 0.0, 1000.0)
    cosine_steps: int = _number(0, 0, LAST_STEP)
    weight_decay: float = _number(0.0, 0.0, 10.0)
    init: str = _choice("he", "he", "normal")
    init_scale: float = _number(1.0, 0.0, 100.0)
    eps: float = _number(1e-5, 0.0, 1000.0)
    gamma: float = _number(1.0, -100.0, 100.0)
    beta: float = _number(0.0, -100.0, 100.0)
    learn_affine: bool = True
    momentum: float = _number(0.9, 0.0, 0.9999)
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
        """What is learned: the training and validation samples."""
        changes = (self.label_noise, self.train_samples, self.inputs == "standardized")
        return load(self.dataset, self.data_noise, self.dtype, *changes)

    def at(self, step: int) -> RunConfig:
        """The configuration in force at ``step``: edits up to it applied, none left."""
        if not self.edits:
            return self
        changes = {name: value for start, name, value in self.edits if start <= step}
        return replace(self, edits=(), **changes)

    def branch(self, step: int, **changes: Any) -> RunConfig:
        """This configuration with fields changed from ``step`` on; what came before is shared."""
        kept = tuple(edit for edit in self.edits if edit[0] <= step)
        return replace(self, edits=kept + tuple((step, name, value) for name, value in changes.items()))


Like = RunConfig | SimpleNamespace  # a configuration, or one that isn't yet known to be one


def _together(config: Like) -> int:
    return config.norm_batch or (NORMS[config.norm].together if config.norm in NORMS else 0)


def hidden_shapes(config: Like) -> tuple[tuple[int, ...], ...]:
    if config.network == "cnn":
        (height, side, _), first = DIGIT, -(-config.depth // 3)
        narrow, wide = (height, side, max(1, config.width // 2)), (height // 2, side // 2, config.width)
        return (narrow,) * first + (wide,) * (config.depth - first)
    one = (DIGIT[0], config.width) if config.network == "rnn" else (config.width,)
    return (one,) * config.depth


EDITABLE = ("lr", "batch_size", "eps", "gamma", "beta", "momentum", "weight_decay", "r_max", "d_max", "alpha")
FIELDS = {f.name: f for f in fields(RunConfig) if f.name != "edits"}


def check_field(name: str, value: Any) -> Any:
    """``value`` in the field's own type, or a ValueError that names field, value and range."""
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
    """repr(value), cut to a length that fits a message; Python refuses to print the largest integers."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} that can't be printed"
    return text if len(text) <= 60 else f"{text[:57]}..."


def conflicts(config: Like) -> list[str]:
    """What is wrong between fields that are right by themselves, a sentence each."""
    found = []
    channels = math.gcd(*(shape[-1] for shape in hidden_shapes(config)))
    if config.norm == "group" and channels % config.groups:
        halved = f", whose layers have {channels} and more channels" if channels < config.width else ""
        found.append(
            f"groups={config.groups} does not divide width={config.width}{halved}; try {_divisors(channels)}"
        )
    norm = NORMS.get(config.norm)
    if config.weight_norm != "none" and norm and norm.weights:
        found.append(
            f"weight_norm={config.weight_norm!r} goes with norms of activations; {config.norm} is none"
        )
    if config.network in ("cnn", "rnn") and config.dataset != "digits":
        found.append(f"network={config.network!r} needs images; choose dataset='digits'")
    if config.network == "gan" and config.dataset != "ring":
        found.append("network='gan' draws points of the ring; choose dataset='ring'")
    if config.network == "gan" and config.inputs != "raw":
        found.append(
            f"network='gan' draws the ring as it is, not inputs={config.inputs!r}; choose inputs='raw'"
        )
    for name, without in (("residual", "none"), ("norm_noise", 0)):
        if getattr(config, name) != without and config.network != "mlp":
            found.append(f"{name}={getattr(config, name)!r} is for dense networks; choose network='mlp'")
    if config.residual == "post" and config.placement != "before":
        found.append("residual='post' keeps what leaves the norm, not phi; choose placement='before'")
    if config.skip_init and config.residual == "none":
        found.append("skip_init=True multiplies residual branches; choose residual='pre' or 'post'")
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
        whole = "" if norm and norm.together else ", or 0 for the whole batch"
        found.append(
            f"norm_batch={together} does not divide batch_size={config.batch_size}; "
            f"try {_divisors(config.batch_size)}{whole}"
        )
    elif config.batch_order != "shuffled" and not config.norm_batch:
        found.append(f"batch_order={config.batch_order!r} says who meets in a norm batch; set norm_batch")
    elif config.batch_order == "grouped" and available % config.norm_batch:
        fitting = available // config.norm_batch * config.norm_batch
        found.append(
            f"batch_order='grouped' needs whole groups of norm_batch={config.norm_batch}, but there are "
            f"{available} training samples; try train_samples={fitting}"
        )
    return found


def _divisors(number: int) -> str:
    fitting = [str(n) for n in range(1, number + 1) if number % n == 0]
    return " or ".join(filter(None, [", ".join(fitting[:-1]), fitting[-1]]))


def _check_edits(config: RunConfig) -> tuple[Edit, ...]:
    """The edits in their own types and in one order; of two for one field and step, the later counts."""
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
