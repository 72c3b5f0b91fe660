"""The table of all norms. A new one is a pair of functions and a row: see CONTRIBUTING.md."""

from . import weights, zoo
from .norms import NORMS as _AXES
from .norms import Norm

NORMS: dict[str, Norm] = dict(_AXES)
NORMS["ghost"] = NORMS["batch"]._replace(label="ghost batch norm")
for name, r in zoo.RELATIVES.items():
    NORMS[name] = Norm(None, r.label, r.summary, pair=(r.forward, r.backward), learned=r.learned, options=r.options, running=r.running, activates=name == "frn")
for name, w in weights.WEIGHT_NORMS.items():
    NORMS[name] = Norm(None, w.label, w.summary, pair=(w.forward, w.backward), learned=("gain",) if w.start else (), options=w.options, weights=True, start=w.start)
ACTIVATION_NORMS = ("none", *(name for name, norm in NORMS.items() if not norm.weights))
WEIGHT_NORMS = ("none", *(name for name, norm in NORMS.items() if norm.weights))
