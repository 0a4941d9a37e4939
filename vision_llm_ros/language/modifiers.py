"""The parts of a sentence that say how often, how long, where in the picture and with how many points."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import MAX_POINTS, WHOLE_IMAGE, Box
from vision_llm_ros.language.ordinals import COUNTED

MIN_RATE_HZ, MAX_RATE_HZ = 1 / 3600, 1000.0
MIN_POLYGON_POINTS = 8

_UNITS = """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen""".split()
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
         "ninety": 90}  # fmt: skip
NUMBER_WORDS: dict[str, float] = {
    "zero": 0, "a": 1, "an": 1, "single": 1, "half": 0.5, "half a": 0.5, "a half": 0.5, "couple": 2, "a couple of": 2,
    "few": 3, "a few": 3, "dozen": 12, "a dozen": 12, "hundred": 100, "a hundred": 100, "other": 2, "thousand": 1000,
    **{word: value + 1 for value, word in enumerate(_UNITS)},
    **_TENS,
    **{f"{ten}{gap}{unit}": tens + value + 1
       for ten, tens in _TENS.items() for value, unit in enumerate(_UNITS[:9]) for gap in ("-", " ")},
}  # fmt: skip
NUMBER = r"(?:[-+]?\d+(?:[.,]\d+)?(?:e\d+)?|" + "|".join(sorted(NUMBER_WORDS, key=len, reverse=True)) + ")"
_SECONDS = {"ms": 1e-3, "millisecond": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0,
            "h": 3600.0, "hr": 3600.0, "hour": 3600.0}  # fmt: skip
UNIT = r"(?P<unit>milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|hours?|hrs?|h)\b"
_ASKED = (
    "can|could|please|would|i|we|is|are|how|what|where|find|look|check|watch|detect|search|scan|report|locate|segment|"
    "mask|outline|track|follow|describe|caption|count|tell|let|say|show|give|send|update|answer|point|mark|draw"
)
_PER = r"(?: an?| per| every| each| in an?|/)\s?"
_RATES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:\b(?:with|at)?(?: a)? ?(?:rate|frequency) of )?(?:\bat |@ ?|\bwith )?(?:up to |about |around |"
        rf"roughly )?(?<![\w.])(?P<n>{NUMBER}) ?(?:hz|hertz|fps)\b",
        rf"(?:\bat )?(?<![\w.])(?P<n>{NUMBER}) (?:frames?|times?|pictures?|images?|x){_PER}{UNIT}",
        rf"\b(?P<times>once|twice|thrice){_PER}{UNIT}",
        rf"\b(?:once )?(?:every|each) (?P<period>{NUMBER}) ?{UNIT}(?!-)",
        # "every second" counts things off before a noun: "every second car"
        rf"\b(?:once )?(?:every|each) {UNIT}(?!-)(?! (?!for\b|on\b|in\b|at\b|and\b|until\b|then\b|(?:{_ASKED})\b)\w)",
    )
)
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_CONTINUOUS = re.compile(
    r"\b(?:continuously|continually|constantly|non-?stop|permanently|forever|repeatedly|over and over(?: "
    r"again)?|all the time|"
    r"(?:(?:on|in|for) )?(?:every|each) (?:single )?(?:frame|image|picture)|frame (?:by|after) frame|in "
    r"real ?time|in realtime|"
    r"as (?:fast|often) as (?:possible|you can)|from now on|the whole time|indefinitely|ongoing|live|"
    r"until (?:i|we) (?:say|tell|stop|call)[\w ]*|until (?:told|further|stopped|cancelled)[\w ]*)(?=$|[ ,])"
)
_ONCE = re.compile(
    r"\b(?:just once|only once|one time(?: only)?|a single time|just this once|once)(?=$|[ ,])"
    r"(?! (?:per|you|i|we|it|they|he|she|that|this|the|all|everything|done|finished|ready|through|complete)\b)"
)
_LASTING = re.compile(
    rf"\b(?:for|during|over) (?:(?:the next |the following |another )?(?P<n>{NUMBER}) ?|"
    rf"(?:the (?:next|following)|another) ){UNIT}(?=$|[ ,])"
)


@dataclass(frozen=True)
class Timing:
    """How often and how long. `rate_hz` and `time_to_live_s` are 0 where the words name none."""

    rate_hz: float = 0.0
    continuous: bool = False
    once: bool = False
    time_to_live_s: float = 0.0


def number(text: str) -> float:
    """Read a number in digits or words: "2.5", "twenty-four", "half a"."""
    return float(NUMBER_WORDS[text]) if text in NUMBER_WORDS else float(text.replace(",", "."))


def seconds(unit: str) -> float:
    return _SECONDS.get(unit) or _SECONDS[unit.rstrip("s")]


def _rate(found: re.Match[str]) -> float:
    groups = found.groupdict()
    if groups.get("times"):
        return _TIMES[groups["times"]] / seconds(groups["unit"])
    if groups.get("n"):
        return number(groups["n"]) / (seconds(groups["unit"]) if groups.get("unit") else 1.0)
    period_s = number(groups.get("period") or "1") * seconds(groups["unit"])
    return 1.0 / period_s if period_s else math.inf


def _tidy(text: str) -> str:
    text = re.sub(r"\s+([,.?:])", r"\1", re.sub(r"\s+", " ", text))
    return re.sub(r"(?:,\s*){2,}", ", ", text).strip(" ,.?")


def _check_rate(rate_hz: float, said: str) -> float:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise CommandError(
            f"{said.strip()!r} is {rate_hz:g} Hz: expected {MIN_RATE_HZ:.4f} to {MAX_RATE_HZ:g} Hz",
            "watch for people at 2 Hz",
        )
    return rate_hz


def take_timing(text: str) -> tuple[str, Timing]:
    """Split off how often and how long.

    Returns:
        the text without these words, and what they say.
    Raises:
        CommandError: a rate out of range, or two that contradict each other.
    """
    timing, said = Timing(), ""
    lasting = _LASTING.search(text)
    if lasting:
        life_s = number(lasting["n"] or "a") * seconds(lasting["unit"])
        if not 0 < life_s <= 86400:
            raise CommandError(
                f"{lasting[0]!r} is no time to live: expected up to 24 hours", "watch for people at 2 Hz"
            )
        timing = replace(timing, time_to_live_s=life_s, continuous=True)
        text = text[: lasting.start()] + " " + text[lasting.end() :]
    for pattern in _RATES:
        while found := pattern.search(text):
            rate_hz = _check_rate(_rate(found), found[0])
            if timing.rate_hz and timing.rate_hz != rate_hz:
                raise CommandError(
                    f"Two rates: {said!r} and {found[0].strip()!r}; give one", "watch for people at 2 Hz"
                )
            timing, said = replace(timing, rate_hz=rate_hz, continuous=True), found[0].strip()
            text = text[: found.start()] + " " + text[found.end() :]
    text, forever = _CONTINUOUS.subn(" ", text)
    text, once = _ONCE.subn(" ", text)
    if once and (forever or timing.rate_hz):
        raise CommandError("Expected once or again and again, got both", "watch for people at 2 Hz")
    timing = replace(timing, continuous=timing.continuous or bool(forever), once=bool(once))
    return _tidy(text), timing


_POINT_WORDS = r"(?:points?|vertices|vertexes|vertex|corners|nodes|dots)"
_POINTS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:with|as|using|by|in|into) (?:an? )?(?P<n>{NUMBER})[- ](?:points?|corner(?:ed)?|sided) "
        r"(?:polygons?|outlines?|contours?)",
        r"\b(?:(?:with|using|by|in|of|from|to|as|into) )?(?:a |an )?(?:polygons? (?:with|of) "
        rf")?(?<![\w.])(?P<n>{NUMBER})[- ](?:polygon )?{_POINT_WORDS}(?: each| per (?:polygon|object|"
        r"outline))?(?! polygons?| outlines?| contours?)",
        rf"(?<![\w.])(?P<n>{NUMBER})[- ]points?(?= (?:polygons?|outlines?|contours?))",
    )
)


def take_points(text: str) -> tuple[str, int | None]:
    """Split off the number of polygon points ("with 16 points").

    Raises:
        CommandError: not a whole number from 8 to 24.
    """
    for pattern in _POINTS:
        found = pattern.search(text)
        if found:
            points = number(found["n"])
            if not MIN_POLYGON_POINTS <= points <= MAX_POINTS or points != int(points):
                raise CommandError(
                    f"Expected {MIN_POLYGON_POINTS} to {MAX_POINTS} polygon points, got {found['n']}",
                    "outline every chair with 16 points",
                )
            return _tidy(text[: found.start()] + " " + text[found.end() :]), int(points)
    return text, None


_SIDES = {
    "left": ("x", 0),
    "right": ("x", 1),
    "top": ("y", 0),
    "upper": ("y", 0),
    "bottom": ("y", 1),
    "lower": ("y", 1),
}
_SIDE = r"(?:left|right|top|upper|bottom|lower|middle|centre|center|central)"
_PARTS = {"third": 1 / 3, "quarter": 1 / 4}
_OF_IMAGE = (
    r"(?: (?:of|in) (?:the |this |your |my )?(?:camera )?"
    r"(?:image|picture|frame|photo|view|screen|scene|camera|video|field of view))?"
)
_AFTER = (
    r"(?=$|[,.?]| (?:and|or|at|for|with|using|every|each|once|twice|continuously|only|please|"
    r"find|look|detect|search|segment|track|locate|spot|outline|watch|check|show|to see)\b)"
)
_REGION = re.compile(
    r"(?:\b(?:only |just |anywhere |somewhere )?(?:on|in|at|to|from|within|inside|near|towards?) )(?:the |"
    r"my |your )?(?:very )?"
    rf"(?P<a>{_SIDE})(?:[- ](?:hand[- ])?(?P<b>{_SIDE}))?(?:[- ]hand)?"
    rf"(?: (?P<part>corner|side|half|part|third|quarter|quadrant|edge|area|section|region|portion))?{_OF_IMAGE}{_AFTER}"
)
_REGION_BOX = re.compile(r"\b(?:with)?in (?:the )?region " + r", ?".join([r"(\d*\.?\d+)"] * 4) + r"(?![\d.])")
_EITHER_SIDE = re.compile(rf"\b{_SIDE}\b(?: side| corner| half)? or (?:on |in |at |to )?(?:the )?{_SIDE}\b")


def _span(side: int, part: str | None) -> tuple[float, float]:
    size = _PARTS.get(part or "", 0.5)
    return (0.0, size) if side == 0 else (1.0 - size, 1.0)


def _region(first: str, second: str | None, part: str | None) -> Box:
    spans = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
    sides = [name for name in (first, second) if name in _SIDES]
    if not sides:
        size = _PARTS.get(part or "", 0.5)
        return (0.5 - size / 2, 0.0, 0.5 + size / 2, 1.0) if part in _PARTS else (0.25, 0.25, 0.75, 0.75)
    for name in sides:
        axis, side = _SIDES[name]
        if spans[axis] != (0.0, 1.0):
            raise CommandError(f"{first!r} and {second!r} exclude each other", "find every person on the left")
        spans[axis] = _span(side, part)
    if len(sides) == 1 and second:  # "middle left"
        axis = "y" if _SIDES[sides[0]][0] == "x" else "x"
        spans[axis] = (0.25, 0.75)
    return spans["x"][0], spans["y"][0], spans["x"][1], spans["y"][1]


_LEADING = re.compile(rf"(?P<region>{_REGION.pattern[: -len(_AFTER)]}),? (?P<rest>.+)")


_NAMED_PART = re.compile(
    r"(?<= )(?<! in )(?<! on )(?<! at )(?<! from )(?<!the )"
    rf"(?=(?:the )?{_SIDE}(?:[- ](?:hand[- ])?{_SIDE})?(?:[- ]hand)? "
    rf"(?:corner|side|half|part|third|quarter|quadrant|edge|area|section){_OF_IMAGE}$)"
)


def part_placed(text: str) -> str:
    """A part of the picture as a place: "describe the left half" -> "describe in the left half"."""
    return _NAMED_PART.sub("in ", text, count=1)


def region_last(text: str) -> str:
    """Move a region from the front to the end: "on the left, find cups" -> "find cups on the left"."""
    found = _LEADING.fullmatch(text)
    return f"{found['rest']} {found['region']}" if found else text


def take_region(text: str) -> tuple[str, Box]:
    """Split off the part of the picture to look in; fractions xyxy.

    Two regions in one sentence belong to their own phrases ("the dog on the left and the cat on the right") and stay,
    as does the side that things are counted from.

    Raises:
        CommandError: "left or right", "upper lower", or a region outside the picture.
    """
    if _EITHER_SIDE.search(text):
        raise CommandError("Expected one side of the picture, got two to choose from", "find every person on the left")
    found = _REGION_BOX.search(text)
    if found:
        x_min, y_min, x_max, y_max = box = tuple(float(value) for value in found.groups())
        if not (0 <= x_min < x_max <= 1 and 0 <= y_min < y_max <= 1):
            raise CommandError(f"Expected a region x_min, y_min, x_max, y_max within 0..1, got {box}", "")
        return _tidy(text[: found.start()] + " " + text[found.end() :]), (x_min, y_min, x_max, y_max)
    regions = list(_REGION.finditer(text))
    if len(regions) != 1 or COUNTED.search(text):
        return text, WHOLE_IMAGE
    found = regions[0]
    rest = text[: found.start()] + " " + text[found.end() :]
    return _tidy(re.sub(r"\bonly\b", " ", rest)), _region(found["a"], found["b"], found["part"])
