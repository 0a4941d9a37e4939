"""Several tasks in one sentence: "denoise, then segment the cup and tell me its colour" becomes an ordered plan.

Each part is read by the grammar of single commands, so a plan can hold nothing that a command cannot; "it" and "its"
mean the thing of the part before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import MAX_STEPS, Mode, Task, TaskSpec
from vision_llm_ros.language.instructions import is_instruction
from vision_llm_ros.language.lexicon import plural, singular
from vision_llm_ros.language.refusals import ACTIONS
from vision_llm_ros.language.text import QUOTATION, says_nothing
from vision_llm_ros.language.verbs import VERBS

_NEAREST = "denoise the picture, then find every person"
_LATER = r"(?:then|afterwards|after that|next|finally)"
_STRONG = re.compile(
    rf"\s*(?:[,;.]\s*(?:and\s+)?|\s+and\s+){_LATER}\b,?\s*|\s+then\s+|"
    r"\s+(?:[-=]*>|[*|])\s+|"
    r"(?:\s*;\s*|(?<=[a-z\ue001])[.?!]\s+)(?:and\s+)?(?=[a-z\ue000])",
    re.IGNORECASE,
)
_VERB = "|".join(sorted((VERBS | ACTIONS) - {"light", "open", "left", "clean", "cut", "set", "stand", "hold"}))
_WEAK = re.compile(
    rf"(?:,\s*(?:and\s+)?|\s+and\s+)(?=(?:please\s+)?(?:also\s+)?(?:{_VERB}|is|are)\s+(?!and\b)\w)|"
    rf"\s+and\s+(?=(?:{_VERB})$)|,?\s+and\s+(?=(?:what|which|who|where|how)\b)",
    re.IGNORECASE,
)
_SAID_FIRST = r"(?:and|then|also|first|now|please|next|finally|ok|okay|so|just|kindly)"
_REQUEST = re.compile(
    rf"\W*(?:{_SAID_FIRST}\W+)*(?:{_VERB}|light|open|clean|cut|set|what|which|who|whose|where|how|when|is|are|was|were|do|"
    r"does|did|has|have|had|can|could|would|will|(?:i|we)(?: want| would like|'d like| need)|get|work out|let|read|"
    r"confirm|note|unblur|rid)\b",
    re.IGNORECASE,
)
_DONE = r"(?:removed|gone|cleared|cleaned|taken (?:out|away)|fixed|mended|restored|sharpened|filled|dealt with|done)"
_BY_YOU = r"(?:(?:you|we)(?:'ve| have)? )?"
_ORDERED = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"before (?:you |we )?(?P<then>[^,]+), (?P<first>.+)",
        rf"(?:once|after|having|with) {_BY_YOU}(?P<first>[^,]*{_DONE}[^,]*|\w+ing [^,]+), (?P<then>.+)",
        r"(?:once|after) (?:you|we)(?:'ve| have)? (?P<first>[^,]+), (?P<then>.+)",
        rf"(?P<then>[^,]+),? (?:but )?(?:only )?(?:once|after) {_BY_YOU}"
        rf"(?P<first>[^,]*{_DONE}|\w+ing .+)",
        r"(?P<then>[^,]+),? (?:but )?(?:only )?(?:once|after) (?:you|we)(?:'ve| have)? (?P<first>.+)",
        r"(?P<first>[^,]+),? before (?:you |we )?(?P<then>.+)",
        r"(?P<first>[^,]+),? so (?:that )?(?:you|we) can (?P<then>.+)",
    )
)
_MERELY = re.compile(r"\W*[a-z]+(?: out| of)? (?:it|them|him|her)\W*", re.IGNORECASE)
_SOUGHT = re.compile(r"\W*(?:please )?(?:find|locate|detect|spot|look for|search for)\b", re.IGNORECASE)
_ITS = re.compile(
    r"(?:please )?(?:tell(?: me| us)?|say|report|what is|what's|(?:give|show|get)(?: me)?|draw|make|what are)"
    r"(?: about)? (?:its|their|his|her) "
    r"(?P<noun>[a-z]+)\W*",
    re.IGNORECASE,
)
_DONE_TO_IT = {  # what of a thing is a task of its own
    "outline {}": "outline outlines contour contours polygon polygons",
    "segment {}": "mask masks silhouette silhouettes cutout",
    "where is {}": "position positions location locations whereabouts",
}
_WHAT_NOUNS = frozenset("colour color shape size brand".split())
_PERSON = re.compile(
    r"\b(?:person|man|woman|boy|girl|child|kid|baby|lady|guy|toddler|worker|player|driver|cyclist|pedestrian|rider|"
    r"[a-z]{2,}(?:er|or|ist|ian|man|nurse|patient|guard|chef|pilot|thief))s?\b"
)
_HIS = re.compile(
    r"\b(?:his|her)\b(?= (?!(?:and|or|then|to|on|in|with|from|at|for|now|please|earlier|today|again|yet|before|"
    r"recently|lately|here|there|just|too|as|out|up|is|was)\b)[a-z])",
    re.IGNORECASE,
)
_HIM = re.compile(r"\b(?:he|she|him|her|hers)\b", re.IGNORECASE)
_ONE = re.compile(
    r"\b(?:(?P<said>(?:the|that|this|which|each|every|any)(?: [a-z-]+){0,2}) (?P<one>one)|(?P<ones>ones))\b(?! of\b)",
    re.IGNORECASE,
)
_IT = re.compile(
    r"\b(?:both(?: of (?:it|them|these|those))?(?=\W*$)|it|they|them|that one|this one|the object|the objects)\b",
    re.IGNORECASE,
)
Parse = Callable[[str], TaskSpec]


class Planner:
    """A parser of sentences that may hold several tasks.

    Args:
        parse: reads one command; raises `CommandError`.
    """

    def __init__(self, parse: Parse) -> None:
        self._parse = parse

    def parse(self, text: str) -> TaskSpec:
        """Understand a sentence; of several tasks, the later ones stand in `then` of the first.

        Raises:
            CommandError: a part is not understood or not served; it is named with its number.
        """
        if is_instruction(text):
            return self._parse(text)
        parts = split(text, _STRONG)
        if len(parts) == 2 and (cleaned := self._restored_first(text)) is not None:
            return cleaned
        several = [piece for part in parts for piece in self._pieces(part)] if len(parts) > 1 else split(text, _WEAK)
        several = [part for part in several if not says_nothing(part)] or several
        if len(parts) > 1 and not _one_after_all(parts):
            return self.plan(several)
        try:
            spec = self._parse(text)
        except CommandError:
            if len(several) <= 1:
                raise
            return self.plan(several)
        return self._each_answered(several) or spec if spec.task is Task.ANSWER else spec

    def _each_answered(self, parts: list[str]) -> TaskSpec | None:
        """A question that is several: "what is on the table and how many cups are there"; None if one part is none."""
        try:
            return self.plan(parts) if len(parts) > 1 else None
        except CommandError:
            return None

    def _restored_first(self, text: str) -> TaskSpec | None:
        """A sentence that the grammar takes for one task on the restored picture."""
        try:
            spec = self._parse(text)
        except CommandError:
            return None
        return spec if spec.restore_first else None

    def _pieces(self, part: str) -> list[str]:
        """A part, divided further where the grammar does not take it for one command."""
        try:
            self._parse(part)
        except CommandError:
            return split(part, _WEAK)
        return [part]

    def plan(self, parts: list[str]) -> TaskSpec:
        """Understand the parts of a sentence, already divided.

        Raises:
            CommandError: see `parse`.
        """
        if len(parts) > MAX_STEPS:
            raise CommandError(f"Expected at most {MAX_STEPS} tasks in one sentence, got {len(parts)}", _NEAREST)
        if len(parts) == 1:
            return self._parse(parts[0])
        steps: list[TaskSpec] = []
        for number, part in enumerate(parts, 1):
            try:
                step = self._parse(resolve(part, spoken_of(steps)))
                if steps and step == steps[-1]:  # "which one is the cup? point at it"
                    continue
                if steps and step.task is Task.STOP:
                    raise CommandError("'stop' ends what was asked before; say it alone or first", "stop")
                steps.append(step)
            except CommandError as error:
                reason = f"part {number} of {len(parts)}, {part.strip()!r}: {error}"
                raise CommandError(reason, error.nearest, error.final) from error
        return joined(steps)


def parts_of(text: str) -> list[str]:
    """The parts of a sentence at everything that may join two tasks; also of one that is a single task."""
    pieces = [piece for part in split(text, _STRONG) for piece in split(part, _WEAK)]
    return [piece for piece in pieces if not says_nothing(piece)] or pieces


def ordered_parts(text: str) -> list[str]:
    """Two parts of a sentence of which a clause says what comes first: "before you find the cat, light up the picture".

    Returns:
        the parts in the order of doing; empty for other sentences.
    """
    for pattern in _ORDERED:
        if found := pattern.fullmatch(text.strip(" .!?")):
            return [found["first"], found["then"]]
    return []


def requests_of(text: str) -> list[str]:
    """The parts of a sentence, each with what is stated before it: "it is dark, find the cat" is one."""
    requests: list[str] = []
    stated = ""
    for part in parts_of(text):
        if _REQUEST.match(part):
            requests.append(f"{stated}, {part}".lstrip(", "))
            stated = ""
        else:
            stated = f"{stated}, {part}".lstrip(", ")
    return requests if not stated else [*requests[:-1], f"{requests[-1] if requests else ''}, {stated}".lstrip(", ")]


def joined(steps: list[TaskSpec]) -> TaskSpec:
    """One command out of several tasks; it goes on as the most lasting of them does.

    A stop that is said first ends what was asked before.
    """
    if steps[0].task is Task.STOP and len(steps) > 1:
        return replace(steps[0], then=joined(steps[1:]).steps)
    continuous = any(step.mode is Mode.CONTINUOUS for step in steps)
    rate_hz = max(step.rate_hz for step in steps)
    life_s = max(step.time_to_live_s for step in steps)
    mode = Mode.CONTINUOUS if continuous else Mode.ONCE
    first, *rest = [replace(step, mode=mode, rate_hz=rate_hz, time_to_live_s=life_s) for step in steps]
    return replace(first, then=tuple(rest))


def split(text: str, where: re.Pattern[str]) -> list[str]:
    """The parts of a sentence; nothing is divided inside quotes."""
    kept = QUOTATION.findall(text)
    masked = QUOTATION.sub("\ue000", text)
    parts, quotes = [part for part in where.split(masked) if part.strip(" ,.;!?")], iter(kept)
    return [re.sub("\ue000", lambda _: next(quotes), part) for part in parts]


def resolve(part: str, named: str) -> str:
    """Put the thing of the part before in the place of "it" and "its", of "her" and "his" if it is a person.

    Without one, the part stays as it is.
    """
    if not named:
        return part
    asked = _ITS.fullmatch(part.strip())
    if asked:
        noun = asked["noun"].lower()
        for task, nouns in _DONE_TO_IT.items():
            if noun in nouns.split():
                return task.format(named)
        verb = "are" if named.startswith("the ") and named.endswith("s") else "is"
        return f"what {noun} {verb} {named}?" if noun in _WHAT_NOUNS else f"what is the {noun} of {named}?"
    if _PERSON.search(named):
        part = _HIM.sub(named, _HIS.sub(f"{named}'s", part))
    thing = singular(named.removeprefix("the "))
    return _ONE.sub(lambda found: plural(thing) if found["ones"] else f"{found['said']} {thing}", _IT.sub(named, part))


def refers_to(step: TaskSpec, earlier: TaskSpec) -> bool:
    """Whether a later step speaks of what an earlier one looked for."""
    words = " ".join((*step.classes, step.phrase)).lower()
    return any(re.search(rf"\b{re.escape(form)}\b", words) for name in earlier.classes for form in (name, plural(name)))


def spoken_of(steps: list[TaskSpec]) -> str:
    """How to speak of what the last step with things looked for."""
    for step in reversed(steps):
        if len(step.classes) == 1:
            (name,) = step.classes
            return f"the {name}" if step.max_objects == 1 else f"the {plural(name)}"
        if step.task is Task.CAPTION and step.phrase:
            return f"the {step.phrase}"
        if step.classes:
            return "the " + " and the ".join(step.classes[:4])
    return ""


def _one_after_all(parts: list[str]) -> bool:
    """ "Find the cup, then segment it" is one task: the last verb says what to do with what is sought."""
    return len(parts) == 2 and bool(_SOUGHT.match(parts[0]) and _MERELY.fullmatch(parts[1]))
