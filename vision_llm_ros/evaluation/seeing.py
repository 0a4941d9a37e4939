"""Evaluations whose answer lies in the picture: detect, polygon, ground."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.evaluation import baselines
from vision_llm_ros.evaluation.detection import Finding, box_metrics, mask_metrics
from vision_llm_ros.evaluation.leakage import leakage
from vision_llm_ros.evaluation.referring import precision_at_50
from vision_llm_ros.evaluation.trial import Image, Trial
from vision_llm_ros.interfaces import Box, Detection, Perception, Task, TaskSpec
from vision_llm_ros.training.datasets import CLASS_SETS, Expression, Instance, InstanceSet, Picture

POLYGON_POINTS = 14
SUMMARY = ("box_ap", "box_ap50", "box_ap75", "box_ap50_ci95")


def detect(
    trial: Trial,
    dataset: InstanceSet,
    pictures: Sequence[Picture],
    categories: Mapping[int, str],
    *,
    priors: tuple[baselines.ClassPrior, ...] = (),
    teacher: baselines.Teacher | None = None,
) -> dict[str, Any]:
    """Box AP of the model, all classes asked for at once, and of the baselines on the same pictures.

    Returns:
        As `box_metrics` (None without a model), `subsets` {"pascal20": {...}} where all its classes were chosen,
        `leakage` where some classes of the data set were not chosen (None else), `unlisted_answers`, the number of
        answers with a label that nobody asked for, and `baselines` {"prior", "teacher"} with the same summary.
    """
    trial.require(Task.DETECT)
    spec = TaskSpec(Task.DETECT, tuple(categories.values()))
    rng = np.random.default_rng(trial.seed)
    found: dict[str, list[Finding]] = defaultdict(list)
    seen: list[Picture] = []
    unlisted = 0
    for picture, image in trial.read(pictures, "detect"):
        seen.append(picture)
        if trial.engine is not None:
            (answer,) = trial.ask(str(picture.path), image, (spec,))
            listed = findings(trial, picture, answer, categories)
            unlisted += len(answer.detections) - len(listed)
            found["model"] += listed
        if priors:
            found["prior"] += baselines.prior_findings(priors, _measured(picture, image), categories, rng)
        if teacher is not None:
            found["teacher"] += teacher.find(image, picture, categories)
    trial.finish()
    instances = dataset.of_pictures(picture.image_id for picture in seen)
    parties = {"model": trial.engine, "prior": priors or None, "teacher": teacher}
    scores = {
        name: _box_scores(trial, seen, instances, found[name], categories)
        for name, party in parties.items()
        if party is not None
    }
    ours = scores.pop("model", dict.fromkeys(SUMMARY) | {"per_class": {}, "subsets": {}, "leakage": None})
    rest = {name: {key: values[key] for key in (*SUMMARY, "subsets", "leakage")} for name, values in scores.items()}
    return {**ours, "unlisted_answers": unlisted, "baselines": rest}


def polygon(
    trial: Trial,
    dataset: InstanceSet,
    pictures: Sequence[Picture],
    categories: Mapping[int, str],
    num_points: int = POLYGON_POINTS,
) -> dict[str, Any]:
    """Mask AP of polygons with `num_points` corners, on pictures whose masks are complete, beside the AP of boxes.

    Returns:
        As `mask_metrics`, `box_ap50` of the boxes on the same pictures, and `mask_to_box`, the ratio at IoU 0.5.
    """
    trial.require(Task.POLYGON)
    spec = TaskSpec(Task.POLYGON, tuple(categories.values()), num_points=num_points)
    complete = [picture for picture in pictures if picture.masks_complete]
    if len(complete) < len(pictures):
        trial.notes.add(f"{len(pictures) - len(complete)} pictures without complete masks are left out")
    specs = (spec, TaskSpec(Task.DETECT, spec.classes))
    outlined: list[Finding] = []
    boxed: list[Finding] = []
    seen: list[Picture] = []
    for picture, image in trial.read(complete, "polygon"):
        seen.append(_measured(picture, image))
        outlines, boxes = trial.ask(str(picture.path), image, specs)
        outlined += findings(trial, picture, outlines, categories)
        boxed += findings(trial, picture, boxes, categories)
    trial.finish()
    instances = dataset.of_pictures(item.image_id for item in seen)
    masks = mask_metrics(seen, instances, outlined, categories, trial.seed)
    box_ap50 = box_metrics(seen, instances, boxed, categories, trial.seed)["box_ap50"]
    ratio = round(masks["mask_ap50"] / box_ap50, 4) if box_ap50 else None
    return {**masks, "box_ap50": box_ap50, "mask_to_box": ratio}


def ground(
    trial: Trial, dataset: InstanceSet, pictures: Sequence[Picture], expressions: Sequence[Expression]
) -> dict[str, Any]:
    """P@0.5 over sentences with exactly one target; the best box of each answer counts.

    Returns:
        p_at_50, per_kind {kind: p_at_50}, sentences.
    """
    trial.require(Task.GROUND)
    boxes = {item.annotation_id: item.box_xyxy_px for item in dataset.instances}
    single = [item for item in expressions if len(item.annotation_ids) == 1]
    answers: list[Box | None] = []
    asked: list[Expression] = []
    for picture, image, group in sentences_by_picture(trial, pictures, single, "ground"):
        specs = [TaskSpec(Task.GROUND, (item.phrase,), item.phrase, max_objects=1) for item in group]
        for item, answer in zip(group, trial.ask(str(picture.path), image, specs), strict=True):
            best = max(answer.detections, key=lambda found: found.score, default=None)
            answers.append(None if best is None else best.box_xyxy_px)
            asked.append(item)
    trial.finish()
    targets = [boxes[item.annotation_ids[0]] for item in asked]
    kinds = sorted({item.kind for item in asked if item.kind})
    chosen = {kind: [place for place, item in enumerate(asked) if item.kind == kind] for kind in kinds}
    return {
        "p_at_50": precision_at_50(answers, targets),
        "per_kind": {
            kind: precision_at_50([answers[i] for i in places], [targets[i] for i in places])
            for kind, places in chosen.items()
        },
        "sentences": len(asked),
    }


def object_mask(item: Instance, size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    """Turn COCO polygons or RLE into bool[H, W]."""
    from pycocotools import mask as coco_mask

    height, width = size_hw[:2]
    shape = item.segmentation
    if isinstance(shape, list):
        shape = coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
    elif isinstance(shape["counts"], list):
        shape = coco_mask.frPyObjects(shape, height, width)
    return np.asarray(coco_mask.decode(shape), dtype=bool)


def sentences_by_picture(
    trial: Trial, pictures: Sequence[Picture], expressions: Sequence[Expression], title: str
) -> Iterator[tuple[Picture, Image, list[Expression]]]:
    """Every picture that a sentence speaks of, with its sentences: the picture is encoded once for all of them."""
    by_image: dict[int, list[Expression]] = defaultdict(list)
    for item in expressions:
        by_image[item.image_id].append(item)
    spoken_of = [picture for picture in pictures if picture.image_id in by_image]
    for picture, image in trial.read(spoken_of, title):
        yield picture, image, by_image[picture.image_id]


def findings(trial: Trial, picture: Picture, answer: Perception, categories: Mapping[int, str]) -> list[Finding]:
    """The answer's detections of listed classes; others are named in the notes."""
    ids = {name: key for key, name in categories.items()}
    stray = {item.label for item in answer.detections} - set(ids)
    if stray:
        trial.notes.add(f"{picture.path}: the model answers with labels nobody asked for: {', '.join(sorted(stray))}")
    return [_finding(item, picture, ids[item.label]) for item in answer.detections if item.label in ids]


def _finding(item: Detection, picture: Picture, category_id: int) -> Finding:
    return Finding(picture.image_id, category_id, item.score, item.box_xyxy_px, item.polygon_xy_px)


def _measured(picture: Picture, image: Image) -> Picture:
    """The picture with its true size, for annotation files that do not state one."""
    return Picture(picture.image_id, picture.path, image.shape[1], image.shape[0], picture.masks_complete)


def _box_scores(
    trial: Trial,
    pictures: Sequence[Picture],
    instances: Sequence[Instance],
    found: Sequence[Finding],
    categories: Mapping[int, str],
) -> dict[str, Any]:
    scores = box_metrics(pictures, instances, found, categories, trial.seed)
    subsets = {}
    for name, members in CLASS_SETS.items():
        chosen = {key: label for key, label in categories.items() if label in members}
        if len(chosen) == len(members) < len(categories):
            part = box_metrics(pictures, instances, found, chosen, trial.seed)
            subsets[name] = {key: part[key] for key in SUMMARY}
    slips = leakage(instances, found, categories) if any(i.category_id not in categories for i in instances) else None
    return {**scores, "subsets": subsets, "leakage": slips}
