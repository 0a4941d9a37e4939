from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vision_llm_ros.evaluation.detection import Finding, average_precision, box_metrics, mask_metrics
from vision_llm_ros.interfaces import Box
from vision_llm_ros.training.datasets import Instance, Picture

CLASSES = {1: "person", 2: "dog"}
BOX: Box = (10.0, 10.0, 50.0, 50.0)
FAR: Box = (70.0, 70.0, 90.0, 90.0)


def pictures(count: int, masks: bool = True) -> list[Picture]:
    return [Picture(index, Path(f"{index}.png"), 100, 100, masks) for index in range(count)]


def outline(box: Box) -> list[float]:
    return [box[0], box[1], box[2], box[1], box[2], box[3], box[0], box[3]]


def thing(image: int, category: int = 1, box: Box = BOX, crowd: bool = False, number: int = 0) -> Instance:
    area = (box[2] - box[0]) * (box[3] - box[1])
    return Instance(number, image, category, box, area, crowd, [outline(box)])


def found(image: int, score: float, box: Box = BOX, category: int = 1) -> Finding:
    corners = np.array(outline(box), np.float32).reshape(-1, 2)
    return Finding(image, category, score, box, corners)


def moved(box: Box, by: float) -> Box:
    return box[0] + by, box[1], box[2] + by, box[3]


def test_true_boxes_score_one() -> None:
    scores = box_metrics(pictures(3), [thing(i) for i in range(3)], [found(i, 0.5) for i in range(3)], CLASSES)
    assert (scores["box_ap"], scores["box_ap50"], scores["box_ap75"]) == (1.0, 1.0, 1.0)
    assert scores["box_ap50_ci95"] == [1.0, 1.0]


def test_nothing_found_scores_zero() -> None:
    scores = box_metrics(pictures(2), [thing(0), thing(1)], [], CLASSES)
    assert (scores["box_ap"], scores["box_ap50"]) == (0.0, 0.0)


def test_shifted_boxes_count_only_below_their_iou() -> None:
    """Moved by 10 of 40 pixels: IoU 30/50 = 0.6, so thresholds 0.50, 0.55 and 0.60 are met, three of ten."""
    findings = [found(i, 0.5, moved(BOX, 10)) for i in range(2)]
    scores = box_metrics(pictures(2), [thing(0), thing(1)], findings, CLASSES)
    assert scores["box_ap"] == pytest.approx(0.3)
    assert scores["box_ap50"] == 1.0
    assert scores["box_ap75"] == 0.0


def test_stronger_false_alarm_halves_precision() -> None:
    """One object, found second: precision 1/2 at every recall."""
    scores = box_metrics(pictures(1), [thing(0)], [found(0, 0.9, FAR), found(0, 0.8)], CLASSES)
    assert scores["box_ap50"] == pytest.approx(0.5)


def test_half_the_objects_found_gives_the_recall_points_up_to_one_half() -> None:
    """Recall 0, 0.01 .. 0.50: 51 of the 101 points have precision 1."""
    scores = box_metrics(pictures(2), [thing(0), thing(1)], [found(0, 0.9)], CLASSES)
    assert scores["box_ap50"] == pytest.approx(51 / 101)


def test_crowd_regions_are_neither_missed_nor_false_alarms() -> None:
    crowd = thing(0, box=(60.0, 60.0, 100.0, 100.0), crowd=True)
    scores = box_metrics(pictures(1), [thing(0), crowd], [found(0, 0.9, FAR), found(0, 0.8)], CLASSES)
    assert scores["box_ap50"] == 1.0
    assert scores["objects"] == 1


def test_classes_without_objects_do_not_lower_the_mean() -> None:
    scores = box_metrics(pictures(1), [thing(0)], [found(0, 0.9), found(0, 0.9, category=2)], CLASSES)
    assert scores["box_ap50"] == 1.0
    assert scores["per_class"]["dog"] == {"ap": None, "ap50": None, "objects": 0}


def test_subset_is_the_mean_over_its_own_classes() -> None:
    instances = [thing(0), thing(0, category=2, box=FAR)]
    both = box_metrics(pictures(1), instances, [found(0, 0.9)], CLASSES)
    assert both["box_ap50"] == pytest.approx(0.5)
    assert box_metrics(pictures(1), instances, [found(0, 0.9)], {1: "person"})["box_ap50"] == 1.0
    assert both["per_class"]["person"]["ap50"] == 1.0
    assert both["per_class"]["dog"] == {"ap": 0.0, "ap50": 0.0, "objects": 1}


