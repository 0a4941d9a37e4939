"""`vision-llm train refer` from end to end on generated pictures with a tiny network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

from vision_llm_ros.cli import main
from vision_llm_ros.config import MaskConfig
from vision_llm_ros.model import weights
from vision_llm_ros.training.refer_run import config_of
from vision_llm_ros.training.run_log import read_log

Train = Callable[..., int]
NETWORK = "--candidates 8 --width 16 --num-heads 2 --feedforward 24 --grid 8 --llm-layers 2 --lora-rank 2".split()


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> tiny.Shapes:
    return tiny.write_shapes(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_preset(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def start(preset: Path) -> Path:
    return tiny.write_weights(preset.parent / "weights", tiny.build_model(preset))


@pytest.fixture
def train(shapes: tiny.Shapes, preset: Path, start: Path) -> Train:
    def call(out: Path, *options: str) -> int:
        return main(
            [
                *("train", "refer", "--annotations", str(shapes.annotations), "--images", str(shapes.images)),
                *("--referring", str(shapes.referring), "--out", str(out), "--preset", str(preset)),
                *("--weights", str(start), "--quiet", "--device", "cpu", "--threads", "1", "--dtype", "float32"),
                *("--steps", "2", "--batch-size", "2", "--warmup-steps", "1", *NETWORK, *options),
            ]
        )

    return call


def test_two_stages_learn_and_the_export_is_a_part_of_the_weights(train: Train, start: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert train(first, "--stage", "1") == 0
    assert train(second, "--stage", "2", "--init", str(first)) == 0
    assert [row["step"] for row in read_log(second / "log.csv")] == ["1", "2"]
    assert main(["train", "export", str(second), "--out", str(tmp_path / "mask"), "--notes", "a test"]) == 0
    manifest = weights.read_manifest(tmp_path / "mask", MaskConfig)
    assert manifest.trained == ("segment",)
    assert manifest.notes["text"] == "a test"
    assert manifest.config == config_of(second)
    assert weights.verify(tmp_path / "mask") == []


def test_a_run_of_the_first_stage_cannot_be_exported(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "run", "--stage", "1") == 0
    assert main(["train", "export", str(tmp_path / "run"), "--out", str(tmp_path / "mask")]) != 0
    assert "train --stage 2 before the export" in capsys.readouterr().err


def test_a_run_is_not_overwritten_and_resumed_only_alike(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train(run, "--stage", "1") == 0
    assert train(run, "--stage", "1") != 0
    assert "add --resume" in capsys.readouterr().err
    assert train(run, "--stage", "1", "--resume", "--phrases", "2") != 0
    assert "was started with phrases=3, not 2" in capsys.readouterr().err
    assert json.loads((run / "settings.json").read_text(encoding="utf-8"))["system"] == "refer"
