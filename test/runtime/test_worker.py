from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from fakes import FakeClock, FakeEngine, FakeSink, arrival, fake_parse

from vision_llm_ros.config import NodeConfig
from vision_llm_ros.errors import EngineError, TooLargeError
from vision_llm_ros.interfaces import Command, CommandState, Mode, Status, Task
from vision_llm_ros.runtime.scheduler import CommandBook
from vision_llm_ros.runtime.slots import Drop
from vision_llm_ros.runtime.statistics import Statistics
from vision_llm_ros.runtime.worker import Worker, age_ms

State = CommandState


@dataclass
class Bench:
    """A worker whose thread is not started: `serve` runs one step in the test's own thread."""

    cameras: tuple[str, ...] = ("",)
    config: NodeConfig = field(default_factory=NodeConfig)
    engine: FakeEngine = field(default_factory=FakeEngine)
    clock: FakeClock = field(default_factory=FakeClock)
    sink: FakeSink = field(default_factory=FakeSink)

    def __post_init__(self) -> None:
        book = CommandBook(fake_parse, self.engine.tasks, self.config, self.cameras)
        self.worker = Worker(self.engine, book, self.clock, self.sink, Statistics())

    def say(self, text: str, command_id: str = "a", **fields: object) -> CommandState:
        return self.worker.submit(replace(Command(text, command_id), **fields))[-1].state

    def serve(self, camera: str = "", **frame: object) -> bool:
        self.worker.offer(arrival(camera, **{"stamp_ns": int(self.clock.now * 1e9), **frame}))
        return self.worker.serve_next()

    def drops(self) -> dict[Drop, int]:
        return self.worker.summary().drops


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def running(bench: Bench) -> Iterator[Bench]:
    bench.worker.start()
    yield bench
    bench.engine.gate.set()
    bench.worker.stop("end of test")


def test_result_names_command_frame_model_and_times(bench: Bench) -> None:
    bench.say("detect dog")
    bench.worker.offer(arrival(stamp_ns=99_500_000_000))
    bench.worker.serve_next()
    (result,) = bench.sink.results
    assert (result.command_id, result.generation, result.spec.classes) == ("a", 1, ("dog",))
    assert (result.stamp_ns, result.frame_id, result.image_size_wh_px) == (99_500_000_000, "optical", (16, 12))
    assert (result.model, result.weights_hash) == ("fake", "0123456789ab")
    assert result.frame_age_ms == pytest.approx(500.0) and 0 <= result.latency_ms < 5000


def test_say_back_comes_before_the_result_and_the_end_after_it(bench: Bench) -> None:
    bench.say("detect dog")
    bench.serve()
    kinds = [getattr(entry, "state", "result") for entry in bench.sink.order]
    assert kinds == [State.ACCEPTED, "result", State.FINISHED]


def test_all_due_commands_share_one_pass_over_the_frame(bench: Bench) -> None:
    bench.say("watch dog", "a")
    bench.say("segment cup", "b")
    bench.serve()
    ((_, specs),) = bench.engine.calls
    assert [spec.task for spec in specs] == [Task.DETECT, Task.SEGMENT]
    assert {result.command_id for result in bench.sink.frames[0]} == {"a", "b"}


def test_nothing_found_is_published(bench: Bench) -> None:
    bench.say("watch dog")
    bench.serve(level=0)
    assert bench.sink.results[0].perception.status is Status.NOTHING_FOUND


def test_nothing_is_computed_without_a_command(bench: Bench) -> None:
    assert not bench.serve() and not bench.serve()
    assert bench.engine.calls == [] and bench.drops() == {Drop.NO_COMMAND: 1}


def test_frames_between_due_times_are_counted_apart_from_those_lost_to_slowness(bench: Bench) -> None:
    bench.say("watch dog at 1")
    bench.serve()
    bench.clock.now += 0.1
    assert not bench.serve() and not bench.serve()
    assert bench.drops() == {Drop.NOT_DUE: 1}
    bench.clock.now += 2.0
    bench.worker.offer(arrival(stamp_ns=int(bench.clock.now * 1e9)))
    bench.worker.offer(arrival(stamp_ns=int(bench.clock.now * 1e9)))
    assert bench.drops() == {Drop.NOT_DUE: 1, Drop.OVERWRITTEN: 2}


