"""First pictures of all pages, recorded side by side; again only when what they are made of changes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from bnlib.data import digits_file
from book.chapter import Page
from book.registry import pages

from .bundle import BEGIN, DATA, sources

RECORDING = ("static.first",)


def all_first_pictures(root: Path, keep: Path, say: Callable[[str], None]) -> dict[str, bytes]:
    """Return each page's file by the page's name; what is in ``keep`` already isn't recorded again."""
    kept = {name: keep / f"{name}-{key(root, page)}.bin" for name, page in pages().items()}
    keep.mkdir(parents=True, exist_ok=True)
    for old in set(keep.glob("*.bin")) - set(kept.values()):
        old.unlink()
    missing = [name for name, path in kept.items() if not path.is_file()]
    if missing:
        # One that hasn't been started by a fork has none of this one's threads and locks.
        ways = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(os.cpu_count() or 1, len(missing)), ways) as pool:
            for work in as_completed([pool.submit(_record, name, kept[name]) for name in missing]):
                say(work.result())
    return {name: path.read_bytes() for name, path in kept.items()}


def _record(name: str, to: Path) -> str:
    """Record a page's first pictures in a process of its own; return what there is to say of it."""
    from .first import first_pictures

    began = time.perf_counter()
    content = first_pictures(pages()[name])
    unfinished = to.with_suffix(".part")
    unfinished.write_bytes(content)
    unfinished.replace(to)
    seconds = time.perf_counter() - began
    return f"first pictures of {name}: {len(content) / 1000:.0f} kB, recorded in {seconds:.0f} s"


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
