"""What is taken away from "Small batches": scripts with the same numbers, and a few lines of PyTorch."""

from __future__ import annotations

from textwrap import dedent

from bnlib.lessons.small import BATCHES, MOST
from bnlib.lessons.small_fixes import ACCUMULATED
from book.controls import SEEDS, Values
from book.torch_script import NETWORKS
from pages._small_batches_mend import FIXES, UNREPEATED
from pages._small_batches_parts import (
    CONV_BATCH,
    CONV_RATE,
    CONV_SIZES,
    CONV_STEPS,
    EPOCH,
    EPOCH_RATE,
    EPOCH_SIZES,
    EPOCHS,
    FAILED,
    RATE,
    SIZES,
    STEP_BATCH,
    STEPS,
    UNIT,
    near,
)

SPREAD = """\
from math import exp, lgamma, sqrt

import numpy as np
from sklearn.datasets import load_digits

order = np.random.default_rng(123).permutation(1797)
images = load_digits().data[order][:1297] / 16
weights = sqrt(2 / 64) * np.random.default_rng(({seed}, 0)).standard_normal((64, 64))
x = images @ weights[:, {unit}]  # what one unit gets from each digit
x = (x - x.mean()) / x.std()
batches = x[np.random.default_rng(({seed}, 10)).integers(len(x), size=({most}, {batches}))]
scatter = lambda m: batches[:m].mean(axis=0).std()
root = lambda m: batches[:m].std(axis=0).mean()
law = lambda m: sqrt(2 / m) * exp(lgamma(m / 2) - lgamma((m - 1) / 2))  # of Gaussian numbers
print("spread =", scatter({m}))
print("spread_theory =", {m} ** -0.5)
print("ratio =", scatter({m}) / scatter({most}))
print("std =", root({m}))
print("std_theory =", law({m}))
print("m,spread_theory,spread,std,std_theory")
for m in {sizes}:
    print(m, m**-0.5, scatter(m), root(m), law(m), sep=",")
"""

DENSE = """\
def dense(m, kind=Networks, count={seeds}, **more):
    fields = dict(depth=4, batch_size={batch}, norm_batch=m, lr={rate})
    fields |= dict(optimizer="momentum", cosine_steps={steps})
    return kind(range({seed}, {seed} + count), **(fields | more))


"""

CLIFF = """\
# Norm batches of 2 and 4 multiply rounding errors: another program ends elsewhere, with similar errors.
rows = []
for m in {sizes}:
    net = dense(m).train({steps})
    found = [float(e.mean()) for e in (net.error(), net.error("batch"), net.error("batch", X, Y))]
    failed = int((net.error() > {failed}).sum())
    rows.append((m, *(found if m > 4 else [float("nan")] * 3), failed))
    if m == {m}:
        print("level =", round(found[0] / 25) / 4)  # the share of wrong answers, in quarters
    if m > 4:
        print(f"eval_{{m}} =", found[0])
print("failed =", dict((m, failed) for m, *_, failed in rows)[{m}])
table(**dict(zip(("m", "eval", "own", "train", "failed"), zip(*rows))))
"""

MEND = """\
class Devices(Networks):
    moments = {{}}

    def normalize(self, x, layer, size):
        if self.norm == "batch" and size:
            parts = x.detach().reshape(len(x), size, -1, x.shape[2])
            self.moments[layer] = parts.mean(1), variance(parts, 1)
        return super().normalize(x, layer, size)


class Frozen(Networks):
    def loss(self):
        x, y = self.batch()
        return F.cross_entropy(self.forward(x).mT, y, reduction="none").mean(1)


everything = X.expand({seeds}, -1, -1)
found = {{}}
# Norm batches of 2 multiply rounding errors: another program ends elsewhere, so they are not in the table.
# Two of the eight networks show which pair helps least.
failing = dense(2, Devices, count=2).train({steps})
found["asis"] = failing.error()
found["accumulate"] = dense(2, count=2, batch_size={accumulated} * {batch}).train({steps}).error()
failing.forward(everything[:2, :1296], 2)
for layer, (mean, var) in failing.moments.items():
    whole = mean.mean(1, keepdim=True)
    failing.running[layer] = whole, (var + mean**2).mean(1, keepdim=True) - whole**2
found["recompute"] = failing.error()
found["more"] = dense(16).train({steps}).error()
found["sync"] = dense(0).train({steps}).error()
for norm in ("group", "layer", "none"):
    found[norm] = dense(0, norm=norm).train({steps}).error()
net = dense(0, Frozen)
net.forward(everything, len(X))
net.running = [(mean, var * n / (n - 1)) for mean, var, n in net.seen.values()]
found["frozen"] = net.train({steps}).error()
at = {{name: float(errors.mean()) for name, errors in found.items()}}
pairs = (("accumulate", "recompute"), ("more", "sync"), ("group", "none"))
print("pair =", int(np.argmin([sum(at["asis"] - at[name] for name in pair) for pair in pairs])))
names = {names}
for name in names:
    print(f"error_{{name}} =", at[name])
print("bare =", at["none"] - at["group"])
table(fix=names.values(), wrong=[at[name] for name in names])
"""

