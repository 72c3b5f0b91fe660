"""The chapter "Placement" in a real browser: a tile is clicked, a bias dragged."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import drag_slider, wait_for_address, watch_pictures
from tests.browser.test_chapters import open_scene, settled

pytestmark = pytest.mark.browser


def test_a_click_lights_what_shares_a_mean(page: Page) -> None:
    open_scene(page, "placement", "count", "guesses=count:2")
    box = page.locator("canvas.tensor").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.72 * box["width"], box["y"] + 0.4 * box["height"])
    wait_for_address(page, r"channel=1[0-3]\b")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("2,048 outputs")


def test_a_bias_moves_nothing_behind_batch_norm_and_something_without_it(page: Page) -> None:
    open_scene(page, "placement", "bias", "guesses=bias:2")
    words = page.locator(".verdict")
    expect(words).to_contain_text("What leaves the layer changes by 0 (")
    pictures = watch_pictures(page)
    release = drag_slider(page, "shift", 0.6, 0.195, hold=True)  # the middle of the stop at −2
    expect(words).to_contain_text("by −2.")
    assert pictures() >= 3, "while the button is still down"
    expect(words).to_contain_text("What leaves the layer changes by 0 (")
    release()
    page.locator("select[data-control=arm]").select_option("none")
    wait_for_address(page, "arm=none")
    settled(page)
    expect(words).not_to_contain_text("changes by 0 (")
