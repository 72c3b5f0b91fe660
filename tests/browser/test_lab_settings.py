"""The lab's settings: every one of them, every norm and every term is explained, and lanes start apart."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from bnlib import NORMS
from book.race.settings import LAB_CONTROLS, NAMES
from tests.browser.gestures import SMALL, open_lab, wait_for_address
from tests.browser.opened import enter

pytestmark = pytest.mark.browser


@pytest.fixture
def page(inside: Page) -> Page:
    return inside


LAB = SMALL + "&step=3&guess=-3"


def whats(page: Page) -> Locator:
    """Every "?"."""
    return page.locator(".lab button.what").filter(visible=True)


def what(page: Page, name: str) -> Locator:
    """The "?" of something."""
    return page.get_by_role("button", name=f"What is {name}?", exact=True)


def told(page: Page, button: Locator) -> Locator:
    """The explanation that a "?" shows."""
    return page.locator(f".lab #{button.get_attribute('aria-controls')}")


def differ(page: Page, lane: int, field: str) -> None:
    """Let a lane differ in something."""
    page.get_by_label(f"Let lane {lane} differ in").select_option(field)
    wait_for_address(page, f"{field}%3A")


def test_every_setting_that_is_offered_has_an_explanation(page: Page) -> None:
    enter(page, LAB + "&lanes=batch,renorm,none&weight_norm=spectral")
    page.locator(".lab details").evaluate_all("(all) => all.forEach((one) => { one.open = true; })")
    abouts = {control.name: control.about for control in LAB_CONTROLS}
    rows = page.locator(".group .control").filter(visible=True).all()
    assert len(rows) > 15
    for row in rows:
        name = row.locator("[data-control]").get_attribute("data-control") or ""
        button = row.locator("xpath=..").locator("button.what")
        button.click()
        assert abouts[name] and told(page, button).inner_text() == abouts[name], name
        button.click()
        expect(told(page, button)).not_to_be_visible()


def test_every_question_mark_answers_in_place(page: Page) -> None:
    enter(page, LAB + "&lanes=batch,none&edits=2:lr:0.5")
    labels = [button.get_attribute("aria-label") or "" for button in whats(page).all()]
    for words in (
        "a lane",
        "a branch",
        "the ghost",
        "batch norm",
        "each norm",
        "Parameters",
        "Cost of a step",
    ):
        assert any(words in label for label in labels), words
    for figure in page.locator(".pictures figure").filter(visible=True).all():
        expect(figure.locator("button.what")).to_have_count(1)
    for button in whats(page).all():
        expect(button).to_have_attribute("aria-expanded", "false")
        button.click()
        about = told(page, button)
        expect(about).to_be_visible()
        assert len(about.inner_text()) > 40
        button.click()
        expect(about).not_to_be_visible()


def test_an_explanation_needs_no_mouse(page: Page) -> None:
    enter(page, LAB)
    button = what(page, "learning rate")
    button.focus()
    page.keyboard.press("Enter")
    expect(told(page, button)).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(told(page, button)).not_to_be_visible()
    expect(button).to_be_focused()
    page.keyboard.press(" ")
    expect(told(page, button)).to_be_visible()
    expect(page.locator(".clock")).to_have_text("step 3")  # the space bar was the button's


def test_an_explanation_answers_a_finger_and_moves_nothing_else(phone: Page) -> None:
    open_lab(phone, LAB)
    group = phone.locator(".group.training")
    group.locator("summary").tap()
    button = what(phone, "learning rate")
    before = group.locator("input[data-control=lr]").input_value()
    box = button.bounding_box()
    assert box is not None and min(box["width"], box["height"]) >= 24
    button.tap()
    expect(told(phone, button)).to_be_visible()
    assert group.locator("input[data-control=lr]").input_value() == before
    assert group.evaluate("(group) => group.open")


def test_the_norm_of_a_lane_is_explained_and_so_are_all_others(page: Page) -> None:
    enter(page, LAB + "&lanes=batch,none")
    norm = page.get_by_label("Norm of lane 1", exact=True)
    button = what(page, "batch norm")
    button.click()
    about = told(page, button)
    expect(about).to_contain_text(re.compile("When to use it: .{20,}"))
    before = about.inner_text()
    norm.focus()
    norm.select_option("group")
    changed = told(page, what(page, "group norm"))
    expect(changed).to_be_visible()
    assert changed.inner_text() != before
    expect(norm).to_be_focused()
    what(page, "each norm").click()
    listed = page.locator(".lanes .glossary dt").all_inner_texts()
    assert listed == list(NAMES.values()) and len(listed) == len(NORMS) + 1
    for meaning in page.locator(".lanes .glossary dd").all_inner_texts():
        assert len(meaning) > 40
    long = page.locator(".lanes .about.long")
    assert long.evaluate("(box) => box.scrollHeight > box.clientHeight && box.tabIndex === 0")


def test_a_lane_that_differs_starts_with_another_value(page: Page) -> None:
    enter(page, LAB + "&lanes=batch,none")
    fields = {
        "lr": ("0.1", "1"),
        "batch_size": ("32", "48"),
        "depth": ("2", "3"),
        "activation": ("relu", "tanh"),
    }
    for field, (shared, own) in fields.items():
        differ(page, 1, field)
        wait_for_address(page, f"lanes=batch~{field}%3A{own}")
        control = page.locator(f"[data-control=lane-0-{field}]")
        now = control.get_attribute("aria-valuetext") or control.input_value()
        assert now == own != shared, field
        both = page.locator(f".group [data-control={field}]")
        assert (both.get_attribute("aria-valuetext") or both.input_value()) == shared, field
        page.get_by_role("button", name="Lane 1 as the others").click()
        wait_for_address(page, "lanes=batch%2Cnone")


def test_two_lanes_that_differ_in_the_same_start_apart_from_each_other(page: Page) -> None:
    enter(page, LAB + "&lanes=batch~lr:1.0,batch")
    differ(page, 2, "lr")
    wait_for_address(page, r"lanes=batch~lr%3A1.0%2Cbatch~lr%3A0.01")


def test_another_norm_takes_no_setting_along_that_does_nothing_there(page: Page) -> None:
    enter(page, LAB + "&lanes=batch~momentum:0.5~lr:1.0,none")
    page.get_by_label("Norm of lane 1", exact=True).select_option("layer")
    wait_for_address(page, r"lanes=layer~lr%3A1.0%2Cnone")


def test_who_takes_a_lane_out_by_key_stays_at_the_lanes(page: Page) -> None:
    enter(page, LAB + "&lanes=batch,none,layer")
    page.get_by_role("button", name="Take lane 2 out").focus()
    page.keyboard.press("Enter")
    wait_for_address(page, "lanes=batch%2Clayer")
    expect(page.get_by_label("Norm of lane 1", exact=True)).to_be_focused()


def test_names_on_the_page_are_for_readers(page: Page) -> None:
    enter(page, LAB + "&lanes=batch,none~activation:gelu")
    page.locator(".lab details").evaluate_all("(all) => all.forEach((one) => { one.open = true; })")
    options = page.locator(".panel option").all_inner_texts()
    internal = {
        "pairs",
        "sorted",
        "mlp",
        "cnn",
        "rnn",
        "gan",
        "relu",
        "gelu",
        "sgd",
        "adamw",
        "he",
        "spectral",
    }
    assert not internal & set(options)
    expect(page.locator(".standing tbody th").last).to_have_text(re.compile("GELU"))


def test_no_more_layers_are_offered_than_there_are(page: Page) -> None:
    enter(page, LAB + "&lanes=batch,none~depth:4")
    layers = page.locator("select[data-control=layer] option")
    expect(layers).to_have_text(["last layer", "layer 1", "layer 2", "layer 3", "layer 4"])
