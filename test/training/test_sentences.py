from __future__ import annotations

import numpy as np
import pytest

from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.training.scenes import Scene
from vision_llm_ros.training.sentences import KINDS, by_geometry, mirrored_words, of_class, of_kind


def scene(*objects: tuple[str, float, float, float]) -> Scene:
    """Squares named, at a centre, of a side; in a picture of 100 x 100."""
    boxes = [(x - side / 2, y - side / 2, x + side / 2, y + side / 2) for _, x, y, side in objects]
    return Scene(
        np.zeros((100, 100, 3), np.uint8),
        np.array(boxes, np.float32).reshape(-1, 4),
        tuple(name for name, *_ in objects),
        np.zeros(len(objects), bool),
        (None,) * len(objects),
        tuple(range(len(objects))),
    )


COWS = scene(("cow", 20, 50, 10), ("cow", 80, 40, 30), ("cat", 50, 90, 12))


def said(made: Scene, seeds: int = 60) -> dict[str, list[bool]]:
    """Every phrase that geometry gives over some seeds, with what it means."""
    found = (by_geometry(made, np.random.default_rng(seed)) for seed in range(seeds))
    return {meaning.text: meaning.meant.tolist() for meaning in found if meaning is not None}


def test_places_and_sizes_mean_the_right_object() -> None:
    found = said(COWS)
    first, second = [True, False, False], [False, True, False]
    expected = {"the leftmost cow": first, "the rightmost cow": second, "the largest cow": second}
    expected |= {"the smallest cow": first, "the two cows": [True, True, False]}
    expected |= {"the cow to the left of the cat": first, "the cow to the right of the cat": second}
    for text, meant in expected.items():
        assert found[text] == meant


def test_what_is_not_clear_is_not_said() -> None:
    found = said(scene(("cow", 48, 50, 20), ("cow", 52, 52, 21)))
    assert set(found) <= {"the two cows", "two cows"}


def test_one_object_of_a_class_is_not_told_from_itself() -> None:
    assert said(scene(("dog", 50, 50, 20))) == {}


@pytest.mark.parametrize("seed", range(6))
def test_a_class_means_all_of_it_and_none_where_there_is_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert of_class(COWS, "cow", rng).meant.tolist() == [True, True, False]
    assert not of_class(COWS, "oven", rng).meant.any()


def test_a_kind_means_its_classes() -> None:
    names, meanings = {call: classes for calls, classes in KINDS for call in calls}, []
    for seed in range(20):
        meaning = of_kind(COWS, np.random.default_rng(seed))
        meanings.append(meaning)
        assert meaning.meant.tolist() == [name in names[meaning.text] for name in COWS.names]
    assert any(meaning.meant.all() for meaning in meanings)


def test_kinds_are_made_of_known_classes() -> None:
    assert {name for _, names in KINDS for name in names} <= set(COCO_CLASSES)


def test_mirrored_words_swap_left_and_right_only() -> None:
    assert mirrored_words("the leftmost cup to the right of the left bowl") == (
        "the rightmost cup to the left of the right bowl"
    )
    assert mirrored_words("the top cup") == "the top cup"
