"""The GANs on a ring in a real browser: they are watched while they train, and one rate is dragged."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from pages._weights_gan_parts import BEST, COMMON, STEPS
from tests.browser.gestures import wait_for_address, watch_pictures
from tests.browser.test_chapters import answered, open_scene, settled

pytestmark = pytest.mark.browser


def test_points_are_watched_while_the_gans_train_and_then_played(page: Page) -> None:
    open_scene(page, "weights", "gan", "guesses=gan:2&gan_step=0")
    words, pictures = page.locator(".verdict"), watch_pictures(page)
    slider = page.locator("input[data-control=gan_step]")
    slider.press("End")
    expect(page.locator(".chapter.growing")).to_be_visible()
    settled(page)
    assert pictures() >= 3, "more than one picture on the way to the last step"
    expect(words).to_contain_text(f"Step {STEPS}.")
    slider.press("Home")
    settled(page)
    expect(words).to_contain_text("Step 0.")
    page.locator(".playhead").get_by_role("button", name="Play").click()
    page.wait_for_function("(node) => node.valueAsNumber > 40", arg=slider.element_handle(), polling="raf")
    page.locator(".playhead").get_by_role("button", name="Pause").click()
    settled(page)
    expect(words).not_to_contain_text("Step 0.")


def test_each_gets_its_own_rate_and_one_in_common_is_moved(page: Page) -> None:
    open_scene(page, "weights", "gan")
    words = page.locator(".verdict")
    expect(words).to_contain_text(f"spectral norm (rate {COMMON:g})")
    assert page.locator("canvas.slopes").count() == 0
    page.locator(".choices button").nth(2).click()
    answered(page)
    wait_for_address(page, "rates=own")
    expect(words).to_contain_text(f"spectral norm (rate {BEST['spectral']:g})")
    expect(page.locator("canvas.slopes")).to_be_visible()
    # The slider chooses a rate in common by itself.
    page.locator("input[data-control=common_rate]").press("Home")
    wait_for_address(page, r"common_rate=0\.001")
    settled(page)
    expect(words).to_contain_text("spectral norm (rate 0.001)")
    expect(page.get_by_role("radio", name="one in common")).to_be_checked()
    expect(page.locator("canvas.slopes")).to_be_visible()
    for _ in range(4):
        page.locator("input[data-control=common_rate]").press("ArrowRight")
    settled(page)
    expect(words).to_contain_text("no norm (rate 0.1)")
    dot = page.locator("div[data-control=common_rate]")
    dot.focus()
    page.keyboard.press("ArrowRight")
    wait_for_address(page, r"common_rate=0\.3")
    settled(page)
    expect(words).to_contain_text("no norm (rate 0.3)")
    expect(words).to_contain_text("of 8 diverged")
