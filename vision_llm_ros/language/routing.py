"""Sentences of any wording: the grammar first, then the language model for what the grammar is not certain of."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import MAX_STEPS, Mode, SentenceRouter, Task, TaskSpec
from vision_llm_ros.language.certainty import is_certain
from vision_llm_ros.language.instructions import is_instruction
from vision_llm_ros.language.intents import CAPTION_LONG, CAPTION_SHORT
from vision_llm_ros.language.invocation import ASKED, REFUSALS, Invocation, read
from vision_llm_ros.language.modifiers import Timing, take_points, take_timing
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.past import period_of
from vision_llm_ros.language.plain_things import narrowed
from vision_llm_ros.language.plan import Planner, joined, ordered_parts, requests_of, resolve, spoken_of
from vision_llm_ros.language.saying import describe
from vision_llm_ros.language.text import NOT_UNDERSTOOD
from vision_llm_ros.language.turns import FLIP, ROTATE, turn_of

_PRONOUN = re.compile(r"it|them|that|this|those|these|one|ones", re.IGNORECASE)
_SAID_WHOLE = frozenset({"answer", "match"})
SURE = 0.35  # probability from which the language model is believed rather than the grammar
SURE_OF_REFUSAL = 0.7  # likewise where it refuses what the grammar would serve


class RoutedParser:
    """A parser that asks the language model about what its grammar does not understand, or is not certain of.

    The model only chooses modules, words of the sentence and regions; each invocation is then read by the grammar, and
    timing, number of points, period and length of a caption are the grammar's too. What the model is not sure of, and
    what it refuses without another reason, stays refused as the grammar refused it.
    """

    def __init__(self, grammar: CommandParser, router: SentenceRouter) -> None:
        self._router = router
        self._planner = Planner(grammar.parse)
        self._chosen = Planner(grammar.trusting().parse)  # of what the language model has chosen

    def parse(self, text: str) -> TaskSpec:
        """Understand a sentence; `TaskSpec.routed` tells who did.

        Raises:
            CommandError: neither the grammar nor the language model takes it for something that is served.
        """
        try:
            spec = self._planner.parse(text)
        except CommandError as error:
            if error.final or is_instruction(text):
                raise
            routed = self._routed(text, error)
            if routed is None:
                raise
            return routed
        if is_instruction(text) or is_certain(text, spec):
            return spec
        return self._second_opinion(text, spec) or spec

    def _second_opinion(self, text: str, spec: TaskSpec) -> TaskSpec | None:
        """What the grammar takes for a question, or for a thing, may ask for other tasks, or for what is not served.

        Returns:
            the language model's reading; None where it is unsure or finds the same tasks.
        Raises:
            CommandError: the language model is sure that this is not served.
        """
        try:
            plain, timing, points = _modifiers(text)
            tags, confidence = self._router.route(plain)
        except CommandError:  # longer than it reads
            return None
        invocations = read(tags)
        if confidence < SURE:
            return None
        if invocations[-1].refused:
            if confidence < SURE_OF_REFUSAL:
                return None
            invocations[-1].sentence()
        try:
            other = self._planned(invocations, text, timing, points, confidence)
        except CommandError:
            return None
        # nothing that the grammar understood is dropped
        return None if kinds_of(other) == kinds_of(spec) or len(other.steps) < len(spec.steps) else other

    def _routed(self, text: str, refusal: CommandError) -> TaskSpec | None:
        """The language model's reading; None where it is unsure.

        Raises:
            CommandError: it is sure that this is not served, or what it reads is refused.
        """
        plain, timing, points = _modifiers(text)
        tags, confidence = self._router.route(plain)
        invocations = read(tags)
        if not invocations[-1].refused and (apart := self._part_by_part(text, len(invocations))) is not None:
            return apart
        said_whole = len(plain.split()) == 1 and bool(invocations[0].instruction)  # "segment" names nothing to segment
        if confidence < self._router.threshold or said_whole:
            return None
        if len(invocations) == 1 and invocations[0].refused:
            own = NOT_UNDERSTOOD not in str(refusal)  # the grammar's own reason
            why = (str(refusal), refusal.nearest) if own else REFUSALS[invocations[0].module]
            raise CommandError(*why, final=confidence >= SURE_OF_REFUSAL)
        return self._planned(invocations, text, timing, points, confidence)

    def _part_by_part(self, text: str, found: int) -> TaskSpec | None:
        """The parts of a sentence, each read alone; None if that gives no more tasks than were found in the whole.

        Raises:
            CommandError: the last part is surely not served.
        """
        ordered = ordered_parts(text)
        parts = ordered or requests_of(text)
        if len(parts) <= max(1, found):
            return None
        steps: list[TaskSpec] = []
        for number, part in enumerate(parts, 1):
            try:
                read = self.parse(resolve(part, spoken_of(steps)))
                if not (steps and read.routed and kinds_of(read) == (_kind(steps[-1]),)):  # says the same once more
                    steps += read.steps
            except CommandError as error:
                if number == len(parts) and error.final and not ordered:
                    reason = f"part {number} of {number}, {part.strip()!r}: {error}"
                    raise CommandError(reason, error.nearest, final=True) from error
                return None
        stops_later = any(step.task is Task.STOP for step in steps[1:])
        if not found < len(steps) <= MAX_STEPS or stops_later:
            return None
        return replace(joined(steps), routed=min(filter(None, (step.routed for step in steps)), default=0.0))

    def _planned(
        self, invocations: tuple[Invocation, ...], text: str, timing: Timing, points: int | None, confidence: float
    ) -> TaskSpec:
        """Invocations as a command, with phrases narrowed to their things where they are not understood otherwise.

        What is asked of "it" alone, where nothing is named for it, is left out last of all.

        Raises:
            CommandError: one of them is a refusal, or is not understood.
        """
        narrower = tuple(map(_narrowed, invocations))
        naming = tuple(item for item in narrower if not _PRONOUN.fullmatch(item.instruction)) or narrower
        ways = [
            (self._planner, invocations),
            (self._chosen, invocations),
            (self._chosen, narrower),
            (self._chosen, naming),
        ]
        if all(map(_begins_with, invocations, narrower)):
            ways.insert(1, (self._planner, narrower))
        *first, last = dict.fromkeys(ways)
        for planner, items in first:
            with suppress(CommandError):
                return replace(_timed(_plan(planner, items, text, points), timing), routed=confidence)
        return replace(_timed(_plan(*last, text, points), timing), routed=confidence)


def _plan(planner: Planner, invocations: tuple[Invocation, ...], text: str, points: int | None) -> TaskSpec:
    return planner.plan([command_of(item, text, points) for item in invocations])


def kinds_of(spec: TaskSpec) -> tuple[str, ...]:
    """The tasks of a sentence in order, by kind.

    One definite thing is found alike by detection and grounding; which way a picture is turned is of no matter.
    """
    return tuple(map(_kind, spec.steps))


def _kind(step: TaskSpec) -> str:
    task = Task.GROUND if step.task is Task.DETECT and step.max_objects == 1 else step.task
    restored, _, _ = step.restore_kind.partition("_")
    return f"{restored}>{task}" if step.restore_first else f"{task} {restored}".strip()


def _begins_with(item: Invocation, narrower: Invocation) -> bool:
    """Whether of a phrase only its end is left out, and what asks for it: "where the mug sits", "the mug"."""
    return ASKED.sub("", item.instruction).startswith(narrower.instruction)


def _narrowed(item: Invocation) -> Invocation:
    """The same of a thing alone: what the grammar does not take for a phrase holds one, and more."""
    if not item.instruction or item.module in _SAID_WHOLE:
        return item
    return replace(item, instruction=narrowed(item.instruction))


def _modifiers(text: str) -> tuple[str, Timing, int | None]:
    """What the grammar reads in any sentence, split off: the rest, when, and how many points."""
    lowered = text.lower()
    rest, points = take_points(lowered)
    rest, timing = take_timing(rest)
    untouched = timing == Timing() and points is None
    return (text if untouched else rest), timing, points


def command_of(item: Invocation, text: str, points: int | None = None) -> str:
    """The command that an invocation stands for, with what the operator's sentence says beyond its tags.

    Raises:
        CommandError: it is a refusal, or a turn that is not by quarters.
    """
    sentence, lowered = item.sentence(period_of(text)), text.lower()
    if item.module in (ROTATE, FLIP):
        return describe(TaskSpec(Task.RESTORE, restore_kind=turn_of(item.module, lowered)))
    if item.module == "when" and re.search(r"\bfirst\b", lowered):
        return sentence.replace(" last ", " first ", 1)
    if item.module == "polygon" and points is not None:
        return f"{sentence} with {points} points"
    if item.module in ("caption", "describe"):
        long, short = CAPTION_LONG.search(lowered), CAPTION_SHORT.search(lowered)
        return sentence + (" in detail" if long else "") + (" briefly" if short and not long else "")
    return sentence


def _timed(spec: TaskSpec, timing: Timing) -> TaskSpec:
    if spec.task is Task.STOP or timing == Timing():
        return spec
    continuous = timing.continuous or any(step.mode is Mode.CONTINUOUS for step in spec.steps)
    mode = Mode.CONTINUOUS if continuous else Mode.ONCE
    rate_hz, life_s = timing.rate_hz, timing.time_to_live_s
    first, *rest = [replace(step, mode=mode, rate_hz=rate_hz, time_to_live_s=life_s) for step in spec.steps]
    return replace(first, then=tuple(rest))
