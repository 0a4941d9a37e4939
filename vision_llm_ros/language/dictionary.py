"""Which words are English at all, by the frequency dictionary of pyspellchecker."""

from __future__ import annotations

from functools import lru_cache

from spellchecker import SpellChecker


def is_word(word: str) -> bool:
    """Whether a word, in any case, stands in the dictionary, which is read when first asked."""
    return word.lower() in _words()


@lru_cache(maxsize=1)
def _words() -> frozenset[str]:
    return frozenset(SpellChecker(language="en").word_frequency.words())
