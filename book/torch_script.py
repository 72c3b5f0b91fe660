"""What scripts to take away begin with: dense networks of `bnlib.RunConfig` in PyTorch, seeds side by side.

The text needs NumPy, PyTorch and scikit-learn alone. It has the data of ``dataset="digits"`` and, for the
fields that it knows, the initial weights and the batches of `bnlib`, in float64.
"""

DIGITS = """\
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
digits = load_digits()
order = np.random.default_rng(123).permutation(1797)
images, labels = torch.tensor(digits.data[order] / 16), torch.tensor(digits.target[order])
X, Y, VAL_X, VAL_Y = images[:1297], labels[:1297], images[1297:], labels[1297:]
"""

NETWORKS = (
    DIGITS
    + '''

def variance(x, dim, keepdim=False):
    """The biased variance; Tensor.var takes several times as long where it is not over the last axis"""
    return (x - x.mean(dim, keepdim=True)).square().mean(dim, keepdim=keepdim)


class Networks:
    """Dense networks side by side, one a seed; arrays are (seeds, samples, units).

    norm_batch: so many samples share mean and variance; 0: the whole batch
    residual "pre": h + W phi(norm(h)), with h the sum so far
    """

    def __init__(
        self, seeds, depth=3, width=64, activation="relu", norm="batch", placement="before", residual="none",
        groups=8, norm_batch=0, batch_size=32, optimizer="sgd", lr=0.1, weight_decay=0.0, cosine_steps=0,
        init_scale=1.0, eps=1e-5, momentum=0.9, gamma=1.0, beta=0.0,
    ):
        self.__dict__ |= {name: value for name, value in locals().items() if name != "self"}
        self.seeds, self.step, self.parameters, self.velocity, self.orders = list(seeds), 0, {}, {}, {}
        sizes = [64, *depth * [width], 10]
        full = lambda size, value: torch.full((len(self.seeds), 1, size), value)
        streams = [np.random.default_rng((seed, 0)) for seed in self.seeds]
        for layer, (rows, columns) in enumerate(zip(sizes, sizes[1:])):
            drawn = np.stack([rng.standard_normal((rows, columns)) for rng in streams])
            self.parameters[f"weight{layer}"] = torch.tensor(init_scale * np.sqrt(2 / rows) * drawn)
            if layer == depth or norm != "batch" or placement == "after":
                self.parameters[f"bias{layer}"] = full(columns, 0.0)
            if layer < depth and norm != "none":
                self.parameters[f"gamma{layer}"] = full(columns, gamma)
                self.parameters[f"beta{layer}"] = full(columns, beta)
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        self.running = [(full(width, 0.0), full(width, 1.0)) for _ in range(depth)]

    def normalize(self, x, layer, size):
        """size: samples that share mean and variance; 0: the running averages"""
        (seeds, samples, units), p = x.shape, self.parameters
        if self.norm == "none":
            return x
        if self.norm == "batch" and not size:
            mean, var = self.running[layer]
            x = (x - mean) / (var + self.eps).sqrt()
        elif self.norm == "batch":  # samples 0, N/size, 2N/size, ... share
            parts = x.reshape(seeds, size, -1, units)
            mean = parts.mean(1, keepdim=True)
            parts = parts - mean
            var = parts.square().mean(1, keepdim=True)
            self.seen[layer] = mean.detach().mean(2), var.detach().mean(2), size
            x = (parts / (var + self.eps).sqrt()).reshape(x.shape)
        else:
            parts = x.reshape(seeds, samples, self.groups if self.norm == "group" else 1, -1)
            mean, var = parts.mean(-1, keepdim=True), parts.var(-1, correction=0, keepdim=True)
            x = ((parts - mean) / (var + self.eps).sqrt()).reshape(x.shape)
        return p[f"gamma{layer}"] * x + p[f"beta{layer}"]

    def forward(self, x, size=0):
        """Logits of x; what enters and leaves each layer's activation is kept in `entered` and `left`"""
        phi = {"relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}[self.activation]
        p, self.seen, self.entered, self.left, stream = self.parameters, {}, [], [], 0
        for layer in range(self.depth):
            x = x @ p[f"weight{layer}"] + p.get(f"bias{layer}", 0) + stream
            stream = x if self.residual == "pre" else 0
            if self.placement == "before":
                x = self.normalize(x, layer, size)
            self.entered.append(x)
            x = phi(x)
            self.left.append(x)
            if self.placement == "after":
                x = self.normalize(x, layer, size)
        return x @ p[f"weight{self.depth}"] + p[f"bias{self.depth}"]

    def batch(self):
        """Samples and labels of the next step, an epoch after the other in an order of the seed's own"""
        start, size, found = self.step * self.batch_size, self.batch_size, []
        for seed in self.seeds:
            epochs = range(start // len(X), (start + size - 1) // len(X) + 1)
            stream = [self.order(seed, epoch) for epoch in epochs]
            found.append(np.concatenate(stream)[start % len(X) :][:size])
        rows = torch.tensor(np.stack(found))
        return X[rows], Y[rows]

    def order(self, seed, epoch):
        """In which order the seed's networks see all samples in an epoch"""
        if (seed, epoch) not in self.orders:
            self.orders[seed, epoch] = np.random.default_rng((seed, 1, epoch)).permutation(len(X))
        return self.orders[seed, epoch]

    def loss(self):
        """The next batch's loss, (seeds,)"""
        x, y = self.batch()
        logits = self.forward(x, self.norm_batch or self.batch_size)
        return F.cross_entropy(logits.mT, y, reduction="none").mean(1)

    def gradients(self):
        """Gradient of the next batch's loss by every parameter, by name"""
        parameters = list(self.parameters.values())
        return dict(zip(self.parameters, torch.autograd.grad(self.loss().sum(), parameters)))

    def train(self, steps):
        for _ in range(steps):
            gradients, lr = self.gradients(), self.lr
            if self.cosine_steps:
                lr *= 0.5 * (1 + np.cos(np.pi * min(self.step / self.cosine_steps, 1)))
            for layer, (mean, var, size) in self.seen.items():
                old, old_var = self.running[layer]
                var = old_var if size == 1 else var * size / (size - 1)  # unbiased
                keep = self.momentum
                self.running[layer] = keep * old + (1 - keep) * mean, keep * old_var + (1 - keep) * var
            for name, gradient in gradients.items():
                if self.weight_decay and name.startswith("weight"):
                    gradient = gradient + self.weight_decay * self.parameters[name].detach()
                if self.optimizer == "momentum":
                    gradient = self.velocity[name] = 0.9 * self.velocity.get(name, 0) + gradient
                self.parameters[name].data -= lr * gradient
            self.step += 1
        return self

    @torch.no_grad()
    def error(self, statistics="running", x=VAL_X, y=VAL_Y):
        """Wrong answers in per cent, (seeds,); statistics: "running", or "batch" as in training"""
        size = 0 if statistics == "running" else self.norm_batch or self.batch_size
        whole = len(x) // size * size if size else len(x)
        said = self.forward(x[:whole].expand(len(self.seeds), -1, -1), size).argmax(2)
        return 100 * (said != y[:whole]).double().mean(1)


def table(**columns):
    print(",".join(columns))
    for row in zip(*columns.values()):
        print(",".join(map(str, row)))


'''
)
