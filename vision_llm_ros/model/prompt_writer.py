"""The frozen language model reads a picture as soft prompt tokens and writes (BLIP-2, section 3.3).

It reads the queries' soft prompt q, names n of what the detector is sure of, words w that a caption probably has, and
the instruction:

    q0 q1 ... q15  n0 n1 ...  w0 w1 ...  a  photo  of   a  dog  on  ...  \\n
    soft prompt    names      words      instruction    text

Names and words are no learnt tokens but the language model's own embeddings: the published soft prompt learns from
millions of captions to say in tokens what 135 M frozen parameters understand, ours has a few thousand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.model.llm import HALVED, LanguageModel
from vision_llm_ros.model.qformer_image import Seen

if TYPE_CHECKING:
    from transformers.cache_utils import DynamicCache

IGNORED = -100
PROMPTS = {"": "a photo of", "short": "a short caption:", "long": "a detailed description:"}
QUESTION = "Question: {} Answer:"
_SURE = 0.4
_NAMES, _WORDS = 6, 10
_BITS = 8


@dataclass(frozen=True)
class Prompt:
    """What stands before the instruction: float[B, P, D], and bool[B, P], False where there is no name to tell."""

    embeds: Tensor
    real: Tensor


@dataclass(frozen=True)
class Written:
    """A text with the geometric mean of its tokens' probabilities."""

    text: str
    score: float


@dataclass
class _Beams:
    """Texts under way, likeliest first, and those that have ended with their mean log-probability."""

    texts: list[list[int]]
    totals: Tensor
    finished: list[tuple[float, list[int]]]


