from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from blips import CONFIG, stirred
from miniature import pictures
from torch import Tensor
from torch.nn import functional

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.interfaces import WHOLE_IMAGE, Box
from vision_llm_ros.model.blip import Blip, similarity
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.evidence import evidence, phrases
from vision_llm_ros.model.proposals import PhraseScorer
from vision_llm_ros.model.qformer import Mode, QFormer, Tokens, attention_mask, tokenize
from vision_llm_ros.model.qformer_image import ImageInput, Seen


@pytest.fixture(scope="module")
def blip(tiny_model: VisionLLM) -> Blip:
    torch.manual_seed(0)
    return stirred(Blip(CONFIG, tiny_model))


@pytest.fixture(scope="module")
def seen(tiny_model: VisionLLM, blip: Blip) -> Seen:
    return see(tiny_model, blip)


@torch.no_grad()
def see(model: VisionLLM, blip: Blip) -> Seen:
    pyramid = model.backbone(pictures(3))
    return blip.image.see(pyramid, model.tokenizer.dense(pyramid[1:]))


@pytest.fixture(scope="module")
def keys(blip: Blip, seen: Seen) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return blip.image(seen)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def text(blip: Blip) -> Tokens:
    return tokenize(blip.qformer.encoder, ["a dog", "two red cups", "a person"])


def states(blip: Blip, keys: tuple[Tensor, Tensor], text: Tokens, mode: Mode) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        queries, words = blip.qformer(*keys, text, mode)
    assert words is not None
    return queries, words


def changed(text: Tokens, place: int) -> Tokens:
    ids = text.ids.clone()
    ids[:, place] = (ids[:, place] + 7) % 40 + 5
    return replace(text, ids=ids)


def vectors(blip: Blip, seen: Seen, region: Box) -> Tensor:
    keys, visible = blip.image(seen, region)
    return blip.image_vectors(keys, visible, blip.scene(seen, visible))


def same(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first, second, atol=1e-5)


def test_the_unimodal_pass_does_not_depend_on_the_text(blip: Blip, keys: tuple[Tensor, Tensor], text: Tokens) -> None:
    alone, _ = blip.qformer(*keys)
    for each in (text, changed(text, 1)):
        assert same(alone, states(blip, keys, each, Mode.UNIMODAL)[0])


def test_text_alone_is_what_the_text_encoder_makes_of_it(blip: Blip, keys: tuple[Tensor, Tensor], text: Tokens) -> None:
    _, words = states(blip, keys, text, Mode.UNIMODAL)
    with torch.no_grad():
        own = blip.qformer.encoder.bert(input_ids=text.ids, attention_mask=text.real.long()).last_hidden_state
    assert same(words[text.real], own[text.real])


def test_in_the_causal_pass_text_sees_no_later_text_and_queries_see_none(
    blip: Blip, keys: tuple[Tensor, Tensor], text: Tokens
) -> None:
    queries, words = states(blip, keys, text, Mode.CAUSAL)
    other_queries, other_words = states(blip, keys, changed(text, 3), Mode.CAUSAL)
    assert same(queries, other_queries)
    assert same(words[:, :3], other_words[:, :3])
    assert not same(words[:, 3:], other_words[:, 3:])


def test_in_the_causal_pass_text_sees_the_picture(blip: Blip, keys: tuple[Tensor, Tensor], text: Tokens) -> None:
    _, words = states(blip, keys, text, Mode.CAUSAL)
    _, others = states(blip, (keys[0].flip(0), keys[1]), text, Mode.CAUSAL)
    assert not same(words, others)


def test_in_the_bidirectional_pass_queries_and_text_see_each_other(
    blip: Blip, keys: tuple[Tensor, Tensor], text: Tokens
) -> None:
    queries, words = states(blip, keys, text, Mode.BIDIRECTIONAL)
    assert not same(queries, states(blip, keys, changed(text, 2), Mode.BIDIRECTIONAL)[0])
    assert not same(words, states(blip, (keys[0].flip(0), keys[1]), text, Mode.BIDIRECTIONAL)[1])


def test_masks_are_those_of_the_table() -> None:
    real = torch.ones(1, 2, dtype=torch.bool)
    tables = {
        Mode.UNIMODAL: [[1, 0, 0], [0, 1, 1], [0, 1, 1]],
        Mode.BIDIRECTIONAL: [[1, 1, 1]] * 3,
        Mode.CAUSAL: [[1, 0, 0], [1, 1, 0], [1, 1, 1]],
    }
    for mode, table in tables.items():
        assert attention_mask(mode, 1, real)[0].int().tolist() == table


def test_padding_changes_nothing(blip: Blip, keys: tuple[Tensor, Tensor], text: Tokens) -> None:
    pad = torch.zeros(3, 2, dtype=torch.long)
    vectors = torch.cat([text.vectors, torch.zeros(3, 2, text.vectors.shape[2])], 1)
    longer = Tokens(torch.cat([text.ids, pad], 1), torch.cat([text.real, pad.bool()], 1), vectors)
    for mode in Mode:
        queries, words = states(blip, keys, text, mode)
        padded_queries, padded_words = states(blip, keys, longer, mode)
        assert same(queries, padded_queries)
        assert same(words[text.real], padded_words[:, : text.ids.shape[1]][text.real])


