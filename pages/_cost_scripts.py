"""What is taken away from "What it costs": scripts and a few lines of PyTorch."""

from __future__ import annotations

MADE = {
    "batch": "BatchNorm1d({})",
    "layer": "LayerNorm({})",
    "group": "GroupNorm({1}, {0})",
    "rms": "RMSNorm({})",
}

SHARE_TORCH = """\
import torch
from torch import nn

torch.set_num_threads(1)
blocks = [[nn.Linear(before, {width}), nn.{made}, nn.ReLU()] for before in (64, {width}, {width})]
net, x = nn.Sequential(*sum(blocks, []), nn.Linear({width}, 10)), torch.randn({batch}, 64)
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
    for _ in range(20):
        net(x).square().mean().backward()
print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=8, max_name_column_width=30))
print("torch =", sum(one.self_cpu_time_total for one in seen.key_averages()) / 20_000)  # ms, no update
"""

SHARE = '''\
import math
import time
import numpy as np
import torch
from torch import nn

NORM, BATCH, DEPTH = "{norm}", {batch}, {depth}
torch.set_num_threads(1)


class Norm:
    """A norm in NumPy: mean and variance along an axis; RMS norm subtracts nothing"""

    def __init__(self, width):
        self.gamma, self.beta = np.ones(width, "float32"), np.zeros(width, "float32")
        self.centre, self.axis = NORM != "rms", 0 if NORM == "batch" else -1

    def seen(self, x):
        return x.reshape(len(x), math.gcd(8, x.shape[1]), -1) if NORM == "group" else x

    def forward(self, x):
        parts = self.seen(x)
        if self.centre:
            parts = parts - parts.mean(self.axis, keepdims=True)
        self.rstd = 1 / np.sqrt((parts * parts).mean(self.axis, keepdims=True) + 1e-5)
        self.xhat = parts * self.rstd
        return self.gamma * self.xhat.reshape(x.shape) + self.beta

    def backward(self, dy):
        self.dgamma, self.dbeta = (dy * self.xhat.reshape(dy.shape)).sum(0), dy.sum(0)
        g = self.seen(self.gamma * dy)
        dx = g - self.xhat * (g * self.xhat).mean(self.axis, keepdims=True)
        if self.centre:
            dx -= g.mean(self.axis, keepdims=True)
        self.gamma -= 0 * self.dgamma
        self.beta -= 0 * self.dbeta
        return (dx * self.rstd).reshape(dy.shape)


def in_numpy(width, with_norm):
    """A function that makes a training step"""
    rng, sizes = np.random.default_rng(0), [64, *DEPTH * [width], 10]
    weights = [rng.standard_normal(s, "float32") * np.float32(s[0] ** -0.5) for s in zip(sizes, sizes[1:])]
    biases = [np.zeros(size, "float32") for size in sizes[1:]]
    norms = [Norm(width) if with_norm else None for _ in range(DEPTH)]
    x, rows = rng.standard_normal((BATCH, 64), "float32"), np.arange(BATCH)
    labels = rng.integers(10, size=BATCH)

    def step():
        inputs, signs, a = [], [], x
        for weight, bias, norm in zip(weights, biases, norms):
            inputs.append(a)
            a = a @ weight + bias
            a = norm.forward(a) if norm else a
            signs.append(a > 0)
            a = a * signs[-1]
        inputs.append(a)
        logits = a @ weights[-1] + biases[-1]
        d = np.exp(logits - logits.max(1, keepdims=True))
        d /= d.sum(1, keepdims=True)
        d[rows, labels] -= 1
        d /= BATCH
        for k in range(DEPTH, -1, -1):
            if k < DEPTH:
                d = d * signs[k]
                d = norms[k].backward(d) if norms[k] else d
            change, change_bias = inputs[k].T @ d, d.sum(0)
            d = d @ weights[k].T if k else None
            weights[k] -= 0 * change
            biases[k] -= 0 * change_bias

    return step


def in_torch(width, with_norm):
    made = {{
        "batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "rms": nn.RMSNorm,
        "group": lambda width: nn.GroupNorm(math.gcd(8, width), width),
    }}[NORM]
    layers, before = [], 64
    for _ in range(DEPTH):
        layers += [nn.Linear(before, width), *([made(width)] if with_norm else []), nn.ReLU()]
        before = width
    net = nn.Sequential(*layers, nn.Linear(width, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-12)
    x, labels = torch.randn(BATCH, 64), torch.randint(10, (BATCH,))

    def step():
        loss = nn.functional.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def times(jobs, rounds=5, seconds=8e-3):
    """Milliseconds of each job, the best round; they take turns"""
    best = [np.inf] * len(jobs)
    for _ in range(rounds):
        for k, job in enumerate(jobs):
            job()
            begin, done = time.thread_time(), 0
            while done < 2 or time.thread_time() - begin < seconds:
                job()
                done += 1
            best[k] = min(best[k], 1000 * (time.thread_time() - begin) / done)
    return best


def operations(width):
    matrices = [64 * width] + (DEPTH - 1) * [width**2] + [10 * width]
    products, norm = 6 * sum(matrices) - 2 * matrices[0], {operations} * DEPTH * width
    return products, norm / (products + norm)


found = {{}}
for width in sorted({{*{grid}, {width}}}):
    jobs = [make(width, with_norm) for make in (in_numpy, in_torch) for with_norm in (False, True)]
    found[width] = times(jobs)
share = {{width: max(1 - row[0] / row[1], 0.0) for width, row in found.items()}}
narrow, wide = share[{narrow}], share[{wide}]
print("trend =", 1 + (wide > 1.5 * narrow) - (wide < narrow / 1.5))
print("operations =", operations({width})[1])
print("products =", operations({wide})[0] / operations({narrow})[0])
print("numpy =", found[{width}][1])
print("torch =", found[{width}][3])
print("width,operations,numpy_bare,numpy,torch_bare,torch")
for width, row in found.items():
    print(width, operations(width)[1], *row, sep=",")
'''

