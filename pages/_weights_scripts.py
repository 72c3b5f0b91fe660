"""What is taken away from "Weight and spectral norm": scripts and a few lines of PyTorch."""

from __future__ import annotations

from book.torch_script import NETWORKS

SPECTRAL = '''\
class Spectral(Networks):
    """Weights divided by u'Wv, which power iterations follow; the gradient holds u and v constant"""

    def __init__(self, seeds, iterations=1, **more):
        super().__init__(seeds, norm="none", **more)
        self.iterations, size = iterations, self.depth * self.width
        drawn = np.stack([np.random.default_rng((seed, 4)).standard_normal(size) for seed in self.seeds])
        self.u = list(torch.tensor(drawn).reshape(len(self.seeds), self.depth, -1, 1).unbind(1))
        for layer in range(self.depth):
            self.u[layer], _ = self.power(layer, 15)

    @torch.no_grad()
    def power(self, layer, iterations, u=None):
        """u and v after so many power iterations; W is (inputs, outputs)"""
        W, u = self.parameters[f"weight{layer}"], self.u[layer] if u is None else u
        v = F.normalize(W @ u, dim=1)
        for k in range(iterations):
            v = F.normalize(W @ u, dim=1)
            u = F.normalize(W.mT @ v, dim=1)
        return u, v

    def sigma(self, layer, u, v):
        return v.mT @ self.parameters[f"weight{layer}"] @ u

    def forward(self, x, size=0):
        own, used = self.parameters, {}
        for layer in range(self.depth):
            if size:  # in training
                self.u[layer], v = self.power(layer, self.iterations)
            else:
                v = self.power(layer, 0)[1]
            used[f"weight{layer}"] = own[f"weight{layer}"] / self.sigma(layer, self.u[layer], v)
        self.parameters = own | used
        try:
            return super().forward(x, size)
        finally:
            self.parameters = own


'''

WEIGHT = '''\
class Weight(Networks):
    """Each hidden unit's weights are g v / |v|; weight0, weight1, ... are the v"""

    def __init__(self, seeds, **more):
        super().__init__(seeds, norm="none", **more)
        for layer in range(self.depth):
            lengths = self.parameters[f"weight{layer}"].detach().norm(dim=1, keepdim=True)
            self.parameters[f"gain{layer}"] = lengths.requires_grad_()

    def forward(self, x, size=0):
        own, used = self.parameters, {}
        for layer in range(self.depth):
            v = own[f"weight{layer}"]
            used[f"weight{layer}"] = own[f"gain{layer}"] * v / v.norm(dim=1, keepdim=True)
        self.parameters = own | used
        try:
            return super().forward(x, size)
        finally:
            self.parameters = own


'''

RATIO_TORCH = """\
import torch
from torch.nn.utils.parametrizations import spectral_norm

torch.manual_seed(0)
layer = spectral_norm(torch.nn.Linear(64, 64), n_power_iterations=1)
layer.train()  # each call of the layer makes an iteration; u and v are buffers, saved in the state_dict
for _ in range(2000):  # weights held still
    layer(torch.zeros(1, 64))
layer.eval()  # none from here on: the kept u and v
print("largest =", torch.linalg.svdvals(layer.weight)[0].item())
print("left =", {share!r} ** 4)  # of sigma's error, after each iteration
"""

_RATIO = """\
rows = []
for rate in {rates}:
    net, late = Spectral(range({seed}, {seed} + {seeds}), lr=rate), []
    for step in range({steps} - {every} * ({late} - 1), {steps} + 1, {every}):
        net.train(step - net.step)
        for layer in range(net.depth):
            values = torch.linalg.svdvals(net.parameters[f"weight{{layer}}"].detach())
            kept = 1 - net.sigma(layer, *net.power(layer, 1)).flatten().detach() / values[:, 0]
            late.append((float(kept.mean()), float((values[:, 1] / values[:, 0]).mean())))
    kept, share = np.mean(late, axis=0)
    rows.append((rate, 100 * kept, share, float(net.error().mean())))
    if rate == {rate!r}:
        print("kept =", 100 * kept)
        print("share_net =", share)
print("left =", {share!r} ** 4)  # of sigma's error, after each iteration on weights held still
table(**dict(zip(("rate", "kept", "share", "wrong"), zip(*rows))))
"""

