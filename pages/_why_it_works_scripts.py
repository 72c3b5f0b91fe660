"""A few lines of PyTorch for each scene of "Why does it work?", and the scripts that compute its numbers."""

from __future__ import annotations

from math import sqrt

from bnlib.lessons.why import AHEAD
from book.controls import SEEDS, Values
from book.torch_script import NETWORKS
from pages._why_it_works_loss import nearest_factor
from pages._why_it_works_parts import (
    BEFORE,
    EARLY,
    EVERY,
    FACTORS,
    LONG,
    LOOK_EVERY,
    SHORT,
)
from pages._why_it_works_shift import EVERY as SHIFT_EVERY

# ---- a few lines -----------------------------------------------------------------------------------------

LAYERS = """\
from torch import nn

plain = nn.Sequential(nn.Linear(64, 64), nn.Sigmoid())
normed = nn.Sequential(nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64), nn.Sigmoid())
for name, layer in (("none", plain), ("batch", normed)):  # what a hidden layer learns: hardly more
    print(f"learned_{name} =", sum(p.numel() for p in layer.parameters()))
"""
ENTERING = """\
import torch
from torch import nn

seen = []
bn = nn.BatchNorm1d(1).double()
sigmoid = nn.Sigmoid()
sigmoid.register_forward_hook(lambda module, given, out: seen.append(given[0].quantile(0.85).item()))
bell = torch.special.ndtri((torch.arange(100_000).double() + 0.5) / 100_000)[:, None]
nn.Sequential(bn, sigmoid)(3 + 5 * bell)  # wherever the inputs are, batch norm brings 85% of them below
print("bell =", seen[0])
"""
NOISY = """\
import torch
from torch import nn

class Noisy(nn.Module):  # behind each BatchNorm1d, while training; k is the strength
    def __init__(self, k):
        super().__init__()
        self.k = k

    def forward(self, x):
        units, k = x.shape[1], self.k
        scale = 1 + k * (torch.rand(units) / 4 + 0.1 * torch.randn_like(x))
        shift = k * (torch.rand(units) - 0.5 + 0.2 * torch.rand_like(x) - 0.1)
        return scale * x + shift

k = {strength}
shift = k**2 / 12  # variance of a unit's mean from one step to another
inside = (1 + k / 8) ** 2 + k**2 * (1 / 192 + 0.1**2 + 0.2**2 / 12)  # of its outputs within a step
print("law =", (2 * shift / inside) ** 0.5)
"""
CHORD = """\
import math
import torch

def compare(g, after):  # by length, and by angle in degrees
    cosine = torch.cosine_similarity(g.flatten(), after.flatten(), dim=0)
    return (g - after).norm() / g.norm(), torch.rad2deg(torch.acos(cosine))

angle = math.radians({angle})
g = torch.tensor([1.0, 0.0], dtype=torch.float64)
after = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
print("sixty =", compare(g, after)[0].item())  # a gradient that turns by 60 degrees moves by its own length
"""
PROBE = """\
import torch

def along(loss, w, lr, steps):  # the loss at so many learning rates along its gradient
    (gradient,) = torch.autograd.grad(loss(w), w)
    return [loss(w - step * lr * gradient).item() for step in steps]

w = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
for beta in range(1, 100):  # bowls, each steeper than the last
    here, there = along(lambda w: (beta / 2 * w**2).sum(), w, lr=0.1, steps=(0, 1))
    if there >= here - 1e-12:
        break
print("edge =", float(beta))  # from this steepness on, a training step goes uphill
"""
TURN = """\
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
x, y = torch.randn(32, 64), torch.randint(10, (32,))
norm = nn.BatchNorm1d(48, eps=1e-12)
net = nn.Sequential(nn.Linear(64, 48, bias=False), norm, nn.ReLU(), nn.Linear(48, 10))
weight, turns = net[0].weight, []
for factor in (1.0, {factor!r}):
    weight.data *= factor
    (gradient,) = torch.autograd.grad(F.cross_entropy(net(x), y), weight)
    turns.append({rate} * gradient.norm() / weight.norm())  # the angle's tangent: at right angles
print("law =", (turns[1] / turns[0]).item())
"""
STUDENT = """\
import torch

# All intervals here: mean of 8 seeds, plus and minus t standard deviations / sqrt(8).
x = torch.linspace(0, 50, 2_000_001, dtype=torch.float64)
density = torch.distributions.StudentT(torch.tensor(7.0, dtype=torch.float64)).log_prob(x).exp()
inside = 2 * torch.cumulative_trapezoid(density, x)
print("student =", x[1:][inside >= 0.95][0].item())
"""


