"""The table of all norms. A new one is a pair of functions and a row: see CONTRIBUTING.md."""

from . import norms, weights, zoo

NORMS: dict[str, norms.Norm] = norms.NORMS | zoo.NORMS | weights.NORMS
WEIGHT_NORMS = ("none", *(name for name, norm in NORMS.items() if norm.weights))
