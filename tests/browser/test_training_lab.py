"""The training lab in a real browser: play, scrub, drag, links, and a server that goes away."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.gestures import (
    address,
    drag_slider,
    pictures_change,
    wait_for_address,
    watch_pictures,
)

pytestmark = pytest.mark.browser

# Small networks: these tests are about the page, and the machine may be slow.
SMALL = "/training-lab?depth=2&width=16&replicas=2"


def open_lab(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator(".lab[data-step]")).to_be_visible()


def at_step(page: Page, step: int) -> None:
    expect(page.locator(".lab")).to_have_attribute("data-step", str(step))
    expect(page.locator(".verdict")).to_contain_text(f"Step {step}, validation accuracy")


def canvases(page: Page) -> list[str]:
    """Every picture, to the last pixel."""
    return [
        canvas.evaluate("(canvas) => canvas.toDataURL()") for canvas in page.locator("figure canvas").all()
    ]


def layers(page: Page) -> list[str]:
    """Histograms and gradient flow: the present step alone (curves faintly show later ones, too)."""
    return canvases(page)[2:]


def test_it_plays_by_itself_and_pauses(page: Page) -> None:
    open_lab(page, SMALL)
    pictures = watch_pictures(page)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.wait_for_timeout(1500)
    assert pictures() >= 15, "a running lab is redrawn at least ten times a second, however slow the machine"
    page.get_by_role("button", name="Pause").click()
    wait_for_address(page, r"step=\d+")
    expect(page.locator(".verdict")).to_contain_text("validation accuracy")


def test_one_step_back_and_reset(page: Page) -> None:
    open_lab(page, SMALL + "&step=7")
    at_step(page, 7)
    first = layers(page)
    page.get_by_role("button", name="One step", exact=True).click()
    at_step(page, 8)
    assert layers(page) != first
    page.get_by_role("button", name="One step back").click()
    at_step(page, 7)
    assert layers(page) == first
    page.get_by_role("button", name="Reset to the identical initial weights").click()
    at_step(page, 0)
    wait_for_address(page, r"step=0")


def test_scrubbing_redraws_while_it_moves_and_recalls_the_past(page: Page) -> None:
    open_lab(page, SMALL + "&step=150")
    at_step(page, 150)
    before = layers(page)
    pictures = watch_pictures(page)
    release = drag_slider(page, "step", 0.75, 0.2, hold=True)
    assert pictures() >= 10
    release()
    expect(page.locator(".lab")).not_to_have_attribute("data-step", "150")
    page.locator("input.scrub").focus()
    page.keyboard.press("End")
    at_step(page, 200)
    page.locator("input.scrub").evaluate(
        """(input) => {
          input.value = 150;
          for (const kind of ["input", "change"]) input.dispatchEvent(new Event(kind));
        }"""
    )
    at_step(page, 150)
    page.mouse.move(0, 0)
    assert layers(page) == before, "histograms and gradient flow of step 150 again"


@pytest.mark.parametrize("control", ["lr", "batch_size", "eps", "gamma", "beta"])
def test_a_dragged_setting_bends_the_curves_before_it_is_released(page: Page, control: str) -> None:
    open_lab(page, SMALL + "&step=20")
    at_step(page, 20)
    before = canvases(page)
    query = address(page)
    page.locator(f"input[data-control={control}]").scroll_into_view_if_needed()
    release = drag_slider(page, control, 0.5, 0.97, hold=True, moves=40)
    pictures_change(page, before)
    assert address(page) == query
    release()
    wait_for_address(page, f"{control}=")
    at_step(page, 20)


def test_a_finger_that_rests_gets_the_race_in_full(page: Page) -> None:
    open_lab(page, SMALL + "&step=27")
    at_step(page, 27)
    before = canvases(page)
    release = drag_slider(page, "lr", 0.5, 0.9, hold=True)
    pictures_change(page, before)
    expect(page.locator(".verdict")).not_to_have_class(re.compile("old"))
    at_step(page, 27)
    release()


def test_a_link_opened_elsewhere_shows_the_same_to_the_last_digit(
    page: Page, context: BrowserContext
) -> None:
    open_lab(
        page,
        "/training-lab?lanes=batch,layer,rms&depth=3&width=24&activation=tanh&lr=0.123&replicas=3&seed=17"
        "&eps=0.0001&gamma=0.5&beta=0.1&momentum=0.95&placement=after&init_scale=0.8&batch_size=12"
        "&histogram=preactivation&step=42",
    )
    at_step(page, 42)
    words, pictures = page.locator(".verdict").inner_text(), canvases(page)
    other = context.new_page()
    open_lab(other, page.url)
    at_step(other, 42)
    assert other.locator(".verdict").inner_text() == words
    assert canvases(other) == pictures
    other.reload()
    at_step(other, 42)
    assert canvases(other) == pictures


def test_back_and_forward_follow_the_address(page: Page) -> None:
    open_lab(page, SMALL + "&step=5")
    at_step(page, 5)
    page.get_by_role("checkbox", name="layer norm").check()
    wait_for_address(page, "layer")
    expect(page.locator(".verdict")).to_contain_text("layer norm")
    page.go_back()
    expect(page.locator(".verdict")).not_to_contain_text("layer norm")
    expect(page.get_by_role("checkbox", name="layer norm")).not_to_be_checked()
    page.go_forward()
    expect(page.locator(".verdict")).to_contain_text("layer norm")


def test_settings_survive_a_visit_to_another_page(page: Page) -> None:
    open_lab(page, SMALL + "&step=5")
    at_step(page, 5)
    page.get_by_role("checkbox", name="RMS norm").check()
    wait_for_address(page, "rms")
    page.get_by_role("link", name="BatchNorm Lab").first.click()
    expect(page.locator("canvas.dots")).to_be_visible()
    page.get_by_role("link", name="Training lab").first.click()
    expect(page.locator(".verdict")).to_contain_text("RMS norm")
    at_step(page, 5)


def test_lanes_are_two_to_four(page: Page) -> None:
    open_lab(page, SMALL + "&step=3&lanes=none,batch")
    assert page.get_by_role("checkbox", name="no norm").is_disabled()
    for lane in ("layer norm", "group norm"):
        page.get_by_role("checkbox", name=lane).check()
    expect(page.get_by_role("checkbox", name="RMS norm")).to_be_disabled()
    expect(page.get_by_role("checkbox", name="no norm")).to_be_enabled()


def test_a_broken_address_is_mended_field_by_field(page: Page) -> None:
    open_lab(
        page,
        "/training-lab?depth=2&width=16&replicas=2&step=1&lanes=foo&lr=1e99&activation=%3Cimg%3E&colour=blue",
    )
    at_step(page, 1)
    warning = page.get_by_text("Part of this address could not be used").locator("..")
    for words in (
        "lanes=foo must be norms out of", "lr=1e99 is outside 0.0001 to 10", "activation=<img> is not one of",
        "colour is no setting",
    ):  # fmt: skip
        expect(warning).to_contain_text(words)
    expect(page.get_by_text("Traceback")).to_have_count(0)


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_wider_than_the_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    open_lab(page, SMALL + "&step=3")
    at_step(page, 3)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for canvas in page.locator("figure canvas").all():
        box = canvas.bounding_box()
        assert box is not None and box["width"] > 250 and box["x"] + box["width"] <= width


def test_reduced_motion_waits_for_the_reader(chromium, server) -> None:
    context = chromium.new_context(reduced_motion="reduce", base_url=server.url)
    page = context.new_page()
    open_lab(page, SMALL)
    at_step(page, 0)
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    context.close()


def test_streamlit_reruns_do_not_interrupt_the_picture(page: Page) -> None:
    open_lab(page, SMALL)
    pictures = watch_pictures(page)
    page.get_by_role("checkbox", name="layer norm").check()  # a rerun of the page's script
    wait_for_address(page, "layer")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    before = pictures()
    page.wait_for_timeout(1000)
    assert pictures() > before, "it goes on playing, in the same canvases"


def test_the_picture_comes_back_after_the_server_restarts(page: Page, server) -> None:
    open_lab(page, SMALL + "&step=30")
    at_step(page, 30)
    before = layers(page)
    server.stop()
    expect(page.get_by_text("The server is away")).to_be_visible()
    server.start()
    expect(page.get_by_text("The server is away")).not_to_be_visible(timeout=30_000)
    page.get_by_role("button", name="One step", exact=True).click()
    at_step(page, 31)
    page.get_by_role("button", name="One step back").click()
    at_step(page, 30)
    assert layers(page) == before
