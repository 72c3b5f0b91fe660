"""What tests of experiments share: numbers at reduced size, and what an experiment says of them."""

from bnlib.experiments import find
from bnlib.experiments.model import Result
from bnlib.experiments.probes import measure
from bnlib.sweep import sweep


def measured_of(name, store):
    """Return what experiment `name` measures at reduced size, by label, as dicts that may be changed."""
    cells = find(name).cells(False)
    found = sweep(measure, cells.values(), store=store, workers=1)
    return {label: dict(found[cell]) for label, cell in cells.items()}


def read(name, measured, size="reduced"):
    """Return the result that experiment `name` makes of these numbers."""
    experiment = find(name)
    return Result(experiment, size, experiment.read(measured))


def failed(name, measured):
    """Return the names of the checks that fail with these numbers."""
    return [found.what for found in read(name, measured, "full").failed]


def notes(name, store, change=lambda measured: None):
    """Return what experiment `name` says at reduced size, after `change` of its numbers."""
    measured = measured_of(name, store)
    change(measured)
    return " ".join(read(name, measured).findings.notes)
