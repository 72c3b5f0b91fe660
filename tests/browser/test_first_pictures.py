"""What pages ask for when they open, in a real browser: what the edition without a server has recorded."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, WebSocket, expect

from book.registry import pages
from static.asks import groups
from static.first import opened, queries, unpacked
from tests.browser.gestures import at_rest
from tests.dist import built

pytestmark = pytest.mark.browser


@pytest.fixture
def asked(page: Page) -> list[dict[str, Any]]:
    """The views and races that a page asks for, without their numbers."""
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


def recorded(name: str) -> list[dict[str, Any]]:
    page = pages()[name]
    openings = {urlencode(query): opened(page, query)["opening"] for query in queries(page)}
    return [ask.message for group in groups(page, openings) for ask in group]


def show(page: Page, address: str) -> None:
    page.goto(address)
    page.locator(".lab:is([data-shown], [data-step])").wait_for()


@pytest.mark.parametrize("name", pages())
def test_a_page_opens_with_what_is_recorded(name: str, page: Page, asked: list[dict[str, Any]]) -> None:
    known = recorded(name)
    *_, last = queries(pages()[name])
    for width, query in ((1440, ""), (390, urlencode(last))):
        page.set_viewport_size({"width": width, "height": 844})
        asked.clear()
        show(page, f"/{pages()[name].path}?{query}")
        assert asked and all(message in known for message in asked), asked
        assert asked[0]["narrow"] == (width == 390)


@pytest.mark.parametrize("name", ["one_batch", "inference"])
def test_an_answer_asks_for_what_is_recorded(name: str, page: Page, asked: list[dict[str, Any]]) -> None:
    version = json.loads((built() / "build.json").read_text())["version"]
    _, replies, _ = unpacked((built() / version / "first" / f"{name}.bin").read_bytes())
    show(page, f"/{pages()[name].path}")  # what was measured comes with the picture, or after it
    page.locator(".prediction.open .choices button:enabled").first.wait_for()
    asked.clear()
    page.keyboard.press("2")
    expect(page.locator(".choices .right")).to_be_visible()
    at_rest(page)
    known = [reply["ask"] for reply in replies]
    first, last = asked[0], asked[-1]  # on its way to the reveal a picture asks for what lies between them
    assert first in known and last in known, asked


@pytest.mark.parametrize("answer", ["1", "2", "3", "Skip the question"])
def test_an_answered_race_begins_as_recorded(answer: str, page: Page, asked: list[dict[str, Any]]) -> None:
    show(page, "/training-lab")
    asked.clear()
    if answer.isdigit():
        page.keyboard.press(answer)
    else:
        page.get_by_role("button", name=answer).click()
    page.locator(".lab:not(.open)[data-step]").wait_for()
    (message,) = asked
    assert message in recorded("training_lab")
