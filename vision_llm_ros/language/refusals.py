"""What this package does not do, with the reason an operator deserves and something it would do instead."""

from __future__ import annotations

import re

from vision_llm_ros.errors import CommandError

_MOVE = """drive move go walk run come back reverse fly land dock undock pick grab grasp take bring fetch put place drop
    throw push pull lift open close shut press hand give carry lock unlock wash cook pour park raise lower speed
    accelerate brake steer tilt pan zoom deliver climb jump kick hold release navigate approach turn rotate spin
    wait sit stand lie reach touch hit shake wave dance knock charge refill empty load unload vacuum sweep mop cut
    feed catch chase avoid swing return head proceed explore patrol escort guide enter exit leave pass serve stack
    sort arrange wipe clean""".split()
_MAKE = """generate create paint render imagine compose synthesize synthesise invent draw sketch make add replace change
    colorize colourize color colour brighten darken lighten upscale stylize stylise crop resize convert transform
    turn edit swap animate design build film record photograph capture produce blur pixelate anonymize insert""".split()
_CHAT = """sing play translate remind call email mail text book buy order set save upload download delete shut increase
    decrease tell write send print execute run install reboot restart shutdown open schedule calculate compute solve
    sum order google browse learn remember teach train sleep wake hello thank thanks pause resume repeat like hate
    think believe love know wish hope say talk speak sing recite store export share post tweet schedule configure
    enable disable switch adjust undo redo""".split()
_REASONS = (
    (frozenset(_MOVE), "moving or handling things is not done here, only looking", "find every person"),
    (frozenset(_MAKE), "pictures are not made or edited here, only restored and understood", "clean up the picture"),
    (frozenset(_CHAT), "only requests about the picture are served", "describe the scene"),
)
ACTIONS: frozenset[str] = frozenset(_MOVE + _MAKE + _CHAT)

SERVED = (
    "Say what to look for or to find out: find, point out, outline, segment, track and count things; describe the "
    "scene; ask about what is or was seen; denoise, sharpen or turn the picture; remove a thing from it; stop"
)
_HELP = re.compile(
    r"help(?: me)?|commands|options|(?:what|which (?:things|tasks|commands)) (?:can|could|may|should) (?:you|i|we) "
    r"(?:do|say|ask|use)(?: here| for me)?|what are you able to do|how does (?:this|it) work|"
    r"how do i use (?:this|you|it)"
)
_OUT_OF_SCOPE = re.compile(
    r"\b(?:tomorrow|yesterday|tonight|next (?:week|month|year|time)|last (?:week|month|year|night)|forecast|"
    r"president|prime minister|capital of|"
    r"world cup|meaning of|how much does|price|cost|costs|how old are you|how are you|who are you|what are "
    r"you|your name|weather|stock|news|"
    r"favou?rite|your (?!left|right|view)|should i|would i|could i|shall i|joke|poem|song|password|made you|"
    r"do you (?:love|like|hate|want|think|feel|know|believe|have|remember|dream)|"
    r"are you|can you (?!see|tell|find|make out|read|recogni[sz]e|spot)|will\b|going to|in (?:\w+|\d+) "
    r"(?:seconds?|minutes?|hours?|days?|years?)|"
    r"happen next|calories|history of|invented|in (?:1|2)\d{3}|which year|what year|what day|what date|what "
    r"time|recipe)\b"
)
_METRIC = re.compile(
    r"\b(?:how (?:far|close|distant|heavy|fast|hot|cold|tall|high|deep|wide|long|thick)|distance|met(?:re|"
    r"er)s|centimet(?:re|er)s|inches|feet away|weigh\w*|temperature|in (?:m|cm|mm|km|kg))\b"
)


def offer_help(text: str) -> None:
    """Tell somebody who asks what can be said.

    Raises:
        CommandError: always for such a sentence.
    """
    if _HELP.fullmatch(text):
        raise CommandError(SERVED, "find every person", final=True)


def refuse_action(words: list[str]) -> None:
    """Refuse a sentence whose verb asks for something else than looking.

    Raises:
        CommandError: always for such a verb.
    """
    for verbs, reason, nearest in _REASONS:
        if words and words[0] in verbs:
            raise CommandError(f"{words[0]!r}: {reason}", nearest)


def refuse_question(question: str) -> None:
    """Refuse a question that no picture answers.

    Raises:
        CommandError: it is about the future, the world at large, this program, or a measure in metres.
    """
    found = _OUT_OF_SCOPE.search(question)
    if found and not re.search(r"\bclock|watch\b", question):
        raise CommandError(f"{found[0]!r}: the picture cannot answer that", "what is on the table?")
    found = _METRIC.search(question)
    if found:
        raise CommandError(f"{found[0]!r}: measures cannot be read from the picture", "where is the person?")
