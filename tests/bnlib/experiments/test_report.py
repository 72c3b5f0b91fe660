"""Results as figures and as one page: what is drawn, what is said, and what the file may not do."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnlib.experiments import CLAIMS, EXPERIMENTS, Experiment, Race, Result, audit
from bnlib.experiments.figures import DRESS, LOOKS, figure
from bnlib.experiments.findings import Check, Findings, Picture, Series
from bnlib.experiments.model import Sides
from bnlib.experiments.report import write
from bnlib.networks.config import RunConfig

nan = float("nan")


def measured(name: str, x: Any, y: Any, spread: float = 0.1, **rest: Any) -> Series:
    low, high = (tuple(v + sign * spread for v in y) for sign in (-1, 1))
    return Series(name, tuple(x), tuple(y), low, high, **rest)


def theory(name: str, x: Any, y: Any) -> Series:
    return Series(name, tuple(x), tuple(y), theory=True)


def picture(*series: Series, **rest: Any) -> Picture:
    return Picture("A title", "the x", "the y", series, **rest)


def lines(drawn: Any) -> list[Any]:
    return [trace for trace in drawn.data if trace.mode != "none"]


def bands(drawn: Any) -> list[Any]:
    return [trace for trace in drawn.data if trace.mode == "none"]


def shown(drawn: Any) -> dict[str, Any]:
    """A figure as a browser gets it."""
    spec = json.loads(drawn.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert isinstance(spec, dict)
    return spec


FIVE = (1, 2, 3, 4, 5)
CHECKS = (
    Check("holds well", 1.25, 1.0, 1.5, least=1.0, most=2.0, expected=1.2, name="well"),
    Check("fails badly", 7.5e-9, 7.5e-9, 7.5e-9, least=0.5, name="badly"),
    Check("only told", 3.0, 2.0, 4.0),
)


def result(
    name: str = "E3", checks: tuple[Check, ...] = CHECKS, size: str = "full", **changes: Any
) -> Result:
    experiment = Experiment(
        name=name, title="Title",
        claims={"flow": Sides(("badly",), ("well",)), "depth": Sides(("well", "badly"))},
        setup="The setup.", theory="The theory.",
        accepted="The accepted.", sources=("Source 1", "Source 2"), contested="", cells=lambda full: {},
        read=lambda results: Findings((), ()), races="No lab for this.",
    )  # fmt: skip
    pictures = changes.pop("pictures", (picture(measured("one", FIVE, FIVE)),))
    findings = Findings(pictures, checks, changes.pop("notes", ("A note.",)))
    return Result(replace(experiment, **changes), size, findings)


@pytest.fixture
def page(tmp_path: Path) -> Any:
    def written(*results: Result, **how: Any) -> str:
        write(results, tmp_path / "page.html", **how)
        return (tmp_path / "page.html").read_text("utf-8")

    return written


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit of E3 alone."""
    checks = {"holds well": {"misses": 0.004, "nulls": ["arms are alike"]}}
    worlds = {"arms are alike": "supports", "nothing else is": "does not show", "they are others": "supports"}
    stances = {"depth": worlds}
    found = {"E3": {"seeds": 48, "draws": 1000, "checks": checks, "stances": stances}}
    monkeypatch.setattr(audit, "kept", lambda: found)


def own(text: str) -> str:
    """The page without Plotly's own code."""
    from plotly.offline import get_plotlyjs

    assert text.count(get_plotlyjs()) == 1
    return text.replace(get_plotlyjs(), "")


def section(text: str, anchor: str) -> str:
    found = re.search(rf'<section id="{anchor}">.*?</section>', text, re.S)
    assert found
    return found[0]


# ---- figures -------------------------------------------------------------------------------------------


