"""The last touch of a router: its module head learns once more, with the text encoder's view of the whole sentence.

Everything else stays as the loop left it, so that a sentence passes the language model once and thousands of steps
cost seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vision_llm_ros.interfaces import TextSimilarity
from vision_llm_ros.language.utterances import Utterance
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import ADAPTER, IGNORED, Router
from vision_llm_ros.training.route import GROUP, batch_of

STEPS, LEARNING_RATE, DECAY, DROPOUT = 600, 3e-3, 0.02, 0.3


@dataclass(frozen=True)
class Decided:
    """Decisions about modules.

    Attributes:
        states: float[N, D] of the language model where each is taken.
        meaning: float[N, M] of its sentence; zero but for the first decision.
        wanted: int[N].
    """

    states: Tensor
    meaning: Tensor
    wanted: Tensor


@torch.no_grad()
def look(router: Router, llm: LanguageModel, encoder: TextSimilarity, items: list[Utterance]) -> Decided:
    """What the frozen models make of sentences."""
    items = sorted(items, key=lambda item: len(item.text))
    device = router.rows.weight.device
    states, meanings, wanted = [], [], []
    for start in range(0, len(items), GROUP):
        some = items[start : start + GROUP]
        batch = batch_of(llm.tokenizer, some)
        with llm.using(ADAPTER):
            seen = router(llm, batch.ids.to(device), batch.lengths.to(device), batch.modules.to(device))["states"]
        vectors = torch.from_numpy(encoder.embed(tuple(item.text for item in some))).to(device)
        meaning = torch.zeros(*seen.shape[:2], vectors.shape[1], device=device)
        meaning[:, 0] = vectors
        target = batch.targets["module"].to(device)
        known = target != IGNORED
        states.append(seen[known])
        meanings.append(meaning[known])
        wanted.append(target[known])
    return Decided(torch.cat(states), torch.cat(meanings), torch.cat(wanted))


def fit(router: Router, decided: Decided, seed: int = 0, steps: int = STEPS) -> float:
    """Learn the module head on both views; the last loss."""
    generator = torch.Generator().manual_seed(seed)
    heads = [*router.module.parameters(), *router.meaning.parameters()]
    optimizer = torch.optim.AdamW(heads, lr=LEARNING_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss = torch.zeros(())
    for _ in range(steps):
        # now and then one view alone, so that neither is leant on for what the other tells better
        drawn = torch.rand(len(decided.wanted), 2, generator=generator).to(decided.states.device)
        states = decided.states * (drawn[:, :1] >= DROPOUT * (decided.meaning.abs().sum(1, keepdim=True) > 0))
        logits = router.modules(states, decided.meaning * (drawn[:, 1:] >= DROPOUT))
        loss = cross_entropy(logits, decided.wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return float(loss.detach())
