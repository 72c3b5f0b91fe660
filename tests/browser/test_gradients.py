"""The chapter "Gradients" in a real browser: a factor that is dragged, terms that are switched off."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import drag_slider, wait_for_address, watch_pictures
from tests.browser.test_chapters import open_scene, settled

pytestmark = pytest.mark.browser


def test_the_curve_is_followed_while_the_factor_is_dragged(page: Page) -> None:
    open_scene(page, "gradients", "scale", "guesses=scale:2&factor=1.0")
    words = page.locator(".verdict")
    before, pictures = words.inner_text(), watch_pictures(page)
    release = drag_slider(page, "factor", 0.5, 0.95, hold=True)
    expect(words).not_to_have_text(before)
    assert pictures() >= 3, "while the button is still down"
    release()
    wait_for_address(page, r"factor=(56|100|32)")


def test_a_term_is_switched_off(page: Page) -> None:
    open_scene(page, "gradients", "xray", "guesses=xray:1")
    arrows = page.locator("canvas.arrows")
    assert "both terms" in (arrows.get_attribute("aria-label") or "")
    page.locator("[data-control=mean_term]").get_by_role("radio", name="off").click()
    wait_for_address(page, "mean_term=off")
    settled(page)
    assert "no mean term" in (arrows.get_attribute("aria-label") or "")


@pytest.mark.parametrize("width", [1440, 390])
def test_meters_and_equations_show_all_they_say(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    open_scene(page, "gradients", "xray")
    expect(page.locator(".gauge .words")).to_have_count(2)
    inside = """(nodes) => nodes.every((node) => {
      const [box, own] = [node.parentElement.getBoundingClientRect(), node.getBoundingClientRect()];
      return own.left >= box.left && own.right <= box.right;
    })"""
    assert page.locator(".gauge .words").evaluate_all(inside)
    assert page.locator(".equation > *").evaluate_all(inside)
