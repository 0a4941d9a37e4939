from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from captions import build_decoder, tokenize, write_captions

from vision_llm_ros.config import DecoderTextTrainConfig
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.text_decoder import TextDecoder
from vision_llm_ros.training.text_data import TextData
from vision_llm_ros.training.text_head import HeadTrainer, Kept, keep_states

Case = tuple[VisionLLM, TextDecoder, TextData, list[Kept]]
SETTINGS = DecoderTextTrainConfig(head_steps=30, head_batch=4, learning_rate=0.01, warmup_steps=1, smoothing=0.0)


@pytest.fixture(scope="module")
def case(tiny_model: VisionLLM, tmp_path_factory: pytest.TempPathFactory) -> Case:
    model = copy.deepcopy(tiny_model)
    shapes = tiny.write_shapes(tmp_path_factory.mktemp("head"), 4)
    decoder = build_decoder(model)
    end = len(decoder.bias) - 1
    captions = write_captions(shapes)
    data = TextData(
        model.config,
        captions,
        shapes.images,
        None,
        lambda text: tokenize(model, text),
        lambda pixels: decoder.see(model, model.backbone(pixels)),
        end,
    )
    decoder.list_tokens(data.counts(end))
    done: list[int] = []
    kept = keep_states(model, decoder, data, done.append)
    assert sum(done) == len(kept) == 4
    return model, decoder, data, kept


def test_kept_states_cost_what_the_whole_network_costs(case: Case) -> None:
    model, decoder, data, kept = case
    batch = data.captions_of(data.described[2:3])
    with torch.no_grad():
        whole = decoder(model.llm, batch.seen, batch.asked, batch.texts, batch.wanted)
        merged = decoder.merged(batch.seen).expand(len(kept[2].wanted), -1)
        alone = decoder.cost(model.llm, kept[2].states.float(), merged, kept[2].wanted, 0.0)
    assert float(alone) == pytest.approx(float(whole), rel=5e-3)


def test_the_head_learns_and_the_language_model_rests(case: Case, tmp_path: Path) -> None:
    model, decoder, _, kept = case
    decoder = copy.deepcopy(decoder)
    before = {key: value.clone() for key, value in decoder.learned(model.llm).items()}
    trainer = HeadTrainer(model, decoder, kept, SETTINGS, tmp_path)
    losses: list[float] = []
    trainer.run(lambda step, parts: losses.append(parts["words"]))
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    changed = {key for key, value in decoder.learned(model.llm).items() if not torch.equal(value, before[key])}
    assert changed == {key for key in before if key.split(".")[1] in ("scene", "gist", "read", "head", "bias")}


def test_what_a_picture_shows_as_a_whole_changes_the_words(case: Case) -> None:
    _, decoder, data, _ = case
    first, second = (data.captions_of([picture]).seen for picture in data.described[:2])
    assert not torch.allclose(decoder.merged(first), decoder.merged(second), atol=1e-4)
    other = replace(first, geometry=second.geometry)
    assert torch.equal(decoder.merged(first), decoder.merged(other))