PROTOCOLS = """\
rows, at = [], {{}}
for norm in ("batch", "group"):
    for size in {sizes}:
        if norm == "group" or size > 4:  # batches of 2 and 4 multiply rounding errors
            steps = {epochs} * {epoch} // size
            net = dense(0, norm=norm, batch_size=size, lr={epoch_rate} * size / 64, cosine_steps=steps)
            at[norm, size] = float(net.train(steps).error().mean())
            rows.append((norm, size, steps, at[norm, size]))
print("group_64 =", at["group", 64])
print("group_2 =", at["group", 2])
print("ratio =", at["group", {m}] / at["group", 64])
table(**dict(zip(("norm", "batch", "steps", "wrong"), zip(*rows))))
"""

CONV = """\
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
digits = load_digits()
order = np.random.default_rng(123).permutation(1797)
images = torch.tensor(digits.data[order] / 16).reshape(-1, 1, 8, 8)
labels = torch.tensor(digits.target[order])
X, Y, VAL_X, VAL_Y = images[:1297], labels[:1297], images[1297:], labels[1297:]
SEEDS, CHANNELS = range({seed}, {seed} + {seeds}), (1, 8, 16, 16)
STEPS, BATCH, RATE, R = {steps}, {batch}, {rate}, len(SEEDS)


class Networks:
    \"\"\"Convolutional networks, seeds as groups of channels; m images share their statistics\"\"\"

    def __init__(self, m):
        self.m, streams = m, [np.random.default_rng((seed, 0)) for seed in SEEDS]
        draw = lambda rows, columns: torch.tensor(
            np.stack([np.sqrt(2 / rows) * rng.standard_normal((rows, columns)) for rng in streams])
        )
        self.kernels = []
        for a, b in zip(CHANNELS, CHANNELS[1:]):  # rows of a kernel: row, column, channel
            kernel = draw(9 * a, b).reshape(R, 3, 3, a, b).permute(0, 4, 3, 1, 2)
            self.kernels.append(kernel.reshape(-1, a, 3, 3))
        self.top, self.bias = draw(16, 10), torch.zeros(R, 1, 10)
        self.gammas = [torch.ones(R * c) for c in CHANNELS[1:]]
        self.betas = [torch.zeros(R * c) for c in CHANNELS[1:]]
        self.learned = [*self.kernels, self.top, self.bias, *self.gammas, *self.betas]
        self.velocity = [torch.zeros_like(parameter) for parameter in self.learned]
        self.running = [(torch.zeros(R * c), torch.ones(R * c)) for c in CHANNELS[1:]]
        for parameter in self.learned:
            parameter.requires_grad_()

    def forward(self, x, m):
        \"\"\"Logits (R, N, 10) of x (N, R or 1, 8, 8); m = 0: with the running averages\"\"\"
        x, self.seen = x.expand(-1, R, -1, -1), []
        for layer in range(3):
            x = F.conv2d(x, self.kernels[layer], stride=2 if layer == 1 else 1, padding=1, groups=R)
            if m:  # images 0, N/m, 2N/m, ... share
                parts, channels = x.reshape(m, -1, *x.shape[2:]), x.shape[1]
                mean, var = torch.zeros(2, parts.shape[1])  # momentum 1: what the batch has, unbiased
                x = F.batch_norm(parts, mean, var, training=True, momentum=1.0).reshape(x.shape)
                self.seen.append(tuple(a.reshape(-1, channels).mean(0) for a in (mean, var)))
            else:
                x = F.batch_norm(x, *self.running[layer])
            x = F.relu(self.gammas[layer][:, None, None] * x + self.betas[layer][:, None, None])
        return x.mean((2, 3)).reshape(len(x), R, -1).transpose(0, 1) @ self.top + self.bias

    def train(self):
        for step in range(STEPS):
            start, found = step * BATCH, []
            for seed in SEEDS:
                epochs = range(start // len(X), (start + BATCH - 1) // len(X) + 1)
                stream = [np.random.default_rng((seed, 1, e)).permutation(len(X)) for e in epochs]
                found.append(np.concatenate(stream)[start % len(X) :][:BATCH])
            rows = torch.tensor(np.stack(found))
            logits = self.forward(X[rows, 0].transpose(0, 1), self.m)
            loss = F.cross_entropy(logits.mT, Y[rows], reduction="none").mean(1).sum()
            self.running = [
                (0.9 * a + 0.1 * mean, 0.9 * v + 0.1 * var)
                for (a, v), (mean, var) in zip(self.running, self.seen)
            ]
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
            for k, gradient in enumerate(torch.autograd.grad(loss, self.learned)):
                self.velocity[k] = 0.9 * self.velocity[k] + gradient
                self.learned[k].data -= rate * self.velocity[k]
        return self

    @torch.no_grad()
    def error(self, m=0, x=VAL_X, y=VAL_Y):
        n = len(x) // m * m if m else len(x)
        return float(100 * (self.forward(x[:n], m).argmax(2) != y[:n]).double().mean())


rows = []
for m in {sizes}:
    net = Networks(m).train()
    rows.append((m, net.error(), net.error(m, X, Y), 64 * m, 16 * m))
    if m == {m}:
        print("conv =", rows[-1][1])
        print("conv_train =", rows[-1][2])
print("m,eval,train,numbers_first,numbers_last")
for row in rows:
    print(*row, sep=",")
"""


