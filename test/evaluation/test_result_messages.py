from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vision_llm_ros.evaluation.bag_types import stamp_of, typestore
from vision_llm_ros.evaluation.result_messages import result_messages, status_message
from vision_llm_ros.interfaces import (
    Caption,
    CommandState,
    Detection,
    Mask,
    Perception,
    Restored,
    Result,
    Status,
    Task,
    TaskSpec,
)
from vision_llm_ros.runtime.scheduler import CommandEvent

INSIDE = np.zeros((48, 64), bool)
INSIDE[10:20, 30:45] = True


def _result(task: Task, **fields: Any) -> Result:
    perception = Perception(task, stage_ms={"backbone": 2.5}, **fields)
    return Result("c", 3, TaskSpec(task, ("dog",)), 7, "cam", "front", (64, 48), perception, "nano", "a", 9.0, 12.0)


def _written(result: Result) -> dict[str, Any]:
    """Serialized and read back, by topic."""
    store, found = typestore(), {}
    for topic, msgtype, message in result_messages(result):
        found[topic.rsplit("/", 1)[1]] = store.deserialize_cdr(store.serialize_cdr(message, msgtype), msgtype)
    return found


def test_detections_keep_box_polygon_and_who_asked() -> None:
    triangle = np.array([(1, 2), (30, 2), (15, 40)], np.float32)
    detection = Detection("dog", 0, 0.75, (1.0, 2.0, 30.0, 40.0), triangle, 5)
    message = _written(_result(Task.POLYGON, detections=(detection,)))["detections"]
    item = message.detections[0]
    assert (item.label, item.x_min, item.y_max, item.track_id) == ("dog", 1.0, 40.0, 5)
    assert item.polygon.tolist() == [1, 2, 30, 2, 15, 40]
    assert (message.info.command_id, message.info.generation, message.info.stages[0].stage) == ("c", 3, "backbone")
    assert stamp_of(message) == 7 and message.header.frame_id == "cam" and message.image_width == 64


def test_annotations_outline_the_same_box_in_the_same_pixels() -> None:
    result = _result(Task.DETECT, detections=(Detection("dog", 0, 0.75, (1.0, 2.0, 30.0, 40.0)),))
    message = _written(result)["annotations"]
    corners = [(point.x, point.y) for point in message.points[0].points]
    assert corners == [(1, 2), (30, 2), (30, 40), (1, 40)] and message.points[0].type == 2
    assert message.texts[0].text == "dog 0.75" and message.points[0].timestamp.nanosec == 7


def test_mask_is_cropped_to_its_box() -> None:
    result = _result(Task.SEGMENT, masks=(Mask("mug", 0.5, INSIDE, (30.0, 10.0, 45.0, 20.0)),))
    mask = _written(result)["masks"].masks[0]
    assert (mask.x_offset, mask.y_offset, mask.width, mask.height, mask.pixel_count) == (30, 10, 15, 10, 150)
    assert mask.data.tolist() == [255] * 150


def test_masks_are_outlined_and_numbered_for_viewers() -> None:
    """Mask 1 lies above mask 2; a mask in two parts has two outlines and one label."""
    parts = np.zeros((48, 64), bool)
    parts[12:18, 32:60] = parts[40:44, 2:6] = True
    masks = (Mask("mug", 0.5, INSIDE, (30.0, 10.0, 45.0, 20.0)), Mask("spoon", 0.25, parts, (2.0, 12.0, 60.0, 44.0)))
    found = _written(_result(Task.SEGMENT, masks=masks))
    image = found["mask_image"]
    labels = image.data.reshape(48, 64)
    assert (image.encoding, image.step, labels[15, 33], labels[15, 50], labels[41, 3], labels[0, 0]) == (
        *("mono8", 64),
        *(1, 2, 2, 0),
    )
    assert (image.header.stamp, image.header.frame_id) == (found["masks"].header.stamp, "cam")
    annotations = found["annotations"]
    assert [text.text for text in annotations.texts] == ["mug 0.50", "spoon 0.25"]
    corners = {(point.x, point.y) for point in annotations.points[0].points}
    assert len(annotations.points) == 3 and corners == {(30.5, 10.5), (44.5, 10.5), (44.5, 19.5), (30.5, 19.5)}


def test_label_image_is_written_of_an_empty_scene_and_not_of_a_failure() -> None:
    assert not _written(_result(Task.SEGMENT, status=Status.NOTHING_FOUND))["mask_image"].data.any()
    assert "mask_image" not in _written(_result(Task.SEGMENT, status=Status.ERROR, text="out of memory"))


def test_caption_and_restored_frame_have_their_own_topics() -> None:
    assert _written(_result(Task.ANSWER, caption=Caption("two", 0.5, "how many?")))["caption"].text == "two"
    picture = np.full((48, 64, 3), 9, np.uint8)
    message = _written(_result(Task.RESTORE, restored=Restored(picture, "denoise", 0.25, 0.75)))["restored"]
    assert (message.kind, message.image.width, message.image.data[0]) == ("denoise", 64, 9)


@pytest.mark.parametrize(
    ("task", "topic"),
    [(Task.DETECT, "detections"), (Task.SEGMENT, "masks"), (Task.CAPTION, "caption"), (Task.RESTORE, "restored")],
)
def test_an_error_is_published_on_the_topic_of_its_task(task: Task, topic: str) -> None:
    message = _written(_result(task, status=Status.ERROR, text="out of memory"))[topic]
    assert (message.info.status, message.info.text) == (5, "out of memory")


def test_refusal_says_why_and_what_would_be_accepted() -> None:
    event = CommandEvent(CommandState.REFUSED, "c", 0, "open the door", None, "no arms", "find every door")
    topic, msgtype, message = status_message(event, 11)
    store = typestore()
    back = store.deserialize_cdr(store.serialize_cdr(message, msgtype), msgtype)
    assert (topic, back.state, back.text, back.nearest) == ("/perception/status", 1, "no arms", "find every door")
