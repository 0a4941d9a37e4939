"""Verbs at the start of a sentence, and a second command hidden behind the first."""

from __future__ import annotations

import re

from vision_llm_ros.errors import CommandError
from vision_llm_ros.language.lexicon import Lexicon, closest_spelling
from vision_llm_ros.language.refusals import ACTIONS
from vision_llm_ros.language.words import ADJECTIVES, VAGUE

VERBS = frozenset(
    """find detect locate spot identify recognise recognize look search scan watch monitor show mark point outline
    trace segment mask cut isolate separate highlight clean restore remove denoise deblur derain sharpen enhance
    improve repair fix rotate flip mirror describe caption summarise summarize tell explain count track follow keep
    stop cancel abort halt quit where what which who how alert notify warn compare check verify does indicate hunt
    extract erase inpaint report examine""".split()
)
_MISSPELT_FROM = sorted(VERBS - {"does", "what", "who", "how", "cut", "fix"})
_BASE_FORMS = dict(
    pair.split("=")
    for pair in """
    looking=look finding=find tracking=track following=follow detecting=detect searching=search watching=watch
    describing=describe segmenting=segment counting=count outlining=outline locating=locate scanning=scan
    monitoring=monitor spotting=spot checking=check marking=mark showing=show restoring=restore denoising=denoise
    captioning=caption cleaning=clean removing=remove pointing=point""".split()
)
# Words a sentence may begin with that are not misspelt verbs.
_OTHER_FIRST_WORDS = frozenset(
    """can could would will is are was were do did has have a an the all every any some i you it this that these no not
    never there one two give get put take make let whether true false yes black on in at once with without forget
    enough short brief long detailed seek pick pinpoint guard observe lock stay stick tail trail from under whose
    why when while if people name list box read tally number rate see notice whereabouts undo fill complete hello
    colour color both another several many more most less my your our her his their judge decide test measure""".split()
)
_AGAIN = re.compile(r"(?:keep|continue|go on|carry on)(?: on)? (?=\w+ing\b)")
_STEADY = re.compile(r"(?:watch|monitor|observe|guard|keep an eye|be on the lookout|alert|warn|notify)\b")

_HARMLESS_TAIL = re.compile(
    r",? (?:and |to |then )+(?:please )?"
    r"(?:tell|show|give|report|let|mark|draw|box|list|name|label|display|say|send|output|publish|return|print|point)"
    r"(?: (?:me|us|them|it|out|to|about|where|what|their|its|the|a|an|bounding|boxes|box|around|each|of|positions?|"
    r"locations?|results?|you|found|is|are|they|see|know|every|one|all|coordinates|with))+$|"
    r",? and (?:then )?(?:report|tell|list them|draw them)$"
)
_SECOND_COMMAND = re.compile(
    r"(?:,| and| \.)+ ?(?:then |afterwards |after that |also |next |finally |later )*"
    r"(?P<verb>[a-z]+) (?P<next>[\w\ue000]+)"
)
_SEQUEL = re.compile(r"\b(?:and then|afterwards|after that|and finally|and later|, then)\b")
_OBJECT_FOLLOWS = frozenset("it them the every all each".split())


def respell(text: str, lexicon: Lexicon) -> str:
    """Correct a misspelt verb at the start: "detct people" -> "detect people"."""
    first, _, rest = text.partition(" ")
    known = VERBS | ACTIONS | VAGUE | ADJECTIVES | _OTHER_FIRST_WORDS
    if not rest or len(first) < 3 or not first.isalpha() or first in known or first in _BASE_FORMS:
        return text
    if lexicon.known([first]):
        return text
    verb = closest_spelling(first, _MISSPELT_FROM)
    return f"{verb} {rest}" if verb else text


def plain_verb(text: str) -> tuple[str, bool]:
    """Reduce "keep looking for dogs" to "look for dogs"; the second value says that it is to go on and on."""
    text, again = _AGAIN.subn("", text, count=1)
    first, _, rest = text.partition(" ")
    if first in _BASE_FORMS:
        text = f"{_BASE_FORMS[first]} {rest}".strip()
    return text, bool(again or _STEADY.match(text))


def without_tail(things: str) -> str:
    """Take off what every answer does anyway: "... and tell me where they are"."""
    return _HARMLESS_TAIL.sub("", things)


def refuse_second_command(things: str, lexicon: Lexicon) -> None:
    """Refuse a list of things that runs into another request: "cups and open the door".

    Raises:
        CommandError: with the verb that begins it.
    """
    for found in _SECOND_COMMAND.finditer(f"{things} ."):
        verb, following = found["verb"], found["next"]
        alone = lexicon.known([verb]) is not None and following not in _OBJECT_FOLLOWS
        compound = lexicon.known([verb, following])
        is_noun = alone or (compound is not None and compound.words == 2)
        if verb in VERBS | ACTIONS and verb not in ADJECTIVES and not is_noun:
            _refuse_at(things, found, f"at {verb!r}")
    found_sequel = _SEQUEL.search(things)
    if found_sequel:
        _refuse_at(things, found_sequel, f"after {found_sequel[0]!r}")


def _refuse_at(things: str, found: re.Match[str], where: str) -> None:
    raise CommandError(f"Expected one command, got a second one {where}", f"find {things[: found.start()]}")
