"""Checking the engine against PyTorch: one batch through both.

Of a GAN it is a step: the discriminator's loss of both halves, and the generator's before the discriminator
as the engine has updated it.

``python -m bnlib.torch_check`` reads JSON, ``{"config": fields of RunConfig, "step": n}``, and writes what
`check` finds, or ``{"error": why}``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from ..data import batches
from ..networks.config import LAST_STEP, RunConfig, check_field
from ..networks.inference import inference_layers
from ..networks.layers import cross_entropy
from ..networks.network import forward, there_and_back
from ..networks.parameters import in_layers, plan, set_affine
from ..networks.units import Trace
from ..norms.statistics import Array
from ..training import gan, train
from ..training.train import Run
from .twin import twin as twin

Quantities = dict[str, Array]  # by name: "kind of which"

# Where a network amplifies rounding, PyTorch's own float32 is off its float64, too: ours may be by so many
# times that (of 16 networks with 40 layers two were off by 13 and 18 times it); float64 rounds 2^-29 times as
# much. What is wrong is off by far more.
TOLERANCE, SLACK = {"float32": 1e-2, "float64": 1e-9}, {"float32": 30.0, "float64": 1e3 * 2.0**-29}
FLOOR = 1e-3  # what is smaller than this in all layers may be rounding alone
NEVER = 10**6  # steps between two records of a run that keeps none


def check(config: RunConfig, step: int, dtype: str | None = None, run: Run | None = None) -> dict[str, Any]:
    """Compare engine and PyTorch on the next training batch, at ``step`` of the first seed's run.

    In "float32", and with the same parameters in "float64", or in ``dtype`` alone. What isn't finite must be
    so at the same places in both. ``run``, one of ``config`` that isn't past ``step``, spares the steps up to
    it and changes nothing.

    Returns
    -------
    dict, made for JSON: "step"; "torch", its version; "agrees"; and for each dtype a dict

    rows : [what, its largest difference, its largest number] each
    largest, where, tolerance : the largest difference relative to the largest number of its kind in all
        layers (one kind are all gradients), so that rounding in what should be 0 counts for nothing
    nonfinite : what isn't finite everywhere

    In a run that has diverged there is nothing to compare: "agrees" is None, and "diverged" the step.

    Raises
    ------
    ValueError
        If ``step`` isn't a whole number, or ``run`` doesn't lead there.
    """
    import torch

    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= LAST_STEP:
        raise ValueError(f"torch_check: step={step!r} must be a whole number from 0 to {LAST_STEP}")
    first = alone(config)
    run = train.start(first) if run is None else first_seed(run)
    if run.config != first or run.step > step:
        raise ValueError(
            f"torch_check: run, at step {run.step} of {run.config}, must lead to {step} of {first}"
        )
    twin(run)  # complains early
    run = train.advance(run, step - run.step)
    found: dict[str, Any] = {"step": step, "torch": torch.__version__, "agrees": None}
    diverged = int(train.advance(run, 1).diverged_at[0])
    if diverged >= 0:
        return found | {"diverged": diverged}
    dtypes = [dtype] if dtype else list(TOLERANCE)
    with np.errstate(all="ignore"):
        pairs = {name: (_ours(one), _theirs(one)) for name in dtypes for one in [_cast(run, name)]}
    rounding = [] if dtype else _compare(pairs["float32"][1], pairs["float64"][1])
    off = min(1.0, max((row[3] for row in rounding), default=0.0))
    for name, (ours, theirs) in pairs.items():
        rows, tolerance = _compare(ours, theirs), max(TOLERANCE[name], off * SLACK[name])
        where, _, _, largest = max(rows, key=lambda row: row[3])
        wild = [what for what in ours if not np.isfinite([ours[what], theirs[what]]).all()]
        found[name] = {"largest": largest, "where": where, "tolerance": tolerance, "nonfinite": wild}
        found[name]["rows"] = [list(row[:3]) for row in rows]
    return found | {"agrees": all(found[name]["largest"] <= found[name]["tolerance"] for name in dtypes)}


def alone(config: RunConfig) -> RunConfig:
    """Return the first seed's configuration, without a record."""
    return replace(config, replicas=1, record_every=NEVER, validate_every=NEVER)


