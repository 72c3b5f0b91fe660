"""Both ends of a pipe: PyTorch never enters the server, but waits, loaded, in a process of its own.

A question is a line: a `RunConfig`, a step and a `Run` or None, pickled, in base64. Its answer is a line of
JSON: what `bnlib.torch_check` finds, or ``{"error": why}``. The first line says which PyTorch there is.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import pickle
import signal
import sys
import threading
import traceback
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import bnlib
from bnlib import Run, RunConfig
from bnlib.jobs.workers import ONE_THREAD
from bnlib.torch_check import check

from .process import bound_memory
from .scheduler import CheckError, TooMuch

FOLDER = Path(bnlib.__file__).parent.parent
ROOM = 5 * 2**29  # bytes of a process's data, besides the 200 MB with which PyTorch begins
LONGEST_LINE = 2**20  # a report of 20 layers has 30 kB


class TorchProcess:
    """The server's end: one question at a time; whoever lets it wait no longer ends it."""

    def __init__(self, process: asyncio.subprocess.Process):
        assert process.stdin and process.stdout and process.stderr
        self._process, self._put, self._answers = process, process.stdin, process.stdout
        self._complaint = b""
        self._listening = asyncio.create_task(self._listen(process.stderr))

    @classmethod
    async def start(cls) -> TorchProcess:
        """Start a process and wait until PyTorch is loaded.

        Raises
        ------
        CheckError
            If there is no PyTorch, or the process ends.
        """
        pipe = asyncio.subprocess.PIPE
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "live.torch_process", stdin=pipe, stdout=pipe, stderr=pipe,
            cwd=FOLDER, env=os.environ | ONE_THREAD, limit=LONGEST_LINE,
        )  # fmt: skip
        process = cls(started)
        try:
            await process._answer()
        except BaseException:
            await process.end()
            raise
        return process

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._process.returncode is None

    async def ask(self, config: RunConfig, step: int, run: Run | None) -> dict[str, Any]:
        """What `bnlib.torch_check` finds.

        Raises
        ------
        CheckError
            If the check fails, or the process ends. It can't be asked again then.
        """
        question = pickle.dumps((config, step, run and check.first_seed(run)))
        with contextlib.suppress(ConnectionError):  # then it has no answer either
            self._put.write(base64.b64encode(question) + b"\n")
            await self._put.drain()
        return await self._answer()

    async def end(self) -> None:
        """End the process, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _answer(self) -> dict[str, Any]:
        """Read the next line."""
        try:
            found = json.loads(await self._answers.readline())
            if not isinstance(found, dict):
                raise ValueError
        except ValueError:
            await self.end()
            last = self._complaint.decode(errors="replace").strip().splitlines()[-1:]
            raise CheckError(f"the check failed: {''.join(last) or 'its process ended'}"[:200]) from None
        if "error" in found:
            raise (TooMuch if found.get("too_much") else CheckError)(str(found["error"]))
        return found

    async def _listen(self, complaints: asyncio.StreamReader) -> None:
        """Keep the end of what the process complains of: it would wait for ever with a full pipe."""
        while part := await complaints.read(4096):
            self._complaint = (self._complaint + part)[-4096:]


def main() -> None:
    """The other end: load PyTorch, answer questions as they come, and end with whoever asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    questions: SimpleQueue[bytes] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin.buffer:
            questions.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    try:
        serve(questions)
    except BrokenPipeError:
        pass  # nobody asks any more
    except Exception:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(0)  # an orderly end would wait for the thread that reads


def serve(questions: SimpleQueue[bytes]) -> None:
    """Load PyTorch and answer questions as they come; return if there is no PyTorch."""
    if hasattr(os, "nice"):
        os.nice(5)
    try:
        loaded = {"torch": check.load()}
    except ImportError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    bound_memory(ROOM)
    print(json.dumps(loaded), flush=True)
    while True:
        print(json.dumps(answer(questions.get())), flush=True)


def answer(question: bytes) -> dict[str, Any]:
    """What is found, or why nothing is."""
    config, step, run = pickle.loads(base64.b64decode(question))
    try:
        return check.check(config, step, run=run)
    except ValueError as error:
        return {"error": str(error)}
    except (MemoryError, RuntimeError) as error:  # PyTorch's own is a RuntimeError that says so
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        what = f"the check needs more than the {ROOM / 2**30:.1f} GiB that it may take"
        return {"error": f"{what}; try a smaller batch or a narrower network", "too_much": True}


if __name__ == "__main__":
    main()
