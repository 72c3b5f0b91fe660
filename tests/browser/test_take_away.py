"""Taking a picture away: what is downloaded is what is on the page."""

from __future__ import annotations

import asyncio
import base64
import re
import struct
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from book.controls import read
from book.export import csv_text, script_text
from book.race.settings import LAB_CONTROLS
from book.registry import chapters
from live import take as files
from tests.browser.gestures import wait_for_address
from tests.browser.opened import enter, recolour
from tests.scheduler import Inline

pytestmark = pytest.mark.browser


@pytest.fixture
def page(inside: Page) -> Page:
    return inside


LAB = "/training-lab?depth=2&width=16&replicas=2&step=30"
SVG = "{http://www.w3.org/2000/svg}"
# Mean difference of the colours, 0 to 1, between a canvas and the same picture out of the file. Both are
# drawn by one renderer: what differs is the smoothing of edges and letters.
SAME = {1: 0.003, 2: 0.006}  # by pixels of the screen for one of the page


def open_lab(page: Page, address: str = LAB) -> None:
    enter(page, address)
    expect(page.locator(".lab")).to_have_attribute("data-step", "30")
    expect(page.locator(".verdict:not(.old)")).to_contain_text("Step 30, validation accuracy")


def open_menu(page: Page) -> None:
    page.locator("summary", has_text="Take it away").click()


def take(page: Page, what: str, folder: Path) -> tuple[str, bytes]:
    """Name and content of what the button downloads."""
    with page.expect_download() as download:
        page.locator(".take").get_by_role("button", name=re.compile(f"^{what}")).click()
    expect(page.locator(".take [role=status]")).to_contain_text(
        f"Saved as {download.value.suggested_filename}"
    )
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path.name, path.read_bytes()


def texts(svg: bytes) -> str:
    return " ".join(node.text or "" for node in ET.fromstring(svg).iter(f"{SVG}text"))


def module(page: Page, name: str) -> str:
    """The address of one of the modules that every page with a picture loads."""
    return str(
        page.evaluate(
            """(name) => performance.getEntriesByType("resource").map((entry) => entry.name)
            .find((address) => address.endsWith(name))""",
            f"/{name}",
        )
    )


# How far apart two pictures are: a canvas of the page, and a part of an SVG drawn in the same size.
COMPARE = """async ({ canvas, svg, box, page }) => {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  await image.decode();
  const pixels = (draw) => {
    const sheet = document.createElement("canvas");
    [sheet.width, sheet.height] = [canvas.width, canvas.height];
    const pen = sheet.getContext("2d");
    pen.fillStyle = page;
    pen.fillRect(0, 0, sheet.width, sheet.height);
    draw(pen, sheet.width / box.width);
    return pen.getImageData(0, 0, sheet.width, sheet.height).data;
  };
  const apart = (one, other) => {
    let sum = 0;
    for (let i = 0; i < one.length; i += 1) sum += Math.abs(one[i] - other[i]);
    return sum / one.length / 255;
  };
  const shown = pixels((pen) => pen.drawImage(canvas, 0, 0));
  const taken = pixels((pen, ratio) => {
    pen.setTransform(ratio, 0, 0, ratio, -ratio * box.x, -ratio * box.y);
    pen.drawImage(image, 0, 0);
  });
  return [apart(shown, taken), apart(shown, pixels(() => {}))];
}"""


@pytest.mark.parametrize("ratio", [1, 2])
def test_the_svg_is_the_page(fresh: Page, tmp_path: Path, ratio: int) -> None:
    screen = fresh.context.new_cdp_session(fresh)
    sharp = {"width": 1440, "height": 900, "deviceScaleFactor": ratio, "mobile": False}
    screen.send("Emulation.setDeviceMetricsOverride", sharp)
    fresh.emulate_media(color_scheme="light")
    fresh.goto(LAB + "&dataset=spirals&edits=10:lr:0.5")
    assert fresh.evaluate("devicePixelRatio") == ratio
    expect(fresh.locator(".lab")).to_have_attribute("data-reached", "200")  # no curve grows any more
    open_menu(fresh)
    grounds = [what_is_taken_is_shown(fresh, tmp_path, SAME[ratio])]
    recolour(fresh, "dark")
    grounds.append(what_is_taken_is_shown(fresh, tmp_path, SAME[ratio]))
    assert len(set(grounds)) == 2, "light, and dark"


