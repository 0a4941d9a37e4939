from __future__ import annotations

import json
from pathlib import Path

import pytest
from scene import Scene, make_scene

from vision_llm_ros.errors import ConfigError, InputError
from vision_llm_ros.training.datasets import (
    CLASS_SETS,
    InstanceSet,
    choose_classes,
    choose_some,
    load_captions,
    load_expressions,
    load_instances,
)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path)


def annotations(scene: Scene) -> list[dict[str, object]]:
    records: list[dict[str, object]] = json.loads(scene.instances.read_text())["annotations"]
    return records


def test_boxes_are_xyxy_and_paths_are_folder_and_file_name(scene: Scene) -> None:
    dataset = load_instances(scene.instances, scene.folder)
    assert dataset.instances[0].box_xyxy_px == (4, 6, 40, 70)
    assert dataset.pictures[2].path == scene.folder / "pictures/2.png"
    assert dataset.pictures[2].masks_complete


def test_annotations_for_other_images_are_named_and_left_out(scene: Scene) -> None:
    records = annotations(scene)
    records[3]["image_id"] = 99
    scene.change(scene.instances, annotations=records)
    dataset = load_instances(scene.instances, scene.folder)
    assert len(dataset.instances) == len(records) - 1
    assert dataset.notes == (f"{scene.instances} annotations[3] (id 3): image 99 is not among the images",)


@pytest.mark.parametrize("box", [[0, 0, 0, 5], [0, 0, 5], [0, 0, "5", 5], [0, 0, float("nan"), 5]])
def test_bad_box_is_named_and_left_out(scene: Scene, box: list[object]) -> None:
    records = annotations(scene)
    records[0]["bbox"] = box
    scene.change(scene.instances, annotations=records)
    dataset = load_instances(scene.instances, scene.folder)
    assert len(dataset.instances) == len(records) - 1
    assert "annotations[0] (id 0): expected a box" in dataset.notes[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1 column 1 is not JSON"),
        ('{"images": [}', "line 1 column 13 is not JSON"),
        ("[]", "expected a JSON object, got list"),
        ("{}", "no 'images'"),
        ('{"images": 3}', "'images': expected a list, got int"),
        ('{"images": [{"id": 1}]}', r"images\[0\] \(id 1\): no 'file_name'"),
        ('{"images": [{"id": "1", "file_name": "a"}]}', r"images\[0\]: 'id': expected int, got '1'"),
        ('{"images": []}', "no images"),
        ('{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]}', "image id 1 stands twice"),
        ('{"images": [{"id": 1, "file_name": "a"}], "categories": []}', "no categories"),
    ],
)
def test_broken_file_is_refused_with_its_place(scene: Scene, text: str, told: str) -> None:
    scene.instances.write_text(text)
    with pytest.raises(InputError, match=told) as error:
        load_instances(scene.instances, scene.folder)
    assert str(scene.instances) in str(error.value)


def test_missing_file_and_folder_are_named(scene: Scene) -> None:
    with pytest.raises(InputError, match=r"absent\.json: No such file"):
        load_instances(scene.folder / "absent.json", scene.folder)
    with pytest.raises(InputError, match="absent is not a folder"):
        load_instances(scene.instances, scene.folder / "absent")


def test_pictures_with_an_object_without_mask_are_not_complete(scene: Scene) -> None:
    records = annotations(scene)
    records[0]["segmentation"] = []
    scene.change(scene.instances, annotations=records)
    dataset = load_instances(scene.instances, scene.folder)
    assert [picture.masks_complete for picture in dataset.pictures] == [False] + [True] * 5


def test_stated_annotation_level_decides_over_the_masks_present(scene: Scene) -> None:
    images = json.loads(scene.instances.read_text())["images"]
    images[0]["annotation_level"], images[1]["annotation_level"] = "boxes", "masks"
    scene.change(scene.instances, images=images)
    complete = [picture.masks_complete for picture in load_instances(scene.instances, scene.folder).pictures]
    assert complete == [False, True, False, False, False, False]


def test_captions_are_grouped_by_picture_and_pictures_without_one_left_out(scene: Scene) -> None:
    values = json.loads(scene.captions_file.read_text())["annotations"]
    scene.change(scene.captions_file, annotations=[*values[2:], {"id": 50, "image_id": 1, "caption": "  "}])
    dataset = load_captions(scene.captions_file, scene.folder)
    assert [picture.image_id for picture in dataset.pictures] == [1, 2, 3, 4, 5]
    assert len(dataset.captions[1]) == 2
    assert any("empty caption" in note for note in dataset.notes)
    assert any("image 0 has no caption" in note for note in dataset.notes)


def test_expressions_whose_annotation_is_of_another_image_are_named(scene: Scene) -> None:
    values = json.loads(scene.referring.read_text())["expressions"]
    values[0]["annotation_ids"] = [11]
    scene.change(scene.referring, expressions=values)
    expressions, notes = load_expressions(scene.referring, load_instances(scene.instances, scene.folder))
    assert len(expressions) == len(values) - 1
    assert "annotation 11 does not belong to image 0" in notes[0]


def test_expressions_for_no_picture_at_hand_are_refused(scene: Scene) -> None:
    scene.change(scene.referring, expressions=[{"image_id": 77, "annotation_ids": [], "sentence": "the dog"}])
    with pytest.raises(InputError, match="image 77 is not among the images"):
        load_expressions(scene.referring, load_instances(scene.instances, scene.folder))


def test_classes_are_chosen_by_name_and_a_typo_names_the_nearest(scene: Scene) -> None:
    dataset = load_instances(scene.instances, scene.folder)
    assert choose_classes(dataset, "dog, person") == {18: "dog", 1: "person"}
    assert choose_classes(dataset, "") == dataset.categories
    with pytest.raises(ConfigError, match="no class 'persn'; did you mean 'person'"):
        choose_classes(dataset, "persn")


def test_pascal20_is_twenty_classes_under_one_name() -> None:
    names = CLASS_SETS["pascal20"]
    assert len(set(names)) == 20
    dataset = InstanceSet((), (), dict(enumerate((*names, "zebra"))))
    assert set(choose_classes(dataset, "pascal20").values()) == set(names)


def test_limit_draws_with_the_seed_and_keeps_the_order() -> None:
    items = list(range(100))
    chosen = choose_some(items, 10, seed=1)
    assert chosen == sorted(chosen) == choose_some(items, 10, seed=1)
    assert chosen != choose_some(items, 10, seed=2)
    assert choose_some(items, 0, seed=1) == choose_some(items, 500, seed=1) == items
    with pytest.raises(ConfigError, match="got -1"):
        choose_some(items, -1, seed=1)
