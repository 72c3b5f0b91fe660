"""Passages of "Show the code" that several pages have: a norm, as in the papers and as it ran."""

from __future__ import annotations

from bnlib import norms
from bnlib.norms import plain

from .chapter import Passage

_BACKWARD = (
    r"$\partial L / \partial x = (g - \overline{g} - \hat{x}\,\overline{g\,\hat{x}})"
    r" / \sqrt{\sigma^2 + \epsilon}$ where $g = \gamma\,\partial L / \partial y$ and bars are means"
)

# The first two are for reading: the same numbers as the last two, which ran, up to rounding.
PLAIN_NORM = (
    Passage(
        "A norm as in the papers, in ten lines; shapes are those of a convolution’s batch norm, and every "
        "norm is this with other axes. What ran is faster and gives the same numbers: see further below",
        plain.forward,
    ),
    Passage("Backward as in the papers", plain.backward),
)
NORM = (
    Passage(
        r"What ran: $\hat{x} = (x - \mu) / \sqrt{\sigma^2 + \epsilon}$ and $y = \gamma\,\hat{x} + \beta$",
        norms.normalize,
    ),
    Passage(f"What ran, backward: {_BACKWARD}", norms.normalize_backward),
)
