from __future__ import annotations

import json
from pathlib import Path

import pytest

from vision_llm_ros.errors import CommandError, ConfigError
from vision_llm_ros.interfaces import Task
from vision_llm_ros.language.corpus import REFUSE, SPLITS, _phrasings, every_phrasing, sentences, write_jsonl
from vision_llm_ros.language.parser import CommandParser


def test_splits_share_no_phrasing() -> None:
    train, held_out = (_phrasings(split) for split in SPLITS)
    for task in train:
        assert not set(train[task]) & set(held_out[task])


@pytest.mark.parametrize("split", SPLITS)
def test_every_task_and_refusals_are_in_each_split(split: str) -> None:
    assert {sentence.task for sentence in every_phrasing(split)} == {*map(str, Task), REFUSE}
    assert not any("{one" in sentence.text or "{ref" in sentence.text for sentence in every_phrasing(split))


def test_same_seed_gives_the_same_sentences() -> None:
    assert list(sentences("train", 200, 5)) == list(sentences("train", 200, 5))
    assert list(sentences("train", 200, 5)) != list(sentences("train", 200, 6))


def test_written_lines_are_json(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "s.jsonl", "held_out", 50)
    lines = (tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 50
    assert set(json.loads(lines[0])) == {"text", "task"}


def test_unknown_split_is_named() -> None:
    with pytest.raises(ConfigError, match="dev"):
        next(every_phrasing("dev"))


@pytest.mark.parametrize("split", SPLITS)
def test_parser_routes_the_corpus(parser: CommandParser, split: str) -> None:
    served = refused = right = kept_out = 0
    for sentence in sentences(split, 1500, 1):
        try:
            task = str(parser.parse(sentence.text).task)
        except CommandError:
            task = REFUSE
        if sentence.task == REFUSE:
            refused += 1
            kept_out += task == REFUSE
        else:
            served += 1
            right += task == sentence.task
    assert right / served >= 0.99
    assert kept_out / refused >= 0.99
