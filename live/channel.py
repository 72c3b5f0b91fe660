"""The WebSocket route: settings up, pictures down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect

from bnlib import RunConfig
from bnlib.telemetry import HISTOGRAM_EDGES

from . import batch as one_batch
from . import messages, worker
from . import verdict as words
from .desk import ComputationError, Desk, Viewer

log = logging.getLogger(__name__)

# A finger asks 60 times a second; twice that leaves room for bursts and stops a loop gone wild.
MESSAGES_PER_SECOND, BURST = 120, 240
POLICY_VIOLATION, TOO_BIG = 1008, 1009
GONE = (WebSocketDisconnect, RuntimeError)  # what sending to a page that has left raises
MOST_VERDICTS = 512
FIRST_BATCH = Path(__file__).parent.parent / "assets" / "digits_batch.npy"


class Channel:
    """Everything the route needs from the server: the desk, and the batch that is shown first."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self.open_sockets = 0
        self._verdicts: dict[tuple[tuple[RunConfig, ...], int], str] = {}
        # What `worker.digits_batch` computes, kept ready: the first picture waits for nothing.
        self.source: NDArray[np.float64] = np.load(FIRST_BATCH)

    async def verdict(self, configs: tuple[RunConfig, ...], step: int) -> str:
        """The verdict on a race at ``step``; those who watch one race share it."""
        text = self._verdicts.get((configs, step))
        if text is None:
            frames = self.desk.frames
            lanes = [frames(c, words.frames_needed(c, step), words.ARRAYS_NEEDED) for c in configs]
            text = words.verdict(configs, await asyncio.gather(*lanes), step)
            while len(self._verdicts) >= MOST_VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
            self._verdicts[configs, step] = text
        return text

    async def serve(self, websocket: WebSocket) -> None:
        """One socket from its opening to its end."""
        if not same_origin(websocket):
            await websocket.close(POLICY_VIOLATION)
            return
        await websocket.accept()
        self.open_sockets += 1
        session = _Session(self, websocket)
        try:
            await session.run()
        except GONE as error:
            log.debug("socket ended: %s", error)  # the page is gone, perhaps in the middle of an answer
        finally:
            self.open_sockets -= 1
            await session.end()


def same_origin(websocket: WebSocket) -> bool:
    """Whether the page that opened the socket is ours (or one named in BNLAB_ORIGINS)."""
    origin = websocket.headers.get("origin", "")
    if origin in os.environ.get("BNLAB_ORIGINS", "").split():
        return True
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(host) and host.lower() == websocket.headers.get("host", "").lower()


