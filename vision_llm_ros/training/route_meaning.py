"""Learning what is asked for: the text encoder's adapter tells the modules of tasks without their things."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vision_llm_ros.config import RouterConfig, RouterTrainConfig
from vision_llm_ros.language.invocation import MODULES
from vision_llm_ros.language.utterances import Utterance, draw
from vision_llm_ros.model.router_meaning import MeaningEncoder
from vision_llm_ros.training.loop import Loop

GROUP = 16
_DROPOUT, _SMOOTHING = 0.2, 0.05
_WHOLE, _DROPPED = 0.25, 0.05  # shares of tasks given with all words around them, and of words left out


@dataclass(frozen=True)
class MeaningBatch:
    """The words of N tasks and their modules, int[N]."""

    tasks: tuple[str, ...]
    modules: Tensor


class MeaningTrainer(Loop[MeaningBatch]):
    """The loop over the tasks of drawn sentences; the head is for learning only."""

    parts = ("module",)
    config: RouterTrainConfig

    def __init__(
        self,
        encoder: MeaningEncoder,
        network: RouterConfig,
        config: RouterTrainConfig,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.encoder = encoder
        self.scale = network.meaning_width**0.5  # vectors of unit length are faint
        self.head = head_of(network).to(device)
        learning = list(encoder.learned().values())
        groups = [{"params": [*learning, *self.head.parameters()], "lr": config.meaning_rate}]
        own = replace(
            config, steps=config.meaning_steps, batch_size=config.meaning_batch, learning_rate=config.meaning_rate
        )
        super().__init__({"system": "router meaning"}, own, groups, folder, device)

    def learned(self) -> dict[str, Tensor]:
        return self.encoder.learned() | {f"head.{key}": value for key, value in self.head.state_dict().items()}

    def prepare(self) -> None:
        self.encoder.adapted.train()
        self.head.train()

    def draw(self, seed: tuple[int, ...], step: int) -> list[MeaningBatch]:
        """Tasks of like length go together."""
        rng = random.Random(f"meaning {seed}")
        drawn: list[tuple[str, str]] = []
        while len(drawn) < self.config.batch_size:
            drawn += _tasks(draw("learnt", rng), rng)
        drawn.sort(key=lambda task: len(task[0]))
        return [_batch(drawn[start : start + GROUP]) for start in range(0, len(drawn), GROUP)]

    def loss(self, batch: MeaningBatch) -> tuple[Tensor, dict[str, float]]:
        vectors = self.encoder(list(batch.tasks)) * self.scale
        wrong = cross_entropy(self.head(vectors), batch.modules.to(self.device), label_smoothing=_SMOOTHING)
        return wrong, {"module": float(wrong.detach())}


def head_of(network: RouterConfig) -> nn.Sequential:
    """What tells modules by vectors alone while they are learnt; see `Router.judge_by`."""
    hidden = network.hidden_width
    return nn.Sequential(
        nn.Dropout(_DROPOUT),
        nn.Linear(network.meaning_width, hidden),
        nn.GELU(),
        nn.Dropout(_DROPOUT),
        nn.Linear(hidden, len(MODULES)),
    )


def _tasks(item: Utterance, rng: random.Random) -> list[tuple[str, str]]:
    """The words of each task of a sentence, now and then with those around it or without some, and its module."""
    whole = len(item.tasks) == 1 and rng.random() < _WHOLE
    found = []
    for task, part in zip(item.tasks, item.invocations, strict=True):
        text = item.text if whole else item.text[slice(*task)]
        kept = " ".join(word for word in text.split() if rng.random() >= _DROPPED)
        found.append((kept or text, part.module))
    return found


def _batch(tasks: list[tuple[str, str]]) -> MeaningBatch:
    return MeaningBatch(tuple(text for text, _ in tasks), torch.tensor([MODULES.index(module) for _, module in tasks]))
