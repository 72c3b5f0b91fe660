"""What is taken away from the GAN's scene: a script that trains it again, and a few lines of PyTorch."""

from __future__ import annotations

from book.controls import SEEDS, Values
from pages._weights_gan_parts import BEST, JUDGED, LOOKS, NOISE, STEPS, rates_of
from pages._weights_gan_views import repeated

GAN = '''\
import numpy as np
import torch
from torch.nn import functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
SEEDS, STEPS, EVERY, LOOK = range({seed}, {seed} + {seeds}), {step}, {every}, {look}
RATES = {rates}  # and whether another program finds the same
NOISE, SIZES = {noise}, [(2, 32), (32, 32), (32, 32), (32, 1)]  # of the discriminator's layers

# The ring: eight Gaussians, 1,024 samples.
rng = np.random.default_rng(123)
angle = 2 * np.pi * np.arange(8) / 8
centres = np.stack([np.cos(angle), np.sin(angle)], axis=1)
real = centres[np.arange(1536) % 8][rng.permutation(1536)]
CENTRES, REAL = torch.tensor(centres), torch.tensor(real + NOISE * rng.standard_normal(real.shape))[:1024]


def drawn(shape, *stream):
    return torch.tensor(np.stack([np.random.default_rng((s, *stream)).standard_normal(shape) for s in SEEDS]))


def weights(sizes, stream):
    """Weights with He's scale, seeds first, and biases of 0"""
    streams = [np.random.default_rng((seed, stream)) for seed in SEEDS]
    draw = lambda rows, columns: np.stack(
        [np.sqrt(2 / rows) * rng.standard_normal((rows, columns)) for rng in streams]
    )
    w = [torch.tensor(draw(*size)).requires_grad_() for size in sizes]
    return w, [torch.zeros(len(SEEDS), 1, size[1]).requires_grad_() for size in sizes]


def generated(z, generator):
    for k, (w, b) in enumerate(zip(*generator)):
        z = z @ w + b
        z = z if k == 3 else F.relu(z)
    return z


def unit(v):
    return v / v.norm(dim=1, keepdim=True)


class Discriminator:
    def __init__(self, norm):
        self.norm, (self.w, self.b) = norm, weights(SIZES, 0)
        self.gamma = [torch.ones(len(SEEDS), 1, 32).requires_grad_() for _ in range(3)]
        self.beta = [torch.zeros(len(SEEDS), 1, 32).requires_grad_() for _ in range(3)]
        self.learned = [*self.w, self.b[3]]
        self.learned += [*self.gamma, *self.beta] if norm == "batch" else self.b[:3]
        self.u = [u[:, :, None] for u in drawn(97, 4).split([32, 32, 32, 1], dim=1)]
        self.scaled(15)

    def scaled(self, iterations):
        """The weights that are used; spectral norm: W / sigma, after so many power iterations"""
        if self.norm != "spectral":
            return self.w
        found = []
        for k, w in enumerate(self.w):
            with torch.no_grad():
                for _ in range(max(iterations, 1)):
                    v = unit(w @ self.u[k])
                    self.u[k] = unit(w.mT @ v) if iterations else self.u[k]
            found.append(w / (self.u[k].mT @ w.mT @ v))
        return found

    def logits(self, x, w):
        for k in range(4):
            x = x @ w[k]
            if k < 3 and self.norm == "batch":  # real and generated points separately
                x = x - x.mean(1, keepdim=True)
                x = self.gamma[k] * x / (x.square().mean(1, keepdim=True) + 1e-5).sqrt() + self.beta[k]
            else:
                x = x + self.b[k]
            x = x if k == 3 else F.relu(x)
        return x


def shares(generator):
    """Shares of points near a Gaussian, and of Gaussians covered, (seeds,)"""
    with torch.no_grad():
        distance = torch.cdist(generated(drawn((256, 8), 7), generator), CENTRES.expand(len(SEEDS), -1, -1))
    near, nearest = distance.min(2)
    near = near <= 3 * NOISE
    counts = torch.stack([(near & (nearest == mode)).sum(1) for mode in range(8)], 1)
    return near.double().mean(1), (counts >= 8).double().mean(1)


def descend(parameters, loss, lr, alive):
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss.sum(), parameters)):
        parameter.data -= lr * alive[:, None, None] * gradient


def train(norm, lr):
    """Rows (step, near, covered), shares of each seed, at each EVERY steps; what is measured at LOOK"""
    net, generator, rows = Discriminator(norm), weights([(8, 32), *SIZES[1:3], (32, 2)], 5), []
    alive, seen = torch.ones(len(SEEDS)), None
    for step in range(STEPS + 1):
        if step % EVERY == 0 or step == STEPS:
            rows.append((step, *(alive * share for share in shares(generator))))
        if step == LOOK:
            seen = measured(net, generator)
        if step == STEPS:
            return rows, seen
        epoch, start = divmod(64 * step, 1024)
        order = np.stack([np.random.default_rng((seed, 1, epoch)).permutation(1024) for seed in SEEDS])
        z = drawn((2, 64, 8), 6, step)
        w = net.scaled(1)
        fake = net.logits(generated(z[:, 0], generator).detach(), w)
        loss = F.softplus(-net.logits(REAL[order[:, start : start + 64]], w)).mean((1, 2))
        loss = (loss + F.softplus(fake).mean((1, 2))) / 2
        alive *= loss.detach() < 1000 * np.log(2)  # what diverges stays as it is
        descend(net.learned, loss, lr, alive)
        loss = F.softplus(-net.logits(generated(z[:, 1], generator), net.scaled(0))).mean((1, 2))
        descend([p for both in generator for p in both], loss, lr, alive)


'''

