"""E17, E21: what its noise is good for, and what it costs."""

from __future__ import annotations

from dataclasses import replace

from ...networks.config import RunConfig
from ..findings import Findings, Picture, Results, check, level, mean, points
from ..intervals import paired
from ..model import NAMES, QUIET, Cells, Experiment, Null, Race, Sides
from ..nulls import changed, same
from ..probes import Cell

_E17 = RunConfig(
    depth=3, batch_size=64, train_samples=640, label_noise=0.3, lr=0.05, optimizer="momentum", replicas=6
)  # fmt: skip


def _e17_cells(full: bool) -> Cells:
    config = replace(_E17, replicas=6 if full else 3, **QUIET)
    precise = (("precise", True),)
    sizes = (64, 16, 8, 4) if full else (64, 4)
    found: Cells = {m: Cell("learning", replace(config, norm_batch=m), 400, precise) for m in sizes}
    for norm in ("layer", "none"):
        found[norm] = Cell("learning", replace(config, norm=norm), 400, precise)
    for m in (64, 4):
        right = replace(config, norm_batch=m, label_noise=0.0)
        found["right labels", m] = Cell("learning", right, 400, precise)
    return found


def _e17_read(results: Results) -> Findings:
    sizes = [m for m in results if isinstance(m, int)]
    final = {label: found["final_precise"] for label, found in results.items()}
    right = {m: final["right labels", m] for m in (64, 4)}
    whole = final["none"] - final[64]
    checks = [
        check("error at m=4 / at m=64", final[4] / final[64].mean(), most=0.5, seeds=6, null=1, name="small"),
        check("no norm − m=64, points", whole, most=8, seeds=6, null=15, name="whole"),
        check("right labels, m=4 − m=64, points", right[4] - right[64], -1, seeds=6, null=-5, name="right"),
    ]
    checks += [
        check(f"validation error, {NAMES.get(label, f'm={label}')}, %", values)
        for label, values in final.items()
        if not isinstance(label, tuple)
    ]
    checks += [check(f"the same with right labels, m={m}, %", values) for m, values in right.items()]
    series = [points("batch norm", results, {m: m for m in sizes}, "final_precise")]
    series += [level(NAMES[norm], sizes, final[norm]) for norm in ("layer", "none")]
    gains = {name: paired(gap) for name, gap in (("whole", whole), ("right", right[64] - right[4]))}
    sign = {name: "" if gain.clear else ", no evidence of any" for name, gain in gains.items()}
    notes = (
        f"With statistics of the whole batch, batch norm gains {gains['whole'].text()} over no "
        f"norm{sign['whole']}.",
        f"With right labels small norm batches gain {gains['right'].text()} over whole ones{sign['right']}: "
        f"{mean(right[4]):.1f}% against {mean(right[64]):.1f}%.",
    )
    picture = Picture(
        "Three labels in ten are wrong; error on clean samples", "norm batch, m", "validation error, %",
        tuple(series),
        log_x=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), notes)


E17 = Experiment(
    name="E17",
    title="Among wrong labels the noise of small norm batches regularizes",
    claims={"regularization": Sides(shows=("small",), limits=("whole", "right"))},
    setup="""
        640 digits, 30% of their labels wrong, 3 × 64 ReLU units, batch 64, momentum SGD at 0.05, 400
        steps (40 epochs), statistics from m samples at a time, precise statistics in validation, 6 seeds.
    """,
    theory="",
    accepted="""
        Error at m=4 at most half of that at m=64. With statistics of the whole batch, batch norm gains at
        most 8 points over no norm; with right labels m=4 gains at most 1 point over m=64.
    """,
    sources=("Ioffe & Szegedy 2015, section 3.4", "Luo et al. 2019, abstract"),
    contested="""
        That batch norm regularizes is claimed in general: whole batches and right labels are judged apart.
        Not separated: at small m less of the gradient passes (E2), so that the network also fits wrong
        labels more slowly, as early stopping would have it.
    """,
    cells=_e17_cells,
    read=_e17_read,
    races=lambda: (
        Race("Norm batches of 64, 8 and 4, and no norm",
             (*(replace(_E17, norm_batch=m) for m in (64, 8, 4)), replace(_E17, norm="none")), 400),
    ),
    nulls=(
        same("the norm batch plays no role", {4: 64}),
        same("the whole batch is as good as norm batches of 4", {64: 4}),
        Null(
            "small norm batches do with right labels what they do with wrong ones",
            lambda results: {
                label: results[label[1] if isinstance(label, tuple) else label] for label in results
            },
        ),
    ),
)  # fmt: skip


def _e21_cells(full: bool) -> Cells:
    config = RunConfig(depth=4, **QUIET)
    found: Cells = {m: Cell("cost", replace(config, batch_size=m), 200 if full else 40) for m in (8, 32, 128)}
    found["residual"] = Cell("cost", replace(config, residual="pre", batch_size=8), 1)  # for its counts
    return found


def _e21_read(results: Results) -> Findings:
    times = {m: found for m, found in results.items() if m != "residual"}
    counts = next(iter(times.values()))
    checks = [
        check("more parameters per unit with batch norm than without",
              counts["parameters"], 1, 1, expected=1.0, name="more"),
        check("more numbers per unit in inference, folded",
              counts["folded"], 0, 0, expected=0.0, name="folded"),
        check("numbers kept per unit for inference", counts["statistics"], 2, 2, expected=2.0, exact=True),
        check("more numbers per unit in inference, residual network", results["residual"]["folded"]),
    ]  # fmt: skip
    for name, words in (("training", "time of a training step"), ("inference", "time in inference")):
        checks += [check(f"{words} / without norm, batch {m}", found[name]) for m, found in times.items()]
    picture = Picture(
        "What batch norm adds to a step", "batch size", "time with batch norm / without",
        tuple(points(name, results, {m: m for m in times}, name) for name in ("training", "inference")),
        log_x=True,
    )  # fmt: skip
    notes = (
        "Times are of this library on this machine, medians of rounds that take turns; inference is folded.",
    )
    return Findings((picture,), tuple(checks), notes)


E21 = Experiment(
    name="E21",
    title="It costs a parameter per unit, and none in inference once folded",
    claims={"cost": Sides(shows=("more",), limits=("folded",))},
    setup="""
        4 × 64 ReLU units: training steps and inference with batch norm and without, in turns in one
        process; counts of numbers, of a residual network, too.
    """,
    theory="""
        γ and β instead of a bias: one parameter more per unit, and two running statistics until the norm
        is folded: in inference it is an affine map, which vanishes in its linear layer. In a residual network
        with the norm before the activation it can’t vanish, since the sum also goes on without it.
    """,
    accepted="""
        One parameter more per unit, two numbers kept; in inference, folded, as many numbers as without a
        norm. Times are only reported.
    """,
    sources=("Ioffe & Szegedy 2015, Algorithm 2",),
    contested="",
    caveat="""
        Shares of time depend on the library and the network: in wide layers matrix products dominate.
    """,
    cells=_e21_cells,
    read=_e21_read,
    races="The lab’s clock is the training step, not the second.",
    nulls=(
        changed("a norm adds nothing", lambda _, found: {"parameters": 0 * found["parameters"]}),
        changed("a norm can’t be folded", lambda _, found: {"folded": found["parameters"]}),
    ),
)