def test_a_series_is_a_line_theory_is_dashed_in_the_colour_of_what_it_is_about():
    drawn = figure(
        picture(
            measured("m=3", FIVE, FIVE), theory("m=3, theory", FIVE, FIVE),
            measured("m=30", FIVE, FIVE), theory("some formula", FIVE, FIVE), theory("m=3, wide", FIVE, FIVE),
            theory("m=30, theory", FIVE, FIVE),
        )
    )  # fmt: skip
    first, its, second, formula, wide, longer = lines(drawn)
    for trace in (first, second):
        assert trace.mode == "lines+markers" and trace.line.dash == "solid"
    for trace in (its, formula, wide, longer):
        assert trace.mode == "lines" and trace.line.dash == "dash"
    assert its.line.color == wide.line.color == first.marker.color == LOOKS[0][0]
    assert formula.line.color == longer.line.color == second.marker.color == LOOKS[1][0]
    assert first.marker.symbol != second.marker.symbol, "to be told apart without colour"
    assert first.line.color != first.marker.color and first.line.width > its.line.width, (
        "theory stays visible"
    )
    assert [trace.name for trace in bands(drawn)] == ["m=3", "m=30"]


def test_a_norm_has_the_same_colour_in_every_picture():
    names = ["warm", "no norm", "batch norm", "group norm", "layer norm"]
    colours = {
        t.name: t.line.color for t in lines(figure(picture(*(measured(n, FIVE, FIVE) for n in names))))
    }
    order = ["batch norm", "no norm", "layer norm", "group norm", "warm"]
    assert [colours[name] for name in order] == [light for light, _, _ in LOOKS[:5]]


def test_the_band_runs_from_the_lowest_to_the_highest_and_lies_behind_all_lines():
    drawn = figure(picture(measured("a", FIVE, FIVE), measured("b", FIVE, FIVE)))
    assert [trace.mode == "none" for trace in drawn.data] == [True, True, False, False]
    band = drawn.data[0]
    assert band.x == (*FIVE, *FIVE[::-1], None) and band.fill == "toself" and not band.showlegend
    np.testing.assert_allclose(band.y[:10], [v + 0.1 for v in FIVE] + [v - 0.1 for v in FIVE[::-1]])
    assert re.fullmatch(re.escape(LOOKS[0][0]) + "[0-9A-F]{2}", band.fillcolor), "seen through"
    assert drawn.layout.paper_bgcolor == drawn.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"


def test_few_points_have_bars():
    (trace,) = figure(picture(measured("a", (1, 2, 3), (1, 2, 3)))).data
    np.testing.assert_allclose(trace.error_y.array, [0.1] * 3)
    np.testing.assert_allclose(trace.error_y.arrayminus, [0.1] * 3)
    (alone,) = figure(picture(Series("a", (1, 2, 3), (1, 2, 3)))).data
    assert alone.error_y.array is None


def test_words_are_points_side_by_side_in_their_order():
    words = ("mixed", "two", "one", "none")
    drawn = figure(
        picture(measured("a", words, (7, 8, 7, 9)), measured("b", words, (7, 7, 7, 7)), log_x=True)
    )
    assert [trace.mode for trace in drawn.data] == ["markers", "markers"]
    assert drawn.data[0].x == words and len(drawn.data[0].error_y.array) == 4
    assert drawn.layout.scattermode == "group" and drawn.layout.xaxis.type is None
    assert 6 < drawn.layout.yaxis.range[0] < 6.9 and drawn.layout.yaxis.range[1] > 9.1
    assert figure(picture(measured("a", FIVE, FIVE))).layout.scattermode == "overlay", "numbers stay in place"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((2, 4, 8, 16, 32, 64), ["2", "4", "8", "16", "32", "64"]),
        ((5, 6, 8, 16, 256), ["5", "", "8", "16", "256"]),
        (tuple(np.geomspace(3e-3, 10, 15)), ["0.01", "0.1", "1", "10"]),
        (tuple(np.geomspace(1, 20, 12)), ["1", "2", "5", "10", "20"]),
        (tuple(np.geomspace(1.1, 2.2, 12)), ["1.5", "2"]),
        (tuple(np.geomspace(1, 1e9, 12)), ["1", "100", "10⁴", "10⁶", "10⁸"]),
    ],
)
def test_ticks_of_a_logarithmic_axis_can_be_read(values, expected):
    axis = figure(picture(measured("a", values, values, 0.0), log_x=True)).layout.xaxis
    assert axis.type == "log" and list(axis.ticktext) == expected
    low, high = axis.range
    assert low < np.log10(min(values)) and high > np.log10(max(values))


