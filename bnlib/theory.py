"""Closed forms, to be drawn beside what is measured. All are for a batch of m numbers of one feature."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from .stats import Array


def xhat_cdf(x: Array, m: int) -> Array:
    """Share of the x-hats of Gaussian batches of m at or below `x`, eps=0.

    The density is proportional to ``(1 - x^2 / (m-1)) ** ((m-4)/2)`` within ±sqrt(m-1): arcsine for m=3,
    uniform for 4, a semicircle for 5, towards the normal one for large m (Thompson 1935: x-hat is a function
    of a Student t with m-2 degrees of freedom). With x = sqrt(m-1) sin(t) its integral is that of
    cos(t)^(m-3), here by the recurrence from m-2 to m. For m=2 half are at -1, half at 1; for m=1 all at 0.
    """
    if m < 3:
        return np.where(x < 1 - m, 0.0, np.where(x < m - 1, 0.5, 1.0))
    sine = np.clip(x / sqrt(m - 1), -1, 1)
    cosine = np.sqrt(1 - sine * sine)
    power, share = (0, 2 / pi * np.arcsin(sine)) if m % 2 else (1, sine)
    whole = pi / 2 if m % 2 else 1.0  # the integral from 0 to pi/2
    term = sine * cosine ** (power + 1)
    while power < m - 3:
        power += 2
        whole *= (power - 1) / power
        share = share + term / (power * whole)
        term = term * cosine * cosine
    return 0.5 + share / 2


def gradient_share(m: int, var: float, eps: float) -> float:
    """Expected share of a random gradient's energy that passes back through batch norm.

    Of the m directions the one of equal numbers is lost, the one along x-hat keeps eps / (var + eps), all
    others pass, each times gamma / sqrt(var + eps), which is left out here: (m-2)/m for eps=0. From the
    backward equations of Ioffe & Szegedy 2015, section 3.
    """
    along = eps / (var + eps) if eps else 0.0
    return (m - 2 + along * along) / m if m > 1 else 0.0


def output_spread(std: Array, eps: float) -> Array:
    """Standard deviation of x-hat where x has `std`: ``std / sqrt(std^2 + eps)``, 1 without eps."""
    return std / np.maximum(np.sqrt(std * std + eps), np.finfo(float).tiny)
