from __future__ import annotations

import numpy as np
import pytest

from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import (
    WHOLE_IMAGE,
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
from vision_llm_ros.runtime.regions import marked, pixels_of, read_region, select, within

WIDE = Frame(np.zeros((100, 400, 3), np.uint8))
POINT = Prompt(PromptKind.POINT, ((0.75, 0.2),))
TRIANGLE = (0.0, 0.0, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0)


def thing(name: str, box: tuple[float, float, float, float], score: float = 0.9) -> Detection:
    return Detection(name, 0, score, box)


def mask(name: str, box: tuple[int, int, int, int]) -> Mask:
    inside = np.zeros((100, 400), np.bool_)
    inside[box[1] : box[3], box[0] : box[2]] = True
    return Mask(name, 0.8, inside, tuple(map(float, box)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "region"),
    [
        ((), None),
        ((0.1, 0.2, 0.3, 0.9), (0.1, 0.2, 0.3, 0.9)),
        ((0.75, 0.2), POINT),
        (TRIANGLE, Prompt(PromptKind.POLYGON, ((0.0, 0.0), (0.5, 0.0), (0.0, 1.0), (0.0, 0.0)))),
        ((0.1, 0.1, 0.2, 0.3, 0.4, 0.3), Prompt(PromptKind.SCRIBBLE, ((0.1, 0.1), (0.2, 0.3), (0.4, 0.3)))),
    ],
)
def test_numbers_become_what_was_marked(values: tuple[float, ...], region: object) -> None:
    assert read_region(values) == region


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((0.1,), "even number up to 2048 of values, got 1"),
        ((0.1, 0.2, 0.3, 0.4, 0.5), "got 5"),
        ((0.0,) * 4000, "got 4000"),
        ((320.0, 0.2), r"got 320; divide pixels by its size"),
        ((float("nan"), 0.2), "got nan"),
        ((-0.1, 0.2), "got -0.1"),
        ((0.8, 0.9, 0.2, 0.1), "a reversed one; did you mean 0.2,0.1,0.8,0.9"),
        ((0.2, 0.1, 0.2, 0.9), "an empty box; give a point"),
        ((0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 0.0, 0.0), "4 points on one line"),
    ],
)
def test_what_marks_nothing_is_refused_with_the_reason(values: tuple[float, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_region(values)


def test_the_box_around_a_mark_stays_within_the_picture() -> None:
    assert Prompt(PromptKind.POINT, ((0.0, 1.0),)).box == pytest.approx((0.0, 0.9, 0.1, 1.0))
    triangle = read_region(TRIANGLE)
    assert isinstance(triangle, Prompt)
    assert triangle.box == (0.0, 0.0, 0.5, 1.0)


def test_x_and_y_are_not_swapped_on_a_wide_picture() -> None:
    at_the_point, transposed = thing("here", (280, 5, 320, 40)), thing("there", (60, 55, 100, 95))
    assert select((transposed, at_the_point), POINT, WIDE.size_wh_px) == (at_the_point,)
    assert pixels_of((0.5, 0.0, 0.75, 0.5), WIDE.size_wh_px) == (200, 0, 300, 50)


def test_a_point_means_the_tightest_reliable_thing_it_touches() -> None:
    around, tight, doubtful = (
        thing("car", (200, 0, 400, 90)),
        thing("dog", (290, 10, 320, 40)),
        thing("cat", (298, 18, 304, 24), 0.2),
    )
    assert select((around, tight, doubtful), POINT, WIDE.size_wh_px) == (tight,)
    assert select((thing("far", (0, 0, 50, 50)),), POINT, WIDE.size_wh_px) == ()


def test_a_point_outside_the_pixels_of_a_mask_does_not_mean_it() -> None:
    beside, under = mask("beside", (310, 0, 390, 90)), mask("under", (250, 0, 305, 90))
    assert select((beside, under), POINT, WIDE.size_wh_px) == (under,)


def test_a_point_in_the_box_but_not_in_the_outline_does_not_mean_it() -> None:
    corner = np.array([(290, 90), (390, 10), (390, 90)], np.float32)
    item = Detection("sail", 0, 0.9, (290, 10, 390, 90), corner)
    assert select((item,), POINT, WIDE.size_wh_px) == ()


def test_a_scribble_means_what_most_of_it_is_drawn_over() -> None:
    line = Prompt(PromptKind.SCRIBBLE, ((0.1, 0.5), (0.3, 0.5), (0.9, 0.5)))
    short, long = thing("short", (0, 0, 130, 100)), thing("long", (130, 0, 400, 100))
    assert select((short, long), line, WIDE.size_wh_px) == (long,)


def test_a_polygon_means_what_has_its_centre_inside() -> None:
    triangle = read_region(TRIANGLE)
    assert isinstance(triangle, Prompt)
    inside, in_its_box_only = thing("in", (20, 10, 60, 50)), thing("out", (150, 70, 190, 99))
    assert select((inside, in_its_box_only), triangle, WIDE.size_wh_px) == (inside,)


def test_a_mark_outranks_the_words_and_a_point_means_one_thing() -> None:
    spec = TaskSpec(Task.SEGMENT, ("cup",), region=(0.0, 0.0, 0.5, 1.0))
    assert marked(spec, None) == spec
    assert marked(spec, (0.2, 0.2, 0.4, 0.4)).region == (0.2, 0.2, 0.4, 0.4)
    pointed = marked(spec, POINT)
    assert (pointed.prompt, pointed.max_objects) == (POINT, 1)
    assert pointed.region == pytest.approx((0.65, 0.1, 0.85, 0.3))


@pytest.mark.parametrize("task", [Task.DETECT, Task.GROUND, Task.POLYGON, Task.SEGMENT])
def test_tasks_that_seek_look_everywhere_and_keep_what_is_marked(task: Task) -> None:
    asked: list[TaskSpec] = []

    def perceive(frame: Frame, spec: TaskSpec) -> Perception:
        asked.append(spec)
        found = (thing("left", (0, 0, 40, 40)), thing("right", (280, 0, 320, 40)))
        masks = (mask("left", (0, 0, 40, 40)), mask("right", (280, 0, 320, 40)))
        return Perception(spec.task, detections=found, masks=masks if spec.task is Task.SEGMENT else ())

    answer = within(perceive, WIDE, marked(TaskSpec(task, ("cup",)), POINT))
    assert (asked[0].region, asked[0].prompt, asked[0].max_objects) == (WHOLE_IMAGE, None, 0)
    assert answer.task is task
    assert [item.label for item in answer.detections] == ["right"]
    assert [item.label for item in answer.masks] == (["right"] if task is Task.SEGMENT else [])


def test_nothing_at_the_point_is_nothing_found() -> None:
    found = Perception(Task.DETECT, detections=(thing("left", (0, 0, 40, 40)),))
    assert within(lambda *_: found, WIDE, marked(TaskSpec(Task.DETECT, ("cup",)), POINT)).status is Status.NOTHING_FOUND


def test_restoring_a_part_leaves_the_rest_bit_identical() -> None:
    frame = Frame(np.random.default_rng(0).integers(0, 256, (100, 400, 3), np.uint8))
    sizes = []

    def perceive(part: Frame, spec: TaskSpec) -> Perception:
        sizes.append(part.size_wh_px)
        return Perception(spec.task, restored=Restored(255 - part.image_rgb_u8, "denoise", 0.2, 0.8))

    restored = within(perceive, frame, TaskSpec(Task.RESTORE, region=(0.5, 0.0, 0.75, 0.5))).restored
    assert restored is not None
    assert sizes == [(100, 50)]
    assert np.array_equal(restored.image_rgb_u8[:50, 200:300], 255 - frame.image_rgb_u8[:50, 200:300])
    rest = np.ones((100, 400), bool)
    rest[:50, 200:300] = False
    assert np.array_equal(restored.image_rgb_u8[rest], frame.image_rgb_u8[rest])


@pytest.mark.parametrize(
    ("kind", "region", "reason"),
    [("flip", (0.0, 0.0, 0.5, 0.5), "flip turns the whole picture"), ("", (0.0, 0.0, 0.01, 0.5), "4x50 pixels")],
)
def test_a_part_that_cannot_be_restored_is_rejected(
    kind: str, region: tuple[float, float, float, float], reason: str
) -> None:
    answer = within(lambda *_: pytest.fail(), WIDE, TaskSpec(Task.RESTORE, restore_kind=kind, region=region))
    assert answer.status is Status.REJECTED
    assert reason in answer.text


def test_tasks_about_the_picture_get_the_box_of_the_mark() -> None:
    asked: list[TaskSpec] = []
    within(lambda _, spec: asked.append(spec) or Perception(spec.task), WIDE, marked(TaskSpec(Task.CAPTION), POINT))  # type: ignore[func-returns-value]
    assert asked[0].region == POINT.box
