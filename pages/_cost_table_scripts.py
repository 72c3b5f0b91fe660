"""What is taken away from the table of "What it costs": its norms in PyTorch, counted and timed."""

from __future__ import annotations

TABLE_TORCH = """\
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

before = nn.Linear(64, 64)
layer, x = parametrizations.weight_norm(nn.Linear(64, 64)).eval(), torch.randn(32, 64)
y = layer(x)  # makes its matrix anew at each call
parametrize.remove_parametrizations(layer, "weight")  # now it is a plain nn.Linear
assert torch.allclose(layer(x), y) and type(layer) is nn.Linear
left = sum(p.numel() for p in layer.parameters()) - sum(p.numel() for p in before.parameters())
print("extra_folded =", left)
"""

TABLE = '''\
import time
import torch
from torch import nn
from torch.nn.utils import parametrizations

NETWORK, WIDTH, BATCH, DEPTH = "{network}", {width}, {batch}, 3
torch.set_num_threads(1)
conv = NETWORK == "cnn"
SIZES = [1, WIDTH // 2, WIDTH, WIDTH] if conv else [64, WIDTH, WIDTH, WIDTH]


class Own(nn.Module):
    """What has no module for this shape: layer and RMS norm over channels and positions, dynamic tanh"""

    def __init__(self, name, width):
        super().__init__()
        shape = (width, 1, 1) if conv else (width,)
        self.name, self.gamma = name, nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        if name == "dyt":
            self.alpha = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x):
        shape = x.shape[1:]
        if self.name == "dyt":
            x = torch.tanh(self.alpha * x)
        else:
            x = nn.functional.rms_norm(x, shape) if self.name == "rms" else nn.functional.layer_norm(x, shape)
        return self.gamma * x + self.beta


def norm_of(name, width):
    """A module behind the linear map, or None: norms of weights are in it"""
    if name == "batch":
        return nn.BatchNorm2d(width) if conv else nn.BatchNorm1d(width)
    if name in ("group", "instance"):
        return nn.GroupNorm(8 if name == "group" else width, width)
    return Own(name, width) if name in ("layer", "rms", "dyt") else None


def built(name):
    layers = []
    for k, (before, width) in enumerate(zip(SIZES, SIZES[1:])):
        biased = name != "batch"
        linear = nn.Linear(before, width, biased)
        if conv:
            linear = nn.Conv2d(before, width, 3, 2 if k == 1 else 1, 1, bias=biased)
        if name in ("weight", "spectral"):
            linear = getattr(parametrizations, f"{{name}}_norm")(linear)
        layers += [linear, norm_of(name, width), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()] if conv else []
    return nn.Sequential(*filter(None, layers), nn.Linear(WIDTH, 10))


def jobs(name):
    """Functions that make a training step, and a batch in inference"""
    net = built(name)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-12)
    x, labels = torch.randn(BATCH, *((1, 8, 8) if conv else (64,))), torch.randint(10, (BATCH,))

    def training():
        net.train()
        loss = nn.functional.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    @torch.inference_mode()
    def inference():
        net.eval()(x)

    return training, inference


def ratio(job, bare, rounds=5, steps=10):
    """How many times as long a job takes as the other; they take turns"""
    best = [1e9, 1e9]
    for _ in range(rounds):
        for k, one in enumerate((job, bare)):
            one()
            begin = time.thread_time()
            for _ in range(steps):
                one()
            best[k] = min(best[k], time.thread_time() - begin)
    return best[0] / best[1]


def count(name):
    return sum(p.numel() for p in built(name).parameters())


def kept(name):
    """Running means and variances, and spectral norm's vector u; v is computed from u and W"""
    buffers = built(name).named_buffers()
    return sum(b.numel() for key, b in buffers if b.ndim and not key.endswith("._v"))


FREE = {{"batch": 1, "weight": 1, "spectral": 1}}  # fixed statistics, or norms of weights
rows = []
for name in {names}:
    times = [ratio(*pair) for pair in zip(jobs(name), jobs("none"))]
    rows.append((name, count(name) - count("none"), kept(name), FREE.get(name, 0), *times))
print("free =", sum(row[3] for row in rows))
print("norms =", len(rows))
print("norm,parameters,kept,free,torch_training,torch_inference")
for row in rows:
    print(*row, sep=",")
'''
