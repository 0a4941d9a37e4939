from __future__ import annotations

import miniature
import pytest
import torch

from vision_llm_ros.model.autoregressive import decode_one_by_one
from vision_llm_ros.model.detector import VisionLLM, Words, select_tokens
from vision_llm_ros.model.set_decoder import SetLogits, decode_points
from vision_llm_ros.model.tokenizer import ImageTokens

SETS = 5
Case = tuple[VisionLLM, Words, ImageTokens]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> VisionLLM:
    return miniature.build_tiny(tmp_path_factory.mktemp("tiny"))


@torch.no_grad()
def case(model: VisionLLM, num_points: int = 2) -> Case:
    words = model.read(miniature.instruction(num_points=num_points))
    tokens = model.tokens(model.encode_image(miniature.pictures(2)), words)
    return model, words, select_tokens(tokens, torch.arange(SETS).expand(2, -1))


def chosen(logits: SetLogits) -> tuple[list[object], list[object]]:
    return logits.classes.argmax(-1).tolist(), logits.locations.argmax(-1).tolist()


@pytest.mark.parametrize("num_points", [2, 8])
def test_every_set_is_one_valid_tuple(model: VisionLLM, num_points: int) -> None:
    _, words, tokens = case(model, num_points)
    logits = decode_one_by_one(model, words, tokens)
    assert logits.classes.shape == (2, SETS, len(miniature.CLASSES) + 1)
    assert logits.locations.shape == (2, SETS, 2 * num_points, 65)
    assert logits.classes.isfinite().all()
    assert logits.locations.isfinite().all()
    assert decode_points(logits, tokens).shape == (2, SETS, num_points, 2)


def test_first_answer_equals_the_parallel_one(model: VisionLLM) -> None:
    _, words, tokens = case(model)
    with torch.no_grad():
        parallel = model.decode(words, tokens)
    serial = decode_one_by_one(model, words, tokens)
    torch.testing.assert_close(serial.classes[:, 0], parallel.classes[:, 0], atol=1e-2, rtol=1e-3)
    assert not torch.allclose(serial.classes[:, 1:], parallel.classes[:, 1:], atol=0.1)


def test_later_tokens_depend_on_those_chosen_before(model: VisionLLM) -> None:
    _, words, tokens = case(model)
    before = decode_one_by_one(model, words, tokens)
    first = select_tokens(tokens, torch.tensor([[1, 1, 2, 3, 4]] * 2))
    after = decode_one_by_one(model, words, first)
    assert not torch.allclose(before.locations[:, 2], after.locations[:, 2], atol=1e-2)


def test_cache_gives_what_recomputing_gives(model: VisionLLM) -> None:
    """The whole sequence in one causal pass answers the last `<cls>` as the cached steps did."""
    _, words, tokens = case(model)
    logits = decode_one_by_one(model, words, tokens)
    decoder, prefix = model.decoder, words.prefix
    classes, places = logits.classes.argmax(-1), logits.locations.argmax(-1)
    images = decoder.image_embeddings(tokens)
    listed = torch.cat([decoder.rows[prefix.class_rows], decoder.background.unsqueeze(0)])
    query = decoder.rows[decoder.vocabulary.format_query(2)[0]]
    sequence = [*images.unbind(1)]
    for index in range(SETS - 1):
        sequence += [images[:, index] + query, listed[classes[:, index]]]
        sequence += list(decoder.rows[decoder.vocabulary.locations][places[:, index, :-1]].unbind(1))
    embeds = torch.stack([*sequence, images[:, SETS - 1] + query], 1)
    total = embeds.shape[1]
    attend = torch.ones(total, prefix.length + total, dtype=torch.bool).tril(prefix.length).expand(2, -1, -1)
    with torch.no_grad(), model.llm.using("detect"):
        states, _ = model.llm.run(embeds, prefix.length + torch.arange(total).expand(2, -1), attend, prefix.past)
        last = select_tokens(tokens, torch.full((2, 1), SETS - 1))
        again = decoder.class_logits(decoder.head_norm(states[:, -1:]), prefix, last)
    torch.testing.assert_close(logits.classes[:, -1:], again, atol=1e-3, rtol=1e-3)
    assert chosen(logits) == chosen(decode_one_by_one(model, words, tokens))
