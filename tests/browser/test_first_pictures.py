"""What pages ask for when they open, in a real browser: what the edition without a server has recorded."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from book.registry import pages
from static.asks import groups
from static.first import opened, queries, unpacked
from tests.browser.gestures import at_rest
from tests.browser.opened import Opened, show
from tests.dist import built

pytestmark = pytest.mark.browser


def recorded(name: str) -> list[dict[str, Any]]:
    page = pages()[name]
    openings = {urlencode(query): opened(page, query)["opening"] for query in queries(page)}
    return [ask.message for group in groups(page, openings) for ask in group]


def test_a_page_opens_with_what_is_recorded(opened: Opened) -> None:
    known = recorded(opened.name)
    assert opened.asked and all(message in known for message in opened.asked), opened.asked
    assert opened.asked[0]["narrow"] is False


@pytest.mark.parametrize("name", pages())
def test_its_last_scene_opens_on_a_phone_with_what_is_recorded(
    name: str, page: Page, asked: list[dict[str, Any]]
) -> None:
    known = recorded(name)
    *_, last = queries(pages()[name])
    page.set_viewport_size({"width": 390, "height": 844})
    show(page, f"/{pages()[name].path}?{urlencode(last)}")
    assert asked and all(message in known for message in asked), asked
    assert asked[0]["narrow"] is True


@pytest.mark.parametrize("name", ["one_batch", "inference"])
def test_an_answer_asks_for_what_is_recorded(name: str, page: Page, asked: list[dict[str, Any]]) -> None:
    version = json.loads((built() / "build.json").read_text())["version"]
    _, replies, _ = unpacked((built() / version / "first" / f"{name}.bin").read_bytes())
    show(page, f"/{pages()[name].path}")  # what was measured comes with the picture, or after it
    page.locator(".prediction.open .choices button:enabled").first.wait_for()
    asked.clear()
    page.keyboard.press("2")
    expect(page.locator(".choices .right")).to_be_visible()
    at_rest(page)
    known = [reply["ask"] for reply in replies]
    first, last = asked[0], asked[-1]  # on its way to the reveal a picture asks for what lies between them
    assert first in known and last in known, asked


def test_an_answered_race_begins_as_recorded(page: Page, asked: list[dict[str, Any]]) -> None:
    known = recorded("training_lab")
    show(page, "/training-lab")
    for answer in ("1", "2", "3", "Skip the question"):
        asked.clear()
        if answer.isdigit():
            page.keyboard.press(answer)
        else:
            page.get_by_role("button", name=answer).click()
        page.locator(".lab:not(.open)[data-step]").wait_for()
        (message,) = asked
        assert message in known, answer
        page.get_by_role("button", name="Ask again").click()
        page.locator(".lab.open[data-step='0']").wait_for()
