"""The training lab in a real browser: play, scrub, drag, links, and a server that goes away."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from book.race.evidence import RACES
from book.race.scenes import SCENES
from tests.browser.gestures import (
    SMALL,
    address,
    at_step,
    canvases,
    drag_slider,
    open_lab,
    pictures_change,
    wait_for_address,
    watch_pictures,
)
from tests.browser.opened import enter, resized
from tests.server import wait_for

pytestmark = pytest.mark.browser


@pytest.fixture
def page(inside: Page) -> Page:
    return inside


def all_there(page: Page) -> None:
    """Beside a ghost the race is computed to the end of the first axis."""
    expect(page.locator(".lab")).to_have_attribute("data-reached", "200")


def norm(page: Page, lane: int) -> Locator:
    return page.get_by_label(f"Norm of lane {lane}")


def layers(page: Page) -> list[str]:
    """All pictures but the curves, which faintly show later steps, too."""
    return canvases(page)[2:]


def verdict(page: Page) -> Locator:
    """The sentence of how the race stands."""
    return page.locator(".verdict .text")


def slider(page: Page) -> Locator:
    return page.locator("input.scrub")


def question(page: Page) -> Locator:
    """The box of a scene's question."""
    return page.get_by_label("Prediction", exact=True)


def menu(page: Page) -> Locator:
    return page.get_by_label("Predict a race")


def scrub_to(page: Page, step: int) -> None:
    """Put the slider at a step, as a finger does that lets go there."""
    slider(page).evaluate(
        """(input, step) => {
          input.value = step;
          for (const kind of ["input", "change"]) input.dispatchEvent(new Event(kind));
        }""",
        step,
    )


def test_it_plays_by_itself_and_pauses(page: Page) -> None:
    enter(page, SMALL)
    pictures = watch_pictures(page)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.wait_for_timeout(1500)
    assert pictures() >= 15, "a running lab is redrawn at least ten times a second, however slow the machine"
    page.get_by_role("button", name="Pause").click()
    wait_for_address(page, r"step=\d+")
    expect(page.locator(".verdict")).to_contain_text("validation accuracy")


def test_a_press_lasts_over_several_pictures(page: Page) -> None:
    """A finger stays down for longer than a picture: what it pressed must still be there when it lifts."""
    enter(page, SMALL)
    pause = page.get_by_role("button", name="Pause")
    box = pause.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    pictures = watch_pictures(page)
    page.mouse.down()
    wait_for(lambda: pictures() >= 5, "five pictures")
    page.mouse.up()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_one_step_back_and_reset(page: Page) -> None:
    enter(page, SMALL + "&step=7")
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
    enter(page, SMALL + "&step=200")
    at_step(page, 200)
    scrub_to(page, 150)
    at_step(page, 150)
    before = layers(page)
    pictures = watch_pictures(page)
    release = drag_slider(page, "step", 0.75, 0.2, hold=True)
    assert pictures() >= 10
    release()
    expect(page.locator(".lab")).not_to_have_attribute("data-step", "150")
    scrub_to(page, 200)
    at_step(page, 200)
    scrub_to(page, 150)
    at_step(page, 150)
    page.mouse.move(0, 0)
    assert layers(page) == before, "histograms and gradient flow of step 150 again"


def test_each_dragged_setting_bends_the_curves_before_it_is_released(page: Page) -> None:
    enter(page, SMALL + "&step=20")
    for control in ("lr", "batch_size", "eps", "gamma", "beta", "init_scale"):
        at_step(page, 20)
        before = canvases(page)
        query = address(page)
        release = drag_slider(page, control, 0.5, 0.97, hold=True)
        pictures_change(page, before)
        assert address(page) == query, control
        release()
        wait_for_address(page, f"{control}=")
        at_step(page, 20)
        page.go_back()
        wait_for_address(page, f"^((?!{control}=).)*$")
        expect(page.locator(".verdict")).not_to_contain_text("ghost")


