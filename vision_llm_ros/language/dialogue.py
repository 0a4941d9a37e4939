"""Follow-up sentences: "what colour is it?", "and the dog?", "and the one next to it?".

What is remembered is small and open to view: the last few answers, with what they found and where.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import (
    WHOLE_IMAGE,
    Box,
    Detection,
    Mask,
    Prompt,
    PromptKind,
    Result,
    Status,
    Task,
    TaskSpec,
)
from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.language.modifiers import take_region
from vision_llm_ros.language.plan import Parse, joined, resolve
from vision_llm_ros.language.saying import describe

MAX_TURNS = 8
MAX_OBJECTS = 32
MAX_AGE_S = 120.0

_AND = r"(?:and |what about |how about |now |then )+"
_ONE = r"(?:the |that )?(?:other |next )?(?:one|thing|object)"
_SIDE = (
    r"(?P<side>next to|beside|near|closest to|left of|to the left of|right of|to the right of|above|over|below|under)"
)
_NEIGHBOUR = re.compile(rf"(?:{_AND})?{_ONE} {_SIDE} (?:it|that|that one|this)", re.IGNORECASE)
_OTHER = re.compile(rf"(?:{_AND})?(?:the )?(?:other|next) one", re.IGNORECASE)
_LIKEWISE = r"(?:(?:do )?the same|likewise|same)(?: again)? (?:for|with|to|on) "
_ALSO = re.compile(
    rf"(?:(?:{_AND})?{_LIKEWISE}|{_AND}|also )"
    r"(?P<things>(?:(?:the|every|all|any|a|an|my) )?[\w -]+?)(?: too| as well)?|"
    r"(?P<more>(?:the|every|all|any|my) [\w -]+?) (?:too|as well)",
    re.IGNORECASE,
)
_THERE = re.compile(rf"(?:{_AND}|only |just )(?P<where>(?:on|in|at|to) the [\w -]+)", re.IGNORECASE)
_AGAIN_SAID = re.compile(
    r"(?:please |now |and )*(?:(?:(?:do|try|run) (?:it|that|this) )?(?:once )?(?:again|more)|one more time|once more|"
    r"(?:repeat|redo)(?: (?:it|that|this|the last (?:one|command|task|request)))?)(?:,? please)?",
    re.IGNORECASE,
)
_ABOUT_IT = re.compile(r"\b(?:it|its|them|their|that one|he|she|him|her|his)\b", re.IGNORECASE)
_AGAIN = {
    Task.DETECT: "find {}",
    Task.GROUND: "where is {}?",
    Task.POLYGON: "outline {}",
    Task.SEGMENT: "segment {}",
    Task.TRACK: "track {}",
}


@dataclass(frozen=True)
class Turn:
    """One answer, as far as later sentences may refer to it.

    Attributes:
        said_s: on the dialogue's clock.
        objects: label and box of what was found, xyxy in fractions 0..1, the best first.
    """

    command_id: str
    camera: str
    spec: TaskSpec
    said_s: float
    objects: tuple[tuple[str, Box], ...] = ()


class Dialogue:
    """A parser that understands follow-ups; everything else goes to `parse`. May be told results from any thread.

    Args:
        parse: reads a sentence that stands alone.
        clock: seconds.
    """

    def __init__(self, parse: Parse, clock: Callable[[], float] = time.monotonic) -> None:
        self._parse, self._clock = parse, clock
        self._turns: deque[Turn] = deque(maxlen=MAX_TURNS)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What can be referred to, the last answer first."""
        now_s = self._clock()
        return tuple(turn for turn in reversed(tuple(self._turns)) if now_s - turn.said_s <= MAX_AGE_S)

    def state(self) -> list[dict[str, Any]]:
        """The same as plain values."""
        return [
            {
                "command_id": turn.command_id,
                "camera": turn.camera,
                "task": str(turn.spec.task),
                "understood": describe(turn.spec),
                "objects": [[label, list(box)] for label, box in turn.objects],
            }
            for turn in self.turns
        ]

    def note(self, result: Result) -> None:
        """Remember an answer; a command that goes on has only its newest."""
        perception, (width, height) = result.perception, result.image_size_wh_px
        if perception.status not in (Status.OK, Status.NOTHING_FOUND, Status.DEGRADED) or not width:
            return
        found: tuple[Detection | Mask, ...] = (*perception.detections, *perception.masks)
        objects = tuple(
            (item.label, (x_min / width, y_min / height, x_max / width, y_max / height))
            for item in found[:MAX_OBJECTS]
            for x_min, y_min, x_max, y_max in (item.box_xyxy_px,)
        )
        turn = Turn(result.command_id, result.camera, result.spec, self._clock(), objects)
        same = [old for old in tuple(self._turns) if _key(old) == _key(turn)]
        for old in same:
            self._turns.remove(old)
        self._turns.append(turn)

    def parse(self, text: str) -> TaskSpec:
        """Understand a sentence in the light of the last answers.

        Raises:
            CommandError: as `parse`; or a follow-up has nothing, or not enough, to refer to.
        """
        said = text.strip(" \t.,!?")
        neighbour = _NEIGHBOUR.fullmatch(said)
        if neighbour or _OTHER.fullmatch(said):
            return self._another(neighbour["side"].lower() if neighbour else "next to")
        if self.turns and (spec := self._like_the_last(said)) is not None:
            return spec
        return self._about_it(text) if _ABOUT_IT.search(said) else self._parse(text)

    def _like_the_last(self, said: str) -> TaskSpec | None:
        """The last command again, as it was, of other things, or in another part of the picture."""
        if _AGAIN_SAID.fullmatch(said):
            last = self.turns[0].command_id
            steps = [turn.spec for turn in reversed(self.turns) if turn.command_id == last]
            return joined(steps) if len(steps) > 1 else steps[0]
        turn = next((turn for turn in self.turns if turn.spec.task in _AGAIN), None)
        if turn is None:
            return None
        there = _THERE.fullmatch(said)
        rest, region = take_region(there["where"].lower()) if there else ("", WHOLE_IMAGE)
        if not rest and region != WHOLE_IMAGE:
            return replace(turn.spec, region=region, prompt=None)
        also = _ALSO.fullmatch(said)
        try:
            return self._parse(_AGAIN[turn.spec.task].format(also["things"] or also["more"])) if also else None
        except CommandError:
            return None

    def _about_it(self, text: str) -> TaskSpec:
        """A sentence with "it": its own thing if it names one, else that of the last answer."""
        named = next((_name(turn) for turn in self.turns if _name(turn)), "")
        try:
            spec = self._parse(text)
        except CommandError:
            if not named:
                raise
            return self._parse(resolve(text, named))
        names_one = any(step.classes for step in spec.steps)
        return self._parse(resolve(text, named)) if named and not names_one else spec

    def _another(self, side: str) -> TaskSpec:
        """The task of the last answer with things, on the neighbour of its first thing."""
        turn = next((turn for turn in self.turns if turn.objects and turn.spec.task in _AGAIN), None)
        if turn is None:
            raise CommandError("'it' refers to nothing yet: no answer has found anything", "find every person")
        label, box = turn.objects[0]
        known = next(
            (other.objects for other in self.turns if len(other.objects) > 1 and other.camera == turn.camera), ()
        )
        others = [item for item in known if not _same(item[1], box) and _lies(item[1], box, side)]
        if not others:
            where = "" if side == "next to" else f" {side} it"
            raise CommandError(f"No other thing{where} is known beside the {label}", f"find every {label}")
        chosen = min(others, key=lambda item: (item[0] != label, _apart(item[1], box)))
        x_min, y_min, x_max, y_max = chosen[1]
        point = Prompt(PromptKind.POINT, (((x_min + x_max) / 2, (y_min + y_max) / 2),))
        phrase = chosen[0] if turn.spec.phrase else ""
        return replace(
            turn.spec,
            classes=(chosen[0],),
            phrase=phrase,
            region=point.box,
            prompt=point,
            max_objects=1,
            then=(),
            heard=(),
        )


def _key(turn: Turn) -> tuple[str, str, Task]:
    return turn.command_id, turn.camera, turn.spec.task


def _name(turn: Turn) -> str:
    if len(turn.spec.classes) != 1:
        return ""
    (name,) = turn.spec.classes
    return f"the {name}" if turn.spec.max_objects == 1 or len(turn.objects) == 1 else f"the {plural(name)}"


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _apart(first: Box, second: Box) -> float:
    (ax, ay), (bx, by) = _centre(first), _centre(second)
    return (ax - bx) ** 2 + (ay - by) ** 2


def _same(first: Box, second: Box) -> bool:
    """Whether two boxes are of one thing: IoU above a half."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared > 0.5 * (areas - shared)


def _lies(box: Box, reference: Box, side: str) -> bool:
    (x, y), (x_it, y_it) = _centre(box), _centre(reference)
    if "left" in side:
        return x < x_it
    if "right" in side:
        return x > x_it
    if side in ("above", "over"):
        return y < y_it
    return y > y_it if side in ("below", "under") else True