def script(values: Values) -> str:
    """Write a script that trains the scene's networks again and prints its numbers and its table."""
    scene, given = values["scene"], {"seed": SEEDS * values["seed"], "seeds": SEEDS, "m": values["m"]}
    if scene == "spread":
        return SPREAD.format(unit=UNIT, most=MOST, batches=BATCHES, sizes=SIZES, **given)
    if scene == "conv":
        given |= {"m": near(values["conv_m"], CONV_SIZES), "sizes": CONV_SIZES, "steps": CONV_STEPS}
        return CONV.format(batch=CONV_BATCH, rate=CONV_RATE, **given)
    given |= {"steps": STEPS, "batch": STEP_BATCH, "rate": RATE}
    head = NETWORKS + DENSE.format(**given)
    if scene == "cliff":
        return head + CLIFF.format(failed=FAILED, sizes=SIZES, **given | {"m": near(values["m"], SIZES)})
    if scene == "mend":
        return head + MEND.format(accumulated=ACCUMULATED, names=kept(), **given)
    given |= {
        "m": near(values["batch"], EPOCH_SIZES),
        "epochs": EPOCHS,
        "epoch": EPOCH,
        "epoch_rate": EPOCH_RATE,
    }
    return head + PROTOCOLS.format(sizes=EPOCH_SIZES, **given)


def kept() -> dict[str, str]:
    """Return the fixes whose errors another program finds, too."""
    return {name: words for name, (words, _) in FIXES.items() if name not in UNREPEATED}


# ---- a few lines of PyTorch ------------------------------------------------------------------------------

