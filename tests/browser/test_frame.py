"""The frame around the chapters in a real browser: the way between them, and what stays on a small screen."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from book.registry import pages
from tests.browser.gestures import SMALL as SMALL_LAB
from tests.browser.gestures import address
from tests.browser.opened import Opened
from tests.browser.screens import SCREENS, stuck
from ui import navigation

pytestmark = pytest.mark.browser

PHONES = [(390, 844), (640, 360)]


def bar(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Chapters")


def opener(page: Page) -> Locator:
    return bar(page).locator(".menu summary")


def links(page: Page) -> Locator:
    """The links that the reader sees."""
    return bar(page).get_by_role("link").filter(visible=True).and_(page.locator("li a"))


def link_to(page: Page, title: str) -> Locator:
    """The link to a chapter in the row, its group opened if it has one."""
    group = bar(page).locator(".row details:not([open])").filter(has_text=title).locator("summary")
    if group.count():
        group.click()
    return links(page).filter(has_text=title)


def go(page: Page, where: str) -> None:
    """Open a chapter and wait for its live picture."""
    page.goto(where)
    is_there(page)


def is_there(page: Page) -> None:
    """Wait for a chapter's live picture."""
    expect(page.locator(".lab:not([aria-busy]) canvas").first).to_be_visible()


def reads_the_title(page: Page, words: str) -> None:
    """Wait for a chapter whose title has the focus."""
    expect(page.locator("h1")).to_contain_text(words)
    expect(page.locator("h1")).to_be_focused()


@pytest.mark.parametrize(("width", "height"), PHONES)
def test_on_a_phone_the_menu_closes_after_a_choice_and_stays_closed(
    phone: Page, width: int, height: int
) -> None:
    phone.set_viewport_size({"width": width, "height": height})
    go(phone, "/")
    expect(links(phone)).to_have_count(0)
    phone.evaluate("window.kept = true")
    opener(phone).tap()
    expect(links(phone)).to_have_count(bar(phone).locator(".menu a").count())
    links(phone).filter(has_text="One batch").tap()
    reads_the_title(phone, "What happens to one batch?")
    assert address(phone) == "/one-batch"
    expect(links(phone)).to_have_count(0)
    expect(opener(phone)).to_contain_text("One batch")
    assert phone.evaluate("window.kept"), "the page was not loaded anew"
    phone.reload()
    is_there(phone)
    expect(opener(phone)).to_be_visible()
    expect(links(phone)).to_have_count(0)


def test_the_open_menu_leaves_the_page_when_it_is_not_needed(phone: Page) -> None:
    go(phone, "/one-batch")
    opener(phone).tap()
    expect(links(phone).first).to_be_visible()
    phone.keyboard.press("Tab")
    expect(links(phone).first).to_be_focused()
    phone.keyboard.press("Escape")
    expect(links(phone)).to_have_count(0)
    expect(opener(phone)).to_be_focused()
    opener(phone).tap()
    expect(links(phone).first).to_be_visible()
    phone.touchscreen.tap(200, 800)
    expect(links(phone)).to_have_count(0)
    opener(phone).tap()
    links(phone).filter(has_text="One batch").tap()
    expect(links(phone)).to_have_count(0)
    reads_the_title(phone, "What happens to one batch?")


def test_the_opener_says_what_it_opens(phone: Page) -> None:
    go(phone, "/training-lab")
    tree = phone.context.new_cdp_session(phone)
    document = tree.send("DOM.getDocument")["root"]["nodeId"]
    found = tree.send("DOM.querySelector", {"nodeId": document, "selector": "nav .menu summary"})
    (node,) = tree.send(
        "Accessibility.getPartialAXTree", {"nodeId": found["nodeId"], "fetchRelatives": False}
    )["nodes"]
    assert re.match("Chapters.*Training lab", node["name"]["value"]), node
    assert {"name": "expanded", "value": {"type": "booleanOrUndefined", "value": False}} in node["properties"]
    box = opener(phone).bounding_box()
    assert box is not None and box["height"] >= 44


def test_a_wide_window_shows_every_chapter_in_one_row(page: Page) -> None:
    go(page, "/")
    expect(opener(page)).not_to_be_visible()
    boxes = [item.bounding_box() for item in bar(page).locator(".row > li").all()]
    assert len(boxes) >= 3 and all(boxes), "chapters, or their groups, are all in sight"
    assert len({box["y"] for box in boxes if box}) == 1
    assert max(box["x"] + box["width"] for box in boxes if box) <= 1440


def test_keys_lead_through_the_chapters_and_the_browser_leads_back(page: Page) -> None:
    go(page, "/one-batch?scene=play")
    page.evaluate("window.kept = true")
    marked = bar(page).locator(".row [aria-current=page]")
    expect(marked).to_have_text("One batch")
    link_to(page, "Training lab").focus()
    page.keyboard.press("Enter")
    reads_the_title(page, "When does batch normalization help?")
    expect(marked).to_have_text("Training lab")
    page.go_back()
    expect(page.locator("h1")).to_contain_text("What happens to one batch?")
    expect(marked).to_have_text("One batch")
    assert address(page) == "/one-batch?scene=play"
    page.go_forward()
    expect(marked).to_have_text("Training lab")
    assert page.evaluate("window.kept"), "the page was not loaded anew"


