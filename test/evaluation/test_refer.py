from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console
from scene import KnowingEngine, Scene, make_scene

from vision_llm_ros.errors import UnsupportedTaskError
from vision_llm_ros.evaluation.refer import BASELINES, command, filled_box, grab_cut, refer
from vision_llm_ros.evaluation.tables import show
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import Task
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.training.datasets import Expression, load_expressions, load_instances

PARSE = CommandParser(None).parse
BOXES = frozenset({Task.DETECT, Task.GROUND, Task.POLYGON})


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path)


def measured(scene: Scene, engine: KnowingEngine, baselines: bool = False) -> tuple[dict[str, Any], Trial]:
    dataset, trial = load_instances(scene.instances, scene.folder), Trial(engine, quiet=True)
    expressions, _ = load_expressions(scene.referring, dataset)
    return refer(trial, dataset, dataset.pictures, expressions, PARSE, baselines), trial


def test_all_targets_and_none_are_scored(scene: Scene) -> None:
    truth, _ = measured(scene, KnowingEngine(scene))
    silent, _ = measured(scene, KnowingEngine(scene, silent=True))
    shifted, _ = measured(scene, KnowingEngine(scene, shift_px=8))
    assert truth["giou"] == pytest.approx(1.0, abs=0.03)
    assert truth["ciou"] == pytest.approx(1.0, abs=0.03)
    assert truth["multi_giou"] == pytest.approx(1.0, abs=0.03)
    assert silent["giou"] == 0.25
    assert silent["false_mask_rate"] == 0.0
    assert 0.25 < shifted["giou"] < 0.95
    assert truth["baselines"] == {}


def test_sentences_become_commands_as_in_the_node(scene: Scene) -> None:
    engine = KnowingEngine(scene)
    measured(scene, engine)
    specs = [spec for _, asked in engine.calls for spec in asked]
    assert {spec.task for spec in specs} == {Task.SEGMENT}
    assert PARSE("segment person and cat") in specs


def test_a_sentence_that_the_parser_refuses_is_taken_as_it_stands() -> None:
    item = Expression(1, 1, "the blorple in the image", (1,))
    spec = command(PARSE, "outline", item, Task.POLYGON)
    assert (spec.task, spec.classes, spec.phrase) == (Task.POLYGON, ("blorple",), item.sentence)


def test_baselines_stand_in_the_same_run(scene: Scene) -> None:
    engine = KnowingEngine(scene)
    found, trial = measured(scene, engine, baselines=True)
    assert tuple(found["baselines"]) == BASELINES
    assert found["baselines"]["boxes"]["giou"] == pytest.approx(1.0, abs=0.03)
    assert found["baselines"]["polygons"]["giou"] == pytest.approx(1.0, abs=0.03)
    assert found["baselines"]["empty"]["giou"] == 0.25
    assert found["baselines"]["boxes"]["sentences"] == found["sentences"] == 24
    assert {spec.task for _, specs in engine.calls for spec in specs} == {Task.SEGMENT, Task.DETECT, Task.POLYGON}
    assert trial.failed == 0


def test_baselines_need_no_head_for_masks_but_say_so(scene: Scene) -> None:
    engine = KnowingEngine(scene, tasks=BOXES)
    found, trial = measured(scene, engine, baselines=True)
    assert (found["giou"], found["sentences"]) == (None, 0)
    assert found["baselines"]["boxes"]["sentences"] == 24
    assert "no trained head for segment: baselines only" in trial.notes.lines()[0]
    with pytest.raises(UnsupportedTaskError, match="'knowing' has no trained head for segment"):
        measured(scene, engine)


def test_sentences_about_objects_without_masks_are_left_out(scene: Scene) -> None:
    records = json.loads(scene.instances.read_text())["annotations"]
    records[0]["segmentation"] = []
    scene.change(scene.instances, annotations=records)
    found, trial = measured(scene, KnowingEngine(scene))
    assert found["sentences"] == 22
    assert "2 sentences mean an object without a mask" in trial.notes.lines()[0]


def test_tables_show_every_party_and_kind(scene: Scene) -> None:
    expressions = json.loads(scene.referring.read_text())["expressions"]
    kinds = {0: "absent", 1: "unique", 2: "multi"}
    for item in expressions:
        item["kind"] = kinds[len(item["annotation_ids"])]
    scene.change(scene.referring, expressions=expressions)
    found, trial = measured(scene, KnowingEngine(scene, tasks=BOXES), baselines=True)
    console = Console(file=io.StringIO(), width=200)
    show({"task": "refer", **found, **trial.account([])}, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(word in text for word in (*BASELINES, "absent", "unique", "multi", "gIoU by kind"))
    assert "model" not in text


def test_grab_cut_finds_a_disc_in_its_box() -> None:
    image = np.full((60, 80, 3), (40, 90, 60), np.uint8)
    image += np.random.default_rng(0).integers(0, 9, image.shape, dtype=np.uint8)
    disc = np.zeros((60, 80), np.uint8)
    cv2.circle(disc, (40, 30), 15, 1, -1)
    image[disc > 0, 0] = 220
    box = (22.0, 12.0, 58.0, 48.0)
    wanted = disc.astype(bool)
    for found in (grab_cut(image, box), grab_cut(image, box)):
        assert (found & wanted).sum() / (found | wanted).sum() > 0.95
    assert np.array_equal(grab_cut(image, (0, 0, 80, 60)), filled_box((0, 0, 80, 60), (60, 80)))
    assert not grab_cut(image, (90, 10, 99, 20)).any()
