"""CONTRIBUTING's example of a chapter in a real browser, served from a copy of the house."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import PATIENCE
from tests.browser.gestures import wait_for_address
from tests.house import house_with_a_chapter
from tests.server import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The copy's own server."""
    running = Server(house=house_with_a_chapter(tmp_path_factory.mktemp("house")))
    yield running
    running.stop()


@pytest.fixture
def context(chromium: Browser, server: Server) -> Iterator[BrowserContext]:
    """A context of its own: the shared one asks the other server."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=server.url)
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


def inked(page: Page) -> int:
    """Count the colours of the figure: nothing drawn has one."""
    return int(
        page.locator("canvas.law").evaluate(
            """(canvas) => {
              const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              return new Set(new Uint32Array(pixels.data.buffer)).size;
            }"""
        )
    )


def test_a_chapter_is_asked_drawn_and_dragged(page: Page) -> None:
    page.goto("/")
    page.locator("nav.chapters a[href='/scatter']").first.wait_for(state="attached")
    page.goto("/scatter")
    expect(page.locator(".verdict")).to_contain_text("Means of 16 numbers scatter by 0.25.")
    expect(page.locator(".prediction h2")).to_contain_text("How far do means of 64 scatter?")
    assert inked(page) > 10
    page.locator(".choices button[data-choice='0']").click()
    expect(page.locator(".said")).to_contain_text(
        re.compile("you said “as far”.*By 0.125, half of 0.25", re.DOTALL)
    )
    expect(page.locator(".choices .right")).to_have_text("half as far")
    expect(page.locator(".verdict")).to_contain_text("Means of 64 numbers scatter by 0.125.")
    wait_for_address(page, r"guesses=four%3A0")
    page.locator(".chapter:not(.moving)").wait_for()
    handle = page.locator("[role=slider][data-control=batch_size]")
    handle.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".verdict")).to_contain_text("Means of 128 numbers scatter by 0.0884.")
    wait_for_address(page, r"batch_size=128")