def test_waiting_frame_is_used_when_its_command_becomes_due(bench: Bench) -> None:
    bench.say("watch dog at 1")
    bench.serve()
    bench.clock.now += 0.99
    assert not bench.serve()
    bench.clock.now += 0.02
    assert bench.worker.serve_next()


def test_old_frame_is_stale_and_does_not_use_up_a_once_command(bench: Bench) -> None:
    bench.say("detect dog")
    bench.serve(stamp_ns=90_000_000_000)
    (result,) = bench.sink.results
    assert result.perception.status is Status.STALE and "10.0 s" in result.perception.text
    assert bench.engine.calls == [] and bench.drops() == {Drop.TOO_OLD: 1}
    bench.clock.now += 1.0
    bench.serve()
    assert bench.sink.events[-1].state is State.FINISHED


def test_age_check_can_be_switched_off() -> None:
    bench = Bench(config=NodeConfig(max_frame_age_s=0.0))
    bench.say("detect dog")
    bench.serve(stamp_ns=1)
    assert bench.sink.results[0].perception.status is Status.OK


def test_frame_of_a_clock_that_runs_ahead_or_of_none_has_age_zero() -> None:
    assert age_ms(101_000_000_000, 100.0) == 0.0
    assert age_ms(0, 100.0) == 0.0
    assert age_ms(99_000_000_000, 100.0) == pytest.approx(1000.0)


def test_bad_frame_is_rejected_with_its_reason_and_the_next_one_is_served(bench: Bench) -> None:
    bench.say("watch dog at 5")
    bench.serve(fault="Unknown encoding 'foo8'")
    bench.clock.now += 1.0
    bench.serve()
    first, second = bench.sink.results
    assert first.perception.status is Status.REJECTED and "foo8" in first.perception.text
    assert first.image_size_wh_px == (0, 0)
    assert second.perception.status is Status.OK
    assert bench.drops() == {Drop.UNDECODABLE: 1}


def test_too_large_frame_is_counted_as_such(bench: Bench) -> None:
    def decode() -> np.ndarray:
        raise TooLargeError("Expected at most 4 pixels")

    bench.say("watch dog")
    bench.worker.offer(replace(arrival(), decode=decode))
    bench.worker.serve_next()
    assert bench.drops() == {Drop.TOO_LARGE: 1}


def test_decoder_that_breaks_its_promise_costs_one_frame(bench: Bench) -> None:
    bench.say("watch dog at 5")
    bench.worker.offer(replace(arrival(), decode=lambda: np.zeros(3, np.float64)))
    bench.worker.serve_next()
    bench.worker.offer(replace(arrival(), decode=lambda: 1 / 0))
    bench.clock.now += 1.0
    bench.worker.serve_next()
    assert [result.perception.status for result in bench.sink.results] == [Status.REJECTED] * 2


def test_engine_failure_becomes_an_error_result_and_the_next_frame_is_served(bench: Bench) -> None:
    bench.say("watch dog at 5")
    bench.engine.failing = EngineError("out of memory")
    bench.serve()
    bench.engine.failing = None
    bench.clock.now += 1.0
    bench.serve()
    first, second = bench.sink.results
    assert first.perception.status is Status.ERROR and "out of memory" in first.perception.text
    assert second.perception.status is Status.OK
    assert bench.worker.summary().failure.endswith("out of memory")


def test_failure_of_one_task_leaves_the_other_commands_served(bench: Bench) -> None:
    bench.say("watch dog", "good")
    bench.say("segment cup", "bad")
    bench.engine.failing, bench.engine.failing_tasks = EngineError("no"), frozenset({Task.SEGMENT})
    bench.serve()
    statuses = {result.command_id: result.perception.status for result in bench.sink.results}
    assert statuses == {"good": Status.OK, "bad": Status.ERROR}
    assert bench.sink.events[-1].state is State.FAILED and bench.sink.events[-1].command_id == "bad"


def test_engine_that_gives_too_few_answers_is_an_error(bench: Bench) -> None:
    bench.engine.perceive = lambda frame, specs: ()  # type: ignore[method-assign]
    bench.say("watch dog")
    bench.serve()
    assert "0 answers" in bench.sink.results[0].perception.text


