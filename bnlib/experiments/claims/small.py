"""E11, E12, E20: small batches, down to one sample."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from ...networks.config import RunConfig
from ..findings import Findings, Picture, Results, check, compared, curve, level, points, times
from ..intervals import paired
from ..model import NAMES, QUIET, Arms, Cells, Experiment, Race, Sides
from ..nulls import exchanged, same
from ..probes import Cell

_E11 = RunConfig(
    depth=4, batch_size=64, lr=0.2, optimizer="momentum", weight_decay=1e-4, cosine_steps=240, groups=4,
    replicas=6,
)  # fmt: skip
_E11_SIZES = (64, 32, 16, 8, 4, 2)
_E11_OTHERS: Arms = {
    "group": {"norm": "group"},
    "layer": {"norm": "layer"},
    "none": {"norm": "none", "lr": 0.05},
}


def _e11_cells(full: bool) -> Cells:
    config = replace(_E11, replicas=6 if full else 3, **QUIET)
    sizes = _E11_SIZES if full else (64, 16, 4, 2)
    found: Cells = {m: Cell("learning", replace(config, norm_batch=m), 240) for m in sizes}
    others = _E11_OTHERS if full else {"group": _E11_OTHERS["group"]}
    return found | {name: Cell("learning", replace(config, **arm), 240) for name, arm in others.items()}


def _e11_read(results: Results) -> Findings:
    sizes = [m for m in results if isinstance(m, int)]
    final = {label: found["final"] for label, found in results.items()}
    checks = [
        check("error at m=2 − at m=64, points", final[2] - final[64], 35, seeds=6, null=0, name="small"),
        check("error at m=2 − of group norm, points", final[2] - final["group"], 30,
              seeds=6, null=0, name="small"),
        times("error at m=4 / at m=16", final[4] / final[16], least=1.5, seeds=6, name="small"),
    ]  # fmt: skip
    checks += [
        check(f"error, {NAMES.get(label, f'm={label}')}, %", values) for label, values in final.items()
    ]
    notes = (
        compared("Error against that at m=64", {f"m={m}": final[m] - final[64] for m in sizes[1:]}),
        f"Batch norm at m=64 − group norm: {paired(final[64] - final['group']).text()}.",
    )
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
    return Findings((picture,), tuple(checks), notes)


E11 = Experiment(
    name="E11",
    title="In dense networks norm batches of two fail, at a fixed batch of SGD",
    claims={"small": Sides(shows=("small",))},
    setup="""
        Digits, 4 × 64 ReLU units, batch 64, momentum SGD at learning rate 0.2 (no norm: 0.05), weight
        decay 1e-4, cosine over 240 steps (12 epochs), 6 seeds. Statistics come from m samples at a time;
        group norm has 4 groups.
    """,
    theory="""
        At m=2 and ε=0 no gradient passes the norm (E2), and next to none at a small ε: the
        collapse follows from a formula; it is not noise.
    """,
    accepted="""
        At m=2 an error at least 35 points higher than at m=64, and 30 points higher than group norm’s; at m=4
        at least 1.5 times that at m=16 (geometric mean over seeds).
    """,
    sources=("Wu & He 2018, with the batch of SGD held fixed",),
    contested="""
        This is about dense networks, where m is the number of samples. Convolutions average over positions
        as well, so that m is N · H · W: Wu & He’s 34.7% on ImageNet at 2 images a worker is a milder regime,
        and E23 measures small convolutional networks.
    """,
    nulls=(
        same("the size of the norm batch plays no role", dict.fromkeys(_E11_SIZES, 64)),
        same("batch norm is like group norm", dict.fromkeys(_E11_SIZES, "group")),
    ),
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


def _e12_config(norm: str, size: int, epochs: int = 8) -> RunConfig:
    steps = epochs * 20 * 64 // size
    return replace(_E12, norm=norm, batch_size=size, lr=0.1 * size / 64, cosine_steps=steps)


def _e12_cells(full: bool) -> Cells:
    sizes, norms = (_E11_SIZES, ("batch", "group", "layer")) if full else ((8, 4, 2), ("batch", "group"))
    found: Cells = {}
    for norm, size in product(norms, sizes):
        config = replace(_e12_config(norm, size, 8 if full else 3), **QUIET)
        found[norm, size] = Cell("learning", config, config.cosine_steps)
    return found


def _e12_read(results: Results) -> Findings:
    norms, sizes = (list(dict.fromkeys(label[i] for label in results)) for i in (0, 1))
    final = {label: found["final"] for label, found in results.items()}
    group = [final["group", size].mean() for size in sizes]
    behind = {size: final["batch", size] - final["group", size] for size in sizes}
    checks = [
        check(f"batch norm − group norm at batch {size}, points", behind[size], least,
              seeds=3, null=0, name="small")
        for size, least in ((4, 1.5), (2, 30))
    ]  # fmt: skip
    what = "group norm, highest − lowest over batch sizes, points"
    checks.append(check(what, max(group) - min(group), most=2, name="small"))
    checks += [check(f"error, {NAMES[norm]}, batch {size}, %", final[norm, size]) for norm, size in results]
    picture = Picture(
        "Error against the batch size, everything else scaled with it", "batch size", "validation error, %",
        tuple(points(NAMES[n], results, {size: (n, size) for size in sizes}, "final") for n in norms),
        log_x=True, log_y=True,
    )  # fmt: skip
    apart = {f"batch {size}": gap for size, gap in behind.items()}
    notes = (compared("Batch norm’s error against group norm’s", apart),)
    return Findings((picture,), tuple(checks), notes)


E12 = Experiment(
    name="E12",
    title="Dense networks and small batches, by Wu and He’s protocol",
    claims={"small": Sides(shows=("small",))},
    setup="""
        Network of E11, 8 epochs, learning rate 0.1 · B/64 on half a cosine, 3 seeds; batch and norm batch
        are both B.
    """,
    theory="",
    accepted="""
        Batch norm’s error is higher than group norm’s by at least 1.5 points at B=4 and 30 points at B=2;
        group norm varies by at most 2 points.
    """,
    sources=("Wu & He 2018",),
    contested="""
        The protocol changes the number of steps and the learning rate with B, so that it can’t tell which
        of them hurts; E11 holds them fixed. Convolutional networks are another case: E23.
    """,
    nulls=(
        same("batch norm is like group norm", {"batch": "group"}),
        exchanged("batch", "group", "batch norm and group norm are exchanged"),
    ),
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
    checks = [check("error of batch norm, %", final["batch"], 80, seeds=4, null=10, name="online")]
    for other in ("layer", "none"):
        what = f"error of batch norm − of {NAMES[other]}, points"
        checks.append(check(what, final["batch"] - final[other], 65, seeds=4, null=0, name="online"))
    checks += [check(f"error, {NAMES[norm]}, %", values) for norm, values in final.items()]
    checks.append(check("error with batch statistics, batch norm, %", results["batch"]["final_batch"]))
    picture = Picture(
        "Learning from one sample at a time", "samples seen", "validation error, %",
        tuple(curve(NAMES[norm], found, "val_error") for norm, found in results.items()),
    )  # fmt: skip
    return Findings((picture,), tuple(checks))


E20 = Experiment(
    name="E20",
    title="One sample at a time: batch norm learns nothing",
    claims={"online": Sides(shows=("online",))},
    setup="""
        Digits, 3 × 64 ReLU units, batches of one sample, SGD at learning rate 0.01, 2,000 samples, 4
        seeds.
    """,
    theory="With m=1 the output is β whatever comes in, and no gradient passes.",
    accepted="""
        Batch norm errs by at least 80%, where guessing errs by 90%, and by at least 65 points more than layer
        norm and no norm.
    """,
    sources=("Ioffe & Szegedy 2015, Algorithm 1 with m=1",),
    contested="",
    caveat="""
        Frameworks differ: PyTorch refuses a training batch of one with an error; here it is normalized to 0.
    """,
    nulls=(
        same("batch norm is like no norm", {"batch": "none"}),
        same("batch norm is like layer norm", {"batch": "layer"}),
    ),
    cells=_e20_cells,
    read=_e20_read,
    races=lambda: (
        Race("Batches of one", tuple(replace(_E20, norm=n) for n in ("none", "layer", "batch")), 2000),
    ),
)
