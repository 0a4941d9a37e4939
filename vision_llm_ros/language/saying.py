"""Say-back: one English sentence for what was understood. The parser reads it back to the same task."""

from __future__ import annotations

import re
from decimal import Decimal

from vision_llm_ros.interfaces import WHOLE_IMAGE, Box, Mode, Task, TaskSpec
from vision_llm_ros.language.lexicon import KNOWN_NOUNS, plural, singular
from vision_llm_ros.language.words import ADJECTIVES, COCO_CLASSES

REGION_NAMES: dict[Box, str] = {
    (0.0, 0.0, 0.5, 1.0): "on the left",
    (0.5, 0.0, 1.0, 1.0): "on the right",
    (0.0, 0.0, 1.0, 0.5): "at the top",
    (0.0, 0.5, 1.0, 1.0): "at the bottom",
    (0.0, 0.0, 0.5, 0.5): "in the upper left corner",
    (0.5, 0.0, 1.0, 0.5): "in the upper right corner",
    (0.0, 0.5, 0.5, 1.0): "in the lower left corner",
    (0.5, 0.5, 1.0, 1.0): "in the lower right corner",
    (0.25, 0.25, 0.75, 0.75): "in the middle",
}
_RESTORE_WORDS = {
    "": "restore the picture",
    "denoise": "denoise the picture",
    "deblur": "deblur the picture",
    "pepper": "remove the black dots from the picture",
    "derain": "remove the rain from the picture",
    "mask": "fill in the missing blocks in the picture",
    "rotate": "rotate the picture by 90 degrees counter-clockwise",
    "rotate_clockwise": "rotate the picture by 90 degrees clockwise",
    "rotate_half": "rotate the picture by 180 degrees",
    "flip": "flip the picture horizontally",
    "flip_vertical": "flip the picture vertically",
}
_LENGTH_WORDS = {"": "", "short": " briefly", "long": " in detail"}


def describe(spec: TaskSpec) -> str:
    """Say what was understood, as a command that would be understood the same way again.

    What was taken for something else follows in brackets ("sofa as couch").
    """
    first, *rest = spec.steps
    said = ", then ".join([_described(first).rstrip("?"), *map(_described, rest)]) if rest else _described(first)
    return f"{said} (read as such by the language model, {spec.routed:.0%})" if spec.routed else said


def _described(spec: TaskSpec) -> str:
    sentence = spec.instruction or _WRITERS[spec.task](spec)
    if spec.restore_first:
        sentence = f"{_RESTORE_WORDS[spec.restore_kind]} and {sentence}"
    return f"{sentence} ({'; '.join(spec.heard)})" if spec.heard else sentence


def _plain(label: str) -> bool:
    """Whether the grammar reads the label back as it stands, without quotes: "every dog present" shows no present."""
    if label == "present":
        return False
    words = label.split()
    nouns = (words[-2:], words[-1:]) if len(words) > 1 else (words,)
    known = any(" ".join(noun) in KNOWN_NOUNS and singular(" ".join(noun)) == " ".join(noun) for noun in nouns)
    return label in COCO_CLASSES or (
        known and set(words[:-1]) <= ADJECTIVES and bool(re.fullmatch(r"[a-z][a-z -]*", label))
    )


def _label(label: str) -> str:
    return label if _plain(label) else '"' + label.replace('"', "'") + '"'


def _listed(labels: tuple[str, ...]) -> str:
    """Labels in words; one that could be an adjective of the next stands in quotes: "light", light bulb."""
    alone = len(labels) == 1
    said = [_label(label) if alone or label not in ADJECTIVES else f'"{label}"' for label in labels]
    return said[0] if alone else f"{', '.join(said[:-1])} and {said[-1]}"


def _number(value: float) -> str:
    """Write exactly, without exponent: the grammar reads the same value back."""
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def _rate(rate_hz: float) -> str:
    period_s = round(1 / rate_hz, 6)
    if rate_hz < 1 and period_s and 1.0 / period_s == rate_hz:
        return f" every {_number(period_s)} seconds"
    return f" at {_number(rate_hz)} Hz"


def _how(spec: TaskSpec) -> str:
    """Region, rate and life, each with a leading space."""
    where = ""
    if spec.region != WHOLE_IMAGE:
        where = REGION_NAMES.get(spec.region) or "in the region " + ", ".join(_number(edge) for edge in spec.region)
        where = f" {where}"
    return where + _when(spec)


def _when(spec: TaskSpec) -> str:
    rate = _rate(spec.rate_hz) if spec.rate_hz else ""
    steady = " continuously" if spec.mode is Mode.CONTINUOUS and not spec.rate_hz and not spec.time_to_live_s else ""
    life = f" for {_number(spec.time_to_live_s)} seconds" if spec.time_to_live_s else ""
    return rate + (steady if spec.task is not Task.TRACK else "") + life


def _things(spec: TaskSpec) -> str:
    if spec.classes == COCO_CLASSES:
        return "everything"
    if spec.max_objects > 1:
        label = spec.classes[0]
        return f"up to {spec.max_objects} {plural(label) if _plain(label) else _label(label)}"
    return ("the " if spec.max_objects == 1 else "every ") + _listed(spec.classes)


def _detect(spec: TaskSpec) -> str:
    return f"find {_things(spec)}{_how(spec)}"


def _ground(spec: TaskSpec) -> str:
    return f"where is the {_label(spec.phrase)}{_how(spec)}?"


def _polygon(spec: TaskSpec) -> str:
    return f"outline {_things(spec)} with {spec.num_points} points{_how(spec)}"


def _segment(spec: TaskSpec) -> str:
    return f"segment {spec.phrase or _things(spec)}{_how(spec)}"


def _track(spec: TaskSpec) -> str:
    return f"track {_things(spec)}{_how(spec)}"


def _restore(spec: TaskSpec) -> str:
    if spec.restore_kind == "inpaint":
        return f"remove {spec.phrase} from the picture{_when(spec)}"
    return _RESTORE_WORDS[spec.restore_kind] + _when(spec)


def _caption(spec: TaskSpec) -> str:
    what = f"the {_label(spec.phrase)}" if spec.phrase else "the scene"
    return f"describe {what}{_LENGTH_WORDS[spec.caption_length]}{_how(spec)}"


def _answer(spec: TaskSpec) -> str:
    return f"answer{_when(spec)}: {spec.phrase}"


def _recall(spec: TaskSpec) -> str:
    period = f" in the last {_number(spec.past_s)} seconds" if spec.past_s else " recently"
    return f"{spec.phrase.rstrip('?')}{period}?"


def _match(spec: TaskSpec) -> str:
    return f'does the picture show "{spec.phrase}"{_when(spec)}?'


def _stop(spec: TaskSpec) -> str:
    return f"stop looking for {_listed(spec.classes)}" if spec.classes else "stop"


_WRITERS = {
    Task.DETECT: _detect,
    Task.GROUND: _ground,
    Task.POLYGON: _polygon,
    Task.SEGMENT: _segment,
    Task.TRACK: _track,
    Task.RECALL: _recall,
    Task.RESTORE: _restore,
    Task.CAPTION: _caption,
    Task.ANSWER: _answer,
    Task.MATCH: _match,
    Task.STOP: _stop,
}
