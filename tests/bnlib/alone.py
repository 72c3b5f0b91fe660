"""One replica of a run, for tests that compare it with its own run."""

from __future__ import annotations

from dataclasses import replace

from bnlib.training.train import Run


def only(run: Run, replica: int) -> Run:
    """One replica of a run, as a run of its own."""
    row = slice(replica, replica + 1)
    config = replace(run.config, seed=run.config.seed + replica, replicas=1)
    moments = {name: getattr(run.running, name)[row] for name in ("mean", "var", "weight", "var_weight")}
    frames = tuple({k: v if k == "step" else v[row] for k, v in block.items()} for block in run.frames)
    state = tuple(array[row] for array in run.optimizer_state)
    own = {name: getattr(run, name)[row] for name in ("flat", "power", "diverged_at")}
    running = replace(run.running, **moments)
    return replace(run, config=config, optimizer_state=state, running=running, frames=frames, **own)
