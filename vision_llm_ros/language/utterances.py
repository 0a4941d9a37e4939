"""Sentences with the invocations they mean, drawn from `paraphrases`: what the routing language model learns from.

One form is never in two splits: those of `APART` are written apart, `choosing` is every twentieth learnt
form of a module, after shuffling. Things are any of the lexicon's, so that phrases are found by the sentence around
them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.interfaces import WHOLE_IMAGE, Box
from vision_llm_ros.language.invocation import REFUSED, Invocation
from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.language.paraphrases import APART, AROUND, BROAD, LEARNT, SYNONYMS, Forms, chosen, is_kept_apart
from vision_llm_ros.language.words import COCO_CLASSES, COMMON_NOUNS

SPLITS = ("learnt", "choosing", *APART)
EXAMS = ("exam", "final_exam")  # whole sentences that are not put together here
PLAN_SHARE, REFUSED_SHARE, REFUSED_IN_PLAN = 0.22, 0.3, 0.12
_EVERY = 20
_REWORDED = 0.3
_TRIES, _BROAD_WEIGHS = 5, 4
_PLANS, _REVERSED, _SLIPS = {"learnt": 0.41}, {"learnt": 0.32}, {"learnt": 0.2}  # more than to be met with
# shares of learnt plans: joined by what people say most, with a question, with one module twice, that say "it", opened
_PLAINLY, _ASKED, _TWICE, _AGAIN, _OPENED = 0.35, 0.15, 0.06, 0.15, 0.38
_JOINERS = ("and", "and", ", and", "and then", ", then", ", and then", "then", ",", ".", ";", ". Then", ", and also",
            "and also", ". Also", ". Now", ", plus", "-")  # fmt: skip
_SENTENCES = (".", ".", ".", ";", ", and", "and", ". And", ". Then", ". Also", "-")
_QUESTIONS = frozenset({"answer", "count", "describe", "ground", "match", "passed", "recall", "when"})
_PRONOUNS = {"d": ("it", "it", "it", "him", "her", "that one"), "p": ("them", "them", "those"), "m": ("them", "those")}
_OPEN, _CLOSE = "\ue010", "\ue011"  # around the instruction inside a sentence; further parts have marks of their own
_ADJECTIVES = """red blue green yellow black white small big old broken tall empty open left plastic wooden nearest
largest second dirty striped round new metal leftmost purple grey folded parked shiny""".split()
_CLAUSES = """on the table|next to the door|behind the fence|in the basket|under the chair|with the red cap|near me
on the shelf|by the window|that is lying on the floor|from yesterday|between the two boxes|wearing a hat|in the corner
on my desk|holding a phone|close to the wall|in front of the car|with a broken handle|that I gave you""".replace(
    "\n", "|"
).split("|")
_SCENES = """a dog running on a beach|two people riding bicycles|a kitchen with a white refrigerator|a man on the phone
a cat asleep on a couch|a street full of cars|an empty warehouse|children playing football|a train at a station
several boats in a harbour|a woman cutting a cake|a snowy mountain|three birds on a wire|a desk with two screens
a bedroom with a blue lamp|a forklift carrying pallets|somebody waiting for a bus|a bowl of fruit""".replace(
    "\n", "|"
).split("|")
_AGO = """in the last 10 seconds|in the past minute|recently|just now|a moment ago|in the last half minute|earlier
during the last 30 seconds|within the last 5 seconds|lately|so far|in the last two minutes""".replace("\n", "|").split(
    "|"
)
_WHERE: tuple[tuple[str, Box], ...] = (
    ("on the left", (0.0, 0.0, 0.5, 1.0)),
    ("on the left-hand side", (0.0, 0.0, 0.5, 1.0)),
    ("in the left half", (0.0, 0.0, 0.5, 1.0)),
    ("on the right", (0.5, 0.0, 1.0, 1.0)),
    ("to the right", (0.5, 0.0, 1.0, 1.0)),
    ("on the right side of the picture", (0.5, 0.0, 1.0, 1.0)),
    ("at the top", (0.0, 0.0, 1.0, 0.5)),
    ("in the upper half", (0.0, 0.0, 1.0, 0.5)),
    ("at the bottom", (0.0, 0.5, 1.0, 1.0)),
    ("in the lower part of the image", (0.0, 0.5, 1.0, 1.0)),
    ("in the upper left corner", (0.0, 0.0, 0.5, 0.5)),
    ("in the top right corner", (0.5, 0.0, 1.0, 0.5)),
    ("in the bottom left corner", (0.0, 0.5, 0.5, 1.0)),
    ("in the lower right corner", (0.5, 0.5, 1.0, 1.0)),
    ("in the middle", (0.25, 0.25, 0.75, 0.75)),
    ("in the centre", (0.25, 0.25, 0.75, 0.75)),
)
_PLACED = frozenset({"detect", "ground", "polygon", "segment", "track", "count"})
_UNSERVED = tuple(f"{REFUSED}{kind}" for kind in ("move", "make", "chat"))
_FILLERS = ("um", "uh", "like", "you know", "well", "er")
_BEGIN, _END = "\ue018", "\ue019"  # around the words of a task
_INSTRUCTION = re.compile("[\ue010\ue012\ue014].*?[\ue011\ue013\ue015]")
_MARKS = re.compile("[\ue010-\ue01f]")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Utterance:
    """A sentence and what it means.

    Attributes:
        spans: where each invocation's instruction stands in `text`, [start, end) characters; None where it has none.
        tasks: where the words of each task stand, without what only introduces, joins or ends them.
    """

    text: str
    invocations: tuple[Invocation, ...]
    spans: tuple[tuple[int, int] | None, ...]
    tasks: tuple[tuple[int, int], ...]

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(item.module for item in self.invocations)

    @property
    def refused(self) -> bool:
        return any(item.refused for item in self.invocations)


@dataclass(frozen=True)
class _Part:
    module: str
    text: str
    region: Box = WHOLE_IMAGE
    asks: bool = False

    def numbered(self, index: int) -> _Part:
        """With the marks of its place in a plan."""
        marks = {ord(mark): _mark(mark, index) for mark in (_OPEN, _CLOSE, _BEGIN, _END)}
        return replace(self, text=self.text.translate(marks))


@lru_cache(maxsize=8)
def forms(split: str) -> Forms:
    """Module, then "do" or "say", to the forms of a split.

    Raises:
        ConfigError: no such split.
    """
    if split not in SPLITS:
        raise ConfigError(f"Expected split {', '.join(SPLITS)}, got {split!r}")
    if split in APART:
        return APART[split]
    kept: Forms = {}
    for module, kinds in LEARNT.items():
        for kind, some in kinds.items():
            shuffled = random.Random(f"{module} {kind}").sample(some, len(some))
            chosen = [form for place, form in enumerate(shuffled) if (place % _EVERY == 0) == (split == "choosing")]
            kept.setdefault(module, {})[kind] = tuple(chosen)
    return kept


def utterances(split: str, count: int, seed: int = 0) -> Iterator[Utterance]:
    """Yield `count` sentences drawn by `seed`: about a fifth plans, a third refused.

    Raises:
        ConfigError: no such split.
    """
    rng = random.Random(f"{split} {seed}")
    for _ in range(count):
        yield draw(split, rng)


def draw(split: str, rng: random.Random) -> Utterance:
    """One sentence of a split."""
    plan = rng.random() < _PLANS.get(split, PLAN_SHARE)
    text, parts = _plan(split, rng) if plan else _single(split, rng)
    return _marked(_said(text, rng, _SLIPS.get(split, 0.1)), parts)


def _single(split: str, rng: random.Random) -> tuple[str, list[_Part]]:
    known = forms(split)
    refused = rng.random() < REFUSED_SHARE
    module = rng.choice([name for name in known if name.startswith(REFUSED) == refused])
    kind = rng.choice(list(known[module]))
    part = _part(split, module, kind, rng)
    text = part.text if kind == "say" else _addressed(part.text, split, rng)
    return text, [part]


def _plan(split: str, rng: random.Random) -> tuple[str, list[_Part]]:
    """Two or three tasks in one sentence; now and then one of them is not served."""
    known = [name for name, kinds in forms(split).items() if "do" in kinds and name != "stop"]
    served = [name for name in known if not name.startswith(REFUSED)]
    if split == "learnt" and rng.random() >= _REVERSED[split]:
        return _learnt_plan(served, rng)
    parts = [_part(split, name, "do", rng) for name in rng.sample(served, rng.choice((2, 2, 3)))]
    if rng.random() < REFUSED_IN_PLAN:
        parts[-1] = _part(split, rng.choice(_UNSERVED), "do", rng)
    parts = [part.numbered(index) for index, part in enumerate(parts)]
    if len(parts) == 2 and (split == "learnt" or rng.random() < 0.15):
        joined = _around("reversed", split, rng).format(a=parts[0].text, b=parts[1].text)
        return _addressed(joined, split, rng), parts
    text = parts[0].text
    for part in parts[1:]:
        text = f"{_after(text, _around('joiner', split, rng))} {part.text}"
    return _addressed(text, split, rng), parts


def _learnt_plan(served: list[str], rng: random.Random) -> tuple[str, list[_Part]]:
    """Tasks in the order in which they are said, commands and questions."""
    names = rng.sample(served, rng.choice((2, 2, 3)))
    if rng.random() < _TWICE:
        names[-1] = names[-2]
    if rng.random() < REFUSED_IN_PLAN:
        names[-1] = rng.choice(_UNSERVED)
    text = ""
    parts: list[_Part] = []
    for index, name in enumerate(names):
        asks = name in _QUESTIONS and rng.random() < _ASKED
        part = _part("learnt", name, "say" if asks else "do", rng, later=index > 0).numbered(index)
        if parts:
            text = f"{_after(text, _joint(asks or parts[-1].asks, rng))} "
        text += part.text
        parts.append(replace(part, asks=asks))
    return _addressed(text, "learnt", rng, _OPENED), parts


def _joint(asked: bool, rng: random.Random) -> str:
    """What stands between two learnt tasks, one of them a question or none."""
    if asked:
        return rng.choice(_SENTENCES)
    return rng.choice(_JOINERS) if rng.random() < _PLAINLY else _around("joiner", "learnt", rng)


def _drawn(split: str, module: str, kind: str, rng: random.Random) -> str:
    """A form of a split; broad ones more often; none that is too close to one that is written apart."""
    some, shares = _weighed(split, module, kind)
    form = rng.choices(some, shares)[0]
    if split in APART:
        return form
    for _ in range(_TRIES):
        words = chosen(form, rng)
        words = reworded(words, module, rng) if split == "learnt" else words
        if not is_kept_apart(words, module):
            return words
    return _drawn(split, module, kind, rng)


@lru_cache(maxsize=512)
def _weighed(split: str, module: str, kind: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    some = forms(split)[module][kind]
    return some, tuple(_BROAD_WEIGHS if form in BROAD or "(" in form else 1 for form in some)


def _around(kind: str, split: str, rng: random.Random) -> str:
    """Words around tasks; none of those of a split that is written apart."""
    known = AROUND[kind]
    share = split if split in known else "apart" if split in APART else "learnt"
    while True:
        words = chosen(rng.choice(known[share]), rng)
        if share != "learnt" or not any(words in some for name, some in known.items() if name != "learnt"):
            return words


def reworded(form: str, module: str, rng: random.Random) -> str:
    """A form with some of its words replaced by others of the same meaning."""
    words = form
    for pattern, choices in _synonyms(module):
        if rng.random() < _REWORDED and (found := pattern.search(words)):
            words = words[: found.start()] + rng.choice(choices) + words[found.end() :]
    return words


@lru_cache(maxsize=64)
def _synonyms(module: str) -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """Per group of a module's synonyms: what finds one of them in a form, and what may stand there instead."""
    lines = [*SYNONYMS.get(module, "").splitlines(), *SYNONYMS[""].splitlines()]
    groups = [tuple(line.split("|")) for line in lines if line]
    return tuple(
        (re.compile(rf"(?<![\w'])(?:{'|'.join(sorted(map(re.escape, some), key=len, reverse=True))})(?![\w'])"), some)
        for some in groups
    )


