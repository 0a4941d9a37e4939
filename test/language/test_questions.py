from __future__ import annotations

import pytest

from vision_llm_ros.language.questions import CANDIDATES, Kind, direct, understand

QUESTIONS = (
    ("Is there a dog in the picture?", Kind.PRESENCE, "dog"),
    ("are there any people?", Kind.PRESENCE, "person"),
    ("can you see a traffic light?", Kind.PRESENCE, "traffic light"),
    ("how many chairs are there?", Kind.COUNT, "chair"),
    ("how many people can you see in the image?", Kind.COUNT, "person"),
    ("is the cat on the left or on the right?", Kind.SIDE, "cat"),
    ("what color is the bus?", Kind.COLOUR, "bus"),
    ("what is on the table?", Kind.OPEN, ""),
)


@pytest.mark.parametrize(("text", "kind", "label"), QUESTIONS)
def test_a_question_is_understood(text: str, kind: Kind, label: str) -> None:
    asked = understand(text)
    assert (asked.kind, asked.label) == (kind, label)


def test_it_stands_for_what_was_spoken_of() -> None:
    asked = understand("what colour is it?", "bus")
    assert (asked.text, asked.label) == ("what colour is the bus?", "bus")


def test_it_stands_for_nothing_at_first() -> None:
    assert understand("what color is it?").label == ""


def test_a_thing_in_a_relation_is_no_plain_noun() -> None:
    assert understand("is there a man on the table?").label == ""


def test_every_kind_but_the_open_one_has_candidates() -> None:
    assert set(CANDIDATES) == set(Kind) - {Kind.OPEN}


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("what the man on the left is holding", "what is the man on the left holding"),
        ("what colour the cup is", "what colour is the cup"),
        ("how many people there are in the room", "how many people are there in the room"),
        ("what the dog that is on the left is eating", "what is the dog that is on the left eating"),
        ("whether the door is open", "is the door open"),
        ("if there are cups", "are there cups"),
        ("what the sign says", "what does the sign say"),
        ("what is on the table", "what is on the table"),
        ("is there a man whose hat is red", "is there a man whose hat is red"),
    ],
)
def test_an_indirect_question_is_put_directly(said: str, asked: str) -> None:
    assert direct(said) == asked
