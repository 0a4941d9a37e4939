from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scene import KnowingEngine, Scene, make_scene

from vision_llm_ros.errors import EngineError, InputError, UnsupportedTaskError
from vision_llm_ros.evaluation import seeing, telling
from vision_llm_ros.evaluation.baselines import class_priors
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import Task
from vision_llm_ros.training.datasets import load_captions, load_expressions, load_instances


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path)


def detect(scene: Scene, engine: KnowingEngine | None, **others: Any) -> tuple[dict[str, Any], Trial]:
    dataset, trial = load_instances(scene.instances, scene.folder), Trial(engine, quiet=True)
    return seeing.detect(trial, dataset, dataset.pictures, dataset.categories, **others), trial


def test_detection_scores_one_for_truth_less_for_shifted_and_zero_for_silence(scene: Scene) -> None:
    truth, _ = detect(scene, KnowingEngine(scene))
    shifted, _ = detect(scene, KnowingEngine(scene, shift_px=6))
    silent, _ = detect(scene, KnowingEngine(scene, silent=True))
    assert truth["box_ap"] == truth["box_ap50"] == 1.0
    assert 0 < shifted["box_ap"] < 1.0
    assert silent["box_ap"] == silent["box_ap50"] == 0.0
    assert truth["per_class"]["cat"] == {"ap": 1.0, "ap50": 1.0, "objects": 3}


def test_all_classes_are_asked_for_in_one_spec_per_picture(scene: Scene) -> None:
    engine = KnowingEngine(scene)
    detect(scene, engine)
    assert len(engine.calls) == 6
    assert {specs[0].classes for _, specs in engine.calls} == {("person", "cat", "dog")}


