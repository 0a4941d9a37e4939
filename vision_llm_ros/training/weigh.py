"""How much each of what ITM knows counts, found on pictures that were not learnt from.

On pictures that were learnt from, ITC's cosine is too good to show how much the rest is worth.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.errors import InputError
from vision_llm_ros.model.blip import Blip, Look, similarity
from vision_llm_ros.model.qformer import tokenize
from vision_llm_ros.training.align_data import AlignData
from vision_llm_ros.training.calibrate import logistic

_HARD = 20
_PAIRS_A_CALL = 64


@torch.no_grad()
def weigh(blip: Blip, data: AlignData, seed: int = 0) -> None:
    """Set the gain, the shares of what is typical, the queries' share and the offset by logistic regression.

    Raises:
        InputError: fewer than two pictures are held out.
    """
    if len(data.held_out_ids) < 2:
        raise InputError(f"Weighing needs pictures that are not learnt from, got {len(data.held_out_ids)}")
    blip.eval()
    look = blip.look(data.features.seen([data.features.rows[i] for i in data.held_out_ids]))
    told = [(place, text) for place, i in enumerate(data.held_out_ids) for text in data.captions[i]]
    texts = [text for _, text in told]
    sentences = blip.text_vectors(data.vectors(texts))
    rows = _pairs(similarity(look.vectors, sentences), torch.tensor([place for place, _ in told]), seed)
    parts = torch.cat([_parts(blip, look, sentences, texts, rows[part]) for part in _chunks(len(rows))])
    gains, bias = logistic(parts * parts.new_tensor([1, -1, -1, 1]), rows[:, 2].float())
    pair, cosine = blip.pair, max(gains[0], 1e-3)
    pair.log_gain.fill_(math.log(cosine))
    pair.shares.copy_(torch.tensor([gains[1] / cosine, gains[2] / cosine]))
    pair.bias.fill_(bias)
    pair.fits.weight.mul_(gains[3])
    pair.fits.bias.mul_(gains[3])


def _pairs(table: Tensor, owner: Tensor, seed: int) -> Tensor:
    """int[N, 3]: picture, sentence, 1 for its own; of each sentence its picture, a likely other one and any other."""
    rng = np.random.default_rng(seed)
    count, found = len(table), []
    for column, own in enumerate(owner.tolist()):
        likely = table[:, column].index_fill(0, owner[column], -torch.inf).topk(min(_HARD, count - 1)).indices
        hard = int(likely[int(rng.integers(len(likely)))])
        other = (own + int(rng.integers(1, count))) % count
        found += [(own, column, 1), (hard, column, 0), (other, column, 0)]
    return torch.tensor(found)


def _parts(blip: Blip, look: Look, sentences: Tensor, texts: list[str], rows: Tensor) -> Tensor:
    """float[N, 4]: cosine, what is typical of the sentence and of the picture, and the queries' own difference."""
    some, told = look[rows[:, 0]], sentences[rows[:, 1]]
    words = tokenize(blip.qformer.encoder, [texts[column] for column in rows[:, 1].tolist()])
    logits = blip.fit_logits(some, words, told)
    own = logits[:, 1] - logits[:, 0] - blip.pair.start(some.vectors, told)
    return torch.stack([*blip.pair.known(some.vectors, told), own], 1)


def _chunks(count: int) -> list[slice]:
    return [slice(start, start + _PAIRS_A_CALL) for start in range(0, count, _PAIRS_A_CALL)]
