"""A worker process and the socket to it: calls go out and answers come back in the event loop itself.

There are no threads that wait for a busy event loop, and no semaphores that a killed server leaves behind.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from typing import Any

from bnlib.jobs.workers import WorkerContext

from . import calls, process
from .crew import GOING_AWAY, Hand, Lost
from .scheduler import ComputationError

log = logging.getLogger(__name__)

PROCESSES = max(2, min(4, (os.cpu_count() or 1) - 1))  # that a server has
STARTING = 60.0  # seconds until a new process answers
BUFFER = 4 << 20  # bytes; systems grant less
DYING = 1.0  # seconds until a killed one is gone
_SIZE = struct.Struct("!Q")


class ProcessHand(Hand):
    """A process that does one call at a time, and that is replaced when it is lost."""

    def __init__(self) -> None:
        super().__init__()
        self._process: BaseProcess | None = None
        self._gone: BaseProcess | None = None  # killed, and not collected yet
        self._socket: socket.socket | None = None
        self._calling = False
        self._spawning = threading.Lock()

    @property
    def is_warm(self) -> bool:
        """Whether a call begins at once."""
        return self._socket is not None

    @property
    def pid(self) -> int | None:
        """The process's number; None where there is none."""
        return self._process.pid if self._process else None

    async def call(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Return what ``function`` returns, or raise what it raises. Cancelled, it kills the process.

        Raises
        ------
        Lost
            If the process ended before it had answered.
        """
        call, connection = calls.packed((function, arguments, keywords), _SIZE.size), self._socket
        if connection is None:
            raise Lost
        self._calling = True
        try:
            await asyncio.get_running_loop().sock_sendall(connection, _message(call))
            answer = await _received(connection)
        except BaseException as error:  # half an answer may be on its way
            self._kill()
            connection.close()
            if isinstance(error, (OSError, EOFError)):
                raise ComputationError(GOING_AWAY) if self._ended else Lost from error
            raise
        finally:
            self._calling = False
        return calls.outcome(answer)

    def end(self) -> None:
        """Kill the process, for good."""
        with self._spawning:  # a process that is being started is there now, or won't be
            self._ended = True
        connection = self._socket
        self._kill()
        if self._gone is not None:
            self._gone.join(DYING)
        if connection is not None and not self._calling:
            connection.close()

    def _kill(self) -> None:
        self._socket = None
        if self._process is not None:
            self._process.kill()
            self._gone, self._process = self._process, None

    async def _start(self) -> Exception | None:
        """Start a process and hear from it; return why there is none."""
        connection: socket.socket | None = None
        try:
            connection = await asyncio.to_thread(self._spawn)
            async with asyncio.timeout(STARTING):
                await _received(connection)
            if self._ended:
                raise EOFError
            self._socket = connection
        except (EOFError, ConnectionError, TimeoutError):
            if self._ended:
                return ComputationError(GOING_AWAY)
            log.warning("a worker process ended before it could do anything")
            return Lost()
        except OSError:
            log.exception("a worker process can't be started")
            return ComputationError("the server can't start its worker processes; try again later")
        finally:
            if self._socket is None:
                self._kill()
                if connection is not None:
                    connection.close()
        return None

    def _spawn(self) -> socket.socket:
        """Start a process and return our end of the socket to it. It takes a hundredth of a second."""
        ours, theirs = socket.socketpair()
        try:
            for end in (ours, theirs):  # a run that fits waits for nobody to read it
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            with theirs, self._spawning:
                if self._ended:
                    raise EOFError
                worker = WorkerContext().Process(target=serve, args=(theirs, process.warm_up), daemon=True)
                worker.start()
                gone, self._gone, self._process = self._gone, None, worker
            if gone is not None:
                gone.join(DYING)
            ours.setblocking(False)
        except BaseException:
            ours.close()
            raise
        return ours


def serve(connection: socket.socket, prepare: Callable[[], None]) -> None:
    """Do in a process what comes through ``connection``, one call after another, until it is closed."""
    prepare()
    try:
        connection.sendall(_message(calls.packed(None, _SIZE.size)))
        while True:
            (size,) = _SIZE.unpack(_read(connection, _SIZE.size))
            connection.sendall(_message(calls.answer(_read(connection, size), _SIZE.size)))
    except (EOFError, OSError):
        return


def _message(stream: io.BytesIO) -> memoryview:
    """Return a message: what was packed, and its size in the room before it."""
    message = stream.getbuffer()
    _SIZE.pack_into(message, 0, len(message) - _SIZE.size)
    return message


async def _received(connection: socket.socket) -> memoryview:
    """Wait, in the event loop, for a message."""
    (size,) = _SIZE.unpack(await _bytes(connection, _SIZE.size))
    return await _bytes(connection, size)


async def _bytes(connection: socket.socket, size: int) -> memoryview:
    loop, part, at = asyncio.get_running_loop(), memoryview(bytearray(size)), 0
    while at < size:
        count = await loop.sock_recv_into(connection, part[at:])
        if not count:
            raise EOFError
        at += count
    return part


def _read(connection: socket.socket, size: int) -> memoryview:
    """Wait, in a worker process, for so many bytes."""
    part, at = memoryview(bytearray(size)), 0
    while at < size:
        count = connection.recv_into(part[at:])
        if not count:
            raise EOFError
        at += count
    return part