def test_a_finger_that_rests_gets_the_race_in_full(page: Page) -> None:
    enter(page, SMALL + "&step=27")
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
    enter(
        page,
        "/training-lab?lanes=batch,layer,rms~lr:0.05&dataset=circles&edits=20:lr:0.5&before=depth:2&layer=2&depth=3&width=24&activation=tanh&lr=0.123&replicas=3&seed=17"
        "&eps=0.0001&gamma=0.5&beta=0.1&momentum=0.95&placement=after&init_scale=0.8&batch_size=12"
        "&histogram=preactivation&step=42",
    )
    at_step(page, 42)
    all_there(page)
    words, pictures = verdict(page).inner_text(), canvases(page)
    other = context.new_page()
    open_lab(other, page.url)
    at_step(other, 42)
    all_there(other)
    assert verdict(other).inner_text() == words
    assert canvases(other) == pictures
    other.reload()
    at_step(other, 42)
    all_there(other)
    assert canvases(other) == pictures


def test_back_and_forward_follow_the_address(page: Page) -> None:
    enter(page, SMALL + "&step=5")
    at_step(page, 5)
    norm(page, 1).select_option("layer")
    wait_for_address(page, "layer")
    expect(page.locator(".verdict")).to_contain_text("layer norm")
    page.go_back()
    expect(page.locator(".verdict")).not_to_contain_text("layer norm")
    expect(norm(page, 1)).to_have_value("none")
    page.go_forward()
    expect(page.locator(".verdict")).to_contain_text("layer norm")


def test_settings_survive_a_visit_to_another_page(page: Page) -> None:
    enter(page, SMALL + "&step=5")
    at_step(page, 5)
    norm(page, 2).select_option("rms")
    wait_for_address(page, "rms")
    page.get_by_role("link", name="BatchNorm Lab").first.click()
    expect(page.locator("canvas.dots")).to_be_visible()
    page.get_by_role("link", name="Training lab").first.click()
    expect(page.locator(".verdict")).to_contain_text("RMS norm")
    at_step(page, 5)


def test_lanes_are_one_to_four_and_never_the_same_twice(page: Page) -> None:
    enter(page, SMALL + "&step=3")
    add = page.get_by_role("button", name="Another lane")
    for lane in (3, 4):
        add.click()
        expect(norm(page, lane)).to_be_visible()
    expect(add).to_be_disabled()
    values = {norm(page, lane).input_value() for lane in (1, 2, 3, 4)}
    assert len(values) == 4
    assert norm(page, 1).locator("option[value=batch]").is_disabled()
    for _ in range(3):
        page.get_by_role("button", name="Take lane 1 out").click()
    expect(page.get_by_role("button", name=re.compile("Take lane"))).to_have_count(0)
    wait_for_address(page, "lanes=group")
    at_step(page, 3)


def test_a_lane_may_differ_in_any_setting(page: Page) -> None:
    enter(page, SMALL + "&step=10&lanes=batch")
    page.get_by_role("button", name="Another lane").click()
    page.get_by_label("Let lane 2 differ in").select_option("batch_size")
    release = drag_slider(page, "lane-1-batch_size", 0.5, 0.1, hold=True)
    release()
    wait_for_address(page, r"lanes=batch%2Cnone(~|%7E)batch_size%3A\d(&|$)")  # dragged, from 48
    norm(page, 2).select_option("batch")
    expect(page.locator(".verdict")).to_contain_text(re.compile(r"batch norm \(batch size \d\)"))
    expect(page.get_by_text("different batch sizes see different batches")).to_be_visible()
    page.get_by_role("button", name="Lane 2 as the others").click()
    expect(norm(page, 2)).to_have_count(0)  # it would be lane 1 again


# --- changes and what they leave behind -----------------------------------------------------------------


def said(page: Page) -> str:
    """The lanes' part of the verdict."""
    return verdict(page).inner_text().split(": ", 1)[1].split(". ")[0]


def test_the_race_before_a_change_stays_as_a_ghost(page: Page, context: BrowserContext) -> None:
    enter(page, SMALL + "&step=30")
    at_step(page, 30)
    means = re.findall(r"norm (\d+\.\d%)", said(page))
    expect(page.get_by_label("ghost", exact=True)).not_to_be_visible()
    drag_slider(page, "lr", 0.75, 0.3)
    wait_for_address(page, "before=lr%3A0.1")
    expect(page.locator(".verdict")).to_contain_text(f"The ghost: no norm {means[0]}, batch norm {means[1]}.")
    at_step(page, 30)
    all_there(page)
    haunted = canvases(page)
    other = context.new_page()
    open_lab(other, page.evaluate("location.href"))
    at_step(other, 30)
    all_there(other)
    assert canvases(other) == haunted, "the ghost is in the link"
    page.get_by_label("ghost", exact=True).uncheck()
    wait_for_address(page, "ghost=off")
    expect(page.locator(".verdict")).not_to_contain_text("ghost")
    at_step(page, 30)
    assert canvases(page)[:2] != haunted[:2] and layers(page) == layers(other)


