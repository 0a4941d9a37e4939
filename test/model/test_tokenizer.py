from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from miniature import CLASSES, build_tiny, pictures, tiny_config

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.model.detector import VisionLLM, select_tokens
from vision_llm_ros.model.proposals import NUM_CONCEPTS, DenseHead, PhraseScorer
from vision_llm_ros.model.text import TextEncoder
from vision_llm_ros.model.tokenizer import sine_embedding


@torch.inference_mode()
def test_tokens_have_the_promised_shapes(tiny_model: VisionLLM) -> None:
    image = tiny_model.encode_image(pictures(2))
    tokens = tiny_model.tokenizer(image, tiny_model.embed_phrases(CLASSES))
    anchors = 36 * 3 + (9 + 4 + 1 + 1 + 1) * 6
    shapes = {name: tuple(value.shape) for name, value in vars(tokens).items()}
    assert shapes == {
        "embeddings": (2, 12, 32),
        "centres": (2, 12, 2),
        "boxes_cxcywh": (2, 12, 4),
        "semantics": (2, 12, NUM_CONCEPTS),
        "class_logits": (2, 12, 4),
        "dense_logits": (2, anchors, 4),
    }
    assert torch.equal(tokens.centres, tokens.boxes_cxcywh[..., :2])
    assert ((tokens.objectness > 0) & (tokens.objectness < 1)).all()


@torch.inference_mode()
def test_pictures_of_a_batch_do_not_see_each_other(tiny_model: VisionLLM) -> None:
    text = tiny_model.embed_phrases(CLASSES)
    images = pictures(3)
    both = tiny_model.tokenizer(tiny_model.encode_image(images), text)
    images[1] = 255 - images[1]
    other = tiny_model.tokenizer(tiny_model.encode_image(images), text)
    for name, value in vars(both).items():
        assert torch.allclose(value[[0, 2]], getattr(other, name)[[0, 2]], atol=1e-4), name
    assert not torch.allclose(both.embeddings[1], other.embeddings[1], atol=1e-2)


@torch.inference_mode()
def test_words_change_what_is_seen(tiny_model: VisionLLM) -> None:
    """Language is injected into every level: another phrase gives other image tokens, not only other scores."""
    image = tiny_model.encode_image(pictures(1))
    text = tiny_model.embed_phrases(CLASSES)
    levels = tiny_model.tokenizer._inject(image.levels, text)
    others = tiny_model.tokenizer._inject(image.levels, text[:1])
    for level, other in zip(levels, others, strict=True):
        assert not torch.allclose(level, other, atol=1e-3)


@torch.inference_mode()
def test_without_text_the_features_ignore_the_words(tiny_folder: Path) -> None:
    model = build_tiny(tiny_folder, text_mode="none")
    image = model.encode_image(pictures(1))
    text = model.embed_phrases(CLASSES)
    levels, others = model.tokenizer._inject(image.levels, text), model.tokenizer._inject(image.levels, text[:1])
    assert all(torch.equal(level, other) for level, other in zip(levels, others, strict=True))


@torch.inference_mode()
def test_average_pooling_gives_every_token_the_same_embedding(tiny_folder: Path) -> None:
    model = build_tiny(tiny_folder, tokenizer="average_pool")
    tokens = model.tokenizer(model.encode_image(pictures(1)), model.embed_phrases(CLASSES))
    assert torch.equal(tokens.embeddings[0, :1].expand(12, -1), tokens.embeddings[0])
    assert not torch.equal(tokens.class_logits[0, 0], tokens.class_logits[0, 1])


@torch.inference_mode()
def test_a_new_tokenizer_starts_exactly_at_its_proposals(tiny_folder: Path) -> None:
    model = VisionLLM(tiny_config(tiny_folder)).eval()
    image = model.encode_image(pictures(1))
    tokens = model.tokenizer(image, model.embed_phrases(CLASSES))
    distances = (tokens.boxes_cxcywh[0][:, None] - image.dense.boxes_cxcywh[0]).abs().amax(-1)
    assert torch.equal(tokens.class_logits[0], tokens.dense_logits[0, distances.argmin(1)])
    assert distances.min(1).values.max() < 1e-6


@torch.inference_mode()
def test_best_proposals_come_first_and_none_comes_twice(tiny_model: VisionLLM) -> None:
    logits = torch.zeros(1, 30, 2)
    logits[0, :, 0] = torch.linspace(3, -3, 30)
    boxes = torch.cat([torch.rand(1, 30, 2), torch.full((1, 30, 2), 0.01)], -1)
    boxes[0, 1] = boxes[0, 0]  # the second best shows the same thing
    chosen = tiny_model.tokenizer._choose(logits, boxes)[0].tolist()
    assert chosen == [0, *range(2, 13)]


