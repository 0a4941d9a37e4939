from __future__ import annotations

import pytest

from vision_llm_ros.errors import CommandError, ConfigError
from vision_llm_ros.interfaces import Mode, Task, TaskSpec
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner, ordered_parts, refers_to, requests_of
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
        ("find every person and tell me what they are doing", "what are the people doing?"),
        ("find the dog, then tell me its age", "what is the age of the dog?"),
        ("segment the woman and tell me what she is holding", "what is the woman holding?"),
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
        ("find the cup, then stop", "'stop' ends what was asked before"),
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


@pytest.mark.parametrize(
    ("sentence", "things"),
    [
        ("find the containers, then outline the biggest one", "biggest container"),
        ("find every apple and segment the red ones", "red apple"),
        ("find every apple and count ones on the left", "how many apples on the left are there?"),
    ],
)
def test_one_and_ones_mean_the_thing_of_the_part_before(planner: Planner, sentence: str, things: str) -> None:
    step = planner.parse(sentence).then[0]
    assert things in (*step.classes, step.phrase)


def test_her_before_a_time_is_the_person(planner: Planner) -> None:
    spec = planner.parse("describe the woman and say whether you have seen her earlier")
    assert [step.task for step in spec.steps] == [Task.CAPTION, Task.RECALL]
    assert spec.then[0].classes == ("woman",)


def test_turns_of_the_picture_are_done_one_after_the_other(planner: Planner) -> None:
    spec = planner.parse("turn it by 90 degrees and mirror it")
    assert [step.restore_kind for step in spec.steps] == ["rotate", "flip"]


@pytest.mark.parametrize("joint", [", ", ". ", " and then "])
def test_a_stop_that_is_said_first_goes_before_the_rest(planner: Planner, joint: str) -> None:
    spec = planner.parse(f"stop tracking the goat{joint}track the sheep")
    assert [(step.task, step.classes) for step in spec.steps] == [(Task.STOP, ("goat",)), (Task.TRACK, ("sheep",))]


@pytest.mark.parametrize(
    ("sentence", "requests"),
    [
        ("find the cup and tell me what it is made of", ["find the cup", "tell me what it is made of"]),
        ("It is dark. Find the cat", ["It is dark, Find the cat"]),
        ("find the cat. It is dark", ["find the cat, It is dark"]),
        ("what is on the table, and which cup is red", ["what is on the table", "which cup is red"]),
    ],
)
def test_requests_are_told_from_what_is_stated(sentence: str, requests: list[str]) -> None:
    assert requests_of(sentence) == requests


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        ("before you find the cat, denoise the picture", ["denoise the picture", "find the cat"]),
        ("Once you have cleared the rain, track the bus.", ["cleared the rain", "track the bus"]),
        ("with the rain removed, track the bus", ["the rain removed", "track the bus"]),
        ("find the ants, but only after the dots have been removed", ["the dots have been removed", "find the ants"]),
        ("denoise it before you segment the cells", ["denoise it", "segment the cells"]),
        ("get the dots off so that you can count the stars", ["get the dots off", "count the stars"]),
        ("find the cup next to the laptop", []),
        ("after the meeting, find the cup", []),
    ],
)
def test_a_clause_may_say_what_comes_first(sentence: str, parts: list[str]) -> None:
    assert ordered_parts(sentence) == parts


def test_both_are_the_things_of_the_part_before(planner: Planner) -> None:
    assert planner.parse("find a cup and a bottle, then segment both").then[0].classes == ("cup", "bottle")
