from __future__ import annotations

import pytest

from vision_llm_ros.errors import CommandError
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner
from vision_llm_ros.language.saying import describe
from vision_llm_ros.language.turns import turn_of


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("rotate the picture", "rotate"),
        ("rotate it by 90 degrees anticlockwise", "rotate"),
        ("rotate the photo counter-clockwise", "rotate"),
        ("rotate the image by ninety degrees clockwise", "rotate_clockwise"),
        ("turn the photo to the right", "rotate_clockwise"),
        ("rotate the image 270 degrees", "rotate_clockwise"),
        ("rotate it 180 degrees", "rotate_half"),
        ("turn the image upside down", "rotate_half"),
        ("the picture is upside down", "rotate_half"),
        ("mirror it", "flip"),
        ("flip the image vertically", "flip_vertical"),
        ("flip it from top to bottom", "flip_vertical"),
    ],
)
def test_how_far_and_which_way_is_understood_and_said_back(parser: CommandParser, sentence: str, kind: str) -> None:
    spec = parser.parse(sentence)
    assert spec.restore_kind == kind
    assert parser.parse(describe(spec)) == spec


def test_a_picture_is_turned_as_said_before_it_is_looked_at(parser: CommandParser) -> None:
    spec = Planner(parser.parse).parse("rotate the picture clockwise and find every dog")
    assert (spec.restore_kind, spec.restore_first) == ("rotate_clockwise", True)


@pytest.mark.parametrize("degrees", ["45", "360", "10"])
def test_only_quarters_of_a_turn_are_served(parser: CommandParser, degrees: str) -> None:
    with pytest.raises(CommandError, match=f"90, 180 or 270 degrees, got {degrees}"):
        parser.parse(f"rotate the picture by {degrees} degrees")


def test_other_kinds_stay_what_they_are() -> None:
    assert turn_of("denoise", "denoise the picture that is upside down") == "denoise"
