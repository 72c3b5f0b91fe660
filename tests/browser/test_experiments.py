"""The experiments' races in a real browser: links to them, the menu, and the settings that they need."""

from __future__ import annotations

import re
from itertools import product

import pytest
from playwright.sync_api import Locator, Page, expect

from book.race.evidence import RACES
from tests.browser.gestures import (
    SMALL,
    address,
    at_step,
    canvases,
    drag_slider,
    pictures_change,
    wait_for_address,
)
from tests.browser.opened import Scheme, enter, recolour

pytestmark = pytest.mark.browser


@pytest.fixture
def page(inside: Page) -> Page:
    return inside


SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def heading(page: Page) -> Locator:
    return page.locator("p.experiment")


def menu(page: Page) -> Locator:
    return page.get_by_label("Races of the experiments")


def more(page: Page) -> Locator:
    return page.locator("details.more")


def test_a_link_opens_the_race_where_its_effect_is_seen_and_a_reload_keeps_it(page: Page) -> None:
    enter(page, "/training-lab?experiment=e11")
    wait_for_address(page, r"lanes=.*norm_batch.*experiment=E11.*step=240")
    for _ in range(2):
        at_step(page, 240)
        expect(heading(page)).to_have_text(
            "E11, In dense networks norm batches of two fail, at a fixed batch of SGD. "
            "Norm batches of 64, 8, 4 and 2, judged at step 240."
        )
        expect(page.get_by_label(re.compile(r"Norm of lane \d"))).to_have_count(4)
        for size in (8, 4, 2):
            expect(page.locator(".verdict")).to_contain_text(f"batch norm (norm batch {size}) ")
        expect(page.get_by_role("button", name="Play")).to_be_visible()
        expect(page.locator("input[data-control=norm_batch]")).to_have_attribute("aria-valuetext", "64")
        expect(menu(page)).to_have_value("7")
        page.reload()
    expect(page.get_by_text("could not be used")).to_have_count(0)


def test_the_way_back_from_a_link_is_no_trap(page: Page) -> None:
    enter(page, SMALL + "&step=3")
    at_step(page, 3)
    page.goto("/training-lab?experiment=E7")
    wait_for_address(page, "experiment=E7.*step=200")
    at_step(page, 200)
    for _ in range(2):  # the short address, which is spelled out again, and what was before
        if "width=16" not in address(page):
            page.go_back()
            page.wait_for_load_state()
            page.wait_for_function("/width=16|step=200/.test(location.href)")
    assert "width=16" in address(page)
    at_step(page, 3)
    expect(heading(page)).not_to_be_visible()


def test_the_menu_opens_races_and_a_change_leaves_them(page: Page) -> None:
    enter(page, SMALL + "&step=3&speed=120")
    at_step(page, 3)
    expect(heading(page)).not_to_be_visible()
    expect(menu(page).locator("option")).to_have_count(1 + len(RACES))
    assert menu(page).locator("optgroup").first.get_attribute("label") == "E5", "a title says what came out"
    shallow, deep = (RACES["E7", number][1].title for number in (1, 2))
    menu(page).select_option(label=f"E7: {shallow}")
    wait_for_address(page, "experiment=E7.*speed=120.*step=200")
    at_step(page, 200)
    expect(heading(page)).to_have_text(
        f"E7, Smoother in training, rougher at the start of deep networks. {shallow}, judged at step 200."
    )
    menu(page).select_option(label=f"E7: {deep}")
    expect(heading(page)).to_contain_text(f"{deep}, judged at step 200")
    wait_for_address(page, "experiment=E7.*race=2")
    at_step(page, 200)
    page.get_by_role("button", name="One step back").click()
    at_step(page, 199)
    expect(heading(page)).to_contain_text(deep)
    page.locator("select[data-control=optimizer]").select_option("momentum")
    expect(heading(page)).not_to_be_visible()
    expect(menu(page)).to_have_value("")
    wait_for_address(page, r"^((?!experiment|race=).)*$")
    expect(page.locator(".own-race")).to_contain_text(f"no longer “E7: {deep}”")
    page.get_by_role("button", name="Back to the race before your changes").click()
    expect(heading(page)).to_contain_text(deep)
    expect(page.locator(".own-race")).to_be_hidden()
    page.locator("select[data-control=optimizer]").select_option("momentum")
    page.get_by_label("Predict a race").select_option(index=2)
    expect(page.get_by_label("Prediction", exact=True)).to_be_visible()
    expect(heading(page)).not_to_be_visible()


def test_other_settings_than_the_races_do_not_carry_its_name(page: Page) -> None:
    enter(page, SMALL + "&experiment=E7&step=3")
    at_step(page, 3)
    expect(menu(page)).to_have_value("")
    expect(heading(page)).not_to_be_visible()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("experiment=E99", "experiment=E99 is none of E5, E6, "),
        ("experiment=E8&race=9", "race=9 is no race of experiment E8: it has 1, 2"),
        ("experiment=%3Cimg%20src%3Dx%3E", "experiment=<img src=x> is none of"),
        ("experiment=E21", "The lab’s clock is the training step, not the second."),
    ],
)
def test_nonsense_falls_back_with_a_word(page: Page, query: str, words: str) -> None:
    enter(page, f"/training-lab?{query}")
    expect(page.get_by_text(words)).to_be_visible()
    expect(page.get_by_label("Prediction", exact=True)).to_be_visible()
    expect(page.get_by_label(re.compile(r"Norm of lane \d"))).to_have_count(2)
    expect(heading(page)).not_to_be_visible()
    expect(page.get_by_text("Traceback")).to_have_count(0)
    page.get_by_role("button", name="Skip the question").click()
    wait_for_address(page, r"training-lab\?.*guess=-3")
    expect(page.get_by_text(words)).to_have_count(0)


