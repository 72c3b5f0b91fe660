"""What a reader takes away from a race: its numbers as CSV, and a script that computes them again."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np

from bnlib import RunConfig
from bnlib.training.recordings import Frame
from book.controls import Values, read, shown, write
from book.export import KINDS, comments, origin
from book.race import settings as lab
from book.race.frames import BANDS, CURVES
from book.race.lanes import ghost_of, lane_configs, lane_names
from book.race.verdict import measured

from .bundle import packed_library
from .limits import fits
from .outbox import SMALL, Outbox, compressed
from .scheduler import ComputationError, Scheduler, joined

MOST_ROWS = 400_000  # about 20 MB
ROW_BYTES = 14  # of a compressed file
PART = 200  # frames whose layers are looked at at once
# What is there is gathered in no time; where it isn't, others needn't wait for it.
GATHERING, TRIES = 2.0, 3  # seconds; times
THINNINGS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
GAN_QUANTITIES = (
    "Of a GAN train_loss is the discriminator's and val_loss the generator's loss, val_accuracy the share of "
    "samples within three standard deviations of a Gaussian, val_accuracy_batch that of Gaussians reached"
)


class Wanted(NamedTuple):
    """A file that somebody asked for."""

    what: str
    values: Values
    step: int

    @property
    def name(self) -> str:
        """The file's name, such as batchnorm-lab-step-120.csv."""
        return f"batchnorm-lab-step-{self.step}.{KINDS[self.what]}"


class Frames(Protocol):
    """How recorded frames are come by: `Desk.frames`."""

    async def __call__(self, config: RunConfig, numbers: range, names: Collection[str]) -> Frame: ...


def wanted(what: Any, raw: Mapping[str, Any], step: int) -> Wanted:
    """A request, checked: a file is of exactly what was asked for, or there is none.

    Raises
    ------
    ValueError
        Names the field, what was received and what it can be.
    """
    if not isinstance(what, str) or what not in KINDS:
        raise ValueError(f"what={shown(what)} must be one of {', '.join(KINDS)}")
    values, problems = read(lab.LAB_CONTROLS, raw)
    if problems:
        raise ValueError("; ".join(problems))
    return Wanted(what, values, min(step, lab.LAB_STEPS))


async def written(wanted: Wanted, scheduler: Scheduler, outbox: Outbox) -> bytes:
    """Write the file, compressed; beside the event loop, in turn with other files.

    Its place among those that are written is taken when all runs are there: computing them may take minutes.

    Raises
    ------
    ComputationError
        If the runs can't be computed, or are dropped again before the file is written.
    """
    what, values, step = wanted
    if what == "python":
        async with outbox.writing():
            return await asyncio.to_thread(lambda: compressed([lab_python(values, step)]))
    size = _most_bytes(values, step)
    for _ in range(TRIES):
        await record(values, step, scheduler.frames)
        async with outbox.writing(size):
            try:
                async with asyncio.timeout(GATHERING):
                    recorded = await lab_frames(values, step, scheduler.frames)
            except TimeoutError:
                continue
            content: bytes = await scheduler.run(lab_file, values, step, recorded, heavy=size > SMALL)
            return content
    raise ComputationError(
        f"step={step}: the runs of this race were dropped {TRIES} times before they were written, since "
        "others needed the memory; take an earlier step, or fewer seeds"
    )


# ---- the training lab -------------------------------------------------------------------------------


class Shown(NamedTuple):
    """A run on the screen; of a ghost only the curves are there."""

    name: str
    config: RunConfig
    quantities: tuple[str, ...]

    @property
    def layered(self) -> bool:
        """Whether what its layers do is there."""
        return self.quantities != CURVES

    def frames(self, step: int) -> int:
        """How many frames it has up to ``step``."""
        return step // self.config.record_every + 1

    def layer_rows(self, frames: int) -> int:
        """How many numbers so many frames hold of its layers."""
        return self.config.replicas * frames * self.config.depth * len(BANDS) * self.layered


