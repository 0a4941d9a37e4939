from __future__ import annotations

from pathlib import Path

import pytest
import torch
from miniature import write_llama
from torch import Tensor

from vision_llm_ros.config import RouterConfig
from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import MAX_STEPS
from vision_llm_ros.language.invocation import INSTRUCTED, MODULES, REFUSALS, read, write
from vision_llm_ros.language.utterances import Utterance, utterances
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import (
    ADAPTER,
    FIRST,
    FIRST_TOLD,
    OUTSIDE,
    TOLD,
    WITHIN,
    Decision,
    Router,
    add_adapter,
    divide,
    without_pleasantries,
)
from vision_llm_ros.model.router import learned as learned_by
from vision_llm_ros.training.route import batch_of, means_of

CONFIG = RouterConfig(llm_layers=2, lora_rank=2, hidden_width=8, meaning_width=4, max_tokens=200)


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    model = LanguageModel(str(write_llama(tmp_path_factory.mktemp("llama"))), num_layers=2)
    add_adapter(model, CONFIG)
    return model.eval()


@pytest.fixture
def router(llm: LanguageModel) -> Router:
    torch.manual_seed(4)
    router = Router(CONFIG, llm.width)
    for key, value in learned_by(router, llm).items():
        value.data.normal_(std=0.3 if "lora" in key else 0.1)
    return router.eval()


def encode(phrases: tuple[str, ...]) -> Tensor:
    return torch.nn.functional.normalize(torch.tensor([[len(p), p.count("e"), p.count(" "), 1.0] for p in phrases]))


def tagged(*tags: int) -> Tensor:
    """Probabilities that are sure of `tags`."""
    return torch.nn.functional.one_hot(torch.tensor(tags), 5).float() * 0.96 + 0.008


def test_the_opening_token_begins_as_its_words_and_the_text_encoder_unheard(llm: LanguageModel) -> None:
    router = Router(CONFIG, llm.width)
    router.start_from(llm)
    ids = torch.tensor(llm.tokenizer(" route the request", add_special_tokens=False)["input_ids"])
    assert torch.allclose(router.opening[0], llm.embed_text(ids).mean(0))
    means = torch.randn(3, llm.width)
    assert torch.equal(router.modules_of(means), router.modules_of(means, torch.randn(3, 4)))


def test_padding_changes_nothing(llm: LanguageModel, router: Router) -> None:
    items = list(utterances("learnt", 6, 1))
    together = batch_of(llm.tokenizer, items)
    with torch.no_grad(), llm.using(ADAPTER):
        joint, joint_tags = router(llm, together.ids, together.lengths)
        for row, item in enumerate(items):
            alone = batch_of(llm.tokenizer, [item])
            states, tags = router(llm, alone.ids, alone.lengths)
            length = int(alone.lengths[0])
            assert torch.allclose(joint[row, :length], states[0], atol=1e-4)
            assert torch.allclose(joint_tags[row, :length], tags[0], atol=1e-4)


def test_a_sentence_is_divided_where_tasks_begin_without_what_stands_around_them() -> None:
    chances = tagged(OUTSIDE, FIRST, WITHIN, TOLD, OUTSIDE, OUTSIDE, FIRST_TOLD, TOLD, OUTSIDE)
    assert divide(chances, torch.ones(9, dtype=torch.bool)) == [(1, 3), (6, 7)]
    assert divide(tagged(OUTSIDE, OUTSIDE, WITHIN), torch.ones(3, dtype=torch.bool)) == [(0, 2)]  # there is always one
    assert len(divide(tagged(*[FIRST] * 9), torch.ones(9, dtype=torch.bool))) == MAX_STEPS
    within = torch.tensor([True, False, True])
    assert divide(tagged(FIRST, FIRST, FIRST), within) == [(0, 1), (2, 2)]  # none begins within a word


def test_pleasantries_around_a_task_are_no_tasks() -> None:
    def decision(name: str, first: int, last: int) -> Decision:
        return Decision(MODULES.index(name), (first, last), None, 0, 0.9)

    greeting, task, joke = decision("refuse:chat", 0, 1), decision("denoise", 2, 4), decision("refuse:chat", 6, 9)
    assert without_pleasantries([greeting, task], ["good morning", "denoise it"]) == [task]
    assert without_pleasantries([task, decision("refuse:unclear", 5, 6)], ["denoise it", "you know"]) == [task]
    assert without_pleasantries([task, joke], ["denoise it", "tell a joke"]) == [task, joke]  # asked for, and refused
    unknown = decision("refuse:unclear", 0, 1)
    assert without_pleasantries([unknown, task], ["froob the mugs", "denoise it"]) == [unknown, task]
    assert without_pleasantries([greeting], ["good morning"]) == [greeting]


