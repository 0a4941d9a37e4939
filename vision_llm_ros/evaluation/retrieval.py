"""Recall at 1, 5 and 10 of captions for pictures and of pictures for captions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError

DEPTHS = (1, 5, 10)


def recall_both_ways(scores: NDArray[np.float64], owner: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """Score a retrieval table.

    Args:
        scores: float[images, captions], higher fits better; NaN ranks last.
        owner: int[captions], the row of the picture each caption was written for.
    Returns:
        image_to_text and text_to_image, each {r1, r5, r10} in 0..1. A picture counts as found when one of its own
        captions is among the first k. Of equal scores the wrong one goes first, so that a constant scores nothing.
    Raises:
        InputError: the shapes disagree, or a picture has no caption.
    """
    images, captions = scores.shape
    if owner.shape != (captions,) or set(owner.tolist()) != set(range(images)):
        raise InputError(f"Expected an owner 0..{images - 1} for each of {captions} captions and one for every picture")
    table = np.nan_to_num(scores.astype(float), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    own = owner[None, :] == np.arange(images)[:, None]
    best_own = np.where(own, table, -np.inf).max(axis=1)
    image_ranks = np.sum(~own & (table >= best_own[:, None]), axis=1)
    right = table[owner, np.arange(captions)]
    caption_ranks = np.sum(~own & (table >= right[None, :]), axis=0)
    return {"image_to_text": _recalls(image_ranks), "text_to_image": _recalls(caption_ranks)}


def _recalls(ranks: NDArray[np.int64]) -> dict[str, float]:
    return {f"r{depth}": float(np.mean(ranks < depth)) for depth in DEPTHS}
