"""`vision-llm train text`, its export, and the engine that serves it, with a tiny network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from captions import write_captions

from vision_llm_ros.cli import main
from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError, UnsupportedTaskError
from vision_llm_ros.interfaces import Frame, Status, Task, TaskSpec
from vision_llm_ros.model import weights
from vision_llm_ros.runtime.engine import TorchEngine, load_engine
from vision_llm_ros.training.run_log import read_log

SIZES = ("--llm-layers", "2", "--lora-rank", "2", "--objects", "4", "--cells", "2", "--max-tokens", "6")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> tiny.Shapes:
    shapes = tiny.write_shapes(tmp_path_factory.mktemp("shapes"))
    write_captions(shapes)
    return shapes


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_preset(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def served(preset: Path) -> Path:
    return tiny.write_weights(preset.parent / "weights", tiny.build_model(preset))


def train(shapes: tiny.Shapes, preset: Path, served: Path, out: Path, *options: str) -> int:
    return main(
        [
            *("train", "text", "--captions", str(shapes.images / "captions.json"), "--images", str(shapes.images)),
            *("--annotations", str(shapes.annotations), "--preset", str(preset), "--weights", str(served)),
            *("--out", str(out), "--quiet", "--device", "cpu", "--dtype", "float32", "--threads", "1", *SIZES),
            *("--batch-size", "2", "--warmup-steps", "1", "--questions", "2", "--answer-share", "0.5"),
            *("--head-steps", "3", "--head-batch", "2"),
            *(() if "--steps" in options else ("--steps", "6")),
            *options,
        ]
    )


@pytest.fixture(scope="module")
def run(shapes: tiny.Shapes, preset: Path, served: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    assert train(shapes, preset, served, out) == 0
    return out


@pytest.fixture(scope="module")
def engine(run: Path, preset: Path, served: Path) -> TorchEngine:
    assert main(["train", "export", str(run), "--out", str(served / "text"), "--notes", "tiny"]) == 0
    loaded = load_engine(str(preset), RuntimeConfig(weights=str(served), device="cpu", dtype="float32", threads=1))
    assert isinstance(loaded, TorchEngine)
    return loaded


def frame() -> Frame:
    return Frame(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8))


def test_captions_and_questions_are_learnt_and_logged(run: Path) -> None:
    rows = read_log(run / "log.csv")
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert {row["task"] for row in rows} == {"caption", "answer"}
    assert (run / "losses.png").stat().st_size > 0


def test_the_engine_writes_with_exported_weights(engine: TorchEngine, served: Path) -> None:
    assert {Task.CAPTION, Task.ANSWER, Task.DETECT} <= engine.tasks
    described, told = engine.perceive(frame(), (TaskSpec(Task.CAPTION), TaskSpec(Task.ANSWER, phrase="is it red?")))
    assert described.status in (Status.OK, Status.NOTHING_FOUND)
    for answer in (described, told):
        if answer.caption:
            assert 0 < answer.caption.score <= 1
            assert {"backbone", "tokenizer", "write"} <= answer.stage_ms.keys()
    manifest = weights.read_any_manifest(served / "text")
    assert manifest.trained == ("answer", "caption")
    assert manifest.notes["steps"] == 6 and manifest.notes["head_steps"] == 3
    assert manifest.notes["text"] == "tiny"
    assert "captions.json" in manifest.notes["files"]


def test_a_region_is_described_alone(engine: TorchEngine) -> None:
    """What lies outside of the region changes nothing."""
    whole = frame()
    other = whole.image_rgb_u8.copy()
    other[:, 40:] = 0
    spec = TaskSpec(Task.CAPTION, region=(0.0, 0.0, 0.5, 1.0))
    (first,), (second,) = (engine.perceive(Frame(image), (spec,)) for image in (whole.image_rgb_u8, other))
    assert first.caption == second.caption
    assert first.status == second.status


def test_no_words_are_an_honest_nothing(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = engine._routes[Task.CAPTION].decoder  # type: ignore[attr-defined]
    monkeypatch.setattr(decoder.bias, "data", decoder.bias.data.clone())
    decoder.bias.data[-1] = 1e3
    (answer,) = engine.perceive(frame(), (TaskSpec(Task.CAPTION),))
    assert (answer.status, answer.caption) == (Status.NOTHING_FOUND, None)


def test_without_questions_only_captions_are_served(
    shapes: tiny.Shapes, preset: Path, served: Path, tmp_path: Path
) -> None:
    assert train(shapes, preset, served, tmp_path / "run", "--answer-share", "0") == 0
    folder = tmp_path / "weights"
    shutil.copytree(served, folder, ignore=shutil.ignore_patterns("text"))
    assert main(["train", "export", str(tmp_path / "run"), "--out", str(folder / "text")]) == 0
    loaded = load_engine(str(preset), RuntimeConfig(weights=str(folder), device="cpu", dtype="float32", threads=1))
    with pytest.raises(UnsupportedTaskError, match="cannot answer"):
        loaded.perceive(frame(), (TaskSpec(Task.ANSWER, phrase="is it red?"),))


def test_a_finished_folder_is_not_overwritten(
    shapes: tiny.Shapes, preset: Path, served: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(shapes, preset, served, run) != 0
    assert "already holds a run; add --resume" in capsys.readouterr().err


def test_a_run_is_resumed_only_as_it_was_started(
    shapes: tiny.Shapes, preset: Path, served: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(shapes, preset, served, run, "--resume", "--steps", "7") != 0
    assert "started with steps=6, not 7" in capsys.readouterr().err
    assert train(shapes, preset, served, run, "--resume") == 0


def test_a_run_without_settings_cannot_be_exported(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(run / "checkpoint.pt", tmp_path / "checkpoint.pt")
    (tmp_path / "settings.json").write_text(json.dumps({"system": "text"}))
    assert main(["train", "export", str(tmp_path), "--out", str(tmp_path / "out")]) != 0
    assert "settings.json is missing or damaged" in capsys.readouterr().err


def test_a_text_route_without_weights_is_refused(preset: Path, served: Path) -> None:
    runtime = RuntimeConfig(weights=str(served), device="cpu", dtype="float32", threads=1, text_route="qformer")
    with pytest.raises(ConfigError, match=r"text_route=qformer needs weights in .*qformer; set it to auto"):
        load_engine(str(preset), runtime)
