"""The training lab on every screen: nothing is covered, cut, out of reach or out of sight."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.gestures import SMALL, open_lab
from tests.browser.screens import CUT, HIDDEN, NARROWEST, SCREENS, TOO_WIDE, stuck
from tests.server import Server

pytestmark = pytest.mark.browser

# A race with all there is: long names, a setting of a lane's own, a change in mid-run, data in the plane.
FULL = (
    "/training-lab?depth=2&width=16&replicas=2&dataset=moons&step=30&edits=10:lr:0.5"
    "&lanes=none,running,ghost~lr:1.0"
)
LARGE = "html { font-size: 24px !important; }"

# Contrast, as WCAG defines it, between the lightest and the darkest point of a picture.
SHADES = """async (png) => {
  const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes]));
  const pen = new OffscreenCanvas(image.width, image.height).getContext("2d");
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, image.width, image.height);
  const luminance = (i) => [0.2126, 0.7152, 0.0722].reduce((sum, part, k) => {
    const c = data[i + k] / 255;
    return sum + part * (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  }, 0);
  let [low, high] = [1, 0];
  for (let i = 0; i < data.length; i += 4) {
    low = Math.min(low, luminance(i));
    high = Math.max(high, luminance(i));
  }
  return (high + 0.05) / (low + 0.05);
}"""


def at(page: Page, size: tuple[int, int], address: str = FULL) -> None:
    """Open the lab on a screen of this size."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_lab(page, address)
    expect(page.locator(".standing tbody td").first).not_to_have_text("…")


def open_all(page: Page) -> None:
    """Open every group of settings and every menu of the lab."""
    page.locator(".lab").evaluate(
        "(lab) => lab.querySelectorAll('details').forEach((one) => { one.open = true; })"
    )


def headings(page: Page) -> list[Locator]:
    """Everything that names a part of the lab."""
    parts = page.locator(".lab summary, .lab legend, .lab .caption, .lab .standing th, .lab .name")
    return parts.filter(visible=True).all()


def contrast(page: Page, part: Locator) -> float:
    """Contrast of the lightest and the darkest point of a part of the page."""
    png = base64.b64encode(part.screenshot()).decode()
    return float(page.evaluate(SHADES, png))


@pytest.mark.parametrize("size", SCREENS)
def test_what_stays_in_sight_leaves_three_quarters_of_the_height(page: Page, size: tuple[int, int]) -> None:
    at(page, size)
    seen = stuck(page)
    assert seen["scrolled"] > 0
    assert 0 < seen["share"] <= 0.25, seen
    assert any(".bar" in name for name in seen["names"]), "the bar stays in sight"
    beside = page.locator(".race .panel").evaluate(
        """(panel) => getComputedStyle(panel).position === "static"
          || panel.getBoundingClientRect().right <= panel.nextElementSibling.getBoundingClientRect().left"""
    )
    assert beside, "the settings are beside the figures, or above them"


@pytest.mark.parametrize("size", [*SCREENS, NARROWEST])
def test_every_heading_is_in_reach_nothing_is_too_wide_and_no_word_is_cut(
    page: Page, size: tuple[int, int]
) -> None:
    at(page, size)
    open_all(page)
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate(CUT) == []
    found = headings(page)
    words = " ".join(part.inner_text() for part in found)
    for name in ("Loss", "Lanes", "Training", "Network", "Take it away", "Check against PyTorch"):
        assert name in words
    hidden = {part.inner_text(): out for part in found if (out := part.evaluate(HIDDEN))}
    assert not hidden


@pytest.mark.parametrize("size", [(1280, 720), (390, 844), (640, 360)])
def test_large_type_cuts_nothing(page: Page, size: tuple[int, int]) -> None:
    at(page, size)
    page.add_style_tag(content=LARGE)
    open_all(page)
    assert page.locator(".lab").evaluate("(lab) => getComputedStyle(lab).fontSize") == "24px"
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate(CUT) == []
    assert stuck(page)["share"] <= 0.25