@torch.inference_mode()
def test_fewer_anchors_than_queries_give_fewer_tokens(tiny_model: VisionLLM) -> None:
    logits, boxes = torch.randn(1, 5, 2), torch.rand(1, 5, 4)
    chosen = tiny_model.tokenizer._choose(logits, boxes)[0]
    assert sorted(chosen.tolist()) == [0, 1, 2, 3, 4]


def test_select_tokens_keeps_everything_together(tiny_model: VisionLLM) -> None:
    with torch.inference_mode():
        tokens = tiny_model.tokenizer(tiny_model.encode_image(pictures(2)), tiny_model.embed_phrases(CLASSES))
    picked = select_tokens(tokens, torch.tensor([[3, 1], [0, 11]]))
    assert torch.equal(picked.embeddings[0, 1], tokens.embeddings[0, 1])
    assert torch.equal(picked.class_logits[1], tokens.class_logits[1, [0, 11]])
    assert torch.equal(picked.dense_logits, tokens.dense_logits)


def test_a_phrase_unlike_all_concepts_is_absent_and_a_known_one_is_its_concept() -> None:
    scorer = PhraseScorer(6)
    scorer.to_concepts.weight.data.zero_()
    scorer.to_concepts.weight.data[7, 2] = 1.0
    semantics = torch.randn(1, 3, NUM_CONCEPTS)
    logits = scorer(semantics, torch.eye(6))
    assert torch.allclose(logits[..., 2], semantics[..., 7], atol=1e-5)
    assert torch.allclose(logits[..., 0], torch.full((1, 3), -6.0))


def test_dense_rows_follow_the_anchors() -> None:
    """Level by level, row by row, anchor by anchor: the same order as `make_anchors`."""
    head = DenseHead((4, 5), (3, 3))
    torch.nn.init.zeros_(head.deltas[0].weight)
    torch.nn.init.zeros_(head.deltas[0].bias)
    maps = [torch.zeros(1, 4, 2, 3), torch.zeros(1, 5, 1, 2)]
    features = head(maps)
    assert features.semantics.shape == (1, 2 * 3 * 3 + 2 * 6, NUM_CONCEPTS)
    corner = features.boxes_cxcywh[0, 3 * 5 : 3 * 6]  # last cell of the first map
    assert torch.allclose(corner[:, :2], torch.tensor([[2.5 / 3, 0.75]]).expand(3, -1))


def test_sine_embedding_tells_places_apart() -> None:
    places = torch.linspace(0, 1, 101).unsqueeze(-1)
    codes = sine_embedding(places, 16)
    assert codes.shape == (101, 16)
    distances = torch.cdist(codes, codes) + torch.eye(101) * 9
    assert distances.min() > 0.05


def test_phrases_are_unit_length_and_equal_alone_or_in_company(tiny_folder: Path) -> None:
    encoder = TextEncoder(str(tiny_folder / "bert")).eval()
    together = encoder.encode(("dog", "a very long phrase about a red cup"))
    assert torch.allclose(together.norm(dim=-1), torch.ones(2), atol=1e-5)
    assert torch.allclose(encoder.encode(("dog",))[0], together[0], atol=1e-5)
    assert encoder.embed(("dog", "dog")).shape == (2, encoder.width)


def test_phrases_are_forgotten_when_the_encoder_may_learn(tiny_folder: Path) -> None:
    encoder = TextEncoder(str(tiny_folder / "bert")).eval()
    before = encoder(("dog",))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(1.5)
    assert torch.equal(encoder(("dog",)), before)
    assert not torch.allclose(encoder.train().eval()(("dog",)), before, atol=1e-3)


def test_phrases_are_forgotten_when_the_encoder_moves(tiny_folder: Path) -> None:
    encoder = TextEncoder(str(tiny_folder / "bert")).eval()
    encoder(("dog",))
    assert encoder.double()(("dog", "cup")).dtype is torch.float64


def test_phrases_can_be_embedded_in_several_threads(tiny_folder: Path) -> None:
    encoder = TextEncoder(str(tiny_folder / "bert")).eval()
    phrases = [tuple(f"thing {thread} {number}"[: 4 + number] for number in range(20)) for thread in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(encoder, phrases))
    fresh = TextEncoder(str(tiny_folder / "bert")).eval()
    assert all(torch.allclose(rows, fresh(some), atol=1e-5) for rows, some in zip(found, phrases, strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"width": 30, "num_heads": 4}, "multiple of num_heads"), ({"location_bins": 64}, "odd number")],
)
def test_impossible_configurations_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(ModelConfig(), **changes)
