from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vision_llm_ros.cli.ablate_restore import ARMS as OFFERED
from vision_llm_ros.config import RestoreConfig, RestoreTrainConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.evaluation.arms import RESTORE_ARMS as ARMS
from vision_llm_ros.evaluation.restore_arms import Ground, compare, markdown
from vision_llm_ros.model.autoencoder import MaskedAutoencoder, patchify
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.training.restore_data import Photographs
from vision_llm_ros.training.restore_experts import Expert, MLPExpert, TransformerExpert

CONFIG = RestoreConfig(
    tile_px=16, patch_px=4, overlap_px=4, width=40, num_heads=4, feedforward=32, task_tokens=3, llm_layers=2
)
TRAIN = RestoreTrainConfig(stage="language", steps=3, batch_size=4, size_px=48, save_every=3, warmup_steps=1)


def nothing(title: str, steps: int):  # type: ignore[no-untyped-def]
    return lambda step, parts: None


@pytest.fixture
def ground(tiny_folder: Path, tmp_path: Path) -> Ground:
    rng = np.random.default_rng(0)
    for index in range(6):
        coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_CUBIC))
    paths = sorted(tmp_path.glob("*.png"))
    torch.manual_seed(0)
    visual = MaskedAutoencoder(CONFIG).eval()
    learnt, kept = (Photographs(paths, TRAIN.size_px, 0.34, back) for back in (False, True))
    visual.start_from(patchify(learnt.tiles(20, CONFIG.tile_px, rng), CONFIG.patch_px).flatten(0, 1))
    return Ground(
        CONFIG,
        TRAIN,
        visual,
        learnt,
        kept,
        lambda: LanguageModel(str(tiny_folder / "llama"), "", 2).eval(),
        tmp_path / "runs",
        torch.device("cpu"),
        start_tiles=16,
        tiles=5,
    )


def test_every_arm_learns_is_measured_and_has_its_row(ground: Ground) -> None:
    report = compare(ground, ("denoise",), tuple(ARMS), nothing)
    rows = {row["name"]: row for row in report["tasks"][0]["arms"]}
    assert tuple(rows) == tuple(ARMS) == OFFERED
    assert rows["reconstruction"]["gain"] == 0
    assert all(np.isfinite(row["psnr"]) for row in rows.values())
    assert all(low <= rows[name]["gain"] <= high for name in rows for low, high in [rows[name]["gain_ci95"]])
    table = markdown(report)
    assert all(f"| {name} |" in table for name in ARMS)


def test_experts_are_of_the_size_asked_for() -> None:
    linear, size = sum(p.numel() for p in Expert(208).parameters()), 250_000
    for expert in (MLPExpert(208, size), TransformerExpert(208, size, 8)):
        assert abs(sum(p.numel() for p in expert.parameters()) - linear - size) < 0.02 * size
        tokens = torch.rand(2, 16, 208)
        assert torch.allclose(expert(tokens, torch.tensor([0.2, 0.9])), tokens)


def test_a_finished_arm_is_not_learnt_again(ground: Ground) -> None:
    first = compare(ground, ("flip",), ("linear",), nothing)
    steps: list[int] = []
    again = compare(ground, ("flip",), ("linear",), lambda title, number: lambda step, parts: steps.append(step))
    assert again["tasks"] == first["tasks"]
    assert not steps


def test_an_aligned_branch_starts_from_the_best_linear_map(ground: Ground) -> None:
    still = replace(ground, train=replace(TRAIN, steps=1, learning_rate=0.0), expert_rate=0.0, start_tiles=400)
    aligned, linear = compare(still, ("denoise",), ("aligned", "linear"), nothing)["tasks"][0]["arms"]
    assert aligned["gain"] > linear["gain"] - 0.05
    assert linear["gain"] > 0


def test_an_unknown_arm_or_task_is_named(ground: Ground) -> None:
    with pytest.raises(ConfigError, match="got 'magic'"):
        compare(ground, ("denoise",), ("magic",), nothing)
    with pytest.raises(ConfigError, match="got 'dream'"):
        compare(ground, ("dream",), ("linear",), nothing)
