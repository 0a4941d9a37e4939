from __future__ import annotations

from pathlib import Path

import pytest
import torch
from miniature import write_llama

from vision_llm_ros.config import RouterConfig
from vision_llm_ros.errors import CommandError
from vision_llm_ros.language.invocation import INSTRUCTED, MODULES, REFUSALS, read, write
from vision_llm_ros.language.utterances import utterances
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import ADAPTER, END, Router, add_adapter, learned
from vision_llm_ros.training.route import batch_of

CONFIG = RouterConfig(llm_layers=2, lora_rank=2, pointer_width=8, max_tokens=200)


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    model = LanguageModel(str(write_llama(tmp_path_factory.mktemp("llama"))), num_layers=2)
    add_adapter(model, CONFIG)
    return model.eval()


@pytest.fixture
def router(llm: LanguageModel) -> Router:
    torch.manual_seed(4)
    router = Router(CONFIG, llm.width)
    for key, value in learned(router, llm).items():
        value.data.normal_(std=0.3 if "lora" in key else 0.1)
    return router.eval()


def test_own_tokens_begin_as_their_words(llm: LanguageModel) -> None:
    router = Router(CONFIG, llm.width)
    router.start_from(llm)
    ids = torch.tensor(llm.tokenizer(" denoise", add_special_tokens=False)["input_ids"])
    row = router.rows.weight[4 + MODULES.index("denoise")]
    assert torch.allclose(row, llm.embed_text(ids).mean(0))


def test_padding_changes_nothing(llm: LanguageModel, router: Router) -> None:
    items = sorted(utterances("learnt", 6, 1), key=lambda item: len(item.invocations))
    together = batch_of(llm.tokenizer, items)
    with torch.no_grad(), llm.using(ADAPTER):
        joint = router(llm, together.ids, together.lengths, together.modules)
        for row, item in enumerate(items):
            alone = batch_of(llm.tokenizer, [item])
            single = router(llm, alone.ids, alone.lengths, alone.modules)
            for name, logits in single.items():
                assert torch.allclose(joint[name][row, : logits.shape[1], : logits.shape[2]], logits[0], atol=1e-4), (
                    name
                )


def test_decisions_one_after_another_are_those_made_at_once(llm: LanguageModel, router: Router) -> None:
    item = next(item for item in utterances("learnt", 50, 2) if len(item.invocations) == 3)
    ids = llm.tokenizer(item.text, add_special_tokens=False)["input_ids"]
    with torch.no_grad(), llm.using(ADAPTER):
        decisions = router.decide(llm, ids)
        modules = torch.tensor([[decision.module for decision in decisions]])
        at_once = router(llm, torch.tensor([ids]), torch.tensor([len(ids)]), modules)
    first = at_once["module"][0, 0].clone()
    first[END] = -torch.inf
    assert int(first.argmax()) == decisions[0].module
    for step, decision in enumerate(decisions):
        assert int(at_once["region"][0, step].argmax()) == decision.region
        if step:
            assert int(at_once["module"][0, step].argmax()) == decision.module


def test_whatever_the_weights_the_answer_is_within_the_grammar(llm: LanguageModel, router: Router) -> None:
    for item in utterances("held_out", 40, 3):
        for value in router.parameters():
            value.data.normal_()
        invocations, confidence = router.read(llm, item.text)
        assert read(write(invocations)) == invocations and 0 <= confidence <= 1
        for part in invocations:
            assert part.instruction in item.text
            assert not part.instruction or part.module in INSTRUCTED
        assert not any(part.module in REFUSALS for part in invocations[:-1])


def test_every_parameter_learns(llm: LanguageModel, router: Router) -> None:
    batch = batch_of(llm.tokenizer, list(utterances("learnt", 60, 4)))
    with llm.using(ADAPTER):
        decided = router(llm, batch.ids, batch.lengths, batch.modules)
    sum(logits.clamp(min=-100).pow(2).mean() for logits in decided.values()).backward()
    parameters = {**dict(router.named_parameters()), **{k: v for k, v in llm.base.named_parameters() if "lora" in k}}
    still = [key for key, value in parameters.items() if value.grad is None or not value.grad.abs().sum() > 0]
    assert still == []
    assert all(value.grad is None for key, value in llm.base.named_parameters() if "lora" not in key)


def test_a_sentence_that_is_too_long_is_refused(llm: LanguageModel, router: Router) -> None:
    with pytest.raises(CommandError, match="200 tokens, got"):
        router.read(llm, "find the dog and " * 60)


def test_targets_are_the_words_of_the_instruction(llm: LanguageModel) -> None:
    for item in utterances("learnt", 60, 5):
        batch = batch_of(llm.tokenizer, [item])
        for step, part in enumerate(item.invocations):
            first, last = (int(batch.targets[name][0, step]) for name in ("start", "end"))
            if part.module in INSTRUCTED and part.instruction:
                words = llm.tokenizer.decode(batch.ids[0, first - 1 : last])
                assert part.instruction in words


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