def what_is_taken_is_shown(page: Page, folder: Path, same: float) -> str:
    """Check that the SVG says and shows what the page does; return the colour of its ground."""
    name, svg = take(page, "SVG", folder)
    assert name == "batchnorm-lab-step-30.svg"
    root = ET.fromstring(svg)
    written = texts(svg)
    for part in page.locator(".verdict .text, .verdict dd").filter(visible=True).all()[:2]:
        assert " ".join(part.inner_text().split()) in " ".join(written.split())  # how it stands, and why
    assert page.evaluate("location.href") in written.replace(" ", "")
    colour = page.locator(".lab").evaluate(
        "(lab) => getComputedStyle(lab).getPropertyValue('--st-background-color').trim()"
    )
    (ground,) = (node for node in root.findall(f"{SVG}rect"))
    assert ground.get("fill") == colour
    canvases = page.locator("figure canvas").filter(visible=True).all()
    figures = [node for node in root.findall(f"{SVG}g") if node.get("class") == "figure"]
    assert len(figures) == len(canvases) >= 7
    for canvas, figure in zip(canvases, figures, strict=True):
        assert figure.get("aria-label", "?") in written
        x, y = re.findall(r"[\d.]+", figure.get("transform", ""))
        width, height = canvas.evaluate("(c) => [c.clientWidth, c.clientHeight]")
        box = {"x": float(x), "y": float(y), "width": width, "height": height}
        given = {"canvas": canvas.element_handle(), "svg": svg.decode(), "box": box, "page": colour}
        difference, blank = page.evaluate(COMPARE, given)
        assert difference < same < blank, figure.get("aria-label")
    return colour


def test_the_png_is_the_svg_twice_as_sharp(page: Page, tmp_path: Path) -> None:
    open_lab(page)
    open_menu(page)
    name, png = take(page, "PNG", tmp_path)
    root = ET.fromstring(take(page, "SVG", tmp_path)[1])
    assert name == "batchnorm-lab-step-30.png" and png.startswith(b"\x89PNG\r\n\x1a\n")
    across, down = struct.unpack(">II", png[16:24])
    assert across == 2 * float(root.get("width", 0)) and down == 2 * float(root.get("height", 0))
    colours = page.evaluate(
        """async (written) => {
          const bytes = Uint8Array.from(atob(written), (c) => c.charCodeAt(0));
          const image = await createImageBitmap(new Blob([bytes]));
          const pen = new OffscreenCanvas(image.width, image.height).getContext("2d");
          pen.drawImage(image, 0, 0);
          const { data } = pen.getImageData(0, 0, image.width, image.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }""",
        base64.b64encode(png).decode(),
    )
    assert colours > 50, "a picture, not an empty sheet"


def test_numbers_and_script_come_from_the_server(page: Page, tmp_path: Path) -> None:
    open_lab(page)
    open_menu(page)
    name, table = take(page, "CSV", tmp_path)
    assert name == "batchnorm-lab-step-30.csv"
    lines = table.decode().splitlines()
    assert "lane,seed,step,layer,quantity,value" in lines
    accuracies = [
        float(line.split(",")[5]) for line in lines if re.match("batch norm,.,30,,val_accuracy,", line)
    ]
    assert len(accuracies) == 2
    assert f"batch norm {50 * sum(accuracies):.1f}%" in page.locator(".verdict").inner_text()
    values, _ = read(LAB_CONTROLS, {"depth": 2, "width": 16, "replicas": 2, "step": 30})
    with ThreadPoolExecutor(1) as beside:  # this thread's event loop is Playwright's
        gathered = beside.submit(asyncio.run, files.lab_frames(values, 30, Inline().frames)).result()
    assert table.decode() == "".join(files.lab_csv(values, 30, gathered))
    name, script = take(page, "Python", tmp_path)
    assert name == "batchnorm-lab-step-30.py"
    assert b"STEP = 30" in script and b"bnlib.RunConfig(" in script
    assert script.decode() == files.lab_python(values, 30)
    compile(script, name, "exec")


def test_a_batch_can_be_taken_too(page: Page, tmp_path: Path) -> None:
    enter(page, "/one-batch?scene=tug")
    expect(page.locator(".verdict")).to_contain_text("standard deviation")
    open_menu(page)
    name, svg = take(page, "SVG", tmp_path)
    assert name == "batchnorm-one-batch-tug.svg"
    assert " ".join(page.locator(".verdict").inner_text().split()) in " ".join(texts(svg).split())
    assert take(page, "PNG", tmp_path)[1].startswith(b"\x89PNG")
    name, table = take(page, "CSV", tmp_path)
    assert name == "batchnorm-one-batch-tug.csv" and b"\nindex,x,x_hat,y\n0," in table
    name, script = take(page, "Python", tmp_path)
    assert name == "batchnorm-one-batch-tug.py" and b"import bnlib" not in script
    chapter = chapters()["one_batch"]
    values, _ = read(chapter.table, {"batch_size": 5, "source": "gaussian"})  # as the scene has them
    assert table.decode() == csv_text(chapter, values, chapter.view(values, {}))
    assert script.decode() == script_text(chapter, values)


