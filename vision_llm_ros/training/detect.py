"""Training of the VisionLLM route in two stages (VisionLLM, section 4.1).

Stage 1 teaches the image tokenizer with random class sets; stage 2 freezes the visual part that is pretrained and
teaches the token rows, the adapters and the tokenizer's decoder on detection, polygons and grounding together.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.config import TrainConfig
from vision_llm_ros.interfaces import Task
from vision_llm_ros.model.detector import VisionLLM, select_tokens
from vision_llm_ros.model.set_decoder import ADAPTER
from vision_llm_ros.model.tokenizer import ImageTokens
from vision_llm_ros.training.data import Batch, DetectionData
from vision_llm_ros.training.loop import Loop
from vision_llm_ros.training.losses import Target, set_loss, tokenizer_loss
from vision_llm_ros.training.matching import match
from vision_llm_ros.training.team import Team

logger = logging.getLogger(__name__)


def learnable(model: VisionLLM, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameter groups of a stage; everything else is frozen. The base language model is never among them."""
    model.requires_grad_(False)
    dense = list(model.tokenizer.scorer.parameters())
    if model.config.backbone != "hub":  # beside another backbone the dense branch starts from nothing
        dense += model.tokenizer.dense.parameters()
    imported = {id(parameter) for parameter in dense}
    if not config.class_heads:
        heads = (model.tokenizer.object_delta, model.tokenizer.class_query, model.tokenizer.class_key)
        imported |= {id(parameter) for head in heads for parameter in head.parameters()}
    fresh = [p for p in model.tokenizer.parameters() if id(p) not in imported]
    text = list(model.text_encoder.parameters()) if model.config.text_mode == "trained" else []
    rate = config.learning_rate
    if config.stage == 1:
        groups: list[dict[str, Any]] = [{"params": fresh, "lr": rate}, {"params": dense + text, "lr": rate / 10}]
    else:
        lora = [p for name, p in model.llm.base.named_parameters() if f".{ADAPTER}." in name]
        groups = [
            {"params": list(model.decoder.parameters()), "lr": rate * 2},
            {"params": lora, "lr": rate},
            {"params": fresh, "lr": rate / 3},
            {"params": text, "lr": rate / 10},
        ]
    groups = [group for group in groups if group["params"]]
    for group in groups:
        for parameter in group["params"]:
            parameter.requires_grad_(True)
    return groups


class Trainer(Loop[Batch]):
    """The loop over one stage."""

    config: TrainConfig

    def __init__(
        self,
        model: VisionLLM,
        data: DetectionData,
        config: TrainConfig,
        folder: Path,
        dtype: torch.dtype = torch.float32,
        team: Team | None = None,
    ) -> None:
        self.model, self.data = model, data
        super().__init__({"stage": config.stage}, config, learnable(model, config), folder, model.device, dtype, team)

    def learned(self) -> dict[str, Tensor]:
        return self.model.learned()

    def prepare(self) -> None:
        self.model.train()
        self.model.backbone.eval()
        if self.model.config.text_mode != "trained":
            self.model.text_encoder.eval()  # its embeddings are kept for the whole run; dropout would spoil them

    def describe(self, batch: Batch) -> str:
        return str(batch.instruction.task)

    def draw(self, seed: tuple[int, ...], step: int) -> list[Batch]:
        config = self.config
        dice = np.random.default_rng((*seed, 1)).random() if config.stage == 2 else 1.0
        if self.team.rank:
            seed = (*seed, self.team.rank)
        if dice < config.ground_share:
            return self.data.draw(Task.GROUND, config.batch_size, seed)
        if dice < config.ground_share + config.polygon_share:
            return self.data.draw(Task.POLYGON, config.batch_size, seed)
        return self.data.draw(Task.DETECT, config.batch_size, seed)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        model = self.model
        targets = [_moved(target, self.device) for target in batch.targets]
        with torch.no_grad():
            maps = model.backbone(batch.images_rgb_u8.to(self.device))[1:]
        image = model.tokenizer.encode(maps)
        if self.config.stage == 1:
            text = model.embed_phrases(batch.instruction.classes)
            tokens = model.tokenizer(image, text)
            return tokenizer_loss(tokens, image.dense.boxes_cxcywh, targets)
        words = model.read(batch.instruction)
        tokens = model.tokens(image, words)
        loss, parts = tokenizer_loss(tokens, image.dense.boxes_cxcywh, targets)
        if batch.instruction.task is Task.GROUND:
            loss = loss * 0.0  # the tokenizer cannot know which of its kind is meant
        count = self.config.polygon_sets if batch.instruction.num_points > 2 else self.config.sets
        chosen = select_tokens(tokens, _worth_decoding(tokens, targets, count))
        set_part, set_parts = set_loss(model.decode(words, chosen), chosen, targets)
        return loss + set_part, {**parts, **set_parts}


def _moved(target: Target, device: torch.device) -> Target:
    return Target(**{name: value.to(device) for name, value in vars(target).items()})


@torch.no_grad()
def _worth_decoding(tokens: ImageTokens, targets: list[Target], count: int) -> Tensor:
    """Image tokens to decode, int[B, count]: those nearest to an object, then the most convincing others."""
    rows = []
    for index, target in enumerate(targets):
        scores = tokens.objectness[index].clone()
        matched, _ = match(tokens.class_logits[index], tokens.boxes_cxcywh[index], target.labels, target.boxes_cxcywh)
        scores[matched] += 1
        rows.append(scores.topk(min(count, len(scores))).indices.sort().values)
    return torch.stack(rows)
