from __future__ import annotations

import json

import pytest

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import Detection, Perception, PromptKind, Result, Status, Task, TaskSpec
from vision_llm_ros.language.dialogue import MAX_AGE_S, MAX_TURNS, Dialogue
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner

PARSER = CommandParser()
CUPS = TaskSpec(Task.DETECT, ("cup",))
THREE = {"left": (0, 40, 40, 80), "middle": (80, 40, 120, 80), "right": (300, 40, 360, 80)}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dialogue(clock: Clock) -> Dialogue:
    return Dialogue(Planner(PARSER.parse).parse, clock)


def answered(spec: TaskSpec, *names: str, command: str = "a", status: Status = Status.OK, label: str = "cup") -> Result:
    found = tuple(Detection(label, 0, 0.9, THREE[name]) for name in names)
    perception = Perception(spec.task, status, detections=found)
    return Result(command, 1, spec, 1, "", "", (400, 100), perception, "nano", "0" * 12, 1.0, 1.0)


def test_it_means_the_last_thing_found(dialogue: Dialogue) -> None:
    dialogue.note(answered(CUPS, "left"))
    assert dialogue.parse("what colour is it?").phrase == "what colour is the cup?"
    spec = dialogue.parse("segment it")
    assert (spec.task, spec.classes) == (Task.SEGMENT, ("cup",))


def test_a_person_is_spoken_of_as_one(dialogue: Dialogue) -> None:
    dialogue.note(answered(TaskSpec(Task.GROUND, ("woman",), "woman", max_objects=1), "left", label="woman"))
    assert dialogue.parse("is she wearing a hat?").phrase == "is the woman wearing a hat?"
    assert dialogue.parse("what colour is her coat?").phrase == "what colour is the woman's coat?"
    follow = dialogue.parse("follow her for 10 seconds")
    assert (follow.task, follow.classes, follow.time_to_live_s) == (Task.TRACK, ("woman",), 10)


def test_a_thing_is_never_she(dialogue: Dialogue) -> None:
    dialogue.note(answered(CUPS, "left"))
    assert dialogue.parse("is she wearing a hat?").phrase == "is she wearing a hat?"


def test_several_things_are_spoken_of_in_the_plural(dialogue: Dialogue) -> None:
    dialogue.note(answered(CUPS, "left", "right"))
    assert dialogue.parse("track them").classes == ("cup",)


def test_a_sentence_that_names_its_thing_means_that(dialogue: Dialogue) -> None:
    dialogue.note(answered(CUPS, "left"))
    assert dialogue.parse("find the dog and segment it").classes == ("dog",)
    assert dialogue.parse("describe the scene").phrase == ""


@pytest.mark.parametrize(
    ("task", "sentence", "classes"),
    [
        (Task.SEGMENT, "and the dog?", ("dog",)),
        (Task.TRACK, "what about every car", ("car",)),
        (Task.POLYGON, "same for the cat", ("cat",)),
        (Task.SEGMENT, "do the same with all buses", ("bus",)),
        (Task.DETECT, "the cats too", ("cat",)),
        (Task.SEGMENT, "and dogs", ("dog",)),
    ],
)
def test_and_the_dog_asks_the_same_of_the_dog(
    dialogue: Dialogue, task: Task, sentence: str, classes: tuple[str, ...]
) -> None:
    dialogue.note(answered(TaskSpec(task, ("cup",)), "left"))
    spec = dialogue.parse(sentence)
    assert (spec.task, spec.classes) == (task, classes)


@pytest.mark.parametrize("sentence", ["and on the right?", "only on the right", "what about in the right half"])
def test_the_same_may_be_asked_of_another_part_of_the_picture(dialogue: Dialogue, sentence: str) -> None:
    dialogue.note(answered(TaskSpec(Task.SEGMENT, ("cup",), "every cup"), "left"))
    assert dialogue.parse(sentence) == TaskSpec(Task.SEGMENT, ("cup",), "every cup", region=(0.5, 0.0, 1.0, 1.0))


