from __future__ import annotations

import pytest

from vision_llm_ros.interfaces import WHOLE_IMAGE
from vision_llm_ros.language.ordinals import Ordinal, ordinal_of
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.saying import describe


@pytest.mark.parametrize(
    ("phrase", "ordinal"),
    [
        ("the second bottle from the left", Ordinal("bottle", 2, "left")),
        ("third red car, counted from the right", Ordinal("red car", 3, "right")),
        ("1st cup from the left-hand side", Ordinal("cup", 1, "left")),
        ("The last chair from the top", Ordinal("chair", -1, "top")),
        ("the second bottle on the left", None),
        ("the 0th cup from the left", None),
        ("people from the left", None),
    ],
)
def test_things_are_counted_off_from_a_side(phrase: str, ordinal: Ordinal | None) -> None:
    assert ordinal_of(phrase) == ordinal


@pytest.mark.parametrize("verb", ["find", "segment", "track", "outline"])
def test_the_side_that_is_counted_from_is_no_part_of_the_picture_to_look_in(parser: CommandParser, verb: str) -> None:
    spec = parser.parse(f"{verb} the third car from the right")
    assert (spec.classes, spec.region, spec.max_objects) == (("third car from the right",), WHOLE_IMAGE, 1)
    assert parser.parse(describe(spec)) == spec
