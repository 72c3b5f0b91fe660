"""Pages as they open, for the browser tests: what they ask for, what fails on them, and the way to others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from playwright.sync_api import BrowserContext, Page, WebSocket

Scheme = Literal["light", "dark"]


class Opened(NamedTuple):
    """A page of the house as it opens in a wide window.

    name : the page's name in the registry
    asked : the views and races that it has asked for until it was there
    """

    page: Page
    name: str
    asked: list[dict[str, Any]]


@contextmanager
def watched(context: BrowserContext) -> Iterator[Page]:
    """A page that fails its tests when a script on it fails."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert not errors


def heard(page: Page) -> list[dict[str, Any]]:
    """The views and races that a page asks for from now on, without their numbers."""
    found: list[dict[str, Any]] = []

    def hear(text: str) -> None:
        message = json.loads(text)
        if message["kind"] in ("view", "lab"):
            found.append({name: part for name, part in message.items() if name != "id"})

    def listen(socket: WebSocket) -> None:
        if socket.url.endswith("/live"):
            socket.on("framesent", hear)

    page.on("websocket", listen)
    return found


def show(page: Page, address: str) -> None:
    """Open an address and wait for its first picture."""
    page.goto(address)
    page.locator(".lab:is([data-shown], [data-step])").wait_for()


def resized(page: Page) -> None:
    """Wait until a page's figures have taken its new size; those that never do are for the test to find."""
    page.locator(".lab").evaluate(
        """async (lab) => {
          const frame = () => new Promise(requestAnimationFrame);
          const out = (one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1;
          for (let i = 0; i < 2; i += 1) await frame();
          for (let i = 0; i < 300 && [...lab.querySelectorAll("figure *")].some(out); i += 1) await frame();
        }"""
    )


def recolour(page: Page, scheme: Scheme) -> None:
    """Switch a page that is open to the light or the dark scheme, and wait until its figures do."""
    page.emulate_media(color_scheme=scheme)
    page.locator(".lab").evaluate(
        """async (lab, dark) => {
          const pen = document.createElement("canvas").getContext("2d");
          const red = () => {
            pen.fillStyle = getComputedStyle(lab).getPropertyValue("--st-background-color").trim();
            return Number.parseInt(pen.fillStyle.slice(1, 3), 16);
          };
          while (red() < 128 !== dark) await new Promise(requestAnimationFrame);
        }""",
        scheme == "dark",
    )
    resized(page)


LOBBY = "/inference"  # the chapter that a browser is quickest with


def arrive(page: Page) -> None:
    """Load the chapter from which tests go on to others."""
    show(page, LOBBY)


def follow(page: Page, address: str) -> None:
    """Go to another page of the house as links do it, within the session, and wait for its first picture."""
    page.locator(".lab").evaluate_all("(all) => all.forEach((one) => { one.dataset.left = ''; })")
    page.evaluate(
        """(address) => document.dispatchEvent(
          new CustomEvent("bnlab:go", { detail: location.origin + address, cancelable: true }))""",
        address,
    )
    page.locator(".lab:not([data-left]):is([data-shown], [data-step])").wait_for()


def enter(page: Page, address: str) -> None:
    """Follow a link from another page, also where this page itself is open: nothing of it is left then."""
    if page.evaluate("location.pathname") == address.partition("?")[0]:
        follow(page, LOBBY)
    follow(page, address)
