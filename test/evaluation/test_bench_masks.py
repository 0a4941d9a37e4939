from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from fakes import FakeEngine
from torch import nn

from vision_llm_ros.config import MaskConfig, ModelConfig, RuntimeConfig
from vision_llm_ros.evaluation import bench_masks
from vision_llm_ros.evaluation.bench_masks import decoder_cost, pixel_decoder_flop, referring_latency, sentences
from vision_llm_ros.interfaces import Task
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.pixel_lm import PixelLM
from vision_llm_ros.model.weights import Manifest
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.mask_route import MaskRoute

FRAMES = [np.full((48, 64, 3), level, np.uint8) for level in (40, 90, 140)]
RUNTIME = RuntimeConfig(device="cpu", dtype="float32", threads=1, score_threshold=0.0)
SMALL = MaskConfig(width=16, num_heads=2, feedforward=24, llm_layers=2, candidates=5, grid=8)


def engine_of(tiny_model: VisionLLM, mask: MaskConfig | None = None) -> TorchEngine:
    model = copy.deepcopy(tiny_model)
    torch.manual_seed(0)
    routes = [] if mask is None else [MaskRoute(model, PixelLM(mask, model).eval(), "0" * 12, RUNTIME)]
    manifest: Manifest[ModelConfig] = Manifest(model.config, {"tokenizer.safetensors": "0" * 64}, ("detect",), {})
    return TorchEngine(model, manifest, RUNTIME, routes)


def test_sentences_do_not_repeat_soon() -> None:
    first = [sentence for sentence, _ in zip(sentences(("cup", "dog")), range(12), strict=False)]
    assert len(set(first)) == 12
    assert {"the cup on the left", "every dog"} <= set(first)


def test_latency_tells_new_words_from_known_ones(tiny_model: VisionLLM) -> None:
    found = referring_latency(engine_of(tiny_model, SMALL), FRAMES, ("cup", "dog"), lambda items, _: items)
    assert found is not None
    assert 0 < found["p50_ms"] <= found["p95_ms"]
    assert found["new_p50_ms"] > 0
    assert {"prepare", "backbone", "decide"} <= found["stages"].keys()


def test_every_frame_has_a_sentence_of_its_own_asked_twice() -> None:
    engine = FakeEngine()
    found = referring_latency(engine, FRAMES, ("cup",), lambda items, _: items)
    asked = [specs[0].phrase for _, specs in engine.calls[1:]]
    assert asked[0::2] == asked[1::2]
    assert len(set(asked)) == 3
    assert found is not None and found["masks"] == 1.0


def test_a_model_without_masks_is_not_measured(tiny_model: VisionLLM) -> None:
    engine = engine_of(tiny_model)
    assert referring_latency(engine, FRAMES, ("cup",), lambda items, _: items) is None
    assert decoder_cost(engine) is None
    assert decoder_cost(FakeEngine()) is None


def test_decoder_is_compared_with_sam_by_the_number_of_targets(
    tiny_model: VisionLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_masks, "sam_encoder_flop", lambda: 10**12)
    cost = decoder_cost(engine_of(tiny_model, SMALL))
    assert cost is not None
    assert cost["sam_gflop"] == 1000
    assert 0 < cost["percent"]["1"] < cost["percent"]["4"] < cost["percent"]["34"] < 5
    assert cost["percent"]["4"] == pytest.approx(cost["gflop"]["4"] / 10, abs=0.01)


def test_every_further_target_costs_the_same_and_none_of_the_maps(tiny_model: VisionLLM) -> None:
    engine = engine_of(tiny_model, SMALL)
    route = engine.route(Task.SEGMENT)
    assert isinstance(route, MaskRoute)
    pyramid = [torch.zeros(1, channels, 12, 12) for channels in engine.model.backbone.channels]
    one, two, three = (pixel_decoder_flop(route.network, number, pyramid) for number in (1, 2, 3))
    assert three - two == two - one > 0
    necks = sum(
        2 * layer.weight.numel() * 12 * 12
        for layer in route.network.decoder.necks.modules()
        if isinstance(layer, nn.Conv2d)
    )
    once = one - (two - one)
    assert necks <= once < 1.05 * necks  # the rest embeds the places of the cells


def test_the_published_sam_encoder_is_counted() -> None:
    """486 billion multiply-adds, two operations each: twelve layers over 64 x 64 patches, four of them with global
    attention."""
    assert bench_masks.sam_encoder_flop() / 1e9 == pytest.approx(972, rel=0.01)
