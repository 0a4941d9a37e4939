"""The Q-Former (BLIP-2, section 3.1): learned queries look at a picture and, as the mask allows, at words.

Queries and text run side by side through the last layers of the frozen text encoder. Its self-attention serves both;
queries have a cross-attention to the picture in every second layer and feed-forward blocks of their own. Which of
the two sees which makes the three tasks of stage 1 (Q queries, text t0 t1; rows look at columns):

    UNIMODAL (ITC)      BIDIRECTIONAL (ITM)   CAUSAL (ITG)
        Q  t0 t1             Q  t0 t1              Q  t0 t1
    Q   1  0  0          Q   1  1  1           Q   1  0  0
    t0  0  1  1          t0  1  1  1           t0  1  1  0
    t1  0  1  1          t1  1  1  1           t1  1  1  1

We depart from the paper to stay small: the text encoder stays as it is, queries change the shared projections by a
low-rank term of their own, and their feed-forward blocks are narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import QFormerConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.model.evidence import phrases
from vision_llm_ros.model.text import TextEncoder

MAX_TEXT = 32


class Mode(StrEnum):
    """Who sees whom; the table is above."""

    UNIMODAL = "unimodal"
    BIDIRECTIONAL = "bidirectional"
    CAUSAL = "causal"


@dataclass(frozen=True)
class Tokens:
    """A batch of sentences.

    Attributes:
        ids: int[B, L] of the text encoder.
        real: bool[B, L], False for padding.
        vectors: float[B, L, D], the text embedding of what each token's word names; zero where there is no word.
    """

    ids: Tensor
    real: Tensor
    vectors: Tensor

    def __getitem__(self, rows: Tensor) -> Tokens:
        return Tokens(self.ids[rows], self.real[rows], self.vectors[rows])


def tokenize(encoder: TextEncoder, sentences: list[str], max_length: int = MAX_TEXT) -> Tokens:
    """[CLS] pieces [SEP]; what is longer than `max_length` tokens is cut."""
    found = encoder.tokenizer(sentences, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
    device = next(encoder.bert.parameters()).device
    vectors = _word_vectors(encoder, sentences, found).to(device)
    return Tokens(found["input_ids"].to(device), found["attention_mask"].bool().to(device), vectors)


def _word_vectors(encoder: TextEncoder, sentences: list[str], found: Any) -> Tensor:
    """See `Tokens.vectors`; words are embedded once and remembered by the text encoder."""
    places = [found.word_ids(row) for row in range(len(sentences))]
    named = []
    for row, sentence in enumerate(sentences):
        spans = [found.word_to_chars(row, word) for word in sorted({word for word in places[row] if word is not None})]
        named.append(phrases([sentence[span.start : span.end].lower() for span in spans]))
    known = sorted({phrase for some in named for phrase in some})
    table = encoder(tuple(known)) if known else torch.zeros(0, encoder.width)
    row_of = {phrase: row for row, phrase in enumerate(known)}
    index = [
        [len(known) if word is None else row_of[some[word]] for word in words]
        for words, some in zip(places, named, strict=True)
    ]
    return torch.cat([table, table.new_zeros(1, table.shape[1])])[torch.tensor(index)]


def attention_mask(mode: Mode, num_queries: int, real: Tensor) -> Tensor:
    """bool[B, Q + L, Q + L], True where a row may look at a column; padding is never looked at.

    Args:
        real: bool[B, L], False for padding.
    """
    batch, length = real.shape
    total = num_queries + length
    mask = torch.zeros(total, total, dtype=torch.bool, device=real.device)
    mask[:num_queries, :num_queries] = True
    mask[num_queries:, num_queries:] = True
    if mode is Mode.BIDIRECTIONAL:
        mask[:] = True
    elif mode is Mode.CAUSAL:
        mask[num_queries:, :num_queries] = True
        mask[num_queries:, num_queries:] = torch.ones(length, length, dtype=torch.bool, device=real.device).tril()
    columns = torch.cat([real.new_ones(batch, num_queries), real], 1)
    return mask & columns.unsqueeze(1)


class QueryDelta(nn.Module):
    """The queries' own low-rank change of the shared query, key and value projections; nothing at first."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, 3 * rank, bias=False)
        self.up = nn.ModuleList(nn.Linear(rank, width, bias=False) for _ in range(3))
        for layer in self.up:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]

    def forward(self, queries: Tensor) -> list[Tensor]:
        parts = self.down(queries).chunk(3, -1)
        return [up(part) for up, part in zip(self.up, parts, strict=True)]


