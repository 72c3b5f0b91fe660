"""The gate before everything else: only what the pages use, only under the server's names, no bodies."""

from __future__ import annotations

import asyncio
import fnmatch
import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from html import escape
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .files import Files

# A page's address, real or not: for one that isn't there Streamlit shows a page that says so.
PAGE = re.compile(r"/([^/.\\\x00-\x1f]+/?)?")
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?")
# Single words that lead to something else in Streamlit.
RESERVED = {"_stcore", "app", "auth", "component", "live", "media", "oauth2callback", "static"}
PLAIN = {"/health", "/_stcore/health", "/_stcore/host-config"}
SOCKETS = {"/live", "/_stcore/stream"}
MOST_ADDRESS = 16384
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Hosts:
    """The names under which this server may be asked.

    A name that a stranger has pointed at this machine isn't one of them: browsers would take the stranger's
    page for one of the server's own.
    """

    def __init__(self, settings: Mapping[str, str] = os.environ):
        self.origins = settings.get("BNLAB_ORIGINS", "").lower().split()
        own = socket.gethostname().lower()
        names = ["localhost", own, own.removesuffix(".local") + ".local", settings.get("BNLAB_HOST", "")]
        names += settings.get("BNLAB_HOSTS", "").split()
        names += [host_of(urlsplit(origin).netloc) for origin in self.origins if _is_address(origin)]
        self.names = {name.lower().rstrip(".") for name in names if name}
        self._full: asyncio.Future[str] | None = None

    async def allow(self, header: str) -> bool:
        """Whether a Host header names this server."""
        name = host_of(header)
        if not name:
            return False
        if _is_ip(name) or any(fnmatch.fnmatchcase(name, known) for known in self.names):
            return True
        if self._full is None:  # looked up only now: where there is no name server this takes seconds
            self._full = asyncio.ensure_future(asyncio.to_thread(socket.getfqdn))
        return name == (await asyncio.shield(self._full)).lower().rstrip(".")

    def same(self, origin: str, header: str) -> bool:
        """Whether a page of that origin is one of this server's."""
        if origin.lower() in self.origins:
            return True
        return _is_address(origin) and urlsplit(origin).netloc.lower() == header.lower()


def host_of(header: str) -> str:
    """Return the name in a Host header, without its port; "" if it is none."""
    found = HOST.fullmatch(header)
    return found[1].strip("[]").lower().rstrip(".") if found else ""


def _is_address(origin: str) -> bool:
    try:
        return bool(urlsplit(origin).netloc)
    except ValueError:
        return False


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_near(connection: HTTPConnection) -> bool:
    """Whether who asks sits at this machine, and no proxy has brought the question."""
    if connection.client is None or any(name in connection.headers for name in FORWARDED):
        return False
    host = connection.client.host.removeprefix("::ffff:")
    return _is_ip(host) and ipaddress.ip_address(host).is_loopback


class Gate:
    """ASGI middleware that refuses what isn't for the app, before a body is read or a file looked for."""

    def __init__(self, app: ASGIApp, files: Files, base: str = "", hosts: Hosts | None = None):
        self.app = app
        self.files = files
        self.base = base
        self.hosts = hosts or Hosts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        status, sentence = await self.refusal(scope)
        if status:
            await _answer(status, sentence, f"{self.base}/", scope, receive, send)
        elif scope["type"] == "http" and self.path(scope) in self.files:
            await self.files(self.path(scope), scope, send)
        else:
            await self.app(self.forwarded(scope), receive, send)

    def path(self, scope: Scope) -> str:
        """Return the path below the address at which the app is served."""
        path: str = scope["path"]
        for prefix in (scope.get("root_path", ""), self.base):
            if prefix and (path + "/").startswith(prefix + "/"):
                path = path[len(prefix) :] or "/"
        return path

    async def refusal(self, scope: Scope) -> tuple[int, str]:
        """Return the status and the sentence with which a request is refused; (0, "") if it isn't."""
        headers, path = Headers(scope=scope), self.path(scope)
        host = headers.get("host", "")
        if not await self.hosts.allow(host):
            name = _shown(host_of(host) or host)
            return 421, (
                f"This server doesn't know the name {name!r}. If it is one of yours, "
                f"name it: BNLAB_HOSTS={name!r} make run."
            )
        if len(path) + len(scope["query_string"]) > MOST_ADDRESS:
            return 414, f"An address has at most {MOST_ADDRESS} characters."
        if scope["type"] == "websocket":
            return self.refused_socket(path, headers)
        if scope["method"] not in ("GET", "HEAD"):
            return 405, f"method={_shown(scope['method'])} must be GET or HEAD: nothing can be sent here."
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            return 413, "A request to this server has no body; send it without."
        found = PAGE.fullmatch(path)
        if path in PLAIN or path in self.files or found and (found[1] or "").rstrip("/") not in RESERVED:
            return 0, ""
        return 404, f"There is nothing at {_shown(path)}. The lab begins at {self.base}/."

    def refused_socket(self, path: str, headers: Headers) -> tuple[int, str]:
        """Return how a WebSocket is refused. Streamlit's needs no origin: only browsers send one."""
        if path not in SOCKETS:
            return 404, f"There is no WebSocket at {_shown(path)}."
        origin = headers.get("origin")
        if origin is None and path == "/_stcore/stream":
            return 0, ""
        if origin is None or not self.hosts.same(origin, headers.get("host", "")):
            return 403, (
                f"Origin={_shown(origin or '')!r} must be a page of this server. If a proxy changes the host "
                "name, name the address that readers see: BNLAB_ORIGINS=https://lab.example.org make run."
            )
        return 0, ""

    def forwarded(self, scope: Scope) -> Scope:
        """Return the request as Streamlit sees it: from a page of its own.

        For a foreign one Streamlit asks another server for this machine's address, and everybody waits.
        """
        origin = Headers(scope=scope).get("origin")
        if origin is None:
            return scope
        scope = dict(scope) | {"headers": list(scope["headers"])}
        headers = MutableHeaders(scope=scope)
        if scope["type"] == "http":
            del headers["origin"]
        else:
            headers["host"] = urlsplit(origin).netloc
        return scope


NOTHING = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>BatchNorm Lab</title>
<body style="font: 1.1rem/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 36rem; padding: 0 1rem">
<p>{sentence}</p><p><a href="{start}">Go to BatchNorm Lab</a></p></body></html>
"""


async def _answer(status: int, sentence: str, start: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a sentence, and close the line: a body that is on its way isn't read."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = {"connection": "close", "cache-control": "no-store", "x-content-type-options": "nosniff"}
    if status == 404 and "text/html" in Headers(scope=scope).get("accept", ""):
        page = NOTHING.format(sentence=escape(sentence), start=escape(start))
        await HTMLResponse(page, status, headers)(scope, receive, send)
        return
    await PlainTextResponse(sentence + "\n", status, headers)(scope, receive, send)


def _shown(text: str) -> str:
    """Return what a stranger wrote, short and printable."""
    return "".join(c if c.isprintable() and c not in "'\"\\" else "?" for c in text[:80])
