"""Captions of the generated shapes, and a text decoder around a miniature network."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from miniature import pictures
from tiny import Shapes

from vision_llm_ros.config import DecoderTextConfig
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.text_decoder import Seen, TextDecoder

SMALL = DecoderTextConfig(
    llm_layers=2, lora_rank=4, objects=6, cells=2, scene_width=16, head_width=16, max_tokens=12, lora_dropout=0.0
)


def write_captions(shapes: Shapes) -> Path:
    """Two captions a picture, from its annotations."""
    values = json.loads(shapes.annotations.read_text())
    names = {item["id"]: item["name"] for item in values["categories"]}
    captions = []
    for image in values["images"]:
        shown = [names[item["category_id"]] for item in values["annotations"] if item["image_id"] == image["id"]]
        for text in (f"A {shown[0]}.", f"A picture of {' and '.join(shown)}"):
            captions.append({"id": len(captions) + 1, "image_id": image["id"], "caption": text})
    path = shapes.images / "captions.json"
    path.write_text(json.dumps({"images": values["images"], "annotations": captions}))
    return path


def tokenize(model: VisionLLM, text: str) -> list[int]:
    return list(model.llm.tokenizer(text, add_special_tokens=False)["input_ids"])


def build_decoder(
    model: VisionLLM, texts: tuple[str, ...] = ("a red box", "a dog on a chair", "yes", "3")
) -> TextDecoder:
    """A text decoder whose every tensor matters, with the tokens of some texts."""
    torch.manual_seed(5)
    decoder = TextDecoder(SMALL, model)
    vocabulary = len(decoder.bias) - 1
    ids = [token for text in texts for token in (*tokenize(model, f" {text}"), vocabulary)]
    decoder.list_tokens(torch.bincount(torch.tensor(ids), minlength=vocabulary + 1))
    with torch.no_grad():
        for name, tensor in decoder.learned(model.llm).items():
            if name != "decoder.bias":
                tensor += torch.randn_like(tensor) * 0.2
    return decoder.eval()


@torch.no_grad()
def look(model: VisionLLM, decoder: TextDecoder, count: int = 2) -> Seen:
    return decoder.see(model, model.backbone(pictures(count)))
