"""E17, E21: what its noise is good for, and what it costs."""

from __future__ import annotations

from dataclasses import replace

from ...config import RunConfig
from ..findings import Findings, Picture, Results, check, level, mean, points
from ..model import NAMES, QUIET, Cells, Experiment, Race
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
    checks = [check("error at m=4 / at m=64", final[4] / final[64].mean(), most=0.5, seeds=6, null=1)]
    checks += [
        check(f"validation error, {NAMES.get(label, f'm={label}')}, %", values)
        for label, values in final.items()
        if not isinstance(label, tuple)
    ]
    checks += [check(f"the same with right labels, m={m}, %", final["right labels", m]) for m in (64, 4)]
    series = [points("batch norm", results, {m: m for m in sizes}, "final_precise")]
    series += [level(NAMES[norm], sizes, final[norm]) for norm in ("layer", "none")]
    gain = mean(final["none"]) - mean(final[64])
    words = (
        f"{abs(gain):.1f} points {'below' if gain > 0 else 'above'}" if abs(gain) > EVIDENCE else "level with"
    )
    whole, parts = (mean(final["right labels", m]) for m in (64, 4))
    helps = "help too" if whole - parts > EVIDENCE else "don’t help"
    without = f"small norm batches {helps}: {parts:.1f}% against {whole:.1f}%"
    notes = (
        f"With statistics of the whole batch, batch norm is {words} no norm: what regularizes is small norm "
        f"batches. With right labels {without}.",
    )
    picture = Picture(
        "Three labels in ten are wrong; error on clean samples", "norm batch, m", "validation error, %",
        tuple(series),
        log_x=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), notes)


E17 = Experiment(
    name="E17",
    title="Noise of small norm batches regularizes",
    claims={},
    setup="""
        640 digits, 30% of their labels wrong, 3 × 64 ReLU units, batch 64, momentum SGD at 0.05, 400
        steps (40 epochs), statistics from m samples at a time, precise statistics in validation, 6 seeds.
    """,
    theory="",
    accepted="Error at m=4 at most half of that at m=64.",
    sources=("Ioffe & Szegedy 2015, section 3.4", "Luo et al. 2019"),
    contested="""
        That batch norm regularizes is claimed in general; the note says what is left of it with whole
        batches and with right labels. Not separated: at small m less of the gradient passes (E2), so that
        the network also fits wrong labels more slowly, as early stopping would have it.
    """,
    cells=_e17_cells,
    read=_e17_read,
    races=lambda: (
        Race("Norm batches of 64, 8 and 4, and no norm",
             (*(replace(_E17, norm_batch=m) for m in (64, 8, 4)), replace(_E17, norm="none")), 400),
    ),
)  # fmt: skip


def _e21_cells(full: bool) -> Cells:
    config = RunConfig(depth=4, **QUIET)
    return {m: Cell("cost", replace(config, batch_size=m), 200 if full else 40) for m in (8, 32, 128)}


def _e21_read(results: Results) -> Findings:
    parameters = next(iter(results.values()))["parameters"]
    checks = [
        check("more parameters per unit with batch norm than without", parameters, 1, 1, expected=1.0),
        check(
            "numbers kept per unit for inference",
            next(iter(results.values()))["statistics"],
            2,
            2,
            expected=2.0,
        ),
    ]
    checks += [
        check(f"time of a training step / without norm, batch {m}", found["training"])
        for m, found in results.items()
    ]
    checks += [
        check(f"time in inference / without norm, batch {m}", found["inference"])
        for m, found in results.items()
    ]
    labels = {m: m for m in results}
    picture = Picture(
        "What batch norm adds to a step", "batch size", "time with batch norm / without",
        tuple(points(name, results, labels, name) for name in ("training", "inference")), log_x=True,
    )  # fmt: skip
    notes = (
        "Times are of this library on this machine, medians of rounds that take turns; inference is folded.",
    )
    return Findings((picture,), tuple(checks), notes)


E21 = Experiment(
    name="E21",
    title="What it costs",
    claims={},
    setup="""
        4 × 64 ReLU units: training steps and inference with batch norm and without, in turns in one
        process.
    """,
    theory="""
        γ and β instead of a bias: one parameter more per unit, and two running statistics until the norm
        is folded: in inference it is an affine map, which vanishes in its linear layer.
    """,
    accepted="The counts exactly; times are only reported.",
    sources=("Ioffe & Szegedy 2015, Algorithm 2",),
    contested="",
    caveat="""
        Shares of time depend on the library and the network: in wide layers matrix products dominate.
    """,
    cells=_e21_cells,
    read=_e21_read,
    races="The lab’s clock is the training step, not the second.",
)
