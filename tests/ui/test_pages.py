"""The pages as Streamlit runs them: settings out of the address, and back into it."""

import json
import re
from dataclasses import replace
from html import escape
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.testing.v1 import AppTest

import ui.assets
import ui.chapters
from bnlib.experiments import EXPERIMENTS
from book.race.asking import is_open, scene_of
from book.race.scenes import OPENING
from book.registry import after, chapters, pages
from live.messages import CONTROLS, LAB, read, write

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: name for name in chapters()} | {"lab": "training_lab"}


@pytest.fixture(params=PAGES)
def page(request):
    """The picture's name and its page, run once without settings."""
    return request.param, opened(request.param)


def opened(picture, **address):
    app = AppTest.from_file(str(ROOT / "ui" / "main.py"), default_timeout=60).run()
    if picture != "home":
        app.switch_page(f"../pages/{PAGES[picture]}.py")
    return visited(app, address)


def visited(app, address):
    app.query_params.clear()
    app.query_params.update(address)
    return app.run()


def component(app):
    (found,) = app.get("bidi_component")
    return found.proto


def handed_over(app):
    """What the component is told."""
    return json.loads(component(app).json)


def chosen(app, values):
    """The reader's gesture has ended: what the component then reports, as the browser sends it."""
    states = WidgetStates()
    states.widgets.add(id=component(app).id, json_value=json.dumps({"values": values}))
    return app._run(states)


def test_pages_render(page):
    picture, app = page
    assert not app.exception and not app.warning and len(app.title) == 1
    told = handed_over(app)
    defaults, _ = read(CONTROLS[picture], {})
    assert told["picture"] == picture and told["page"] == PAGES[picture]
    assert told["values"] == told["defaults"] == json.loads(json.dumps(defaults))
    assert [control["name"] for control in told["controls"]] == list(defaults)
    assert not told["paused"] and app.query_params == {}


def test_links_of_a_picture_begin_where_the_app_is_served(monkeypatch):
    monkeypatch.setattr(ui.assets, "base", lambda: "/lab")
    told = handed_over(opened("home"))
    assert told["base"] == "/lab" and not any(one["address"].startswith("/") for one in told["contents"])


ASKED = [(name, scene) for name, one in chapters().items() for scene in one.scenes if scene.choices]


@pytest.mark.parametrize(("name", "scene"), ASKED, ids=[f"{name}-{scene.name}" for name, scene in ASKED])
def test_what_would_answer_a_question_is_shown_once_it_is_answered(name, scene):
    chapter = chapters()[name]
    values = chapter.settings(scene, {})
    app = opened(name, **write(chapter.table, values))
    answering = {"In PyTorch", "Show the code", "Experiments"}
    assert not answering & {expander.label for expander in app.expander}
    visited(app, write(chapter.table, values | {"guesses": ((scene.name, 0),)}))
    there = answering if chapter.experiments else answering - {"Experiments"}
    assert there <= {expander.label for expander in app.expander} and not app.exception
    answered, _ = read(chapter.table, dict(app.query_params))
    assert chapter.pytorch(answered).strip() in [code.value.strip() for code in app.code]


def test_sources_and_ways_on_are_on_the_page(page):
    picture, app = page
    if picture not in chapters():
        return
    chapter = chapters()[picture]
    if chapter.scenes:  # once its question is answered
        values = chapter.settings(chapter.scenes[0], {}, answered=True)
        visited(app, write(chapter.table, values))
    listed = "\n".join(f"- {source.text}" for source in chapter.sources)
    assert not listed or listed in [text.value for text in app.markdown]
    assert chapter.lead in [text.value for text in app.markdown] or not chapter.lead
    html = html_of(app)
    following = after(chapter)
    if following and chapter.scenes:
        assert f'<a href="/{following.path}">Next: {escape(following.question)}</a>' in html
    for words, address in chapter.links:
        assert f'<a href="{address}">{escape(words)}</a>' in html
    for name in chapter.experiments:
        assert f"{name}: {escape(EXPERIMENTS[name].title)}" in html
        raced = not isinstance(EXPERIMENTS[name].races, str)
        assert raced == (f'href="/training-lab?experiment={name}"' in html)


