"""BatchNorm Lab's server: Streamlit's pages, and beside them the live channel and its pool."""

import asyncio
import gc
import os
import webbrowser
from contextlib import asynccontextmanager
from pathlib import Path

# One BLAS thread a process: our matrices are small, and the processes share the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import streamlit as st
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from live.channel import Channel
from live.desk import Desk
from ui import assets

HERE = Path(__file__).parent
desk = Desk()
channel = Channel(desk)


@asynccontextmanager
async def lifespan(_app):
    """Start the pool with the server and end it with the server."""
    desk.start()
    # Streamlit collects garbage often; what is alive now stays alive and needn't be looked at again.
    gc.collect()
    gc.freeze()
    if address := os.environ.get("BNLAB_OPEN"):
        asyncio.get_running_loop().call_later(0.5, webbrowser.open, address)
    yield {}
    desk.stop()


async def health(_request):
    """For load balancers and benchmarks: alive, and how much is kept."""
    kept = {"recordings": len(desk.recordings), "bytes": desk.recordings.nbytes}
    return JSONResponse(kept | {"computed_steps": desk.computed_steps, "sockets": channel.open_sockets})


app = st.App(
    HERE / "ui" / "main.py",
    routes=[
        WebSocketRoute("/live", channel.serve),
        Route("/health", health),
        Route(assets.PLOTLY, lambda _request: FileResponse(assets.plotly_file())),
        Mount(assets.MOUNT, StaticFiles(directory=HERE / "assets")),
    ],
    lifespan=lifespan,
)
