"""Instance norm on photographs: what it removes of their light, their textures and their style."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..networks.conv import convolve
from ..norms.public import batch_norm, batch_norm_inference, instance_norm
from ..norms.statistics import Array

EPS = 1e-5
SHADE = 0.35  # what a shadow leaves of the light
BLURS = (3, 7, 15)  # pixels across, of the averages between which a photo is split into scales
KERNEL, WAVES = 7, ((3.0, 1.0), (6.0, 2.0))  # of filters: pixels across; wavelength and width of a wave
ANGLES = (0, 45, 90, 135)  # degrees

# ---- photos, (..., H, W, channels) from 0 to 1 -----------------------------------------------------------


class Light(NamedTuple):
    """How a photo is lit anew; the defaults leave it as it is.

    brightness : added to every pixel; contrast : factor around the middle grey; cast : red gets 1 + cast
    times as much, blue 1 - cast; tone : the power of a tone curve; shadow : share of the width, from the
    left, that lies in a shadow
    """

    brightness: float = 0.0
    contrast: float = 1.0
    cast: float = 0.0
    tone: float = 1.0
    shadow: float = 0.0


def relit(photo: Array, light: Light) -> tuple[Array, float]:
    """Return the photo (H, W, 3) in another light, and the share of its numbers that left [0, 1]: clipped."""
    cast = np.array([1 + light.cast, 1.0, 1 - light.cast])
    lit = cast * (0.5 + light.contrast * (photo - 0.5)) + light.brightness
    columns = (np.arange(photo.shape[1]) + 0.5) / photo.shape[1]
    lit = lit * np.where(columns < light.shadow, SHADE, 1.0)[:, None]
    beyond = float(((lit < 0) | (lit > 1)).mean())
    clipped: Array = np.clip(lit, 0, 1) ** light.tone
    return clipped, beyond


def normed(photos: Array) -> Array:
    """Return instance norm's output of photos (N, H, W, C), with gamma 1 and beta 0."""
    return _last(instance_norm(_first(photos), eps=EPS)[0])


def batch_normed(photos: Array, trained: Array | None = None) -> Array:
    """Return batch norm's output of photos (N, H, W, C), in train(); with ``trained``, in eval().

    The running statistics are then those of the batch ``trained``, its variance unbiased.
    """
    if trained is None:
        return _last(batch_norm(_first(photos), eps=EPS)[0])
    _, cache = batch_norm(_first(trained), eps=EPS)
    unbiased = cache.var * cache.count / (cache.count - 1)
    return _last(batch_norm_inference(_first(photos), cache.mean, unbiased, eps=EPS))


def _first(photos: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(photos, -1, 1))


def _last(photos: Array) -> Array:
    return np.moveaxis(photos, 1, -1)


def rms(x: Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.square(x).mean()))


# ---- filters ---------------------------------------------------------------------------------------------


def filters() -> Array:
    """Return filters for edges, (8, KERNEL, KERNEL): fine and coarse ones of four ANGLES.

    Sine waves under a Gaussian window (Gabor 1946), each with sum 0 and length 1.
    """
    reach = np.arange(KERNEL) - KERNEL // 2
    down, across = np.meshgrid(reach, reach, indexing="ij")
    found = []
    for wave, width in WAVES:
        for angle in np.deg2rad(ANGLES):
            along = across * np.cos(angle) + down * np.sin(angle)
            kernel = np.exp(-(across**2 + down**2) / (2 * width**2)) * np.sin(2 * np.pi * along / wave)
            found.append(kernel / np.sqrt(np.square(kernel).sum()))
    return np.stack(found)


def responses(photo: Array) -> Array:
    """Return each filter’s response at each pixel of a photo's grey levels, (8, H, W)."""
    grey = np.pad(photo.mean(axis=-1), KERNEL // 2, mode="edge")
    found: Array = convolve(grey[None, None], filters()[:, None])[0][0]
    return found


def edges(photo: Array) -> Array:
    """Return the gradient magnitude of each channel of a photo (H, W, C), (H - 1, W - 1, C)."""
    down, across = np.diff(photo, axis=0)[:, :-1], np.diff(photo, axis=1)[:-1]
    steep: Array = np.hypot(down, across)
    return steep


def agreement(a: Array, b: Array) -> float:
    """Return the correlation of two photos (..., C), the mean over their channels."""
    flat = (x.reshape(-1, x.shape[-1]) for x in (a, b))
    a, b = ((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-300) for x in flat)
    return float((a * b).mean())


# ---- style -----------------------------------------------------------------------------------------------


def swapped(content: Array, style: Array, mix: float = 1.0) -> Array:
    """Return adaptive instance norm of features (H, W, C): sigma(style) x-hat + mu(style) in full.

    Huang & Belongie 2017, equation 8; with ``mix`` below 1, gamma and beta lie between the content's own and
    the style's.
    """
    x_hat = normed(content[None])[0]
    (own_beta, own_gamma), (beta, gamma) = ((x.mean((0, 1)), x.std((0, 1))) for x in (content, style))
    mixed: Array = ((1 - mix) * own_gamma + mix * gamma) * x_hat + (1 - mix) * own_beta + mix * beta
    return mixed


def scales(photo: Array) -> Array:
    """Split a photo (H, W, C) by scales into (4, H, W, C), the finest first; their sum is the photo."""
    levels = [photo, *(_blurred(photo, size) for size in BLURS)]
    return np.stack([*(fine - coarse for fine, coarse in zip(levels, levels[1:], strict=False)), levels[-1]])


def _blurred(photo: Array, size: int) -> Array:
    """Return the average over squares of ``size`` pixels; pixels at the border are repeated beyond it."""
    for axis in (0, 1):
        around = [(size // 2, size // 2) if a == axis else (0, 0) for a in range(3)]
        sums = np.cumsum(np.pad(photo, around, mode="edge"), axis=axis)
        sums = np.concatenate([np.zeros_like(sums.take([0], axis)), sums], axis)
        n = photo.shape[axis]
        photo = (sums.take(range(size, size + n), axis) - sums.take(range(n), axis)) / size
    return photo
