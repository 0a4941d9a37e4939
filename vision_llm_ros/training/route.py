"""Learning to route: sentences drawn afresh for every step, their invocations told token by token."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vision_llm_ros.config import RouterConfig, RouterTrainConfig
from vision_llm_ros.language.invocation import INSTRUCTED, MODULES, REGIONS
from vision_llm_ros.language.utterances import Utterance, draw
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import ADAPTER, END, IGNORED, Router, add_adapter, learned, words_of
from vision_llm_ros.training.loop import Loop

GROUP = 8
LOSSES = ("module", "start", "end", "region")


@dataclass(frozen=True)
class RouteBatch:
    """Sentences and what is to be decided; arguments and targets of `Router.forward`."""

    ids: Tensor
    lengths: Tensor
    modules: Tensor
    targets: dict[str, Tensor]


def batch_of(tokenizer: Any, utterances: list[Utterance]) -> RouteBatch:
    """Pad sentences to the longest; token 0 is the opening token, words count from 1."""
    read = [words_of(tokenizer, item.text) for item in utterances]
    longest = max(len(ids) for ids, _ in read)
    steps = max(len(item.invocations) for item in utterances)
    ids = torch.zeros(len(read), longest, dtype=torch.long)
    modules = torch.full((len(read), steps), END)
    targets = {name: torch.full((len(read), steps), IGNORED) for name in LOSSES[1:]}
    targets["module"] = torch.full((len(read), steps + 1), IGNORED)
    for row, (item, (words, places)) in enumerate(zip(utterances, read, strict=True)):
        ids[row, : len(words)] = torch.tensor(words)
        for step, (invocation, span) in enumerate(zip(item.invocations, item.spans, strict=True)):
            modules[row, step] = targets["module"][row, step] = MODULES.index(invocation.module)
            targets["region"][row, step] = REGIONS.index(invocation.region)
            if invocation.module in INSTRUCTED:
                targets["start"][row, step], targets["end"][row, step] = tokens_of(span, places)
        if not item.refused:
            targets["module"][row, len(item.invocations)] = END
    return RouteBatch(ids, torch.tensor([len(words) for words, _ in read]), modules, targets)


def tokens_of(span: tuple[int, int] | None, places: list[tuple[int, int]]) -> tuple[int, int]:
    """First and last token that a span of characters touches, counted from 1; (0, 0) for none."""
    if span is None:
        return 0, 0
    touched = [place for place, (start, end) in enumerate(places, 1) if start < span[1] and end > span[0]]
    return touched[0], touched[-1]


def build(config: RouterConfig, llm: LanguageModel) -> Router:
    """A new router around a language model, which gets its adapter."""
    add_adapter(llm, config)
    router = Router(config, llm.width)
    router.start_from(llm)
    return router


class RouteTrainer(Loop[RouteBatch]):
    """The loop over drawn sentences."""

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

    def loss(self, batch: RouteBatch) -> tuple[Tensor, dict[str, float]]:
        with self.llm.using(ADAPTER):
            decided = self.router(
                self.llm, batch.ids.to(self.device), batch.lengths.to(self.device), batch.modules.to(self.device)
            )
        losses = {name: _mean_loss(decided[name], batch.targets[name].to(self.device)) for name in LOSSES}
        total = torch.stack([losses[name] for name in LOSSES]).sum()
        return total, {name: float(value.detach()) for name, value in losses.items()}


def _mean_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy over what is wanted; 0 where nothing is."""
    known = (wanted != IGNORED).sum().clamp(min=1)
    return cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="sum") / known
