"""Where the browser finds our JavaScript: paths that change with their content, so they can be cached."""

import hashlib
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path

import streamlit as st
from streamlit import file_util

FOLDER = Path(__file__).parent.parent / "assets"


def version() -> str:
    """Return a short name for the present content of the scripts and styles."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.[jc]s*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def plotly_file() -> Path:
    """Return where the installed plotly keeps its script: there is no second copy."""
    package = find_spec("plotly")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("plotly is missing; install requirements.txt")
    return Path(package.origin).parent / "package_data" / "plotly.min.js"


def places() -> dict[str, Path]:
    """Return the files of every page by their address below `base`: ours, Plotly's and Streamlit's."""
    theirs = Path(file_util.get_static_dir())
    ours = {f"{MOUNT}/{path.name}": path for path in FOLDER.iterdir() if path.is_file()}
    return ours | {
        PLOTLY: plotly_file(),
        "/static": theirs / "static",
        "/favicon.png": theirs / "favicon.png",
    }


def base() -> str:
    """Return the path below which the app is served, without a slash at its end."""
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


MOUNT = f"/lab-assets/{version()}"
PLOTLY = f"/plotly-{version_of('plotly')}.min.js"
