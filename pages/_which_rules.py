"""The rules of "Which norm?": situations, each with a norm, its reason, its limit and its evidence."""

from __future__ import annotations

from typing import NamedTuple

KINDS = {
    "dense": "dense", "conv": "convolution", "rnn": "recurrent", "transformer": "transformer", "gan": "GAN",
    "style": "style",
}  # fmt: skip
BATCHES = (1, 2, 4, 8, 16, 32, 64)  # samples on one device; the last means more, too
DATA = {
    "shuffled": "shuffled", "online": "one by one", "grouped": "of one kind", "tuned": "fine-tuning",
}  # fmt: skip


class Rule(NamedTuple):
    """A row: where it holds, and what it says.

    kinds, least, most, data : the networks, the samples per device and the data that it is for
    norm : the answer's name on the map; answer : the sentence that gives it
    because, limit, second, change : the reason, where it ends, the runner-up, what would change the answer
    evidence : of each of these four, a link's words and address
    learned : numbers that the norm in ``code`` learns, which is what ``code`` prints
    """

    kinds: tuple[str, ...]
    least: int
    most: int
    data: tuple[str, ...]
    norm: str
    answer: str
    because: str
    limit: str
    second: str
    change: str
    evidence: tuple[tuple[str, str], ...]
    code: str
    learned: int

    def fits(self, kind: str, batch: int, data: str) -> bool:
        """Say whether the rule is for this network, batch and data."""
        return kind in self.kinds and self.least <= batch <= self.most and data in self.data


ANY = tuple(DATA)
PRINT = 'print("learned =", float(sum(p.numel() for p in norm.parameters() if p.requires_grad)))\n'
START = "import torch\nfrom torch import nn\n\n"

LAYER_DENSE = START + (
    "norm = nn.LayerNorm(256)\n"
    "block = nn.Sequential(nn.Linear(256, 256), norm, nn.ReLU())  # the same in train() and eval()\n"
    "block(torch.randn(1, 256))  # one sample is enough\n"
) + PRINT  # fmt: skip
BATCH_DENSE = START + (
    "norm = nn.BatchNorm1d(256, momentum=0.1)  # 0.1 weighs the new batch\n"
    "block = nn.Sequential(nn.Linear(256, 256, bias=False), norm, nn.ReLU())\n"
    "# DataLoader(..., shuffle=True, drop_last=True): a last batch of one sample is an error\n"
) + PRINT  # fmt: skip
BATCH_CONV = START + (
    "norm = nn.BatchNorm2d(128)\n"
    "block = nn.Sequential(nn.Conv2d(64, 128, 3, padding=1, bias=False), norm, nn.ReLU())\n"
    "# model.eval() before inference; DataLoader(..., shuffle=True)\n"
) + PRINT  # fmt: skip
GROUP_CONV = START + (
    "norm = nn.GroupNorm(32, 128)  # 32 groups; they must divide the channels\n"
    "block = nn.Sequential(nn.Conv2d(64, 128, 3, padding=1, bias=False), norm, nn.ReLU())\n"
    "block(torch.randn(1, 64, 8, 8))  # one image is enough\n"
    "# or, on several GPUs: nn.SyncBatchNorm.convert_sync_batchnorm(model_with_batch_norm)\n"
) + PRINT  # fmt: skip
LAYER_RNN = START + (
    "cell, norm, state = nn.Linear(32 + 64, 64), nn.LayerNorm(64), torch.zeros(1, 64)\n"
    "for x in torch.randn(20, 1, 32):  # any number of steps\n"
    "    state = torch.tanh(norm(cell(torch.cat([x, state], dim=1))))\n"
) + PRINT  # fmt: skip
PRE_NORM = START + (
    "norm = nn.LayerNorm(256)  # or nn.RMSNorm(256)\n"
    "branch = nn.Sequential(norm, nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256))\n"
    "x = torch.randn(8, 20, 256)\n"
    "x = x + branch(x)  # pre-norm; behind the last block comes one more norm\n"
    "# nn.TransformerEncoderLayer(256, 8, norm_first=True) does this; its default is post-norm\n"
) + PRINT  # fmt: skip
SPECTRAL = START.replace("nn\n\n", "nn\nfrom torch.nn.utils.parametrizations import spectral_norm\n\n") + (
    "layers = [spectral_norm(nn.Conv2d(3, 64, 4, 2, 1)), spectral_norm(nn.Conv2d(64, 1, 4))]\n"
    "discriminator = nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1])  # no norm of activations in it\n"
    "norm = layers[0].parametrizations.weight[0]\n"
) + PRINT  # fmt: skip
INSTANCE = START + (
    "norm = nn.InstanceNorm2d(128, affine=True)  # affine=False is the default\n"
    "block = nn.Sequential(nn.Conv2d(64, 128, 3, padding=1), norm, nn.ReLU())\n"
    "# adaptive instance norm: affine=False, and gamma and beta come from the style\n"
) + PRINT  # fmt: skip
FROZEN = START + (
    "norm = nn.BatchNorm2d(128)  # in place of a pretrained model\n"
    "for part in norm.modules():\n"
    "    if isinstance(part, nn.modules.batchnorm._BatchNorm):\n"
    "        part.eval()  # again after each model.train()\n"
    "        part.requires_grad_(False)  # gamma and beta, too\n"
) + PRINT  # fmt: skip

