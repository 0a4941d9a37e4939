from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from captions import write_captions
from tiny import Shapes, build_model, write_preset, write_shapes, write_weights

from vision_llm_ros.cli import main
from vision_llm_ros.config import QFormerConfig
from vision_llm_ros.model import weights
from vision_llm_ros.training.start import read_checkpoint

NETWORK = ["--num-queries", "4", "--num-layers", "2", "--image-width", "16", "--feedforward", "20"]
NETWORK += ["--num-objects", "5", "--match-width", "12", "--delta-rank", "2"]
SHORT = ["--steps", "2", "--save-every", "1", "--warmup-steps", "1", "--quiet"]


@dataclass(frozen=True)
class Place:
    """A tiny preset with untrained weights, and captioned shapes."""

    root: Path
    preset: Path
    shapes: Shapes
    captions: Path

    def data(self, out: str) -> list[str]:
        return [
            *("--captions", str(self.captions), "--images", str(self.shapes.images), "--preset", str(self.preset)),
            *("--weights", str(self.root / "weights"), "--features", str(self.root / "features")),
            *("--out", str(self.root / out)),
        ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("blip")
    preset = write_preset(root)
    write_weights(root / "weights", build_model(preset))
    shapes = write_shapes(root / "shapes")
    return Place(root, preset, shapes, write_captions(shapes))


@pytest.fixture(scope="module")
def aligned(place: Place) -> Path:
    assert main(["train", "align", *place.data("align"), *NETWORK, *SHORT, "--batch-size", "4"]) == 0
    return place.root / "align"


@pytest.fixture(scope="module")
def captioned(place: Place, aligned: Path) -> Path:
    assert main(["train", "caption", *place.data("caption"), *SHORT, "--init", str(aligned)]) == 0
    return place.root / "caption"


def test_align_logs_its_three_losses(aligned: Path) -> None:
    header, first, *_ = (aligned / "log.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert all(float(row[name]) > 0 for name in ("itc", "itm", "itg"))


def test_match_learns_itm_alone_and_is_calibrated(place: Place, aligned: Path) -> None:
    options = ["--init", str(aligned), "--held-out", "4", "--quiet", "--steps", "2", "--batch-size", "4"]
    assert main(["train", "match", *place.data("match"), *options]) == 0
    before = read_checkpoint(aligned)["average"]
    after = read_checkpoint(place.root / "match")["average"]
    changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
    assert changed and all(key.startswith("pair.") for key in changed)
    assert {"pair.pictures", "pair.sentences"} <= changed
    values = json.loads((place.root / "match" / "calibrated.json").read_text())
    assert values["match_similarity"] == 0 and values["match_fit"] >= 0
    out = place.root / "matching"
    assert main(["train", "export", str(place.root / "match"), "--out", str(out)]) == 0
    assert weights.read_manifest(out, QFormerConfig).trained == ("match",)


def test_match_without_a_run_to_start_from_says_so(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "match", *place.data("none"), "--steps", "2"]) == 1
    assert "train match starts from an earlier stage; name its run: --init RUN" in capsys.readouterr().err


def test_caption_learns_the_soft_prompt_alone(aligned: Path, captioned: Path) -> None:
    before, after = read_checkpoint(aligned)["average"], read_checkpoint(captioned)["model"]
    changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
    parts = ("queries", "project.weight", "project.bias", "told.values.weight")
    assert changed == {f"teller.{part}" for part in parts}


def test_instruct_learns_captions_and_answers(
    place: Place, captioned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--annotations", str(place.shapes.annotations), "--init", str(captioned)]
    options += ["--answer-steps", "2", "--answer-questions", "70"]
    assert main(["train", "instruct", *place.data("instruct"), *options, *SHORT, "--steps", "6"]) == 0
    assert read_checkpoint(place.root / "instruct" / "answers")["step"] == 2
    rows = (place.root / "instruct" / "log.csv").read_text().splitlines()[1:]
    assert {row.split(",")[1] for row in rows} == {"answer", "caption"}
    out = place.root / "exported"
    assert main(["train", "export", str(place.root / "instruct"), "--out", str(out)]) == 0
    manifest = weights.read_manifest(out, QFormerConfig)
    assert manifest.trained == ("answer", "caption", "match")
    assert not weights.verify(out)
    assert not (out / "writer.safetensors").exists()


def test_a_run_is_not_overwritten_and_goes_on_with_resume(
    place: Place, aligned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["train", "align", *place.data("align"), *NETWORK, *SHORT, "--batch-size", "4"]
    assert main(again) == 1
    assert "already holds a run; add --resume" in capsys.readouterr().err
    assert main([*again, "--resume", "--steps", "3"]) == 1
    assert "was started with steps=2, not 3" in capsys.readouterr().err
    assert main([*again, "--resume"]) == 0


def test_caption_without_a_run_to_start_from_says_so(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "caption", *place.data("none"), *SHORT]) == 1
    assert "train caption starts from an earlier stage; name its run: --init RUN" in capsys.readouterr().err


def test_a_run_of_something_else_is_no_start(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"system": "text"}))
    assert main(["train", "caption", *place.data("none"), *SHORT, "--init", str(tmp_path)]) == 1
    assert "is a run of 'text', expected one of align, match, caption, instruct" in capsys.readouterr().err


def test_features_are_computed_once(place: Place, aligned: Path) -> None:
    stamp = (place.root / "features" / "cells.npy").stat().st_mtime_ns
    assert main(["train", "align", *place.data("again"), *NETWORK, *SHORT, "--batch-size", "4"]) == 0
    assert (place.root / "features" / "cells.npy").stat().st_mtime_ns == stamp
