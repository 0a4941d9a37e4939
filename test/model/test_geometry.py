from __future__ import annotations

import math

import pytest
import torch

from vision_llm_ros.model.geometry import apply_deltas, pairwise_iou, suppress_overlaps, to_cxcywh, to_xyxy


def test_corners_and_centres_are_each_others_inverse() -> None:
    boxes = torch.tensor([[0.5, 0.4, 0.2, 0.6]])
    assert torch.allclose(to_xyxy(boxes), torch.tensor([[0.4, 0.1, 0.6, 0.7]]))
    assert torch.allclose(to_cxcywh(to_xyxy(boxes)), boxes)


def test_box_code_follows_ssd() -> None:
    """centre + delta * 0.1 * side; side * exp(0.2 * delta)."""
    anchor = torch.tensor([[0.5, 0.5, 0.2, 0.4]])
    moved = apply_deltas(anchor, torch.tensor([[1.0, -2.0, 5 * math.log(2), 0.0]]))
    assert torch.allclose(moved, torch.tensor([[0.52, 0.42, 0.4, 0.4]]))
    assert torch.allclose(apply_deltas(anchor, torch.zeros(1, 4)), anchor)


def test_wild_deltas_stay_finite() -> None:
    boxes = apply_deltas(torch.tensor([[0.5, 0.5, 0.2, 0.4]]), torch.tensor([[0.0, 0.0, 1e6, -1e6]]))
    assert torch.isfinite(boxes).all()
    assert (boxes[:, 2:] > 0).all()


@pytest.mark.parametrize(
    ("first", "second", "iou", "giou"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0, 1.0),
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7, 1 / 7 - 2 / 9),
        ((0, 0, 1, 1), (3, 0, 4, 1), 0.0, -0.5),
        ((0, 0, 4, 4), (1, 1, 3, 3), 0.25, 0.25),
        ((1, 1, 1, 1), (0, 0, 2, 2), 0.0, 0.0),
    ],
)
def test_overlaps_have_their_known_values(
    first: tuple[float, ...], second: tuple[float, ...], iou: float, giou: float
) -> None:
    found = pairwise_iou(torch.tensor([first], dtype=torch.float32), torch.tensor([second], dtype=torch.float32))
    assert found[0].item() == pytest.approx(iou)
    assert found[1].item() == pytest.approx(giou)


BOXES = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9], [0.0, 0.0, 1.0, 0.5], [0.5, 0.5, 0.9, 0.9]])


@pytest.mark.parametrize(
    ("labels", "threshold", "limit", "kept"),
    [
        ([0, 0, 0, 0], 0.6, 9, [0, 2, 3]),
        ([0, 1, 0, 0], 0.6, 9, [0, 1, 2, 3]),
        ([0, 0, 0, 0], 0.4, 9, [0, 3]),
        ([0, 0, 0, 0], 0.6, 2, [0, 2]),
        ([0, 0, 0, 0], 1.0, 9, [0, 1, 2, 3]),
    ],
)
def test_weaker_overlapping_boxes_of_a_label_are_dropped(
    labels: list[int], threshold: float, limit: int, kept: list[int]
) -> None:
    assert suppress_overlaps(BOXES, torch.tensor(labels), threshold, limit).tolist() == kept


def test_a_dropped_box_drops_no_other() -> None:
    """b overlaps a, c overlaps b but not a: c stays."""
    chain = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.3, 0.0, 1.3, 1.0], [0.6, 0.0, 1.6, 1.0]])
    assert suppress_overlaps(chain, torch.zeros(3), 0.5, 9).tolist() == [0, 2]


def test_no_boxes_give_no_boxes() -> None:
    assert suppress_overlaps(torch.zeros(0, 4), torch.zeros(0), 0.5, 9).tolist() == []
