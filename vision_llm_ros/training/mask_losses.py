"""Losses of the referring mask network (PixelLM, section 3.3): answer tokens, target refinement, Dice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_DICE_SCALE = 1e-3
_DICE_EPSILON = 1e-6


def refinement_loss(logits: Tensor, targets: Tensor, groups: Tensor, alpha: float) -> Tensor:
    """Binary cross-entropy whose pixels weigh `alpha` where two or more masks of one answer are positive.

    Args:
        logits: float[K, H, W], predicted masks.
        targets: float[K, H, W], 0..1.
        groups: int[K], the answer that each mask belongs to.
        alpha: 1 gives the plain cross-entropy.
    Returns:
        mean over masks and pixels.
    """
    positive = (logits.detach() > 0).to(logits.dtype)
    claims = torch.zeros(int(groups.max()) + 1, *logits.shape[1:], device=logits.device, dtype=logits.dtype)
    overlap = claims.index_add(0, groups, positive)[groups] >= 2
    weights = torch.where(overlap, alpha, 1.0)
    return (weights * functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")).mean()


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - Dice of float[K, H, W] masks, mean over K; sums are scaled by 1/1000, as in the release."""
    inside = logits.sigmoid().flatten(1)
    wanted = targets.flatten(1)
    shared = (inside * wanted * _DICE_SCALE).sum(-1)
    total = ((inside + wanted) * _DICE_SCALE).sum(-1)
    return (1 - (2 * shared + _DICE_EPSILON) / (total + _DICE_EPSILON)).mean()


def token_loss(logits: Tensor, wanted: Tensor, known: Tensor, single: Tensor) -> Tensor:
    """Cross-entropy of the answer: at every candidate [SEG0] against [end].

    A phrase with one target is also a choice among the candidates, as its one [SEG0] has one place.

    Args:
        logits: float[P, M], of [SEG0] against [end].
        wanted: bool[P, M], targets.
        known: bool[P, M], False where it cannot be said whether a candidate is a target.
        single: bool[P], at most one target.
    """
    each = functional.binary_cross_entropy_with_logits(logits, wanted.to(logits.dtype), reduction="none")
    loss = (each * known).sum(-1).mean()
    rows = single & wanted.any(-1)
    if not rows.any():
        return loss
    kept = logits[rows].masked_fill(~known[rows], float("-inf"))
    right = kept.masked_fill(~wanted[rows], float("-inf"))
    return loss + (kept.logsumexp(-1) - right.logsumexp(-1)).mean()
