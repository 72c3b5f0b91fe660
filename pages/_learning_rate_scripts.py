"""What is taken away from "Learning rate and initialization": scripts with the same numbers, and PyTorch."""

from __future__ import annotations

from bnlib.lessons.rates import LOCAL
from book.controls import SEEDS, Values
from book.torch_script import NETWORKS
from pages._learning_rate_parts import (
    DEEP,
    DEPTHS,
    DIGITS,
    EVERY,
    HALF,
    LARGE,
    LAST,
    MIDDLE,
    NORMS,
    RATES,
    ROW,
    SCALES,
    SHALLOW,
    SHORT,
    SLOW,
    SMALL,
    STEPS,
    near,
)  # fmt: skip
from pages._learning_rate_smooth import SAMPLES, WHEN

STANDARD = """\
mean, std = X.mean(0), X.std(0, correction=0)
X = (X - mean) / torch.where(std > 0, std, 1)


"""

GRID = '''\
class Grid(Networks):
    """Each seed at each learning rate and each scale of the initial weights"""

    def __init__(self, rates, scales, hidden=1.0, **fields):
        cells = [(lr, scale) for scale in scales for lr in rates]
        seeds = [seed for _ in cells for seed in range({seed}, {seed} + {seeds})]
        super().__init__(seeds, width=32, **fields)
        each = torch.tensor(cells).repeat_interleave({seeds}, 0)[:, :, None, None]
        self.lr, self.right, self.live = each[:, 0], [], True
        for layer in range(self.depth + 1):
            self.parameters[f"weight{{layer}}"].data *= each[:, 1] * (hidden if layer < self.depth else 1)

    def loss(self):
        x, y = self.batch()
        logits = self.forward(x, self.batch_size)
        loss = F.cross_entropy(logits.mT, y, reduction="none").mean(1)
        self.live = self.live & (loss < 1000 * np.log(10)).detach()  # what has diverged counts as guessing
        self.right.append(torch.where(self.live, (logits.argmax(2) == y).double().mean(1), 0.1))
        return loss

    def ended(self, steps):
        """Right answers in the last batches, (cells,), mean of the seeds"""
        self.train(steps)
        return torch.stack(self.right[-{last}:]).mean(0).reshape(-1, {seeds})


'''

RATE = """\
rates, found = {rates}, {{}}
for norm in {norms}:
    found[norm] = Grid(rates, [1.0], depth={depth}, norm=norm).ended({steps}).mean(1)
largest = {{norm: max(lr for lr, own in zip(rates, found[norm]) if own >= {half}) for norm in found}}
print("largest_none =", largest["none"])
print("largest =", largest["batch"])
print("ratio =", largest["batch"] / largest["none"])
# At large rates rounding errors grow: another program ends elsewhere, on the same side of one half.
trained = {{f"trained_{{norm}}": (own >= {half}).int().tolist() for norm, own in found.items()}}
table(learning_rate=rates, **trained)
"""

SMALL_RATE = """\
others, found = (X[:{digits}].expand({seeds}, -1, -1), Y[:{digits}].expand({seeds}, -1)), {{}}
for norm in {norms}:
    net = Networks(range({seed}, {seed} + {seeds}), depth={depth}, width=32, norm=norm, lr={lr})
    losses, expected = [], []
    while True:
        parameters = list(net.parameters.values())
        logits = net.forward(others[0], {digits})
        loss = F.cross_entropy(logits.mT, others[1], reduction="none").mean(1)
        whole, g = torch.autograd.grad(loss.sum(), parameters), net.gradients().values()
        losses.append(loss.detach())
        expected.append(net.lr * sum((a * b).sum((1, 2)) for a, b in zip(whole, g)))
        if net.step == {steps}:
            break
        net.train({every})
    found[norm] = torch.stack(losses), torch.stack(expected)
    print(f"loss_{{norm}} =", losses[-1].mean().item())
    print(f"expected_{{norm}} =", found[norm][1].mean().item())
gap = found["none"][0][-1] - found["batch"][0][-1]
half = 2.364624 * gap.std() / len(gap) ** 0.5  # Student's t, 7 degrees of freedom, 95%
print("sooner =", int(gap.mean().sign()) if gap.mean().abs() > half else 0)
columns = {{f"loss_{{norm}}": own[0].mean(1).tolist() for norm, own in found.items()}}
columns |= {{f"expected_{{norm}}": own[1].mean(1).tolist() for norm, own in found.items()}}
table(step=range(0, {steps} + 1, {every}), **columns)
"""

SCALE = """\
scales, found = {scales}, {{}}
for norm in {norms}:
    found[norm] = Grid([{lr}], scales, depth={depth}, norm=norm).ended({steps}).mean(1).tolist()
print("right =", found["batch"][scales.index({at})])
print("right_none =", found["none"][scales.index({at})])
print("hidden =", Grid([{lr}], [1.0], {large}, depth={depth}).ended({steps}).mean().item())
table(init_scale=scales, **{{f"right_{{norm}}": own for norm, own in found.items()}})
"""

MAP = """\
rates, scales, found = {rates}, {scales}, {{}}
for norm in {norms}:
    found[norm] = Grid(rates, scales, depth={depth}, norm=norm).ended({steps})
gap = found["batch"] - found["none"]
half = 2.364624 * gap.std(1) / gap.shape[1] ** 0.5  # Student's t, 7 degrees of freedom, 95%
beside = ~(gap.mean(1) > half)
print("cells =", int(beside.sum()))
trained = {{f"trained_{{norm}}": (own.mean(1) >= {half}).int().tolist() for norm, own in found.items()}}
table(
    init_scale=[scale for scale in scales for _ in rates], learning_rate=[*rates] * len(scales), **trained
)
"""