def test_a_change_in_mid_run_branches_there(page: Page) -> None:
    enter(page, SMALL + "&step=40")
    at_step(page, 40)
    before, past = said(page), layers(page)
    page.get_by_role("button", name="One step back").click()
    at_step(page, 39)
    page.get_by_role("button", name="One step", exact=True).click()
    at_step(page, 40)
    page.get_by_label("from here on").check()
    drag_slider(page, "lr", 0.5, 0.97)
    wait_for_address(page, r"edits=40%3Alr%3A")
    at_step(page, 40)
    assert said(page) == before and layers(page)[0] == past[0], "step 40 is still the same"
    scrub_to(page, 90)
    at_step(page, 90)
    branched = said(page)
    ghost = re.search(r"The ghost: (.*)\.", verdict(page).inner_text())
    assert ghost is not None
    page.get_by_role("button", name="Take back: step 40").click()
    expect(page.locator(".verdict")).not_to_contain_text("ghost")
    at_step(page, 90)
    assert said(page) != branched
    assert re.findall(r"\d+\.\d%", ghost[1]) == re.findall(r"norm (\d+\.\d%)", said(page))


def test_after_a_branch_reset_returns_to_the_same_weights(page: Page) -> None:
    enter(page, SMALL + "&step=0")
    at_step(page, 0)
    start = layers(page)
    enter(page, SMALL + "&step=50&edits=20:lr:1.0,30:batch_size:4&change=here")
    at_step(page, 50)
    expect(page.locator("input[data-control=batch_size]")).to_have_attribute("aria-valuetext", "4")
    page.get_by_role("button", name="Reset to the identical initial weights").click()
    at_step(page, 0)
    expect(page.locator("input[data-control=batch_size]")).to_have_attribute("aria-valuetext", "32")
    assert layers(page) == start


def test_branches_and_differences_in_any_order_do_not_disturb_a_race_that_plays(page: Page) -> None:
    """The page hears its own settings back from the server, which has an order of its own for them."""
    enter(page, SMALL + "&step=40&change=here")
    at_step(page, 40)
    for control in ("lr", "eps", "batch_size"):
        drag_slider(page, control, 0.5, 0.8)
        wait_for_address(page, control)
    for field in ("momentum", "depth"):
        page.get_by_label("Let lane 2 differ in").select_option(field)
        wait_for_address(page, field)
    page.get_by_role("button", name="Play").click()
    wait_for_address(page, r"^((?!step=).)*$")
    expect(page.locator(".clock")).to_have_text(re.compile(r"step ([5-9]\d|\d{3})"))
    page.get_by_role("button", name="Pause").click()
    wait_for_address(page, r"step=([5-9]\d|\d{3})")


def test_a_finger_that_returns_to_where_it_began_changes_nothing(page: Page) -> None:
    enter(page, SMALL + "&step=20")
    at_step(page, 20)
    before = canvases(page)
    for applies in ("from the start", "from here on"):
        page.get_by_label(applies).check()
        release = drag_slider(page, "batch_size", 0.5, 0.9, hold=True)  # 32 is at 0.5
        pictures_change(page, before)
        box = page.locator("input[data-control=batch_size]").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + box["height"] / 2)
        release()
        expect(page.locator(".verdict")).not_to_have_class(re.compile("old"))
        at_step(page, 20)
        assert canvases(page) == before and not re.search("edits|before|batch_size", address(page)), applies
        expect(page.locator(".edits li")).to_have_count(0)


def test_settings_that_cannot_change_in_mid_run_restart_the_race(page: Page) -> None:
    enter(page, SMALL + "&step=20&change=here")
    at_step(page, 20)
    drag_slider(page, "init_scale", 0.3, 0.9)
    wait_for_address(page, "init_scale=")
    assert "edits" not in address(page)


# --- questions ------------------------------------------------------------------------------------------

OPENING = SCENES["opening"]
SPOILING = ("loss", "ridges", "time", "flow", "ratio", "saturation")


