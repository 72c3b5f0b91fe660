"""What is taken away from "Style": scripts with the same numbers, and a few lines of PyTorch."""

from __future__ import annotations

from bnlib.lessons import style, style_digits
from book import photos
from book.controls import SEEDS, Values
from pages._style_parts import (
    FILTERS,
    INKS,
    MOVED,
    TOP,
    WINDOW,
    left_edge,
    light_of,
    near,
    photo_of,
    responses,
)

SMALL = f"""\
import numpy as np
from sklearn.datasets import load_sample_image

def small(name):  # averages over squares of 7 x 7 pixels
    pixels = load_sample_image(name)[:427, :637]
    return pixels.reshape({photos.ROWS}, 7, {photos.COLUMNS}, 7, 3).mean((1, 3)).round() / 255

"""
LIGHT = """\
def relit(photo):
    cast = np.array([1 + {cast!r}, 1, 1 - {cast!r}])
    lit = cast * (0.5 + {contrast!r} * (photo - 0.5)) + {brightness!r}
    columns = (np.arange(photo.shape[1]) + 0.5) / photo.shape[1]
    lit = lit * np.where(columns < {shadow!r}, {shade!r}, 1.0)[:, None]
    return lit.clip(0, 1) ** {tone!r}, ((lit < 0) | (lit > 1)).mean()

"""
TOOLS = """\
def rms(x):
    return np.sqrt(np.square(x).mean())

def norm(x, axes=(0, 1)):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)

def table(**columns):
    print(",".join(columns))
    for row in zip(*columns.values()):
        print(",".join(map(str, row)))

"""
RELIGHT = """\
own = small("{file}")
lit, clipped = relit(own)
left = norm(lit) - norm(own)
before, after = rms((lit - own) / own.std((0, 1))), rms(left)
print("before =", before)
print("after =", after)
print("kept =", after / before if before > 1e-12 else 0.0)
print("clipped =", clipped)
moments = {{}}
for name, x in (("photo", own), ("relit", lit)):
    moments |= {{f"{{name}}_mean": x.mean((0, 1)), f"{{name}}_std": x.std((0, 1))}}
table(channel=["red", "green", "blue"], **moments, left=np.sqrt(np.square(left).mean((0, 1))))
"""
FILTERED = """\
import torch
from torch.nn import functional as F

reach = np.arange({kernel}) - {kernel} // 2
down, across = np.meshgrid(reach, reach, indexing="ij")
kernels = []
for wave, width in {waves}:
    for angle in np.deg2rad({angles}):
        along = across * np.cos(angle) + down * np.sin(angle)
        kernel = np.exp(-(across**2 + down**2) / (2 * width**2)) * np.sin(2 * np.pi * along / wave)
        kernels.append(kernel / np.sqrt(np.square(kernel).sum()))
grey = torch.tensor(small("{file}").mean(2))[None, None]
padded = F.pad(grey, 4 * [{kernel} // 2], mode="replicate")
responses = F.conv2d(padded, torch.tensor(np.stack(kernels))[:, None])[0].numpy()
found = []
for edge in {edges}:
    window = responses[:, {top} : {top} + {window}, edge : edge + {window}]
    found.append((window.std((1, 2)), norm(window, (1, 2)).std((1, 2))))
(first, first_after), (second, second_after) = found
print("ratio =", first[{at}] / second[{at}])
print("ratio_after =", first_after[{at}] / second_after[{at}])
table(filter={names}, first=first, second=second, first_after=first_after, second_after=second_after)
"""
SWAP = """\
def blurred(x, size):
    for axis in (0, 1):
        around = [(size // 2, size // 2) if a == axis else (0, 0) for a in range(3)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, around, mode="edge"), size, axis)
        x = windows.mean(-1)
    return x

def scales(x):
    levels = [x, *(blurred(x, size) for size in {blurs})]
    return [*(a - b for a, b in zip(levels, levels[1:])), levels[-1]]

def adain(x, y):  # Huang & Belongie 2017, equation 8
    return y.std((0, 1)) * norm(x) + y.mean((0, 1))

def edges(x):
    return np.hypot(np.diff(x, axis=0)[:, :-1], np.diff(x, axis=1)[:-1])

def agreement(a, b):
    return np.mean([np.corrcoef(a[..., k].ravel(), b[..., k].ravel())[0, 1] for k in range(3)])

own, other, t = small("{own}"), small("{other}"), {mix!r}
split = scales if {by_scales} else lambda x: [x]
made = sum((1 - t) * x + t * adain(x, y) for x, y in zip(split(own), split(other)))
six = lambda x: np.concatenate([x.mean((0, 1)), x.std((0, 1))])
print("way =", 1 - np.linalg.norm(six(other) - six(made)) / np.linalg.norm(six(other) - six(own)))
print("edges =", agreement(edges(own), edges(made)))
print("edges_other =", agreement(edges(other), edges(made)))
columns = {{}}
for name, x in (("own", own), ("other", other), ("made", made)):
    columns |= {{f"{{name}}_gamma": x.std((0, 1)), f"{{name}}_beta": x.mean((0, 1))}}
table(channel=["red", "green", "blue"], **columns)
"""
BATCH = """\
before = np.stack([small("china.jpg"), small("flower.jpg")])
now = before.copy()
now[1] = relit(before[1])[0]
mean, var = before.mean((0, 1, 2)), before.var((0, 1, 2))
n = before[..., 0].size
norms = {{
    "instance": lambda x: norm(x, (1, 2)),
    "train": lambda x: norm(x, (0, 1, 2)),
    "eval": lambda x: (x - mean) / np.sqrt(var * n / (n - 1) + 1e-5),
}}
moved = {{name: [rms(x) for x in f(now) - f(before)] for name, f in norms.items()}}
for name, sizes in moved.items():
    print(f"changed_{{name}} =", sum(size > {moved} for size in sizes))
    print(f"pagoda_{{name}} =", sizes[0])
    print(f"flower_{{name}} =", sizes[1])
columns = dict(norm=norms)
for k, photo in enumerate(("pagoda", "flower")):
    columns[f"{{photo}}_mean"] = [f(before)[k].mean() for f in norms.values()]
for k, photo in enumerate(("pagoda", "flower")):
    columns[f"{{photo}}_moved"] = [sizes[k] for sizes in moved.values()]
table(**columns)
"""
DIGITS = """\
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
data, order = load_digits(), np.random.default_rng(123).permutation(1797)
images, labels = torch.tensor(data.data[order] / 16), torch.tensor(data.target[order])
X, Y, VAL_X, VAL_Y = images[:1297], labels[:1297], images[1297:], labels[1297:]
seeds, C, B, steps = range({seed}, {seed} + {seeds}), {channels}, {batch}, {steps}
R = len(seeds)

class Networks:  # one a seed, side by side: their channels are those of one grouped convolution
    def __init__(self, norm):
        drawn = [np.random.default_rng((seed, 20)) for seed in seeds]
        kernel = np.stack([np.sqrt(2 / 9) * rng.standard_normal((9, C)) for rng in drawn])
        weight = np.stack([np.sqrt(1 / (64 * C)) * rng.standard_normal((64 * C, 10)) for rng in drawn])
        kernel = torch.tensor(kernel).mT.reshape(R * C, 1, 3, 3)
        self.norm = norm
        self.parameters = [kernel, torch.ones(R * C), torch.zeros(R * C), torch.tensor(weight)]
        self.parameters.append(torch.zeros(R, 1, 10))
        self.mean, self.var = torch.zeros(R * C), torch.ones(R * C)
        for parameter in self.parameters:
            parameter.requires_grad_()

    def __call__(self, x, training=False):  # x: (R, N, 64)
        kernel, gamma, beta, weight, bias = self.parameters
        z = F.conv2d(x.transpose(0, 1).reshape(-1, R, 8, 8), kernel, padding=1, groups=R)
        if self.norm == "instance":
            z = F.instance_norm(z, weight=gamma, bias=beta)
        elif self.norm == "batch":
            z = F.batch_norm(z, self.mean, self.var, gamma, beta, training, momentum=0.1)
        else:
            z = z + beta[:, None, None]
        a = F.relu(z).reshape(-1, R, C, 64).permute(1, 0, 3, 2)
        return a.reshape(R, -1, 64 * C) @ weight + bias

    def train(self, ask_ink):
        orders = {{}}
        sgd = torch.optim.SGD(self.parameters, lr={rate}, momentum=0.9)
        for step in range(steps):
            rows = []
            for seed in seeds:
                epochs = range(step * B // len(X), ((step + 1) * B - 1) // len(X) + 1)
                for e in epochs:
                    if (seed, e) not in orders:
                        orders[seed, e] = np.random.default_rng((seed, 1, e)).permutation(len(X))
                found = np.concatenate([orders[seed, e] for e in epochs])
                rows.append(found[step * B - epochs[0] * len(X) :][:B])
            x, y = X[np.stack(rows)], Y[np.stack(rows)]
            if ask_ink:
                drawn = [np.random.default_rng((seed, 22, step)).integers(2, size=B) for seed in seeds]
                y = torch.tensor(np.stack(drawn))
                x = x * torch.where(y == 1, 1.0, {faint})[..., None]
            sgd.param_groups[0]["lr"] = {rate} * 0.5 * (1 + np.cos(np.pi * step / steps))
            loss = F.cross_entropy(self(x, True).permute(0, 2, 1), y, reduction="none").mean(1).sum()
            sgd.zero_grad()
            loss.backward()
            sgd.step()
        return self

    def right(self, x, y):
        with torch.no_grad():
            return (self(x.expand(R, -1, -1)).argmax(2) == y).double().mean().item()

columns = {{}}
asked = torch.arange(len(VAL_X)) % 2
for norm in ("none", "batch", "instance"):
    net = Networks(norm).train(ask_ink=True)
    print(f"asked_{{norm}} =", net.right(VAL_X * torch.where(asked == 1, 1.0, {faint})[:, None], asked))
    net = Networks(norm).train(ask_ink=False)
    columns[norm] = [net.right(ink * VAL_X, VAL_Y) for ink in {inks}]
    print(f"right_{{norm}} =", columns[norm][{at}])
    print(f"paper_{{norm}} =", net.right(0.5 + 0.5 * VAL_X, VAL_Y))
print("ink,none,batch,instance")
for row in zip({inks}, *columns.values()):
    print(",".join(map(str, row)))
"""


