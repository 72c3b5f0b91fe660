"""Every chapter in a real browser: what all of them promise. A new chapter is taken along by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from book.registry import chapters
from tests.browser.gestures import at_rest, wait_for_address
from tests.browser.opened import watched
from tests.server import Server

pytestmark = pytest.mark.browser

CHAPTERS = chapters()
SCENES = [(name, scene.name) for name, chapter in CHAPTERS.items() for scene in chapter.scenes]
ASKED = [
    (name, scene.name) for name, chapter in CHAPTERS.items() for scene in chapter.scenes if scene.choices
]
FIRST = [next(pair for pair in ASKED if pair[0] == name) for name in CHAPTERS if CHAPTERS[name].scenes]


def open_scene(page: Page, chapter: str, scene: str = "", query: str = "") -> None:
    """Open a scene and wait until all that belongs to its picture is there."""
    asked = "&".join(filter(None, [f"scene={scene}" if scene else "", query]))
    page.goto(f"/{CHAPTERS[chapter].path}" + (f"?{asked}" if asked else ""))
    settled(page)


def settled(page: Page) -> None:
    expect(page.locator(".lab[data-shown]")).to_be_visible()
    at_rest(page)


def answered(page: Page) -> None:
    expect(page.locator(".choices .right")).to_be_visible()
    settled(page)


# Plotly's own reading of an opened figure, beside what was sent: ranges, ticks and marks.
OPENED = """() => {
  const ours = [...document.querySelectorAll("*")].find((node) => node.shadowRoot?.querySelector("dialog"));
  const plot = (ours?.shadowRoot ?? document).querySelector("dialog .js-plotly-plot");
  if (!plot?._fullLayout) return null;
  const axes = {};
  for (const [name, axis] of Object.entries(plot._fullLayout)) {
    if (/^[xy]axis\\d*$/.test(name) && axis.range) {
      const sent = plot.layout[name];
      const ticks = plot.querySelectorAll(`g.${axis._id}tick`).length;
      const [range, asked] = [axis.range, sent.range].map((ends) => ends.map(Number));
      axes[name] = { range, sent: asked, ticks, said: sent.tickvals.length };
    }
  }
  return { axes, traces: plot._fullData.length, sent: plot.data.length };
}"""


def check_words(page: Page) -> None:
    """Every figure says in words what it shows."""
    for canvas in page.locator("figure canvas[role=img]").all():
        expect(canvas).to_have_attribute("aria-label", re.compile(r"\S{2,} \S+"))
        assert "nan" not in (canvas.get_attribute("aria-label") or "").split()


def show(page: Page, scene: str) -> None:
    """Choose a scene of the chapter that is open."""
    if scene:
        page.locator(f".scenes [data-scene={scene}]").click()
        expect(page.locator(".scenes [aria-current]")).to_have_attribute("data-scene", scene)
    settled(page)


def explore(page: Page, number: int) -> None:
    """Have real Plotly open a figure, and compare it with what was sent."""
    figure = page.locator("figure[data-figure]").nth(number)
    figure.locator(".explore").click()
    dialog = page.locator("dialog.exploring")
    expect(dialog.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    found = page.evaluate(OPENED)
    assert found and found["traces"] == found["sent"] > 0
    for name, axis in found["axes"].items():
        assert axis["range"] == pytest.approx(axis["sent"]), name
        assert axis["ticks"] <= axis["said"], name
    expect(dialog.locator("table tr").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(figure.locator(".explore")).to_be_focused()


def fits_a_phone(page: Page, scenes: list[str]) -> None:
    """Check that no scene is wider than a phone, and nothing in it is cut off."""
    page.set_viewport_size({"width": 390, "height": 844})
    for scene in scenes:
        show(page, scene)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, scene
        for part in page.locator(
            ".scenes [aria-current], .panel button:visible, .choices button:visible, .ways button:visible, "
            ".chapter input:visible, .chapter select:visible, figure canvas:visible, .explore:visible"
        ).all():
            box = part.bounding_box()
            assert box is None or (box["x"] >= -0.5 and box["x"] + box["width"] <= 390.5), scene


def holds_still(page: Page) -> None:
    """Check that no slider is moved away from under the finger."""
    for slider in page.locator(".controls input[type=range]:visible").all():
        slider.scroll_into_view_if_needed()
        before = slider.bounding_box()
        assert before
        for key in ("Home", "End"):
            slider.press(key)
            settled(page)
            after = slider.bounding_box()
            assert after and abs(after["y"] - before["y"]) <= 1, slider.get_attribute("data-control")


@pytest.fixture(scope="module", params=CHAPTERS)
def astray(profile: BrowserContext, request: pytest.FixtureRequest) -> Iterator[tuple[Page, str]]:
    """Every chapter, at an address of which nothing can be used: it opens as if nothing had been asked."""
    with watched(profile) as page:
        nonsense = "scene=nowhere&guesses=%3Cb%3E:9&step=1e400&momentum=NaN&zzz=%22%27"
        open_scene(page, request.param, query=nonsense)
        yield page, request.param


def test_nonsense_in_the_address_is_named_and_survived(astray: tuple[Page, str]) -> None:
    page, _ = astray
    warning = page.get_by_text("Part of this address could not be used").locator("..")
    expect(warning).to_contain_text("zzz is no setting")
    assert page.locator("figure canvas").count()


@pytest.mark.parametrize("astray", dict(FIRST), indirect=True)
def test_keys_answer_and_lead_on(astray: tuple[Page, str]) -> None:
    page, chapter = astray
    scene, names = dict(FIRST)[chapter], [one.name for one in CHAPTERS[chapter].scenes]
    show(page, scene)
    page.keyboard.press("?")
    expect(page.locator(".keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".keys")).to_be_hidden()
    page.keyboard.press("2")
    answered(page)
    expect(page.locator(".choices .chosen")).to_have_attribute("data-choice", "1")
    page.locator("body").press("ArrowRight")
    second = names[names.index(scene) + 1]
    expect(page.locator(".scenes [aria-current]")).to_have_attribute("data-scene", second)
    settled(page)
    page.locator("body").press("ArrowLeft")
    expect(page.locator(".scenes [aria-current]")).to_have_attribute("data-scene", scene)
    expect(page.locator(".choices .chosen")).to_have_attribute("data-choice", "1")


@pytest.mark.parametrize("chapter", [name for name, one in CHAPTERS.items() if not one.scenes])
def test_the_layout_holds_still_while_a_slider_moves(page: Page, chapter: str) -> None:
    open_scene(page, chapter)
    holds_still(page)


def test_a_press_does_not_wait_for_a_draft_that_takes_its_time(page: Page) -> None:
    said: list[str] = []

    def sent(frame: str | bytes) -> None:
        if isinstance(frame, str) and frame.startswith('{"kind":"view"'):
            said.append("draft" if json.loads(frame)["draft"] else "asked")

    def received(frame: str | bytes) -> None:
        if isinstance(frame, bytes) and b'"kind":"view"' in frame[:40]:
            said.append("shown")

    page.on("websocket", lambda socket: (socket.on("framesent", sent), socket.on("framereceived", received)))
    open_scene(page, "placement", "beta", "guesses=beta:0&seed=7777")
    said.clear()
    page.locator("button[data-control=seed]").click()
    settled(page)
    assert said[:2] == ["draft", "asked"] and "shown" in said[2:]


def test_the_picture_goes_on_when_the_server_is_back(context: BrowserContext, server: Server) -> None:
    page = context.new_page()
    open_scene(page, "one_batch", "free")
    before = page.locator(".verdict").inner_text()
    server.kill()
    away = page.get_by_text("The server is away; the picture goes on when it is back")
    expect(away).to_be_visible()
    slider = page.locator("input[data-control=batch_size]")
    slider.press("Home")
    server.start()
    expect(away).to_have_count(0)
    expect(page.locator(".verdict")).not_to_have_text(before)
    expect(page.locator(".verdict")).to_contain_text("A batch of one")
    page.close()


def test_a_view_that_fails_offers_the_way_back(page: Page) -> None:
    """The server's word that a picture could not be computed, put into the channel's place."""
    page.add_init_script(
        """const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (text) {
          const asked = typeof text === "string" && text.startsWith("{") ? JSON.parse(text) : {};
          if (asked.kind !== "view" || asked.values.batch_size !== 13) return send.call(this, text);
          const problem = { kind: "problem", of: "view", id: asked.id, message: "It could not be computed." };
          setTimeout(() => this.onmessage({ data: JSON.stringify(problem) }));
        };"""
    )
    open_scene(page, "one_batch", "free", "batch_size=12")
    before = page.locator(".verdict").inner_text()
    page.locator("input[data-control=batch_size]").press("ArrowRight")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("It could not be computed.")
    assert page.locator(".verdict").inner_text() == before, "the picture before stays"
    alert.get_by_role("button", name="Go back").click()
    expect(alert).to_have_count(0)
    wait_for_address(page, "batch_size=12")
    page.locator("input[data-control=batch_size]").press("ArrowLeft")
    expect(page.locator(".verdict")).to_contain_text("11 numbers")