def test_the_way_past_the_links_leads_to_the_title(page: Page) -> None:
    go(page, "/")
    bar(page).get_by_role("link", name="Skip the chapters").focus()
    page.keyboard.press("Enter")
    reads_the_title(page, "What does batch normalization do")


def test_a_page_in_a_frame_stays_one(page: Page) -> None:
    go(page, "/?embed=true")
    link_to(page, "One batch").click()
    reads_the_title(page, "What happens to one batch?")
    assert "embed=true" in address(page)


def fits_every_screen(page: Page) -> None:
    """Check that three quarters of every screen's height are left by what stays in sight."""
    for width, height in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        seen = stuck(page)
        assert seen["scrolled"] > 0 or height > 1000, (width, height)
        assert seen["share"] <= 0.25, (width, height, seen)
        title_share = page.locator("h1").evaluate("(title) => title.clientHeight / innerHeight")
        assert title_share <= 0.15, (width, height)


def test_every_page_has_a_title_of_its_own(opened: Opened) -> None:
    page = opened.page
    is_there(page)
    name = bar(page).locator(".row [aria-current=page]").text_content()  # it may be in a closed group
    expect(page).to_have_title("BatchNorm Lab" if opened.name == "home" else f"{name} · BatchNorm Lab")
    others = bar(page).locator(".row a:not([aria-current])").all_text_contents()
    assert len(others) == len(pages()) - 1 and name not in others, "no other page has it"


def test_what_stays_in_sight_leaves_three_quarters_of_the_height(opened: Opened) -> None:
    fits_every_screen(opened.page)


def test_a_late_step_of_the_lab_leaves_three_quarters_of_the_height(page: Page) -> None:
    """The lab's bar grows with the number of the step."""
    go(page, SMALL_LAB + "&step=120")
    fits_every_screen(page)


def test_links_on_a_page_keep_the_session_and_the_way_back(page: Page) -> None:
    go(page, "/inference")
    page.evaluate("window.session = 'this one'")
    page.get_by_role("link", name="Small batches").filter(visible=True).last.click()
    reads_the_title(page, "What if the batch is small?")
    page.go_back()
    expect(page.locator("h1")).to_contain_text("Why is a network")
    assert page.evaluate("window.session") == "this one" and address(page) == "/inference"


@pytest.mark.parametrize("opened", ["training_lab"], indirect=True)
def test_what_stays_on_a_large_screen_can_be_measured(opened: Opened) -> None:
    """The measure of the tests above sees what is stuck: here the row of chapters and the lab's bar."""
    opened.page.set_viewport_size({"width": 1440, "height": 900})
    seen = stuck(opened.page)
    assert seen["share"] > 0 and any(".bar" in name for name in seen["names"]), seen


# --- many chapters: the bar alone, on a page of its own ---------------------------------------------------


@pytest.fixture
def many(context: BrowserContext) -> Page:
    """The bar of fifteen chapters in groups, on the page of the ninth."""
    pages: list[Any] = [SimpleNamespace(title=f"Chapter {i}", url_path=f"chapter-{i}") for i in range(15)]
    groups = [
        ("", pages[:1]),
        ("Statistics & <axes>", pages[1:6]),
        ("Training", pages[6:11]),
        ("Relatives", pages[11:]),
    ]
    page = context.new_page()
    page.route("**/many", lambda route: route.fulfill(body="<main></main>", content_type="text/html"))
    page.goto("/many")
    page.evaluate(
        """(html) => document.querySelector("main").append(
          document.createRange().createContextualFragment(html))""",
        navigation.style() + f"<div>{navigation.bar(groups, pages[9])}</div>",
    )
    return page


def test_groups_stand_in_one_row_and_open_one_at_a_time(many: Page) -> None:
    row = bar(many).locator(".row > li")
    names = ("Chapter 0", "Statistics & <axes>", "Training", "Relatives")
    expect(row).to_have_text([re.compile(name) for name in names])
    assert len({item.bounding_box()["y"] for item in row.all()}) == 1  # type: ignore[index]
    expect(links(many)).to_have_count(1)
    bar(many).locator(".row").get_by_text("Training").click()
    expect(links(many)).to_have_count(6)
    expect(links(many).and_(many.locator("[aria-current=page]"))).to_have_text("Chapter 9")
    bar(many).locator(".row").get_by_text("Relatives").click()
    expect(links(many)).to_have_count(5)
    many.keyboard.press("Escape")
    expect(links(many)).to_have_count(1)


@pytest.mark.parametrize(("width", "height"), PHONES)
def test_a_long_menu_scrolls_within_the_window(many: Page, width: int, height: int) -> None:
    many.set_viewport_size({"width": width, "height": height})
    opener(many).click()
    expect(links(many)).to_have_count(15)
    expect(bar(many).get_by_text("Statistics & <axes>").filter(visible=True)).to_be_visible()
    box = bar(many).locator(".menu > ul").bounding_box()
    assert box is not None and box["y"] + box["height"] <= height and box["width"] <= width
    links(many).last.scroll_into_view_if_needed()
    expect(links(many).last).to_be_in_viewport()