def test_a_logarithmic_y_axis_shows_bands_that_reach_0():
    drawn = figure(picture(measured("a", FIVE, (0.1, 1, 2, 3, 4)), log_y=True))
    assert drawn.layout.yaxis.type == "log" and drawn.layout.xaxis.type is None
    assert 10 ** drawn.layout.yaxis.range[0] > 0.05, "0 doesn't stretch the axis"
    (band,) = bands(drawn)
    assert None not in band.y[:-1] and 0 < min(band.y[:-1]) < 1e-9


def test_gaps_stay_gaps():
    y = (1.0, 2.0, nan, 4.0, 5.0, 6.0)
    drawn = figure(picture(Series("a", tuple(range(6)), y, y, y), log_y=True))
    data = shown(drawn)["data"]
    assert data[1]["y"] == [1.0, 2.0, None, 4.0, 5.0, 6.0]
    assert data[0]["x"] == [0, 1, 1, 0, None, 3, 4, 5, 5, 4, 3, None], "two stretches, closed one by one"
    assert "mean NaN" not in json.dumps(data[1]["customdata"][:2])


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "series", [(), (Series("a", (), ()),), (Series("a", FIVE, (nan,) * 5, (nan,) * 5, (nan,) * 5),)]
)
def test_nothing_to_draw_is_drawn(series, log):
    drawn = figure(picture(*series, log_x=log, log_y=log))
    assert len(lines(drawn)) == len(series)
    shown(drawn)


def test_long_curves_are_thinned_without_losing_ends_and_peaks():
    y = np.sin(np.arange(20_000) / 300)
    y[12_345] = 7.0
    x = tuple(range(20_000))
    series = Series("a", x, tuple(y), tuple(y - 1), tuple(y + 1))
    (trace,) = lines(figure(picture(series)))
    assert len(trace.x) < 500 and trace.x[0] == 0 and trace.x[-1] == 19_999 and 12_345 in trace.x
    place = trace.x.index(12_345)
    assert (
        trace.y[place] == 7.0 and trace.customdata[place] == "the x: 12345<br>mean 7<br>lowest 6, highest 8"
    )
    assert all(abs(v - y[i]) < 1e-5 for i, v in zip(trace.x, trace.y, strict=True))


def test_texts_in_a_figure_are_texts():
    bad = "<script>x</script>"
    title = " ".join(["long", bad] * 12)
    drawn = figure(Picture(title, bad, bad, (measured(bad, (bad, "b"), (1, 2)),)))
    texts = [drawn.layout.title.text, drawn.layout.xaxis.title.text, drawn.layout.yaxis.title.text]
    texts += [drawn.data[0].name, drawn.data[0].hovertemplate, *drawn.data[0].customdata, *drawn.data[0].x]
    assert not [text for text in texts if "<script" in text] and "&lt;script" in texts[0]
    assert "<br>" in texts[0], "a long title wraps"


def test_colours_have_a_dark_counterpart():
    for light, dark, _ in LOOKS:
        assert DRESS["dark"][light] == dark
    assert len({light for light, _, _ in LOOKS}) == len({symbol for *_, symbol in LOOKS}) == 10


# ---- the page ------------------------------------------------------------------------------------------


def test_the_page_loads_nothing(page):
    text = own(page(result(), result("E4", pictures=())))
    assert text.startswith("<!DOCTYPE html>") and text.count('class="plot"') == 1
    for loader in (r"<(?:script|img|iframe)[^>]*\ssrc=", r"<link\b", r"@import", r"url\(", r"\bfetch\("):
        assert not re.search(loader, text), loader
    assert "http" not in re.sub(r'<a href="[^"]*"', "", text)


