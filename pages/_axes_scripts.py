"""What is taken away from "Which axes?": lines of PyTorch for each scene, and scripts with its numbers."""

from __future__ import annotations

import numpy as np

from bnlib.lessons import axes
from bnlib.lessons.axes import EPS, HOME, SHAPE
from bnlib.lessons.axes_compared import GROUPS, HALF, NORMS, ORDERS, SCALED
from book.controls import SEEDS, Values
from pages._axes_paint import torch_norm
from pages._axes_parts import NORM_NAMES, UNNOTICED, first
from pages._axes_scale import KINDS
from pages._axes_views import company_mate, near

HERE = ", ".join(map(str, HOME))

# ---- PyTorch ---------------------------------------------------------------------------------------------

MAPS = """\
import numpy as np
import torch
from sklearn.datasets import load_digits

digits = load_digits().images[np.random.default_rng(123).permutation(1797)][1297:] / 16
rng = np.random.default_rng(({seed}, 11))
order = rng.permutation(500)
images = torch.tensor(digits[order[:4]])[:, None]
weight = torch.tensor((2 / 9) ** 0.5 * rng.standard_normal((6, 1, 3, 3)))
x = torch.nn.functional.conv2d(images, weight, stride=2, padding=1)  # 4 × 6 × 4 × 4

"""

MODULES = {
    "batch": "norm = torch.nn.BatchNorm2d(6, dtype=x.dtype)\n",
    "layer": "norm = torch.nn.GroupNorm(1, 6, dtype=x.dtype)  # the numbers of LayerNorm([6, 4, 4])\n",
    "group": f"norm = torch.nn.GroupNorm({HALF}, 6, dtype=x.dtype)\n",
    "instance": "norm = torch.nn.InstanceNorm2d(6, dtype=x.dtype)\n",
    "rms": f"norm = torch.nn.RMSNorm([6, 4, 4], eps={EPS}, dtype=x.dtype)\n",
    "eval": """\
norm = torch.nn.BatchNorm2d(6, momentum=1.0, dtype=x.dtype)
norm(torch.nn.functional.conv2d(torch.tensor(digits)[:, None], weight, stride=2, padding=1))
norm.eval()  # the statistics of all digits, whatever is in the batch
""",
}

TORCH = {
    "groups": """\
y = torch.nn.GroupNorm({groups}, 6, dtype=x.dtype)(x)
means = y.mean((2, 3))  # of each channel of each image
print("between =", means.var(1, correction=0).mean().item())
""",
    "company": """\
{norm}images[3, 0] = torch.tensor(digits[order[{place}]])
exchanged = torch.nn.functional.conv2d(images, weight, stride=2, padding=1)
print("here =", (norm(exchanged)[0] - norm(x)[0]).abs().max().item())
""",
    "scale": """\
{change}
after = torch.nn.functional.conv2d(images, weight, stride=2, padding=1)
batch, layer = torch.nn.BatchNorm2d(6, {more}), torch.nn.GroupNorm(1, 6, {more})
for name, norm in dict(batch=batch, layer=layer).items():
    print(f"{{name}}_here =", ((norm(after) - norm(x)).abs().max() / norm(x).abs().max()).item())
""",
    "two": """\
group = torch.nn.GroupNorm(1, 6, dtype=x.dtype)
whole = torch.nn.LayerNorm([6, 4, 4], dtype=x.dtype)  # the same outputs, other γ and β
position = torch.nn.LayerNorm(6, dtype=x.dtype)
y = position(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # channels last, and back
print("apart_here =", (group(x) - y).square().mean().sqrt().item())
print("learned =", sum(p.numel() for p in {kind}.parameters()))
""",
}
SHOWN = f"""\
print("home =", y[{HERE}].item())  # the framed number
print("largest =", y.abs().max().item())
"""
CHANGED = {
    "image": "images[1] *= {factor}", "batch": "images *= {factor}", "channel": "weight[2] *= {factor}",
    "weights": "weight *= {factor}",
}  # fmt: skip


