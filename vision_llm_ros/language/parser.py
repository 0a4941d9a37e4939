"""Deterministic grammar: one English sentence to one `TaskSpec`, or a reasoned refusal with a sentence that would do.

A sentence passes: outright refusals and cleaning (`text`), how often and where (`modifiers`), its verb (`verbs`),
then the rules of the tasks in their order (`rules`), which read their things through `nouns` and `lexicon`.
"""

from __future__ import annotations

from dataclasses import replace

from vision_llm_ros.errors import CommandError, VisionLLMError
from vision_llm_ros.interfaces import Mode, Task, TaskSpec, TextSimilarity
from vision_llm_ros.language.damage import restored_before
from vision_llm_ros.language.instructions import is_instruction, parse_instruction
from vision_llm_ros.language.lexicon import Lexicon
from vision_llm_ros.language.modifiers import Timing, region_last, take_points, take_timing
from vision_llm_ros.language.nouns import NounPhrases, strip_filler
from vision_llm_ros.language.refusals import offer_help, refuse_action
from vision_llm_ros.language.rules import Request, Rules
from vision_llm_ros.language.text import EXAMPLE, NOT_UNDERSTOOD, CleanText, clean
from vision_llm_ros.language.turns import turn_of
from vision_llm_ros.language.verbs import VERBS, plain_verb, respell


class CommandParser:
    """Turns sentences into task specifications. Stateless but for remembered words; safe to share."""

    def __init__(self, similarity: TextSimilarity | None = None, lexicon: Lexicon | None = None) -> None:
        """Take the encoder that judges unlisted nouns, None leaves them to spelling and quotes; or a whole lexicon."""
        self._lexicon = lexicon or Lexicon(similarity)
        self._nouns = NounPhrases(self._lexicon)
        self._rules = Rules(self._lexicon, self._nouns)

    def trusting(self) -> CommandParser:
        """The same for commands that are put together out of parts which are known to name things and questions."""
        return CommandParser(lexicon=self._lexicon.trusting())

    def warm_up(self) -> None:
        """Prepare what the first unlisted noun would otherwise wait for."""
        self._lexicon.warm_up()

    def parse(self, text: str) -> TaskSpec:
        """Understand one sentence, or an advanced user's instruction (see `instructions`).

        Raises:
            CommandError: not understood, ambiguous or not served; the message says why, `nearest` is a sentence
                that would be accepted.
        """
        if is_instruction(text):
            return parse_instruction(text)
        try:
            return self._parse(_cleaned(text))
        except VisionLLMError as error:
            nearest, final = (error.nearest, error.final) if isinstance(error, CommandError) else ("", True)
            raise CommandError(str(error), nearest if self._accepts(nearest) else EXAMPLE, final) from error

    def _accepts(self, text: str) -> bool:
        try:
            self._parse(clean(text))
        except VisionLLMError:
            return False
        return True

    def _parse(self, source: CleanText) -> TaskSpec:
        text, timing = take_timing(respell(source.text, self._lexicon))
        if not text:
            raise CommandError(f"Expected what to do {source.text}", "find every person continuously")
        offer_help(text)
        text, steady = plain_verb(region_last(text))
        timing = replace(timing, continuous=timing.continuous or (steady and not timing.once))
        request = Request(text, source, timing)
        if (spec := self._restored_first(request)) is not None:
            return _timed(spec, timing)
        for rule in self._rules.all:
            spec = rule(request)
            if spec is not None:
                return _timed(spec, timing)
        raise self._not_understood(request)

    def _restored_first(self, request: Request) -> TaskSpec | None:
        """Two commands in one sentence, of which the first is to restore the picture for the second."""
        for kind, rest in restored_before(request.text):
            kind = turn_of(kind, request.text.removesuffix(rest))
            text, _ = plain_verb(region_last(rest))
            for rule in self._rules.after_restoring:
                spec = rule(replace(request, text=text))
                if spec is not None:
                    return replace(spec, restore_first=True, restore_kind=kind)
        return None

    def _not_understood(self, request: Request) -> CommandError:
        text = strip_filler(request.text)
        words = text.split()
        refuse_action(words)
        if len(words) == 1 and words[0] in VERBS:
            return CommandError(f"Expected what to {words[0]}", f"{words[0]} every person")
        try:
            item = self._nouns.items(text, request.source)[0]
        except CommandError:
            return CommandError(f"{NOT_UNDERSTOOD}: {request.source.text[:80]!r}", EXAMPLE)
        determiner = "the" if item.definite or not item.plain else "every"
        return CommandError(f"Expected what to do with {text[:80]!r}", f"find {determiner} {item.label}")


def _cleaned(text: str) -> CleanText:
    """As `clean`; what is wrong with the text as such, or with its numbers, is final."""
    try:
        source = clean(text)
        take_points(take_timing(source.text)[0])
    except CommandError as error:
        raise CommandError(str(error), error.nearest, final=True) from error
    return source


def _timed(spec: TaskSpec, timing: Timing) -> TaskSpec:
    if spec.task is Task.STOP:
        return spec
    continuous = timing.continuous or spec.task is Task.TRACK
    mode = Mode.CONTINUOUS if continuous else Mode.ONCE
    return replace(spec, mode=mode, rate_hz=timing.rate_hz, time_to_live_s=timing.time_to_live_s)