def test_the_lead_counts_and_says_how_to_have_it_again(page):
    text = unescape(own(page(result(size="reduced"), result("E4", CHECKS[:1], "reduced"))))
    assert "2 experiments, computed at reduced size." in text and "grids, seeds or widths are smaller" in text
    assert "They judge 3 checks of claims by accepted outcomes: 1 fails, in E3." in text
    assert "only reported: 1." in text
    assert "On fresh seeds a check fails in at most 0.4% of draws (E3, holds well); each check that a" in text
    assert "python -m bnlib experiments report E3 E4 --reduced" in text and f"NumPy {np.__version__}" in text
    whole = [result(name, (replace(CHECKS[0], exact=name == "E1"),)) for name in EXPERIMENTS]
    text = own(page(*whole))
    assert "<code>python -m bnlib experiments report</code>" in text and "smaller" not in text
    counted = f"{len(whole) - 1} checks of claims and 1 identity, moment or count"
    assert f"They judge {counted} by accepted outcomes: all hold." in text
    assert "On fresh seeds" not in own(page(result("E4", CHECKS[:1]))), "no audit is kept of it"


def test_a_claim_lists_what_is_said_of_it_and_whether_it_is_contested(page):
    text = own(page(result(contested="Some disagree."), result("E4", CHECKS[:1])))
    rows = dict(re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', text.split("<nav")[0], re.S))
    assert [unescape(name) for name in rows] == list(CLAIMS.values())
    assert "not run for this page: E22" in rows[CLAIMS["recurrent"]]
    flow, depth = rows[CLAIMS["flow"]], rows[CLAIMS["depth"]]
    assert '<a href="#e3">E3 Title</a> <span class="fails">✗ speaks against</span>' in flow
    assert '<a href="#e3">E3 Title</a> <span class="reported">○ does not show</span>' in depth
    assert '<a href="#e4">E4 Title</a> <span class="holds">✓ supports</span>' in depth
    assert '<a href="#e4">E4 Title</a> <span class="holds">✓ as accepted</span>' in text  # the contents
    assert '<a href="#e3">E3 Title</a> <span class="fails">✗ not as accepted</span>' in text
    assert '<a href="#e3-contested">E3</a>' in flow and "#e4-contested" not in flow
    assert "not run for this page: E7, E24" in depth, "an experiment that there is isn't denied"
    assert rows[CLAIMS["cost"]] == "<td><ul><li>not run for this page: E21</li></ul></td><td>–</td>"


def test_a_claim_that_nothing_tests_says_so(page, monkeypatch):
    for name, experiment in EXPERIMENTS.items():
        monkeypatch.setitem(EXPERIMENTS, name, replace(experiment, claims={}))
    text = own(page(result("E4", CHECKS[:1], claims={})))
    rows = dict(re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', text.split("<nav")[0], re.S))
    assert rows[CLAIMS["cost"]] == "<td><ul><li>not tested here</li></ul></td><td>–</td>"
    assert "<p>It takes no side: identities, moments and counts.</p>" in section(text, "e4")


def test_a_stance_says_on_what_it_rests(page):
    text = section(own(page(result())), "e3")
    said = (
        f'<li><span class="fails">✗ speaks against</span> “{CLAIMS["flow"]}”<ul><li>It shows in: fails badly'
    )
    assert f"{said}: 7.5·10⁻⁹ (≥ 0.5)</li><li>Limits: holds well: 1.25 (1 to 2)</li></ul>" in text
    gone = "On data where arms are alike, or where they are others, the stance would be “supports”."
    assert f"<li>{gone}</li></ul>" in text
    assert "arms are alike" not in section(own(page(result("E4"))), "e4")


def test_a_section_says_what_was_found(page):
    text = section(own(page(result(contested="Some disagree.", caveat="Only < here."))), "e3")
    assert "<p>Mind: Only &lt; here.</p>" in text
    assert "<h2>E3 · Title</h2>" in text and "The setup." in text and "The accepted." in text
    assert '<p class="verdict fails"><span aria-hidden="true">✗</span> Not as accepted' in text
    for row in (
        '<tr class="holds"><th scope="row">holds well</th><td>1.2</td><td>1.25</td><td>1 to 1.5</td>'
        "<td>1 to 2</td><td>holds</td><td>0.4% fail</td></tr>",
        '<tr class="fails"><th scope="row">fails badly</th><td></td><td>7.5·10⁻⁹</td><td></td>'
        "<td>≥ 0.5</td><td>fails</td><td></td></tr>",
        '<tr class="reported"><th scope="row">only told</th><td></td><td>3</td><td>2 to 4</td>'
        "<td></td><td>reported</td><td></td></tr>",
    ):
        assert row in text
    assert (
        '<aside class="contested" id="e3-contested"><h3>Contested</h3><p>Some disagree.</p></aside>' in text
    )
    assert "<p>A note.</p>" in text and "Sources: Source 1; Source 2" in text
    assert "Not in the training lab. No lab for this." in text
    assert 'role="img" aria-label="A title. The table of checks has the numbers."' in text
    plain = section(own(page(result(theory="", checks=CHECKS[2:]))), "e3")
    assert (
        "contested" not in plain and "Mind" not in plain and "Theory" not in plain and "<details" not in plain
    )


def test_long_tables_are_folded_failures_first(page):
    many = tuple(replace(CHECKS[0], what=f"fine {i}") for i in range(20))
    told = tuple(replace(CHECKS[2], what=f"told {i}") for i in range(5))
    text = section(own(page(result(checks=(*told, *many, CHECKS[1])))), "e3")
    seen, folded = text.split("<h3>Checks</h3>")[1].split("<details>")
    names = re.compile(r'<th scope="row">(.*?)</th>')
    assert names.findall(seen) == ["fails badly", *(f"fine {i}" for i in range(7))]
    assert "<summary>18 more rows</summary>" in folded and len(names.findall(folded)) == 18


def test_races_link_into_the_lab(page):
    races = (Race("First", (RunConfig(),), 100), Race("<Second>", (RunConfig(),), 100))
    text = section(own(page(result("E8", races=lambda: races), lab="https://lab.example/?a=<b>&c/")), "e8")
    links = re.findall(r'<li><a href="([^"]*)">(.*?)</a>', text)
    address = "https://lab.example/?a=&lt;b&gt;&amp;c/training-lab?experiment=E8&amp;race="
    assert links == [(f"{address}1", "First"), (f"{address}2", "&lt;Second&gt;")]


def test_nothing_from_an_experiment_is_markup(page):
    bad = "</script><script>alert(1)</script>\"'&"
    series = measured(bad, (bad, "b"), (1, 2))
    texts = dict.fromkeys(("title", "setup", "theory", "accepted", "contested", "races"), bad)
    text = own(
        page(
            result(bad, (replace(CHECKS[1], what=bad),), notes=(bad,), sources=(bad,), **texts,
                   pictures=(Picture(bad, bad, bad, (series,)),))
        )
    )  # fmt: skip
    assert "<script>alert" not in text and text.count("</script>") == 3, "a figure, Plotly and the page's own"
    assert text.count("&lt;script&gt;alert(1)") > 10


def test_numbers_are_written_as_readers_write_them(page):
    notes = ("From 1e-09 to 2.5e+06, -3 less (-4), weight decay 1e-4; not m-1, E1e5 or 2021-05.",)
    text = section(own(page(result(notes=notes))), "e3")
    expected = "From 10⁻⁹ to 2.5·10⁶, −3 less (−4), weight decay 10⁻⁴; not m-1, E1e5 or 2021-05."
    assert expected in text


def test_the_same_results_make_the_same_bytes(page):
    assert page(result()) == page(result())


# ---- what can go wrong ---------------------------------------------------------------------------------


def test_no_results_are_refused(tmp_path):
    with pytest.raises(ValueError, match="results is empty"):
        write([], tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["missing/page.html", "folder"])
def test_a_file_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=rf"^report: .*{place} can't be written \(.+\); make room"):
        write([result()], tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_that_is_there_is_replaced_as_a_whole(tmp_path):
    path, reader = tmp_path / "page.html", tmp_path / "reader"
    path.write_text("before")
    reader.hardlink_to(path)
    write([result()], path)
    assert reader.read_bytes() == b"before" and path.stat().st_size > 10**6
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("before")

    def full(self: Path, text: str, encoding: str) -> int:
        with self.open("w", encoding=encoding) as file:
            file.write(text[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"page\.html can't be written \(No space left on device\)"):
        write([result()], path)
    assert [found.name for found in tmp_path.iterdir()] == ["page.html"] and path.read_bytes() == b"before"


def test_without_plotly_the_fix_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ImportError, match="pip install plotly"):
        write([result()], tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_importing_it_does_not_import_plotly():
    program = "import sys, bnlib.experiments.report; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3]).returncode == 0
