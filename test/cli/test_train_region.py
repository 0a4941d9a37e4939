"""`vision-llm train region`, its export, and what it is measured by, with a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from vision_llm_ros.cli import main
from vision_llm_ros.config import RegionTokenConfig, RuntimeConfig, load_model_config
from vision_llm_ros.errors import ConfigError, UnsupportedTaskError
from vision_llm_ros.evaluation.editing import edit
from vision_llm_ros.evaluation.region_telling import region
from vision_llm_ros.evaluation.tables import tables
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import Caption, Perception, Task, TaskSpec
from vision_llm_ros.model import weights
from vision_llm_ros.runtime.engine import TorchEngine, load_model
from vision_llm_ros.runtime.routes import Route, Stopwatch, View
from vision_llm_ros.training.datasets import load_instances
from vision_llm_ros.training.region_naming import Mark, read_regions
from vision_llm_ros.training.region_run import FEATURES, kept_regions
from vision_llm_ros.training.run_log import read_log


class Telling:
    """Calls everything a red box."""

    tasks, weights_hash = frozenset({Task.CAPTION, Task.ANSWER}), "1" * 12

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        return Perception(spec.task, caption=Caption("red box", 0.4, spec.phrase))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preset, its weights and pictures of shapes."""
    place = tmp_path_factory.mktemp("region")
    tiny.write_weights(place / "weights", tiny.build_model(tiny.write_preset(place)))
    tiny.write_shapes(place / "shapes", 6)
    return place


def train(folder: Path, out: Path, *options: str) -> int:
    shapes = folder / "shapes"
    return main(
        [
            *("train", "region", "--annotations", str(shapes / "instances.json"), "--images", str(shapes)),
            *("--preset", str(folder / "tiny.yaml"), "--init", str(folder / "weights"), "--out", str(out), "--quiet"),
            *("--threads", "1", "--steps", "4", "--batch-size", "8", "--save-every", "2", "--hidden-width", "6"),
            *("--held-out", "0.34", *options),
        ]
    )


def test_a_run_is_resumed_exported_and_serves(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert train(folder, run) == 0
    features = (run / FEATURES).stat().st_mtime_ns
    assert train(folder, run) == 1
    assert "already holds a run" in capsys.readouterr().err
    assert train(folder, run, "--resume") == 0
    assert len(read_log(run / "log.csv")) == 4 and (run / FEATURES).stat().st_mtime_ns == features
    assert main(["train", "export", str(run), "--out", str(tmp_path / "region")]) == 0
    manifest = weights.read_manifest(tmp_path / "region", RegionTokenConfig)
    assert manifest.notes["steps"] == 4 and 0 < manifest.config.threshold <= 1
    assert weights.verify(tmp_path / "region") == []
    report = measured(folder, tmp_path / "region")
    for mark in ("box", "point"):
        shares = report["marks"][mark]
        assert 0 < shares["caption"]["plain"] < 1 or shares["regions"] == 6
        assert 0 <= shares["answer"]["named"] <= 1 and 0 <= shares["said"] <= 1
    assert json.dumps(report) and len(list(tables({"task": "region", **report}))) == 1


def measured(folder: Path, part: Path | None) -> dict[str, object]:
    model, manifest = load_model(folder / "weights", load_model_config(folder / "tiny.yaml"))
    telling: list[Route] = [Telling()]
    trial = Trial(quiet=True)
    trial.engine = TorchEngine(model, manifest, RuntimeConfig(device="cpu", dtype="float32"), telling, None, part)
    dataset = load_instances(folder / "shapes" / "instances.json", folder / "shapes")
    return region(trial, dataset, dataset.pictures)


def test_a_model_without_the_token_is_not_measured(folder: Path) -> None:
    with pytest.raises(UnsupportedTaskError, match="WEIGHTS/region"):
        measured(folder, None)


def test_objects_are_marked_in_four_ways(folder: Path) -> None:
    model, _ = load_model(folder / "weights", load_model_config(folder / "tiny.yaml"))
    shapes = folder / "shapes"
    regions = read_regions(shapes / "instances.json", shapes, model, 0, 0)
    objects = len(load_instances(shapes / "instances.json", shapes).instances)
    assert torch.bincount(regions.marks).tolist() == [objects] * len(Mark)
    assert regions.look.boxes[regions.marks != int(Mark.POINT)].max() <= 1
    assert not torch.equal(regions.look.means[0], regions.look.means[3])
    assert torch.isfinite(regions.look.evidence).all()


def test_damaged_features_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FEATURES).write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="remove it"):
        kept_regions(tmp_path, lambda: pytest.fail("not to be read again"))


def test_holes_of_objects_shapes_are_filled_and_measured(folder: Path) -> None:
    dataset = load_instances(folder / "shapes" / "instances.json", folder / "shapes")
    report = edit(Trial(quiet=True), dataset, dataset.pictures)
    assert report["holes"] == 6 and report["sizes"]["all"]["pictures"] == 6
    methods = report["sizes"]["all"]["methods"]
    assert set(methods) == {"ours", "telea", "navier-stokes", "spread"}
    assert methods["ours"]["psnr"] > np.mean([methods[name]["psnr"] for name in ("telea", "navier-stokes", "spread")])
    assert sum(values["pictures"] for name, values in report["sizes"].items() if name != "all") == 6
    assert len(list(tables({"task": "edit", **report}))) == 1
