"""What is asked for apart from what it is asked of: "count the red mugs" as "count the red things"."""

from __future__ import annotations

import re
from functools import lru_cache

from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.language.verbs import VERBS
from vision_llm_ros.language.words import ADJECTIVES, COCO_CLASSES, COMMON_NOUNS

# nouns that are also verbs, or that a request speaks of as such: of pictures, of their faults, of places and parts
_TELLING = frozenset(
    """photo photograph picture drawing camera frame mask box video watch track light switch painting poster text label
    shadow rain snow water screen map button sign scale figure point ground back hand head face eye arm leg""".split()
)
_BEFORE = re.compile(
    r"(?:\b(?:the|this|that|these|those|my|your|our|a|an|any|some|all|every|each|both|what|which|who|why|how|where|whose)\s+)+$",
    re.IGNORECASE,
)
_FIRST = re.compile(r"\b(?:the|this|that|these|those|my|your|our|an?|some|all|every|each|both)\b", re.IGNORECASE)
_EMPTY = re.compile(
    rf"(?:(?:{_FIRST.pattern}|in|on|at|of|from|to|near|under|over|by|with|behind|beside|below|above|next|is|are)\W*)+",
    re.IGNORECASE,
)
_QUALIFIED = re.compile(rf"(?:{_FIRST.pattern}\s+)?(?:\b(?:{'|'.join(sorted(ADJECTIVES))})\s+)*$", re.IGNORECASE)
# determiner and adjectives, and the noun that they wait for
_NAME_TO_COME = re.compile(
    rf"(?:{_FIRST.pattern}\s+)(?:(?:{'|'.join(sorted(ADJECTIVES))})\s+)*(?!(?:and|or|of|in|on|from|to)\b)[A-Za-z][\w'-]*",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z][\w'-]*|[^A-Za-z]+")
_LONGEST = 5  # three words and the two gaps between them


def without_things(text: str) -> str:
    """Put "thing" or "things" in the place of every thing of the word lists."""
    plain, until = [], 0
    for start, end in things_in(text):
        plain += [text[until:start], _things()[text[start:end].lower()]]
        until = end
    return "".join(plain) + text[until:]


def things_in(text: str) -> list[tuple[int, int]]:
    """Where things of the word lists stand, [start, end) characters; the longest name of each."""
    words, found = [word.span() for word in _WORD.finditer(text)], []
    place = 0
    while place < len(words):
        for count in range(_LONGEST, 0, -2):
            start, end = words[place][0], words[min(place + count, len(words)) - 1][1]
            if text[start:end].lower() in _things():
                found.append((start, end))
                place += count
                break
        else:
            place += 1
    return found


def narrowed(phrase: str) -> str:
    """From the first determiner before a thing to the last thing: "round the second mat once" is "the second mat"."""
    things = things_in(phrase)
    if not things:
        return phrase
    opening = _FIRST.search(phrase, 0, things[0][0])
    return phrase[opening.start() if opening else 0 : things[-1][1]]


def completed(text: str, span: tuple[int, int], within: tuple[int, int], thing: bool) -> tuple[int, int]:
    """A phrase of a sentence with its determiner, the whole name of a thing, and on to the next thing if it names none.

    One that holds nothing but small words gives way to the first thing there is.

    Args:
        span: [start, end) characters of the phrase.
        within: [start, end) of the words that it may grow into.
        thing: whether it has to name a thing; else it grows to the left alone.
    """
    start, end = span
    if thing:
        for place in things_in(text[within[0] : within[1]]):
            first, last = within[0] + place[0], within[0] + place[1]
            if first < end and last > start:
                start, end = min(start, first), max(end, last)
    if found := _BEFORE.search(text, within[0], start):
        start = found.start()
    if thing and without_things(text[start:end]) == text[start:end]:
        for word in re.finditer(r"\S+", text[end : within[1]]):
            longer = text[start : end + word.end()]
            if without_things(longer) != longer:
                return start, end + word.end()
        if rest := _NAME_TO_COME.match(text, start, within[1]):
            return start, max(end, rest.end())
        if _EMPTY.fullmatch(text[start:end]) and (things := things_in(text[slice(*within)])):
            start, end = (within[0] + place for place in things[0])
            start = found.start() if (found := _QUALIFIED.search(text, within[0], start)) else start
    return start, end


@lru_cache(maxsize=1)
def _things() -> dict[str, str]:
    names = [name for name in (*COCO_CLASSES, *COMMON_NOUNS) if name not in _TELLING | VERBS]
    return {plural(name).lower(): "things" for name in names} | {name.lower(): "thing" for name in names}