def _part(split: str, module: str, kind: str, rng: random.Random, later: bool = False) -> _Part:
    """A form with its slots filled; the instruction stands between marks.

    Args:
        later: in a plan, where "it" may stand for a thing.
    """
    form = _drawn(split, module, kind, rng)
    region = WHOLE_IMAGE
    if module in _PLACED and kind == "do" and "{where}" not in form and "[" not in form and rng.random() < 0.12:
        form += " {where}"
    instructed = not module.startswith(REFUSED) and "[" not in form
    if not instructed and not module.startswith(REFUSED):
        form = form.replace("[", _OPEN, 1).replace("]", _CLOSE, 1)

    def fill(found: re.Match[str]) -> str:
        nonlocal region, instructed
        if found[1] == "where":
            words, region = rng.choice(_WHERE)
            return words
        again = later and found[1] in _PRONOUNS and rng.random() < _AGAIN
        filled = rng.choice(_PRONOUNS[found[1]]) if again else _FILL[found[1]](rng)
        if instructed and found[1] in "dpma":
            instructed = False
            return f"{_OPEN}{filled}{_CLOSE}"
        return filled

    text = " ".join(_SLOT.sub(fill, form).split())
    return _Part(module, f"{_BEGIN}{text}{_END}", WHOLE_IMAGE if module.startswith(REFUSED) else region)


