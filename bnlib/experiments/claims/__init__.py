"""The experiments, one file a theme, and the table of all of them."""

from importlib import import_module
from pkgutil import iter_modules

from ..model import Experiment

_THEMES = [import_module(f"{__name__}.{theme.name}") for theme in iter_modules(__path__)]
_ALL = [value for theme in _THEMES for value in vars(theme).values() if isinstance(value, Experiment)]
EXPERIMENTS = {one.name: one for one in sorted(_ALL, key=lambda one: int(one.name.removeprefix("E")))}
