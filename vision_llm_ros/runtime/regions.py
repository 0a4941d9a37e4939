"""What an operator marks in the picture - a box, a point, a polygon, a scribble - and tasks kept to it.

Points are xy in fractions 0..1 of the picture, x right, y down, whatever the picture's shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import (
    WHOLE_IMAGE,
    Box,
    Detection,
    Frame,
    Mask,
    Perception,
    Prompt,
    PromptKind,
    Restored,
    Status,
    Task,
    TaskSpec,
)
from vision_llm_ros.language.damage import INPAINT
from vision_llm_ros.runtime.turning import TURNS

Item = TypeVar("Item", Detection, Mask)
SEEKING = frozenset({Task.DETECT, Task.GROUND, Task.POLYGON, Task.SEGMENT})
MAX_NUMBERS = 2048
SCRIBBLE_SHARE = 0.5
RELIABLE_SHARE = 0.5
LEAST_CROP_PX = 8
LINE_SAMPLES = 64


def read_region(values: Sequence[float]) -> Box | Prompt | None:
    """A region as plain numbers: none, a point (2), a box xyxy (4), or the points of a line (6 or more, even).

    A line that ends where it begins is a polygon, another one a scribble.

    Raises:
        InputError: another count, a value outside 0..1, a reversed or empty box, a polygon without area.
    """
    if not len(values):
        return None
    if len(values) % 2 or len(values) > MAX_NUMBERS:
        raise InputError(f"region: expected 2, 4 or an even number up to {MAX_NUMBERS} of values, got {len(values)}")
    for value in values:
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise InputError(
                f"region: expected fractions 0..1 of the picture, got {value:g}; divide pixels by its size"
            )
    points = tuple((float(x), float(y)) for x, y in zip(values[::2], values[1::2], strict=True))
    if len(points) == 2:
        return _box(*points)
    if len(points) == 1:
        return Prompt(PromptKind.POINT, points)
    kind = PromptKind.POLYGON if points[0] == points[-1] and len(points) > 3 else PromptKind.SCRIBBLE
    if kind is PromptKind.POLYGON and cv2.contourArea(np.array(points, np.float32)) <= 0:
        raise InputError(f"region: expected a polygon with an area, got {len(points)} points on one line")
    return Prompt(kind, points)


def marked(spec: TaskSpec, region: Box | Prompt | None) -> TaskSpec:
    """A task kept to a region, which outranks the one its words name."""
    if region is None:
        return spec
    if isinstance(region, Prompt):
        most = 1 if region.kind in (PromptKind.POINT, PromptKind.SCRIBBLE) else spec.max_objects
        return replace(spec, region=region.box, prompt=region, max_objects=most)
    return replace(spec, region=region)


def within(perceive: Callable[[Frame, TaskSpec], Perception], frame: Frame, spec: TaskSpec) -> Perception:
    """Answer a command so that nothing outside its region counts.

    Tasks that look for things look everywhere and keep what the mark means; restoration works on the part and leaves
    the rest as it was, unless it takes out what the mark means; all others see to `spec.region` themselves.
    """
    if spec.task in SEEKING and spec.prompt is not None:
        wanted = replace(spec, region=WHOLE_IMAGE, prompt=None, max_objects=0)
        if spec.task is Task.GROUND:  # it would give one object, wherever that is
            wanted = replace(wanted, task=Task.DETECT)
        return _kept(replace(perceive(frame, wanted), task=spec.task), spec, frame.size_wh_px)
    if spec.task is Task.RESTORE and spec.region != WHOLE_IMAGE and spec.restore_kind != INPAINT:
        return _restored_part(perceive, frame, spec)
    return perceive(frame, spec)


def select(items: Sequence[Item], prompt: Prompt, size_wh_px: tuple[int, int]) -> tuple[Item, ...]:
    """Those of some detections or masks that a mark means.

    A polygon means what has its centre inside; a point and a scribble mean the tightest reliable thing they touch.
    """
    points = np.array(prompt.points_xy, np.float64) * size_wh_px
    if prompt.kind is PromptKind.POLYGON:
        outline = points.astype(np.float32)
        return tuple(item for item in items if cv2.pointPolygonTest(outline, _centre(item.box_xyxy_px), False) >= 0)
    line = _dense(points)
    touched = [item for item in items if _covered(item, line) >= SCRIBBLE_SHARE]
    best = max((item.score for item in touched), default=0.0)
    reliable = [item for item in touched if item.score >= RELIABLE_SHARE * best]
    return tuple(sorted(reliable, key=_area)[:1])


def _kept(perception: Perception, spec: TaskSpec, size_wh_px: tuple[int, int]) -> Perception:
    """Only what the mark means; a status of having found becomes one of having found nothing."""
    assert spec.prompt is not None
    limit = spec.max_objects or None
    detections = select(perception.detections, spec.prompt, size_wh_px)[:limit]
    masks = select(perception.masks, spec.prompt, size_wh_px)[:limit]
    lost = perception.status is Status.OK and not detections and not masks
    status = Status.NOTHING_FOUND if lost else perception.status
    return replace(perception, status=status, detections=detections, masks=masks)


def _restored_part(perceive: Callable[[Frame, TaskSpec], Perception], frame: Frame, spec: TaskSpec) -> Perception:
    if spec.restore_kind in TURNS:
        text = f"{spec.restore_kind} turns the whole picture; give no region"
        return Perception(spec.task, Status.REJECTED, text)
    left, top, right, bottom = pixels_of(spec.region, frame.size_wh_px)
    if right - left < LEAST_CROP_PX or bottom - top < LEAST_CROP_PX:
        text = (
            f"the region is {right - left}x{bottom - top} pixels, at least {LEAST_CROP_PX}x{LEAST_CROP_PX} are needed"
        )
        return Perception(spec.task, Status.REJECTED, text)
    part = replace(frame, image_rgb_u8=np.ascontiguousarray(frame.image_rgb_u8[top:bottom, left:right]))
    perception = perceive(part, replace(spec, region=WHOLE_IMAGE, prompt=None))
    if perception.restored is None:
        return perception
    whole = frame.image_rgb_u8.copy()
    whole[top:bottom, left:right] = perception.restored.image_rgb_u8
    restored: Restored = replace(perception.restored, image_rgb_u8=whole)
    return replace(perception, restored=restored)


def pixels_of(region: Box, size_wh_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """Whole pixels left, top, right, bottom of a region in fractions."""
    (width, height), (x_min, y_min, x_max, y_max) = size_wh_px, region
    return math.floor(x_min * width), math.floor(y_min * height), math.ceil(x_max * width), math.ceil(y_max * height)


def _box(low: tuple[float, float], high: tuple[float, float]) -> Box:
    if not (low[0] < high[0] and low[1] < high[1]):
        ordered = f"{min(low[0], high[0]):g},{min(low[1], high[1]):g},{max(low[0], high[0]):g},{max(low[1], high[1]):g}"
        empty = low[0] == high[0] or low[1] == high[1]
        advice = "an empty box; give a point as 2 numbers" if empty else f"a reversed one; did you mean {ordered}?"
        raise InputError(f"region: expected a box left, top, right, bottom, got {advice}")
    return *low, *high


def _dense(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points all along a line, so that strokes of few points count by their length."""
    if len(points) == 1:
        return points
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    places = np.linspace(0.0, along[-1], LINE_SAMPLES)
    return np.stack([np.interp(places, along, points[:, axis]) for axis in (0, 1)], 1)


def _covered(item: Detection | Mask, points: NDArray[np.float64]) -> float:
    """Share of points inside the item's mask, polygon or box."""
    if isinstance(item, Mask):
        height, width = item.inside.shape
        columns = np.clip(points[:, 0].astype(int), 0, width - 1)
        return float(item.inside[np.clip(points[:, 1].astype(int), 0, height - 1), columns].mean())
    if item.polygon_xy_px is not None:
        outline = item.polygon_xy_px.astype(np.float32)
        tests = [cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0 for x, y in points]
        return float(np.mean(tests))
    low, high = np.array(item.box_xyxy_px[:2]), np.array(item.box_xyxy_px[2:])
    return float(((points >= low) & (points <= high)).all(1).mean())


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _area(item: Detection | Mask) -> float:
    if isinstance(item, Mask):
        return float(item.inside.sum())
    return (item.box_xyxy_px[2] - item.box_xyxy_px[0]) * (item.box_xyxy_px[3] - item.box_xyxy_px[1])
