"""The home page in a real browser: what follows the finger, and what the address remembers."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.gestures import address, drag_slider, wait_for_address, watch_pictures

pytestmark = pytest.mark.browser


def open_home(page: Page, query: str = "") -> None:
    page.goto("/" + query)
    expect(page.locator(".verdict")).to_contain_text("numbers with mean")


def dot_at(page: Page, value: float) -> tuple[float, float]:
    """Where a dot of the top row lies on the screen (desktop width)."""
    box = page.locator("canvas.dots").bounding_box()
    assert box is not None
    left, right = box["x"] + 150, box["x"] + box["width"] - 14
    return left + (value + 6.125) / 12.25 * (right - left), box["y"] + (box["height"] - 26) / 3 - 14


def test_one_screen_says_what_it_is_and_shows_a_picture(page: Page) -> None:
    open_home(page)
    for selector in ("h1", "canvas.dots", ".verdict", "text=Chapter one", "text=Watch networks learn"):
        box = page.locator(selector).first.bounding_box()
        assert box is not None and box["y"] + box["height"] <= 900, selector


@pytest.mark.parametrize(
    ("way", "where"), [("Chapter one", "/one-batch"), ("Watch networks learn", "/training-lab")]
)
def test_ways_lead_on(page: Page, way: str, where: str) -> None:
    open_home(page)
    page.get_by_role("button", name=way).click()
    page.wait_for_url("**" + where)


@pytest.mark.parametrize("control", ["gamma", "beta", "eps", "batch_size"])
def test_a_slider_redraws_while_it_moves(page: Page, control: str) -> None:
    open_home(page)
    before = page.locator(".verdict").inner_text()
    pictures = watch_pictures(page)
    release = drag_slider(page, control, 0.55, 0.95, hold=True)
    expect(page.locator(".verdict")).not_to_have_text(before)
    assert pictures() >= 5, "pictures came while the button was still down"
    assert address(page) == "/", "the address waits for the end of the gesture"
    release()
    wait_for_address(page, rf"\?{control}=")


def test_a_pulled_dot_stops_at_the_bound(page: Page) -> None:
    open_home(page)
    expect(page.locator(".verdict")).not_to_contain_text("farthest")
    x, y = dot_at(page, -1.15)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 30):
        page.mouse.move(x + 30 * step, y)
    expect(page.locator(".verdict")).to_contain_text("The farthest x̂ is 5.57 away from 0.")
    page.mouse.up()
    wait_for_address(page, "moved=")


def test_a_link_restores_the_picture(page: Page, context: BrowserContext) -> None:
    open_home(page, "?batch_size=7&gamma=-1.5&beta=0.25&eps=0.01&moved=3:2.75")
    words = page.locator(".verdict").inner_text()
    assert words.startswith("7 numbers")
    picture = page.locator("canvas.dots").evaluate("(canvas) => canvas.toDataURL()")
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator(".verdict")).to_have_text(words)
    assert other.locator("canvas.dots").evaluate("(canvas) => canvas.toDataURL()") == picture


def test_the_keyboard_moves_a_dot(page: Page) -> None:
    open_home(page)
    canvas = page.locator("[role=slider][data-control=moved]")
    canvas.focus()
    before = float(canvas.get_attribute("aria-valuenow") or "nan")
    page.keyboard.press("Shift+ArrowRight")
    expect(canvas).not_to_have_attribute("aria-valuenow", f"{before:g}")
    assert float(canvas.get_attribute("aria-valuenow") or "nan") == pytest.approx(before + 1, abs=1e-3)
    number = int(re.search(r"dot (\d+) of 32", canvas.get_attribute("aria-valuetext") or "").group(1))
    page.keyboard.press("PageUp")
    expect(canvas).to_have_attribute("aria-valuetext", re.compile(f"dot {number % 32 + 1} of 32"))


def test_touch_drags_a_dot(chromium, server) -> None:
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, base_url=server.url
    )
    page = context.new_page()
    open_home(page)
    canvas = page.locator("canvas.dots")
    handle = page.locator("[role=slider][data-control=moved]")
    before = handle.get_attribute("aria-valuenow")
    box = canvas.bounding_box()
    assert box is not None and box["width"] <= 390
    start = {
        "x": box["x"] + 30 + 4.975 / 12.25 * (box["width"] - 44),
        "y": box["y"] + (box["height"] - 26) / 3 - 14,
    }
    session = context.new_cdp_session(page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
    for step in range(1, 8):
        at = {"x": start["x"] + 20 * step, "y": start["y"]}
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
    expect(handle).not_to_have_attribute("aria-valuenow", before or "")
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_wider_than_the_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    open_home(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_broken_address_is_mended_field_by_field(page: Page) -> None:
    open_home(page, "?gamma=abc&eps=-1&batch_size=16&moved=x&<b>=1")
    expect(page.locator(".verdict")).to_contain_text("16 numbers")
    warning = page.get_by_text("Part of this address could not be used")
    for words in (
        "gamma=abc is not a number",
        "eps=-1 is outside 0 to 1",
        "moved=x must be pairs",
        "<b> is no setting",
    ):
        expect(warning.locator("..")).to_contain_text(words)
