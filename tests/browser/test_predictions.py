"""Each chapter's questions in a real browser: answered, measured, played and remembered."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.gestures import wait_for_address, watch_pictures
from tests.browser.test_chapters import (
    ASKED,
    CHAPTERS,
    FIRST,
    SCENES,
    answered,
    check_words,
    explore,
    fits_a_phone,
    holds_still,
    open_scene,
    show,
)

pytestmark = pytest.mark.browser


def pictures_of(page: Page) -> list[str]:
    return page.locator("figure canvas").evaluate_all("all => all.map((one) => one.toDataURL())")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_is_walked(page: Page, context: BrowserContext, chapter: str) -> None:
    """Questions are answered, figures opened in Plotly, sliders of the last scene moved; then on a phone."""
    scenes = [scene for of, scene in SCENES if of == chapter] or [""]
    open_scene(page, chapter)
    for scene in scenes:
        show(page, scene)
        if (chapter, scene) in ASKED:
            said, verdict = predict(page, chapter, scene)
            if (chapter, scene) in FIRST:
                same_elsewhere(page, context, said, verdict)
        check_words(page)
        shown = page.locator("figure[data-figure]").count()
        assert shown, scene
        for number in range(shown):
            explore(page, number)
    if scenes[-1]:
        for step in page.locator(".playhead input[type=range]:visible").all():
            step.press("Home")  # short runs do
        holds_still(page)
    fits_a_phone(page, scenes)


def same_elsewhere(page: Page, context: BrowserContext, said: str, verdict: str) -> None:
    """Check that another window that opens the address shows the same."""
    other = context.new_page()
    other.goto(page.url)
    answered(other)
    expect(other.locator(".said")).to_have_text(re.sub(r"\s+", " ", said), use_inner_text=True)
    expect(other.locator(".verdict")).to_have_text(re.sub(r"\s+", " ", verdict), use_inner_text=True)
    assert pictures_of(other) == pictures_of(page)
    other.close()


def predict(page: Page, chapter: str, scene: str) -> tuple[str, str]:
    """Give the second answer, and return what is said of it and of the picture then."""
    check_words(page)
    assert page.locator(".choices .right").count() == 0
    assert page.locator(".controls").evaluate("(set) => set.disabled"), "nothing can be tried out before"
    expect(page.locator(".ending")).to_be_hidden()
    pictures, first = watch_pictures(page), pictures_of(page)
    page.locator(".choices button").nth(1).click()
    answered(page)
    assert pictures_of(page) != first, scene
    if not CHAPTERS[chapter].has_waits:
        assert pictures() >= 5, "settings move to those of the reveal"
    expect(page.locator(".choices .chosen")).to_have_attribute("data-choice", "1")
    expect(page.locator(".said .but")).to_be_visible()
    expect(page.get_by_text("Measured with the settings of the answer")).to_be_hidden()
    last = CHAPTERS[chapter].scenes[-1].name == scene
    expect(page.locator(".ending")).to_be_visible(visible=last)
    wait_for_address(page, rf"guesses=\S*{scene}%3A1")
    controls = {control.name: control for control in CHAPTERS[chapter].controls}
    (asked,) = (one for one in CHAPTERS[chapter].scenes if one.name == scene)
    for name, value in asked.reveal.items():  # the address follows what was played
        if value != controls[name].default:
            plain = isinstance(value, (int, float)) or value in controls[name].choices
            written = controls[name].write(controls[name].parse(value)) if plain else ""
            wait_for_address(page, rf"[?&]{name}={re.escape(written)}")
    said, verdict = page.locator(".said").inner_text(), page.locator(".verdict").inner_text()
    assert "nan" not in said and "{" not in said and len(said) > 40, scene
    return said, verdict
