from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from action_msgs.msg import GoalStatus
from bench import Bench, picture
from fakes import FakeEngine
from rclpy.action import ActionClient

from vision_llm_ros.action import Perceive
from vision_llm_ros.errors import EngineError
from vision_llm_ros.msg import Command, CommandStatus, ResultInfo
from vision_llm_ros.srv import Ask

pytestmark = pytest.mark.ros


def ask(
    bench: Bench, text: str, timeout_s: float = 5.0, meanwhile: Callable[[], None] | None = None, **fields: Any
) -> Any:
    """Ask, show pictures while waiting if told to, give the response."""
    client = bench.client.create_client(Ask, "perception/ask")
    bench.wait(client.service_is_ready)
    future = client.call_async(Ask.Request(text=text, timeout_s=timeout_s, **fields))

    def done() -> bool:
        if meanwhile is not None and not future.done():
            meanwhile()
        return future.done()

    bench.wait(done, what="no response")
    return future.result()


class Pursuit:
    """One goal of the Perceive action."""

    def __init__(self, bench: Bench, **goal: Any) -> None:
        self.bench = bench
        self.client = ActionClient(bench.client, Perceive, "perception/perceive")
        self.feedback: list[Any] = []
        bench.wait(self.client.server_is_ready)
        command = Command(**goal.pop("command"))
        sent = self.client.send_goal_async(
            Perceive.Goal(command=command, **goal), feedback_callback=lambda f: self.feedback.append(f.feedback)
        )
        bench.wait(sent.done)
        self.handle = sent.result()
        self.result = self.handle.get_result_async() if self.handle.accepted else None

    def outcome(self, show: bool = True) -> tuple[int, Any]:
        def done() -> bool:
            if show and not self.result.done():
                self.bench.show()
            return bool(self.result.done())

        self.bench.wait(done, what="no result")
        return self.result.result().status, self.result.result().result


def test_ask_answers_about_the_camera(bench: Bench) -> None:
    answer = ask(bench, "answer what is there", meanwhile=bench.show)
    assert answer.success and answer.caption.text == "a test picture"
    assert answer.caption.header.frame_id == "optical"
    assert (answer.understood.state, answer.understood.task) == (CommandStatus.ACCEPTED, "answer")
    bench.wait(lambda: bench.got["caption"], what="the answer is published as well")


def test_ask_answers_about_the_picture_it_brings_and_publishes_nothing(bench: Bench) -> None:
    sent = picture()
    sent.header.frame_id = "elsewhere"
    answer = ask(bench, "detect dog", use_image=True, image=sent)
    assert answer.success and answer.detections.header == sent.header
    assert [item.label for item in answer.detections.detections] == ["dog"]
    bench.rest(0.2)
    assert bench.got["detections"] == []


def test_ask_with_a_damaged_picture_says_why(bench: Bench) -> None:
    broken = picture()
    broken.data = array("B", bytes(5))
    answer = ask(bench, "detect dog", use_image=True, image=broken)
    assert not answer.success and "got 5" in answer.message


def test_ask_without_frames_gives_up_in_time(bench: Bench) -> None:
    answer = ask(bench, "detect dog", timeout_s=0.3)
    assert not answer.success and "no frame came on" in answer.message and "/image" in answer.message
    assert bench.node._worker is not None and bench.node._worker.live_commands() == ()


def test_ask_that_is_not_understood_names_the_nearest_sentence(bench: Bench) -> None:
    answer = ask(bench, "open the door")
    assert not answer.success and answer.understood.nearest == "detect person"


def test_ask_of_an_inactive_node_is_told_so(bench: Bench) -> None:
    bench.on_node(bench.node.trigger_deactivate)
    answer = ask(bench, "detect dog")
    assert not answer.success and "activate" in answer.message


def test_ask_with_bad_timeout_is_told_so(bench: Bench) -> None:
    assert "-1" in ask(bench, "detect dog", timeout_s=-1.0).message


def test_ask_reports_a_failing_engine(bench: Bench, fake_engine: FakeEngine) -> None:
    fake_engine.failing = EngineError("out of memory")
    answer = ask(bench, "detect dog", meanwhile=bench.show)
    assert not answer.success and "out of memory" in answer.message


