"""Which classes a phrase of a use means, by what language model and text encoder know."""

from __future__ import annotations

import copy

import pytest
import torch

from vision_llm_ros.errors import InputError
from vision_llm_ros.language.phrases import read_phrase
from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.knowledge import FEATURES, Knowledge, _told
from vision_llm_ros.training import uses

SAID = (("things to sit on", ("chair", "bench")), ("pets", ("dog", "cat")), ("fruit", ("apple",)))


@pytest.fixture(scope="module")
def shared(tiny_model: VisionLLM) -> VisionLLM:
    return copy.deepcopy(tiny_model).eval()


def test_every_class_is_judged_as_if_it_were_named_alone(shared: VisionLLM) -> None:
    """All names share one pass, as by the language model's own probabilities of each sentence."""
    llm = shared.llm
    together = _told(llm, "a pet")
    for index in (0, 9, 79):
        ask = llm.tokenizer("Question: Name a pet. Answer: a", add_special_tokens=False)["input_ids"]
        name = llm.tokenizer(f" {COCO_CLASSES[index]}", add_special_tokens=False)["input_ids"]
        ids = torch.tensor([*ask, *name])
        seen = torch.ones(1, len(ids), len(ids), dtype=torch.bool).tril()
        with torch.no_grad(), llm.using(None):
            states, _ = llm.run(llm.embed_text(ids)[None], torch.arange(len(ids))[None], seen)
            chances = llm.text_logits(states[0]).log_softmax(-1)
        alone = torch.stack([chances[len(ask) - 1 + step, token] for step, token in enumerate(name)]).mean()
        assert together[index] == pytest.approx(float(alone), abs=1e-4)


def test_fitting_makes_the_meant_classes_likelier(shared: VisionLLM) -> None:
    knowledge = Knowledge()
    assert knowledge.features(shared.llm, shared.text_encoder, "pets").shape == (80, FEATURES)
    uses.fit(knowledge, shared.llm, shared.text_encoder, SAID)
    for phrase, classes in SAID:
        with torch.no_grad():
            chances = knowledge(shared.llm, shared.text_encoder, phrase)
        meant = torch.tensor([name in classes for name in COCO_CLASSES])
        assert chances[meant].mean() > chances[~meant].mean()


def test_only_phrases_of_a_use_or_kind_become_classes(shared: VisionLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    knowledge = Knowledge()
    sure = torch.full((80,), -5.0)
    sure[[COCO_CLASSES.index("dog"), COCO_CLASSES.index("cat")]] = 5.0
    monkeypatch.setattr(knowledge, "forward", lambda llm, encoder, phrase: sure)

    def meant(text: str) -> list[str]:
        return [part.text for part in knowledge.meant(shared.llm, shared.text_encoder, read_phrase(text))]

    assert meant("pets") == ["cat", "dog"]
    assert meant("everything i can stroke") == ["cat", "dog"]
    for text in ("all dogs", "the pet", "the leftmost pets", "pets next to the car"):
        assert meant(text) == [read_phrase(text).text]
    monkeypatch.setattr(knowledge, "forward", lambda llm, encoder, phrase: torch.full((80,), -5.0))
    assert meant("pets") == ["pets"]


def test_learnt_and_held_out_uses_share_no_phrase() -> None:
    assert {phrase for phrase, _ in uses.LEARNT}.isdisjoint(phrase for phrase, _ in uses.HELD_OUT)


def test_a_use_with_an_unknown_class_is_named() -> None:
    with pytest.raises(InputError, match="unicorn"):
        uses._read("something to ride = horse, unicorn")