TRAINED = '''\
def measured(net, generator):
    """The steepest slope at real and generated points, and the product of largest singular values"""
    slopes, w = [], [one.detach() for one in net.scaled(0)]
    for x in (REAL[:256].expand(len(SEEDS), -1, -1), generated(drawn((256, 8), 7), generator)):
        x = x.detach().clone().requires_grad_()
        slopes.append(torch.autograd.grad(net.logits(x, w).sum(), x)[0].norm(dim=2))
    bound = torch.stack([torch.linalg.matrix_norm(one, 2) for one in w]).prod(0)
    return torch.cat(slopes, 1).amax(1).mean().item(), bound.mean().item()


scores, columns = {}, {}
for norm, (lr, kept) in RATES.items():
    rows, seen = train(norm, lr)
    near, covered = (torch.stack([row[k] for row in rows]) for k in (1, 2))
    scores[norm] = (near * covered)[-1].numpy()
    columns["step"] = [row[0] for row in rows if row[0] % EVERY == 0]
    for name, share in (("near", near), ("covered", covered)):
        # Where rounding errors are multiplied, another program ends elsewhere: no numbers but the start's.
        means = share.mean(1).tolist()
        columns[f"{name}_{norm}"] = [mean if kept or k == 0 else "" for k, mean in enumerate(means)]
    if kept:
        print(f"score_{norm} =", scores[norm].mean())
'''
SLOPES = """\
    if norm != "batch" and seen:
        steepest, bound = seen
        print(f"steepest_{norm} =", steepest)
        print(f"bound_{norm} =", bound)
"""
LEADER = """\
first, second, _ = sorted(scores, key=lambda norm: -scores[norm].mean())
gap = scores[first] - scores[second]
clear = gap.mean() > 2.3646 * gap.std(ddof=1) / len(gap) ** 0.5  # Student's t, 7 degrees of freedom
print("leader =", list(RATES).index(first) if clear else 3)
print(",".join(columns))
for row in zip(*columns.values()):
    print(*row, sep=",")
"""

TORCH = """\
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

torch.manual_seed(0)
linear = [spectral_norm(nn.Linear(*size), n_power_iterations=50) for size in ((2, 32), (32, 32), (32, 1))]
D = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])  # a logit; ReLUs have slopes 0 and 1
for _ in range(20):
    D(torch.randn(64, 2))  # in train(), each call goes on with the power iteration
sigma = [torch.linalg.matrix_norm(layer.weight, 2) for layer in linear]
print("limit =", torch.stack(sigma).prod().item())  # D's slope is nowhere larger
"""


def script(values: Values) -> str:
    """Write a script that trains the three GANs again and prints their scores and the table."""
    own = rates_of(values)
    rates = {norm: (lr, repeated(norm, lr)) for norm, lr in own.items()}
    given = {
        "seed": SEEDS * values["seed"], "seeds": SEEDS, "step": values["gan_step"] // JUDGED * JUDGED,
        "every": STEPS // 10, "look": LOOKS[-1], "rates": rates, "noise": NOISE,
    }  # fmt: skip
    return GAN.format(**given) + TRAINED + (SLOPES if own == BEST else "") + LEADER


def pytorch(values: Values) -> str:
    """Write a discriminator with spectral norm, whose slope is at most 1."""
    return TORCH
