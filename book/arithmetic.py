"""The equations of batch norm with the numbers of one batch in them."""

from __future__ import annotations

from functools import cache

from .batch import OPERATIONS, Batch
from .equations import Equation, Part, Term, bracketed, frac, part, ref, root, row, sub, told, total

_DIVISOR = root("σ² + ε")
_FORMULAS = {
    "mean": row("μ = ", frac(row("Σ ", sub("x", "i")), "N")),
    "variance": row("σ² = ", frac(row("Σ (", sub("x", "i"), " − μ)²"), "N")),
    "root": _DIVISOR,
    "normalized": row("x̂ = ", frac("x − μ", _DIVISOR)),
}


def mean_steps(batch: Batch) -> tuple[Term, ...]:
    """Return the arithmetic of μ."""
    numbers, size = batch.numbers, str(batch.size)
    return (
        Term("μ"), frac(total(batch.arrays["x"].tolist()), size), frac(told(numbers["x_sum"]), size),
        told(numbers["x_mean"]),
    )  # fmt: skip


def equations(batch: Batch, operation: str | None = None) -> tuple[Equation, ...]:
    """Return the equations with the numbers of the chosen dot.

    On the walk through the transform ``operation`` is what it has reached: what comes later isn't known yet.
    """
    numbers, values, size, chosen = batch.numbers, batch.values, str(batch.size), batch.chosen
    x, centred, x_hat, scaled, y = (float(array[chosen]) for array in batch.arrays.values())
    beta = values["beta"]
    reached = len(OPERATIONS) if operation is None else OPERATIONS.index(operation)
    divisor = told(numbers["root"])
    undefined = "undefined; bnlib returns 0. An ε above 0 is there to prevent this."

    def equation(key: str, name: str, since: str, value: float, *steps: Part, during: str = "") -> Equation:
        formula = _y_formula(operation) if key == "y" else _FORMULAS[key]
        known = OPERATIONS.index(since) <= reached
        terms = tuple(step if isinstance(step, Term) else Term(step) for step in steps) if known else ()
        return Equation(key, name, formula, value if known else None, terms, operation in (since, during))

    squares = total(batch.arrays["centred"].tolist(), squared=True)
    return (
        equation("mean", "the mean μ", "mean", numbers["x_mean"], *mean_steps(batch), during="centred"),
        equation(
            "variance", "the variance σ²", "variance", numbers["x_var"],
            "σ²", frac(squares, size), frac(told(numbers["squares_sum"]), size), told(numbers["x_var"]),
        ),
        equation(
            "root", "the divisor, the root of σ² + ε", "root", numbers["root"],
            _DIVISOR, root(row(ref("variance", told(numbers["x_var"])), " + ", told(values["eps"]))), divisor,
        ),
        equation(
            "normalized", "x̂ of the chosen dot", "divide", x_hat,
            sub("x̂", str(chosen + 1)),
            frac(row(told(x), " − ", ref("mean", bracketed(numbers["x_mean"]))), ref("root", divisor)),
            frac(told(centred), divisor),
            told(x_hat) if numbers["root"] else undefined,
        ),
        equation(
            "y", "y of the chosen dot", "beta", y,
            sub("y", str(chosen + 1)),
            row(told(values["gamma"]), " · ", ref("normalized", bracketed(x_hat)), " + ", bracketed(beta)),
            row(told(scaled), " + ", bracketed(beta)),
            told(y),
            during="gamma",
        ),
    )  # fmt: skip


@cache
def _y_formula(operation: str | None) -> Term:
    scale, shift = part("gamma", "γ · x̂", operation == "gamma"), part("beta", "+ β", operation == "beta")
    return row("y = ", scale, " ", shift)
