"""The chapter "Regularization" in a real browser: the norm batch is dragged, a suspect clicked."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import drag_slider, wait_for_address, watch_pictures
from tests.browser.test_chapters import open_scene, settled

pytestmark = pytest.mark.browser


def test_a_smaller_batch_scatters_more_while_it_is_dragged(page: Page) -> None:
    open_scene(page, "regularization", "company", "guesses=company:3&m=64")
    words = page.locator(".verdict")
    expect(words).to_contain_text("Batches of 64")
    pictures = watch_pictures(page)
    release = drag_slider(page, "m", 0.8, 0.02, hold=True)
    expect(words).to_contain_text("Batches of 2:")
    assert pictures() >= 3, "while the button is still down"
    release()
    wait_for_address(page, r"m=2\b")


def test_a_click_on_a_suspect_draws_its_curve(page: Page) -> None:
    open_scene(page, "regularization", "why", "guesses=why:0")
    words = page.locator(".verdict")
    expect(words).to_contain_text("Noise of 4, gradient of 64: the lowest error is")
    canvas = page.locator("canvas.lowest")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    # The dot of 18% in the third row from below of six, between margins of 190, 14, 10 and 44.
    x, y = 190 + 18.3 / 45 * (box["width"] - 204), 10 + 3.4 / 6 * (box["height"] - 54)
    page.mouse.click(box["x"] + x, box["y"] + y)
    wait_for_address(page, "suspect=slow")
    settled(page)
    expect(words).to_contain_text("A tenth of the learning rate: the lowest error is")
