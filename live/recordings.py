"""The store of recordings: what runs have recorded so far, keyed by configuration, bounded in bytes.

A recording can always be computed again, so evicting one loses nothing. The store only keeps books; who
computes, and in which process, is the caller's business: `open` a recording, `advance` its run
somewhere, hand the result to `extend`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from bnlib import Run, RunConfig
from bnlib.training.recordings import Frame

CHECKPOINT_STEPS = 100
CHECKPOINT_BYTES = 2 * 2**20
FORKS = 4  # runs at steps where something branches off, kept besides the checkpoints
# What Python itself needs for an array and for a recording, so that many small ones count too.
ARRAY_OVERHEAD, RECORDING_OVERHEAD = 128, 2048

Thin = Callable[[Frame, RunConfig], Frame]


class Recording:
    """What is known of one configuration's run.

    ``run`` is as far as it has been computed, without frames; None before its first step. ``blocks``
    are history arrays by name, (R, frames, ...), with the frames numbered ``first`` up to, but not
    including, ``stop``. ``checkpoints`` are runs on the way, so that a branch needn't start over;
    ``forks`` are runs at the very steps where something branches off.
    """

    def __init__(self, config: RunConfig, run: Run | None = None, blocks: list[Frame] | None = None):
        self.config = config
        self.run = run
        self.stop = self.first = _frames_before(run.step, config) if run else 0
        self.blocks: list[Frame] = []
        self.checkpoints: list[Run] = []
        self.forks: list[Run] = []
        self._starts: list[int] = []
        self._spacing = CHECKPOINT_STEPS
        self._block_bytes = 0
        for block in reversed(blocks or []):
            self.first -= len(block["step"])
            self._insert(0, block, self.first)

    @property
    def step(self) -> int:
        """Steps computed so far."""
        return self.run.step if self.run else 0

    @property
    def nbytes(self) -> int:
        runs = {id(run): run for run in (self.run, *self.checkpoints, *self.forks) if run}
        return RECORDING_OVERHEAD + self._block_bytes + sum(map(_run_bytes, runs.values()))

    def append(self, run: Run, block: Frame) -> None:
        """The run has advanced to ``run`` and recorded ``block`` on the way."""
        self.run = run
        if len(block["step"]):
            self._insert(len(self.blocks), block, self.stop)
            self.stop += len(block["step"])
        if run.step - (self.checkpoints[-1].step if self.checkpoints else 0) >= self._spacing:
            self.checkpoints.append(run)
            while sum(map(_run_bytes, self.checkpoints)) > CHECKPOINT_BYTES:
                del self.checkpoints[::2]
                self._spacing *= 2

    def between(self, first: int, stop: int) -> list[Frame]:
        """Views of the kept frames numbered ``first`` up to, but not including, ``stop``."""
        found = []
        for number in range(max(bisect_right(self._starts, first) - 1, 0), len(self.blocks)):
            block, begins = self.blocks[number], self._starts[number]
            low, high = max(first - begins, 0), min(stop - begins, len(block["step"]))
            if high <= 0:
                break
            if low < high < len(block["step"]) or 0 < low < high:
                block = {k: v[low:high] if k == "step" else v[:, low:high] for k, v in block.items()}
            if low < high:
                found.append(block)
        return found

    def before(self, step: int) -> tuple[Run | None, list[Frame]]:
        """The latest kept run that is not past ``step``, and what is kept of its record up to it."""
        runs = [kept for kept in (*self.checkpoints, *self.forks, self.run) if kept and kept.step <= step]
        if not runs:
            return None, []
        latest = max(runs, key=lambda run: run.step)
        return latest, self.between(self.first, _frames_before(latest.step, self.config))

    def fork(self, run: Run) -> None:
        """Keep ``run``, one of this recording's up to its last frame, for what branches off at its step."""
        others = [kept for kept in self.forks if kept.step != run.step]
        self.forks = [*others, run][-FORKS:]

    def strip(self) -> None:
        """Forget everything but the run: who has seen it up to here can still watch on."""
        self.blocks, self.checkpoints, self.forks, self._starts, self._block_bytes = [], [], [], [], 0
        self.first = self.stop

    def _insert(self, place: int, block: Frame, begins: int) -> None:
        self.blocks.insert(place, block)
        self._starts.insert(place, begins)
        self._block_bytes += sum(array.nbytes + ARRAY_OVERHEAD for array in block.values())


