"""What is taken away from "Regularization": scripts with the same numbers, and a few lines of PyTorch."""

from __future__ import annotations

from bnlib.lessons.regularization import DRAWS, MASKS, PINNED
from book.controls import SEEDS, Values
from book.torch_script import NETWORKS
from pages._regularization_parts import (
    DROP_STEPS,
    DROPOUT,
    EVERY,
    LABEL_SIZES,
    ORDERS,
    RATE,
    RATES,
    REPEATED,
    SIZES,
    SLOW,
    SMALL,
    STEP_BATCH,
    STEPS,
    TRAINED,
    UNIT,
    WRONG,
    near,
    tabled,
)

COMPANY = """\
import numpy as np
from sklearn.datasets import load_digits

order = np.random.default_rng(123).permutation(1797)
images = load_digits().data[order][:1297] / 16
SIZES = {sizes}


def company(seed, m):
    \"\"\"x-hat of the first {pinned} digits in {draws} batches each, and what the unit gets from them\"\"\"
    weights = np.sqrt(2 / 64) * np.random.default_rng((seed, 0)).standard_normal((64, 64))
    x = images @ weights[:, {unit}]
    x = (x - x.mean()) / x.std()
    chosen = np.random.default_rng((seed, 13)).integers({pinned}, len(x), size=(m - 1, {draws}))
    others, own = x[chosen][:, :, None], x[:{pinned}]
    mean = (others.sum(0) + own) / m
    var = ((others**2).sum(0) + own**2) / m - mean**2
    return (own - mean) / np.sqrt(np.maximum(var, 0) + 1e-5), own


def law(z, m):
    \"\"\"Variance of x-hat of a number z among m - 1 Gaussian companions: W normal, S chi-squared\"\"\"
    w = np.linspace(-6, 6, 200)
    low, high = max(0, (m - 2) ** 0.5 - 6), (m - 2) ** 0.5 + 6
    s = low + (high - low) * (np.arange(120) + 0.5) / 120 if m > 2 else np.zeros(1)
    logs = (m - 3) * np.log(s) - s**2 / 2 if m > 2 else s
    weight = np.exp(-(w**2) / 2)[:, None] * np.exp(logs - logs.max())
    w = z * np.sqrt(m - 1) + w[:, None]
    x = np.sqrt(m - 1) * w / np.sqrt(m * s**2 + w**2 + 1e-18)
    return np.average(x**2, weights=weight) - np.average(x, weights=weight) ** 2


def share(m):
    \"\"\"Which share of x-hat's mean square is noise, mean of the seeds\"\"\"
    every = [company(seed, m)[0] for seed in range({seed}, {seed} + {seeds})]
    return np.mean([x.var(axis=0).mean() / (x**2).mean() for x in every])


grid = np.linspace(-4.5, 4.5, 31)
bell = np.exp(-(grid**2) / 2)
shares = {{m: (share(m), np.average([law(z, m) for z in grid], weights=bell), 1.5 / m) for m in SIZES}}
x, z = company({seed}, {m})
print("spread =", x[:, {digit}].std())
print("spread_law =", law(z[{digit}], {m}) ** 0.5)
print("spread_first =", ((1 + z[{digit}] ** 2 / 2) / {m}) ** 0.5)
print("share =", shares[{m}][0])
print("share_law =", shares[{m}][1])
print("m,share,share_law,share_first")
for m in SIZES:
    print(m, *shares[m], sep=",")
"""

