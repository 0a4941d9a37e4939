from __future__ import annotations

import pytest

from vision_llm_ros.language.questions import CANDIDATES, Kind, understand

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