NUMBERS_TORCH = """\
from torch import nn

layers, before = [], 64
for _ in range(3):
    layers += [nn.Linear(before, {width}, bias=False), nn.BatchNorm1d({width}), nn.ReLU()]
    before = {width}
net = nn.Sequential(*layers, nn.Linear({width}, 10))
norms = [module for module in net if isinstance(module, nn.BatchNorm1d)]
print("learned =", sum(p.numel() for p in net.parameters()))
print("affine =", sum(p.numel() for norm in norms for p in norm.parameters()))
print("kept =", sum(b.numel() for b in net.buffers() if b.ndim))  # num_batches_tracked has no axes
"""

NUMBERS = '''\
from torch import nn


def dense(width):
    layers, before = [], 64
    for _ in range(3):
        layers += [nn.Linear(before, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.Linear(width, 10))


def resnet50():
    """The layers of ResNet-50, in no order that could be run: for counting"""
    found, before = [], 64

    def conv(inputs, outputs, size):
        found.extend([nn.Conv2d(inputs, outputs, size, bias=False), nn.BatchNorm2d(outputs)])

    conv(3, 64, 7)
    for blocks, width in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for block in range(blocks):
            conv(before, width, 1)
            conv(width, width, 3)
            conv(width, 4 * width, 1)
            if block == 0:
                conv(before, 4 * width, 1)  # the shortcut
            before = 4 * width
    return nn.ModuleList([*found, nn.Linear(before, 1000)])


def counted(net):
    """Parameters, gammas and betas, numbers kept"""
    norms = [module for module in net if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    every = sum(p.numel() for p in net.parameters())
    affine = sum(p.numel() for norm in norms for p in norm.parameters())
    return every, affine, sum(b.numel() for b in net.buffers() if b.ndim)


every, affine, kept = counted(dense({width}))
print("learned =", every)
print("affine =", affine)
print("part =", 100 * affine / every)
print("kept =", kept)
every, affine, kept = counted(resnet50())
print("resnet =", 100 * affine / every)
print("resnet_learned =", every)
print("resnet_kept =", kept)
print("width,parameters,gammas_betas,percent,kept")
for width in {widths}:
    every, affine, kept = counted(dense(width))
    print(width, every, affine, 100 * affine / every, kept, sep=",")
'''

