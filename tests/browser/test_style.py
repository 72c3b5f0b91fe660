"""The chapter "Style" in a real browser: what is dragged in photos and curves, and what is clicked."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.gestures import wait_for_address
from tests.browser.test_chapters import answered, open_scene, settled

pytestmark = pytest.mark.browser

PHOTOS = (-110.0, 104.0)  # what the axis of two photos shows: the second from 0 to 100
ONE = (-4.0, 104.0)  # the same of one photo


def hand(page: Page, control: str) -> Locator:
    return page.locator(f"div[data-control={control}]").first


def drag(
    page: Page, control: str, ends: tuple[float, float], start: float, end: float, height: float
) -> None:
    """Drag a dot from one place on the x axis to another; its height is a share of the plot."""
    handle = hand(page, control)
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    places = [box["x"] + box["width"] * (x - ends[0]) / (ends[1] - ends[0]) for x in (start, end)]
    y = box["y"] + height * box["height"]
    page.mouse.move(places[0], y)
    page.mouse.down()
    page.mouse.move(places[1], y, steps=8)
    page.mouse.up()


def test_a_shadow_is_dragged_across_the_photo(page: Page) -> None:
    open_scene(page, "style", "light")
    expect(page.locator("figure[data-figure=outputs]")).to_have_count(0)
    page.locator(".choices button").nth(2).click()
    answered(page)
    expect(page.locator(".verdict")).to_contain_text("The outputs differ by 0.0002")
    drag(page, "shadow", PHOTOS, 0, 50, 0.55)
    wait_for_address(page, "shadow=(49|50|51)")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("of the pagoda’s channels. The outputs differ by 0.")
    hand(page, "shadow").focus()
    page.keyboard.press("End")
    wait_for_address(page, "shadow=100")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("The outputs differ by 0.00")


def test_windows_are_dragged_and_a_filter_is_clicked(page: Page) -> None:
    open_scene(page, "style", "texture", "guesses=texture:2")
    drag(page, "second", ONE, 68, 20, 0.35)
    wait_for_address(page, "second=(19|20|21)")
    column = page.locator("figure[data-figure=strength] div[data-control=filter]").first
    box = column.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.5 / 8, box["y"] + 0.5 * box["height"])  # no dot is near
    wait_for_address(page, "filter=fine_0")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("fine, vertical |")


def test_a_style_is_mixed_by_keys_and_by_hand(page: Page) -> None:
    open_scene(page, "style", "swap")
    page.locator(".choices button").nth(2).click()
    answered(page)
    wait_for_address(page, "mix=100")
    drag(page, "mix", (-2, 102), 100, 40, 1 - 1.05 / 1.13)
    wait_for_address(page, "mix=(39|40|41)")
    hand(page, "mix").focus()
    page.keyboard.press("Home")
    wait_for_address(page, "scene=swap(?!.*mix=)")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("0% of the way")


def test_a_norm_is_chosen_by_its_bars(page: Page) -> None:
    open_scene(page, "style", "batch", "guesses=batch:2&contrast=0.4")
    expect(page.locator(".verdict")).to_contain_text("With batch norm, train(), outputs change")
    bars = page.locator("figure[data-figure=moved] div[data-control=norm]").first
    bars.scroll_into_view_if_needed()
    bars.focus()
    for key in ("ArrowRight", "Enter"):
        page.keyboard.press(key)
    wait_for_address(page, "norm=eval")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("the pagoda by 0 σ")
    box = bars.bounding_box()  # of all columns: those of instance norm have next to no height
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 6, box["y"] + box["height"] / 2)
    wait_for_address(page, "norm=instance")


def test_the_ink_is_dragged_along_the_curves(page: Page) -> None:
    open_scene(page, "style", "wrong")
    page.locator(".choices button").nth(2).click()
    answered(page)
    wait_for_address(page, "ink=0.25")
    hand(page, "ink").focus()
    page.keyboard.press("ArrowLeft")
    wait_for_address(page, "ink=0.18")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("Which digit, with 18% of the ink")
