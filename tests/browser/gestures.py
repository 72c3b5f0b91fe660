"""What a hand does on a page, for the browser tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

# Small networks: tests of the lab are about the page, and the machine may be slow.
SMALL = "/training-lab?depth=2&width=16&replicas=2"


def address(page: Page) -> str:
    """Path and query of the page's present address."""
    return str(page.evaluate("location.pathname + location.search"))


def wait_for_address(page: Page, part: str) -> None:
    """Wait until the page's address contains a match of the pattern ``part``."""
    page.wait_for_function("(part) => new RegExp(part).test(location.href)", arg=part)


def at_rest(page: Page) -> None:
    """Wait until a chapter shows and says what was asked for last."""
    page.locator(".lab[data-shown]").wait_for()
    page.locator(".lab").evaluate(
        """(lab) => new Promise((done) => {
          const look = () => {
            const { asked, shown, told } = lab.dataset;
            const busy = lab.querySelector(".chapter.growing, .chapter.moving");
            if (!busy && asked === shown && shown === told) done();
            else requestAnimationFrame(look);
          };
          look();
        })"""
    )


def drag_slider(
    page: Page, control: str, start: float, end: float, *, hold: bool = False, moves: int = 25
) -> Callable[[], None]:
    """Drag a slider from one share of its length to another; with ``hold`` the caller lets go."""
    slider = page.locator(f"input[data-control={control}]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * start, y)
    page.mouse.down()
    for move in range(1, moves + 1):
        page.mouse.move(box["x"] + box["width"] * (start + (end - start) * move / moves), y)
        page.wait_for_timeout(1000 / 60)  # the pace of a hand, not a wait for anything
    if not hold:
        page.mouse.up()
    return page.mouse.up


def watch_pictures(page: Page) -> Callable[[], Any]:
    """Count the pictures drawn from now on."""
    page.locator(".lab").evaluate(
        """(lab) => {
          lab.pictures = 0;
          lab.addEventListener("bnlab:picture", () => { lab.pictures += 1; });
        }"""
    )
    return lambda: page.locator(".lab").evaluate("(lab) => lab.pictures")


def pictures_change(page: Page, before: list[str]) -> None:
    """Wait until every canvas of the lab differs from ``before``."""
    look = """(lab, before) => [...lab.querySelectorAll("figure:not([hidden]) canvas")]
      .every((canvas, i) => canvas.toDataURL() !== before[i])"""
    for _ in range(600):
        if page.locator(".lab").evaluate(look, before):
            return
        page.wait_for_timeout(50)
    raise AssertionError("a picture is still the same")


def open_lab(page: Page, address: str) -> None:
    """Open the training lab and wait until it shows a step."""
    page.goto(address)
    expect(page.locator(".lab[data-step]")).to_be_visible()


def at_step(page: Page, step: int) -> None:
    """Wait until the lab and its verdict are at ``step``."""
    expect(page.locator(".lab")).to_have_attribute("data-step", str(step))
    expect(page.locator(".verdict")).to_contain_text(f"Step {step}, validation accuracy")


def canvases(page: Page) -> list[str]:
    """Every picture, to the last pixel."""
    shown = page.locator("figure:not([hidden]) canvas").all()
    return [canvas.evaluate("(canvas) => canvas.toDataURL()") for canvas in shown]
