"""What is called inside Pyodide: the library's own tests, thinned out, beside packages that aren't there.

This module is imported there and here, so it asks for nothing but NumPy and the standard library.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from collections.abc import Iterable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from zlib import crc32

HOUSE = "/house"
# With what the library is compared where there is a whole machine.
ABSENT = ("pandas", "torch", "scipy", "sklearn", "psutil", "fcntl")
# Tests that take too long there, or need processes or PyTorch in their arguments: they train for a while, or
# are about what doesn't depend on the platform.
LEFT_OUT = {
    "test_config.py": (
        "test_a_fifth_network_is_one_row",
        "test_any_edits_are_taken_or_refused",
        "test_any_value_is_taken_or_refused_by_name",
    ),
    "test_data.py": ("test_digits_beside_the_library_come_first",),
    "test_engine.py": (
        "test_a_convolutional_network_with_batch_norm_reads_97_percent_of_the_digits",
        "test_a_recurrent_network_reads_digits_row_by_row",
    ),
    "test_forecast.py": ("test_memory_is_what_python_counts",),
    "test_gan.py": (
        "test_behind_the_first_layer_batch_norm_hides_where_a_cloud_lies_and_how_large_it_is",
        "test_sixty_steps_are_thirty_a_pickle_and_thirty",
        "test_spectral_norm_covers_the_ring_at_a_rate_at_which_others_diverge_without_a_norm",
    ),
    "test_probes.py": ("test_the_equilibrium_is_measured_in_the_last_quarter",),
    "test_reports.py": ("test_following_the_advice_gives_the_right_answer",),
    "test_streaming.py": (
        "test_batch_norm_learns_nothing_from_single_samples_and_running_averages_do",
        "test_every_sample_is_predicted_before_it_is_learned_from",
    ),
    "test_theory.py": ("test_measured_growth_of_gradients",),
}


# ---- packages that aren't there ----------------------------------------------------------------------------


class Absent(ModuleType):
    """A package that isn't there, or anything in it: it can be named, and a test that calls it is skipped.

    What is only set (a number of threads, a usual precision, a seed) or locked needs no answer.
    """

    __path__ = ()

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")

    def __mro_entries__(self, bases: object) -> tuple[()]:
        return ()

    def __call__(self, *_: object, **__: object) -> Absent:
        setting = self.__name__.rpartition(".")[2].startswith(("set_", "get_", "manual_seed", "flock"))
        if "PYTEST_CURRENT_TEST" in os.environ and not setting:
            import pytest

            pytest.skip(f"{self.__name__} is not there")
        return self


class Finder(MetaPathFinder, Loader):
    """Find what is absent, before anything else is asked."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name.partition(".")[0] in ABSENT else None

    def create_module(self, spec: ModuleSpec) -> Absent:
        return Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave it as it is."""


# ---- the compiled part of hypothesis -----------------------------------------------------------------------

LETTERS = {16: "eH", 32: "fI", 64: "dQ"}  # of struct: a float of so many bits, and a whole number
SMALLEST = {16: 2.0**-14, 32: 2.0**-126, 64: 2.0**-1022}  # normal numbers


def float_to_int(value: float, width: int = 64) -> int:
    real, whole = LETTERS[width]
    return int(struct.unpack(f"<{whole}", struct.pack(f"<{real}", value))[0])


def int_to_float(value: int, width: int = 64) -> float:
    real, whole = LETTERS[width]
    return float(struct.unpack(f"<{real}", struct.pack(f"<{whole}", value))[0])


def float_of(x: float, width: int) -> float:
    return int_to_float(float_to_int(x, width), width)


def is_negative(x: float) -> bool:
    return math.copysign(1, x) < 0


def next_up(value: float, width: int = 64) -> float:
    if math.isnan(value) or value == math.inf:
        return value
    if value == 0 and is_negative(value):
        return 0.0
    return int_to_float(float_to_int(value, width) + (-1 if is_negative(value) else 1), width)


def next_down(value: float, width: int = 64) -> float:
    return -next_up(-value, width)


def next_up_normal(value: float, width: int, *, allow_subnormal: bool) -> float:
    after = next_up(value, width)
    if allow_subnormal or not 0 < abs(after) < SMALLEST[width]:
        return after
    return -0.0 if is_negative(after) else SMALLEST[width]


def next_down_normal(value: float, width: int, *, allow_subnormal: bool) -> float:
    return -next_up_normal(-value, width, allow_subnormal=allow_subnormal)


def count_between_floats(x: float, y: float, width: int = 64) -> int:
    if is_negative(x) and not is_negative(y):
        return count_between_floats(x, -0.0, width) + count_between_floats(0.0, y, width)
    return abs(float_to_int(y, width) - float_to_int(x, width)) + 1


def width_smallest_normals(width: int) -> float:
    return SMALLEST[width]


def cathetus(h: float, a: float) -> float:
    return math.sqrt((h - a) * (h + a))


FLOATS = (
    *(count_between_floats, float_of, float_to_int, int_to_float, is_negative, next_down, next_down_normal),
    *(next_up, next_up_normal, width_smallest_normals),
)


def without_compiled_parts() -> None:
    """Let hypothesis find these functions where it looks for compiled ones, and a test what is absent."""
    parts: dict[str, Iterable[Any]] = {"": (), ".internal": (), ".internal.cathetus": (cathetus,)}
    for name, functions in {**parts, ".internal.floats": FLOATS}.items():
        module = ModuleType(f"hypothesis._native{name}")
        vars(module).update({function.__name__: function for function in functions}, __version__="6.0.0")
        sys.modules[module.__name__] = module
    sys.meta_path.insert(0, Finder())
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = "/examples"


# ---- the tests ---------------------------------------------------------------------------------------------


def thinned(items: list[Any]) -> list[Any]:
    """Choose tests so that each value of each parameter is tried at least once, in no order that matters."""
    seen: set[tuple[object, ...]] = set()
    kept = set()
    for item in sorted(items, key=lambda item: crc32(item.nodeid.encode())):
        function = item.nodeid.partition("[")[0]
        values = item.callspec.params.items() if hasattr(item, "callspec") else ()
        tried = {(function, name, id(value)) for name, value in values} or {(function,)}
        if item.originalname not in LEFT_OUT.get(item.path.name, ()) and not tried <= seen:
            seen |= tried
            kept.add(item)
    return [item for item in items if item in kept]


class Plugin:
    """Thin the tests out and keep what becomes of them."""

    def __init__(self) -> None:
        self.found = 0
        self.ends: list[dict[str, Any]] = []

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        self.found = len(items)
        items[:] = thinned(items)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._keep(report)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or not report.passed:
            self._keep(report)

    def _keep(self, report: Any) -> None:
        end = {"test": report.nodeid, "outcome": report.outcome, "seconds": getattr(report, "duration", 0.0)}
        self.ends.append(end | {"said": report.longreprtext if report.failed else ""})


def tests(*arguments: str) -> bytes:
    """Run pytest; as JSON how many tests were found, and how those that were run ended."""
    without_compiled_parts()
    import pytest

    from static import products

    products.LEAST = 1  # even the small ones of tests
    if not products.install():
        raise RuntimeError("the library of matrix products could not be loaded")
    os.chdir(HOUSE)
    plugin = Plugin()
    usual = ("-q", "--tb=short", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin")
    code = int(pytest.main([*usual, *arguments], [plugin]))
    return json.dumps({"code": code, "found": plugin.found, "ends": plugin.ends}).encode()
