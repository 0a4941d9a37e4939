from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from vision_llm_ros import msg
from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import (
    Caption,
    Command,
    CommandState,
    Detection,
    Mask,
    Mode,
    Perception,
    Prompt,
    PromptKind,
    Restored,
    Result,
    Status,
    Task,
    TaskSpec,
)
from vision_llm_ros.nodes import messages
from vision_llm_ros.runtime.scheduler import CommandEvent

HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id="optical")


def make_result(task: Task, **perception: object) -> Result:
    spec = TaskSpec(task, ("dog", "cat"), "which one")
    answer = Perception(task, stage_ms={"backbone": 20.5, "decode": 3.0}, **perception)
    return Result("a", 3, spec, 7, "optical", "front", (20, 10), answer, "nano", "0123456789ab", 25.0, 40.0)


def test_numbers_of_states_and_statuses_equal_those_of_the_messages() -> None:
    for status in Status:
        assert getattr(msg.ResultInfo, status.name) == status
    for state in CommandState:
        assert getattr(msg.CommandStatus, state.name) == state


def test_every_task_but_stop_has_a_topic() -> None:
    assert set(messages.TOPICS) == set(Task) - {Task.STOP}


def test_command_is_read_field_by_field() -> None:
    message = msg.Command(
        id="a", text="find it", mode=2, rate_hz=0.1, time_to_live_s=3.0, priority=-4, camera="front",
        region=[0.1, 0.2, 0.9, 1.0], asr_confidence=0.7,
    )  # fmt: skip
    region = (0.1, 0.2, 0.9, 1.0)
    assert messages.to_command(message) == Command("find it", "a", Mode.CONTINUOUS, 0.1, 3.0, -4, "front", region, 0.7)


def test_default_command_message_is_the_default_command() -> None:
    assert messages.to_command(msg.Command(text="x")) == Command("x")


def test_a_click_in_a_message_is_a_point() -> None:
    command = messages.to_command(msg.Command(text="segment this", region=[0.1, 0.9]))
    assert command.region == Prompt(PromptKind.POINT, ((0.1, 0.9),))


@pytest.mark.parametrize("region", [[0.1], [0.0, 0.0, 1.0], [0.0] * 5])
def test_region_of_an_odd_count_is_an_error_naming_their_number(region: list[float]) -> None:
    with pytest.raises(InputError, match=str(len(region))):
        messages.to_command(msg.Command(region=region))


def test_say_back_of_a_refusal_has_no_task() -> None:
    event = CommandEvent(CommandState.REFUSED, "a", 0, "dance", None, "cannot dance", "find every person")
    message = messages.status_message(event, HEADER.stamp)
    assert (message.state, message.task, message.nearest) == (msg.CommandStatus.REFUSED, "", "find every person")
    assert message.header.stamp == HEADER.stamp


def test_info_keeps_the_order_of_the_stages() -> None:
    info = messages.info_message(make_result(Task.DETECT, status=Status.NOTHING_FOUND, text="empty"))
    assert [(stage.stage, stage.duration_ms) for stage in info.stages] == [("backbone", 20.5), ("decode", 3.0)]
    assert (info.command_id, info.generation, info.task, info.status) == ("a", 3, "detect", 1)
    assert (info.camera, info.latency_ms, info.frame_age_ms) == ("front", 25.0, 40.0)


def test_boxes_and_polygons_stay_in_source_pixels() -> None:
    polygon = np.array([[1, 2], [5, 2], [5, 6]], np.float32)
    found = Detection("dog", 0, np.float32(0.5), tuple(np.array([1.5, 2, 5, 6], np.float32)), polygon, 4)
    message = messages.result_message(make_result(Task.POLYGON, detections=(found,)), HEADER)
    one = message.detections[0]
    assert message.header is HEADER and (message.image_width, message.image_height) == (20, 10)
    assert (one.x_min, one.y_min, one.x_max, one.y_max, one.track_id) == (1.5, 2.0, 5.0, 6.0, 4)
    assert list(one.polygon) == [1, 2, 5, 2, 5, 6]