def test_an_address_restores_its_settings():
    address = {"lanes": "none,rms~depth:3~lr:2", "lr": "0.0123456789012345", "seed": "17", "step": "250"}
    app = opened("lab", **address, edits="20:lr:0.7,9:eps:0.1", before="activation:tanh,lr:0.1")
    told = handed_over(app)
    assert not app.warning and told["paused"]
    assert told["values"] == told["defaults"] | {
        "lanes": [["none", []], ["rms", [["depth", 3], ["lr", 2.0]]]],
        "lr": 0.0123456789012345, "seed": 17, "step": 250,
        "edits": [[9, "eps", 0.1], [20, "lr", 0.7]], "before": [["activation", "tanh"], ["lr", 0.1]],
    }  # fmt: skip


def test_the_lab_hands_over_its_scenes_and_each_is_a_link_into_it():
    told = handed_over(opened("lab"))
    assert told["scenes"] == json.loads(json.dumps(LAB["scenes"])) and len(told["scenes"]) >= 10
    assert told["editable"] and told["differing"] and told["run"]
    for scene in told["scenes"]:
        app = opened("lab", **dict(parse_qsl(scene["address"].removeprefix("?"))))
        there = handed_over(app)
        assert not app.warning and there["paused"], "a reader predicts before it starts"
        assert there["values"] == told["defaults"] | scene["values"]
        values, problems = read(CONTROLS["lab"], there["values"])
        assert not problems and is_open(values) and scene_of(values) == scene["name"]


def test_a_bare_address_of_the_lab_is_the_opening_scene_and_open():
    values, _ = read(CONTROLS["lab"], handed_over(opened("lab"))["values"])
    assert is_open(values) and scene_of(values) == OPENING


def html_of(app):
    return "".join(part.proto.body for part in app.get("html"))


def test_every_page_is_linked_in_reading_order():
    bar = html_of(opened("home"))
    row = bar[bar.index('class="row"') : bar.index('class="menu"')]
    links = re.findall(r'<a href="/([\w-]*)"(?: aria-current="page")?>([^<]*)</a>', row)
    assert links == [(page.path, page.title) for page in pages().values()]
    assert '<a href="/" aria-current="page">' in row
    named = {page.group for page in pages().values() if page.group}
    few = len(pages()) <= ui.chapters.MOST_IN_ONE_ROW
    assert row.count("<summary>") == (0 if few else len(named))


def test_pages_without_a_group_stand_where_they_are_in_reading_order(monkeypatch):
    monkeypatch.setattr(ui.chapters, "MOST_IN_ONE_ROW", 0)
    bar = html_of(opened("home"))
    row = bar[bar.index('class="row"') : bar.index('class="menu"')]
    alone = re.sub(r"<details.*?</details>", "", row)
    assert re.findall(r">([^<]+)</a>", alone) == [one.title for one in pages().values() if not one.group]
    assert re.findall(r'href="/([\w-]*)"', row) == [one.path for one in pages().values()]


def test_many_pages_are_in_groups_that_open(monkeypatch):
    grouped = {
        name: replace(page, group="" if name == "home" else "Batches & more")
        for name, page in pages().items()
    }
    monkeypatch.setattr(ui.chapters, "pages", lambda: grouped)
    monkeypatch.setattr(ui.chapters, "MOST_IN_ONE_ROW", len(grouped) - 1)
    app = opened("one_batch")
    assert not app.exception
    bar = html_of(app).partition("</nav>")[0]
    row = bar[bar.index('class="row"') : bar.index('class="menu"')]
    assert row.count("<summary>Batches &amp; more</summary>") == 1 and 'class="here"' in row
    for page in grouped.values():
        assert bar.count(f'<a href="/{page.path}"') == 2, "in the row and in the menu"


# --- links to the experiments' races --------------------------------------------------------------------


@pytest.mark.parametrize(("query", "race"), [({}, 1), ({"race": "2"}, 2)])
def test_a_link_to_an_experiment_is_spelled_out(query, race):
    app = opened("lab", experiment="e8", **query)
    assert not app.exception and not app.warning and not app.info
    spelled = dict(app.query_params)
    told = handed_over(app)
    (entry,) = (
        e for e in told["experiments"]
        if e["values"]["experiment"] == "E8" and e["values"].get("race", 1) == race
    )  # fmt: skip
    assert told["paused"] and told["values"] == told["defaults"] | entry["values"]
    assert set(spelled) == set(entry["values"]) and spelled["step"] == "300"
    again = opened("lab", **spelled)
    assert not again.warning and again.query_params == spelled
    assert handed_over(again)["values"] == told["values"]


