"""The functions that compute a race, for "Show the code": chosen by what its lanes use."""

from __future__ import annotations

from collections.abc import Sequence

from bnlib import NORMS, RunConfig
from bnlib.networks import conv, inference, layers, network, recurrent, units
from bnlib.norms.axes import in_training
from bnlib.training import gan, optimizer, train
from book.chapter import Passage
from book.controls import Values
from book.passages import NORM, PLAIN_NORM

from .lanes import lane_configs

_UPDATES = {
    "sgd": r"SGD, $w \leftarrow w - \eta\,\partial L / \partial w$",
    "momentum": r"momentum, $v \leftarrow 0.9\,v + \partial L / \partial w$ and $w \leftarrow w - \eta\,v$",
    "adamw": r"AdamW, $w \leftarrow w - \eta\,\hat{m} / (\sqrt{\hat{v}} + 10^{-8})$",
}


# What a step does with its batch, of a classifier and of two networks that play.
_TURNS = (
    (Passage("A batch: forward, loss, backward", train.Classifier.look),),
    (
        Passage("The discriminator's turn, on both halves", gan.Players.judge),
        Passage("The generator's turn", gan.Players.fool),
    ),
)


# What connects the layers of networks that are not dense.
_CONNECTIONS = (
    ("cnn", "A convolution: the linear map of unfolded patches", conv.conv),
    ("cnn", "A convolution, backward", conv.conv_backward),
    ("rnn", "A recurrent layer: the linear map of input and state, at each time step", recurrent.unroll),
    ("rnn", "A recurrent layer, backward", recurrent.unroll_backward),
)


def lab_code(values: Values) -> list[Passage]:
    """List what computes a race, from the update inwards; only what its lanes use."""
    configs = lane_configs(values)
    used = [NORMS[norm] for norm in _in_lanes(configs, "norm") if norm != "none"]
    used += [NORMS[norm] for norm in _in_lanes(configs, "weight_norm") if norm != "none"]
    kinds = _in_lanes(configs, "network")
    plays = any(config.network == "gan" for config in configs)
    noisy = any(config.norm_noise for config in configs)
    updates = [_UPDATES[name] for name in _in_lanes(configs, "optimizer")]
    changed = [value for config in configs for _, name, value in config.edits if name == "weight_decay"]
    if any(_in_lanes(configs, "weight_decay") + changed):
        updates.append(r"with decay, weight matrices also lose $\lambda w$")
    axes = [norm for norm in used if norm.shared]
    passages = [
        *(PLAIN_NORM if axes else ()),
        Passage("A step of training: batch, forward, loss, backward, update", train.train),
        *_TURNS[plays],
        Passage(f"The update: {'; '.join(updates)}", optimizer.gradient_to_update),
        Passage(r"Forward, layer by layer: $z = x W + b$, norm, activation", network.forward),
        Passage("Backward, the same layers in reverse", network.backward),
    ]
    if any(config.cosine_steps for config in configs):
        passages.append(
            Passage(r"The learning rate's cosine, $\eta\,(1 + \cos(\pi t / T)) / 2$", optimizer.rates)
        )
    if noisy:
        passages += [
            Passage("A layer’s norm, with the noise added after it", units.normed),
            Passage("The noise, drawn anew at each step", train.noise),
        ]
    for kind, what, function in _CONNECTIONS:
        if kind in kinds:
            passages.append(Passage(what, function))
    if axes:
        parts = [f"{norm.label}, {norm.summary}" for norm in axes]
        if any(config.norm_batch for config in configs):
            parts.append("in norm batches")
        passages += [
            Passage(f"Which numbers share μ and σ: {'; '.join(parts)}", in_training),
            *NORM,
        ]
    for norm in used:
        if norm.pair:
            passages += [
                Passage(f"{norm.label}: {norm.summary}", norm.pair[0]),
                Passage(f"{norm.label}, backward", norm.pair[1]),
            ]
    activations = [c.activation for c in configs if c.nonlinearity is layers.ACTIVATIONS[c.activation]]
    for name in dict.fromkeys(activations):
        activation = layers.ACTIVATIONS[name]
        passages += [
            Passage(rf"Activation {name}, $a = \phi(z)$", activation.forward),
            Passage(r"Its derivative $\phi'(z)$, for the backward pass", activation.slope),
        ]
    if plays:
        loss = Passage(r"The loss, $-\log \sigma(\pm\text{logit})$: real or generated", gan.real_or_not)
    else:
        loss = Passage(
            r"The loss $-\log \mathrm{softmax}(\text{logits})_{\text{label}}$", layers.cross_entropy
        )
    passages.append(loss)
    if any(norm.running for norm in used) and not plays:
        passages.append(Passage("Validation: running statistics are used", inference.inference_layers))
    return passages


def _in_lanes(configs: Sequence[RunConfig], name: str) -> list[str]:
    """Return each value that a setting has in some lane, once."""
    return list(dict.fromkeys(getattr(config, name) for config in configs))
