"""The chapter "What it costs" in a real browser: widths that change, norms that are folded by keys."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import wait_for_address
from tests.browser.test_chapters import answered, open_scene, settled

pytestmark = pytest.mark.browser


def test_a_width_is_measured_once_the_slider_rests(page: Page) -> None:
    open_scene(page, "cost", "share", "guesses=share:2&width=16")
    expect(page.locator(".verdict")).to_contain_text("Width 16")
    page.locator("input[data-control=width]").press("ArrowRight")
    wait_for_address(page, "width=32")
    settled(page)
    said = page.locator(".verdict")
    expect(said).to_contain_text("Width 32")
    expect(said).to_contain_text("in NumPy")
    expect(said).to_contain_text("in PyTorch")


def test_times_are_taken_again(page: Page) -> None:
    open_scene(page, "cost", "table", "guesses=table:2")
    page.locator("button[data-control=again]").click()
    wait_for_address(page, "again=1")
    settled(page)
    board = page.locator("table").first
    expect(board).to_contain_text("spectral norm")
    expect(board).not_to_contain_text("…")


def test_norms_are_folded_by_their_bars(page: Page) -> None:
    open_scene(page, "cost", "fold")
    page.locator(".choices button").nth(0).click()
    answered(page)
    expect(page.locator(".verdict")).to_contain_text("3 of 3 norms are folded")
    bars = page.locator("div[data-control=folded]").first
    bars.scroll_into_view_if_needed()
    bars.focus()
    for key in ("ArrowLeft", "Enter"):
        page.keyboard.press(key)
    wait_for_address(page, "folded=2")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("2 of 3 norms are folded")
    page.get_by_text("In PyTorch", exact=True).click()
    expect(page.locator("[data-testid=stCode]")).to_contain_text("fuse_linear_bn_eval")


def test_the_width_is_dragged_along_the_counts(page: Page) -> None:
    open_scene(page, "cost", "numbers", "guesses=numbers:3")
    hand = page.locator("div[data-control=width]").first
    hand.scroll_into_view_if_needed()
    hand.focus()
    page.keyboard.press("ArrowRight")
    wait_for_address(page, "width=128")
    expect(page.locator(".verdict")).to_contain_text("Three layers of 128 units")
