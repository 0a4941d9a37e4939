"""Referring masks, the model's beside what boxes, GrabCut and polygons give for the same words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from vision_llm_ros.errors import CommandError
from vision_llm_ros.evaluation.referring import MaskScore
from vision_llm_ros.evaluation.seeing import object_mask, sentences_by_picture
from vision_llm_ros.evaluation.trial import Image, Trial
from vision_llm_ros.interfaces import Box, Perception, Task, TaskSpec
from vision_llm_ros.training.datasets import Expression, InstanceSet, Picture

Masks = list[NDArray[np.bool_]]
Parse = Callable[[str], TaskSpec]
BASELINES = ("boxes", "grabcut", "polygons", "empty")
GRABCUT_ROUNDS = 5


def refer(
    trial: Trial,
    dataset: InstanceSet,
    pictures: Sequence[Picture],
    expressions: Sequence[Expression],
    parse: Parse,
    baselines: bool = False,
) -> dict[str, Any]:
    """gIoU and cIoU over sentences with any number of targets, none included.

    Every sentence becomes a command by `parse`, as it would in the node. Sentences that mean an object without a mask
    are left out and counted in the notes. With `baselines` a model without a head for masks is told so in the notes.

    Returns:
        As `MaskScore.result`, and `baselines` {name: the same}.
    """
    if not baselines:
        trial.require(Task.SEGMENT)
    assert trial.engine is not None
    homes = {item.annotation_id: item for item in dataset.instances}
    whole = [item for item in expressions if all(homes[target].segmentation for target in item.annotation_ids)]
    if len(whole) < len(expressions):
        trial.notes.add(f"{len(expressions) - len(whole)} sentences mean an object without a mask and are left out")
    serves = Task.SEGMENT in trial.engine.tasks
    if not serves:
        trial.notes.add(f"Model {trial.engine.name!r} has no trained head for segment: baselines only")
    scores = {name: MaskScore(trial.seed) for name in ("model", *(BASELINES if baselines else ()))}
    for picture, image, group in sentences_by_picture(trial, pictures, whole, "refer"):
        answers = {"model": _masks(trial, picture, image, group, parse)} if serves else {}
        answers |= _simpler(trial, picture, image, group, parse) if baselines else {}
        truth = {
            target: object_mask(homes[target], image.shape[:2]) for item in group for target in item.annotation_ids
        }
        for place, item in enumerate(group):
            targets = [truth[target] for target in item.annotation_ids]
            for name, found in answers.items():
                scores[name].add(found[place], targets, item.kind, picture.image_id)
    trial.finish()
    results = {name: score.result() for name, score in scores.items()}
    return {**results.pop("model"), "baselines": results}


def command(parse: Parse, verb: str, item: Expression, task: Task) -> TaskSpec:
    """The sentence after a verb, as a command; taken as it stands where the parser refuses it."""
    try:
        return parse(f"{verb} {item.sentence}")
    except CommandError:
        points = 16 if task is Task.POLYGON else 2
        return TaskSpec(task, (item.phrase,), item.sentence, num_points=points)


def _ask(
    trial: Trial, picture: Picture, image: Image, group: Sequence[Expression], parse: Parse, verb: str, task: Task
) -> tuple[Perception, ...]:
    return trial.ask(str(picture.path), image, [command(parse, verb, item, task) for item in group])


def _masks(trial: Trial, picture: Picture, image: Image, group: Sequence[Expression], parse: Parse) -> list[Masks]:
    answers = _ask(trial, picture, image, group, parse, "segment", Task.SEGMENT)
    return [[mask.inside for mask in answer.masks] for answer in answers]


def _simpler(
    trial: Trial, picture: Picture, image: Image, group: Sequence[Expression], parse: Parse
) -> dict[str, list[Masks]]:
    """Boxes are found by the route that serves the words: grounding for one object, detection for several."""
    boxed = _ask(trial, picture, image, group, parse, "find", Task.GROUND)
    outlined = _ask(trial, picture, image, group, parse, "outline", Task.POLYGON)
    boxes = [[item.box_xyxy_px for item in answer.detections] for answer in boxed]
    cut = {box: grab_cut(image, box) for box in {box for found in boxes for box in found}}
    outlines = [[item.polygon_xy_px for item in answer.detections] for answer in outlined]
    return {
        "boxes": [[filled_box(box, image.shape[:2]) for box in found] for found in boxes],
        "grabcut": [[cut[box] for box in found] for found in boxes],
        "polygons": [[_filled(points, image) for points in found if points is not None] for found in outlines],
        "empty": [[] for _ in group],
    }


def filled_box(box: Box, size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    """bool[H, W], true within a box xyxy px rounded to whole pixels."""
    mask = np.zeros(size_hw, np.bool_)
    x_min, y_min, x_max, y_max = (max(0, round(value)) for value in box)
    mask[y_min:y_max, x_min:x_max] = True
    return mask


def grab_cut(image_rgb_u8: Image, box: Box) -> NDArray[np.bool_]:
    """What GrabCut takes for the object in a box xyxy px; the box itself where it finds no object or no surroundings.

    Source: Rother, Kolmogorov and Blake 2004; five rounds, as OpenCV's own example.
    """
    inside = filled_box(box, image_rgb_u8.shape[:2])
    if inside.all() or not inside.any():
        return inside
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(image_rgb_u8, labels, None, background, foreground, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few pixels on one side for its colour models
        return inside
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return found if found.any() else inside


def _filled(points_xy_px: NDArray[np.float32], image: Image) -> NDArray[np.bool_]:
    shape = coco_mask.frPyObjects([points_xy_px.reshape(-1).astype(float).tolist()], *image.shape[:2])
    return np.asarray(coco_mask.decode(coco_mask.merge(shape)), dtype=bool)