def test_a_batch_size_that_norm_batches_do_not_fill_is_no_mistake(page: Page) -> None:
    enter(page, SMALL + "&lanes=batch,batch~norm_batch:1,layer&norm_batch=8&step=20")
    at_step(page, 20)
    before = canvases(page)
    release = drag_slider(page, "batch_size", 0.5, 0.34, hold=True)
    pictures_change(page, before)
    release()
    wait_for_address(page, "batch_size=12")
    expect(page.get_by_text("Norm batches of 8 don’t fill a batch of 12: 6 is used.")).to_be_visible()
    at_step(page, 20)
    slider = page.locator("input[data-control=batch_size]")
    slider.focus()
    for key, size in (("Home", 1), ("End", 640)):
        page.keyboard.press(key)
        wait_for_address(page, f"batch_size={size}(&|$)")
        at_step(page, 20)
    expect(page.get_by_text("don’t fill")).to_have_count(0)


def test_a_batch_size_changed_in_mid_run_keeps_the_norm_batches(page: Page) -> None:
    enter(page, SMALL + "&norm_batch=8&change=here&step=20")
    at_step(page, 20)
    past = page.locator(".verdict .text").inner_text()
    drag_slider(page, "batch_size", 0.5, 0.34)
    wait_for_address(page, "edits=20%3Abatch_size%3A12")
    expect(page.get_by_text("From step 20 on batches of 8 are used, not of 12")).to_be_visible()
    at_step(page, 20)
    expect(page.locator(".verdict .text")).to_have_text(past)


def test_more_settings_are_closed_until_one_is_used(page: Page) -> None:
    enter(page, SMALL + "&step=5")
    at_step(page, 5)
    expect(more(page)).not_to_have_attribute("open", "")
    decay = page.locator("input[data-control=weight_decay]")
    expect(decay).not_to_be_visible()
    more(page).locator("summary").click()
    expect(decay).to_be_visible()
    before = canvases(page)
    drag_slider(page, "weight_decay", 0.05, 0.95)
    wait_for_address(page, "weight_decay=")
    pictures_change(page, before)
    page.reload()
    at_step(page, 5)
    expect(decay).to_be_visible()
    page.locator("select[data-control=dataset]").select_option("moons")
    expect(page.locator("select[data-control=inputs]")).not_to_be_visible()
    page.get_by_role("button", name="Put every setting back").click()
    expect(decay).to_be_visible()  # who has it open keeps it


def test_a_race_of_long_names_is_no_wider_than_the_screen(page: Page) -> None:
    enter(page, "/training-lab?experiment=E14")
    at_step(page, 300)
    for width, scheme in product((1440, 390), SCHEMES):
        page.set_viewport_size({"width": width, "height": 844})
        recolour(page, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shown = [heading(page), menu(page), page.get_by_role("button", name="Put every setting back")]
        boxes = [element.bounding_box() for element in shown]
        for box in boxes:
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width
        _, chooser, over = boxes
        assert chooser is not None and over is not None
        apart = over["x"] >= chooser["x"] + chooser["width"] or over["y"] >= chooser["y"] + chooser["height"]
        assert apart, "the menu and its neighbour don't overlap"
        more(page).evaluate("(details) => { details.open = true; }")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for box in (row.bounding_box() for row in more(page).locator(".control:not([hidden])").all()):
            assert box is not None and box["x"] + box["width"] <= width
        more(page).evaluate("(details) => { details.open = false; }")


def test_an_update_of_zero_is_said_in_its_picture(page: Page) -> None:
    """What is written on the canvas goes into the downloaded file too, where it can be read."""
    for step, said in ((20, True), (19, False)):
        enter(page, SMALL + f"&cosine_steps=20&step={step}")
        at_step(page, step)
        page.locator("summary", has_text="Take it away").click()
        with page.expect_download() as download:
            page.locator(".take").get_by_role("button", name=re.compile("^SVG")).click()
        svg = download.value.path().read_text(encoding="utf-8")
        assert "Update : data" in svg and ("no update: it is exactly 0" in svg) == said


def test_the_note_that_a_race_is_computed_moves_nothing(page: Page) -> None:
    enter(page, SMALL + "&step=5")
    at_step(page, 5)
    note = page.locator(".busy")
    for width in (1440, 950, 768, 390):
        page.set_viewport_size({"width": width, "height": 844})
        moved = note.evaluate(
            """(note) => {
              const lab = note.closest(".lab");
              const all = [...lab.querySelectorAll(".bar > *, .bar-more > *, .race > *")];
              const others = all.filter((one) => one !== note);
              const places = () => others.map((one) => {
                const { x, y, width, height } = one.getBoundingClientRect();
                return [x, y, width, height];
              }).join();
              const words = note.querySelector("span");
              words.textContent = "";
              const before = places();
              words.textContent = "first step of batch norm, layer norm and group norm: about 45 s";
              return before !== places();
            }"""
        )
        assert not moved, width
        box = note.bounding_box()
        assert box is not None and box["width"] >= 100 and box["x"] + box["width"] <= width
