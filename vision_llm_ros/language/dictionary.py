"""Which words are English at all, by the frequency dictionary of pyspellchecker."""

from __future__ import annotations

from functools import lru_cache

from spellchecker import SpellChecker

# English words that never name a thing
_SMALL = frozenset(
    """the and but for nor yet not than then else too very also just only even still again once twice here there where
    when why how what which who whom whose this that these those each every either neither both all any some none few
    many much more most less least other another such same own one ones two three four five six seven eight nine ten
    his her hers him she they them their theirs its our ours your yours you mine myself itself themselves everything
    anything something nothing everyone anyone someone nobody whoever whatever whichever with without within into onto
    from upon about above across after against along among around before behind below beneath beside besides between
    beyond down during except inside near off out outside over past since through throughout till toward towards under
    until via are was were been being have has had having does did doing done can could may might must shall should
    will would ought please okay yes never always often sometimes usually maybe perhaps today now soon later early
    away back together instead really quite rather almost already get got let make made give gave take took put keep
    kept say said tell told know knew see saw seen look looks looking find found want wanted need needed""".split()
)


def may_name_a_thing(word: str) -> bool:
    """Whether it is an English word, and none that serves grammar alone."""
    return len(word) > 2 and word.lower() not in _SMALL and is_word(word)


def is_word(word: str) -> bool:
    """Whether a word, in any case, stands in the dictionary, which is read when first asked."""
    return word.lower() in _words()


@lru_cache(maxsize=1)
def _words() -> frozenset[str]:
    return frozenset(SpellChecker(language="en").word_frequency.words())
