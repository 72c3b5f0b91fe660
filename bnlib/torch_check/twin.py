"""A run's network in PyTorch: from its own layers, or from the papers' formulas; gradients are autograd's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..data import DIGIT
from ..networks.config import RunConfig
from ..networks.parameters import plan
from ..norms.statistics import Array
from ..norms.table import NORMS
from ..training.train import Run

Tensor = Any
TINY = 1e-37  # an eps below it is 0 in float32


class Twin:
    """Called and trained as a torch.nn.Module is.

    ``named`` are its learned parameters by bnlib's names; `array` brings one, or its gradient, to bnlib's
    layout. ``entered`` is what entered each activation in the last call; ``running`` by hidden layer the
    running mean and variance, (steps, C) each: steps are 1 but in recurrent layers.
    """

    def __init__(self, run: Run, replica: int = 0, prefix: str = "") -> None:
        import torch

        self.torch, self.F, self.training = torch, torch.nn.functional, True
        config, parametrizations = run.config.at(run.step), torch.nn.utils.parametrizations
        if prefix:
            config = RunConfig(dataset="ring", depth=config.depth, width=config.width, norm="none")
        self.config = config
        self.entered: list[Tensor] = []
        self.named: dict[str, Any] = {}
        self.linears: list[Any] = []
        self.own: list[dict[str, Tensor]] = []  # of the norms, learned or not
        self.phi: Any = {
            "linear": lambda z: z, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
            "gelu": lambda z: self.F.gelu(z, approximate="tanh"),
        }["linear" if config.norm == "frn" else config.activation]  # fmt: skip
        given = {name: torch.tensor(array[replica]) for name, array in run.parameters.items()}
        for number in range(config.depth + 1):
            weight, biased = given[f"{prefix}weight{number}"], f"{prefix}bias{number}" in given
            (rows, columns), dtype = weight.shape, weight.dtype
            linear: Any = torch.nn.Linear(rows, columns, biased, dtype=dtype)
            named = {"weight": linear.weight} | ({"bias": linear.bias} if biased else {})
            own = self._own(rows, columns, dtype) if number < config.depth else {}
            if number < config.depth and config.on_weights == "weight":
                held: Any = parametrizations.weight_norm(linear).parametrizations.weight
                held.original0, named["weight"] = own["gain"], held.original1
            if number < len(plan(config).power):  # spectral norm; dim=1: it iterates in our order
                held = parametrizations.spectral_norm(linear, n_power_iterations=config.iterations, dim=1)
                named["weight"] = held.parametrizations.weight.original
                power = torch.tensor(run.power[replica, plan(config).power[number]])
                held.parametrizations.weight[0]._v.copy_(power)
            named |= own if config.learn_affine else {}
            if f"{prefix}skip{number}" in given:
                named["skip"] = torch.nn.Parameter(torch.zeros(1, dtype=dtype))
            self.linears.append(linear)
            self.own.append(own)
            self.named |= {f"{prefix}{name}{number}": parameter for name, parameter in named.items()}
        with torch.no_grad():
            for name, parameter in self.named.items():
                parameter.copy_(given[name].T if parameter.ndim == 2 else given[name][0])
        moments = [torch.tensor(array[replica]) for array in (run.running.mean, run.running.var)]
        layers = zip(plan(config).statistics, config.shapes, strict=False)
        self.running = [[m[here].reshape(-1, shape[-1]) for m in moments] for here, shape in layers]

    def _own(self, rows: int, columns: int, dtype: Any) -> dict[str, Tensor]:
        """Return a hidden layer's parameters of norms, with the values they have if they aren't learned."""
        config = self.config
        deviation = config.init_scale * ((2 / rows) ** 0.5 if config.init == "he" else 1)
        gain = deviation * rows**0.5 if config.on_weights == "weight" else deviation
        values = {"gamma": config.gamma, "beta": config.beta, "alpha": config.alpha, "tau": 0.0, "gain": gain}
        norms = [NORMS[name] for name in (config.norm, config.weight_norm) if name != "none"]
        own = {}
        for name in (name for norm in norms for name in norm.learned):
            shape = {"alpha": (1,), "gain": (columns, 1)}.get(name, (columns,))
            full = self.torch.full(shape, values[name], dtype=dtype)
            own[name] = self.torch.nn.Parameter(full, config.learn_affine)
        return own

    def parameters(self) -> Iterator[Any]:
        """Yield the parameters, as an optimizer of PyTorch takes them."""
        return iter(self.named.values())

    def train(self, mode: bool = True, iterate: bool | None = None) -> Twin:
        """Set the mode, as PyTorch's `Module.train` does.

        Where it doesn't ``iterate``, as in inference, spectral norm takes the present weights with the vector
        of its last step.
        """
        self.training, iterate = mode, mode if iterate is None else iterate
        for linear in self.linears:
            linear.train(iterate)
        for linear in [] if iterate else self.linears[: len(plan(self.config).power)]:
            norm, matrix = linear.parametrizations.weight[0], linear.parametrizations.weight.original.detach()
            norm._u.copy_(self.F.normalize(norm._v @ matrix, dim=0))
        return self

    def array(self, tensor: Tensor) -> Array:
        """Return a tensor as an array in the engine's layout, with the axis of replicas."""
        found: Array = (tensor.T if tensor.ndim == 2 else tensor[None]).detach().numpy()
        return found

    def __call__(self, x: Tensor, noise: Any = None) -> Tensor:
        """Return logits (N, classes) of x (N, features); noise: by layer a scale and a shift (N, width)."""
        config, F, self.entered, stream = self.config, self.F, [], 0
        if config.kind.convolves:
            x = x.unflatten(1, DIGIT).permute(0, 3, 1, 2)
        for number, linear in enumerate(self.linears[:-1]):
            weight = linear.weight  # once: each look at it is an iteration of spectral norm
            if config.on_weights == "standard":
                weight = _standardized(weight, (1,), config.eps) * self.own[number]["gain"]
            behind = noise and noise[number]
            if config.kind.recurrent:
                if not number:
                    x = x.unflatten(1, (-1, DIGIT[1]))
                    going, x = ~x[..., :1].isnan(), x.nan_to_num()
                state, seen = x.new_zeros(len(x), config.width), []
                for step in range(x.shape[1]):
                    both, keep = self.torch.cat([x[:, step], state], 1), going[:, step]
                    z, y = self._unit(F.linear(both, weight, linear.bias), number, step, keep=keep)
                    state = y.where(keep, state)
                    seen.append((z, state))
                z, x = (self.torch.stack(part, 1) for part in zip(*seen, strict=True))
            elif config.kind.convolves:
                stride = x.shape[2] // config.shapes[number][0]  # rows of ours: row, column, channel
                kernel = weight.unflatten(1, (3, 3, -1)).permute(0, 3, 1, 2)
                z, x = self._unit(F.conv2d(x, kernel, linear.bias, stride, 1), number)
                z = z.permute(0, 2, 3, 1)
            else:
                s, skip = F.linear(x, weight, linear.bias), self.named.get(f"skip{number}")
                s = (s if skip is None else skip * s) + stream
                z, x = self._unit(s, number, noise=behind)
                stream = {"none": 0, "pre": s, "post": z}[config.residual]
            self.entered.append(z)
        if config.kind.convolves:
            x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.linears[-1](x[:, -1] if config.kind.recurrent else x)

    def _unit(
        self, s: Tensor, number: int, step: int = 0, noise: Any = None, keep: Any = None
    ) -> tuple[Tensor, Tensor]:
        """Return what enters the activation, and what the layer puts out."""
        scale, shift = noise or (1, 0)
        if self.config.placement == "before":
            z = self._norm(s, number, step, keep) * scale + shift
            return z, self.phi(z)
        return s, self._norm(self.phi(s), number, step, keep) * scale + shift

    def _norm(self, x: Tensor, number: int, step: int, keep: Any = None) -> Tensor:
        """Apply the norm of hidden layer ``number`` to x (N, C) or (N, C, H, W).

        keep : (N, 1), which samples count where padding is masked; the others come out as 0
        """
        if self.config.masks and self.training:
            y, kept = self.torch.zeros_like(x), keep[:, 0]
            return y.index_put((kept,), self._norm_of(x[kept], number, step)) if kept.any() else y
        return self._norm_of(x, number, step)

    def _norm_of(self, x: Tensor, number: int, step: int) -> Tensor:
        F, own, name, eps = self.F, self.own[number], self.config.norm, self.config.eps
        if self.config.on_activations is None:
            return x
        gamma, beta, positions = own["gamma"], own["beta"], tuple(range(2, x.ndim))
        if self.running:
            return self._over_batches(x, gamma, beta, *(moment[step] for moment in self.running[number]))
        groups = {"group": self.config.groups, "instance": x.shape[1]}.get(name, 1)
        alone = eps < TINY or x[0].numel() == groups  # PyTorch refuses that, or leaves it to rounding
        if name == "layer" and not positions and not alone:
            return F.layer_norm(x, x.shape[1:], gamma, beta, eps)
        if name in ("layer", "group", "instance") and not alone:
            # PyTorch 2.13's instance_norm has wrong gradients for one sample whose channels lie last.
            return F.group_norm(x, groups, gamma, beta, eps)
        if name == "dyt":
            y = (own["alpha"] * x).tanh()
        elif name == "frn":
            y = _standardized(x, positions, eps, centre=False)
        elif name == "rms" and not alone:
            y = F.rms_norm(x, x.shape[1:], None, eps)
        else:
            y = _standardized(x.reshape(len(x), groups, -1), (2,), eps, name != "rms").reshape(x.shape)
        y = _affine(y, gamma, beta)
        if name == "frn":  # torch.maximum would halve gradients at ties
            tau = own["tau"].reshape(-1, *(1 for _ in positions))
            y = y.where(y >= tau, tau)
        return y

    def _over_batches(self, x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        """Apply batch norm or one of its kin; running statistics are updated in training."""
        F, config, eps, take = self.F, self.config, self.config.eps, 1 - self.config.momentum
        if (
            config.norm == "batch"
            and not (config.norm_batch or config.frozen or config.masks)
            and x.numel() > x.shape[1]
            and eps >= TINY
        ):
            return F.batch_norm(x, mean, var, gamma, beta, self.training, take, eps)
        axes, parts = (0, *range(2, x.ndim)), 1
        m, v = x.detach().mean(axes), x.detach().var(axes, correction=0)
        known = (var + eps).where(var + eps > 0, float("inf"))
        if not self.training or config.norm == "running" or config.frozen:
            y = F.batch_norm(x, mean.clone(), known, gamma, beta, eps=0.0)
            if self.training and not config.frozen:
                var.lerp_(v + config.momentum * (m - mean) ** 2, take)
                mean.lerp_(m, take)
            return y
        if config.norm == "renorm":
            r = ((v + eps) / known).sqrt().clamp(1 / config.r_max, config.r_max)
            d = ((m - mean) / known.sqrt()).clamp(-config.d_max, config.d_max)
            gamma, beta = gamma * r, gamma * d + beta
        elif config.statistics_of:
            parts = len(x) // config.statistics_of
        ys, moments = [], []
        for part in (x[first::parts] for first in range(parts)):
            now, alone = (mean.clone(), var.clone()), part.numel() == part.shape[1]
            if alone or eps < TINY:  # PyTorch refuses that
                ys.append(_affine(_standardized(part, axes, eps), gamma, beta))
                now[0].lerp_(part.detach().mean(axes), take)
                now[1].lerp_(now[1] if alone else part.detach().var(axes), take)
            else:
                ys.append(F.batch_norm(part, *now, gamma, beta, True, take, eps))
            moments.append(now)
        for moment, news in zip((mean, var), zip(*moments, strict=True), strict=True):
            moment.copy_(self.torch.stack(news).mean(0))
        return self.torch.stack(ys, 1).flatten(0, 1)


def _affine(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    gamma, beta = (a.reshape(-1, *(1 for _ in x.shape[2:])) for a in (gamma, beta))
    return gamma * x + beta


def _standardized(x: Tensor, axes: tuple[int, ...], eps: float, centre: bool = True) -> Tensor:
    """Compute (x - mean) / sqrt(var + eps) along the axes, if there are any; 0 instead of 0 / 0."""
    x = x - x.mean(axes, keepdim=True) if centre else x
    var = (x.square().mean(axes, keepdim=True) if axes else x.square()) + eps
    return x / var.where(var > 0, float("inf")).sqrt()


def twin(run: Run, replica: int = 0, prefix: str = "") -> Twin:
    """Build the network of ``run`` in PyTorch, with the parameters and the statistics of one replica.

    Of a GAN it is the discriminator, or with ``prefix`` "generator_" the generator.
    """
    return Twin(run, replica, prefix)


def steps_in_torch(run: Run) -> dict[str, Callable[[int], None]]:
    """Return functions that do so many steps of a classifier's twin, in eager PyTorch on one thread."""
    import torch

    data, size, model = run.config.data(), run.config.batch_size, twin(run)
    x, labels = torch.tensor(data.x_train[:size]), torch.tensor(data.y_train[:size])
    optimizer = torch.optim.SGD(model.parameters(), lr=run.config.lr)

    def work(training: bool, steps: int) -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        model.train(training)
        try:
            with torch.inference_mode(not training):
                for _ in range(steps):
                    logits = model(x)
                    if training:
                        optimizer.zero_grad()
                        torch.autograd.backward(torch.nn.functional.cross_entropy(logits, labels))
                        optimizer.step()
        finally:
            torch.set_num_threads(threads)

    return {"torch_training": partial(work, True), "torch_inference": partial(work, False)}