@pytest.mark.parametrize("sentence", ["again", "do it again, please", "Once more.", "repeat that", "one more time"])
def test_the_last_command_is_repeated_with_all_its_tasks(dialogue: Dialogue, sentence: str) -> None:
    with pytest.raises(CommandError):
        dialogue.parse(sentence)
    dialogue.note(answered(TaskSpec(Task.GROUND, ("dog",), "dog", max_objects=1), "left", command="a"))
    dialogue.note(answered(CUPS, "left", command="b"))
    ask = TaskSpec(Task.ANSWER, phrase="what colour are the cups?")
    dialogue.note(answered(ask, command="b"))
    assert dialogue.parse(sentence).steps == (CUPS, ask)


def test_other_sentences_that_begin_with_and_stay_what_they_are(dialogue: Dialogue) -> None:
    dialogue.note(answered(CUPS, "left"))
    assert dialogue.parse("now stop").task is Task.STOP
    assert dialogue.parse("and describe the scene").task is Task.CAPTION
    assert dialogue.parse("then what is on the table?").task is Task.ANSWER


@pytest.mark.parametrize(
    ("sentence", "x"),
    [("and the one next to it?", 0.05), ("the one to the right of it", 0.825), ("and the other one?", 0.05)],
)
def test_the_one_next_to_it_is_the_nearest_other_thing(dialogue: Dialogue, sentence: str, x: float) -> None:
    dialogue.note(answered(CUPS, "middle", "left", "right"))
    spec = dialogue.parse(sentence)
    assert (spec.task, spec.classes, spec.max_objects) == (Task.DETECT, ("cup",), 1)
    assert spec.prompt is not None
    assert spec.prompt.kind is PromptKind.POINT
    assert spec.prompt.points_xy == ((pytest.approx(x), pytest.approx(0.6)),)


def test_a_single_known_thing_has_no_neighbour_and_the_refusal_says_what_to_ask(dialogue: Dialogue) -> None:
    dialogue.note(answered(CUPS, "left"))
    with pytest.raises(CommandError, match="No other thing is known beside the cup") as refused:
        dialogue.parse("and the one next to it?")
    assert refused.value.nearest == "find every cup"


def test_without_an_answer_it_refers_to_nothing(dialogue: Dialogue) -> None:
    with pytest.raises(CommandError, match="refers to nothing yet"):
        dialogue.parse("and the one next to it?")
    with pytest.raises(CommandError, match="too vague"):
        dialogue.parse("segment it")


def test_failures_are_not_referred_to(dialogue: Dialogue) -> None:
    dialogue.note(answered(CUPS, status=Status.ERROR))
    assert dialogue.turns == ()


def test_what_is_remembered_is_bounded_in_number_and_age(dialogue: Dialogue, clock: Clock) -> None:
    for number in range(MAX_TURNS + 3):
        dialogue.note(answered(CUPS, "left", command=str(number)))
    assert [turn.command_id for turn in dialogue.turns] == [str(n) for n in range(MAX_TURNS + 2, 2, -1)]
    clock.now = MAX_AGE_S + 1
    assert dialogue.turns == ()


def test_a_command_that_goes_on_keeps_its_newest_answer_only(dialogue: Dialogue) -> None:
    for name in ("left", "right"):
        dialogue.note(answered(CUPS, name))
    assert [turn.objects[0][1][0] for turn in dialogue.turns] == [0.75]


def test_the_state_can_be_inspected_as_plain_values(dialogue: Dialogue) -> None:
    dialogue.note(answered(CUPS, "left"))
    (turn,) = json.loads(json.dumps(dialogue.state()))
    assert (turn["task"], turn["understood"], turn["objects"]) == (
        "detect",
        "find every cup",
        [["cup", [0.0, 0.4, 0.1, 0.8]]],
    )
