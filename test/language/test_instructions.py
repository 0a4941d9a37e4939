from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_llm_ros.errors import CommandError, ConfigError
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.language.descriptions import DESCRIPTIONS
from vision_llm_ros.language.instructions import EXAMPLE, build, class_windows, is_instruction, parse_instruction
from vision_llm_ros.language.parser import CommandParser

DETECT = TaskSpec(Task.DETECT, ("person", "black cat", "dog"))
POLYGON = TaskSpec(Task.POLYGON, ("chair",), num_points=8)


def test_instruction_carries_map_range_and_tuple() -> None:
    text = build(DETECT).text
    assert '<class>={"person":<c0>,"black cat":<c1>,"dog":<c2>}' in text
    assert "<range>=[-512,512]" in text
    assert text.endswith("output: (c,x1,y1,x2,y2)")


@pytest.mark.parametrize("task", sorted(DESCRIPTIONS))
def test_every_task_has_eight_different_wordings(task: Task) -> None:
    assert len(set(DESCRIPTIONS[task])) >= 8


@pytest.mark.parametrize("task", sorted(set(Task) - {Task.STOP, Task.RECALL}))
def test_every_wording_keeps_its_slots(task: Task) -> None:
    slots = {"<class>", "<range>"} if task in (Task.DETECT, Task.POLYGON, Task.GROUND, Task.TRACK) else set()
    for wording in DESCRIPTIONS[task]:
        assert all(slot in wording for slot in slots), wording


def test_seed_chooses_the_wording_and_nothing_else() -> None:
    built = [build(DETECT, seed) for seed in range(40)]
    assert len({one.description for one in built}) > 4
    assert len({(one.class_map, one.output_tuple, one.range) for one in built}) == 1
    assert build(DETECT, 7) == build(DETECT, 7)


@settings(max_examples=50)
@given(st.permutations(("person", "black cat", "dog")))
def test_permuted_classes_change_the_map_alone(order: list[str]) -> None:
    base, permuted = build(DETECT), build(replace(DETECT, classes=tuple(order)))
    assert permuted.classes == tuple(order)
    assert permuted.class_tokens == base.class_tokens
    assert permuted.text.replace(permuted.class_map, "") == base.text.replace(base.class_map, "")


@pytest.mark.parametrize("num_points", [9, 16, 24])
def test_point_count_changes_the_tuple_alone(num_points: int) -> None:
    base, longer = build(POLYGON, seed=3), build(replace(POLYGON, num_points=num_points), seed=3)
    assert len(longer.output_tokens) == 1 + 2 * num_points
    assert longer.text.removesuffix(longer.output_tuple) == base.text.removesuffix(base.output_tuple)


def test_text_tasks_ask_with_the_text_query() -> None:
    assert build(TaskSpec(Task.CAPTION)).output_tokens == ("<text>",)
    assert "how many cups?" in build(TaskSpec(Task.ANSWER, phrase="how many cups?")).text


def test_long_class_lists_are_cut_into_windows() -> None:
    names = tuple(f"class {index}" for index in range(1203))
    windows = list(class_windows(names))
    assert [len(window) for window in windows] == [512, 512, 179]
    assert sum(windows, ()) == names
    with pytest.raises(ConfigError, match="1203"):
        build(TaskSpec(Task.DETECT, names))


@settings(max_examples=100)
@given(st.lists(st.text(min_size=1, max_size=12).map(str.strip).filter(bool), min_size=1, max_size=6, unique=True))
def test_own_instruction_is_read_back(names: list[str]) -> None:
    spec = TaskSpec(Task.DETECT, tuple(names))
    text = build(spec).text
    read = parse_instruction(text)
    assert (read.task, read.classes, read.instruction) == (Task.DETECT, tuple(names), text)
    assert build(read).text == text


def test_users_tokens_and_points_are_kept() -> None:
    text = 'outline <class>={"dog":<c5>, "black cat":<c2>} within [-256,256] as (c,x1,y1,...,x16,y16)'
    built = build(parse_instruction(text))
    assert (built.classes, built.class_tokens, built.range, built.num_points) == (("dog", "black cat"), (5, 2), 256, 16)


def test_parser_hands_instructions_through(parser: CommandParser) -> None:
    assert parser.parse(EXAMPLE).classes == ("person",)
    assert (
        parser.parse("The image is <image>. Answer the question: what is on the table?").phrase
        == "what is on the table?"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('find {"dog":<c0>,"cat":<c0>} (c,x1,y1,x2,y2)', 24),
        ('find {"dog":<c0>,"dog":<c1>} (c,x1,y1,x2,y2)', 18),
        ('find {"dog":c0} (c,x1,y1,x2,y2)', 7),
        ('find {"dog":<c0> (c,x1,y1,x2,y2)', 18),
        ('find {"dog":<c600>} (c,x1,y1,x2,y2)', 13),
        ('find {"dog":<c0>} (c,x1,y1,x2)', 19),
        ('find {"dog":<c0>} (c,x1,y1,x2,y2,x3,y3)', 19),
        ('find {"dog":<c0>} [-5,6] (c,x1,y1,x2,y2)', 19),
        ('find {"dog":<c0>}', 18),
        ("find <class> in the image", 6),
    ],
)
def test_fault_is_named_with_its_place(text: str, place: int) -> None:
    with pytest.raises(CommandError, match=f"character {place}:") as refused:
        parse_instruction(text)
    parse_instruction(refused.value.nearest)


@settings(max_examples=300)
@given(st.text(alphabet='{}"<>c0123:,()xy.[-] \\adog', max_size=80))
def test_any_instruction_is_read_or_refused(text: str) -> None:
    try:
        spec = parse_instruction(text)
    except CommandError:
        return
    assert is_instruction(spec.instruction) or spec.task in (Task.CAPTION, Task.ANSWER, Task.DETECT, Task.POLYGON)
