from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from fakes import FakeEngine

from vision_llm_ros.config import RestoreConfig, RuntimeConfig
from vision_llm_ros.evaluation.bench_restoring import restoring_latency
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.restorer import Restorer
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.restore_route import RestoreRoute

FRAMES = [np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)] * 2
CONFIG = RestoreConfig(width=40, num_heads=4, feedforward=32, detail_width=4, estimator_width=4, llm_layers=1)


@pytest.mark.parametrize("taught", [True, False])
def test_every_path_that_has_learnt_is_timed_and_the_route_left_as_it_was(tiny_model: VisionLLM, taught: bool) -> None:
    model = copy.deepcopy(tiny_model)
    torch.manual_seed(0)
    route = RestoreRoute(model, Restorer(CONFIG, model.llm.width), "abc", "auto", taught)
    manifest = weights.Manifest(model.config, {"tokenizer.safetensors": "0" * 64}, ("detect",), {})
    engine = TorchEngine(model, manifest, RuntimeConfig(device="cpu", dtype="float32", threads=1), [route])
    found = restoring_latency(engine, FRAMES, lambda items, _: items)
    assert list(found) == (["residual", "language"] if taught else ["residual"])
    assert all(0 < values["p50_ms"] <= values["p95_ms"] for values in found.values())
    if taught:  # 13 x 10 tiles of 16 tokens
        assert found["language"]["visual_tokens"] == 13 * 10 * 16
        assert found["language"]["tokens_per_s"] > 0
    assert route.path == "auto"


def test_a_model_that_does_not_restore_has_no_entry() -> None:
    assert restoring_latency(FakeEngine(), FRAMES, lambda items, _: items) == {}