NOISY = '''\
TRUE = Y
rng = np.random.default_rng((123, 1))
wrong, other = rng.random(1297), rng.integers(1, 10, 1297)
X, TRUE = X[:{trained}], TRUE[:{trained}]


def labels(share):
    """The labels of the training samples, a share of them replaced by another class"""
    return (TRUE + torch.tensor((wrong < share) * other)[:{trained}]) % 10


class Noisy(Networks):
    """rates: of dropout behind each layer; noise: x-hat as in norm batches of so many, as a constant"""

    rates, noise, on, moments = (0, 0, 0), 0, False, {{}}

    def normalize(self, x, layer, size):
        p, g = self.parameters, lambda a: a.reshape(len(x), -1, 1, x.shape[2])
        if size:
            parts = x.reshape(len(x), size, -1, x.shape[2]).detach()
            self.moments[layer] = parts.mean(1), variance(parts, 1)
        if self.on and self.noise:
            mean, var = x.mean(1, keepdim=True), variance(x, 1, True)
            self.seen[layer] = mean.detach(), var.detach(), size
            parts = ((x - mean) / (var + self.eps).sqrt()).reshape(len(x), self.noise, -1, x.shape[2])
            eps = g(self.eps / (var + self.eps)).detach()
            scale = (variance(parts, 1, True) + eps).sqrt().detach()
            parts = (parts - parts.mean(1, keepdim=True).detach()) / scale
            return p[f"gamma{{layer}}"] * parts.reshape(x.shape) + p[f"beta{{layer}}"]
        y = super().normalize(x, layer, size)
        return y * self.masks[layer] if self.on and any(self.rates) else y  # ReLU(mask y) = mask ReLU(y)

    def loss(self):
        if any(self.rates):
            shape = (self.depth, self.batch_size, self.width)
            drawn = [np.random.default_rng((s, {masks}, self.step + 1)).random(shape) for s in self.seeds]
            pairs = zip(np.stack(drawn, axis=1), self.rates)
            self.masks = [torch.tensor((u >= rate) / (1 - rate)) for u, rate in pairs]
        self.on = True
        loss = super().loss()
        self.on = False
        return loss

    @torch.no_grad()
    def precise(self):
        """The running statistics of one pass over the training samples, without noise"""
        self.forward(X.expand(len(self.seeds), -1, -1), self.norm_batch or self.batch_size)
        found = []
        for mean, var in self.moments.values():
            whole = mean.mean(1, keepdim=True)
            found.append((whole, (var + mean**2).mean(1, keepdim=True) - whole**2))
        return found

    @torch.no_grad()
    def with_precise(self, ask):
        kept, self.running = self.running, self.precise()
        found = ask()
        self.running = kept
        return found


def network(m=0, share=0.3, rates=(0, 0, 0), noise=0, lr={rate}, **more):
    global Y
    Y = labels(share)
    fields = dict(batch_size={batch}, norm_batch=m, lr=lr, optimizer="momentum")
    net = Noisy(range({seed}, {seed} + {seeds}), **(fields | more))
    net.rates, net.noise = rates, noise
    return net


def looks(net):
    """Errors with precise statistics and the share of wrong labels repeated, every {every} steps"""
    bad, found = Y != TRUE, []
    for step in range(0, {steps} + 1, {every}):
        if step:
            net.train({every})
        repeated = lambda: 100 - net.error(x=X[bad], y=Y[bad])
        found.append((net.with_precise(net.error).mean(), net.with_precise(repeated).mean() / 100))
    return np.array(found).T


'''

LABELS = """\
# Norm batches of 4 multiply rounding errors: another program ends elsewhere, with similar errors.
at = {{}}
for m in {sizes}:
    net = network(m).train({steps})
    at[m] = float(net.with_precise(net.error).mean())
    if m > {small}:
        print(f"error_{{m}} =", at[m])
if {m} in at:  # not 2: another program ends too far elsewhere
    print("level =", round(3 * at[{m}] / at[{batch}]) / 3)  # in thirds of the error with {batch}
table(
    m=at, error=[at[m] if m > {small} else float("nan") for m in at],
    thirds=[round(3 * at[m] / at[{batch}]) for m in at],
)
"""

