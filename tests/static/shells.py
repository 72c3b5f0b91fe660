"""The page's side of a shell, and the workers that it starts, played in one event loop."""

from __future__ import annotations

import asyncio
import gzip
import json

from live import messages
from static.hand import answered
from static.shell import Shell
from tests.scheduler import until


class Bytes(bytes):
    """Bytes as JavaScript hands them over."""

    def to_bytes(self):
        return bytes(self)


class Worker:
    """The other worker, played in the same event loop: each answers as `static/hand_worker.js` does."""

    def __init__(self, fails=()):
        self.fails = list(fails)  # what befalls the next calls: an error, or an event to wait for
        self.ready = asyncio.get_running_loop().create_future()
        self.ready.set_result(None)
        self.calls, self.ended = 0, False

    async def call(self, packed):
        assert type(packed) is bytes and not self.ended
        self.calls += 1
        trouble = self.fails.pop(0) if self.fails else None
        if isinstance(trouble, asyncio.Event):
            await trouble.wait()
        elif trouble is not None:
            raise trouble
        return Bytes(answered(Bytes(packed)))

    def end(self):
        self.ended = True


class Workers:
    """Starts workers, with what befalls each."""

    def __init__(self, *fails):
        self.fails, self.started = list(fails), []

    def __call__(self):
        trouble = self.fails.pop(0) if self.fails else ()
        if isinstance(trouble, Exception):
            raise trouble
        self.started.append(Worker(trouble))
        return self.started[-1]


class Page:
    """The other side of the channels: what it was sent, unpacked, by channel."""

    def __init__(self):
        self.got = {}

    def __call__(self, channel, message):
        header = json.loads(message) if isinstance(message, str) else messages.unpack(message)[0]
        self.got.setdefault(channel, []).append(header)

    def kinds(self, channel=1):
        return [header["kind"] for header in self.got.get(channel, [])]

    async def answer(self, kind, channel=1):
        """Wait for the first message of a kind."""
        await until(lambda: kind in self.kinds(channel))
        return next(header for header in self.got[channel] if header["kind"] == kind)


async def nothing_measured(name):
    """Fetch what a build without results has."""
    return Bytes(gzip.compress(b""))


def with_shell(scenario, *fails, cores=1, settle=True, fetch=nothing_measured):
    """Run a scenario with a shell, its page and the workers that it starts."""

    async def run():
        page, workers = Page(), Workers(*fails)
        shell = Shell(page, workers, fetch, cores)
        if settle:
            shell.settle()
        try:
            await scenario(shell, page, workers)
        finally:
            shell.desk.stop()

    asyncio.run(run())