def test_an_open_question_keeps_the_race_back_until_it_is_answered(fresh: Page) -> None:
    open_lab(fresh, "/training-lab")
    expect(question(fresh)).to_contain_text(OPENING.scene.question)
    expect(fresh.get_by_text("Answer the question or skip it")).to_be_visible()
    for name in ("Play", "One step back", "One step", "Reset to the identical initial weights"):
        expect(fresh.get_by_role("button", name=name, exact=True)).to_be_disabled()
    expect(slider(fresh)).to_be_disabled()
    fresh.keyboard.press("Space")
    fresh.keyboard.press("ArrowRight")
    expect(fresh.locator("[data-figure=accuracy] canvas")).to_be_visible()
    for name in SPOILING:
        expect(fresh.locator(f"[data-figure={name}]")).to_be_hidden()
    expect(verdict(fresh)).to_have_text("")
    explanation = fresh.locator(".verdict .what")
    expect(explanation).to_be_hidden()  # there is no lead to explain yet
    expect(fresh.locator(".verdict dt", has_text="Why")).to_be_hidden()
    expect(fresh.locator(".lab")).to_have_attribute("data-step", "0")
    fresh.keyboard.press("1")
    expect(question(fresh).locator(".chosen")).to_have_attribute("data-choice", "0")
    expect(fresh.get_by_role("button", name="Pause")).to_be_enabled()
    expect(explanation).to_be_visible()
    wait_for_address(fresh, "preset=opening&guess=0")


def test_an_answered_race_is_played_to_where_it_is_judged_and_says_why(
    page: Page, context: BrowserContext
) -> None:
    enter(page, "/training-lab?speed=240")
    open_question = question(page).inner_text()
    question(page).locator("[data-choice='0']").click()
    expect(question(page)).to_contain_text(f"The race is judged at step {OPENING.until}.")
    at_step(page, OPENING.until)
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(question(page).locator(".right")).to_have_count(1)
    told = question(page).locator(".said")
    expect(told).to_contain_text(re.compile("Right|Not quite"))
    expect(told.locator(".but")).to_be_visible()
    expect(told.get_by_role("link").first).to_be_visible()
    expect(page.locator(".verdict dt", has_text="Why")).to_be_hidden()  # the scene has its own reason
    wait_for_address(page, f"guess=0.*step={OPENING.until}")
    words = told.inner_text()
    other = context.new_page()
    open_lab(other, page.evaluate("location.href"))
    at_step(other, OPENING.until)
    expect(question(other).locator(".said")).to_have_text(re.compile(re.escape(words[:60])))
    page.get_by_role("button", name="Ask again").click()
    expect(question(page)).to_have_text(re.compile(re.escape(open_question[:40])))
    expect(question(page).locator("kbd")).to_have_count(len(OPENING.scene.choices))
    expect(page.locator(".lab")).to_have_attribute("data-step", "0")


