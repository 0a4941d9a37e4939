"""A referring sentence in its parts: its phrases, and of each what is sought, beside what, and how many."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vision_llm_ros.language.lexicon import KNOWN_NOUNS, singular
from vision_llm_ros.language.modifiers import NUMBER_WORDS
from vision_llm_ros.language.words import ADJECTIVES, COCO_CLASSES, COLOUR_WORDS

MAX_TARGETS = 34  # most that one question of PixelLM's MUSE data asks for

_EXTENT = re.compile(r" (?:in|of|from) (?:the|this) (?:image|picture|photo|scene|frame|view)$")
_AND = re.compile(r",? and (?:also )?|, ")
_PLACE = (
    r"next to|close to|near|beside|by|behind|in front of|in between|between|under|below|beneath|above|over|on top of|"
    r"(?:to|on|at) the (?:far |very )?(?:left|right|top|bottom)(?: side)?(?: of)?|left of|right of|"
    r"in the (?:middle|centre|center)(?: of)?|closest to|nearest to|touching|against|on|in|inside|with"
)
_RELATION = re.compile(rf"^(?P<subject>.+?) (?:(?:that|which|who) (?:is|are) )?(?P<place>{_PLACE})\b ?(?P<anchor>.*)$")
_OWN = {
    "left": r"\bleft",
    "right": r"\bright",
    "top": r"\b(?:top|upper|highest)",
    "bottom": r"\b(?:bottom|low)",
    "middle": r"\b(?:middle|cent)",
    "largest": r"\b(?:large|big|tall|huge)",
    "smallest": r"\b(?:small|tiny|little|short)",
}
_BESIDE = {
    "left of": r"\bleft",
    "right of": r"\bright",
    "above": r"\b(?:above|over|on|top)\b(?! the)",
    "below": r"\b(?:below|under|beneath|bottom)\b",
    "beside": r"\b(?:next|close|near|beside|by|against|touching|closest|nearest|with)\b",
}
ASKS: tuple[str, ...] = (*_OWN, *_BESIDE)
_ARTICLES = frozenset("the a an this that these those my our your".split())
_EVERY = frozenset("all every each any both some everything anything everyone whatever".split())
_USE = re.compile(
    r"\b(?:everything|anything|something|things?|objects?|items?|whatever|stuff|what)\b.* (?:can|could|to)\b"
)
_JOINING = frozenset("far very most of and".split())
_WORN = re.compile(r" (?:in|wearing|with|dressed in) (?:an? |the )?(?P<clothes>[a-z ]+)$")
_PORTION = re.compile(r"\b(?:pieces?|pairs?|slices?|sets?|bunch|bunches) of ")


@dataclass(frozen=True)
class Phrase:
    """One phrase of a sentence.

    Attributes:
        text: as said, without article and without "in the image".
        subject: bare noun of what is sought, "" for a phrase of a use such as "everything I can sit on".
        anchor: bare noun of what it stands beside, "" where none is named.
        asks: which of `ASKS` its words name: a place or size of its own, or a side of the anchor.
        colours: colour words said of it or of what it wears: "the red car", "the man in a blue shirt".
        most: how many may answer it: "the dog" 1, "two dogs" 2, "dogs" and "dog" `MAX_TARGETS`.
    """

    text: str
    subject: str
    anchor: str = ""
    most: int = MAX_TARGETS
    asks: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()


def split_phrases(sentence: str) -> tuple[Phrase, ...]:
    """Part a referring sentence at its "and"s: "the mug left of the plate and every spoon" has two phrases."""
    text = _EXTENT.sub("", " ".join(sentence.lower().split()).strip(" .?!"))
    parts: list[str] = []
    for piece in _AND.split(text):
        if parts and _runs_on(parts[-1]):
            parts[-1] += f" and {piece}"
        elif piece:
            parts.append(piece)
    return tuple(dict.fromkeys(read_phrase(part) for part in parts))


def _runs_on(part: str) -> bool:
    """True where an "and" stands inside a phrase: "between the cup and", "the black and"."""
    if "between" in part.split():
        return " and " not in part
    if (found := _RELATION.match(part)) and not found["anchor"]:  # "the cup on the left and"
        return False
    return part.split()[-1] in ADJECTIVES and singular(_bare(part)) not in KNOWN_NOUNS


def read_phrase(text: str) -> Phrase:
    """Read one phrase; never fails, unknown words stay in the subject."""
    text = _EXTENT.sub("", text)
    bare = text.removeprefix("the ")
    if _USE.search(text):
        return Phrase(bare, "")
    found = _RELATION.match(text)
    before = found["subject"] if found else text
    subject = _bare(before)
    anchor = singular(_bare(found["anchor"])) if found else ""
    colours = _colours(before.removesuffix(subject))
    if not colours and (worn := _worn(text)):
        return Phrase(bare, singular(subject), "", _most(text, subject), _asks(None, before), worn)
    return Phrase(bare, singular(subject), anchor, _most(text, subject), _asks(found, text), colours)


def _colours(words: str) -> tuple[str, ...]:
    return tuple(word for word in words.split() if word in COLOUR_WORDS)


def _worn(text: str) -> tuple[str, ...]:
    """Colours of clothes: "in the blue shirt", "in red"; none where a thing of that colour stands beside it."""
    found = _WORN.search(text)
    if not found or singular(_bare(found["clothes"])) in COCO_CLASSES:
        return ()
    return _colours(found["clothes"])


def _asks(found: re.Match[str] | None, text: str) -> tuple[str, ...]:
    """What places, sizes and sides are named; a side belongs to the anchor where there is one."""
    own, beside = text, ""
    if found and found["anchor"]:
        own, beside = found["subject"], found["place"]
    asks = [ask for ask in _OWN if re.search(_OWN[ask], own)]
    return (*asks, *(ask for ask in _BESIDE if re.search(_BESIDE[ask], beside)))


def _bare(words: str) -> str:
    """A noun without the articles, numbers and adjectives before it; adjectives alone stay."""
    kept = _PORTION.sub("", words).split()
    while len(kept) > 1 and singular(" ".join(kept)) not in KNOWN_NOUNS and _is_qualifier(kept[0]):
        kept = kept[1:]
    return " ".join(kept)


def _is_qualifier(word: str) -> bool:
    return word in _ARTICLES | _EVERY | _JOINING | ADJECTIVES or word in NUMBER_WORDS or word.isdigit()


def _most(text: str, subject: str) -> int:
    words = text.split()
    if not _EVERY.isdisjoint(words[:2]):
        return 2 if words[0] == "both" else MAX_TARGETS
    counts = [_count(word) for word in words[:3] if 1 <= _count(word) <= MAX_TARGETS]
    if counts:
        return counts[0]
    if singular(subject) != subject or text == subject:  # "dogs", "dog": as many as there are
        return MAX_TARGETS
    return 1


def _count(word: str) -> int:
    if word.isdigit():
        return int(word[:3])
    return 0 if word in _ARTICLES else int(NUMBER_WORDS.get(word, 0))
