"""The chapter "One batch" in a real browser: gestures, predictions, and what a link restores."""

from __future__ import annotations

import math
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from book.batch import sample
from pages.one_batch import CHAPTER
from tests.browser.gestures import address, at_rest, drag_slider, wait_for_address, watch_pictures
from tests.browser.opened import enter, show

pytestmark = pytest.mark.browser


@pytest.fixture
def page(inside: Page) -> Page:
    return inside


SCENES = {scene.name: scene for scene in CHAPTER.scenes}
ASKED = [name for name, scene in SCENES.items() if scene.choices]
# Links into scenes whose question has been answered.
FIVE = "?scene=tug&guesses=tug:2&source=gaussian&batch_size=5"
WALK = "?scene=steps&guesses=steps:2&batch_size=12&gamma=2.0&beta=1.0&operation=x"
CLIFF = "?scene=cliff&guesses=cliff:0&source=gaussian&batch_size=4"


def open_chapter(page: Page, query: str = "?scene=tug") -> None:
    enter(page, "/one-batch" + query)
    expect(page.locator(".verdict")).to_contain_text(re.compile("numbers|A batch of one|what all of them"))


def choose(page: Page, number: int) -> None:
    page.locator(f".choices button[data-choice='{number}']").click()


def dots(page: Page) -> Locator:
    return page.locator("canvas.dots")


def handle(page: Page) -> Locator:
    """What carries the chosen dot by keys, and says where it is."""
    return page.locator("[role=slider][data-control=moved]")


def picture(page: Page) -> str:
    return str(dots(page).evaluate("(canvas) => canvas.toDataURL()"))


def dot_at(page: Page, value: float, rows: int = 3) -> tuple[float, float]:
    """Where a dot of the top row lies on the screen (desktop width)."""
    box = dots(page).bounding_box()
    assert box is not None
    left, right = box["x"] + 150, box["x"] + box["width"] - 14
    return left + (value + 6.125) / 12.25 * (right - left), box["y"] + (box["height"] - 26) / rows - 14


def pull(page: Page, value: float, distance: float) -> None:
    x, y = dot_at(page, value)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 31):
        page.mouse.move(x + distance * step / 30, y)
    page.mouse.up()


def text_of(locator: Locator) -> str:
    return " ".join(locator.inner_text().split())


# --- a prediction, then what is measured ----------------------------------------------------------------


def test_a_prediction_comes_first(page: Page) -> None:
    open_chapter(page)
    expect(page.locator(".prediction h2")).to_contain_text("pulled out to 1,000")
    expect(page.locator("input[data-control=batch_size]")).to_be_disabled()
    before = text_of(page.locator(".verdict"))
    pull(page, 1.3, 300)
    assert text_of(page.locator(".verdict")) == before, "nothing is given away before"
    choose(page, 0)
    expect(page.locator(".said")).to_contain_text(re.compile("you said “at 1,000”.*It ended at 2"))
    expect(page.locator(".verdict")).to_contain_text("the farthest now is 2.00")
    expect(page.locator(".choices .right")).to_have_text("at 2")
    expect(page.locator(".choices .chosen")).to_have_text("at 1,000")
    expect(page.locator("input[data-control=batch_size]")).to_be_enabled()
    wait_for_address(page, r"guesses=tug%3A0")
    assert "moved=2%3A1000.0" in address(page)


def test_a_right_prediction_is_told_so_and_remembered(page: Page) -> None:
    open_chapter(page)
    choose(page, 2)
    expect(page.locator(".said")).to_contain_text("Right.")
    page.get_by_role("button", name="Next scene").click()
    expect(page.locator(".prediction h2")).to_contain_text("where is the mean of y")
    page.get_by_role("button", name="Tug a dot, answered").click()
    expect(page.locator(".said")).to_contain_text("Right.")
    page.get_by_role("button", name="Start over with this scene").click()
    expect(page.locator(".said")).to_have_text("Choose an answer; then it is measured.")
    wait_for_address(page, r"^(?!.*guesses)")


