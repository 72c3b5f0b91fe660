"""The store of recordings: what runs have recorded so far, keyed by configuration, bounded in bytes.

A recording can always be computed again, so evicting one loses nothing. The store only keeps books; who
computes, and in which process, is the caller's business: `open` a recording, `advance` its run
somewhere, hand the result to `extend`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from .config import RunConfig
from .telemetry import Frame
from .train import Run, start

CHECKPOINT_STEPS = 100


class Recording:
    """What is known of one configuration's run: the run itself and everything it recorded.

    Attributes
    ----------
    run : Run, as far as it has been computed, without frames
    blocks : list of history arrays by name, (R, frames, ...), in order of time
    frames : int, how many frames the blocks hold together
    """

    def __init__(self, run: Run, blocks: list[Frame] | None = None):
        self.run = run
        self.blocks = blocks or []
        self.frames = sum(len(block["step"]) for block in self.blocks)
        self.checkpoints = [run]

    @property
    def nbytes(self) -> int:
        """Bytes of everything that is kept."""
        runs = sum(_run_bytes(run) for run in {id(r): r for r in (*self.checkpoints, self.run)}.values())
        return runs + sum(array.nbytes for block in self.blocks for array in block.values())

    def append(self, run: Run, block: Frame) -> None:
        """The run has advanced to ``run`` and recorded ``block`` on the way."""
        self.run = run
        if len(block["step"]):
            self.blocks.append(block)
            self.frames += len(block["step"])
        if run.step - self.checkpoints[-1].step >= CHECKPOINT_STEPS:
            self.checkpoints.append(run)

    def between(self, first: int, stop: int) -> list[Frame]:
        """Views of the frames numbered ``first`` up to, but not including, ``stop``."""
        found, start_of_block = [], 0
        for block in self.blocks:
            count = len(block["step"])
            here = slice(max(first - start_of_block, 0), max(stop - start_of_block, 0))
            if here.start < min(here.stop, count):
                found.append({k: v[here] if k == "step" else v[:, here] for k, v in block.items()})
            start_of_block += count
        return found

    def before(self, step: int) -> tuple[Run, list[Frame]]:
        """The latest kept run that is not past ``step``, and what was recorded up to it."""
        run = [kept for kept in (*self.checkpoints, self.run) if kept.step <= step][-1]
        return run, self.between(0, -(-run.step // run.config.record_every))


class Recordings:
    """Recordings by configuration, the least recently used dropped beyond ``max_bytes``.

    The recording in hand is never dropped, so the bound can be exceeded by that one.
    """

    def __init__(self, max_bytes: int = 256 * 2**20):
        if max_bytes < 1:
            raise ValueError(f"Recordings: max_bytes={max_bytes!r} must be at least 1; 256 MiB is usual")
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._kept: OrderedDict[RunConfig, Recording] = OrderedDict()
        self._sizes: dict[RunConfig, int] = {}

    def __contains__(self, config: RunConfig) -> bool:
        return config in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def open(self, config: RunConfig) -> Recording:
        """The recording of ``config``: kept, branched off its base's, or new and empty."""
        recording = self._kept.get(config)
        if recording is None:
            recording = self._branch(config) or Recording(start(config))
            self._kept[config] = recording
        self._account(config, recording)
        return recording

    def extend(self, config: RunConfig, run: Run, block: Frame) -> Recording:
        """Append what ``run`` recorded; if the recording was evicted meanwhile, nothing is appended.

        Raises
        ------
        ValueError
            If ``block`` doesn't start where the recording ends.
        """
        recording = self.open(config)
        if run.step <= recording.run.step:
            return recording
        every = config.record_every
        expected = -(-recording.run.step // every) * every
        if len(block["step"]) and block["step"][0] != expected:
            if recording.run.step == 0:
                return recording  # evicted while its continuation was computed
            raise ValueError(
                f"extend: the block starts at step {block['step'][0]}, the recording goes on at {expected}; "
                "advance the run that `open` gave"
            )
        recording.append(replace(run, frames=()), block)
        self._account(config, recording)
        return recording

    def _branch(self, config: RunConfig) -> Recording | None:
        """A recording that shares what its base has up to the last edit."""
        if not config.edits:
            return None
        step = config.edits[-1][0]
        base = replace(config, edits=tuple(edit for edit in config.edits if edit[0] < step))
        if base not in self._kept:
            return None
        run, blocks = self._kept[base].before(step)
        return Recording(replace(run, config=config), blocks)

    def _account(self, config: RunConfig, recording: Recording) -> None:
        self._kept.move_to_end(config)
        self.nbytes += recording.nbytes - self._sizes.get(config, 0)
        self._sizes[config] = recording.nbytes
        while self.nbytes > self.max_bytes and len(self._kept) > 1:
            oldest, _ = self._kept.popitem(last=False)
            self.nbytes -= self._sizes.pop(oldest)


def _run_bytes(run: Run) -> int:
    return run.flat.nbytes + sum(a.nbytes for a in run.optimizer_state) + 2 * run.running.mean.nbytes