def pytorch(values: Values) -> str:
    """Write the PyTorch program of a scene."""
    begin, scene = MAPS.format(seed=first(values)), values["scene"]
    if scene == "paint":
        norm = torch_norm(axes.partition(values["painted"]))
        return begin + norm + SHOWN
    if scene == "groups":
        return begin + TORCH[scene].format(groups=near(values["groups"]))
    if scene == "company":
        place = axes.IMAGES - 1 + company_mate(values)
        return begin + TORCH[scene].format(norm=MODULES[values["norm"]], place=place)
    if scene == "scale":
        change = CHANGED[values["what"]].format(factor=values["factor"])
        return begin + TORCH[scene].format(change=change, more=f"eps={values['eps']}, dtype=x.dtype")
    return begin + TORCH["two"].format(kind=values["layer"])


# ---- scripts ---------------------------------------------------------------------------------------------

BEGIN = """\
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

torch.set_num_threads(1)
digits = load_digits().images[np.random.default_rng(123).permutation(1797)][1297:] / 16
EPS = {eps}


def drawn(seed, mate=0):
    \"\"\"Four digits and six filters\"\"\"
    rng = np.random.default_rng((seed, 11))
    order = rng.permutation(len(digits))
    weight = torch.tensor(np.sqrt(2 / 9) * rng.standard_normal((6, 1, 3, 3)))
    return torch.tensor(digits[[*order[:3], order[3 + mate]]])[:, None], weight


def maps(images, weight):
    return F.conv2d(images, weight, stride=2, padding=1)


def shared(x, dim, centre=True):
    \"\"\"Mean 0 and variance 1 over some axes, but for EPS\"\"\"
    x = x - x.mean(dim, keepdim=True) if centre else x
    return x / (x.square().mean(dim, keepdim=True) + EPS).sqrt()


def grouped(x, groups):
    return shared(x.reshape(len(x), groups, -1), (2,)).reshape(x.shape)


NORMS = {{
    "batch": lambda x: shared(x, (0, 2, 3)),
    "layer": lambda x: shared(x, (1, 2, 3)),
    "group": lambda x: grouped(x, {half}),
    "instance": lambda x: shared(x, (2, 3)),
    "rms": lambda x: shared(x, (1, 2, 3), centre=False),
}}
SEEDS = range({seed}, {seed} + {seeds})


def table(**columns):
    told = lambda value: f'"{{value}}"' if "," in str(value) else str(value)
    print(",".join(columns))
    for row in zip(*columns.values()):
        print(",".join(map(told, row)))


"""

PAINT = """\
sets = np.array({sets}).reshape(4, 6, 4, 4)  # the number of each cell's set
x = maps(*drawn({seed})).numpy()
y, rows = np.empty_like(x), []
for number in range(sets.max() + 1):
    own = x[sets == number]
    y[sets == number] = (own - own.mean()) / np.sqrt(own.var() + EPS)
    rows.append((number, own.size, own.mean(), own.std(), y[sets == number].mean(), y[sets == number].std()))
stds = np.array([image[mine].std() for image, mine in zip(y, sets == 0) if mine.any()])
stds = stds[stds > 1e-12]
print("ratio =", stds.max() / stds.min() if len(stds) > 1 else 1.0)
print("home =", y[{here}])
print("largest =", np.abs(y).max())
print("sets =", len(rows))
table(**dict(zip(("set", "size", "mean", "std", "mean_after", "std_after"), zip(*rows))))
"""

GROUPS_SCRIPT = """\
between = lambda y: y.mean((2, 3)).var(1, correction=0).mean().item()
distance = lambda a, b: (a - b).square().mean().sqrt().item()
groups, xs = {groups}, []
for seed in SEEDS:  # which channels are neighbours is arbitrary: means over {orders} orders
    rng, x = np.random.default_rng((seed, 13)), maps(*drawn(seed))
    orders = [np.arange(6), *(rng.permutation(6) for _ in range({orders} - 1))]
    xs.append(torch.cat([x[:, order] for order in orders]))
to_layer = [np.mean([distance(grouped(x, g), NORMS["layer"](x)) for x in xs]) for g in groups]
to_instance = [np.mean([distance(grouped(x, g), NORMS["instance"](x)) for x in xs]) for g in groups]
left = [np.mean([between(grouped(x, g)) / between(grouped(x, 1)) for x in xs]) for g in groups]
print("left =", left[groups.index({chosen})])
print("to_layer =", to_layer[groups.index({chosen})])
print("theory =", (6 - {chosen}) / 5)
table(groups=groups, layer=to_layer, instance=to_instance, left=left)
"""

