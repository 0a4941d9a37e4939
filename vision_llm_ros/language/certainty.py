"""Which readings of the grammar need no second opinion: plain commands and the questions that operators ask most.

Several of the grammar's rules take almost any words for a question or for the name of a thing ("give me the weight of
the box"). They are right where a sentence is put plainly, and of other sentences the language model knows better.
"""

from __future__ import annotations

import re

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.language.plan import parts_of
from vision_llm_ros.language.text import QUOTATION, clean
from vision_llm_ros.language.words import IRREGULAR_PLURALS, UNCHANGED

_LENIENT = frozenset({Task.ANSWER, Task.DETECT, Task.GROUND, Task.SEGMENT})
# words that make more of a phrase than the name of a thing and its place
_TELLING = """if whether when why how that who whom whose box boxes frame frames mask masks outline outlines contour
area place position location path number amount weight price cost age name owner picture image photo photograph video
text description caption summary report kind sort wants removed gone changed made turned moved brought traced separated
tomorrow yesterday last past recently earlier ago before after then from been had what asked want wanted""".split()
_THING = rf"(?:(?!(?:{'|'.join(_TELLING)})\b)[\w',-]+ ?){{1,9}}"
_SHORT = rf"(?:(?!(?:{'|'.join(_TELLING)})\b)[\w'-]+ ?){{1,6}}"
_BESIDE = r"(?:on|in|under|below|above|behind|beside|near|next to|in front of|(?:to the )?(?:left|right) of)"
_STATE = r"(?:open|closed|shut|empty|full|broken|wet|dry|dirty|clean|on|off|parked|moving|red|blue|green|black|white)"
_MASK = r"(?:segmentation |pixel )?(?:masks?|segmentations?|silhouettes?|cut-?outs?)"
_NAME = rf"(?:[a-z]+s|people|{'|'.join(sorted({*IRREGULAR_PLURALS, *UNCHANGED}))})"
_LOOK = (
    r"(?:find|detect|locate|identify|show(?: me)?|(?:keep )?(?:look|search|scan|watch)(?:ing)? for|keep an eye out for)"
)
_GIVE = r"(?:give me|show me|show|make|draw|produce|create|i need|i want|put)"
_LONG = 12  # words; in more there may be another task
_PLAIN = re.compile(
    rf"{_LOOK} {_THING}|"
    rf"(?:segment|mask(?: out)?|cut out|isolate) {_SHORT}|cut {_SHORT}out|"
    rf"(?:{_GIVE} )?(?:an? |the |all )?{_MASK} (?:of|for) {_SHORT}|"
    rf"(?:{_GIVE} )?(?:an? |the |all )?(?:bounding )?box(?:es)? (?:around|for|of) {_SHORT}|"
    rf"(?:point (?:at|to)|indicate|(?:lead|guide|direct) my (?:eyes?|gaze) to) {_SHORT}|"
    rf"(?:can you tell me |tell me )?where(?:abouts)? (?:is|are) {_SHORT}|"
    rf"(?:can you tell me|do you know|tell me) where {_SHORT}(?:is|are)|"
    rf"(?:can you tell me |tell me )?(?:what|who) (?:is|are) (?:(?:sitting|standing|lying) )?{_BESIDE} {_SHORT}|"
    rf"(?:is|are) there (?:an?|any|some|more) {_SHORT}|do you see (?:an?|any) {_SHORT}|"
    rf"(?:tell|alert|notify|warn) (?:me|us) (?:when|whenever|if|as soon as|once) (?:you see|there (?:is|are)) {_SHORT}|"
    rf"count {_SHORT}|(?:tell me )?how many {_SHORT}(?: (?:are there|there are|do you see|you see|can you see))?"
    rf"(?: {_BESIDE} {_SHORT})?|"
    rf"what colou?r (?:is|are) {_SHORT}|what is the colou?r of {_SHORT}|(?:is|are) {_SHORT}{_STATE}|"
    rf"what (?:is|are) {_SHORT}(?:doing|wearing|holding|made of)|"
    rf"which (?:one |of (?:them|these|those) )?is (?:the|my|your|that) {_SHORT}|{_NAME}(?:(?:, | and |, and ){_NAME})*"
)


_FOUND_FOR = re.compile(
    r"(?:find|detect|locate) .+ and (?:then )?(?:track|follow|segment|outline|mask|describe) (?:it|them|him|her)"
)


def is_certain(text: str, spec: TaskSpec) -> bool:
    """Whether the grammar's reading `spec` of a sentence needs no second opinion."""
    if len(spec.steps) == 1 and _said(text, _FOUND_FOR):
        return True
    parts = parts_of(text)
    if spec.restore_first and len(parts) == 2:  # the first part is how the picture is prepared
        del parts[0]
    return len(parts) == len(spec.steps) and all(map(_certain, parts, spec.steps))


def _certain(part: str, step: TaskSpec) -> bool:
    if step.task in _LENIENT:
        return _said(part, _PLAIN)
    return len(QUOTATION.sub("", part).split()) <= _LONG and "shape" not in part.lower()


def _said(text: str, pattern: re.Pattern[str]) -> bool:
    try:
        return pattern.fullmatch(clean(text).text) is not None
    except CommandError:
        return False
