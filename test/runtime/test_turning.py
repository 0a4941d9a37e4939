from __future__ import annotations

import itertools

import numpy as np
import pytest

from vision_llm_ros.interfaces import (
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
from vision_llm_ros.runtime.plans import follow
from vision_llm_ros.runtime.restored_first import on_restored
from vision_llm_ros.runtime.turning import TOLD, TURNS, UNTURNED, turned

IMAGE = np.random.default_rng(0).integers(0, 255, (6, 10, 3), np.uint8)
SIZE = (10, 6)
BOX = (2.0, 1.0, 5.0, 2.0)  # of the picture as the camera sees it
BRIGHT = np.zeros((6, 10), np.bool_)
BRIGHT[1:2, 2:5] = True


class Bright:
    """An engine that turns pictures exactly and finds the box around what is white."""

    name, weights_hash, device, dtype, tasks = "bright", "", "cpu", "float32", frozenset(Task)

    def warm_up(self) -> None: ...

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        return tuple(self._one(frame, spec) for spec in specs)

    def _one(self, frame: Frame, spec: TaskSpec) -> Perception:
        if spec.task is Task.RESTORE:
            pixels = TURNS[spec.restore_kind].pixels(frame.image_rgb_u8)
            return Perception(spec.task, restored=Restored(pixels, spec.restore_kind, 1.0, 1.0))
        white = frame.image_rgb_u8.min(-1) == 255
        rows, columns = np.nonzero(white)
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        return Perception(
            spec.task, detections=(Detection("box", 0, 1.0, box),), masks=(Mask("box", 1.0, white, box),), text=str(box)
        )


def shining() -> Frame:
    return Frame(np.where(BRIGHT[..., None], 255, 9).repeat(3, -1).astype(np.uint8))


def test_every_kind_does_what_it_is_called() -> None:
    wanted = {
        "rotate": np.rot90(IMAGE),
        "rotate_clockwise": np.rot90(IMAGE, -1),
        "rotate_half": np.rot90(IMAGE, 2),
        "flip": IMAGE[:, ::-1],
        "flip_vertical": IMAGE[::-1],
    }
    assert set(wanted) == set(TURNS) == set(TOLD)
    for kind, pixels in wanted.items():
        assert np.array_equal(TURNS[kind].pixels(IMAGE), pixels), kind


@pytest.mark.parametrize(("first", "second"), list(itertools.product(TURNS, TURNS)))
def test_turns_follow_each_other_and_can_be_undone(first: str, second: str) -> None:
    both = TURNS[first].then(TURNS[second])
    assert np.array_equal(both.pixels(IMAGE), TURNS[second].pixels(TURNS[first].pixels(IMAGE)))
    assert np.array_equal(both.back.pixels(both.pixels(IMAGE)), IMAGE)
    assert both.then(both.back) == UNTURNED


@pytest.mark.parametrize("kind", TURNS)
def test_boxes_outlines_and_masks_move_with_the_pixels(kind: str) -> None:
    outline = np.array([[2, 1], [5, 1], [5, 2], [2, 2]], np.float32)
    found = Perception(
        Task.POLYGON, detections=(Detection("a", 0, 1.0, BOX, outline, 7),), masks=(Mask("a", 1.0, BRIGHT, BOX),)
    )
    moved = turned(found, TURNS[kind], SIZE)
    (detection,), (mask,) = moved.detections, moved.masks
    rows, columns = np.nonzero(TURNS[kind].pixels(BRIGHT))
    assert detection.box_xyxy_px == mask.box_xyxy_px == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.array_equal(mask.inside, TURNS[kind].pixels(BRIGHT)) and detection.track_id == 7
    points = detection.polygon_xy_px
    assert points is not None and (*points.min(0), *points.max(0)) == detection.box_xyxy_px
    ahead = np.roll(points, -1, 0)
    assert (points[:, 0] * ahead[:, 1] - points[:, 1] * ahead[:, 0]).sum() > 0  # clockwise in pixels, as it was


@pytest.mark.parametrize("kind", TURNS)
def test_what_is_found_on_a_turned_picture_is_told_in_the_cameras_pixels(kind: str) -> None:
    plan = TaskSpec(Task.RESTORE, restore_kind=kind, then=(TaskSpec(Task.DETECT, ("box",)),))
    (_, restored), (_, found) = follow(Bright(), shining(), plan)
    assert restored.restored is not None
    assert restored.restored.image_rgb_u8.shape[:2] == ((10, 6) if kind in ("rotate", "rotate_clockwise") else (6, 10))
    assert found.detections[0].box_xyxy_px == BOX and found.text != str(BOX)
    assert np.array_equal(found.masks[0].inside, BRIGHT)
    first = TaskSpec(Task.DETECT, ("box",), restore_kind=kind, restore_first=True)
    same = on_restored(lambda frame, spec: Bright().perceive(frame, (spec,))[0], shining(), first)
    assert same.status is Status.OK and same.detections == found.detections


def test_a_question_is_asked_about_the_box_where_the_turned_picture_has_it() -> None:
    asked: list[TaskSpec] = []

    class Asked(Bright):
        def _one(self, frame: Frame, spec: TaskSpec) -> Perception:
            asked.append(spec)
            return super()._one(frame, spec)

    turn, ask = TaskSpec(Task.RESTORE, restore_kind="rotate_half"), TaskSpec(Task.ANSWER, phrase="is the box full?")
    follow(Asked(), shining(), TaskSpec(Task.DETECT, ("box",), max_objects=1, then=(turn, ask)))
    left, top, right, bottom = asked[-1].region
    assert (left * 10, top * 6, right * 10, bottom * 6) == pytest.approx((5, 4, 8, 5))


def test_a_mark_moves_with_the_picture() -> None:
    asked: list[TaskSpec] = []

    def perceive(frame: Frame, spec: TaskSpec) -> Perception:
        asked.append(spec)
        return Bright().perceive(frame, (spec,))[0]

    point = Prompt(PromptKind.POINT, ((0.25, 0.125),))
    on_restored(
        perceive, shining(), TaskSpec(Task.DETECT, ("box",), restore_kind="rotate", restore_first=True, prompt=point)
    )
    assert asked[-1].prompt == Prompt(PromptKind.POINT, ((0.125, 0.75),))