def test_on_a_phone_the_race_comes_into_sight_and_then_what_is_said_of_it(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    enter(page, "/training-lab?preset=sigmoid&speed=60")
    question(page).locator("[data-choice='0']").click()
    accuracy = page.locator("[data-figure=accuracy] canvas")
    expect(accuracy).to_be_in_viewport(ratio=0.9)
    expect(page.get_by_role("button", name="Pause")).to_be_in_viewport()
    at_step(page, SCENES["sigmoid"].until)
    expect(question(page).locator(".said p").first).to_be_in_viewport()


def test_a_skipped_question_shows_the_race_and_judges_nobody(page: Page) -> None:
    enter(page, "/training-lab?speed=240")
    page.get_by_role("button", name="Skip the question").click()
    at_step(page, OPENING.until)
    wait_for_address(page, "guess=-3")
    expect(question(page).locator(".said p").first).to_be_visible()
    expect(question(page).locator(".chosen")).to_have_count(0)
    expect(question(page)).not_to_contain_text(re.compile("Right|Not quite"))


def test_an_answer_under_reduced_motion_shows_the_judged_step_at_once(fresh: Page) -> None:
    fresh.emulate_media(reduced_motion="reduce")
    open_lab(fresh, "/training-lab")
    fresh.keyboard.press("2")
    expect(fresh.get_by_role("button", name="Play")).to_be_visible()
    wait_for_address(fresh, f"step={OPENING.until}")


def test_the_menu_opens_scenes_and_a_changed_setting_leaves_them(page: Page) -> None:
    enter(page, SMALL + "&step=3&speed=120")
    at_step(page, 3)
    expect(question(page)).not_to_be_visible()
    name, scene = list(SCENES.items())[1]
    menu(page).select_option(scene.scene.title)
    wait_for_address(page, f"preset={name}.*speed=120")
    assert "step=" not in address(page) and "guess=" not in address(page)
    expect(question(page)).to_contain_text(scene.scene.question)
    page.locator("select[data-control=optimizer]").select_option("momentum")
    expect(question(page)).not_to_be_visible()
    expect(menu(page)).to_have_value("")
    wait_for_address(page, r"^((?!preset|guess).)*$")
    page.get_by_role("button", name="Put every setting back").click()
    expect(question(page)).to_contain_text(OPENING.scene.question)
    page.wait_for_function("location.search === ''")
    page.get_by_role("button", name="Next race to predict").click()
    expect(question(page)).to_contain_text(scene.scene.question)
    wait_for_address(page, f"preset={name}")
    page.go_back()
    expect(question(page)).to_contain_text(OPENING.scene.question)


# --- keys -----------------------------------------------------------------------------------------------


def test_keys_play_step_and_list_themselves(page: Page) -> None:
    enter(page, SMALL + "&step=30")
    at_step(page, 30)
    page.keyboard.press("ArrowRight")
    at_step(page, 31)
    page.keyboard.press("Shift+ArrowLeft")
    at_step(page, 21)
    wait_for_address(page, "step=21")
    page.keyboard.press("Home")
    at_step(page, 0)
    page.keyboard.press("End")
    at_step(page, 31)
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    keys = page.locator("dl.keys")
    page.keyboard.press("?")
    expect(keys).to_contain_text("play, pause")
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.get_by_role("button", name="Keys", exact=True).click()
    expect(keys).to_be_visible()


def test_what_has_the_focus_keeps_its_keys(page: Page) -> None:
    enter(page, SMALL + "&step=30")
    at_step(page, 30)
    page.locator("input[data-control=seed]").press("ArrowRight")
    wait_for_address(page, "seed=1")
    at_step(page, 30)
    page.locator("select[data-control=optimizer]").press("End")
    at_step(page, 30)
    slider(page).press("ArrowRight")
    at_step(page, 31)
    slider(page).press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


# --- one moment, and how long it takes to be there --------------------------------------------------------


def test_slider_clock_table_and_sentence_are_at_one_step(page: Page) -> None:
    enter(page, SMALL + "&speed=120")
    moments = page.locator(".lab").evaluate(
        """(lab) => new Promise((done) => {
          const seen = [];
          const number = (selector) => {
            const words = lab.querySelector(selector)?.textContent.match(/step (\\d+)/i);
            return words ? Number(words[1]) : null;
          };
          lab.addEventListener("bnlab:picture", () => setTimeout(() => {
            seen.push({
              slider: lab.querySelector(".scrub").valueAsNumber,
              clock: number(".clock"),
              table: number(".standing thead"),
              sentence: number(".verdict .text"),
            });
            if (seen.length === 120) done(seen);
          }));
        })"""
    )
    told = [moment for moment in moments if moment["sentence"] is not None]
    assert len(told) > 60
    for moment in moments:
        assert moment["slider"] == moment["clock"], moment
    # A sentence is of a validation that has just been passed, and the table of the same.
    for moment in told[20:]:
        assert moment["table"] == moment["sentence"] <= moment["clock"] <= moment["sentence"] + 120, moment
    page.get_by_role("button", name="Pause").click()
    step = int(re.search(r"\d+", page.locator(".clock").inner_text())[0])  # type: ignore[index]
    at_step(page, step)
    expect(slider(page)).to_have_value(str(step))


def test_the_axis_of_steps_stays_under_a_finger_and_grows_with_the_race(page: Page) -> None:
    enter(page, SMALL + "&step=100")
    at_step(page, 100)
    release = drag_slider(page, "step", 0.5, 1.0, hold=True)
    expect(page.locator(".lab")).to_have_attribute("data-step", re.compile("19[0-9]|200"))
    expect(slider(page)).to_have_attribute("max", "200")
    release()
    expect(slider(page)).to_have_attribute("max", re.compile("^22[0-3]$"))
    page.get_by_role("button", name="Reset to the identical initial weights").click()
    at_step(page, 0)
    expect(slider(page)).to_have_attribute("max", re.compile("^22[0-3]$"))


def test_a_wait_says_how_long_is_never_cut_and_offers_a_single_seed(page: Page) -> None:
    enter(page, "/training-lab?network=cnn&depth=4&width=32&lanes=none,batch,layer,group&step=400&seed=3")
    wait, words = page.locator(".busy"), page.locator(".busy span")
    fewer = page.get_by_role("button", name="Show 1 seed only, not 4")
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        expect(words).to_have_text(re.compile(r"^computing step \d+ of 400, about \d+ (s|min) left$"))
        expect(fewer).to_be_visible()
        assert wait.evaluate(
            "(node) => node.scrollWidth <= node.clientWidth + 1 && node.scrollHeight <= node.clientHeight + 1"
        ), width
        fewer.click(trial=True)
    page.get_by_role("button", name="Play").click()
    page.locator("select[data-control=speed]").select_option("120")
    expect(words).to_have_text(re.compile(r"^computing limits this to about [\d.]+ steps? a second$"))
    fewer.click()
    wait_for_address(page, "replicas=1")
    expect(fewer).to_be_hidden()


def test_before_anything_is_known_no_heading_stands_alone(fresh: Page) -> None:
    fresh.route_web_socket("**/live", lambda _: None)  # nobody answers
    fresh.goto(SMALL)
    expect(fresh.locator(".bar")).to_be_visible()
    for heading in (".verdict dt", ".standing th"):
        expect(fresh.locator(heading).filter(visible=True)).to_have_count(0)


def test_lanes_that_are_ready_are_shown_while_others_are_not(page: Page) -> None:
    enter(page, "/training-lab?network=cnn&depth=4&width=32&lanes=none,batch,layer,group&step=4&seed=5")
    expect(page.locator(".busy span")).to_have_text(
        re.compile(r"^first step of .*: (about \d+ s|\d+ s so far)$")
    )
    expect(page.locator("[data-figure=accuracy] canvas")).to_be_visible()
    at_step(page, 4)


def test_a_network_that_takes_long_starts_small(page: Page) -> None:
    enter(page, "/training-lab?step=5&seed=1")
    at_step(page, 5)
    page.locator("select[data-control=network]").select_option("cnn")
    wait_for_address(
        page, "network=cnn.*depth=3.*width=16|depth=3.*width=16.*network=cnn|network=cnn&depth=3"
    )
    page.locator("select[data-control=network]").select_option("mlp")
    wait_for_address(page, r"^((?!network|depth|width).)*$")


# --- experiments ----------------------------------------------------------------------------------------


def test_an_experiments_race_ends_in_its_verdict_from_the_judged_step_on(page: Page) -> None:
    _, race = RACES["E7", 1]
    enter(page, "/training-lab?experiment=E7&race=1")
    at_step(page, race.steps)
    heading = page.get_by_label("The experiment", exact=True)
    findings = page.get_by_label("Theory beside measured", exact=True)
    expect(heading).to_contain_text(f"judged at step {race.steps}")
    expect(heading.locator(".outcome")).to_contain_text("What E7 expects:")
    rows = findings.locator("tbody tr").filter(visible=True)
    assert 1 <= rows.count() <= 6
    outcome, missed = (rows.first.locator("td").nth(place) for place in (-2, -1))
    expect(outcome).to_have_text(re.compile("^(holds|fails|reported)$"))
    expect(missed).to_have_text(re.compile(r"^\d.*%$"))
    expect(findings.locator("details")).to_have_attribute("open", "")
    every = findings.locator("tbody tr").count()
    if every > 6:
        findings.get_by_role("button", name=f"Show all {every} rows").click()
        expect(rows).to_have_count(every)
    page.get_by_role("button", name="Go to the table").click()
    expect(findings).to_be_focused()
    page.get_by_role("button", name="One step back").click()
    at_step(page, race.steps - 1)
    expect(findings).to_be_hidden()
    page.locator("select[data-control=optimizer]").select_option("momentum")
    expect(heading).to_be_hidden()


# --- what is looked at ----------------------------------------------------------------------------------


def test_data_in_the_plane_show_where_the_network_decides_what(page: Page) -> None:
    enter(page, SMALL + "&step=0")
    surface = page.locator("[data-figure=surface] canvas")
    expect(surface).not_to_be_visible()
    page.locator("select[data-control=dataset]").select_option("moons")
    expect(surface).to_be_visible()
    at_step(page, 0)
    before = surface.evaluate("(canvas) => canvas.toDataURL()")
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".clock")).to_have_text(re.compile(r"step [2-9]\d"))
    page.get_by_role("button", name="Pause").click()
    assert surface.evaluate("(canvas) => canvas.toDataURL()") != before