def test_mask_is_cropped_to_its_box_and_can_be_put_back() -> None:
    inside = np.zeros((10, 20), np.bool_)
    inside[3:6, 4:9] = True
    inside[4, 5] = False
    mask = Mask("mug", 0.9, inside, (4.0, 3.0, 9.0, 6.0))
    message = messages.result_message(make_result(Task.SEGMENT, masks=(mask,)), HEADER).masks[0]
    assert (message.x_offset, message.y_offset, message.width, message.height) == (4, 3, 5, 3)
    assert message.pixel_count == 14
    again = np.zeros_like(inside)
    again[3:6, 4:9] = np.frombuffer(message.data, np.uint8).reshape(3, 5) == 255
    assert np.array_equal(again, inside)


def test_label_image_numbers_the_masks_from_one_and_earlier_ones_lie_above() -> None:
    first, second = np.zeros((2, 10, 20), np.bool_)
    first[0:4, 0:4] = True
    second[2:6, 2:6] = True
    box = (0.0, 0.0, 6.0, 6.0)
    masks = (Mask("a", 1.0, first, box), Mask("b", 1.0, second, box))
    image = messages.mask_image(make_result(Task.SEGMENT, masks=masks), HEADER)
    labels = np.frombuffer(image.data, np.uint8).reshape(10, 20)
    assert (image.encoding, labels[0, 0], labels[3, 3], labels[5, 5], labels[9, 9]) == ("mono8", 1, 1, 2, 0)


def test_restored_frame_carries_picture_and_source_header() -> None:
    restored = Restored(np.full((10, 20, 3), 9, np.uint8), "deblur", 0.2, 0.8, synthetic=True)
    message = messages.result_message(make_result(Task.RESTORE, restored=restored), HEADER)
    assert (message.kind, message.synthetic, message.image.header) == ("deblur", True, HEADER)
    assert (message.image.width, message.image.height, set(message.image.data)) == (20, 10, {9})


def test_failed_tasks_give_empty_messages_that_say_so() -> None:
    for task, topic in messages.TOPICS.items():
        result = make_result(task, status=Status.ERROR, text="out of memory")
        message = messages.result_message(replace(result, image_size_wh_px=(0, 0)), HEADER)
        assert message.info.status == msg.ResultInfo.ERROR and message.info.text == "out of memory", topic
        assert message.header is HEADER


def test_answer_names_its_question() -> None:
    result = make_result(Task.ANSWER, caption=Caption("two", 0.6, "how many cups?"))
    message = messages.result_message(result, HEADER)
    assert (message.question, message.text) == ("how many cups?", "two")
    assert message.score == pytest.approx(0.6)


def test_boxes_for_vision_msgs_are_given_by_centre_and_size() -> None:
    def hypothesis() -> SimpleNamespace:
        return SimpleNamespace(hypothesis=SimpleNamespace())

    def detection(**kept: object) -> SimpleNamespace:
        position = SimpleNamespace()
        bbox = SimpleNamespace(center=SimpleNamespace(position=position))
        return SimpleNamespace(bbox=bbox, results=[], **kept)

    module = SimpleNamespace(
        Detection2DArray=lambda header: SimpleNamespace(header=header, detections=[]),
        Detection2D=detection,
        ObjectHypothesisWithPose=hypothesis,
    )
    result = make_result(Task.DETECT, detections=(Detection("dog", 0, 0.5, (2.0, 4.0, 6.0, 10.0), None, 3),))
    (one,) = messages.detection_2d_array(result, HEADER, module).detections
    assert (one.bbox.center.position.x, one.bbox.center.position.y) == (4.0, 7.0)
    assert (one.bbox.size_x, one.bbox.size_y, one.id, one.header) == (4.0, 6.0, "3", HEADER)
    assert one.results[0].hypothesis.class_id == "dog"
