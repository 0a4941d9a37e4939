"""Holes in pictures filled from what is around them: three ways, and their mean, which is the best of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Hole = NDArray[np.bool_]
Fill = Callable[[Image, Hole], Image]

RADIUS_PX = 4.0
_LEAST_KNOWN = 1e-3
_BLUR = ((5, 5), 1.0)


def telea(image_rgb_u8: Image, hole: Hole) -> Image:
    """From the rim inwards, along lines of equal brightness (Telea 2004)."""
    return _painted(image_rgb_u8, hole, cv2.INPAINT_TELEA)


def navier_stokes(image_rgb_u8: Image, hole: Hole) -> Image:
    """Lines of equal brightness go on as a fluid flows (Bertalmio 2001)."""
    return _painted(image_rgb_u8, hole, cv2.INPAINT_NS)


def spread(image_rgb_u8: Image, hole: Hole) -> Image:
    """As smooth as can be, from coarse to fine (push-pull, Gortler 1996)."""
    known = (~hole).astype(np.float32)
    filled = _spread(image_rgb_u8 * known[..., None], known)
    return _into(image_rgb_u8, hole, filled)


def fill(image_rgb_u8: Image, hole: Hole) -> Image:
    """The picture with a hole, bool[H, W], filled by the mean of the three ways; all else bit-identical.

    They err differently, so that their mean errs less than each.
    """
    ways = (telea, navier_stokes, spread)
    return _into(image_rgb_u8, hole, np.mean([way(image_rgb_u8, hole) for way in ways], 0, np.float32))


def _painted(image_rgb_u8: Image, hole: Hole, method: int) -> Image:
    painted = cv2.inpaint(np.ascontiguousarray(image_rgb_u8), hole.astype(np.uint8), RADIUS_PX, method)
    return _into(image_rgb_u8, hole, painted)


def _into(image_rgb_u8: Image, hole: Hole, filled: NDArray[np.number[Any]]) -> Image:
    pixels = np.clip(np.round(filled), 0, 255).astype(np.uint8)
    return np.where(hole[..., None], pixels, image_rgb_u8)


def _spread(colours: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours float[H, W, 3] that are known by a share of float[H, W], 0..1, made whole by half the resolution."""
    height, width = known.shape
    if known.min() > _LEAST_KNOWN or max(height, width) == 1:
        return np.asarray(colours / np.maximum(known, 1e-9)[..., None], np.float32)
    half = (width + 1) // 2, (height + 1) // 2
    coarse, share = (
        cv2.resize(cv2.GaussianBlur(part, *_BLUR), half, interpolation=cv2.INTER_AREA) for part in (colours, known)
    )
    below = _spread(coarse.reshape(half[1], half[0], 3), share.reshape(half[1], half[0]))
    finer = cv2.resize(below, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(colours + (1 - known)[..., None] * finer, np.float32)
