"""Pictures of every kind of race are figures that painter and Plotly accept, and say what they show."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from book.chapter import packed_figures
from book.controls import Values
from book.figure import COLOURS, Figure
from book.race import lanes
from book.race.fill import Frames, fill
from book.race.frames import CURVE_COLUMNS
from book.race.looks import Race, brief_name
from book.race.panels import PANELS, described, frames_of, templates
from book.race.settings import DEFAULTS, LAB_CONTROLS
from live.wire import pack, unpack
from tests.figures import problems_of, words_of
from tests.scheduler import Inline

BOTH = (("none", ()), ("batch", ()))
FOUR = (("none", ()), ("batch", ()), ("layer", (("lr", 0.5), ("width", 16))), ("frn", ()))
SMALL = {"width": 8, "replicas": 2, "batch_size": 8}
RACES: dict[str, tuple[dict[str, Any], int]] = {
    "dense": ({"lanes": BOTH}, 11),
    "deep": ({"lanes": BOTH, "depth": 20}, 6),
    "cnn": ({"lanes": BOTH, "network": "cnn", "depth": 2}, 6),
    "rnn": ({"lanes": BOTH, "network": "rnn", "depth": 2}, 6),
    "gan": ({"lanes": BOTH, "network": "gan", "dataset": "ring", "depth": 2}, 11),
    "spirals": ({"lanes": BOTH, "dataset": "spirals", "depth": 2}, 11),
    "ring": ({"lanes": BOTH, "dataset": "ring", "depth": 1}, 6),
    "one": ({"lanes": (("batch", ()),), "depth": 1}, 6),
    "four": ({"lanes": FOUR, "dataset": "moons", "depth": 3, "edits": ((4, "lr", 0.5),)}, 11),
    "lost": (
        {"lanes": (("none", (("lr", 10.0), ("depth", 5))), ("batch", ())), "depth": 3, "init_scale": 3.0}, 31
    ),
    "alone": ({"lanes": (("batch", ()),), "batch_size": 1}, 6),
}  # fmt: skip
SCHEDULER = Inline()


def settings(name: str) -> Values:
    return DEFAULTS | SMALL | RACES[name][0]


@cache
def recorded(name: str) -> Frames:
    """Train a race as the lab does, and put its recordings together."""
    race = Race.of(settings(name))
    configs = dict(zip(race.names, race.configs, strict=True))
    return frames_of(configs, {lane: SCHEDULER.recorded(c, RACES[name][1]) for lane, c in configs.items()})


def figures(name: str, step: int, narrow: bool = False, **values: Any) -> dict[str, Figure]:
    made = templates(settings(name) | values, narrow)
    return {panel: fill(one, recorded(name), step, 50) for panel, one in made.items()}


def accepted(figure: Figure) -> None:
    """Fail where the table of attributes, the painter's needs or Plotly are broken."""
    assert problems_of(figure) == []
    go.Figure(figure)


# ---- every figure --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RACES)
@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_filled_templates_are_figures(name: str, narrow: bool) -> None:
    last = RACES[name][1] - 1
    for step in (0, 3, last):
        for figure in figures(name, step, narrow).values():
            accepted(figure)
    words = [word for figure in figures(name, last, narrow).values() for word in words_of(figure)]
    assert not [word for word in words if re.search(r"\b(nan|inf|None)\b", word)]


@pytest.mark.parametrize("name", ["dense", "gan", "spirals", "four"])
def test_templates_are_figures_before_anything_is_recorded(name: str) -> None:
    full = recorded(name)
    nothing = replace(full, rows=[rows[:0] for rows in full.rows], surfaces={}, clouds={})
    for template in templates(settings(name)).values():
        accepted(fill(template, nothing, 0, 50))


@pytest.mark.parametrize(
    "values",
    [{"loss": "validation"}, {"histogram": "preactivation", "layer": 2}, {"layer": 20}, {"ghost": "off"}],
)
@pytest.mark.parametrize("name", ["dense", "gan"])
def test_view_settings_change_the_pictures(name: str, values: Values) -> None:
    changed = figures(name, 5, **values)
    for figure in changed.values():
        accepted(figure)
    if values.get("layer") != 20:  # there is no such layer: the last one is shown
        plain = templates(settings(name))
        assert any(
            repr(template) != repr(plain[panel])
            for panel, template in templates(settings(name) | values).items()
        )


