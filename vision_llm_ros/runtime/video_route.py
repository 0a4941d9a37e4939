"""The tasks over time on the torch model: its own boxes and its own pyramid tell objects apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import UnsupportedTaskError
from vision_llm_ros.interfaces import Detection, Frame, Mask, Perception, Task, TaskSpec
from vision_llm_ros.runtime.counting_off import without_place
from vision_llm_ros.runtime.routes import Stopwatch, View
from vision_llm_ros.runtime.set_route import SetRoute
from vision_llm_ros.runtime.video import Video

_LEVELS = (0, 1)  # strides 8 and 16: colour and texture; deeper maps tell classes apart, not individuals
_GRID = 6


class VideoRoute:
    """Fulfils `routes.Route` for TRACK and RECALL on top of the detection route."""

    def __init__(self, sets: SetRoute, runtime: RuntimeConfig, segments: bool = False) -> None:
        """Take the detection route.

        Args:
            segments: whether SEGMENT is served, so that single targets get masks.
        """
        self.tasks = Video.tasks if Task.DETECT in sets.tasks else frozenset[Task]()
        self.weights_hash = sets.weights_hash
        config = replace(runtime, track_score=max(runtime.track_score, runtime.score_threshold))
        self.video, self.segments = Video(config), segments
        weak = replace(runtime, score_threshold=min(runtime.score_threshold, runtime.track_weak_score))
        self._sets = SetRoute(sets.model, sets.tasks, sets.weights_hash, weak)

    def remember(self, frame: Frame) -> None:
        """Keep a frame for questions about the past."""
        if self.tasks:
            self.video.memory.note(frame)

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        """See `routes.Route.answer`."""
        return self.video.answer(view.frame, spec, _ViewEyes(view, self._sets, self.segments, watch))


class _ViewEyes:
    """Fulfils `video.Eyes`; a frame is encoded once for boxes and looks."""

    def __init__(self, view: View, sets: SetRoute, segments: bool, watch: Stopwatch) -> None:
        self._view, self._sets, self._segments, self._watch = view, sets, segments, watch

    def detect(self, frame: Frame, spec: TaskSpec) -> tuple[Detection, ...]:
        return self._sets.answer(self._look(frame), without_place(spec), self._watch).detections

    def embed(self, frame: Frame, boxes_xyxy_px: NDArray[np.float64]) -> NDArray[np.float32]:
        view = self._look(frame)
        with self._watch.stage("embed"):
            corners = view.transform.to_unit(boxes_xyxy_px.reshape(-1, 2, 2)).reshape(-1, 4)
            looks = box_features([view.pyramid[level] for level in _LEVELS], torch.from_numpy(corners))
            return np.asarray(looks.cpu().numpy(), np.float32)

    def ground(self, frame: Frame, spec: TaskSpec) -> tuple[Detection, ...]:
        try:
            return self._view.perceive(spec).detections
        except UnsupportedTaskError:
            return ()

    def segment(self, frame: Frame, spec: TaskSpec) -> tuple[Mask, ...]:
        if not self._segments:
            return ()
        try:
            return self._view.perceive(spec).masks
        except UnsupportedTaskError:
            return ()

    def _look(self, frame: Frame) -> View:
        """The view of a frame; of a frame of the past, one is made and kept for the next call."""
        if frame is not self._view.frame:
            self._view = self._view.of(frame)
        return self._view


def box_features(pyramid: list[torch.Tensor], boxes_xyxy: torch.Tensor) -> torch.Tensor:
    """What boxes look like beside the rest of their picture.

    Args:
        pyramid: maps float[1, C_l, H_l, W_l].
        boxes_xyxy: float[N, 4], fractions 0..1 of the maps.
    Returns:
        float[N, 3 * sum(C_l)], of unit length: means over the box and over its upper and lower half of features
        standardised over the picture.
    """
    steps = (torch.arange(_GRID, dtype=torch.float32) + 0.5) / _GRID
    low, size = boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    xs, ys = (low[:, None, axis] + size[:, None, axis] * steps for axis in (0, 1))
    places = torch.stack([xs[:, None, :].expand(-1, _GRID, -1), ys[:, :, None].expand(-1, -1, _GRID)], -1)
    parts = []
    for features in pyramid:
        level = features.float()
        mean, spread = level.mean((2, 3), keepdim=True), level.std((2, 3), keepdim=True) + 1e-3
        grid = (places * 2 - 1).reshape(1, -1, _GRID, 2).to(level.device)
        sampled = functional.grid_sample((level - mean) / spread, grid, align_corners=False, padding_mode="border")
        cells = sampled[0].reshape(level.shape[1], -1, _GRID, _GRID).transpose(0, 1)
        halves = (cells, cells[:, :, : _GRID // 2], cells[:, :, _GRID // 2 :])
        parts.append(functional.normalize(torch.cat([half.mean((2, 3)) for half in halves], 1), dim=1))
    return functional.normalize(torch.cat(parts, 1), dim=1)
