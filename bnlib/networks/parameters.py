"""A network's parameters: where they lie in one flat vector, what they start from, which layers they make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from math import prod
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..norms.running import RunningStats
from ..norms.statistics import Array
from ..norms.table import NORMS
from .config import FIELDS, RunConfig

WARM_STARTS = 15  # power iterations before the first step, as in PyTorch's spectral_norm

Parameters = dict[str, Array]


class Layer(NamedTuple):
    """A layer's parameters, or their gradients: views of one flat array (R, size), None where there is none.

    A layer's activations are normalized where it has a gamma.
    """

    weight: Array  # (R, I, O); I are a convolution's numbers of a patch, a recurrent layer's inputs and state
    bias: Any  # (R, 1, O), and so are gamma, beta and gain
    gamma: Any = None
    beta: Any = None
    settled: bool = False  # the norm is the affine map of gamma and beta alone, (R, 1, O) or (R, T, O) each
    extra: Any = None  # tau (R, 1, O) or alpha (R, 1, 1), by name
    gain: Any = None  # of the norm of weights
    skip: Any = None  # what a residual branch, weight and bias, is multiplied by: (R, 1, 1)
    running: Any = None  # the running mean and variance, (R, T, O) each; T is 1 but in recurrent layers
    power: Any = None  # the vector u (R, O) of spectral norm


@dataclass(frozen=True)
class Plan:
    """Where each parameter lies in the flat vector that the optimizer sees; those that decay come first."""

    slots: dict[str, tuple[int, int, tuple[int, int]]]  # by name start, stop and shape
    size: int
    hidden_size: int  # of the hidden layers' weight matrices
    weight_size: int  # of these and the output layer's, which comes next
    statistics: tuple[slice, ...]  # by hidden layer the features with running statistics, if there are any
    power: tuple[slice, ...]  # by layer the outputs with a vector u of spectral norm, if there are any

    @classmethod
    def of(
        cls, shapes: dict[str, tuple[int, int]], statistics: Iterable[int] = (), power: Iterable[int] = ()
    ) -> Plan:
        """Lay out parameters of these shapes, then features and outputs so many to a layer, in order."""
        places = _slices(map(prod, shapes.values()))
        slots = {name: (at.start, at.stop, shapes[name]) for name, at in zip(shapes, places, strict=True)}
        hidden_size, weight_size, _ = [slots[name] for name in slots if name.startswith("weight")][-1]
        return cls(slots, features(places), hidden_size, weight_size, _slices(statistics), _slices(power))

    @cached_property
    def affine(self) -> Array:
        """Where every gamma and beta lies."""
        places = [np.arange(*at[:2]) for name, at in self.slots.items() if name.startswith(("gamma", "beta"))]
        return np.concatenate([np.arange(0), *places])

    def views(self, flat: Array) -> Parameters:
        """Return ``flat`` (R, size) as a dict of arrays (R, rows, columns) that share its memory."""
        return {
            name: flat[:, start:stop].reshape(len(flat), *shape)
            for name, (start, stop, shape) in self.slots.items()
        }


def _slices(sizes: Iterable[int]) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in pairwise(accumulate(sizes, initial=0)))


def features(places: tuple[slice, ...]) -> int:
    """Count the features that the slices of a plan hold."""
    return int(places[-1].stop) if places else 0


@lru_cache(maxsize=64)
def plan(config: RunConfig) -> Plan:
    """Make the plan of ``config``'s network (edits play no role in it)."""
    kind, data, last = config.kind, config.data(), config.depth
    norm, of_weights = config.on_activations, NORMS.get(config.on_weights)
    outputs = 1 if kind.adversarial else data.classes  # true or not
    columns = [*(shape[-1] for shape in config.shapes), outputs]
    before = [kind.seen(data.x_train.shape[1])[-1], *columns[:-1]]
    rows = [*map(kind.rows, before[:-1], columns[:-1]), before[-1]]
    shapes = {f"weight{layer}": shape for layer, shape in enumerate(zip(rows, columns, strict=True))}
    for layer, width in enumerate(columns):
        # Batch norm right after a linear layer subtracts any bias again: it would be a dead parameter.
        if layer == last or not (norm and norm.running and config.placement == "before"):
            shapes[f"bias{layer}"] = (1, width)
        if layer < last and config.learn_affine:
            shapes |= {f"{name}{layer}": (1, size) for name, size in _learned(config, width).items()}
        if config.skip_init and 0 < layer < last:
            shapes[f"skip{layer}"] = (1, 1)
    statistics = [prod(shape) if kind.recurrent else shape[-1] for shape in config.shapes]
    power = columns if kind.adversarial else columns[:-1]  # a discriminator is as steep as all its layers
    return Plan.of(
        shapes,
        statistics if norm and norm.running else (),
        power if of_weights and of_weights.vector else (),
    )


