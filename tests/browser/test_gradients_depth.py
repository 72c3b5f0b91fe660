"""The scenes about depth in a real browser: a network behind each cell, curves that follow a slider."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import drag_slider, wait_for_address, watch_pictures
from tests.browser.test_chapters import open_scene, settled

pytestmark = pytest.mark.browser


def test_a_cell_opens_its_network(page: Page) -> None:
    open_scene(page, "gradients", "map", "guesses=map:0")
    words = page.locator(".verdict")
    expect(words).to_contain_text("20 layers, weights 0.5 times")
    cell = page.locator("[data-control=cell]")
    cell.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for_address(page, r"cell=\d")
    expect(words).not_to_contain_text("20 layers, weights 0.5 times")
    page.get_by_role("radio", name="batch norm", exact=True).click()
    wait_for_address(page, "arm=batch")
    settled(page)
    expect(page.locator("figcaption", has_text="Batch norm, ")).to_be_visible()


def test_curves_follow_the_initial_weights_as_drafts_of_one_seed(page: Page) -> None:
    open_scene(page, "gradients", "depth", "guesses=depth:2&layers=5")
    words = page.locator(".verdict")
    pictures = watch_pictures(page)
    release = drag_slider(page, "init_scale", 0.5, 0.1, hold=True)
    expect(words).to_contain_text("One seed")
    assert pictures() >= 3, "while the button is still down"
    release()
    wait_for_address(page, "init_scale=0.")
    settled(page)
    expect(words).not_to_contain_text("One seed")
