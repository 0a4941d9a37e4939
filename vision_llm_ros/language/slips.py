"""Slips of the finger: a word that nobody knows is read as the known one that it is one letter, or one swap, from."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from rapidfuzz import process
from rapidfuzz.distance import OSA

from vision_llm_ros.language.dictionary import is_word
from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.language.paraphrases import AROUND, LEARNT
from vision_llm_ros.language.verbs import VERBS
from vision_llm_ros.language.words import COCO_CLASSES, COMMON_NOUNS

_LONG = 4  # shorter words are near too many others
_WORD = re.compile(rf"(?<![\w'-])[A-Za-z]{{{_LONG},}}(?![\w'-])")


class Speller:
    """Mends slips outside quotations: no English word, and one slip from a word of phrasings, verbs or things."""

    def __init__(self) -> None:
        self._known = _heard()
        is_word("")  # reads the dictionary now

    def mended(self, text: str) -> str:
        """The text with every unknown word that is one slip from a known one put right."""
        parts = text.split('"')
        parts[::2] = [_WORD.sub(self._mended, part) for part in parts[::2]]
        return '"'.join(parts)

    def _mended(self, found: re.Match[str]) -> str:
        word = found[0].lower()
        if word in self._known or is_word(word):
            return found[0]
        near = process.extract(word, self._known.keys(), scorer=OSA.distance, score_cutoff=1, limit=None)
        close = [known for known, _, _ in near if known[0] == word[0] and len(known) >= _LONG]
        if not close:
            return found[0]
        best = max(close, key=self._known.__getitem__)
        return best.capitalize() if found[0][0].isupper() else best


@lru_cache(maxsize=1)
def _heard() -> Counter[str]:
    """Words of phrasings, verbs and things, with how often they are said."""
    forms = [form for kinds in LEARNT.values() for some in kinds.values() for form in some]
    forms += [words for kinds in AROUND.values() for words in kinds["learnt"]]
    words = Counter(word for form in forms for word in re.findall(r"(?<!\{)\b[a-z]+", form.lower()))
    words.update(word for name in (*COCO_CLASSES, *COMMON_NOUNS) for word in f"{name} {plural(name)}".lower().split())
    words.update(VERBS)
    return words
