"""What restoring a frame costs: by the residual path, and by the language model alone, token by token."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.interfaces import Engine, Frame, Perception, Task, TaskSpec
from vision_llm_ros.runtime.edit_route import EditRoute
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.restore_route import RestoreRoute
from vision_llm_ros.training.degradations import degrade

Progress = Callable[[Sequence[Any], str], Iterable[Any]]
Image = NDArray[np.uint8]
SIZE_WH_PX = (320, 240)
_KIND = "denoise"


def restoring_latency(engine: Engine, frames: Sequence[Image], progress: Progress) -> dict[str, dict[str, Any]]:
    """Noise taken out of frames of 320x240, end to end.

    Returns:
        by path ("residual", "language") p50_ms, p95_ms, stages {name: p50}; of the latter also visual_tokens of a
        frame, and tokens_per_s of the stage "restore"; no entry for a path without trained weights.
    """
    route = engine.route(Task.RESTORE) if isinstance(engine, TorchEngine) else None
    if isinstance(route, EditRoute):
        route = route.restoring
    if not isinstance(route, RestoreRoute):
        return {}
    noisy = [_noisy(image, number) for number, image in enumerate(frames)]
    usual, found = route.path, dict[str, dict[str, Any]]()
    try:
        for path in route.paths:
            route.path = path
            found[path] = _timed(engine, noisy, progress)
    finally:
        route.path = usual
    if said := found.get("language"):
        said["visual_tokens"] = route.restorer.num_tokens(SIZE_WH_PX)
        said["tokens_per_s"] = round(said["visual_tokens"] / said["stages"]["restore"] * 1e3, 1)
    return found


def _timed(engine: Engine, frames: Sequence[Image], progress: Progress) -> dict[str, Any]:
    spec = TaskSpec(Task.RESTORE, restore_kind=_KIND)
    engine.perceive(Frame(frames[0]), (spec,))
    times, answers = list[float](), list[Perception]()
    for image in progress(frames, "restore"):
        started = time.perf_counter()
        answers += engine.perceive(Frame(image), (spec,))
        times.append((time.perf_counter() - started) * 1e3)
    p50, p95 = np.percentile(times, [50, 95])
    stages = {name: round(float(np.median([a.stage_ms[name] for a in answers])), 3) for name in answers[0].stage_ms}
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3), "stages": stages}


def _noisy(image_rgb_u8: Image, seed: int) -> Image:
    small = np.asarray(cv2.resize(image_rgb_u8, SIZE_WH_PX, interpolation=cv2.INTER_AREA), np.uint8)
    return degrade(small, _KIND, np.random.default_rng(seed))
