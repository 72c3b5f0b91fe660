"""What the words of the training lab mean, a sentence or two each."""

from __future__ import annotations

from .table import RUN

TERMS = {
    "lane": "A lane is one kind of network in the race, with a norm and, if you choose, settings of its "
    "own. All lanes see the same data; where their shapes agree, they start from the same weights.",
    "seed "
    "band": "Each lane trains several networks, which differ in their seed: in initial weights and batches. "
    "Lines show their mean, and the band around a line reaches from the lowest to the highest seed.",
    "ghost": "The ghost is the same race as it was before the last change, in faint lines. It shows what the "
    "change has done.",
    "branch": "A branch is a change in mid-run: up to its step nothing changes, and from there on the race "
    "continues with the new value.",
    "batch "
    "statistics": "Mean and variance of the samples in the current batch. Batch norm uses them in training, "
    "as train() does in PyTorch.",
    "running statistics": "Averages of batch means and variances over earlier steps. Batch norm uses them at "
    "inference, as eval() does in PyTorch, so that a sample’s output doesn’t depend on other samples.",
    "ring": "Rings show accuracy with batch statistics; lines show it with running statistics. Where they "
    "are far apart, the running statistics are late or noisy. Of a GAN, rings show the share of the eight "
    "Gaussians that its samples reach.",
    "norm batch": RUN["norm_batch"].about,
    "injected noise": RUN["norm_noise"].about,
    "cosine": RUN["cosine_steps"].about,
    "r max": RUN["r_max"].about,
    "d max": RUN["d_max"].about,
    "saturation": "Share of a layer’s numbers at which the activation’s slope is under 5% of its steepest: "
    "for ReLU, those that are 0. Hardly any gradient passes them.",
    "dead "
    "unit": "A unit is dead in a batch if it saturates for every sample: a ReLU that is 0 for all of them. "
    "It learns nothing from this batch.",
    "update : "
    "data": "Size of a step’s update divided by the size of the weights, as a power of ten. Around −3, a "
    "thousandth a step, is a common rule of thumb; far above it training is unstable, far below it slow.",
    "√share": "A histogram’s height is the square root of the share of numbers in a bar, so that rare "
    "values can be seen beside frequent ones.",
    "parameters": "Numbers that training changes: weights, biases, and what the norms learn.",
    "accuracy": "Share of validation samples, which the networks aren’t trained on, that get the right "
    "class. It is measured every few steps, as at inference: with running statistics.",
    "clear lead": "Lanes are compared seed by seed. A lead is clear if the 95% interval of these differences "
    "leaves out 0, and if it is at least one point. The interval is of the seeds alone: all are validated "
    "on the same samples. A single seed has no interval; there a lead has to be two standard errors of those "
    "samples.",
    "cost": "Processor time that one training step of all seeds of a lane takes on the server, without "
    "recording and drawing.",
    "time to catch up": "How long it takes to compute the race up to the step that is shown.",
}
