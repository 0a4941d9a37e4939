from __future__ import annotations

import pytest

from vision_llm_ros.language.plain_things import without_things


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