def first_seed(run: Run) -> Run:
    """Return the first seed's run, as if it had been trained alone."""
    own, moments = run.running, tuple(array[:1] for array in run.optimizer_state)
    first = {name: getattr(own, name)[:1] for name in ("mean", "var", "weight", "var_weight")}
    running = replace(own, **first)
    one = replace(run, config=alone(run.config), flat=run.flat[:1], power=run.power[:1], running=running)
    return replace(one, optimizer_state=moments, diverged_at=run.diverged_at[:1], frames=())


def _cast(run: Run, dtype: str) -> Run:
    """Return the run in another precision, with the parameters that its next step starts from."""
    step, running, config = run.step, run.running, replace(run.config, dtype=dtype)
    mean, var, power, flat = (a.astype(dtype) for a in (running.mean, running.var, run.power, run.flat))
    set_affine(flat, config.at(step), *(name for start, name, _ in config.edits if start == step))
    state = tuple(array.astype(dtype) for array in run.optimizer_state)
    running = replace(running, mean=mean, var=var)
    return replace(run, config=config, flat=flat, optimizer_state=state, running=running, power=power)


def _next(run: Run) -> tuple[RunConfig, Array, Array, Any]:
    """Return the configuration in force, the next batch, and the noise on it."""
    config = run.config.at(run.step)
    stream = batches(config.data(), (config.seed,), run.samples, config.batch_size, 1, *config.arrangement)
    x, labels = next(stream)
    noise = train.noise(config, (config.seed,), run.step, x.shape[1]) if config.norm_noise else None
    return config, x, labels, noise


def _ours(run: Run) -> Quantities:
    config, x, labels, noise = _next(run)
    gradient, the_plan = np.zeros_like(run.flat), plan(config)
    if config.kind.adversarial:
        found, trace, gradient = _our_game(run, config, x)
    else:
        layers = in_layers(config, the_plan.views(run.flat), run.running, run.power)
        gradients = in_layers(config, the_plan.views(gradient))
        logits, trace, _ = there_and_back(
            config, layers, gradients, x, lambda z: cross_entropy(z, labels)[1], config.statistics_of, noise
        )
        found = {"logits": logits[0], "loss": cross_entropy(logits, labels)[0]}
    found |= {f"input of activation{number}": layer.z[0] for number, layer in enumerate(trace)}
    found |= {f"gradient of {name}": a[0] for name, a in replace(run, flat=gradient).parameters.items()}
    after = train.advance(run, 1).running
    for number, here in enumerate(the_plan.statistics):
        found[f"running mean of layer{number}"] = after.mean[0, here]
        found[f"running variance of layer{number}"] = after.var[0, here]
    inference = inference_layers(config, run.layers, run.running)
    return found | {"inference": forward(config, inference, config.data().x_val, keep=False)[0][0]}


def _updated(run: Run) -> Run:
    """Return a GAN's run after the discriminator's update and before the generator's."""
    after, own = train.advance(run, 1), plan(run.config).size
    flat = np.concatenate([after.flat[:, :own], run.flat[:, own:]], axis=1)
    return replace(run, flat=flat, running=after.running, power=after.power)


def _our_game(run: Run, config: RunConfig, x: Array) -> tuple[Quantities, list[Trace], Array]:
    z, own = gan.latents(config, (config.seed,), run.step, x.shape[1]), plan(config).size
    one, other = (
        gan.Players(config, (config.seed,), train.state_of(r, np.arange(1))) for r in (run, _updated(run))
    )
    seen, fooling = gan.together(*one.judge(x, z)), other.fool(z)
    one.gradient[:, own:] = other.gradient[:, own:]
    found = {"points": seen.points[0], "logits": seen.logits[0], "loss": seen.loss}
    return found | {"generator's loss": fooling}, seen.trace, one.gradient