class _Session:
    """One socket: at most one race is watched, and answers follow questions."""

    def __init__(self, channel: Channel, websocket: WebSocket):
        self.channel = channel
        self.socket = websocket
        self.sending = asyncio.Lock()
        self.configs: list[RunConfig] = []
        self.viewers: list[Viewer] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.speaking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        allowance, last = float(BURST), time.monotonic()
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            now = time.monotonic()
            allowance, last = min(BURST, allowance + (now - last) * MESSAGES_PER_SECOND) - 1, now
            if allowance < 0:
                await self.tell("channel", f"more than {MESSAGES_PER_SECOND} messages a second; goodbye")
                await self.socket.close(POLICY_VIOLATION)
                return
            text = message.get("text") or ""
            size = len(text) + len(message.get("bytes") or b"")
            if size > messages.MAX_MESSAGE:
                limit = messages.MAX_MESSAGE
                await self.tell("channel", f"a message of {size} characters exceeds {limit}; goodbye")
                await self.socket.close(TOO_BIG)
                return
            await self.handle(text)

    async def handle(self, text: str) -> None:
        try:
            message = json.loads(text)
            kind = message["kind"]
            answer = self.ANSWERS[kind]
        except (ValueError, TypeError, KeyError, RecursionError):
            kinds = ", ".join(self.ANSWERS)
            await self.tell("channel", f"a message must be JSON with a kind out of {kinds}")
            return
        try:
            await answer(self, message)
        except (ValueError, ComputationError) as error:
            await self.tell(kind, str(error), message.get("id"))

    async def tell(self, kind: str, what: str, number: Any = None) -> None:
        await self.send(messages.problem(kind, what, number if type(number) is int else None))

    async def send(self, message: str | bytes) -> None:
        async with self.sending:
            if isinstance(message, str):
                await self.socket.send_text(message)
            else:
                await self.socket.send_bytes(message)

    async def batch(self, message: dict[str, Any]) -> None:
        """Answer with one batch's transform."""
        values, problems = messages.read(messages.BATCH_CONTROLS, _settings(message))
        header, arrays = one_batch.transform(self.channel.source, values)
        header |= {"kind": "batch", "id": _whole(message, "id"), "problems": problems}
        await self.send(messages.pack(header, arrays))

    async def lab(self, message: dict[str, Any]) -> None:
        """Watch a race, and no other."""
        values, problems = messages.read(messages.LAB_CONTROLS, _settings(message))
        number, until = _whole(message, "id"), _whole(message, "until")
        await self.end()
        self.configs = messages.lane_configs(values, draft=message.get("draft") is True)
        bins = len(HISTOGRAM_EDGES) - 1
        header = {
            "kind": "lab",
            "id": number,
            "lanes": values["lanes"],
            "depth": values["depth"],
            "replicas": values["replicas"],
            "layout": worker.layout(self.configs[0], bins),
            "every": self.configs[0].record_every,
            "validate_every": self.configs[0].validate_every,
            "edges": HISTOGRAM_EDGES.tolist(),
            "problems": problems,
        }
        await self.send(messages.pack(header, {}))
        for lane, config in enumerate(self.configs):
            viewer = Viewer(min(until, messages.LAB_STEPS))
            self.viewers.append(viewer)
            self.tasks.append(asyncio.create_task(self.feed(config, viewer, number, lane)))

    async def feed(self, config: RunConfig, viewer: Viewer, number: int, lane: int) -> None:
        """Send a lane's frames as they come."""
        try:
            async with contextlib.aclosing(self.channel.desk.watch(config, viewer)) as blocks:
                async for block in blocks:
                    header = {"kind": "frames", "id": number, "lane": lane}
                    await self.send(messages.pack(header, {"rows": block["picture"][0]}))
        except ComputationError as error:
            with contextlib.suppress(*GONE):
                await self.tell("lab", str(error), number)
        except GONE as error:
            log.debug("a lane ended: %s", error)

    async def until(self, message: dict[str, Any]) -> None:
        """Go on to a later step."""
        step = min(_whole(message, "step"), messages.LAB_STEPS)
        for viewer in self.viewers:
            viewer.want(step)

    async def verdict(self, message: dict[str, Any]) -> None:
        """Say in words how the race stands: the latest question is answered, once the frames are there."""
        number, step = _whole(message, "id"), min(_whole(message, "step"), messages.LAB_STEPS)
        if not self.configs:
            raise ValueError("there is no race to judge; ask for one with a lab message")
        if self.speaking is not None:
            self.speaking.cancel()
        self.speaking = asyncio.create_task(self.speak(list(self.configs), number, step))

    async def speak(self, configs: list[RunConfig], number: int, step: int) -> None:
        """Send the verdict on ``step``. What the store has lost since it was shown is computed again."""
        try:
            text = await self.channel.verdict(tuple(configs), step)
            await self.send(json.dumps({"kind": "verdict", "id": number, "text": text}))
        except ComputationError as error:
            with contextlib.suppress(*GONE):
                await self.tell("verdict", str(error), number)
        except GONE as error:
            log.debug("a verdict ended: %s", error)

    async def stop(self, message: dict[str, Any]) -> None:
        """Nothing more is wanted."""
        await self.end()

    async def end(self) -> None:
        """Stop watching."""
        tasks, self.tasks, self.viewers, self.configs = self.tasks, [], [], []
        if self.speaking is not None:
            tasks.append(self.speaking)
            self.speaking = None
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("showing a race failed", exc_info=ended)

    ANSWERS = {"batch": batch, "lab": lab, "until": until, "verdict": verdict, "stop": stop}


def _settings(message: dict[str, Any]) -> dict[str, Any]:
    values = message.get("values", {})
    if not isinstance(values, dict):
        raise ValueError(f"values={str(values)[:40]} must be an object of settings")
    return values


def _whole(message: dict[str, Any], name: str) -> int:
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2**53:
        raise ValueError(f"{name}={str(value)[:40]} must be a whole number, 0 or more")
    return value
