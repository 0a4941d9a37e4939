"""A tiny network of random parts and a data set of coloured shapes: whole paths in seconds, no packaged weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from vision_llm_ros.config import load_model_config
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.training.detect import learned_state

SHAPES = {"red square": (220, 40, 40), "green disc": (40, 200, 60), "blue bar": (40, 60, 220)}
SIDE_PX = 96


def write_preset(folder: Path, **changes: Any) -> Path:
    """Write a preset of a tiny network whose pretrained parts are random and lie in `folder`."""
    _write_tokenizer(folder / "llm")
    torch.manual_seed(0)
    llama = LlamaConfig(
        vocab_size=128,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    LlamaModel(llama).save_pretrained(folder / "llm")
    _write_tokenizer(folder / "text")
    bert = BertConfig(vocab_size=128, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48)
    BertModel(bert, add_pooling_layer=False).save_pretrained(folder / "text")
    values = {
        **{"name": "tiny", "image_size_px": SIDE_PX, "text_encoder": str(folder / "text"), "llm": str(folder / "llm")},
        **{"width": 32, "num_heads": 4, "feedforward": 32, "num_queries": 12, "llm_layers": 2, "lora_rank": 4},
        **{"decoder_layers": 1, "location_bins": 65, **changes},
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def _write_tokenizer(folder: Path) -> None:
    """Characters as words, so that no sentence is unknown."""
    names = ["[PAD]", "[UNK]", *map(chr, range(33, 127))]
    tokenizer = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(folder)


def build_model(preset: Path) -> VisionLLM:
    torch.manual_seed(0)
    return VisionLLM(load_model_config(preset))


def write_weights(folder: Path, model: VisionLLM) -> Path:
    """Untrained weights of the model as a weights folder."""
    weights.save(folder, model.config, learned_state(model), ("detect", "ground", "polygon"), {"data": "none"})
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
