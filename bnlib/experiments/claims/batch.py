"""E1, E2: the statistics of one batch, and what passes through them backward."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import sqrt
from typing import Any

import numpy as np

from ... import theory
from ...networks.config import RunConfig
from ..findings import Findings, Picture, Results, Series, band, check, points, predicted, whole_numbers
from ..model import Cells, Experiment
from ..probes import Cell


def _e1_cells(full: bool) -> Cells:
    sizes, batches, seeds = (
        ((2, 3, 4, 5, 8, 16, 32, 64), 100_000, 3) if full else ((2, 3, 4, 8, 32), 20_000, 2)
    )
    config = RunConfig(eps=0.0, replicas=seeds, dtype="float64")
    return {m: Cell("gaussian_batches", replace(config, batch_size=m), batches) for m in sizes}


def _e1_read(results: Results) -> Findings:
    checks = []
    forms = (
        ("s", "E[s]", theory.batch_std_mean, 2),
        ("mean2", "Var(μ)", theory.batch_mean_variance, 2),
        ("s2", "E[s²]", theory.batch_var_mean, 2),
        ("inverse_s", "E[1/s]", theory.inverse_std_mean, 4),
        ("inverse_s2", "E[1/s²]", theory.inverse_var_mean, 6),
        ("kurtosis", "kurtosis of x̂", theory.xhat_kurtosis, 2),
    )
    for name, words, form, least in forms:
        for m, found in results.items():
            if m >= least:  # elsewhere the sample mean has no finite variance
                error = sqrt(np.square(found[f"{name}_se"]).sum()) / len(found["s"]) + 1e-12
                exact = form(m)
                bounds = (exact - 4 * error, exact + 4 * error)
                checks.append(check(f"{words}, m={m}", found[name], *bounds, expected=exact, exact=True))
    for m, found in results.items():
        # Kolmogorov's limit at the probability that 0.008 has for 100,000 numbers.
        limit = 0.008 * sqrt(1e5 / found["batches"][0])
        bound = theory.xhat_bound(m)
        largest: dict[str, Any] = {"worst": True, "exact": True}
        checks += [
            check(f"shape of x̂, largest gap, m={m}", found["distance"], most=limit, **largest),
            check(f"largest |x̂|, m={m}", found["largest"], most=bound + 1e-9, expected=bound, **largest),
        ]
    sizes = [m for m in results if m >= 4]
    labels = {m: m for m in sizes}
    inverse = Picture(
        "How much larger than 1/σ the factor 1/s is on average", "samples in the batch, m", "E[1/s] · σ",
        (
            points("measured", results, labels, "inverse_s"),
            predicted(
                "√(m/2) Γ((m−2)/2) / Γ((m−1)/2)", whole_numbers(sizes[0], sizes[-1]), theory.inverse_std_mean
            ),
        ),
        log_x=True,
    )  # fmt: skip
    centres = np.linspace(-3.95, 3.95, 80)
    shapes: list[Series] = []
    for m in (3, 4, 8):
        shapes.append(band(f"m={m}", centres.tolist(), results[m]["density"]))
        cdf = theory.xhat_cdf(np.linspace(-4, 4, 81), m)
        known = tuple((np.diff(cdf) / 0.1).tolist())
        shapes.append(Series(f"m={m}, theory", tuple(centres.tolist()), known, theory=True))
    shape = Picture("What comes out of Gaussian batches is not Gaussian", "x̂", "density", tuple(shapes))
    return Findings(
        (inverse, shape), tuple(checks), ("For m=2 the mean of 1/s is infinite: it never settles.",)
    )


E1 = Experiment(
    name="E1",
    title="Statistics of a small batch are noisy, and x̂ has a shape of its own",
    claims={},
    setup="Gaussian batches of m numbers, normalized without ε.",
    theory="Moments of the χ distribution; x̂ has density ∝ (1 − x²/(m−1))^((m−4)/2) and |x̂| ≤ √(m−1).",
    accepted="""
        Moments within 4 standard errors where their variance is finite; distance of the distribution
        functions below 0.008 at 100,000 batches.
    """,
    sources=("elementary: χ distribution", "Thompson 1935, distribution of a studentized deviation"),
    contested="",
    cells=_e1_cells,
    read=_e1_read,
    races="Nothing is trained here: the chapter One batch shows it under the finger.",
)


def _e2_cells(full: bool) -> Cells:
    shapes = list(product((2, 3, 8, 32), (0.0, 1e-5, 0.3)))
    config = RunConfig(replicas=5 if full else 2, dtype="float64")
    return {
        (m, eps): Cell("jacobian", replace(config, batch_size=m, eps=eps), 200 if full else 20)
        for m, eps in shapes
    }


def _e2_read(results: Results) -> Findings:
    words = {
        "spectrum": "eigenvalues of ∂x̂/∂x",
        "projector": "s ∂x̂/∂x is a projector, ε=0",
        "santurkar": "Theorem 4.1 as an equality, ε=0",
        "pair": "∂x̂₁/∂x₁ of two numbers",
    }
    checks = [
        check(f"largest error: {text}", [found[name].max() for found in results.values()], most=1e-10,
              expected=0.0, worst=True, exact=True)
        for name, text in words.items()
    ]  # fmt: skip
    pairs = results[2, 0.0]["gradient"]
    checks.append(
        check(
            "m=2, ε=0: share of a gradient that passes",
            pairs,
            most=1e-10,
            expected=0.0,
            worst=True,
            exact=True,
        )
    )
    eigenvalues = results[8, 0.3]["eigenvalues"]
    picture = Picture(
        "Of m directions one is lost, one keeps ε / (σ² + ε), all others pass", "direction",
        "eigenvalue of ∂x̂/∂x · √(σ² + ε)",
        (
            band("m=8, ε=0.3", range(1, 9), eigenvalues),
            band("m=8, ε=0", range(1, 9), results[8, 0.0]["eigenvalues"]),
        ),
    )  # fmt: skip
    return Findings((picture,), tuple(checks))


E2 = Experiment(
    name="E2",
    title="What batch norm lets pass of a gradient",
    claims={},
    setup="The Jacobian of one feature’s batch norm, random upstream gradients, float64.",
    theory="""
        Without ε the Jacobian is a projector divided by s: it removes the mean and the part along x̂, so
        that of two samples nothing is left. Santurkar’s bound is then an equality.
    """,
    accepted="Errors below 1e-10.",
    sources=("Ioffe & Szegedy 2015, section 3", "Santurkar et al. 2018, Theorem 4.1"),
    contested="",
    caveat="""
        Printed versions of Theorem 4.1 differ in its last term; 1/m is right, 1/√m is violated by random
        draws.
    """,
    cells=_e2_cells,
    read=_e2_read,
    races="Nothing is trained here: the chapter One batch shows it under the finger.",
)