def lanes_shown(values: Values) -> list[Shown]:
    """The lanes of a race, and those of its ghost that differ from them."""
    names, configs = lane_names(values), lane_configs(values)
    lanes = [Shown(name, config, CURVES + BANDS) for name, config in zip(names, configs, strict=True)]
    before = ghost_of(values)
    if before is not None:
        ghosts = zip(lane_names(before), lane_configs(before), configs, strict=False)
        differing = ((name, ghost) for name, ghost, now in ghosts if ghost != now and fits(ghost))
        lanes += [Shown(f"ghost: {name}", ghost, CURVES) for name, ghost in differing]
    return lanes


async def record(values: Values, step: int, frames: Frames) -> None:
    """Have all that is on the screen recorded up to ``step``; nothing of it is held meanwhile."""
    for lane in lanes_shown(values):
        for number in (0, lane.frames(step) - 1):
            await frames(lane.config, range(number, number + 1), ("step",))


async def lab_frames(values: Values, step: int, frames: Frames) -> list[Frame]:
    """What `lab_csv` needs: all curves up to ``step``, and layers at those steps that the file has room for.

    Of a lane's layers, only a part is held at a time: together they are twenty times the file.
    """
    lanes = lanes_shown(values)
    recorded = [await frames(lane.config, range(lane.frames(step)), ("step", *CURVES)) for lane in lanes]
    every = _every(lanes, recorded)
    return [
        frame | await _layers(lane.config, lane.frames(step), every, frames) if lane.layered else frame
        for lane, frame in zip(lanes, recorded, strict=True)
    ]


async def _layers(config: RunConfig, count: int, every: int, frames: Frames) -> Frame:
    """What is recorded of layers at each ``every``-th of ``count`` frames and at the last, "layer_step"."""
    await asyncio.sleep(0)  # what is there is handed out at once: others get their turn
    parts = []
    for start in range(0, count, PART):
        number = np.arange(start, min(start + PART, count))
        kept = (number % every == 0) | (number == count - 1)
        part = await frames(config, range(start, start + len(number)), ("step", *BANDS))
        parts.append({"step": part["step"][kept]} | {name: part[name][:, kept] for name in BANDS})
    found = joined(parts)
    return {"layer_step": found["step"]} | {name: found[name] for name in BANDS}


def lab_file(values: Values, step: int, recorded: Sequence[Frame]) -> bytes:
    """Write `lab_csv` as a gzip file; a function for a worker process."""
    return compressed(lab_csv(values, step, recorded))


def lab_csv(values: Values, step: int, recorded: Sequence[Frame]) -> Iterator[str]:
    """Write one row a number, part by part; layer 1 is nearest to the input, and curves have none.

    ``recorded`` comes from `lab_frames`. What wasn't measured has no row: validation between its steps,
    and whatever a seed would have done after it diverged. Where all layers at all steps would make the
    file too long, only every so many steps have them, and the last.
    """
    lanes = lanes_shown(values)
    every = _every(lanes, recorded)
    thinned = f", of layers at every {every}th step and at the last" if every > 1 else ""
    head = [
        f"Training runs of BatchNorm Lab up to step {step}, single seeds{thinned}",
        *_origin(values),
        *(f"{lane.name} = {config_code(lane.config)}" for lane in lanes),
        *([GAN_QUANTITIES] if any(lane.config.network == "gan" for lane in lanes) else []),
    ]
    yield comments(head)
    yield "lane,seed,step,layer,quantity,value\n"
    for lane, frame in zip(lanes, recorded, strict=True):
        yield from _lab_rows(lane, frame)


def _lab_rows(lane: Shown, frame: Frame) -> Iterator[str]:
    """Write a lane's rows, those of one quantity of one seed at a time."""
    config = lane.config
    for quantity, replica in product(lane.quantities, range(config.replicas)):
        start = f"{_quoted(lane.name)},{config.seed + replica},"
        values = frame[quantity][replica]
        if quantity in CURVES:
            steps = frame["step"].tolist()
            measured = np.flatnonzero(~np.isnan(values))
            numbers = map(str, values[measured])  # the shortest text that stands for the same float
            rows = zip(measured.tolist(), numbers, strict=True)
            yield "".join([f"{start}{steps[i]},,{quantity},{value}\n" for i, value in rows])
            continue
        steps = frame["layer_step"].tolist()
        for layer, column in enumerate(values.T, start=1):
            end = f",{layer},{quantity},"
            numbered = zip(steps, column, strict=True)
            yield "".join([f"{start}{i}{end}{v}\n" for i, v in numbered if not np.isnan(v)])