def test_ghosts_are_dotted_and_read_by_nobody() -> None:
    full = recorded("dense")
    haunted = replace(full, ghosts={1: full.rows[0][:8, :CURVE_COLUMNS]})
    for name in ("accuracy", "loss"):
        template = templates(settings("dense"))[name]
        figure = fill(template, haunted, 2, 50)
        accepted(figure)
        dotted = [trace for trace in figure["data"] if trace.get("line", {}).get("dash") == "dot"]
        assert [len(trace["x"]) > 0 for trace in dotted] == [False, True]
        assert all(t["hoverinfo"] == "skip" and t["showlegend"] is False for t in dotted)
        off = templates(settings("dense") | {"ghost": "off"})[name]
        assert not [t for t in off["data"] if t.get("line", {}).get("dash") == "dot"]


def test_panels_are_those_that_apply() -> None:
    assert list(templates(settings("dense"))) == [name for name in PANELS if name != "surface"]
    assert list(templates(settings("gan"))) == list(PANELS)
    assert list(templates(settings("dense"), only=("flow", "accuracy"))) == ["accuracy", "flow"]
    with pytest.raises(ValueError, match=r"only=\['heat'\] are no panels; choose from accuracy, loss"):
        templates(settings("dense"), only=("heat",))


# ---- what is drawn -------------------------------------------------------------------------------------


def test_curves_show_what_was_recorded_up_to_the_playhead_and_faintly_beyond() -> None:
    frames = recorded("dense")
    figure = figures("dense", 5)["accuracy"]
    batch = [trace for trace in figure["data"] if trace.get("name", "").startswith("batch norm")]
    ahead, rings = batch
    shown = frames.table(1, "val_accuracy")[::5, 0]
    assert ahead["x"].tolist() == [0, 5, 10]
    assert ahead["y"].tolist() == shown.tolist()
    assert rings["y"].tolist() == frames.table(1, "val_accuracy_batch")[:6:5, 0].tolist()
    main = figure["data"][-2]  # before the rings
    assert main["x"].tolist() == [0, 5] and main["y"].tolist() == shown[:2].tolist()
    edges = [t for t in figure["data"] if t.get("line", {}).get("width") == 0]
    low, high = edges[2:]
    assert (low["y"] <= shown[:2]).all() and (high["y"] >= shown[:2]).all()
    assert (high["y"] > low["y"]).any() and high["fill"] == "tonexty"
    (playhead,) = [shape for shape in figure["layout"]["shapes"] if shape["x0"] == 5]
    assert playhead["x1"] == 5 and playhead["yref"] == "paper"


def test_only_norms_with_running_statistics_have_rings() -> None:
    race = Race.of(DEFAULTS | {"lanes": (("none", ()), ("layer", ()), ("batch", ()), ("renorm", ()))})
    assert [race.rings(lane) for lane in range(4)] == [False, False, True, True]
    said = PANELS["accuracy"].said(race)
    assert "rings" in said["hint"] and "running statistics" in said["about"]
    said = PANELS["accuracy"].said(Race.of(DEFAULTS | {"lanes": (("none", ()), ("layer", ()))}))
    assert "rings" not in said["hint"] + said["about"]


@pytest.mark.parametrize("name", [name for name in RACES if name != "one"])
def test_each_lane_is_named_once_in_a_legend_and_not_over_lines(name: str) -> None:
    names = lanes.lane_names(settings(name))
    for panel in ("accuracy", "loss"):
        figure = figures(name, 3)[panel]
        assert figure["layout"]["showlegend"] is True
        listed = [t["name"] for t in figure["data"] if t.get("showlegend", True)]
        assert [one.split(", diverged")[0] for one in listed] == [
            brief_name(one, 20) if one not in listed else one for one in names
        ]
        written = " ".join(note["text"] for note in figure["layout"]["annotations"])
        assert not [one for one in names if one in written]


def test_one_trace_moves_the_playhead() -> None:
    for panel, figure in templates(settings("four")).items():
        scrubs = [trace["meta"]["scrub"] for trace in figure["data"] if "scrub" in trace.get("meta", {})]
        assert scrubs == (["step"] if panel in ("accuracy", "loss") else [])


