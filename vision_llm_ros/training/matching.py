"""One-to-one matching of image tokens to objects (DETR, section 3.1, with Deformable-DETR's cost weights)."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from vision_llm_ros.model.geometry import pairwise_iou, to_xyxy

CLASS_WEIGHT, L1_WEIGHT, GIOU_WEIGHT = 2.0, 5.0, 2.0
# Queries start at proposals and stay near them, so an object without a proposal must not claim a distant one.
LEAST_IOU = 0.3
_ALPHA, _GAMMA = 0.25, 2.0


@torch.no_grad()
def match(class_logits: Tensor, boxes_cxcywh: Tensor, labels: Tensor, targets_cxcywh: Tensor) -> tuple[Tensor, Tensor]:
    """Assign objects to tokens one to one at least total cost; pairs that hardly overlap are dropped.

    Args:
        class_logits: float[M, K].
        boxes_cxcywh: float[M, 4], fractions.
        labels: int[N], columns of class_logits.
        targets_cxcywh: float[N, 4].
    Returns:
        int[P] token indices and the int[P] object each is assigned, P <= min(M, N).
    """
    if not len(labels):
        empty = torch.zeros(0, dtype=torch.long, device=labels.device)
        return empty, empty
    probability = class_logits.sigmoid()[:, labels]
    hit = _ALPHA * (1 - probability) ** _GAMMA * -(probability + 1e-8).log()
    miss = (1 - _ALPHA) * probability**_GAMMA * -(1 - probability + 1e-8).log()
    distance = torch.cdist(boxes_cxcywh, targets_cxcywh, p=1)
    overlap, generalized = pairwise_iou(to_xyxy(boxes_cxcywh), to_xyxy(targets_cxcywh))
    cost = CLASS_WEIGHT * (hit - miss) + L1_WEIGHT * distance - GIOU_WEIGHT * generalized
    pairs = linear_sum_assignment(cost.float().cpu().numpy())
    rows, columns = (torch.as_tensor(side, device=labels.device) for side in pairs)
    near = overlap[rows, columns] >= LEAST_IOU
    return rows[near], columns[near]
