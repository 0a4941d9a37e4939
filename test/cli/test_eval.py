from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scene import KnowingEngine, Scene, make_scene

from vision_llm_ros.cli import main
from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.interfaces import Task


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path / "data")


@pytest.fixture
def engine(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> KnowingEngine:
    """What `load_engine` gives; the runtime it was asked for is kept in `asked`."""
    from vision_llm_ros.runtime import engine as room

    knowing = KnowingEngine(scene)

    def load(preset: str, runtime: RuntimeConfig) -> KnowingEngine:
        knowing.asked = (preset, runtime)  # type: ignore[attr-defined]
        return knowing

    monkeypatch.setattr(room, "load_engine", load)
    return knowing


def evaluate(scene: Scene, task: str, *options: str) -> tuple[int, dict[str, Any]]:
    inputs = {
        "detect": ("--annotations", str(scene.instances)),
        "polygon": ("--annotations", str(scene.instances)),
        "ground": ("--annotations", str(scene.instances), "--referring", str(scene.referring)),
        "refer": ("--annotations", str(scene.instances), "--referring", str(scene.referring)),
        "caption": ("--captions", str(scene.captions_file)),
        "match": ("--captions", str(scene.captions_file)),
        "restore": ("--size", "64"),
    }
    out = scene.folder / "out" / "r.json"
    command = ["eval", task, *inputs[task], "--images", str(scene.folder), "--out", str(out), "--quiet", *options]
    code = main(command)
    return code, json.loads(out.read_text()) if out.exists() else {}


@pytest.mark.parametrize(
    ("task", "metric", "value"),
    [
        ("detect", "box_ap50", 1.0),
        ("polygon", "mask_ap50", 1.0),
        ("ground", "p_at_50", 1.0),
        ("caption", "bleu4", 1.0),
        ("match", "image_to_text", {"r1": 1.0, "r5": 1.0, "r10": 1.0}),
    ],
)
def test_every_task_writes_its_metric(
    scene: Scene, engine: KnowingEngine, task: str, metric: str, value: object
) -> None:
    code, report = evaluate(scene, task)
    assert code == 0
    assert report[metric] == (pytest.approx(value) if isinstance(value, float) else value)
    assert report["images"] == 6


def test_report_accounts_for_model_inputs_config_machine_and_command(
    scene: Scene, engine: KnowingEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report = evaluate(scene, "detect", "--seed", "7", "--dtype", "float32")
    assert code == 0
    assert set(report) >= {"box_ap", "box_ap50", "images", "seconds", "per_class", "model"}
    assert report["model"] == {
        "name": "knowing",
        "weights_hash": "0123456789ab",
        "device": "cpu",
        "dtype": "float32",
    }
    assert report["seed"] == 7
    assert report["machine"]["cpu"]
    assert report["machine"]["threads"] >= 1
    assert report["config"]["runtime"]["score_threshold"] == 0.0
    assert report["config"]["runtime"]["dtype"] == "float32"
    assert list(report["inputs"]["files"]) == [str(scene.instances)]
    assert "detect" in capsys.readouterr().out
    assert engine.asked[1] == RuntimeConfig(  # type: ignore[attr-defined]
        score_threshold=0.0, mask_threshold=0.0, objectness_threshold=0.02, max_detections=100, dtype="float32"
    )


def test_hash_of_inputs_follows_annotations_and_pixels(scene: Scene, engine: KnowingEngine) -> None:
    first, again = (evaluate(scene, "detect")[1]["inputs"]["hash"] for _ in range(2))
    assert first == again
    (scene.folder / "pictures/0.png").write_bytes((scene.folder / "pictures/1.png").read_bytes())
    changed = evaluate(scene, "detect")[1]["inputs"]
    assert changed["hash"] != first
    assert evaluate(scene, "detect", "--limit", "2")[1]["inputs"]["pictures"] != changed["pictures"]


def test_limit_and_classes_narrow_the_run(scene: Scene, engine: KnowingEngine) -> None:
    _, report = evaluate(scene, "detect", "--limit", "2", "--classes", "person")
    assert (report["images"], list(report["per_class"])) == (2, ["person"])
    assert {specs[0].classes for _, specs in engine.calls} == {("person",)}


def test_requirement_sets_the_exit_code(
    scene: Scene, engine: KnowingEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(scene, "detect", "--require", "box_ap50>=0.9", "--require", "per_class.cat.ap50>=0.9")[0] == 0
    engine.silent = True
    code, report = evaluate(scene, "detect", "--require", "box_ap50>=0.9")
    assert (code, report["box_ap50"]) == (1, 0.0)
    assert "box_ap50>=0.9 missed: 0" in capsys.readouterr().err


def test_typo_in_a_requirement_is_told_before_the_run(
    scene: Scene, engine: KnowingEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(scene, "detect", "--require", "box_ap5>=0.9") == (1, {})
    assert "did you mean 'box_ap50'" in capsys.readouterr().err
    assert engine.calls == []


def test_task_without_head_says_so_and_fails(
    scene: Scene, engine: KnowingEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.tasks = frozenset({Task.DETECT})
    for task in ("polygon", "ground", "refer", "restore", "caption", "match"):
        assert evaluate(scene, task) == (1, {})
        assert "no trained head for" in capsys.readouterr().err


def test_baselines_need_no_model(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from vision_llm_ros.runtime import engine as room

    monkeypatch.setattr(room, "load_engine", None)
    code, report = evaluate(scene, "detect", "--baselines-only", "--prior-annotations", str(scene.instances))
    assert (code, report["model"], report["box_ap"]) == (0, None, None)
    assert report["baselines"]["prior"]["box_ap50"] is not None
    code, report = evaluate(scene, "restore", "--baselines-only", "--kinds", "mask,flip", "--limit", "2")
    assert (code, set(report["kinds"]), report["images"]) == (0, {"mask", "flip"}, 2)


@pytest.mark.parametrize(
    ("task", "options", "told"),
    [
        ("detect", ("--classes", "persn"), "did you mean 'person'"),
        ("detect", ("--limit", "-3"), "got -3"),
        ("restore", ("--kinds", "snow"), "got 'snow'"),
        ("restore", ("--size", "5"), "got 5"),
        ("polygon", ("--points", "5"), "got 5"),
        ("detect", ("--dtype", "float8"), "got 'float8'"),
    ],
)
def test_bad_option_is_named(
    scene: Scene, engine: KnowingEngine, capsys: pytest.CaptureFixture[str], task: str, options: Any, told: str
) -> None:
    assert evaluate(scene, task, *options)[0] == 1
    assert told in capsys.readouterr().err


def test_unwritable_report_is_told_before_the_run(
    scene: Scene, engine: KnowingEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = evaluate(scene, "detect", "--out", str(scene.instances / "r.json"))
    assert code == 1
    assert "--out: cannot write" in capsys.readouterr().err
    assert engine.calls == []


def test_routing_needs_no_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentences = tmp_path / "s.jsonl"
    pairs = [("find every dog", "detect"), ("describe the scene", "caption"), ("fly to the moon", "refuse")]
    sentences.write_text("".join(json.dumps({"text": text, "task": task}) + "\n" for text, task in pairs))
    out = tmp_path / "r.json"
    command = ["eval", "route", "--sentences", str(sentences), "--no-similarity", "--out", str(out), "--quiet"]
    assert main([*command, "--require", "accuracy>=1"]) == 0
    report = json.loads(out.read_text())
    assert (report["accuracy"], report["refusal"], report["sentences"]) == (1.0, 1.0, 3)
    assert report["confusion"]["refuse"] == {"refuse": 1}
    assert "3 sentences" in capsys.readouterr().out
