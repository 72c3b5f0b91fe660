"""The scripts to take away of "Training and inference": the same networks again, in PyTorch."""

from __future__ import annotations

from book.controls import Values
from book.torch_script import DIGITS
from pages._inference_parts import DRAWS, conv_steps, step_batch

NETWORK = (
    DIGITS
    + '''\
EPS, RATE, STEP_BATCH = {eps!r}, {lr!r}, {size}


class Network:
    """Three layers of 64 ReLU units; m: samples that share mean and variance."""

    def __init__(self, seed, norm="batch", m=64, order="shuffled"):
        self.seed, self.norm, self.m, self.order = seed, norm, m, order
        self.step, self.fixed, self.stream, self.first = 0, False, [], False
        rng, sizes = np.random.default_rng((seed, 0)), (64, 64, 64, 64, 10)
        draw = lambda rows, columns: np.sqrt(2 / rows) * rng.standard_normal((rows, columns))
        self.weights = [torch.tensor(draw(*pair)) for pair in zip(sizes, sizes[1:])]
        self.gammas, self.betas = [torch.ones(64) for _ in range(3)], [torch.zeros(64) for _ in range(3)]
        self.biases = [torch.zeros(64) for _ in range(3 if norm != "batch" else 0)] + [torch.zeros(10)]
        self.learned = [*self.weights, *self.gammas, *self.betas, *self.biases]
        self.running = [(torch.zeros(64), torch.ones(64)) for _ in range(3)]
        for parameter in self.learned:
            parameter.requires_grad_()

    def forward(self, x, m=0):
        """Logits of x; m = 0: with running statistics, else with those of m samples at a time."""
        self.seen = []
        for layer in range(3):
            x = x @ self.weights[layer]
            if self.norm == "batch" and m:
                parts = x.reshape(m, -1, 64)  # samples 0, N/m, 2N/m, ... share
                mean, var = parts.mean(0), parts.var(0, correction=0)
                self.seen.append((mean.detach(), var.detach()))
                x = ((parts - mean) / (var + EPS).sqrt()).reshape(-1, 64)
            elif self.norm == "batch":
                mean, var = self.running[layer]
                x = (x - mean) / (var + EPS).sqrt()
            else:
                groups = 8 if self.norm == "group" else 1
                x = F.group_norm(x + self.biases[layer], groups, eps=EPS)
            x = F.relu(self.gammas[layer] * x + self.betas[layer])
        return x @ self.weights[3] + self.biases[-1]

    def batch(self, step, x, y):
        """The samples of a step, laid out so that those which belong together share a norm batch."""
        start, n = step * STEP_BATCH, len(x)
        epochs = range(start // n, (start + STEP_BATCH - 1) // n + 1)
        stream = np.concatenate([np.random.default_rng((self.seed, 1, e)).permutation(n) for e in epochs])
        rows = stream[start % n :][:STEP_BATCH]
        if self.order != "shuffled":
            rows = rows[(y.numpy()[rows] // (2 if self.order == "pairs" else 1)).argsort(kind="stable")]
            rows = rows.reshape(-1, self.m).T.ravel()
        return x[rows], y[rows]

    def train(self, steps, rate=None):
        for _ in range(steps):
            x, y = self.batch(self.step, X, Y)
            loss = F.cross_entropy(self.forward(x, 0 if self.fixed else self.m), y)
            if self.norm == "batch" and not self.fixed:
                unbiased = self.m / max(self.m - 1, 1)
                pick = (lambda a: a[0]) if self.first else (lambda a: a.mean(0))
                own = [(pick(mean), pick(var) * unbiased if self.m > 1 else None) for mean, var in self.seen]
                self.stream.append(own)
            for parameter, gradient in zip(self.learned, torch.autograd.grad(loss, self.learned)):
                parameter.data -= (rate or RATE) * gradient
            self.step += 1
        return self

    def average(self, momentum):
        """Running statistics of what all steps have seen; they start at 0 and 1."""
        self.running = [(torch.zeros(64), torch.ones(64)) for _ in range(3)]
        for own in self.stream:
            for layer, (mean, var) in enumerate(own):
                old, old_var = self.running[layer]
                var = old_var if var is None else momentum * old_var + (1 - momentum) * var
                self.running[layer] = momentum * old + (1 - momentum) * mean, var
        return self

    @torch.no_grad()
    def right(self, m=0, x=VAL_X, y=VAL_Y):
        x = x[: len(x) // m * m] if m else x
        return float((self.forward(x, m).argmax(1) == y[: len(x)]).double().mean())

    @torch.no_grad()
    def recompute(self, x=X, m=0):
        """Statistics of x: as one batch, unbiased, or (Wu & Johnson 2021) of batches of m."""
        size = m or len(x)
        self.forward(x[: len(x) // size * size], size)
        if m:
            self.running = [(a.mean(0), (v + a**2).mean(0) - a.mean(0) ** 2) for a, v in self.seen]
        else:
            self.running = [(a[0], v[0] * size / (size - 1)) for a, v in self.seen]
        return self


def mean(numbers):
    return sum(numbers) / len(numbers)


def table(**columns):
    print(",".join(columns))
    for row in zip(*columns.values()):
        print(",".join(map(str, row)))


'''
)

