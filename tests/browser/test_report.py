"""The report of the experiments, opened as a file in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from bnlib.experiments import EXPERIMENTS, Result
from bnlib.experiments.findings import Check, Findings, Picture, Series
from bnlib.experiments.report import write

pytestmark = pytest.mark.browser


def report() -> list[Result]:
    steps, words = tuple(range(1, 41)), ("mixed classes", "two classes", "one class")
    names = ["validation, running statistics", "validation, batch statistics", "no norm", "batch norm"]
    curves = [
        Series(name, steps, *(tuple((i + 1) * w / s for s in steps) for w in (1.0, 0.8, 1.2)))
        for i, name in enumerate(names)
    ]
    theory = Series("batch norm, theory", steps, tuple(4 / s for s in steps), theory=True)
    points = [Series(name, words, (1.0, 2.0, 3.0), (0.5, 1.5, 2.5), (1.5, 2.5, 3.5)) for name in names]
    title = "A title that is longer than a telephone is wide, so that it has to wrap"
    pictures = (
        Picture(title, "step", "error, %", (*curves, theory), log_x=True, log_y=True),
        Picture(title, "classes in a norm batch", "error, %", tuple(points)),
    )
    checks = [
        Check(f"a quantity that needs many words, m={m}", 1.234e-9, 1e-9, 2e-9, most=1.5e-9 * m, expected=0.0)
        for m in range(20)
    ]
    findings = Findings(pictures, tuple(checks), ("A note.",))
    return [Result(EXPERIMENTS[name], "full", findings) for name in ("E3", "E8")]


@pytest.mark.parametrize("width", [1440, 390])
def test_the_report_opens_as_a_file(chromium: Browser, tmp_path: Path, width: int) -> None:
    write(report(), tmp_path / "report.html")
    context = chromium.new_context(viewport={"width": width, "height": 844}, color_scheme="light")
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text))
    requests: list[str] = []
    page.on("request", lambda asked: requests.append(asked.url))
    address = (tmp_path / "report.html").as_uri()
    page.goto(address)

    page.wait_for_function("document.querySelectorAll('.plot .scatterlayer .trace').length === 2 * (9 + 4)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(  # titles, ticks and legends are inside their picture
        """[...document.querySelectorAll(".plot")].every((plot) => {
          const box = plot.getBoundingClientRect();
          return [...plot.querySelectorAll("text")].every((text) => {
            const own = text.getBoundingClientRect();
            return own.left >= box.left - 1 && own.right <= box.right + 1 && own.top >= box.top - 1
              && own.bottom <= box.bottom + 1;
          });
        })"""
    )
    colour = "getComputedStyle(document.querySelector('.plot path.js-line')).stroke"
    light = page.evaluate(colour), page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{colour} !== {light[0]!r}")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light[1]
    assert page.locator("details[open]").count() == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(f"{colour} === {light[0]!r}")
    assert page.locator("details[open]").count() == 2, "what is folded is printed"
    assert troubles == [] and requests == [address]
    context.close()
