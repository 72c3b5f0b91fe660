"""The chapter "Which norm?" in a real browser: a network is described, a row followed, a table filtered."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gestures import wait_for_address
from tests.browser.test_chapters import answered, open_scene, settled

pytestmark = pytest.mark.browser


def test_a_network_is_described_and_gets_a_norm_with_links(page: Page) -> None:
    open_scene(page, "which", "guide", "guesses=guide:3&built=style")
    expect(page.locator(".verdict")).to_contain_text("Instance norm")
    page.locator("[data-control=built]").get_by_text("GAN", exact=True).click()
    wait_for_address(page, "built=gan")
    settled(page)
    expect(page.locator(".verdict")).to_contain_text("Spectral norm")
    link = page.locator(".board a").first
    expect(link).to_have_attribute("href", "/weights?scene=gan")
    page.get_by_text("In PyTorch", exact=True).click()
    expect(page.locator("[data-testid=stCode]")).to_contain_text("spectral_norm")


def test_the_offset_is_moved_by_its_dot(page: Page) -> None:
    open_scene(page, "which", "rms")
    page.locator(".choices button").nth(1).click()
    answered(page)
    dot = page.locator("div[data-control=offset]")
    dot.focus()
    page.keyboard.press("ArrowRight")
    wait_for_address(page, "offset=2")
    expect(page.locator(".verdict")).to_contain_text("offset 2")


def test_the_table_shows_what_needs_no_batch(page: Page) -> None:
    open_scene(page, "which", "table", "guesses=table:2")
    rows = page.locator(".board tbody tr")
    expect(rows).to_have_count(14)
    page.locator("[data-control=rows]").get_by_text("no batch-mates needed").click()
    wait_for_address(page, "rows=alone")
    expect(rows).to_have_count(11)
