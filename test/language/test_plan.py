from __future__ import annotations

import pytest

from vision_llm_ros.errors import CommandError, ConfigError
from vision_llm_ros.interfaces import Mode, Task, TaskSpec
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner, refers_to
from vision_llm_ros.language.saying import describe

CUP = TaskSpec(Task.SEGMENT, ("cup",), max_objects=1)


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(CommandParser().parse)


@pytest.mark.parametrize(
    ("sentence", "tasks"),
    [
        ("denoise, then segment the cup and tell me its colour", "restore segment answer"),
        ("find the dog and describe the scene", "detect caption"),
        ("Restore the picture. Find every dog. Describe the scene.", "restore detect caption"),
        ("segment the cup; describe it", "segment caption"),
        ("describe the scene and count the people", "caption answer"),
        ("find the cup, then segment it", "detect segment"),
        ("describe the cup and give me its outline", "caption polygon"),
        ("segment the dog, then show me its position", "segment ground"),
        ("what is on the table and how many cups are there?", "answer answer"),
        ("what is on the table; and what is on the floor?", "answer answer"),
        ("Find the dog. And describe the scene.", "detect caption"),
    ],
)
def test_several_tasks_become_an_ordered_plan_that_reads_back_the_same(
    planner: Planner, sentence: str, tasks: str
) -> None:
    spec = planner.parse(sentence)
    assert [str(step.task) for step in spec.steps] == tasks.split()
    assert planner.parse(describe(spec)) == spec


@pytest.mark.parametrize(
    "sentence",
    ["find cups and plates", "find the cup and segment it", "clean up the picture and then find every person",
     "find the dog and tell me where it is", "did anyone pass?",
     "how many cups and plates are there?", "watch for people and dogs at 2 Hz"],
)  # fmt: skip
def test_one_task_stays_one(planner: Planner, sentence: str) -> None:
    assert planner.parse(sentence).then == ()


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("segment the cup and tell me its colour", "what colour is the cup?"),
        ("find every person and tell me what they are doing", "what the people are doing?"),
        ("find the dog, then tell me its age", "what is the age of the dog?"),
        ("segment the woman and tell me what she is holding", "what the woman is holding?"),
        ("segment the man, then tell me what is in his hand", "what is in the man's hand?"),
    ],
)
def test_it_and_its_mean_the_thing_of_the_part_before(planner: Planner, sentence: str, question: str) -> None:
    assert planner.parse(sentence).then[0].phrase == question


def test_a_plan_goes_on_when_one_of_its_tasks_does(planner: Planner) -> None:
    spec = planner.parse("watch for people every 2 seconds and describe the scene")
    assert [(step.mode, step.rate_hz) for step in spec.steps] == [(Mode.CONTINUOUS, 0.5)] * 2


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("segment the cup and drive forward", "part 2 of 2, 'drive forward': 'drive': moving or handling"),
        ("denoise the picture, then generate a video, then find cups", "part 2 of 3, 'generate a video'"),
        ("find the cup, then stop", "'stop' ends commands and is no part of a plan"),
        ("find a dog, then find a cat, then find a cup, then find a car, then find a bus", "at most 4 tasks"),
    ],
)
def test_what_is_not_served_is_refused_with_its_part_and_the_reason(
    planner: Planner, sentence: str, reason: str
) -> None:
    with pytest.raises(CommandError, match=reason):
        planner.parse(sentence)


def test_quoted_words_are_never_divided(planner: Planner) -> None:
    assert planner.parse('find the "salt and then pepper"').then == ()


def test_a_question_refers_to_what_was_sought_by_its_name_or_its_plural() -> None:
    assert refers_to(TaskSpec(Task.ANSWER, phrase="what colour are the cups?"), CUP)
    assert not refers_to(TaskSpec(Task.ANSWER, phrase="what is in the cupboard?"), CUP)


def test_a_plan_is_bounded_and_flat() -> None:
    with pytest.raises(ConfigError, match="at most 4 plain tasks, got 5"):
        TaskSpec(Task.CAPTION, then=(CUP,) * 4)
    with pytest.raises(ConfigError, match="plain tasks"):
        TaskSpec(Task.CAPTION, then=(TaskSpec(Task.CAPTION, then=(CUP,)),))


def test_politeness_before_a_plan_is_no_part_of_it(planner: Planner) -> None:
    spec = planner.parse("okay computer, denoise the picture; after that, find every dog")
    assert [step.task for step in spec.steps] == [Task.RESTORE, Task.DETECT]
