"""What a training step does, counted before it runs: multiply-adds, passes over arrays, calls.

The counts follow the engine: `network` forward and backward, `telemetry` where a step is recorded or
validated. `forecast` makes seconds and bytes of them. No data set is loaded, and nothing is measured.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import ceil, log2, prod
from typing import NamedTuple

from ..networks.config import RunConfig
from ..networks.conv import BLOCK_BYTES
from ..networks.kinds import KERNEL
from ..networks.parameters import WARM_STARTS
from ..norms.table import NORMS
from ..training.gan import LATENT
from ..training.recordings import HISTOGRAM_EDGES, SHOWN, SURFACE_EDGES, has_surface
from ..training.telemetry import BLOCK

# Of each data set features, classes and validation samples.
SIZES = {
    "digits": (64, 10, 500), "groups": (16, 2, 2000), "circles": (2, 2, 512), "moons": (2, 2, 512),
    "spirals": (2, 3, 512), "xor": (2, 2, 512), "blobs": (2, 3, 512), "ring": (2, 8, 512),
    "pauses": (128, 10, 500),
}  # fmt: skip
MOMENTS = {"sgd": 0, "momentum": 1, "adamw": 2}
CELLS = (len(SURFACE_EDGES) - 1) ** 2
# Elements: up to NEAR an array stays in the cache, from FAR on none does.
NEAR, FAR = 1 << 16, 1 << 22


# ---- the network -------------------------------------------------------------------------------------------


class Map(NamedTuple):
    """A linear map: ``rows`` by ``columns`` weights at so many ``positions`` of a sample.

    before : numbers of a sample that come in
    stride : of a convolution; backward, one with stride 2 has windows of 2 x 2 for 2 x 2 numbers
    first : what it looks at needs no gradient
    """

    rows: int
    columns: int
    positions: int
    before: int
    stride: int = 1
    first: bool = False

    @property
    def weights(self) -> int:
        """How many weights it has."""
        return self.rows * self.columns

    @property
    def after(self) -> int:
        """How many numbers of a sample leave it."""
        return self.positions * self.columns

    @property
    def back(self) -> tuple[int, int]:
        """Of a convolution's backward pass to its input: numbers in a window, and numbers that it makes."""
        window = KERNEL if self.stride == 1 else 2
        return window**2 * self.columns, self.stride**2 * (self.rows // KERNEL**2)


def maps(config: RunConfig) -> list[Map]:
    """Return the linear maps of ``config``'s network, the output's last; of a GAN the discriminator's."""
    features, classes, _ = SIZES[config.dataset]
    kind, seen = config.kind, config.kind.seen(features)
    width, side, before = seen[-1], seen[0], features
    found: list[Map] = []
    for shape in config.shapes:
        columns, positions = shape[-1], prod(shape[:-1])
        stride = side // shape[0] if kind.convolves else 1
        found.append(Map(kind.rows(width, columns), columns, positions, before, stride, not found))
        width, before, side = columns, positions * columns, shape[0]
    return [*found, Map(width, 1 if kind.adversarial else classes, 1, width)]


def generator_maps(config: RunConfig) -> list[Map]:
    """Return the linear maps of a GAN's generator; of other networks, nothing."""
    if not config.kind.adversarial:
        return []
    widths = [LATENT, *[config.width] * config.depth, 2]
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return [Map(rows, columns, 1, rows, first=not layer) for layer, (rows, columns) in enumerate(pairs)]


def multiply_adds(config: RunConfig) -> list[int]:
    """Count a step's multiply-adds by linear map: forward, for the weights' gradient, and backward.

    Of a GAN first those of the discriminator, which sees three batches a step, then those of the generator,
    which makes two and learns from one. A recurrent map is always gone back, for the state's sake.
    """
    found = []
    for one in maps(config):
        there = one.positions * one.weights
        back = one.positions * prod(one.back) if config.kind.convolves and one.positions > 1 else there
        behind = 0 if one.first and not config.kind.recurrent else back
        # The third batch of a GAN is the generator's, which learns from the gradient that reaches it.
        found.append(6 * there + 2 * behind + there if config.kind.adversarial else 2 * there + behind)
    if (
        config.gradient_penalty
    ):  # back, there and back again, with the weights' gradient on both of the latter
        for number, one in enumerate(maps(config)[:-1]):
            found[number] += (5 - one.first) * one.weights
    found += [one.weights * (3 if one.first else 4) for one in generator_maps(config)]
    return [config.replicas * config.batch_size * number for number in found]


def activation(config: RunConfig) -> str:
    """Return the name of what follows the linear maps."""
    norm = config.on_activations
    return "linear" if norm and norm.activates else config.activation


def parameters(config: RunConfig) -> tuple[int, int]:
    """Count the weights of one network's hidden layers, and all its parameters."""
    rows = [NORMS[name] for name in {config.norm, config.on_weights} if name != "none"]
    learned = sum(len(row.learned) - len(row.scalars) for row in rows)
    own = maps(config)
    every = sum(one.weights + one.columns for one in (*own, *generator_maps(config)))
    return sum(one.weights for one in own[:-1]), every + learned * sum(one.columns for one in own[:-1])


# ---- counting ----------------------------------------------------------------------------------------------


@dataclass
class Work:
    """What is counted.

    products : multiply-adds of matrix products
    near, far : elements that passes go over, in arrays that stay in the cache and in larger ones
    stretches : contiguous pieces of arrays whose operand is broadcast
    calls : of NumPy functions
    fresh : elements of memory that the system has to hand out
    curves, drawn, binned : values of tanh, random numbers, entries of histograms
    """

    products: float = 0.0
    near: float = 0.0
    far: float = 0.0
    stretches: float = 0.0
    calls: float = 0.0
    fresh: float = 0.0
    curves: float = 0.0
    drawn: float = 0.0
    binned: float = 0.0

    def touch(
        self, size: float, passes: float, stretched: float = 0, run: float = 1, at: float = 0, held: float = 0
    ) -> Work:
        """Count passes over ``size`` elements, some with an operand that is broadcast every ``run`` of them.

        ``at``: elements of one array, where it isn't ``size``; ``held``: of all that are in use meanwhile.
        """
        out = min(1.0, max(0.0, log2(max(held or at or size, 1) / NEAR) / log2(FAR / NEAR)))
        self.near += (1 - out) * passes * size
        self.far += out * passes * size
        self.stretches += stretched * size / run
        self.calls += passes * (size / at if at else 1)
        return self

    def multiply(self, products: float, rows: float, inner: float, columns: float) -> Work:
        """Count so many products (rows, inner) @ (inner, columns)."""
        self.products += products * rows * inner * columns
        self.near += products * (rows * inner + inner * columns + rows * columns)
        self.calls += products
        return self

    def add(self, other: Work, times: float = 1.0) -> Work:
        """Count other work, so many times."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + times * value)
        return self


class Passes(NamedTuple):
    """Passes over an array, those among them with an operand that is broadcast, means, and curves."""

    passes: int
    stretched: int = 0
    means: int = 0
    curves: int = 0


# There and back. OUTSIDE: gamma is constant where means are taken.
OUTSIDE, INSIDE = (Passes(6, 5, 2), Passes(5, 3, 2)), (Passes(6, 5, 2), Passes(7, 5, 4))
OF_NORMS = {
    "layer": INSIDE, "group": INSIDE, "rms": (Passes(5, 3, 1), Passes(6, 4, 4)),
    "renorm": (Passes(7, 5, 2), Passes(5, 3, 2)), "running": (Passes(7, 6, 2), Passes(2, 1, 2)),
    "frn": (Passes(7, 5, 1), Passes(6, 1, 4)), "dyt": (Passes(3, 2, 0, 1), Passes(5, 1, 3)),
    "weight": (Passes(5, 3, 1), Passes(6, 4, 4)),
}  # fmt: skip
OF_ACTIVATIONS = {
    "linear": (Passes(1), Passes(2)), "relu": (Passes(2), Passes(3)),
    "tanh": (Passes(0, 0, 0, 1), Passes(3)), "sigmoid": (Passes(3, 0, 0, 1), Passes(3)),
    "gelu": (Passes(8, 0, 0, 1), Passes(14, 0, 0, 1)),
}  # fmt: skip


class _Batch(NamedTuple):
    """Networks of one configuration and their batch; ``settled``: norms are affine maps, or gone."""

    config: RunConfig
    replicas: int
    samples: int
    settled: bool = False

    def there_and_back(self, network: list[Map], back: bool = False, need_dx: bool = False) -> Work:
        """Count a network's forward pass, and with ``back`` its backward pass."""
        work, each, recurrent = Work(), self.replicas * self.samples, self.config.kind.recurrent
        sizes = [one.after for one in network]
        held = each * (sum(sizes) if back else max(sizes))
        for one, times in Counter(network[:-1]).items():
            layer = self._linear(one, back, need_dx or not one.first)
            steps = one.positions if recurrent else 1
            size = each * one.after / steps
            for way in (False, True)[: 1 + back]:
                layer.add(self._elementwise(one, size, held, way), steps)
            if recurrent:
                layer.calls += steps * (6 + 6 * back)
                layer.touch(steps * size, 3 + 5 * back, 3 + 5 * back, one.columns, held=held)
            if self.config.residual != "none":
                layer.touch(size, 1 + back)
            work.add(layer, times)
        if self.config.kind.convolves:
            work.touch(each * network[-2].after, 1 + back)
        work.add(self._linear(network[-1], back, True))
        return work.touch(each * network[-1].columns, 3 + 6 * back)

    def penalty(self, network: list[Map]) -> Work:
        """Count what a gradient penalty adds: back, forward, and back again."""
        work = Work()
        for one in network[:-1]:
            work.add(self._linear(one, True, not one.first)).add(self._linear(one, False, False), 2)
            work.touch(self.replicas * self.samples * one.after, 10)
        return work

    def _linear(self, one: Map, back: bool, need_dx: bool) -> Work:
        """Count a linear map; with ``back`` the gradients of its weights and, if need be, of its input."""
        work, each = Work(), self.replicas * self.samples
        work.touch(each * one.after, 1 + back, 1, one.columns)
        if self.config.kind.convolves and one.positions > 1:
            return self._convolution(work, one, back, need_dx)
        steps = one.positions
        if steps > 1:  # inputs and states are laid side by side
            work.touch(each * steps * one.rows, 1 + 2 * back, 1 + 2 * back, one.rows)
        work.multiply(self.replicas * steps, self.samples, one.rows, one.columns)
        if back:
            work.multiply(self.replicas, one.rows, self.samples * steps, one.columns)
        if back and (need_dx or steps > 1):
            work.multiply(self.replicas * steps, self.samples, one.columns, one.rows)
        return work

    def _convolution(self, work: Work, one: Map, back: bool, need_dx: bool) -> Work:
        """Count a convolution as `_linear` does, block by block of unfolded patches."""
        blocks = self._unfold(work, one, one.rows)
        some = self.samples / blocks * one.positions
        work.multiply(self.replicas * blocks, some, one.rows, one.columns)
        if back:
            self._unfold(work, one, one.rows)
            work.multiply(self.replicas * blocks, one.rows, some, one.columns)
            work.touch(self.replicas * (blocks - 1) * one.weights, 2, at=self.replicas * one.weights)
        if back and need_dx:
            window, made = one.back
            blocks = self._unfold(work, one, window)
            work.multiply(self.replicas * blocks, self.samples / blocks * one.positions, window, made)
            work.touch(self.replicas * window * made, 3, 3, one.columns)
            work.touch(self.replicas * self.samples * one.before, 2 * (one.stride > 1), 1, one.columns)
        return work

    def _unfold(self, work: Work, one: Map, window: int) -> int:
        """Count patches of ``window`` numbers each at a map's positions, and the blocks of samples."""
        patches = one.positions * window
        size = patches * (8 if self.config.dtype == "float64" else 4)
        n = min(self.samples, max(1, BLOCK_BYTES // size))
        r = min(self.replicas, max(1, BLOCK_BYTES // (n * size)))
        blocks = ceil(self.samples / n)
        work.calls += 12 * blocks * ceil(self.replicas / r)
        work.touch(self.replicas * self.samples * patches, 1.2, 1, window / KERNEL, at=r * n * patches)
        return blocks

    def _elementwise(self, one: Map, size: float, held: float, back: bool) -> Work:
        """Count a layer's norm and activation on arrays of ``size``, while ``held`` elements are kept."""
        work, config, found = Work(), self.config, [OF_ACTIVATIONS[activation(self.config)][back]]
        if config.on_activations:
            found.append(Passes(2, 2) if self.settled else OF_NORMS.get(config.trains_as, OUTSIDE)[back])
        run = one.columns
        if config.norm == "group" and config.groups < run:
            run //= config.groups
        for passes, stretched, means, curves in found:
            stretched += means if run < one.columns else 0
            work.touch(size, passes + means, stretched, run, held=held)
            work.curves += curves * size
            work.calls += 4 * means
        return work.touch(size, (2 - back) * (config.norm_noise > 0), held=held)


def _weights(config: RunConfig, iterations: int, back: bool = True) -> Work:
    """Count what a norm of weights does with them, and the learned factor of a residual branch."""
    work, name, replicas = Work(), config.on_weights, config.replicas
    for one, times in Counter(maps(config)[:-1]).items():
        layer, size = Work(), replicas * one.weights
        if name == "spectral":
            layer.touch(size, 2 * iterations + 1 + 5 * back, 1 + 2 * back, one.columns)
            layer.calls += (14 + 4 * replicas) * iterations
        elif name != "none":
            for passes, stretched, means, _ in OF_NORMS.get(name, OUTSIDE)[: 1 + back]:
                layer.touch(size, passes + means, stretched, one.columns)
            layer.calls += 20
        work.add(layer.touch(size, 3 * config.skip_init), times)
    return work


def _plain(config: RunConfig) -> RunConfig:
    """Return the configuration of a GAN's generator: no norm, and ReLU."""
    return replace(config, norm="none", frozen=False, weight_norm="none", activation="relu")


# ---- a step ------------------------------------------------------------------------------------------------


def training(config: RunConfig) -> Work:
    """Count what a step does that isn't recorded."""
    replicas, samples, moments = config.replicas, config.batch_size, MOMENTS[config.optimizer]
    own, others, size = maps(config), generator_maps(config), parameters(config)[1]
    batch = _Batch(config, replicas, samples)
    work = Work(calls=20).touch(replicas * samples * SIZES[config.dataset][0], 2)
    work.add(_weights(config, config.iterations))
    work.add(batch.there_and_back(own, back=True))
    if others:
        made = _Batch(_plain(config), replicas, samples)
        work.add(batch.there_and_back(own, back=True))
        work.add(batch.there_and_back(own, back=True, need_dx=True))
        work.add(made.there_and_back(others)).add(made.there_and_back(others, back=True))
        work.add(_weights(config, 1, back=False))
        work.drawn += 2 * replicas * samples * LATENT
        work.touch(replicas * size, 2 + moments)
        work.calls += 20 * replicas + 50
    if config.gradient_penalty:
        work.add(batch.penalty(own))
    if config.norm_noise:
        noisy = replicas * config.depth * samples * config.width
        work.drawn += 2 * noisy
        work.touch(noisy, 10, at=noisy / replicas)
        work.calls += 20 * replicas
    return work.touch(replicas * size, (2, 4, 13)[moments] + 2 * (config.weight_decay > 0))


def recording(config: RunConfig) -> Work:
    """Count what a frame adds to a step."""
    gan = config.kind.adversarial
    replicas, samples, name = config.replicas, config.batch_size * (1 + gan), activation(config)
    work, slope, ways = Work(calls=150), OF_ACTIVATIONS[name][True], 1 if name == "relu" else 2
    for one, times in Counter(maps(config)[:-1]).items():
        entries = times * samples * one.after
        at = together(replicas, entries)
        work.touch(replicas * entries, slope.passes + 8 + 7 * ways, at=at)
        work.touch(replicas * entries, 2 + 3 * gan, at=replicas * samples * one.after)
        work.curves += slope.curves * replicas * entries
        work.binned += ways * replicas * entries
        work.calls += 10 * replicas * entries / at + 2 * ways * replicas * times
    work.touch(replicas * parameters(config)[0], 3)
    return work.touch(replicas * config.depth * 2 * len(HISTOGRAM_EDGES), 12)


def together(replicas: int, entries: int) -> int:
    """Return how many entries `telemetry.measure` looks at together at most, where a replica has so many."""
    return min(replicas * entries, max(entries, BLOCK))


def validation(config: RunConfig) -> Work:
    """Count what validation adds to a recorded step: the replicas come one by one."""
    replicas, samples, network = config.replicas, SIZES[config.dataset][2], maps(config)
    if config.kind.adversarial:
        work = _Batch(_plain(config), replicas, SHOWN).there_and_back(generator_maps(config))
        return work.touch(replicas * SHOWN * 8, 12)
    config, norm = replace(config, norm_noise=0.0), config.on_activations
    running = norm is not None and norm.running
    work = Work(calls=30).add(_Batch(config, 1, samples, running).there_and_back(network), replicas)
    if norm and running:
        # A norm with a pair of functions of its own sees one norm batch at a time.
        parts = samples // min(config.statistics_of or config.batch_size, samples) if norm.pair else 1
        work.add(_Batch(config, 1, samples // parts).there_and_back(network), parts * replicas)
        work.touch(replicas * parameters(config)[0], 2, 2, network[-2].columns)
    if has_surface(config):
        work.add(_Batch(config, 1, CELLS, running).there_and_back(network))
    return work


def start(config: RunConfig) -> Work:
    """Count what comes before the first step: initial parameters, and copies of them all."""
    numbers = config.replicas * parameters(config)[1]
    work = Work(calls=150, drawn=numbers).touch(numbers, 8 + 4 * MOMENTS[config.optimizer])
    return work.add(_weights(config, WARM_STARTS if config.on_weights == "spectral" else 1, back=False))
