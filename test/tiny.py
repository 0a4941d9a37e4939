"""The miniature network as a preset, and a data set of coloured shapes: whole paths in seconds."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import miniature
import numpy as np
import torch
import yaml

from vision_llm_ros.config import load_model_config
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM

SHAPES = {"red box": (220, 40, 40), "green box": (40, 200, 60), "blue box": (40, 60, 220)}


def write_preset(folder: Path, **changes: Any) -> Path:
    """Write a preset of the miniature network whose pretrained parts are random and lie in `folder`."""
    config = miniature.tiny_config(folder, **{"class_tokens": 512, "decoder_layers": 1, **changes})
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(dataclasses.asdict(config)), encoding="utf-8")
    return path


def build_model(preset: Path) -> VisionLLM:
    torch.manual_seed(0)
    return VisionLLM(load_model_config(preset))


def write_weights(folder: Path, model: VisionLLM) -> Path:
    """Untrained weights of the model as a weights folder."""
    weights.save(folder, model.config, model.learned(), ("detect", "ground", "polygon"), {"data": "none"})
    return folder


@dataclass(frozen=True)
class Shapes:
    """A COCO-style data set of generated pictures, one to three shapes on each."""

    annotations: Path
    images: Path
    referring: Path


def write_shapes(folder: Path, count: int = 8, seed: int = 0) -> Shapes:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations, expressions = [], [], []
    for image_id in range(1, count + 1):
        picture = rng.integers(90, 130, (120, 160, 3), dtype=np.uint8)
        chosen = rng.permutation(len(SHAPES))[: int(rng.integers(1, 4))]
        for place, category in enumerate(chosen):
            x0, y0 = 4 + 52 * place, int(rng.integers(5, 60))
            width, height = int(rng.integers(24, 46)), int(rng.integers(24, 56))
            name, colour = list(SHAPES.items())[category]
            cv2.rectangle(picture, (x0, y0), (x0 + width, y0 + height), colour[::-1], -1)
            corners = [x0, y0, x0 + width, y0, x0 + width, y0 + height, x0, y0 + height]
            annotation_id = len(annotations) + 1
            annotations.append(
                {
                    **{"id": annotation_id, "image_id": image_id, "category_id": int(category) + 1, "iscrowd": 0},
                    **{"bbox": [x0, y0, width, height], "area": width * height, "segmentation": [corners]},
                }
            )
            expressions.append(
                {"image_id": image_id, "sentence": f"the {name}", "annotation_ids": [annotation_id], "kind": "unique"}
            )
        cv2.imwrite(str(folder / f"{image_id}.png"), picture)
        images.append({"id": image_id, "file_name": f"{image_id}.png", "width": 160, "height": 120})
    categories = [{"id": index, "name": name} for index, name in enumerate(SHAPES, 1)]
    values = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(values), encoding="utf-8")
    (folder / "referring.json").write_text(json.dumps({"expressions": expressions}), encoding="utf-8")
    return Shapes(folder / "instances.json", folder, folder / "referring.json")
