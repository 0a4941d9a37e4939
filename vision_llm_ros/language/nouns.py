"""From "every person, the red cup and two dogs" to class labels: lists, determiners, counts, clauses."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vision_llm_ros.errors import CommandError
from vision_llm_ros.language.lexicon import KNOWN_NOUNS, Lexicon, singular
from vision_llm_ros.language.modifiers import NUMBER, number
from vision_llm_ros.language.text import QUOTED, CleanText
from vision_llm_ros.language.words import ADJECTIVES, COCO_CLASSES, COLOURS, UNCHANGED, VAGUE

EVERYTHING = re.compile(
    r"(?:(?:all|every|each|any)(?: of)?(?: the)? )?(?:visible |known )?(?:everything|objects?|things?|items?)"
)
_SEPARATOR = re.compile(
    r" ?(?:,| and | or |&| plus | as well as | together with | along with | and also )(?: ?(?:and|or) )? ?"
)
_NOT_SPLIT = re.compile(
    r"\bbetween (?:[\w-]+ ){1,4}?and\b|"
    rf"\b(?:{'|'.join(COLOURS)}) and (?:{'|'.join(COLOURS)})\b|\bsalt and pepper (?:shaker|mill)s?\b"
)
_KEPT_AND = "\ue002"
_DETERMINER = re.compile(
    r"(?:(?:every|each)(?: single)?(?: one)?(?: of)?|all(?: of)?|any(?: of)?|some(?: of)?|both(?: of)?|"
    r"either|another|several|"
    r"many|a (?:few|couple of|lot of|bunch of|number of)|lots of|one of|single|only|just|a|an|the|this|that|"
    r"these|those|my|your|his|"
    r"her|our|their|its|presence of|instances? of|types? of|kinds? of)(?= )"
)
_COUNT = re.compile(
    r"(?:up to|at most|no more than|not more than|a maximum of|exactly|only|the)? ?(?P<n>(?!an? "
    rf"){NUMBER})(?: of)?(?= )"
)
_DEFINITE = frozenset("the this that my your his her our their its".split())
_TAKES_MANY = frozenset("every each all any some both several many these those lots".split())
_CLAUSE = frozenset(
    """that which who whose where with without in on under below above over behind beside besides beneath next near
    nearest to at by from of between among against around along across inside outside through wearing holding
    carrying made used opposite closest farthest furthest left right upper lower having facing onto upon beyond
    underneath atop containing during like than looking being nobody i you we""".split()
)  # fmt: skip
_UNNAMED = frozenset("thing things something anything everything object objects item items".split())
_TELLING = ADJECTIVES - frozenset(
    "other same next previous nice first second third fourth fifth last right left cool".split()
)
_SIDE_WORDS = frozenset("left right upper lower nearest closest farthest furthest over like around".split())
_EXCLUSION = re.compile(
    r"\b(?:except|excluding|but not|but no|other than|apart from|aside from|unless|instead of|rather than|"
    r"ignoring|not the|and not)\b"
)
_LEAVES_OUT = re.compile(r"except|excluding|but no|other than|apart from|aside from")
_AT_LEAST = re.compile(r"\b(?:at least|more than|fewer than|less than|minimum of)\b")
FILLER = re.compile(
    r"(?:[ ,]+|^)(?:(?:in|inside|within|on|from|of) (?:the |this |that |your |my )?(?:current |whole |entire |camera )?"
    r"(?:image|picture|frame|scene|view|photo|photograph|video|camera|screen|room|field of view|feed|stream|"
    r"shot|footage)|"
    r"(?:that )?(?:you|we|i) (?:can |could )?(?:see|find|detect|spot)|around(?: here| me| you| us| the "
    r"place)?|here|there|anywhere|"
    r"somewhere|in front of (?:you|me|us|the (?:camera|robot))|in sight|in view|visible|at the moment|"
    r"currently|present|nearby|"
    r"for me|out there|(?:that|which) (?:is|are) (?:visible|there|here|present)|individually|automatically|"
    r"carefully|too|as well|also|"
    r"as (?:it|they) moves?|moving around)$"
)
# "the pair of scissors" is one thing, "slices of pizza" are several
_PORTION = re.compile(r"\b(?P<portion>pairs?|pieces?|slices?|sets?|bunch|bunches) of (?:the |these |those )?(?=\w)")


_EVERYBODY = re.compile(r"\b(?:all of )?every(?:one|body)\b")


@dataclass(frozen=True)
class Item:
    """One thing of a list.

    Attributes:
        label: canonical singular class name or referring phrase.
        plain: nothing but the noun itself was said.
        definite: "the", "my", "that".
        plural: several are meant.
        count: how many were asked for; 0 for no number.
        heard: "sofa as couch" where the label is another word than the operator's.
    """

    label: str
    plain: bool = True
    definite: bool = False
    plural: bool = False
    count: int = 0
    heard: str = ""


def strip_filler(text: str) -> str:
    """Take off what says nothing: "in the picture", "that you can see"."""
    while (stripped := FILLER.sub("", text).strip(" ,.?")) != text:
        text = stripped
    return text


def everybody_named(text: str) -> str:
    """Things with "everyone" by its noun: "all people"."""
    return _EVERYBODY.sub("all people", text)


def _split(text: str) -> list[str]:
    guarded = _NOT_SPLIT.sub(lambda found: found[0].replace(" and ", _KEPT_AND).replace(" and", _KEPT_AND), text)
    parts = (part.replace(_KEPT_AND, " and ").strip() for part in _SEPARATOR.split(guarded))
    return [re.sub(r"\s+", " ", part) for part in parts if part.strip()]


def _clause_start(words: list[str]) -> int:
    """Index of the first word after the noun: "mug left of the plate" -> 1."""
    for index in range(1, len(words)):
        word = words[index]
        if singular(" ".join(words[index : index + 2])) in KNOWN_NOUNS and word not in KNOWN_NOUNS:
            continue  # "glass dining table"
        after_noun = words[index - 1] in VAGUE or singular(words[index - 1]) in KNOWN_NOUNS
        participle = word.endswith(("ing", "ed")) and word not in KNOWN_NOUNS and word not in ADJECTIVES
        if (after_noun and (participle or word in _SIDE_WORDS)) or word in _CLAUSE - _SIDE_WORDS:
            return index
    return len(words)


def _determiners(text: str) -> tuple[str, bool, bool, int]:
    """Take articles, quantities and numbers off the front: (rest, definite, several, count)."""
    definite = several = False
    count = 0
    while True:
        counted = _COUNT.match(text)
        found = _DETERMINER.match(text)
        if counted and " " in text and number(counted["n"]) == int(number(counted["n"])):
            count = int(number(counted["n"]))
            definite |= counted[0].startswith("the ")
            text = text[counted.end() :].strip()
        elif found:
            first = found[0].split()[0]
            definite |= first in _DEFINITE
            several |= first in _TAKES_MANY or "of" in found[0].split()
            count = 2 if first == "both" else count
            text = text[found.end() :].strip()
        else:
            return text, definite, several, count


class NounPhrases:
    """Understands lists of things against a lexicon."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    def items(self, text: str, source: CleanText) -> tuple[Item, ...]:
        """Understand a list.

        Raises:
            CommandError: an exclusion, a condition on the count, nothing at all, or a noun that is refused.
        """
        text = strip_filler(everybody_named(text))
        for pattern, what in ((_EXCLUSION, "exclusions"), (_AT_LEAST, "conditions on a number")):
            found = pattern.search(text)
            if found:
                kept = text[: found.start()].strip(" ,")
                nearest = f"find {kept}" if kept else "find every person"
                # "everything except the dog" may be a way to say "the dog"; else no reading may leave this out
                final = _LEAVES_OUT.match(found[0]) is not None and EVERYTHING.fullmatch(kept) is None
                raise CommandError(f"{found[0]!r}: {what} are not understood", nearest, final)
        if EVERYTHING.fullmatch(text) and not re.match(r"(?:(?:any|each) )?(?:thing|object|item)\b(?!s)", text):
            return tuple(Item(name, plural=True) for name in COCO_CLASSES)
        parts = _split(text)
        if not parts:
            raise CommandError("Expected what to look for after the verb", "find every person")
        return tuple({item.label: item for item in (self._item(part, source) for part in parts)}.values())

    def _item(self, part: str, source: CleanText) -> Item:
        text, definite, several, count = _determiners(part)
        if not 0 <= count <= 900:
            raise CommandError(f"Expected at most 900 objects, got {count}", "find up to 5 people")
        text = strip_filler(text) or text
        portion = _PORTION.search(text)
        text = _PORTION.sub("", text)
        if re.fullmatch(QUOTED, text):
            return Item(source.unquote(text), plain=False, definite=definite, plural=several, count=count)
        words = text.split()
        start = _clause_start(words)
        core, clause = words[:start], words[start:]
        if len(core) > 1 and core[0] in _UNNAMED and set(core[1:]) <= ADJECTIVES:
            core = [*core[1:], "object"]  # "anything red"
        if len(core) > 1 and core[-1] in _UNNAMED and set(core[:-1]) <= _TELLING:
            label = source.unquote(" ".join([*core[:-1], "object", *clause]))
            return Item(label, False, definite, core[-1].endswith("s") or several, count)
        if core[-1] in VAGUE and clause and len(clause) > 1:
            return Item(
                source.unquote(text), False, definite or core[-1] in ("whatever", "what"), core[-1].endswith("s"), count
            )
        noun = self._lexicon.noun(core)
        plain = noun.words == len(core) and not clause
        label = noun.label if plain else source.unquote(" ".join([*core[: -noun.words], noun.said, *clause]))
        heard = f"{' '.join(core)} as {noun.label}" if plain and noun.label != noun.said else ""
        if portion is not None:
            return Item(label, plain, definite, several or portion["portion"].endswith("s"), count, heard)
        several |= noun.plural or core[-1] in ("people", "folks") or (noun.said in UNCHANGED and text == part)
        return Item(label, plain, definite, several, count, heard)

    def is_list(self, text: str) -> bool:
        """Tell whether a sentence without a verb still plainly names what to look for: "people and dogs"."""
        items = [_determiners(part) for part in _split(strip_filler(text))]
        names = [rest.split() for rest, *_ in items]
        if not names or any(not words or self._lexicon.known(words) is None for words in names):
            return False
        known = [(words, self._lexicon.known(words)) for words in names]
        if any(noun is not None and not set(words[: -noun.words]) <= ADJECTIVES for words, noun in known):
            return False
        return len(names) > 1 or items[0][2] or bool(known[0][1] and known[0][1].plural)
