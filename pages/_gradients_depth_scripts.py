"""PyTorch for the scenes about depth: a few lines each, and scripts that compute their numbers again."""

from __future__ import annotations

from book.controls import SEEDS, Values, seeds
from book.torch_script import NETWORKS
from pages import _gradients_depth_map as maps
from pages._gradients_depth_parts import SAMPLES, SHOWN, WORDS
from pages._gradients_depth_views import LATER, LATER_RATE, RATE, STEPS

HEAD = "import math\n\nimport torch\nfrom torch import nn\n\ntorch.set_default_dtype(torch.float64)\n"

MEASURE = """\


def gradients(net, loss):
    \"\"\"Norm of the gradient by what enters each ReLU, the last layer first; loss is a function.\"\"\"
    seen = []
    keep = lambda module, into, out: seen.append(into[0].norm())
    hooks = [m.register_full_backward_hook(keep) for m in net.modules() if isinstance(m, nn.ReLU)]
    loss().backward()
    for hook in hooks:
        hook.remove()
    return torch.stack(seen)


"""

DEPTH = """\
net = nn.Sequential()
for _ in range({layers}):
    net.extend([nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU()])
    nn.init.kaiming_normal_(net[-3].weight, nonlinearity="relu")
x = torch.randn({samples}, 64)
by_layer = gradients(net, lambda: (net(x) * torch.randn_like(x)).sum())
print("first over last:", (by_layer[-1] / by_layer[0]).item())
normal = torch.special.ndtri((torch.arange(1e6) + 0.5) / 1e6)
h = math.sqrt(2) * normal.relu()  # He's weights double the second moment, ReLU halves it
print("large_batch =", (1 / h.std()).item())  # growth in one layer
"""

MAP = """\
net = nn.Sequential()
for _ in range({layers}):
    net.extend([nn.Linear(64, 64, bias=False), {norm}nn.ReLU()])
linear = [m for m in net if isinstance(m, nn.Linear)]
x, g = torch.randn(2, 32, 64)
ratios = []
for factor in (1, {scale!r}):
    for m in linear:
        m.weight.data *= factor
    by_layer = gradients(net, lambda: (net(x) * g).sum())
    ratios.append(by_layer[-1] / by_layer[0])
print("{name} =", (ratios[1] / ratios[0]).item())  # first over last, by scale
"""

TRAINS = """

def cosine(skips):  # mean over pairs of samples, behind the last ReLU
    h, norm = torch.randn(32, 64), nn.BatchNorm1d(64)
    for _ in range({layers}):
        weight = math.sqrt(2 / 64) * torch.randn(64, 64)
        h = h + norm(h).relu() @ weight if skips else (h @ weight).relu()
    unit = nn.functional.normalize(norm(h).relu() if skips else h)
    return ((unit @ unit.T).sum().item() - 32) / (32 * 31)


print("with batch norm and skips:", cosine(True))
print("without both:", cosine(False))
c = torch.tensor(0.0)
for _ in range({layers}):  # the same without both by theory, for wide layers
    c = ((1 - c**2).sqrt() + (math.pi - c.arccos()) * c) / math.pi
print("similarity_from_0 =", c.item())
"""

COMMON = '''\
mean, std = X.mean(0), X.std(0, correction=0)
X, VAL_X = (torch.where(std > 0, (x - mean) / std.clamp(min=1e-12), 0.0) for x in (X, VAL_X))
SEEDS = range({first}, {first} + {seeds})
ARMS = {{
    "none": dict(norm="none"), "batch": dict(norm="batch"), "layer": dict(norm="layer"),
    "skip": dict(norm="batch", residual="pre"),
}}
WORDS = {words!r}


class Watched(Networks):
    """Networks that keep what enters their norms."""

    def normalize(self, x, layer, size):
        self.inputs = [*(self.inputs if layer else ()), x.detach()]
        return super().normalize(x, layer, size)

    def sigma(self, x):
        """What the norm divides x by, (seeds,)"""
        if self.norm == "none":
            return torch.ones(len(x))
        return variance(x, 1 if self.norm == "batch" else 2).mean(1).sqrt()


def network(arm, layers, **fields):
    """With skip connections there is one layer more: the stream begins with a linear map."""
    return Watched(SEEDS, depth=layers + (arm == "skip"), **ARMS[arm], **{{"batch_size": {samples}}} | fields)


def gradients(nets, layers):
    """Norm of the gradient by what enters each ReLU (seeds, layers), the first layer first."""
    found = torch.autograd.grad(nets.loss().sum(), nets.entered)[:layers]
    return torch.stack([g.square().sum((1, 2)).sqrt() for g in found], 1)


def ratio(gradient):
    return gradient[:, 0] / gradient[:, -1]


def typical(x, dim=None):
    return x.log().mean(dim).exp()


'''