def _learned(config: RunConfig, width: int) -> dict[str, int]:
    """Count each learned parameter of a hidden layer's norms."""
    rows = [config.on_activations, NORMS.get(config.on_weights)]
    return {name: 1 if name in row.scalars else width for row in rows if row for name in row.learned}


def initialize(config: RunConfig) -> Array:
    """Draw the flat parameters (R, size) that training starts from; a norm's are what ``config`` says."""
    flat = draw_weights(config, plan(config), range(config.seed, config.seed + config.replicas))
    set_affine(flat, config, *FIELDS)
    for layer in in_layers(config, plan(config).views(flat)):
        if layer.gain is not None:
            start: Any = NORMS[config.on_weights].start
            layer.gain[:] = start(layer.weight)
    return flat


def draw_weights(config: RunConfig, the_plan: Plan, seeds: Sequence[int], stream: int = 0) -> Array:
    """Return flat parameters (R, size) of ``the_plan``: Gaussian weights, and zeros.

    They depend on seed and layer shape alone: networks that differ in their norm start from the same weights.
    """
    flat = np.zeros((len(seeds), the_plan.size), config.dtype)
    weights = [array for name, array in the_plan.views(flat).items() if name.startswith("weight")]
    for replica, seed in enumerate(seeds):
        rng = np.random.default_rng((seed, stream))
        for weight in weights:
            _, rows, columns = weight.shape
            weight[replica] = _initial_std(config, rows) * rng.standard_normal((rows, columns))
    return flat


def _initial_std(config: RunConfig, rows: int) -> float:
    """Return the standard deviation of initial weights with so many inputs."""
    return config.init_scale * float(np.sqrt(2 / rows) if config.init == "he" else 1.0)


def set_affine(flat: Array, config: RunConfig, *which: str) -> None:
    """Set every learned parameter of those names to the configuration's value."""
    for name, array in plan(config).views(flat).items():
        parameter = name.rstrip("0123456789")
        if parameter in which:
            array[:] = getattr(config, parameter)


def initial_power(config: RunConfig, flat: Array) -> Array:
    """Return spectral norm's vectors u before the first step (R, outputs); (R, 0) for other norms."""
    power = np.zeros((config.replicas, features(plan(config).power)), config.dtype)
    for replica, row in enumerate(power):
        row[:] = np.random.default_rng((config.seed + replica, 4)).standard_normal(len(row))
    layers = in_layers(config, plan(config).views(flat), power=power)
    keep_power(layers, normalize_weights(config, layers, WARM_STARTS)[1])
    return power


