"""What the routing language model writes: one invocation a task, of a closed set of modules.

`<module>segment</module><instruction>the red cup</instruction><region>0,0,0.5,1</region>`; an empty region means the
whole picture. Every invocation stands for a sentence that the grammar of single commands must accept, so that the
model can ask for nothing that an operator could not. Source: Vitron, section 3.2 and appendix; the paper's example
region has its corners swapped, which is refused here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import MAX_STEPS, WHOLE_IMAGE, Box
from vision_llm_ros.language.saying import REGION_NAMES

REFUSED = "refuse:"
# module -> the sentence it stands for; {} is the instruction, which modules without it have not
SENTENCES: dict[str, str] = {
    "detect": "find {}",
    "ground": "where is {}",
    "polygon": "outline {}",
    "segment": "segment {}",
    "track": "track {}",
    "count": "how many {} are there",
    "caption": "describe the scene",
    "describe": "describe {}",
    "answer": "tell me {}",
    "match": 'does the picture show "{}"',
    "recall": "have you seen {}",
    "when": "when did you last see {}",
    "passed": "how many {} did you see",
    "stop": "stop looking for {}",
    "restore": "restore the picture",
    "denoise": "denoise the picture",
    "deblur": "deblur the picture",
    "pepper": "remove the black dots from the picture",
    "derain": "remove the rain from the picture",
    "mask": "fill in the missing blocks in the picture",
    "rotate": "rotate the picture",
    "flip": "flip the picture",
    "remove": "remove {} from the picture",
}
# module -> (why it is not done, what would be)
REFUSALS: dict[str, tuple[str, str]] = {
    f"{REFUSED}move": ("moving or handling things is not done here, only looking", "find every person"),
    f"{REFUSED}make": (
        "pictures are not made here, only restored, cleared of things and understood",
        "remove the car from the picture",
    ),
    f"{REFUSED}chat": ("only requests about the picture are served", "describe the scene"),
    f"{REFUSED}unseen": ("the picture cannot answer that", "what is on the table?"),
    f"{REFUSED}unclear": ("not understood as a request about the picture", "find every person"),
}
MODULES: tuple[str, ...] = (*SENTENCES, *REFUSALS)
INSTRUCTED = frozenset(name for name, sentence in SENTENCES.items() if "{}" in sentence)
OPTIONAL = frozenset({"stop"})  # modules that do without an instruction as well
REGIONS: tuple[Box, ...] = (WHOLE_IMAGE, *REGION_NAMES)

_INVOCATION = re.compile(
    r"\s*<module>(?P<module>[^<>]*)</module>"
    r"\s*<instruction>(?P<instruction>[^<>]*)</instruction>"
    r"\s*<region>(?P<region>[^<>]*)</region>\s*"
)
QUESTION = re.compile(
    r"\b(?:what|who|whose|whom|which|how|why|where|when|whether|if|is|are|am|was|were|do|does|did|has|have|can|could|"
    r"would|will|should|may|might|isn't|aren't|(?:in|on|at|to|from|by) (?:what|which|whom|whose))\b",
    re.IGNORECASE,
)
_DETERMINERS = re.compile(r"(?:(?:the|all|every|each|any|some|of|my|your|these|those) )+", re.IGNORECASE)
ASKED = re.compile(r"^(?:(?:where|what|how|which|whether|if|when) (?:(?:is|are) )?)+(?=\w)", re.IGNORECASE)
_SEEN = re.compile(
    r",?(?: (?:did|have))? (?:you|we)(?: have|'ve)? (?:see|saw|seen|spotted|noticed|counted)$", re.IGNORECASE
)
_THERE = re.compile(r"^there (?=(?:an?|any|some|the)\b)", re.IGNORECASE)
_ANY = re.compile(r"any(?:one|body|thing|(?P<many> [a-z]+s\b))?\b", re.IGNORECASE)
_TOLD_AS_SAID = frozenset({"answer", "match"})
_PAST = frozenset({"recall", "when", "passed"})
_ANYWHERE = _PAST | {"mask"}  # done in the whole picture, wherever it is said to be needed


@dataclass(frozen=True)
class Invocation:
    """One module call.

    Attributes:
        module: one of `MODULES`.
        instruction: words of the operator's sentence; "" for modules without.
        region: xyxy, fractions 0..1 of the picture.
    """

    module: str
    instruction: str = ""
    region: Box = WHOLE_IMAGE

    def __post_init__(self) -> None:
        if self.module not in MODULES:
            raise CommandError(f"Expected a module out of {', '.join(MODULES)}, got {self.module!r}")
        if bool(self.instruction) > (self.module in INSTRUCTED):
            raise CommandError(f"Module {self.module} takes no instruction, got {self.instruction!r}")
        if self.module in INSTRUCTED - OPTIONAL and not self.instruction:
            raise CommandError(f"Module {self.module} needs an instruction, got none")
        x_min, y_min, x_max, y_max = self.region
        if not (0 <= x_min < x_max <= 1 and 0 <= y_min < y_max <= 1):
            raise CommandError(f"Expected a region xyxy within 0..1 and not empty, got {self.region}")

    @property
    def refused(self) -> bool:
        """Whether it says that something is not served."""
        return self.module.startswith(REFUSED)

    def sentence(self, period: str = "") -> str:
        """The command it stands for.

        Args:
            period: of a question about the past, e.g. "in the last 10 seconds".
        Raises:
            CommandError: it is a refusal; the reason.
        """
        if self.refused:
            raise CommandError(*REFUSALS[self.module])
        if self.module == "stop" and not self.instruction:
            return "stop"
        told = self.instruction
        if self.module not in _TOLD_AS_SAID:
            told = _THERE.sub("", ASKED.sub("", told, count=1)) or told
        if self.module in _PAST:
            told = _SEEN.sub("", told) or told
        if self.module in ("count", "passed"):
            told = _DETERMINERS.sub("", told, count=1) if _DETERMINERS.match(told) else told
        if self.module == "answer" and (found := _ANY.match(told)):
            told = f"{'are' if found['many'] else 'is'} there {told}"
        elif self.module == "answer" and not QUESTION.match(told):
            told = f"what is {told}"
        where = self._where()
        if self.module == "remove":  # what is removed from the picture lies there, not the picture
            told, where = told + where, ""
        sentence = SENTENCES[self.module].format(told.replace('"', "'"))
        if self.module in _PAST - {"when"}:
            sentence = f"{sentence} {period or 'recently'}"
        return sentence + where

    def _where(self) -> str:
        if self.region == WHOLE_IMAGE or self.module in _ANYWHERE:
            return ""
        named = REGION_NAMES.get(self.region)
        return f" {named}" if named else " in the region " + ", ".join(f"{edge:g}" for edge in self.region)


def write(invocations: tuple[Invocation, ...]) -> str:
    """Invocations as tagged text."""
    return "".join(
        f"<module>{item.module}</module><instruction>{item.instruction}</instruction><region>{_edges(item.region)}</region>"
        for item in invocations
    )


def read(text: str) -> tuple[Invocation, ...]:
    """Tagged text as invocations.

    Raises:
        CommandError: malformed tags, an unknown module, a missing or needless instruction, a reversed, empty or outer
            region, no invocation or more than `MAX_STEPS`.
    """
    invocations, place = [], 0
    while place < len(text):
        found = _INVOCATION.match(text, place)
        if found is None:
            raise CommandError(
                "Expected <module>..</module><instruction>..</instruction><region>..</region> at character "
                f"{place + 1}, got {text[place : place + 40]!r}"
            )
        invocations.append(Invocation(found["module"].strip(), found["instruction"].strip(), _box(found["region"])))
        place = found.end()
    if not 1 <= len(invocations) <= MAX_STEPS:
        raise CommandError(f"Expected 1 to {MAX_STEPS} invocations, got {len(invocations)}")
    return tuple(invocations)


def _edges(region: Box) -> str:
    return "" if region == WHOLE_IMAGE else ",".join(f"{edge:g}" for edge in region)


def _box(text: str) -> Box:
    if not text.strip():
        return WHOLE_IMAGE
    try:
        x_min, y_min, x_max, y_max = (float(part) for part in text.split(","))
    except ValueError:
        raise CommandError(f"Expected a region of four numbers x_min,y_min,x_max,y_max, got {text!r}") from None
    if not all(map(math.isfinite, (x_min, y_min, x_max, y_max))):
        raise CommandError(f"Expected a region of finite numbers, got {text!r}")
    return x_min, y_min, x_max, y_max
