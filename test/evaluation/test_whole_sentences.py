from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from vision_llm_ros.evaluation.whole_sentences import Question, examine, is_right, read_exam
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.language.invocation import Invocation, write
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.utterances import EXAMS

DOG = ("dog",)


def question(*tasks: str) -> Question:
    return Question("", "single", tuple(frozenset(task.split("|")) for task in tasks))


@pytest.mark.parametrize("name", EXAMS)
def test_an_exam_holds_kinds_of_sentences_and_what_they_ask_for(name: str) -> None:
    questions = read_exam(name)
    assert len(questions) == 220 and {item.kind for item in questions} >= {"single", "plan", "refused", "timed"}
    assert all(len(item.tasks) > 1 for item in questions if item.kind == "plan")
    assert all(item.refused for item in questions if item.kind == "refused")


def test_no_sentence_is_in_both() -> None:
    one, two = ({item.text for item in read_exam(name)} for name in EXAMS)
    assert not one & two


@pytest.mark.parametrize(
    ("item", "given", "right"),
    [
        (question("detect"), TaskSpec(Task.DETECT, DOG), True),
        (question("ground"), TaskSpec(Task.DETECT, DOG), False),
        (question("ground"), TaskSpec(Task.DETECT, DOG, max_objects=1), True),
        (question("detect"), TaskSpec(Task.DETECT, DOG, max_objects=1), True),
        (question("match|answer"), TaskSpec(Task.ANSWER, phrase="is it?"), True),
        (question("denoise", "detect"), TaskSpec(Task.DETECT, DOG, restore_first=True, restore_kind="denoise"), True),
        (question("restore", "detect"), TaskSpec(Task.DETECT, DOG, restore_first=True, restore_kind="denoise"), False),
        (question("inpaint"), TaskSpec(Task.RESTORE, DOG, "dog", restore_kind="inpaint"), True),
        (question("rotate"), TaskSpec(Task.RESTORE, restore_kind="rotate_half"), True),
        (question("detect", "answer"), TaskSpec(Task.DETECT, DOG), False),
        (question("detect", "refuse"), "refuse", True),
        (question("detect"), "refuse", False),
        (question("refuse"), "error", False),
    ],
)
def test_what_is_right(item: Question, given: TaskSpec | str, right: bool) -> None:
    assert is_right(item, given) is right


@dataclass
class Mute:
    """Refuses whatever it is asked."""

    threshold: float = 0.5

    def route(self, text: str) -> tuple[str, float]:
        return write((Invocation("refuse:unclear"),)), 0.9


def test_both_readers_are_marked_and_misses_are_named() -> None:
    report = examine(CommandParser(), Mute(), "exam", limit=60, quiet=True)
    assert report["sentences"] == 60 and 0 < report["baselines"]["grammar"]["accuracy"] < 1
    assert report["accuracy"] <= report["baselines"]["grammar"]["accuracy"] and report["asked"] > 0
    assert report["misses"][0].keys() == {"text", "wanted", "given"} and json.dumps(report)
