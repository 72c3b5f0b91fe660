"""The chapter "Learning rate and initialization" in a real browser: a rate is dragged, a cell's runs play."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from book.words import brief
from pages._learning_rate_parts import ROW, SCALES, SHORT
from tests.browser.gestures import address, drag_slider, wait_for_address, watch_pictures
from tests.browser.test_chapters import open_scene, settled

pytestmark = pytest.mark.browser


def test_curves_follow_the_learning_rate(page: Page) -> None:
    open_scene(page, "learning_rate", "rate", "guesses=rate:2&lr=1.0")
    words, of_the_answer = (
        page.locator(".verdict"),
        page.get_by_text("Measured with the settings of the answer"),
    )
    expect(words).to_contain_text("Learning rate 1:")
    expect(of_the_answer).to_be_hidden()
    pictures = watch_pictures(page)
    release = drag_slider(page, "lr", 0.7, 0.05, hold=True)
    expect(words).to_contain_text("Learning rate 0.003:")
    assert pictures() >= 2, "while the button is still down"
    release()
    wait_for_address(page, "lr=0.003")
    expect(of_the_answer).to_be_visible()


def test_a_cell_that_is_chosen_plays_its_runs(page: Page) -> None:
    open_scene(page, "learning_rate", "map", "guesses=map:1")
    words = page.locator(".verdict")
    expect(words).to_contain_text("learning rate 0.1, weights × 1:")
    page.locator("[data-control=cell]").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for_address(page, r"cell=\d")
    settled(page)
    expect(words).not_to_contain_text("learning rate 0.1, weights × 1:")
    chosen = re.search(r"cell=(\d+)", address(page))
    assert chosen
    row, column = divmod(int(chosen[1]), len(ROW))
    where = f"earning rate {brief(ROW[column])}, weights × {brief(SCALES[row])}"
    expect(words).to_contain_text(where)
    expect(page.locator("figcaption", has_text=where).first).to_be_visible()


def test_a_pointer_drawn_across_the_map_bends_the_curves_and_then_they_play(page: Page) -> None:
    open_scene(page, "learning_rate", "map", "guesses=map:1")
    words, box = page.locator(".verdict"), page.locator("canvas.none").bounding_box()
    assert box is not None

    def middle(column: int) -> tuple[float, float]:
        """The middle of a cell in the row of He's scale, between margins of 56, 14, 10 and 44."""
        across, down = (column + 0.5) / len(ROW), 1 - (SCALES.index(1.0) + 0.5) / len(SCALES)
        return box["x"] + 56 + across * (box["width"] - 70), box["y"] + 10 + down * (box["height"] - 54)

    page.mouse.move(*middle(1))
    page.mouse.down()
    for column in (2, 3):
        page.mouse.move(*middle(column), steps=3)
    expect(words).to_contain_text(f"Step {SHORT}, learning rate 0.3, weights × 1:")
    page.mouse.move(*middle(4), steps=3)
    expect(words).to_contain_text(f"Step {SHORT}, learning rate 1, weights × 1:")
    pictures = watch_pictures(page)
    page.mouse.up()
    expect(words).to_contain_text(re.compile(r"Step [1-5]?\d, learning rate 1,"))
    expect(words).to_contain_text(f"Step {SHORT}, learning rate 1, weights × 1:")
    assert pictures() >= 10, "from the first step to the last"
    wait_for_address(page, "cell=22")
