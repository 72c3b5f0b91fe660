"""What is taken away from the recurrent scenes: scripts that train again in PyTorch, and a few lines."""

from __future__ import annotations

RECURRENT = '''\
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
digits, rng = load_digits(), np.random.default_rng(123)
order = rng.permutation(1797)
images, labels = digits.data[order] / 16, torch.tensor(digits.target[order])


def paused(images, lengths, steps, rng):
    """Digits as sequences of rows with blank rows in between, NaN behind the end: (N, steps, 8)"""
    real = np.arange(steps) < lengths[:, None]
    place = np.sort(np.argsort(np.where(real, rng.random(real.shape), np.inf), axis=1)[:, :8], axis=1)
    found = np.where(real, 0.0, np.nan)[:, :, None].repeat(8, axis=2)
    np.put_along_axis(found, place[:, :, None], images.reshape(-1, 8, 8), axis=1)
    return torch.tensor(found)


lengths = rng.integers(8, 17, 1797)
every = paused(images, lengths, 16, rng)
X, Y, VAL_X, VAL_Y = every[:1297], labels[:1297], every[1297:], labels[1297:]


class Recurrent:
    """Recurrent networks side by side, one a seed, with a norm before tanh; AdamW, the rate falls to 0

    norm "masked": batch norm of each step, of the sequences that have not ended; "counted": of all
    """

    def __init__(self, seeds, norm, batch_size, lr, steps, width):
        self.__dict__ |= {name: value for name, value in locals().items() if name != "self"}
        self.step, self.orders, self.p = 0, {}, {}
        streams = [np.random.default_rng((seed, 0)) for seed in seeds]
        normal = lambda *shape: np.stack([stream.standard_normal(shape) for stream in streams])
        drawn = lambda rows, size: np.sqrt(2 / rows) * normal(rows, size)
        full = lambda size, value: torch.full((len(seeds), 1, size), value)
        self.p["weight"] = torch.tensor(0.7 * drawn(8 + width, width))
        self.p["out"] = torch.tensor(0.7 * drawn(width, 10))
        self.p["bias_out"] = full(10, 0.0)
        if norm in ("layer", "none"):
            self.p["bias"] = full(width, 0.0)
        if norm != "none":
            self.p |= {"gamma": full(width, 1.0), "beta": full(width, 0.0)}
        for parameter in self.p.values():
            parameter.requires_grad_()
        self.moments = {name: (0, 0) for name in self.p}
        self.mean, self.var = torch.zeros(len(seeds), 16, width), torch.ones(len(seeds), 16, width)

    def normalize(self, s, here, t, training):
        if self.norm == "none":
            return s
        if self.norm == "layer":
            xhat = F.layer_norm(s, s.shape[-1:])
        elif not training:
            mean, var = self.mean[:, min(t, 15), None], self.var[:, min(t, 15), None]
            xhat = (s - mean) / (var + 1e-5).sqrt()
        else:
            keep = (here if self.norm == "masked" else torch.ones_like(here)).to(s)
            count = keep.sum(1, keepdim=True).clamp(min=1)
            mean = (s * keep).sum(1, keepdim=True) / count
            var = ((s - mean).square() * keep).sum(1, keepdim=True) / count
            self.seen.append((keep.sum(1), mean.detach()[:, 0], var.detach()[:, 0]))
            xhat = (s - mean) / (var + 1e-5).sqrt()
        return self.p["gamma"] * xhat + self.p["beta"]

    def forward(self, x, training=False):
        """Logits of x (seeds, N, steps, 8)"""
        state, self.seen = torch.zeros(*x.shape[:2], self.width), []
        real = ~x[..., :1].isnan()
        x = x.nan_to_num()
        for t in range(x.shape[2]):
            s = torch.cat([x[:, :, t], state], 2) @ self.p["weight"] + self.p.get("bias", 0)
            here = real[:, :, t]
            state = torch.where(here, torch.tanh(self.normalize(s, here, t, training)), state)
        return state @ self.p["out"] + self.p["bias_out"]

    def batch(self):
        """Sequences and labels of the next step, an epoch after the other in an order of the seed's own"""
        first, size, found = self.step * self.batch_size, self.batch_size, []
        for seed in self.seeds:
            epochs = range(first // 1297, (first + size - 1) // 1297 + 1)
            orders = [np.random.default_rng((seed, 1, epoch)).permutation(1297) for epoch in epochs]
            found.append(np.concatenate(orders)[first % 1297 :][:size])
        rows = torch.tensor(np.stack(found))
        return X[rows], Y[rows]

    def train(self):
        for self.step in range(self.steps):
            x, y = self.batch()
            loss = F.cross_entropy(self.forward(x, True).mT, y, reduction="none").mean(1).sum()
            gradients = torch.autograd.grad(loss, list(self.p.values()))
            lr = self.lr * 0.5 * (1 + np.cos(np.pi * self.step / self.steps))
            for (name, parameter), gradient in zip(self.p.items(), gradients):
                first, second = self.moments[name]
                first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient.square()
                self.moments[name] = first, second
                whole = (second / (1 - 0.999 ** (self.step + 1))).sqrt() + 1e-8
                parameter.data -= lr / (1 - 0.9 ** (self.step + 1)) * first / whole
            for t, (count, mean, var) in enumerate(self.seen):  # running averages, of what is there
                var = var * count / (count - 1).clamp(min=1)
                new = 0.9 * self.mean[:, t] + 0.1 * mean
                self.mean[:, t] = torch.where(count > 0, new, self.mean[:, t])
                new = 0.9 * self.var[:, t] + 0.1 * var
                self.var[:, t] = torch.where(count > 1, new, self.var[:, t])
        return self

    @torch.no_grad()
    def wrong(self, x=VAL_X):
        """Which validation digits are answered wrongly, (seeds, N)"""
        said = self.forward(x.expand(len(self.seeds), *x.shape)).argmax(2)
        return (said != VAL_Y).double()


def table(**columns):
    print(",".join(columns))
    for row in zip(*columns.values()):
        print(",".join(map(str, row)))


'''

