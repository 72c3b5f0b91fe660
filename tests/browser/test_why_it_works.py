"""The chapter "Why does it work?" in a real browser: weights multiplied under the finger, a vote kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import drag_slider, wait_for_address, watch_pictures
from tests.browser.test_chapters import open_scene, settled

pytestmark = pytest.mark.browser


def test_weights_are_multiplied_under_the_finger(page: Page) -> None:
    open_scene(page, "why_it_works", "length", "guesses=length:2&factor=3.0")
    words = page.locator(".verdict")
    expect(words).to_contain_text("turns the weights 0.111 times as far")
    pictures = watch_pictures(page)
    release = drag_slider(page, "factor", 0.66, 0.98, hold=True)  # to the last stop, 10
    expect(words).to_contain_text("turns the weights 0.01 times as far")
    assert pictures() >= 2, "while the button is still down"
    release()
    page.locator("[data-control=follow]").get_by_text("on", exact=True).click()
    wait_for_address(page, "follow=yes")
    settled(page)
    expect(words).to_contain_text("the same training from there on, to rounding")


def test_the_board_answers_a_vote_and_leads_to_its_scenes(page: Page) -> None:
    open_scene(page, "why_it_works", "verdict")
    expect(page.locator(".verdict")).to_contain_text("You have not voted")
    page.locator("[data-control=vote]").get_by_text("steady inputs", exact=True).click()
    expect(page.locator(".verdict")).to_contain_text("Your vote: steady inputs. It happens here")
    page.get_by_role("link", name="No: with noise its inputs move").click()
    wait_for_address(page, "scene=noise")
    wait_for_address(page, "vote=steady")


def test_a_vote_stays_while_scenes_change_and_answers_are_revealed(page: Page) -> None:
    open_scene(page, "why_it_works", "vote", "guesses=vote:2")
    page.locator("[data-control=vote]").get_by_text("steady inputs", exact=True).click()
    page.get_by_role("button", name="Next").click()
    settled(page)
    page.locator(".choices button").first.click()
    expect(page.locator(".choices .right")).to_be_visible()
    expect(page.locator(".verdict")).to_contain_text("Your vote: steady inputs; this scene tests it.")
    expect(page.locator("[data-control=vote] [aria-checked=true]")).to_have_text("steady inputs")
    wait_for_address(page, "vote=steady")
