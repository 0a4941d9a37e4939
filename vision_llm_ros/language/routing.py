"""Sentences of any wording: the grammar first, then the language model for what the grammar is not certain of."""

from __future__ import annotations

from dataclasses import replace

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import Mode, SentenceRouter, Task, TaskSpec
from vision_llm_ros.language.certainty import is_certain
from vision_llm_ros.language.instructions import is_instruction
from vision_llm_ros.language.intents import CAPTION_LONG, CAPTION_SHORT
from vision_llm_ros.language.invocation import Invocation, read
from vision_llm_ros.language.modifiers import Timing, take_points, take_timing
from vision_llm_ros.language.past import period_of
from vision_llm_ros.language.plain_things import narrowed
from vision_llm_ros.language.plan import Planner
from vision_llm_ros.language.saying import describe
from vision_llm_ros.language.text import NOT_UNDERSTOOD
from vision_llm_ros.language.turns import FLIP, ROTATE, turn_of

_SAID_WHOLE = frozenset({"answer", "match"})
SURE = 0.35  # probability from which the language model is believed rather than the grammar
SURE_OF_REFUSAL = 0.6  # likewise where it refuses what the grammar would serve


class RoutedParser:
    """A parser that asks the language model about what its grammar does not understand, or is not certain of.

    The model only chooses modules, words of the sentence and regions; each invocation is then read by the grammar, and
    timing, number of points, period and length of a caption are the grammar's too. What the model is not sure of, and
    what it refuses without another reason, stays refused as the grammar refused it.
    """

    def __init__(self, planner: Planner, router: SentenceRouter) -> None:
        self._planner, self._router = planner, router

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
        return None if kinds_of(other) == kinds_of(spec) else other

    def _routed(self, text: str, refusal: CommandError) -> TaskSpec | None:
        """The language model's reading; None where it is unsure.

        Raises:
            CommandError: it is sure that this is not served, or what it reads is refused.
        """
        plain, timing, points = _modifiers(text)
        tags, confidence = self._router.route(plain)
        invocations = read(tags)
        if confidence < self._router.threshold:
            return None
        if len(invocations) == 1 and invocations[0].refused and NOT_UNDERSTOOD not in str(refusal):
            return None
        return self._planned(invocations, text, timing, points, confidence)

    def _planned(
        self, invocations: tuple[Invocation, ...], text: str, timing: Timing, points: int | None, confidence: float
    ) -> TaskSpec:
        try:
            spec = self._planner.plan([command_of(item, text, points) for item in invocations])
        except CommandError:
            narrower = tuple(map(_narrowed, invocations))
            if narrower == invocations:
                raise
            spec = self._planner.plan([command_of(item, text, points) for item in narrower])
        return replace(_timed(spec, timing), routed=confidence)


def kinds_of(spec: TaskSpec) -> tuple[str, ...]:
    """The tasks of a sentence in order, by kind.

    One definite thing is found alike by detection and grounding; which way a picture is turned is of no matter.
    """
    return tuple(map(_kind, spec.steps))


def _kind(step: TaskSpec) -> str:
    task = Task.GROUND if step.task is Task.DETECT and step.max_objects == 1 else step.task
    restored, _, _ = step.restore_kind.partition("_")
    return f"{restored}>{task}" if step.restore_first else f"{task} {restored}".strip()


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