class Recordings:
    """Recordings by configuration, the least recently used dropped beyond ``max_bytes``.

    Dropping has two stages: first the record goes, then the run too. So those who watch more than the
    store can hold still get on, as long as each only asks for what comes next. The recording in hand is
    never dropped: the bound can be exceeded by that one.

    ``thin(block, config)`` gives those frames of a more frequent recording of the same run that ``config``
    records, as it records them; with it such a recording serves as one of ``config``.
    """

    def __init__(self, max_bytes: int = 256 * 2**20, thin: Thin | None = None):
        if max_bytes < 1:
            raise ValueError(f"Recordings: max_bytes={max_bytes!r} must be at least 1; 256 MiB is usual")
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._thin = thin
        self._kept: OrderedDict[RunConfig, Recording] = OrderedDict()
        self._sizes: dict[RunConfig, int] = {}
        self._alike: dict[RunConfig, dict[RunConfig, None]] = {}  # by run: how it is recorded

    def __contains__(self, config: RunConfig) -> bool:
        return config in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def first(self, config: RunConfig) -> int:
        """The number of the first frame that is kept of ``config``; 0 where nothing is."""
        recording = self._kept.get(config)
        return recording.first if recording else 0

    def open(self, config: RunConfig, frame: int = 0) -> Recording:
        """The recording of ``config``: kept, thinned from another, branched off its base's, or empty.

        The one that has come furthest. One that has lost ``frame`` or what follows it begins anew. Of an
        empty one nothing is kept.
        """
        recording = self._kept.get(config)
        if recording is not None and recording.first > frame:
            self._drop(config)
        recording = self._known(config)
        if config.edits and (recording is None or recording.step < config.edits[-1][0]):
            recording = _further(recording, self._branch(config))
        recording = recording or Recording(config)
        if recording.run is not None:
            self._keep(recording)
        return recording

    def kept(self, config: RunConfig, first: int, stop: int) -> list[Frame]:
        """Return views of the frames that are kept of ``config``, up to ``stop``; none if ``first`` isn't.

        Unlike `open` it looks for nothing elsewhere: cheap enough for a thousand who read what is there.
        """
        recording = self._kept.get(config)
        if recording is None or not recording.first <= first < recording.stop:
            return []
        self._kept.move_to_end(config)
        return recording.between(first, stop)

    def past(self, config: RunConfig, step: int) -> Run | None:
        """Return the latest run of ``config`` that is kept, however it is recorded, and isn't past ``step``.

        Up to where it branches off, its base's run is its own.
        """
        runs = [self._kept[other].before(step)[0] for other in self._alike.get(_run_of(config), ())]
        if config.edits:
            runs.append(self.past(base_of(config), min(step, config.edits[-1][0])))
        latest = max(filter(None, runs), key=lambda run: run.step, default=None)
        return latest and replace(latest, config=config)

    def fork(self, run: Run) -> None:
        """Keep a run at a step where something branches off, with all recordings that have its past."""
        for other in self._alike.get(_run_of(run.config), ()):
            recording = self._kept[other]
            if recording.first == 0 and recording.stop >= _frames_before(run.step, other):
                recording.fork(replace(run, config=other, frames=()))
                self._weigh(recording)

    def extend(self, config: RunConfig, run: Run, block: Frame) -> None:
        """Append what ``run`` recorded since `open` gave it; a ValueError says what doesn't belong together.

        If the recording was evicted meanwhile, it goes on from here, without what came before. If it
        was begun anew, or somebody else was faster, nothing is appended: it will come, or has come.
        """
        if run.config != config:
            raise ValueError(f"extend: the run is one of {run.config}, not of {config}")
        stop, count = _frames_before(run.step, config), len(block["step"])
        if count and block["step"][-1] != (stop - 1) * config.record_every:
            last = block["step"][-1]
            raise ValueError(
                f"extend: the block ends at step {last}, the run at {run.step}; give what it recorded"
            )
        run = replace(run, frames=())
        recording = self._kept.get(config)
        if recording is None:
            recording = Recording(config, run, [block] if count else [])
        elif run.step > recording.step and recording.stop == stop - count:
            recording.append(run, block)
        self._keep(recording)

    def _known(self, config: RunConfig) -> Recording | None:
        """The recording of ``config`` that is kept, or that of the same run which is recorded more often."""
        found = self._kept.get(config)
        for other in self._alike.get(_run_of(config), ()) if self._thin else ():
            source = self._kept[other]
            if other != config and source.first == 0 and _covers(other, config):
                found = _further(found, self._thinned(source, config))
        return found

    def _thinned(self, source: Recording, config: RunConfig) -> Recording | None:
        """A recording of ``config`` made of one that is recorded more often."""
        kept = self._kept.get(config)
        if self._thin is None or source.run is None or (kept is not None and kept.step >= source.step):
            return None
        blocks = [block for block in (self._thin(b, config) for b in source.blocks) if len(block["step"])]
        recording = Recording(config, replace(source.run, config=config), blocks)
        recording.checkpoints, recording.forks = list(source.checkpoints), list(source.forks)
        return recording

    def _branch(self, config: RunConfig) -> Recording | None:
        """A recording that shares what its base has up to the last edit."""
        step = config.edits[-1][0]
        base = self._known(base_of(config))
        if base is None or base.first > 0:
            return None
        run, blocks = base.before(step)
        if run is None:
            return None
        recording = Recording(config, replace(run, config=config), blocks)
        if run.step == step:
            recording.forks = [run]  # where what branches off a branch can begin
        return recording

    def _keep(self, recording: Recording) -> None:
        config = recording.config
        self._kept[config] = recording
        self._kept.move_to_end(config)
        self._alike.setdefault(_run_of(config), {})[config] = None
        self._weigh(recording)
        while self.nbytes > self.max_bytes and len(self._kept) > 1:
            oldest = next(iter(self._kept.values()))
            if not oldest.blocks:
                self._drop(oldest.config)
                continue
            oldest.strip()
            self._weigh(oldest)

    def _weigh(self, recording: Recording) -> None:
        size = recording.nbytes
        self.nbytes += size - self._sizes.get(recording.config, 0)
        self._sizes[recording.config] = size

    def _drop(self, config: RunConfig) -> None:
        del self._kept[config]
        self.nbytes -= self._sizes.pop(config)
        alike = self._alike[_run_of(config)]
        del alike[config]
        if not alike:
            del self._alike[_run_of(config)]


def base_of(config: RunConfig) -> RunConfig:
    """The configuration that ``config`` branches off: without the edits of its last step."""
    step = config.edits[-1][0]
    return replace(config, edits=tuple(edit for edit in config.edits if edit[0] < step))


@lru_cache(maxsize=1024)
def _run_of(config: RunConfig) -> RunConfig:
    """The same for all configurations of one run, however it is recorded."""
    return replace(config, record_every=1, validate_every=1)


def _covers(often: RunConfig, config: RunConfig) -> bool:
    """Whether whatever ``config`` records is recorded by ``often``."""
    return config.record_every % often.record_every == 0 and config.validate_every % often.validate_every == 0


def _further(one: Recording | None, other: Recording | None) -> Recording | None:
    """Whichever has come further; the first if none has."""
    if one is None or (other is not None and other.step > one.step):
        return other
    return one


def _frames_before(step: int, config: RunConfig) -> int:
    """How many frames a run has recorded when it has made ``step`` steps."""
    return -(-step // config.record_every)


def _run_bytes(run: Run) -> int:
    arrays = (run.flat, *run.optimizer_state, run.running.mean, run.running.var, run.power, run.diverged_at)
    return sum(array.nbytes for array in arrays)
