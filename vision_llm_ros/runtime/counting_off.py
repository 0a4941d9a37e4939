"""Commands for one of several things by its place in their row: all are looked for, and counted off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vision_llm_ros.interfaces import COMPUTED, Detection, Frame, Mask, Perception, Status, Task, TaskSpec
from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.language.ordinals import Ordinal, ordinal_of
from vision_llm_ros.runtime.regions import SEEKING, Item

_BEGINNING = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}  # axis, direction


def counted_off(perceive: Callable[[Frame, TaskSpec], Perception], frame: Frame, spec: TaskSpec) -> Perception:
    """Answer a command; "the second bottle from the left" is chosen among all bottles by the middles of their boxes."""
    ordinal = _asked(spec)
    if ordinal is None or spec.task not in SEEKING:
        return perceive(frame, spec)
    task = Task.DETECT if spec.task is Task.GROUND else spec.task  # it would give one object, whichever that is
    phrase = f"every {ordinal.thing}" if spec.task is Task.SEGMENT else ""
    every = replace(without_place(spec), task=task, phrase=phrase, max_objects=0)
    perception = replace(perceive(frame, every), task=spec.task)
    found = max(len(perception.detections), len(perception.masks))
    if perception.status not in COMPUTED or found < abs(ordinal.place):
        fewer = f"{found} {plural(ordinal.thing)} found: none is the one that is meant" if found else perception.text
        status = Status.NOTHING_FOUND if found else perception.status
        return replace(perception, status=status, text=fewer, detections=(), masks=())
    detections = _only(perception.detections, ordinal)
    masks = tuple(replace(mask, label=ordinal.thing) for mask in _only(perception.masks, ordinal))
    return replace(perception, text="", detections=detections, masks=masks)


def without_place(spec: TaskSpec) -> TaskSpec:
    """The same for all that are alike."""
    ordinal = _asked(spec)
    return spec if ordinal is None else replace(spec, classes=(ordinal.thing,))


def _asked(spec: TaskSpec) -> Ordinal | None:
    return ordinal_of(spec.phrase or spec.classes[0]) if len(spec.classes) == 1 else None


def _only(items: tuple[Item, ...], ordinal: Ordinal) -> tuple[Item, ...]:
    axis, direction = _BEGINNING[ordinal.side]

    def middle(item: Detection | Mask) -> float:
        return direction * (item.box_xyxy_px[axis] + item.box_xyxy_px[axis + 2])

    row = sorted(items, key=middle)
    return (row[ordinal.place - (ordinal.place > 0)],) if row else ()
