"""Learning to route: sentences drawn afresh for every step, their tasks told word by word."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.nn.utils.rnn import pad_sequence

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
    hear,
    learned,
)
from vision_llm_ros.model.router_meaning import MeaningEncoder
from vision_llm_ros.model.router_words import Span, filled, spread, tokens_of, words_of
from vision_llm_ros.training.loop import Loop

GROUP = 8
LOSSES = ("tag", "module", "region", "order")


@dataclass(frozen=True)
class Targets:
    """What is to be decided of sentences and of their N tasks, in the order in which they stand in the text.

    Attributes:
        counts: int[B] words of each sentence.
        tags: int[B, W] what each word is; IGNORED where there is padding.
        rows: int[N] the sentence of each task.
        inside: bool[N, W] the words of each task.
        modules, regions: int[N].
        later: float[N] for the second of two tasks whether it comes first, 1 or 0; IGNORED for all others.
    """

    counts: Tensor
    tags: Tensor
    rows: Tensor
    inside: Tensor
    modules: Tensor
    regions: Tensor
    later: Tensor

    def means(self, states: Tensor) -> Tensor:
        """Mean states float[N, S] of the tasks, of states float[B, W, S]."""
        inside = self.inside.to(states.device).unsqueeze(-1)
        return (states[self.rows.to(states.device)] * inside).sum(1) / inside.sum(1)


@dataclass(frozen=True)
class RouteBatch:
    """Sentences as the models read them, and what is to be decided of them.

    Attributes:
        ids: int[B, T] tokens of the language model.
        tokens: float[B, W, T] what averages them over words.
        texts: the sentences.
        words: where their words stand.
        parts: the words of each task.
    """

    ids: Tensor
    tokens: Tensor
    texts: tuple[str, ...]
    words: list[list[Span]]
    parts: tuple[str, ...]
    targets: Targets


def batch_of(tokenizer: Any, utterances: list[Utterance]) -> RouteBatch:
    """Pad sentences to the longest."""
    read = [tokens_of(tokenizer, item.text) for item in utterances]
    words = [words_of(item.text) for item in utterances]
    return RouteBatch(
        pad_sequence([torch.tensor(ids) for ids, _ in read], batch_first=True),
        filled([spread(some, places) for some, (_, places) in zip(words, read, strict=True)]),
        tuple(item.text for item in utterances),
        words,
        tuple(item.text[slice(*task)] for item in utterances for task in sorted(item.tasks)),
        targets_of(utterances, words),
    )


def targets_of(utterances: list[Utterance], words: list[list[Span]]) -> Targets:
    """What is right of sentences, whose words stand at `words`."""
    counts = torch.tensor(list(map(len, words)))
    tags = torch.full((len(words), int(counts.max())), IGNORED)
    tasks: list[tuple[int, Tensor, int, int, float]] = []
    for row, item in enumerate(utterances):
        tags[row, : counts[row]] = OUTSIDE
        for number, index in enumerate(sorted(range(len(item.tasks)), key=lambda index: item.tasks[index])):
            inside = _tell(tags[row], words[row], item.tasks[index], item.spans[index])
            part = item.invocations[index]
            later = float(index == 0) if len(item.tasks) == 2 and number == 1 else IGNORED
            tasks.append((row, inside, MODULES.index(part.module), REGIONS.index(part.region), later))
    rows, insides, modules, regions, laters = zip(*tasks, strict=True)
    return Targets(
        counts,
        tags,
        torch.tensor(rows),
        torch.stack(insides),
        torch.tensor(modules),
        torch.tensor(regions),
        torch.tensor(laters, dtype=torch.float32),
    )


def _tell(tags: Tensor, words: list[Span], task: Span, told: Span | None) -> Tensor:
    """Write the tags of one task; which words are of it, bool[W]."""
    inside = torch.zeros(len(tags), dtype=torch.bool)
    for place, (start, end) in enumerate(words):
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


def losses(
    router: Router, states: Tensor, meaning: Tensor, wanted: Targets, smoothing: float = 0.0
) -> dict[str, Tensor]:
    """What is wrong with decisions, by `LOSSES`.

    Args:
        states: float[B, W, S] of the sentences' words.
        meaning: float[N, M] of the tasks, see `MeaningEncoder`.
        smoothing: of the modules' labels, 0..1.
    """
    device, means = states.device, wanted.means(states)
    begins = states[wanted.rows, wanted.inside.int().argmax(1)]
    ordered = (wanted.later != IGNORED).float().to(device)
    later = binary_cross_entropy_with_logits(
        router.later(begins)[:, 0], wanted.later.clamp(min=0).to(device), ordered, reduction="sum"
    )
    modules, tags = router.modules_of(means, meaning), router.tags(states).flatten(0, 1)
    return {
        "tag": cross_entropy(tags, wanted.tags.to(device).flatten(), ignore_index=IGNORED),
        "module": cross_entropy(modules, wanted.modules.to(device), label_smoothing=smoothing),
        "region": cross_entropy(router.region(means), wanted.regions.to(device)),
        "order": later / ordered.sum().clamp(min=1),
    }


class RouteTrainer(Loop[RouteBatch]):
    """The loop over drawn sentences: adapter, reader and heads; the last two are learnt anew by `route_fit`."""

    parts = LOSSES
    config: RouterTrainConfig

    def __init__(
        self,
        router: Router,
        llm: LanguageModel,
        encoder: MeaningEncoder,
        config: RouterTrainConfig,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.router, self.llm, self.encoder = router, llm, encoder
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
        drawn = sorted((draw("learnt", rng) for _ in range(self.config.batch_size)), key=lambda item: len(item.text))
        return [batch_of(self.llm.tokenizer, drawn[start : start + GROUP]) for start in range(0, len(drawn), GROUP)]

    def describe(self, batch: RouteBatch) -> str:
        return "route"

    def loss(self, batch: RouteBatch) -> tuple[Tensor, dict[str, float]]:
        with self.llm.using(ADAPTER):
            seen = self.router.see(self.llm, batch.ids.to(self.device), batch.tokens.to(self.device))
        heard = hear(self.encoder.plain, batch.texts, batch.words).to(self.device)
        states = self.router(seen, heard, batch.targets.counts)
        with torch.no_grad():
            meaning = self.encoder(list(batch.parts)).to(self.device)
        wrong = losses(self.router, states, meaning, batch.targets)
        return torch.stack(list(wrong.values())).sum(), {name: float(value.detach()) for name, value in wrong.items()}
