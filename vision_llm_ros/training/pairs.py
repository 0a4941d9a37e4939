"""ITM on hard pairs: negatives are sought among all pictures and captions, and made by exchanging a word.

Within a batch of tens, few captions are likely for another picture; among thousands, many are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vision_llm_ros.config import PairConfig
from vision_llm_ros.model.blip import Blip, similarity
from vision_llm_ros.model.qformer import Tokens, tokenize
from vision_llm_ros.model.qformer_image import Seen
from vision_llm_ros.training.align_data import AlignData
from vision_llm_ros.training.exchange import exchange
from vision_llm_ros.training.loop import Loop

_CHUNK = 128
_ROUNDS = 8
_SHARE_OF_ANY = 0.25
_FEW = 10  # times the learning rate for the four numbers that weigh what ITC knows


@dataclass(frozen=True)
class PairBatch:
    """Pictures, a sentence for each, the sentence's vector float[B, D], and 1 where both belong together, int[B]."""

    seen: Seen
    text: Tokens
    sentences: Tensor
    wanted: Tensor


class PairData:
    """Draws pairs and hard negatives by ITC as it is now, each batch determined by its seed alone."""

    def __init__(self, blip: Blip, data: AlignData, hardest: int) -> None:
        self.data, self._hardest = data, hardest
        rows = [data.features.rows[image_id] for image_id in data.image_ids]
        self._told = [(place, text) for place, i in enumerate(data.image_ids) for text in data.captions[i]]
        self._owner = torch.tensor([place for place, _ in self._told])
        with torch.no_grad():
            parts = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
            self.pictures = torch.cat([blip.look(data.features.seen(part)).vectors for part in parts])
            self.sentences = blip.text_vectors(data.vectors([text for _, text in self._told]))

    def draw(self, size: int, seed: tuple[int, ...]) -> PairBatch:
        """Of each caption drawn: its picture, a likely picture, and for its picture a likely and a changed caption."""
        rng = np.random.default_rng(seed)
        chosen = torch.from_numpy(rng.choice(len(self._told), min(size, len(self._told)), replace=False))
        pairs: list[tuple[int, str, int]] = []
        own = self._owner[chosen]
        likely_pictures = similarity(self.pictures, self.sentences[chosen]).T
        likely_texts = similarity(self.pictures[own], self.sentences)
        for row, index in enumerate(chosen.tolist()):
            place, text = self._told[index]
            other = self._pick(likely_pictures[row], torch.arange(len(self.pictures)) == place, rng)
            foreign = self._pick(likely_texts[row], self._owner == place, rng)
            pairs += [(place, text, 1), (other, text, 0), (place, self._told[foreign][1], 0)]
            changed = exchange(text, rng)
            pairs += [(place, changed, 0)] if changed else []
        return self._batch(pairs)

    def _pick(self, likeness: Tensor, own: Tensor, rng: np.random.Generator) -> int:
        """One of the likeliest that are not its own; now and then any."""
        likeness = likeness.masked_fill(own, -torch.inf)
        others = len(likeness) - int(own.sum())
        count = others if rng.random() < _SHARE_OF_ANY else min(self._hardest, others)
        return int(likeness.topk(count).indices[int(rng.integers(count))])

    def _batch(self, pairs: list[tuple[int, str, int]]) -> PairBatch:
        data, texts = self.data, [text for _, text, _ in pairs]
        seen = data.features.seen([data.features.rows[data.image_ids[place]] for place, _, _ in pairs])
        with torch.no_grad():
            sentences = data.encoder.encode(tuple(texts))
        wanted = torch.tensor([own for _, _, own in pairs])
        return PairBatch(seen, tokenize(data.encoder, texts), sentences, wanted)


@torch.no_grad()
def remember(blip: Blip, pairs: PairData) -> None:
    """Fill the memory of ITM with the centres of pictures and sentences (spherical k-means)."""
    pair = blip.pair
    for memory, vectors in (
        (pair.pictures, functional.normalize(pairs.pictures.mean(1), dim=-1)),
        (pair.sentences, pairs.sentences),
    ):
        memory.copy_(_centres(vectors, len(memory)))


def _centres(vectors: Tensor, count: int) -> Tensor:
    """float[count, M], unit length; fewer vectors than that stand more than once."""
    order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(0)).to(vectors.device)
    centres = vectors[order[torch.arange(count, device=order.device) % len(order)]].clone()
    for _ in range(_ROUNDS):
        nearest = (vectors @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
        found = sums.norm(dim=1, keepdim=True) > 0
        centres = functional.normalize(torch.where(found, sums, centres), dim=-1)
    return centres


class PairTrainer(Loop[PairBatch]):
    """The loop over hard pairs; only ITM learns."""

    parts = ("itm", "right")
    config: PairConfig

    def __init__(self, blip: Blip, pairs: PairData, config: PairConfig, folder: Path, device: torch.device) -> None:
        self.blip, self.pairs = blip, pairs
        blip.requires_grad_(False)
        learning = dict(blip.pair.requires_grad_(True).named_parameters())
        few = [learning.pop(name) for name in ("log_gain", "shares", "bias")]
        rate = config.learning_rate
        groups = [{"params": list(learning.values()), "lr": rate}, {"params": few, "lr": _FEW * rate}]
        super().__init__({"system": "match"}, config, groups, folder, device)

    def learned(self) -> dict[str, Tensor]:
        return self.blip.state_dict()

    def prepare(self) -> None:
        self.blip.eval()

    def describe(self, batch: PairBatch) -> str:
        return "pairs"

    def draw(self, seed: tuple[int, ...], step: int) -> list[PairBatch]:
        return [self.pairs.draw(self.config.batch_size, seed)]

    def loss(self, batch: PairBatch) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy, pairs that belong together weighing as much as all that do not."""
        with torch.no_grad():
            look = self.blip.look(batch.seen)
            sentences = self.blip.text_vectors(batch.sentences)
        hidden = torch.rand(look.visible.shape, device=look.keys.device) < self.config.key_dropout
        look = type(look)(look.seen, look.keys, look.visible & ~hidden, look.vectors)
        found = self.blip.fit_logits(look, batch.text, sentences)
        losses = functional.cross_entropy(found, batch.wanted, reduction="none")
        own = batch.wanted == 1
        loss = (losses[own].mean() + losses[~own].mean()) / 2
        right = (found.argmax(1) == batch.wanted).float()
        return loss, {"itm": float(loss.detach()), "right": float((right[own].mean() + right[~own].mean()) / 2)}
