"""A network's parameters: where they lie in one flat vector, what they start from, which layers they make."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from math import prod
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..norms.running import RunningStats
from ..norms.statistics import Array
from ..norms.table import NORMS
from .config import RunConfig

WARM_STARTS = 15  # power iterations before the first step, as in PyTorch's spectral_norm

Parameters = dict[str, Array]


class Layer(NamedTuple):
    """A layer's parameters, or their gradients: views of one flat array (R, size), None where there is none.

    weight : (R, I, O); of convolutions I are the numbers of a patch, of recurrent layers inputs and state
    bias, gamma, beta, and ``gain``, the weight's own: (R, 1, O)
    skip : what a residual branch, weight and bias, is multiplied by: (R, 1, 1)
    extra : tau (R, 1, O) or alpha (R, 1, 1), by name
    settled : the norm is the affine map of gamma and beta alone, each (R, 1, O) or (R, T, O)
    running : the running mean and variance, (R, T, O) each; T is 1 but in recurrent layers
    power : the vector u (R, O) of spectral norm

    A layer's activations are normalized where it has a gamma.
    """

    weight: Array
    bias: Any
    gamma: Any = None
    beta: Any = None
    settled: bool = False
    extra: Any = None
    gain: Any = None
    skip: Any = None
    running: Any = None
    power: Any = None


@dataclass(frozen=True)
class Plan:
    """Where each parameter lies in the flat vector that the optimizer sees.

    Weight matrices come first, the output layer's last among them, so that weight decay is one slice.
    ``slots`` maps a name to (start, stop, shape). By hidden layer, ``statistics`` are the features with
    running statistics and ``power`` the outputs with a vector u of spectral norm; empty where there are
    none.
    """

    slots: dict[str, tuple[int, int, tuple[int, int]]]
    size: int
    hidden_size: int
    weight_size: int
    statistics: tuple[slice, ...]
    power: tuple[slice, ...]

    @cached_property
    def affine(self) -> Array:
        """Where every gamma and beta lies."""
        places = [np.arange(*slot[:2]) for name, slot in self.slots.items() if name[:4] in ("gamm", "beta")]
        return np.concatenate([np.arange(0), *places])

    def views(self, flat: Array) -> Parameters:
        """Return ``flat`` (R, size) as a dict of arrays (R, rows, columns) that share its memory."""
        return {
            name: flat[:, start:stop].reshape(len(flat), *shape)
            for name, (start, stop, shape) in self.slots.items()
        }


@lru_cache(maxsize=64)
def plan(config: RunConfig) -> Plan:
    """Make the plan of ``config``'s network (edits play no role in it)."""
    norm, of_weights, last = config.on_activations, NORMS.get(config.on_weights), config.depth
    outputs = 1 if config.kind.adversarial else config.data().classes  # true or not
    columns = [*(shape[-1] for shape in config.shapes), outputs]
    shapes = {f"weight{layer}": pair for layer, pair in enumerate(_weights(config, columns))}
    for layer, width in enumerate(columns):
        # Batch norm right after a linear layer subtracts any bias again: it would be a dead parameter.
        if layer == last or not (norm and norm.running and config.placement == "before"):
            shapes[f"bias{layer}"] = (1, width)
        if layer < last and config.learn_affine:
            shapes |= {f"{name}{layer}": (1, size) for name, size in _learned(config, width).items()}
        if config.skip_init and 0 < layer < last:
            shapes[f"skip{layer}"] = (1, 1)
    slots = slots_of(shapes)
    hidden = config.shapes
    return Plan(
        slots,
        size=sum(map(prod, shapes.values())),
        hidden_size=slots[f"weight{last}"][0],
        weight_size=slots[f"weight{last}"][1],
        statistics=_slices([prod(s) if config.kind.recurrent else s[-1] for s in hidden])
        if norm and norm.running
        else (),
        # A discriminator is as steep as all of its layers together.
        power=_slices(columns if config.kind.adversarial else columns[:-1])
        if of_weights and of_weights.vector
        else (),
    )


def slots_of(shapes: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int, tuple[int, int]]]:
    """Return a plan's slots of arrays of these shapes, one after another."""
    stops = accumulate(map(prod, shapes.values()))
    return {
        name: (stop - prod(shape), stop, shape)
        for (name, shape), stop in zip(shapes.items(), stops, strict=True)
    }


def _weights(config: RunConfig, columns: list[int]) -> list[tuple[int, int]]:
    """Return the shapes of the weight matrices, the output layer's last."""
    channels = [config.kind.seen(config.data().x_train.shape[1])[-1], *columns[:-2]]
    rows = [config.kind.rows(before, own) for before, own in zip(channels, columns, strict=False)]
    return list(zip([*rows, columns[-2]], columns, strict=True))


def _learned(config: RunConfig, width: int) -> dict[str, int]:
    """Count each learned parameter of a hidden layer's norms."""
    rows = [config.on_activations, NORMS.get(config.on_weights)]
    return {name: 1 if name in row.scalars else width for row in rows if row for name in row.learned}


def _slices(sizes: list[int]) -> tuple[slice, ...]:
    return tuple(slice(stop - size, stop) for size, stop in zip(sizes, accumulate(sizes), strict=True))


