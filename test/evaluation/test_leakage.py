from __future__ import annotations

from vision_llm_ros.evaluation.detection import Finding
from vision_llm_ros.evaluation.leakage import leakage
from vision_llm_ros.interfaces import Box
from vision_llm_ros.training.datasets import Instance

DOG, CAT = 1, 2
HERE, THERE = (0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 70.0, 70.0)


def instance(number: int, category: int, box: Box, image: int = 1, crowd: bool = False) -> Instance:
    return Instance(number, image, category, box, 100.0, crowd, [])


def dog(score: float, box: Box, image: int = 1) -> Finding:
    return Finding(image, DOG, score, box)


def shares(instances: list[Instance], found: list[Finding], threshold: str) -> tuple[float | None, float | None]:
    values = leakage(instances, found, {DOG: "dog"})["thresholds"][threshold]
    return values["objects"], values["answers"]


def test_a_cat_called_a_dog_leaks_up_to_its_score() -> None:
    instances = [instance(1, CAT, HERE), instance(2, CAT, THERE)]
    found = [dog(0.25, HERE), dog(0.6, (0.0, 0.0, 3.0, 3.0))]
    assert leakage(instances, found, {DOG: "dog"})["unlisted_objects"] == 2
    assert shares(instances, found, "0.20") == (0.5, 0.5)
    assert shares(instances, found, "0.30") == (0.0, 0.0)


def test_a_dog_in_front_of_a_cat_is_no_mistake() -> None:
    instances = [instance(1, CAT, HERE), instance(2, DOG, (0.0, 0.0, 10.0, 9.0))]
    assert shares(instances, [dog(0.9, HERE)], "0.50") == (0.0, 0.0)


def test_boxes_of_other_pictures_do_not_count() -> None:
    assert shares([instance(1, CAT, HERE, image=2)], [dog(0.9, HERE)], "0.50") == (0.0, 0.0)


def test_crowds_are_no_unlisted_objects() -> None:
    assert leakage([instance(1, CAT, HERE, crowd=True)], [dog(0.9, HERE)], {DOG: "dog"})["unlisted_objects"] == 0


def test_without_answers_there_is_no_share_of_them() -> None:
    assert shares([instance(1, CAT, HERE)], [], "0.10") == (0.0, None)