def test_who_wants_no_motion_sees_the_end_at_once(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    open_chapter(page, "?scene=microscope")
    pictures = watch_pictures(page)
    choose(page, 0)
    expect(page.locator(".verdict")).to_contain_text("standard deviation 0.302")
    assert pictures() <= 2, "the answer, and the state that it was measured in; nothing between"


# --- the scenes -----------------------------------------------------------------------------------------


def test_a_tugged_dot_stops_at_the_wall_and_takes_the_others_along(page: Page) -> None:
    open_chapter(page, FIVE)
    x = sample("gaussian", 0)[0][:5]
    neighbour = page.locator("[data-opens=mean].number").first
    before = neighbour.inner_text()
    pull(page, float(max(x)), 900)
    expect(page.locator(".verdict")).to_contain_text(
        "stays within √(5−1) = 2.00 of 0; the farthest now is 2.00"
    )
    expect(neighbour).not_to_have_text(before)
    wait_for_address(page, "moved=")


def test_a_touched_number_opens_its_arithmetic(page: Page) -> None:
    open_chapter(page, "?scene=tug&guesses=tug:2&batch_size=3&eps=0.0&moved=0:1,1:2,2:6&gamma=2&beta=-1")
    arithmetic = page.locator(".arithmetic")
    for key, expected in {
        "mean": "μ = 1 + 2 + 6 3 = 9 3 = 3",
        "variance": "σ² = (−2)² + (−1)² + 3² 3 = 14 3 ≈ 4.67",
        "root": "√ σ² + ε ≈ √ 4.67 + 0 ≈ 2.16",
        "normalized": "x̂ 1 ≈ 1 − 3 2.16 ≈ −2 2.16 ≈ −0.926",
        "y": "y 1 ≈ 2 · (−0.926) + (−1) ≈ −1.85 + (−1) ≈ −2.85",
    }.items():
        button = page.locator(f".equation [data-opens={key}]")
        button.click()
        expect(button).to_have_attribute("aria-expanded", "true")
        assert re.sub(r"[\s]+", "", arithmetic.inner_text()) == re.sub(r"\s+", "", expected), key
    arithmetic.locator("[data-opens=normalized]").click()
    expect(arithmetic).to_contain_text("−0.926")
    expect(page.locator(".equation [data-opens=normalized]")).to_have_attribute("aria-expanded", "true")


def test_where_digits_are_dropped_nothing_is_said_to_be_equal(page: Page) -> None:
    open_chapter(page, FIVE + "&moved=2:1000.0")
    for key in ("mean", "variance", "root", "normalized", "y"):
        page.locator(f".equation [data-opens={key}]").click()
        expect(page.locator(".arithmetic")).to_contain_text("≈")
        assert "=" not in text_of(page.locator(".arithmetic"))
    expect(page.locator("[data-equation=normalized]")).to_contain_text("≈")


def test_a_division_by_nothing_is_called_undefined(page: Page) -> None:
    open_chapter(page, "?scene=microscope&guesses=microscope:2&batch_size=2&eps=0.0&moved=0:3,1:3")
    page.locator(".equation [data-opens=normalized]").click()
    expect(page.locator(".arithmetic")).to_contain_text("undefined; bnlib returns 0")
    expect(page.locator(".verdict")).to_contain_text("0/0, which is undefined (bnlib returns 0)")


def test_long_sums_are_abbreviated(page: Page) -> None:
    open_chapter(page, "?scene=free&batch_size=256")
    page.locator(".equation [data-opens=mean]").click()
    shown = text_of(page.locator(".arithmetic"))
    assert shown.count("…") == 1 and shown.count("+") == 5 and "256" in shown


def test_steps_go_forwards_and_backwards(page: Page) -> None:
    open_chapter(page, WALK)
    words, active = page.locator(".walk .status"), page.locator(".equation.active")
    pictures = [picture(page)]
    for step, (said, equation) in enumerate(
        [("the mean μ", "mean"), ("subtract μ", "mean"), ("the variance σ²", "variance"),
         ("add ε, take the root", "root"), ("divide", "normalized"), ("times γ", "y"), ("plus β", "y")],
        start=1,
    ):  # fmt: skip
        page.get_by_role("button", name="Step on by one operation").click()
        expect(words).to_have_text(f"{step} of 7: {said}")
        expect(active).to_have_attribute("data-equation", equation)
        at_rest(page)
        pictures.append(picture(page))
    assert len(set(pictures)) >= 7, "each operation is seen"
    expect(page.locator(".verdict")).to_contain_text("leave with mean 1 and standard deviation 2.")
    page.get_by_role("button", name="Back by one operation").click()
    expect(words).to_have_text("6 of 7: times γ")
    at_rest(page)
    assert picture(page) == pictures[6]
    wait_for_address(page, "operation=gamma")
    page.get_by_role("button", name="To the beginning").click()
    expect(words).to_have_text("What arrives")
    at_rest(page)
    assert picture(page) == pictures[0]


def test_the_walk_knows_nothing_of_later_operations(page: Page) -> None:
    open_chapter(page, "?scene=steps")
    numbers = page.locator(".equation .number")
    expect(page.locator(".verdict")).to_have_text("These numbers arrive.")
    assert numbers.all_inner_texts() == ["?"] * 5
    open_chapter(page, WALK.replace("operation=x", "operation=root"))
    expect(page.locator(".verdict")).to_contain_text("what all of them are divided by")
    assert [text == "?" for text in numbers.all_inner_texts()] == [False, False, False, True, True]
    numbers.first.click()
    expect(page.locator(".arithmetic")).to_contain_text("μ")
    expect(numbers.last).to_be_disabled()


def test_the_shape_of_small_batches_is_measured_against_theory(page: Page) -> None:
    open_chapter(page, "?scene=shape&guesses=shape:0&source=gaussian&batch_size=4")
    note = page.locator(".measure.shape")
    expect(note).to_contain_text("4,096 batches of 4")
    expect(note).to_contain_text("They agree.")
    before = picture(page)
    page.locator("select[data-control=source]").select_option("skewed")
    expect(note).to_contain_text("these are not, and it shows")
    assert picture(page) != before
    wait_for_address(page, "source=skewed")


def test_the_lamp_lights_and_the_next_batch_breaks_it(page: Page) -> None:
    open_chapter(page, "?scene=undo")
    expect(page.locator(".lamp")).not_to_be_visible()
    choose(page, 2)
    expect(page.locator(".lamp.lit")).to_have_text("The lamp is on: y = x")
    page.locator("button[data-control=draw]").click()
    expect(page.locator(".lamp:not(.lit)")).to_have_text("The lamp is off")
    wait_for_address(page, "draw=1")
    x = sample("skewed", 1)[0][:32]
    for control, value in {"gamma": math.sqrt(x.var() + 1e-5), "beta": x.mean()}.items():
        page.locator(f"input[data-control={control}]").fill(str(round((value + 4) / 0.05)))
    expect(page.locator(".lamp.lit")).to_have_text("The lamp is on: y ≈ x")


def test_the_cliff_ends_in_spikes_and_then_in_beta(page: Page) -> None:
    open_chapter(page, CLIFF)
    gauge = page.get_by_role("meter")
    expect(gauge).to_have_attribute("aria-valuenow", re.compile(r"0\.(49|5[01])"))
    size = page.locator("input[data-control=batch_size]")
    size.focus()
    for expected, share in ((3, "≈ 33.3%"), (2, "= 0.0%")):
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".measure.share .note")).to_contain_text(
            f"theory: ({expected}−2)/{expected} {share}."
        )
    expect(gauge).to_have_attribute("aria-valuenow", "0.000")
    expect(page.locator("[data-equation=normalized] .number")).to_have_text(re.compile("^−?1$"))
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".verdict")).to_contain_text(
        "A batch of one is its own mean: x̂ is 0 whatever x is. So y = β = 0"
    )
    expect(page.locator("[data-equation=y] .number")).to_have_text("0")


