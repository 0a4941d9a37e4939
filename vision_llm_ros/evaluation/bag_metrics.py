"""Accuracy of a replay: answers against COCO annotations, matched by stamp or by the file names of make-bag."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_llm_ros.evaluation.detection import Finding, box_metrics
from vision_llm_ros.interfaces import COMPUTED, Result
from vision_llm_ros.training.datasets import Instance, InstanceSet, load_instances, read_json


@dataclass
class Annotated:
    """Annotations of a recording's pictures, and the findings collected for them.

    Args:
        dataset: the annotations.
        by_stamp: stamp in nanoseconds -> image id.
    """

    dataset: InstanceSet
    by_stamp: dict[int, int]
    notes: list[str] = field(default_factory=list)
    _findings: list[Finding] = field(default_factory=list)
    _asked: dict[tuple[int, str], str] = field(default_factory=dict)
    _recorded: set[int] = field(default_factory=set)

    def recorded(self, stamp_ns: int) -> None:
        """Note that the recording has a picture of this stamp."""
        if stamp_ns in self.by_stamp:
            self._recorded.add(self.by_stamp[stamp_ns])

    def strangers(self) -> list[str]:
        """One sentence if there are annotations of pictures that the recording does not have."""
        names = [picture.path.as_posix() for picture in self.dataset.pictures if picture.image_id not in self._recorded]
        if not names:
            return []
        return [f"{len(names)} annotated images are not in this recording, e.g. {', '.join(names[:3])}"]

    def add(self, result: Result) -> None:
        """Collect one answer; of several commands asking for the same class the first one counts."""
        image_id = self.by_stamp.get(result.stamp_ns)
        if image_id is None or result.perception.status not in COMPUTED:
            return
        ids = {name: category_id for category_id, name in self.dataset.categories.items()}
        mine = {
            label
            for label in result.spec.classes
            if label in ids and self._asked.setdefault((image_id, label), result.command_id) == result.command_id
        }
        for item in result.perception.detections:
            if item.label in mine:
                self._findings.append(Finding(image_id, ids[item.label], item.score, item.box_xyxy_px))

    def metrics(self) -> dict[str, Any]:
        """box_ap, box_ap50, box_ap75, per_class, images over the answered pictures and the classes asked of each."""
        answered = {image_id for image_id, _ in self._asked}
        asked = {label for _, label in self._asked}
        categories = {key: name for key, name in self.dataset.categories.items() if name in asked}
        pictures = [picture for picture in self.dataset.pictures if picture.image_id in answered]
        if not pictures or not categories:
            return {"box_ap": None, "box_ap50": None, "box_ap75": None, "per_class": {}, "images": 0}
        instances = [item for item in self.dataset.of_pictures(answered) if self._was_asked(item)]
        return {**box_metrics(pictures, instances, self._findings, categories), "images": len(pictures)}

    def _was_asked(self, item: Instance) -> bool:
        return (item.image_id, self.dataset.categories[item.category_id]) in self._asked


def load_annotated(path: Path, file_names: dict[int, str]) -> Annotated:
    """Read annotations for a recording.

    An image entry belongs to the picture whose stamp it names in `stamp_ns`, else to the one whose file name
    (of frames.csv, written by make-bag) it carries.

    Args:
        file_names: stamp in nanoseconds -> file name; empty if unknown.
    Raises:
        InputError: the file is no COCO instances file.
    """
    dataset = load_instances(path, Path())
    entries = {int(entry["id"]): entry.get("stamp_ns") for entry in read_json(path)["images"]}
    by_name = {name: stamp_ns for stamp_ns, name in file_names.items()}
    by_name |= {Path(name).name: stamp_ns for stamp_ns, name in file_names.items() if Path(name).name not in by_name}
    by_stamp: dict[int, int] = {}
    for picture in dataset.pictures:
        stamp = entries.get(picture.image_id)
        stamp_ns = stamp if isinstance(stamp, int) else by_name.get(picture.path.as_posix())
        if stamp_ns is not None:
            by_stamp[stamp_ns] = picture.image_id
    return Annotated(dataset, by_stamp, list(dataset.notes))
