"""The recurrent scenes of "Sequences and streams" in a real browser: a step, and a length that is dragged."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import wait_for_address
from tests.browser.test_chapters import answered, open_scene, settled

pytestmark = pytest.mark.browser


def test_a_step_of_a_padded_batch_is_chosen(page: Page) -> None:
    open_scene(page, "sequences", "padding")
    expect(page.locator(".verdict")).to_contain_text("At step 12")
    page.locator(".choices button").nth(2).click()
    answered(page)
    expect(page.locator("body")).to_contain_text("Counted:")
    slider = page.locator("input[data-control=moment]")
    for _ in range(4):
        slider.press("ArrowRight")
    wait_for_address(page, "moment=16")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("At step 16")


def test_a_length_that_training_never_had_is_chosen(page: Page) -> None:
    open_scene(page, "sequences", "longer", "guesses=longer:1")
    slider = page.locator("input[data-control=length]")
    slider.press("ArrowLeft")
    wait_for_address(page, "length=20")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("20 steps")