def test_the_microscope_shows_a_spread_of_three_tenths(page: Page) -> None:
    open_chapter(page, "?scene=microscope")
    choose(page, 0)
    expect(page.locator(".verdict")).to_contain_text("standard deviation 0.302")
    expect(page.locator(".measure.spread .note")).to_contain_text(
        "σ = 0.001, √ε = 0.00316. Standard deviation of x̂: 0.30; σ / √(σ² + ε) ≈ 0.30"
    )
    expect(page.locator(".measure.spread canvas")).to_have_attribute(
        "aria-label", re.compile("deviation of x̂: 0.30")
    )
    pictures = watch_pictures(page)
    release = drag_slider(page, "eps", 0.4, 0.02, hold=True)
    expect(page.locator(".measure.spread .note")).to_contain_text("deviation of x̂: 1.00")
    assert pictures() >= 5
    release()


def test_tiny_numbers_are_dragged_on_an_axis_of_their_own(page: Page) -> None:
    open_chapter(page, "?scene=free&source=gaussian&scale=1e-6&moved=0:0")
    expect(handle(page)).to_have_attribute("aria-valuemax", "0.00001225")
    handle(page).focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(handle(page)).to_have_attribute("aria-valuenow", "0.000002")


# --- links, history, keyboard, phone --------------------------------------------------------------------


