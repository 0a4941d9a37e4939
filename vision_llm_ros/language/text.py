"""From a raw sentence to clean lower-case words: what is refused outright, politeness and contractions removed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from vision_llm_ros.errors import CommandError

MAX_CHARACTERS = 500
EXAMPLE = "find every person"
NOT_UNDERSTOOD = "Not understood"
QUOTE_OPEN, QUOTE_CLOSE = "\ue000", "\ue001"
QUOTED = rf"{QUOTE_OPEN}\d+{QUOTE_CLOSE}"

_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("\u2019\u2018\u00b4\u0060", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2013\u2014\u2010\u2011", "-"),
        **dict.fromkeys("\u00a0\t", " "),
        "\u2026": "...",
    }
)
_INVISIBLE = ("\ufe0f", "\u200d")  # parts of emoji
QUOTATION = re.compile(r'"[^"]*"')
_UNEXPECTED = re.compile(r"[{}<>\\|$;=*^~\[\]`_@#]|--|\.\./")
_DASH = re.compile(r"(?<=[a-z]) --? (?=[a-z])")
_PLURAL = re.compile(r"(?<=[a-z])\((e?s)\)")  # cup(s)
_SLASH = re.compile(r"\band/or\b|(?<=[a-z]{3})/(?=[a-z]{3})")  # cups/plates
_CODE = re.compile(
    r"\b(?:drop|alter|truncate) table\b|\bselect \S+ from \w+ where\b|\b(?:delete from|insert into|update \w+ set)\b|"
    r"\brm -|\bsudo\b|\bcurl\b|\bwget\b|https?:|\w+\(.*\)|\bimport \w+|/etc/|\bdef \w+"
)
_INJECTION = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.*\b(?:instructions?|rules?|prompts?|guidelines|commands?(?!\W*$))\b|"
    r"\b(?:system|hidden|secret) prompt\b|\byou are now\b|\bact as (?:an?|the|if|though)\b|"
    r"\bpretend (?:to be|that you|you)\b|\bjailbreak\b|\b(?:system|assistant|user):"
)
_FOREIGN = frozenset(
    """alle der und ein eine einen nach suche finde zeig mir ist wo das auf le les des une trouve tous toutes où est el
    los las una todos todas encuentra busca dónde está il gli tutti tutte trova cerca alla hitta zoek het een
    encontre os as pessoas och är di del della che per para por avec sur dans bitte nicht""".split()
) - {"as", "das", "per", "est", "las", "los", "el", "il", "di", "sur", "os"}
_CONTRACTIONS = (
    (r"\b(what|where|who|how|which|that|there|here|it|s?he)(?:'s|s(?= (?:the|a|an|my|that|this|on|in|going)\b))", r"\1 is"),  # noqa: E501
    (r"\bwheres\b", "where is"), (r"\bwhats\b", "what is"), (r"\bwhos\b", "who is"),
    (r"\b(where|what|who|they|you|we)'re\b", r"\1 are"), (r"\bcan(?:'t|not)\b", "can not"), (r"\bwon't\b", "will not"),
    (r"\b(do|does|did|is|are|was|could|would|should|has|have)n'?t\b", r"\1 not"), (r"\bi'd\b", "i would"),
    (r"\b(i|you|we|they)'ll\b", r"\1 will"), (r"\bi'?m\b", "i am"), (r"\b(i|you|we|they)'ve\b", r"\1 have"),
    (r"\blet'?s\b", "let us"), (r"\bgonna\b", "going to"), (r"\bwanna\b", "want to"), (r"\bpls\b|\bplz\b", "please"),
)  # fmt: skip
_SAID_BACK = re.compile(r"(?:\s*\([^()]+ as [^()]+\))+$")
_GREETED = r"(?:robot|computer|camera|assistant|there|buddy|mate|system)"
_PREFIX = re.compile(
    r"(?:please|kindly|and|hey|hi|hello|ok|okay|alright|well|so|now|then|um+|uh+|er+|hmm+|just|also|first|"
    r"actually|quickly|"
    rf"maybe|perhaps|(?:hey|hi|hello|ok|okay|dear) {_GREETED}|(?:robot|computer)(?! arms?\b)|{_GREETED}(?=,)|"
    r"(?:can|could|would|will) (?:you|we)(?! (?:say|see|find any)\b)|would you mind|would you be able to|"
    r"are you able to|"
    r"i (?:would )?(?:want|need|like|love)(?: for)? (?:you )?to(?! (?:see|know)\b)|you (?:should|must|need "
    r"to|have to|can)|"
    r"go ahead and|try to|try and|help me(?: to)?|do me a favou?r and|be so kind and|let us|immediately|"
    r"(?:start|begin)(?= \w+ing\b)|(?:start|begin) to|your (?:task|job) is to|make sure to|remember to)\b[ ,:.!]*"
)
_SUFFIX = re.compile(
    r"[ ,]+(?:please|kindly|thanks?(?: you)?(?: very much| a lot)?|for me|for us|if (?:you can|possible|you "
    r"please)|right away|"
    r"immediately|at once|right now|now|ok|okay|(?:will|would|could|can) you|today|asap|quickly|again|then)$|"
    r", ?(?:robot|computer|assistant|buddy|mate)$"
)


@dataclass(frozen=True)
class CleanText:
    """Lower-case words; what stood in quotes is replaced by numbered marks and kept in `quotes`."""

    text: str
    quotes: tuple[str, ...] = ()
    asked: bool = False

    def unquote(self, text: str) -> str:
        """Put the quoted words back, without the quotation marks."""
        return re.sub(rf"{QUOTE_OPEN}(\d+){QUOTE_CLOSE}", lambda mark: self.quotes[int(mark[1])], text)


def check_text(text: str) -> None:
    """Refuse what is no English sentence.

    Raises:
        CommandError: empty, too long, control characters, code, injection, another script.
    """
    if len(text) > MAX_CHARACTERS:
        raise CommandError(f"Expected at most {MAX_CHARACTERS} characters, got {len(text)}", EXAMPLE)
    if not text.strip():
        raise CommandError("Expected a sentence, got an empty text", EXAMPLE)
    for char in text:
        kind = unicodedata.category(char)
        if kind[0] == "C" and char not in ("\t", *_INVISIBLE):
            raise CommandError(f"Expected one line of plain text, got the character U+{ord(char):04X}", EXAMPLE)
        if kind[0] == "L" and not unicodedata.name(char, "").startswith(("LATIN", "FULLWIDTH LATIN")):
            raise CommandError(f"Expected English, got the letter {char!r}", EXAMPLE)
    if not any(char.isalpha() for char in text):
        raise CommandError(f"Expected words, got {text.strip()[:40]!r}", EXAMPLE)


def check_intent(lowered: str) -> None:
    """Refuse code, attempts to instruct the model behind the grammar, and other languages.

    Raises:
        CommandError: with the sign that gave it away.
    """
    found = _INJECTION.search(lowered) or _CODE.search(lowered)
    if found:
        raise CommandError(f"Expected a request about the picture, got {found[0][:60]!r}", EXAMPLE)
    found = _UNEXPECTED.search(QUOTATION.sub(" ", lowered))
    if found:
        raise CommandError(f"Expected plain words, got {found[0]!r}", EXAMPLE)
    if lowered[0] in "¿¡" or not _FOREIGN.isdisjoint(re.findall(r"[^\W\d_]+", lowered)):
        raise CommandError("Expected English; this looks like another language", EXAMPLE)


def _take_quotes(text: str) -> tuple[str, tuple[str, ...]]:
    quotes: list[str] = []

    def keep(found: re.Match[str]) -> str:
        quotes.append(" ".join(found[1].split()))
        return f" {QUOTE_OPEN}{len(quotes) - 1}{QUOTE_CLOSE} "

    text = re.sub(r'"([^"]*[^"\W][^"]*)"', keep, text)
    return re.sub(r"(?<!\S)'([^']*[^'\W][^']*)'(?=[\s?.,!:]|$)", keep, text), tuple(quotes)


def _strip_politeness(text: str) -> str:
    while True:
        stripped = text.strip(" ,.!:-?")
        found = _PREFIX.match(stripped)
        stripped = stripped[found.end() :] if found else stripped
        stripped = _SUFFIX.sub("", stripped)
        if stripped == text or not stripped:
            return stripped
        text = stripped


def says_nothing(text: str) -> bool:
    """Whether there are only politeness and fillers: "okay computer"."""
    return not re.search(rf"[^\W\d_]|{QUOTED}", _strip_politeness(text.lower().strip()))


def clean(text: str) -> CleanText:
    """Lower the case, take quotes out, spell contractions out, strip politeness and drawing signs.

    Raises:
        CommandError: the sentence is refused outright (`check_text`, `check_intent`) or says nothing.
    """
    check_text(text)
    shown = "".join(" " if unicodedata.category(c) in ("So", "Sk") or c in _INVISIBLE else c for c in text)
    lowered = unicodedata.normalize("NFKC", shown).translate(_TYPOGRAPHY).lower().strip()
    if not lowered:
        raise CommandError("Expected a sentence, got signs only", EXAMPLE)
    lowered = _SAID_BACK.sub("", lowered) or lowered
    lowered = _PLURAL.sub(r"\1", _DASH.sub(", ", lowered))
    check_intent(lowered)
    words, quotes = _take_quotes(lowered)
    words = _SLASH.sub(" and ", words)
    for pattern, replacement in _CONTRACTIONS:
        words = re.sub(pattern, replacement, words)
    words = re.sub(r"[()!]| ?:(?=\s|$)", " ", words).replace('"', " ")
    words = re.sub(r"\s+", " ", re.sub(r"(?<!\d)\.(?!\d)", " . ", words)).strip()
    stripped = _strip_politeness(words)
    if not re.search(rf"[^\W\d_]|{QUOTED}", stripped):
        raise CommandError(f"Expected a request, got {text.strip()[:40]!r}", EXAMPLE)
    return CleanText(re.sub(r"\s+", " ", stripped), quotes, lowered.rstrip(' ".').endswith("?"))
