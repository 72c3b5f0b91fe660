"""The pages as documents: page.html filled with what chapters declare; and the theme's colours as CSS."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from html import escape, unescape
from itertools import groupby
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from book.chapter import Chapter, Page

BOOK = "BatchNorm Lab"
EDITION = (
    "Everything on these pages is computed in your own browser, by the same Python as in the edition with a "
    "server. Two things need that edition: the check against PyTorch, and sweeps over many processes."
)
MOST_IN_ONE_ROW = 6  # pages; from there on they stand in the navigation by group, as in ui/chapters.py
PLACE = re.compile(r"\{\{(\w+)\}\}")
GENERIC = {"font": "sans-serif", "codeFont": "monospace"}


def filled(template: str, words: Mapping[str, str]) -> str:
    """Put words into the places of a template; one that is unknown is a KeyError."""
    return PLACE.sub(lambda place: words[place[1]], template)


def book_data(pages: Mapping[str, Page], styles: Iterable[str]) -> dict[str, Any]:
    """Return what the frame is told of the book: the same on every page, but for where it is."""
    return {
        "groups": [[group, [_listed(page) for page in some]] for group, some in _grouped(pages.values())],
        "pages": {name: _told(page) for name, page in pages.items()},
        "styles": sorted(styles),
        "edition": {"what": EDITION},
    }


def document(
    template: str, page: Page, book: Mapping[str, Any], version: str, preload: Iterable[tuple[str, str]]
) -> str:
    """Return a page's document.

    preload : addresses below the root that it is going to need, each with what it is: "script" or "fetch"
    """
    root = ".." if page.path else ""
    data = {"version": version, "here": page.name, "root": root, **book}
    lead = html(page.lead, near)
    described = " ".join(unescape(re.sub(r"<[^>]+>", "", lead)).split())
    return filled(
        template,
        {
            "title": escape(BOOK if page.title == BOOK else f"{page.title} · {BOOK}"),
            "heading": escape(page.question),
            "description": escape(described or page.question),
            "lead": lead,
            "root": root or ".",
            "version": version,
            "book": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
            "preload": "\n".join(_preloaded(*one) for one in preload),
        },
    )


def html(markdown: str, link: Callable[[str], str] = str) -> str:
    """Return Markdown as HTML; ``link`` makes addresses below the root real ones, others open elsewhere."""
    reader = MarkdownIt("commonmark", {"html": False})
    tokens = reader.parse(markdown)
    for token in (inside for block in tokens for inside in block.children or ()):
        if token.type == "link_open":
            address = str(token.attrs["href"])
            if address.startswith("/"):
                token.attrs["href"] = link(address)
            else:
                token.attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
    return str(reader.renderer.render(tokens, reader.options, {})).strip()


def near(address: str) -> str:
    """Return an address below the root as a document there links to it: a page is a folder."""
    path, mark, query = address.lstrip("/").partition("?")
    return f"{path}/{mark}{query}" if path else f"./{mark}{query}"


def theme_css(config: Path) -> str:
    """Return the theme as Streamlit names colours and fonts: light, dark, or as the reader's system is."""
    theme = tomllib.loads(config.read_text("utf-8"))["theme"]
    light, dark = (_properties(theme[name]) for name in ("light", "dark"))
    fonts = "".join(f"  {_property(name)}: {theme[name]}, {last};\n" for name, last in GENERIC.items())
    return (
        f":root {{\n{fonts}{light}}}\n"
        f"@media (prefers-color-scheme: dark) {{\n:root {{\n{dark}}}\n}}\n"
        f":root[data-theme=light] {{\n{light}}}\n:root[data-theme=dark] {{\n{dark}}}\n"
    )


def _properties(colours: Mapping[str, Any]) -> str:
    listed = {name: value if isinstance(value, str) else ",".join(value) for name, value in colours.items()}
    return "".join(f"  {_property(name)}: {value};\n" for name, value in listed.items())


def _property(name: str) -> str:
    """Return ``backgroundColor`` as ``--st-background-color``."""
    return "--st-" + re.sub("[A-Z]", lambda capital: f"-{capital[0].lower()}", name)


def _preloaded(address: str, kind: str) -> str:
    if kind == "script":
        return f'<link rel="modulepreload" href="{escape(address)}">'
    return f'<link rel="preload" as="{kind}" crossorigin href="{escape(address)}">'


def _grouped(pages: Iterable[Page]) -> list[tuple[str, list[Page]]]:
    every = list(pages)
    if len(every) <= MOST_IN_ONE_ROW:
        return [("", every)]
    return [(group, list(some)) for group, some in groupby(every, lambda page: page.group)]


def _listed(page: Page) -> dict[str, Any]:
    return {name: getattr(page, name) for name in ("name", "title", "path", "question", "order")}


def _told(page: Page) -> dict[str, str]:
    """Return what stands around a page's picture; links are addresses below the root."""
    chapter = isinstance(page, Chapter)
    sources = "\n".join(f"- {source.text}" for source in page.sources) if isinstance(page, Chapter) else ""
    return {
        "title": page.title, "question": page.question, "path": page.path,
        "picture": page.name if chapter else "lab", "lead": html(page.lead), "sources": html(sources),
    }  # fmt: skip
