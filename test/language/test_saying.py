from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import Mode, Task, TaskSpec
from vision_llm_ros.language.corpus import SPLITS, every_phrasing
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.saying import REGION_NAMES, describe
from vision_llm_ros.language.words import COCO_CLASSES, OTHER_NOUNS


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", range(4))
def test_say_back_of_every_phrasing_is_understood_the_same(parser: CommandParser, split: str, seed: int) -> None:
    for sentence in every_phrasing(split, seed):
        try:
            spec = parser.parse(sentence.text)
        except CommandError:
            continue
        assert parser.parse(describe(spec)) == spec, (sentence.text, describe(spec))


_LABELS = st.sampled_from(
    (*COCO_CLASSES, *OTHER_NOUNS, "red cup", "man in the blue shirt", "zorblax", "salt and pepper", "cup #3")
)
_BOXES = st.sampled_from(list(REGION_NAMES)) | st.tuples(
    *(st.integers(*span).map(lambda edge: edge / 1000) for span in ((0, 400), (0, 400), (500, 1000), (500, 999)))
)


@settings(max_examples=300, deadline=None)
@example(["cup #3", "zorblax"], Task.DETECT, (0.0, 0.0, 0.5, 1.0), 0.0, 0, 8)
@given(
    st.lists(_LABELS, min_size=1, max_size=4, unique=True),
    st.sampled_from((Task.DETECT, Task.POLYGON, Task.TRACK)),
    _BOXES,
    st.sampled_from((0.0, 0.5, 2.0, 1 / 3, 0.037, 999.0)),
    st.integers(0, 9),
    st.integers(8, 24),
)
def test_say_back_of_any_class_list_is_understood_the_same(
    parser: CommandParser,
    classes: list[str],
    task: Task,
    region: tuple[float, float, float, float],
    rate: float,
    most: int,
    points: int,
) -> None:
    spec = TaskSpec(
        task,
        tuple(classes),
        mode=Mode.CONTINUOUS if rate or task is Task.TRACK else Mode.ONCE,
        rate_hz=rate,
        region=region,
        num_points=points if task is Task.POLYGON else 2,
        max_objects=most if len(classes) == 1 and (most != 1 or task is not Task.DETECT) else 0,
    )
    assert parser.parse(describe(spec)) == spec, describe(spec)


def test_say_back_names_the_mapping(parser: CommandParser) -> None:
    assert describe(parser.parse("look for sofas")) == "find every couch (sofas as couch)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("watch for people at 2 Hz", "find every person at 2 Hz"),
        ("look for dogs in the lower left corner", "find every dog in the lower left corner"),
        ("where's the black cat?", "where is the black cat?"),
        ("find two buses", "find up to 2 buses"),
        ("keep describing the scene", "describe the scene continuously"),
        ("what is on the table? every 3 seconds", "answer every 3 seconds: what is on the table?"),
    ],
)
def test_say_back_reads_like_english(parser: CommandParser, text: str, said: str) -> None:
    assert describe(parser.parse(text)) == said
