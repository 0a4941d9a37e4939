"""What restoring a frame costs: by the residual path, and by the language model alone, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.evaluation.latency import Progress, summary, timed
from vision_llm_ros.interfaces import Engine, Task, TaskSpec
from vision_llm_ros.runtime.edit_route import EditRoute
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.restore_route import RestoreRoute
from vision_llm_ros.training.degradations import degrade

Image = NDArray[np.uint8]
SIZE_WH_PX = (320, 240)
_KIND = "denoise"


def restoring_latency(engine: Engine, frames: Sequence[Image], progress: Progress) -> dict[str, dict[str, Any]]:
    """Noise taken out of frames of 320x240, end to end.

    Returns:
        by path ("residual", "language") the `latency.summary`; of the latter also visual_tokens of a
        frame, and tokens_per_s of the stage "restore"; no entry for a path without trained weights.
    """
    route = engine.route(Task.RESTORE) if isinstance(engine, TorchEngine) else None
    if isinstance(route, EditRoute):
        route = route.restoring
    if not isinstance(route, RestoreRoute):
        return {}
    spec = TaskSpec(Task.RESTORE, restore_kind=_KIND)
    asked = [(_noisy(image, number), spec) for number, image in enumerate(frames)]
    usual, found = route.path, dict[str, dict[str, Any]]()
    try:
        for path in route.paths:
            route.path = path
            found[path] = summary(timed(engine, asked, f"restore, {path}", progress))
    finally:
        route.path = usual
    if said := found.get("language"):
        said["visual_tokens"] = route.restorer.num_tokens(SIZE_WH_PX)
        said["tokens_per_s"] = round(said["visual_tokens"] / said["stages"]["restore"] * 1e3, 1)
    return found


def _noisy(image_rgb_u8: Image, seed: int) -> Image:
    small = np.asarray(cv2.resize(image_rgb_u8, SIZE_WH_PX, interpolation=cv2.INTER_AREA), np.uint8)
    return degrade(small, _KIND, np.random.default_rng(seed))
