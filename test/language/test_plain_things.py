from __future__ import annotations

import pytest

from vision_llm_ros.language.plain_things import completed, narrowed, without_things


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("count the red mugs, please", "count the red things, please"),
        ("Where is my fire hydrant?", "Where is my thing?"),
        ("track all police cars", "track all things"),
        ("remove the dog from the picture", "remove the thing from the picture"),
        ("fill the gaps", "fill the gaps"),
        ("", ""),
    ],
)
def test_things_of_the_word_lists_give_way(said: str, plain: str) -> None:
    assert without_things(said) == plain


@pytest.mark.parametrize(
    ("phrase", "thing", "whole"),
    [
        ("red", True, "the red mug"),
        ("mug", True, "mug"),
        ("red mug", True, "the red mug"),
        ("red", False, "the red"),
        ("near", True, "the red mug"),
    ],
)
def test_a_phrase_gets_its_determiner_and_its_thing(phrase: str, thing: bool, whole: str) -> None:
    text = "could you see to the red mug near me, and then rest"
    start = text.index(phrase)
    within = (0, text.index(","))
    span = completed(text, (start, start + len(phrase)), within, thing)
    assert text[slice(*span)] == whole


def test_half_the_name_of_a_thing_becomes_the_whole() -> None:
    text = "the picture without fire hydrants"
    start = text.index("hydrants")
    assert text[slice(*completed(text, (start, len(text)), (0, len(text)), True))] == "fire hydrants"


@pytest.mark.parametrize(
    ("phrase", "narrow"),
    [
        ("where the blue mug sits", "the blue mug"),
        ("round the second mat once", "the second mat"),
        ("red mugs on the table please", "red mugs on the table"),
        ("every dog", "every dog"),
        ("whatever", "whatever"),
    ],
)
def test_a_phrase_is_narrowed_to_its_things(phrase: str, narrow: str) -> None:
    assert narrowed(phrase) == narrow


@pytest.mark.parametrize(
    ("text", "phrase", "whole"),
    [
        ("take the reflection out of this photo", "the", "the reflection"),
        ("I lost my round camera", "my round", "my round camera"),
        ("spot the nearest flibbet for me", "the", "the nearest flibbet"),
        ("what is this", "this", "this"),
        ("go round the old antenna in it", "in", "the old antenna"),
    ],
)
def test_a_determiner_waits_for_its_noun(text: str, phrase: str, whole: str) -> None:
    start = text.index(phrase)
    assert text[slice(*completed(text, (start, start + len(phrase)), (0, len(text)), True))] == whole