def _theirs(run: Run) -> Quantities:
    import torch

    config, x, labels, noise = _next(run)
    behind = noise and [[torch.tensor(array[0]) for array in pair] for pair in noise]
    prefixes = ("", "", "generator_") if config.kind.adversarial else ("",)  # a discriminator for each half
    models = [twin(run, prefix=prefix) for prefix in prefixes]
    with torch.no_grad():
        inference = models[0].train(False)(torch.tensor(config.data().x_val))
    models[0].train()
    if config.kind.adversarial:
        found = _their_game(run, config, torch.tensor(x[0], requires_grad=True), *models)
    else:
        logits = models[0](torch.tensor(x[0]), behind)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels[0]))
        torch.autograd.backward(loss)
        found = {"logits": logits, "loss": loss[None]}
    found["inference"] = inference
    entered = zip(*(model.entered for model in models[:2]), strict=True)
    found |= {f"input of activation{number}": torch.cat(z) for number, z in enumerate(entered)}
    for number, halves in enumerate(zip(*(model.running for model in models[:2]), strict=True)):
        mean, var = (torch.stack(moment).mean(0).ravel() for moment in zip(*halves, strict=True))
        found |= {f"running mean of layer{number}": mean, f"running variance of layer{number}": var}
    arrays = {name: tensor.detach().numpy() for name, tensor in found.items()}
    for model in models:
        for name, p in model.named.items():
            arrays[f"gradient of {name}"] = model.array(p.grad) + arrays.get(f"gradient of {name}", 0)
    return arrays


def _their_game(
    run: Run, config: RunConfig, x: Any, for_real: Any, for_fake: Any, made: Any
) -> dict[str, Any]:
    import torch

    z = torch.tensor(gan.latents(config, (config.seed,), run.step, len(x))[0])
    points, judge = made(z[0]).detach(), twin(_updated(run)).train(iterate=False)
    real, fake, fooled = for_real(x), for_fake(points), judge(made(z[1]))
    right = torch.nn.functional.logsigmoid  # logarithm of a probability
    loss, fooling = -(right(real).mean() + right(-fake).mean()) / 2, -right(fooled).mean()
    (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
    penalty = config.gradient_penalty / 2 * slope.square().sum(1).mean()
    torch.autograd.backward([loss + penalty if config.gradient_penalty else loss, fooling])
    found = {"points": torch.cat([x, points]), "logits": torch.cat([real, fake]), "loss": loss[None]}
    return found | {"generator's loss": fooling[None]}


def _compare(ours: Quantities, theirs: Quantities) -> list[tuple[str, float, float, float]]:
    """Return by quantity: name, largest difference, largest number, and the relative difference."""
    rows, scale = [], dict[str, float]()
    for name, one in ours.items():
        pair = np.array([one, theirs[name]], float)
        finite = np.isfinite(pair)
        pair = np.where(finite.all(axis=0), pair, 0)
        size, difference = float(np.abs(pair).max()), float(np.abs(pair[0] - pair[1]).max())
        if (finite[0] != finite[1]).any():  # as bad as can be
            difference = size = max(size, 1.0)
        kind = name.partition(" of ")[0]
        scale[kind] = max(scale.get(kind, FLOOR), size)
        rows.append((name, difference, size, kind))
    return [(name, difference, size, difference / scale[kind]) for name, difference, size, kind in rows]


def load() -> str:
    """Load PyTorch, to compute on one thread, and say which it is."""
    import torch

    torch.set_num_threads(1)
    return str(torch.__version__)


def main() -> None:
    """Answer one question, put as JSON, with JSON."""
    try:
        try:
            asked = json.load(sys.stdin)
            fields, step = dict(asked["config"]), asked["step"]
        except (ValueError, TypeError, KeyError) as error:
            shape = '{"config": {field: value, ...}, "step": n}'
            raise ValueError(f"torch_check: the question must be JSON, {shape}; {error!r} in it") from None
        for name, value in fields.items():
            if name != "edits":
                check_field(name, value)
        load()
        answer = check(RunConfig(**fields), step)
    except (ValueError, ImportError) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
