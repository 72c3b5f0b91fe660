"""The training lab on every screen: nothing is covered, cut, out of reach or out of sight."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.gestures import SMALL, open_lab
from tests.browser.opened import resized, watched
from tests.browser.screens import CUT, HIDDEN, NARROWEST, SCREENS, TOO_WIDE, stuck

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


@pytest.fixture(scope="module", params=[900, 1440])
def lab(profile: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The lab, loaded once for all tests: where its settings are closed at first, and where they are open."""
    with watched(profile) as page:
        page.set_viewport_size({"width": request.param, "height": 900})
        open_lab(page, FULL)
        there(page)
        yield page


def on(*sizes: tuple[int, int]) -> pytest.MarkDecorator:
    """Try screens on the page that was loaded on one like them, all of its tests in one go."""
    asked = [(size, 900 if size[0] <= 900 else 1440) for size in sizes]
    names = [f"{width}x{height}" for width, height in sizes]
    return pytest.mark.parametrize(("size", "lab"), asked, indirect=["lab"], ids=names, scope="module")


def there(page: Page) -> None:
    """Wait until the table is."""
    expect(page.locator(".standing tbody td").first).not_to_have_text("…")


def found(page: Page, measure: str) -> list[str]:
    """What a measure finds on a page that has been given a size: its parts may follow one by one."""
    for _ in range(100):
        if not page.evaluate(measure):
            return []
        page.wait_for_timeout(50)
    return list(page.evaluate(measure))


def resize(page: Page, size: tuple[int, int]) -> None:
    """Give a page the size of a screen."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    resized(page)
    there(page)


@contextmanager
def all_open(page: Page) -> Iterator[None]:
    """Every group of settings and every menu of the lab, for a while."""
    details = page.locator(".lab details")
    before = details.evaluate_all(
        """(all) => all.map((one) => {
          const before = one.open;
          one.open = true;
          return before;
        })"""
    )
    yield
    details.evaluate_all("(all, before) => all.forEach((one, i) => { one.open = before[i]; })", before)


def headings(page: Page) -> Locator:
    """Everything that names a part of the lab."""
    parts = page.locator(".lab summary, .lab legend, .lab .caption, .lab .standing th, .lab .name")
    return parts.filter(visible=True)


def hidden(parts: Locator) -> dict[str, list[str]]:
    """Which of them are out of reach, and what of them."""
    out: dict[str, list[str]] = parts.evaluate_all(
        f"""async (parts) => {{
          const hidden = {HIDDEN}, found = {{}};
          for (const part of parts) {{
            const out = await hidden(part);
            if (out.length) found[part.innerText] = out;
          }}
          return found;
        }}"""
    )
    return out


def contrast(page: Page, part: Locator) -> float:
    """Contrast of the lightest and the darkest point of a part of the page."""
    png = base64.b64encode(part.screenshot()).decode()
    return float(page.evaluate(SHADES, png))


@on(*SCREENS)
def test_what_stays_in_sight_leaves_three_quarters_of_the_height(lab: Page, size: tuple[int, int]) -> None:
    resize(lab, size)
    seen = stuck(lab)
    assert seen["scrolled"] > 0
    assert 0 < seen["share"] <= 0.25, seen
    assert any(".bar" in name for name in seen["names"]), "the bar stays in sight"
    beside = lab.locator(".race .panel").evaluate(
        """(panel) => getComputedStyle(panel).position === "static"
          || panel.getBoundingClientRect().right <= panel.nextElementSibling.getBoundingClientRect().left"""
    )
    assert beside, "the settings are beside the figures, or above them"


@on(*SCREENS, NARROWEST)
def test_every_heading_is_in_reach_nothing_is_too_wide_and_no_word_is_cut(
    lab: Page, size: tuple[int, int]
) -> None:
    resize(lab, size)
    with all_open(lab):
        assert found(lab, TOO_WIDE) == []
        assert found(lab, CUT) == []
        parts = headings(lab)
        words = " ".join(parts.all_inner_texts())
        for name in ("Loss", "Lanes", "Training", "Network", "Take it away", "Check against PyTorch"):
            assert name in words
        assert hidden(parts) == {}


@on((1280, 720), (390, 844), (640, 360))
def test_large_type_cuts_nothing(lab: Page, size: tuple[int, int]) -> None:
    resize(lab, size)
    large = lab.add_style_tag(content=LARGE)
    with all_open(lab):
        assert lab.locator(".lab").evaluate("(lab) => getComputedStyle(lab).fontSize") == "24px"
        assert found(lab, TOO_WIDE) == []
        assert found(lab, CUT) == []
        assert stuck(lab)["share"] <= 0.25
    large.evaluate("(style) => style.remove()")


@on((390, 844))
def test_a_window_that_is_too_narrow_is_noticed(lab: Page, size: tuple[int, int]) -> None:
    """The measures of the tests above see what is wrong: a row that doesn't wrap, and a word that is cut."""
    resize(lab, size)
    change = """(lab, [row, clock]) => {
      lab.querySelector(".verdict .text").style.cssText = row;
      lab.querySelector(".clock").style.cssText = clock;
    }"""
    wrong = ["white-space: nowrap; width: 900px", "width: 20px; min-width: 0; overflow: hidden"]
    lab.locator(".lab").evaluate(change, wrong)
    assert any("text" in name for name in lab.evaluate(TOO_WIDE))
    assert any("clock" in name for name in lab.evaluate(CUT))
    lab.locator(".lab").evaluate(change, ["", ""])


# --- colours of the reader's system ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["light", "dark"])
def forced(profile: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The lab where the reader's system chooses the colours."""
    with watched(profile) as page:
        page.set_viewport_size({"width": 1280, "height": 720})
        page.emulate_media(forced_colors="active", color_scheme=request.param)
        open_lab(page, FULL)
        there(page)
        yield page


def test_forced_colours_leave_everything_visible(forced: Page) -> None:
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


def test_more_contrast_draws_lines_in_the_text_s_colour(page: Page) -> None:
    page.emulate_media(contrast="more")
    open_lab(page, SMALL + "&step=3&guess=-3")
    colours = page.get_by_role("button", name="One step", exact=True).evaluate(
        "(node) => [getComputedStyle(node).color, getComputedStyle(node).borderTopColor]"
    )
    assert colours[0] == colours[1]
