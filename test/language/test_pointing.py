from __future__ import annotations

import pytest

from vision_llm_ros.interfaces import Task
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.pointing import spell_out


@pytest.mark.parametrize(
    ("sentence", "task"),
    [
        ("segment this", Task.SEGMENT),
        ("Please follow that one", Task.TRACK),
        ("outline this object", Task.POLYGON),
        ("find this thing at 2 Hz", Task.DETECT),
        ("what is it?", Task.ANSWER),
        ("describe that", Task.CAPTION),
        ("what colour is this?", Task.ANSWER),
    ],
)
def test_this_is_understood_where_something_is_marked(parser: CommandParser, sentence: str, task: Task) -> None:
    assert parser.parse(spell_out(sentence)).task is task


@pytest.mark.parametrize("sentence", ["segment the cup", "find every person", "is this a dog?", "find a thing"])
def test_other_sentences_stay_as_they_are(sentence: str) -> None:
    assert spell_out(sentence) == sentence
