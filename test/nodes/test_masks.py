"""Masks over real DDS: cropped masks, label image, overlay, service, action, recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bench import Bench, picture
from fakes import FakeEngine
from numpy.typing import NDArray
from rclpy.action import ActionClient
from sensor_msgs.msg import Image

from vision_llm_ros.action import Perceive
from vision_llm_ros.errors import EngineError
from vision_llm_ros.interfaces import Frame, Mask, Perception, Status, Task, TaskSpec
from vision_llm_ros.msg import ResultInfo
from vision_llm_ros.srv import Ask

pytestmark = pytest.mark.ros
WIDTH, HEIGHT, MOST = 96, 64, 34


def squares(count: int) -> tuple[Mask, ...]:
    """Squares of 9 px, each overlapping the next by 7 px, with a hole in the middle."""
    masks = []
    for number in range(count):
        inside = np.zeros((HEIGHT, WIDTH), np.bool_)
        x, y = 2 * number, 20 + number % 3
        inside[y : y + 9, x : x + 9] = True
        inside[y + 4, x + 4] = False
        masks.append(Mask(f"cup {number}", 0.9 - number / 100, inside, (float(x), float(y), x + 9.0, y + 9.0)))
    return tuple(masks)


class MaskEngine(FakeEngine):
    """As many overlapping squares as the phrase says, none in black frames."""

    def _answer(self, frame: Frame, spec: TaskSpec) -> Perception:
        if spec.task is not Task.SEGMENT or not frame.image_rgb_u8.any():
            return super()._answer(frame, spec)
        masks = squares(int(spec.phrase))
        sentence = " and ".join(f"{mask.label} is [{number}]" for number, mask in enumerate(masks))
        return Perception(spec.task, Status.OK, sentence, masks=masks, stage_ms={"look": 1.0})


@pytest.fixture
def fake_engine() -> FakeEngine:
    return MaskEngine()


def frame(level: int = 127) -> Image:
    return picture(level, WIDTH, HEIGHT)


def put_back(mask: Any) -> NDArray[np.bool_]:
    """bool[HEIGHT, WIDTH] from a Mask message."""
    inside = np.zeros((HEIGHT, WIDTH), np.bool_)
    crop = np.frombuffer(mask.data, np.uint8).reshape(mask.height, mask.width)
    inside[mask.y_offset : mask.y_offset + mask.height, mask.x_offset : mask.x_offset + mask.width] = crop > 0
    return inside


def watching(bench: Bench, *topics: str) -> None:
    for topic in topics:
        bench.listen(f"perception/{topic}", Image, 1)
        name = f"{bench.node.get_fully_qualified_name()}/{topic}"
        bench.wait(lambda name=name: bench.node.count_subscribers(name))


def test_many_overlapping_masks_come_back_pixel_by_pixel(bench: Bench) -> None:
    watching(bench, "mask_image", "debug_image")
    bench.say(f"segment {MOST}")
    bench.accepted()
    message = bench.served(1, "masks", frame)[0]
    bench.wait(lambda: bench.got["mask_image"] and bench.got["debug_image"])
    sent = squares(MOST)
    assert (message.image_width, message.image_height, len(message.masks)) == (WIDTH, HEIGHT, MOST)
    for mask, wanted in zip(message.masks, sent, strict=True):
        assert np.array_equal(put_back(mask), wanted.inside)
        assert (mask.label, mask.pixel_count, mask.width, mask.height) == (wanted.label, 80, 9, 9)
        assert mask.score == pytest.approx(wanted.score)
        assert set(mask.data) == {0, 255}
    assert message.answer.startswith("cup 0 is [0] and cup 1 is [1]")
    image = bench.got["mask_image"][0]
    labels = np.frombuffer(image.data, np.uint8).reshape(HEIGHT, WIDTH)
    assert (image.header, image.encoding) == (message.header, "mono8")
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number in reversed(range(MOST)):
        expected[sent[number].inside] = number + 1
    assert np.array_equal(labels, expected)
    shown = bench.got["debug_image"][0]
    drawn = np.frombuffer(shown.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
    assert shown.header == message.header
    assert (drawn[24, 1:40] != 127).any(-1).all()


def test_nothing_found_is_an_empty_message_and_a_black_label_image(bench: Bench) -> None:
    watching(bench, "mask_image")
    bench.say("segment 3")
    bench.accepted()
    message = bench.served(1, "masks", lambda: frame(0))[0]
    bench.wait(lambda: bench.got["mask_image"])
    assert (message.info.status, len(message.masks)) == (ResultInfo.NOTHING_FOUND, 0)
    assert not any(bench.got["mask_image"][0].data)


def test_a_failure_sends_no_label_image_that_would_look_like_an_empty_scene(
    bench: Bench, fake_engine: FakeEngine
) -> None:
    watching(bench, "mask_image")
    fake_engine.failing = EngineError("out of memory")
    bench.say("segment 3")
    bench.accepted()
    message = bench.served(1, "masks", frame)[0]
    bench.rest(0.3)
    assert (message.info.status, "out of memory" in message.info.text) == (ResultInfo.ERROR, True)
    assert bench.got["mask_image"] == []


def test_service_and_action_return_the_same_masks(bench: Bench) -> None:
    asking = bench.client.create_client(Ask, "perception/ask")
    acting = ActionClient(bench.client, Perceive, "perception/perceive")
    bench.wait(lambda: asking.service_is_ready() and acting.server_is_ready())
    answer = asking.call_async(Ask.Request(text="segment 2", timeout_s=5.0))
    goal = Perceive.Goal()
    goal.command.text = "segment 2"
    sent = acting.send_goal_async(goal)
    bench.wait(sent.done)
    ended = sent.result().get_result_async()

    def served() -> bool:
        if not (answer.done() and ended.done()):
            bench.show(frame())
        return bool(answer.done() and ended.done())

    bench.wait(served)
    acting.destroy()
    found = [answer.result().masks.masks, ended.result().result.masks.masks]
    assert answer.result().success
    assert [[mask.label for mask in masks] for masks in found] == [["cup 0", "cup 1"]] * 2
    assert all(np.array_equal(put_back(a), put_back(b)) for a, b in zip(*found, strict=True))


def test_masks_in_a_recording_are_those_that_were_sent(start_bench: Callable[..., Bench], tmp_path: Any) -> None:
    from rosbags.highlevel import AnyReader

    from vision_llm_ros.evaluation.bag_types import typestore
    from vision_llm_ros.evaluation.bag_writer import BagWriter
    from vision_llm_ros.nodes.recorder import RecorderNode

    bench = start_bench().ready()
    topic = f"{bench.node.get_fully_qualified_name()}/masks"
    with BagWriter(tmp_path / "bag") as writer:
        recorder = RecorderNode(writer, [topic])
        bench._executor.add_node(recorder)
        bench.wait(lambda: bench.node.count_subscribers(topic) >= 2)
        bench.say("segment 5")
        bench.accepted()
        sent = bench.served(1, "masks", frame)[0]
        bench.wait(lambda: recorder.counts[topic])
        bench._executor.remove_node(recorder)
        recorder.destroy_node()
    with AnyReader([tmp_path / "bag"], default_typestore=typestore()) as reader:
        ((connection, _, data),) = list(reader.messages())
        back = reader.deserialize(data, connection.msgtype)
    assert [mask.label for mask in back.masks] == [mask.label for mask in sent.masks]
    assert all(np.array_equal(put_back(a), put_back(b)) for a, b in zip(back.masks, sent.masks, strict=True))
