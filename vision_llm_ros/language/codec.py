"""Positions to location tokens and back.

A point is told by its offset from its image token's centre, per axis in units of the image side: bin `i` of `n` bins
says `(i - h) / h` sides, h = (n - 1) / 2. With 1025 bins that is `<p-512>`..`<p512>`, value p / 512.
Source: VisionLLM, section 3.2; the expectation over neighbouring bins is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_llm_ros.errors import ConfigError, InputError


@dataclass(frozen=True)
class OffsetCodec:
    """Quantises offsets into `bins` (odd) steps; error at most 0.5 / half of the side, offsets beyond +-1 saturate."""

    bins: int = 1025

    def __post_init__(self) -> None:
        if self.bins < 3 or self.bins % 2 == 0:
            raise ConfigError(f"Expected an odd number of bins from 3, got {self.bins}")

    @property
    def half(self) -> int:
        return self.bins // 2

    def encode(self, points_xy: ArrayLike, centre_xy: ArrayLike, size_wh: ArrayLike) -> NDArray[np.int64]:
        """Map points to bins.

        Args:
            points_xy: float[..., N, 2], any unit.
            centre_xy: float[..., 2], same unit.
            size_wh: float[2] or float[..., 2], sides of the image in that unit.
        Returns:
            int64[..., N, 2], 0..bins-1.
        Raises:
            InputError: a value is not finite, or a side is not positive.
        """
        points, centre, size = _finite(points_xy), _finite(centre_xy)[..., None, :], _sides(size_wh)
        offsets = np.clip((points - centre) / size, -1.0, 1.0)
        return np.rint(offsets * self.half).astype(np.int64) + self.half

    def decode(self, bins_xy: ArrayLike, centre_xy: ArrayLike, size_wh: ArrayLike) -> NDArray[np.float64]:
        """Map bins (whole, or fractional from `expect`) float[..., N, 2] back to points of the same shape."""
        offsets = (np.asarray(bins_xy, np.float64) - self.half) / self.half
        return np.asarray(_finite(centre_xy)[..., None, :] + offsets * _sides(size_wh))

    def expect(self, probabilities: NDArray[np.floating], reach: int = 2) -> NDArray[np.float64]:
        """Mean bin around the likeliest one, which undoes most of the quantisation.

        Args:
            probabilities: float[..., bins], not negative.
            reach: neighbours on each side that count.
        Returns:
            float64[...], fractional bins 0..bins-1.
        Raises:
            InputError: the last axis is not `bins` long.
        """
        if probabilities.shape[-1] != self.bins:
            raise InputError(f"Expected {self.bins} probabilities per position, got {probabilities.shape[-1]}")
        best = probabilities.argmax(-1)[..., None]
        near = best + np.arange(-reach, reach + 1)
        weights = np.take_along_axis(probabilities.astype(np.float64), near.clip(0, self.bins - 1), -1)
        weights = np.where((near >= 0) & (near < self.bins), weights, 0.0)
        total = weights.sum(-1)
        mean = (weights * near).sum(-1) / np.where(total > 0, total, 1.0)
        return np.asarray(np.where(total > 0, mean, best[..., 0]), np.float64)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"Expected finite coordinates, got {array[~np.isfinite(array)].flat[0]}")
    return array


def _sides(size_wh: ArrayLike) -> NDArray[np.float64]:
    size = _finite(size_wh)
    if (size <= 0).any():
        raise InputError(f"Expected an image with positive sides, got {size.tolist()}")
    return size if size.ndim == 1 else size[..., None, :]
