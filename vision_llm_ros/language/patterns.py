"""What the grammar's pattern tables share."""

from __future__ import annotations

import re
from collections.abc import Iterable

THINGS = r"(?P<things>.+)"
PICTURE = (
    r"(?:the |this |that |my |your |our |an? )?(?:current |camera |whole |entire |input |live |last )?"
    r"(?:images?|pictures?|pics?|photos?|photographs?|frames?|view|video|camera|scene|feed|stream|shot|footage|screen)"
)


def any_of(*forms: str) -> str:
    """Alternatives in one group; each form is itself a pattern."""
    return f"(?:{'|'.join(forms)})"


def words(text: str) -> str:
    """Alternatives from words parted by spaces; `_` stands for a space inside one."""
    return any_of(*(word.replace("_", " ") for word in text.split()))


def compiled(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern) for pattern in patterns)


def first_match(patterns: Iterable[re.Pattern[str]], text: str) -> re.Match[str] | None:
    """Return the match of the first pattern that covers the whole sentence."""
    return next((found for pattern in patterns if (found := pattern.fullmatch(text))), None)