def _noun(rng: random.Random) -> str:
    return rng.choice(COCO_CLASSES if rng.random() < 0.3 else COMMON_NOUNS)


def _definite(rng: random.Random) -> str:
    words = [rng.choice(("the", "the", "the", "the", "my", "that", "this", "your"))]
    if rng.random() < 0.4:
        words.append(rng.choice(_ADJECTIVES))
    words.append(_noun(rng))
    if rng.random() < 0.25:
        words.append(rng.choice(_CLAUSES))
    return " ".join(words)


def _many(rng: random.Random) -> str:
    many = plural(_noun(rng))
    return f"{rng.choice(_ADJECTIVES)} {many}" if rng.random() < 0.2 else many


def _bare(rng: random.Random) -> str:
    return _listed([_many(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))])


def _quantified(rng: random.Random) -> str:
    one = rng.random() < 0.4
    if one:
        return _listed([f"{rng.choice(('every', 'each'))} {_noun(rng)}" for _ in range(rng.choice((1, 1, 2)))])
    return f"{rng.choice(('all', 'all the', 'the', 'these', 'those', 'both', 'two', 'any'))} {_bare(rng)}"


def _indefinite(rng: random.Random) -> str:
    noun = _noun(rng)
    article = "an" if noun[0] in "aeiou" else "a"
    return rng.choice((f"{article} {noun}", f"any {plural(noun)}", f"some {plural(noun)}", f"{article} {noun}"))


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


