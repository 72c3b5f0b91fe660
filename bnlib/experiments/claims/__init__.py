"""The experiments, one file a theme, and the table of all of them."""

from ..model import Experiment
from . import (
    affine,
    batch,
    convolution,
    costs,
    deep,
    depth,
    inference,
    rates,
    reasons,
    relatives,
    repairs,
    residual,
    shifted,
    small,
    speed,
)

_THEMES = (
    affine,
    batch,
    convolution,
    costs,
    deep,
    depth,
    inference,
    rates,
    reasons,
    relatives,
    repairs,
    residual,
    shifted,
    small,
    speed,
)
_ALL = [value for theme in _THEMES for value in vars(theme).values() if isinstance(value, Experiment)]
EXPERIMENTS = {one.name: one for one in sorted(_ALL, key=lambda one: int(one.name.removeprefix("E")))}
