"""The home page in a real browser: what follows the finger, and what the address remembers."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.gestures import address, drag_slider, wait_for_address, watch_pictures
from tests.browser.opened import Opened, enter, resized
from tests.questions import ELEVEN

pytestmark = pytest.mark.browser


def open_home(page: Page, query: str = "") -> None:
    page.goto("/" + query)
    expect(page.locator(".verdict")).to_contain_text("numbers with mean")


# All is as it is at first: a bare address would bring back what the session had there before.
PLAIN = "/?gamma=1.0"


def enter_home(page: Page, address: str = PLAIN) -> None:
    enter(page, address)
    expect(page.locator(".verdict")).to_contain_text("numbers with mean")


def dot_at(page: Page, value: float) -> tuple[float, float]:
    """Where a dot of the top row lies on the screen (desktop width)."""
    box = page.locator("canvas.dots").bounding_box()
    assert box is not None
    left, right = box["x"] + 150, box["x"] + box["width"] - 14
    return left + (value + 6.125) / 12.25 * (right - left), box["y"] + (box["height"] - 26) / 3 - 14


@pytest.mark.parametrize("opened", ["home"], indirect=True)
def test_one_screen_says_what_it_is_shows_a_picture_and_leads_to_the_contents(opened: Opened) -> None:
    page = opened.page
    way = page.get_by_role("button", name=re.compile(r"\d+ questions in \d+ chapters and a lab.* Contents"))
    begin = page.get_by_role("link", name="Begin: What happens to one batch?")
    title = page.locator(".contents h2")
    for width, height in ((1440, 900), (1280, 720)):
        page.set_viewport_size({"width": width, "height": height})
        page.locator("main").evaluate("(main) => main.scrollTo(0, 0)")
        for part in (page.locator("h1"), page.locator("canvas.dots"), page.locator(".verdict"), way, begin):
            box = part.bounding_box()
            assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= height, (part, height)
        way.click()
        expect(title).to_be_in_viewport()
        expect(title).to_be_focused()


# ---- the contents ----------------------------------------------------------------------------------------


def contents(page: Page) -> Locator:
    expect(page.locator(".contents .entry").first).to_be_visible()
    return page.locator(".contents")


def back_home(page: Page) -> None:
    """Follow the link to the first page, in the row of chapters."""
    row = page.get_by_role("navigation", name="Chapters").locator(".row")
    row.get_by_role("link", name="BatchNorm Lab").click()


def asks(page: Page, number: int = -1) -> Locator:
    """Wait for a question that is open; return one of its answers."""
    answers = page.locator(".prediction.open .choices button:enabled")
    expect(answers.first).to_be_visible()
    return answers.nth(number)


def test_each_of_eleven_questions_is_two_clicks_from_an_answer_of_ones_own(page: Page) -> None:
    """A click on the question here, and a click on an answer there."""
    open_home(page)
    page.evaluate("window.kept = true")
    for name, pattern in ELEVEN.items():
        link = contents(page).locator(".asked a").filter(has_text=re.compile(pattern)).first
        link.click()
        asks(page)
        assert re.search(r"\?(.*&)?(scene|preset)=\w", page.url), name
        page.go_back()
        expect(page.locator("h1")).to_contain_text("What does batch normalization do")
    assert page.evaluate("window.kept"), "the page was not loaded anew"


def test_what_was_answered_is_remembered_in_this_browser_until_it_is_forgotten(page: Page) -> None:
    page.goto("/one-batch?scene=undo&guesses=undo:0,tug:1")
    expect(page.locator(".choices .right")).to_be_visible()
    page.goto("/")
    made = contents(page).locator("[data-page=one_batch] .made")
    expect(made).to_have_text("6 predictions")
    line, undo = page.locator(".done-so-far"), contents(page).get_by_role("link", name="γ and β undo")
    expect(line).to_be_hidden()  # a link's answers are its sender's
    undo.click()
    asks(page, 0).click()
    expect(page.locator(".choices .right")).to_be_visible()
    back_home(page)
    for _ in ("at once", "after a reload"):
        expect(made).to_have_text("1 of 6 predictions made")
        expect(undo.locator("..").get_by_role("img", name="answered")).to_be_visible()
        expect(contents(page).get_by_role("img", name="answered")).to_have_count(1)
        expect(line).to_contain_text(re.compile(r"You have made 1 of \d+ predictions, 1 of them right"))
        page.reload()
    contents(page).get_by_role("link", name="Go on: Tug a dot").click()
    asks(page)
    tab = page.locator(".scenes [data-scene=undo]")
    expect(tab).to_have_attribute("aria-label", "Undo it, answered before")
    assert "answered" not in (page.locator(".scenes [data-scene=tug]").get_attribute("aria-label") or "")
    other = page.context.new_page()
    other.goto("/")
    contents(other).get_by_role("button", name="Forget the predictions").click()
    other.get_by_role("button", name="No, keep them").click()
    expect(other.locator(".done-so-far")).to_contain_text("You have made 1 of")
    contents(other).get_by_role("button", name="Forget the predictions").click()
    other.get_by_role("button", name="Yes, forget all").click()
    expect(other.locator(".done-so-far [role=status]")).to_have_text("Your predictions are forgotten.")
    expect(other.locator(".done-so-far button:visible")).to_have_count(0)
    expect(tab).to_have_attribute("aria-label", "Undo it")  # in the first tab, too
    other.reload()
    expect(contents(other).locator("[data-page=one_batch] .made")).to_have_text("6 predictions")
    expect(other.locator(".done-so-far")).to_be_hidden()
    other.close()


def test_the_labs_answers_count_and_small_figures_follow_once_a_finger_rests(page: Page) -> None:
    open_home(page)
    small = contents(page).locator("[data-page=one_batch] canvas")
    expect(small).to_have_attribute("aria-label", re.compile(r"A batch before and after\. .*32 numbers"))
    before = small.evaluate("(canvas) => canvas.toDataURL()")
    release = drag_slider(page, "batch_size", 0.4, 0.1, hold=True)
    expect(page.locator(".verdict")).not_to_contain_text("32 numbers")
    assert small.evaluate("(canvas) => canvas.toDataURL()") == before
    release()
    expect(small).not_to_have_attribute("aria-label", re.compile("32 numbers"))
    assert small.evaluate("(canvas) => canvas.toDataURL()") != before
    contents(page).get_by_role("link", name="Does it regularize?").click()
    asks(page).click()
    # Back would lead to the question before its answer if the address had already taken the answer in.
    back_home(page)
    entry = contents(page).locator("[data-page=training_lab]")
    expect(entry.locator(".made")).to_contain_text("1 of ")
    expect(entry.get_by_role("img", name="answered")).to_have_count(1)


def test_a_slider_redraws_while_it_moves(inside: Page) -> None:
    enter_home(inside)
    for control in ("gamma", "beta", "eps", "batch_size"):
        before, where = inside.locator(".verdict").inner_text(), address(inside)
        pictures = watch_pictures(inside)
        release = drag_slider(inside, control, 0.55, 0.95, hold=True)
        expect(inside.locator(".verdict")).not_to_have_text(before)
        assert pictures() >= 5, f"pictures came while the button was still down: {control}"
        assert address(inside) == where, "the address waits for the end of the gesture"
        release()
        inside.wait_for_function("(where) => !location.href.endsWith(where)", arg=where)
        wait_for_address(inside, rf"[?&]{control}=")


def test_a_pulled_dot_stops_at_the_bound(inside: Page) -> None:
    enter_home(inside)
    expect(inside.locator(".verdict")).not_to_contain_text("farthest")
    x, y = dot_at(inside, -1.15)
    inside.mouse.move(x, y)
    inside.mouse.down()
    for step in range(1, 30):
        inside.mouse.move(x + 30 * step, y)
    expect(inside.locator(".verdict")).to_contain_text("The farthest x̂ is 5.57 away from 0.")
    inside.mouse.up()
    wait_for_address(inside, "moved=")


def test_a_link_restores_the_picture(inside: Page, context: BrowserContext) -> None:
    enter_home(inside, "/?batch_size=7&gamma=-1.5&beta=0.25&eps=0.01&moved=3:2.75")
    words = inside.locator(".verdict").inner_text()
    assert words.startswith("7 numbers")
    picture = inside.locator("canvas.dots").evaluate("(canvas) => canvas.toDataURL()")
    other = context.new_page()
    other.goto(inside.url)
    expect(other.locator(".verdict")).to_have_text(words)
    assert other.locator("canvas.dots").evaluate("(canvas) => canvas.toDataURL()") == picture


def test_the_keyboard_moves_a_dot(inside: Page) -> None:
    enter_home(inside)
    canvas = inside.locator("[role=slider][data-control=moved]")
    canvas.focus()
    before = float(canvas.get_attribute("aria-valuenow") or "nan")
    inside.keyboard.press("Shift+ArrowRight")
    expect(canvas).not_to_have_attribute("aria-valuenow", f"{before:g}")
    assert float(canvas.get_attribute("aria-valuenow") or "nan") == pytest.approx(before + 1, abs=1e-3)
    number = int(re.search(r"dot (\d+) of 32", canvas.get_attribute("aria-valuetext") or "").group(1))
    inside.keyboard.press("PageUp")
    expect(canvas).to_have_attribute("aria-valuetext", re.compile(f"dot {number % 32 + 1} of 32"))


def test_touch_drags_a_dot(phone: Page) -> None:
    phone.goto("/")
    expect(phone.locator(".verdict")).to_contain_text("numbers with mean")
    canvas = phone.locator("canvas.dots")
    handle = phone.locator("[role=slider][data-control=moved]")
    before = handle.get_attribute("aria-valuenow")
    box = canvas.bounding_box()
    assert box is not None and box["width"] <= 390
    start = {
        "x": box["x"] + 30 + 4.975 / 12.25 * (box["width"] - 44),
        "y": box["y"] + (box["height"] - 26) / 3 - 14,
    }
    session = phone.context.new_cdp_session(phone)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
    for step in range(1, 8):
        at = {"x": start["x"] + 20 * step, "y": start["y"]}
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
    expect(handle).not_to_have_attribute("aria-valuenow", before or "")
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.parametrize("opened", ["home"], indirect=True)
def test_nothing_is_wider_than_the_screen(opened: Opened) -> None:
    for width in (1440, 390):
        opened.page.set_viewport_size({"width": width, "height": 844})
        resized(opened.page)
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_broken_address_is_mended_field_by_field(inside: Page) -> None:
    enter_home(inside, "/?gamma=abc&eps=-1&batch_size=16&moved=x&<b>=1")
    expect(inside.locator(".verdict")).to_contain_text("16 numbers")
    warning = inside.get_by_text("Part of this address could not be used")
    for words in (
        "gamma=abc is not a number",
        "eps=-1 is outside 0 to 1",
        "moved=x must be pairs",
        "<b> is no setting",
    ):
        expect(warning.locator("..")).to_contain_text(words)
