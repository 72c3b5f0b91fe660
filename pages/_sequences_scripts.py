"""What is taken away from "Sequences and streams": scripts and a few lines of PyTorch."""

from __future__ import annotations

from book.torch_script import NETWORKS


class Program:
    """A script with places to fill in, after classes that have none."""

    def __init__(self, head: str, body: str) -> None:
        self.head, self.body = head, body

    def format(self, **given: object) -> str:
        """Return the whole script."""
        return self.head + self.body.format(**given)


SAMPLE_TORCH = """\
import torch

norm = torch.nn.BatchNorm2d({channels})  # in train(), as every new module
x = torch.rand({images}, {channels}, {side}, {side})
print("m =", x.numel() / {channels})  # values that share a mean
try:
    norm(x)
except ValueError as error:
    print(error)
norm.eval()(x)  # runs with any batch
# DataLoader(..., drop_last=True) leaves out the last, smaller batch of an epoch
"""

SAMPLE = '''\
import numpy as np
import torch
from sklearn.datasets import load_digits

layers = {layers}
rows = []
for name, shape in layers.items():
    norm = (torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d)(shape[1])
    try:
        norm(torch.rand(shape))
        refused = 0
    except ValueError as error:
        print("#", error)
        refused = 1
    rows.append((name, int(np.prod(shape)) // shape[1], refused))
print("refused =", sum(row[2] for row in rows))

digits = load_digits()
held_out = digits.data[np.random.default_rng(123).permutation(1797)][1297:] / 16
rng = np.random.default_rng(({seed}, 12))
order = rng.permutation(len(held_out))
weight = torch.tensor(np.sqrt(2 / 9) * rng.standard_normal(({channels}, 1, 3, 3)))


def outputs(first, images, side):
    """Batch norm of a convolution of digits, averaged to side x side positions; gamma 1, beta 0"""
    x = torch.tensor(held_out[[first, *order[1:images]]]).reshape(-1, 1, 8, 8)
    x = torch.nn.functional.adaptive_avg_pool2d(torch.nn.functional.conv2d(x, weight), side)
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    return ((x - mean) / (var + 1e-5).sqrt())[0]


for name, images, side in (("changed", {images}, {side}), ("changed_one", 1, 1), ("changed_map", 1, 6)):
    change = outputs(order[0], images, side) - outputs(order[{most}], images, side)
    print(name, "=", float(change.square().mean().sqrt()))
print("layer,values_per_channel,refused")
for row in rows:
    print(*row, sep=",")
'''

STREAM_TORCH = """\
import torch
from torch.nn import functional as F

norm = torch.nn.BatchNorm1d(64, dtype=torch.float64)
def one(x):  # (1, 64), in training; F.batch_norm uses the averages, and takes them for constants
    y = F.batch_norm(x, norm.running_mean.clone(), norm.running_var.clone(), norm.weight, norm.bias)
    off = (x - norm.running_mean).detach()[0]
    norm.running_var.mul_({keep}).add_({take} * {keep} * off**2)
    norm.running_mean.add_({take} * off)
    return y
for _ in range({samples}):
    one(torch.ones(1, 64, dtype=torch.float64))
print("left =", 1 - norm.running_mean[0].item())  # of the start, 0, in the averages
"""

_STREAM = '''\
class Running(Networks):
    """Normalizes by averages of earlier samples, in training, too"""

    def normalize(self, x, layer, size):
        mean, var = self.running[layer]
        p, keep, off = self.parameters, self.momentum, (x - mean).detach()
        self.running[layer] = mean + (1 - keep) * off, keep * (var + (1 - keep) * off.square())
        return p[f"gamma{{layer}}"] * (x - mean) / (var + self.eps).sqrt() + p[f"beta{{layer}}"]


def learn(net):
    """For each sample, whether it was known before it was learned from, (seeds, samples)"""
    known = []
    for _ in range({samples}):
        x, y = net.batch()
        logits = net.forward(x, 1)
        known.append(logits.detach().argmax(2) == y)
        loss = F.cross_entropy(logits.mT, y, reduction="none").mean(1)
        parameters = list(net.parameters.values())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss.sum(), parameters)):
            parameter.data -= net.lr * gradient
        net.step += 1
    return torch.cat(known, 1).numpy()


columns = {{"samples": range(50, {samples} + 1, 50)}}
for norm in ("batch", "none", "layer", "running"):
    kind, name = (Running, "batch") if norm == "running" else (Networks, norm)
    fields = dict(norm=name, batch_size=1, lr={rate!r}, momentum={momentum})
    known = learn(kind(range({seed}, {seed} + {seeds}), **fields))
    print(f"wrong_{{norm}} =", 100 * (1 - known[:, -{late}:].mean()))
    ages = np.arange({samples})[None, :] - np.arange({samples})[:, None]
    weight = np.where(ages >= 0, 0.99 ** np.maximum(ages, 0), 0)  # of a sample, at each later one
    online = known @ weight / weight.sum(0)
    columns[norm] = online.mean(0)[49::50]
table(**columns)
'''
STREAM = Program(NETWORKS, _STREAM)

DRIFT_TORCH = """\
import torch

norm = torch.nn.BatchNorm1d(64, momentum={take}, dtype=torch.float64)  # the weight of the new value
batches = torch.ones({samples}, 2, 64, dtype=torch.float64)  # the new mean is 1, the old one was 0
for batch in batches:  # train() needs 2 values
    norm.train()(batch)  # this moves the averages
print("kept =", 1 - norm.running_mean[0].item())
norm.eval()  # and here predictions use them
"""

_DRIFT = '''\
def stream(seed):
    """Which held-out digits come, in order"""
    order = np.random.default_rng((seed, 14)).permutation(len(VAL_X))[:{samples}]
    return order[VAL_Y[order].numpy().argsort(kind="stable")] if {by_class} else order


class Going(Networks):
    """In use the averages go on with each sample"""

    keep = None

    def normalize(self, x, layer, size):
        y = super().normalize(x, layer, size)
        if self.keep is not None:
            (mean, var), k = self.running[layer], self.keep
            self.running[layer] = k * mean + (1 - k) * x, k * (var + (1 - k) * (x - mean).square())
        return y


seeds = range({seed}, {seed} + {seeds})
order = np.stack([stream(seed) for seed in seeds])
x, y = {change}[0] * VAL_X[order] + {change}[1], VAL_Y[order]
net = Going(seeds, norm="batch").train({steps})
layer = Networks(seeds, norm="layer").train({steps})
trained, rows = net.running, {{}}
with torch.no_grad():
    for momentum in {momenta}:
        net.running, net.keep = list(trained), momentum
        said = torch.cat([net.forward(x[:, k : k + 1]).argmax(2) for k in range({samples})], 1)
        rows[momentum] = 100 * float((said != y).double().mean())
    print("wrong_layer =", 100 * float((layer.forward(x).argmax(2) != y).double().mean()))
print("best =", min({asked}, key=rows.get))
print("wrong =", rows[{momentum!r}])
table(momentum=rows, wrong=rows.values())
'''
DRIFT = Program(NETWORKS, _DRIFT)