def test_a_change_leaves_the_experiment():
    app = opened("lab", experiment="E11")
    changed = handed_over(app)["values"] | {"depth": 3, "experiment": "", "race": 1}
    app = chosen(app, changed)
    assert "experiment" not in app.query_params and handed_over(app)["values"] == changed


def test_a_race_comes_back_with_its_page():
    app = opened("lab", experiment="E11")
    spelled = dict(app.query_params)
    visited(app.switch_page("../pages/home.py"), {})
    visited(app.switch_page("../pages/training_lab.py"), {})
    assert app.query_params == spelled and spelled["experiment"] == "E11"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"experiment": "E99"}, "`experiment=E99 is none of E5, "),
        ({"experiment": "E8", "race": "3"}, "`race=3 is no race of experiment E8: it has 1, 2; "),
        ({"experiment": "<b>`$x$` :red[x]"}, "`experiment=<b>$x$ :red[x] is none of "),
        ({"experiment": "E99", "depth": "3"}, "`experiment=E99 is not one of E5, "),
    ],
)
def test_a_link_to_no_race_falls_back_and_says_so(query, words):
    app = opened("lab", **query)
    (warning,) = app.warning
    assert words in warning.value and not app.exception
    told = handed_over(app)
    kept = {"depth": 3} if "depth" in query else {}
    assert told["values"] == told["defaults"] | kept and not told["paused"]
    assert app.query_params == query, "what was typed stays until something is chosen"


def test_an_experiment_that_cannot_race_says_why():
    app = opened("lab", experiment="e9")
    (said,) = app.info
    assert "E9" in said.value and "learning rates of their own" in said.value
    told = handed_over(app)
    assert not app.warning and told["values"] == told["defaults"]


def test_broken_fields_are_named_and_the_others_kept():
    app = opened("lab", depth="99", lr="fast", colour="red", width="32")
    (warning,) = app.warning
    for words in (
        "depth=99 is outside 1 to 20; 5 is used",
        "lr=fast is not a number; 0.1 is used",
        "colour is no setting of this page and is ignored",
    ):
        assert f"`{words}`" in warning.value
    assert "width" not in warning.value and not app.exception
    told = handed_over(app)
    assert told["values"] == told["defaults"] | {"width": 32}


@pytest.mark.parametrize(
    ("picture", "changes", "address"),
    [
        (
            "home",
            {"gamma": 2.5, "moved": [[3, -1.25], [7, 40]]},
            {"gamma": "2.5", "moved": "3:-1.25,7:40.0"},
        ),
        ("home", {"eps": 0.000123456789}, {"eps": "0.000123456789"}),
        ("home", {}, {}),
        (
            "one_batch",
            {"scene": "undo", "guesses": [["tug", 2], ["undo", 0]], "draw": 12, "source": "skewed"},
            {"scene": "undo", "guesses": "tug:2,undo:0", "draw": "12", "source": "skewed"},
        ),
        (
            "lab",
            {"lanes": [["batch", []], ["batch", [["eps", 0.5]]]], "step": 40},
            {"lanes": "batch,batch~eps:0.5", "step": "40"},
        ),
        (
            "lab",
            {"edits": [[120, "gamma", -2.0], [120, "lr", 0.5]], "ghost": "off"},
            {"edits": "120:gamma:-2.0,120:lr:0.5", "ghost": "off"},
        ),
        (
            "lab",
            {"before": [["depth", 3], ["lr", 0.25]], "preset": "deep", "guess": -1},
            {"before": "depth:3,lr:0.25", "preset": "deep", "guess": "-1"},
        ),
    ],
)
def test_what_the_reader_chooses_is_in_the_address(picture, changes, address):
    app = opened(picture)
    app = chosen(app, handed_over(app)["values"] | changes)
    assert not app.exception
    assert app.query_params == address
    elsewhere = opened(picture, **address)
    assert not elsewhere.warning
    assert (
        handed_over(elsewhere)["values"]
        == handed_over(app)["values"]
        == handed_over(app)["defaults"] | changes
    )


def test_only_what_comes_from_elsewhere_is_an_arrival():
    """The picture takes new settings over when the number of arrivals changes; all else is its own echo."""
    app = opened("home")
    first = handed_over(app)["arrival"]
    values = handed_over(app)["values"]
    for gamma in (2.0, 3.0):
        app = chosen(app, values | {"gamma": gamma})
        told = handed_over(app)
        assert (told["values"]["gamma"], told["arrival"]) == (gamma, first), "an echo"
    visited(app, {"gamma": "3.0"})
    assert handed_over(app)["arrival"] == first, "the page was run again"
    visited(app, {"gamma": "2.0"})
    told = handed_over(app)
    assert (told["values"]["gamma"], told["arrival"]) == (2.0, first + 1), "the browser's way back"
    assert told["query"] == {"gamma": "2.0"}, "the address that the settings were read from"
    visited(app, {"gamma": "2.0", "beta": "9"})
    assert handed_over(app)["arrival"] == first + 1, "what can't be used changes nothing"
    visited(app, {})
    told = handed_over(app)
    assert (told["values"], told["arrival"]) == (told["defaults"], first + 2)


