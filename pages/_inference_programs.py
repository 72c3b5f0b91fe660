"""A few lines of PyTorch for each scene of "Training and inference"."""

from __future__ import annotations

from textwrap import dedent

from book.controls import Values
from pages._inference_clinic import picked

HEAD = "import torch\nfrom torch import nn\n\n"
IMAGES = """\
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

rows = np.random.default_rng(123).permutation(1797)[:1280]
images = torch.tensor(load_digits().data[rows] / 16)
"""

STALE = """\
bn = nn.BatchNorm1d(1, momentum={new})  # weighs the NEW value; here momentum is {old}
x = torch.ones(64, 1)  # a batch with variance 0
for _ in range({step}):
    bn(x)
print("left =", bn.running_var.item())  # of the 1 that it started from
bn.eval()  # from here on running_mean and running_var are used
"""

LAG = """\
bn = nn.BatchNorm1d(1, momentum={new}, dtype=torch.float64)  # weighs the NEW value; the old one {old}
bn.running_mean.fill_(0.25)
bn(torch.full((64, 1), -0.5, dtype=torch.float64))
print("update =", bn.running_mean.item())
"""

RECOMPUTE = """\
net = nn.Sequential(nn.BatchNorm1d(64, dtype=torch.float64))  # any network
norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]  # 1d, 2d, 3d, Sync
usual = [norm.momentum for norm in norms]
net.eval()  # dropout stays off; measure the accuracy here, and again below
for norm in norms:
    norm.reset_running_stats()
    norm.momentum = None  # a plain average of all batches
    norm.train()
with torch.no_grad():
    for x in {images}.split(64):
        net(x)
for norm, momentum in zip(norms, usual):
    norm.momentum = momentum
net.eval()
print("{name} =", net[0].running_mean.mean().item())
"""

COMPANIONS = """\
digit, others = torch.randn(1, 64), torch.randn(2, {others}, 64)
first, second = (torch.cat([digit, some]) for some in others)
for norm in (nn.BatchNorm1d(64).eval(), nn.LayerNorm(64)):  # nn.BatchNorm1d(64).train() would change
    print("companions =", (norm(first)[0] - norm(second)[0]).abs().max().round(decimals=5).item())
"""

ALONE = """\
try:
    nn.BatchNorm1d(64)(torch.randn(1, 64))
    print("refused =", 0)
except ValueError as error:  # Expected more than 1 value per channel when training, got input size ...
    print("refused =", 1)
image = torch.randn(1, 4, 8, 8)  # 8 x 8 positions a channel
same = nn.BatchNorm2d(4)(image) - nn.InstanceNorm2d(4)(image)
print("from_instance_norm =", same.abs().max().round(decimals=4).item())
"""

FIXED = {
    "training": IMAGES + "\n" + RECOMPUTE.format(images="images", name="pixel_mean"),
    "use": IMAGES
    + "in_use = images * 0.5 + 0.5  # no labels are needed\n\n"
    + RECOMPUTE.format(images="in_use", name="pixel_mean_in_use"),
    "cumulative": HEAD
    + dedent("""\
        bn = nn.BatchNorm1d(1, momentum=None)  # in training, too: an average of all batches so far
        for mean in (1.0, 2.0, 6.0):
            bn(torch.full((64, 1), mean))
        print("average =", bn.running_mean.item())
        """),
    "sync": IMAGES
    + dedent("""
        net = nn.Sequential(nn.BatchNorm1d(64))
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # then DistributedDataParallel(net, ...)
        devices = images[:64].unflatten(0, (16, 4))  # it computes, from 16 devices:
        mean, var = devices.mean(1), devices.var(1, correction=0)
        together = (var + mean**2).mean(0) - mean.mean(0) ** 2
        print("pixel_var =", together.mean().item())
        """),
    "group": HEAD
    + dedent("""\
        norm = nn.GroupNorm(8, 64)  # in place of nn.BatchNorm1d(64), before training: it knows no eval()
        """)
    + COMPANIONS.format(others=15).replace("nn.LayerNorm(64)", "norm"),
    "frozen": HEAD
    + dedent("""\
        class Net(nn.Sequential):
            def train(self, mode=True):  # else the next net.train() would thaw the statistics
                super().train(mode)
                for module in self.modules():
                    if isinstance(module, nn.modules.batchnorm._BatchNorm):
                        module.eval()  # its statistics stay; weights, γ and β go on learning
                return self

        net = Net(nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64))
        net.train()
        before = net[1].running_mean.clone()
        net(torch.randn(64, 64)).square().mean().backward()
        print("moved =", (net[1].running_mean - before).abs().max().item())
        """),
}

WATCH = """\
bn = nn.BatchNorm1d(64, momentum={new})  # its mean over independent batches of 64 is off by this many sigma
print("gap_expected =", (2 / (64 * (2 - bn.momentum))) ** 0.5)
"""


def pytorch(values: Values) -> str:
    """Write a scene's few lines of PyTorch."""
    scene, old = values["scene"], values["momentum"]
    new = float(f"{1 - old:.6g}")
    if scene == "stale":
        return HEAD + STALE.format(new=new, old=old, step=values["step"])
    if scene == "lag":
        return HEAD + LAG.format(new=new, old=old)
    if scene == "recalibrate":
        return FIXED["training"]
    if scene in ("one_class", "roulette"):
        return HEAD + COMPANIONS.format(others=max(1, values["batch_size"] - 1))
    if scene == "alone":
        return HEAD + ALONE
    if scene == "clinic":
        return FIXED[picked(values)[1]]
    return HEAD + WATCH.format(new=new)