def test_the_menu_needs_no_mouse(page: Page) -> None:
    open_lab(page)
    summary = page.locator("summary", has_text="Take it away")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".take")).to_have_attribute("open", "")
    page.keyboard.press("Tab")
    expect(page.locator(".take button").first).to_be_focused()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".png")
    page.keyboard.press("Escape")
    expect(page.locator(".take")).not_to_have_attribute("open", "")
    expect(summary).to_be_focused()


def test_on_a_phone_all_are_in_reach(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_lab(page)
    open_menu(page)
    buttons = page.locator(".take button").filter(visible=True)
    expect(buttons).to_have_count(5)  # four files and a link
    for button in buttons.all():
        box = button.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["height"] >= 40
    for what, ending in (("CSV", "csv"), ("Python", "py")):
        assert take(page, what, tmp_path)[0] == f"batchnorm-lab-step-30.{ending}"


def test_a_scene_names_its_files(page: Page, tmp_path: Path) -> None:
    enter(page, "/one-batch?scene=shape")
    expect(page.locator(".verdict")).to_contain_text("standard deviation")
    open_menu(page)
    for what, ending in (("PNG", "png"), ("SVG", "svg"), ("CSV", "csv"), ("Python", "py")):
        assert take(page, what, tmp_path)[0] == f"batchnorm-one-batch-shape.{ending}"


# ---- links ------------------------------------------------------------------------------------------


def copied(page: Page, name: str) -> str:
    """What a button puts on the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".take").get_by_role("button", name=re.compile(name)).click()
    address = str(page.evaluate("navigator.clipboard.readText()"))
    expect(page.locator(".take [role=status]")).to_contain_text(address)
    return address


def test_a_chapter_is_copied_with_the_answer_and_without(page: Page, context: BrowserContext) -> None:
    enter(page, "/one-batch?scene=shape")
    choices = page.locator(".choices button")
    expect(choices.first).to_be_enabled()
    open_menu(page)
    links = page.locator(".take .links button")
    expect(links.filter(visible=True)).to_have_count(1)
    choices.first.click()
    expect(page.locator(".said")).to_contain_text(re.compile("Right|Not quite"))
    wait_for_address(page, "guesses=")
    page.locator(".take").hover()
    expect(links.filter(visible=True)).to_have_count(2)
    assert copied(page, "^Copy link: ") == page.url
    address = copied(page, "^Copy link with the question open")
    assert address.endswith("/one-batch?scene=shape")
    other = context.new_page()
    other.goto(address)
    expect(other.locator(".choices button").first).to_be_enabled()
    expect(other.locator(".choices .right")).to_have_count(0)


def test_a_race_is_copied_with_the_answer_and_without(fresh: Page, context: BrowserContext) -> None:
    fresh.goto("/training-lab")
    fresh.locator(".choices button").first.click()
    wait_for_address(fresh, "guess=0")
    fresh.keyboard.press(" ")
    wait_for_address(fresh, "step=")
    open_menu(fresh)
    assert copied(fresh, "^Copy link: ") == fresh.url
    address = copied(fresh, "^Copy link with the question open")
    assert "guess" not in address and "step" not in address
    other = context.new_page()
    other.goto(address)
    expect(other.locator(".prediction .choices button").first).to_be_enabled()
    expect(other.locator(".prediction h2")).to_have_text(fresh.locator(".prediction h2").inner_text())


def test_a_browser_that_does_not_copy_shows_the_link(page: Page) -> None:
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true })")
    enter(page, "/one-batch?scene=tug")
    expect(page.locator(".verdict")).to_contain_text("standard deviation")
    open_menu(page)
    page.locator(".take").get_by_role("button", name=re.compile("^Copy link: ")).click()
    expect(page.locator(".take [role=status]")).to_contain_text(page.url)
    page.evaluate("delete navigator.clipboard")


# ---- the look-alike of a canvas ---------------------------------------------------------------------

# Every call it knows, on a real canvas and on the look-alike.
EVERYTHING = """(pen, image) => {
  pen.clearRect(0, 0, 300, 200);
  pen.font = "16px sans-serif";
  pen.lineJoin = "round";
  pen.lineCap = "round";
  pen.fillStyle = "rgba(200, 30, 30, 0.5)";
  pen.fillRect(10, 50, 40, -35);
  pen.globalAlpha = 0.6;
  pen.strokeStyle = "hsl(210, 80%, 40%)";
  pen.lineWidth = 5;
  pen.setLineDash([12, 6]);
  if (pen.getLineDash().join() !== "12,6") throw new Error("dash");
  pen.beginPath();
  pen.moveTo(60, 20);
  pen.lineTo(110, 20);
  pen.lineTo(110, 55);
  pen.lineTo(Number.NaN, 70);
  pen.closePath();
  pen.stroke();
  pen.strokeRect(120, 10, 30, 30);
  pen.save();
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  pen.beginPath();
  pen.rect(160, 10, 60, 50);
  pen.clip();
  pen.beginPath();
  pen.arc(190, 60, 40, 0, 2 * Math.PI);
  pen.clip();
  pen.fillStyle = "green";
  pen.fillRect(150, 0, 150, 150);
  pen.restore();
  pen.setLineDash([]);
  for (const [i, backwards] of [false, true].entries()) {
    pen.beginPath();
    pen.arc(40 + 60 * i, 100, 20, 0.5, 4, backwards);
    pen.fill();
    pen.stroke();
  }
  pen.save();
  pen.translate(200, 120);
  pen.rotate(0.6);
  pen.scale(1.5, 1.5);
  pen.strokeRect(-20, -10, 40, 20);
  pen.fillText("turned", -20, 0);
  pen.drawImage(image, 24, -8, 12, 12);
  pen.restore();
  pen.globalAlpha = 1;
  pen.fillStyle = "#123";
  const apart = { top: 150, middle: 165, alphabetic: 180, bottom: 195 };
  for (const [baseline, y] of Object.entries(apart)) {
    pen.textBaseline = baseline;
    pen.textAlign = "left";
    pen.fillText("left <&> “x̂”", 5, y);
    pen.textAlign = "right";
    pen.fillText("right", 295, y);
  }
  pen.textAlign = "center";
  pen.lineWidth = 1;
  pen.font = "italic bold 20px serif";
  pen.strokeText("outlined", 150, 160);
  pen.fillRect(150, 170, pen.measureText("outlined").width, 4);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(image, 0, 1, 2, 1, 100, 175, 40, 20);
  pen.beginPath();
  pen.rect(250, 20, 40, 40);
  pen.rect(260, 30, 20, 20);
  pen.fill("evenodd");
  const pixels = pen.createImageData(6, 6);
  pixels.data.fill(200);
  pen.putImageData(pixels, 230, 70);
}"""


@pytest.mark.parametrize("ratio", [1, 2])
def test_every_call_looks_as_on_a_canvas(page: Page, ratio: int) -> None:
    difference, blank = page.evaluate(
        f"""async ({{ address, ratio }}) => {{
          const {{ SvgCanvas, svgFile }} = await import(address);
          const everything = {EVERYTHING}, compare = {COMPARE};
          const image = document.createElement("canvas");
          [image.width, image.height] = [2, 2];
          ["red", "lime", "blue", "black"].forEach((colour, i) => {{
            image.getContext("2d").fillStyle = colour;
            image.getContext("2d").fillRect(i % 2, i >> 1, 1, 1);
          }});
          const real = document.createElement("canvas"), other = new SvgCanvas(300, 200);
          for (const canvas of [real, other]) {{
            [canvas.width, canvas.height] = [300 * ratio, 200 * ratio];
            const pen = canvas.getContext("2d");
            pen.setTransform(ratio, 0, 0, ratio, 0, 0);
            everything(pen, image);
          }}
          const svg = svgFile(300, 200, other.content());
          return compare({{ canvas: real, svg, box: {{ x: 0, y: 0, width: 300 }}, page: "white" }});
        }}""",
        {"address": module(page, "svg.js"), "ratio": ratio},
    )
    assert difference < 0.0006 < blank


@pytest.mark.parametrize(
    "call",
    [
        "pen.bezierCurveTo(0, 0, 1, 1, 2, 2)",
        "pen.createLinearGradient(0, 0, 1, 1)",
        "pen.shadowBlur = 3",
        "pen.globalCompositeOperation = 'multiply'",
        "pen.fillStyle = {}, pen.beginPath(), pen.rect(0, 0, 5, 5), pen.fill()",
        "pen.scale(1, 2), pen.beginPath(), pen.arc(5, 5, 3, 0, 6)",
        "pen.clearRect(10, 10, 5, 5)",
    ],
)
def test_what_it_does_not_know_throws(page: Page, call: str) -> None:
    """So that a drawing function that needs more fails its test instead of missing from the file."""
    thrown = page.evaluate(
        f"""async (address) => {{
          "use strict"; // as modules are
          const {{ SvgCanvas }} = await import(address);
          const pen = new SvgCanvas(300, 200).getContext("2d");
          try {{ {call}; }} catch (error) {{ return error.constructor.name; }}
          return "nothing";
        }}""",
        module(page, "svg.js"),
    )
    assert thrown == "TypeError"
