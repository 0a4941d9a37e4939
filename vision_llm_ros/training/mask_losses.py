"""Losses of the referring mask network (PixelLM, section 3.3): answer tokens, target refinement, Dice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_DICE_SCALE = 1e-3
_DICE_EPSILON = 1e-6


def claimed_twice(inside: Tensor, groups: Tensor) -> Tensor:
    """Pixels that two or more masks of one answer claim.

    Args:
        inside: bool[K, H, W], predicted masks over one picture.
        groups: int[K], the answer that each mask belongs to.
    Returns:
        bool[K, H, W], the same for all masks of an answer.
    """
    claims = torch.zeros(int(groups.max()) + 1, *inside.shape[1:], device=inside.device, dtype=torch.long)
    return claims.index_add(0, groups, inside.long())[groups] >= 2


def refinement_loss(logits: Tensor, targets: Tensor, overlap: Tensor, alpha: float) -> Tensor:
    """Binary cross-entropy whose pixels weigh `alpha` where two or more masks of one answer are positive.

    Args:
        logits: float[K, H, W], predicted masks.
        targets: float[K, H, W], 0..1.
        overlap: bool[K, H, W], see `claimed_twice`.
        alpha: 1 gives the plain cross-entropy.
    Returns:
        mean over masks and pixels.
    """
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
