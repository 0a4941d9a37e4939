from __future__ import annotations

import itertools
import random

import pytest

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.language.invocation import INSTRUCTED, MODULES, OPTIONAL
from vision_llm_ros.language.paraphrases import chosen, is_kept_apart
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner
from vision_llm_ros.language.utterances import SPLITS, forms, reworded, utterances


def _all_forms(split: str) -> set[str]:
    return {form for kinds in forms(split).values() for some in kinds.values() for form in some}


def test_no_form_is_in_two_splits() -> None:
    for one, two in itertools.combinations(map(_all_forms, SPLITS), 2):
        assert not one & two


def test_nothing_is_learnt_that_is_close_to_what_is_written_apart() -> None:
    for item in utterances("learnt", 1500, 3):
        if len(item.tasks) == 1 and not item.refused:
            said = item.text[slice(*item.tasks[0])]
            for part in filter(None, item.spans):
                said = said.replace(item.text[slice(*part)], " ")
            assert not is_kept_apart(said, item.modules[0]), item.text


def test_words_are_chosen_and_reworded() -> None:
    rng = random.Random(1)
    assert {chosen("(find|box) {m}( now|), please", rng) for _ in range(40)} == {
        *("find {m} now, please", "find {m}, please", "box {m} now, please", "box {m}, please")
    }
    assert len({reworded("tell me the number of {m}", "count", rng) for _ in range(30)}) > 3


def test_no_learnt_form_is_close_to_one_of_its_module_that_is_written_apart() -> None:
    for split in ("learnt", "choosing"):
        for module, kinds in forms(split).items():
            said = [form for some in kinds.values() for form in some if "(" not in form]
            assert not [form for form in said if is_kept_apart(form, module)]


@pytest.mark.parametrize("split", SPLITS)
def test_tasks_stand_where_they_are_said_to(split: str) -> None:
    for item in utterances(split, 400, 4):
        assert len(item.tasks) == len(item.invocations)
        for (start, end), span in zip(item.tasks, item.spans, strict=True):
            assert 0 <= start < end <= len(item.text) and not item.text[start].isspace()
            assert span is None or start <= span[0] < span[1] <= end
        ordered = sorted(item.tasks)
        assert all(one[1] <= two[0] for one, two in itertools.pairwise(ordered))


@pytest.mark.parametrize("split", SPLITS)
def test_instructions_stand_where_the_spans_say(split: str) -> None:
    for item in utterances(split, 800, 1):
        for part, span in zip(item.invocations, item.spans, strict=True):
            assert (span is None) == (not part.instruction)
            assert span is None or item.text[slice(*span)] == part.instruction
            assert (span is not None) == (part.module in INSTRUCTED) or part.module in OPTIONAL


def test_every_module_plans_and_refusals_are_drawn() -> None:
    drawn = list(utterances("learnt", 3000, 2))
    assert {module for item in drawn for module in item.modules} == set(MODULES)
    assert {len(item.invocations) for item in drawn} == {1, 2, 3}
    assert 0.2 < sum(item.refused for item in drawn) / len(drawn) < 0.4
    assert 0.35 < sum(len(item.invocations) > 1 for item in drawn) / len(drawn) < 0.45


def test_same_seed_gives_the_same_sentences() -> None:
    assert list(utterances("held_out", 100, 5)) == list(utterances("held_out", 100, 5))
    assert list(utterances("held_out", 100, 5)) != list(utterances("held_out", 100, 6))


def test_what_is_meant_is_nearly_always_something_the_grammar_serves(parser: CommandParser) -> None:
    planner, served, failed = Planner(parser.parse), 0, 0
    for item in utterances("held_out", 200, 3):
        if item.refused:
            continue
        served += 1
        try:
            planner.plan([part.sentence() for part in item.invocations])
        except Exception:
            failed += 1
    assert failed / served < 0.12


def test_unknown_split_is_named() -> None:
    with pytest.raises(ConfigError, match="'dev'"):
        next(utterances("dev", 1))
