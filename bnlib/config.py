"""RunConfig: the value that determines a training run completely, and the one place that validates it."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .data import DATASETS
from .layers import ACTIVATIONS

TRAIN_SIZES = {name: 1297 if name == "digits" else 1024 for name in DATASETS}
LAYER_NORMS = ("none", "batch", "layer", "group", "rms")


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
    network, depth, width, activation : the network; depth counts hidden layers
    norm, placement, groups : which norm in each hidden layer, before or after its activation
    batch_size, optimizer, lr, weight_decay : decay acts on weight matrices only; "momentum" is heavy-ball
        SGD with coefficient 0.9; "adamw" uses decay rates 0.9 and 0.999
    init_scale : factor on He initialization, standard deviation sqrt(2 / fan_in) (He et al. 2015, eq. 10)
    eps, gamma, beta, learn_affine : of the norms; gamma and beta are the values that training starts
        from, and keeps to when ``learn_affine`` is false
    momentum : weight of the OLD value in the running statistics (PyTorch's momentum is 1 minus this)
    seed, replicas : replica r is the network of seed + r: its weights, its batches
    record_every, validate_every : a frame of telemetry each so many steps, with validation each so many
    dtype : "float32", or "float64" where an identity is to be checked
    edits : ((step, field, value), ...): from that step on, the field has that value

    Raises
    ------
    ValueError
        Names the field, the value received and the range.
    """

    dataset: str = _choice("digits", *DATASETS)
    data_noise: float = _number(0.1, 0.0, 5.0)
    network: str = _choice("mlp", "mlp")
    depth: int = _number(3, 1, 100)
    width: int = _number(64, 1, 4096)
    activation: str = _choice("relu", *ACTIVATIONS)
    norm: str = _choice("batch", *LAYER_NORMS)
    placement: str = _choice("before", "before", "after")
    groups: int = _number(8, 1, 4096)
    batch_size: int = _number(32, 1, 1297)
    optimizer: str = _choice("sgd", "sgd", "momentum", "adamw")
    lr: float = _number(0.1, 0.0, 1000.0)
    weight_decay: float = _number(0.0, 0.0, 10.0)
    init_scale: float = _number(1.0, 0.0, 100.0)
    eps: float = _number(1e-5, 0.0, 1000.0)
    gamma: float = _number(1.0, -100.0, 100.0)
    beta: float = _number(0.0, -100.0, 100.0)
    learn_affine: bool = True
    momentum: float = _number(0.9, 0.0, 0.9999)
    seed: int = _number(0, 0, 2**31 - 1)
    replicas: int = _number(1, 1, 256)
    record_every: int = _number(20, 1, 10**6)
    validate_every: int = _number(100, 1, 10**6)
    dtype: str = _choice("float32", "float32", "float64")
    edits: tuple[tuple[int, str, Any], ...] = ()

    def __post_init__(self) -> None:
        for name in FIELDS:
            object.__setattr__(self, name, check_field(name, getattr(self, name)))
        for problem in conflicts(self):
            raise ValueError(f"RunConfig: {problem}")
        object.__setattr__(self, "edits", _check_edits(self))

    def at(self, step: int) -> RunConfig:
        """The configuration in force at ``step``: edits up to it applied, none left."""
        changes = {name: value for start, name, value in self.edits if start <= step}
        return replace(self, edits=(), **changes)

    def branch(self, step: int, **changes: Any) -> RunConfig:
        """This configuration with fields changed from ``step`` on; what came before is shared."""
        kept = tuple(edit for edit in self.edits if edit[0] <= step)
        return replace(self, edits=kept + tuple((step, name, value) for name, value in changes.items()))


EDITABLE = ("lr", "batch_size", "eps", "gamma", "beta", "momentum", "weight_decay")
FIELDS = {f.name: f for f in fields(RunConfig) if f.name != "edits"}


def check_field(name: str, value: Any) -> Any:
    """``value`` in the field's own type, or a ValueError that names field, value and range."""
    if name not in FIELDS:
        raise ValueError(f"RunConfig: there is no field {name!r}; the fields are {', '.join(FIELDS)}")
    kind, rule = FIELDS[name].type, FIELDS[name].metadata
    if "choices" in rule:
        if value not in rule["choices"]:
            raise ValueError(f"RunConfig: {name}={value!r} is not one of {', '.join(rule['choices'])}")
        return value
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"RunConfig: {name}={value!r} must be True or False")
        return value
    whole = kind == "int"
    expected = numbers.Integral if whole else numbers.Real
    if isinstance(value, bool) or not isinstance(value, expected):
        raise ValueError(f"RunConfig: {name}={value!r} must be a {'whole ' if whole else ''}number")
    if not (math.isfinite(value) and rule["low"] <= value <= rule["high"]):
        raise ValueError(f"RunConfig: {name}={value!r} is outside {rule['low']:g} to {rule['high']:g}")
    return int(value) if whole else float(value)  # type: ignore[call-overload]


def conflicts(config: RunConfig) -> list[str]:
    """What is wrong between fields that are right by themselves, a sentence each."""
    found = []
    if config.norm == "group" and config.width % config.groups:
        fitting = [g for g in range(1, config.width + 1) if config.width % g == 0]
        found.append(
            f"groups={config.groups} does not divide width={config.width}; "
            f"try {', '.join(map(str, fitting[:-1]))} or {fitting[-1]}"
        )
    available = TRAIN_SIZES[config.dataset]
    if config.batch_size > available:
        found.append(
            f"batch_size={config.batch_size} exceeds the {available} training samples of "
            f"dataset={config.dataset!r}; choose 1 to {available}"
        )
    return found


def _check_edits(config: RunConfig) -> tuple[tuple[int, str, Any], ...]:
    edits = []
    for edit in config.edits:
        if not (isinstance(edit, (tuple, list)) and len(edit) == 3):
            raise ValueError(f"RunConfig: edits={edit!r} must be (step, field, value)")
        step, name, value = edit
        if isinstance(step, bool) or not isinstance(step, numbers.Integral) or step < 0:
            raise ValueError(f"RunConfig: edits: step={step!r} must be a whole number, 0 or more")
        if name not in EDITABLE:
            raise ValueError(f"RunConfig: edits: {name!r} can't change in mid-run; {', '.join(EDITABLE)} can")
        edits.append((int(step), name, check_field(name, value)))
    edits.sort(key=lambda edit: edit[0])
    for step, *_ in edits:
        changes = {name: value for start, name, value in edits if start <= step}
        for problem in conflicts(_Draft(config, changes)):  # type: ignore[arg-type]
            raise ValueError(f"RunConfig: edits at step {step}: {problem}")
    return tuple(edits)


class _Draft:
    """A configuration with changes laid over it, before it is validated."""

    def __init__(self, base: RunConfig, changes: dict[str, Any]):
        self.__dict__.update({name: getattr(base, name) for name in FIELDS} | changes)