SMOOTH = """\
def networks(depth, norm):
    fields = dict(depth=depth, width=32, norm=norm, batch_size={samples}, lr=0.1)
    return Networks(range({seed}, {seed} + {seeds}), **fields)


def growth(net):
    g = net.gradients()
    lengths = torch.stack([g[f"weight{{k}}"].square().sum((1, 2)).sqrt() for k in range(net.depth)])
    inner = lengths[1:-1] if net.depth > 3 else lengths
    return float(((inner[0] / inner[-1]).log().mean() / (len(inner) - 1)).exp())


def smoothness(net):
    g = net.gradients()
    for name, parameter in net.parameters.items():
        parameter.data -= {local} * g[name]
    change = sum((new - g[name]).square().sum((1, 2)) for name, new in net.gradients().items())
    return (change / sum(own.square().sum((1, 2)) for own in g.values())).sqrt() / {local}


beta = {{norm: smoothness(networks({depth}, norm).train({steps})) for norm in {norms}}}
print("powers =", (beta["batch"] / beta["none"]).log10().mean().item())
columns = {{f"growth_{{norm}}": [growth(networks(d, norm)) for d in {depths}] for norm in {norms}}}
table(layers={depths}, **columns)
"""


def script(values: Values) -> str:
    """Train the scene's networks with PyTorch alone."""
    known = {
        "seed": SEEDS * values["seed"], "seeds": SEEDS, "norms": NORMS, "half": HALF, "last": LAST,
    }  # fmt: skip
    head = NETWORKS + STANDARD + GRID.format(**known)
    scene = values["scene"]
    if scene == "rate":
        return head + RATE.format(**known, rates=RATES, depth=DEEP, steps=STEPS)
    if scene == "small":
        more = {"lr": near(values["small_lr"], SMALL), "depth": SHALLOW, "steps": SLOW, "every": EVERY}
        return NETWORKS + STANDARD + SMALL_RATE.format(**known, **more, digits=DIGITS)
    if scene == "scale":
        more = {"lr": MIDDLE, "depth": SHALLOW, "steps": SHORT, "at": near(values["scale"], SCALES)}
        return head + SCALE.format(**known, **more, scales=SCALES, large=LARGE)
    if scene == "map":
        return head + MAP.format(**known, rates=ROW, scales=SCALES, depth=SHALLOW, steps=SHORT)
    fields = {"samples": SAMPLES, "local": LOCAL, "depths": DEPTHS, "steps": WHEN[values["when"]]}
    return NETWORKS + SMOOTH.format(**known, **fields, depth=int(near(values["depth"], DEPTHS)))


ANGLE = """\
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
r = 0.5  # length of the step over that of W
layer = nn.Sequential(nn.Linear(64, 32, bias=False), nn.BatchNorm1d(32, eps=1e-20))
W = layer[0].weight
layer(torch.randn(128, 64)).pow(3).mean().backward()
optimizer = torch.optim.SGD([W], lr=float(r * W.norm() / W.grad.norm()))
before = W.norm().item()
optimizer.step()  # at right angles to W
print("one_step =", W.norm().item() / before)  # √(1 + r²)
"""

CURVED = """\
import torch

torch.set_default_dtype(torch.float64)
lr, beta = {lr}, 20.0
w = torch.ones(3, requires_grad=True)
loss = lambda: beta / 2 * w.square().sum()  # its gradient changes by beta times the distance
before = loss()
before.backward()
expected = lr * w.grad.square().sum()  # first order
torch.optim.SGD([w], lr=lr).step()
print("curved =", ((before - loss()) / expected).item())  # 1 - lr * beta / 2
"""

TWIN = """\
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
x, y = torch.randn(64, 20), torch.randint(10, (64,))
first, second = (
    nn.Sequential(nn.Linear(20, 32, bias=False), nn.BatchNorm1d(32, eps=1e-20), nn.ReLU(), nn.Linear(32, 10))
    for _ in range(2)
)
second.load_state_dict(first.state_dict())
second[0].weight.data *= 10  # the weights in front of the norm
losses = []
for net, lr in ((first, 0.1), (second, 0.1 * 10**2)):
    rest = [p for name, p in net.named_parameters() if name != "0.weight"]
    optimizer = torch.optim.SGD([{"params": [net[0].weight], "lr": lr}, {"params": rest}], lr=0.1)
    losses.append([])
    for step in range(50):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses[-1].append(loss.item())
print("difference =", max(abs(a - b) for a, b in zip(*losses)))
"""

HE = """\
from math import sqrt

from torch import nn

layer = nn.Linear(32, 32)
nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # nn.Linear's own start is smaller
nn.init.zeros_(layer.bias)
print("he =", nn.init.calculate_gain("relu") / sqrt(layer.in_features))  # its standard deviation
"""

YANG = """\
from math import pi

import torch

# Gradient growth a layer toward the input, batch norm and ReLU, B samples (Yang et al. 2019)
B = torch.tensor(64.0, dtype=torch.float64)
c = -1 / (B - 1)  # how x̂ of two samples correlate
J = ((1 - c**2).sqrt() + (pi - c.arccos()) * c) / pi
slope = 1 - c.arccos() / pi
squared = (slope + B - 1) / ((B - 3) * (1 - J)) - 1 / (B - 3)
print("theory =", squared.sqrt().item())
"""


def pytorch(values: Values) -> str:
    """Show the scene's reason in a few lines of PyTorch."""
    short = {"rate": ANGLE, "scale": TWIN, "map": HE, "smooth": YANG}
    scene = values["scene"]
    return short[scene] if scene in short else CURVED.format(lr=near(values["small_lr"], SMALL))
