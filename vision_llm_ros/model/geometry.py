"""Box arithmetic on tensors. Boxes are cxcywh or xyxy as the name says, as fractions of the network's input."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# how far a unit of a predicted delta moves a box: the variances of the SSD box code
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2


def to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """float[..., 4] centre and size to corners."""
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def to_cxcywh(boxes_xyxy: Tensor) -> Tensor:
    """float[..., 4] corners to centre and size."""
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)


def apply_deltas(boxes_cxcywh: Tensor, deltas: Tensor) -> Tensor:
    """Move and resize boxes by float[..., 4] deltas (SSD box code, section 2.2)."""
    centre = boxes_cxcywh[..., :2] + deltas[..., :2] * _CENTRE_VARIANCE * boxes_cxcywh[..., 2:]
    size = boxes_cxcywh[..., 2:] * (deltas[..., 2:] * _SIZE_VARIANCE).clamp(-4, 4).exp()
    return torch.cat([centre, size], -1)


def pairwise_iou(first_xyxy: Tensor, second_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalized IoU of every pair.

    Args:
        first_xyxy: float[..., N, 4].
        second_xyxy: float[..., K, 4].
    Returns:
        two tensors float[..., N, K].
    """
    a, b = first_xyxy.unsqueeze(-2), second_xyxy.unsqueeze(-3)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    union = (area_a + area_b - inner).clamp(min=1e-9)
    iou = inner / union
    return iou, iou - (hull - union) / hull.clamp(min=1e-9)


def suppress_overlaps(boxes_xyxy: Tensor, labels: Tensor, threshold: float, limit: int) -> Tensor:
    """Greedy non-maximum suppression within each label over boxes sorted by falling score.

    Args:
        boxes_xyxy: float[N, 4], best first.
        labels: int[N].
        threshold: IoU above which the later box is dropped.
        limit: stop after so many kept boxes.
    Returns:
        int[<= limit] indices of the kept boxes, in order.
    """
    iou = pairwise_iou(boxes_xyxy, boxes_xyxy)[0]
    rivals = ((iou > threshold) & (labels[:, None] == labels[None])).cpu().numpy()
    dropped = np.zeros(len(rivals), bool)
    kept: list[int] = []
    for index in range(len(rivals)):
        if dropped[index]:
            continue
        kept.append(index)
        if len(kept) == limit:
            break
        dropped |= rivals[index]
    return torch.tensor(kept, dtype=torch.long, device=boxes_xyxy.device)
