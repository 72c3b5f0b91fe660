"""What a reader sees where a race is more than one machine can show."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import SMALL, open_lab, wait_for_address

pytestmark = pytest.mark.browser

HEAVY = "lanes=none,batch&network=cnn&replicas=8&depth=20&width=128&batch_size=640&guess=-3"


def test_a_link_to_a_race_that_is_too_heavy_says_why_and_what_can_be_shown(page: Page) -> None:
    page.goto(f"/training-lab?{HEAVY}")
    verdict = page.get_by_role("region", name="How the race stands")
    expect(verdict.get_by_role("status")).to_have_text(
        re.compile(r"8 seeds of this network take about \d+ s .* Use fewer seeds")
    )
    expect(page.locator(".busy")).to_have_text("more than can be shown here: nothing is computed")
    expect(page.locator(".standing-box")).not_to_be_visible()
    fix = verdict.get_by_role("button", name=re.compile("^Show it with 1 seed"))
    fix.click()
    wait_for_address(page, "replicas=1")
    expect(page.locator(".lab[data-step]")).to_be_attached()
    expect(verdict.get_by_role("button", name=re.compile("^Show it"))).not_to_be_visible()
    expect(verdict.get_by_role("status")).not_to_contain_text("Use fewer seeds")
    page.reload()
    expect(page.locator(".lab[data-step]")).to_be_attached()


def test_a_setting_that_makes_a_race_too_heavy_leaves_the_picture_and_is_taken_back(page: Page) -> None:
    open_lab(page, SMALL + "&lanes=batch&norm_batch=0&step=3&guess=-3&network=cnn&replicas=8")
    verdict = page.get_by_role("region", name="How the race stands")
    for name, key in (("depth", "End"), ("width", "End"), ("batch_size", "End")):
        slider = page.locator(f"[data-control={name}]")
        slider.focus()
        slider.press(key)
    expect(verdict.get_by_role("status")).to_contain_text("Use fewer seeds")
    expect(page.locator(".lab.refused")).to_be_attached()
    expect(page.locator(".standing tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Put every setting back").click()
    expect(page.locator(".lab.refused")).not_to_be_attached()
    expect(verdict.get_by_role("status")).not_to_contain_text("Use fewer seeds")
