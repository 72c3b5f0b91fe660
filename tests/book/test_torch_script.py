"""The networks that scripts to take away begin with are those of the library, step by step."""

from typing import Any

import numpy as np
import pytest
import torch

from bnlib import RunConfig, advance, start
from bnlib.training.evaluation import error
from book.torch_script import NETWORKS

SEEDS = {"seed": 5, "replicas": 2}
BASE = {"depth": 3, "width": 16, "batch_size": 24, "lr": 0.2}
CONFIGS: list[dict[str, Any]] = [
    {},
    {"norm_batch": 4, "momentum": 0.5, "eps": 0.01},
    {"norm": "none", "activation": "tanh", "optimizer": "momentum", "lr": 0.02},
    {"norm": "group", "groups": 4, "weight_decay": 0.01, "cosine_steps": 60},
    {"norm": "layer", "placement": "after", "init_scale": 0.5},
    {"placement": "after", "activation": "sigmoid", "gamma": 0.5, "beta": 0.1},
    {"residual": "pre", "depth": 5},
    {"norm_batch": 1},
]


@pytest.fixture(scope="module")
def names():
    """What the script defines."""
    before, found = torch.get_default_dtype(), {}
    exec(NETWORKS, found)
    yield found
    torch.set_default_dtype(before)


@pytest.mark.parametrize("changes", CONFIGS, ids=lambda changes: "-".join(changes) or "usual")
def test_scripts_train_the_same_networks(names, changes):
    fields = BASE | changes
    networks = names["Networks"]([5, 6], **fields).train(60)  # into the second epoch
    run = advance(start(RunConfig(**fields, **SEEDS, dtype="float64")), 60)
    assert set(networks.parameters) == set(run.parameters)
    for name, parameter in networks.parameters.items():
        np.testing.assert_allclose(
            parameter.detach().numpy(), run.parameters[name], rtol=1e-6, atol=1e-6, err_msg=name
        )
    for statistics in ("running", "batch"):
        np.testing.assert_allclose(networks.error(statistics).numpy(), error(run, statistics=statistics))