PADDING_TORCH = """\
import torch

lengths = torch.tensor({lengths})  # of the batch
z = torch.randn(len(lengths), 16, {width})  # (batch, step, unit); BatchNorm1d has no mask
norms = torch.nn.ModuleList(torch.nn.BatchNorm1d({width}) for _ in range(16))  # one a step
going = lengths >= {step}
print("left =", going.sum().item())
if going.sum() > 1:  # of one sequence BatchNorm1d raises a ValueError
    y = norms[{step} - 1](z[going, {step} - 1])
y = torch.nn.LayerNorm({width})(z)  # needs no mask
# LSTM and GRU have no norm inside; torch.nn.utils.rnn.pack_padded_sequence leaves padding out
"""

PADDING = """\
wrong = {}
for norm in ("counted", "masked"):
    wrong[norm] = 100 * Recurrent(seeds, norm, size, lr, steps, width).train().wrong().mean(1).numpy()
    print("#", norm, wrong[norm].mean(), "% wrong")  # rounding grows: single seeds may differ
gap = wrong["masked"] - wrong["counted"]
clear = abs(gap.mean()) > 2.365 * gap.std(ddof=1) / np.sqrt(len(gap))  # Student's t, 95%, of 8 seeds
print("ahead =", float(np.sign(gap.mean()) * clear))
net, left = Recurrent(seeds, "none", size, lr, steps, width), []
for net.step in range(steps):
    left.append((~net.batch()[0][..., 0].isnan()).sum(1).numpy())
left = np.stack(left)
mean, some = left.mean((0, 1)), (left > 0).sum((0, 1))
few = ((left > 0) & (left <= 2)).sum((0, 1)) / some.clip(1)
print("left_mean =", mean[MOMENT - 1])
print("left_last =", mean[-1])
print("few =", 100 * few[-1])
table(step=range(1, 17), left=mean.tolist(), few=few.tolist())
"""

STEPS_TORCH = """\
import torch

one = torch.nn.BatchNorm1d(1, momentum=0.1)  # a single module, called at every step of the loop
for step in range(1, 16 + 1):
    one(torch.full((4, 1), float(step)))  # this step's mean is its number
print("module_mean =", one.running_mean.item())  # of 16 steps; it leans to the last ones
norms = torch.nn.ModuleList(torch.nn.BatchNorm1d({width}) for _ in range(16))  # its own at each step
for norm in norms[1:]:
    norm.weight, norm.bias = norms[0].weight, norms[0].bias  # gamma and beta are shared
"""

STEPS_END = """\
net = Recurrent(seeds, "counted", size, lr, steps, width).train()
std = net.var.sqrt().mean((0, 2)).tolist()
print("first =", std[0])
print("last =", std[-1])
print("ratio =", std[-1] / std[0])
table(step=range(1, 17), std=std)
"""

LONGER_TORCH = """\
import torch

norms = torch.nn.ModuleList(torch.nn.BatchNorm1d({width}) for _ in range(16)).eval()  # one a step
x = torch.randn(4, {length}, {width})
try:
    norms[16]  # step 17
except IndexError:
    print("# training never had this step")
for step in range({length}):
    y = norms[min(step, 15)](x[:, step])  # the last one serves from there on
print("length =", step + 1)
"""

LONGER = """\
found = {}
for norm in ("layer", "counted"):
    net, found[norm] = Recurrent(seeds, norm, size, lr, steps, width).train(), []
    for length in LENGTHS:
        stream = np.random.default_rng((length, 11))
        x = paused(images[1297:], np.full(500, length), length, stream)
        found[norm].append(100 * net.wrong(x).mean(1).numpy())
    print("#", norm, [one.mean().round(1) for one in found[norm]], "% wrong")  # rounding grows
at = LENGTHS.index(24)
gap = (found["counted"][at] - found["layer"][at]).mean()
print("side =", float(np.sign(gap) * (abs(gap) >= 10)))
table(length=LENGTHS, seen_in_training=[int(length <= 16) for length in LENGTHS])
"""
