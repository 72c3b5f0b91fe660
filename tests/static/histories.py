"""What two platforms compute, to be compared: the data sets, and a short training of each kind of network."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np

from bnlib import Run, RunConfig, advance, start
from bnlib.data import DATASETS, load
from bnlib.networks.config import LAYER_NORMS

Arrays = dict[str, np.ndarray]

USUAL = {"dtype": "float64", "record_every": 1, "validate_every": 10, "seed": 7, "width": 8, "groups": 2}
USUAL |= {"batch_size": 16, "lr": 0.05}
ADAM = {"optimizer": "adamw", "lr": 0.002}
OTHERS = {
    "dense, in the plane, with AdamW": {"dataset": "moons", "activation": "tanh", **ADAM},
    "residual": {"norm": "layer", "residual": "pre", "activation": "gelu", "depth": 4},
    "convolutional": {"network": "cnn"},
    "convolutional, in groups": {"network": "cnn", "norm": "group", "groups": 4},
    "recurrent": {"network": "rnn", "eps": 1e-3},
    "recurrent, without a norm": {"network": "rnn", "norm": "none"},
    "GAN": {"network": "gan", "dataset": "ring", **ADAM},
    "GAN, with spectral norm": {"network": "gan", "dataset": "ring", "norm": "spectral", **ADAM},
}


def networks() -> dict[str, RunConfig]:
    """Return small networks by name: dense ones with every norm, and each other kind."""
    dense = {f"dense, {norm}": RunConfig(**USUAL, norm=norm) for norm in LAYER_NORMS}
    return dense | {name: RunConfig(**{**USUAL, **fields}) for name, fields in OTHERS.items()}


def trained(config: RunConfig, steps: int, nudge: float = 0.0) -> Arrays:
    """Return all that training records, and the parameters before each step.

    nudge : by which share every parameter is moved before training, half of them up
    """
    run: Run = start(config)
    signs = np.where(np.random.default_rng(0).random(run.flat.shape) < 0.5, -1, 1)
    run = replace(run, flat=run.flat * (1 + nudge * signs))
    parameters = []
    for _ in range(steps):
        parameters.append(run.flat)
        run = advance(run, 1)
    return {**run.history, "parameters": np.stack(parameters, axis=1)}


def data() -> Arrays:
    """Return every data set."""
    sets = {name: load(name, dtype="float64", label_noise=0.1) for name in DATASETS}
    return {f"{name}: {field}": getattr(sets[name], field) for name in sets for field in FIELDS}


FIELDS = ("x_train", "y_train", "x_val", "y_val")


def everything(steps: int) -> bytes:
    """Return the data sets and the training of all networks as a file of NumPy's."""
    runs = {name: trained(config, steps) for name, config in networks().items()}
    named = {f"{name}: {field}": array for name, run in runs.items() for field, array in run.items()}
    file = BytesIO()
    np.savez(file, **named, **data())
    return file.getvalue()
