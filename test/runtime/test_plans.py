from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from fakes import FakeClock, FakeEngine, FakeSink, arrival

from vision_llm_ros.config import NodeConfig
from vision_llm_ros.interfaces import Command, CommandState, Frame, Perception, Status, Task, TaskSpec
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner
from vision_llm_ros.runtime.plans import answer_all, follow, fractions_of
from vision_llm_ros.runtime.scheduler import CommandBook
from vision_llm_ros.runtime.statistics import Statistics
from vision_llm_ros.runtime.worker import Worker

FRAME = Frame(np.full((12, 16, 3), 100, np.uint8))
CUP = TaskSpec(Task.SEGMENT, ("cup",), "the cup", max_objects=1)
COLOUR = TaskSpec(Task.ANSWER, phrase="what colour is the cup?")
PLAN = TaskSpec(Task.RESTORE, restore_kind="denoise", then=(CUP, COLOUR))


@dataclass
class Scripted(FakeEngine):
    """Gives some tasks a status of their own."""

    statuses: dict[Task, Status] = field(default_factory=dict)

    def _answer(self, frame: Frame, spec: TaskSpec) -> Perception:
        if spec.task in self.statuses:
            return Perception(spec.task, self.statuses[spec.task], "as scripted")
        return super()._answer(frame, spec)


def test_later_tasks_see_the_restored_picture() -> None:
    engine = Scripted()
    steps = follow(engine, FRAME, PLAN)
    assert [perception.task for _, perception in steps] == [Task.RESTORE, Task.SEGMENT, Task.ANSWER]
    assert [int(frame.image_rgb_u8[0, 0, 0]) for frame, _ in engine.calls] == [100, 155, 155]


def test_a_question_about_one_found_thing_is_asked_about_its_box() -> None:
    engine = Scripted()
    follow(engine, FRAME, PLAN)
    assert engine.calls[-1][1][0].region == (0.0, 0.0, 0.5, 0.5)
    other = replace(PLAN, then=(CUP, TaskSpec(Task.ANSWER, phrase="what is on the table?")))
    follow(engine, FRAME, other)
    assert engine.calls[-1][1][0].region == (0.0, 0.0, 1.0, 1.0)


def test_what_was_not_found_is_not_asked_about() -> None:
    engine = Scripted(statuses={Task.SEGMENT: Status.NOTHING_FOUND})
    *_, (_, answer) = follow(engine, FRAME, PLAN)
    assert (answer.status, answer.text) == (Status.NOTHING_FOUND, "task 2 (segment) found no cup")
    assert len(engine.calls) == 2


@pytest.mark.parametrize("status", [Status.ERROR, Status.REJECTED])
def test_after_a_failure_nothing_further_is_tried(status: Status) -> None:
    engine = Scripted(statuses={Task.RESTORE: status})
    (_, first), *rest = follow(engine, FRAME, PLAN)
    assert first.status is status
    assert [perception.status for _, perception in rest] == [Status.REJECTED] * 2
    assert rest[0][1].text == "not tried: task 1 (restore) failed: as scripted"
    assert len(engine.calls) == 1


def test_single_commands_share_one_look_and_keep_their_order() -> None:
    engine = Scripted()
    single = TaskSpec(Task.CAPTION)
    answers = answer_all(engine, FRAME, (single, PLAN, CUP))
    assert [[str(spec.task) for spec, _ in steps] for steps in answers] == [
        ["caption"], ["restore", "segment", "answer"], ["segment"],
    ]  # fmt: skip
    assert engine.calls[0][1] == (single, CUP)


def test_a_box_as_a_region_stays_within_the_picture_and_is_never_empty() -> None:
    assert fractions_of((-5, 0, 20, 6), (16, 12)) == (0.0, 0.0, 1.0, 0.5)
    left, top, right, bottom = fractions_of((16, 12, 16, 12), (16, 12))
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def worker(engine: FakeEngine) -> tuple[Worker, FakeSink]:
    sink, clock = FakeSink(), FakeClock()
    book = CommandBook(Planner(CommandParser().parse).parse, engine.tasks, NodeConfig())
    return Worker(engine, book, clock, sink, Statistics()), sink


SENTENCE = "denoise, then segment the cup and tell me its colour"


def test_every_task_of_a_plan_is_published_under_the_same_command() -> None:
    serving, sink = worker(FakeEngine())
    serving.submit(Command(SENTENCE, "p"))
    serving.offer(arrival())
    assert serving.serve_next()
    assert [(r.command_id, r.generation, str(r.perception.task)) for r in sink.results] == [
        ("p", 1, "restore"), ("p", 1, "segment"), ("p", 1, "answer"),
    ]  # fmt: skip
    assert [result.spec.task for result in sink.results] == [result.perception.task for result in sink.results]
    assert [event.state for event in sink.events] == [CommandState.ACCEPTED, CommandState.FINISHED]


def test_a_plan_with_a_failed_task_fails_as_a_command() -> None:
    serving, sink = worker(FakeEngine(failing=RuntimeError("no memory"), failing_tasks=frozenset({Task.SEGMENT})))
    serving.submit(Command(SENTENCE, "p"))
    serving.offer(arrival())
    serving.serve_next()
    assert [result.perception.status for result in sink.results] == [Status.OK, Status.ERROR, Status.REJECTED]
    assert sink.events[-1].state is CommandState.FAILED


def test_a_frame_that_cannot_be_read_rejects_every_task() -> None:
    serving, sink = worker(FakeEngine())
    serving.submit(Command(SENTENCE, "p"))
    serving.offer(arrival(fault="broken"))
    serving.serve_next()
    assert [result.perception.status for result in sink.results] == [Status.REJECTED] * 3


def test_a_plan_with_a_task_the_model_lacks_is_refused_whole() -> None:
    serving, sink = worker(FakeEngine(tasks=frozenset({Task.DETECT, Task.SEGMENT, Task.RESTORE})))
    serving.submit(Command(SENTENCE, "p"))
    assert sink.events[-1].state is CommandState.REFUSED
    assert "cannot answer" in sink.events[-1].text


def test_a_plan_is_stopped_by_what_any_of_its_tasks_looks_for() -> None:
    serving, sink = worker(FakeEngine())
    serving.submit(Command("describe the scene every second and find every cup", "p"))
    serving.submit(Command("stop looking for cups"))
    assert CommandState.STOPPED in [event.state for event in sink.events]
