"""Masks and outlines as a fixed number of boundary points, and back.

A polygon starts where the ray from its centre to the right (angle 0) leaves it and runs clockwise on screen,
its points evenly spaced along the boundary. Source: VisionLLM; start and direction are ours, the paper names none.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import MAX_POINTS


def largest_contour(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Outline of the largest connected part.

    Args:
        inside: bool[H, W].
    Returns:
        float64[K, 2], xy pixels; pixel centres, so a filled polygon gives the mask back.
    Raises:
        InputError: nothing is inside.
    """
    contours, _ = cv2.findContours(np.ascontiguousarray(inside, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        raise InputError(f"Expected a mask with pixels inside, got an empty one of {inside.shape[1]}x{inside.shape[0]}")
    best = max(contours, key=lambda contour: (cv2.contourArea(contour), len(contour)))
    return np.asarray(best, np.float64).reshape(-1, 2)


def resample(outline_xy: ArrayLike, num_points: int, centre_xy: ArrayLike | None = None) -> NDArray[np.float64]:
    """Walk once around an outline in equal steps.

    Args:
        outline_xy: float[K, 2], K >= 1, xy, either direction, not closed.
        num_points: 3..24.
        centre_xy: float[2] the start is seen from; default: the middle of the bounding box.
    Returns:
        float64[num_points, 2], clockwise on screen from angle 0.
    Raises:
        InputError: no finite points, or a number of points out of range.
    """
    outline = np.asarray(outline_xy, np.float64).reshape(-1, 2)
    if not len(outline) or not np.isfinite(outline).all():
        raise InputError(f"Expected an outline of finite points, got {outline.tolist()[:3]}")
    if not 3 <= num_points <= MAX_POINTS:
        raise InputError(f"Expected 3 to {MAX_POINTS} points, got {num_points}")
    centre = (outline.min(0) + outline.max(0)) / 2 if centre_xy is None else np.asarray(centre_xy, np.float64)
    if _signed_area(outline) < 0:
        outline = outline[::-1]
    outline = _from_angle_0(outline, centre)
    closed = np.vstack([outline, outline[:1]])
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    steps = np.arange(num_points) * walked[-1] / num_points
    return np.stack([np.interp(steps, walked, closed[:, axis]) for axis in (0, 1)], -1)


def _signed_area(outline: NDArray[np.float64]) -> float:
    """Shoelace area; positive when clockwise on screen (y down)."""
    x, y = outline.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _from_angle_0(outline: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotate the list to start at the outermost crossing with the ray to the right of the centre."""
    start, end = outline - centre, np.roll(outline, -1, 0) - centre
    crosses = (start[:, 1] <= 0) != (end[:, 1] <= 0)
    run = np.where(crosses, end[:, 1] - start[:, 1], 1.0)
    x_at = start[:, 0] - start[:, 1] * (end[:, 0] - start[:, 0]) / run
    x_at = np.where(crosses & (x_at >= 0), x_at, -np.inf)
    edge = int(x_at.argmax())
    if np.isneginf(x_at[edge]):  # the centre lies right of the outline: nearest angle instead
        return np.roll(outline, -int(np.abs(np.arctan2(start[:, 1], start[:, 0])).argmin()), 0)
    first = np.array([centre[0] + x_at[edge], centre[1]])
    return np.vstack([first, np.roll(outline, -(edge + 1), 0)])


def polygon_to_mask(polygon_xy_px: ArrayLike, size_wh_px: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill a polygon: float[N, 2] xy pixels -> bool[H, W]."""
    width, height = size_wh_px
    mask = np.zeros((height, width), np.uint8)
    points = np.rint(np.asarray(polygon_xy_px, np.float64).reshape(-1, 2) * 16).astype(np.int32)
    if len(points):
        cv2.fillPoly(mask, [points], 1, shift=4)
    return mask.astype(bool)


def mask_to_polygon(inside: NDArray[np.bool_], num_points: int) -> NDArray[np.float64]:
    """Resampled outline of a mask's largest part: bool[H, W] -> float64[num_points, 2], xy pixels."""
    return resample(largest_contour(inside), num_points)
