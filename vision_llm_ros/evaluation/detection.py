"""Average precision of boxes and polygons by the COCO protocol (pycocotools), with a bootstrap interval.

The protocol is COCO's own: IoU 0.50..0.95, at most 100 findings per picture and class, crowd regions ignored.
Over a subset of classes AP is the mean over the classes of that subset that have objects in the pictures.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.interfaces import Box
from vision_llm_ros.training.datasets import Instance, Picture

RECALLS = np.linspace(0.0, 1.0, 101)
BOOTSTRAP_ROUNDS = 300
IOU_THRESHOLDS = 10


@dataclass(frozen=True)
class Finding:
    """One thing found. `polygon_xy_px` (float[N, 2]) is needed for mask AP only."""

    image_id: int
    category_id: int
    score: float
    box_xyxy_px: Box
    polygon_xy_px: NDArray[np.float32] | None = None


def box_metrics(
    pictures: Sequence[Picture],
    instances: Sequence[Instance],
    findings: Sequence[Finding],
    categories: Mapping[int, str],
    seed: int = 0,
) -> dict[str, Any]:
    """Box AP over `categories`.

    Returns:
        box_ap, box_ap50, box_ap75 (None where no class has an object), box_ap50_ci95 [low, high] over resampled
        pictures, objects, and per_class {name: {ap, ap50, objects}}.
    """
    judged = _judge(pictures, instances, findings, categories, "bbox")
    return {
        "box_ap": judged.mean(),
        "box_ap50": judged.mean(0),
        "box_ap75": judged.mean(5),
        "box_ap50_ci95": judged.interval(seed),
        "objects": int(sum(judged.objects.values())),
        "per_class": judged.per_class(),
    }


def mask_metrics(
    pictures: Sequence[Picture],
    instances: Sequence[Instance],
    findings: Sequence[Finding],
    categories: Mapping[int, str],
    seed: int = 0,
) -> dict[str, Any]:
    """Polygon mask AP over `categories`, on pictures whose masks are complete; others are left out and counted.

    Returns:
        mask_ap, mask_ap50, mask_ap75, mask_ap50_ci95, objects, per_class as in `box_metrics`, and mask_images.
    """
    complete = [picture for picture in pictures if picture.masks_complete]
    judged = _judge(complete, instances, findings, categories, "segm")
    return {
        "mask_ap": judged.mean(),
        "mask_ap50": judged.mean(0),
        "mask_ap75": judged.mean(5),
        "mask_ap50_ci95": judged.interval(seed),
        "mask_images": len(complete),
        "objects": int(sum(judged.objects.values())),
        "per_class": judged.per_class(),
    }


def resampled_ap(
    pictures: Sequence[Picture],
    instances: Sequence[Instance],
    findings: Sequence[Finding],
    categories: Mapping[int, str],
    seed: int = 0,
) -> list[float]:
    """Box AP of resampled pictures. The draws depend on seed and number of pictures alone: two models' values differ
    pair by pair on the same pictures (paired bootstrap)."""
    return _judge(pictures, instances, findings, categories, "bbox").resampled(seed, IOU_THRESHOLDS)


def percentiles(values: Sequence[float]) -> list[float]:
    """The 95 % interval [low, high] of bootstrap values."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return [round(float(low), 9), round(float(high), 9)]


def average_precision(found: NDArray[np.bool_], weight: NDArray[np.float64], objects: float) -> float:
    """101-point AP of findings sorted by falling score.

    Args:
        found: bool[N], the finding matched an object.
        weight: float[N], how often the finding counts (0 leaves it out).
        objects: number of objects that could be found, above 0.
    """
    hits, misses = np.cumsum(weight * found), np.cumsum(weight * ~found)
    recall = hits / objects
    precision = hits / np.maximum(hits + misses, np.finfo(float).eps)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(envelope, 0.0)[places].mean())


@dataclass(frozen=True)
class _Sorted:
    """Findings of one class by falling score, and the objects per picture.

    Attributes:
        found, counted: bool[T, N] at IoU 0.50, 0.55, ...: matched an object; is neither hit nor miss if not counted.
    """

    found: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    picture: NDArray[np.int64]
    objects: NDArray[np.float64]

    def ap(self, times: NDArray[np.float64], thresholds: int) -> float:
        """Mean AP over the first thresholds when picture i counts `times[i]` times; NaN when no object is left."""
        objects = float(times @ self.objects)
        if objects <= 0:
            return float("nan")
        weights = times[self.picture] * self.counted[:thresholds]
        found = self.found[:thresholds]
        return float(np.mean([average_precision(*one, objects) for one in zip(found, weights, strict=True)]))


