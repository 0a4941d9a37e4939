"""Learning to route: sentences drawn afresh for every step, their tasks told word by word."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from vision_llm_ros.config import RouterConfig, RouterTrainConfig
from vision_llm_ros.language.invocation import MODULES, REGIONS
from vision_llm_ros.language.utterances import Utterance, draw
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import (
    ADAPTER,
    FIRST,
    FIRST_TOLD,
    IGNORED,
    OUTSIDE,
    TOLD,
    WITHIN,
    Router,
    add_adapter,
    learned,
    words_of,
)
from vision_llm_ros.training.loop import Loop

GROUP = 8
LOSSES = ("tag", "module", "region", "order")


@dataclass(frozen=True)
class RouteBatch:
    """Sentences and what is to be decided of their N tasks, in the order in which they stand in the text.

    Attributes:
        ids, lengths: see `Router.forward`.
        tags: int[B, T] what each token is; IGNORED where there is padding.
        rows: int[N] the sentence of each task.
        inside: bool[N, T] the tokens of each task.
        modules, regions: int[N].
        later: float[N] for the second of two tasks whether it comes first, 1 or 0; IGNORED for all others.
        texts: the words of each task.
    """

    ids: Tensor
    lengths: Tensor
    tags: Tensor
    rows: Tensor
    inside: Tensor
    modules: Tensor
    regions: Tensor
    later: Tensor
    texts: tuple[str, ...]


def batch_of(tokenizer: Any, utterances: list[Utterance]) -> RouteBatch:
    """Pad sentences to the longest."""
    read = [words_of(tokenizer, item.text) for item in utterances]
    longest = max(len(ids) for ids, _ in read)
    ids = torch.zeros(len(read), longest, dtype=torch.long)
    tags = torch.full((len(read), longest), IGNORED)
    tasks: list[tuple[int, Tensor, int, int, float, str]] = []
    for row, (item, (words, places)) in enumerate(zip(utterances, read, strict=True)):
        ids[row, : len(words)] = torch.tensor(words)
        tags[row, : len(words)] = OUTSIDE
        for number, index in enumerate(sorted(range(len(item.tasks)), key=lambda index: item.tasks[index])):
            inside = _tell(tags[row], places, item.tasks[index], item.spans[index])
            part = item.invocations[index]
            later = float(index == 0) if len(item.tasks) == 2 and number == 1 else IGNORED
            module, region = MODULES.index(part.module), REGIONS.index(part.region)
            tasks.append((row, inside, module, region, later, item.text[slice(*item.tasks[index])]))
    rows, insides, modules, regions, laters, texts = zip(*tasks, strict=True)
    return RouteBatch(
        ids,
        torch.tensor([len(words) for words, _ in read]),
        tags,
        torch.tensor(rows),
        torch.stack(insides),
        torch.tensor(modules),
        torch.tensor(regions),
        torch.tensor(laters, dtype=torch.float32),
        texts,
    )


def _tell(tags: Tensor, places: list[tuple[int, int]], task: tuple[int, int], told: tuple[int, int] | None) -> Tensor:
    """Write the tags of one task; which tokens are of it, bool[T]."""
    inside = torch.zeros(len(tags), dtype=torch.bool)
    for place, (start, end) in enumerate(places):
        if start >= task[1] or end <= task[0]:
            continue
        first, instructed = not inside.any(), told is not None and start < told[1] and end > told[0]
        tags[place] = (FIRST_TOLD if first else TOLD) if instructed else (FIRST if first else WITHIN)
        inside[place] = True
    return inside


def build(config: RouterConfig, llm: LanguageModel) -> Router:
    """A new router around a language model, which gets its adapter."""
    add_adapter(llm, config)
    router = Router(config, llm.width)
    router.start_from(llm)
    return router


def means_of(states: Tensor, batch: RouteBatch) -> Tensor:
    """Mean states float[N, D] of the batch's tasks, of states float[B, T, D]."""
    inside = batch.inside.to(states.device).unsqueeze(-1)
    return (states[batch.rows.to(states.device)] * inside).sum(1) / inside.sum(1)


class RouteTrainer(Loop[RouteBatch]):
    """The loop over drawn sentences; the text encoder is heard only afterwards, see `route_fit`."""

    parts = LOSSES
    config: RouterTrainConfig

    def __init__(
        self,
        router: Router,
        llm: LanguageModel,
        config: RouterTrainConfig,
        folder: Path,
        device: torch.device,
        split: str = "learnt",
    ) -> None:
        self.router, self.llm, self._split = router, llm, split
        adapter = [value for key, value in llm.base.named_parameters() if f".{ADAPTER}." in key]
        groups = [{"params": [*router.parameters(), *adapter], "lr": config.learning_rate}]
        super().__init__({"system": "router"}, config, groups, folder, device)

    def learned(self) -> dict[str, Tensor]:
        return learned(self.router, self.llm)

    def prepare(self) -> None:
        self.router.train()
        self.llm.base.train()

    def draw(self, seed: tuple[int, ...], step: int) -> list[RouteBatch]:
        """Sentences of like length go together, which leaves little padding."""
        rng = random.Random(str(seed))
        drawn = sorted((draw(self._split, rng) for _ in range(self.config.batch_size)), key=lambda item: len(item.text))
        return [batch_of(self.llm.tokenizer, drawn[start : start + GROUP]) for start in range(0, len(drawn), GROUP)]

    def describe(self, batch: RouteBatch) -> str:
        return "route"

    def loss(self, batch: RouteBatch) -> tuple[Tensor, dict[str, float]]:
        with self.llm.using(ADAPTER):
            states, tags = self.router(self.llm, batch.ids.to(self.device), batch.lengths.to(self.device))
        means = means_of(states, batch)
        begins = states[batch.rows, batch.inside.int().argmax(1)]
        ordered = batch.later != IGNORED
        later = self.router.later(begins)[:, 0]
        losses = {
            "tag": cross_entropy(tags.flatten(0, 1), batch.tags.to(self.device).flatten(), ignore_index=IGNORED),
            "module": cross_entropy(self.router.modules_of(means), batch.modules.to(self.device)),
            "region": cross_entropy(self.router.region(means), batch.regions.to(self.device)),
            "order": binary_cross_entropy_with_logits(
                later, batch.later.clamp(min=0).to(self.device), ordered.float().to(self.device), reduction="sum"
            )
            / ordered.sum().clamp(min=1).to(self.device),
        }
        total = torch.stack([losses[name] for name in LOSSES]).sum()
        return total, {name: float(value.detach()) for name, value in losses.items()}