SMALL = ("norm batches of 2", "small-batches?scene=cliff")
SHAPES = ("the same network on its own", "axes?scene=company")

RULES = (
    Rule(
        ("style",), 1, 64, ANY, "instance", "Instance norm, with γ and β from the style.",
        "It removes each image’s own contrast and brightness of each channel; γ and β put those of a style.",
        "It removes them also where they are the signal: a classifier may need them.",
        "Group norm, if only some of the contrast should go.",
        "Batch norm keeps differences between images; for one fixed style that can be enough.",
        (("what leaves with mean and variance", "style?scene=light"), ("contrast as the signal",
         "style?scene=wrong"), ("from layer to instance norm", "axes?scene=groups"),
         ("swap γ and β", "style?scene=swap")),
        INSTANCE, 256,
    ),
    Rule(
        ("gan",), 1, 64, ANY, "spectral", "Spectral norm in all layers of the discriminator.",
        "It limits how steep the discriminator is, and sees no batch: real and generated points stay "
        "comparable.",
        "It needs larger learning rates, and does not keep activations at size 1.",
        "No norm and a gradient penalty (R1), at twice the backward pass.",
        "The generator is another matter: batch norm is usual there.",
        (("a GAN on a ring", "weights?scene=gan"), ("what it does not do", "weights?scene=spread"),
         ("the circle through W", "weights?scene=circle"), ("one power iteration a step",
         "weights?scene=ratio")),
        SPECTRAL, 0,
    ),
    Rule(
        ("transformer",), 1, 64, ANY, "layer / RMS",
        "Layer norm or RMS norm, inside the residual branch (pre-norm).",
        "Statistics are of one token: batch size, length and padding don’t matter. Inside the branch the "
        "stream is never divided.",
        "Behind the sum (post-norm) few blocks train as well; many need a warm-up or more.",
        "RMS norm: it leaves the mean in, which is less to compute; how long it takes depends on the kernel.",
        "Networks that come with post-norm keep it; their weights are made for it.",
        (("pre-norm and post-norm", "which?scene=pre"), ("what trains", "training-lab?experiment=E30"),
         ("layer or RMS norm", "which?scene=rms"), ("pre-norm and post-norm", "which?scene=pre")),
        PRE_NORM, 512,
    ),
    Rule(
        ("rnn",), 1, 64, ANY, "layer", "Layer norm at each step.",
        "It needs no batch and no statistics of each step, so sequences may be of any length.",
        "With 16 or more sequences a step, batch norm per step can be level.",
        "No norm, with gates (LSTM, GRU) and clipped gradients.",
        "Sequences of one length in large batches: batch norm per step works, too.",
        (("padded sequences", "sequences?scene=padding"), ("recurrent networks",
         "training-lab?experiment=E22"), ("longer than any seen", "sequences?scene=longer"),
         ("a mean for each step", "sequences?scene=steps")),
        LAYER_RNN, 128,
    ),
    Rule(
        ("dense", "conv"), 1, 64, ("tuned",), "frozen",
        "Keep the pretrained batch norm, frozen.",
        "A few samples give poor statistics; those of the large data set are there already.",
        "If the new images look different, frozen statistics are wrong: compute them anew.",
        "A model that was pretrained with group norm or layer norm: nothing to freeze.",
        "With enough new data and batches of 16 or more, train batch norm on.",
        (("which fix helps", "small-batches?scene=mend"), ("another contrast", "training-lab?experiment=E28"),
         ("swap one batch-mate", "axes?scene=company"), ("recalibrate", "inference?scene=recalibrate")),
        FROZEN, 0,
    ),
    Rule(
        ("conv",), 1, 64, ("online", "grouped"), "group", "Group norm.",
        "An image’s statistics are its own: no batch is needed, and other images can’t change them.",
        "If contrast alone tells the classes apart, instance-like groups remove it: use few groups.",
        "Layer norm over the image, which is group norm with one group.",
        "Shuffled batches of 16 or more images: batch norm.",
        (("norm batches of one class", "inference?scene=one_class"), ("contrast as the signal",
         "style?scene=wrong"), ("from layer to instance norm", "axes?scene=groups"),
         ("batches of 2 in a convolution", "small-batches?scene=conv")),
        GROUP_CONV, 256,
    ),
    Rule(
        ("dense",), 1, 64, ("online", "grouped"), "layer", "Layer norm.",
        "A sample’s statistics are its own. With one sample batch norm puts out β; with batches of one kind "
        "it removes what they share.",
        "Layer norm removes a sample’s own size, which may be the signal.",
        "No norm, with He’s weights, if the network is shallow.",
        "Shuffled batches of 16 or more samples: batch norm.",
        (("one sample at a time", "sequences?scene=stream"), ("which norms don’t notice",
         "axes?scene=scale"), ("what trains", "gradients?scene=trains"),
         ("norm batches of one class", "inference?scene=one_class")),
        LAYER_DENSE, 512,
    ),
    Rule(
        ("conv",), 1, 8, ("shuffled",), "group", "Group norm, if no more images fit on a device.",
        "On ImageNet ResNet-50 errs 34.7% with batch norm and 2 images a device, 24.1% with group norm (Wu & "
        "He 2018).",
        "This lab’s small networks don’t show that rise: many positions share each mean.",
        "Batch norm synchronized over devices, if they have 16 images together.",
        "16 or more images per device: batch norm. Accumulated gradients don’t change statistics.",
        (("batches of 2 in a convolution", "small-batches?scene=conv"), ("small norm batches",
         "training-lab?experiment=E23"), ("which fix helps", "small-batches?scene=mend"),
         ("which fix helps", "small-batches?scene=mend")),
        GROUP_CONV, 256,
    ),
    Rule(
        ("conv",), 9, 64, ("shuffled",), "batch", "Batch norm.",
        "It allows larger learning rates, and is folded into the convolution for inference.",
        "Its training and its inference differ: stale or wrong running statistics cost accuracy.",
        "Group norm: level on ImageNet (24.1% to 23.6% with 32 images), the same in inference.",
        "Fewer than 16 images per device, or batches that are not shuffled: group norm.",
        (("how large a rate", "learning-rate?scene=rate"), ("stale averages", "inference?scene=stale"),
         ("from layer to instance norm", "axes?scene=groups"), ("norm batches of one class",
         "inference?scene=one_class")),
        BATCH_CONV, 256,
    ),
    Rule(
        ("dense",), 1, 8, ("shuffled",), "layer", "Layer norm.",
        "In a dense layer each mean is of one number for each sample: very few.",
        "With 8 samples and a good rate, batch norm can be level.",
        "No norm, with He’s weights: level in shallow networks.",
        "16 or more samples per device: batch norm.",
        (SMALL, ("how far off is a mean of m", "small-batches?scene=spread"), ("what trains",
         "gradients?scene=trains"), ("which fix helps", "small-batches?scene=mend")),
        LAYER_DENSE, 512,
    ),
    Rule(
        ("dense",), 9, 64, ("shuffled",), "batch", "Batch norm, or layer norm.",
        "Batch norm allows larger learning rates. At a small rate it gains nothing.",
        "At equal epochs it gains little with batches of 8 and much with 512.",
        "Layer norm: it is the same in training and in inference.",
        "Fewer than 16 samples per device, or batches that are not shuffled: layer norm.",
        (("how large a rate", "learning-rate?scene=rate"), ("at equal epochs", "training-lab?experiment=E25"),
         ("swap one batch-mate", "axes?scene=company"), ("norm batches of 2", "small-batches?scene=cliff")),
        BATCH_DENSE, 512,
    ),
)  # fmt: skip


def rule_of(kind: str, batch: int, data: str) -> Rule:
    """Return the first rule that fits.

    Raises
    ------
    ValueError
        If none does: kind, batch or data are not of `KINDS`, `BATCHES`, `DATA`.
    """
    if data == "online":
        batch = 1
    for rule in RULES:
        if rule.fits(kind, batch, data):
            return rule
    raise ValueError(f"rule_of: no rule for kind={kind!r}, batch={batch!r}, data={data!r}")
