"""A session of Streamlit's, as its page opens it."""

from __future__ import annotations

import re
from typing import NamedTuple

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks._sockets import BINARY, STREAM, Raw, Target, frame


class Visit(NamedTuple):
    """A session: its socket, which somebody must read on; its name; the token against forged requests."""

    raw: Raw
    name: str
    token: str


async def open_session(target: Target, query: str = "") -> Visit:
    """Open a session, and run the page's script once."""
    first = await target.connect()
    await first.send(
        f"GET /_stcore/health HTTP/1.1\r\nHost: {target.host}\r\nConnection: close\r\n\r\n".encode()
    )
    _, head = await first.answer()
    first.leave()
    found = re.search(r"_streamlit_xsrf=([^;\r]+)", head)
    token = found[1] if found else "none"
    more = f"Sec-WebSocket-Protocol: streamlit, {token}\r\nCookie: _streamlit_xsrf={token}\r\n"
    raw = await target.connect()
    if await raw.shake(STREAM, target.url, target.host, more) != 101:
        raise ConnectionRefusedError("Streamlit's stream was refused")
    rerun = BackMsg()
    rerun.rerun_script.query_string = query
    await raw.send(frame(rerun.SerializeToString(), BINARY))
    while True:
        message = ForwardMsg()
        message.ParseFromString(await _message(raw))
        if message.WhichOneof("type") == "new_session":
            return Visit(raw, message.new_session.initialize.session_id, token)


async def run_script(target: Target) -> None:
    """Open a session, wait for the end of the page's script, and leave: the first run imports a lot."""
    session = await open_session(target)
    message = ForwardMsg()
    while message.WhichOneof("type") != "script_finished":
        message.ParseFromString(await _message(session.raw))


async def _message(raw: Raw) -> bytes:
    """Read a message of the server's, which comes in one frame."""
    size = (await _exactly(raw, 2))[1] & 127
    if size >= 126:
        size = int.from_bytes(await _exactly(raw, 2 if size == 126 else 8), "big")
    return await _exactly(raw, size)


async def _exactly(raw: Raw, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await raw.received(count - len(data))
        if not more:
            raise EOFError("the server has hung up")
        data += more
    return data
