"""Things that are counted off from a side: "the second bottle from the left", "the last car from the top"."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAMED = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_LAST = "last"
_NTH = rf"(?P<nth>{'|'.join((*_NAMED, _LAST))}|\d{{1,2}}(?:st|nd|rd|th))"
COUNTED = re.compile(
    rf"\b{_NTH} (?P<thing>.+?),? (?:counting |counted )?from (?:the )?(?P<side>left|right|top|bottom)"
    r"(?:[- ]hand)?(?: side| edge)?\b"
)


@dataclass(frozen=True)
class Ordinal:
    """One of several alike.

    Attributes:
        thing: what is counted, singular.
        place: from 1 on; -1 for the last.
        side: where counting begins: left, right, top or bottom.
    """

    thing: str
    place: int
    side: str


def ordinal_of(phrase: str) -> Ordinal | None:
    """What a phrase counts off; None if it does not."""
    found = COUNTED.search(phrase.lower())
    if found is None:
        return None
    nth = found["nth"]
    place = -1 if nth == _LAST else _NAMED.index(nth) + 1 if nth in _NAMED else int(nth[:-2])
    return Ordinal(found["thing"], place, found["side"]) if place else None
