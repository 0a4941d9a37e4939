"""The last touch of a router: its module heads learn once more, with the text encoder's view of every task.

Everything else stays as the loop left it, so that a sentence passes the language model once and thousands of steps
cost seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, dropout

from vision_llm_ros.language.utterances import Utterance
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import ADAPTER, Encode, Router, meanings
from vision_llm_ros.training.route import GROUP, batch_of, means_of

BATCH, LEARNING_RATE, DECAY, SMOOTHING = 512, 3e-3, 0.05, 0.05
DROPOUT, VIEW_DROPOUT = 0.2, 0.15


@dataclass(frozen=True)
class Decided:
    """Tasks of sentences.

    Attributes:
        means: float[N, D] of the language model's states.
        meaning: float[N, M] of the text encoder.
        modules: int[N].
    """

    means: Tensor
    meaning: Tensor
    modules: Tensor


@torch.no_grad()
def look(router: Router, llm: LanguageModel, encode: Encode, items: list[Utterance]) -> Decided:
    """What the frozen models make of sentences."""
    items = sorted(items, key=lambda item: len(item.text))
    device = router.opening.device
    means, meaning, modules = [], [], []
    for start in range(0, len(items), GROUP):
        batch = batch_of(llm.tokenizer, items[start : start + GROUP])
        with llm.using(ADAPTER):
            states, _ = router(llm, batch.ids.to(device), batch.lengths.to(device))
        means.append(means_of(states, batch))
        meaning.append(meanings(list(batch.texts), encode).to(device))
        modules.append(batch.modules.to(device))
    return Decided(torch.cat(means), torch.cat(meaning), torch.cat(modules))


def fit(router: Router, decided: Decided, steps: int, seed: int = 0) -> float:
    """Learn the module heads on both views; the last loss."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    heads = [*router.seen.parameters(), *router.meant.parameters(), *router.module.parameters()]
    optimizer = torch.optim.AdamW(heads, lr=LEARNING_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss = torch.zeros(())
    for _ in range(steps):
        some = torch.randint(0, len(decided.modules), (BATCH,), generator=generator).to(decided.modules.device)
        # now and then one view alone, so that neither is leant on for what the other tells better
        kept = (torch.rand(BATCH, 2, generator=generator) >= VIEW_DROPOUT).float().to(decided.means.device)
        means = dropout(decided.means[some], DROPOUT) * kept[:, :1]
        meaning = dropout(decided.meaning[some], DROPOUT) * kept[:, 1:]
        loss = cross_entropy(router.modules_of(means, meaning), decided.modules[some], label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return float(loss.detach())