def _every(lanes: Sequence[Shown], recorded: Sequence[Frame]) -> int:
    """Of how many frames one has its layers in the file."""
    curves = sum(int(np.isfinite(frame[name]).sum()) for frame in recorded for name in CURVES)
    layers = sum(lane.layer_rows(len(frame["step"])) for lane, frame in zip(lanes, recorded, strict=True))
    return _thinning(layers, MOST_ROWS - curves)


def _thinning(count: int, room: int) -> int:
    """Of how many steps one is kept for ``count`` rows to become no more than ``room``."""
    return next(every for every in THINNINGS if count <= every * room)


def _most_bytes(values: Values, step: int) -> int:
    """How large the compressed file may become, about."""
    lanes = lanes_shown(values)
    rows = sum(
        lane.config.replicas * lane.frames(step) * len(CURVES) + lane.layer_rows(lane.frames(step))
        for lane in lanes
    )
    return ROW_BYTES * min(rows, MOST_ROWS)


def lab_python(values: Values, step: int) -> str:
    """A script that runs the race on the screen up to ``step`` and prints what its lanes are judged by."""
    configs = lane_configs(values)
    lanes = "".join(
        f"        {name!r}: {config_code(config, indent=8)},\n"
        for name, config in zip(lane_names(values), configs, strict=True)
    )
    return f"""{_docstring("A race of the training lab, run again", values)}
import base64
import os
import sys
import tempfile

# One thread, as in the lab: with more, a matrix product may add up in another order.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

STEP = {step}


def lanes(bnlib):
    return {{
{lanes}    }}


def race(bnlib):
    for name, config in lanes(bnlib).items():
        # What belongs to a step is recorded just before its update.
        run = bnlib.advance(bnlib.start(config), STEP + 1)
        history = run.history
        alive = np.isfinite(history["train_loss"][:, STEP // config.record_every])
        validated = STEP // config.validate_every * config.validate_every
        accuracy = history["val_accuracy"][:, validated // config.record_every]
        by_seed = np.where(alive, accuracy, np.nan)
        print(f"{{name}}: {measured(configs[0])} at step {{validated}}, by seed:", *by_seed)


# bnlib, the library that computed the race, as a zip file in base 85.
BNLIB = '''
{packed_library()}
'''

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "bnlib.zip")
        with open(path, "wb") as file:
            file.write(base64.b85decode("".join(BNLIB.split())))
        sys.path.insert(0, path)
        import bnlib

        race(bnlib)
"""


def config_code(config: RunConfig, indent: int = -1) -> str:
    """The expression that makes ``config``: what differs from bnlib's defaults, to the last digit.

    One line, or with ``indent`` one field a line, indented by 4 more.
    """
    changed = [
        f"{field.name}={getattr(config, field.name)!r}"
        for field in fields(config)
        if getattr(config, field.name) != field.default
    ]
    if indent < 0:
        return f"bnlib.RunConfig({', '.join(changed)})"
    lines = "".join(f"{' ' * (indent + 4)}{change},\n" for change in changed)
    return f"bnlib.RunConfig(\n{lines}{' ' * indent})"


# ---- what all files say of themselves ---------------------------------------------------------------


def _origin(values: Values) -> list[str]:
    return origin(write(lab.LAB_CONTROLS, values))


def _docstring(title: str, values: Values) -> str:
    """The head of a script."""
    origin = "\n".join(_origin(values))
    return (
        f'"""{title}.\n\n{origin}\n\n'
        'It needs NumPy and scikit-learn (for the digits); bnlib comes with it, at the end.\n"""\n'
    )


def _quoted(text: str) -> str:
    """``text`` as one field of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([text])
    return line.getvalue()
