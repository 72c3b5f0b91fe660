"""BatchNorm Lab's server: Streamlit's pages, and beside them the live channel and its pool."""

import asyncio
import gc
import logging
import os
import webbrowser
from contextlib import asynccontextmanager
from pathlib import Path

# One BLAS thread a process: our matrices are small, and the processes share the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Route, WebSocketRoute

from bnlib.jobs.workers import keep_memory
from live.channel import Channel
from live.crew import Crew
from live.desk import Desk
from live.files import Files
from live.gate import Gate
from live.hand import PROCESSES, ProcessHand
from live.sockets import make_room
from ui import assets

HERE = Path(__file__).parent
PASSING = 4 << 20  # bytes: runs are smaller, and pass through the server at every turn
desk = Desk(Crew(PROCESSES, ProcessHand))
channel = Channel(desk)
# Streamlit warns of every message that isn't its page's, and anybody can send those.
_sockets = logging.getLogger("streamlit.web.server.starlette.starlette_websocket")
_sockets.addFilter(lambda record: record.levelno > logging.WARNING)


@asynccontextmanager
async def lifespan(_app):
    """Start the pool with the server and end it with the server."""
    make_room()
    keep_memory(PASSING)
    desk.start()
    # Streamlit collects garbage often; what is alive now stays alive and needn't be looked at again.
    gc.collect()
    gc.freeze()
    if address := os.environ.get("BNLAB_OPEN"):
        asyncio.get_running_loop().call_later(0.5, webbrowser.open, address)
    yield {}
    desk.stop()


app = st.App(
    HERE / "ui" / "main.py",
    routes=[
        WebSocketRoute(f"{assets.base()}/live", channel.serve),
        Route(f"{assets.base()}/health", channel.health),
    ],
    middleware=[Middleware(Gate, files=Files(assets.places()), base=assets.base())],
    lifespan=lifespan,
)
