"""The streams of "Sequences and streams" in a real browser: a batch grows, a stream is played."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import wait_for_address
from tests.browser.test_chapters import answered, open_scene, settled

pytestmark = pytest.mark.browser


def test_a_batch_of_one_becomes_a_batch_of_two(page: Page) -> None:
    open_scene(page, "sequences", "sample")
    page.locator(".choices button").nth(2).click()
    answered(page)
    expect(page.locator(".verdict")).to_contain_text("Expected more than 1 value per channel")
    handle = page.locator("div[data-control=images]")
    handle.scroll_into_view_if_needed()
    handle.focus()
    page.keyboard.press("ArrowRight")
    wait_for_address(page, "images=2")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("2 digits, 1 × 1 positions")
    page.locator("input[data-control=contrast]").press("ArrowRight")
    wait_for_address(page, "contrast=1.3")


def test_the_stream_goes_on_sample_by_sample(page: Page) -> None:
    open_scene(page, "sequences", "stream", "guesses=stream:2&seen=100")
    playhead = page.locator("input[data-control=seen]")
    playhead.press("ArrowRight")
    wait_for_address(page, "seen=101")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("Learning rate 0.01")
    page.locator("input[data-control=pace]").press("ArrowRight")
    wait_for_address(page, "pace=0.03")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("Learning rate 0.03")
