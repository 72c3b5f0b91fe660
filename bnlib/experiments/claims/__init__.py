"""The experiments, one file a theme, and the table of all of them."""

from ..model import Experiment
from . import affine, batch, convolution, costs, depth, inference, rates, reasons, relatives, repairs, shifted, small

_THEMES = (affine, batch, convolution, costs, depth, inference, rates, reasons, relatives, repairs, shifted, small)
_ALL = [value for theme in _THEMES for value in vars(theme).values() if isinstance(value, Experiment)]
EXPERIMENTS = {one.name: one for one in sorted(_ALL, key=lambda one: int(one.name.removeprefix("E")))}
