""" "Show the code": the source of the very functions that computed a picture, beside their equations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from bnlib import RunConfig, layers, network, norms, train
from live.messages import Values, lane_configs

_NORM = r"$\hat{x} = (x - \mu) / \sqrt{\sigma^2 + \epsilon}$ and $y = \gamma\,\hat{x} + \beta$"
_NORM_BACKWARD = (
    r"$\partial L / \partial x = (g - \overline{g} - \hat{x}\,\overline{g\,\hat{x}})"
    r" / \sqrt{\sigma^2 + \epsilon}$ where $g = \gamma\,\partial L / \partial y$ and bars are means"
)
_UPDATES = {
    "sgd": r"SGD, $w \leftarrow w - \eta\,\partial L / \partial w$",
    "momentum": r"momentum, $v \leftarrow 0.9\,v + \partial L / \partial w$ and $w \leftarrow w - \eta\,v$",
    "adamw": r"AdamW, $w \leftarrow w - \eta\,\hat{m} / (\sqrt{\hat{v}} + 10^{-8})$",
}


class Passage(NamedTuple):
    """A function that ran, and what it computes in one line of Markdown."""

    what: str
    function: Callable[..., Any]


def batch_code() -> list[Passage]:
    """What computes the picture of one batch, whatever its settings."""
    return [
        Passage("Batch norm: all that share a channel share a mean and a variance", norms.batch_norm),
        Passage(_NORM, norms.normalize),
        Passage("From the gradient of y to that of x, γ and β", norms.norm_backward),
        Passage(_NORM_BACKWARD, norms.normalize_backward),
    ]


def lab_code(values: Values) -> list[Passage]:
    """What computes a race, from the update inwards; only what its lanes use."""
    configs = lane_configs(values)
    used = [norm for norm in _in_lanes(configs, "norm") if norm != "none"]
    noisy = any(config.norm_noise for config in configs)
    updates = [_UPDATES[name] for name in _in_lanes(configs, "optimizer")]
    changed = [value for config in configs for _, name, value in config.edits if name == "weight_decay"]
    if any(_in_lanes(configs, "weight_decay") + changed):
        updates.append(r"with decay, weight matrices also lose $\lambda w$")
    passages = [
        Passage("A step of training: batch, forward, loss, backward, update", train._advance_stretch),
        Passage(f"The update: {'; '.join(updates)}", train._gradient_to_update),
        Passage(r"Forward, layer by layer: $z = x W + b$, norm, activation", network.forward),
        Passage("Backward, the same way back", network.backward),
    ]
    if any(config.cosine_steps for config in configs):
        passages.append(
            Passage(r"The learning rate's cosine, $\eta\,(1 + \cos(\pi t / T)) / 2$", train._rates)
        )
    if noisy:
        passages += [
            Passage("Where a norm stands, with the noise behind it", network._norm),
            Passage("The noise, anew at each step", train.noise),
        ]
    if used:
        parts = [_axes(norm) for norm in used]
        if any(config.norm_batch for config in configs):
            parts.append("in norm batches (1,) of (seed, sample, norm batch, unit)")
        passages += [
            Passage(
                f"Which axes of (seed, sample, unit) share μ and σ: {'; '.join(parts)}", network._normalize
            ),
            Passage(_NORM, norms.normalize),
            Passage(_NORM_BACKWARD, norms.normalize_backward),
        ]
    for name in _in_lanes(configs, "activation"):
        activation = layers.ACTIVATIONS[name]
        passages += [
            Passage(rf"Activation {name}, $a = \phi(z)$", activation.forward),
            Passage(r"Its slope $\phi'(z)$ on the way back", activation.slope),
        ]
    passages.append(
        Passage(r"The loss $-\log \mathrm{softmax}(\text{logits})_{\text{label}}$", layers.cross_entropy)
    )
    if "batch" in used:
        passages.append(
            Passage("Validation: batch norm with its running statistics", network.inference_layers)
        )
    return passages


def _in_lanes(configs: Sequence[RunConfig], name: str) -> list[str]:
    """Each value that a setting has in some lane, once."""
    return list(dict.fromkeys(getattr(config, name) for config in configs))


def _axes(norm: str) -> str:
    """A norm's row of `network.AXES` in words."""
    axes, centred = network.AXES[norm]
    grouped = " of (seed, sample, group, unit)" if norm == "group" else ""
    return f"{norm} {axes}{grouped}{'' if centred else ' with μ = 0'}"


@st.fragment
def show_code(passages: Sequence[Passage]) -> None:
    """An expander with the passages; its contents are made, and sent, only while it is open."""
    expander = st.expander("Show the code", icon=":material/code:", key="code", on_change="rerun")
    if not expander.open:
        return
    with expander:
        st.caption("The functions that computed this picture, read from the running program.")
        for what, function in passages:
            st.markdown(what)
            st.code(source(function), language="python")


@lru_cache(maxsize=64)
def source(function: Callable[..., Any]) -> str:
    """The text of ``function``; of one that NumPy has in machine code, its name."""
    if isinstance(function, np.ufunc):
        return f"numpy.{function.__name__}"
    return inspect.getsource(function)