@dataclass(frozen=True)
class _Judged:
    """What pycocotools found. `precision` is float[T, R, K], -1 for a class without objects."""

    precision: NDArray[np.float64]
    categories: Mapping[int, str]
    objects: dict[int, int]
    per_picture: tuple[_Sorted, ...]
    picture_count: int

    def mean(self, threshold: int | None = None, place: int | None = None) -> float | None:
        """Mean AP over thresholds (or one) and classes (or one); None where nothing could be found."""
        part = self.precision if threshold is None else self.precision[threshold : threshold + 1]
        part = part if place is None else part[..., place]
        part = part[part > -1]
        return round(float(part.mean()), 9) if part.size else None

    def per_class(self) -> dict[str, dict[str, Any]]:
        return {
            name: {
                "ap": self.mean(None, place),
                "ap50": self.mean(0, place),
                "objects": self.objects[category_id],
            }
            for place, (category_id, name) in enumerate(sorted(self.categories.items()))
        }

    def interval(self, seed: int) -> list[float] | None:
        """95 % bootstrap interval of AP50 over pictures: they are drawn anew with replacement."""
        if not self.objects or not any(self.objects.values()):
            return None
        return percentiles(self.resampled(seed, 1))

    def resampled(self, seed: int, thresholds: int) -> list[float]:
        """Mean AP over classes and the first thresholds, each time over other pictures drawn with replacement."""
        rng = np.random.default_rng(seed)
        even = np.full(self.picture_count, 1.0 / self.picture_count)
        values = []
        for _ in range(BOOTSTRAP_ROUNDS):
            times = rng.multinomial(self.picture_count, even).astype(float)
            values.append(float(np.nanmean([part.ap(times, thresholds) for part in self.per_picture] or [np.nan])))
        return values


def _judge(
    pictures: Sequence[Picture],
    instances: Sequence[Instance],
    findings: Sequence[Finding],
    categories: Mapping[int, str],
    kind: str,
) -> _Judged:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sizes = {picture.image_id: (picture.height, picture.width) for picture in pictures}
    wanted = sorted(categories)
    truth, result = COCO(), COCO()
    real = [item for item in instances if item.image_id in sizes]
    drawn = [item for item in findings if item.image_id in sizes and (kind == "bbox" or _has_area(item))]
    truth.dataset = _dataset(sizes, categories, [_truth(item, index, kind) for index, item in enumerate(real, 1)])
    result.dataset = _dataset(sizes, categories, [_finding(item, index, kind) for index, item in enumerate(drawn, 1)])
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        result.createIndex()
        run = COCOeval(truth, result, kind)
        run.params.imgIds, run.params.catIds = sorted(sizes), wanted
        run.evaluate()
        run.accumulate()
    counts = dict.fromkeys(wanted, 0)
    for item in real:
        if item.category_id in counts and not item.crowd:
            counts[item.category_id] += 1
    precision = np.asarray(run.eval["precision"])[:, :, :, 0, -1]
    return _Judged(precision, categories, counts, _sorted(run, len(wanted), len(sizes)), len(sizes))


def _sorted(run: Any, class_count: int, picture_count: int) -> tuple[_Sorted, ...]:
    """Matches over all object sizes, one entry per class that has objects."""
    areas = len(run.params.areaRng)
    parts = []
    for place in range(class_count):
        start = place * areas * picture_count
        cells = run.evalImgs[start : start + picture_count]
        objects = np.array([0.0 if cell is None else float(np.sum(~_flags(cell["gtIgnore"]))) for cell in cells])
        if not objects.sum():
            continue
        filled = [(index, cell) for index, cell in enumerate(cells) if cell is not None]
        scores = np.concatenate([np.asarray(cell["dtScores"], float) for _, cell in filled])
        found = np.concatenate([_flags(cell["dtMatches"]).reshape(IOU_THRESHOLDS, -1) for _, cell in filled], 1)
        ignored = np.concatenate([_flags(cell["dtIgnore"]).reshape(IOU_THRESHOLDS, -1) for _, cell in filled], 1)
        picture = np.concatenate([np.full(len(cell["dtScores"]), index) for index, cell in filled])
        order = np.argsort(-scores, kind="mergesort")
        parts.append(_Sorted(found[:, order], ~ignored[:, order], picture[order].astype(np.int64), objects))
    return tuple(parts)


def _flags(values: Any) -> NDArray[np.bool_]:
    return np.asarray(values, dtype=float).astype(bool).reshape(-1)


def _dataset(
    sizes: Mapping[int, tuple[int, int]], categories: Mapping[int, str], annotations: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "info": {},
        "images": [{"id": key, "height": height, "width": width} for key, (height, width) in sizes.items()],
        "categories": [{"id": key, "name": name} for key, name in categories.items()],
        "annotations": annotations,
    }


def _has_area(item: Finding) -> bool:
    return item.polygon_xy_px is not None and len(item.polygon_xy_px) >= 3


def _truth(item: Instance, number: int, kind: str) -> dict[str, Any]:
    """A COCO record; numbered anew from 1, as pycocotools takes a match with id 0 for no match."""
    record = _record(number, item.image_id, item.category_id, item.box_xyxy_px)
    record |= {"area": item.area_px, "iscrowd": int(item.crowd)}
    if kind == "segm":
        record["segmentation"] = item.segmentation or [_corners(item.box_xyxy_px)]
    return record


def _finding(item: Finding, finding_id: int, kind: str) -> dict[str, Any]:
    x_min, y_min, x_max, y_max = item.box_xyxy_px
    record = _record(finding_id, item.image_id, item.category_id, item.box_xyxy_px)
    record |= {"score": item.score, "area": (x_max - x_min) * (y_max - y_min), "iscrowd": 0}
    if kind == "segm":
        assert item.polygon_xy_px is not None
        record["segmentation"] = [item.polygon_xy_px.astype(float).ravel().tolist()]
    return record


def _record(record_id: int, image_id: int, category_id: int, box: Box) -> dict[str, Any]:
    x_min, y_min, x_max, y_max = box
    return {
        "id": record_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
    }


def _corners(box: Box) -> list[float]:
    x_min, y_min, x_max, y_max = box
    return [x_min, y_min, x_max, y_min, x_max, y_max, x_min, y_max]
