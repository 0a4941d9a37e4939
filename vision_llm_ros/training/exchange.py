"""Sentences that are wrong by one word: a thing, a person, a number or a colour exchanged for another of its kind."""

from __future__ import annotations

import numpy as np

from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.language.words import BASIC_COLOURS, COCO_CLASSES

_THINGS = tuple(name for name in COCO_CLASSES if " " not in name and name not in ("person", "orange"))
_KINDS = (
    ("one", "two", "three", "four", "five", "six"),
    BASIC_COLOURS,
    ("man", "woman", "boy", "girl", "baby"),
    ("men", "women", "boys", "girls", "babies"),
    _THINGS,
    tuple(map(plural, _THINGS)),
)


def exchange(text: str, rng: np.random.Generator) -> str:
    """The text with one word exchanged; "" where there is none to exchange."""
    words = text.split()
    places = [(place, kind) for place, word in enumerate(words) for kind in _KINDS if word in kind]
    if not places:
        return ""
    place, kind = places[int(rng.integers(len(places)))]
    others = [word for word in kind if word not in words]
    words[place] = others[int(rng.integers(len(others)))]
    return " ".join(words)
