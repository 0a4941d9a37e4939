"""Captions and answers by the set decoder's language model (VisionLLM, section 3.3, text tasks).

The language model reads

    [image tokens] [instruction ...] [<text>] [a] [dog] [on] ... [end]
     what is there  what is asked     query    written one token at a time

Text asks for more than its first layers can do with the adapter that finds objects, so it has an adapter of its own
at the same depth, and a map from what these layers end with to what the output words are compared to. It writes only
tokens that it has read in training: the logits of all others are never computed.

Image tokens come in as what they mean (class, box, objectness), not as the embeddings e_i: so the tokenizer may learn
on without spoiling the text. A class is told by the language model's own words for it, weighted by its probability;
so a dog in the picture and the word of a question are alike from the start. What no object token tells (snow, a
street, a kitchen) is merged in behind the language model, where the next word is chosen: with few captions to learn
from that works better than through its layers (Tanti et al. 2018, "Where to put the image in an image caption
generator").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import DecoderTextConfig
from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.proposals import NUM_CONCEPTS, SEMANTIC_SCALE
from vision_llm_ros.model.tokenizer import EncodedImage, sine_embedding

ADAPTER = "text"
QUERY, IGNORED = -1, -100  # in token ids: the place of <text>; in wanted ids: nothing is learnt here
_SCENE_LEVEL = 2
_OCTAVES = 16
_NEVER = -1e4
_QUIET = 0.3  # what is not learnt yet is added at this share of an embedding's size


@dataclass(frozen=True)
class Seen:
    """What the text is written about, for B pictures.

    Attributes:
        cells: float[B, cells * cells, C], the pyramid's stride-32 map averaged over a grid, row-major.
        concepts: float[B, M, S], concept logits of the M image tokens.
        geometry: float[B, M, 6], cxcywh fractions, square root of the area, objectness.
    """

    cells: Tensor
    concepts: Tensor
    geometry: Tensor

    def to(self, device: torch.device) -> Seen:
        """The same on a device."""
        return Seen(*(value.to(device) for value in vars(self).values()))

    @classmethod
    def joined(cls, some: Sequence[Seen]) -> Seen:
        """What several batches of pictures show as one batch, float32."""
        return cls(*(torch.cat([getattr(one, name) for one in some]).float() for name in vars(some[0])))


@dataclass(frozen=True)
class Written:
    """A text with the geometric mean of its tokens' probabilities."""

    text: str
    score: float


