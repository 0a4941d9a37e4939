from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from miniature import write_bert, write_llama
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
    chosen,
    divisions,
    hear,
    invocations_of,
    without_pleasantries,
)
from vision_llm_ros.model.router import learned as learned_by
from vision_llm_ros.model.router_meaning import MeaningEncoder
from vision_llm_ros.model.router_words import spread, starts_task, tokens_of, words_of
from vision_llm_ros.model.text import TextEncoder
from vision_llm_ros.training.route import LOSSES, batch_of, losses

CONFIG = RouterConfig(
    llm_layers=2, lora_rank=2, word_width=8, reader_width=4, hidden_width=8, meaning_width=24, max_tokens=200
)


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


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return TextEncoder(str(write_bert(tmp_path_factory.mktemp("bert")))).eval()


@pytest.fixture(scope="module")
def encoder(plain: TextEncoder) -> MeaningEncoder:
    torch.manual_seed(5)
    ear = MeaningEncoder(plain, CONFIG)
    for value in ear.learned().values():
        value.data.normal_(std=0.3)
    return ear.eval()


def states_of(router: Router, llm: LanguageModel, encoder: MeaningEncoder, items: list[Utterance]) -> Tensor:
    batch = batch_of(llm.tokenizer, items)
    with llm.using(ADAPTER):
        seen = router.see(llm, batch.ids, batch.tokens)
    return router(seen, hear(encoder.plain, batch.texts, batch.words), batch.targets.counts)


def tagged(*tags: int) -> Tensor:
    """Probabilities that are sure of `tags`."""
    return torch.nn.functional.one_hot(torch.tensor(tags), 5).float() * 0.96 + 0.008


def test_the_opening_token_begins_as_its_words(llm: LanguageModel) -> None:
    router = Router(CONFIG, llm.width)
    router.start_from(llm)
    ids = torch.tensor(llm.tokenizer(" route the request", add_special_tokens=False)["input_ids"])
    assert torch.allclose(router.opening[0], llm.embed_text(ids).mean(0))


def test_padding_changes_nothing(llm: LanguageModel, router: Router, encoder: MeaningEncoder) -> None:
    items = list(utterances("learnt", 6, 1))
    with torch.no_grad():
        joint = states_of(router, llm, encoder, items)
        for row, item in enumerate(items):
            alone = states_of(router, llm, encoder, [item])[0]
            assert torch.allclose(joint[row, : len(alone)], alone, atol=1e-4)
            assert not joint[row, len(alone) :].any()


def test_both_models_are_averaged_over_the_same_words(llm: LanguageModel, encoder: MeaningEncoder) -> None:
    text = "find the squeegee, don't wait"
    words = words_of(text)
    assert [text[slice(*word)] for word in words] == ["find", "the", "squeegee", ",", "don't", "wait"]
    _, places = tokens_of(llm.tokenizer, text)
    assert torch.allclose(spread(words, places).sum(1), torch.ones(6))
    (states, at), *_ = encoder.plain.states((text,))
    assert torch.allclose(spread(words, at)[2] @ states, states[[a >= 9 and b <= 17 for a, b in at]].mean(0), atol=1e-6)
    assert hear(encoder.plain, (text, "stop"), [words, words_of("stop")]).shape == (2, 6, encoder.plain.width)
    assert spread([(0, 3)], []).shape == (1, 0)


def test_no_task_begins_with_a_sign_or_within_a_quotation() -> None:
    text = 'rate "a dog, running", please'
    words = words_of(text)
    allowed = [text[slice(*word)] for word, may in zip(words, starts_task(text, words), strict=True) if may]
    assert allowed == ["rate", '"', "please"]