def pytorch(values: Values) -> str:
    """Write a scene's few lines of PyTorch."""
    scene = values["scene"]
    if scene == "noise":
        return NOISY.format(strength=values["strength"])
    if scene == "measures":
        return CHORD.format(angle=60)
    if scene == "length":
        factor = FACTORS[nearest_factor(values["factor"])]
        rate = "factor**2" if values["follow"] == "yes" else "0.1"
        return TURN.format(factor=factor, rate=rate)
    return {"vote": LAYERS, "steady": ENTERING, "smooth": PROBE, "verdict": STUDENT}[scene]


# ---- scripts to take away --------------------------------------------------------------------------------

MEANS = """\
def times(above, below):
    return float(np.exp(np.log(above / below).mean()))


"""
DRIFT = f'''\
RAW = X, VAL_X


def sigmoid(norm, lr):
    """Sigmoid networks on standardized pixels: right answers (seeds, looks), and how far inputs drift."""
    global X, VAL_X
    mean, std = RAW[0].mean(0), RAW[0].std(0, correction=0)
    X, VAL_X = (torch.where(std > 0, (x - mean) / std.where(std > 0, 1), 0) for x in RAW)
    net = Networks(SEEDS, norm=norm, lr=lr, activation="sigmoid", batch_size=60)
    for name, weight in net.parameters.items():
        if name.startswith("weight"):
            weight.data *= 0.1 / np.sqrt(2 / weight.shape[1])  # N(0, 0.1²)
    right, medians = [], []
    for step in range(0, {LONG} + 1, {LOOK_EVERY}):
        net.train(step - net.step)
        right.append((1 - net.error(x=VAL_X) / 100).numpy())
        with torch.no_grad():
            net.forward(X.expand(len(SEEDS), -1, -1), len(X))
        medians.append(np.quantile(net.entered[-1].numpy(), 0.5, axis=1))
    X, VAL_X = RAW
    return np.stack(right, axis=1), np.ptp(medians, axis=0).mean(axis=1)


'''
NOISE = f'''\
class Noisy(Networks):
    """Six layers with Santurkar et al.'s noise behind each norm; k is its strength"""

    def __init__(self, norm, activation, k=0, batch_size=64):
        scale = {sqrt(0.5)!r} if activation == "tanh" else 1.0
        super().__init__(SEEDS, depth=6, batch_size=batch_size, lr=0.06, norm=norm, activation=activation,
                         init_scale=scale)
        self.k = k

    def forward(self, x, size=0):
        shape, k = (6, 64, 64), self.k
        if k:
            scales, shifts = np.empty((2, len(self.seeds), *shape))
            for place, seed in enumerate(self.seeds):
                rng = np.random.default_rng((seed, 2, self.step))
                mean, scale = (rng.uniform(low, high, (6, 1, 64)) for low, high in ((-0.5, 0.5), (1.0, 1.25)))
                scales[place] = 1 + k * (scale - 1 + 0.1 * rng.standard_normal(shape))
                shifts[place] = k * (mean + rng.uniform(-0.1, 0.1, shape))
            self.drawn = torch.tensor(scales), torch.tensor(shifts)
        return super().forward(x, size)

    def loss(self):
        found = super().loss()
        self.last = found.detach().numpy()
        return found

    def normalize(self, x, layer, size):
        x = super().normalize(x, layer, size)
        return x * self.drawn[0][:, layer] + self.drawn[1][:, layer] if self.k else x


def entering(net):
    with torch.no_grad():
        net.forward(X[:64].expand(len(SEEDS), -1, -1), 64)
    return [(z.mean(1).numpy(), z.var(1, correction=0).numpy()) for z in net.entered]


def noisy(norm, activation, k=0):
    """Losses (seeds, steps), and how far inputs move in one of ten steps (seeds,)"""
    net, losses, moves, spreads = Noisy(norm, activation, k), [], [], []
    while net.step < {SHORT}:
        before = entering(net) if net.step % {EVERY} == 0 else None
        losses.append(net.train(1).last)
        if before:
            both = list(zip(before, entering(net)))
            moves.append([((new - old) ** 2).mean(1) for (old, _), (new, _) in both])
            spreads.append([var.mean(1) for (_, var), _ in both])
    moved = np.sqrt(np.mean(moves, axis=(0, 1)) / np.mean(spreads, axis=(0, 1)))
    return np.stack(losses, axis=1), moved


'''
SHIFT = f'''\
def shift(norm, activation):
    """Angle in degrees and length of G - G', (seeds, looks), averages over layers"""
    net, found = Noisy(norm, activation), []
    numbered = lambda name: int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
    for step in range(0, {SHORT} + 1, {SHIFT_EVERY}):
        net.train(step - net.step)
        gradients, rows = net.gradients(), []
        for layer in range(1, 7):
            below = [name for name in net.parameters if numbered(name) < layer]
            for name in below:
                net.parameters[name].data -= net.lr * gradients[name]
            after = net.gradients()[f"weight{{layer}}"].flatten(1)
            for name in below:
                net.parameters[name].data += net.lr * gradients[name]
            g = gradients[f"weight{{layer}}"].flatten(1)
            rows.append((torch.cosine_similarity(g, after, dim=1), (g - after).norm(dim=1)))
        cosine, distance = np.array([[one.numpy() for one in row] for row in rows]).mean(axis=0)
        found.append((np.degrees(np.arccos(cosine)), distance))
    return np.array(found).transpose(1, 2, 0)


'''
ALONG = f'''\
def along(norm):
    """Loss (seeds, looks), and its range half to four learning rates along the gradient"""
    net, found = Networks(SEEDS, depth=5, batch_size=64, norm=norm), []
    for step in range(0, {SHORT} + 1, {EVERY}):
        gradients, here, ahead = net.train(step - net.step).gradients(), net.loss().detach().numpy(), []
        kept = {{name: value.detach().clone() for name, value in net.parameters.items()}}
        for far in {AHEAD}:
            for name, value in net.parameters.items():
                value.data = kept[name] - far * net.lr * gradients[name]
            with torch.no_grad():
                ahead.append(net.loss().numpy())
        for name, value in net.parameters.items():
            value.data = kept[name]
        found.append((here, np.ptp(ahead, axis=0)))
    return np.array(found).transpose(1, 2, 0)


'''
MIDWAY = '''\
def turn(net, factor, follow):
    """The angle by which a step turns hidden weights that are multiplied, (seeds,)"""
    names, rate = ("weight0", "weight1"), net.lr * (factor**2 if follow else 1)
    for name in names:
        net.parameters[name].data *= factor
    gradients = net.gradients()
    before = torch.cat([net.parameters[name].detach().flatten(1) for name in names], dim=1)
    after = before - rate * torch.cat([gradients[name].flatten(1) for name in names], dim=1)
    for name in names:
        net.parameters[name].data /= factor
    u, v = (one / one.norm(dim=1, keepdim=True) for one in (before, after))
    return 2 * torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1)).numpy()


'''
ANSWERS = """\
found = {{norm: sigmoid(norm, {rate}) for norm in ("batch", "none")}}
for norm, (right, drift) in found.items():
    print(f"{{norm}}_right =", right[:, -1].mean())
print("gap =", 100 * (found["batch"][0] - found["none"][0])[:, -1].mean())
{more}right = {{norm: found[norm][0].mean(0) for norm in {order}}}
table(step=range(0, {last} + 1, {every}), **right)
"""
DRIFTED = """\
print("drift =", times(found["none"][1], found["batch"][1]))
"""
LOSSES = """\
kind = {kind!r}
found = {{"none": noisy("none", kind), "batch": noisy("batch", kind), "noisy": noisy("batch", kind, {k})}}
early = {{arm: loss[:, {early}:].mean(1) for arm, (loss, _) in found.items()}}
print("ratio =", times(early["noisy"], early["none"]))
for arm in found:
    print(f"{{arm}}_loss =", early[arm].mean())
print("noisy_moved =", found["noisy"][1].mean())
print("none_moved =", found["none"][1].mean())
table(step=range({steps}), **{{arm: loss.mean(0) for arm, (loss, _) in found.items()}})
"""
MEASURED = """\
(none_angle, none), (batch_angle, batch) = shift("none", {kind!r}), shift("batch", {kind!r})
print("factor =", times(batch.mean(1), none.mean(1)))
print("none_angle =", none_angle.mean())
print("batch_angle =", batch_angle.mean())
table(step=range(0, {steps} + 1, {every}), none_distance=none.mean(0), none_angle=none_angle.mean(0),
      batch_distance=batch.mean(0), batch_angle=batch_angle.mean(0))
"""
RANGES = """\
found = {{norm: along(norm)[1] for norm in ("none", "layer", "batch")}}
typical = {{norm: np.median(ranges, axis=1) for norm, ranges in found.items()}}
print("factor =", times(typical["none"], typical["batch"]))
print("layer_factor =", times(typical["none"], typical["layer"]))
table(step=range(0, {steps} + 1, {every}), **{{norm: ranges.mean(0) for norm, ranges in found.items()}})
"""
TURNS = """\
factors, turns = {factors}, {{}}
for norm in ("batch", "none"):
    net = Networks(SEEDS, depth=2, width=48, batch_size=32, eps=0, norm=norm).train({before})
    usual = turn(net, 1.0, False)
    turns[norm] = [(turn(net, factor, {follow}) / usual).mean() for factor in factors]
print("turned =", turns["batch"][factors.index({factor})])
table(factor=factors, **turns)
"""
VERDICT = f"""\
none, batch, noise = noisy("none", "tanh"), noisy("batch", "tanh"), noisy("batch", "tanh", 1)
early = [loss[:, {EARLY}:].mean(1) for loss, _ in (none, batch, noise)]
print("moved =", noise[1].mean() / none[1].mean())
tests = {{
    "loss: none / noisy norm": (early[0], early[2]),
    "loss: noisy / batch norm": (early[2], early[1]),
}}
T = 2.364624  # Student's t for 8 seeds, 95%
low, mean, high = [], [], []
for above, below in tests.values():
    logs = np.log(above / below)
    half = T * logs.std(ddof=1) / np.sqrt(len(logs))
    for rows, value in ((low, logs.mean() - half), (mean, logs.mean()), (high, logs.mean() + half)):
        rows.append(np.exp(value))
table(test=list(tests), factor=mean, low=low, high=high)
"""