def test_changes_in_mid_run_are_marked() -> None:
    figure = figures("four", 6)["loss"]
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["▾ learning rate 0.5"]
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [6, 4]


def test_guessing_is_marked_where_there_is_something_to_guess() -> None:
    for name, share in (("dense", 0.1), ("spirals", 1 / 3), ("gan", None)):
        layout = figures(name, 0)["accuracy"]["layout"]
        level = [shape["y0"] for shape in layout["shapes"] if shape["y0"] == shape["y1"]]
        assert level == ([] if share is None else [pytest.approx(share)])
        assert ["guessing" in note["text"] for note in layout["annotations"]] == [True] * len(level)


def test_ridges_have_a_column_for_each_lane_and_every_bin() -> None:
    frames = recorded("four")
    figure = figures("four", 8)["ridges"]
    shares = frames.table(2, "activation_histogram")[8]
    trace = figure["data"][2]
    assert (trace["xaxis"], trace["yaxis"], trace["fill"]) == ("x3", "y3", "toself")
    outline = trace["y"].reshape(3, 131)
    assert np.isnan(outline[:, -1]).all() and (outline[:, 0] == [1, 2, 3]).all()
    tops = outline[:, 1:-2:2]
    high = outline[:, :1] - tops
    assert np.square(high / high.max(axis=1, keepdims=True)) == pytest.approx(
        shares / shares.max(axis=1, keepdims=True), abs=1e-6
    )
    assert trace["customdata"].reshape(3, 131)[:, 1:-2:2].tolist() == shares.tolist()
    assert trace["x"][:4].tolist() == [-4, -4, -3.875, -3.875]
    ends = figure["layout"]["yaxis"]["range"]
    assert ends[0] > 3 and ends[1] < 1, "the first layer is on top"
    domains = [figure["layout"][f"xaxis{n}"]["domain"] for n in ("", 2, 3, 4)]
    assert all(one[1] < other[0] for one, other in zip(domains, domains[1:], strict=False))


def test_many_layers_reach_into_the_row_above() -> None:
    by_depth = {depth: templates(DEFAULTS | {"depth": depth}) for depth in (5, 20)}
    tall = {depth: made["ridges"]["data"][0]["y"]["tall"] for depth, made in by_depth.items()}
    assert tall[5] < 1 < tall[20]


def test_time_runs_down_and_ends_at_the_playhead() -> None:
    frames = recorded("dense")
    figure = figures("dense", 6, layer=2)["time"]
    trace = figure["data"][1]
    assert figure["layout"]["yaxis2"]["range"] == [50, 0]
    assert trace["y"][[0, -1]].tolist() == [0, 50]
    known = trace["y"] <= 6
    assert np.isfinite(trace["z"][known]).all() and np.isnan(trace["z"][~known]).all()
    rows = trace["y"][known].astype(int)
    assert np.square(trace["z"][known]) == pytest.approx(frames.table(1, "activation_histogram")[rows, 1])
    last = templates(settings("dense") | {"layer": 0})["time"]["data"][0]["z"]["layer"]
    assert last == DEFAULTS["depth"] - 1


def test_layers_are_drawn_from_first_to_last() -> None:
    frames = recorded("deep")
    made = figures("deep", 5)
    for panel, field in (("flow", "gradient_norm"), ("ratio", "update_ratio"), ("saturation", "saturation")):
        (trace,) = [t for t in made[panel]["data"] if t.get("name") == "batch norm"]
        assert trace["x"].tolist() == list(range(1, 21))
        assert trace.get("customdata", trace["y"]).tolist() == frames.table(1, field)[5, :, 0].tolist()
    (dead,) = [t for t in made["saturation"]["data"] if t.get("name") == "batch norm, dead units"]
    assert dead["y"].tolist() == frames.table(1, "dead")[5, :, 0].tolist()
    assert any(s["y0"] == s["y1"] == -3 for s in made["ratio"]["layout"]["shapes"])
    low, high = made["flow"]["layout"]["yaxis"]["range"]
    seen = np.concatenate([frames.table(lane, "gradient_norm").ravel() for lane in (0, 1)])
    seen = np.log10(seen[seen > 0])
    assert low <= seen.min() + 1e-6 and seen.max() <= high + 1e-6


