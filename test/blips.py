"""A Q-Former around the miniature network: random, but every tensor matters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from miniature import build_tiny

from vision_llm_ros.config import QFormerConfig, RuntimeConfig
from vision_llm_ros.interfaces import Task
from vision_llm_ros.model import weights
from vision_llm_ros.model.blip import Blip
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.prompt_writer import PromptWriter
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.text_route import TextRoute, load_route

SIZES = {"num_queries": 4, "fit_queries": 3, "fit_memory": 6, "num_layers": 2, "image_width": 16, "feedforward": 20}
CONFIG = QFormerConfig(**SIZES, num_objects=5, match_width=12)
TOLD = replace(CONFIG, tags=("dog", "red", "walking", "street"), answer_threshold=0.0)
TASKS = (Task.CAPTION, Task.ANSWER, Task.MATCH)
RUNTIME = RuntimeConfig(device="cpu", dtype="float32", threads=1, score_threshold=0.0, objectness_threshold=0.0)


def stirred(blip: Blip) -> Blip:
    """Every learnable tensor matters, those that start at zero included."""
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in blip.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return blip.eval()


def write_part(folder: Path, model: VisionLLM, config: QFormerConfig = TOLD) -> Path:
    """Random weights of the route as the part `qformer` of a weights folder."""
    torch.manual_seed(0)
    blip, writer = stirred(Blip(config, model)), PromptWriter(model.llm, config.llm_layers, config.tags)
    state = {key: value for key, value in blip.state_dict().items() if not key.startswith("writer.")}
    state["speaker.listed"] = writer.listed
    weights.save(folder / "qformer", config, state, map(str, TASKS), {})
    return folder / "qformer"


def build_route(tiny_folder: Path, folder: Path, config: QFormerConfig = TOLD) -> TextRoute:
    model = build_tiny(tiny_folder)
    return load_route(write_part(folder, model, config), model, RUNTIME)


def build_engine(route: TextRoute, tasks: tuple[str, ...] = ("detect", "ground", "polygon")) -> TorchEngine:
    """The engine that serves a route beside the miniature's own."""
    manifest = weights.Manifest(route.model.config, {"tokenizer.safetensors": "0" * 64}, tasks, {})
    return TorchEngine(route.model, manifest, RUNTIME, [route])
