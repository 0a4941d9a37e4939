"""The language model as router: it reads a sentence once and decides which modules are called, with what, and where.

Every token of the sentence is told apart (outside a task, its first word, a word of it, a word of its instruction),
which divides the sentence into invocations. For each the module, of a closed set, is decided from the mean state of
its words and from the text encoder's vector of them; the region, of a closed set too, from the former. An
instruction is a run of the sentence's own words, so that none is ever invented.

Departs from Vitron, whose language model writes the tagged text token by token: the same text is put together from
these decisions, in one pass, and cannot be anything that the grammar of `language.invocation` does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from vision_llm_ros.config import RouterConfig
from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import MAX_STEPS
from vision_llm_ros.language.invocation import INSTRUCTED, MODULES, OPTIONAL, REFUSED, REGIONS, Invocation
from vision_llm_ros.language.plain_things import completed, without_things
from vision_llm_ros.model.llm import LanguageModel

ADAPTER = "router"
TARGETS = ("q_proj", "v_proj")
IGNORED = -100
OUTSIDE, FIRST, WITHIN, FIRST_TOLD, TOLD = range(5)  # what a token is; "told" are words of an instruction
_TAGS = 5
_LOOKAHEAD = 3  # a causal model tells a token by those behind it too
_WHITE = " ,.;:!?"
_TOLD_BIAS = 1.0  # added to the log odds of words of an instruction, by the phrasings to choose by: it is rather long
_TOLD_SENTENCES = frozenset({"answer", "match", "stop"})  # whose instructions need not name a thing
_IDLE = (f"{REFUSED}unclear", f"{REFUSED}chat")
Encode = Callable[[tuple[str, ...]], Tensor]


@dataclass(frozen=True)
class Decision:
    """One invocation as decided.

    Attributes:
        words: first and last token of the task.
        told: first and last token of its instruction; None for none.
        confidence: probability of its choices together, 0..1.
    """

    module: int
    words: tuple[int, int]
    told: tuple[int, int] | None
    region: int
    confidence: float


class Router(nn.Module):
    """Heads around the shared language model; the adapter is the language model's own."""

    def __init__(self, config: RouterConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.opening = nn.Parameter(torch.zeros(1, width))
        self.tags = nn.Linear(_LOOKAHEAD * width, _TAGS)
        self.seen = nn.Linear(width, config.hidden_width)
        self.meant = nn.Linear(config.meaning_width, config.hidden_width, bias=False)
        self.module = nn.Linear(config.hidden_width, len(MODULES))
        self.region = nn.Linear(width, len(REGIONS))
        self.later = nn.Linear(width, 1)

    @torch.no_grad()
    def start_from(self, llm: LanguageModel) -> None:
        """Begin the opening token as its words' mean; what the text encoder says begins unheard."""
        ids = torch.tensor(llm.tokenizer(" route the request", add_special_tokens=False)["input_ids"])
        self.opening.copy_(llm.embed_text(ids.to(llm.base.embed_tokens.weight.device)).mean(0, keepdim=True))
        self.meant.weight.zero_()

    def forward(self, llm: LanguageModel, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Read sentences; the language model must be `using` the router's adapter.

        Args:
            ids: int[B, T] words, padded on the right.
            lengths: int[B].
        Returns:
            states float[B, T, D] and logits of what each token is, float[B, T, 5]; arbitrary where there is padding.
        """
        opening = self.opening.expand(len(ids), 1, -1)
        embeds = torch.cat([opening, llm.embed_text(ids)], 1)
        place = torch.arange(embeds.shape[1], device=ids.device)
        attend = (place[:, None] >= place)[None].expand(len(ids), -1, -1)
        states, _ = llm.run(embeds, place.expand(len(ids), -1), attend)
        states = states[:, 1:] * (place[1:] <= lengths[:, None]).unsqueeze(-1)
        ahead = [states.roll(-shift, 1) for shift in range(_LOOKAHEAD)]
        for shift, some in enumerate(ahead):
            some[:, some.shape[1] - shift :] = 0
        return states, self.tags(torch.cat(ahead, -1))

    def modules_of(self, means: Tensor, meaning: Tensor | None = None) -> Tensor:
        """Logits float[..., modules] of the mean states float[..., D] of tasks.

        Args:
            meaning: float[..., M], the text encoder's vectors of the tasks' words without their things.
        """
        hidden = self.seen(means)
        if meaning is not None:
            # vectors of unit length are faint beside the states
            hidden = hidden + self.meant(meaning * self.config.meaning_width**0.5)
        return self.module(gelu(hidden))  # type: ignore[no-any-return]

    def read(self, llm: LanguageModel, text: str, encode: Encode | None = None) -> tuple[tuple[Invocation, ...], float]:
        """One sentence to its invocations and the probability of all choices together, 0..1.

        Args:
            encode: phrases to unit vectors float[N, M]; None leaves the language model alone.
        Raises:
            CommandError: no words, or more than `max_tokens` tokens.
        """
        ids, places = words_of(llm.tokenizer, text)
        if not 1 <= len(ids) <= self.config.max_tokens:
            raise CommandError(f"Expected a sentence of 1 to {self.config.max_tokens} tokens, got {len(ids)}")
        with llm.using(ADAPTER):
            decisions = self.decide(llm, ids, text, places, encode)
        confidence = math.prod(decision.confidence for decision in decisions)
        invocations = tuple(_invocation(decision, text, places) for decision in decisions)
        until = next((place for place, item in enumerate(invocations, 1) if item.refused), len(invocations))
        return invocations[:until], confidence

    @torch.no_grad()
    def decide(
        self,
        llm: LanguageModel,
        ids: list[int],
        text: str,
        places: list[tuple[int, int]],
        encode: Encode | None = None,
    ) -> tuple[Decision, ...]:
        """1 to `MAX_STEPS` decisions in the order of the tasks; the language model must be `using` the adapter."""
        device = self.opening.device
        states, tags = self(llm, torch.tensor([ids], device=device), torch.tensor([len(ids)], device=device))
        chances = tags[0].softmax(-1)
        parts = divide(chances, torch.tensor([_begins_word(text, start) for start, _ in places], device=device))
        words = [text[places[first][0] : places[last][1]] for first, last in parts]
        means = torch.stack([states[0, first : last + 1].mean(0) for first, last in parts])
        meaning = None if encode is None else meanings(words, encode).to(device)
        modules = self.modules_of(means, meaning).softmax(-1).max(-1)
        regions = self.region(means).softmax(-1).max(-1)
        found = []
        for row, part in enumerate(parts):
            module = int(modules.indices[row])
            told = _told(chances, part, module)
            confidence = float(modules.values[row] * regions.values[row] * _sureness(chances, part))
            found.append(Decision(module, part, told, int(regions.indices[row]), confidence))
        found = without_pleasantries(found, words)
        if len(found) == 2 and float(self.later(states[0, found[1].words[0]])) > 0:
            found.reverse()
        return tuple(found)


def divide(chances: Tensor, words: Tensor) -> list[tuple[int, int]]:
    """First and last token of every task.

    Args:
        chances: float[T, 5], probabilities of what each token is.
        words: bool[T], which tokens begin a word; a task begins with one.
    """
    outside = chances.argmax(-1) == OUTSIDE
    begins = (chances[:, FIRST] + chances[:, FIRST_TOLD]) * words
    ranked = begins.argsort(descending=True)[:MAX_STEPS].tolist()
    first = sorted(place for place in ranked if begins[place] > 0.5) or [ranked[0]]
    parts = []
    for start, after in zip(first, [*first[1:], len(chances)], strict=True):
        kept = [place for place in range(start, after) if not outside[place]]
        parts.append((start, max([start, *kept])))
    return parts


def without_pleasantries(found: list[Decision], texts: list[str]) -> list[Decision]:
    """Of several parts those that ask for something: "good morning" before a task, or "you know" after it, does not.

    Only a part without things is left out, at the start or of two tokens at most: nothing that is asked for is dropped.
    """
    kept = [
        decision
        for place, (decision, text) in enumerate(zip(found, texts, strict=True))
        if MODULES[decision.module] not in _IDLE
        or without_things(text) != text
        or (place > 0 and decision.words[1] - decision.words[0] > 1)
    ]
    return kept or [max(found, key=lambda decision: decision.confidence)]


def _begins_word(text: str, place: int) -> bool:
    """Whether a word, or a quotation, begins at a character, and not within a quotation."""
    if text.count('"', 0, place) % 2:
        return False
    return (place == 0 or not text[place - 1].isalnum()) and text[place : place + 1] not in tuple(",.;:!?'")


def _told(chances: Tensor, part: tuple[int, int], module: int) -> tuple[int, int] | None:
    """The run of a part's tokens that is likeliest its instruction, by the largest sum of log odds."""
    name = MODULES[module]
    if name not in INSTRUCTED:
        return None
    start, last = part
    chance = (chances[start : last + 1, FIRST_TOLD] + chances[start : last + 1, TOLD]).clamp(1e-4, 1 - 1e-4)
    best, since, total, found = -math.inf, start, 0.0, (start, last)
    for place, odds in enumerate(((chance / (1 - chance)).log() + _TOLD_BIAS).tolist(), start):
        if total <= 0:
            since, total = place, 0.0
        total += odds
        if total > best:
            best, found = total, (since, place)
    return None if best <= 0 and name in OPTIONAL else found


def _sureness(chances: Tensor, part: tuple[int, int]) -> Tensor:
    """How sure it is where a part begins and that no other begins within."""
    begins = chances[part[0] : part[1] + 1, FIRST] + chances[part[0] : part[1] + 1, FIRST_TOLD]
    return begins[0] * (1 - begins[1:].max()) if len(begins) > 1 else begins[0]


def meanings(texts: list[str], encode: Encode) -> Tensor:
    """The text encoder's view of what is asked for, whatever it is asked of: float[len(texts), M]."""
    return encode(tuple(map(without_things, texts)))


def add_adapter(llm: LanguageModel, config: RouterConfig) -> None:
    """Give the language model the router's adapter, still without effect."""
    llm.add_adapter(ADAPTER, config.lora_rank, config.lora_alpha, config.lora_dropout, config.llm_layers, TARGETS)


def words_of(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Tokens and where each stands in the text, [start, end) characters without white space before it."""
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    places = []
    for start, end in read["offset_mapping"]:
        word = text[start:end]
        places.append((start + len(word) - len(word.lstrip()), end))
    return list(read["input_ids"]), places


def learned(router: Router, llm: LanguageModel) -> dict[str, Tensor]:
    """Every tensor that is trained and stored, by name."""
    own = {f"network.{key}": value for key, value in router.state_dict().items()}
    return own | {f"adapter.{key}": value for key, value in llm.adapter_state(ADAPTER).items()}


def _invocation(decision: Decision, text: str, places: list[tuple[int, int]]) -> Invocation:
    module, region = MODULES[decision.module], REGIONS[decision.region]
    if module.startswith(REFUSED):
        return Invocation(module)
    words = ""
    if decision.told is not None:
        within = (places[decision.words[0]][0], places[decision.words[1]][1])
        told = _whole_words(text, *decision.told, places)
        words = text[slice(*completed(text, told, within, module not in _TOLD_SENTENCES))]
    words = words.replace("<", " ").replace(">", " ").strip(_WHITE)  # angle brackets are the tags' own
    if not words and module in INSTRUCTED - OPTIONAL:
        return Invocation(f"{REFUSED}unclear")
    return Invocation(module, words, region)


def _whole_words(text: str, first: int, last: int, places: list[tuple[int, int]]) -> tuple[int, int]:
    """Where tokens stand in the text, to the ends of the words they are of, [start, end) characters."""
    start, end = places[first][0], places[last][1]
    while start > 0 and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end].isalnum():
        end += 1
    return start, end
