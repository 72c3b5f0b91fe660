"""A few lines of PyTorch for each scene of "Placement", and the scripts that compute its numbers again."""

from __future__ import annotations

from book.controls import SEEDS, Values
from book.torch_script import NETWORKS
from pages._placement_parts import BETAS, DEEP, EVERY, GAMMAS, LOOKS, SIZES, STEPS, layer_of, look

COUNT = """\
import torch

x = torch.randn({n}, {c}, {side}, {side}, dtype=torch.float64)
bn = torch.nn.BatchNorm2d({c}, dtype=torch.float64)  # for (N, C) tensors: BatchNorm1d
y = bn(x)
x[0, {channel}, 0, 0] += 1
print("shared =", (bn(x) != y).sum().item())
print("learned =", sum(p.numel() for p in bn.parameters()))
print("kept =", bn.running_mean.numel() + bn.running_var.numel())
"""
ALONE = """\
import torch

bn = torch.nn.BatchNorm2d({c})  # bn(torch.randn(1, {c}, 1, 1)) raises ValueError: one number is its own mean
print("learned =", sum(p.numel() for p in bn.parameters()))
"""
BIAS = {
    "layer": "nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU())",
    "none": "nn.Sequential(nn.Linear(64, 64), nn.ReLU())",
    "after": "nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.BatchNorm1d(64))",
}
USELESS = """\
import torch
from torch import nn

layer = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU()).double()
layer(torch.randn(32, 64).double()).square().sum().backward()
# Rounding errors. In float32, without .double(), they are many orders of magnitude larger.
print("bias_gradient =", layer[0].bias.grad.abs().max().item())  # so: nn.Linear(64, 64, bias=False)
"""
COUNTS = """\
import torch
from torch import nn

layer = {layer}.double()
out = layer(torch.randn(32, 64).double())
(out * torch.randn(32, 64)).sum().backward()
print("counts =", (layer[0].bias.grad.abs() > 1e-12).double().mean().item())  # the share with a gradient
"""
BELL = """\
import torch
from torch import nn

x = torch.special.ndtri((torch.arange(100_000).double() + 0.5) / 100_000)[:, None]  # a bell curve
"""
ORDERS = """\
before = nn.Sequential(nn.BatchNorm1d(1), nn.{phi}()).double()(x)  # what the next layer gets
after = nn.Sequential(nn.{phi}(), nn.BatchNorm1d(1)).double()(x)
for name, out in (("before", before), ("after", after)):
    print(f"{{name}}_bell_mean =", out.mean().item())
    print(f"{{name}}_bell_std =", out.std().item())
"""
ALONE_BELL = """\
out = nn.{phi}()(x)  # what the next layer gets
print("bell_mean =", out.mean().item())
print("bell_std =", out.std().item())
"""
PLACED = """\
norm = nn.{norm}.double()
nn.init.constant_(norm.weight, {gamma!r})
nn.init.constant_(norm.bias, {beta!r})
out = nn.Sequential({sequence})({x})  # what the next layer gets
print("bell_mean =", out.mean().item())
print("bell_std =", out.std().item())
"""
FIRST_GRADIENT = """\
import torch
from torch import nn

def first(gamma):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    nn.init.constant_(net[1].weight, gamma)
    net(torch.randn(32, 64)).sum().backward()
    return net[0].weight.grad.norm().item()

print("law =", first({gamma!r}) / first(1.0))  # the first layer's gradient, against γ = 1
"""
PASSING = """\
bn = nn.BatchNorm1d(1).double()
nn.init.constant_(bn.bias, {beta!r})
print("law =", (torch.relu(bn(x)) > 0).double().mean().item())  # the share that passes
"""
MODULES = {"relu": "ReLU", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def pytorch(values: Values) -> str:
    """Write a scene's few lines of PyTorch."""
    scene = values["scene"]
    if scene == "count":
        side, n, c = layer_of(values)[1], values["samples"], values["channels"]
        text = ALONE if n * side == 1 else COUNT
        return text.format(n=n, c=c, side=side, channel=(values["channel"] - 1) % c)
    if scene == "bias":
        arm = values["arm"]
        return USELESS if arm == "batch" else COUNTS.format(layer=BIAS[arm])
    if scene == "start":
        return FIRST_GRADIENT.format(gamma=values["gamma"])
    if scene == "beta":
        return BELL + PASSING.format(beta=values["beta"])
    phi = MODULES[values["activation"]]
    if scene == "order":
        return BELL + ORDERS.format(phi=phi)
    if values["norm"] == "none":
        return BELL + ALONE_BELL.format(phi=phi)
    batch, parts = values["norm"] == "batch", ["norm", f"nn.{phi}()"]
    return BELL + PLACED.format(
        norm="BatchNorm1d(1)" if batch else "LayerNorm(100_000)", gamma=values["gamma"], beta=values["beta"],
        sequence=", ".join(parts if values["order"] == "before" else parts[::-1]), x="x" if batch else "x.T",
    )  # fmt: skip


CONVOLUTION = """\
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

rows = np.random.default_rng(123).permutation(1797)[1297:]
x = torch.tensor(load_digits().data[rows] / 16)
rng, n, c, side, channel = np.random.default_rng((0, 9)), {n}, {c}, {side}, {channel}
draw = lambda inputs, *shape: torch.tensor(np.sqrt(2 / inputs) * rng.standard_normal(shape))
{layer}
z = F.avg_pool2d(z, z.shape[-1] // side)
batch = z[:n, :c].clone()
batch_norm = lambda x: F.batch_norm(x, None, None, training=True)
"""
LAYERS = {
    "mlp": "z = (x @ draw(64, 64, 32))[:, :, None, None]",
    "cnn": """first, second = draw(9, 16, 1, 3, 3), draw(144, 32, 16, 3, 3)
z = F.conv2d(F.relu(F.conv2d(x.reshape(-1, 1, 8, 8), first, padding=1)), second, padding=1)""",
}
COUNTED = """
y = batch_norm(batch)
batch[0, channel, 0, 0] += z[:n, :c].std(correction=0)
print("shared =", ((batch_norm(batch) - y).abs() > 1e-12).sum().item())
print("weights =", c * {weights})
"""
SCATTERED = """\
means, spread = z.mean((2, 3)).numpy(), z.std((0, 2, 3), correction=0).numpy()
exact = means.std(0) / spread
print("ratio =", exact[channel] * side)
print("layout =", (z.mean(0).var((1, 2), correction=0).numpy() / spread**2)[channel])
rng = np.random.default_rng(10)
print("samples,measured,formula")
for size in {sizes}:
    drawn = means[rng.integers(500, size=(400, size))].mean(1).std(0) / spread
    print(size, drawn[channel], exact[channel] / np.sqrt(size), sep=",")
"""
BIASES = """\
net = Networks(range({first}, {last}), {fields})
names = {names}
for layer in range(3):  # batch norm leaves no gradient to a bias in front of it; here it has one all the same
    net.parameters.setdefault(f"bias{{layer}}", torch.zeros(len(net.seeds), 1, 64, requires_grad=True))
found = {{name: [] for name in names}}
steps = range(0, {steps} + 1, {every})
for step in steps:
    gradients = net.train(step - net.step).gradients()
    for name in names:
        squares = [gradients[f"{{name}}{{layer}}"].square().mean((1, 2)) for layer in range(3)]
        found[name].append(torch.stack(squares).mean(0).sqrt().mean().item())
print("weight_gradient =", found["weight"][-1])
print("bias_gradient =", found["bias"][-1])
{share}table(step=steps, **found)
"""
COMPARED = """\
found = {{}}
for order in ("before", "after"):
    net = Networks(range({first}, {last}), activation={activation!r}, placement=order, lr={lr})
    found[order] = [1 - net.train(step - net.step).error() / 100 for step in {steps}]
gain = 100 * (found["after"][-1] - found["before"][-1])
print("gain =", gain.mean().item())
for order, right in found.items():
    print(f"{{order}}_right =", right[-1].mean().item())
table(step={steps}, **{{order: [one.mean().item() for one in right] for order, right in found.items()}})
"""
STARTS = """\
right = {{}}
for start in {starts}:
    net = Networks(range({first}, {last}), depth={depth}, {name}=start)
    right[start] = (1 - net.train({steps}).error() / 100).mean().item()
print("right =", right[{value}])
{more}table(start=[start for start in {grid}], right=[right[start] for start in {grid}])
"""
FIRST = """\
for name, start in (("first", {value}), ("first_one", 1.0)):
    net = Networks(range({first}, {last}), depth={depth}, gamma=start)
    print(name, "=", net.gradients()["weight0"].square().sum((1, 2)).sqrt().mean().item())
"""
ACTIVE = """\
net = Networks(range({first}, {last}), beta={value})
net.forward(VAL_X.expand(len(net.seeds), -1, -1), len(VAL_X))
print("active =", (net.entered[0] > 0).double().mean().item())
print("dead =", torch.stack([(z <= 0).all(1).double().mean() for z in net.entered]).mean().item())
"""
PLAYED = """\
net = Networks(range({first}, {last}), {fields})
right = [(1 - net.train(step - net.step).error() / 100).mean().item() for step in {steps}]
print("right =", right[-1])
table(step={steps}, right=right)
"""


def script(values: Values) -> str:
    """Write the script that computes a scene's numbers and its table again."""
    scene, first = values["scene"], SEEDS * values["seed"]
    here = {"first": first, "last": first + SEEDS}
    if scene == "count":
        (network, side), c = layer_of(values), values["channels"]
        text = CONVOLUTION + COUNTED + SCATTERED
        return text.format(
            n=values["samples"], c=c, side=side, channel=(values["channel"] - 1) % c,
            layer=LAYERS[network], weights=64 if network == "mlp" else 144, sizes=SIZES,
        )  # fmt: skip
    if scene == "bias":
        arm = values["arm"]
        kinds = ("weight", "bias") if arm == "none" else ("weight", "gamma", "beta", "bias")
        fields = 'placement="after"' if arm == "after" else f'norm="{arm}"'
        share = "" if arm == "none" else 'print("share =", found["bias"][-1] / found["beta"][-1])\n'
        return NETWORKS + BIASES.format(
            **here, fields=fields, names=kinds, steps=STEPS, every=EVERY, share=share
        )
    steps = LOOKS[: look(values["step"]) + 1]
    if scene == "order":
        return NETWORKS + COMPARED.format(
            **here, activation=values["activation"], lr=values["lr"], steps=steps
        )
    if scene == "play":
        names = ("activation", "norm", "gamma", "beta")
        fields = ", ".join(f"{name}={values[name]!r}" for name in names)
        fields += f", placement={values['order']!r}, lr={values['lr']}"
        return NETWORKS + PLAYED.format(**here, fields=fields, steps=steps)
    grid = GAMMAS if scene == "start" else BETAS
    name, value = ("gamma", values["gamma"]) if scene == "start" else ("beta", values["beta"])
    depth, more = (DEEP, FIRST) if scene == "start" else (3, ACTIVE)
    more = more.format(**here, value=value, depth=depth)
    starts = tuple(dict.fromkeys((*grid, value)))
    return NETWORKS + STARTS.format(
        **here, name=name, value=value, depth=depth, steps=STEPS, grid=grid, starts=starts, more=more
    )
