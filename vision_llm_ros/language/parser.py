"""Deterministic grammar: one English sentence to one `TaskSpec`, or a refusal that says why and what would be accepted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from vision_llm_ros.errors import CommandError, VisionLLMError
from vision_llm_ros.interfaces import WHOLE_IMAGE, Mode, Task, TaskSpec, TextSimilarity
from vision_llm_ros.language import intents
from vision_llm_ros.language.instructions import is_instruction, parse_instruction
from vision_llm_ros.language.lexicon import Lexicon, closest_spelling
from vision_llm_ros.language.modifiers import Timing, region_last, take_points, take_region, take_timing
from vision_llm_ros.language.nouns import Item, NounPhrases, strip_filler
from vision_llm_ros.language.refusals import ACTIONS, refuse_action, refuse_question
from vision_llm_ros.language.text import EXAMPLE, CleanText, clean
from vision_llm_ros.language.words import ADJECTIVES, VAGUE

DEFAULT_POLYGON_POINTS = 16

_VERBS = frozenset(
    """find detect locate spot identify recognise recognize look search scan watch monitor show mark point outline trace segment mask cut
    isolate separate highlight clean restore remove denoise deblur derain sharpen enhance improve repair fix rotate
    flip mirror describe
    caption summarise summarize tell explain count track follow keep stop cancel abort halt quit where what which who
    how alert notify
    warn compare check verify does describe indicate hunt extract erase inpaint report examine""".split()
)
_MISSPELT_FROM = sorted(_VERBS - {"does", "what", "who", "how", "cut", "fix"})
_GERUND = {"look": "looking", "find": "finding", "track": "tracking", "follow": "following", "detect": "detecting",
           "search": "searching", "watch": "watching", "describe": "describing", "segment": "segmenting", "count": "counting",
           "outline": "outlining", "locate": "locating", "scan": "scanning", "monitor": "monitoring", "spot": "spotting",
           "check": "checking", "mark": "marking", "show": "showing", "restore": "restoring", "denoise": "denoising",
           "caption": "captioning", "clean": "cleaning", "remove": "removing", "point": "pointing"}  # fmt: skip
_BASE = {gerund: verb for verb, gerund in _GERUND.items()}
_AGAIN = re.compile(r"(?:keep|continue|go on|carry on)(?: on)? (?=\w+ing\b)")
_BENIGN_TAIL = re.compile(
    r",? (?:and |to |then )+(?:please )?(?:tell|show|give|report|let|mark|draw|box|list|name|label|display|"
    r"say|send|output|publish|return|print|point)"
    r"(?: (?:me|us|them|it|out|to|about|where|what|their|its|the|a|an|bounding|boxes|box|around|each|of|"
    r"positions?|locations?|results?|you|found|is|are|they|see|know|"
    r"every|one|all|coordinates|with))+$|,? and (?:then )?(?:report|tell|list them|draw them)$"
)
_SECOND_COMMAND = re.compile(
    r"(?:,| and| \.|;)+ ?(?:then |afterwards |after that |also |next |finally |later )*(?P<verb>[a-z]+)(?= "
    r"(?P<next>[\w\ue000]+))"
)
_TO_A_PLACE = re.compile(
    r"(?<!next)(?<!left)(?<!right)(?<!close)(?<!closer)(?<!closest)(?<!nearest)(?<!tied) to (?:the|my|a) \w+$"
)
_SEQUEL = re.compile(r"\b(?:and then|afterwards|after that|and finally|and later|, then)\b")
_QUESTION_NOUN = frozenset(
    """this that here there these those picture image photo scene frame view room wearing holding doing color colour light lights indoors
    outdoors inside outside day night sunny raining snowing dark bright sitting standing anybody anyone someone
    somebody nobody he she they
    left right kitchen bathroom bedroom office street animals vehicles furniture shape material""".split()
)


@dataclass(frozen=True)
class _Request:
    """A sentence on its way through the grammar: the words that are left, and what was split off."""

    text: str
    source: CleanText
    timing: Timing
    whole: str


class CommandParser:
    """Turns sentences into task specifications. Stateless but for remembered words; safe to share."""

    def __init__(self, similarity: TextSimilarity | None = None) -> None:
        """Take the encoder that judges unlisted nouns; None leaves them to spelling and quotes."""
        self._lexicon = Lexicon(similarity)
        self._nouns = NounPhrases(self._lexicon)
        self._rules: tuple[Callable[[_Request], TaskSpec | None], ...] = (
            self._stop, self._restore, self._match, self._caption, self._count, self._track, self._polygon,
            self._segment, self._ground, self._detect, self._answer, self._describe_object, self._bare_list,
        )  # fmt: skip

    def warm_up(self) -> None:
        """Prepare what the first unlisted noun would otherwise wait for."""
        self._lexicon.warm_up()

    def parse(self, text: str) -> TaskSpec:
        """Understand one sentence.

        Raises:
            CommandError: not understood, ambiguous or not served; the message says why, `nearest` what would be accepted.
        """
        if is_instruction(text):
            return parse_instruction(text)
        try:
            return self._parse(clean(text))
        except VisionLLMError as error:
            nearest = error.nearest if isinstance(error, CommandError) else ""
            raise CommandError(str(error), nearest if self._accepts(nearest) else EXAMPLE) from None

    def _accepts(self, text: str) -> bool:
        try:
            self._parse(clean(text))
        except VisionLLMError:
            return False
        return True

    def _parse(self, source: CleanText) -> TaskSpec:
        whole = self._respell(source.text)
        text, timing = take_timing(whole)
        text, again = _AGAIN.subn("", text, count=1)
        text = self._ungerund(region_last(text))
        if again or re.match(
            r"(?:watch|monitor|observe|guard|keep an eye|be on the lookout|alert|warn|notify)\b", text
        ):
            timing = replace(timing, continuous=not timing.once)
        if not text:
            raise CommandError(f"Expected what to do {whole}", "find every person continuously")
        request = _Request(text, source, timing, whole)
        for rule in self._rules:
            spec = rule(request)
            if spec is not None:
                return self._timed(spec, timing)
        raise self._not_understood(request)

    # --- words ---------------------------------------------------------------------------------------------------

    def _respell(self, text: str) -> str:
        first, _, rest = text.partition(" ")
        if first in _VERBS | ACTIONS | VAGUE | ADJECTIVES or len(first) < 3 or not first.isalpha() or not rest:
            return text
        if first in _BASE or self._lexicon.known([first]) or first in intents_first_words():
            return text
        verb = closest_spelling(first, _MISSPELT_FROM)
        return f"{verb} {rest}" if verb else text

    def _ungerund(self, text: str) -> str:
        first, _, rest = text.partition(" ")
        return f"{_BASE[first]} {rest}".strip() if first in _BASE else text

    def _timed(self, spec: TaskSpec, timing: Timing) -> TaskSpec:
        if spec.task is Task.STOP:
            return spec
        tracked = spec.task is Task.TRACK and not timing.once
        mode = Mode.CONTINUOUS if timing.continuous or tracked else Mode.ONCE
        return replace(spec, mode=mode, rate_hz=timing.rate_hz, time_to_live_s=timing.time_to_live_s)

    def _not_understood(self, request: _Request) -> CommandError:
        text = strip_filler(request.text)
        words = text.split()
        refuse_action(words)
        if words and words[0] in _VERBS and len(words) == 1:
            return CommandError(
                f"Expected what to {words[0]}",
                f"{words[0]} every person" if words[0] != "watch" else "watch for people",
            )
        try:
            item = self._nouns.items(text, request.source)[0]
        except CommandError:
            return CommandError(f"Not understood: {request.whole[:80]!r}", "find every person")
        determiner = "the" if item.definite or not item.plain else "every"
        return CommandError(f"Expected what to do with {text[:80]!r}", f"find {determiner} {item.label}")

    # --- rules, in order ------------------------------------------------------------------------------------------

    def _stop(self, request: _Request) -> TaskSpec | None:
        found = _first(intents.STOP, request.text)
        if found is None:
            return None
        things = found.groupdict().get("things")
        if not things or things in VAGUE:
            return TaskSpec(Task.STOP, mode=Mode.STOP)
        items = self._nouns.items(things, request.source)
        return TaskSpec(Task.STOP, _labels(items), mode=Mode.STOP, heard=_heard(items))

    def _restore(self, request: _Request) -> TaskSpec | None:
        kinds = {}
        for kind, pattern in intents.RESTORE:
            found = pattern.fullmatch(request.text)
            if found:
                kinds[kind] = found.groupdict().get("things") or ""
                break
        if not kinds:
            return self._restore_several(request)
        ((kind, things),) = kinds.items()
        if kind != "inpaint":
            return TaskSpec(Task.RESTORE, restore_kind=kind)
        if not things:
            raise CommandError("Expected what to remove from the picture", "remove the car from the picture")
        items = self._nouns.items(things, request.source)
        return TaskSpec(
            Task.RESTORE,
            _labels(items),
            phrase=request.source.unquote(things.strip()),
            restore_kind=kind,
            heard=_heard(items),
        )

    def _restore_several(self, request: _Request) -> TaskSpec | None:
        """Understand "the picture is noisy and blurry", "remove the rain and the noise": the estimator chooses."""
        parts = re.split(r",? and (?:then )?(?:also )?|, ", request.text)
        if len(parts) < 2:
            return None
        first = parts[0]
        verb = first.split()[0]
        subject = re.match(r"(.+ (?:is|looks|seems|are))\b", first)
        heads = (verb, subject[1]) if subject else (verb,)
        for part in parts:
            tries = (part, *(f"{head} {part}" for head in heads))
            if not any(
                pattern.fullmatch(text) for text in tries for kind, pattern in intents.RESTORE if kind != "inpaint"
            ):
                return None
        return TaskSpec(Task.RESTORE)

    def _match(self, request: _Request) -> TaskSpec | None:
        found = _first(intents.MATCH, request.text)
        if found is None:
            return None
        caption = request.source.unquote(found["caption"]).strip(" ,.:?")
        if caption in VAGUE or not re.search(r"[a-z]{2}", caption):
            raise CommandError("Expected a description to compare the picture with", "does this show a dog on a beach?")
        refuse_question(caption)
        return TaskSpec(Task.MATCH, phrase=caption)

    def _caption(self, request: _Request) -> TaskSpec | None:
        short, long = intents.CAPTION_SHORT.search(request.text), intents.CAPTION_LONG.search(request.text)
        if short and long:
            raise CommandError("Expected a short or a long description, got both", "describe the scene briefly")
        text = request.text
        for pattern in (intents.CAPTION_SHORT, intents.CAPTION_LONG):
            found = pattern.search(text)
            if found:
                word = (
                    "summary"
                    if found[0].startswith("summary")
                    else "summarise"
                    if found[0].startswith("summar")
                    else ""
                )
                text = " ".join(f"{text[: found.start()]} {word} {text[found.end() :]}".split())
        text = re.sub(r"^(a|an|the) (?=it$)", "", text).strip(" ,")
        if _first(intents.CAPTION, text) is None and _first(intents.CAPTION, request.text) is None:
            return None
        return TaskSpec(Task.CAPTION, caption_length="short" if short else "long" if long else "")

    def _describe_object(self, request: _Request) -> TaskSpec | None:
        text, region = take_region(request.text)
        length = "short" if intents.CAPTION_SHORT.search(text) else "long" if intents.CAPTION_LONG.search(text) else ""
        text = intents.CAPTION_LONG.sub("", intents.CAPTION_SHORT.sub("", text)).strip()
        found = intents.DESCRIBE_OBJECT.fullmatch(re.sub(r"\s+", " ", text))
        if found is None or (not found["things"] and region == WHOLE_IMAGE):
            return None
        if not found["things"]:
            return TaskSpec(Task.CAPTION, region=region, caption_length=length)
        item, *more = self._one_command(found["things"], request)
        if more:
            raise CommandError("Expected one thing to describe", f"describe the {item.label}")
        return TaskSpec(Task.CAPTION, phrase=item.label, region=region, caption_length=length, heard=_heard((item,)))

    def _count(self, request: _Request) -> TaskSpec | None:
        found = _first(intents.HOW_MANY, request.text)
        if found is None:
            return None
        things = strip_filler(
            re.sub(
                r"\b(?:are|is) (?:there|visible)\b|\b(?:do|can) you (?:see|count|find|spot)\b",
                " ",
                found["things"] or "",
            )
        )
        things = re.sub(r"\s+", " ", re.sub(r"\bare\b", " ", things)).strip()
        refuse_question(request.text)
        self._nouns.items(take_region(things)[0], request.source)
        question = (
            request.text[request.text.index("how many") :]
            if "how many" in request.text
            else f"how many {_bare(things)} are there"
        )
        return TaskSpec(
            Task.ANSWER, phrase=request.source.unquote(re.sub(r" there are$| there is$", " are there", question)) + "?"
        )

    def _track(self, request: _Request) -> TaskSpec | None:
        found = _first(intents.TRACK, request.text)
        if found is None or not found.groupdict().get("things"):
            return None
        if request.timing.once:
            raise CommandError("Expected tracking to go on from frame to frame, got once", "find the person")
        if re.match(r"(?:me|us)\b", found["things"]) or _TO_A_PLACE.search(found["things"]):
            raise CommandError(
                "moving after somebody is not done here: only the picture is followed", "track the person"
            )
        return self._listed(Task.TRACK, found["things"], request)

    def _polygon(self, request: _Request) -> TaskSpec | None:
        boxed = intents.BOXED.fullmatch(request.text)
        if boxed:
            return self._sought(boxed["things"], request)
        text, points = take_points(request.text)
        found = _first(intents.POLYGON, text)
        if found is None and points is not None:
            found = _first(intents.SEGMENT, text) or _first(intents.DETECT, text) or _first(intents.GROUND, text)
            if found is None:
                raise CommandError(
                    f"Expected what to outline with {points} points", f"outline every chair with {points} points"
                )
        if found is None:
            return None
        spec = self._listed(Task.POLYGON, found["things"] or "", request)
        return replace(spec, num_points=points or DEFAULT_POLYGON_POINTS)

    def _segment(self, request: _Request) -> TaskSpec | None:
        found = _first(intents.SEGMENT, request.text)
        if found is None:
            return None
        things, _ = take_region(_BENIGN_TAIL.sub("", found["things"]))
        spec = self._listed(Task.SEGMENT, found["things"], request)
        return replace(spec, phrase=request.source.unquote(strip_filler(things)))

    def _ground(self, request: _Request) -> TaskSpec | None:
        found = _first(intents.GROUND, request.text)
        if found is None or not found["things"] or intents.TAKEN.fullmatch(request.text):
            return None
        things = re.sub(r"^(?:is|are|was) ", "", found["things"])
        things = re.sub(r" (?:is|are|was|were)(?: (?:located|now|standing|sitting))*$", "", things)
        if re.match(r"(?:i|you|we|he|she|they) ", things) or re.match(r"where (?:will|would|should)", request.text):
            raise CommandError(f"Expected a visible thing, got {things!r}", "where is the red cup?")
        return self._sought(things, request, asked_where=True)

    def _detect(self, request: _Request) -> TaskSpec | None:
        found = _first(intents.DETECT, request.text)
        if found is None or not found["things"]:
            return None
        return self._sought(found["things"], request)

    def _answer(self, request: _Request) -> TaskSpec | None:
        found = _first(intents.ANSWER, request.text)
        if found is None:
            return None
        question = re.sub(r"^(?:if|whether) (.+?) (is|are) (?!there)", r"\2 \1 ", found["question"])
        question = re.sub(r"^(?:if|whether) there (is|are)\b", r"\1 there", question)
        if "?" in question:
            raise CommandError(f"Expected one question, got {question!r}", question.split("?")[0])
        refuse_question(question)
        words = re.findall(r"[\w'-]+", question)
        visible = (
            any(self._lexicon.known([word]) or word in _QUESTION_NOUN for word in words[1:]) or "\ue000" in question
        )
        if len(words) < 3 or not visible:
            raise CommandError(f"{question!r} names nothing visible to ask about", "what is on the table?")
        return TaskSpec(Task.ANSWER, phrase=request.source.unquote(question).strip(" ,.?") + "?")

    def _bare_list(self, request: _Request) -> TaskSpec | None:
        things, _ = take_region(request.text)
        return self._sought(request.text, request) if self._nouns.is_list(things) else None

    # --- shared ---------------------------------------------------------------------------------------------------

    def _one_command(self, things: str, request: _Request) -> tuple[Item, ...]:
        """Understand a list of things after making sure that no second command follows it."""
        things = _BENIGN_TAIL.sub("", things)
        for found in _SECOND_COMMAND.finditer(f"{things} "):
            verb, following = found["verb"], found["next"]
            is_noun = self._lexicon.known([verb]) is not None and following not in {
                "it",
                "them",
                "the",
                "every",
                "all",
                "each",
            }
            is_noun |= self._lexicon.known([verb, following]) not in (None, self._lexicon.known([following]))
            if verb in _VERBS | ACTIONS and not is_noun and verb not in ADJECTIVES:
                raise CommandError(
                    f"Expected one command, got a second one at {verb!r}", f"find {things[: found.start()]}"
                )
        found_sequel = _SEQUEL.search(things)
        if found_sequel:
            raise CommandError(
                f"Expected one command, got a second one after {found_sequel[0]!r}",
                f"find {things[: found_sequel.start()]}",
            )
        return self._nouns.items(things, request.source)

    def _listed(self, task: Task, things: str, request: _Request) -> TaskSpec:
        things, region = take_region(things)
        items = self._one_command(things, request)
        return TaskSpec(task, _labels(items), region=region, max_objects=_most(items), heard=_heard(items))

    def _sought(self, things: str, request: _Request, asked_where: bool = False) -> TaskSpec:
        """Decide between one referred thing (ground) and classes (detect)."""
        things, region = take_region(things)
        items = self._one_command(things, request)
        item = items[0]
        single = len(items) == 1 and not item.plural and item.count <= 1
        referred = asked_where or (item.definite and (not item.plain or region != WHOLE_IMAGE))
        if single and referred and not (request.timing.continuous and item.plain):
            return TaskSpec(Task.GROUND, _labels(items), item.label, region=region, max_objects=1, heard=_heard(items))
        return TaskSpec(Task.DETECT, _labels(items), region=region, max_objects=_most(items), heard=_heard(items))


def intents_first_words() -> frozenset[str]:
    """Words a sentence may start with that are no misspelt verbs."""
    return _FIRST_WORDS


_FIRST_WORDS = frozenset(
    """can could would will is are was were do did has have a an the all every any some i you it this that these no not never there
    one two give get put take make let whether true false yes black on in at once with without forget enough short
    brief long
    detailed seek hunt pick pinpoint guard observe lock stay stick tail trail from under which whose why when while
    if people
    search name list box read tally number count report see notice any whereabouts wherabouts undo fill complete
    hello colour
    color both another several many more most less my your our her his their number rate judge decide test
    measure""".split()
)


def _first(patterns: tuple[re.Pattern[str], ...], text: str) -> re.Match[str] | None:
    """Return the first pattern that covers the whole sentence."""
    return next((found for pattern in patterns if (found := pattern.fullmatch(text))), None)


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
