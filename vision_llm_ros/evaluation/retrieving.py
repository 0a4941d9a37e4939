"""Retrieval with a matcher: ITC for every pair, and with a shortlist ITM re-ranks the likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.evaluation.retrieval import recall_both_ways
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import Frame
from vision_llm_ros.model.blip import Look
from vision_llm_ros.runtime.matching import Matcher
from vision_llm_ros.training.datasets import CaptionSet, Picture

_ABOVE = 1e3  # more than any logit is below zero


def match(
    trial: Trial, matcher: Matcher, dataset: CaptionSet, pictures: Sequence[Picture], pairs: bool, shortlist: int
) -> dict[str, Any]:
    """Recall of captions for pictures and of pictures for captions.

    Args:
        pairs: one caption a picture, the first; otherwise all.
        shortlist: how many candidates of each query ITM ranks anew; 0: none.
    Returns:
        image_to_text and text_to_image {r1, r5, r10} by ITC, `reranked` the same with ITM, captions.
    """
    looks: list[Look] = []
    texts: list[str] = []
    owner: list[int] = []
    for picture, image in trial.read(pictures, "match"):
        own = dataset.captions[picture.image_id][: 1 if pairs else None]
        owner += [len(looks)] * len(own)
        texts += own
        looks.append(matcher.look_frame(Frame(image)))
    cosines = matcher.similarities(looks, texts).double().cpu().numpy()
    owners = np.array(owner)
    found: dict[str, Any] = {**recall_both_ways(cosines, owners), "captions": len(texts)}
    if shortlist:
        found["reranked"] = recall_both_ways(_reranked(matcher, looks, texts, cosines, shortlist), owners)
    return found


def _reranked(
    matcher: Matcher, looks: Sequence[Look], texts: Sequence[str], cosines: NDArray[np.float64], shortlist: int
) -> NDArray[np.float64]:
    """ITM's logit where a pair is on the shortlist of its picture or caption, above all others."""
    chosen = np.zeros(cosines.shape, bool)
    for axis in (0, 1):
        count = min(shortlist, cosines.shape[axis])
        np.put_along_axis(chosen, np.argpartition(-cosines, count - 1, axis).take(range(count), axis), True, axis)
    rows, columns = chosen.nonzero()
    pairs = [(looks[row], texts[column]) for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]
    table = cosines.copy()
    table[rows, columns] = matcher.fit_logits(pairs).double().cpu().numpy() + _ABOVE
    return table
