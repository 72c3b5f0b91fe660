"""Sliders under a finger: a swipe across one scrolls the page, a drag along it moves it, a tap sets it."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.gestures import address, wait_for_address
from tests.browser.opened import show, watched

pytestmark = pytest.mark.browser

GAMMA, STEP = "input[data-control=gamma]", "input[data-control=step]"
STOPS = 160  # of γ, from −4 to 4


class Finger:
    """One finger on a slider, as the touch screen reports it."""

    def __init__(self, page: Page, slider: str = GAMMA) -> None:
        self.page = page
        self.slider = slider
        self.screen = page.context.new_cdp_session(page)

    def down(self, share: float) -> None:
        """Touch the slider at a share of its length."""
        box = self.page.locator(self.slider).bounding_box()
        assert box is not None
        self.x, self.y = box["x"] + share * box["width"], box["y"] + box["height"] / 2
        self._send("touchStart", {"x": self.x, "y": self.y})

    def move(self, x: float, y: float, moves: int = 12) -> None:
        """Go so many pixels right and down, in several moves."""
        for _ in range(moves):
            self.x, self.y = self.x + x / moves, self.y + y / moves
            self._send("touchMove", {"x": self.x, "y": self.y})
            self.page.wait_for_timeout(1000 / 60)  # the pace of a hand, not a wait for anything

    def up(self) -> None:
        """Lift the finger."""
        self._send("touchEnd")

    def _send(self, kind: str, *points: dict[str, float]) -> None:
        self.screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})


@pytest.fixture
def phone(phone: Page) -> Page:
    """The home page on a small touch screen, with the slider for γ in the middle of it."""
    phone.set_viewport_size({"width": 390, "height": 700})
    show(phone, "/")
    expect(phone.locator(".verdict")).to_contain_text("numbers with mean")
    phone.locator(GAMMA).evaluate(
        """(slider) => {
          slider.scrollIntoView({ block: "center" });
          slider.values = []; // every value that it is left with, be it for a moment only
          addEventListener("input", () => slider.values.push(slider.value));
          addEventListener("change", () => slider.values.push(slider.value));
        }"""
    )
    come_to_rest(phone)
    return phone


def gamma(page: Page) -> int:
    return int(page.locator(GAMMA).input_value())


def at(value: float) -> int:
    """The stop of a value of γ."""
    return round((value + 4) / 8 * STOPS)


def height(page: Page) -> float:
    """Where the slider is on the screen."""
    box = page.locator(GAMMA).bounding_box()
    assert box is not None
    return box["y"]


def come_to_rest(page: Page, slider: str = GAMMA) -> None:
    """Wait until a page that was swiped stays where it is for ten pictures on end."""
    page.locator(slider).evaluate(
        """async (slider) => {
          for (let still = 0, y; still < 10; ) {
            await new Promise(requestAnimationFrame);
            const now = slider.getBoundingClientRect().top;
            still = now === y ? still + 1 : 0;
            y = now;
          }
        }"""
    )


@pytest.mark.parametrize("down", [-220, 220])
def test_a_swipe_that_begins_on_a_slider_scrolls_the_page(phone: Page, down: int) -> None:
    before = height(phone)
    verdict = phone.locator(".verdict").inner_text()
    finger = Finger(phone)
    finger.down(0.25)
    finger.move(3, down)
    phone.wait_for_function(
        "([slider, y]) => Math.abs(slider.getBoundingClientRect().top - y) > 100",
        arg=[phone.locator(GAMMA).element_handle(), before],
    )
    finger.up()
    come_to_rest(phone)
    assert gamma(phone) == at(1)
    assert phone.locator(GAMMA).evaluate("(slider) => slider.values.every((value) => value === '100')")
    assert address(phone) == "/"
    assert phone.locator(".verdict").inner_text() == verdict


def test_a_drag_along_a_slider_moves_it(phone: Page) -> None:
    before = height(phone)
    verdict = phone.locator(".verdict").inner_text()
    finger = Finger(phone)
    finger.down(0.625)
    finger.move(5, 0, moves=1)
    assert gamma(phone) == at(1), "not yet sure that the finger moves sideways"
    finger.move(60, 8)
    seen = gamma(phone)
    assert seen > at(1)
    finger.move(40, 8)
    assert gamma(phone) > seen, "the slider follows"
    expect(phone.locator(".verdict")).not_to_have_text(verdict)
    assert address(phone) == "/", "the address waits for the end of the gesture"
    finger.up()
    wait_for_address(phone, r"\?gamma=")
    assert height(phone) == before, "the page stays where it is"


def test_a_drag_back_to_where_it_began_ends_there(phone: Page) -> None:
    finger = Finger(phone)
    finger.down(0.625)
    finger.move(80, 0)
    finger.move(-80, 0)
    finger.up()
    assert abs(gamma(phone) - at(1)) <= 2


def test_a_tap_sets_a_slider_when_the_finger_lifts(phone: Page) -> None:
    finger = Finger(phone)
    finger.down(0.25)
    assert gamma(phone) == at(1)
    finger.up()
    wait_for_address(phone, r"\?gamma=-2")
    assert abs(gamma(phone) - at(-2)) <= 3
    label = phone.locator("label.control", has=phone.locator(GAMMA))
    expect(label.locator("output")).to_contain_text("−2")


def test_the_next_gesture_is_a_new_one(phone: Page) -> None:
    """Neither a swipe nor a drag leaves anything behind."""
    finger = Finger(phone)
    finger.down(0.25)
    finger.move(0, -30)
    finger.up()
    come_to_rest(phone)
    finger.down(0.625)
    finger.move(60, 0)
    finger.up()
    wait_for_address(phone, r"\?gamma=")
    moved = gamma(phone)
    assert moved > at(1)
    finger.down(0.25)
    finger.move(0, 30)
    finger.up()
    come_to_rest(phone)
    assert gamma(phone) == moved


def test_the_step_of_a_race_stays_where_it_is_when_the_page_is_swiped(touched: BrowserContext) -> None:
    with watched(touched) as page:
        page.set_viewport_size({"width": 390, "height": 700})
        page.goto("/training-lab?depth=2&width=16&replicas=2&step=40")
        lab = page.locator(".lab")
        expect(lab).to_have_attribute("data-step", "40")
        finger = Finger(page, STEP)
        finger.down(0.8)
        finger.move(3, -200)
        page.wait_for_function("scrollY > 0 || document.querySelector('.stMain').scrollTop > 0")
        finger.up()
        expect(lab).to_have_attribute("data-step", "40")
        come_to_rest(page, STEP)
        page.locator(STEP).scroll_into_view_if_needed()
        finger.down(0.8)
        finger.up()
        expect(lab).not_to_have_attribute("data-step", "40")
