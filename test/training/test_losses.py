from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vision_llm_ros.model.set_decoder import SetLogits
from vision_llm_ros.model.tokenizer import ImageTokens
from vision_llm_ros.training.losses import Target, dense_loss, focal_loss, set_loss, tokenizer_loss
from vision_llm_ros.training.matching import match


def target(boxes: list[list[float]], labels: list[int], crowds: list[list[float]] | None = None) -> Target:
    """Boxes and crowd regions (of class 0), cxcywh; the points to decode are the corners."""
    found = torch.tensor(boxes, dtype=torch.float32).view(-1, 4)
    corners = torch.stack([found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2], 1)
    crowd = torch.tensor(crowds or [], dtype=torch.float32).view(-1, 4)
    return Target(
        torch.tensor(labels, dtype=torch.long),
        found,
        torch.zeros(len(crowd), dtype=torch.long),
        crowd,
        corners,
        torch.ones(len(found), dtype=torch.bool),
    )


def tokens(boxes: Tensor, logits: Tensor) -> ImageTokens:
    empty = torch.zeros(1, len(boxes), 1)
    return ImageTokens(empty, boxes[None, :, :2], boxes[None], empty, logits[None], logits[None])


def test_focal_loss_has_its_published_value() -> None:
    """Positive at p = 0.9: 0.25 * 0.1^2 * -ln 0.9; negative at p = 0.1: 0.75 * 0.1^2 * -ln 0.9."""
    logit = math.log(9.0)
    logits, truth = torch.tensor([logit, -logit]), torch.tensor([1.0, 0.0])
    expected = (0.25 + 0.75) * 0.01 * -math.log(0.9)
    assert focal_loss(logits, truth, torch.ones(2)).item() == pytest.approx(expected, rel=1e-4)
    assert focal_loss(logits, truth, torch.zeros(2)).item() == 0.0


def test_focal_loss_stays_finite_for_certain_answers() -> None:
    loss = focal_loss(torch.tensor([200.0, -200.0]), torch.tensor([0.0, 1.0]), torch.ones(2))
    assert torch.isfinite(loss)
    assert loss > 100


ANCHORS = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.4, 0.23], [0.5, 0.5, 0.4, 0.18], [0.1, 0.1, 0.1, 0.1]])


def test_dense_loss_teaches_overlapping_anchors_and_ignores_undecided_ones() -> None:
    """IoU 1 and 0.575 are positive, 0.45 is neither, 0 is negative."""
    logits = torch.zeros(4, 1, requires_grad=True)
    dense_loss(logits, ANCHORS, target([[0.5, 0.5, 0.4, 0.4]], [0])).backward()
    assert logits.grad is not None
    assert [math.copysign(1, value) if value else 0 for value in logits.grad[:, 0].tolist()] == [-1, -1, 0, 1]


def test_crowds_are_neither_right_nor_wrong() -> None:
    logits = torch.zeros(4, 2, requires_grad=True)
    dense_loss(logits, ANCHORS, target([], [], [[0.5, 0.5, 0.5, 0.5]])).backward()
    assert logits.grad is not None
    assert not logits.grad[:3, 0].any(), "anchors in the crowd of class 0"
    assert (logits.grad[:3, 1] > 0).all(), "another class is wrong there"
    assert logits.grad[3, 0] > 0, "outside the crowd"


def test_a_perfect_tokenizer_has_no_box_loss_and_a_moved_one_its_known_value() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.2, 0.2, 0.1, 0.1]])
    logits = torch.tensor([[9.0], [-9.0]])
    objects = target([[0.5, 0.5, 0.2, 0.2]], [0])
    _, exact = tokenizer_loss(tokens(boxes, logits), boxes[None], [objects])
    assert exact["box"] == pytest.approx(0, abs=1e-5)
    assert exact["objectness"] < 1e-3
    moved = boxes + torch.tensor([0.1, 0.0, 0.0, 0.0])
    _, shifted = tokenizer_loss(tokens(moved, logits), boxes[None], [objects])
    # L1 0.1 times 5; IoU 1/3, hull 0.3 x 0.2, union 0.06: GIoU 1/3, (1 - 1/3) times 2
    assert shifted["box"] == pytest.approx(0.5 + 4 / 3, rel=1e-4)


def test_a_picture_without_objects_teaches_silence() -> None:
    logits = torch.zeros(4, 2, requires_grad=True)
    loss, parts = tokenizer_loss(tokens(ANCHORS, logits), ANCHORS[None], [target([], [])])
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad > 0).all()
    assert parts["box"] == 0