def test_back_and_forward_in_the_browser(page: Page) -> None:
    def settled(scene: str) -> None:
        """The scene is shown, and Python has heard of it."""
        wait_for_address(page, f"scene={scene}")
        expect(page.locator(".scenes [aria-current]")).to_have_attribute("data-scene", scene)
        page.locator("[data-test-script-state=notRunning]").wait_for()

    open_chapter(page, FIVE)
    settled("tug")
    for scene in ("undo", "free"):
        page.locator(f".scenes [data-scene={scene}]").click()
        settled(scene)
    page.go_back()
    settled("undo")
    expect(page.locator(".prediction h2")).to_contain_text("Can γ and β undo")
    page.go_back()
    settled("tug")
    expect(page.locator(".verdict")).to_contain_text("5 numbers")
    page.go_forward()
    settled("undo")


def test_a_broken_address_keeps_what_it_can(page: Page) -> None:
    open_chapter(page, "?scene=shape&guesses=tug:77&batch_size=16&source=nowhere&scale=2&draw=-1")
    expect(page.locator(".scenes [aria-current]")).to_have_attribute("data-scene", "shape")
    expect(page.locator(".verdict")).to_contain_text("16 numbers")
    warning = page.get_by_text("Part of this address could not be used").locator("..")
    for words in (
        "guesses=tug:77 must be scenes",
        "source=nowhere is not one of",
        "scale=2 is outside",
        "draw=-1 is",
    ):
        expect(warning).to_contain_text(words)


def test_the_keyboard_is_enough(page: Page) -> None:
    open_chapter(page)
    page.locator(".choices button").first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".choices .chosen")).to_have_attribute("data-choice", "1")
    expect(page.locator(".said")).to_be_focused()
    assert page.locator(".choices button:enabled").count() == 0, "what can't be used can't be focused"
    page.locator(".scenes [data-scene=cliff]").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".prediction h2")).to_contain_text("The batch shrinks to two")
    page.locator("[data-opens=mean].number").first.focus()
    page.keyboard.press("Space")
    expect(page.locator(".arithmetic")).to_contain_text("μ")


def test_keys_carry_a_dot_to_the_wall(page: Page) -> None:
    open_chapter(page, FIVE)
    canvas = handle(page)
    canvas.focus()
    for _ in range(20):
        before = canvas.get_attribute("aria-valuenow") or ""
        page.keyboard.press("Shift+ArrowRight")
        expect(canvas).not_to_have_attribute("aria-valuenow", before)
    expect(page.locator(".verdict")).to_contain_text("the farthest now is 2.00")
    now, highest = (float(canvas.get_attribute(f"aria-value{name}") or "nan") for name in ("now", "max"))
    assert 1000 < now <= highest