SPREAD_TORCH = """\
import torch
from torch.nn.utils.parametrizations import orthogonal, spectral_norm

torch.manual_seed(0)
one = spectral_norm(torch.nn.Linear(64, 64))  # its largest singular value is 1, the others are smaller
for _ in range(2000):
    one(torch.zeros(1, 64))  # each call in train() is a power iteration
print("largest =", torch.linalg.svdvals(one.weight)[0].item())
every = orthogonal(torch.nn.Linear(64, 64))  # all singular values are 1: every length is kept
print("smallest =", torch.linalg.svdvals(every.weight)[-1].item())
"""

_SPREAD = """\
def sizes(net):
    for layer in range(net.depth if isinstance(net, Spectral) else 0):  # the weights in use
        used = net.parameters[f"weight{{layer}}"].detach()
        u, v = net.power(layer, 0)
        net.parameters[f"weight{{layer}}"] = used / net.sigma(layer, u, v).detach()
    with torch.no_grad():
        Networks.forward(net, VAL_X.expand({seeds}, -1, -1), len(VAL_X))
    return torch.stack([x.square().mean((1, 2)).sqrt() for x in net.entered], 1).mean(0)


def network(arm):
    fields = dict(depth={layers}, lr={lr})
    kind = Spectral(range({seed}, {seed} + {seeds}), **fields) if arm == "spectral" else \\
        Networks(range({seed}, {seed} + {seeds}), norm=arm, **fields)
    return kind.train({steps})


found = {{arm: sizes(network(arm)) for arm in ("spectral", "none", "batch")}}
print("ratio =", float(found["spectral"][-1] / found["spectral"][0]))
print("rms_spectral =", float(found["spectral"][{layer} - 1]))
print("rms_none =", float(found["none"][{layer} - 1]))
table(layer=range(1, {layers} + 1), **{{arm: own.tolist() for arm, own in found.items()}})
"""

LENGTH_TORCH = """\
import torch
from torch.nn.utils.parametrizations import weight_norm  # torch.nn.utils.weight_norm is deprecated

layer = weight_norm(torch.nn.Linear(2, 1, bias=False, dtype=torch.float64))
g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
g.data = torch.tensor([[{gain}]], dtype=torch.float64)
v.data = torch.tensor([{v}], dtype=torch.float64)
loss = (layer.weight - torch.tensor({target})).square().sum() / 2
loss.backward()
print("gradient =", v.grad.norm().item())
print("along =", (v.grad * v).sum().item())  # at right angles
print("longer =", (v - v.grad).norm().item())  # after a step of learning rate 1
"""

_LENGTH = """\
def vectors(net):
    return torch.cat([net.parameters[f"weight{{k}}"].detach() for k in range(net.depth)], 2).clone()


mean = lambda squares: float(squares.mean(1).sqrt().mean())
rows = []
for rate in {rates}:
    net = Weight(range({seed}, {seed} + {seeds}), lr=rate)
    first = vectors(net).square().sum(1)
    law, grew, moved = first.clone(), 0, 0
    for step in range({steps} + 1):
        old = vectors(net)
        if step == {steps}:
            rows.append((rate, mean(first), mean(old.square().sum(1)), mean(law)))
            error = float(net.error().mean())
        new = vectors(net.train(1))
        law += (new - old).square().sum(1)
        moving = (new - old).square().sum(1) > 0
        moved = moved + moving.sum(1)
        grew = grew + ((new.square().sum(1) > old.square().sum(1)) & moving).sum(1)
    if rate == {rate!r}:
        print("grew =", float((grew / moved).mean()))
        print("end =", rows[-1][2])
        print("error_weight =", error)
table(**dict(zip(("rate", "start", "end", "law"), zip(*rows))))
"""


class Program:
    """A script with places to fill in, after classes that have none."""

    def __init__(self, head: str, body: str) -> None:
        self.head, self.body = head, body

    def format(self, **given: object) -> str:
        """Return the whole script."""
        return self.head + self.body.format(**given)


RATIO = Program(NETWORKS + SPECTRAL, _RATIO)
SPREAD = Program(NETWORKS + SPECTRAL, _SPREAD)
LENGTH = Program(NETWORKS + WEIGHT, _LENGTH)
