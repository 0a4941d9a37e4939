"""A command that wants the frame restored before its own task: "clean up the image and find the dog"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vision_llm_ros.interfaces import WHOLE_IMAGE, Frame, Perception, Task, TaskSpec

Perceive = Callable[[Frame, TaskSpec], Perception]


def on_restored(perceive: Perceive, frame: Frame, spec: TaskSpec) -> Perception:
    """Answer on the restored frame, which keeps stamp and camera; what was undone stands in the answer's text."""
    if not spec.restore_first:
        return perceive(frame, spec)
    cleaning = TaskSpec(Task.RESTORE, restore_kind=spec.restore_kind, region=WHOLE_IMAGE)
    cleaned = perceive(frame, cleaning)
    if cleaned.restored is None:
        return perceive(frame, replace(spec, restore_first=False))
    better = replace(frame, image_rgb_u8=cleaned.restored.image_rgb_u8)
    answer = perceive(better, replace(spec, restore_first=False))
    text = "; ".join(part for part in (cleaned.text, answer.text) if part)
    return replace(answer, text=text, stage_ms=cleaned.stage_ms | answer.stage_ms)
