"""`vision-llm ablate` on generated pictures with a tiny network and two steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny

from vision_llm_ros.cli import main
from vision_llm_ros.cli.ablate import NAMES
from vision_llm_ros.config import ModelConfig
from vision_llm_ros.errors import WeightsError
from vision_llm_ros.evaluation import arm_run
from vision_llm_ros.evaluation.ablation import compare, markdown
from vision_llm_ros.evaluation.arms import ABLATIONS, CLASSES, NETWORK, Arm
from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.model.pyramid import MobileNetV2Pyramid


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("ablate")
    shapes, preset = tiny.write_shapes(folder / "shapes", 4), tiny.write_preset(folder)
    start = tiny.write_weights(folder / "weights", tiny.build_model(preset))
    return [
        *("--annotations", str(shapes.annotations), "--images", str(shapes.images), "--init", str(start)),
        *("--dev-annotations", str(shapes.annotations), "--referring", str(shapes.referring)),
        *("--preset", str(preset), "--budget-steps", "2", "--batch-size", "1", "--device", "cpu", "--threads", "1"),
        *("--classes", "", "--llm-layers", "2", "--num-queries", "12"),
    ]


@pytest.fixture(autouse=True)
def plots_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than the learning, and are tested in their own place."""
    monkeypatch.setattr("vision_llm_ros.training.run_log.RunLog.plot", lambda self: None)


def arm(name: str, published: float | None, values: list[float] | None) -> dict[str, Any]:
    """A measured arm whose AP of resampled pictures is given."""
    ap = None if values is None else sum(values) / len(values)
    interval = None if values is None else [min(values), max(values)]
    measured = {"box_ap": ap, "box_ap50": ap, "box_ap50_ci95": interval, "ap_resampled": values, "error": None}
    return {"name": name, "published_ap": published, "published": "", "p_at_50": None} | measured


