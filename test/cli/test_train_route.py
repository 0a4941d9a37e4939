"""`vision-llm train route`, its last touch and its export, with a tiny language model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
import torch

from vision_llm_ros.cli import main
from vision_llm_ros.cli.train_route import _readers
from vision_llm_ros.config import RouterConfig
from vision_llm_ros.language.utterances import utterances
from vision_llm_ros.model import weights
from vision_llm_ros.model.router_meaning import MeaningEncoder
from vision_llm_ros.training.route import build
from vision_llm_ros.training.route_fit import fit, look
from vision_llm_ros.training.route_run import best_threshold
from vision_llm_ros.training.run_log import read_log

SMALL = ("--llm-layers", "2", "--lora-rank", "2", "--hidden-width", "8", "--reader-width", "4", "--max-tokens", "400")


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_preset(tmp_path_factory.mktemp("tiny"))


def train(preset: Path, out: Path, *options: str) -> int:
    return main(
        [
            *("train", "route", "--out", str(out), "--preset", str(preset), "--quiet", "--device", "cpu"),
            *("--threads", "1", *SMALL, "--batch-size", "4", "--save-every", "2", "--fit-sentences", "12"),
            *("--fit-steps", "3", "--meaning-width", "24", "--meaning-steps", "3", "--meaning-batch", "10", *options),
        ]
    )


def test_a_run_is_resumed_exported_and_measured(
    preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_llm_ros.evaluation.paraphrasing.NEIGHBOURS_FROM", 20)
    monkeypatch.setattr("vision_llm_ros.training.route_run.CALIBRATED_ON", 6)
    run, served = tmp_path / "run", tmp_path / "weights"
    assert train(preset, run, "--steps", "4") == 0
    assert train(preset, run, "--steps", "4") == 1
    assert "already holds a run" in capsys.readouterr().err
    assert train(preset, run, "--steps", "4", "--resume") == 0
    assert len(read_log(run / "log.csv")) == 4 and len(read_log(run / "meaning" / "log.csv")) == 3
    assert main(["train", "export", str(run), "--out", str(served / "router")]) == 0
    manifest = weights.read_manifest(served / "router", RouterConfig)
    assert manifest.notes["steps"] == 4 and 0 <= manifest.config.threshold <= 1
    report = tmp_path / "report.json"
    options = ["--model", str(preset), "--weights", str(served), "--count", "12", "--no-similarity", "--quiet"]
    assert main(["eval", "route", *options, "--out", str(report)]) == 0
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["commands"]["sentences"] == 12 and told["asked"] <= 12
    assert 0 <= told["accuracy"] <= 1 and set(told["baselines"]) == {"grammar", "language model alone", "majority"}


def test_the_last_touch_learns_what_the_frozen_models_see(preset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = RouterConfig(llm_layers=2, lora_rank=2, word_width=16, reader_width=8, hidden_width=16, meaning_width=24)
    llm, encoder = _readers(str(preset), 2)
    router = build(config, llm).eval()
    llm.eval()
    looked = look(router, llm, MeaningEncoder(encoder, config), list(utterances("learnt", 40, 1)))
    opening = router.opening.clone()
    monkeypatch.setattr("vision_llm_ros.training.route_fit.BATCH", 24)
    first, last = fit(router, looked, 1), fit(router, looked, 80)
    assert last < 0.7 * first and torch.equal(opening, router.opening)


def test_the_threshold_serves_and_refuses_best() -> None:
    served = [(0.9, True, False), (0.6, True, False), (0.5, True, False), (0.2, False, False)]
    refused = [(0.8, True, True), (0.4, False, True), (0.3, False, True)]
    assert best_threshold(served + refused) == 0.5
    assert best_threshold(served) == 0.2


def test_sentences_are_drawn_without_end() -> None:
    assert len({item.text for item in utterances("learnt", 300, 7)}) > 280
