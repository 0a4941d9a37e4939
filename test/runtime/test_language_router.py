from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from miniature import tiny_config

from vision_llm_ros.config import RouterConfig, RuntimeConfig
from vision_llm_ros.errors import WeightsError
from vision_llm_ros.language.invocation import read
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.routing import RoutedParser
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import ADAPTER, Router, add_adapter, learned
from vision_llm_ros.model.router_meaning import MeaningEncoder
from vision_llm_ros.model.text import TextEncoder
from vision_llm_ros.runtime.engine import TorchEngine, load_further
from vision_llm_ros.runtime.router import MODULES, PART, load_router, parser_for

CONFIG = RouterConfig(
    llm_layers=2, lora_rank=2, word_width=8, reader_width=4, hidden_width=8, meaning_width=24, threshold=0.0
)
CPU = RuntimeConfig(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """Weights of a random router around the tiny language model."""
    folder = tmp_path_factory.mktemp("weights") / PART
    llm = LanguageModel(tiny_config(tiny_folder).llm, num_layers=2)
    add_adapter(llm, CONFIG)
    router = Router(CONFIG, llm.width)
    torch.manual_seed(6)
    ear = MeaningEncoder(TextEncoder(tiny_config(tiny_folder).text_encoder), CONFIG)
    for value in (learned(router, llm) | ear.learned()).values():
        value.data.normal_(std=0.2)
    weights.save(folder, CONFIG, learned(router, llm) | ear.learned(), (), {})
    return folder


def engine_of(model: VisionLLM, router: Path | None) -> TorchEngine:
    return TorchEngine(model, weights.Manifest(model.config, {}, ("detect",), {}), CPU, (), router)


def test_the_engine_brings_its_router_to_the_parser(tiny_model: VisionLLM, part: Path) -> None:
    grammar = CommandParser()
    assert isinstance(parser_for(engine_of(tiny_model, part), grammar).__self__, RoutedParser)  # type: ignore[attr-defined]
    assert parser_for(engine_of(tiny_model, None), grammar)("find every dog").classes == ("dog",)


def test_the_router_is_no_route(tiny_model: VisionLLM, part: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_further(part.parent, tiny_model, CPU) == []
    assert caplog.text == ""


def test_merged_and_unmerged_adapters_read_the_same(tiny_model: VisionLLM, part: Path) -> None:
    text = "rootle about until the mugs come to light"
    served = load_router(part, tiny_model.llm, tiny_model.text_encoder, CPU)
    llm = LanguageModel(tiny_model.config.llm, num_layers=2)
    add_adapter(llm, CONFIG)
    llm.eval()
    router = Router(CONFIG, llm.width).eval()
    ear = MeaningEncoder(tiny_model.text_encoder, CONFIG).eval()
    weights.fill(learned(router, llm) | ear.learned(), weights.load(part, MODULES), "")
    invocations, confidence = router.read(llm, text, ear)
    tags, sure = served.route(text)
    assert read(tags) == invocations and sure == pytest.approx(confidence, rel=1e-3)


def test_reading_leaves_the_engines_language_model_alone(tiny_model: VisionLLM, part: Path) -> None:
    router = load_router(part, tiny_model.llm, tiny_model.text_encoder, CPU)
    assert ADAPTER not in tiny_model.llm.depths
    expected = router.route("rootle about for mugs")
    given: list[tuple[str, float]] = []
    threads = [threading.Thread(target=lambda: given.append(router.route("rootle about for mugs"))) for _ in range(4)]
    with tiny_model.llm.using("detect"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tiny_model.llm._state[0] == "detect"
    assert given == [expected] * 4


def test_damaged_weights_are_named(tiny_model: VisionLLM, part: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"manifest\.json is missing"):
        load_router(tmp_path, tiny_model.llm, tiny_model.text_encoder, CPU)
