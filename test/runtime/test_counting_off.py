from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vision_llm_ros.interfaces import Detection, Frame, Mask, Perception, Status, Task, TaskSpec
from vision_llm_ros.runtime.counting_off import counted_off, without_place

FRAME = Frame(np.zeros((40, 100, 3), np.uint8))
# by score, not by place; left to right: 3, 1, 0, 2, and top to bottom: 2, 0, 1, 3
BOXES = ((50, 10, 60, 20), (30, 20, 40, 30), (70, 0, 80, 10), (10, 30, 20, 40))


def answering(asked: list[TaskSpec], status: Status = Status.OK) -> Callable[[Frame, TaskSpec], Perception]:
    def perceive(frame: Frame, spec: TaskSpec) -> Perception:
        asked.append(spec)
        if spec.task is Task.SEGMENT:
            inside = np.zeros((40, 100), np.bool_)
            return Perception(spec.task, status, masks=tuple(Mask("cup", 0.5, inside, box) for box in BOXES))
        found = tuple(Detection("cup", 0, 0.9 - i / 10, box) for i, box in enumerate(BOXES))
        return Perception(spec.task, status, detections=found if status is Status.OK else ())

    return perceive


@pytest.mark.parametrize("task", [Task.DETECT, Task.GROUND, Task.POLYGON, Task.SEGMENT])
@pytest.mark.parametrize(
    ("phrase", "meant"),
    [
        ("second cup from the left", 1),
        ("first cup from the right", 2),
        ("third cup from the top", 1),
        ("2nd cup from the bottom", 1),
        ("last cup from the left", 2),
    ],
)
def test_one_of_all_is_chosen_by_its_place(task: Task, phrase: str, meant: int) -> None:
    asked: list[TaskSpec] = []
    given = counted_off(answering(asked), FRAME, TaskSpec(task, (phrase,), f"the {phrase}", max_objects=1))
    (item,) = given.masks or given.detections
    assert (given.task, given.status, item.box_xyxy_px) == (task, Status.OK, BOXES[meant])
    assert (asked[0].classes, asked[0].max_objects) == (("cup",), 0)
    assert asked[0].task is (Task.DETECT if task is Task.GROUND else task)


def test_where_there_are_fewer_that_is_said() -> None:
    given = counted_off(answering([]), FRAME, TaskSpec(Task.GROUND, ("fifth cup from the left",), max_objects=1))
    assert (given.status, given.text) == (Status.NOTHING_FOUND, "4 cups found: none is the one that is meant")
    assert not given.detections


def test_a_failure_stays_one() -> None:
    spec = TaskSpec(Task.GROUND, ("second cup from the left",), max_objects=1)
    assert counted_off(answering([], Status.NOTHING_FOUND), FRAME, spec).status is Status.NOTHING_FOUND


def test_other_commands_pass_as_they_are() -> None:
    asked: list[TaskSpec] = []
    for spec in (TaskSpec(Task.GROUND, ("cup",), "red cup"), TaskSpec(Task.CAPTION, phrase="first cup from the left")):
        counted_off(answering(asked), FRAME, spec)
        assert asked[-1] is spec


def test_what_is_tracked_is_looked_for_by_its_name() -> None:
    assert without_place(TaskSpec(Task.TRACK, ("last car from the right",))).classes == ("car",)
    assert without_place(TaskSpec(Task.TRACK, ("car", "bus"))).classes == ("car", "bus")
