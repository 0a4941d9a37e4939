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
from vision_llm_ros.evaluation import ablation
from vision_llm_ros.evaluation.ablation import ABLATIONS, agreement, markdown


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("ablate")
    shapes, preset = tiny.write_shapes(folder / "shapes", 4), tiny.write_preset(folder)
    start = tiny.write_weights(folder / "weights", tiny.build_model(preset))
    return [
        *("--annotations", str(shapes.annotations), "--images", str(shapes.images), "--init", str(start)),
        *("--dev-annotations", str(shapes.annotations), "--referring", str(shapes.referring)),
        *("--preset", str(preset), "--budget-steps", "2", "--batch-size", "1", "--device", "cpu", "--threads", "1"),
    ]


def arm(name: str, published: float | None, ap50: float | None, width: float = 0.02) -> dict[str, Any]:
    interval = None if ap50 is None else [ap50 - width / 2, ap50 + width / 2]
    values = {"name": name, "published_ap": published, "published": "", "box_ap": ap50, "box_ap50": ap50}
    return {**values, "box_ap50_ci95": interval, "p_at_50": None, "error": None}


def test_arms_are_learnt_measured_and_told(common: list[str], tmp_path: Path) -> None:
    out = tmp_path / "t.json"
    dev = ["--dev-referring", common[common.index("--referring") + 1]]
    assert main(["ablate", "decoding", *common, *dev, "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert [arm["name"] for arm in report["arms"]] == ["in parallel", "token by token, same weights"]
    for measured in report["arms"]:
        assert measured["error"] is None
        assert 0 <= measured["box_ap50"] <= 1
        assert 0 <= measured["p_at_50"] <= 1
    assert report["dev_pictures"] == 4
    assert "did not converge" in out.with_suffix(".md").read_text()
    runs = out.with_suffix(".runs")
    assert {path.name for path in runs.iterdir()} == {"in-parallel"}
    assert {path.name for path in (runs / "in-parallel").iterdir()} == {"stage1", "stage2"}


def test_finished_arms_are_not_learnt_again(
    common: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["ablate", "stages", *common, "--out", str(tmp_path / "t.json")]
    assert main(command) == 0
    first = json.loads((tmp_path / "t.json").read_text())["arms"]
    monkeypatch.setattr("vision_llm_ros.training.detect.Trainer._learn", None)
    assert main(command) == 0
    assert json.loads((tmp_path / "t.json").read_text())["arms"] == first
    command[command.index("--budget-steps") + 1] = "4"
    assert main(command) == 1
    arms = json.loads((tmp_path / "t.json").read_text())["arms"]
    assert all("steps=" in arm["error"] for arm in arms)


def test_failing_arm_is_named_and_the_others_go_on(
    common: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = ablation.learn

    def fail_first(arm: ablation.Arm, *rest: Any) -> Any:
        if arm.name == "no region prior":
            raise WeightsError("a part is missing")
        return learn(arm, *rest)

    monkeypatch.setattr(ablation, "learn", fail_first)
    assert main(["ablate", "prior", *common, "--out", str(tmp_path / "t.json")]) == 1
    first, second = json.loads((tmp_path / "t.json").read_text())["arms"]
    assert first["error"] == "a part is missing"
    assert second["error"] is None
    assert "failed: a part is missing" in (tmp_path / "t.md").read_text()


def test_every_arm_is_a_valid_configuration_and_groups_are_listed() -> None:
    assert tuple(NAMES) == tuple(ABLATIONS)
    for arms in ABLATIONS.values():
        assert len({arm.name for arm in arms}) == len(arms) > 1
        for one in arms:
            ModelConfig(**one.model)


def test_agreement_tells_same_from_other_and_from_too_close() -> None:
    arms = [arm("a", 1.0, 0.10), arm("b", 40.0, 0.30), arm("c", 45.0, 0.20), arm("d", 45.5, 0.205), arm("e", None, 0.9)]
    told = {tuple(pair["arms"]): pair["agrees"] for pair in agreement(arms)}
    assert told[("a", "b")] is True
    assert told[("b", "c")] is False
    assert told[("c", "d")] is None
    assert not any("e" in pair for pair in told)


def test_markdown_has_a_row_for_every_arm_and_pair() -> None:
    arms = [arm("few", 34.9, 0.1), arm("many", 44.8, 0.3)]
    head = {"name": "bins", "budget_steps": 2, "batch_size": 1, "seed": 0, "dev_pictures": 4}
    text = markdown({**head, "arms": arms, "agreement": agreement(arms)})
    assert "| few | 34.9 | 0.100 | 0.100 | 0.090 .. 0.110 | - |" in text
    assert "| few / many | many | +0.200 | yes |" in text


def test_budget_too_small_for_two_stages_is_refused(
    common: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [*common, "--budget-steps", "1"]
    assert main(["ablate", "prior", *common, "--out", str(tmp_path / "t.json")]) == 1
    assert "at least 2" in capsys.readouterr().err