def test_a_sentence_is_divided_where_tasks_begin_without_what_stands_around_them() -> None:
    chances = tagged(OUTSIDE, FIRST, WITHIN, TOLD, OUTSIDE, OUTSIDE, FIRST_TOLD, TOLD, OUTSIDE)
    ((chance, parts),) = divisions(chances, torch.ones(9, dtype=torch.bool))
    assert parts == [(1, 3), (6, 7)] and math.exp(chance) == pytest.approx(0.968)  # that of the word before them
    ((_, parts),) = divisions(tagged(OUTSIDE, OUTSIDE, WITHIN), torch.ones(3, dtype=torch.bool))
    assert len(parts) == 1  # there is always one
    assert len(divisions(tagged(*[FIRST] * 9), torch.ones(9, dtype=torch.bool))[0][1]) == MAX_STEPS
    assert divisions(tagged(FIRST, FIRST), torch.tensor([True, False])) == [(0, [(0, 1)])]  # none begins in a quotation


def test_where_it_is_not_sure_a_sentence_is_divided_both_ways() -> None:
    chances = tagged(FIRST, WITHIN, FIRST, WITHIN)
    chances[2] = torch.tensor([0.0, 0.6, 0.4, 0.0, 0.0])
    ways = divisions(chances, torch.ones(4, dtype=torch.bool))
    assert [parts for _, parts in ways] == [[(0, 1), (2, 3)], [(0, 3)]]
    assert [math.exp(chance) for chance, _ in ways] == pytest.approx([0.6, 0.4])


def test_what_stands_before_all_tasks_belongs_to_none() -> None:
    chances = tagged(FIRST, WITHIN, OUTSIDE, FIRST, WITHIN)
    chances[0] = torch.tensor([0.0, 0.4, 0.6, 0.0, 0.0])
    best, *_ = sorted(divisions(chances, torch.ones(5, dtype=torch.bool)), reverse=True)
    assert best[1] == [(0, 1), (3, 4)]  # though the first word hardly begins one, "left out" is likelier still not


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


def test_the_same_task_in_two_clauses_is_called_once_and_nothing_after_a_refusal() -> None:
    text = "bits got lost, fill them in, dance, find dogs"
    words = words_of(text)

    def decision(name: str, first: int, last: int, told: tuple[int, int] | None = None) -> Decision:
        return Decision(MODULES.index(name), (first, last), told, 0, 0.9)

    twice = (decision("mask", 0, 2), decision("mask", 4, 6))
    refused = (decision("refuse:move", 8, 8), decision("detect", 10, 11, (11, 11)))
    assert [item.module for item in invocations_of(twice + refused, text, words)] == ["mask", "refuse:move"]
    assert invocations_of(refused[1:], text, words)[0].instruction == "dogs"


def test_what_is_read_is_what_the_heads_say_of_each_part(
    llm: LanguageModel, router: Router, encoder: MeaningEncoder
) -> None:
    item = next(item for item in utterances("learnt", 50, 2) if len(item.invocations) == 3)
    with torch.no_grad():
        states = states_of(router, llm, encoder, [item])[0]
    words = words_of(item.text)
    for decision in router.decide(states, item.text, words, encoder):
        first, last = decision.words
        mean = states[first : last + 1].mean(0)
        with torch.no_grad():
            meaning = encoder([item.text[words[first][0] : words[last][1]]])[0]
        chances = router.modules_of(mean, meaning).softmax(-1)
        assert int(chosen(chances[None], CONFIG.refuse_from)[0]) == decision.module
        assert int(router.region(mean).argmax()) == decision.region
        assert decision.told is None or first <= decision.told[0] <= decision.told[1] <= last


def test_all_refusals_together_are_weighed_against_what_is_served() -> None:
    chances = torch.zeros(2, len(MODULES))
    for row, served in enumerate((0.4, 0.55)):
        chances[row, MODULES.index("detect")] = served
        chances[row, MODULES.index("refuse:chat")] = 0.35
        chances[row, MODULES.index("refuse:move")] = 0.65 - served
    modules, sure = chosen(chances, 0.5)
    assert [MODULES[place] for place in modules] == ["refuse:chat", "detect"]
    assert sure.tolist() == pytest.approx([0.6, 0.55])
    assert [MODULES[place] for place in chosen(chances, 0.7)[0]] == ["detect", "detect"]


