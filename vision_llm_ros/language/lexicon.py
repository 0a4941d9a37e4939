"""What the words of a command can name: classes, synonyms, plurals, and what to do with a word nobody listed.

A free phrase is a legal class label ("red cup"): only its head noun has to be something that can be seen.
Similarity of meaning comes from a `TextSimilarity` where one is at hand; without it spelling alone decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import TextSimilarity
from vision_llm_ros.language.dictionary import may_name_a_thing
from vision_llm_ros.language.meanings import Meanings
from vision_llm_ros.language.words import (
    ADJECTIVES,
    COCO_CLASSES,
    IRREGULAR_PLURALS,
    NOT_OBJECTS,
    OTHER_NOUNS,
    SYNONYMS,
    UNCHANGED,
    VAGUE,
)

KNOWN_NOUNS: frozenset[str] = frozenset((*COCO_CLASSES, *OTHER_NOUNS, *SYNONYMS))
_LONGEST_NOUN_WORDS = max(len(noun.split()) for noun in KNOWN_NOUNS)

_ALWAYS_PLURAL = frozenset(
    """scissors skis trousers pants jeans shorts glasses sunglasses goggles pliers tweezers headphones earphones earbuds
    stairs binoculars fireworks clothes tights""".split()
)

# For all-MiniLM-L6-v2. Of 94 unlisted things 88 % lie above THING, of abstract, foreign and made-up words some 6 %.
SAME_MEANING = 0.80
THING = 0.36
SPELLED_ALIKE = 0.74
_HISSING = ("s", "x", "z", "ch", "sh")
_MOST_JUDGED = 10_000


@dataclass(frozen=True)
class Noun:
    """A head noun as understood.

    Attributes:
        label: canonical singular: the COCO name of a synonym, else the word itself.
        said: singular of the operator's own word.
        plural: the word stood in the plural.
        words: how many words of the phrase the noun covers.
    """

    label: str
    said: str
    plural: bool
    words: int


def _candidates(word: str) -> Iterable[str]:
    if word.endswith("ies"):
        yield word[:-3] + "y"
    if word.endswith("ves"):
        yield from (word[:-3] + "f", word[:-3] + "fe")
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        yield word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        yield word[:-1]


@lru_cache(maxsize=4096)
def singular(noun: str) -> str:
    """Put the last word of a noun into the singular: "wine glasses" -> "wine glass", "mice" -> "mouse"."""
    if noun in KNOWN_NOUNS and noun not in IRREGULAR_PLURALS:
        return noun
    before, _, word = noun.rpartition(" ")
    known = [before + " " + form if before else form for form in _forms(word)]
    best = next((form for form in known if form in KNOWN_NOUNS), known[0])
    return best.strip()


def _forms(word: str) -> list[str]:
    """Possible singulars of one word, the likeliest first."""
    if word in IRREGULAR_PLURALS:
        return [IRREGULAR_PLURALS[word]]
    forms = list(_candidates(word))
    if word in UNCHANGED or not forms:
        return [word, *forms]
    return sorted(forms, key=lambda form: form not in KNOWN_NOUNS)


def plural(noun: str) -> str:
    """Put a noun into the plural so that `singular` gives it back; "sheep", "skis" and the like stay."""
    before, _, word = noun.rpartition(" ")
    if word in _ALWAYS_PLURAL:
        return noun
    irregular = [many for many, one in IRREGULAR_PLURALS.items() if one == word]
    regular = [word[:-1] + "ies"] if word.endswith("y") and word[-2:-1] not in tuple("aeou") else []
    tries = (
        (*irregular, *regular, word + "es", word + "s")
        if word.endswith(_HISSING)
        else (*irregular, *regular, word + "s")
    )
    forms = (f"{before} {form}".strip() for form in tries)
    return next((form for form in forms if singular(form) == noun), noun)


def closest_spelling(word: str, among: Iterable[str]) -> str:
    """Return the entry spelled most like `word`, or "" if none is close."""
    found = process.extractOne(
        word, tuple(among), scorer=DamerauLevenshtein.normalized_similarity, score_cutoff=SPELLED_ALIKE
    )
    return str(found[0]) if found else ""


class Lexicon:
    """Looks nouns up; unknown ones through spelling, then through meaning (when it can be computed)."""

    def __init__(self, similarity: TextSimilarity | None = None) -> None:
        self._meanings = Meanings(similarity) if similarity is not None else None
        self._judged: dict[str, Noun] = {}
        self.trusts = False

    def trusting(self) -> Lexicon:
        """The same for words that are known to name things: every English noun does, unless it is listed as none."""
        other = copy(self)
        other._judged, other.trusts = {}, True
        return other

    def warm_up(self) -> None:
        """Prepare the word vectors; without this the first unknown noun waits for them."""
        if self._meanings is not None:
            self._meanings.warm_up()

    def known(self, words: list[str]) -> Noun | None:
        """Find the longest listed noun at the end of `words`."""
        for count in range(min(len(words), _LONGEST_NOUN_WORDS), 0, -1):
            phrase = " ".join(words[-count:])
            for text in (phrase, phrase.replace("-", " ")):
                said = singular(text)
                if said in KNOWN_NOUNS:
                    return Noun(SYNONYMS.get(said, said), said, said != text and text != "persons", count)
        return None

    def noun(self, words: list[str]) -> Noun:
        """Understand the noun at the end of `words` (not empty, determiners and clauses taken off).

        Raises:
            CommandError: it is no thing that can be seen, too vague, or unknown; `nearest` names a close one.
        """
        found = self.known(words)
        if found is not None:
            self._check_modifiers(words[: -found.words], found)
            return found
        word = words[-1]
        said = singular(word)
        if word in VAGUE or said in VAGUE:
            raise CommandError(f"{word!r} is too vague: name the thing to look for", "find every person")
        if word in NOT_OBJECTS or said in NOT_OBJECTS:
            raise CommandError(f"{word!r} is nothing a camera can see: name a visible thing", "find every person")
        if word in ADJECTIVES:
            raise CommandError(f"Expected a noun after {word!r}", f"find every {word} cup")
        return self._judged.get(word) or self._judge(word, said)

    def _check_modifiers(self, before: list[str], noun: Noun) -> None:
        """Refuse "blakc cat" and "trafic light": a misspelt modifier would silently be looked for."""
        for word in before:
            if word in ADJECTIVES or len(word) < 4 or self.known([word]) or not word.isalpha():
                continue
            compound = closest_spelling(f"{word} {noun.said}", (name for name in KNOWN_NOUNS if " " in name))
            adjective = closest_spelling(word, (name for name in ADJECTIVES if len(name) > 2))
            better = compound if compound.endswith(noun.said) else adjective and f"{adjective} {noun.said}"
            if better:
                raise CommandError(f"{word!r} is not known: did you mean {better!r}?", f"find every {better}")

    def _judge(self, word: str, said: str) -> Noun:
        """Decide about an unlisted word: a near spelling is asked back, else its meaning decides."""
        trusted = self.trusts and may_name_a_thing(word)
        spelled = "" if trusted else closest_spelling(said, KNOWN_NOUNS)
        if spelled:
            raise CommandError(f"{word!r} is not known: did you mean {spelled!r}?", f"find every {spelled}")
        meaning = self._meanings.of(said) if self._meanings is not None and len(said) > 2 else None
        same = meaning is not None and meaning.cosine >= SAME_MEANING and not meaning.by_letters
        if meaning and (same or meaning.thingness >= THING):
            noun = Noun(meaning.nearest if same and meaning.nearest in COCO_CLASSES else said, said, said != word, 1)
            if len(self._judged) < _MOST_JUDGED:
                self._judged[word] = noun
            return noun
        if trusted:
            return Noun(said, said, said != word, 1)
        raise CommandError(
            f"{word!r} is not known as a visible thing; in quotes it is looked for as it stands", f'find every "{word}"'
        )