def script(values: Values) -> str:
    """Write the script of a scene: it computes the view's numbers and its table anew."""
    scene, photo = values["scene"], photo_of(values)
    if scene == "wrong":
        names = {"channels": style_digits.CHANNELS, "batch": style_digits.BATCH, "steps": style_digits.STEPS}
        return DIGITS.format(
            seed=SEEDS * values["seed"], seeds=SEEDS, rate=style_digits.RATE, faint=style_digits.FAINT,
            inks=INKS, at=INKS.index(near(values["ink"])), **names,
        )  # fmt: skip
    light = LIGHT.format(**light_of(values, scene == "batch")._asdict(), shade=style.SHADE)
    file, other = photos.FILES[photo], photos.FILES[1 - photo]
    if scene == "light":
        return SMALL + light + TOOLS + RELIGHT.format(file=file)
    if scene == "texture":
        edges = tuple(left_edge(values[name]) for name in ("first", "second"))
        return SMALL + TOOLS + FILTERED.format(
            file=file, kernel=style.KERNEL, waves=style.WAVES, angles=style.ANGLES, edges=edges, top=TOP,
            window=WINDOW, at=FILTERS.index(values["filter"]), names=FILTERS,
        )  # fmt: skip
    if scene == "swap":
        return SMALL + TOOLS + SWAP.format(
            own=file, other=other, mix=values["mix"] / 100, by_scales=values["space"] == "scales",
            blurs=style.BLURS,
        )  # fmt: skip
    return SMALL + light + TOOLS + BATCH.format(moved=MOVED)


