"""Where the browser finds our JavaScript: a path that changes with its content, so it can be cached."""

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "assets"


def version() -> str:
    """A short name for the present content of the scripts and styles."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.[jc]s*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


MOUNT = f"/lab-assets/{version()}"