def sets(count: int, classes: int = 2, bins: int = 65) -> SetLogits:
    return SetLogits(
        torch.zeros(1, count, classes + 1, requires_grad=True), torch.zeros(1, count, 4, bins, requires_grad=True)
    )


def test_set_loss_of_an_undecided_decoder_is_the_logarithm_of_its_choices() -> None:
    """Two sets over 2 classes and background, one matched, weighted as in a picture of four; 65 bins."""
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]])
    _, parts = set_loss(sets(2), tokens(boxes, torch.zeros(2, 2)), [target([[0.5, 0.5, 0.2, 0.2]], [1])])
    assert parts["class"] == pytest.approx(2 * math.log(3) / 4, rel=1e-4)
    assert parts["location"] == pytest.approx(math.log(65), rel=1e-4)


def test_location_targets_are_offsets_from_the_tokens_own_centre() -> None:
    boxes = torch.tensor([[0.45, 0.5, 0.25, 0.5]])
    logits = sets(1)
    loss, _ = set_loss(logits, tokens(boxes, torch.zeros(1, 2)), [target([[0.5, 0.5, 0.25, 0.5]], [0])])
    loss.backward()
    assert logits.locations.grad is not None
    wanted = logits.locations.grad[0, 0].argmin(-1) - 32
    assert wanted.tolist() == [round((0.375 - 0.45) * 32), -8, round((0.625 - 0.45) * 32), 8]


def test_unmatched_sets_answer_background_but_not_inside_a_crowd() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]])
    logits = sets(2)
    loss, _ = set_loss(logits, tokens(boxes, torch.zeros(2, 2)), [target([], [], [[0.5, 0.5, 0.3, 0.3]])])
    loss.backward()
    assert logits.classes.grad is not None
    assert not logits.classes.grad[0, 0].any()
    assert logits.classes.grad[0, 1].argmin() == 2
    assert logits.locations.grad is None or not logits.locations.grad.any()


def test_points_that_are_not_known_teach_nothing() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2]])
    known = target([[0.5, 0.5, 0.2, 0.2]], [0])
    unknown = Target(**{**vars(known), "has_points": torch.zeros(1, dtype=torch.bool)})
    _, parts = set_loss(sets(1), tokens(boxes, torch.zeros(1, 2)), [unknown])
    assert parts["location"] == 0
    assert parts["class"] == pytest.approx(math.log(3) / 4, rel=1e-4)


def test_the_centres_learn_from_boxes_only() -> None:
    """Location targets are relative to detached centres."""
    boxes = torch.tensor([[0.45, 0.5, 0.25, 0.5]], requires_grad=True)
    loss, _ = set_loss(sets(1), tokens(boxes, torch.zeros(1, 2)), [target([[0.5, 0.5, 0.25, 0.5]], [0])])
    loss.backward()
    assert boxes.grad is None


def test_each_object_gets_the_token_that_fits_it() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]])
    logits = torch.tensor([[3.0, -3.0], [-3.0, 3.0], [0.0, 0.0]])
    labels, objects = torch.tensor([1, 0]), torch.tensor([[0.5, 0.5, 0.2, 0.2]] * 2)
    rows, columns = match(logits, boxes, labels, objects)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}


def test_matching_is_best_as_a_whole_not_greedy() -> None:
    """Token 0 fits both; the total is best when it yields the object that nothing else can take."""
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.52, 0.5, 0.2, 0.2]])
    objects = torch.tensor([[0.51, 0.5, 0.2, 0.2], [0.45, 0.5, 0.2, 0.2]])
    rows, columns = match(torch.zeros(2, 1), boxes, torch.zeros(2, dtype=torch.long), objects)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}


@pytest.mark.parametrize(("count", "objects"), [(2, 5), (5, 2), (3, 0)])
def test_matching_serves_as_many_as_there_are(count: int, objects: int) -> None:
    near = torch.tensor([0.5, 0.5, 0.3, 0.3])
    boxes, wanted = near + torch.rand(count, 4) * 0.05, near + torch.rand(objects, 4) * 0.05
    rows, columns = match(torch.zeros(count, 1), boxes, torch.zeros(objects, dtype=torch.long), wanted)
    assert len(rows) == len(columns) == len(set(rows.tolist())) == min(count, objects)


def test_an_object_without_a_token_nearby_claims_none() -> None:
    boxes = torch.tensor([[0.2, 0.2, 0.1, 0.1], [0.8, 0.8, 0.2, 0.2]])
    objects = torch.tensor([[0.5, 0.5, 0.1, 0.1], [0.81, 0.8, 0.2, 0.2]])
    rows, columns = match(torch.zeros(2, 1), boxes, torch.zeros(2, dtype=torch.long), objects)
    assert (rows.tolist(), columns.tolist()) == ([1], [1])
