"""Referring to one object by a box (P@0.5) and to any number of objects by masks (gIoU, cIoU)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import Box

SAMPLED_POINTS = 12544
CERTAINTY = 0.99
DRAWS = 1000


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


@dataclass(frozen=True)
class ScoredSentence:
    """What one sentence contributes.

    Attributes:
        giou: sum(IoU of pairs) / max(predicted, targets); 1 if nothing was meant and nothing was found.
        shared, joined: pixels in both and in either of the paired masks; an unpaired mask is paired with nothing.
        group: the picture; pictures are what an interval is drawn over.
    """

    giou: float
    shared: int
    joined: int
    predicted: int
    targets: int
    kind: str = ""
    group: int = 0


@dataclass
class MaskScore:
    """Adds up sentences; masks without a partner are paired with an empty mask.

    Source: PixelLM, section 5.2 (MUSE), without its check of the answer's words.
    """

    seed: int = 0
    sentences: list[ScoredSentence] = field(default_factory=list)

    def add(
        self,
        predicted: Sequence[NDArray[np.bool_]],
        targets: Sequence[NDArray[np.bool_]],
        kind: str = "",
        group: int = 0,
    ) -> float:
        """Count one sentence: bool[H, W] masks of one size. Returns its gIoU, 0..1."""
        predicted = [mask for mask in predicted if mask.any()]
        targets = [mask for mask in targets if mask.any()]
        pairs = match_masks(predicted, targets, np.random.default_rng((self.seed, len(self.sentences))))
        shared = [int(np.sum(predicted[i] & targets[j])) for i, j in pairs]
        joined = [int(np.sum(predicted[i] | targets[j])) for i, j in pairs]
        paired, met = {i for i, _ in pairs}, {j for _, j in pairs}
        alone = [mask for i, mask in enumerate(predicted) if i not in paired]
        alone += [mask for j, mask in enumerate(targets) if j not in met]
        count = max(len(predicted), len(targets))
        giou = sum(part / whole for part, whole in zip(shared, joined, strict=True)) / count if count else 1.0
        pixels = sum(joined) + sum(int(mask.sum()) for mask in alone)
        self.sentences.append(ScoredSentence(giou, sum(shared), pixels, len(predicted), len(targets), kind, group))
        return giou

    def result(self) -> dict[str, Any]:
        """giou, ciou, multi_giou, false_mask_rate and sentences as `summary`, the first two with their 95 % intervals
        over pictures, and per_kind {kind: summary}."""
        kinds = sorted({item.kind for item in self.sentences if item.kind})
        return {
            **summary(self.sentences),
            **self._intervals(),
            "per_kind": {kind: summary([item for item in self.sentences if item.kind == kind]) for kind in kinds},
        }

    def _intervals(self) -> dict[str, list[float] | None]:
        """Bootstrap: the pictures are drawn anew with replacement, each with all its sentences."""
        groups = sorted({item.group for item in self.sentences})
        place = {group: index for index, group in enumerate(groups)}
        sums = np.zeros((len(groups), 4))
        for item in self.sentences:
            sums[place[item.group]] += item.giou, 1, item.shared, item.joined
        if len(groups) < 2:
            return {"giou_ci95": None, "ciou_ci95": None}
        even = np.full(len(groups), 1 / len(groups))
        drawn = np.random.default_rng(self.seed).multinomial(len(groups), even, DRAWS) @ sums
        return {
            "giou_ci95": _middle95(drawn[:, 0] / drawn[:, 1]),
            "ciou_ci95": _middle95(drawn[:, 2] / np.maximum(drawn[:, 3], 1)),
        }


def summary(sentences: Sequence[ScoredSentence]) -> dict[str, Any]:
    """Mean values, None where there is nothing to measure.

    Returns:
        giou over all sentences; ciou; multi_giou over those with two targets or more; false_mask_rate: share of those
        without a target that were answered with a mask; sentences: their number.
    """
    joined = sum(item.joined for item in sentences)
    return {
        "giou": _mean([item.giou for item in sentences]),
        "ciou": sum(item.shared for item in sentences) / joined if joined else None,
        "multi_giou": _mean([item.giou for item in sentences if item.targets > 1]),
        "false_mask_rate": _mean([float(item.predicted > 0) for item in sentences if not item.targets]),
        "sentences": len(sentences),
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _middle95(values: NDArray[np.float64]) -> list[float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return [float(low), float(high)]


def _flat(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    if len({mask.shape for mask in masks}) != 1:
        raise InputError(f"Expected masks of one size, got {sorted({mask.shape for mask in masks})}")
    return np.stack([mask.reshape(-1) for mask in masks])