@pytest.mark.parametrize(("away", "taken"), [(7, 0), (14, 1)])
def test_the_chosen_disc_takes_the_chosen_dot(page: Page, away: int, taken: int) -> None:
    """Another dot is nearer in both places; only the first is within the disc."""
    open_chapter(page, FIVE + "&moved=0:3,1:3.1,2:-3,3:-4,4:-5")
    expect(handle(page)).to_have_attribute("aria-valuetext", re.compile("dot 1 of 5"))
    x, y = dot_at(page, 3)
    page.mouse.move(x + away, y)
    page.mouse.down()
    page.mouse.move(x + 150, y)
    page.mouse.up()
    expect(handle(page)).to_have_attribute("aria-valuetext", re.compile(f"dot {taken + 1} of 5"))
    wait_for_address(page, rf"moved=.*{taken}%3A5\.")


def test_hints_wait_for_the_answer(page: Page) -> None:
    open_chapter(page)
    hints = page.locator("figure.main .hint, .arithmetic.hint")
    assert hints.count() == 2
    for hint in hints.all():
        expect(hint).not_to_be_visible()
    choose(page, 0)
    for hint in hints.all():
        expect(hint).to_be_visible()


def test_the_legend_is_taken_along_in_its_colours(page: Page) -> None:
    open_chapter(page, "?scene=shape&guesses=shape:0&source=gaussian&batch_size=4")
    page.locator(".take summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="SVG").click()
    drawn = download.value.path().read_text()
    words = ("chosen dot", "mean", "± σ", "many batches")
    assert all(f">{name}" in drawn for name in words), "the legend is written"
    shown = page.locator("figure[data-figure=dots]").evaluate(
        "(node) => getComputedStyle(node).getPropertyValue('--st-chart-categorical-colors').split(',')"
    )
    for number in (0, 1, 2):
        assert shown[number].strip().lower() in drawn.lower(), "in the page's own colours"


def test_equations_stay_in_their_column(page: Page) -> None:
    open_chapter(page, "?scene=free&source=gaussian&batch_size=128&scale=1e-8&gamma=-1.5")
    for width, height in ((1366, 768), (1280, 720), (1024, 768), (1440, 900)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        column = page.locator(".left").bounding_box()
        assert column is not None
        for card in page.locator(".equation, .equation .number").all():
            box = card.bounding_box()
            assert box is not None and box["x"] + box["width"] <= column["x"] + column["width"] + 0.5, width


def test_every_scene_fits_one_screen(page: Page) -> None:
    for name in SCENES:
        guess = f"&guesses={name}:0" if name in ASKED else ""
        open_chapter(page, f"?scene={name}{guess}&source=gaussian&batch_size=32")
        box = page.locator(".chapter").bounding_box()
        assert box is not None and box["y"] + box["height"] <= 900, name
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator(".scenes .title")).to_have_text([scene.title for scene in SCENES.values()])
    for title in page.locator(".scenes .title").all():
        expect(title).to_be_visible()


def test_touch_tugs_a_dot_on_a_phone(phone: Page) -> None:
    show(phone, "/one-batch" + FIVE)
    dots(phone).scroll_into_view_if_needed()
    box = dots(phone).bounding_box()
    assert box is not None
    farthest = float(max(sample("gaussian", 0)[0][:5]))
    start = {
        "x": box["x"] + 30 + (farthest + 6.125) / 12.25 * (box["width"] - 44),
        "y": box["y"] + (box["height"] - 26) / 3 - 14,
    }
    session = phone.context.new_cdp_session(phone)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
    for step in range(1, 10):
        at = {"x": start["x"] + 13 * step, "y": start["y"]}
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
    expect(phone.locator(".verdict")).to_contain_text("the farthest now is 1.9")
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