def test_broken_pictures_are_named_counted_and_passed_over(scene: Scene) -> None:
    (scene.folder / "pictures/0.png").unlink()
    (scene.folder / "pictures/1.png").write_bytes(b"not a picture")
    data = (scene.folder / "pictures/2.png").read_bytes()
    (scene.folder / "pictures/3.png").write_bytes(data[: len(data) // 8])
    found, trial = detect(scene, KnowingEngine(scene))
    told = "\n".join(trial.notes.lines())
    assert trial.skipped + trial.images == 6
    assert trial.skipped >= 2
    assert "0.png: No such file" in told
    assert "1.png cannot be decoded" in told
    assert found["objects"] == 2 * trial.images


def test_picture_of_another_size_than_annotated_is_passed_over(scene: Scene) -> None:
    images = json.loads(scene.instances.read_text())["images"]
    images[4]["width"] = 640
    scene.change(scene.instances, images=images)
    _, trial = detect(scene, KnowingEngine(scene))
    assert trial.skipped == 1
    assert "4.png has 96x80 pixels, the annotations say 640x80" in trial.notes.lines()[0]


def test_no_readable_picture_at_all_is_an_error(scene: Scene) -> None:
    for path in (scene.folder / "pictures").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="None of 6 pictures could be read"):
        detect(scene, KnowingEngine(scene))


def test_failure_of_the_model_on_some_pictures_costs_their_recall_only(scene: Scene) -> None:
    found, trial = detect(scene, KnowingEngine(scene, failing=True))
    assert trial.failed == 3
    assert "out of memory" in trial.notes.lines()[0]
    assert 0.3 < found["box_ap50"] < 0.7


def test_failure_on_every_picture_is_an_error(scene: Scene) -> None:
    dataset = load_instances(scene.instances, scene.folder)
    trial = Trial(KnowingEngine(scene, failing=True), quiet=True)
    with pytest.raises(EngineError, match="failed in all 1 calls"):
        seeing.detect(trial, dataset, dataset.pictures[:1], dataset.categories)


def test_task_without_a_head_is_refused_before_any_picture(scene: Scene) -> None:
    engine = KnowingEngine(scene, tasks=frozenset({Task.CAPTION}))
    with pytest.raises(UnsupportedTaskError, match="'knowing' has no trained head for detect; it serves caption"):
        detect(scene, engine)
    assert engine.calls == []


def test_prior_stands_in_the_same_report_and_needs_no_model(scene: Scene) -> None:
    priors = class_priors(load_instances(scene.instances, scene.folder))
    found, _ = detect(scene, None, priors=priors)
    assert found["box_ap50"] is None
    assert 0 < found["baselines"]["prior"]["box_ap50"] <= 1
    both, _ = detect(scene, KnowingEngine(scene), priors=priors)
    assert both["box_ap50"] == 1.0
    assert both["baselines"] == found["baselines"]


def test_polygons_are_asked_with_their_points_on_complete_pictures_only(scene: Scene) -> None:
    records = json.loads(scene.instances.read_text())["annotations"]
    records[0]["segmentation"] = []
    scene.change(scene.instances, annotations=records)
    dataset, engine = load_instances(scene.instances, scene.folder), KnowingEngine(scene)
    trial = Trial(engine, quiet=True)
    found = seeing.polygon(trial, dataset, dataset.pictures, dataset.categories, 16)
    assert (found["mask_ap50"], found["mask_images"], len(engine.calls)) == (1.0, 5, 5)
    assert {specs[0].num_points for _, specs in engine.calls} == {16}
    assert "1 pictures without complete masks" in trial.notes.lines()[0]


@pytest.mark.parametrize(("shift_px", "wanted"), [(0.0, 1.0), (30.0, 0.0)])
def test_grounding_takes_sentences_with_one_target(scene: Scene, shift_px: float, wanted: float) -> None:
    dataset = load_instances(scene.instances, scene.folder)
    expressions, _ = load_expressions(scene.referring, dataset)
    engine = KnowingEngine(scene, shift_px=shift_px)
    found = seeing.ground(Trial(engine, quiet=True), dataset, dataset.pictures, expressions)
    assert (found["p_at_50"], found["sentences"]) == (wanted, 12)
    assert len(engine.calls) == 6


def test_captions_and_matches_of_a_knowing_model_are_perfect(scene: Scene) -> None:
    dataset = load_captions(scene.captions_file, scene.folder)
    engine = KnowingEngine(scene)
    told = telling.caption(Trial(engine, quiet=True), dataset, dataset.pictures)
    assert told["bleu4"] == pytest.approx(1.0)
    assert told["cider"] > 3
    assert told["empty"] == 0
    found = telling.match(Trial(engine, quiet=True), dataset, dataset.pictures)
    assert found["image_to_text"]["r1"] == found["text_to_image"]["r1"] == 1.0
    assert found["captions"] == 12


def test_silent_model_tells_nothing_and_matches_nothing(scene: Scene) -> None:
    dataset = load_captions(scene.captions_file, scene.folder)
    engine = KnowingEngine(scene, silent=True)
    assert telling.caption(Trial(engine, quiet=True), dataset, dataset.pictures)["empty"] == 6
    found = telling.match(Trial(engine, quiet=True), dataset, dataset.pictures)
    assert found["image_to_text"]["r1"] == 0.0


def test_what_was_not_listed_is_looked_for_under_the_listed_names(scene: Scene) -> None:
    dataset = load_instances(scene.instances, scene.folder)
    dogs = {key: name for key, name in dataset.categories.items() if name == "dog"}
    trial = Trial(KnowingEngine(scene), quiet=True)
    found = seeing.detect(trial, dataset, dataset.pictures, dogs)
    assert found["leakage"]["unlisted_objects"] == sum(item.category_id not in dogs for item in dataset.instances)
    assert {shares["objects"] for shares in found["leakage"]["thresholds"].values()} == {0.0}
    assert found["unlisted_answers"] == 0
    assert detect(scene, KnowingEngine(scene))[0]["leakage"] is None


def test_outlines_are_measured_beside_the_boxes_of_the_same_pictures(scene: Scene) -> None:
    dataset = load_instances(scene.instances, scene.folder)
    engine = KnowingEngine(scene)
    found = seeing.polygon(Trial(engine, quiet=True), dataset, dataset.pictures, dataset.categories)
    assert found["mask_to_box"] == pytest.approx(found["mask_ap50"] / found["box_ap50"])
    assert {tuple(spec.task for spec in specs) for _, specs in engine.calls} == {(Task.POLYGON, Task.DETECT)}