def initialize(config: RunConfig) -> Array:
    """Draw the flat parameters (R, size) that training starts from.

    Gaussian weights from a stream that depends on seed and layer shape alone: networks that differ in
    their norm start from the same weights.
    """
    the_plan = plan(config)
    flat = np.zeros((config.replicas, the_plan.size), config.dtype)
    parameters = the_plan.views(flat)
    for replica in range(config.replicas):
        rng = np.random.default_rng((config.seed + replica, 0))
        for layer in range(config.depth + 1):
            weight = parameters[f"weight{layer}"][replica]
            weight[:] = _initial_std(config, len(weight)) * rng.standard_normal(weight.shape)
    set_affine(flat, config, *(name for name in _learned(config, 1) if hasattr(config, name)))
    for name, gain in parameters.items():
        if name.startswith("gain"):
            gain[:] = _start(config)(parameters[name.replace("gain", "weight")])
    return flat


def _initial_std(config: RunConfig, rows: int) -> float:
    """Return the standard deviation of initial weights with so many inputs."""
    return config.init_scale * float(np.sqrt(2 / rows) if config.init == "he" else 1.0)


def _start(config: RunConfig) -> Any:
    row = NORMS.get(config.on_weights)
    return row and row.start


def set_affine(flat: Array, config: RunConfig, *which: str) -> None:
    """Set every learned parameter of those names to the configuration's value."""
    for name, array in plan(config).views(flat).items():
        for parameter in which:
            if name.startswith(parameter):
                array[:] = getattr(config, parameter)


def initial_power(config: RunConfig, flat: Array) -> Array:
    """Return spectral norm's vectors u before the first step (R, outputs); (R, 0) for other norms."""
    places = plan(config).power
    power = np.zeros((config.replicas, features(places)), config.dtype)
    if places:
        for replica, row in enumerate(power):
            row[:] = np.random.default_rng((config.seed + replica, 4)).standard_normal(len(row))
        layers = in_layers(config, plan(config).views(flat), power=power)
        keep_power(layers, normalize_weights(config, layers, WARM_STARTS)[1])
    return power


def features(places: tuple[slice, ...]) -> int:
    """Count the features that the slices of a plan hold."""
    return int(places[-1].stop) if places else 0


def in_layers(
    config: RunConfig, parameters: Parameters, running: RunningStats | None = None, power: Array | None = None
) -> list[Layer]:
    """Return parameters or gradients by name as a list of layers, the output layer last; memory is shared.

    Parameters that a norm has but doesn't learn have the values that others start from. ``running`` and
    ``power`` are the state of a run, which some norms look at in training.
    """
    places = plan(config)
    layers = []
    for number in range(config.depth):
        weight = parameters[f"weight{number}"]
        replicas, rows, columns = weight.shape
        own = {}
        for name, size in _learned(config, columns).items():
            known = parameters.get(f"{name}{number}")
            if known is None:
                value = getattr(config, name, 0.0)
                if name == "gain":  # of weights as they are drawn, on average
                    value = _initial_std(config, rows) * (
                        np.sqrt(rows) if config.on_weights == "weight" else 1
                    )
                known = np.full((replicas, 1, size), value, weight.dtype)
            own[name] = known
        statistics = u = None
        if running is not None and places.statistics:
            here = places.statistics[number]
            statistics = tuple(a[:, here].reshape(len(a), -1, columns) for a in (running.mean, running.var))
        if power is not None and places.power:
            u = power[:, places.power[number]]
        affine = (own.pop("gamma", None), own.pop("beta", None))
        gain = own.pop("gain", None)
        bias, skip = (parameters.get(f"{name}{number}") for name in ("bias", "skip"))
        layers.append(Layer(weight, bias, *affine, False, own or None, gain, skip, statistics, u))
    output = Layer(parameters[f"weight{config.depth}"], parameters[f"bias{config.depth}"])
    if power is not None and len(places.power) > config.depth:
        output = output._replace(power=power[:, places.power[-1]])
    return [*layers, output]


def one_of(layers: list[Layer], replica: int) -> list[Layer]:
    """Return the layers of one replica, which share their memory."""
    here = slice(replica, replica + 1)

    def own(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: array[here] for name, array in value.items()}
        if isinstance(value, tuple):
            return tuple(array[here] for array in value)
        return value[here] if isinstance(value, np.ndarray) else value

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
            pairs = ((found.weight, gradient.weight), (found.bias, gradient.bias))
            rows = [[a.reshape(len(a), -1) for a in pair] for pair in pairs if pair[0] is not None]
            gradient.skip[:, 0, 0] = sum(np.vecdot(*pair) for pair in rows)
            for _, back in rows:
                back *= found.skip[:, 0]
        if norm:
            gradient.weight[:], dgain = norm.pair[1](gradient.weight, cache)
            if dgain is not None:
                gradient.gain[:] = dgain


def keep_power(layers: list[Layer], kept: Kept) -> None:
    """Keep spectral norm's new vectors u for the next step."""
    for layer, (_, u, _) in zip(layers, kept, strict=False):
        if layer.power is not None:
            layer.power[:] = u