def test_arms_are_learnt_measured_and_told(common: list[str], tmp_path: Path) -> None:
    out = tmp_path / "t.json"
    dev = ["--dev-referring", common[common.index("--referring") + 1]]
    assert main(["ablate", "decoding", *common, *dev, "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    (group,) = report["ablations"]
    assert [arm["name"] for arm in group["arms"]] == ["in parallel", "token by token, same weights"]
    for measured in group["arms"]:
        assert measured["error"] is None
        assert 0 <= measured["box_ap50"] <= 1
        assert 0 <= measured["p_at_50"] <= 1
    assert report["dev_pictures"] == 4
    assert "did not converge" in out.with_suffix(".md").read_text()
    runs = out.with_suffix(".runs")
    assert {path.name for path in runs.iterdir()} == {"standard"}
    assert {path.name for path in (runs / "standard").iterdir()} == {"stage1", "stage2"}


def test_finished_arms_are_not_learnt_again(
    common: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["ablate", "stages", *common, "--out", str(tmp_path / "t.json")]
    assert main(command) == 0
    first = json.loads((tmp_path / "t.json").read_text())["ablations"][0]["arms"]
    monkeypatch.setattr("vision_llm_ros.training.detect.Trainer._learn", None)
    assert main(command) == 0
    assert json.loads((tmp_path / "t.json").read_text())["ablations"][0]["arms"] == first
    command[command.index("--budget-steps") + 1] = "4"
    assert main(command) == 1
    arms = json.loads((tmp_path / "t.json").read_text())["ablations"][0]["arms"]
    assert all("steps=" in arm["error"] for arm in arms)


def test_failing_arm_is_named_and_the_others_go_on(
    common: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = arm_run.learn

    def fail_first(arm: Arm, *rest: Any) -> Any:
        if arm.name == "no prior":
            raise WeightsError("a part is missing")
        return learn(arm, *rest)

    monkeypatch.setattr(arm_run, "learn", fail_first)
    assert main(["ablate", "prior", *common, "--out", str(tmp_path / "t.json")]) == 1
    first, *others = json.loads((tmp_path / "t.json").read_text())["ablations"][0]["arms"]
    assert first["error"] == "a part is missing"
    assert [arm["error"] for arm in others] == [None, None]
    assert "failed: a part is missing" in (tmp_path / "t.md").read_text()


def test_every_arm_is_a_valid_configuration_and_groups_are_listed() -> None:
    assert tuple(NAMES) == tuple(ABLATIONS)
    for arms in ABLATIONS.values():
        assert len({arm.name for arm in arms}) == len(arms) > 1
        for one in arms:
            ModelConfig(**one.model)


def test_a_small_difference_is_clear_where_it_is_there_on_the_same_pictures() -> None:
    """Values that vary much between pictures, but always together."""
    wide = [0.1, 0.3, 0.5, 0.7]
    arms = [arm("a", 1.0, wide), arm("b", 45.0, [value + 0.02 for value in wide]), arm("c", 45.0, wide[::-1])]
    told = {tuple(pair["arms"]): pair for pair in compare(arms)}
    assert told[("a", "b")]["clear"] and told[("a", "b")]["agrees"] is True
    assert told[("a", "b")]["our_difference_ci95"] == [0.02, 0.02]
    assert not told[("a", "c")]["clear"] and told[("a", "c")]["agrees"] is None


def test_the_other_way_and_what_is_not_published_are_told_apart() -> None:
    arms = [arm("a", 40.0, [0.3, 0.31]), arm("b", 45.0, [0.1, 0.11]), arm("c", None, [0.5, 0.51]), arm("d", 1.0, None)]
    pairs = {tuple(pair["arms"]): pair for pair in compare(arms)}
    assert len(pairs) == 3
    assert pairs[("a", "b")]["agrees"] is False
    assert pairs[("a", "c")]["agrees"] is None and pairs[("a", "c")]["clear"]


def test_markdown_has_a_row_for_every_arm_and_pair() -> None:
    arms = [arm("few", 34.9, [0.1, 0.1]), arm("many", 44.8, [0.3, 0.3]), arm("prior", None, [0.4, 0.4])]
    head = {"budget_steps": 2, "batch_size": 1, "seed": 0, "pictures": 9, "dev_pictures": 4, "classes": ["dog"]}
    groups = [{"name": "bins", "arms": arms, "pairs": compare(arms)}]
    text = markdown({**head, "network": {"llm_layers": 4}, "ablations": groups})
    assert "| few | 34.9 | 0.100 | 0.100 | 0.100 .. 0.100 | - |" in text
    assert "| few / many | many | +0.200 (+0.200 .. +0.200) | as published |" in text
    assert "| many / prior | - | +0.100 (+0.100 .. +0.100) | prior is better |" in text


def test_arms_that_are_learnt_alike_share_a_run() -> None:
    standard = ModelConfig(**NETWORK)
    shared = {name: [one.learnt_as(standard) for one in arms] for name, arms in ABLATIONS.items()}
    assert all("standard" in names for names in shared.values())
    assert shared["decoding"] == ["standard", "standard"]
    assert shared["lora"][1] == "lora-rank-0-random-words"


def test_every_picture_is_looked_at_once(common: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    forward = MobileNetV2Pyramid.forward

    def counted(self: MobileNetV2Pyramid, images: Any) -> Any:
        seen.extend(image.numpy().tobytes() for image in images)
        return forward(self, images)

    monkeypatch.setattr(MobileNetV2Pyramid, "forward", counted)
    assert main(["ablate", "stages", *common, "--out", str(tmp_path / "t.json")]) == 0
    assert 0 < len(seen) == len(set(seen)) <= 4


def test_the_classes_of_the_protocol_are_coco_classes() -> None:
    assert set(CLASSES.split(",")) <= set(COCO_CLASSES)


def test_budget_too_small_for_two_stages_is_refused(
    common: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [*common, "--budget-steps", "1"]
    assert main(["ablate", "prior", *common, "--out", str(tmp_path / "t.json")]) == 1
    assert "at least 2" in capsys.readouterr().err


def test_signals_are_learnt_with_and_without_an_adversary(
    common: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    referring = common[common.index("--referring") + 1]
    out = tmp_path / "synergy.json"
    assert main(["ablate", "synergy", *common, "--dev-referring", referring, "--out", str(out)]) == 0
    report = json.loads(out.read_text(encoding="utf-8"))
    assert [arm["name"] for arm in report["arms"]] == ["without adversary", "with adversary"]
    assert all(0 <= arm["mean"]["task_told"] <= 1 and len(arm["runs"]) == 3 for arm in report["arms"])
    assert "with adversary" in out.with_suffix(".md").read_text(encoding="utf-8")
    assert main(["ablate", "synergy", *common, "--out", str(out)]) == 1
    assert "--dev-referring" in capsys.readouterr().err


def test_the_region_token_is_measured_beside_the_whole_picture_and_the_place(common: list[str], tmp_path: Path) -> None:
    out = tmp_path / "region.json"
    assert main(["ablate", "region", *common, "--out", str(out)]) == 0
    arms = {arm["name"]: arm["mean"] for arm in json.loads(out.read_text(encoding="utf-8"))["arms"]}
    without = [f"without {part}" for part in ("the detector's evidence", "its features", "its place")]
    assert list(arms) == ["commonest class", "region token", *without, "whole picture", "place alone"]
    assert all(0 <= value <= 1 for mean in arms.values() for value in mean.values())
