"""Questions about the last seconds: "did anyone pass?", "when did you last see the dog?"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vision_llm_ros.errors import CommandError
from vision_llm_ros.language.modifiers import NUMBER, UNIT, number, seconds
from vision_llm_ros.language.patterns import compiled, first_match

MAX_PAST_S = 600.0
_NEAREST = "did anyone pass in the last 10 seconds?"
_PERIOD = re.compile(
    rf"[ ,]*\b(?:in|within|during|over|for) (?:the )?(?:last|past|previous) (?:(?P<n>{NUMBER}) ?)?{UNIT}"
    r"|[ ,]*\b(?P<recent>just now|a moment ago|(?:a )?(?:few )?(?:moments?|seconds) ago|recently|earlier|so far|"
    r"lately)\b"
)
_JUST = re.compile(r"\b(?:just|already|ever)\b")
_BY = r"(?: (?:by|past|through|along|in|out|around|here|there|up|the (?:door|camera|robot|room|scene|view)))*"
_CAME = (
    r"(?:pass(?:ed)?|c[oa]me|gone?|went|walk(?:ed)?|r[au]n|dr[io]ven?|drove|cross(?:ed)?|appear(?:ed)?|"
    r"show(?:n|ed)? up|enter(?:ed)?|arrived?|leave|left|disappear(?:ed)?|turn(?:ed)? up|"
    r"been (?:seen|visible|here|there|around))"
)
_WORD = r"(?!(?:can|could|do|does|are|is|on|see|stand)\b)[\w\ue000\ue001-]+"
_COUNTED = rf"(?P<things>{_WORD}(?:,? {_WORD})*?) ?"
_LAST = r"(?: (?:last|first))?"
_PAST = compiled(
    rf"(?:did|has|have) (?P<things>(?!you\b|we\b|i\b).+?) {_CAME}{_BY}",
    r"(?:did|have) (?:you|we) (?:see|seen|spot(?:ted)?|notice[d]?|detect(?:ed)?) (?P<things>.+?)"
    rf"(?: (?:pass|go|walk|com|mov|runn?|driv)(?:e|ing)?)?{_BY}",
    rf"how many {_COUNTED} (?:have |has )?(?:passed|came|come|went|gone|walked|crossed|entered|left|appeared)"
    rf"{_BY}",
    r"how many (?P<things>.+?) (?:did|have) (?:you|we) (?:see|seen|spot(?:ted)?|notice[d]?|count(?:ed)?)",
    rf"when did (?:you|we){_LAST} (?:see|spot|notice|detect) (?P<things>.+)",
    rf"when did (?P<things>.+?){_LAST} {_CAME}{_BY}",
    rf"when (?:was|were) (?P<things>.+?){_LAST} (?:seen|visible|here|there){_BY}",
    rf"(?P<things>who|what)(?: has| have)? {_CAME}{_BY}",
)
_WITH_PERIOD = compiled(
    r"(?:was|were) there (?P<things>.+?)(?: here)?",
    r"(?:was|were) (?P<things>(?!this\b|that\b|it\b|the picture\b).+?) (?:here|there|around|in (?:view|sight)|visible|"
    rf"seen){_BY}",
    r"how many (?P<things>.+?) (?:were|have been) (?:there|here|visible|seen)",
    r"(?P<things>who|what) (?:was|were|has been) (?:here|there|visible|in (?:view|sight)|seen)",
)
_ASKED = re.compile(
    r"(?:(?:tell|inform|remind)(?: me| us)?|say|report|let (?:me|us) know|find out|check|remember|do you (?:know|"
    r"remember)|can you (?:say|tell(?: me)?|remember)|i (?:want|would like|need) to know|i wonder),? "
    r"(?=(?:how many|when|if|whether|who|what)\b)"
)
_SAW = (
    r"(?:you|we)(?: have|'ve| had|'d)?(?: ever| already)?(?P<which> last| first)? (?:saw|seen|spotted|noticed|counted)"
)
_INDIRECT = (
    (re.compile(rf"how many (?P<things>.+?) {_SAW}"), "how many {things} did you see"),
    (re.compile(rf"when {_SAW} (?P<things>.+)"), "when did you{which} see {things}"),
    (re.compile(rf"(?:if|whether) {_SAW} (?P<things>.+)"), "have you seen {things}"),
    (
        re.compile(
            r"(?:if|whether) (?P<things>(?!you\b|we\b|i\b).+?) (?:has |have |had )?(?P<came>pass|walk|cross|enter|turn|"
            r"appear|disappear)ed(?P<rest>.*)"
        ),
        "did {things} {came}{rest}",
    ),
)


@dataclass(frozen=True)
class PastQuestion:
    """`things` as said; `question` without its period; `past_s` 0 for everything remembered."""

    things: str
    question: str
    past_s: float


def past_question(text: str) -> PastQuestion | None:
    """Read a question about the last seconds; None for other sentences.

    Raises:
        CommandError: a period that is not remembered.
    """
    found_period = _PERIOD.search(text)
    question = _JUST.sub("", f"{text[: found_period.start()]} {text[found_period.end() :]}" if found_period else text)
    question = " ".join(question.split()).strip(" ,.?")
    question = _direct(_ASKED.sub("", question, count=1))
    found = first_match((*_PAST, *_WITH_PERIOD) if found_period else _PAST, question)
    if found is None:
        return None
    return PastQuestion(found["things"], question, _past_s(found_period))


def _direct(question: str) -> str:
    """ "how many dogs you saw" as "how many dogs did you see"."""
    for pattern, form in _INDIRECT:
        if found := pattern.fullmatch(question):
            return form.format(**{key: value or "" for key, value in found.groupdict().items()})
    return question


def period_of(text: str) -> str:
    """The words of a sentence that say how far back it asks; "" if there are none."""
    found = _PERIOD.search(text.lower())
    return found[0].strip(" ,") if found else ""


def _past_s(period: re.Match[str] | None) -> float:
    if period is None or period["recent"]:
        return 0.0
    past_s = number(period["n"] or "1") * seconds(period["unit"])
    if not 0 < past_s <= MAX_PAST_S:
        raise CommandError(f"{period[0].strip(' ,')!r}: expected up to {MAX_PAST_S / 60:g} minutes", _NEAREST)
    return past_s
