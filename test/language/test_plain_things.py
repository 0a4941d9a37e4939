from __future__ import annotations

import pytest

from vision_llm_ros.language.plain_things import completed, without_things


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
        ("near", True, "near"),
    ],
)
def test_a_phrase_gets_its_determiner_and_its_thing(phrase: str, thing: bool, whole: str) -> None:
    text = "could you see to the red mug near me, and then rest"
    start = text.index(phrase)
    within = (0, text.index(","))
    span = completed(text, (start, start + len(phrase)), within, thing)
    assert text[slice(*span)] == whole