WHY = """\
# Norm batches of 4 and their noise multiply rounding errors: of these only who wins is told.
arms = {{
    "whole": network(),
    "dropout": network(rates=({p},) * 3),
    "slow": network(lr={slow}),
    "small": network({small}),
    "noise": network(noise={small}),
}}
found = {{name: looks(net) for name, net in arms.items()}}
lowest = {{name: errors.min() for name, (errors, _) in found.items()}}
asked = (lowest["noise"], lowest["slow"], lowest["whole"])
print("winner =", int(np.argmin(asked)) if min(asked) < lowest["small"] + 2 else 3)
for name, arm in (("stop", "whole"), ("slow", "slow"), ("dropout", "dropout")):
    print(f"low_{{name}} =", lowest[arm])
kept = {kept}
table(
    arm=kept, lowest=[lowest[name] for name in kept],
    step=[{every} * int(found[name][0].argmin()) for name in kept],
    end=[found[name][0][-1] for name in kept], repeated=[found[name][1][-1] for name in kept],
)
"""

CLEAN = """\
# Norm batches of 4 multiply rounding errors: the gain is told in fives.
errors = []
for m in (0, {small}):
    net = network(m, {share}).train({steps})
    errors.append(float(net.with_precise(net.error).mean()))
wrong_labels, fives = int((Y != TRUE).sum()), 5 * round((errors[0] - errors[1]) / 5)
print("whole =", errors[0])
print("fives =", fives)
print("wrong =", wrong_labels)
table(wrong_labels=[wrong_labels], whole=[errors[0]], fives=[fives])
"""

DROPPED = """\
@torch.no_grad()
def arriving(net):
    \"\"\"The variance that enters each norm in eval(), mean of its units, (seeds,)\"\"\"
    found, x = [], X
    for layer in range(net.depth):
        x = x @ net.parameters[f"weight{{layer}}"]
        found.append(x.var(1, correction=0).mean(1))
        x = F.relu(net.normalize(x, layer, 0))
    return found


p, rows = {p}, []
for order in {orders}:
    net = network(0, 0.0, (p, p, 0) if order == "before" else (0, 0, p)).train({steps})
    ratio = [float((v.mean((1, 2)) / a).mean()) for (_, v), a in zip(net.running, arriving(net))]
    errors = [float(e.mean()) for e in (net.error(), net.with_precise(net.error))]
    rows.append((order, *ratio, *errors))
    if order == "{order}":
        print("ratio_2 =", ratio[1])
        print("ratio =", ratio[2])
        print("val =", errors[0])
        print("anew =", errors[1])
table(**dict(zip(("order", "ratio_1", "ratio_2", "ratio_3", "val", "anew"), zip(*rows))))
"""


def script(values: Values) -> str:
    """Write a script that computes the scene's numbers and its table again."""
    scene, given = values["scene"], {"seed": SEEDS * values["seed"], "seeds": SEEDS}
    if scene == "company":
        return COMPANY.format(
            m=near(values["m"], SIZES), digit=values["digit"], sizes=SIZES, unit=UNIT, pinned=PINNED,
            draws=DRAWS, **given,
        )  # fmt: skip
    given |= {"steps": STEPS, "every": EVERY, "batch": STEP_BATCH, "rate": RATE, "small": SMALL}
    head = NETWORKS + NOISY.format(trained=TRAINED, masks=MASKS, **given)
    if scene == "labels":
        m = near(values["size"], LABEL_SIZES)
        return head + LABELS.format(m=m, sizes=tabled(m), **given)
    if scene == "why":
        return head + WHY.format(p=DROPOUT, slow=SLOW * RATE, kept=REPEATED, **given)
    if scene == "clean":
        return head + CLEAN.format(share=near(values["wrong"], WRONG), **given)
    given |= {"orders": tuple(ORDERS), "order": values["order"], "steps": DROP_STEPS}
    return head + DROPPED.format(p=near(values["p"], RATES), **given)


# ---- a few lines of PyTorch ------------------------------------------------------------------------------