def test_each_view_changes_its_own_picture(page: Page) -> None:
    enter(page, SMALL + "&step=30")
    at_step(page, 30)
    views = [("loss", "validation", "loss"), ("layer", "1", "time"), ("histogram", "preactivation", "ridges")]
    for control, value, picture in views:
        canvas = page.locator(f"[data-figure={picture}] canvas")
        before = canvas.evaluate("(canvas) => canvas.toDataURL()")
        flow = page.locator("[data-figure=flow] canvas").evaluate("(canvas) => canvas.toDataURL()")
        page.locator(f"select[data-control={control}]").select_option(value)
        wait_for_address(page, f"{control}={value}")
        assert canvas.evaluate("(canvas) => canvas.toDataURL()") != before, control
        assert page.locator("[data-figure=flow] canvas").evaluate("(canvas) => canvas.toDataURL()") == flow


def test_a_press_on_a_curve_moves_the_playhead_there(page: Page) -> None:
    enter(page, SMALL + "&step=100")
    at_step(page, 100)
    box = page.locator("[data-figure=accuracy] canvas").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 3
    page.mouse.move(box["x"] + 0.6 * box["width"], middle)
    page.mouse.down()
    expect(page.locator(".lab")).not_to_have_attribute("data-step", "100")
    reached = int(page.locator(".lab").get_attribute("data-step") or 0)
    assert 60 < reached < 140
    page.mouse.move(box["x"] + 0.9 * box["width"], middle)
    expect(page.locator(".lab")).to_have_attribute("data-step", re.compile("1[5-9][0-9]"))
    expect(slider(page)).to_have_attribute("max", "200")
    page.mouse.up()
    wait_for_address(page, r"step=1[5-9]\d")
    at_step(page, int(page.locator(".lab").get_attribute("data-step") or 0))


