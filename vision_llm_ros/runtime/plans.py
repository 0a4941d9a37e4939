"""Plans at work: each task on the picture as the one before leaves it, and about what the one before found."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from vision_llm_ros.errors import InputError, UnsupportedTaskError
from vision_llm_ros.interfaces import (
    WHOLE_IMAGE,
    Box,
    Detection,
    Engine,
    Frame,
    Mask,
    Perception,
    Status,
    Task,
    TaskSpec,
)
from vision_llm_ros.language.plan import refers_to
from vision_llm_ros.runtime.turning import TURNS, UNTURNED, turned

logger = logging.getLogger(__name__)
Steps = tuple[tuple[TaskSpec, Perception], ...]
TELLING = frozenset({Task.CAPTION, Task.ANSWER, Task.MATCH})
ENDING = (Status.ERROR, Status.REJECTED)


def answer_all(engine: Engine, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Steps, ...]:
    """Answer every command: one step of each, several of a plan. The picture is encoded once for all single ones."""
    single = tuple(spec for spec in specs if not spec.then)
    answers = iter(perceive_all(engine, frame, single) if single else ())
    return tuple(follow(engine, frame, spec) if spec.then else ((spec, next(answers)),) for spec in specs)


def follow(engine: Engine, frame: Frame, plan: TaskSpec) -> Steps:
    """Do the tasks of a plan in order.

    A restored picture is what the later tasks see; what they find on one that was turned is told in pixels of the
    camera's. A question about one found thing is asked about its box. What was not found is not asked about, and after
    a failure nothing further is tried; both are said.
    """
    done: list[tuple[TaskSpec, Perception]] = []
    source, turn = frame.size_wh_px, UNTURNED
    for step in plan.steps:
        step = _directed(step, done, frame, partial(turn.box, size_wh_px=source))
        perception = _spared(step, done) or perceive_all(engine, frame, (step,))[0]
        done.append((step, turned(perception, turn.back, frame.size_wh_px)))
        if perception.restored is not None:
            frame = replace(frame, image_rgb_u8=perception.restored.image_rgb_u8)
            turn = turn.then(TURNS.get(perception.restored.kind, UNTURNED))
    return tuple(done)


def perceive_all(engine: Engine, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
    """Answer every spec; a failure becomes ERROR or REJECTED, and only of those specs that fail alone as well."""
    try:
        perceptions = engine.perceive(frame, specs)
    except Exception as error:
        if len(specs) > 1:
            return tuple(perceive_all(engine, frame, (spec,))[0] for spec in specs)
        logger.debug("%s failed", specs[0].task, exc_info=True)
        unfit = isinstance(error, (UnsupportedTaskError, InputError))
        status = Status.REJECTED if unfit else Status.ERROR
        return (Perception(specs[0].task, status, f"{type(error).__name__}: {error}"),)
    if len(perceptions) != len(specs):
        text = f"the engine gave {len(perceptions)} answers to {len(specs)} commands"
        return tuple(Perception(spec.task, Status.ERROR, text) for spec in specs)
    return perceptions


def _spared(step: TaskSpec, done: list[tuple[TaskSpec, Perception]]) -> Perception | None:
    """What is to be said of a step that makes no sense after those before it; None lets it be done."""
    for number, (earlier, perception) in enumerate(done, 1):
        if perception.status in ENDING:
            text = f"not tried: task {number} ({earlier.task}) failed: {perception.text}"
            return Perception(step.task, Status.REJECTED, text)
        if perception.status is Status.NOTHING_FOUND and refers_to(step, earlier):
            text = f"task {number} ({earlier.task}) found no {' or '.join(earlier.classes)}"
            return Perception(step.task, Status.NOTHING_FOUND, text)
    return None


def _directed(
    step: TaskSpec, done: list[tuple[TaskSpec, Perception]], frame: Frame, there: Callable[[Box], Box]
) -> TaskSpec:
    """A question about the one thing that was found is asked about its box.

    Args:
        there: where a box of the camera's picture lies in the frame.
    """
    if step.task not in TELLING or step.region != WHOLE_IMAGE:
        return step
    for earlier, perception in reversed(done):
        found: tuple[Detection | Mask, ...] = (*perception.masks, *perception.detections)
        if found and earlier.max_objects == 1 and refers_to(step, earlier):
            return replace(step, region=fractions_of(there(found[0].box_xyxy_px), frame.size_wh_px))
    return step


def fractions_of(box_xyxy_px: Box, size_wh_px: tuple[int, int]) -> Box:
    """A box of pixels as a region: fractions within 0..1, never empty."""
    (x_min, y_min, x_max, y_max), (width, height) = box_xyxy_px, size_wh_px
    left, top = min(max(x_min / width, 0.0), 0.99), min(max(y_min / height, 0.0), 0.99)
    return left, top, max(min(x_max / width, 1.0), left + 0.01), max(min(y_max / height, 1.0), top + 0.01)