COMPANY_TORCH = """\
import torch
from torch import nn

m = {m}
p = 1.5 / m  # to first order, the share of noise in x-hat with batches of m
drop, bn = nn.Dropout(p), nn.BatchNorm1d(1, affine=False)
print("one number, dropped:", drop(torch.ones(6)))
batches = [torch.cat([torch.ones(1, 1), torch.randn(m - 1, 1)]) for _ in range(5)]
print("the number 1 in other company:", [round(bn(batch)[0].item(), 2) for batch in batches])
kept = 1 / (1 - p)  # what dropout makes of 1, with probability 1 - p; else 0
mean, square = (1 - p) * kept, (1 - p) * kept**2
print("share_first =", 1 - mean**2 / square)  # the noise of dropout, a share of the mean square: p
"""
LABELS_TORCH = """\
import torch
from torch import nn


class GhostBatchNorm(nn.BatchNorm1d):
    def __init__(self, features, size, **options):
        super().__init__(features, **options)
        self.size = size  # how many samples share a mean; it must divide the batch

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        return torch.cat([super(GhostBatchNorm, self).forward(part) for part in x.split(self.size)])


norm = GhostBatchNorm(1, {m}, eps=1e-9)
x = torch.zeros(64, 1)
x[0] = 1.0
print("groups =", len(x.split(norm.size)))
print("bound =", norm(x[: norm.size]).max().item())  # sqrt(m - 1): no number of a group gets further
"""
WHY_TORCH = """\
import torch
from torch import nn


def noise_only(x, size, eps=1e-5):  # forward as groups of size, backward as the whole batch
    x = (x - x.mean(0)) / (x.var(0, correction=0) + eps).sqrt()
    parts = x.reshape(-1, size, x.shape[1])
    mean, var = parts.mean(1, keepdim=True).detach(), parts.var(1, correction=0, keepdim=True).detach()
    return ((parts - mean) / (var + eps).sqrt()).reshape(x.shape)


def passes(size):  # the share of a random gradient's squared length that a norm lets through
    x = torch.randn(size, 1, dtype=torch.float64)
    norm = nn.BatchNorm1d(1, affine=False, eps=1e-12, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(lambda x: norm(x).flatten(), x)[:, :, 0]
    return ((x.std(correction=0) * slope) ** 2).sum().item() / size


print("noise:", noise_only(torch.randn(64, 1), {small})[:4].flatten())
print("passed =", passes({small}))
print("passed_whole =", passes({batch}))
"""
CLEAN_TORCH = """\
import numpy as np
import torch
from sklearn.datasets import load_digits

labels = load_digits().target[np.random.default_rng(123).permutation(1797)][:1297]
rng = np.random.default_rng((123, 1))
wrong = torch.tensor(rng.random(1297) < {share})
given = (torch.tensor(labels) + wrong * torch.tensor(rng.integers(1, 10, 1297))) % 10
print("wrong =", (given != torch.tensor(labels))[:640].sum().item())  # of 640 labels
"""
DROPOUT_TORCH = """\
import torch
from torch import nn

p = {p}
before = nn.Sequential(  # dropout in front of a norm: its running variance has the masks' noise
    nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(p),
    nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10),
)
behind = nn.Sequential(  # dropout behind the last norm: no norm sees it
    nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(),
    nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 10),
)
# Before training: x-hat is about Gaussian, a = ReLU(x-hat), and the next weights are random.
q = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
a = torch.distributions.Normal(0.0, 1.0).icdf(q).relu()
ratio = 1 + p / (1 - p) * a.square().mean() / a.var()
print("untrained =", ratio.item())  # running variance / variance in eval()
"""
TORCH = {
    "company": COMPANY_TORCH,
    "labels": LABELS_TORCH,
    "why": WHY_TORCH,
    "clean": CLEAN_TORCH,
    "dropout": DROPOUT_TORCH,
}


def pytorch(values: Values) -> str:
    """Write a few lines of PyTorch that show the scene's idea."""
    return TORCH[values["scene"]].format(
        m=near(values["m"], SIZES) if values["scene"] == "company" else near(values["size"], LABEL_SIZES),
        small=SMALL, batch=STEP_BATCH, share=near(values["wrong"], WRONG), p=near(values["p"], RATES),
    )  # fmt: skip
