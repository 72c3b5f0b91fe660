"""What is taken away from "Which norm?": scripts that compute its numbers again, and lines of PyTorch."""

from __future__ import annotations

from book.controls import SEEDS, Values
from book.torch_script import NETWORKS
from pages._which_rules import rule_of
from pages._which_runs import (
    ACCUMULATED,
    FIELDS,
    NAMES,
    NORMS,
    REMEDIES,
    arms_of,
    chaotic,
    rate_of,
    steps_of,
)

RMS = '''\
class WithRMS(Networks):
    """Networks that know RMS norm, too: each sample divided by its root mean square"""

    def normalize(self, x, layer, size):
        if self.norm != "rms":
            return super().normalize(x, layer, size)
        x = x / (x.square().mean(2, keepdim=True) + self.eps).sqrt()
        return self.parameters[f"gamma{layer}"] * x + self.parameters[f"beta{layer}"]


'''

GUIDE_TORCH = """\
import torch
from torch import nn

norm = nn.BatchNorm1d(256)
print("learned =", float(sum(p.numel() for p in norm.parameters())))  # gamma and beta
"""

TRAIN = """\
SEEDS, BATCH, STEPS = range({seed}, {end}), {batch}, {steps}
ARMS = {arms}  # norm, rate, batches a step
wrong = {{}}
for name, (norm, lr, batches) in ARMS.items():
    fields = dict({fields}, norm=norm, lr=lr, batch_size=batches * BATCH, norm_batch=BATCH)
    wrong[name] = WithRMS(SEEDS, **fields).train(STEPS).error().nan_to_num(90.0).mean().item()
"""

SAID = """\
asked = ("batch", "lower", "accumulated", "layer")
print("leader =", float(np.argmin([wrong[name] for name in asked])))
print("error_layer =", wrong["layer"])
"""

TABLE = """\
# In the empty cells rounding errors grow: no two programs end with the same errors.
names, chaotic = {names}, {chaotic}
table(norm=[names[name] for name in wrong], percent=["" if n in chaotic else wrong[n] for n in wrong])
"""

STYLE = """\
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
digits = load_digits().data[np.random.default_rng(123).permutation(1797)][1297:] / 16
NORMS = {norms}


def scatter(x):
    spread = x.std((2, 3), correction=0)
    return (spread.std(0, correction=0) / spread.mean(0)).mean()


left = {{name: [] for name in NORMS}}
for seed in range({seed}, {end}):
    rng = np.random.default_rng((seed, 12))
    weight = torch.tensor(np.sqrt(2 / 9) * rng.standard_normal((6, 1, 3, 3)))
    chosen = digits[rng.permutation(500)[:{batch}]]
    chosen = chosen * rng.uniform(0.5, 1.5, (len(chosen), 1))
    x = F.conv2d(torch.tensor(chosen).reshape(-1, 1, 8, 8), weight, stride=2, padding=1)
    made = {{
        "no norm": x, "batch norm": F.batch_norm(x, None, None, training=True),
        "layer norm": F.layer_norm(x, x.shape[1:]), "instance norm": F.instance_norm(x),
    }}
    for name in NORMS:
        left[name].append((scatter(made[name]) / scatter(x)).item() if {batch} > 1 else 1.0)
print("learned =", {learned})
print("norm,percent", *(f"{{name}},{{100 * np.mean(own)}}" for name, own in left.items()), sep="\\n")
"""


def GUIDE(values: Values, kind: str, batch: int) -> str:
    """Write the script of the first scene: dense networks are trained again."""
    seed = SEEDS * values["seed"]
    given = {"seed": seed, "end": seed + SEEDS, "batch": batch}
    learned = float(rule_of(kind, batch, values["data"]).learned)
    if kind == "style":
        return STYLE.format(**given, norms=[NAMES[norm] for norm in NORMS[kind]], learned=learned)
    if kind not in ("dense", "transformer"):
        rows = "\\n".join(f"{NAMES[norm]}," for norm in arms_of(kind, batch))
        return (
            "# These networks are trained by bnlib alone; the training lab shows them. Here: the norm.\n"
            f"{rule_of(kind, batch, values['data']).code}"
            f'print("norm,percent\\n{rows}")\n'
        )
    arms = {}
    for arm in arms_of(kind, batch):
        norm = "batch" if arm in REMEDIES else arm
        lr = rate_of(kind, norm, batch) / (10 if arm == "lower" else 1)
        arms[arm] = (norm, lr, ACCUMULATED if arm == "accumulated" else 1)
    fields = ", ".join(f"{name}={value!r}" for name, value in FIELDS[kind].items())
    few = [arm for arm in arms if chaotic(kind, arm, batch)]
    text = NETWORKS + RMS + TRAIN.format(**given, arms=arms, fields=fields, steps=steps_of(kind, batch))
    text += SAID if "lower" in arms else f'print("learned =", {learned})\n'
    return text + TABLE.format(names={arm: NAMES[arm] for arm in arms}, chaotic=few)


