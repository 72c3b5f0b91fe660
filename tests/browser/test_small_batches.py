"""The chapter "Small batches" in a real browser: a size that is dragged, a fix that is clicked."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import wait_for_address
from tests.browser.test_chapters import answered, open_scene, settled

pytestmark = pytest.mark.browser


def test_the_norm_batch_is_moved_along_the_law(page: Page) -> None:
    open_scene(page, "small_batches", "spread", "guesses=spread:2&m=8")
    expect(page.locator(".verdict")).to_contain_text("Batches of 8")
    slider = page.locator("input[data-control=m]")
    slider.press("ArrowRight")
    wait_for_address(page, "m=16")
    expect(page.locator(".verdict")).to_contain_text("Batches of 16")


def test_a_fix_is_chosen_by_its_row(page: Page) -> None:
    open_scene(page, "small_batches", "mend")
    page.locator(".choices button").nth(0).click()
    answered(page)
    rows = page.locator("div[data-control=fix]")
    rows.scroll_into_view_if_needed()
    box = rows.bounding_box()
    assert box is not None
    # Rows from the top: SyncBatchNorm is the 7th of 10; at its far end, then on its neighbour's name.
    height = box["height"] / 10
    page.mouse.click(box["x"] + box["width"] - 5, box["y"] + 6.5 * height)
    wait_for_address(page, "fix=sync")
    page.mouse.click(box["x"] - 40, box["y"] + 7.5 * height)
    wait_for_address(page, "fix=group")
    rows.focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    wait_for_address(page, "fix=none")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("No norm:")
    page.get_by_text("In PyTorch", exact=True).click()
    expect(page.locator("[data-testid=stCode]")).to_contain_text("kaiming_normal_")
