"""ITM: does this sentence fit this picture? Both are read together (BLIP-2, section 3.2; hard negatives: ALBEF).

The published head learns it from millions of pairs. Ours starts from what ITC knows, told against remembered pictures
and sentences, and the queries add to it:

    logit = gain * (cosine - a * typical of the sentence - b * typical of the picture) + bias + mean over the queries

A sentence such as "a man standing" is close to every picture: what is typical of it says how little a cosine means.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vision_llm_ros.config import QFormerConfig
from vision_llm_ros.model.evidence import Annotator
from vision_llm_ros.model.text import TextEncoder

_SHARPNESS = 20.0  # of the soft maximum over what is remembered
_FIRST_GAIN, _FIRST_SHARE = 20.0, 0.6


class PairHead(nn.Module):
    """Queries of its own, what is remembered of other pictures and sentences, and the verdict.

    Attributes:
        pictures, sentences: float[K, M], unit vectors in the space of ITC that stand for many; zero at first.
    """

    pictures: Tensor
    sentences: Tensor

    def __init__(self, config: QFormerConfig, encoder: TextEncoder) -> None:
        """At first the queries add nothing."""
        super().__init__()
        self.queries = nn.Parameter(blank_queries(encoder, config.fit_queries))
        self.told = Annotator(self.queries.shape[1])
        self.fits = nn.Linear(self.queries.shape[1], 2)
        nn.init.zeros_(self.fits.weight)
        nn.init.zeros_(self.fits.bias)
        self.log_gain = nn.Parameter(torch.tensor(math.log(_FIRST_GAIN)))
        self.shares = nn.Parameter(torch.full((2,), _FIRST_SHARE))
        self.bias = nn.Parameter(torch.zeros(()))
        for name in ("pictures", "sentences"):
            self.register_buffer(name, torch.zeros(config.fit_memory, config.match_width))

    def known(self, image_vectors: Tensor, sentences: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cosine, what is typical of the sentence, and of the picture: float[B] of float[B, Q, M] and float[B, M]."""
        cosine = (image_vectors @ sentences.unsqueeze(-1)).amax((1, 2))
        of_picture = (image_vectors @ self.sentences.T).amax(1)
        return cosine, soft_maximum(sentences @ self.pictures.T), soft_maximum(of_picture)

    def start(self, image_vectors: Tensor, sentences: Tensor) -> Tensor:
        """What ITC and the memory say of pairs: float[B], arguments as of `known`."""
        cosine, of_sentence, of_picture = self.known(image_vectors, sentences)
        typical = self.shares[0] * of_sentence + self.shares[1] * of_picture
        return self.log_gain.exp() * (cosine - typical) + self.bias

    def forward(self, queries: Tensor, start: Tensor) -> Tensor:
        """float[B, 2], [does not fit, fits], of the queries' states float[B, Q, D] and `start`."""
        half = start.unsqueeze(1) / 2
        return self.fits(queries).mean(1) + torch.cat([-half, half], 1)  # type: ignore[no-any-return]


def soft_maximum(cosines: Tensor) -> Tensor:
    """float[B] of float[B, K], near the highest."""
    return (_SHARPNESS * cosines).logsumexp(-1) / _SHARPNESS


@torch.no_grad()
def blank_queries(encoder: TextEncoder, count: int) -> Tensor:
    """Queries float[count, D] that begin as masked words at different places.

    The frozen self-attention reads a text for these, as it learnt to fill them in; for random vectors it hardly does.
    """
    embeddings = encoder.bert.embeddings
    mask = encoder.tokenizer.mask_token_id or 0
    places = torch.arange(1, count + 1, device=embeddings.word_embeddings.weight.device)
    places = places.clamp(max=embeddings.position_embeddings.num_embeddings - 1)
    queries: Tensor = embeddings.word_embeddings.weight[mask] + embeddings.position_embeddings.weight[places]
    return queries.float().clone()
