"""A small annotated world: generated pictures of coloured boxes, COCO files for them, an engine that knows them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.interfaces import (
    Box,
    Caption,
    Detection,
    Frame,
    Mask,
    Perception,
    Restored,
    Task,
    TaskSpec,
)

WIDTH, HEIGHT = 96, 80
NAMES = {1: "person", 17: "cat", 18: "dog"}


@dataclass
class Scene:
    """The files of the world, and by picture: objects (label, xyxy px), sentence targets, captions."""

    folder: Path
    objects: dict[bytes, list[tuple[str, Box]]] = field(default_factory=dict)
    sentences: dict[tuple[bytes, str], list[Box]] = field(default_factory=dict)
    captions: dict[bytes, list[str]] = field(default_factory=dict)

    @property
    def instances(self) -> Path:
        return self.folder / "instances.json"

    @property
    def referring(self) -> Path:
        return self.folder / "referring.json"

    @property
    def captions_file(self) -> Path:
        return self.folder / "captions.json"

    def change(self, path: Path, **values: Any) -> None:
        """Overwrite top-level values of one of the JSON files."""
        path.write_text(json.dumps(json.loads(path.read_text()) | values))


def make_scene(folder: Path, count: int = 6) -> Scene:
    """`count` pictures; picture i shows a person, and a dog or a cat at another place."""
    scene, rng = Scene(folder), np.random.default_rng(3)
    images, annotations, expressions, captions = [], [], [], []
    (folder / "pictures").mkdir(parents=True)
    for index in range(count):
        picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        picture = np.asarray(cv2.GaussianBlur(picture, (9, 9), 0), dtype=np.uint8)
        other = 18 if index % 2 else 17
        boxes: list[tuple[int, Box]] = [(1, (4.0, 6.0, 40.0 + index, 70.0)), (other, (50.0, 10.0, 90.0, 50.0 + index))]
        for place, (_, box) in enumerate(boxes):
            x_min, y_min, x_max, y_max = (int(value) for value in box)
            picture[y_min:y_max, x_min:x_max, place] = 230
        name = f"pictures/{index}.png"
        cv2.imwrite(str(folder / name), picture[..., ::-1])
        key = picture.tobytes()
        images.append({"id": index, "file_name": name, "width": WIDTH, "height": HEIGHT})
        scene.objects[key] = [(NAMES[number], box) for number, box in boxes]
        for number, box in boxes:
            annotations.append(_annotation(len(annotations), index, number, box))
        animal = NAMES[other]
        first = len(annotations) - 2
        for sentence, targets in (
            (f"the {animal}", [1]),
            ("the person", [0]),
            (f"person and {animal}", [0, 1]),
            ("the zebra", []),
        ):
            number = len(expressions)
            ids = [first + target for target in targets]
            expressions.append({"id": number, "image_id": index, "sentence": sentence, "annotation_ids": ids})
            scene.sentences[key, sentence] = [boxes[target][1] for target in targets]
        scene.captions[key] = [
            f"a person beside {animal} number {index}",
            f"one {animal} and one person, picture {index}",
        ]
        captions += [
            {"id": 2 * index + i, "image_id": index, "caption": text} for i, text in enumerate(scene.captions[key])
        ]
    categories = [{"id": number, "name": name} for number, name in NAMES.items()]
    scene.instances.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    scene.referring.write_text(json.dumps({"expressions": expressions}))
    scene.captions_file.write_text(json.dumps({"images": images, "annotations": captions}))
    return scene


def _annotation(number: int, image_id: int, category_id: int, box: Box) -> dict[str, Any]:
    x_min, y_min, x_max, y_max = box
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
        "area": (x_max - x_min) * (y_max - y_min),
        "iscrowd": 0,
        "segmentation": [[x_min, y_min, x_max, y_min, x_max, y_max, x_min, y_max]],
    }


@dataclass
class KnowingEngine:
    """Answers from the annotations.

    Attributes:
        shift_px: every box is moved right by this.
        silent: finds nothing at all.
        failing: raises on the first, third, ... call.
    """

    scene: Scene
    tasks: frozenset[Task] = frozenset(set(Task) - {Task.STOP})
    shift_px: float = 0.0
    silent: bool = False
    failing: bool = False
    calls: list[tuple[Frame, tuple[TaskSpec, ...]]] = field(default_factory=list)
    name: str = "knowing"
    weights_hash: str = "0123456789ab"
    device: str = "cpu"
    dtype: str = "float32"

    def warm_up(self) -> None: ...

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        self.calls.append((frame, specs))
        if self.failing and len(self.calls) % 2:
            raise RuntimeError("out of memory")
        return tuple(Perception(spec.task) if self.silent else self._answer(frame, spec) for spec in specs)

    def _answer(self, frame: Frame, spec: TaskSpec) -> Perception:
        key = frame.image_rgb_u8.tobytes()
        if spec.task in (Task.DETECT, Task.POLYGON):
            return Perception(spec.task, detections=self._objects(key, spec))
        if spec.task is Task.GROUND:
            boxes = self.scene.sentences[key, f"the {spec.phrase}"]
            assert spec.classes == (spec.phrase,)  # as the command parser makes it, and as the model is trained
            return Perception(spec.task, detections=tuple(self._found(spec.phrase, 0, box) for box in boxes))
        if spec.task is Task.SEGMENT:
            boxes = [self._moved(box) for box in self.scene.sentences[key, spec.phrase]]
            return Perception(spec.task, masks=tuple(Mask("", 1.0, inside(box), box) for box in reversed(boxes)))
        if spec.task is Task.RESTORE:
            return Perception(
                spec.task, restored=Restored(_undone(frame.image_rgb_u8, spec.restore_kind), "", 0.5, 0.5)
            )
        own = self.scene.captions[key]
        if spec.task is Task.CAPTION:
            return Perception(spec.task, caption=Caption(own[0], 1.0))
        return Perception(spec.task, caption=Caption("", float(spec.phrase in own)))

    def _objects(self, key: bytes, spec: TaskSpec) -> tuple[Detection, ...]:
        known = [(label, box) for label, box in self.scene.objects[key] if label in spec.classes]
        return tuple(self._found(label, spec.classes.index(label), box) for label, box in known)

    def _found(self, label: str, index: int, box: Box) -> Detection:
        moved = self._moved(box)
        corners = np.array([moved[:2], (moved[2], moved[1]), moved[2:], (moved[0], moved[3])], np.float32)
        return Detection(label, index, 0.9, moved, corners)

    def _moved(self, box: Box) -> Box:
        return box[0] + self.shift_px, box[1], box[2] + self.shift_px, box[3]


def inside(box: Box) -> NDArray[np.bool_]:
    """bool[HEIGHT, WIDTH], true within the box (whole pixels)."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    x_min, y_min, x_max, y_max = (max(0, int(value)) for value in box)
    mask[y_min:y_max, x_min:x_max] = True
    return mask


def _undone(image: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    """Turns and flips are undone, everything else is returned as it came."""
    if kind == "rotate":
        return np.ascontiguousarray(np.rot90(image))
    return np.ascontiguousarray(image[:, ::-1]) if kind == "flip" else image
