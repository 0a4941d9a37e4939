"""The language model as router: it reads a sentence once and decides which modules are called, with what, and where.

A small recurrent reader goes over the sentence's words, both ways: what the language model and what the text encoder
make of each. Every word is told apart (outside a task, the first of one, a word of it, a word of its instruction),
which divides the sentence into invocations. For each the module, of a closed set, is decided from its words and from
the text encoder's vector of them without their things; the region, of a closed set too, from the former. An
instruction is a run of the sentence's own words, so that none is ever invented.

Departs from Vitron, whose language model writes the tagged text token by token: the same text is put together from
these decisions, in one pass, and cannot be anything that the grammar of `language.invocation` does not hold.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, layer_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from vision_llm_ros.config import RouterConfig
from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import MAX_STEPS
from vision_llm_ros.language.invocation import INSTRUCTED, MODULES, OPTIONAL, QUESTION, REFUSED, REGIONS, Invocation
from vision_llm_ros.language.plain_things import completed, without_things
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router_meaning import MeaningEncoder
from vision_llm_ros.model.router_words import Span, filled, spread, starts_task, tokens_of, words_of
from vision_llm_ros.model.text import TextEncoder

ADAPTER = "router"
TARGETS = ("q_proj", "v_proj")
IGNORED = -100
OUTSIDE, FIRST, WITHIN, FIRST_TOLD, TOLD = range(5)  # what a word is; "told" are words of an instruction
_TAGS = 5
_WHITE = " ,.;:!?"
_DOUBT, _MOST_DOUBTED = 0.1, 4  # words that may or may not begin a task are tried both ways
_DROPOUT = 0.1  # of what the reader gets, while it learns
_TOLD_SENTENCES = frozenset({"answer", "match", "stop"})  # whose instructions need not name a thing
_SHORTEST_QUESTION = 3  # words; a shorter one goes on to the end of its task
_ASKED = re.compile(  # what makes a question of the words behind it
    r"\b(?:(?:is|are|was|were|does|do|has|have)(?: there)?(?: any| an?| the| some)?|any(?:one|body|thing)?|"
    r"how \w+(?: is| are)?)\s+\Z",
    re.IGNORECASE,
)
_IDLE = (f"{REFUSED}unclear", f"{REFUSED}chat")


@dataclass(frozen=True)
class Decision:
    """One invocation as decided.

    Attributes:
        words: first and last word of the task.
        told: first and last word of its instruction; None for none.
        confidence: probability of its choices together, 0..1.
    """

    module: int
    words: tuple[int, int]
    told: tuple[int, int] | None
    region: int
    confidence: float


class Router(nn.Module):
    """Reader and heads around the shared language model; the adapter is the language model's own."""

    def __init__(self, config: RouterConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.opening = nn.Parameter(torch.zeros(1, width))
        self.seen = nn.Linear(width, config.word_width)
        self.heard = nn.Linear(config.meaning_width, config.word_width, bias=False)
        self.reader = nn.GRU(config.word_width, config.reader_width, batch_first=True, bidirectional=True)
        states = config.word_width + 2 * config.reader_width
        self.tags = nn.Linear(states, _TAGS)
        self.sorted = nn.Linear(states, config.hidden_width)
        self.meant = nn.Linear(config.meaning_width, config.hidden_width, bias=False)
        self.module = nn.Linear(config.hidden_width, len(MODULES))
        self.region = nn.Linear(states, len(REGIONS))
        self.later = nn.Linear(states, 1)

    @torch.no_grad()
    def start_from(self, llm: LanguageModel) -> None:
        """Begin the opening token as its words' mean."""
        ids = torch.tensor(llm.tokenizer(" route the request", add_special_tokens=False)["input_ids"])
        self.opening.copy_(llm.embed_text(ids.to(llm.base.embed_tokens.weight.device)).mean(0, keepdim=True))

    @torch.no_grad()
    def judge_by(self, head: nn.Sequential) -> None:
        """Tell modules, to begin with, by the text encoder's vectors alone, as a head of two layers has learnt to."""
        hidden, module = (layer for layer in head if isinstance(layer, nn.Linear))
        self.sorted.weight.zero_()
        self.sorted.bias.copy_(hidden.bias)
        self.meant.weight.copy_(hidden.weight)
        self.module.load_state_dict(module.state_dict())

    def see(self, llm: LanguageModel, ids: Tensor, tokens: Tensor) -> Tensor:
        """What the language model, `using` the router's adapter, makes of every word: float[B, W, D].

        Args:
            ids: int[B, T] tokens, padded on the right.
            tokens: float[B, W, T], see `spread`.
        """
        embeds = torch.cat([self.opening.expand(len(ids), 1, -1), llm.embed_text(ids)], 1)
        place = torch.arange(embeds.shape[1], device=ids.device)
        attend = (place[:, None] >= place)[None].expand(len(ids), -1, -1)
        states, _ = llm.run(embeds, place.expand(len(ids), -1), attend)
        return tokens @ states[:, 1:]

    def forward(self, seen: Tensor, heard: Tensor, counts: Tensor) -> Tensor:
        """Read sentences word by word.

        Args:
            seen: float[B, W, D] of the language model.
            heard: float[B, W, M] of the text encoder.
            counts: int[B] words of each sentence; behind them there is padding.
        Returns:
            states float[B, W, S]; zero where there is padding.
        """
        words = dropout(gelu(self.seen(_level(seen)) + self.heard(_level(heard))), _DROPOUT, self.training)
        packed = pack_padded_sequence(words, counts.cpu(), batch_first=True, enforce_sorted=False)
        read, _ = pad_packed_sequence(self.reader(packed)[0], batch_first=True, total_length=words.shape[1])
        real = torch.arange(words.shape[1], device=words.device) < counts.to(words.device)[:, None]
        return torch.cat([words, read], -1) * real.unsqueeze(-1)

    def modules_of(self, means: Tensor, meaning: Tensor) -> Tensor:
        """Logits float[..., modules] of the mean states float[..., S] of tasks.

        Args:
            meaning: float[..., M], the text encoder's vectors of the tasks' words without their things.
        """
        # vectors of unit length are faint beside the states
        hidden = self.sorted(means) + self.meant(meaning * self.config.meaning_width**0.5)
        return self.module(gelu(hidden))  # type: ignore[no-any-return]

    def read(self, llm: LanguageModel, text: str, encoder: MeaningEncoder) -> tuple[tuple[Invocation, ...], float]:
        """One sentence to its invocations and the probability of the choices of one of them, the geometric mean, 0..1.

        Raises:
            CommandError: no words, or more than `max_tokens` tokens.
        """
        ids, places = tokens_of(llm.tokenizer, text)
        words = words_of(text)
        if not words or len(ids) > self.config.max_tokens:
            raise CommandError(f"Expected a sentence of 1 to {self.config.max_tokens} tokens, got {len(ids)}")
        device = self.opening.device
        with torch.no_grad(), llm.using(ADAPTER):
            seen = self.see(llm, torch.tensor([ids], device=device), spread(words, places)[None].to(device))
            states = self(seen, hear(encoder.plain, (text,), [words]).to(device), torch.tensor([len(words)]))
        decisions = self.decide(states[0], text, words, encoder)
        confidence = math.prod(decision.confidence for decision in decisions) ** (1 / len(decisions))
        return invocations_of(decisions, text, words), confidence

    @torch.no_grad()
    def decide(self, states: Tensor, text: str, words: list[Span], encoder: MeaningEncoder) -> tuple[Decision, ...]:
        """1 to `MAX_STEPS` decisions, in the order of the tasks, from the states float[W, S] of a sentence's words."""
        chances = self.tags(states).float().softmax(-1).cpu()
        ways = divisions(chances, starts_task(text, words))
        parts = list(dict.fromkeys(part for _, way in ways for part in way))
        texts = {part: text[words[part[0]][0] : words[part[1]][1]] for part in parts}
        means = torch.stack([states[first : last + 1].mean(0) for first, last in parts])
        meaning = encoder(list(texts.values())).to(means.device)
        modules, sure = chosen(self.modules_of(means, meaning).float().softmax(-1).cpu(), self.config.refuse_from)
        regions = self.region(means).float().softmax(-1).max(-1)
        known = {}
        for row, part in enumerate(parts):
            module, chance = int(modules[row]), float(sure[row] * regions.values[row])
            known[part] = Decision(module, part, _told(chances, part, module), int(regions.indices[row]), chance)
        _, way = max(ways, key=lambda option: option[0] + sum(math.log(known[part].confidence) for part in option[1]))
        found = [replace(known[part], confidence=known[part].confidence * _sureness(chances, part)) for part in way]
        found = without_pleasantries(found, [texts[part] for part in way])
        if len(found) == 2 and float(self.later(states[found[1].words[0]])) > 0:
            found.reverse()
        return tuple(found)


def hear(encoder: TextEncoder, texts: tuple[str, ...], words: list[list[Span]]) -> Tensor:
    """What the text encoder makes of every word, float[B, W, M], zeros behind the last."""
    rows = [
        spread(some, at).to(states.device) @ states
        for some, (states, at) in zip(words, encoder.states(texts), strict=True)
    ]
    return filled(rows)


def divisions(chances: Tensor, allowed: Tensor) -> list[tuple[float, list[tuple[int, int]]]]:
    """Likely ways to divide a sentence: the log probability of each, and first and last word of its tasks.

    Args:
        chances: float[W, 5], probabilities of what each word is.
        allowed: bool[W], which words may begin a task.
    """
    begins = ((chances[:, FIRST] + chances[:, FIRST_TOLD]) * allowed).clamp(1e-6, 1 - 1e-6)
    ranked = begins.argsort(descending=True).tolist()
    sure = [place for place in ranked if begins[place] >= 1 - _DOUBT][:MAX_STEPS]
    open_ = [place for place in ranked if _DOUBT < begins[place] < 1 - _DOUBT][:_MOST_DOUBTED]
    ways = []
    for more in itertools.product((True, False), repeat=len(open_)):
        first = sorted([*sure, *itertools.compress(open_, more)])
        if 1 <= len(first) <= MAX_STEPS:
            likely = [begins[place] if taken else 1 - begins[place] for place, taken in zip(open_, more, strict=True)]
            left_out = chances[: first[0], OUTSIDE].clamp(min=1e-6)  # what stands before all tasks is of none
            likely += [left_out.min()] if first[0] else []
            ways.append((sum(map(math.log, likely)), parts_at(first, chances)))
    return ways or [(0.0, parts_at(ranked[:1], chances))]


def parts_at(first: list[int], chances: Tensor) -> list[tuple[int, int]]:
    """First and last word of the tasks that begin at `first`, without what stands outside behind them."""
    outside = (chances.argmax(-1) == OUTSIDE).tolist()
    return [
        (start, max([start, *(place for place in range(start, after) if not outside[place])]))
        for start, after in zip(first, [*first[1:], len(outside)], strict=True)
    ]


def chosen(chances: Tensor, refuse_from: float) -> tuple[Tensor, Tensor]:
    """The modules int[N] of N tasks, and how sure they are, from the probabilities float[N, modules] of each.

    All refusals together are weighed against what is served; which of them it is matters less.
    """
    refusal = torch.tensor([name.startswith(REFUSED) for name in MODULES])
    refused = (chances * refusal).sum(-1)
    best = torch.where((refused >= refuse_from)[:, None] == refusal, chances, -1.0).max(-1)
    return best.indices, torch.where(refused >= refuse_from, refused, best.values)


def without_pleasantries(found: list[Decision], texts: list[str]) -> list[Decision]:
    """Of several parts those that ask for something: "good morning" before a task, or "you know" after it, does not.

    Only a part without things is left out, at the start or of two words at most: nothing that is asked for is dropped.
    """
    kept = [
        decision
        for place, (decision, text) in enumerate(zip(found, texts, strict=True))
        if MODULES[decision.module] not in _IDLE
        or without_things(text) != text
        or (place > 0 and decision.words[1] - decision.words[0] > 1)
    ]
    return kept or [max(found, key=lambda decision: decision.confidence)]


def _level(states: Tensor) -> Tensor:
    return layer_norm(states, states.shape[-1:])


def _told(chances: Tensor, part: tuple[int, int], module: int) -> tuple[int, int] | None:
    """The run of a part's words that is likeliest its instruction, by the largest sum of log odds."""
    name = MODULES[module]
    if name not in INSTRUCTED:
        return None
    start, last = part
    chance = (chances[start : last + 1, FIRST_TOLD] + chances[start : last + 1, TOLD]).clamp(1e-4, 1 - 1e-4)
    best, since, total, found = -math.inf, start, 0.0, (start, last)
    for place, odds in enumerate((chance / (1 - chance)).log().tolist(), start):
        if total <= 0:
            since, total = place, 0.0
        total += odds
        if total > best:
            best, found = total, (since, place)
    return None if best <= 0 and name in OPTIONAL else found


def _sureness(chances: Tensor, part: tuple[int, int]) -> float:
    """How sure it is where a part begins and that no other begins within."""
    begins = chances[part[0] : part[1] + 1, FIRST] + chances[part[0] : part[1] + 1, FIRST_TOLD]
    return float(begins[0] * (1 - begins[1:].max()) if len(begins) > 1 else begins[0])


def add_adapter(llm: LanguageModel, config: RouterConfig) -> None:
    """Give the language model the router's adapter, still without effect."""
    llm.add_adapter(ADAPTER, config.lora_rank, config.lora_alpha, config.lora_dropout, config.llm_layers, TARGETS)


def learned(router: Router, llm: LanguageModel) -> dict[str, Tensor]:
    """Every tensor of the network and of the language model's adapter, by name."""
    own = {f"network.{key}": value for key, value in router.state_dict().items()}
    return own | {f"adapter.{key}": value for key, value in llm.adapter_state(ADAPTER).items()}


def invocations_of(decisions: tuple[Decision, ...], text: str, words: list[Span]) -> tuple[Invocation, ...]:
    """What decisions call: up to the first refusal, and once where the same is asked for in two clauses."""
    # "bits of the picture got lost, fill them in" is one task
    called = [item for item, _ in itertools.groupby(_invocation(decision, text, words) for decision in decisions)]
    until = next((place for place, item in enumerate(called, 1) if item.refused), len(called))
    return tuple(called[:until])


def _invocation(decision: Decision, text: str, words: list[Span]) -> Invocation:
    module, region = MODULES[decision.module], REGIONS[decision.region]
    if module.startswith(REFUSED):
        return Invocation(module)
    said = ""
    if decision.told is not None:
        within = (words[decision.words[0]][0], words[decision.words[1]][1])
        told = (words[decision.told[0]][0], words[decision.told[1]][1])
        if module == "answer" and (asked := _ASKED.search(text, within[0], told[0])):
            told = (asked.start(), told[1])
        if module == "answer" and decision.told[1] - decision.told[0] < _SHORTEST_QUESTION - 1:
            asked = QUESTION.search(text, within[0], told[1])
            told = (asked.start() if asked else told[0], within[1])
        said = text[slice(*completed(text, told, within, module not in _TOLD_SENTENCES))]
    said = said.replace("<", " ").replace(">", " ").strip(_WHITE)  # angle brackets are the tags' own
    if not said and module in INSTRUCTED - OPTIONAL:
        return Invocation(f"{REFUSED}unclear")
    return Invocation(module, said, region)
