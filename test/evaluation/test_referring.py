from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.referring import MaskScore, box_iou, match_masks, precision_at_50


def square(left: int, right: int, side: int = 20) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), np.bool_)
    mask[:, left:right] = True
    return mask


def test_box_iou_of_hand_made_boxes() -> None:
    assert box_iou((0, 0, 10, 10), (0, 0, 10, 10)) == 1.0
    assert box_iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 10, 10), (10, 10, 20, 20)) == 0.0
    assert box_iou((5, 5, 5, 5), (5, 5, 5, 5)) == 0.0


def test_precision_counts_answers_from_iou_one_half_on_and_silence_as_wrong() -> None:
    target = (0.0, 0.0, 10.0, 10.0)
    half, less = (0.0, 0.0, 10.0, 5.0), (0.0, 0.0, 10.0, 4.9)
    assert precision_at_50([target, half, less, None], [target] * 4) == 0.5
    assert precision_at_50([], []) is None
    with pytest.raises(InputError, match="2 answers for 1 targets"):
        precision_at_50([None, None], [target])


def test_masks_are_matched_whatever_their_order() -> None:
    masks = [square(0, 5), square(6, 12), square(14, 20)]
    rng = np.random.default_rng(0)
    assert match_masks([masks[2], masks[0], masks[1]], masks, rng) == [(0, 2), (1, 0), (2, 1)]
    assert match_masks([], masks, rng) == []


def test_matching_samples_points_of_large_masks() -> None:
    masks = [square(0, 150, 400), square(200, 390, 400)]
    assert match_masks(masks[::-1], masks, np.random.default_rng(0)) == [(0, 1), (1, 0)]


def test_unmatched_masks_are_paired_with_nothing() -> None:
    """Two targets of 5 and 10 columns, the first found: gIoU 1/2; cIoU 5 / (5 + 10)."""
    score = MaskScore()
    assert score.add([square(0, 5)], [square(0, 5), square(10, 20)]) == 0.5
    assert score.result()["ciou"] == pytest.approx(5 / 15)


def test_extra_masks_lower_both_measures() -> None:
    score = MaskScore()
    assert score.add([square(0, 5), square(10, 15)], [square(0, 5)]) == 0.5
    assert score.result()["ciou"] == pytest.approx(0.5)


def test_partial_overlap_gives_the_hand_made_values() -> None:
    """10 columns wanted, 5 of them and 5 others given: IoU 5/15; then a perfect sentence of 4 columns."""
    score = MaskScore()
    score.add([square(5, 15)], [square(0, 10)])
    score.add([square(0, 4)], [square(0, 4)])
    assert score.result()["giou"] == pytest.approx((1 / 3 + 1) / 2)
    assert score.result()["ciou"] == pytest.approx((5 + 4) / (15 + 4))


def test_nothing_meant_is_right_only_when_nothing_is_found() -> None:
    score = MaskScore()
    assert score.add([], []) == 1.0
    assert score.add([square(0, 0)], []) == 1.0
    assert score.add([square(0, 3)], []) == 0.0
    found = score.result()
    assert found["giou"] == pytest.approx(2 / 3)
    assert (found["ciou"], found["sentences"]) == (0.0, 3)
    assert found["false_mask_rate"] == pytest.approx(1 / 3)


def test_nothing_added_is_not_measured() -> None:
    found = MaskScore().result()
    assert (found.pop("sentences"), found.pop("per_kind")) == (0, {})
    assert set(found.values()) == {None}


def test_kinds_and_sentences_of_several_targets_are_told_apart() -> None:
    score = MaskScore()
    score.add([square(0, 5)], [square(0, 5), square(10, 15)], "all", 1)
    score.add([square(0, 4)], [square(0, 4)], "unique", 1)
    score.add([square(0, 4)], [], "absent", 2)
    found = score.result()
    assert found["multi_giou"] == 0.5
    assert found["per_kind"]["unique"]["giou"] == found["per_kind"]["unique"]["ciou"] == 1.0
    assert found["per_kind"]["unique"]["false_mask_rate"] is None
    assert found["per_kind"]["absent"]["false_mask_rate"] == 1.0
    assert list(found["per_kind"]) == ["absent", "all", "unique"]


def test_interval_is_drawn_over_pictures_and_holds_the_value() -> None:
    """Twenty pictures with ten equal sentences each: the interval is that of twenty values, not of two hundred."""
    score = MaskScore()
    for picture in range(20):
        for _ in range(10):
            score.add([square(0, 4)] if picture % 2 else [], [square(0, 4)], "unique", picture)
    low, high = score.result()["giou_ci95"]
    assert low < 0.5 < high
    assert 0.35 < high - low < 0.5  # 2 x 1.96 x sqrt(0.25 / 20) = 0.44
    assert score.result()["ciou_ci95"] == [low, high]


def test_masks_of_different_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="one size"):
        match_masks([square(0, 5, 20)], [square(0, 5, 30)], np.random.default_rng(0))