# ---- pre-norm and post-norm ------------------------------------------------------------------------------

PRE = '''\
import numpy as np
import torch

torch.set_default_dtype(torch.float64)
SEEDS, BLOCKS, WIDTH, N, NORM = range({seed}, {end}), {blocks}, 64, 16, "{norm}"


def normalize(z):
    axis = 0 if NORM == "batch" else 1
    if NORM != "rms":
        z = z - z.mean(axis, keepdim=True)
    return z / (z.square().mean(axis, keepdim=True) + 1e-5).sqrt()


def lengths(seed, inside):
    """Squared gradient of each block's weights over half the width, for a random gradient of the logits"""
    rng = np.random.default_rng((seed, 0))
    sizes = [64, *(BLOCKS + 1) * [WIDTH], 10]
    w = [torch.tensor(np.sqrt(2 / a) * rng.standard_normal((a, b))) for a, b in zip(sizes, sizes[1:])]
    w = [one.requires_grad_() for one in w]
    rng = np.random.default_rng((seed, 3))
    x, top = (torch.tensor(rng.standard_normal((N, size))) for size in (64, 10))
    x, stream = x * 0.5**0.5, 0
    for one in w[:-1]:
        z = x @ one + stream
        stream = z if inside else normalize(z)
        x = torch.relu(normalize(z))
    grads = torch.autograd.grad((x @ w[-1] * top / top.norm()).sum(), w)
    return [(g.square().sum().item() / (WIDTH / 2)) ** 0.5 for g in grads[1:-1]]


found = {{name: np.array([lengths(seed, name == "pre") for seed in SEEDS]) for name in ("pre", "post")}}
last = {{name: own[:, -1].mean() for name, own in found.items()}}
print("ratio =", last["pre"] / last["post"])
print("block,pre,post")
for row in zip(range(1, BLOCKS + 1), found["pre"].mean(0), found["post"].mean(0)):
    print(*row, sep=",")
'''

PRE_TORCH = """\
import torch
from torch import nn

pre = nn.TransformerEncoderLayer(64, 4, norm_first=True)  # x + branch(norm(x))
post = nn.TransformerEncoderLayer(64, 4)  # norm(x + branch(x)), the default
model = nn.TransformerEncoder(pre, num_layers={blocks}, norm=nn.LayerNorm(64), enable_nested_tensor=False)
print("blocks =", float(len(model.layers)))
"""

# ---- layer or RMS norm -----------------------------------------------------------------------------------

CENTRED = """\
SEEDS, OFFSET = range({seed}, {end}), {offset}
errors, columns = {{}}, {{"offset": {offsets}}}
for norm in ("layer", "rms"):
    fields = dict(residual="pre", depth={depth}, width={width}, lr={lr}, cosine_steps={steps})
    nets = WithRMS(SEEDS, norm=norm, **fields).train({steps})
    p = nets.parameters
    with torch.no_grad():
        first = VAL_X.expand(len(SEEDS), -1, -1) @ p["weight0"] + p["bias0"]
    size, bias, columns[norm] = first.square().mean((1, 2)).sqrt()[:, None, None], p["bias0"].data.clone(), []
    for offset in columns["offset"]:
        p["bias0"].data = bias + offset * size
        wrong = nets.error()
        columns[norm].append(wrong.mean().item())
        if offset == 0:
            errors[norm] = wrong
        if offset == OFFSET:
            print(f"shifted_{{norm}} =", wrong.mean().item())
print("gap =", (errors["rms"] - errors["layer"]).mean().item())
table(**columns)
"""