# ---- a few lines of PyTorch ------------------------------------------------------------------------------

PHOTO = """\
import torch
from sklearn.datasets import load_sample_image

def small(name):  # averages over squares of 7 x 7 pixels, (1, 3, H, W) from 0 to 1
    x = torch.tensor(load_sample_image(name)[:427, :637]).double().reshape(61, 7, 91, 7, 3).mean((1, 3))
    return (x.round() / 255).permute(2, 0, 1)[None]

"""
LIGHT_TORCH = """\
x = small("{file}")
cast = torch.tensor([1 + {cast!r}, 1, 1 - {cast!r}])[:, None, None]
lit = cast * (0.5 + {contrast!r} * (x - 0.5)) + {brightness!r}
lit[..., (torch.arange(91) + 0.5) / 91 < {shadow!r}] *= {shade!r}
lit = lit.clamp(0, 1) ** {tone!r}
norm = torch.nn.InstanceNorm2d(3)  # affine=False is PyTorch's default here: no gamma, no beta
print("after =", (norm(lit) - norm(x)).square().mean().sqrt().item())
"""
TEXTURE_TORCH = """\
# Style statistics of any features x (N, C, H, W): two numbers a channel, which instance norm takes away.
norm = torch.nn.InstanceNorm2d(2)
x = torch.randn(1, 2, 24, 24, dtype=torch.float64)
x = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), correction=0, keepdim=True)
x = x * torch.tensor([{first!r}, {second!r}])[:, None, None]  # as strong as the filter's responses here
std = norm(x).std((2, 3), correction=0)[0]
print("first_after =", std[0].item())
print("second_after =", std[1].item())
"""
SWAP_TORCH = """\
def adain(x, y):  # Huang & Belongie 2017, equation 8
    gamma, beta = y.std((2, 3), correction=0, keepdim=True), y.mean((2, 3), keepdim=True)
    return gamma * torch.nn.functional.instance_norm(x) + beta

x, y, t = small("{own}"), small("{other}"), {mix!r}
mixed = (1 - t) * x + t * adain(x, y)
print("beta_red =", mixed[0, 0].mean().item())
"""
BATCH_TORCH = """\
x = torch.cat([small("china.jpg"), small("flower.jpg")])
now = x.clone()
cast = torch.tensor([1 + {cast!r}, 1, 1 - {cast!r}])[:, None, None]
now[1] = (cast * (0.5 + {contrast!r} * (x[1] - 0.5)) + {brightness!r}).clamp(0, 1)
for name, norm in (("instance", torch.nn.InstanceNorm2d(3)), ("train", torch.nn.BatchNorm2d(3).double())):
    print(f"pagoda_{{name}} =", (norm(now) - norm(x))[0].square().mean().sqrt().item())
"""
WRONG_TORCH = """\
import numpy as np
import torch
from sklearn.datasets import load_digits

order = np.random.default_rng(123).permutation(1797)
x = {ink!r} * torch.tensor(load_digits().images[order[1297]] / 16)[None, None]
x_hat = torch.nn.InstanceNorm2d(1)(x)
std = x.std((2, 3), correction=0, keepdim=True)
print("spread =", x_hat.std(correction=0).item())  # whatever the ink
print("digit_std =", std.item())  # where the ink matters, pass this on beside the output:
both = torch.cat([x_hat, std.log().expand_as(x)], dim=1)
"""


def pytorch(values: Values) -> str:
    """Write a scene's few lines of PyTorch."""
    scene, photo = values["scene"], photo_of(values)
    light = light_of(values, scene == "batch")._asdict() | {"shade": style.SHADE}
    file, other = photos.FILES[photo], photos.FILES[1 - photo]
    if scene == "light":
        return PHOTO + LIGHT_TORCH.format(file=file, **light)
    if scene == "texture":
        return "import torch\n\n" + TEXTURE_TORCH.format(**_strengths(values))
    if scene == "swap":
        return PHOTO + SWAP_TORCH.format(own=file, other=other, mix=values["mix"] / 100)
    if scene == "batch":
        return PHOTO + BATCH_TORCH.format(**light)
    return WRONG_TORCH.format(ink=near(values["ink"]))


def _strengths(values: Values) -> dict[str, float]:
    """Return the spread of the chosen filter's responses in both windows."""
    own = responses(photo_of(values))[FILTERS.index(values["filter"]), TOP : TOP + WINDOW]
    edges = {name: left_edge(values[name]) for name in ("first", "second")}
    return {name: float(own[:, edge : edge + WINDOW].std()) for name, edge in edges.items()}
