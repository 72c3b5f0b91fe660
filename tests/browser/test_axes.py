"""The chapter "Which axes?" in a real browser: cells are painted by mouse, keys and finger."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.gestures import address, wait_for_address
from tests.browser.test_chapters import answered, open_scene, settled
from tests.browser.test_touch import Finger

pytestmark = pytest.mark.browser

ALONE, BATCH = "painted=", "painted=32-47,128-143,224-239,320-335"
GRID = "div.handle.paint"


class Fingertip(Finger):
    """A finger on a figure."""

    def down_at(self, x: float, y: float) -> None:
        """Touch a place on the screen."""
        self.x, self.y = x, y
        self._send("touchStart", {"x": x, "y": y})


def open_answered(page: Page, painted: str = "") -> None:
    open_scene(page, "axes", "paint", f"guesses=paint:2&{painted}")
    expect(page.locator(".verdict")).not_to_be_empty()


def middle(page: Page, row: int, column: int, rows: int = 16, columns: int = 24) -> tuple[float, float]:
    """Where the middle of a cell of the grid is on the screen; digits are left of it, or above."""
    grid = page.locator(GRID)
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box is not None
    size = min(box["width"] / columns, box["height"] / rows)  # of a cell, which is square
    right, bottom = box["x"] + box["width"], box["y"] + box["height"]
    return right - (columns - column - 0.5) * size, bottom - (rows - row - 0.5) * size


def stroke(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Paint with the mouse from one cell to another."""
    page.mouse.move(*middle(page, *start))
    page.mouse.down()
    page.mouse.move(*middle(page, *end), steps=12)
    page.mouse.up()


def verdict(page: Page) -> Locator:
    return page.locator(".verdict")


def test_painting_names_the_norm_and_writes_its_pytorch(page: Page) -> None:
    open_scene(page, "axes", "paint")
    page.locator(".choices button").nth(0).click()
    answered(page)
    expect(verdict(page)).to_contain_text("Batch norm: 6 sets of 64")
    page.get_by_role("button", name="erase all").click()
    expect(verdict(page)).to_contain_text("A single number: 384 sets of 1")
    stroke(page, (4, 0), (7, 23))  # image 2
    expect(verdict(page)).to_contain_text("Layer norm: 4 sets of 96")
    wait_for_address(page, "painted=96-191")
    stroke(page, (4, 12), (7, 23))  # from a painted cell on: channels 4 to 6 are erased
    expect(verdict(page)).to_contain_text("Group norm with 2 groups: 8 sets of 48")
    stroke(page, (0, 0), (0, 0))
    expect(verdict(page)).to_contain_text("Nobody has named this one: 2 sets")
    settled(page)
    page.get_by_text("In PyTorch", exact=True).click()
    expect(page.locator("[data-testid=stCode]")).to_contain_text("mine[[0, *range(96, 144)]] = True")


def test_the_framed_cell_stays_painted(page: Page) -> None:
    open_answered(page, BATCH)
    stroke(page, (5, 9), (5, 9))
    settled(page)
    expect(verdict(page)).to_contain_text("Batch norm: 6 sets of 64")


def test_keys_paint_too(page: Page) -> None:
    open_answered(page, ALONE)
    grid = page.locator(GRID)
    grid.focus()
    for key in ("ArrowUp", "ArrowLeft"):  # from the framed cell to the first one of its tile
        page.keyboard.press(key)
    for key in ("ArrowDown", "ArrowRight") * 3:
        page.keyboard.press(f"Shift+{key}")
    expect(verdict(page)).to_contain_text("Instance norm: 24 sets of 16")
    wait_for_address(page, "painted=128-143")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(verdict(page)).to_contain_text("Nobody has named this one")
    page.keyboard.press("Enter")
    expect(verdict(page)).to_contain_text("Instance norm")
    expect(grid.locator("[role=option]").first).to_contain_text(re.compile(r"image \d, channel \d, row \d"))


def test_a_pattern_is_painted_by_its_name(page: Page) -> None:
    open_answered(page, BATCH)
    names = page.locator("figure[data-figure=known] .handle.click")
    names.scroll_into_view_if_needed()
    box = names.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 4.5 / 7 * box["height"])
    expect(verdict(page)).to_contain_text("Layer norm at each position: 64 sets of 6")
    stroke(page, (4, 0), (7, 23))  # it can be painted on
    expect(verdict(page)).to_contain_text("Layer norm: 4 sets of 96")


def test_a_finger_paints_and_the_page_stays(phone: Page) -> None:
    open_answered(phone, ALONE)
    finger = Fingertip(phone, GRID)
    box = phone.locator(GRID).bounding_box()
    assert box is not None and box["width"] >= 16 * 16 and box["height"] >= 24 * 16, "cells of 16 pixels"
    phone.locator(GRID).evaluate("(node) => node.scrollIntoView({ block: 'center' })")
    x, y = middle(phone, 8, 4, rows=24, columns=16)  # channels go down here, images across
    end = middle(phone, 11, 7, rows=24, columns=16)
    before = phone.locator(GRID).bounding_box()
    finger.down_at(x, y)
    finger.move(end[0] - x, end[1] - y)
    finger.up()
    expect(verdict(phone)).to_contain_text("Instance norm: 24 sets of 16")
    assert phone.locator(GRID).bounding_box() == before


def test_groups_are_dragged_and_bars_choose_their_norm(page: Page) -> None:
    open_scene(page, "axes", "groups", "guesses=groups:1&groups=3")
    expect(verdict(page)).to_contain_text("3 groups of 2 channels")
    dot = page.locator("figure[data-figure=remaining] [role=slider]")
    dot.focus()
    page.keyboard.press("ArrowRight")
    wait_for_address(page, "groups=6")
    expect(verdict(page)).to_contain_text("Instance norm: 6 groups of 1 channel.")
    open_scene(page, "axes", "company", "guesses=company:0&mate=1")
    bars = page.locator("figure[data-figure=moved] .handle.click")
    box = bars.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 2.5 / 6 * box["width"], box["y"] + box["height"] / 3)  # no bar is here
    wait_for_address(page, "norm=group")
    bars.focus()
    page.keyboard.press("Home")
    for key in ("ArrowRight", "Enter"):
        page.keyboard.press(key)
    wait_for_address(page, "norm=layer")
    expect(page.locator("figure[data-figure=maps] .caption")).to_contain_text("layer norm")
    page.locator("button[data-control=mate]").click()
    wait_for_address(page, "mate=2")
    assert "norm=layer" in address(page)