def test_what_is_exactly_zero_is_said() -> None:
    """A batch of one is its own mean: nothing comes back through batch norm."""
    made = figures("alone", 3)
    said = {panel: [n["text"] for n in made[panel]["layout"]["annotations"]] for panel in ("flow", "ratio")}
    assert said == {"flow": ["at the bottom: exactly 0"], "ratio": ["no update: it is exactly 0"]}
    (trace,) = [t for t in made["flow"]["data"] if t.get("name") == "batch norm"]
    assert trace["y"].tolist() == [10 ** made["flow"]["layout"]["yaxis"]["range"][0]] * 5
    assert trace["customdata"].tolist() == [0] * 5
    made = figures("dense", 3)
    assert [made[panel]["layout"]["annotations"][0]["text"] for panel in ("flow", "ratio")] == ["", ""]


def test_a_lane_that_diverges_is_said_to() -> None:
    frames = recorded("lost")
    left = frames.table(0, "seeds_left")[:, 0]
    step = int(np.flatnonzero(left == 0)[0])
    assert 0 < step < 30, "this race is meant to lose a lane"
    before, after = figures("lost", step - 1), figures("lost", step)
    for made, fate in ((before, ""), (after, f"diverged at step {step}")):
        assert [t["name"].partition(", ")[2] for t in made["loss"]["data"] if t.get("showlegend", True)] == [
            one.partition(", ")[2] + (f", {fate}" if fate and lane == 0 else "")
            for lane, one in enumerate(["no norm (lr 10, depth 5)", "batch norm"])
        ]
        for panel in ("ridges", "time"):
            assert ("diverged" in str(made[panel]["layout"]["annotations"])) == bool(fate)


def test_decision_surfaces_are_those_of_the_latest_validation() -> None:
    frames = recorded("spirals")
    made = figures("spirals", 9)["surface"]
    plane = made["data"][0]
    step, cells = frames.surfaces[0][1]
    assert step == 5 and plane["z"].ravel().tolist() == cells.ravel().tolist()
    assert (plane["zmin"], plane["zmax"]) == (0, 3)
    drawn = [(t["x"], t["y"]) for t in made["data"] if t["type"] == "scatter" and t.get("xaxis") == "x"]
    x = np.concatenate([np.stack(pair, axis=1) for pair in drawn])
    data = Race.of(settings("spirals")).configs[0].data().x_train[:300]
    assert sorted(map(tuple, x.tolist())) == sorted(map(tuple, data.tolist()))


@pytest.mark.parametrize("name", ["spirals", "ring", "four"])
def test_classes_have_no_colours_of_lanes(name: str) -> None:
    figure = templates(settings(name))["surface"]
    text = json.dumps([t.get("colorscale", t.get("marker")) for t in figure["data"]], default=list)
    assert not [colour for colour in COLOURS if colour in text]
    classes = [t for t in figure["data"] if t["name"].startswith("class") and t.get("xaxis") == "x"]
    shapes = {(t["marker"]["symbol"], t["marker"]["color"]) for t in classes}
    assert len(shapes) == len(classes) > 1
    (plane, *_) = (t for t in figure["data"] if t["type"] == "heatmap")
    ends = [colour for share, colour in plane["colorscale"]][1::2]
    assert len(set(ends)) == len(classes), "a grey for each class"


def test_a_gan_draws_its_samples_over_real_ones() -> None:
    frames = recorded("gan")
    figure = figures("gan", 7)["surface"]
    real, made = [t for t in figure["data"] if t.get("xaxis") == "x2"]
    step, cloud = frames.clouds[1][1]
    assert step == 5 and np.stack([made["x"], made["y"]], axis=1).tolist() == cloud.tolist()
    assert len(real["x"]) == 300
    outside = int((np.abs(cloud) >= 1.8).any(axis=1).sum())
    said = [note["text"] for note in figure["layout"]["annotations"] if "outside" in note["text"]]
    assert f"{outside} outside" in said if outside else True
    texts = {name: one["title"] + one["hint"] for name, one in described(settings("gan")).items()}
    assert "Samples near a Gaussian" in texts["accuracy"] and "Generated samples" in texts["surface"]
    assert "discriminator" in texts["flow"] and "discriminator" in texts["ridges"]


