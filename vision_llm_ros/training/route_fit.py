"""The last touch of a router: reader and heads learn, over words that the frozen models have looked at once.

What the language model and the text encoder with their learnt adapters make of words and tasks stays as it is, so that
a sentence passes them once and thousands of steps cost minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout

from vision_llm_ros.language.utterances import Utterance
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import ADAPTER, Router, hear
from vision_llm_ros.model.router_meaning import MeaningEncoder
from vision_llm_ros.model.router_words import filled
from vision_llm_ros.training.route import GROUP, Targets, batch_of, losses, targets_of

BATCH, LEARNING_RATE, DECAY, SMOOTHING = 64, 2e-3, 0.05, 0.05
DROPOUT, WORD_DROPOUT, VIEW_DROPOUT, AVERAGE = 0.2, 0.05, 0.15, 0.998


@dataclass(frozen=True)
class Looked:
    """A sentence as the frozen models see it, in half precision.

    Attributes:
        seen: float[W, D] of the language model.
        heard: float[W, M] of the text encoder.
        meaning: float[tasks, M] of the adapted text encoder, in the order in which they stand in the text.
    """

    utterance: Utterance
    words: list[tuple[int, int]]
    seen: Tensor
    heard: Tensor
    meaning: Tensor


@torch.no_grad()
def look(router: Router, llm: LanguageModel, encoder: MeaningEncoder, items: list[Utterance]) -> list[Looked]:
    """What the frozen models make of sentences."""
    items = sorted(items, key=lambda item: len(item.text))
    device, looked = router.opening.device, []
    for start in range(0, len(items), GROUP):
        some = items[start : start + GROUP]
        batch = batch_of(llm.tokenizer, some)
        with llm.using(ADAPTER):
            seen = router.see(llm, batch.ids.to(device), batch.tokens.to(device)).half()
        heard = hear(encoder.plain, batch.texts, batch.words).half()
        meaning = torch.split(encoder(list(batch.parts)).half(), [len(item.tasks) for item in some])
        for row, (item, words) in enumerate(zip(some, batch.words, strict=True)):
            count = len(words)
            looked.append(Looked(item, words, seen[row, :count].clone(), heard[row, :count].clone(), meaning[row]))
    return looked


def fit(router: Router, looked: list[Looked], steps: int, seed: int = 0) -> float:
    """Learn reader and heads, which become the running average of what is learnt; the last loss."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    router.train()
    device = router.opening.device
    heads = {name: value for name, value in router.named_parameters() if name != "opening"}
    average = {name: value.detach().clone() for name, value in heads.items()}
    optimizer = torch.optim.AdamW(heads.values(), lr=LEARNING_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss = torch.zeros(())
    for step in range(steps):
        some = [looked[place] for place in torch.randint(0, len(looked), (BATCH,), generator=generator).tolist()]
        loss = _loss(router, some, generator, device)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(heads.values(), 1.0)
        optimizer.step()
        schedule.step()
        for name, value in heads.items():
            average[name].lerp_(value.detach(), 1 - min(AVERAGE, (1 + step) / (10 + step)))
    for name, value in heads.items():
        value.data.copy_(average[name])
    router.eval()
    return float(loss.detach())


def _loss(router: Router, some: list[Looked], generator: torch.Generator, device: torch.device) -> Tensor:
    seen, heard, meaning, wanted = _batch(some, device)
    # now and then one view alone, of a word or of all, so that neither is leant on for what the other tells better
    kept = (torch.rand(2, len(some), 1, 1, generator=generator) >= VIEW_DROPOUT).float()
    kept = kept * (torch.rand(2, *seen.shape[:2], 1, generator=generator) >= WORD_DROPOUT)
    kept = kept.to(device)
    states = router(seen * kept[0], heard * kept[1], wanted.counts)
    told = (torch.rand(len(meaning), 1, generator=generator) >= VIEW_DROPOUT).float().to(device)
    meaning = dropout(meaning, DROPOUT) * told
    return torch.stack(list(losses(router, states, meaning, wanted, SMOOTHING).values())).sum()


def _batch(some: list[Looked], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Targets]:
    seen, heard = (
        filled([row.to(device).float() for row in rows])
        for rows in zip(*((item.seen, item.heard) for item in some), strict=True)
    )
    meaning = torch.cat([item.meaning for item in some]).to(device).float()
    return seen, heard, meaning, targets_of([item.utterance for item in some], [item.words for item in some])