COMPANY = """\
moved = {{name: [] for name in {names}}}
pulled = {{name: [] for name in moved}}
for seed in SEEDS:
    x, other = maps(*drawn(seed)), maps(*drawn(seed, {mate}))
    loss = torch.tensor(np.random.default_rng((seed, 12)).standard_normal((6, 4, 4)))
    every = maps(torch.tensor(digits)[:, None], drawn(seed)[1])
    mean, var = every.mean((0, 2, 3), keepdim=True), every.var((0, 2, 3), correction=0, keepdim=True)
    norms = NORMS | {{"eval": lambda x: (x - mean) / (var + EPS).sqrt()}}
    for name, norm in norms.items():
        moved[name].append((norm(other)[0] - norm(x)[0]).abs().max().item())
        given = x.clone().requires_grad_()
        (norm(given)[0] * loss).sum().backward()
        pulled[name].append((given.grad[3].abs().max() / given.grad[0].abs().max()).item())
print("changed =", sum(max(moved[name]) > 1e-9 for name in NORMS))
print("moved_batch =", np.mean(moved["batch"]))
print("pulled_batch =", np.mean(pulled["batch"]))
table(
    norm={names}.values(), change=[np.mean(own) for own in moved.values()],
    gradient=[np.mean(own) for own in pulled.values()],
)
"""

SCALE = """\
def scaled(seed):
    images, weight = drawn(seed)
    before = images.clone(), weight.clone()
    {change}
    return before, (images, weight)


unit = lambda images, weight: maps(images, weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt())
norms = {{name: lambda images, weight, norm=norm: norm(maps(images, weight)) for name, norm in NORMS.items()}}
change = {{}}
for name, norm in (norms | {{"weight": unit}}).items():
    outputs = [[norm(*given) for given in scaled(seed)] for seed in SEEDS]
    change[name] = np.mean([((b - a).abs().max() / a.abs().max()).item() for a, b in outputs])
    print(f"{{name}} =", change[name])
print("same =", sum(own < {unnoticed} for own in change.values()))
table(norm=[{names}[name] for name in change], change=change.values())
"""

TWO = """\
layers = {{
    "group": lambda x: shared(x, (1, 2, 3)),
    "whole": lambda x: F.layer_norm(x, [6, 4, 4], eps=EPS),
    "position": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), [6], eps=EPS).permute(0, 3, 1, 2),
}}
x = maps(*drawn({seed}))
nudged = x.clone()
nudged[{here}] += 0.5
share = [int((norm(nudged) != norm(x)).sum()) for norm in layers.values()]
learned = [sum(p.numel() for p in norm.parameters()) for norm in (
    torch.nn.GroupNorm(1, 6), torch.nn.LayerNorm([6, 4, 4]), torch.nn.LayerNorm(6))]
xs = [maps(*drawn(seed)) for seed in SEEDS]
apart = [(layers["group"](x) - layers["position"](x)).square().mean().sqrt().item() for x in xs]
print("shared =", share[list(layers).index({kind!r})])
print("apart =", np.mean(apart))
table(layer={kinds}, share=share, learned=learned)
"""


def script(values: Values) -> str:
    """Compute the view's numbers and table again with NumPy and PyTorch."""
    scene, seed = values["scene"], first(values)
    eps = values["eps"] if scene == "scale" else EPS
    begin = BEGIN.format(eps=eps, half=HALF, seed=seed, seeds=SEEDS)
    if scene == "paint":
        sets = axes.partition(values["painted"]).sets
        return begin + PAINT.format(sets=_sets(sets), seed=seed, here=HERE)
    if scene == "groups":
        return begin + GROUPS_SCRIPT.format(groups=list(GROUPS), orders=ORDERS, chosen=near(values["groups"]))
    names = {name: NORM_NAMES[name] for name in (*NORMS, "eval", "weight")}
    if scene == "company":
        del names["weight"]
        return begin + COMPANY.format(names=names, mate=company_mate(values))
    if scene == "scale":
        change = CHANGED[values["what"]].format(factor=values["factor"])
        return begin + SCALE.format(change=change, unnoticed=UNNOTICED, names=names)
    return begin + TWO.format(seed=seed, here=HERE, kind=values["layer"], kinds=list(KINDS.values()))


def _sets(sets: np.ndarray) -> list[int]:
    return [int(number) for number in sets.ravel()]


assert set(CHANGED) == set(SCALED) and len(SHAPE) == 4
