"""Caption scores: corpus BLEU-4 (Papineni 2002) and CIDEr-D (Vedantam 2015), as coco-caption defines them.

Words are lower-case, without punctuation, with clitics split off ("the man's" -> the man 's), close to the Penn
Treebank tokens that coco-caption uses. CIDEr-D lies in 0..10; papers print it times 100.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from vision_llm_ros.errors import InputError

ORDERS = (1, 2, 3, 4)
LENGTH_SIGMA = 6.0
WORD = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b|\w+?(?=n't\b)|\w+(?:[-./]\w+)*")
NGrams = Counter[tuple[str, ...]]


def words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def count_ngrams(tokens: Sequence[str]) -> tuple[NGrams, ...]:
    """Counts of runs of 1, 2, 3 and 4 words."""
    return tuple(Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)) for n in ORDERS)


def bleu4(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU-4 without smoothing, brevity by the closest reference, 0..1.

    Raises:
        InputError: as many reference lists as candidates are needed, none of them empty.
    """
    _check(candidates, references)
    matched, total = np.zeros(4), np.zeros(4)
    length = wanted_length = 0
    for candidate, wanted in zip(candidates, references, strict=True):
        tokens, others = words(candidate), [words(text) for text in wanted]
        length += len(tokens)
        wanted_length += min((abs(len(other) - len(tokens)), len(other)) for other in others)[1]
        for place, grams in enumerate(count_ngrams(tokens)):
            most: NGrams = Counter()
            for other in others:
                most |= count_ngrams(other)[place]
            matched[place] += sum((grams & most).values())
            total[place] += sum(grams.values())
    if not matched.all():
        return 0.0
    brevity = min(1.0, math.exp(1 - wanted_length / length))
    return brevity * float(np.exp(np.mean(np.log(matched / total))))


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr-D with document frequencies taken from the references themselves, mean over pictures, 0..10.

    Raises:
        InputError: as `bleu4`.
    """
    _check(candidates, references)
    ours = [count_ngrams(words(text)) for text in candidates]
    theirs = [[count_ngrams(words(text)) for text in wanted] for wanted in references]
    frequency: Counter[tuple[str, ...]] = Counter()
    for wanted in theirs:
        frequency.update({gram for sets in wanted for grams in sets for gram in grams})
    pictures = math.log(len(references))
    scores = [
        float(np.mean([_closeness(own, other, frequency, pictures) for other in wanted]))
        for own, wanted in zip(ours, theirs, strict=True)
    ]
    return 10.0 * float(np.mean(scores))


def _closeness(
    own: tuple[NGrams, ...], other: tuple[NGrams, ...], frequency: Counter[tuple[str, ...]], pictures: float
) -> float:
    """Mean over n of the clipped TF-IDF cosine, times a Gaussian of the difference in length."""

    def weight(gram: tuple[str, ...]) -> float:
        return pictures - math.log(max(1, frequency[gram]))

    difference = _length(own) - _length(other)
    total = 0.0
    for mine, wanted in zip(own, other, strict=True):
        dot = sum(min(count, wanted[gram]) * wanted[gram] * weight(gram) ** 2 for gram, count in mine.items())
        norms = math.prod(
            math.sqrt(sum((count * weight(gram)) ** 2 for gram, count in grams.items())) for grams in (mine, wanted)
        )
        total += dot / norms if norms else 0.0
    return total / len(ORDERS) * math.exp(-(difference**2) / (2 * LENGTH_SIGMA**2))


def _length(grams: tuple[NGrams, ...]) -> int:
    """Length in bigrams, as coco-caption measures it."""
    return sum(grams[1].values())


def _check(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not candidates or len(candidates) != len(references):
        raise InputError(f"Expected references for each candidate, got {len(candidates)} and {len(references)}")
    for place, wanted in enumerate(references):
        if not wanted:
            raise InputError(f"Candidate {place} ({candidates[place]!r}) has no reference")