MODES = """\
networks = [Network(seed, m={m}, order={order!r}).train({step}) for seed in range(4)]
train = [net.right({m}) for net in networks]
evaluated = [net.average({momentum!r}).right() for net in networks]
precise = [net.recompute(m={m}).right() for net in networks]
print("right_train =", mean(train))
print("right_eval =", mean(evaluated))
print("right_anew =", mean(precise))
"""

SCRIPTS = {
    "stale": MODES
    + """\
print("left =", {momentum!r} ** {step})
nets = [Network(seed, m={m}, order={order!r}) for seed in range(4)]
rows = []
for step in range(0, {step} + 1, 5):
    for seed, net in enumerate(nets):
        net.train(step - net.step)
        rows.append((step, seed, net.right({m}), net.average({momentum!r}).right()))
table(**dict(zip(("step", "seed", "train", "eval"), zip(*rows))))
""",
    "recalibrate": MODES + "table(seed=range(4), train=train, eval=evaluated, precise=precise)\n",
    "lag": """\
net = Network(0, m={m}, order={order!r}).train(max({step}, 1))
means, variances = ([float(own[0][part][{unit}]) for own in net.stream] for part in (0, 1))
running, running_var, averages = 0.0, 1.0, []
for mean_, var in zip(means, variances):
    running = {momentum!r} * running + (1 - {momentum!r}) * mean_
    running_var = {momentum!r} * running_var + (1 - {momentum!r}) * var
    averages.append((running, running_var))
print("running_mean =", running)
print("running_var =", running_var)
print("half =", np.log(0.5) / np.log({momentum!r}) if {momentum!r} else 0.0)
table(
    step=range(1, len(means) + 1), batch_mean=means, batch_var=variances,
    running_mean=[a for a, _ in averages], running_var=[v for _, v in averages],
)
""",
    "one_class": """\
def grouped(norm, order):
    nets = [Network(seed, norm, {m}, order).train({step}).average({momentum!r}) for seed in range(4)]
    evaluated, own = [net.right() for net in nets], []
    for net in nets:  # companions as in training, of validation digits
        right = []
        for step in range(len(VAL_X) // STEP_BATCH):
            x, y = net.batch(step, VAL_X, VAL_Y)
            right.append(float((net.forward(x, {m}).argmax(1) == y).double().mean()))
        own.append(mean(right))
    precise = [net.recompute(m={m}).right() for net in nets] if norm == "batch" else evaluated
    return own, evaluated, precise


own, evaluated, precise = grouped("batch", {order!r})
print("own =", mean(own))
print("right_eval =", mean(evaluated))
print("right_anew =", mean(precise))
print("mixed =", mean(grouped("batch", "shuffled")[1]))
print("layer =", mean(grouped("layer", {order!r})[1]))
table(seed=range(4), own=own, eval=evaluated, precise=precise)
""",
    "roulette": """\
changed, differs, different, answered = [], [], 0, 0
for seed in range(4):
    net = Network(seed, m={m}, order={order!r}).train({step}).average({momentum!r})
    rng = np.random.default_rng(({spin}, 5))
    votes = np.full((500, {draws}), -1)
    with torch.no_grad():
        usual = net.forward(VAL_X).argmax(1).numpy()
        for draw in range({draws}):
            order = rng.permutation(500)[: 500 // {m} * {m}]
            votes[order, draw] = net.forward(VAL_X[order], {m}).argmax(1).numpy()
    asked = votes >= 0
    changed.append(np.mean([len(set(own[own >= 0])) > 1 for own in votes]))
    other = (votes != usual[:, None]) & asked
    differs.append(other.sum() / asked.sum())
    different, answered = different + other.sum(0), answered + asked.sum(0)
    if seed == 0:  # the digit that is framed, among other companions at each draw
        rng, rest, logits = np.random.default_rng(({spin}, 6)), np.delete(np.arange(500), {pin}), []
        with torch.no_grad():
            for draw in range({draws}):
                rows = [{pin}, *rng.choice(rest, {m} - 1, replace=False)]
                logits.append(net.forward(VAL_X[rows], {m} if {mode!r} == "train" else 0)[0])
        odds = torch.stack(logits).softmax(1)
        said, share = odds.argmax(1).tolist(), odds[:, usual[{pin}]].tolist()
print("changed =", float(mean(changed)))
print("differs =", float(mean(differs)))
by_draw = (different / answered if {mode!r} == "train" else 0 * different).tolist()
table(draw=range(1, {draws} + 1), pinned_class=said, eval_class_probability=share, differs=by_draw)
""",
    "alone": """\
nets = [Network(seed, m={m}, order={order!r}).train({step}).average({momentum!r}) for seed in range(4)]
with torch.no_grad():
    logits = nets[0].forward(VAL_X, 1).numpy()
said = logits.argmax(1)
print("distinct =", len(np.unique(logits.round(6), axis=0)))
print("right =", mean([net.right(1) for net in nets]))
print("right_eval =", mean([net.right() for net in nets]))
table(**{{"class": range(10), "said": np.bincount(said, minlength=10).tolist()}})
""",
    "clinic": """\
def patient(name, seed, norm="batch", sync=False):
    steps, momentum, m, rate = {{
        "A": (20, 0.999, 64, 0.3), "B": (60, 0.1, 4, 0.1), "C": (100, 0.9, 64, 0.3),
    }}[name]
    net = Network(seed, norm, 64 if sync else m)
    net.first = name == "B" and not sync
    net.rate = rate
    return net.train(steps, rate).average(momentum)


found = {{}}
for name in "ABC":
    change = (lambda x: x * 0.5 + 0.5) if name == "C" else (lambda x: x)
    nets = [patient(name, seed) for seed in range(4)]
    found["train_" + name] = [net.right(64, change(VAL_X)) for net in nets]
    found["eval_" + name] = [net.right(0, change(VAL_X)) for net in nets]
    found["training_" + name] = [net.recompute(X).right(0, change(VAL_X)) for net in nets]
    found["use_" + name] = [net.recompute(change(X)).right(0, change(VAL_X)) for net in nets]
    for net in nets:
        net.running = [
            tuple(sum(own[k][part] for own in net.stream) / net.step for part in (0, 1)) for k in range(3)
        ]
    found["cumulative_" + name] = [net.right(0, change(VAL_X)) for net in nets]
    found["sync_" + name] = [patient(name, seed, sync=True).right(0, change(VAL_X)) for seed in range(4)]
    found["group_" + name] = [patient(name, seed, "group").right(0, change(VAL_X)) for seed in range(4)]
    nets = [patient(name, seed) for seed in range(4)]
    for net in nets:
        net.fixed = True
    found["frozen_" + name] = [net.train(50, net.rate / 3).right(0, change(VAL_X)) for net in nets]
for name, shares in found.items():
    print(name, "=", mean(shares))
cured = [mean(found["training_" + name]) for name in "ABC"]
worst = min(range(3), key=cured.__getitem__)
print("uncured =", worst if cured[worst] < 0.8 * mean(found["train_" + "ABC"[worst]]) else 3)
kinds = {{"train": "as found: train()", "eval": "as found: eval()"}}
kinds |= {{kind: kind for kind in ("training", "use", "cumulative", "sync", "group", "frozen")}}
rows = [
    (name, told, seed, right)
    for name in "ABC" for kind, told in kinds.items() for seed, right in enumerate(found[kind + "_" + name])
]
table(**dict(zip(("patient", "remedy", "seed", "right"), zip(*rows))))
""",
    "free": """\
nets, steps, train, evaluated = [Network(seed, m={m}, order={order!r}) for seed in range(4)], [], [], []
for step in range(0, {step} + 1, 5):
    nets = [net.train(step - net.step) for net in nets]
    steps.append(step)
    train.append(mean([net.right({m}) for net in nets]))
    evaluated.append(mean([net.average({momentum!r}).right() for net in nets]))
print("right_train =", train[-1])
print("right_eval =", evaluated[-1])
table(step=steps, train=train, eval=evaluated)
""",
}


