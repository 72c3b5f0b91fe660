"""What is computed when the edition is built, page by page; again only when what it is made of changes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from bnlib.data import digits_file
from bnlib.jobs.workers import WorkerContext
from book.chapter import Page
from book.registry import pages

from .bundle import BEGIN, DATA, sources
from .inline import Call, called

RECORDING = ("static.first", "static.measured")
FIRST, MEASURED = ".first", ".measured"  # a page's first pictures, and the results of its long computations


def recordings(
    root: Path, keep: Path, say: Callable[[str], None], call: Call = called
) -> dict[str, dict[str, bytes]]:
    """Return by FIRST and MEASURED each page's file by the page's name.

    What is in ``keep`` already isn't computed again. ``call``: as `Inline` has it, a function of a module.
    """
    kept = {name: keep / f"{name}-{key(root, page)}" for name, page in pages().items()}
    keep.mkdir(parents=True, exist_ok=True)
    for old in keep.iterdir():
        if old.with_suffix("") not in kept.values():
            old.unlink()
    missing = [name for name, path in kept.items() if not path.with_suffix(FIRST).is_file()]
    if missing:
        # On one thread each: what a product rounds to depends on their number.
        with ProcessPoolExecutor(min(os.cpu_count() or 1, len(missing)), WorkerContext()) as pool:
            for work in as_completed([pool.submit(_record, name, kept[name], call) for name in missing]):
                say(work.result())
    return {
        kind: {name: path.with_suffix(kind).read_bytes() for name, path in kept.items()}
        for kind in (FIRST, MEASURED)
    }


def _record(name: str, to: Path, call: Call) -> str:
    """Record and measure a page in a process of its own; return what there is to say of it."""
    from .first import Recorder, first_pictures
    from .measured import measure

    async def both() -> tuple[bytes, bytes]:
        page, recorder = pages()[name], Recorder(call)
        pictures = await first_pictures(page, recorder)
        return pictures, await measure(page, recorder.track)

    began = time.perf_counter()
    pictures, results = asyncio.run(both())
    seconds = time.perf_counter() - began
    to.with_suffix(MEASURED).write_bytes(results)
    unfinished = to.with_suffix(".part")
    unfinished.write_bytes(pictures)
    unfinished.replace(to.with_suffix(FIRST))
    sizes = f"{len(pictures) / 1000:.0f} kB, {len(results) / 1000:.0f} kB of results"
    return f"first pictures of {name}: {sizes}, in {seconds:.0f} s"


def key(root: Path, page: Page) -> str:
    """Return a digest of what a page's first pictures are made of.

    Not of the other pages' modules; but of all that pages tell of each other. The first page shows them all.
    """
    every = sources(root, (*BEGIN, *RECORDING))
    others = set((root / "pages").glob("*.py")) - set(_modules(root, page)) if page.path else set()
    digest = hashlib.sha256(f"{sys.version} numpy {np.__version__} {page.name}".encode())
    for one in pages().values():
        digest.update(repr((one.name, one.title, one.question, one.order)).encode())
    for path in (*every, *(root / name for name in DATA), digits_file()):
        if path not in others:
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:24]


def _modules(root: Path, page: Page) -> Iterable[Path]:
    """Return a page's module and its private ones."""
    return sources(root, (f"pages.{page.name}",), whole=())
