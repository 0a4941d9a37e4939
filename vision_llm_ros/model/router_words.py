"""Words of a sentence as two models see them: tokens of either, averaged over the words that they make up."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

Span = tuple[int, int]  # [start, end) characters

_QUOTES = "\"'\u2018\u201c"
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*|[^\s\w]|_")


def words_of(text: str) -> list[Span]:
    """Where words and single signs stand."""
    return [found.span() for found in _WORD.finditer(text)]


def tokens_of(tokenizer: Any, text: str) -> tuple[list[int], list[Span]]:
    """Tokens and where each stands in the text."""
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return list(read["input_ids"]), list(read["offset_mapping"])


def spread(words: list[Span], tokens: list[Span]) -> Tensor:
    """What averages tokens over words, float[words, tokens]; a word without tokens gets nothing."""
    if not words or not tokens:
        return torch.zeros(len(words), len(tokens))
    of_words, of_tokens = torch.tensor(words)[:, None], torch.tensor(tokens)[None]
    shared = torch.minimum(of_words[..., 1], of_tokens[..., 1]) > torch.maximum(of_words[..., 0], of_tokens[..., 0])
    return shared / shared.sum(1, keepdim=True).clamp(min=1)


def starts_task(text: str, words: list[Span]) -> Tensor:
    """Which words a task may begin with, bool[words]: no signs but a quotation mark, nothing within a quotation."""
    allowed = [
        text.count('"', 0, start) % 2 == 0 and (text[start].isalnum() or text[start] in _QUOTES) for start, _ in words
    ]
    return torch.tensor(allowed, dtype=torch.bool)


def filled(rows: list[Tensor]) -> Tensor:
    """Tensors of 2 dimensions of differing size as one of 3, zeros behind."""
    height, width = (max(row.shape[side] for row in rows) for side in (0, 1))
    whole = rows[0].new_zeros(len(rows), height, width)
    for place, row in enumerate(rows):
        whole[place, : row.shape[0], : row.shape[1]] = row
    return whole
