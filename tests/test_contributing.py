"""CONTRIBUTING's example of a norm: added to a copy of the house, it is picked up by everything."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the house with the example's lines at the end of bnlib/zoo.py."""
    folder = tmp_path_factory.mktemp("house")
    for room in ("bnlib", "live", "tests"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (example,) = re.findall(r"```python\n(def l1_forward.*?)```", text, re.DOTALL)
    with (folder / "bnlib" / "zoo.py").open("a") as zoo:
        zoo.write(f"\n\n{example}")
    return folder


def run(house, *command):
    answer = subprocess.run(
        [sys.executable, *command], cwd=house, capture_output=True, text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(house)},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    return answer.stdout


PROGRAM = """
import json
import bnlib
from bnlib.config import LAYER_NORMS
from live.lab import CONCERNS, LAB_CONTROLS, extras
from live.lanes import lane_configs, lane_names
from book.controls import read
values, problems = read(LAB_CONTROLS, {"lanes": "none,l1~eps:0.1"})
norms = [row["name"] for row in extras()["norms"] if row["norm"] == "l1"]
for network, dataset in (("mlp", "digits"), ("cnn", "digits"), ("rnn", "digits"), ("gan", "ring")):
    config = bnlib.RunConfig(norm="l1", network=network, dataset=dataset, width=8, depth=2, record_every=1)
    assert bnlib.advance(bnlib.start(config), 3).history["train_loss"].shape == (1, 3)
print(json.dumps({"problems": problems, "names": lane_names(values), "offered": norms,
    "concerns": [name for name, of in CONCERNS.items() if "l1" in of], "eps": lane_configs(values)[1].eps}))
"""


def test_a_pair_and_a_row_are_a_norm_in_the_library_and_in_the_lab(house):
    found = json.loads(run(house, "-c", PROGRAM))
    assert found == {
        "problems": [],
        "names": ["no norm", "L1 layer norm (ε 0.1)"],
        "offered": ["L1 layer norm"],
        "concerns": ["placement", "eps", "gamma", "beta", "weight_norm"],
        "eps": 0.1,
    }


def test_the_generic_tests_run_over_it(house):
    chosen = "l1 and (gradients or replica or pickle or fixed)"
    engine = "tests/bnlib/test_engine.py"
    out = run(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, engine)
    passed = int(re.search(r"(\d+) passed", out).group(1))
    assert passed >= 20, out


def test_they_find_a_mistake_in_it(house):
    zoo = house / "bnlib" / "zoo.py"
    right = zoo.read_text()
    assert right.count("np.sign(xhat) * ") == 1
    try:
        zoo.write_text(right.replace("np.sign(xhat) * ", ""))
        command = ["-m", "pytest", "-q", "-x", "-k", "l1 and gradients", "tests/bnlib/test_engine.py"]
        answer = subprocess.run([sys.executable, *command], cwd=house, capture_output=True, text=True)
        assert answer.returncode == 1 and "1 failed" in answer.stdout, answer.stdout[-2000:]
    finally:
        zoo.write_text(right)
