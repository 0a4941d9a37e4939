"""A command that wants the frame restored before its own task: "clean up the image and find the dog"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vision_llm_ros.interfaces import WHOLE_IMAGE, Frame, Perception, Task, TaskSpec
from vision_llm_ros.runtime.turning import TURNS, UNTURNED, Turn, turned

Perceive = Callable[[Frame, TaskSpec], Perception]


def on_restored(perceive: Perceive, frame: Frame, spec: TaskSpec) -> Perception:
    """Answer on the restored frame, which keeps stamp and camera; what was undone stands in the answer's text.

    What is found on a picture that was turned is told in pixels of the camera's.
    """
    if not spec.restore_first:
        return perceive(frame, spec)
    cleaning = TaskSpec(Task.RESTORE, restore_kind=spec.restore_kind, region=WHOLE_IMAGE)
    cleaned = perceive(frame, cleaning)
    if cleaned.restored is None:
        return perceive(frame, replace(spec, restore_first=False))
    better = replace(frame, image_rgb_u8=cleaned.restored.image_rgb_u8)
    turn = TURNS.get(cleaned.restored.kind, UNTURNED)
    answer = perceive(better, replace(_marked(spec, turn), restore_first=False))
    answer = turned(answer, turn.back, better.size_wh_px)
    text = "; ".join(part for part in (cleaned.text, answer.text) if part)
    return replace(answer, text=text, stage_ms=cleaned.stage_ms | answer.stage_ms)


def _marked(spec: TaskSpec, turn: Turn) -> TaskSpec:
    """With its mark in the camera's picture where the turned one has it."""
    if spec.prompt is None or turn == UNTURNED:
        return spec
    moved = turn.points(np.array(spec.prompt.points_xy, np.float64), (1, 1))
    prompt = replace(spec.prompt, points_xy=tuple((float(x), float(y)) for x, y in moved))
    return replace(spec, prompt=prompt, region=prompt.box)