@pytest.fixture
def sentences(blip: Blip) -> Tensor:
    torch.manual_seed(1)
    return functional.normalize(torch.randn(3, CONFIG.match_width), dim=-1)


@torch.no_grad()
def test_batched_pictures_match_single_ones(blip: Blip, seen: Seen, text: Tokens, sentences: Tensor) -> None:
    whole = blip.fit_logits(blip.look(seen), text, sentences)
    for row in range(3):
        only = torch.tensor([row])
        assert same(blip.fit_logits(blip.look(seen[only]), text[only], sentences[only]), whole[only])


@torch.no_grad()
def test_matching_logits_are_the_mean_over_the_queries_and_what_itc_knows(
    blip: Blip, seen: Seen, text: Tokens, sentences: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, found = blip.look(seen), []
    forward = blip.qformer.forward
    monkeypatch.setattr(blip.qformer, "forward", lambda *a, **k: found.append(forward(*a, **k)) or found[-1])
    logits = blip.fit_logits(look, text, sentences)
    ((queries, _),) = found
    assert queries.shape[1] == CONFIG.fit_queries
    each = torch.stack([blip.pair.fits(queries[:, place]) for place in range(CONFIG.fit_queries)])
    start = blip.pair.start(look.vectors, sentences)
    assert same(logits, each.mean(0) + torch.stack([-start / 2, start / 2], 1))


@torch.no_grad()
def test_matching_starts_from_the_cosine_and_what_is_typical(tiny_model: VisionLLM, seen: Seen, text: Tokens) -> None:
    """A new head: queries add nothing, a sentence near to every remembered picture counts for less."""
    torch.manual_seed(0)
    fresh = Blip(CONFIG, tiny_model).eval()
    look = fresh.look(seen)
    sentences = look.vectors[:, 0]
    logits = fresh.fit_logits(look, text, sentences)
    assert same(logits[:, 1] - logits[:, 0], fresh.pair.start(look.vectors, sentences))
    before = fresh.pair.start(look.vectors, sentences)
    fresh.pair.pictures[0] = sentences[1]
    after = fresh.pair.start(look.vectors, sentences)
    assert after[1] < before[1]
    assert before[1] - after[1] == (before - after).max()


def test_matching_learns_from_the_picture_and_from_the_text(
    tiny_model: VisionLLM, seen: Seen, text: Tokens, sentences: Tensor
) -> None:
    """Gradients of a new head reach the cross-attention and what words carry, once the verdict has moved."""
    torch.manual_seed(0)
    fresh = Blip(CONFIG, tiny_model)
    torch.nn.init.normal_(fresh.pair.fits.weight)
    fresh.fit_logits(fresh.look(seen), text, sentences)[:, 1].sum().backward()
    first = fresh.qformer.layers[0]
    for learnt in (fresh.pair.told.values.weight, first.cross.output.dense.weight, fresh.pair.queries):
        assert learnt.grad is not None and learnt.grad.abs().sum() > 0


@torch.no_grad()
def test_words_carry_what_the_picture_shows_of_them(blip: Blip, seen: Seen) -> None:
    """The second concept is a bicycle: shown once, at the left; nothing else is."""
    semantics = torch.full_like(seen.semantics, -9.0)
    semantics[:, 2, 1] = 4.0
    boxes = seen.boxes_cxcywh.clone()
    boxes[:, 2] = torch.tensor([0.1, 0.5, 0.2, 0.2])
    shown = replace(seen, semantics=semantics, boxes_cxcywh=boxes)
    concepts = torch.eye(80, blip.qformer.width)
    scorer = PhraseScorer(blip.qformer.width)
    scorer.to_concepts.weight.copy_(concepts)
    vectors = torch.stack([concepts[1], concepts[2], torch.zeros(blip.qformer.width)]).expand(3, -1, -1)
    visible = torch.ones(3, seen.cells.flatten(1, 2).shape[1] + 5, dtype=torch.bool)
    bicycle, car, nothing = evidence(scorer, shown, visible, vectors)[0]
    assert bicycle[0] == car[0] == 1
    assert bicycle[1] > 0.9 and car[1] < -0.9
    assert bicycle[2:9].argmax() == 1 and car[2:9].argmax() == 0
    assert bicycle[9] == pytest.approx(-0.8, abs=0.02) and car[9] == 0
    assert not nothing.any()
    visible[:, -3] = False
    assert evidence(scorer, shown, visible, vectors)[0, 0, 1] < -0.9


def test_words_name_classes_by_plural_synonym_and_in_two() -> None:
    assert phrases("how many traffic lights".split()) == ["how", "many", "traffic light", "traffic light"]
    assert phrases("people on a sofa".split()) == ["person", "on", "a", "couch"]


def test_every_token_of_a_word_carries_what_the_word_names(tiny_model: VisionLLM, blip: Blip) -> None:
    text = tokenize(tiny_model.text_encoder, ["two dogs"])
    (vector,) = tiny_model.text_encoder(("dog",))
    assert same(text.vectors[0, 0], torch.zeros_like(vector))
    assert any(same(each, vector) for each in text.vectors[0])


def test_similarity_is_that_of_the_best_query() -> None:
    images = torch.eye(3).unsqueeze(0)
    texts = torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])
    assert torch.allclose(similarity(images, texts), torch.tensor([[0.8, 0.0]]))