class QueryLayer(nn.Module):
    """What queries have of their own in one layer; the rest is the text encoder's layer."""

    def __init__(self, config: QFormerConfig, bert: Any, looks: bool) -> None:
        super().__init__()
        from transformers import Blip2QFormerConfig
        from transformers.models.blip_2 import modeling_blip_2 as blip2

        parts = Blip2QFormerConfig(
            hidden_size=bert.hidden_size,
            num_attention_heads=bert.num_attention_heads,
            intermediate_size=config.feedforward,
            encoder_hidden_size=config.image_width,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            layer_norm_eps=bert.layer_norm_eps,
            attn_implementation="sdpa",
        )
        self.delta = QueryDelta(bert.hidden_size, config.delta_rank)
        self.cross = blip2.Blip2QFormerAttention(parts, is_cross_attention=True) if looks else None
        self.widen = blip2.Blip2QFormerIntermediate(parts)
        self.narrow = blip2.Blip2QFormerOutput(parts)
        for module in self.modules():
            if isinstance(module, nn.Linear) and module not in self.delta.up:
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, queries: Tensor, keys: Tensor, visible: Tensor) -> Tensor:
        """After the self-attention: look at the picture, then think. Shapes as in `QFormer.forward`."""
        if self.cross is not None:
            seen = visible[:, None, None].expand(-1, 1, queries.shape[1], -1)
            queries = self.cross(queries, encoder_hidden_states=keys, encoder_attention_mask=seen)
        return self.narrow(self.widen(queries), queries)  # type: ignore[no-any-return]


class QFormer(nn.Module):
    """Queries around a shared, frozen text encoder, which is no part of this module's parameters."""

    def __init__(self, config: QFormerConfig, encoder: TextEncoder) -> None:
        """Build the queries' own part.

        Raises:
            ConfigError: the text encoder has fewer layers than the queries are to run through.
        """
        super().__init__()
        bert = encoder.bert
        total = bert.config.num_hidden_layers
        if config.num_layers > total:
            raise ConfigError(f"QFormerConfig.num_layers: the text encoder has {total} layers, not {config.num_layers}")
        self._shared = (encoder,)  # in a tuple, so that it is neither saved nor trained with the queries
        self.config, self.width, self._first = config, int(bert.config.hidden_size), total - config.num_layers
        self.queries = nn.Parameter(torch.randn(config.num_queries, self.width) * 0.02)
        self.norm = nn.LayerNorm(self.width, eps=bert.config.layer_norm_eps)
        self.layers = nn.ModuleList(
            QueryLayer(config, bert.config, looks=place % config.cross_every == 0) for place in range(config.num_layers)
        )

    @property
    def encoder(self) -> TextEncoder:
        return self._shared[0]

    def forward(
        self,
        keys: Tensor,
        visible: Tensor,
        text: Tokens | None = None,
        mode: Mode = Mode.BIDIRECTIONAL,
        start: Tensor | None = None,
        queries: Tensor | None = None,
        told: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Run queries and text together.

        Args:
            keys: float[B, N, C], what the picture offers; visible: bool[B, N], what of it may be looked at.
            start: float[D] added to the first token's embedding: it marks text that is to be written ([DEC]).
            queries: float[Q, D] in place of its own.
            told: float[B, L, D] added to the text's states where the queries join: what the picture shows of a word.
        Returns:
            the queries' last states float[B, Q, D], the text's float[B, L, D].
        """
        queries = self.norm(self.queries if queries is None else queries).expand(len(keys), -1, -1)
        count = queries.shape[1]
        words = self._early_text(text, mode, start) if text is not None else None
        words = words + told if words is not None and told is not None else words
        real = text.real if text is not None else visible.new_zeros(len(keys), 0)
        attend = attention_mask(mode, count, real)
        shared_layers = self.encoder.bert.encoder.layer[self._first :]
        for own, shared in zip(self.layers, shared_layers, strict=True):
            assert isinstance(own, QueryLayer)
            hidden = queries if words is None else torch.cat([queries, words], 1)
            hidden = self._attend(shared.attention, hidden, attend, own.delta(queries))
            queries = own(hidden[:, :count], keys, visible)
            if words is not None:
                words = _text_feed_forward(shared, hidden[:, count:])
        return queries, words

    def _early_text(self, text: Tokens, mode: Mode, start: Tensor | None) -> Tensor:
        """The text alone, through the layers before the queries join."""
        bert = self.encoder.bert
        hidden = bert.embeddings(input_ids=text.ids)
        if start is not None:
            hidden = torch.cat([hidden[:, :1] + start, hidden[:, 1:]], 1)
        attend = attention_mask(mode, 0, text.real)
        for layer in bert.encoder.layer[: self._first]:
            hidden = _text_feed_forward(layer, self._attend(layer.attention, hidden, attend, None))
        return hidden  # type: ignore[no-any-return]

    def _attend(self, shared: Any, hidden: Tensor, attend: Tensor, delta: list[Tensor] | None) -> Tensor:
        """The text encoder's self-attention under a mask, with the queries' change in the first rows."""
        heads = self.encoder.bert.config.num_attention_heads
        projected = [getattr(shared.self, name)(hidden) for name in ("query", "key", "value")]
        if delta is not None:
            rest = hidden.shape[1] - delta[0].shape[1]
            projected = [
                whole + functional.pad(change, (0, 0, 0, rest)) for whole, change in zip(projected, delta, strict=True)
            ]
        query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in projected)
        found = functional.scaled_dot_product_attention(query, key, value, attend.unsqueeze(1))
        return shared.output(found.transpose(1, 2).flatten(2), hidden)  # type: ignore[no-any-return]


def _text_feed_forward(layer: Any, hidden: Tensor) -> Tensor:
    return layer.output(layer.intermediate(hidden), hidden)  # type: ignore[no-any-return]
