from __future__ import annotations

import numpy as np
import pytest

from vision_llm_ros.interfaces import Caption, Detection, Mask, Perception, Restored, Result, Status, Task, TaskSpec
from vision_llm_ros.runtime.draw import PALETTE, colours_of, draw_perception, draw_result, label_image

GREY = np.full((120, 160, 3), 100, np.uint8)


def _result(perception: Perception) -> Result:
    spec = TaskSpec(perception.task, ("person", "dog"))
    return Result("c", 1, spec, 5, "cam", "", (160, 120), perception, "nano", "0" * 12, 12.0, 20.0)


def _changed(drawn: np.ndarray) -> np.ndarray:
    return (drawn != GREY).any(axis=2)


def test_source_picture_is_left_untouched() -> None:
    source = GREY.copy()
    draw_result(source, _result(Perception(Task.DETECT, detections=(Detection("dog", 1, 0.5, (9, 9, 90, 90)),))))
    assert (source == GREY).all()


def test_box_outline_has_the_colour_of_its_label_at_its_corners() -> None:
    box = (20.0, 40.0, 100.0, 80.0)
    drawn = draw_perception(GREY, Perception(Task.DETECT, detections=(Detection("dog", 0, 0.5, box),)))
    assert tuple(drawn[60, 20]) == colours_of(("dog",))["dog"]
    assert tuple(drawn[60, 99]) == colours_of(("dog",))["dog"]
    assert not _changed(drawn)[60, 105]


def test_polygon_is_drawn_instead_of_its_box() -> None:
    triangle = np.array([(60, 30), (100, 80), (20, 80)], np.float32)
    detection = Detection("dog", 0, 0.5, (20, 30, 100, 80), triangle)
    changed = _changed(draw_perception(GREY, Perception(Task.POLYGON, detections=(detection,))))
    assert changed[70, 60] and not changed[45, 98]


def test_mask_pixels_change_and_pixels_outside_do_not() -> None:
    inside = np.zeros((120, 160), bool)
    inside[50:70, 50:90] = True
    drawn = draw_perception(GREY, Perception(Task.SEGMENT, masks=(Mask("mug", 0.9, inside, (50, 50, 90, 70)),)))
    assert _changed(drawn)[60, 70] and not _changed(drawn)[80, 70]


def test_an_earlier_mask_lies_above_a_later_one_in_both_pictures() -> None:
    first, second = np.zeros((2, 120, 160), bool)
    first[30:60, 30:80] = True
    second[40:90, 50:120] = True
    masks = (Mask("mug", 0.9, first, (30, 30, 80, 60)), Mask("dog", 0.9, second, (50, 40, 120, 90)))
    labels = label_image(masks, (160, 120))
    assert (labels[50, 60], labels[35, 35], labels[80, 100], labels[0, 0]) == (1, 1, 2, 0)
    drawn = draw_perception(GREY, Perception(Task.SEGMENT, masks=masks)).astype(int)
    assert np.abs(drawn[59, 60] - colours_of(["mug", "dog"])["mug"]).max() < 20  # its outline, smooth


def test_an_empty_mask_is_drawn_as_nothing() -> None:
    mask = Mask("mug", 0.9, np.zeros((120, 160), bool), (0, 0, 0, 0))
    drawn = draw_perception(GREY, Perception(Task.SEGMENT, masks=(mask,)))
    assert not _changed(drawn)[40:100].any()
    assert not label_image((mask,), (160, 120)).any()


@pytest.mark.parametrize("status", [Status.NOTHING_FOUND, Status.STALE, Status.REJECTED, Status.ERROR])
def test_status_other_than_ok_is_written_at_the_bottom(status: Status) -> None:
    changed = _changed(draw_result(GREY, _result(Perception(Task.DETECT, status, "why"))))
    assert changed[-5:].any() and not changed[:60].any()


def test_an_error_does_not_look_like_an_empty_scene() -> None:
    empty = draw_result(GREY, _result(Perception(Task.DETECT, Status.NOTHING_FOUND)))
    broken = draw_result(GREY, _result(Perception(Task.DETECT, Status.ERROR, "out of memory")))
    assert (empty != broken).any()


def test_labels_get_distinct_colours_and_keep_them() -> None:
    labels = tuple(f"label {number}" for number in range(len(PALETTE)))
    assert len(set(colours_of(labels).values())) == len(PALETTE)
    assert colours_of(labels[:3]) == {label: colours_of(labels)[label] for label in labels[:3]}
    assert len(colours_of((*labels, "one more"))) == len(PALETTE) + 1


def test_restored_picture_fills_the_right_half() -> None:
    white = np.full_like(GREY, 255)
    drawn = draw_perception(GREY, Perception(Task.RESTORE, restored=Restored(white, "denoise", 0.2, 0.9)))
    assert (drawn[20, 20] == 100).all() and (drawn[20, 140] == 255).all()


def test_restored_picture_of_other_size_is_shown_alone() -> None:
    turned = np.full((160, 120, 3), 255, np.uint8)
    drawn = draw_perception(GREY, Perception(Task.RESTORE, restored=Restored(turned, "rotate", 0.2, 0.9)))
    assert drawn.shape == (160, 120, 3)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (17, 17), (1080, 1920)])
def test_any_picture_size_can_be_drawn_on(size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    perception = Perception(Task.ANSWER, caption=Caption("word " * 300, 0.5))
    assert draw_perception(image, perception, "what\x00 is 猫 😀 " * 40, "note").shape == image.shape


@pytest.mark.parametrize("box", [(-500.0, -500.0, 1e9, 1e9), (float("nan"), 0, 5, 5), (150, 110, 160, 120)])
def test_boxes_beyond_the_picture_or_not_finite_do_no_harm(box: tuple[float, float, float, float]) -> None:
    perception = Perception(Task.DETECT, detections=(Detection("dog", 0, 0.5, box),))
    assert draw_perception(GREY, perception).shape == GREY.shape