def script(values: Values) -> str:
    """Write the script that computes a scene's numbers and its table again."""
    scene, first = values["scene"], SEEDS * values["seed"]
    begin = f"{NETWORKS}SEEDS = range({first}, {first + SEEDS})\n\n\n{MEANS}"
    if scene in ("vote", "steady"):
        rate, more = ("0.1", "") if scene == "vote" else (values["lr"], DRIFTED)
        order = ("batch", "none") if scene == "vote" else ("none", "batch")
        fields = {"rate": rate, "more": more, "last": LONG, "every": LOOK_EVERY, "order": order}
        return begin + DRIFT + ANSWERS.format(**fields)
    if scene == "noise":
        own = LOSSES.format(kind=values["activation"], k=values["strength"], early=EARLY, steps=SHORT)
        return begin + NOISE + own
    if scene == "measures":
        own = MEASURED.format(kind=values["activation"], steps=SHORT, every=SHIFT_EVERY)
        return begin + NOISE + SHIFT + own
    if scene == "smooth":
        return begin + ALONG + RANGES.format(steps=SHORT, every=EVERY)
    if scene == "length":
        factor, follow = FACTORS[nearest_factor(values["factor"])], values["follow"] == "yes"
        return begin + MIDWAY + TURNS.format(factors=FACTORS, factor=factor, follow=follow, before=BEFORE)
    return begin + NOISE + VERDICT
