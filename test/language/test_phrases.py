from __future__ import annotations

import pytest

from vision_llm_ros.language.phrases import MAX_TARGETS, Phrase, read_phrase, split_phrases


def test_a_sentence_is_parted_at_its_ands() -> None:
    first, second = split_phrases("the mug left of the plate and every spoon")
    assert first == Phrase("mug left of the plate", "mug", "plate", 1, ("left of",))
    assert second == Phrase("every spoon", "spoon", "", MAX_TARGETS)


def test_a_list_with_commas_is_parted_too() -> None:
    assert [p.subject for p in split_phrases("the bottle, the wine glass and all cups")] == [
        "bottle",
        "wine glass",
        "cup",
    ]


@pytest.mark.parametrize("sentence", ["the cup between the fork and the knife", "the black and white cow"])
def test_an_and_inside_a_phrase_does_not_part_it(sentence: str) -> None:
    assert len(split_phrases(sentence)) == 1


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("the dog", 1),
        ("the largest dog", 1),
        ("two dogs", 2),
        ("the 3 dogs", 3),
        ("both dogs", 2),
        ("dogs", MAX_TARGETS),
        ("dog", MAX_TARGETS),
        ("every dog", MAX_TARGETS),
        ("all people", MAX_TARGETS),
        ("the 900 dogs", MAX_TARGETS),
        ("the bus on the left", 1),
    ],
)
def test_the_words_say_how_many_may_answer(text: str, most: int) -> None:
    assert read_phrase(text).most == most


@pytest.mark.parametrize(
    ("text", "subject", "anchor"),
    [
        ("the hot dog", "hot dog", ""),
        ("the leftmost teddy bears", "teddy bear", ""),
        ("the person on the far left", "person", ""),
        ("the chair to the right of the biggest oven", "chair", "oven"),
        ("the pair of scissors", "scissors", ""),
        ("red car in the image", "car", ""),
        ("everything I can sit on", "", ""),
    ],
)
def test_subject_and_anchor_are_bare_nouns(text: str, subject: str, anchor: str) -> None:
    found = split_phrases(text)[0]
    assert (found.subject, found.anchor) == (subject, anchor)


def test_a_side_at_the_end_of_a_phrase_does_not_swallow_the_next() -> None:
    for place in ("on the left", "on the far right", "to the right", "at the top", "in the middle"):
        texts = [phrase.text for phrase in split_phrases(f"the cup {place}, the biggest bowl and every wine glass")]
        assert texts == [f"cup {place}", "biggest bowl", "every wine glass"]
    assert len(split_phrases("the cup to the left of the black and white cat")) == 1


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("the person on the far left", ("left",)),
        ("the leftmost cup", ("left",)),
        ("the cup to the left of the biggest bottle", ("left of",)),
        ("the largest chair next to the oven", ("largest", "beside")),
        ("the lower shelf", ("bottom",)),
        ("the dog", ()),
    ],
)
def test_places_and_sizes_belong_to_the_object_and_sides_to_its_anchor(text: str, asks: tuple[str, ...]) -> None:
    assert read_phrase(text).asks == asks


@pytest.mark.parametrize(
    ("text", "subject", "colours"),
    [
        ("the red car", "car", ("red",)),
        ("the small black and white dog", "dog", ("black", "white")),
        ("the orange", "orange", ()),
        ("the blue bus next to the red car", "bus", ("blue",)),
        ("the man in the blue shirt", "man", ("blue",)),
        ("the woman in red", "woman", ("red",)),
        ("the man with a red umbrella", "man", ()),
    ],
)
def test_colours_are_those_of_the_object_or_its_clothes(text: str, subject: str, colours: tuple[str, ...]) -> None:
    found = split_phrases(text)[0]
    assert (found.subject, found.colours) == (subject, colours)