CONVOLUTIONAL = """\
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
digits = load_digits()
order = np.random.default_rng(123).permutation(1797)
images = torch.tensor(digits.data[order] / 16).unflatten(1, (1, 8, 8))
labels = torch.tensor(digits.target[order])
X, Y, VAL_X, VAL_Y = images[:1297], labels[:1297], images[1297:], labels[1297:]
EPS, RATE, MOMENTUM, STEPS = {eps!r}, {lr!r}, {momentum!r}, {step}
CHANNELS = (1, 4, 8, 8)


def forward(x, kind):  # kind: batch (train() of batch norm), instance, or running (its eval())
    for layer in range(3):
        kernel = kernels[layer].T.unflatten(1, (3, 3, -1)).permute(0, 3, 1, 2)  # rows: row, column, channel
        x = F.conv2d(x, kernel, biases[layer], stride=2 if layer == 1 else 1, padding=1)
        own = dict(weight=gammas[layer], bias=betas[layer], eps=EPS)
        if kind == "instance":
            x = F.group_norm(x, x.shape[1], **own)
        else:
            x = F.batch_norm(x, *running[layer], training=kind == "batch", momentum=1 - MOMENTUM, **own)
        x = F.relu(x)
    return x.mean((2, 3)) @ top + bias


for norm in ("instance", "batch"):
    rng = np.random.default_rng((0, 0))
    draw = lambda rows, columns: torch.tensor(np.sqrt(2 / rows) * rng.standard_normal((rows, columns)))
    kernels, top = [draw(9 * a, b) for a, b in zip(CHANNELS, CHANNELS[1:])], draw(8, 10)
    gammas, betas = ([torch.full((c,), value) for c in CHANNELS[1:]] for value in (1.0, 0.0))
    biases, bias = [torch.zeros(c) for c in CHANNELS[1:]], torch.zeros(10)
    running = [(torch.zeros(c), torch.ones(c)) for c in CHANNELS[1:]]
    learned = [*kernels, top, *gammas, *betas, bias, *(biases if norm == "instance" else [])]
    for parameter in learned:
        parameter.requires_grad_()
    for step in range(STEPS):
        start, n = step * 64, len(X)
        epochs = range(start // n, (start + 63) // n + 1)
        stream = np.concatenate([np.random.default_rng((0, 1, e)).permutation(n) for e in epochs])
        rows = stream[start % n :][:64]
        loss = F.cross_entropy(forward(X[rows], norm), Y[rows])
        for parameter, gradient in zip(learned, torch.autograd.grad(loss, learned)):
            parameter.data -= RATE * gradient
    if norm == "instance":
        with torch.no_grad():
            print("instance =", float((forward(VAL_X, "instance").argmax(1) == VAL_Y).double().mean()))
with torch.no_grad():
    alone = forward(VAL_X, "instance")  # one image at a time in train(): its positions share
    said = alone.argmax(1)
    print("distinct =", len(np.unique(alone.numpy().round(6), axis=0)))
    print("right =", float((said == VAL_Y).double().mean()))
    print("right_eval =", float((forward(VAL_X, "running").argmax(1) == VAL_Y).double().mean()))
print("class,said")
for number, count in enumerate(np.bincount(said, minlength=10)):
    print(number, count, sep=",")
"""


def script(values: Values) -> str:
    """Write a script that trains the scene's networks again and prints its numbers and its table."""
    scene = values["scene"]
    given = {
        "m": values["batch_size"], "order": values["order"], "momentum": values["momentum"],
        "step": values["step"],
        "unit": values["unit"], "draws": DRAWS, "spin": values["draw"] // DRAWS, "pin": values["pin"],
        "mode": values["mode"],
    }  # fmt: skip
    fixed = {"lr": 0.3, "eps": 1e-5} if scene == "clinic" else {"lr": values["lr"], "eps": values["eps"]}
    if scene == "alone" and values["network"] == "cnn":
        return CONVOLUTIONAL.format(**fixed, **given | {"step": conv_steps(values["step"])})
    head = NETWORK.format(size=step_batch(values), **fixed)
    return head + SCRIPTS[scene].format(**given)
