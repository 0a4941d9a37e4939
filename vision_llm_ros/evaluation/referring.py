"""Referring to one object by a box (P@0.5) and to any number of objects by masks (gIoU, cIoU)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import Box

SAMPLED_POINTS = 12544
CERTAINTY = 0.99


def box_iou(first: Box, second: Box) -> float:
    """IoU of two boxes xyxy in the same unit; 0 where either is empty."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    joined = float(np.prod(np.maximum(a[2:] - a[:2], 0)) + np.prod(np.maximum(b[2:] - b[:2], 0))) - shared
    return shared / joined if joined > 0 else 0.0


def precision_at_50(answers: Sequence[Box | None], targets: Sequence[Box]) -> float | None:
    """Share of sentences whose answer (None: nothing found) overlaps the one target by IoU >= 0.5."""
    if len(answers) != len(targets):
        raise InputError(f"Expected an answer per target, got {len(answers)} answers for {len(targets)} targets")
    hits = [
        answer is not None and box_iou(answer, target) >= 0.5 for answer, target in zip(answers, targets, strict=True)
    ]
    return float(np.mean(hits)) if hits else None


def match_masks(
    predicted: Sequence[NDArray[np.bool_]], targets: Sequence[NDArray[np.bool_]], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Pair masks (bool[H, W], one size) one to one by the least binary cross-entropy plus Dice.

    The cost is taken on 12544 pixels drawn with `rng`, on all of them in smaller pictures. A mask counts as a
    probability of 0.99 inside and 0.01 outside.

    Returns:
        (index of prediction, index of target); min(len(predicted), len(targets)) pairs.
    """
    if not predicted or not targets:
        return []
    ours, theirs = _flat(predicted), _flat(targets)
    if ours.shape[1] != theirs.shape[1]:
        raise InputError(f"Expected masks of one size, got {predicted[0].shape} and {targets[0].shape}")
    if ours.shape[1] > SAMPLED_POINTS:
        points = rng.choice(ours.shape[1], SAMPLED_POINTS, replace=False)
        ours, theirs = ours[:, points], theirs[:, points]
    chance = np.where(ours, CERTAINTY, 1 - CERTAINTY)
    inside, outside = theirs.astype(float), (~theirs).astype(float)
    entropy = -(np.log(chance) @ inside.T + np.log(1 - chance) @ outside.T) / ours.shape[1]
    dice = 1 - (2 * chance @ inside.T + 1) / (chance.sum(1)[:, None] + inside.sum(1)[None] + 1)
    rows, columns = linear_sum_assignment(entropy + dice)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]


@dataclass
class MaskScore:
    """Adds up sentences; masks without a partner are paired with an empty mask.

    One sentence scores sum(IoU of pairs) / max(predicted, targets); 1 if nothing was meant and nothing was found.
    """

    seed: int = 0
    scores: list[float] = field(default_factory=list)
    empties: list[bool] = field(default_factory=list)
    shared: int = 0
    joined: int = 0

    def add(self, predicted: Sequence[NDArray[np.bool_]], targets: Sequence[NDArray[np.bool_]]) -> float:
        """Count one sentence: bool[H, W] masks of one size. Returns its score, 0..1."""
        predicted = [mask for mask in predicted if mask.any()]
        targets = [mask for mask in targets if mask.any()]
        if not targets:
            self.empties.append(not predicted)
        pairs = match_masks(predicted, targets, np.random.default_rng((self.seed, len(self.scores))))
        shared = [int(np.sum(predicted[i] & targets[j])) for i, j in pairs]
        joined = [int(np.sum(predicted[i] | targets[j])) for i, j in pairs]
        paired, met = {i for i, _ in pairs}, {j for _, j in pairs}
        alone = [mask for i, mask in enumerate(predicted) if i not in paired]
        alone += [mask for j, mask in enumerate(targets) if j not in met]
        self.shared += sum(shared)
        self.joined += sum(joined) + sum(int(mask.sum()) for mask in alone)
        count = max(len(predicted), len(targets))
        score = sum(part / whole for part, whole in zip(shared, joined, strict=True)) / count if count else 1.0
        self.scores.append(score)
        return score

    def result(self) -> dict[str, float | int | None]:
        """giou, ciou (None without a single pixel), empty_accuracy over sentences without target, sentences."""
        return {
            "giou": float(np.mean(self.scores)) if self.scores else None,
            "ciou": self.shared / self.joined if self.joined else None,
            "empty_accuracy": float(np.mean(self.empties)) if self.empties else None,
            "sentences": len(self.scores),
        }


def _flat(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    if len({mask.shape for mask in masks}) != 1:
        raise InputError(f"Expected masks of one size, got {sorted({mask.shape for mask in masks})}")
    return np.stack([mask.reshape(-1) for mask in masks])
