"""Checking a lane against PyTorch, which never enters the server: each check is a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bnlib
from bnlib import RunConfig

SECONDS = 120.0  # a check that takes longer is given up
KEPT = 128
FOLDER = Path(bnlib.__file__).parent.parent


class CheckError(Exception):
    """A check came to nothing; the message is for the reader."""


class Checks:
    """One check at a time, however many ask; what was found is kept, since it would be found again."""

    def __init__(self) -> None:
        self._one = asyncio.Semaphore(1)
        self._found: dict[tuple[RunConfig, int], dict[str, Any]] = {}

    async def report(self, config: RunConfig, step: int) -> dict[str, Any]:
        """What `bnlib.referee` reports of the first seed of ``config`` at ``step``.

        Raises
        ------
        CheckError
            If PyTorch isn't there, or the check fails or takes too long.
        """
        async with self._one:
            found = self._found.get((config, step))
            if found is None:
                found = await _ask({"config": asdict(config), "step": step})
                while len(self._found) >= KEPT:
                    del self._found[next(iter(self._found))]
                self._found[config, step] = found
        return found


async def _ask(question: dict[str, Any]) -> dict[str, Any]:
    """Put a question to `python -m bnlib.referee`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bnlib.referee",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        cwd=FOLDER, env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        talk = process.communicate(json.dumps(question).encode())
        answer, complaint = await asyncio.wait_for(talk, SECONDS)
    except TimeoutError:
        raise CheckError(f"PyTorch took longer than {SECONDS:.0f} seconds; try an earlier step") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    try:
        found = json.loads(answer)
        if not isinstance(found, dict):
            raise ValueError
    except ValueError:
        last = complaint.decode(errors="replace").strip().splitlines()[-1:]
        raise CheckError(f"the check failed: {''.join(last) or 'its process ended'}"[:200]) from None
    if "error" in found:
        raise CheckError(str(found["error"]))
    report: dict[str, Any] = found
    return report