_FILL: dict[str, Callable[[random.Random], str]] = {
    "d": _definite,
    "p": _quantified,
    "m": _bare,
    "a": _indefinite,
    "scene": lambda rng: rng.choice(_SCENES),
    "ago": lambda rng: rng.choice(_AGO) if rng.random() < 0.8 else "",
}


def _after(text: str, words: str) -> str:
    return f"{text}{words}" if words[0] in ",.;:" else f"{text} {words}"


def _addressed(text: str, split: str, rng: random.Random, opened: float = 0.5) -> str:
    """With an opener and a tail, as people speak to machines.

    Args:
        opened: share of sentences with an opener.
    """
    if rng.random() < opened:
        text = f"{_around('opener', split, rng)} {text}"
    if rng.random() < 0.25:
        text = _after(text, _around("tail", split, rng))
    return text


def _said(text: str, rng: random.Random, slips: float) -> str:
    """As typed or heard: capitals, punctuation, a slip of a finger, a hesitation.

    Args:
        slips: share of sentences with one.
    """
    style = rng.random()
    if style < 0.3:
        text = re.sub(r"[?!.,;:]", "", text).lower()
    elif style < 0.5:
        text = re.sub("[a-z]", lambda found: found[0].upper(), text, count=1)
        text += "" if _MARKS.sub("", text)[-1] in "?!." else "."
    if rng.random() < slips:
        text = _slipped(text, rng)
    if rng.random() < 0.08:
        gaps = [0, *(place + 1 for place, char in enumerate(_outside(text)) if char == " ")]
        place = rng.choice(gaps)
        text = f"{text[:place]}{rng.choice(_FILLERS)} {text[place:]}"
    return text


def _outside(text: str) -> str:
    """The text with every instruction blotted out."""
    return _INSTRUCTION.sub(lambda found: "#" * len(found[0]), text)


def _slipped(text: str, rng: random.Random) -> str:
    """Two letters of a word outside the instruction swapped, or one left out."""
    words = list(re.finditer(r"[a-z]{4,}", _outside(text)))
    if not words:
        return text
    word = rng.choice(words)
    place = word.start() + rng.randrange(1, len(word[0]) - 1)
    if rng.random() < 0.5:
        return text[:place] + text[place + 1 :]
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _marked(text: str, parts: list[_Part]) -> Utterance:
    """Take the marks out and note where they stood."""
    plain = _MARKS.sub("", text)
    spans = tuple(_span(text, _mark(_OPEN, index), _mark(_CLOSE, index)) for index in range(len(parts)))
    tasks = tuple(_span(text, _mark(_BEGIN, index), _mark(_END, index)) or (0, 0) for index in range(len(parts)))
    invocations = tuple(
        Invocation(part.module, plain[slice(*span)] if span else "", part.region)
        for part, span in zip(parts, spans, strict=True)
    )
    return Utterance(plain, invocations, spans, tasks)


def _span(text: str, opening: str, closing: str) -> tuple[int, int] | None:
    """Where what two marks enclose stands once every mark is out."""
    start, end = text.find(opening), text.find(closing)
    if start < 0:
        return None
    return len(_MARKS.sub("", text[:start])), len(_MARKS.sub("", text[:end]))


def _mark(mark: str, index: int) -> str:
    """The mark of a part of a plan."""
    return chr(ord(mark) + 2 * index)
