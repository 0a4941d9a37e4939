"""Marks of an operator as masks over the network's square, however they were drawn."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.interfaces import PROMPT_MARGIN, Box, Prompt, PromptKind
from vision_llm_ros.model.letterbox import Letterbox

SIDE = 160  # of the square that masks are drawn in, four of its cells to one of the finest map's
Square = NDArray[np.float32]


def mark_of(region: Box, prompt: Prompt | None, transform: Letterbox) -> tuple[Square, NDArray[np.float32]]:
    """What a command marks.

    Args:
        region: xyxy, fractions of the picture; the box around `prompt` where there is one.
    Returns:
        mask float32[SIDE, SIDE], 0 or 1, and float32[4], its region as xyxy fractions of the network's square.
    """
    box = to_square(np.array(region).reshape(2, 2), transform).reshape(4)
    if prompt is None:
        return draw_box(box), box
    points = to_square(np.array(prompt.points_xy), transform)
    return (draw_polygon(points) if prompt.kind is PromptKind.POLYGON else draw_line(points)), box


def to_square(points_xy: NDArray[np.floating], transform: Letterbox) -> NDArray[np.float32]:
    """Fractions float[N, 2] of the picture to fractions of the network's square."""
    return transform.to_unit(points_xy * np.array(transform.source_wh_px))


def draw_box(box_xyxy: NDArray[np.floating]) -> Square:
    """A filled box, at least one pixel."""
    low = np.floor(box_xyxy[:2] * SIDE).astype(int).clip(0, SIDE - 1)
    high = np.maximum(np.ceil(box_xyxy[2:] * SIDE).astype(int), low + 1)
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[low[1] : high[1], low[0] : high[0]] = 1
    return mask


def draw_line(points_xy: NDArray[np.floating]) -> Square:
    """All that is near a point, or near a line of several."""
    mask, width = np.zeros((SIDE, SIDE), np.uint8), round(2 * PROMPT_MARGIN * SIDE)
    places = np.round(points_xy * SIDE).astype(np.int32)
    for start, end in itertools.pairwise(places):
        cv2.line(mask, start.tolist(), end.tolist(), 1, width)
    for place in (places[0], places[-1]):
        cv2.circle(mask, place.tolist(), width // 2, 1, cv2.FILLED)
    return mask.astype(np.float32)


def draw_polygon(points_xy: NDArray[np.floating]) -> Square:
    """A filled outline, its rim included."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.round(points_xy * SIDE).astype(np.int32).clip(0, SIDE - 1)], 1)
    return mask.astype(np.float32)


def draw_outline(inside: NDArray[np.bool_], transform: Letterbox) -> Square:
    """A mask bool[H, W] of the picture in the network's square; shares of pixels 0..1."""
    width, height = (max(1, round(length * SIDE / transform.side_px)) for length in transform.inner_wh_px)
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[:height, :width] = cv2.resize(inside.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return mask
