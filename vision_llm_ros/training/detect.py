"""Training of the VisionLLM route in two stages (VisionLLM, section 4.1).

Stage 1 teaches the image tokenizer with random class sets; stage 2 freezes the visual part that is pretrained and
teaches the token rows, the adapters and the tokenizer's decoder on detection, polygons and grounding together.
"""

from __future__ import annotations

import contextlib
import logging
import math
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.config import TrainConfig
from vision_llm_ros.errors import WeightsError
from vision_llm_ros.interfaces import Task
from vision_llm_ros.model.detector import VisionLLM, select_tokens
from vision_llm_ros.model.precision import arithmetic
from vision_llm_ros.model.set_decoder import ADAPTER
from vision_llm_ros.model.tokenizer import ImageTokens
from vision_llm_ros.training.data import Batch, DetectionData
from vision_llm_ros.training.losses import Target, set_loss, tokenizer_loss
from vision_llm_ros.training.matching import match
from vision_llm_ros.training.run_log import RunLog
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
        group["base_lr"] = group["lr"]
    return groups


class Trainer:
    """One training run in a folder: log.csv, losses.png, checkpoint.pt (resumable) with the averaged weights inside.

    Attributes:
        dtype: arithmetic of matrix products, float32 or bfloat16; parameters and losses stay float32.
        team: the processes that learn together; each draws its own pictures.
    """

    def __init__(
        self,
        model: VisionLLM,
        data: DetectionData,
        config: TrainConfig,
        folder: Path,
        dtype: torch.dtype = torch.float32,
        team: Team | None = None,
    ) -> None:
        self.model, self.data, self.config, self.folder = model, data, config, folder
        self.dtype, self.team = dtype, team or Team()
        folder.mkdir(parents=True, exist_ok=True)
        self.device = next(model.backbone.parameters()).device
        self.optimizer = torch.optim.AdamW(learnable(model, config), weight_decay=config.weight_decay)
        self.step = 0
        self.team.agree(model.learned().values())
        self.average = {k: v.detach().clone() for k, v in model.learned().items()}

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if there is one.

        Raises:
            WeightsError: the checkpoint is damaged or of another stage.
        """
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            return False
        try:
            saved = torch.load(path, map_location=self.device, weights_only=True)
            if saved["stage"] != self.config.stage:
                raise WeightsError(f"{path} is of stage {saved['stage']}, not {self.config.stage}")
            for key, value in self.model.learned().items():
                value.data.copy_(saved["model"][key])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.average, self.step = saved["average"], saved["step"]
        except (RuntimeError, KeyError, EOFError, OSError, TypeError, ValueError, pickle.UnpicklingError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise WeightsError(f"Cannot resume from {path}: {reason}; remove it to start again") from error
        return True

    def save(self) -> None:
        """Write the checkpoint in one atomic move."""
        partial = self.folder / "checkpoint.part"
        state = {k: v.detach() for k, v in self.model.learned().items()}
        torch.save(
            {
                "stage": self.config.stage,
                "step": self.step,
                "model": state,
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
            },
            partial,
        )
        partial.rename(self.folder / "checkpoint.pt")

    def run(self, progress: Callable[[int, dict[str, float]], None]) -> None:
        """Train to the last step; `progress(step, parts of the loss)` is called after each."""
        self.model.train()
        self.model.backbone.eval()
        if self.model.config.text_mode != "trained":
            self.model.text_encoder.eval()  # its embeddings are kept for the whole run; dropout would spoil them
        log = RunLog(self.folder, self.step) if self.team.leads else None
        with contextlib.closing(log) if log else contextlib.nullcontext():
            for batches in self._prefetched():
                started = time.perf_counter()
                parts = self._learn(batches)
                self.step += 1
                parts["seconds"] = time.perf_counter() - started
                if log is not None:
                    log.add(self.step, str(batches[0].instruction.task), parts)
                    self._keep(log)
                progress(self.step, parts)
        self.team.wait()

    def _keep(self, log: RunLog) -> None:
        if self.step % self.config.save_every == 0 or self.step == self.config.steps:
            self.save()
            log.plot()

    def _prefetched(self) -> Iterator[list[Batch]]:
        """Batches of the remaining steps, the next one drawn while the current one is learnt."""
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self._draw, self.step)
            for step in range(self.step, self.config.steps):
                batches = waiting.result()
                if step + 1 < self.config.steps:
                    waiting = pool.submit(self._draw, step + 1)
                yield batches

    def _draw(self, step: int) -> list[Batch]:
        config = self.config
        seed: tuple[int, ...] = (config.seed, config.stage, step)
        dice = np.random.default_rng((*seed, 1)).random() if config.stage == 2 else 1.0
        if self.team.rank:
            seed = (*seed, self.team.rank)
        if dice < config.ground_share:
            return self.data.draw(Task.GROUND, config.batch_size, seed)
        if dice < config.ground_share + config.polygon_share:
            return self.data.draw(Task.POLYGON, config.batch_size, seed)
        return self.data.draw(Task.DETECT, config.batch_size, seed)

    def _learn(self, batches: list[Batch]) -> dict[str, float]:
        self._schedule()
        # dropout of every step by its own seed, so that a resumed run repeats what an uninterrupted one does
        torch.manual_seed(hash((self.config.seed, self.config.stage, self.step, self.team.rank)))
        self.optimizer.zero_grad(set_to_none=True)
        mean: dict[str, float] = {}
        for batch in batches:
            with arithmetic(self.device, self.dtype):
                loss, parts = self._loss(batch)
            (loss / len(batches)).backward()  # type: ignore[no-untyped-call]
            for key, value in parts.items():
                mean[key] = mean.get(key, 0.0) + value / len(batches)
        learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.team.mean_gradients(learning)
        norm = torch.nn.utils.clip_grad_norm_(learning, self.config.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
            self._average()
        else:
            logger.warning("Step %d skipped: gradient is not finite", self.step)
        rate = float(self.optimizer.param_groups[0]["lr"])
        grounding = batches[0].instruction.task is Task.GROUND
        return {"task": float(grounding), **mean, "gradient": float(norm), "learning_rate": rate}

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
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

    def _schedule(self) -> None:
        """Linear warm-up, then a cosine to zero."""
        config = self.config
        share = min(1.0, (self.step + 1) / max(config.warmup_steps, 1))
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / config.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * share * cosine

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.average_decay, (1 + self.step) / (10 + self.step))
        for key, value in self.model.learned().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - decay)


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
