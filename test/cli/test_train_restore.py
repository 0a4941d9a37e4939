from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from miniature import tiny_config

from vision_llm_ros.cli import main
from vision_llm_ros.model import weights

NETWORK = {
    "tile-px": 16,
    "patch-px": 4,
    "overlap-px": 4,
    "width": 40,
    "num-heads": 4,
    "feedforward": 32,
    "detail-width": 4,
    "estimator-width": 4,
    "llm-layers": 2,
}


@pytest.fixture
def command(tiny_folder: Path, tmp_path: Path) -> list[str]:
    """Everything but the stage."""
    preset = tmp_path / "tiny.yaml"
    preset.write_text(yaml.safe_dump(asdict(tiny_config(tiny_folder))), encoding="utf-8")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        cv2.imwrite(str(pictures / f"{index}.png"), cv2.resize(coarse, (60, 60), interpolation=cv2.INTER_CUBIC))
    options = [f"--{name}={value}" for name, value in NETWORK.items()]
    loop = ["--steps=2", "--batch-size=3", "--size-px=48", "--held-out=0", "--start-tiles=16", "--threads=1", "--quiet"]
    places = ["--photographs", str(pictures), "--out", str(tmp_path / "run"), "--preset", str(preset)]
    return ["train", "restore", *places, *options, *loop, "--device=cpu"]


def test_every_stage_learns_and_the_run_is_exported(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--stage=language"]) != 0
    assert "builds on stage autoencoder" in capsys.readouterr().err
    for stage in ("masked", "autoencoder", "detail", "estimator", "language", "readout", "blend"):
        assert main([*command, f"--stage={stage}"]) == 0, stage
    assert main([*command, "--stage=detail"]) != 0
    assert "already holds stage detail; add --resume" in capsys.readouterr().err
    out = tmp_path / "weights"
    assert main(["train", "export", str(tmp_path / "run"), "--out", str(out)]) == 0
    assert weights.verify(out) == []
    assert weights.read_any_manifest(out).trained == ("restore",)

    report = tmp_path / "arms.json"
    shared = ["--photographs", str(tmp_path / "pictures"), "--preset", str(tmp_path / "tiny.yaml"), "--device=cpu"]
    few = ["--llm-layers=2", "--steps=1", "--batch-size=2", "--start-tiles=16", "--tiles=2"]
    ask = ["ablate-restore", *shared, "--weights", str(out), *few, "--arms=mlp,llm,aligned", "--out", str(report)]
    assert main(ask) == 0
    assert "| aligned |" in report.with_suffix(".md").read_text(encoding="utf-8")
