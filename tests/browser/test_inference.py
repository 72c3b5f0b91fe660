"""The chapter "Training and inference" in a real browser: curves that grow, a switch, a clinic."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import drag_slider, wait_for_address, watch_pictures
from tests.browser.test_chapters import answered, open_scene, settled

pytestmark = pytest.mark.browser


def alt(page: Page, figure: str) -> str:
    return page.locator(f"canvas.{figure}").get_attribute("aria-label") or ""


def test_the_curves_grow_while_the_recording_is_made(page: Page) -> None:
    open_scene(page, "inference", "free", "lr=0.2&momentum=0.95&step=1")
    pictures = watch_pictures(page)
    slider = page.locator("input[data-control=step]")
    slider.press("End")
    expect(page.locator(".chapter.growing")).to_be_visible()
    settled(page)
    assert pictures() >= 3, "more than one picture on the way to step 400"
    slider.press("Tab")
    wait_for_address(page, "step=400")


def test_the_playhead_plays_and_pauses(page: Page) -> None:
    open_scene(page, "inference", "free", "step=10")
    page.locator(".playhead").get_by_role("button", name="Play").click()
    slider = page.locator("input[data-control=step]")
    page.wait_for_function("(node) => node.valueAsNumber > 20", arg=slider.element_handle(), polling="raf")
    page.locator(".playhead").get_by_role("button", name="Pause").click()
    now = int(slider.input_value())
    wait_for_address(page, f"step={now}")
    page.get_by_role("button", name="One step back").click()
    wait_for_address(page, f"step={now - 1}")


def test_one_switch_for_the_same_network(page: Page) -> None:
    open_scene(page, "inference", "stale", "guesses=stale:2&momentum=0.999&mode=train")
    words = page.locator(".verdict")
    before = words.inner_text()
    page.get_by_role("radio", name="eval()").click()
    expect(words).not_to_have_text(before)
    wait_for_address(page, "mode=eval")


def test_momentum_bends_what_is_drawn_while_it_is_dragged(page: Page) -> None:
    open_scene(page, "inference", "lag", "guesses=lag:1&lr=0.0&step=200")
    before = page.locator(".verdict").inner_text()
    pictures = watch_pictures(page)
    release = drag_slider(page, "momentum", 0.3, 0.98, hold=True)
    expect(page.locator(".verdict")).not_to_have_text(before)
    assert pictures() >= 3, "while the button is still down"
    release()
    wait_for_address(page, "momentum=0.99")
    expect(page.locator("[data-control=momentum]").locator("..")).to_contain_text("PyTorch: 0.0")


def test_other_companions_change_answers(page: Page) -> None:
    open_scene(page, "inference", "roulette", "guesses=roulette:2&batch_size=4")
    before = page.locator("figure canvas").first.evaluate("(canvas) => canvas.toDataURL()")
    page.locator("[data-control=draw]").click()
    wait_for_address(page, "draw=1")
    settled(page)
    assert page.locator("figure canvas").first.evaluate("(canvas) => canvas.toDataURL()") != before


def test_a_remedy_is_chosen_by_its_cell(page: Page) -> None:
    open_scene(page, "inference", "clinic")
    page.locator(".choices button").nth(2).click()
    answered(page)
    chosen = page.locator("[data-control=cell]")
    chosen.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for_address(page, r"cell=\d")
    settled(page)
    page.get_by_text("In PyTorch", exact=True).click()
    expect(page.locator("[data-testid=stCode]")).to_contain_text("torch")


def test_the_way_into_the_lab_opens_the_experiment(page: Page) -> None:
    open_scene(page, "inference", "free")
    page.get_by_text("Experiments", exact=True).click()
    page.get_by_role("link", name="E13:").click()
    page.wait_for_url("**/training-lab?*")
    expect(page.locator(".experiment")).to_contain_text("E13")
    page.go_back()
    expect(page.locator(".scenes [aria-current]")).to_have_attribute("data-scene", "free")
    assert "lanes" not in page.url