def test_what_is_read_is_what_the_heads_say_of_each_part(llm: LanguageModel, router: Router) -> None:
    item = next(item for item in utterances("learnt", 50, 2) if len(item.invocations) == 3)
    ids = llm.tokenizer(item.text, add_special_tokens=False)["input_ids"]
    places = llm.tokenizer(item.text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    with torch.no_grad(), llm.using(ADAPTER):
        decisions = router.decide(llm, ids, item.text, places)
        states, _ = router(llm, torch.tensor([ids]), torch.tensor([len(ids)]))
    for decision in decisions:
        first, last = decision.words
        mean = states[0, first : last + 1].mean(0)
        assert int(router.modules_of(mean).argmax()) == decision.module
        assert int(router.region(mean).argmax()) == decision.region
        assert decision.told is None or first <= decision.told[0] <= decision.told[1] <= last


def test_whatever_the_weights_the_answer_is_within_the_grammar(llm: LanguageModel, router: Router) -> None:
    for item in utterances("held_out", 40, 3):
        for value in router.parameters():
            value.data.normal_()
        invocations, confidence = router.read(llm, item.text, encode)
        assert read(write(invocations)) == invocations and 0 <= confidence <= 1
        for part in invocations:
            assert part.instruction in item.text
            assert not part.instruction or part.module in INSTRUCTED
        assert not any(part.module in REFUSALS for part in invocations[:-1])


def test_every_parameter_learns(llm: LanguageModel, router: Router) -> None:
    batch = batch_of(llm.tokenizer, list(utterances("learnt", 60, 4)))
    with llm.using(ADAPTER):
        states, tags = router(llm, batch.ids, batch.lengths)
    means = means_of(states, batch)
    heads = (tags, router.modules_of(means, encode(batch.texts)), router.region(means), router.later(means))
    sum(logits.pow(2).mean() for logits in heads).backward()
    parameters = {**dict(router.named_parameters()), **{k: v for k, v in llm.base.named_parameters() if "lora" in k}}
    still = [key for key, value in parameters.items() if value.grad is None or not value.grad.abs().sum() > 0]
    assert still == []
    assert all(value.grad is None for key, value in llm.base.named_parameters() if "lora" not in key)


def test_a_sentence_that_is_too_long_is_refused(llm: LanguageModel, router: Router) -> None:
    with pytest.raises(CommandError, match="200 tokens, got"):
        router.read(llm, "find the dog and " * 60)


def test_targets_are_the_words_of_tasks_and_instructions(llm: LanguageModel) -> None:
    for item in utterances("learnt", 60, 5):
        batch = batch_of(llm.tokenizer, [item])
        assert sorted(batch.texts) == sorted(item.text[slice(*task)] for task in item.tasks)
        for row, text in enumerate(batch.texts):
            words = llm.tokenizer.decode(batch.ids[0, batch.inside[row]])
            assert text.strip(".") in words
            first = int(batch.inside[row].int().argmax())
            assert int(batch.tags[0, first]) in (FIRST, FIRST_TOLD)
        told = (batch.tags == FIRST_TOLD) | (batch.tags == TOLD)
        assert bool(told.any()) == any(part.instruction for part in item.invocations)


def test_of_two_tasks_it_is_told_whether_the_second_comes_first(llm: LanguageModel) -> None:
    pairs = [item for item in utterances("learnt", 300, 6) if len(item.tasks) == 2]

    def later(item: Utterance) -> float:
        return float(batch_of(llm.tokenizer, [item]).later[1])

    assert {later(item) for item in pairs} == {0.0, 1.0}
    assert all(later(item) == (item.tasks[0] > item.tasks[1]) for item in pairs)


def test_a_shared_copy_has_the_same_weights_in_memory_and_a_state_of_its_own(tmp_path: Path) -> None:
    llm = LanguageModel(str(write_llama(tmp_path / "llama")), num_layers=2)
    llm.add_adapter("other", 2, 4, 0.0)
    with torch.no_grad():
        llm.merge("other")
        copy = llm.shared_copy()
    assert {id(value) for value in copy.parameters()} == {id(value) for value in llm.parameters()}
    add_adapter(copy, CONFIG)
    assert ADAPTER not in llm.depths
    with llm.using("other"), copy.using(ADAPTER):
        assert llm._state[0] == "other" and copy._state[0] == ADAPTER