def in_layers(
    config: RunConfig, parameters: Parameters, running: RunningStats | None = None, power: Array | None = None
) -> list[Layer]:
    """Return parameters or gradients by name as a list of layers, the output layer last; memory is shared.

    Parameters that a norm has but doesn't learn have the values that others start from. ``running`` and
    ``power`` are the state of a run, which some norms look at in training.
    """
    places, layers = plan(config), []
    for number in range(config.depth + 1):
        weight = parameters[f"weight{number}"]
        replicas, rows, columns = weight.shape
        learned = _learned(config, columns) if number < config.depth else {}
        own: dict[str, Any] = {name: parameters.get(f"{name}{number}") for name in ("bias", "skip", *learned)}
        for name, size in learned.items():
            if own[name] is None:
                own[name] = np.full((replicas, 1, size), _constant(config, name, rows), weight.dtype)
        if running is not None and number < len(places.statistics):
            here = places.statistics[number]
            own["running"] = tuple(
                a[:, here].reshape(len(a), -1, columns) for a in (running.mean, running.var)
            )
        if power is not None and number < len(places.power):
            own["power"] = power[:, places.power[number]]
        extra = {name: own.pop(name) for name in learned if name not in Layer._fields}
        layers.append(Layer(weight, extra=extra or None, **own))
    return layers


def _constant(config: RunConfig, name: str, rows: int) -> float:
    """Return what a parameter is that isn't learned, in a layer of so many inputs."""
    if name != "gain":
        return float(getattr(config, name, 0.0))
    std = _initial_std(config, rows)  # of weights as they are drawn, on average
    return std * float(np.sqrt(rows)) if config.on_weights == "weight" else std


def one_of(layers: list[Layer], replica: int) -> list[Layer]:
    """Return the layers of one replica, which share their memory."""

    def own(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value[replica : replica + 1]
        if isinstance(value, dict):
            return {name: own(array) for name, array in value.items()}
        return tuple(map(own, value)) if isinstance(value, tuple) else value

    return [Layer(*map(own, layer)) for layer in layers]


# ---- norms of weights, and what multiplies a branch --------------------------------------------------------

Kept = list[tuple[Any, Any, Layer]]  # by hidden layer a cache, spectral norm's new u, what ``skip`` found


def normalize_weights(
    config: RunConfig, layers: list[Layer], iterations: int | None = None
) -> tuple[list[Layer], Kept]:
    """Return the layers with the weights that are used, and what `weights_backward` needs.

    ``iterations`` of spectral norm; None: the configuration's, in inference 0. Where a layer has no vector
    u, it is found anew. A residual branch's ``skip`` is multiplied into its linear map.
    """
    norm = NORMS.get(config.on_weights)
    if norm is None and not config.skip_init:
        return layers, []
    if iterations is None:
        iterations = config.iterations
    used, kept = [], []
    for layer in layers if layers[-1].power is not None else layers[:-1]:
        u, here, cache, found = layer.power, iterations, None, layer
        if norm:
            if u is None and norm.vector:
                u, here = np.ones_like(layer.weight[:, 0]), WARM_STARTS + iterations
            options = SimpleNamespace(eps=config.eps, iterations=here)
            weight, u, cache = norm.pair[0](layer.weight, layer.gain, u, options)
            found = layer._replace(weight=weight)
        kept.append((cache, u, found))
        if found.skip is not None:
            bias = found.bias if found.bias is None else found.skip * found.bias
            found = found._replace(weight=found.skip * found.weight, bias=bias, skip=None)
        used.append(found)
    return [*used, *layers[len(used) :]], kept


def weights_backward(config: RunConfig, gradients: list[Layer], kept: Kept) -> None:
    """Turn the gradients of the weights used, in place, into those of weights, gains and skips."""
    norm = NORMS.get(config.on_weights)
    for gradient, (cache, _, found) in zip(gradients, kept, strict=False):
        if found.skip is not None:
            gradient.skip[:] = 0
            for own, back in ((found.weight, gradient.weight), (found.bias, gradient.bias)):
                if own is not None:
                    gradient.skip[:, 0, 0] += np.vecdot(own.reshape(len(own), -1), back.reshape(len(own), -1))
                    back *= found.skip
        if norm:
            gradient.weight[:], dgain = norm.pair[1](gradient.weight, cache)
            if dgain is not None:
                gradient.gain[:] = dgain


def keep_power(layers: list[Layer], kept: Kept) -> None:
    """Keep spectral norm's new vectors u for the next step."""
    for layer, (_, u, _) in zip(layers, kept, strict=False):
        if layer.power is not None:
            layer.power[:] = u
