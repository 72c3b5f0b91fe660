"""Scenes of "Training and inference" about companions: who shares a batch, and what that changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import WAITING, average
from book.controls import Values
from book.figure import BLUE, INK, PAPER
from pages._inference_parts import (
    ANEW,
    COLOURS,
    DRAWS,
    EVAL,
    SEEDS,
    TRAIN,
    bars,
    conv_steps,
    corner,
    digits,
    frame,
    gap_light,
    gap_numbers,
    step_batch,
    tiles,
)  # fmt: skip


def one_class(values: Values, found: Found) -> View:
    """Compare companions of one class with mixed ones, and batch norm with layer norm."""
    hide, narrow, anew = values["open"], values.get("narrow", False), values["statistics"] == "precise"
    chosen, mixed, layer = (found.get(name) for name in ("grouped", "mixed", "layer"))
    shares = {TRAIN: chosen and chosen["own"], EVAL: chosen and chosen["eval"]}
    if not hide:
        shares[ANEW] = chosen and chosen["precise"]
        shares["mixed classes"] = mixed and mixed["eval"]
        shares["layer norm"] = layer and layer["eval"]
    title, size = "Right answers", step_batch(values)
    hint = f"Trained with {size} samples a step; norm batches of {values['order_name']}."
    if not hide:
        hint += " The last two are eval() of networks trained with mixed classes, and with layer norm."
    figures = {"bars": bars(shares, title, narrow, hint=hint)}
    if chosen is None or mixed is None or layer is None:
        return View(figures=figures, waiting=WAITING)
    numbers = {
        "own": average(chosen["own"]), "right_eval": average(chosen["eval"]),
        "right_anew": average(chosen["precise"]),
        "mixed": average(mixed["eval"]), "layer": average(layer["eval"]),
        "classes": float(chosen["classes"][0]),
        "mixed_classes": float(mixed["classes"][0]), "right": average(chosen["precise" if anew else "eval"]),
        "among_others": average(chosen["mixed"]), "mixed_own": average(mixed["own"]),
        "m": float(values["batch_size"]),
    }  # fmt: skip
    numbers["halfway"] = (numbers["right_eval"] + numbers["mixed"]) / 2
    text = (
        f"A step has {size} samples; a norm batch of {values['batch_size']} contains "
        f"{numbers['classes']:.1f} classes on average. eval() is right for {numbers['right_eval']:.1%}."
    )
    if not hide:
        text += (
            f" With recomputed statistics: {numbers['right_anew']:.1%}. Trained with mixed classes: "
            f"{numbers['mixed']:.1%}. Layer norm: {numbers['layer']:.1%}."
        )
    table = {"seed": np.arange(SEEDS), "own": chosen["own"], "eval": chosen["eval"]}
    if not hide:
        table["precise"] = chosen["precise"]
    numbers |= gap_numbers(found.get("gap"), values["momentum"]) | {"companions": 0.0}
    return View(numbers, text, figures, table, lights=gap_light(found.get("gap"), values["momentum"]))


def roulette(values: Values, found: Found) -> View:
    """Show one digit among companions that change, and what becomes of its class."""
    hide, spun, votes, layer = values["open"], *(found.get(name) for name in ("pinned", "roulette", "layer"))
    data, pinned, m, draws = digits(), values["pin"], values["batch_size"], DRAWS
    if spun is None:
        return View(waiting=WAITING)
    in_eval = values["mode"] == "eval" and not hide
    draw = (values["draw"]) % draws
    companions, shown = spun["companions"][draw], min(m, 16)
    columns = 4 if values.get("narrow", False) else 6
    rows = -(-shown // columns)
    z = tiles(data.x_val[companions[:shown]], columns)
    centres = [(x + 4, y + 4) for x, y in (corner(place, columns, rows) for place in range(shown))]
    own = frame(0, z.shape[0] - 10, 9, z.shape[0] - 1)
    hidden: Any = {"visible": False, "showgrid": False}
    others = "its batch" if shown == m else f"{shown - 1} of the {m - 1} others in its batch"
    title = f"Draw {draw + 1}: the framed digit and {others}"
    names = [f"a {data.y_val[one]}: click to pin it" for one in companions[:shown]]
    names[0] = f"a {data.y_val[pinned]}: pinned"
    company = fig.figure(
        [
            fig.cells(z, 0, 1, name="digits", hoverinfo="skip"),
            fig.dots(
                [x for x, _ in centres], [y for _, y in centres], "digits to pin", INK, alpha=0, size=30,
                meta={"click": "pin", "values": [int(one) for one in companions[:shown]], "says": names},
            ),
        ],
        title, f"{title}. The framed one is a {data.y_val[pinned]}.",
        fig.axis(-0.5, z.shape[1] - 0.5, ticks=[], **hidden),
        fig.axis(-0.5, z.shape[0] - 0.5, ticks=[], **hidden),
        shapes=[own], margin={"l": 8, "r": 8, "t": 8, "b": 8}, hint="Click a digit to pin it.",
    )  # fmt: skip
    odds = np.tile(spun["eval"], (draws, 1)) if in_eval else spun["odds"]
    upto = draw + 1 if hide else draws
    visible = np.where(np.arange(draws)[:, None] < upto, odds, np.nan)
    said = [int(one) for one in odds.argmax(axis=1)]
    mode = EVAL if in_eval else TRAIN
    cells = [
        f"Draw {k + 1}, class {label}: " + (f"{odds[k, label]:.0%}" if k < upto else "not drawn yet")
        for label in range(10)
        for k in range(draws)
    ]
    chances = fig.figure(
        [
            fig.cells(
                visible.T, 0, 1, [(0, PAPER), (1, COLOURS[mode])], "probability", xgap=1, ygap=1,
                meta={"says": cells},
            )
        ],
        f"Probability of each class in {mode}, draw by draw",
        f"In {upto} draws the classes said are {', '.join(map(str, sorted(set(said[:upto]))))}.",
        fig.axis(-0.5, draws - 0.5, "draw", [0, 4, 9, 14, 19], words=["1", "5", "10", "15", "20"]),
        fig.axis(-0.5, 9.5, "class", list(range(10))),
        shapes=[fig.mark(edge, -0.5, edge, 9.5, INK, 1) for edge in (draw - 0.5, draw + 0.5)],
    )  # fmt: skip
    usual, figures = int(spun["eval"].argmax()), {"company": company, "chances": chances}
    text = f"Draw {draw + 1}: {mode} says {said[draw]}. The digit is a {data.y_val[pinned]}."
    if votes is None or layer is None:
        return View(text=text, figures=figures, waiting=WAITING)
    numbers = {
        "changed": average(votes["changed"]), "differs": average(votes["differs"]), "m": float(m),
        "companions": 0.0,
        "others": float(sum(one != usual for one in said)), "classes": float(len(set(said))),
        "draws": float(draws),
        "layer_changed": average(layer["changed"]), "lowest": float(odds[:, usual].min()),
        "highest": float(odds[:, usual].max()), "deviation": m**-0.5,
    }  # fmt: skip
    numbers["right"] = 0.0 if in_eval else numbers["changed"]
    if not hide:
        kinds = len(set(said))
        answers_ = f"{kinds} different answers" if kinds > 1 else "always the same answer"
        text += (
            f" In {draws} draws it gets {answers_}. Of all {len(data.x_val)} validation digits "
            f"{numbers['right']:.1%} change their class at least once."
        )
    table = {} if hide else {
        "draw": np.arange(1, draws + 1), "pinned_class": np.array(said),
        "eval_class_probability": odds[:, usual],
        "differs": np.zeros(draws) if in_eval else votes["differs_by_draw"],
    }  # fmt: skip
    numbers |= gap_numbers(found.get("gap"), values["momentum"])
    return View(numbers, text, figures, table, lights=gap_light(found.get("gap"), values["momentum"]))


def alone(values: Values, found: Found) -> View:
    """Ask train() about one digit at a time."""
    hide, narrow, asked = values["open"], values.get("narrow", False), found.get("alone")
    kind = values["network"]
    if asked is None:
        return View(waiting=WAITING)
    shown, count = np.where(hide, np.nan, asked["answers"][0]), int(asked["answers"][0].sum())
    classes = [f"class {label}: {int(own)} digits" for label, own in enumerate(asked["answers"][0])]
    counts = fig.figure(
        [
            fig.bars(
                np.arange(10), shown, "answers", BLUE, width=0.7,
                meta={} if hide else {"says": classes},
            )
        ],
        f"Answers to {count} digits, asked one at a time in train()",
        "Not asked yet." if hide else f"Bars of how often each class is the answer: {'; '.join(classes)}.",
        fig.axis(-0.5, 9.5, "answer of the first network", list(range(10))), fig.axis(0, 525, "digits"),
        bargap=0,
    )  # fmt: skip
    shares = {EVAL: asked["eval"]}
    if not hide:
        shares = {f"{TRAIN}, a batch of one": asked["right"]} | shares
        if kind == "cnn":
            taught = found.get("instance")
            shares["instance norm"] = taught and taught["eval"]
    figures = {"answers": counts, "bars": bars(shares, "Right answers", narrow)}
    positions = 64 if kind == "cnn" else 1
    numbers = {
        "distinct": float(asked["distinct"][0]), "right": average(asked["right"]),
        "right_eval": average(asked["eval"]),
        "classes": float((asked["answers"][0] > 0).sum()), "positions": float(positions), "xhat": 0.0,
        "instance": average(found["instance"]["eval"]) if found.get("instance") else 0.0,
    }  # fmt: skip
    text = f"eval() is right for {numbers['right_eval']:.1%}."
    if not hide:
        kinds = int(numbers["distinct"])
        got = f"get {kinds} different outputs" if kinds > 1 else "all get the same output"
        text = f"{count} digits, one at a time in train(), {got}: {numbers['right']:.1%} are right. {text}"
        if kind == "cnn":
            steps = conv_steps(values["step"])
            text = f"Convolutional, {steps} steps, one seed. {text} {_instance(numbers)}"
    numbers |= {"refused": 1.0, "from_instance_norm": 0.0} | gap_numbers(found.get("gap"), values["momentum"])
    table = {"class": np.arange(10)} | ({} if hide else {"said": asked["answers"][0]})
    return View(numbers, text, figures, table, lights=gap_light(found.get("gap"), values["momentum"]))


def _instance(numbers: Numbers) -> str:
    """Compare instance norm in training with what batch norm is in train() with one image."""
    own, sick = numbers["instance"], numbers["right"]
    text = f"Trained with instance norm from the start, it is right for {own:.1%}"
    if own < sick + 0.1:
        return f"{text}, no better at this step: it needs more steps."
    return f"{text}: the norm is the same for one image, but these weights were learned with it."
