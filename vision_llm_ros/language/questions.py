"""What kind of answer a question wants, and about what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from vision_llm_ros.language.lexicon import singular
from vision_llm_ros.language.words import BASIC_COLOURS

_PLACE = r"(?: (?:in|on|at|within) (?:the|this|that) (?:picture|image|photo|photograph|frame|scene|view))?"
_THING = r"(?P<thing>[a-z][a-z -]*?)"
_ANY = r"(?:(?:an?|any|some|the|one) )"
_COLOUR = r"colou?rs?"
_FORMS = {
    "presence": (
        rf"(?:is|are) there {_ANY}?{_THING}(?: (?:there|here|visible))?{_PLACE}",
        rf"(?:can|do|could) you see {_ANY}?{_THING}{_PLACE}",
        rf"does (?:the|this) (?:picture|image|photo|scene) (?:show|have|contain) {_ANY}?{_THING}",
    ),
    "count": (
        rf"how many {_THING} (?:can|do) you see{_PLACE}",
        rf"how many {_THING}(?: (?:are|is))?(?: (?:there|here|visible))?{_PLACE}",
    ),
    "side": (rf"is (?:the )?{_THING} (?:on|to) the left or (?:on |to )?(?:the )?right(?: side)?{_PLACE}",),
    "colour": (rf"(?:what|which) {_COLOUR} (?:is|are) (?:the |this |that )?{_THING}{_PLACE}",),
}
_PATTERNS = [(kind, re.compile(form)) for kind, forms in _FORMS.items() for form in forms]
_RELATION = re.compile(r" (?:on|in|at|with|near|under|behind|beside|next|of|that|who|which) ")
_IS = r"(?P<verb>is|are)"
_ASKS = (
    r"(?P<word>(?:what|which|who|whose|where|how)(?: (?:many|old|big|full|busy|colou?r|side|shape|size|kind|sort|brand|"
    r"one|direction|way))?)"
)
_THE = r"(?:the|an?|this|that|these|those|my|your|his|her|its|their)"
_INDIRECT = (
    re.compile(rf"(?:if|whether) there {_IS}\b(?P<rest>.+)"),
    re.compile(rf"(?:if|whether) (?P<subject>.+?) {_IS}(?P<rest> .+)"),
    re.compile(rf"(?P<word>how (?:many|much) .+?) there {_IS}(?P<rest>.*)"),
    re.compile(rf"{_ASKS} (?P<subject>{_THE} .+? (?:that|who|which) (?:is|are) .+?) {_IS}(?P<rest>.*)"),
    re.compile(
        rf"{_ASKS} (?P<subject>{_THE} .+?(?<! that)(?<! who)(?<! which)|it|this|that|he|she|they) {_IS}(?P<rest>.*)"
    ),
)
_SAYS = re.compile(rf"what (?P<subject>{_THE} .+) (?P<verb>say|show|look|read)s(?P<rest>(?: like)?)")
_PRONOUNS = ("it", "they", "them", "he", "she", "one")


class Kind(StrEnum):
    """Answers of the first four come from a closed set."""

    PRESENCE = "presence"
    COUNT = "count"
    SIDE = "side"
    COLOUR = "colour"
    OPEN = "open"


YES_NO = ("yes", "no")
NUMBERS = tuple(map(str, range(13)))
SIDES = ("left", "right")
CANDIDATES = {Kind.PRESENCE: YES_NO, Kind.COUNT: NUMBERS, Kind.SIDE: SIDES, Kind.COLOUR: BASIC_COLOURS}


@dataclass(frozen=True)
class Asked:
    """A question, the kind of its answer, and the singular name of what it is about; "" where that is no plain noun."""

    text: str
    kind: Kind
    label: str = ""


def direct(question: str) -> str:
    """An indirect question put directly: "what the man is holding" as "what is the man holding"."""
    if found := _SAYS.fullmatch(question):
        return f"what does {found['subject']} {found['verb']}{found['rest']}"
    for pattern in _INDIRECT:
        if found := pattern.fullmatch(question):
            said = found.groupdict()
            return f"{said.get('word', '')} {found['verb']} {said.get('subject', 'there')}{found['rest']}".strip()
    return question


def understand(question: str, spoken_of: str = "") -> Asked:
    """Find what is asked.

    Args:
        spoken_of: what earlier questions were about: "it" means that.
    """
    text = " ".join(question.lower().split())
    for kind, pattern in _PATTERNS:
        if found := pattern.fullmatch(text.rstrip(" ?.")):
            label = _thing(found["thing"], spoken_of)
            named = _named(text, found, label) if found["thing"] in _PRONOUNS else text
            return Asked(named, Kind(kind), label)
    return Asked(text, Kind.OPEN)


def _thing(thing: str, spoken_of: str) -> str:
    if thing in _PRONOUNS:
        return spoken_of
    return "" if _RELATION.search(thing) else singular(thing)


def _named(text: str, found: re.Match[str], label: str) -> str:
    """The question with the pronoun replaced by what it stands for."""
    return f"{text[: found.start('thing')]}the {label}{text[found.end('thing') :]}" if label else text