def test_whatever_the_weights_the_answer_is_within_the_grammar(
    llm: LanguageModel, router: Router, encoder: MeaningEncoder
) -> None:
    for item in utterances("held_out", 40, 3):
        for value in router.parameters():
            value.data.normal_()
        invocations, confidence = router.read(llm, item.text, encoder)
        assert read(write(invocations)) == invocations and 0 <= confidence <= 1
        for part in invocations:
            assert part.instruction in item.text
            assert not part.instruction or part.module in INSTRUCTED
        assert not any(part.module in REFUSALS for part in invocations[:-1])


def test_the_adapted_text_encoder_has_all_but_its_adapter_in_common(plain: TextEncoder) -> None:
    ear = MeaningEncoder(plain, CONFIG)
    before = plain.encode(("find the thing", "denoise it"))
    own = {id(value) for value in ear.parameters()} - {id(value) for value in plain.parameters()}
    assert own == {id(value) for value in ear.learned().values()}
    with torch.no_grad():
        assert torch.allclose(ear(["find the cup", "denoise it"]), before, atol=1e-6)  # without effect as yet
        for value in ear.learned().values():
            value.normal_(std=0.3)
        ear.eval()
        assert not torch.allclose(ear(["find the cup", "denoise it"]), before, atol=1e-3)
    assert torch.equal(plain.encode(("find the thing", "denoise it")), before)


def test_every_parameter_learns(llm: LanguageModel, router: Router, encoder: MeaningEncoder) -> None:
    batch = batch_of(llm.tokenizer, list(utterances("learnt", 60, 4)))
    states = states_of(router, llm, encoder, list(utterances("learnt", 60, 4)))
    wrong = losses(router, states, encoder(list(batch.parts)), batch.targets)
    assert set(wrong) == set(LOSSES)
    sum(wrong.values()).backward()  # type: ignore[union-attr]
    parameters = {**dict(router.named_parameters()), **{k: v for k, v in llm.base.named_parameters() if "lora" in k}}
    parameters |= {key: value for key, value in encoder.adapted.named_parameters() if "lora" in key}
    still = [key for key, value in parameters.items() if value.grad is None or not value.grad.abs().sum() > 0]
    assert still == []
    frozen = [*llm.base.named_parameters(), *encoder.named_parameters()]
    assert all(value.grad is None for key, value in frozen if "lora" not in key)


def test_a_sentence_that_is_too_long_or_without_words_is_refused(
    llm: LanguageModel, router: Router, encoder: MeaningEncoder
) -> None:
    with pytest.raises(CommandError, match="200 tokens, got"):
        router.read(llm, "find the dog and " * 60, encoder)
    with pytest.raises(CommandError, match="tokens, got 0"):
        router.read(llm, "", encoder)


def test_targets_are_the_words_of_tasks_and_instructions(llm: LanguageModel) -> None:
    for item in utterances("learnt", 60, 5):
        batch = batch_of(llm.tokenizer, [item])
        targets, words = batch.targets, batch.words[0]
        assert sorted(batch.parts) == sorted(item.text[slice(*task)] for task in item.tasks)
        for row, text in enumerate(batch.parts):
            said = [item.text[slice(*words[place])] for place in targets.inside[row].nonzero()[:, 0].tolist()]
            assert said == [text[slice(*word)] for word in words_of(text)]
            first = int(targets.inside[row].int().argmax())
            assert int(targets.tags[0, first]) in (FIRST, FIRST_TOLD)
        told = (targets.tags == FIRST_TOLD) | (targets.tags == TOLD)
        assert bool(told.any()) == any(part.instruction for part in item.invocations)


def test_of_two_tasks_it_is_told_whether_the_second_comes_first(llm: LanguageModel) -> None:
    pairs = [item for item in utterances("learnt", 300, 6) if len(item.tasks) == 2]

    def later(item: Utterance) -> float:
        return float(batch_of(llm.tokenizer, [item]).targets.later[1])

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
