from __future__ import annotations

import time

import pytest

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import Task
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.saying import describe

ASKED = [
    ("did anyone pass?", "person", 0.0),
    ("Has anybody come by in the last 10 seconds?", "person", 10.0),
    ("how many people walked past during the last minute?", "person", 60.0),
    ("when did you last see the dog?", "dog", 0.0),
    ("have you seen a red cup recently?", "red cup", 0.0),
    ("was there a cat in the last 5 seconds?", "cat", 5.0),
    ("who was here a moment ago?", "person", 0.0),
    ("did you see a person walking by just now?", "person", 0.0),
]


@pytest.mark.parametrize(("sentence", "label", "past_s"), ASKED)
def test_a_question_about_the_past_is_recalled_and_read_back_the_same(
    parser: CommandParser, sentence: str, label: str, past_s: float
) -> None:
    spec = parser.parse(sentence)
    assert (spec.task, spec.classes, spec.past_s) == (Task.RECALL, (label,), past_s)
    assert parser.parse(describe(spec)) == spec


def test_what_passed_asks_for_everything(parser: CommandParser) -> None:
    assert len(parser.parse("what passed by in the last 5 seconds?").classes) == 80


@pytest.mark.parametrize("sentence", ["is anyone here?", "did the dog eat?", "was it raining?", "is there a cat?"])
def test_questions_about_the_picture_are_not_about_the_past(parser: CommandParser, sentence: str) -> None:
    assert parser.parse(sentence).task is Task.ANSWER


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("did anyone pass in the last 2 hours?", "expected up to 10 minutes"),
        ("did anyone pass every 2 seconds?", "once, got again and again"),
        ("did the happiness leave?", "happiness"),
    ],
)
def test_what_cannot_be_recalled_is_refused_with_the_reason(parser: CommandParser, sentence: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        parser.parse(sentence)


def test_long_lists_are_read_at_once(parser: CommandParser) -> None:
    """A pattern that tries every way to divide the words would take minutes."""
    started = time.perf_counter()
    spec = parser.parse("how many zebras and yellow wheelbarrows and purple lanterns and potted plants are there?")
    assert spec.task == Task.ANSWER and time.perf_counter() - started < 1.0


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("tell me how many prams you saw in the last minute", "how many prams did you see?"),
        ("let me know if you have seen a dog recently", "have you seen a dog?"),
        ("say when you first saw the cat", "when did you first see the cat?"),
        ("check whether the dog walked past", "did the dog walk past?"),
    ],
)
def test_an_indirect_question_about_the_past_is_put_directly(
    parser: CommandParser, sentence: str, question: str
) -> None:
    spec = parser.parse(sentence)
    assert (spec.task, spec.phrase) == (Task.RECALL, question)
