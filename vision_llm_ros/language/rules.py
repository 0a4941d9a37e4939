"""One rule a task: what the words ask for, once it is known that they ask for it. Tried in the order of `Rules.all`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import WHOLE_IMAGE, Mode, Task, TaskSpec
from vision_llm_ros.language import intents
from vision_llm_ros.language.damage import GLARE, INPAINT, is_glare, restore_request
from vision_llm_ros.language.lexicon import Lexicon
from vision_llm_ros.language.modifiers import Timing, part_placed, take_points, take_region
from vision_llm_ros.language.nouns import Item, NounPhrases, everybody_named, strip_filler
from vision_llm_ros.language.past import past_question
from vision_llm_ros.language.patterns import first_match
from vision_llm_ros.language.questions import direct
from vision_llm_ros.language.refusals import refuse_question
from vision_llm_ros.language.text import CleanText
from vision_llm_ros.language.turns import turn_of
from vision_llm_ros.language.verbs import refuse_second_command, without_tail
from vision_llm_ros.language.words import VAGUE

DEFAULT_POLYGON_POINTS = 16

_TO_A_PLACE = re.compile(
    r"(?<!next)(?<!left)(?<!right)(?<!close)(?<!closer)(?<!closest)(?<!nearest)(?<!tied) to (?:the|my|a) \w+$"
)
_ANYBODY = re.compile(r"(?:any|some|every)(?:one|body)(?: else)?|who")
_ANYTHING = re.compile(r"(?:any|some)thing(?: else)?|what")
_ASKED_ABOUT = frozenset(
    """this that here there these those picture image photo scene frame view room wearing holding doing color colour
    light lights indoors outdoors inside outside day night sunny raining snowing dark bright sitting standing
    anybody anyone someone somebody nobody he she they left right kitchen bathroom bedroom office street animals
    vehicles furniture shape material""".split()
)


@dataclass(frozen=True)
class Request:
    """A sentence on its way through the grammar: the words that are left, and what was split off."""

    text: str
    source: CleanText
    timing: Timing


class Rules:
    """Every rule returns None for sentences about something else, and raises `CommandError` for those it refuses."""

    def __init__(self, lexicon: Lexicon, nouns: NounPhrases) -> None:
        self._lexicon = lexicon
        self._nouns = nouns
        self.all: tuple[Callable[[Request], TaskSpec | None], ...] = (
            self.stop, self.restore, self.match, self.caption, self.recall, self.count, self.track, self.polygon,
            self.segment, self.ground, self.detect, self.answer, self.describe_object, self.bare_list,
        )  # fmt: skip

    @property
    def after_restoring(self) -> tuple[Callable[[Request], TaskSpec | None], ...]:
        """Those of tasks that look at a picture, restored beforehand or not."""
        return self.caption, self.count, self.polygon, self.segment, self.ground, self.detect, self.answer

    def stop(self, request: Request) -> TaskSpec | None:
        found = first_match(intents.STOP, request.text)
        if found is None:
            return None
        things = found.groupdict().get("things")
        if not things or things in VAGUE:
            return TaskSpec(Task.STOP, mode=Mode.STOP)
        items = self._one_command(things, request)
        return TaskSpec(Task.STOP, _labels(items), mode=Mode.STOP, heard=_heard(items))

    def restore(self, request: Request) -> TaskSpec | None:
        wanted = restore_request(request.text)
        if wanted is None:
            return None
        kind, things = wanted
        if kind != INPAINT:
            return TaskSpec(Task.RESTORE, restore_kind=turn_of(kind, request.text))
        if not things:
            raise CommandError("Expected what to remove from the picture", "remove the car from the picture")
        if is_glare(things):
            return TaskSpec(Task.RESTORE, (GLARE,), things, restore_kind=kind)
        items = self._nouns.items(things, request.source)
        phrase = request.source.unquote(everybody_named(things))
        return TaskSpec(Task.RESTORE, _labels(items), phrase, restore_kind=kind, heard=_heard(items))

    def match(self, request: Request) -> TaskSpec | None:
        found = first_match(intents.MATCH, request.text)
        if found is None:
            return None
        caption = request.source.unquote(found["caption"]).strip(" ,.:?")
        if caption in VAGUE or not re.search(r"[a-z]{2}", caption):
            raise CommandError("Expected a description to compare the picture with", "does this show a dog on a beach?")
        refuse_question(caption)
        return TaskSpec(Task.MATCH, phrase=caption)

    def caption(self, request: Request) -> TaskSpec | None:
        text, length = _take_length(request.text)
        if first_match(intents.CAPTION, text) is None and first_match(intents.CAPTION, request.text) is None:
            return None
        return TaskSpec(Task.CAPTION, caption_length=length)

    def describe_object(self, request: Request) -> TaskSpec | None:
        text, region = take_region(part_placed(request.text))
        text, length = _take_length(text)
        found = intents.DESCRIBE_OBJECT.fullmatch(text)
        if found is None or (not found["things"] and region == WHOLE_IMAGE):
            return None
        if not found["things"] or (region != WHOLE_IMAGE and intents.EVERYTHING_THERE.fullmatch(found["things"])):
            return TaskSpec(Task.CAPTION, region=region, caption_length=length)
        item, *more = self._one_command(found["things"], request)
        if more:
            raise CommandError("Expected one thing to describe", f"describe the {item.label}")
        return TaskSpec(Task.CAPTION, phrase=item.label, region=region, caption_length=length, heard=_heard((item,)))

    def recall(self, request: Request) -> TaskSpec | None:
        asked = past_question(request.text)
        if asked is None:
            return None
        if request.timing.continuous:
            raise CommandError("Expected a question about the past once, got again and again", "did anyone pass?")
        things = _ANYBODY.sub("people", _ANYTHING.sub("everything", asked.things))
        items = self._nouns.items(things, request.source)
        question = request.source.unquote(asked.question) + "?"
        return TaskSpec(Task.RECALL, _labels(items), question, past_s=asked.past_s, heard=_heard(items))

    def count(self, request: Request) -> TaskSpec | None:
        found = first_match(intents.HOW_MANY, request.text)
        if found is None:
            return None
        refuse_question(request.text)
        counted = re.sub(intents.EXISTENCE, "", found["things"] or "")
        counted = everybody_named(strip_filler(re.sub(r"\s+", " ", counted).strip()))
        self._nouns.items(take_region(counted)[0], request.source)
        _, how_many, rest = request.text.partition("how many")
        question = direct(how_many + rest) if how_many else f"how many {_bare(counted)} are there"
        return TaskSpec(Task.ANSWER, phrase=request.source.unquote(question) + "?")

    def track(self, request: Request) -> TaskSpec | None:
        found = first_match(intents.TRACK, request.text)
        if found is None or not found.groupdict().get("things"):
            return None
        if request.timing.once:
            raise CommandError("Expected tracking to go on from frame to frame, got once", "find the person")
        if re.match(r"(?:me|us)\b", found["things"]) or _TO_A_PLACE.search(found["things"]):
            raise CommandError(
                "moving after somebody is not done here: only the picture is followed", "track the person"
            )
        return self._listed(Task.TRACK, found["things"], request)

    def polygon(self, request: Request) -> TaskSpec | None:
        boxed = intents.BOXED.fullmatch(request.text)
        if boxed:
            return self._sought(boxed["things"], request)
        text, points = take_points(request.text)
        found = first_match(intents.POLYGON, text)
        if found is None and points is not None:
            found = (
                first_match(intents.SEGMENT, text)
                or first_match(intents.DETECT, text)
                or first_match(intents.GROUND, text)
            )
            if found is None:
                raise CommandError(
                    f"Expected what to outline with {points} points", f"outline every chair with {points} points"
                )
        if found is None:
            return None
        spec = self._listed(Task.POLYGON, found["things"] or "", request)
        return replace(spec, num_points=points or DEFAULT_POLYGON_POINTS)

    def segment(self, request: Request) -> TaskSpec | None:
        found = first_match(intents.SEGMENT, request.text)
        if found is None:
            return None
        things, _ = take_region(without_tail(found["things"]))
        spec = self._listed(Task.SEGMENT, found["things"], request)
        return replace(spec, phrase=request.source.unquote(everybody_named(strip_filler(things))))

    def ground(self, request: Request) -> TaskSpec | None:
        found = first_match(intents.GROUND, request.text)
        if found is None or not found["things"] or intents.TAKEN.fullmatch(request.text):
            return None
        if intents.TURNED_TO.fullmatch(request.text):
            return None
        things = re.sub(r"^(?:is|are|was) ", "", found["things"])
        things = re.sub(r" (?:is|are|was|were)(?: (?:located|now|standing|sitting))*$", "", things)
        if re.match(r"(?:i|you|we|he|she|they) ", things) or re.match(r"where (?:will|would|should)", request.text):
            raise CommandError(f"Expected a visible thing, got {things!r}", "where is the red cup?")
        return self._sought(things, request, asked_where=True)

    def detect(self, request: Request) -> TaskSpec | None:
        found = first_match(intents.DETECT, request.text)
        if found is None or not found["things"]:
            return None
        return self._sought(found["things"], request)

    def answer(self, request: Request) -> TaskSpec | None:
        found = first_match(intents.ANSWER, request.text)
        if found is None:
            return None
        question = direct(found["question"])
        if "?" in question:
            raise CommandError(f"Expected one question, got {question!r}", question.split("?")[0])
        refuse_question(question)
        words = re.findall(r"[\w'-]+", question)
        visible = any(self._lexicon.known([word]) or word in _ASKED_ABOUT for word in words[1:]) or "\ue000" in question
        if len(words) < 3 or not (visible or self._lexicon.trusts):
            raise CommandError(f"{question!r} names nothing visible to ask about", "what is on the table?")
        return TaskSpec(Task.ANSWER, phrase=request.source.unquote(question).strip(" ,.?") + "?")

    def bare_list(self, request: Request) -> TaskSpec | None:
        things, _ = take_region(request.text)
        return self._sought(request.text, request) if self._nouns.is_list(things) else None

    # --- shared ---------------------------------------------------------------------------------------------------

    def _one_command(self, things: str, request: Request) -> tuple[Item, ...]:
        """Understand a list of things after making sure that no second command follows it."""
        things = without_tail(things)
        refuse_second_command(things, self._lexicon)
        return self._nouns.items(things, request.source)

    def _listed(self, task: Task, things: str, request: Request) -> TaskSpec:
        things, region = take_region(things)
        items = self._one_command(things, request)
        return TaskSpec(task, _labels(items), region=region, max_objects=_most(items), heard=_heard(items))

    def _sought(self, things: str, request: Request, asked_where: bool = False) -> TaskSpec:
        """Decide between one referred thing (ground) and classes (detect)."""
        things, region = take_region(things)
        items = self._one_command(things, request)
        item = items[0]
        single = len(items) == 1 and not item.plural and item.count <= 1
        referred = asked_where or (item.definite and (not item.plain or region != WHOLE_IMAGE))
        if single and referred and not (request.timing.continuous and item.plain):
            return TaskSpec(Task.GROUND, _labels(items), item.label, region=region, max_objects=1, heard=_heard(items))
        return TaskSpec(Task.DETECT, _labels(items), region=region, max_objects=_most(items), heard=_heard(items))


def _labels(items: tuple[Item, ...]) -> tuple[str, ...]:
    return tuple(item.label for item in items)


def _heard(items: tuple[Item, ...]) -> tuple[str, ...]:
    return tuple(item.heard for item in items if item.heard)


def _most(items: tuple[Item, ...]) -> int:
    """Most objects to report: "the dog" 1, "two dogs" 2, no limit for lists and plurals."""
    if len(items) != 1:
        return 0
    item = items[0]
    return item.count or int(item.definite and not item.plural)


def _bare(things: str) -> str:
    return re.sub(r"^(?:(?:all|the|every|each|any|of|my|your|these|those) )+", "", things)


def _take_length(text: str) -> tuple[str, str]:
    """Split "briefly" or "in detail" off: (text, "short" | "long" | "")."""
    short, long = intents.CAPTION_SHORT.search(text), intents.CAPTION_LONG.search(text)
    if short and long:
        raise CommandError("Expected a short or a long description, got both", "describe the scene briefly")
    found = short or long
    if found is None:
        return text, ""
    kept = found[0] if found[0].startswith("summar") else ""
    rest = " ".join(f"{text[: found.start()]} {kept} {text[found.end() :]}".split()).strip(" ,")
    return rest, "short" if short else "long"
