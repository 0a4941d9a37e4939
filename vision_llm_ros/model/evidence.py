"""What a picture shows of the words of a text: per word its presence, number and side by the frozen detector's logits.

The published Q-Former learns from millions of pairs which words go with which regions. Ours reads it from a detector
that knows its concepts already: every word carries what the picture shows of it into the Q-Former.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from vision_llm_ros.language.lexicon import singular
from vision_llm_ros.language.words import COCO_CLASSES, SYNONYMS
from vision_llm_ros.model.proposals import PhraseScorer
from vision_llm_ros.model.qformer_image import Seen

_NAMES = frozenset(COCO_CLASSES)
_LONGEST = 2  # words of a name
_STRANGE, _KNOWN = 0.45, 0.75  # share of the nearest concept in a word that is none, and that is surely one
_EVEN, _STEEP = -3.5, 0.5  # the logit at which a thing is as likely there as not, and how fast that changes
_COUNTED, _COUNTED_STEEP = -0.85, 4.0
_NUMBERS = 7
_NOWHERE = -12.0
NUM_VALUES = _NUMBERS + 3


@lru_cache(maxsize=8192)
def _class_of(word: str) -> str:
    """The known class that a word or two name; "" where there is none."""
    one = singular(word)
    name = SYNONYMS.get(word) or SYNONYMS.get(one, one)
    return name if name in _NAMES else ""


def phrases(words: list[str]) -> list[str]:
    """For every word what it names: the class, for both words of a class of two, or the word itself."""
    found = [_class_of(word) or word for word in words]
    for place in range(len(words) - _LONGEST + 1):
        if name := _class_of(" ".join(words[place : place + _LONGEST])):
            found[place : place + _LONGEST] = [name] * _LONGEST
    return found


def evidence(scorer: PhraseScorer, seen: Seen, visible: Tensor, vectors: Tensor) -> Tensor:
    """Values for every word, all zero where it names nothing that the detector knows.

    Args:
        visible: bool[B, N] of the cells, then the proposals, that count.
        vectors: float[B, L, D], text embeddings of what each token's word names; zero for none.
    Returns:
        float[B, L, NUM_VALUES]: known 0..1, presence -1..1, a bump over the numbers 0..6, side -1 (left) .. 1.
    """
    mixtures = scorer.mixtures(vectors)
    known = ((mixtures.amax(-1) - _STRANGE) / (_KNOWN - _STRANGE)).clamp(0, 1).unsqueeze(-1)
    logits = (seen.semantics + scorer.absent) @ mixtures.transpose(1, 2) - scorer.absent
    there = visible[:, -seen.semantics.shape[1] :].unsqueeze(-1)
    logits = logits.masked_fill(~there, _NOWHERE)
    best, place = logits.max(1)
    presence = (_STEEP * (best - _EVEN)).tanh().unsqueeze(-1)
    number = (_COUNTED_STEEP * (logits - _COUNTED)).sigmoid().sum(1).unsqueeze(-1)
    bump = (-(number.clamp(max=_NUMBERS - 1) - torch.arange(_NUMBERS, device=number.device)).square()).exp()
    middle = seen.boxes_cxcywh[..., 0].gather(1, place).unsqueeze(-1)
    side = (2 * middle - 1) * presence.clamp(min=0)
    return torch.cat([torch.ones_like(presence), presence, bump, side], -1) * known


class Annotator(nn.Module):
    """Evidence as a change of a word's state in the Q-Former."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.values = nn.Linear(NUM_VALUES, width, bias=False)
        nn.init.normal_(self.values.weight, std=0.3)

    def forward(self, values: Tensor) -> Tensor:
        """float[B, L, D] of float[B, L, NUM_VALUES]."""
        return self.values(values)  # type: ignore[no-any-return]
