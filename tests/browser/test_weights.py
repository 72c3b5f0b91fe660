"""The chapter "Weight and spectral norm" in a real browser: v is turned, radii are pulled."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import wait_for_address
from tests.browser.test_chapters import answered, open_scene, settled

pytestmark = pytest.mark.browser


def pull(page: Page, control: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag the dot of a control in the plane; places are in units of the axes, for a plane `most` high."""
    handle = page.locator(f"div[data-control={control}]")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    unit = box["height"] / (2 * MOST[control])  # pixels
    places = [
        (box["x"] + box["width"] / 2 + x * unit, box["y"] + box["height"] / 2 - y * unit)
        for x, y in (start, end)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=8)
    page.mouse.up()


MOST = {"angle": 1.4, "first": 2.8, "second": 2.8, "direction": 2.5, "length": 2.5}
SIN, COS = 0.9063, 0.4226  # of 65 degrees, where the first radius lies


def test_v_is_turned_around_the_circle_and_settles_when_played(page: Page) -> None:
    open_scene(page, "weights", "circle")
    page.locator(".choices button").nth(2).click()
    answered(page)
    expect(page.locator(".verdict")).to_contain_text("W / σ v has length")
    page.get_by_role("radio", name="W", exact=True).click()
    pull(page, "angle", (-0.1736, 0.9848), (-1.0, 0.0))
    wait_for_address(page, "angle=180")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("W v has length 1.82")
    handle = page.locator("div[data-control=angle]")
    handle.focus()
    page.keyboard.press("ArrowRight")
    wait_for_address(page, r"angle=18[5]")
    page.locator("input[data-control=iteration]").press("ArrowRight")
    wait_for_address(page, "iteration=1")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("After 1 iteration v is")


def test_a_radius_of_the_ellipse_is_pulled(page: Page) -> None:
    open_scene(page, "weights", "circle", "guesses=circle:2")
    pull(page, "first", (2 * COS, 2 * SIN), (COS, SIN))
    wait_for_address(page, r"first=1(\.0)?(&|$)")
    settled(page)
    expect(page.locator("[data-figure=ellipse] canvas")).to_have_attribute(
        "aria-label", re.compile("radii 1 and 0.5")
    )


def test_v_becomes_longer_and_w_stays(page: Page) -> None:
    open_scene(page, "weights", "length", "guesses=length:2")
    pull(page, "length", (1.5 * -0.1736, 1.5 * 0.9848), (2 * -0.1736, 2 * 0.9848))
    wait_for_address(page, r"length=2(\.0)?(&|$)")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("v is 2 long, w = g v / |v| is 1 long")
    pull(page, "direction", (-0.1736, 0.9848), (1.0, 0.0))
    wait_for_address(page, r"direction=(0|360)")


def test_the_share_is_dragged_along_its_curve(page: Page) -> None:
    open_scene(page, "weights", "ratio", "guesses=ratio:2&pace=0.2")
    dot = page.locator("div[data-control=share]")
    dot.focus()
    page.keyboard.press("ArrowRight")
    wait_for_address(page, r"share=0\.81")
    settled(page)
    expect(page.locator("[data-figure=errors] figcaption, [data-figure=errors]").first).to_contain_text(
        "0.81"
    )