def test_a_setting_put_back_leaves_the_address():
    app = opened("home", gamma="2.5", beta="1.0")
    app = chosen(app, handed_over(app)["values"] | {"gamma": 1.0})
    assert app.query_params == {"beta": "1.0"}


def test_settings_come_back_with_the_page():
    app = opened("lab")
    app = chosen(app, handed_over(app)["values"] | {"depth": 7})
    visited(app.switch_page("../pages/home.py"), {})
    assert app.query_params == {}
    visited(app.switch_page("../pages/training_lab.py"), {})
    assert app.query_params == {"depth": "7"} and handed_over(app)["values"]["depth"] == 7


def test_a_link_comes_back_with_its_page_too():
    """Also where nothing was changed: what was opened is what is returned to."""
    app = opened("lab", depth="7")
    visited(app.switch_page("../pages/home.py"), {})
    visited(app.switch_page("../pages/training_lab.py"), {})
    assert app.query_params == {"depth": "7"} and handed_over(app)["values"]["depth"] == 7


def test_the_way_back_to_a_bare_address_is_the_way_back_to_the_start():
    """The browser's back button on the same page: what is saved is for a return from elsewhere."""
    app = opened("lab")
    app = chosen(app, handed_over(app)["values"] | {"depth": 7})
    visited(app, {})
    assert app.query_params == {} and handed_over(app)["values"] == handed_over(app)["defaults"]


def test_a_component_that_reports_nonsense_changes_nothing(page):
    picture, app = page
    for nonsense in (
        None,
        {},
        {"gamma": "x", "depth": [], "moved": [[1]], "lanes": [[]], "edits": [[1, {}, 2]], "new": 1},
    ):
        chosen(app, nonsense)
        assert not app.exception and app.query_params == {}


HOSTILE = {
    "markdown": {"depth": "**bold** [link](http://evil.example) ![i](http://evil.example/i.png)"},
    "backticks": {"depth": "`` ` ``<b>x</b>` $x$ :red[x]", "` **x**": "1"},
    "html": {"depth": "<script>alert(1)</script>", "<img src=x onerror=alert(1)>": "1"},
    "long": {"depth": "9" * 20_000, "x" * 20_000: "1"},
    "many": {f"unknown{n}": "1" for n in range(500)},
    "repeated": {"depth": ["3", "<b>", "99"], "lanes": ["none,batch", "rms"]},
    "unicode": {"depth": "\u202e٣\u0000\u2028💥", "\u200bdepth": "1", "lanes": "nöne,bätch"},
    "lines": {"depth": "1\n\n# Title\n\n- list", "a\r\nb": "x"},
    "experiments": {"experiment": "`<b>**x**` [l](http://evil.example)", "race": "`` :red[x]\u202e"},
    "races": {"experiment": "E8", "race": "<script>`" + "9" * 9_000},
    "empty": {"depth": "", "lanes": "", "moved": "", "": "x"},
    "branches": {"lanes": "none~`<b>**x**`:1", "edits": "<b>\u202e`:lr:1", "before": "`` :red[x]`\n:1"},
    "numbers": {"depth": "1e400", "lr": "nan", "seed": "1" * 5000, "gamma": "-inf"},
}


@pytest.mark.parametrize("address", HOSTILE.values(), ids=HOSTILE)
def test_hostile_addresses_are_shown_as_code_and_never_raise(page, address):
    picture, app = page
    visited(app, address)
    assert not app.exception
    for warning in app.warning:
        # Everything that came from outside stands between two backticks, on one line: Markdown's code.
        outside = re.sub(r"`[^`\n]+`", "", warning.value)
        assert re.fullmatch(r"Part of this address could not be used: [; ]*", outside), warning.value
        assert len(warning.value) < 4000
    values = handed_over(app)["values"]
    again, problems = read(CONTROLS[picture], json.loads(json.dumps(values)))
    assert problems == [] and json.loads(json.dumps(again)) == values