SCRIPTS = {
    "depth": """\
layers, fields, rows = {layers}, dict(init_scale={scale!r}, batch_size={size}), []
for arm in ARMS:
    nets = network(arm, layers, lr={later_rate!r}, **fields)
    gradient = gradients(nets, layers)
    print(f"ratio_{{arm}} =", typical(ratio(gradient)).item())
    sigma = torch.stack([nets.sigma(x) for x in nets.inputs[:layers]], 1).mean(0)
    curve = typical(gradient / gradient[:, -1:], 0)
    rows += [(k + 1, WORDS[arm], float(curve[k]), float(sigma[k])) for k in range(layers)]
    if arm == "batch":
        for step in {later!r}:
            nets.train(step - nets.step)
            print(f"after_{{step}} =", typical(ratio(gradients(nets, layers))).item())
table(**dict(zip(("layer", "norm", "gradient", "sigma"), zip(*rows))))
""",
    "map": """\
SCALES, rows = {scales!r}, []


def ratios(arm, layers):  # at each scale of the same weights
    nets, found, now = network(arm, layers), [], 1.0
    weights = [p for name, p in nets.parameters.items() if name.startswith("weight")]
    for scale in SCALES:
        for weight in weights:
            weight.data *= scale / now
        now = scale
        found.append(typical(ratio(gradients(nets, layers))))
    return torch.stack(found)


edges = np.interp([-np.log({limit}), np.log({limit})], ratios("none", {asked}).log(), np.log(SCALES))
print("margin =", np.exp((edges[1] - edges[0]) / 2))
for layers in {depths!r}:
    for scale, found in zip(SCALES, ratios({arm!r}, layers)):
        rows.append((WORDS[{arm!r}], layers, scale, float(found.log10())))
table(**dict(zip(("norm", "layers", "init_scale", "log10_first_over_last"), zip(*rows))))
""",
    "trains": """\
# Plain batch norm with many layers is chaotic: rounding decides which digits it gets right after training.
# Whether they are more than half is not left to rounding.
layers, rows, trained = {layers}, [], 0
for place, arm in enumerate(ARMS):
    nets = network(arm, layers, lr={rate!r})
    first_over_last = ratio(gradients(nets, layers))
    unit = F.normalize(nets.left[layers - 1].detach(), dim=2)
    n = unit.shape[1]
    alike = (unit.sum(1).square().sum(1) - unit.square().sum((1, 2))) / (n * (n - 1))
    right = 1 - nets.train({steps}).error("batch") / 100
    trained += 2**place if right.mean() > 0.5 else 0
    print(f"ratio_{{arm}} =", typical(first_over_last).item())
    print(f"similarity_{{arm}} =", alike.mean().item())
    columns = (first_over_last, alike, (right > 0.5).double())
    rows += [(WORDS[arm], seed, *map(float, own)) for seed, *own in zip(SEEDS, *columns)]
print("trained =", trained)  # none 1, batch 2, layer 4, skip 8
names = ("norm", "seed", "first_over_last_gradient", "similarity", "more_than_half_right")
table(**dict(zip(names, zip(*rows))))
""",
}


def pytorch(values: Values) -> str:
    """Write a scene's few lines of PyTorch."""
    scene, layers = values["scene"], values["layers"]
    if scene == "depth":
        return HEAD + MEASURE + DEPTH.format(layers=layers, samples=values["samples"])
    if scene == "map":
        arm, (layers, scale) = values["arm"], maps.picked(values)
        norms = {"none": "", "layer": "nn.LayerNorm(64, eps=0), "}
        norm = norms.get(arm, "nn.BatchNorm1d(64, eps=0), ")
        name = "closed" if arm == "none" else "unmoved"
        return HEAD + MEASURE + MAP.format(layers=layers, scale=scale, norm=norm, name=name)
    return HEAD + TRAINS.format(layers=layers)


def script(values: Values) -> str:
    """Write a script that computes a scene's numbers and table again."""
    scene = values["scene"]
    words = {arm: WORDS[arm].replace(",", " and") for arm in SHOWN}
    head = COMMON.format(first=seeds(values)["seed"], seeds=SEEDS, samples=SAMPLES, words=words)
    own = SCRIPTS[scene].format(
        layers=values["layers"], scale=values["init_scale"], size=values["samples"], later=LATER,
        later_rate=LATER_RATE, scales=maps.SCALES, depths=maps.DEPTHS, arm=values["arm"],
        asked=maps.ASKED, limit=maps.LIMIT, steps=STEPS, rate=RATE,
    )  # fmt: skip
    return NETWORKS + head + own
