"""How far and which way a picture is to be turned or mirrored: "by 180 degrees", "clockwise", "vertically"."""

from __future__ import annotations

import re

from vision_llm_ros.errors import CommandError
from vision_llm_ros.language.modifiers import NUMBER, number

ROTATE, FLIP = "rotate", "flip"
# quarter turns counter-clockwise -> restore kind
_KINDS = {1: ROTATE, 2: "rotate_half", 3: "rotate_clockwise"}
_DEGREES = re.compile(rf"(?<![\w.])({NUMBER})[- ]?(?:degrees?|deg)\b|\bby (\d+)\b(?! (?:hz|times))")
_HALF = re.compile(r"\bhalf\b|\bupside[- ]down\b|\b(?:wrong|right) way up\b|\bon its head\b|\bover$")
_THREE = re.compile(r"\b(?:three|3)[- ]quarters?\b")
_CLOCKWISE = re.compile(
    r"(?<!anti)(?<!anti[- ])(?<!counter)(?<!counter[- ])\bclockwise\b|"
    r"\b(?:rotate|turn|spin)\b.*\b(?:degrees|deg|turn|it|this|picture|image|photo|frame) (?:to the )?right\b"
)
_VERTICALLY = re.compile(r"\bvertical(?:ly)?\b|\btop (?:to|and|with|for) bottom\b|\bupside[- ]down\b")


def turn_of(kind: str, text: str) -> str:
    """The restore kind made exact by an operator's words.

    Args:
        kind: "rotate" or "flip"; every other kind stays what it is.
        text: the sentence, lower case. One that names no way means a quarter counter-clockwise, or left and right.
    Raises:
        CommandError: not by quarters of a turn.
    """
    if kind == FLIP:
        return "flip_vertical" if _VERTICALLY.search(text) else kind
    return _KINDS[_quarters(text)] if kind == ROTATE else kind


def _quarters(text: str) -> int:
    """Quarter turns counter-clockwise, 1..3."""
    said = _DEGREES.search(text)
    named = 180 if _HALF.search(text) else 270 if _THREE.search(text) else 90
    degrees = number(said[1] or said[2]) if said else named
    if degrees % 90 or not degrees % 360:
        nearest = "rotate the picture by 90 degrees"
        raise CommandError(f"Expected a turn by 90, 180 or 270 degrees, got {degrees:g}", nearest)
    return int(degrees // 90 * (-1 if _CLOCKWISE.search(text) else 1)) % 4
