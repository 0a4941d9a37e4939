from __future__ import annotations

import pytest

from vision_llm_ros.language.slips import Speller

SPELLER = Speller()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("trck the forklift", "track the forklift"),
        ("whree is the squegee", "where is the squeegee"),
        ("susped it", "suspend it"),
        ("Fnid the cup", "Find the cup"),
        ("take the nosie out", "take the noise out"),
    ],
)
def test_one_slip_is_put_right(said: str, meant: str) -> None:
    assert SPELLER.mended(said) == meant


@pytest.mark.parametrize(
    "said",
    ["find the mugs", "two prams", "count the rungs", "qwrtzp it", "see tis", 'does "a dgo runnnig" fit', "volley"],
)
def test_known_short_quoted_and_hopeless_words_stay(said: str) -> None:
    assert SPELLER.mended(said) == said