def test_receiver_that_fails_does_not_take_the_worker_with_it(bench: Bench) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no room")

    bench.sink.on_result = fail  # type: ignore[method-assign]
    assert bench.say("detect dog") is State.ACCEPTED
    bench.serve()
    assert bench.sink.events[-1].state is State.FINISHED


def test_cameras_take_turns() -> None:
    bench = Bench(cameras=("front", "rear"))
    bench.say("watch dog at 1000")
    for _ in range(6):
        for camera in bench.cameras:
            bench.worker.offer(arrival(camera, int(bench.clock.now * 1e9)))
        bench.worker.serve_next()
        bench.clock.now += 0.1
    assert [result.camera for result in bench.sink.results] == ["front", "rear"] * 3


def test_camera_with_the_more_urgent_command_goes_first() -> None:
    bench = Bench(cameras=("front", "rear"))
    bench.say("watch dog", "a", camera="front")
    bench.say("watch cat", "b", camera="rear", priority=1)
    for camera in bench.cameras:
        bench.worker.offer(arrival(camera))
    bench.worker.serve_next()
    assert bench.sink.results[0].camera == "rear"


def test_picture_sent_with_its_question_is_answered_whatever_its_age(bench: Bench) -> None:
    bench.say("watch cat", "live")
    events = bench.worker.submit(Command("detect dog", "q", Mode.ONCE, camera="q"), arrival("q", 1))
    assert events[-1].state is State.ACCEPTED
    assert bench.worker.serve_next() and not bench.worker.serve_next()
    (result,) = bench.sink.results
    assert (result.command_id, result.camera, result.perception.status) == ("q", "q", Status.OK)
    with pytest.raises(KeyError):
        bench.worker.camera_slot("q")


def test_damaged_picture_sent_with_its_question_ends_the_question(bench: Bench) -> None:
    bench.worker.submit(Command("detect dog", "q", camera="q"), arrival("q", 1, fault="truncated"))
    bench.worker.serve_next()
    assert bench.sink.results[0].perception.status is Status.REJECTED
    assert bench.sink.events[-1].state is State.FINISHED


def test_swap_while_computing_drops_the_old_result_and_never_relabels_it(running: Bench) -> None:
    running.engine.gate.clear()
    running.say("watch dog at 1000")
    running.worker.offer(arrival())
    assert running.engine.entered.wait(5)
    running.say("watch cat at 1000")
    running.engine.gate.set()
    running.worker.offer(arrival())
    assert running.sink.wait_for(lambda: bool(running.sink.results))
    (result,) = running.sink.results
    assert result.generation == 2
    assert [item.label for item in result.perception.detections] == ["cat"]
    assert running.drops()[Drop.SUPERSEDED] == 1


def test_stop_while_computing_gives_no_result_after_the_say_back(running: Bench) -> None:
    running.engine.gate.clear()
    running.say("watch dog at 1000")
    running.worker.offer(arrival())
    assert running.engine.entered.wait(5)
    running.worker.submit(Command("stop"))
    running.engine.gate.set()
    running.worker.stop("end")
    assert running.sink.results == []


def test_thread_serves_due_commands_and_wakes_for_expiry(running: Bench) -> None:
    running.worker._clock = FakeClock(100.0)
    running.say("watch dog at 1000")
    running.worker.offer(arrival())
    assert running.sink.wait_for(lambda: len(running.sink.results) == 1)
    running.say("watch cat", "b", time_to_live_s=0.05)
    running.worker._clock = FakeClock(101.0)
    assert running.sink.wait_for(lambda: any(event.state is State.EXPIRED for event in running.sink.events))


def test_worker_can_be_stopped_and_started_again(running: Bench) -> None:
    for number in range(3):
        running.say("watch dog at 1000", f"n{number}")
        running.worker.offer(arrival())
        assert running.sink.wait_for(lambda wanted=number + 1: len(running.sink.results) == wanted)
        assert running.worker.stop("pause")
        assert running.sink.events[-1].state is State.STOPPED and running.sink.events[-1].text == "pause"
        assert running.worker.live_commands() == ()
        running.worker.start()


def test_engine_that_hangs_does_not_hold_up_the_stop(running: Bench) -> None:
    running.engine.gate.clear()
    running.say("watch dog")
    running.worker.offer(arrival())
    assert running.engine.entered.wait(5)
    assert not running.worker.stop("end", timeout_s=0.05)
    assert running.sink.events[-1].state is State.STOPPED