RMS_TORCH = """\
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(8, 64, dtype=torch.float64)
layer, rms = nn.LayerNorm(64, eps=0).double(), nn.RMSNorm(64, eps=0).double()
print("noticed_layer =", round((layer(x + {offset}) - layer(x)).abs().max().item(), 6))
centred = x - x.mean(1, keepdim=True)
print("apart =", round((layer(x) - rms(centred)).abs().max().item(), 6))  # RMS norm of centred numbers
"""

# ---- all norms -------------------------------------------------------------------------------------------

TABLE_SCRIPT = '''\
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

torch.manual_seed({seed})
torch.set_default_dtype(torch.float64)
C = 8


class Renorm(nn.BatchNorm2d):
    def forward(self, x):
        mean, std = self.running_mean.clone(), (self.running_var + self.eps).sqrt()
        if self.training:
            m, s = x.mean((0, 2, 3)), (x.var((0, 2, 3), correction=0) + self.eps).sqrt()
            r, d = (s / std).clamp(1 / 3, 3), ((m - mean) / std).clamp(-5, 5)
            super().forward(x)  # moves the running statistics
            mean, std = m - d * s / r, s / r
        return (x - mean[:, None, None]) / std[:, None, None]


class Ghost(nn.BatchNorm2d):
    def forward(self, x):
        parts = x.split(4) if self.training else [x]
        return torch.cat([super(Ghost, self).forward(part) for part in parts])


class Running(nn.BatchNorm2d):
    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var)


class Each(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


def rms(*dims):
    return Each(lambda x: x / (x.square().mean(dims, keepdim=True) + 1e-5).sqrt())


def standardized(layer):
    class Standard(nn.Module):
        def forward(self, w):
            w = w - w.mean((1, 2, 3), keepdim=True)
            return w / (w.square().mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()

    nn.utils.parametrize.register_parametrization(layer, "weight", Standard())
    return layer


ACTIVATIONS = {{
    "batch norm": lambda: nn.BatchNorm2d(C), "ghost batch norm": lambda: Ghost(C),
    "batch renorm": lambda: Renorm(C), "running-average norm": lambda: Running(C),
    "layer norm": lambda: nn.GroupNorm(1, C), "RMS norm": lambda: rms(1, 2, 3),
    "group norm": lambda: nn.GroupNorm(2, C), "instance norm": lambda: nn.InstanceNorm2d(C, affine=True),
    "filter response norm": lambda: rms(2, 3), "dynamic tanh": lambda: Each(lambda x: (0.5 * x).tanh()),
}}
WEIGHTS = {{
    "spectral norm": parametrizations.spectral_norm, "weight norm": parametrizations.weight_norm,
    "weight standardization": standardized, "no norm": lambda layer: layer,
}}


def changes(name):
    """Whether a sample's output moves with other batch-mates, and from train() to eval()"""
    layer = WEIGHTS.get(name, lambda layer: layer)(nn.Conv2d(1, C, 3))
    net = nn.Sequential(layer, ACTIVATIONS.get(name, nn.Identity)(), nn.ReLU())
    batch, other = torch.rand(2, 8, 1, 8, 8)
    other[0] = batch[0]
    net(batch)
    state = {{key: value.clone() for key, value in net.state_dict().items()}}
    outputs = []
    for x, training in ((batch, True), (other, True), (batch, False)):
        net.load_state_dict(state)
        with torch.no_grad():
            outputs.append(net.train(training)(x)[0])
    return [int((own - outputs[0]).abs().max() > 1e-2) for own in outputs[1:]]


found = {{name: changes(name) for name in (*ACTIVATIONS, *WEIGHTS)}}
print("same =", sum(not differs for _, differs in found.values()))
print("norm,mates,differs")
for name, (mates, differs) in found.items():
    print(name, mates, differs, sep=",")
'''

TABLE_TORCH = """\
import torch
from torch import nn

norm = nn.BatchNorm2d(8)  # put any norm here
x, other = torch.rand(2, 8, 8, 4, 4)
other[0] = x[0]
mates = (norm(x)[0] - norm(other)[0]).abs().max().item()  # not 0: it depends on batch-mates
gap = (norm.train()(x) - norm.eval()(x)).abs().max().item()  # not 0: training and inference differ
print("per_channel =", sum(p.numel() for p in norm.parameters()) / 8)
"""