def test_the_instruction_changes_the_prompt_only_where_the_queries_read_it(
    tiny_model: VisionLLM, blip: Blip, seen: Seen, text: Tokens
) -> None:
    deaf = Blip(replace(CONFIG, text_input=False), tiny_model)
    deaf.load_state_dict(blip.state_dict())
    for reader, differs in ((blip, True), (deaf.eval(), False)):
        keys = reader.image(seen)
        first, second = (reader.soft_prompt(seen, *keys, each) for each in (text, changed(text, 2)))
        assert same(first, second) is not differs


def test_what_is_outside_the_region_changes_nothing(blip: Blip, seen: Seen) -> None:
    region = (0.0, 0.0, 0.5, 1.0)
    cells = seen.cells.clone()
    cells[:, :, -1] += 3
    for box, differs in ((region, False), (WHOLE_IMAGE, True)):
        first, second = (vectors(blip, s, box) for s in (seen, replace(seen, cells=cells)))
        assert same(first, second) is not differs


def test_a_region_without_any_centre_shows_the_nearest_cell(blip: Blip, seen: Seen) -> None:
    _, visible = blip.image(replace(seen, boxes_cxcywh=torch.ones(3, 5, 4)), (0.01, 0.01, 0.02, 0.02))
    assert visible.sum(1).tolist() == [1, 1, 1]
    assert visible[:, 0].all()


def test_a_mirrored_picture_is_the_grid_from_the_right(seen: Seen) -> None:
    twice = seen.mirrored().mirrored()
    assert torch.equal(twice.cells, seen.cells)
    assert torch.allclose(twice.boxes_cxcywh, seen.boxes_cxcywh)
    assert torch.equal(seen.mirrored().cells[:, :, 0], seen.cells[:, :, -1])


def test_the_reduction_decorrelates(blip: Blip) -> None:
    image = ImageInput(CONFIG, (8, 20, 30))
    torch.manual_seed(0)
    samples = torch.randn(400, 50) @ torch.randn(50, 50) + 3
    assert 0.3 < image.fit(samples) < 1
    found = image.reduce(samples)
    assert torch.allclose(found.mean(0), torch.zeros(16), atol=1e-3)
    assert torch.allclose(torch.cov(found.T), torch.eye(16), atol=1e-2)


def test_the_layers_equal_the_published_ones(tiny_model: VisionLLM) -> None:
    """With the queries' change at zero, our layers are those of transformers' Q-Former with the same weights."""
    from transformers import Blip2QFormerConfig
    from transformers.models.blip_2.modeling_blip_2 import Blip2QFormerModel

    bert = tiny_model.text_encoder.bert
    sizes = bert.config
    torch.manual_seed(0)
    ours = QFormer(replace(CONFIG, num_layers=sizes.num_hidden_layers), tiny_model.text_encoder).eval()
    theirs = Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=sizes.hidden_size,
            num_hidden_layers=sizes.num_hidden_layers,
            num_attention_heads=sizes.num_attention_heads,
            intermediate_size=CONFIG.feedforward,
            encoder_hidden_size=CONFIG.image_width,
            layer_norm_eps=sizes.layer_norm_eps,
            attn_implementation="eager",
        )
    ).eval()
    for own, shared, other in zip(ours.layers, bert.encoder.layer, theirs.encoder.layer, strict=True):
        other.attention.attention.load_state_dict(shared.attention.self.state_dict())
        other.attention.output.load_state_dict(shared.attention.output.state_dict())
        other.intermediate_query.load_state_dict(own.widen.state_dict())
        other.output_query.load_state_dict(own.narrow.state_dict())
        if own.cross is not None:
            other.crossattention.load_state_dict(own.cross.state_dict())
    theirs.layernorm.load_state_dict(ours.norm.state_dict())
    features = torch.randn(2, 9, CONFIG.image_width)
    with torch.no_grad():
        found, _ = ours(features, torch.ones(2, 9, dtype=torch.bool))
        wanted = theirs(query_embeds=ours.queries.unsqueeze(0), encoder_hidden_states=features).last_hidden_state
    assert same(found, wanted)


def test_the_shared_text_encoder_is_no_part_of_it(blip: Blip) -> None:
    assert not any("bert" in name for name in blip.state_dict())


def test_more_layers_than_the_text_encoder_has_are_refused(tiny_model: VisionLLM) -> None:
    with pytest.raises(ConfigError, match="the text encoder has 2 layers, not 3"):
        QFormer(replace(CONFIG, num_layers=3), tiny_model.text_encoder)
