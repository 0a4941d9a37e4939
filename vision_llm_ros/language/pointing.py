"""Sentences that go with a mark in the picture: "segment this", "follow that one", "what is it?"."""

from __future__ import annotations

import re

_THIS = r"(?:this|that|it|these|those)(?: (?:thing|object|one|item|area|region|part|place|spot|stuff))?"
_LOOK = (
    r"(?:segment|mask|cut out|isolate|highlight|outline|trace|track|follow|keep an eye on|find|detect|locate|identify|"
    r"recogni[sz]e|mark|remove|erase|delete|inpaint|take out)"
)
_SEEK_THIS = re.compile(rf"^(?P<before>\W*(?:please |now |then )*{_LOOK}) {_THIS}(?P<after>\b.*)$", re.IGNORECASE)
_TELL_THIS = re.compile(
    rf"^(?P<before>\W*(?:please )*(?:describe|caption|what is|what's|tell me about)) {_THIS}(?P<after>\W*)$",
    re.IGNORECASE,
)


def spell_out(text: str) -> str:
    """A sentence about what is marked, as the grammar understands it: the mark says which thing is meant."""
    sought = _SEEK_THIS.sub(r"\g<before> everything\g<after>", text)
    return _TELL_THIS.sub(r"\g<before> this\g<after>", sought)