class TextDecoder(nn.Module):
    """What learns around the frozen language model to write text; the adapter is kept in the language model."""

    names: Tensor

    def __init__(self, config: DecoderTextConfig, model: VisionLLM) -> None:
        """Add the adapter to the model's language model, which is deepened where it has too few layers."""
        super().__init__()
        self.config = config
        llm = model.llm
        if config.llm_layers > llm.num_layers or not config.llm_layers:
            llm.deepen(config.llm_layers)
        llm.add_adapter(ADAPTER, config.lora_rank, config.lora_alpha, config.lora_dropout, config.llm_layers)
        channels = model.backbone.channels[_SCENE_LEVEL]
        spread = float(llm.base.embed_tokens.weight.float().std())
        self.scene = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, config.scene_width), nn.GELU())
        self.gist = nn.Linear(2 * config.scene_width + NUM_CONCEPTS, config.head_width)
        self.object = _projection(NUM_CONCEPTS + 6 * _OCTAVES, llm.width, spread * _QUIET)
        self.register_buffer("names", _name_embeddings(llm), persistent=False)
        self.rows = nn.Parameter(torch.randn(2, llm.width) * spread)  # <text>, end
        last = nn.Linear(config.head_width, llm.width)
        nn.init.normal_(last.weight, std=0.02)
        self.read = nn.Sequential(nn.LayerNorm(llm.width), nn.Linear(llm.width, config.head_width))
        self.head = nn.Sequential(nn.GELU(), nn.Dropout(config.dropout), last)
        self.dropout = nn.Dropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(llm.base.config.vocab_size + 1))  # the last one is the end's

    def list_tokens(self, counts: Tensor) -> None:
        """Start from how often each token was read, int[V + 1] with the end last; the others are never written."""
        share = (counts.float() / counts.sum()).clamp(min=1e-9)
        self.bias.data.copy_(torch.where(counts > 0, share.log(), torch.full_like(share, _NEVER)))

    @property
    def listed(self) -> Tensor:
        """Base-vocabulary ids int[L] of the tokens that can be written; the end follows behind them."""
        return (self.bias[:-1] > _NEVER / 2).nonzero().flatten()

    def learned(self, llm: LanguageModel) -> dict[str, Tensor]:
        """Every tensor that is stored: decoder.*, adapter.*."""
        parts = {"decoder": self.state_dict(), "adapter": llm.adapter_state(ADAPTER)}
        return {f"{part}.{key}": value for part, state in parts.items() for key, value in state.items()}

    @torch.no_grad()
    def see(self, model: VisionLLM, pyramid: list[Tensor], image: EncodedImage | None = None) -> Seen:
        """Look at pictures by their pyramid maps (and its words-free encoding, if it is there already)."""
        image = image or model.tokenizer.encode(pyramid[1:])
        tokens = model.tokenizer(image, model.embed_phrases(COCO_CLASSES))
        best = tokens.objectness.topk(min(self.config.objects, tokens.centres.shape[1]), -1).indices
        boxes = _pick(tokens.boxes_cxcywh, best).clamp(0, 1)
        area = boxes[..., 2:].prod(-1, keepdim=True).sqrt()
        geometry = torch.cat([boxes, area, tokens.objectness.gather(1, best).unsqueeze(-1)], -1)
        cells = functional.adaptive_avg_pool2d(pyramid[_SCENE_LEVEL], self.config.cells).flatten(2).transpose(1, 2)
        return Seen(cells, _pick(tokens.semantics, best), geometry)

    def image_embeddings(self, seen: Seen) -> Tensor:
        """float[B, M, D], the image tokens as the language model reads them."""
        looks = (seen.concepts * SEMANTIC_SCALE).clamp(-2, 2)
        places = self.object(torch.cat([looks, sine_embedding(seen.geometry, _OCTAVES)], -1))
        objects = seen.concepts.sigmoid() @ self.names + places
        return self.dropout(objects)  # type: ignore[no-any-return]

    def merged(self, seen: Seen) -> Tensor:
        """What pictures show as a whole, for the choice of every word: float[B, head_width]."""
        cells = self.scene(self.dropout(seen.cells))
        classes = seen.concepts.sigmoid().amax(1)
        return self.gist(torch.cat([cells.mean(1), cells.amax(1), classes], -1))  # type: ignore[no-any-return]

    def embed(self, llm: LanguageModel, ids: Tensor) -> Tensor:
        """Base-vocabulary ids, or QUERY, int[...] to float[..., D]."""
        return torch.where((ids == QUERY).unsqueeze(-1), self.rows[0], llm.embed_text(ids.clamp(min=0)))

    def logits(self, llm: LanguageModel, states: Tensor, merged: Tensor, listed: Tensor) -> Tensor:
        """Last hidden states float[..., D], merged float[..., head_width] to logits of the listed tokens and the end.

        Returns:
            float[..., L + 1].
        """
        states = self.head(self.read(states) + merged)
        scores = torch.cat([llm.text_logits(states, listed), (states @ self.rows[1]).unsqueeze(-1)], -1)
        return scores + torch.cat([self.bias[listed], self.bias[-1:]])

    def forward(
        self, llm: LanguageModel, seen: Seen, asked: Tensor, texts: Tensor, wanted: Tensor, smoothing: float = 0.0
    ) -> Tensor:
        """Cross-entropy of several texts a picture, side by side as query sets are: none sees another.

        Args:
            asked: int[T], instruction all texts share; may be empty.
            texts: int[B, S, L], what is read: own instruction, QUERY, text.
            wanted: int[B, S, L], the token that follows, `V` for the end, IGNORED where nothing is learnt.
            smoothing: share of the target that all tokens have alike.
        Returns:
            mean over the tokens.
        """
        states = self.states(llm, seen, asked, texts)
        learnt = (wanted != IGNORED).flatten(1)
        merged = self.merged(seen).unsqueeze(1).expand(-1, states.shape[1], -1)
        return self.cost(llm, states[learnt], merged[learnt], wanted.flatten(1)[learnt], smoothing)

    def states(self, llm: LanguageModel, seen: Seen, asked: Tensor, texts: Tensor) -> Tensor:
        """Last hidden states float[B, S * L, D] of texts, see `forward`."""
        images = self.image_embeddings(seen)
        batch, count, length = texts.shape
        prefix = torch.cat([images, self.embed(llm, asked).expand(batch, -1, -1)], 1)
        embeds = torch.cat([prefix, self.embed(llm, texts).flatten(1, 2)], 1)
        before = prefix.shape[1]
        places = torch.arange(before + length, device=embeds.device)
        positions = torch.cat([places[:before], places[before:].repeat(count)]).expand(batch, -1)
        attend = _tree_mask(before, count, length, embeds.device).expand(batch, -1, -1)
        with llm.using(ADAPTER):
            states, _ = llm.run(embeds, positions, attend)
        return states[:, before:]

    def cost(self, llm: LanguageModel, states: Tensor, merged: Tensor, wanted: Tensor, smoothing: float) -> Tensor:
        """Mean cross-entropy of tokens int[N] that follow states float[N, D]; tokens not listed do not count."""
        listed = self.listed
        place = torch.full((len(self.bias),), IGNORED, device=listed.device)
        place[torch.cat([listed, listed.new_tensor([len(self.bias) - 1])])] = torch.arange(
            len(listed) + 1, device=listed.device
        )
        logits = self.logits(llm, states, merged, listed)
        return functional.cross_entropy(logits.float(), place[wanted], ignore_index=IGNORED, label_smoothing=smoothing)

    @torch.no_grad()
    def write(self, llm: LanguageModel, seen: Seen, asked: Tensor) -> Written:
        """Write about one picture by beam search: of the finished texts the one with the highest score.

        Args:
            seen: of one picture.
            asked: int[T], the instruction.
        """
        listed = self.listed
        query = torch.cat([asked, asked.new_tensor([QUERY])]).unsqueeze(0)
        embeds = torch.cat([self.image_embeddings(seen), self.embed(llm, query)], 1)
        with llm.using(ADAPTER):
            found = self._search(llm, embeds, self.merged(seen), listed)
        mean, chosen = max(found, key=lambda text: text[0])
        text = str(llm.tokenizer.decode(listed[chosen].tolist(), skip_special_tokens=True)).strip()
        return Written(text, math.exp(mean))

    def _search(
        self, llm: LanguageModel, embeds: Tensor, merged: Tensor, listed: Tensor
    ) -> list[tuple[float, list[int]]]:
        """Texts behind float[1, T, D] with the mean of their log-probabilities; keys and values are cached."""
        end, beams = len(listed), self.config.beams
        cache = llm.cache([], 1)
        going: list[list[int]] = [[]]
        totals = embeds.new_zeros(1)
        done: list[tuple[float, list[int]]] = []
        for length in range(1, self.config.max_tokens + 1):
            states = self._advance(llm, embeds, cache.get_seq_length(), cache)[:, -1]
            sums = totals.unsqueeze(1) + self.logits(llm, states, merged, listed).float().log_softmax(-1)
            best = sums.flatten().topk(min(2 * beams, sums.numel()))
            steps = [divmod(place, end + 1) for place in best.indices.tolist()]
            ranked = list(zip(best.values.tolist(), steps, strict=True))
            done += [(total / length, going[parent]) for total, (parent, word) in ranked[:beams] if word == end]
            ranked = [entry for entry in ranked if entry[1][1] != end][:beams]
            going = [[*going[parent], word] for _, (parent, word) in ranked]
            totals = embeds.new_tensor([total for total, _ in ranked])
            if len(done) >= beams or not going:
                return done
            cache.reorder_cache(listed.new_tensor([parent for _, (parent, _) in ranked]))
            embeds = self.embed(llm, listed[[text[-1] for text in going]]).unsqueeze(1)
        return done + [(float(total) / length, text) for total, text in zip(totals, going, strict=True)]

    def _advance(self, llm: LanguageModel, embeds: Tensor, past: int, cache: Any) -> Tensor:
        """Feed float[B, T, D] behind `past` tokens, causally."""
        count = embeds.shape[1]
        positions = past + torch.arange(count, device=embeds.device).unsqueeze(0)
        attend = torch.ones(1, count, past + count, dtype=torch.bool, device=embeds.device).tril(past)
        return llm.advance(embeds, positions, attend, cache)


def _projection(inputs: int, width: int, spread: float) -> nn.Sequential:
    """Normalise and project to embeddings of the language model's own size."""
    last = nn.Linear(inputs, width)
    nn.init.normal_(last.weight, std=spread / math.sqrt(inputs))
    return nn.Sequential(nn.LayerNorm(inputs), last)


def _name_embeddings(llm: LanguageModel) -> Tensor:
    """float[S, D]: the mean embedding of the tokens of every concept's name."""
    ids = [llm.tokenizer(f" {name}", add_special_tokens=False)["input_ids"] for name in COCO_CLASSES]
    return torch.stack([llm.embed_text(torch.tensor(some)).detach().float().mean(0) for some in ids])


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """Rows int[B, M'] of float[B, M, C]."""
    return values.gather(1, index.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def _tree_mask(before: int, count: int, length: int, device: torch.device) -> Tensor:
    """bool[1, T, T]: a causal prefix, then texts that see it and their own beginning."""
    total = before + count * length
    mask = torch.ones(total, total, dtype=torch.bool, device=device).tril()
    owner = torch.arange(count, device=device).repeat_interleave(length)
    mask[before:, before:] &= owner[:, None] == owner[None]
    return mask.unsqueeze(0)
