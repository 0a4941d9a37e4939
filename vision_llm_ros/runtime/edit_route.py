"""Taking things out of a picture: "remove the person from the picture". What is filled in is invented, and says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.interfaces import Frame, Perception, Restored, Status, Task, TaskSpec
from vision_llm_ros.language.damage import GLARE, INPAINT
from vision_llm_ros.runtime.filling import fill
from vision_llm_ros.runtime.routes import Route, Stopwatch, View

MARGIN = 0.012  # of the picture's diagonal, taken out around what is found: blurred edges and near shadows
_FILLED = "filled from around it by OpenCV's inpainting and smooth interpolation"
_BRIGHT, _COLOURLESS = 235, 40  # of 255: a glare's darkest channel, and the most its channels differ
_LARGEST_GLARE, _LEAST_RISE = 0.1, 30  # of the picture's area; brighter than the ring around it by


class Restoring(Route, Protocol):
    """A route that restores and can say how good a picture is."""

    def quality(self, image_rgb_u8: NDArray[np.uint8]) -> float:
        """1 minus the strongest damage seen, 0..1."""


class EditRoute:
    """Fulfils `routes.Route` for restoration: takes things out itself, leaves all else to the route that restores."""

    tasks = frozenset({Task.RESTORE})

    def __init__(self, restoring: Restoring, served: frozenset[Task]) -> None:
        """Take the restoring route and the tasks that can say where things are."""
        self.restoring, self.weights_hash = restoring, restoring.weights_hash
        self._finders = tuple(task for task in (Task.SEGMENT, Task.DETECT) if task in served)

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        """See `routes.Route.answer`. Pixels outside what is taken out stay bit-identical."""
        if spec.restore_kind != INPAINT or not spec.classes:  # nothing is named that could go
            return self.restoring.answer(view, spec, watch)
        image = view.frame.image_rgb_u8
        hole, how = self._found(view, spec)
        if not hole.any():
            named = " or ".join(spec.classes)
            return Perception(spec.task, Status.NOTHING_FOUND, f"no {named} to be seen; the picture is as it was")
        if hole.all():
            return Perception(spec.task, Status.REJECTED, f"{' and '.join(spec.classes)} fills the whole picture")
        with watch.stage("restore"):
            filled = fill(image, hole)
        with watch.stage("estimate"):
            before, after = self.restoring.quality(image), self.restoring.quality(filled)
        share = float(hole.mean())
        text = f"took out {' and '.join(spec.classes)} ({how}); {share:.1%} of the picture is invented, {_FILLED}"
        return Perception(spec.task, Status.OK, text, restored=Restored(filled, INPAINT, before, after, synthetic=True))

    def _found(self, view: View, spec: TaskSpec) -> tuple[NDArray[np.bool_], str]:
        """bool[H, W] of what is to go, and how it was found; the first task that finds something decides."""
        if spec.classes == (GLARE,):
            return glare(view.frame.image_rgb_u8), "bright patches without colour"
        for task in self._finders:
            phrase = spec.phrase if task is Task.SEGMENT else ""
            wanted = replace(spec, task=task, phrase=phrase, restore_kind="", then=())
            inside = _covered(view.perceive(wanted), view.frame)
            if inside.any():
                return widened(inside), "its mask" if task is Task.SEGMENT else "its box"
        return np.zeros(view.frame.image_rgb_u8.shape[:2], np.bool_), ""


def _covered(perception: Perception, frame: Frame) -> NDArray[np.bool_]:
    """Everything inside some mask or box of an answer."""
    inside = np.zeros(frame.image_rgb_u8.shape[:2], np.bool_)
    for mask in perception.masks:
        inside |= mask.inside
    for item in perception.detections:
        left, top, right, bottom = (round(edge) for edge in item.box_xyxy_px)
        inside[max(top, 0) : bottom, max(left, 0) : right] = True
    return inside


def widened(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask bool[H, W] with `MARGIN` around it."""
    reach = max(1, round(MARGIN * float(np.hypot(*inside.shape))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(inside.astype(np.uint8), disc) > 0)


def glare(image_rgb_u8: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool[H, W]: bright, colourless, not too large patches that stand out from what is around them."""
    low, high = image_rgb_u8.min(2), image_rgb_u8.max(2)
    bright = ((low >= _BRIGHT) & (high - low <= _COLOURLESS)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=8)
    found = np.zeros(bright.shape, np.bool_)
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] > _LARGEST_GLARE * bright.size:
            continue
        patch = labels == label
        ring = widened(widened(patch)) & ~widened(patch)
        if ring.any() and float(low[patch].mean()) - float(low[ring].mean()) >= _LEAST_RISE:
            found |= widened(patch)
    return found
