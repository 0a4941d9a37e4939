"""Training of captions and answers through the set decoder's language model: the text tasks of VisionLLM's stage 2.

They learn apart from detection, in an adapter of their own: the words need not be learnt anew with every detector,
and detection loses nothing to them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.config import DecoderTextConfig, DecoderTextTrainConfig, from_mapping
from vision_llm_ros.interfaces import Task
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.text_decoder import ADAPTER, TextDecoder
from vision_llm_ros.training.loop import Loop
from vision_llm_ros.training.run_folder import SETTINGS, kept_settings
from vision_llm_ros.training.run_log import read_log
from vision_llm_ros.training.start import read_checkpoint
from vision_llm_ros.training.text_data import TextBatch, TextData

HEAD_PHASE = "text head"


class TextTrainer(Loop[TextBatch]):
    """The loop over captions and questions; only the text decoder and its adapter learn."""

    parts = ("words",)
    config: DecoderTextTrainConfig

    def __init__(
        self,
        model: VisionLLM,
        decoder: TextDecoder,
        data: TextData,
        config: DecoderTextTrainConfig,
        folder: Path,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model, self.decoder, self.data = model, decoder, data
        groups = learnable(model, decoder, config)
        super().__init__({"system": "text"}, config, groups, folder, model.device, dtype)

    def learned(self) -> dict[str, Tensor]:
        return self.decoder.learned(self.model.llm)

    def prepare(self) -> None:
        self.model.eval()
        self.model.llm.base.train()  # for the dropout inside the adapter
        self.decoder.train()

    def describe(self, batch: TextBatch) -> str:
        return str(batch.task)

    def draw(self, seed: tuple[int, ...], step: int) -> list[TextBatch]:
        config = self.config
        asking = bool(self.data.questions) and np.random.default_rng((*seed, 1)).random() < config.answer_share
        task = Task.ANSWER if asking else Task.CAPTION
        return [self.data.draw(task, config.batch_size, config.questions, seed)]

    def loss(self, batch: TextBatch) -> tuple[Tensor, dict[str, float]]:
        parts = (part.to(self.device) for part in (batch.asked, batch.texts, batch.wanted))
        loss = self.decoder(self.model.llm, batch.seen.to(self.device), *parts, self.config.smoothing)
        return loss, {"words": float(loss.detach())}


def learnable(model: VisionLLM, decoder: TextDecoder, config: DecoderTextTrainConfig) -> list[dict[str, Any]]:
    """The text decoder and its adapter; everything else is frozen."""
    model.requires_grad_(False)
    adapter = [p for name, p in model.llm.base.named_parameters() if f".{ADAPTER}." in name]
    groups: list[dict[str, Any]] = [
        {"params": list(decoder.parameters()), "lr": config.learning_rate},
        {"params": adapter, "lr": config.learning_rate},
    ]
    groups = [group for group in groups if group["params"]]
    for group in groups:
        for parameter in group["params"]:
            parameter.requires_grad_(True)
    return groups


def export(source: Path, out: Path, text: str = "") -> weights.Manifest[DecoderTextConfig]:
    """Write the averaged weights of a run as the part `text` of a weights folder.

    Raises:
        WeightsError: no checkpoint, or it is damaged.
        ConfigError: the run has no settings.json.
    """
    saved = read_checkpoint(source)
    values = kept_settings(source)
    config, train = from_mapping(DecoderTextConfig, values["network"], str(source / SETTINGS)), values["train"]
    tasks = (Task.CAPTION, *((Task.ANSWER,) if "answer" in read_tasks(source) else ()))
    steps = {"steps": saved["step"]}
    if saved["system"] == HEAD_PHASE:
        steps = {"steps": train["steps"], "head_steps": saved["step"]}
    notes = {**values["about"], **steps, "batch_size": train["batch_size"], "seed": train["seed"]}
    return weights.save(out, config, saved["average"], map(str, tasks), notes | ({"text": text} if text else {}))


def read_tasks(source: Path) -> set[str]:
    """The tasks that had steps in a run, by its log."""
    return {row["task"] for row in read_log(source / "log.csv")}
