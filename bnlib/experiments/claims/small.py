"""E11, E12, E20: small batches, down to one sample."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from ...config import RunConfig
from ..findings import Findings, Picture, Results, check, curve, level, points
from ..model import NAMES, QUIET, Arms, Cells, Experiment, Race
from ..probes import Cell

_E11 = RunConfig(
    depth=4, batch_size=64, lr=0.2, optimizer="momentum", weight_decay=1e-4, cosine_steps=240, groups=4,
    replicas=6,
)  # fmt: skip
_E11_OTHERS: Arms = {
    "group": {"norm": "group"},
    "layer": {"norm": "layer"},
    "none": {"norm": "none", "lr": 0.05},
}


def _e11_cells(full: bool) -> Cells:
    config = replace(_E11, replicas=6 if full else 3, **QUIET)
    sizes = (64, 32, 16, 8, 4, 2) if full else (64, 16, 4, 2)
    found: Cells = {m: Cell("learning", replace(config, norm_batch=m), 240) for m in sizes}
    others = _E11_OTHERS if full else {"group": _E11_OTHERS["group"]}
    return found | {name: Cell("learning", replace(config, **arm), 240) for name, arm in others.items()}


def _e11_read(results: Results) -> Findings:
    sizes = [m for m in results if isinstance(m, int)]
    final = {label: found["final"] for label, found in results.items()}
    checks = [
        check("error at m=64, %", final[64], most=4, seeds=6),
        check("error at m=4 / at m=16", final[4] / final[16].mean(), least=1.5, seeds=6, null=1),
        check("error at m=2, %", final[2], least=40, seeds=6),
        check("error of group norm, %", final["group"], 2, 5, seeds=6),
    ]
    rest = [label for label in results if label not in (64, 2, "group")]
    checks += [check(f"error, {NAMES.get(label, f'm={label}')}, %", final[label]) for label in rest]
    labels = {m: m for m in sizes}
    series = [
        points("batch norm: validation, running statistics", results, labels, "final"),
        points("batch norm: validation, batch statistics", results, labels, "final_batch"),
        points("batch norm: training, batch statistics", results, labels, "final_train_batch"),
    ]
    for name in ("group", "layer", "none"):
        if name in results:
            series.append(level(NAMES[name], sizes, final[name]))
    picture = Picture(
        "Error against the samples that share a mean and a variance; every step sees 64", "norm batch, m",
        "error, %",
        tuple(series), log_x=True, log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks))


E11 = Experiment(
    name="E11",
    title="Small norm batches alone, at a fixed batch of SGD",
    claims={},
    setup="""
        Digits, 4 × 64 ReLU units, batch 64, momentum SGD at learning rate 0.2 (no norm: 0.05), weight
        decay 1e-4, cosine over 240 steps (12 epochs), 6 seeds. Statistics come from m samples at a time;
        group norm has 4 groups.
    """,
    theory="At m=2 no gradient passes the norm (E2): the collapse is a closed form, not noise.",
    accepted="m=64 below 4%; m=4 at least 1.5 times m=16; m=2 above 40%; group norm 2 to 5%.",
    sources=("Wu & He 2018, with the batch of SGD held fixed",),
    contested="",
    caveat="""
        ImageNet’s 34.7% at 2 images a worker (Wu & He) is another, milder regime: convolutions average over
        space as well, so that m is N · H · W.
    """,
    cells=_e11_cells,
    read=_e11_read,
    races=lambda: (
        Race(
            "Norm batches of 64, 8, 4 and 2",
            tuple(replace(_E11, groups=8, norm_batch=m) for m in (64, 8, 4, 2)),
            240,
        ),
    ),
)

_E12 = replace(_E11, lr=0.1, replicas=3)


def _e12_config(norm: str, size: int) -> RunConfig:
    return replace(_E12, norm=norm, batch_size=size, lr=0.1 * size / 64, cosine_steps=160 * 64 // size)


def _e12_cells(full: bool) -> Cells:
    sizes, norms = (
        ((64, 32, 16, 8, 4, 2), ("batch", "group", "layer")) if full else ((64, 4, 2), ("batch", "group"))
    )
    found: Cells = {}
    for norm, size in product(norms, sizes):
        config = replace(_e12_config(norm, size), **QUIET)
        found[norm, size] = Cell("learning", config, config.cosine_steps)
    return found


def _e12_read(results: Results) -> Findings:
    norms, sizes = (list(dict.fromkeys(label[i] for label in results)) for i in (0, 1))
    final = {label: found["final"] for label, found in results.items()}
    group = [final["group", size].mean() for size in sizes]
    checks = [
        check(
            "batch norm − group norm at batch 4, points",
            final["batch", 4] - final["group", 4],
            least=0,
            seeds=3,
        ),
        check("error of batch norm at batch 2, %", final["batch", 2], least=40, seeds=3),
        check("group norm, highest − lowest over batch sizes, points", max(group) - min(group), most=2.0),
    ]
    checks += [check(f"error, {NAMES[norm]}, batch {size}, %", final[norm, size]) for norm, size in results]
    picture = Picture(
        "Error against the batch size, everything else scaled with it", "batch size", "validation error, %",
        tuple(points(NAMES[n], results, {size: (n, size) for size in sizes}, "final") for n in norms),
        log_x=True, log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks))


E12 = Experiment(
    name="E12",
    title="Small batches by Wu and He’s protocol",
    claims={},
    setup="""
        Network of E11, 8 epochs, learning rate 0.1 · B/64 on half a cosine, 3 seeds; batch and norm batch
        are both B.
    """,
    theory="",
    accepted="""
        At B=4 batch norm errs more than group norm; at B=2 above 40%; group norm varies by less than 2
        points.
    """,
    sources=("Wu & He 2018",),
    contested="""
        The protocol changes the number of steps and the learning rate with B, so that it can’t tell which
        of them hurts; E11 holds them fixed.
    """,
    cells=_e12_cells,
    read=_e12_read,
    races=lambda: (
        Race(
            "Batches of 64, 8, 4 and 2, up to step 2,000 of 5,120",
            tuple(replace(_e12_config("batch", b), groups=8) for b in (64, 8, 4, 2)),
            2000,
        ),
    ),
)

_E20 = RunConfig(depth=3, batch_size=1, lr=0.01, replicas=4, record_every=100, validate_every=200)


def _e20_cells(full: bool) -> Cells:
    config, steps = replace(_E20, replicas=4 if full else 3), 2000 if full else 1400
    return {norm: Cell("learning", replace(config, norm=norm), steps) for norm in ("none", "layer", "batch")}


def _e20_read(results: Results) -> Findings:
    final = {norm: found["final"] for norm, found in results.items()}
    checks = (
        check("error of batch norm, %", final["batch"], least=80, seeds=4),
        check("error of layer norm, %", final["layer"], most=15, seeds=4),
        check("error of no norm, %", final["none"], most=15, seeds=4),
        check(
            "batch norm: error with batch statistics, %", results["batch"]["final_batch"], least=80, seeds=4
        ),
    )
    picture = Picture(
        "Learning from one sample at a time", "samples seen", "validation error, %",
        tuple(curve(NAMES[norm], found, "val_error") for norm, found in results.items()),
    )  # fmt: skip
    return Findings((picture,), checks)


E20 = Experiment(
    name="E20",
    title="One sample at a time: batch norm learns nothing",
    claims={},
    setup="""
        Digits, 3 × 64 ReLU units, batches of one sample, SGD at learning rate 0.01, 2,000 samples, 4
        seeds.
    """,
    theory="With m=1 the output is β whatever comes in, and no gradient passes.",
    accepted="Batch norm above 80% error, layer norm and no norm below 15%.",
    sources=("Ioffe & Szegedy 2015, Algorithm 1 with m=1",),
    contested="",
    caveat="""
        Frameworks differ: PyTorch refuses a training batch of one with an error; here it is normalized to 0.
    """,
    cells=_e20_cells,
    read=_e20_read,
    races=lambda: (
        Race("Batches of one", tuple(replace(_E20, norm=n) for n in ("none", "layer", "batch")), 2000),
    ),
)