HEAD = "import torch\nfrom torch import nn\n\n"
SPREAD_TORCH = """\
x = torch.full((1, {m}), 1 / {m})  # the mean of m numbers is a sum with these weights
print("spread_theory =", x.norm().item())  # sigma / sqrt(m) for independent numbers
"""
PAIR_TORCH = """\
bn = nn.BatchNorm1d(1, affine=False, dtype=torch.float64)
x = torch.tensor([[0.0], [1.0]], dtype=torch.float64, requires_grad=True)  # a batch of 2
y = bn(x)
print("x_hat =", y[1].item())  # nearly 1, and -1 the other, wherever the two are
print("slope =", torch.autograd.grad(y[1], x)[0][1].item())  # nearly 0: the layers below learn nothing
"""
REFUSED_TORCH = """\
try:
    bn(x[:1])
    print("refused =", 0)
except ValueError:  # Expected more than 1 value per channel when training
    print("refused =", 1)
"""
CONV_TORCH = """\
x = torch.randn({m}, 8, 8, 8)  # images, channels, height, width
nn.BatchNorm2d(8)(x)
print("first =", x.numel() / x.shape[1])  # numbers that share a mean
print("one_dense =", torch.randn({m}, 8).numel() / 8)  # in nn.BatchNorm1d(8)
"""
PROTOCOLS_TORCH = """\
batch, epochs, samples = {m}, {epochs}, {epoch}
loader = torch.utils.data.DataLoader(torch.zeros(samples, 64), batch_size=batch, shuffle=True)
optimizer = torch.optim.SGD(nn.Linear(64, 10).parameters(), lr={rate} * batch / 64, momentum=0.9)
print("steps =", epochs * len(loader))  # a smaller batch changes this,
print("rate =", optimizer.param_groups[0]["lr"])  # and this, not only the statistics
"""
ACCUMULATE_TORCH = """\
bn = nn.BatchNorm1d(1, dtype=torch.float64)
optimizer = torch.optim.SGD(bn.parameters(), lr=0.05)
for pair in torch.tensor([[[0.0], [1.0]], [[5.0], [6.0]]], dtype=torch.float64):  # micro-batches of 2
    x_hat = bn(pair)  # each has its own mean and variance, however many are accumulated
    (x_hat.square().mean() / 2).backward()
optimizer.step()
print("x_hat =", x_hat.detach().abs().mean().item())  # still -1 and 1
"""
FIX_TORCH = {
    "asis": PAIR_TORCH,
    "accumulate": ACCUMULATE_TORCH,
    "recompute": """\
        net = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 10))  # any network
        norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        usual = [norm.momentum for norm in norms]
        net.eval()  # dropout stays off
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average of all batches
            norm.train()
        with torch.no_grad():
            for x in torch.tensor([[[0.0], [2.0]], [[4.0], [6.0]]]):  # training data, no step
                net(x)
        for norm, momentum in zip(norms, usual):
            norm.momentum = momentum
        net.eval()
        print("running_mean =", norms[0].running_mean.item())  # no weight has changed
        """,
    "renorm": """\
        def batch_renorm(x, bn, r_max=3.0, d_max=5.0):  # PyTorch has none; bn: nn.BatchNorm1d
            mean, std = x.mean(0), (x.var(0, correction=0) + bn.eps).sqrt()
            running = (bn.running_var + bn.eps).sqrt()
            r = (std / running).clamp(1 / r_max, r_max).detach()  # constants for the gradient
            d = ((mean - bn.running_mean) / running).clamp(-d_max, d_max).detach()
            bn(x)  # moves the running statistics
            return bn.weight * ((x - mean) / std * r + d) + bn.bias

        bn = nn.BatchNorm1d(1)  # running mean 0, variance 1
        y = batch_renorm(torch.tensor([[2.0], [4.0]]), bn)
        print("renorm_mean =", round(y.mean().item(), 4))  # batch norm would make it 0
        """,
    "frozen": """\
        net = nn.Sequential(nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64))
        net[1].momentum = None
        with torch.no_grad():
            net(torch.randn(1297, 64))  # one pass: all training samples
        net.train()
        net[1].eval()  # again after every net.train(): the statistics are constants now
        before = net[1].running_mean.clone()
        net(torch.randn(2, 64)).square().mean().backward()
        print("moved =", (net[1].running_mean - before).abs().max().item())
        """,
    "more": """\
        from torch.utils.data import DataLoader

        samples = torch.randn(1024, 64)  # of one device
        loader = DataLoader(samples, batch_size=16, shuffle=True, drop_last=True)  # it was batch_size=2
        print("shared =", next(iter(loader)).shape[0])  # samples that share a mean
        """,
    "sync": """\
        net = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(1)))
        # net = nn.parallel.DistributedDataParallel(net.to(rank), device_ids=[rank]); it computes:
        devices = torch.tensor([[0.0, 2.0], [4.0, 6.0]])
        mean, var = devices.mean(1), devices.var(1, correction=0)
        print("shared_mean =", mean.mean().item())
        print("shared_var =", ((var + mean**2).mean() - mean.mean() ** 2).item())
        """,
    "group": """\
        norm = nn.GroupNorm(8, 64)  # in place of nn.BatchNorm1d(64), or of nn.BatchNorm2d(64)
        sample, others = torch.randn(1, 64), torch.randn(2, 1, 64)
        first, second = (norm(torch.cat([sample, other]))[0] for other in others)
        print("companions =", (first - second).abs().max().round(decimals=5).item())
        """,
    "layer": """\
        norm = nn.LayerNorm(64)  # in place of nn.BatchNorm1d(64)
        sample, others = torch.randn(1, 64), torch.randn(2, 1, 64)
        first, second = (norm(torch.cat([sample, other]))[0] for other in others)
        print("companions =", (first - second).abs().max().round(decimals=5).item())
        """,
    "none": """\
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU())  # with a bias again, and no norm
        nn.init.kaiming_normal_(net[0].weight, nonlinearity="relu")
        nn.init.zeros_(net[0].bias)
        print("gain_relu =", nn.init.calculate_gain("relu"))  # keeps the signal's size from layer to layer
        """,
}


def pytorch(values: Values) -> str:
    """Write a scene's few lines of PyTorch."""
    scene = values["scene"]
    if scene == "spread":
        return HEAD.replace("from torch import nn\n", "") + SPREAD_TORCH.format(m=values["m"])
    if scene == "cliff":
        return HEAD + PAIR_TORCH + REFUSED_TORCH
    if scene == "conv":
        return HEAD + CONV_TORCH.format(m=near(values["conv_m"], CONV_SIZES))
    if scene == "mend":
        return HEAD + dedent(FIX_TORCH[values["fix"]])
    given = {"epochs": EPOCHS, "epoch": EPOCH, "rate": EPOCH_RATE}
    return HEAD + PROTOCOLS_TORCH.format(m=near(values["batch"], EPOCH_SIZES), **given)
