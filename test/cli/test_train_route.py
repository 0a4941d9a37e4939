"""`vision-llm train route`, its last touch and its export, with a tiny language model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
import torch

from vision_llm_ros.cli import main
from vision_llm_ros.config import RouterConfig, load_model_config
from vision_llm_ros.language.utterances import utterances
from vision_llm_ros.model import weights
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.training.route import build
from vision_llm_ros.training.route_fit import Decided, fit
from vision_llm_ros.training.route_run import least_threshold
from vision_llm_ros.training.run_log import read_log

SMALL = ("--llm-layers", "2", "--lora-rank", "2", "--hidden-width", "8", "--max-tokens", "400")


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_preset(tmp_path_factory.mktemp("tiny"))


def train(preset: Path, out: Path, *options: str) -> int:
    return main(
        [
            *("train", "route", "--out", str(out), "--preset", str(preset), "--quiet", "--device", "cpu"),
            *("--threads", "1", *SMALL, "--batch-size", "4", "--save-every", "2", "--fit-sentences", "12"),
            *("--fit-steps", "3", "--meaning-width", "24", *options),
        ]
    )


def test_a_run_is_resumed_exported_and_measured(
    preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_llm_ros.evaluation.paraphrasing.NEIGHBOURS_FROM", 20)
    run, served = tmp_path / "run", tmp_path / "weights"
    assert train(preset, run, "--steps", "4") == 0
    assert train(preset, run, "--steps", "4") == 1
    assert "already holds a run" in capsys.readouterr().err
    assert train(preset, run, "--steps", "4", "--resume") == 0
    assert len(read_log(run / "log.csv")) == 4
    assert main(["train", "export", str(run), "--out", str(served / "router")]) == 0
    manifest = weights.read_manifest(served / "router", RouterConfig)
    assert manifest.notes["steps"] == 4 and 0 < manifest.config.threshold <= 1
    report = tmp_path / "report.json"
    options = ["--model", str(preset), "--weights", str(served), "--count", "12", "--no-similarity", "--quiet"]
    assert main(["eval", "route", *options, "--out", str(report)]) == 0
    told = json.loads(report.read_text(encoding="utf-8"))
    assert 0 <= told["accuracy"] <= 1 and set(told["baselines"]) == {"grammar", "language model alone", "majority"}


def test_the_last_touch_learns_from_both_views(preset: Path) -> None:
    torch.manual_seed(0)
    config = RouterConfig(llm_layers=2, lora_rank=2, hidden_width=16, meaning_width=8)
    router = build(config, LanguageModel(load_model_config(preset).llm, num_layers=2)).eval()
    modules = torch.arange(300) % 4
    means, meaning = torch.randn(300, router.seen.in_features) * 0.1, torch.nn.functional.one_hot(modules, 8).float()
    first = fit(router, Decided(means, meaning, modules), 1)
    last = fit(router, Decided(means, meaning, modules), 150)
    assert last < first / 2
    assert (router.modules_of(means, meaning).argmax(-1) == modules).float().mean() > 0.95


def test_the_threshold_is_the_least_above_which_enough_is_right() -> None:
    read = [(0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.2, False)]
    assert least_threshold(read, 0.75) == 0.6
    assert least_threshold(read, 1.0) == 0.8
    assert least_threshold([(0.9, False)], 0.5) == 1.0


def test_sentences_are_drawn_without_end() -> None:
    assert len({item.text for item in utterances("learnt", 300, 7)}) > 280
