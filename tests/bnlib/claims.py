"""What tests of experiments share: numbers at reduced size, and what an experiment says of them."""

from concurrent.futures import Executor, Future

from bnlib.experiments import find
from bnlib.experiments.model import Result
from bnlib.experiments.probes import measure
from bnlib.jobs.sweep import sweep


class Here(Executor):
    """Measures in this process, since one of its own takes longer to start than many a cell takes."""

    def submit(self, function, /, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future


def measured_of(name, store):
    """Return what experiment `name` measures at reduced size, by label, as dicts that may be changed."""
    cells = find(name).cells(False)
    found = sweep(measure, cells.values(), store=store, executor=Here())
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