def test_only_the_hundred_strongest_of_a_picture_count() -> None:
    noise = [found(0, 0.9, FAR) for _ in range(100)]
    assert box_metrics(pictures(1), [thing(0)], [*noise, found(0, 0.1)], CLASSES)["box_ap50"] == 0.0
    assert box_metrics(pictures(1), [thing(0)], [*noise[1:], found(0, 0.1)], CLASSES)["box_ap50"] > 0.0


def test_annotation_number_zero_is_an_object_like_any_other() -> None:
    assert box_metrics(pictures(1), [thing(0, number=0)], [found(0, 0.5)], CLASSES)["box_ap50"] == 1.0


def test_findings_and_objects_of_other_pictures_do_not_count() -> None:
    scores = box_metrics(pictures(1), [thing(0), thing(7)], [found(0, 0.5), found(7, 0.9, FAR)], CLASSES)
    assert scores["box_ap50"] == 1.0
    assert scores["objects"] == 1


def test_nothing_annotated_is_not_measured() -> None:
    scores = box_metrics(pictures(1), [], [found(0, 0.5)], CLASSES)
    assert scores["box_ap50"] is None
    assert scores["box_ap50_ci95"] is None


def test_interval_contains_the_value_narrows_with_pictures_and_is_seeded() -> None:
    def interval(count: int, seed: int = 0) -> list[float]:
        instances = [thing(i) for i in range(count)]
        findings = [found(i, 0.5, BOX if i % 2 else FAR) for i in range(count)]
        scores = box_metrics(pictures(count), instances, findings, CLASSES, seed)
        low, high = scores["box_ap50_ci95"]
        assert low <= scores["box_ap50"] <= high
        return [low, high]

    few, many = interval(10), interval(160)
    assert few[1] - few[0] > 2 * (many[1] - many[0]) > 0
    assert interval(10) == few
    assert interval(10, seed=1) != few


def test_own_precision_curve_agrees_with_pycocotools_on_random_findings() -> None:
    rng = np.random.default_rng(0)
    instances = [thing(i, int(rng.integers(1, 3)), moved(BOX, float(rng.uniform(-9, 9)))) for i in range(40)]
    findings = [
        found(item.image_id, float(rng.random()), moved(item.box_xyxy_px, float(rng.uniform(-30, 30))), int(kind))
        for item in instances
        for kind in rng.integers(1, 3, 3)
    ]
    from vision_llm_ros.evaluation.detection import _judge

    judged = _judge(pictures(40), instances, findings, CLASSES, "bbox")
    own = [part.ap(np.ones(40), 1) for part in judged.per_picture]
    assert 0.05 < np.mean(own) < 0.95
    assert np.mean(own) == pytest.approx(judged.mean(0), abs=1e-9)


def test_average_precision_of_a_hand_made_order() -> None:
    """Hit, miss, hit over two objects: precision 1 up to recall 0.5, then 2/3."""
    value = average_precision(np.array([True, False, True]), np.ones(3), 2.0)
    assert value == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_polygons_are_judged_by_their_masks() -> None:
    """A triangle over half of a square: IoU about 0.5 as a mask though the box is right."""
    triangle = Finding(0, 1, 0.9, BOX, np.array([[10, 10], [50, 10], [50, 50]], np.float32))
    square = mask_metrics(pictures(1), [thing(0)], [found(0, 0.9)], CLASSES)
    assert (square["mask_ap"], square["mask_ap50"], square["mask_images"]) == (1.0, 1.0, 1)
    assert mask_metrics(pictures(1), [thing(0)], [triangle], CLASSES)["mask_ap75"] == 0.0
    assert box_metrics(pictures(1), [thing(0)], [triangle], CLASSES)["box_ap75"] == 1.0


def test_findings_without_a_polygon_and_pictures_without_masks_do_not_reach_mask_ap() -> None:
    bare = Finding(0, 1, 0.9, BOX)
    assert mask_metrics(pictures(1), [thing(0)], [bare], CLASSES)["mask_ap50"] == 0.0
    empty = mask_metrics(pictures(1, masks=False), [thing(0)], [found(0, 0.9)], CLASSES)
    assert (empty["mask_ap50"], empty["mask_images"]) == (None, 0)
