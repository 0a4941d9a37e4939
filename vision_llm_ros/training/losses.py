"""Losses of the VisionLLM route: L_tok for the tokenizer, L_dec for the decoded tuples (VisionLLM, section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vision_llm_ros.language.codec import OffsetCodec
from vision_llm_ros.model.geometry import pairwise_iou, to_xyxy
from vision_llm_ros.model.set_decoder import SetLogits, location_bins
from vision_llm_ros.model.tokenizer import ImageTokens
from vision_llm_ros.training.matching import CLASS_WEIGHT, GIOU_WEIGHT, L1_WEIGHT, match

_ALPHA, _GAMMA = 0.25, 2.0
_POSITIVE_IOU, _IGNORED_IOU = 0.5, 0.4
_FEW_OBJECTS = 4  # pictures with fewer do not weigh more for it


@dataclass(frozen=True)
class Target:
    """What one picture holds of the listed classes.

    Attributes:
        labels: int[N], positions in the class list.
        boxes_cxcywh: float[N, 4], fractions of the network's input.
        crowd_cxcywh: float[C, 4], regions to ignore, with `crowd_labels` int[C].
        points_xy: float[N, P, 2], the points to decode, fractions; `has_points` bool[N] says which are known.
    """

    labels: Tensor
    boxes_cxcywh: Tensor
    crowd_labels: Tensor
    crowd_cxcywh: Tensor
    points_xy: Tensor
    has_points: Tensor


def focal_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Summed binary focal loss (RetinaNet, section 3.2); `weights` is 0 where neither answer is wrong."""
    logits, targets = logits.float(), targets.float()
    probability = logits.sigmoid()
    loss = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    agreement = probability * targets + (1 - probability) * (1 - targets)
    balance = _ALPHA * targets + (1 - _ALPHA) * (1 - targets)
    return (balance * (1 - agreement) ** _GAMMA * loss * weights).sum()


def _ignored(boxes_xyxy: Tensor, target: Target, num_classes: int) -> Tensor:
    """float[M, K]: 0 where a box lies in a crowd region of that class, else 1."""
    weights = torch.ones(len(boxes_xyxy), num_classes, device=boxes_xyxy.device)
    if len(target.crowd_labels):
        centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
        region = to_xyxy(target.crowd_cxcywh)
        inside = ((centres[:, None] >= region[:, :2]) & (centres[:, None] <= region[:, 2:])).all(-1)
        for column, label in enumerate(target.crowd_labels.tolist()):
            weights[:, label] *= ~inside[:, column]
    return weights


def dense_loss(logits: Tensor, boxes_cxcywh: Tensor, target: Target) -> Tensor:
    """Focal loss of every anchor against every listed class; one picture: float[A, K], float[A, 4]."""
    truth = torch.zeros_like(logits)
    boxes = to_xyxy(boxes_cxcywh.detach())
    weights = _ignored(boxes, target, logits.shape[1])
    if len(target.labels):
        overlap = pairwise_iou(boxes, to_xyxy(target.boxes_cxcywh))[0]
        for column, label in enumerate(target.labels.tolist()):
            positive = overlap[:, column] >= _POSITIVE_IOU
            truth[positive, label] = 1.0
            weights[(overlap[:, column] >= _IGNORED_IOU) & ~positive & (truth[:, label] == 0), label] = 0.0
    weights = torch.where(truth > 0, torch.ones_like(weights), weights)
    return focal_loss(logits, truth, weights) / truth.sum().clamp(min=1)


def tokenizer_loss(tokens: ImageTokens, dense_boxes: Tensor, targets: list[Target]) -> tuple[Tensor, dict[str, float]]:
    """L_tok: focal objectness per phrase, L1 and GIoU of boxes (their centres are the l_i), dense auxiliary loss.

    Returns:
        the mean over the batch, and its parts for the log.
    """
    parts = {
        "objectness": tokens.centres.new_zeros(()),
        "box": tokens.centres.new_zeros(()),
        "dense": tokens.centres.new_zeros(()),
    }
    for index, target in enumerate(targets):
        logits, boxes = tokens.class_logits[index], tokens.boxes_cxcywh[index]
        rows, columns = match(logits, boxes, target.labels, target.boxes_cxcywh)
        truth = torch.zeros_like(logits)
        truth[rows, target.labels[columns]] = 1.0
        weights = torch.where(
            truth > 0, torch.ones_like(truth), _ignored(to_xyxy(boxes.detach()), target, logits.shape[1])
        )
        count = max(len(rows), 1)
        parts["objectness"] = parts["objectness"] + CLASS_WEIGHT * focal_loss(logits, truth, weights) / count
        if len(rows):
            wanted = target.boxes_cxcywh[columns]
            giou = pairwise_iou(to_xyxy(boxes[rows]), to_xyxy(wanted))[1].diagonal()
            distance = (boxes[rows] - wanted).abs().sum(-1)
            parts["box"] = parts["box"] + (L1_WEIGHT * distance + GIOU_WEIGHT * (1 - giou)).mean()
        parts["dense"] = parts["dense"] + dense_loss(tokens.dense_logits[index], dense_boxes[index], target)
    total = torch.stack(list(parts.values())).sum() / len(targets)
    return total, {name: float(value.detach()) / len(targets) for name, value in parts.items()}


def set_loss(logits: SetLogits, tokens: ImageTokens, targets: list[Target]) -> tuple[Tensor, dict[str, float]]:
    """L_dec: cross-entropy of class tokens (unmatched sets answer `<bg>`) and of location tokens of matched sets.

    Location targets are taken relative to the detached centres l_i.
    """
    num_classes, codec = logits.classes.shape[-1] - 1, OffsetCodec(logits.locations.shape[-1])
    class_parts, location_parts = [], []
    for index, target in enumerate(targets):
        with torch.no_grad():
            boxes = tokens.boxes_cxcywh[index]
            margin = logits.classes[index, :, :num_classes] - logits.classes[index, :, num_classes:]
            rows, columns = match(margin, boxes, target.labels, target.boxes_cxcywh)
            wanted = torch.full((len(boxes),), num_classes, device=boxes.device)
            wanted[rows] = target.labels[columns]
            silent = (_ignored(to_xyxy(boxes), target, num_classes).min(-1).values == 0) & (wanted == num_classes)
        losses = functional.cross_entropy(logits.classes[index], wanted, reduction="none")
        class_parts.append(losses[~silent].sum() / max(len(rows), _FEW_OBJECTS))
        known = target.has_points[columns]
        if known.any():
            centres = tokens.centres[index, rows[known]].detach()
            answer = location_bins(target.points_xy[columns[known]], centres, codec)
            chosen = logits.locations[index, rows[known]]
            location_parts.append(functional.cross_entropy(chosen.flatten(0, 1), answer.flatten()))
    classes = torch.stack(class_parts).mean()
    locations = torch.stack(location_parts).mean() if location_parts else classes.new_zeros(())
    return classes + locations, {"class": float(classes.detach()), "location": float(locations.detach())}
