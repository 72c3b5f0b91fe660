"""Causes that lie in the signal and the gradient on their way through the layers."""

from __future__ import annotations

import math

import numpy as np

from bnlib.networks.layers import ACTIVATIONS
from bnlib.theory import RELU_GROWTH, gradient_growth_relu
from book.words import brief

from ._finding import Finding
from ._lane import Lane, fold, joined, mean, percent, power, shared, update, way
from .verdict import capital

APART = 3.0  # a spread that changes so many times more than another's
LARGE_EPS = 1e-2
CUT = 0.7  # of the spread: what ε leaves when it matters
SQUEEZED = 0.4  # spread of activations; behind a norm it is gamma
SLOWER = 0.3  # of log10 update : data: half as large
GROWN = 10.0
SHRUNK = 5.0
FEW_OFF = 0.05
FADED = 30.0  # alone, without another lane to compare with
MORE_OFF = 0.1  # share of units that are off for a whole batch, where the cause is known
OFF = 0.3  # share of units or entries
HE = math.sqrt(2)
RELU_SPREAD = math.sqrt(0.5 - 0.5 / math.pi)  # of max(0, z), z standard Gaussian


def initial_weights(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a signal that shrinks or grows from layer to layer before the first update."""
    kept = lane.kept
    other = ahead.kept if ahead else 1.0
    if not (math.isfinite(kept) and math.isfinite(other)):
        return None
    far, near = abs(math.log(kept)), abs(math.log(other))
    if far < near + math.log(APART):
        return None
    config, spread = lane.config, lane.start("activation_std")
    first, last = float(spread[0]), float(spread[-1])
    where = f"from layer 1 to layer {config.depth}"
    scale = _scale(lane)
    if scale is None or abs(math.log(scale)) < 0.1:
        kind = "shrinks" if kept < 1 else "grows"
        main = (
            f"At step 0 the spread of the activations {kind} with {lane.name} from {brief(first)} in layer 1 "
            f"to {brief(last)} in layer {config.depth}."
        )
    else:
        main = (
            f"Initial weights of {brief(scale)} times He’s size multiply the signal by about that in each "
            f"layer: {power(scale, config.depth - 1)} {where} (measured at step 0 with {lane.name}: "
            f"{brief(kept)})."
        )
    return Finding(main, _repaired(lane, ahead), _he(lane), ("deep", "E19"))


def _scale(lane: Lane) -> float | None:
    """By what a layer multiplies the signal: for ReLU and weights of He's size 1 (He et al. 2015)."""
    config = lane.config
    if {config.norm, config.on_weights, config.residual} != {"none"} or config.network != "mlp":
        return None
    if config.nonlinearity is not ACTIVATIONS["relu"]:
        return None
    return config.init_scale * (1.0 if config.init == "he" else math.sqrt(config.width) / HE)


def _repaired(lane: Lane, ahead: Lane | None) -> str:
    """Say what the better lane does about it, and what that means for the first layer's updates."""
    if ahead is None:
        return ""
    one, other = float(lane.start("update_ratio")[0]), float(ahead.start("update_ratio")[0])
    text = f"With {ahead.name} the signal is divided by its spread in each layer" if ahead.scale_free else ""
    if np.isfinite([one, other]).all() and abs(one - other) > SLOWER:
        first = f"the first update is {update(other)} as long as the weights in layer 1 "
        first += f"instead of {update(one)}"
        return f"{text}: {first}." if text else f"With {ahead.name} {first}."
    return f"{text}." if text else ""


def _he(lane: Lane) -> str:
    if lane.divides:
        like = _like_a_rate(lane)
        return f"{like}A smaller learning rate." if like else "Fewer layers, or a smaller learning rate."
    if lane.config.init == "normal":
        return "Initial weights of He’s size (init he, scale 1) keep the signal of a ReLU network."
    if lane.config.init_scale != 1:
        return "With init scale 1, He’s weights, a ReLU network keeps its signal without a norm."
    return "Fewer layers, or another size of the initial weights."


def _like_a_rate(lane: Lane) -> str:
    """Say what the size of initial weights means behind a norm, where (rate, W) is as (a² rate, a W)."""
    scale = lane.config.init_scale
    known = lane.scale_free and lane.config.init == "he" and lane.config.optimizer != "adam"
    if not (known and 0 < scale < 1):
        return ""
    return (
        f"Behind a norm, weights × {brief(scale)} act like a learning rate "
        f"{brief(float(f'{scale**-2:.3g}'))} times as large. "
    )


def large_eps(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find an ε that is larger than the variance it is added to."""
    config = lane.config
    norm = config.on_activations
    if norm is None or "eps" not in norm.options or config.eps < LARGE_EPS or config.placement != "before":
        return None
    if ahead and ahead.config.on_activations and ahead.config.eps > config.eps / 10:
        return None
    spread = lane.start("activation_std")
    relu = config.nonlinearity is ACTIVATIONS["relu"] and (config.gamma, config.beta) == (1, 0)
    if not (relu and np.isfinite(spread).all() and spread[-1] < CUT * RELU_SPREAD):
        return None
    left = np.square(spread / RELU_SPREAD)
    main = (
        f"The ε of {brief(config.eps)} is added to the variance v before the division; the output’s variance "
        f"is v/(v + ε), where 1 would be normalized: {brief(float(left[0]))} in layer 1"
    )
    main += (
        f" and {brief(float(left[-1]))} in layer {config.depth} at step 0."
        if config.depth > 1
        else " at step 0."
    )
    detail = ""
    if (
        config.norm in ("batch", "ghost")
        and config.network == "mlp"
        and config.init == "he"
        and config.depth > 1
    ):
        share = float(left[0])
        for _ in range(
            config.depth - 1
        ):  # Var(W a) of He's weights is 2 Var(a) = (1 - 1/pi) of the variance of x-hat
            variance = config.init_scale**2 * share / RELU_GROWTH
            share = variance / (variance + config.eps)
        detail = (
            f"The closed form, from layer 1 on, gives a spread of {brief(RELU_SPREAD * math.sqrt(share))} in "
            f"layer {config.depth}; {brief(float(spread[-1]))} was measured."
        )
    return Finding(
        main,
        detail,
        "An ε far below the variance, such as 0.00001.",
        ("eps microscope", "eps"),
    )


def small_gamma(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a γ that starts small: outputs, and with them the gradients of all weights, are small."""
    config = lane.config
    norm = config.on_activations
    if ahead is None or norm is None or "gamma" not in norm.learned or not abs(config.gamma) < 0.5:
        return None
    if ahead.config.on_activations and abs(ahead.config.gamma) < 2 * abs(config.gamma):
        return None
    spread, other = float(mean(lane.start("activation_std"))), float(mean(ahead.start("activation_std")))
    if config.gamma == 0 and float(lane.at("gradient_norm")[0]) == 0:
        return Finding(
            f"With {lane.name} γ starts at 0: each norm gives β whatever comes in, and no gradient passes "
            "it; measured, the gradient in layer 1 is 0.",
            change="A γ that starts at 1, or at least not at 0.",
            read=("steps", "gamma"),
        )
    one, two = float(mean(lane.start("update_ratio"))), float(mean(ahead.start("update_ratio")))
    if not (spread < 0.5 * other and one < two - SLOWER):
        return None
    off, there = (float(mean(each.at("dead"))) for each in (lane, ahead))
    detail = f"The first update is {update(one)} as long as the weights, instead of {update(two)} "
    detail += "(mean over layers)."
    if config.nonlinearity is ACTIVATIONS["relu"] and off > there + MORE_OFF:
        detail = (
            "β, which is learned, soon outweighs γx̂ and switches ReLUs off: "
            f"{percent(off)} are off for the whole batch, with {ahead.name} {percent(there)}."
        )
    return Finding(
        f"A γ of {brief(config.gamma)} at the start leaves the activations a spread of {brief(spread)} at "
        f"step 0; with {ahead.name} it is {brief(other)}.",
        detail,
        "A γ that starts at 1; or more steps, since γ is learned.",
        ("gamma", "steps"),
    )


def shifted(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a β that starts so low that ReLUs are off."""
    config = lane.config
    norm = config.on_activations
    if norm is None or "beta" not in norm.learned or not config.beta < -1 or config.placement != "before":
        return None
    off, there = (float(mean(one.start("saturation"))) if one else 0.5 for one in (lane, ahead))
    if config.nonlinearity is not ACTIVATIONS["relu"] or not off > there + OFF:
        return None
    expected = 0.5 * (1 + math.erf(-config.beta / max(abs(config.gamma), 1e-9) / math.sqrt(2)))
    gaussian = f" (for Gaussian numbers {percent(expected)})" if lane.scale_free and norm.centre else ""
    return Finding(
        f"A β of {brief(config.beta)} at the start keeps {percent(off)} of the ReLUs off with {lane.name} "
        f"at step 0{gaussian}: little of the signal and of the gradient passes.",
        change="A β that starts at 0.",
        read=("steps",),
    )


def placed(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a norm before an activation that squeezes what the norm has spread, against one behind it."""
    if ahead is None or lane.config.norm != ahead.config.norm or not (lane.divides and lane.shared):
        return None
    if (lane.config.placement, ahead.config.placement) != ("before", "after"):
        return None
    spread = float(lane.start("activation_std")[-1])
    one, two = (float(mean(each.start("update_ratio"))) for each in (lane, ahead))
    if not (spread < SQUEEZED and one < two - SLOWER and lane.loss > ahead.loss):
        return None
    norm, size = ahead.config.on_activations, brief(abs(ahead.config.gamma))
    made = ""
    if ahead.scale_free and norm and norm.centre:
        made = f"the norm makes their mean {brief(ahead.config.beta)} and their spread {size}, and "
    return Finding(
        f"With {lane.name} a layer’s outputs are those of the {lane.config.activation}, with a spread of "
        f"{brief(spread)} in layer {lane.config.depth} at step 0.",
        f"With {ahead.name} {made}the first update is {update(two)} as long as the weights instead of "
        f"{update(one)}.",
        "More steps, or an activation with centred outputs such as tanh.",
        ("sigmoid", "E5"),
    )


def vanishing(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a gradient that shrinks on its way to the input, and a first layer that hardly changes."""
    shrink = lane.shrink
    if ahead is None:
        if not shrink >= FADED:
            return None
        moved = _moves(lane)
        main = f"With {lane.name} the gradient {way(shrink)} from the last layer to the first."
        return Finding(main, moved, _remedy(lane, None), ("deep",))
    other = ahead.shrink
    if not (shrink >= SHRUNK and (math.isnan(other) or shrink >= SHRUNK * max(other, 0.2))):
        return None
    one, two = float(lane.at("update_ratio")[0]), float(ahead.at("update_ratio")[0])
    against = "" if math.isnan(other) else f" and {way(other)} with {ahead.name}"
    main = f"from the last layer to the first the gradient {way(shrink)} with {lane.name}{against}."
    if lane.config.activation == "sigmoid" and lane.config.placement == "before":
        main = f"A sigmoid’s slope is at most ¼: {main}"
    detail = ""
    if one < two - SLOWER and math.isfinite(one):
        detail = (
            f"With {lane.name} an update is {update(one)} as long as layer 1’s weights, with {ahead.name} "
            f"{update(two)}."
        )
    return Finding(capital(main), detail, _remedy(lane, ahead), ("deep", "E5"), _by_norm(lane, ahead))


def _by_norm(lane: Lane, ahead: Lane | None) -> bool:
    """Say whether a norm is what the better lane has and this one hasn't."""
    return ahead is not None and ahead.divides and not lane.divides


def _remedy(lane: Lane, ahead: Lane | None) -> str:
    config = lane.config
    other_size = config.init == "normal" or config.init_scale != 1
    other = [
        "initial weights of He’s size" * (other_size and not lane.divides),
        "fewer layers",
        "ReLU" * (config.activation != "relu"),
        ahead.label if ahead and _by_norm(lane, ahead) else "",
        "a smaller learning rate" * (config.norm != "none"),
    ]
    text = joined([one for one in other if one]).replace(" and ", " or ")
    return f"{text[0].upper()}{text[1:]}."


def _moves(lane: Lane) -> str:
    first = float(lane.at("update_ratio")[0])
    return f"An update is {update(first)} as long as layer 1’s weights." if math.isfinite(first) else ""


def exploding(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a gradient that grows toward the input at the start, as batch norm makes it (Yang et al. 2019)."""
    grown = 1 / lane.shrink_start
    other = 1 / ahead.shrink_start if ahead else 1.0
    if not grown >= GROWN or not (math.isnan(other) or grown >= APART * max(other, 1.0)):
        return None
    config = lane.config
    main = f"At step 0 the gradient grows {fold(grown)} from layer {config.depth} to layer 1 with {lane.name}"
    m = min(shared(config), default=0)
    plain = config.network == "mlp" and config.placement == "before" and config.residual == "none"
    plain = plain and lane.scale_free and config.beta == 0
    if config.norm == "batch" and m >= 4 and plain and config.activation == "relu":
        predicted = gradient_growth_relu(m) ** ((config.depth - 1) / 2)
        main += f"; for wide networks Yang et al. (2019) predict {fold(predicted)}"
    first, last = (float(lane.start("update_ratio")[layer]) for layer in (0, -1))
    detail = ""
    if np.isfinite([first, last]).all() and first > last + SLOWER:
        detail = (
            f"So no learning rate suits all layers: the first update is {update(first)} as long as the "
            f"weights in layer 1 and {update(last)} in layer {config.depth}."
        )
    return Finding(
        f"{main}.", detail, "Fewer layers, or skip connections; or other learning rates.", ("deep", "E7")
    )


def off(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find units that let no gradient pass: ReLUs that are off, sigmoids and tanhs that are saturated."""
    relu = lane.config.nonlinearity is ACTIVATIONS["relu"]
    name = "dead" if relu else "saturation"
    values = lane.at(name)
    here, there = float(mean(values)), float(mean(ahead.at(name))) if ahead else 0.0
    few = min(config.batch_size for config in (lane.now, *([ahead.now] if ahead else []))) < 8
    if not here >= there + (0.5 if ahead is None or (few and relu) else OFF):
        return None
    against = f", with {ahead.name} {percent(there)}" if ahead else ""
    worst = int(np.nanargmax(values))
    detail = f"Most are in layer {worst + 1}: {percent(float(values[worst]))}." if len(values) > 1 else ""
    if relu:
        begun = float(mean(lane.start(name)))
        less = here > begun + MORE_OFF
        before = f" ({percent(begun)} at step 0)" if less else ""
        main = (
            f"With {lane.name} {percent(here)} of the ReLUs are off for the whole batch and pass no gradient"
            f"{before}{against} (mean over layers)."
        )
        if ahead and ahead.of_batch and ahead.config.placement == "before" and there < FEW_OFF:
            detail = (
                f"{capital(ahead.name)} centres each unit over the batch, which keeps it on for some samples."
            )
        by_norm = ahead is not None and _by_norm(lane, ahead) and ahead.config.placement == "before"
        change = "Other initial weights, or a smaller learning rate."
        if like := _like_a_rate(lane):
            change = f"{like.rstrip('. ')}: a rate below {brief(lane.now.lr)} keeps more ReLUs on."
        elif less:
            who = "Without a norm" if lane.config.norm == "none" else f"With {lane.label}"
            change, by_norm = f"{who}, a rate below {brief(lane.now.lr)} keeps more ReLUs on.", False
        elif ahead and by_norm:
            change = f"{capital(ahead.label)} before the activation keeps more ReLUs on."
        return Finding(main, detail, change, ("fast",) if less else ("deep",), by_norm)
    main = (
        f"With {lane.name} {percent(here)} of the {lane.config.activation} units’ outputs are "
        f"saturated{against} (mean over layers): their slope is below 5% of the steepest."
    )
    by_norm = ahead is not None and _by_norm(lane, ahead) and ahead.config.placement == "before"
    norm = f"{ahead.label} before the activation, " if ahead and by_norm else ""
    return Finding(main, detail, f"Smaller initial weights, {norm}or ReLU.", ("E5",), by_norm)
