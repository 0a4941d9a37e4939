"""The same tuples one token at a time: what the parallel decoding is compared with in the benchmark and the ablation.

The sequence-to-sequence form of Pix2Seq with this network's parts: after the instruction and the image tokens the
sets follow one another. A set begins with the `<cls>` query on its image token; then the row of each token chosen is
fed back, and everything decoded before is seen. So the first answer of the first set equals the parallel one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vision_llm_ros.model.detector import VisionLLM, Words, select_tokens
from vision_llm_ros.model.set_decoder import ADAPTER, SetLogits
from vision_llm_ros.model.tokenizer import ImageTokens


@torch.no_grad()
def decode_one_by_one(model: VisionLLM, words: Words, tokens: ImageTokens) -> SetLogits:
    """Decode one tuple per image token, greedily, with a cache of keys and values.

    Args:
        words: the instruction that `tokens` were made for.
        tokens: M image tokens of each of B pictures.
    Returns:
        What each token was chosen from, as `SetDecoder.forward` returns it.
    """
    with model.llm.using(ADAPTER):
        return _Writer(model, words, tokens).write()


class OneByOneVisionLLM(VisionLLM):
    """The same network; it learns in parallel and answers token by token."""

    def decode(self, words: Words, tokens: ImageTokens, valid: Tensor | None = None) -> SetLogits:
        return super().decode(words, tokens, valid) if self.training else decode_one_by_one(self, words, tokens)


class _Writer:
    """One sequence under way, for a batch in lockstep."""

    def __init__(self, model: VisionLLM, words: Words, tokens: ImageTokens) -> None:
        self.llm, self.decoder, self.prefix, self.tokens = model.llm, model.decoder, words.prefix, tokens
        self.images = self.decoder.image_embeddings(tokens)
        self.cache = self.llm.cache(words.prefix.past, len(self.images))
        self.length = words.prefix.length

    def write(self) -> SetLogits:
        self._advance(self.images)
        sets = [self._write_set(index) for index in range(self.images.shape[1])]
        return SetLogits(torch.cat([classes for classes, _ in sets], 1), torch.cat([places for _, places in sets], 1))

    def _write_set(self, index: int) -> tuple[Tensor, Tensor]:
        """Logits of one tuple, float[B, 1, K + 1] and float[B, 1, 2 * num_points, bins]."""
        decoder, prefix = self.decoder, self.prefix
        one = select_tokens(self.tokens, torch.full((len(self.images), 1), index, device=self.images.device))
        query = decoder.rows[decoder.vocabulary.format_query(prefix.num_points)[0]]
        classes = decoder.class_logits(self._step(self.images[:, index] + query), prefix, one)
        listed = torch.cat([decoder.rows[prefix.class_rows], decoder.background.unsqueeze(0)])
        embed = listed[classes[:, 0].argmax(-1)]
        prior, rows = decoder.location_prior(one, prefix.num_points), decoder.rows[decoder.vocabulary.locations]
        places = []
        for place in range(2 * prefix.num_points):
            hidden = self._step(embed).unsqueeze(2)
            places.append(decoder.location_logits(hidden, prior[:, :, place : place + 1]))
            embed = rows[places[-1][:, 0, 0].argmax(-1)]
        return classes, torch.cat(places, 2)

    def _step(self, embed: Tensor) -> Tensor:
        """Feed one token float[B, D]; its normalised hidden state float[B, 1, D]."""
        return self.decoder.head_norm(self._advance(embed.unsqueeze(1)))  # type: ignore[no-any-return]

    def _advance(self, embeds: Tensor) -> Tensor:
        """Feed float[B, T, D] behind everything so far, causally."""
        batch, count = embeds.shape[:2]
        device = embeds.device
        positions = self.length + torch.arange(count, device=device).expand(batch, -1)
        attend = torch.ones(count, self.length + count, dtype=torch.bool, device=device).tril(self.length)
        self.length += count
        return self.llm.advance(embeds, positions, attend.expand(batch, -1, -1), self.cache)
