"""The last touch of a router: reader and heads learn on, over words that the frozen models have looked at once.

What the language model with its learnt adapter, and the text encoder, make of every word stays as it is, so that a
sentence passes them once and thousands of steps cost minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout

from vision_llm_ros.language.utterances import Utterance
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import ADAPTER, Router, hear, meanings
from vision_llm_ros.model.router_words import filled
from vision_llm_ros.model.text import TextEncoder
from vision_llm_ros.training.route import GROUP, Targets, batch_of, losses, targets_of

BATCH, LEARNING_RATE, DECAY, SMOOTHING = 96, 2e-3, 0.05, 0.05
DROPOUT, VIEW_DROPOUT = 0.2, 0.1


@dataclass(frozen=True)
class Looked:
    """A sentence as the frozen models see it, in half precision.

    Attributes:
        seen: float[W, D] of the language model.
        heard: float[W, M] of the text encoder.
        meaning: float[tasks, M] of the text encoder, in the order in which they stand in the text.
    """

    utterance: Utterance
    words: list[tuple[int, int]]
    seen: Tensor
    heard: Tensor
    meaning: Tensor


@torch.no_grad()
def look(router: Router, llm: LanguageModel, encoder: TextEncoder, items: list[Utterance]) -> list[Looked]:
    """What the frozen models make of sentences."""
    items = sorted(items, key=lambda item: len(item.text))
    device, looked = router.opening.device, []
    for start in range(0, len(items), GROUP):
        some = items[start : start + GROUP]
        batch = batch_of(llm.tokenizer, some)
        with llm.using(ADAPTER):
            seen = router.see(llm, batch.ids.to(device), batch.tokens.to(device)).half()
        heard = hear(encoder, batch.texts, batch.words).half()
        meaning = torch.split(meanings(list(batch.parts), encoder).half(), [len(item.tasks) for item in some])
        for row, (item, words) in enumerate(zip(some, batch.words, strict=True)):
            count = len(words)
            looked.append(Looked(item, words, seen[row, :count].clone(), heard[row, :count].clone(), meaning[row]))
    return looked


def fit(router: Router, looked: list[Looked], steps: int, seed: int = 0) -> float:
    """Learn reader and heads; the last loss."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    router.train()
    device = router.opening.device
    heads = [value for name, value in router.named_parameters() if name != "opening"]
    optimizer = torch.optim.AdamW(heads, lr=LEARNING_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss = torch.zeros(())
    for _ in range(steps):
        some = [looked[place] for place in torch.randint(0, len(looked), (BATCH,), generator=generator).tolist()]
        seen, heard, meaning, wanted = _batch(some, device)
        # now and then one view alone, so that neither is leant on for what the other tells better
        kept = (torch.rand(2, len(some), 1, 1, generator=generator) >= VIEW_DROPOUT).float().to(device)
        states = router(seen * kept[0], heard * kept[1], wanted.counts)
        loss = torch.stack(list(losses(router, states, dropout(meaning, DROPOUT), wanted, SMOOTHING).values())).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(heads, 1.0)
        optimizer.step()
        schedule.step()
    router.eval()
    return float(loss.detach())


def _batch(some: list[Looked], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Targets]:
    seen, heard = (
        filled([row.to(device).float() for row in rows])
        for rows in zip(*((item.seen, item.heard) for item in some), strict=True)
    )
    meaning = torch.cat([item.meaning for item in some]).to(device).float()
    return seen, heard, meaning, targets_of([item.utterance for item in some], [item.words for item in some])
