from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from captions import SMALL, build_decoder, look, tokenize
from torch.testing import assert_close

from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.text_decoder import IGNORED, QUERY, Seen, TextDecoder

Case = tuple[VisionLLM, TextDecoder, Seen]


@pytest.fixture(scope="module")
def case(tiny_model: VisionLLM) -> Case:
    model = copy.deepcopy(tiny_model)
    decoder = build_decoder(model)
    return model, decoder, look(model, decoder)


def reading(model: VisionLLM, decoder: TextDecoder, before: str, text: str) -> tuple[list[int], list[int]]:
    asked, ids = tokenize(model, before), tokenize(model, f" {text}")
    return [*asked, QUERY, *ids], [*[IGNORED] * len(asked), *ids, len(decoder.bias) - 1]


def loss(case: Case, asked: str, texts: list[tuple[str, str]], picture: int = 0) -> float:
    """Mean loss of several texts side by side about one picture; (instruction, text) each."""
    model, decoder, seen = case
    rows = [reading(model, decoder, *text) for text in texts]
    longest = max(len(read) for read, _ in rows)
    read = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids, _ in rows])
    wanted = torch.tensor([[*ids, *[IGNORED] * (longest - len(ids))] for _, ids in rows])
    one = Seen(*(value[picture : picture + 1] for value in vars(seen).values()))
    ids = torch.tensor(tokenize(model, asked), dtype=torch.long)
    with torch.no_grad():
        return float(decoder(model.llm, one, ids, read[None], wanted[None]))


def test_image_tokens_are_the_likeliest_objects(case: Case) -> None:
    model, decoder, seen = case
    assert seen.cells.shape == (2, 4, model.backbone.channels[2])
    assert seen.concepts.shape[:2] == seen.geometry.shape[:2] == (2, 6)
    assert decoder.image_embeddings(seen).shape == (2, 6, model.llm.width)
    likely = seen.geometry[..., 5]
    assert (likely[:, :-1] >= likely[:, 1:]).all()
    assert seen.geometry.min() >= 0 and seen.geometry.max() <= 1


def test_texts_side_by_side_do_not_see_each_other(case: Case) -> None:
    first, second = ("", "a red box"), ("", "a dog on a chair")
    lengths = [len(tokenize(case[0], f" {text}")) + 1 for _, text in (first, second)]
    apart = [loss(case, "Describe it.", [text]) for text in (first, second)]
    together = loss(case, "Describe it.", [first, second])
    assert together == pytest.approx((apart[0] * lengths[0] + apart[1] * lengths[1]) / sum(lengths), rel=1e-4)


def test_an_instruction_reads_the_same_before_all_texts_or_in_each(case: Case) -> None:
    assert loss(case, "How many?", [("", "3")]) == pytest.approx(loss(case, "", [("How many?", "3")]), rel=1e-4)


def test_the_picture_and_the_instruction_matter(case: Case) -> None:
    usual = loss(case, "Describe it.", [("", "a red box")])
    assert loss(case, "Describe it.", [("", "a red box")], picture=1) != pytest.approx(usual, rel=1e-4)
    assert loss(case, "Is it there?", [("", "a red box")]) != pytest.approx(usual, rel=1e-4)


@pytest.mark.parametrize("ending", [0.0, 30.0])
def test_texts_found_with_a_cache_cost_what_they_cost_at_once(case: Case, ending: float) -> None:
    """The score is that of the same tokens in one pass without a cache, whether the text ends or is cut off."""
    model, decoder, seen = case
    decoder = copy.deepcopy(decoder)
    decoder.bias.data[-1] += ending - 15
    one = Seen(*(value[:1] for value in vars(seen).values()))
    asked = torch.tensor([*tokenize(model, "Describe it."), QUERY])
    with torch.no_grad(), model.llm.using("text"):
        start = torch.cat([decoder.image_embeddings(one), decoder.embed(model.llm, asked[None])], 1)
        found = decoder._search(model.llm, start, decoder.merged(one), decoder.listed)
    for mean, places in found:
        ids = decoder.listed[places].tolist()
        wanted = ids if len(ids) == SMALL.max_tokens else [*ids, len(decoder.bias) - 1]
        with torch.no_grad():
            read = torch.tensor([QUERY, *ids])[None, None, : len(wanted)]
            cost = decoder(model.llm, one, asked[:-1], read, torch.tensor(wanted)[None, None])
        assert mean == pytest.approx(-float(cost), rel=1e-3)


def test_beam_search_finds_no_worse_text_than_greedy_choice(case: Case) -> None:
    model, decoder, seen = case
    one = Seen(*(value[:1] for value in vars(seen).values()))
    asked = torch.tensor(tokenize(model, "Describe it."))
    wide, narrow = copy.deepcopy(decoder), copy.deepcopy(decoder)
    wide.config, narrow.config = replace(SMALL, beams=8), replace(SMALL, beams=1)
    assert wide.write(model.llm, one, asked).score >= narrow.write(model.llm, one, asked).score - 1e-6


def test_only_listed_tokens_are_written(case: Case) -> None:
    model, decoder, seen = case
    texts = ("a red box", "a dog on a chair", "yes", "3")
    known = {token for text in texts for token in tokenize(model, f" {text}")}
    assert set(decoder.listed.tolist()) == known
    one = Seen(*(value[:1] for value in vars(seen).values()))
    written = decoder.write(model.llm, one, torch.tensor(tokenize(model, "Describe it.")))
    assert written.text
    assert set(written.text) <= set("".join(texts))


def test_only_the_decoder_and_its_own_adapter_learn(tiny_model: VisionLLM) -> None:
    from vision_llm_ros.config import DecoderTextTrainConfig
    from vision_llm_ros.training.text_loop import learnable

    model = copy.deepcopy(tiny_model)
    decoder = build_decoder(model)
    groups = learnable(model, decoder, DecoderTextTrainConfig())
    ids = torch.tensor(tokenize(model, " a red box"))
    end = torch.tensor([len(decoder.bias) - 1])
    read, wanted = torch.cat([torch.tensor([QUERY]), ids]), torch.cat([ids, end])
    decoder(model.llm, look(model, decoder, 1), ids, read[None, None], wanted[None, None]).backward()
    learning = [parameter for group in groups for parameter in group["params"]]
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in learning)
    others = {id(p) for p in model.parameters()} - {id(p) for p in learning}
    assert all(p.grad is None for p in model.parameters() if id(p) in others)
    assert {name.rpartition(".")[0].split(".")[-1] for name, p in model.named_parameters() if p.grad is not None} == {
        "text"
    }


def test_logits_of_some_tokens_are_those_of_all(case: Case) -> None:
    model, _, _ = case
    states = torch.randn(2, model.llm.width)
    ids = torch.tensor([5, 2])
    assert_close(model.llm.text_logits(states, ids), model.llm.text_logits(states)[:, ids])
