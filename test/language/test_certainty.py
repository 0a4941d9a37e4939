from __future__ import annotations

import pytest

from vision_llm_ros.language.certainty import is_certain
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner, parts_of


@pytest.mark.parametrize(
    "text",
    [
        *("find every dog", "please segment the red cup", "what is on the table?", "how many people are there?"),
        *("is there a cat under the chair?", "what color is the bus", "where is my phone", "is the door open?"),
        *("track the person", "describe the scene", "denoise the picture, then find every cup"),
        *("clean the image, then find the people and count the bags", "tell me when you see a dog", "watch for dogs"),
        *("draw boxes around all bikes", "what is the man wearing?", "stop"),
        *("which one is the red cup?", "okay computer, denoise the picture; then outline the dog", "cups and dogs"),
        *("find all cats and women and track them", "do you know where the blue car is", "cut the wooden chair out"),
        "could you lead my eye to the cup",
    ],
)
def test_plain_words_need_no_second_opinion(parser: CommandParser, text: str) -> None:
    assert is_certain(text, Planner(parser.parse).parse(text))


@pytest.mark.parametrize(
    "text",
    [
        *("give me the weight of that box", "i want the car door delivered", "find out when the train leaves"),
        *("is the car more expensive than the bus?", "do tracking of this sheep", "highlight the box of the mug"),
        "show me the cup from behind",
        "track my folded display through all of the frames and in a second step outline the nearest dog",
        "tell us the shape of the sandwich",
    ],
)
def test_words_that_may_mean_more_than_a_thing_need_one(parser: CommandParser, text: str) -> None:
    assert not is_certain(text, Planner(parser.parse).parse(text))


def test_a_sentence_falls_into_the_parts_that_a_plan_has() -> None:
    assert parts_of("denoise it, then find the cup and the dog") == ["denoise it", "find the cup and the dog"]
    assert parts_of("find the cup and track it") == ["find the cup", "track it"]
