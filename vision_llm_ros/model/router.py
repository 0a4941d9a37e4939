"""The language model as router: it reads a sentence and decides, token by token, which modules are called.

After the sentence it writes `<module>`, a module's own token, then `</instruction>` and `<region>`; behind the last
invocation comes `<end>`. Everything is decided over closed sets: modules and regions have a row of a linear head
each, the instruction is a span of the sentence told by two pointers, so that no word is ever invented. The forced
tags between two decisions go in together, which makes one short pass an invocation.

Departs from Vitron, whose language model writes the whole text freely; the text is put together from the decisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vision_llm_ros.config import RouterConfig
from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import MAX_STEPS
from vision_llm_ros.language.invocation import INSTRUCTED, MODULES, OPTIONAL, REFUSALS, REFUSED, REGIONS, Invocation
from vision_llm_ros.model.llm import LanguageModel

if TYPE_CHECKING:
    from transformers.cache_utils import DynamicCache

ADAPTER = "router"
TARGETS = ("q_proj", "v_proj")
END = len(MODULES)
IGNORED = -100
_BEGIN, _MODULE, _CLOSE, _REGION = range(4)  # own tokens before those of the modules
_TAGS = ("route the request", "module", "instruction", "region")
SLOTS = 4  # <module>, the module, </instruction>, <region>
_HINDERED = -1e4


@dataclass(frozen=True)
class Decision:
    """One invocation as decided: a module, the first and last token of its instruction (0, 0: none), a region.

    Attributes:
        confidence: probability of all its choices, 0..1.
    """

    module: int
    span: tuple[int, int]
    region: int
    confidence: float


class Router(nn.Module):
    """Own token rows, heads and pointers around the shared language model; the adapter is the language model's."""

    def __init__(self, config: RouterConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.rows = nn.Embedding(len(_TAGS) + len(MODULES), width)
        self.module = nn.Linear(width, len(MODULES) + 1)
        self.meaning = nn.Linear(config.meaning_width, len(MODULES) + 1, bias=False)
        self.region = nn.Linear(width, len(REGIONS))
        self.asked = nn.Linear(width, config.pointer_width)
        self.here = nn.Linear(width, config.pointer_width, bias=False)
        self.after = nn.Linear(width, config.pointer_width, bias=False)

    def modules(self, states: Tensor, meaning: Tensor | None = None) -> Tensor:
        """Logits float[..., 1 + modules] of states float[..., D].

        Args:
            meaning: float[..., M], the text encoder's vector of the sentence, for the first decision alone: of a plan
                it cannot tell which task comes when.
        """
        logits = self.module(states)
        if meaning is None:
            return logits  # type: ignore[no-any-return]
        # vectors of unit length are faint beside the states
        return logits + self.meaning(meaning * self.config.meaning_width**0.5)  # type: ignore[no-any-return]

    @torch.no_grad()
    def start_from(self, llm: LanguageModel) -> None:
        """Begin every own token as the mean of its words' embeddings; what the text encoder says begins unheard."""
        self.meaning.weight.zero_()
        for row, words in enumerate((*_TAGS, *(name.replace(":", " ") for name in MODULES))):
            ids = torch.tensor(llm.tokenizer(f" {words}", add_special_tokens=False)["input_ids"])
            self.rows.weight[row] = llm.embed_text(ids.to(llm.base.embed_tokens.weight.device)).mean(0)

    def module_rows(self, modules: Tensor) -> Tensor:
        """int[...] modules to the tokens after a decision, float[..., 4, D]: the module, the two tags, `<module>`."""
        tags = torch.tensor([_CLOSE, _REGION, _MODULE], device=modules.device).expand(*modules.shape, 3)
        return self.rows(torch.cat([modules.unsqueeze(-1) + len(_TAGS), tags], -1))  # type: ignore[no-any-return]

    def opening(self, words: Tensor) -> Tensor:
        """Embedded words float[B, T, D] between `<begin>` and the first `<module>`: float[B, T + 2, D]."""
        ends = self.rows.weight[[_BEGIN, _MODULE]].expand(len(words), 2, -1)
        return torch.cat([ends[:, :1], words, ends[:, 1:]], 1)

    def point(self, queries: Tensor, states: Tensor, padding: Tensor | None = None) -> Tensor:
        """Logits float[B, Q, T] of queries float[B, Q, D] over the sentence's states float[B, T, D].

        A token's key knows the token behind it too, since the model reads from left to right.

        Args:
            padding: bool[B, T], True for what is no token.
        """
        if padding is not None:
            states = states.masked_fill(padding.unsqueeze(-1), 0.0)
        following = torch.cat([states[:, 1:], torch.zeros_like(states[:, :1])], 1)
        keys = self.here(states) + self.after(following)
        return self.asked(queries) @ keys.transpose(1, 2) / self.config.pointer_width**0.5  # type: ignore[no-any-return]

    def forward(self, llm: LanguageModel, ids: Tensor, lengths: Tensor, modules: Tensor) -> dict[str, Tensor]:
        """All decisions at once, given the right ones before each.

        Args:
            ids: int[B, T] words, padded on the right.
            lengths: int[B].
            modules: int[B, S], padded with `END`.
        Returns:
            module float[B, S + 1, 1 + modules], of the states float[B, S + 1, D] alone; start and end
            float[B, S, 1 + T]; region float[B, S, regions].
        """
        steps = modules.shape[1]
        opening = self.opening(llm.embed_text(ids))
        written = self.module_rows(modules.clamp(max=END - 1)).flatten(1, 2)
        embeds = torch.cat([opening, written], 1)
        length, prefix = embeds.shape[1], ids.shape[1] + 1
        place = torch.arange(length, device=ids.device)
        padding = (place > lengths[:, None]) & (place < prefix)
        positions = torch.where(place < prefix, place, place - (ids.shape[1] - lengths[:, None]))
        attend = (place[:, None] >= place)[None] & ~padding[:, None]
        states, _ = llm.run(embeds, positions, attend)
        sentence = states[:, :prefix]
        outputs = states[:, prefix:]
        hidden = padding[:, None, :prefix]
        start, end = (
            self.point(outputs[:, 1 + slot :: SLOTS][:, :steps], sentence, hidden[:, 0]).masked_fill(hidden, _HINDERED)
            for slot in (0, 1)
        )
        return {
            "module": self.modules(outputs[:, ::SLOTS]),
            "states": outputs[:, ::SLOTS],
            "start": start,
            "end": end,
            "region": self.region(outputs[:, 3::SLOTS][:, :steps]),
        }

    def read(
        self, llm: LanguageModel, text: str, meaning: Tensor | None = None
    ) -> tuple[tuple[Invocation, ...], float]:
        """One sentence to its invocations and the probability of all choices together, 0..1.

        Args:
            meaning: float[M], the text encoder's vector of the sentence; None leaves the language model alone.
        Raises:
            CommandError: no words, or more than `max_tokens` tokens.
        """
        ids, places = words_of(llm.tokenizer, text)
        if not 1 <= len(ids) <= self.config.max_tokens:
            raise CommandError(f"Expected a sentence of 1 to {self.config.max_tokens} tokens, got {len(ids)}")
        with llm.using(ADAPTER):
            decisions = self.decide(llm, ids, meaning)
        confidence = math.prod(decision.confidence for decision in decisions)
        invocations = tuple(_invocation(decision, text, places) for decision in decisions)
        until = next((place for place, item in enumerate(invocations, 1) if item.refused), len(invocations))
        return invocations[:until], confidence

    @torch.no_grad()
    def decide(self, llm: LanguageModel, ids: list[int], meaning: Tensor | None = None) -> tuple[Decision, ...]:
        """Read one sentence; the language model must be `using` the router's adapter.

        Returns:
            1 to `MAX_STEPS` invocations; a refusal is the last.
        """
        device = self.rows.weight.device
        opening = self.opening(llm.embed_text(torch.tensor([ids], device=device)))
        cache = llm.cache([], 1)
        states = _advance(llm, opening, cache, 0)
        sentence, last = states[:, :-1], states[:, -1]
        decisions: list[Decision] = []
        while len(decisions) < MAX_STEPS:
            logits = self.modules(last, None if decisions else meaning)[0]
            if not decisions:
                logits[END] = _HINDERED
            chances = logits.softmax(-1)
            module = int(chances.argmax())
            if module == END:
                decisions[-1] = replace(decisions[-1], confidence=decisions[-1].confidence * float(chances[END]))
                break
            written = self.module_rows(torch.tensor([module], device=device))
            states = _advance(llm, written, cache, len(ids) + 2 + SLOTS * len(decisions))
            span, sure = self._span(module, states, sentence)
            regions = self.region(states[:, 2])[0].softmax(-1)
            decision = Decision(module, span, int(regions.argmax()), float(chances[module] * sure * regions.max()))
            decisions.append(decision)
            last = states[:, 3]
            if MODULES[module] in REFUSALS:
                break
        return tuple(decisions)

    def _span(self, module: int, states: Tensor, sentence: Tensor) -> tuple[tuple[int, int], float]:
        """The likeliest first and last word, in this order; (0, 0) for none."""
        if MODULES[module] not in INSTRUCTED:
            return (0, 0), 1.0
        logits = self.point(states[:, :2], sentence)[0]
        if MODULES[module] not in OPTIONAL:
            logits = logits.clone()
            logits[:, 0] = _HINDERED
        start, end = logits.softmax(-1)
        table = (start[:, None] * end[None]).triu()
        table[0, 1:] = 0
        best = int(table.argmax())
        place = divmod(best, table.shape[1])
        return place, float(table.flatten()[best])


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
    first, last = decision.span
    words = text[places[first - 1][0] : places[last - 1][1]] if first else ""
    module, region = MODULES[decision.module], REGIONS[decision.region]
    words = words.replace("<", " ").replace(">", " ").strip()  # angle brackets are the tags' own
    if not words and module in INSTRUCTED - OPTIONAL:
        return Invocation(f"{REFUSED}unclear")
    return Invocation(module, words, region)


def _advance(llm: LanguageModel, embeds: Tensor, cache: DynamicCache, past: int) -> Tensor:
    """Causal states float[1, T, D] of tokens after `past` others."""
    place = torch.arange(past, past + embeds.shape[1], device=embeds.device)
    attend = (torch.arange(past + embeds.shape[1], device=embeds.device) <= place[:, None])[None]
    return llm.advance(embeds, place[None], attend, cache)
