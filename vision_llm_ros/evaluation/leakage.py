"""What a class list lets through: objects of classes that were not listed, reported under a listed name.

That a label outside the list appears is impossible by construction, and counted all the same. What can happen is that
a cat is called a dog where only dogs were asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.evaluation.detection import Finding
from vision_llm_ros.training.datasets import Instance

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)
SAME_BOX = 0.5


def leakage(instances: Sequence[Instance], found: Sequence[Finding], categories: Mapping[int, str]) -> dict[str, Any]:
    """Count unlisted objects whose box is reported under a listed name.

    An answer is mistaken where it overlaps an unlisted object with an IoU of 0.5 and no object of its own name; crowds
    count as objects of their name, never as unlisted ones.

    Args:
        instances: every annotated object of the pictures, of all classes.
        categories: the listed classes.
    Returns:
        unlisted_objects, and by score threshold the shares of these objects and of the answers that are mistaken.
    """
    homes: dict[int, list[Instance]] = defaultdict(list)
    for item in instances:
        homes[item.image_id].append(item)
    unlisted = [item for item in instances if item.category_id not in categories and not item.crowd]
    best = dict.fromkeys((item.annotation_id for item in unlisted), 0.0)  # score of the strongest mistaken answer
    mistaken = np.zeros(len(found), dtype=bool)
    for place, answer in enumerate(found):
        objects = homes[answer.image_id]
        overlap = _overlaps(answer, objects)
        near = [item for item, iou in zip(objects, overlap, strict=True) if iou >= SAME_BOX]
        if any(item.category_id == answer.category_id for item in near):
            continue
        for item in near:
            if item.annotation_id in best:
                mistaken[place] = True
                best[item.annotation_id] = max(best[item.annotation_id], answer.score)
    scores, claimed = np.array([answer.score for answer in found]), np.array(list(best.values()))
    return {
        "unlisted_objects": len(unlisted),
        "thresholds": {
            f"{threshold:.2f}": {
                "objects": _share(claimed >= threshold),
                "answers": _share(mistaken[scores >= threshold]),
            }
            for threshold in THRESHOLDS
        },
    }


def _share(flags: NDArray[np.bool_]) -> float | None:
    return round(float(flags.mean()), 4) if flags.size else None


def _overlaps(answer: Finding, objects: Sequence[Instance]) -> NDArray[np.float64]:
    """IoU of one answer with objects, float[N]."""
    boxes = np.array([item.box_xyxy_px for item in objects], float).reshape(-1, 4)
    own = np.array(answer.box_xyxy_px, float)
    sides = np.minimum(boxes[:, 2:], own[2:]) - np.maximum(boxes[:, :2], own[:2])
    common = sides.clip(min=0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (own[2:] - own[:2]).prod()
    return np.asarray(common / np.maximum(areas - common, 1e-9))