def test_no_heading_is_cut_in_a_usual_race() -> None:
    for name in RACES:
        for narrow in (False, True):
            made = templates(settings(name), narrow)["ridges"]
            texts = [note["text"] for note in made["layout"]["annotations"]]
            assert not [text for text in texts if isinstance(text, str) and text.startswith("…")]


# ---- words ---------------------------------------------------------------------------------------------

TERMS = {
    "accuracy": ("seed", "band", "ghost", "running statistics", "batch"),
    "loss": ("cross-entropy", "band", "ghost"),
    "surface": ("class", "grey", "confident"),
    "ridges": ("pre-activations", "square roots", "±4"),
    "time": ("steps", "square root", "±4"),
    "flow": ("gradient", "L2", "pre-activations", "vanishing", "exploding"),
    "ratio": ("update:data", "logarithm", "−3", "thousandth", "rule of thumb", "Karpathy"),
    "saturation": ("saturated", "5%", "ReLU", "tanh", "dead units", "Rings"),
}


@pytest.mark.parametrize("name", PANELS)
def test_every_term_of_a_picture_is_explained(name: str) -> None:
    dense, gan = described(settings("spirals")), described(settings("gan"))
    assert not [term for term in TERMS[name] if term not in dense[name]["about"]]
    for one in (dense[name], gan[name]):
        for text in (one["about"], one["figure"]["layout"]["meta"]["alt"]["head"]):
            assert re.fullmatch(r"[A-Z“].*\.", text), text
        meta = one["figure"]["layout"]["meta"]
        assert (meta["title"], meta["hint"]) == (one["title"], one["hint"])
        assert len(one["hint"]) <= 60, "it stands in one line of a caption"
    hint = dense[name]["hint"]
    for sign, meaning in (("√", "square root"), ("ring", "ings"), ("‖", "length"), ("band", "seed")):
        assert sign not in hint or meaning in dense[name]["about"], sign


def test_what_spoils_a_prediction_is_said() -> None:
    assert [name for name, panel in PANELS.items() if not panel.spoils] == ["accuracy"]
    choices = {name: panel.choice for name, panel in PANELS.items() if panel.choice}
    assert choices == {"loss": "loss", "ridges": "histogram", "time": "layer"}
    assert set(choices.values()) <= {control.name for control in LAB_CONTROLS}


@pytest.mark.parametrize("name", ["dense", "gan", "spirals"])
def test_a_picture_in_words_has_its_numbers(name: str) -> None:
    frames = recorded(name)
    alts = {panel: figure["layout"]["meta"]["alt"] for panel, figure in figures(name, 5).items()}
    share = float(frames.table(1, "val_accuracy")[5, 0])
    assert "Step 5. no norm: " in alts["accuracy"] and f"batch norm: {share:.3g}." in alts["accuracy"]
    assert len(set(alts.values())) == len(alts)
    assert all("batch norm: " in alt for alt in alts.values())


def test_a_narrow_figure_has_less_beside_it() -> None:
    wide, narrow = templates(settings("four")), templates(settings("four"), narrow=True)
    for name in wide:
        left = [made[name]["layout"]["margin"]["l"] for made in (wide, narrow)]
        assert left[1] <= left[0]
        ticks = [len(made[name]["layout"]["xaxis"].get("tickvals", ())) for made in (wide, narrow)]
        assert ticks[1] <= ticks[0]


@pytest.mark.parametrize("name", ["gan", "four", "deep"])
def test_templates_travel_as_arrays(name: str) -> None:
    """Long lists are packed as numbers: a header of text would be many times as long."""
    made = described(settings(name))
    figures, arrays = packed_figures({panel: one["figure"] for panel, one in made.items()})
    message = pack(
        {"kind": "lab", "panels": {p: one | {"figure": figures[p]} for p, one in made.items()}}, arrays
    )
    header, unpacked = unpack(message)
    assert set(header["panels"]["flow"]) == {"title", "hint", "about", "choice", "spoils", "figure"}
    assert set(unpacked) == set(arrays)
    assert len(json.dumps(header)) < 60_000
