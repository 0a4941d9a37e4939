from __future__ import annotations

from pathlib import Path

import pytest

from vision_llm_ros.errors import CommandError, InputError
from vision_llm_ros.evaluation.routing import load_sentences, misses, route, routing_metrics
from vision_llm_ros.interfaces import Task, TaskSpec


def parse(text: str) -> TaskSpec:
    if text == "boom":
        raise RuntimeError("a fault of the parser")
    if text != "find dogs":
        raise CommandError("not understood")
    return TaskSpec(Task.DETECT, ("dog",))


def test_refusal_and_faults_of_the_parser_are_told_apart() -> None:
    assert [route(parse, text) for text in ("find dogs", "fly away", "boom")] == ["detect", "refuse", "error"]


def test_accuracy_counts_served_and_refusal_counts_refused_sentences() -> None:
    wanted = ["detect", "detect", "stop", "refuse", "refuse", "refuse"]
    given = ["detect", "refuse", "stop", "refuse", "detect", "error"]
    found = routing_metrics(wanted, given)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["refusal"] == pytest.approx(1 / 3)
    assert found["confusion"]["refuse"] == {"detect": 1, "error": 1, "refuse": 1}
    assert found["per_task"] == {"detect": 0.5, "refuse": pytest.approx(1 / 3), "stop": 1.0}


def test_nothing_to_refuse_is_not_measured() -> None:
    assert routing_metrics(["detect"], ["detect"])["refusal"] is None


def test_misses_list_what_was_taken_for_something_else() -> None:
    sentences = [("find dogs", "detect"), ("halt", "stop")]
    assert misses(sentences, ["detect", "refuse"]) == [{"text": "halt", "task": "stop", "given": "refuse"}]


def test_sentences_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"text": "find dogs", "task": "detect"}\n\n{"text": "fly", "task": "refuse"}\n')
    assert load_sentences(path) == [("find dogs", "detect"), ("fly", "refuse")]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"text": "a"', "line 2 column 13 is not JSON"),
        ('["a", "b"]', "line 2: expected"),
        ('{"text": 3, "task": "stop"}', "line 2: expected"),
        ('{"text": "a", "task": "dance"}', "line 2: task 'dance' is not one of detect, ground"),
    ],
)
def test_bad_line_is_named_by_its_number(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(f'{{"text": "find dogs", "task": "detect"}}\n{line}\n')
    with pytest.raises(InputError, match=told):
        load_sentences(path)


def test_empty_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with pytest.raises(InputError, match="No such file"):
        load_sentences(path)
    path.write_text("\n\n")
    with pytest.raises(InputError, match="has no sentence"):
        load_sentences(path)
    path.write_bytes(b'{"text": "\xff"}')
    with pytest.raises(InputError, match="bad byte at offset 10"):
        load_sentences(path)
