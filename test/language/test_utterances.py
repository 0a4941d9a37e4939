from __future__ import annotations

import itertools
import re

import pytest

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.language.invocation import INSTRUCTED, MODULES, OPTIONAL
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner
from vision_llm_ros.language.utterances import SPLITS, forms, reworded, utterances


def _all_forms(split: str) -> set[str]:
    return {form for kinds in forms(split).values() for some in kinds.values() for form in some}


def test_no_form_is_in_two_splits() -> None:
    for one, two in itertools.combinations(map(_all_forms, SPLITS), 2):
        assert not one & two


def test_rewording_never_gives_a_held_out_form() -> None:
    import random

    held_out, rng = _all_forms("held_out") | _all_forms("apart"), random.Random(0)
    for module, kinds in forms("learnt").items():
        for form in (form for some in kinds.values() for form in some):
            assert not {reworded(form, module, rng) for _ in range(20)} & held_out


def test_no_learnt_form_is_close_to_a_held_out_one_of_its_module() -> None:
    def words(form: str) -> set[str]:
        return set(re.findall(r"[a-z']+", re.sub(r"\{\w+\}", " ", form.lower())))

    for module in MODULES:
        apart = [*forms("apart")[module].values(), *forms("held_out")[module].values()]
        kept_apart = [words(form) for some in apart for form in some]
        for split in ("learnt", "choosing"):
            for said in (words(form) for some in forms(split)[module].values() for form in some):
                assert not any(len(said & other) > 0.7 * len(said | other) for other in kept_apart), said


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
    assert 0.15 < sum(len(item.invocations) > 1 for item in drawn) / len(drawn) < 0.3


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
