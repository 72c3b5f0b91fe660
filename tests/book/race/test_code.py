"""The lab's code: the source that is shown is that of what ran, chosen by the settings."""

import inspect
import re
import sys

import pytest

from bnlib import norms
from bnlib.networks import inference, layers, network, units
from bnlib.norms import plain
from bnlib.norms.axes import in_training
from bnlib.training import optimizer, train
from book.beside import source
from book.controls import read
from book.passages import PLAIN_NORM
from book.race import lanes
from book.race.code import lab_code
from book.race.settings import LAB_CONTROLS
from book.registry import chapters

OF_CHAPTERS = [passage for chapter in chapters().values() for passage in chapter.code]


def of_lab(**address):
    values, problems = read(LAB_CONTROLS, address)
    assert not problems
    return lab_code(values)


def functions(passages):
    return [passage.function for passage in passages]


def words(passages):
    return "\n".join(passage.what for passage in passages)


def test_the_lab_shows_what_its_lanes_use():
    passages = of_lab(lanes="none,batch,rms")
    shown = functions(passages)
    assert shown[:2] == [plain.forward, plain.backward], "a norm in ten lines comes first"
    for function in (
        train.train, optimizer.gradient_to_update, network.forward, network.backward,
        in_training, norms.normalize, norms.normalize_backward, layers._relu, layers._relu_slope,
        layers.cross_entropy, inference.inference_layers,
    ):  # fmt: skip
        assert shown.count(function) == 1
    assert "share μ and σ: batch norm, each channel, over the batch" in words(passages)
    assert "RMS norm, each sample, over all its features, uncentred" in words(passages)
    assert "SGD" in words(passages) and "AdamW" not in words(passages)
    for absent in ("decay", "noise", "cosine", "norm batches"):
        assert absent not in words(passages)


def test_what_experiments_set_is_shown_where_it_is_used():
    every = {"norm_batch": "8", "norm_noise": "1", "weight_decay": "0.01", "cosine_steps": "100"}
    passages = of_lab(lanes="none,batch", **every)
    shown = functions(passages)
    assert train.noise in shown and optimizer.rates in shown and units.normed in shown
    assert "in norm batches" in words(passages)
    assert r"\lambda w" in words(passages)
    assert "norm batches" not in words(of_lab(lanes="none,layer", **every)), "only batch norm has them"
    assert r"\lambda w" in words(of_lab(edits="5:weight_decay:0.1"))


def test_what_no_lane_uses_is_not_shown():
    assert not {norms.normalize, plain.forward} & {*functions(of_lab(lanes="none"))}
    assert inference.inference_layers not in functions(of_lab(lanes="none,layer"))
    assert norms.normalize in functions(of_lab(lanes="none,layer"))


def test_settings_of_single_lanes_count_too():
    passages = of_lab(lanes="batch,batch~activation:tanh~optimizer:adamw", activation="gelu")
    shown = functions(passages)
    assert layers._gelu in shown and layers._tanh_slope in shown and layers._relu not in shown
    assert "SGD" in words(passages) and "AdamW" in words(passages)


def test_the_text_is_the_function_that_runs():
    assert source(norms.normalize) == inspect.getsource(norms.normalize)
    assert source(layers.ACTIVATIONS["tanh"].forward) == "numpy.tanh"
    for passage in (*of_lab(lanes="batch,group", activation="sigmoid"), *OF_CHAPTERS):
        text = source(passage.function)
        text = re.sub(r"^(@\w+(\(.*\))?\n)*", "", text)  # decorators
        assert text.startswith(f"def {passage.function.__name__}(")
        compile(text, "shown", "exec")


@pytest.mark.parametrize(
    "address",
    [
        {"lanes": "none,batch,group,rms"},
        {"lanes": "layer", "activation": "gelu", "optimizer": "adamw"},
        {"lanes": "none,batch~norm_batch:8", "norm_noise": "1", "cosine_steps": "9", "weight_decay": "0.1"},
        {"lanes": "renorm,running,dyt,frn"},
        {"lanes": "spectral,weight,standard,ghost", "weight_decay": "0.1"},
        {"lanes": "batch,group~weight_norm:standard,instance", "network": "cnn", "width": "4"},
        {"lanes": "none,layer", "network": "rnn", "activation": "sigmoid"},
        {"lanes": "none,batch,spectral", "network": "gan"},
    ],
)
def test_all_that_is_shown_has_run(address):
    """Every function on the page is called by a few steps of the race."""
    values, _ = read(LAB_CONTROLS, {"width": "8"} | address | {"depth": "2", "replicas": "1"})
    called = set()
    in_training.cache_clear()
    sys.setprofile(lambda frame, event, _: called.add(frame.f_code) if event == "call" else None)
    try:
        for config in lanes.lane_configs(values):
            train.advance(train.start(config), 2)
    finally:
        sys.setprofile(None)
    ran = [p for p in lab_code(values) if p not in PLAIN_NORM]  # these are to be read
    missing = [p.what for p in ran if inspect.unwrap(p.function).__code__ not in called]
    assert not missing