class PromptWriter(nn.Module):
    """Names of objects, and the tokens that may be written; the language model itself is not part of it.

    Attributes:
        halves: see `LanguageModel.halve`; for serving.
    """

    names: Tensor
    words: Tensor
    listed: Tensor

    def __init__(self, llm: LanguageModel, num_layers: int, tags: tuple[str, ...]) -> None:
        """At first every token may be written.

        Args:
            num_layers: of the language model that write, 0 means all; they are loaded when first something is written.
            tags: the words that are guessed, in the order of their logits.
        """
        super().__init__()
        self.num_layers = num_layers
        self.halves = False
        self.register_buffer("names", embeddings(llm, COCO_CLASSES), persistent=False)
        self.register_buffer("words", embeddings(llm, tags), persistent=False)
        self._vocabulary = int(llm.base.config.vocab_size)
        self.register_buffer("listed", _packed(torch.ones(self._vocabulary)))
        self.end = int(llm.tokenizer("\n", add_special_tokens=False)["input_ids"][-1])

    def _load(self, llm: LanguageModel) -> None:
        llm.deepen(self.num_layers)
        if self.halves:
            llm.halve()

    def list_tokens(self, ids: Tensor) -> None:
        """From now on only tokens of int[N], and the end, are written."""
        allowed = torch.zeros(self._vocabulary, device=self.listed.device)
        allowed[ids] = 1
        allowed[self.end] = 1
        self.listed.copy_(_packed(allowed))

    @property
    def choice(self) -> Tensor:
        """int[V]: the tokens that may be written."""
        powers = 2 ** torch.arange(_BITS, device=self.listed.device)
        bits = self.listed.long().unsqueeze(1).bitwise_and(powers).ne(0)
        return bits.flatten()[: self._vocabulary].nonzero().flatten()

    def prompt(self, soft: Tensor, seen: Seen, tags: Tensor) -> Prompt:
        """Put together what is read of a picture.

        Args:
            soft: float[B, Q, D].
            tags: float[B, T], how probable each word is.
        """
        best = seen.semantics.amax(-1).topk(min(_NAMES, seen.semantics.shape[1]), -1).indices
        semantics = seen.semantics.gather(1, best.unsqueeze(-1).expand(-1, -1, seen.semantics.shape[-1]))
        names = semantics.softmax(-1) @ self.names
        sure = semantics.amax(-1).sigmoid() > _SURE
        likely = tags.topk(min(_WORDS, tags.shape[1]), -1).indices
        real = torch.cat([sure.new_ones(soft.shape[:2]), sure, sure.new_ones(likely.shape)], 1)
        return Prompt(torch.cat([soft, names, self.words[likely]], 1), real)

    def forward(self, llm: LanguageModel, prompt: Prompt, asked: Tensor, texts: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy of several texts a picture, none of which sees another.

        Args:
            asked: int[T], read before every text; may be empty.
            texts: int[B, S, L], what is read.
            wanted: int[B, S, L], the token that follows, or IGNORED where nothing is learnt.
        """
        choice = self.choice
        logits, learnt = self._logits(llm, prompt, asked, texts, wanted, choice)
        return functional.cross_entropy(logits, _places(choice, wanted[learnt]))

    @torch.no_grad()
    def rank(self, llm: LanguageModel, prompt: Prompt, asked: Tensor, texts: Tensor, wanted: Tensor) -> Tensor:
        """Log-probability of each of S texts about one picture, float[S]; int[T], int[1, S, L] as in `forward`."""
        choice = self.choice
        logits, learnt = self._logits(llm, prompt, asked, texts, wanted, choice)
        chosen = logits.log_softmax(-1).gather(1, _places(choice, wanted[learnt]).unsqueeze(1)).squeeze(1)
        table = torch.zeros(wanted.shape, device=chosen.device)
        table[learnt] = chosen
        return table[0].sum(-1)

    def _logits(
        self, llm: LanguageModel, prompt: Prompt, asked: Tensor, texts: Tensor, wanted: Tensor, choice: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits float[N, V] over `choice` where something is wanted, and bool[B, S, L] where that is."""
        self._load(llm)
        batch, count, length = texts.shape
        prefix = torch.cat([prompt.embeds, llm.embed_text(asked).expand(batch, -1, -1)], 1)
        before = prefix.shape[1]
        embeds = torch.cat([prefix, llm.embed_text(texts.flatten(1))], 1)
        places = torch.arange(before + length, device=embeds.device)
        positions = torch.cat([places[:before], places[before:].repeat(count)]).expand(batch, -1)
        attend = _tree_mask(before, count, length, embeds.device).repeat(batch, 1, 1)
        attend[:, :, : prompt.real.shape[1]] &= prompt.real.unsqueeze(1)
        with llm.using(HALVED, self.num_layers):
            states, _ = llm.run(embeds, positions, attend)
        learnt = wanted != IGNORED
        states = states[:, before:].reshape(batch, count, length, -1)[learnt]
        return llm.text_logits(states, choice).float(), learnt

    @torch.no_grad()
    def write(
        self, llm: LanguageModel, prompt: Prompt, asked: Tensor, beams: int, shortest: int, longest: int
    ) -> list[Written]:
        """Write about one picture by beam search.

        Args:
            asked: int[T], the instruction, at least one token.
            shortest, longest: how many tokens a text has.
        Returns:
            at most `beams` texts, likeliest first.
        """
        self._load(llm)
        choice = self.choice
        rows = llm.output_rows(choice)
        with llm.using(HALVED, self.num_layers):
            cache = llm.cache([], 1)
            embeds = torch.cat([prompt.embeds, llm.embed_text(asked).unsqueeze(0)], 1)
            states = self._advance(llm, embeds, prompt.real, cache)
            beams_now = _Beams([[]], states.new_zeros(1), [])
            for step in range(longest):
                chances = functional.linear(states, rows).float().log_softmax(-1)
                grown = self._extend(chances, choice, beams_now, beams, may_end=step >= shortest)
                if len(beams_now.finished) >= beams or step + 1 == longest:
                    break
                cache.reorder_cache(grown)
                last = asked.new_tensor([[text[-1]] for text in beams_now.texts])
                states = self._advance(llm, llm.embed_text(last), prompt.real, cache)
        ended = beams_now.finished or [
            (total / len(text), text) for total, text in zip(beams_now.totals.tolist(), beams_now.texts, strict=True)
        ]
        ranked = sorted(ended, reverse=True)[:beams]
        decode = llm.tokenizer.decode
        return [Written(str(decode(ids, skip_special_tokens=True)).strip(), math.exp(mean)) for mean, ids in ranked]

    def _extend(self, chances: Tensor, choice: Tensor, now: _Beams, beams: int, may_end: bool) -> Tensor:
        """Add the likeliest tokens to the texts under way; int[beams], the text each grew from.

        Args:
            chances: float[texts, V], log-probabilities of the next token, of int[V] `choice`.
        """
        if not may_end:
            chances[:, choice == self.end] = -torch.inf
        best = (now.totals.unsqueeze(1) + chances).flatten().topk(min(2 * beams, chances.numel()))
        alive: list[tuple[int, int, float]] = []
        for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            row, token = index // len(choice), int(choice[index % len(choice)])
            if token == self.end:
                now.finished.append((value / (len(now.texts[row]) + 1), now.texts[row]))
            elif len(alive) < beams:
                alive.append((row, token, value))
        now.texts = [[*now.texts[row], token] for row, token, _ in alive]
        now.totals = now.totals.new_tensor([value for _, _, value in alive])
        return torch.tensor([row for row, _, _ in alive], device=choice.device)

    def _advance(self, llm: LanguageModel, embeds: Tensor, real: Tensor, cache: DynamicCache) -> Tensor:
        """Feed float[B, T, D] behind the cache, causally; the last state float[B, D]."""
        count, past = embeds.shape[1], int(cache.get_seq_length())
        positions = past + torch.arange(count, device=embeds.device).unsqueeze(0)
        attend = torch.ones(len(embeds), count, past + count, dtype=torch.bool, device=embeds.device).tril(past)
        attend[:, :, : real.shape[1]] &= real.unsqueeze(1)
        return llm.advance(embeds, positions, attend, cache)[:, -1]


def _places(choice: Tensor, ids: Tensor) -> Tensor:
    """Where each of int[N] stands in the ascending int[V] `choice`; one that does not, at a neighbour's."""
    return torch.searchsorted(choice, ids).clamp(max=len(choice) - 1)


def _packed(allowed: Tensor) -> Tensor:
    """float[V / 8]: the bits of float[V], 0 or 1, eight in a number, the lowest first."""
    padded = functional.pad(allowed, (0, -len(allowed) % _BITS)).reshape(-1, _BITS)
    return torch.mv(padded, 2.0 ** torch.arange(_BITS, device=allowed.device))


def embeddings(llm: LanguageModel, phrases: Sequence[str]) -> Tensor:
    """float[N, D]: the mean of the embeddings of each phrase's tokens."""
    device = next(llm.base.parameters()).device
    ids = [llm.tokenizer(f" {phrase}", add_special_tokens=False)["input_ids"] for phrase in phrases]
    rows = [llm.embed_text(torch.tensor(each, device=device)).mean(0) for each in ids]
    return torch.stack(rows).detach().float() if rows else torch.zeros(0, llm.width, device=device)


def _tree_mask(before: int, count: int, length: int, device: torch.device) -> Tensor:
    """bool[1, T, T]: a causal prefix, then texts that see it and their own beginning."""
    total = before + count * length
    mask = torch.ones(total, total, dtype=torch.bool, device=device).tril()
    owner = torch.arange(count, device=device).repeat_interleave(length)
    mask[before:, before:] &= owner[:, None] == owner[None]
    return mask.unsqueeze(0)