def test_a_window_that_is_too_narrow_is_noticed(page: Page) -> None:
    """The measures of the tests above see what is wrong: a row that doesn't wrap, and a word that is cut."""
    at(page, (390, 844))
    page.locator(".lab").evaluate(
        """(lab) => {
          const row = lab.querySelector(".verdict .text");
          row.style.cssText = "white-space: nowrap; width: 900px";
          lab.querySelector(".clock").style.cssText = "width: 20px; min-width: 0; overflow: hidden";
        }"""
    )
    assert any("text" in name for name in page.evaluate(TOO_WIDE))
    assert any("clock" in name for name in page.evaluate(CUT))


# --- colours of the reader's system ------------------------------------------------------------------------


@pytest.fixture(params=["light", "dark"])
def forced(chromium: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The lab where the reader's system chooses the colours."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 720}, base_url=server.url, forced_colors="active",
        color_scheme=request.param,
    )  # fmt: skip
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    open_lab(page, FULL)
    yield page
    context.close()
    assert not errors


def test_forced_colours_leave_everything_visible(forced: Page) -> None:
    expect(forced.locator(".standing tbody td").first).not_to_have_text("…")
    lab = forced.locator(".lab")
    for part in (
        lab.locator("input.scrub"), lab.locator("input[data-control=lr]"), lab.locator("button.main"),
        lab.locator(".what").first, *lab.locator(".standing .swatch").all(),
        *lab.locator("figure:not([hidden]) canvas").all(),
    ):  # fmt: skip
        assert contrast(forced, part) >= 3, part


def test_forced_colours_are_those_of_the_canvases(forced: Page) -> None:
    found = forced.locator("figure[data-figure=accuracy] canvas").evaluate(
        """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const counts = {};
          for (let i = 0; i < data.length; i += 4) {
            const colour = data.slice(i, i + 3).join();
            if (data[i + 3] === 255) counts[colour] = (counts[colour] ?? 0) + 1;
          }
          const probe = document.body.appendChild(document.createElement("p"));
          const written = (colour) => {
            probe.style.color = colour;
            probe.style.forcedColorAdjust = "none";
            return getComputedStyle(probe).color.match(/\\d+/g).join();
          };
          const style = getComputedStyle(canvas);
          const colours = style.getPropertyValue("--st-chart-categorical-colors").split(",").slice(0, 4);
          const of = Object.fromEntries(colours.map((one) => [one, counts[written(one)] ?? 0]));
          return [counts[written("CanvasText")] ?? 0, of];
        }"""
    )
    text, themes = found  # of the theme's colours those that are no greys
    assert text > 100 and len(themes) == 4 and not any(themes.values()), found


def test_forced_colours_show_what_is_chosen_and_where_the_focus_is(forced: Page) -> None:
    play = forced.get_by_role("button", name="Play")
    colours = """(node) => {
      const { color, backgroundColor } = getComputedStyle(node);
      return [color, backgroundColor];
    }"""
    other = forced.get_by_role("button", name="One step", exact=True)
    assert play.evaluate(colours) != other.evaluate(colours)
    why = forced.locator(".standing .what").first
    closed = why.evaluate(colours)
    why.click()
    forced.mouse.move(0, 0)
    assert why.evaluate(colours) != closed
    forced.keyboard.press("Tab")
    ring = forced.locator(".lab").evaluate(
        """(lab) => {
          const { outlineStyle, outlineWidth, outlineColor, backgroundColor } =
            getComputedStyle(lab.getRootNode().activeElement);
          return [outlineStyle, outlineWidth, outlineColor !== backgroundColor];
        }"""
    )
    assert ring == ["solid", "3px", True]


def test_lanes_differ_by_their_dashes_where_colours_are_forced(forced: Page) -> None:
    looks = forced.locator(".lane .swatch path").evaluate_all(
        "(all) => all.map((one) => `${one.getAttribute('stroke')} ${one.getAttribute('stroke-dasharray')}`)"
    )
    assert len(set(looks)) == len(looks) == 3


def test_more_contrast_draws_lines_in_the_text_s_colour(chromium: Browser, server: Server) -> None:
    context = chromium.new_context(base_url=server.url, contrast="more")
    page = context.new_page()
    open_lab(page, SMALL + "&step=3&guess=-3")
    colours = page.get_by_role("button", name="One step", exact=True).evaluate(
        "(node) => [getComputedStyle(node).color, getComputedStyle(node).borderTopColor]"
    )
    assert colours[0] == colours[1]
    context.close()
