"""The viewer's recording, with a stand-in for its SDK that keeps what is logged."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vision_llm_ros.evaluation.rerun_sink import RerunSink
from vision_llm_ros.interfaces import Mask, Perception, Result, Status, Task, TaskSpec

PICTURE = np.full((48, 64, 3), 90, np.uint8)


class FakeRerun(SimpleNamespace):
    """Every archetype is a tuple (name, arguments); `logged` maps entity paths to the latest ones."""

    def __init__(self) -> None:
        super().__init__(logged={}, Box2DFormat=SimpleNamespace(XYXY="xyxy"))

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **fields: (name, args, fields)

    def Image(self, pixels: Any) -> Any:
        return SimpleNamespace(compress=lambda jpeg_quality: ("Image", pixels.shape))

    def init(self, _: str) -> None: ...

    def save(self, _: str) -> None: ...

    def log(self, path: str, archetype: Any) -> None:
        self.logged.setdefault(path, []).append(archetype)


@pytest.fixture
def rerun(monkeypatch: pytest.MonkeyPatch) -> FakeRerun:
    fake = FakeRerun()
    monkeypatch.setitem(sys.modules, "rerun", fake)
    return fake


def result(task: Task, **fields: Any) -> Result:
    perception = Perception(task, **fields)
    return Result("c", 1, TaskSpec(task, ("mug",)), 7, "cam", "front", (64, 48), perception, "nano", "a", 9.0, 12.0)


def test_masks_are_logged_as_a_labelled_image_with_a_legend(rerun: FakeRerun, tmp_path: Path) -> None:
    inside = np.zeros((48, 64), bool)
    inside[10:20, 30:45] = True
    masks = (Mask("mug", 0.75, inside, (30.0, 10.0, 45.0, 20.0)),)
    RerunSink(tmp_path / "x.rrd").frame(PICTURE, (result(Task.SEGMENT, masks=masks),), 0.5)
    legend, image = rerun.logged["front/c/masks"]
    ((number, label, _),) = legend[1][0]
    assert (legend[0], number, label) == ("AnnotationContext", 1, "mug 0.75")
    assert image[0] == "SegmentationImage"
    assert np.array_equal(image[1][0] == 1, inside)


def test_an_empty_answer_clears_the_masks_before_it(rerun: FakeRerun, tmp_path: Path) -> None:
    RerunSink(tmp_path / "x.rrd").frame(PICTURE, (result(Task.SEGMENT, status=Status.NOTHING_FOUND),), 0.5)
    assert not rerun.logged["front/c/masks"][1][1][0].any()


def test_detections_have_no_mask_layer(rerun: FakeRerun, tmp_path: Path) -> None:
    RerunSink(tmp_path / "x.rrd").frame(PICTURE, (result(Task.DETECT),), 0.5)
    assert set(rerun.logged) == {"front", "front/c"}
