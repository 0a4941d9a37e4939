"""What every training here shares: a loop over steps, a schedule, averaged weights, checkpoints, a log with curves."""

from __future__ import annotations

import contextlib
import logging
import math
import pickle
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from vision_llm_ros.config import LoopConfig
from vision_llm_ros.errors import WeightsError
from vision_llm_ros.model.precision import arithmetic
from vision_llm_ros.training.run_log import DETECTION, RunLog
from vision_llm_ros.training.team import Team

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
B = TypeVar("B")


class Loop(ABC, Generic[B]):
    """One training run in a folder: log.csv, losses.png, checkpoint.pt (resumable) with the averaged weights inside.

    Attributes:
        kind: what is learnt, kept in the checkpoint, e.g. {"stage": 1}; one of another kind is refused.
        config: how long and how fast.
        parts: names of the parts of the loss, the columns of the log.
        dtype: arithmetic of matrix products, float32 or bfloat16; parameters and losses stay float32.
        team: the processes that learn together; each draws its own samples.
    """

    parts: tuple[str, ...] = DETECTION

    def __init__(
        self,
        kind: dict[str, Any],
        config: LoopConfig,
        groups: list[dict[str, Any]],
        folder: Path,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        team: Team | None = None,
    ) -> None:
        """Prepare the optimizer.

        Args:
            groups: parameter groups of the optimizer, each with its "lr"; they alone learn.
        """
        self.kind, self.config, self.folder = kind, config, folder
        self.device, self.dtype, self.team = device, dtype, team or Team()
        folder.mkdir(parents=True, exist_ok=True)
        for group in groups:
            group["base_lr"] = group["lr"]
        self.optimizer = torch.optim.AdamW(groups, betas=config.betas, weight_decay=config.weight_decay)
        self.step = 0
        self.team.agree(self.learned().values())
        self.average = {key: value.detach().clone() for key, value in self.learned().items()}

    @abstractmethod
    def learned(self) -> dict[str, Tensor]:
        """Every tensor that is stored, by name."""

    @abstractmethod
    def draw(self, seed: tuple[int, ...], step: int) -> list[B]:
        """Samples of one step, by their seed alone: batches whose gradients are averaged."""

    @abstractmethod
    def loss(self, batch: B) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch and its parts for the log."""

    @abstractmethod
    def prepare(self) -> None:
        """Put the modules into training mode, those that stay as they are into evaluation mode."""

    def describe(self, batch: B) -> str:
        """A word for the log's column `task`."""
        return ""

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if there is one.

        Raises:
            WeightsError: the checkpoint is damaged or of another kind.
        """
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return False
        try:
            saved = torch.load(path, map_location=self.device, weights_only=True)
            for key, value in self.kind.items():
                if saved[key] != value:
                    raise WeightsError(f"{path} is of {key} {saved[key]}, not {value}")
            for key, tensor in self.learned().items():
                tensor.data.copy_(saved["model"][key])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.average, self.step = saved["average"], saved["step"]
        except (RuntimeError, KeyError, EOFError, OSError, TypeError, ValueError, pickle.UnpicklingError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise WeightsError(f"Cannot resume from {path}: {reason}; remove it to start again") from error
        return True

    def save(self) -> None:
        """Write the checkpoint in one atomic move."""
        partial = self.folder / "checkpoint.part"
        state = {
            **self.kind,
            "step": self.step,
            "model": {key: value.detach() for key, value in self.learned().items()},
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, partial)
        partial.rename(self.folder / CHECKPOINT)

    def run(self, progress: Callable[[int, dict[str, float]], None]) -> None:
        """Train to the last step; `progress(step, parts of the loss)` is called after each."""
        self.prepare()
        log = RunLog(self.folder, self.step, self.parts) if self.team.leads else None
        with contextlib.closing(log) if log else contextlib.nullcontext():
            for batches in self._prefetched():
                started = time.perf_counter()
                parts = self._learn(batches)
                self.step += 1
                parts["seconds"] = time.perf_counter() - started
                if log is not None:
                    log.add(self.step, self.describe(batches[0]), parts)
                    self._keep(log)
                progress(self.step, parts)
        self.team.wait()

    def _keep(self, log: RunLog) -> None:
        if self.step % self.config.save_every == 0 or self.step == self.config.steps:
            self.save()
            log.plot()

    def _prefetched(self) -> Iterator[list[B]]:
        """Batches of the remaining steps, the next one drawn while the current one is learnt."""
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self._draw, self.step)
            for step in range(self.step, self.config.steps):
                batches = waiting.result()
                if step + 1 < self.config.steps:
                    waiting = pool.submit(self._draw, step + 1)
                yield batches

    def _draw(self, step: int) -> list[B]:
        return self.draw((self.config.seed, *self._place(), step), step)

    def _place(self) -> tuple[int, ...]:
        """What tells this run's randomness from that of others with the same seed."""
        return tuple(value for value in self.kind.values() if isinstance(value, int))

    def _learn(self, batches: list[B]) -> dict[str, float]:
        self._schedule()
        # dropout of every step by its own seed, so that a resumed run repeats what an uninterrupted one does
        torch.manual_seed(hash((self.config.seed, *self._place(), self.step, self.team.rank)))
        self.optimizer.zero_grad(set_to_none=True)
        mean: dict[str, float] = {}
        for batch in batches:
            with arithmetic(self.device, self.dtype):
                loss, parts = self.loss(batch)
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
        return {**mean, "gradient": float(norm), "learning_rate": float(self.optimizer.param_groups[0]["lr"])}

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
        for key, value in self.learned().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - decay)
            else:
                self.average[key].copy_(value)