def test_several_questions_wait_side_by_side(bench: Bench) -> None:
    client = bench.client.create_client(Ask, "perception/ask")
    bench.wait(client.service_is_ready)
    futures = [client.call_async(Ask.Request(text=f"detect {what}", timeout_s=5.0)) for what in ("dog", "cat", "cup")]
    bench.rest(0.2)
    assert not any(future.done() for future in futures)
    bench.show()
    bench.wait(lambda: all(future.done() for future in futures))
    assert [list(future.result().detections.classes) for future in futures] == [["dog"], ["cat"], ["cup"]]


def test_action_gives_feedback_and_ends_after_so_many_results(bench: Bench) -> None:
    pursuit = Pursuit(bench, command={"text": "watch dog at 1000", "id": "a"}, max_results=3)
    bench.accepted()
    for count in (1, 2):
        bench.show()
        bench.wait(lambda count=count: len(pursuit.feedback) == count, what=f"no feedback {count}")
    bench.show()
    status, result = pursuit.outcome(show=False)
    assert status == GoalStatus.STATUS_SUCCEEDED and result.results == 3
    assert result.outcome.state == CommandStatus.FINISHED
    assert [item.label for item in result.detections.detections] == ["dog"]
    # rclpy's client drops feedback it reads together with the result, so the third may be missing.
    assert [feedback.results for feedback in pursuit.feedback] in ([1, 2], [1, 2, 3])
    assert pursuit.feedback[0].info.status == ResultInfo.OK and pursuit.feedback[0].understood.task == "detect"
    bench.wait(lambda: len(bench.got["detections"]) == 3)
    for _ in range(3):
        bench.show()
    bench.rest(0.2)
    assert len(bench.got["detections"]) == 3


def test_action_of_a_once_command_ends_with_its_answer(bench: Bench) -> None:
    status, result = Pursuit(bench, command={"text": "segment cup"}).outcome()
    assert status == GoalStatus.STATUS_SUCCEEDED and len(result.masks.masks) == 1


def test_action_can_be_cancelled(bench: Bench) -> None:
    pursuit = Pursuit(bench, command={"text": "watch dog at 1000", "id": "a"})
    bench.served(2)
    cancelled = pursuit.handle.cancel_goal_async()
    bench.wait(cancelled.done)
    status, result = pursuit.outcome(show=False)
    assert status == GoalStatus.STATUS_CANCELED and result.outcome.state == CommandStatus.STOPPED
    assert result.results >= 1
    assert bench.node._worker is not None and bench.node._worker.live_commands() == ()


def test_action_with_a_refused_command_is_aborted_with_the_reason(bench: Bench) -> None:
    status, result = Pursuit(bench, command={"text": "open the door"}).outcome(show=False)
    assert status == GoalStatus.STATUS_ABORTED
    assert result.outcome.state == CommandStatus.REFUSED and result.outcome.nearest == "detect person"


def test_action_whose_command_is_stopped_by_another_is_aborted(bench: Bench) -> None:
    pursuit = Pursuit(bench, command={"text": "watch dog", "id": "a"})
    bench.accepted()
    bench.say("", "a", mode=Command.MODE_STOP)
    status, result = pursuit.outcome(show=False)
    assert status == GoalStatus.STATUS_ABORTED and result.outcome.state == CommandStatus.STOPPED


def test_action_whose_command_is_replaced_is_told_so_and_the_newer_one_goes_on(bench: Bench) -> None:
    first = Pursuit(bench, command={"text": "watch dog", "id": "a"})
    bench.accepted()
    second = Pursuit(bench, command={"text": "watch cat at 1000", "id": "a"}, max_results=2)
    status, result = first.outcome(show=False)
    assert status == GoalStatus.STATUS_ABORTED and result.outcome.state == CommandStatus.REPLACED
    status, result = second.outcome()
    assert status == GoalStatus.STATUS_SUCCEEDED and list(result.detections.classes) == ["cat"]


def test_action_of_an_inactive_node_is_rejected(bench: Bench) -> None:
    bench.on_node(bench.node.trigger_deactivate)
    assert not Pursuit(bench, command={"text": "watch dog"}).handle.accepted


def test_waiting_request_does_not_keep_the_executor_busy(bench: Bench) -> None:
    client = bench.client.create_client(Ask, "perception/ask")
    bench.wait(client.service_is_ready)
    future = client.call_async(Ask.Request(text="detect dog", timeout_s=1.0))
    bench.rest(0.2)
    started = time.process_time()
    time.sleep(0.6)
    assert time.process_time() - started < 0.2
    bench.wait(future.done)