MEMORY_TORCH = """\
import torch
from torch import nn

net, saved = nn.{made}, {{}}
known = {{p.data_ptr() for p in [*net.parameters(), *net.buffers()]}}
with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.setdefault(t.data_ptr(), t), lambda t: t):
    net(torch.randn({batch}, {width}, requires_grad=True))
held = sum(t.numel() for at, t in saved.items() if at not in known)
print("torch =", held / ({batch} * {width}))
"""
MEMORY = '''\
import numpy as np
import torch
from torch import nn

BATCH, WIDTH, GROUPS, NORM = {batch}, {width}, {groups}, "{norm}"
MADE = {{
    "batch": nn.BatchNorm1d(WIDTH), "layer": nn.LayerNorm(WIDTH), "group": nn.GroupNorm(GROUPS, WIDTH),
    "rms": nn.RMSNorm(WIDTH),
}}


def in_numpy(norm):
    """What is left of a forward pass: x̂, and of each mean three numbers"""
    x = np.random.default_rng(0).standard_normal((BATCH, WIDTH))
    x = x.reshape(BATCH, GROUPS, -1) if norm == "group" else x
    axis = 0 if norm == "batch" else -1
    mean = x.mean(axis, keepdims=True) * (norm != "rms")
    var = np.square(x - mean).mean(axis, keepdims=True)
    rstd = 1 / np.sqrt(var + 1e-5)
    return sum(array.size for array in ((x - mean) * rstd, mean, var, rstd))


def in_torch(norm):
    """What PyTorch saves, the norm's own parameters and buffers aside"""
    net, saved = MADE[norm], {{}}
    known = {{p.data_ptr() for p in [*net.parameters(), *net.buffers()]}}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.setdefault(t.data_ptr(), t), lambda t: t):
        net(torch.randn(BATCH, WIDTH, requires_grad=True))
    return sum(t.numel() for at, t in saved.items() if at not in known)


print("activation =", BATCH * WIDTH)
print("law =", in_numpy(NORM) / BATCH / WIDTH)
print("torch =", in_torch(NORM) / BATCH / WIDTH)
print("norm,numbers,torch,activations")
for norm in {names}:
    print(norm, in_numpy(norm), in_torch(norm), in_numpy(norm) / BATCH / WIDTH, sep=",")
'''

FOLD_TORCH = """\
import torch
from torch import nn

linear, norm = nn.Linear(64, 64, bias=False).double(), nn.BatchNorm1d(64).double()
for _ in range(20):
    norm(linear(torch.randn(32, 64).double()))  # running statistics
linear.eval(), norm.eval()
folded, x = torch.nn.utils.fuse_linear_bn_eval(linear, norm), torch.randn(500, 64).double()
change = (folded(x) - norm(linear(x))).abs().max()
print("rounding =", float(change < 1e-10))
"""

FOLD = '''
import time

STEPS, DEPTH, FOLDED = {steps}, {depth}, {folded}
nets = Networks(range({seed}, {seed} + {seeds}), depth=DEPTH).train(STEPS)


@torch.no_grad()
def layers():
    """Of each hidden layer W, and what its norm multiplies by and adds in inference"""
    found, p = [], nets.parameters
    for k in range(DEPTH):
        mean, var = nets.running[k]
        s = p[f"gamma{{k}}"] / (var + nets.eps).sqrt()
        found.append((p[f"weight{{k}}"], s, p[f"beta{{k}}"] - s * mean))
    return found


@torch.no_grad()
def logits(folded, x):
    """Logits with the norms of so many layers folded into weights and biases"""
    x = x.expand(len(nets.seeds), -1, -1)
    for k, (W, s, t, inside) in enumerate(made[folded]):
        x = F.relu(torch.baddbmm(t, x, W) if inside else (x @ W) * s + t)
    return x @ nets.parameters[f"weight{{DEPTH}}"] + nets.parameters[f"bias{{DEPTH}}"]


def milliseconds(folded, rounds=9):
    best = np.inf
    for _ in range(rounds):
        begin = time.thread_time()
        for _ in range(10):
            logits(folded, VAL_X[:32])
        best = min(best, 100 * (time.thread_time() - begin))
    return best


made = {{}}
for folded in range(DEPTH + 1):
    made[folded] = [
        (W * s, s, t, True) if k < folded else (W, s, t, False) for k, (W, s, t) in enumerate(layers())
    ]
every = {{folded: logits(folded, VAL_X) for folded in made}}
change = {{folded: (one - every[0]).abs().max().item() for folded, one in every.items()}}
changed = {{folded: int((one.argmax(2) != every[0].argmax(2)).sum()) for folded, one in every.items()}}
left = {{folded: 2 * sum(not inside for *_, inside in made[folded]) / DEPTH for folded in made}}
print("left =", left[FOLDED])
print("changed =", changed[FOLDED])
print("rounding =", float(change[FOLDED] < 1e-4 * every[0].std().item()))
print("# largest change of a logit in float64:", change[FOLDED])
print("folded,left,changed,milliseconds")
for folded in made:
    print(folded, left[folded], changed[folded], milliseconds(folded), sep=",")
'''