def test_a_broken_address_is_mended_field_by_field(page: Page) -> None:
    enter(
        page,
        "/training-lab?depth=2&width=16&replicas=2&step=1&lanes=foo&lr=1e99&activation=%3Cimg%3E&colour=blue",
    )
    at_step(page, 1)
    warning = page.get_by_text("Part of this address could not be used").locator("..")
    for words in (
        "lanes=foo must be a norm, such as batch", "lr=1e99 is outside 0.0001 to 10",
        "activation=<img> is not one of", "colour is no setting",
    ):  # fmt: skip
        expect(warning).to_contain_text(words)
    expect(page.get_by_text("Traceback")).to_have_count(0)


def test_nothing_is_wider_than_the_screen(page: Page) -> None:
    enter(page, SMALL + "&step=3")
    at_step(page, 3)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        resized(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for canvas in page.locator("figure:not([hidden]) canvas").all():
            box = canvas.bounding_box()
            assert box is not None and box["width"] > 250 and box["x"] + box["width"] <= width


def test_reduced_motion_waits_for_the_reader(fresh: Page) -> None:
    fresh.emulate_media(reduced_motion="reduce")
    open_lab(fresh, SMALL)
    at_step(fresh, 0)
    expect(fresh.get_by_role("button", name="Play")).to_be_visible()


def test_streamlit_reruns_do_not_interrupt_the_picture(page: Page) -> None:
    enter(page, SMALL)
    pictures = watch_pictures(page)
    norm(page, 1).select_option("layer")  # a rerun of the page's script
    wait_for_address(page, "layer")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    before = pictures()
    page.wait_for_timeout(1000)
    assert pictures() > before, "it goes on playing, in the same canvases"


def test_the_picture_comes_back_after_the_server_restarts(page: Page, server) -> None:
    enter(page, SMALL + "&step=30")
    at_step(page, 30)
    before = layers(page)
    server.stop()
    expect(page.get_by_text("The server is away")).to_be_visible()
    around = page.locator("[data-test-connection-state]")  # the page has a connection of its own
    expect(around).not_to_have_attribute("data-test-connection-state", "CONNECTED")
    server.start()
    expect(page.get_by_text("The server is away")).not_to_be_visible(timeout=30_000)
    expect(around).to_have_attribute("data-test-connection-state", "CONNECTED")
    page.get_by_role("button", name="One step", exact=True).click()
    wait_for_address(page, "step=31")
    at_step(page, 31)
    page.get_by_role("button", name="One step back").click()
    at_step(page, 30)
    assert layers(page) == before
