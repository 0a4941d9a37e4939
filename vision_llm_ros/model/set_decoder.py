"""Output-format-as-query decoding (VisionLLM, section 3.3): all objects of a picture in one pass of the LLM.

Example with two image tokens and boxes. The language model reads

    [instruction ...][v0 v1] [<cls> <x1> <y1> <x2> <y2>] [<cls> <x1> <y1> <x2> <y2>]
     prefix, causal, cached   query set 0, of token 0     query set 1, of token 1

Each query set sees the prefix, all image tokens and itself, never another set, and every set stands at the same
positions. So a set's answer does not depend on which other sets are decoded. The answer at `<cls>` is a softmax
over the listed classes and `<bg>`, at a coordinate over the location tokens only.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.language.codec import OffsetCodec
from vision_llm_ros.language.instructions import Instruction
from vision_llm_ros.language.vocabulary import Vocabulary
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.proposals import NUM_CONCEPTS, SEMANTIC_SCALE
from vision_llm_ros.model.tokenizer import ImageTokens, sine_embedding

ADAPTER = "detect"
_EXTRA_TOKEN = re.compile(r"(<c\d+>|<p-?\d+>|<cls>|<[xy]\d+>)")
_POINTER_WIDTH = 64
_FAR = -30.0
_GROUP_TOKENS = 640  # queries run at once


@dataclass(frozen=True)
class Prefix:
    """An instruction as the language model remembers it: computed once per command.

    Attributes:
        past: keys and values of every layer, batch 1.
        length: tokens in it.
        class_states: float[K, D], hidden states at the class tokens' definitions.
        class_rows: int[K], rows of the class tokens, in the order of the instruction's classes.
        num_points: corners or boundary points per object.
    """

    past: list[tuple[Tensor, Tensor]]
    length: int
    class_states: Tensor
    class_rows: Tensor
    num_points: int


@dataclass(frozen=True)
class SetLogits:
    """Decoded tuples.

    Attributes:
        classes: float[B, M, K + 1], the listed classes, then `<bg>`.
        locations: float[B, M, 2 * num_points, bins], order x1, y1, x2, y2, ...
    """

    classes: Tensor
    locations: Tensor


class SetDecoder(nn.Module):
    """Everything that learns around the frozen language model: token rows, adapters, output scales."""

    def __init__(self, config: ModelConfig, llm_width: int, embedding_std: float) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = Vocabulary(config.location_bins, config.class_tokens)
        self.codec = OffsetCodec(config.location_bins)
        self.rows = nn.Parameter(torch.randn(len(self.vocabulary), llm_width) * embedding_std)
        self.rows.data[self.vocabulary.locations] = _smooth_rows(self.codec, llm_width) * embedding_std
        self.background = nn.Parameter(torch.zeros(llm_width))
        self.background_bias = nn.Parameter(torch.zeros(()))
        inputs = config.width + NUM_CONCEPTS + 6 * 16
        projection = nn.Linear(inputs, llm_width)
        nn.init.normal_(projection.weight, std=embedding_std / math.sqrt(inputs))
        self.to_llm = nn.Sequential(nn.LayerNorm(inputs), projection)
        self.head_norm = nn.LayerNorm(llm_width)
        self.class_scale = nn.Parameter(torch.tensor(0.1))
        self.location_scale = nn.Parameter(torch.tensor(0.1))
        self.pointer_query = nn.Linear(llm_width, _POINTER_WIDTH)
        self.pointer_key = nn.Linear(llm_width, _POINTER_WIDTH)
        nn.init.zeros_(self.pointer_query.weight)
        nn.init.zeros_(self.pointer_query.bias)
        # spread of the region prior, as a fraction of the box side, for corners and for outline points
        self.prior_spread = nn.Parameter(torch.tensor([0.08, 0.25]).log())

    def read_instruction(self, llm: LanguageModel, instruction: Instruction) -> Prefix:
        """Run the instruction through the language model once.

        Raises:
            ConfigError: the instruction uses a token outside the vocabulary, or lists no class.
        """
        embeds, definitions = self._embed(llm, instruction)
        length = embeds.shape[1]
        causal = torch.ones(1, length, length, dtype=torch.bool, device=embeds.device).tril()
        states, past = llm.run(embeds, torch.arange(length, device=embeds.device)[None], causal)
        rows = [self.vocabulary.class_row(token) for token in instruction.class_tokens]
        class_rows = torch.tensor(rows, device=embeds.device)
        return Prefix(past, length, states[0, definitions], class_rows, instruction.num_points)

    def _embed(self, llm: LanguageModel, instruction: Instruction) -> tuple[Tensor, list[int]]:
        pieces: list[Tensor] = []
        places: dict[str, int] = {}
        length = 0
        for part in _EXTRA_TOKEN.split(instruction.text):
            if not part:
                continue
            if _EXTRA_TOKEN.fullmatch(part):
                piece = self.rows[self.vocabulary.row(part)].unsqueeze(0)
                places[part] = length
            else:
                ids = llm.tokenizer(part, add_special_tokens=False)["input_ids"]
                piece = llm.embed_text(torch.tensor(ids, device=self.rows.device))
            pieces.append(piece)
            length += len(piece)
        names = [f"<c{token}>" for token in instruction.class_tokens]
        if not names or any(name not in places for name in names):
            raise ConfigError(f"Expected an instruction that defines its classes, got {instruction.text[:80]!r}")
        return torch.cat(pieces).unsqueeze(0), [places[name] for name in names]

    def image_embeddings(self, tokens: ImageTokens) -> Tensor:
        """Image tokens in the language model's space: float[B, M, D_llm] from e_i, what it looks like and l_i."""
        boxes = tokens.boxes_cxcywh
        area = (boxes[..., 2:].clamp(min=1e-4).prod(-1, keepdim=True)).sqrt()
        geometry = torch.cat([boxes, area, tokens.objectness.unsqueeze(-1)], -1)
        looks = (tokens.semantics * SEMANTIC_SCALE).clamp(-2, 2)
        return self.to_llm(torch.cat([tokens.embeddings, looks, sine_embedding(geometry, 16)], -1))  # type: ignore[no-any-return]

    def forward(
        self, llm: LanguageModel, prefix: Prefix, tokens: ImageTokens, valid: Tensor | None = None
    ) -> SetLogits:
        """Decode one tuple per image token, all at once.

        Args:
            prefix: of the instruction that `tokens` were made for.
            tokens: M image tokens of each of B pictures.
            valid: bool[B, M], False for padding; None means all are real.
        """
        hidden = self._query_states(llm, prefix, tokens, valid)
        return SetLogits(
            self.class_logits(hidden[:, :, 0], prefix, tokens),
            self.location_logits(hidden[:, :, 1:], self.location_prior(tokens, prefix.num_points)),
        )

    def _query_states(self, llm: LanguageModel, prefix: Prefix, tokens: ImageTokens, valid: Tensor | None) -> Tensor:
        """Hidden states float[B, M, 1 + 2 * points, D] of every query set.

        As no set sees another, many long ones are run group by group behind the same image tokens; the first group
        goes with the image tokens, which most often is all.
        """
        images = self.image_embeddings(tokens)
        batch, count, width = images.shape
        device, before = images.device, prefix.length + count
        queries = self.rows[list(self.vocabulary.format_query(prefix.num_points))]
        seen = torch.ones(batch, 1, before, dtype=torch.bool, device=device)
        if valid is not None:
            seen[:, 0, prefix.length :] = valid
        cache = llm.cache(prefix.past, batch)
        causal = torch.ones(count, before, dtype=torch.bool, device=device).tril(prefix.length) & seen
        places = torch.arange(prefix.length, before + len(queries), device=device)
        states, waiting = [], images  # image tokens go before the first group alone
        for group in torch.split(images.unsqueeze(2) + queries, max(1, _GROUP_TOKENS // len(queries)), 1):
            sets = group.shape[1]
            attend = torch.cat([seen.expand(-1, sets * len(queries), -1), _own_set(sets, len(queries), seen)], -1)
            first = waiting.shape[1]
            if first:
                attend = torch.cat([functional.pad(causal, (0, sets * len(queries))), attend], 1)
            positions = torch.cat([places[:first], places[count:].repeat(sets)]).expand(batch, -1)
            embeds = torch.cat([waiting, group.flatten(1, 2)], 1)
            states.append(llm.advance(embeds, positions, attend, cache)[:, first:])
            cache.crop(-sets * len(queries))
            waiting = images[:, :0]
        return self.head_norm(torch.cat(states, 1)).view(batch, count, len(queries), width)  # type: ignore[no-any-return]

    def class_logits(self, hidden: Tensor, prefix: Prefix, tokens: ImageTokens) -> Tensor:
        """Hidden states float[B, M, D] at `<cls>` to float[B, M, K + 1]."""
        listed = self.class_scale * hidden @ self.rows[prefix.class_rows].T
        pointers = self.pointer_query(hidden) @ self.pointer_key(prefix.class_states).T
        listed = listed + pointers / math.sqrt(_POINTER_WIDTH)
        background = hidden @ self.background.unsqueeze(-1) + self.background_bias
        if self.config.region_prior and self.config.class_prior:
            listed = listed + tokens.class_logits
        return torch.cat([listed, background], -1)

    def location_logits(self, hidden: Tensor, prior: Tensor) -> Tensor:
        """Hidden states float[B, M, C, D] at coordinates and their prior to float[B, M, C, bins]."""
        return self.location_scale * hidden @ self.rows[self.vocabulary.locations].T + prior

    def location_prior(self, tokens: ImageTokens, num_points: int) -> Tensor:
        """Gaussian around the tokenizer's own box (corners) or its inscribed ellipse (outline points).

        Returns:
            float[B, M, 2 * num_points, bins]; zeros without the region prior.
        """
        sides = tokens.boxes_cxcywh[..., 2:].detach()
        if not self.config.region_prior:
            return sides.new_zeros(*sides.shape[:2], 2 * num_points, self.config.location_bins)
        places = _expected_offsets(num_points, sides.device) * sides.unsqueeze(-2) / 2
        places = self.codec.place(places.flatten(-2)).unsqueeze(-1)
        spread = self.prior_spread[0 if num_points == 2 else 1].exp()
        width = (spread * sides.repeat(1, 1, num_points) * self.codec.half + 1.0).unsqueeze(-1)
        bins = torch.arange(self.codec.bins, device=sides.device, dtype=sides.dtype)
        return (-0.5 * ((bins - places) / width) ** 2).clamp(min=_FAR)


def _smooth_rows(codec: OffsetCodec, width: int) -> Tensor:
    """Rows that change slowly from bin to bin, so that neighbours share what they learn: float[bins, width]."""
    offsets = codec.decode(torch.arange(codec.bins)).unsqueeze(1)
    frequencies = torch.exp(torch.empty(width // 2).uniform_(math.log(0.5), math.log(60.0)))
    angles = offsets * frequencies * math.pi + torch.rand(width // 2) * 2 * math.pi
    return torch.cat([angles.sin(), angles.cos()], -1) * math.sqrt(2)


def _own_set(sets: int, per_set: int, seen: Tensor) -> Tensor:
    """bool[B, sets * per_set, sets * per_set]: True between queries of the same set; batch and device of `seen`."""
    owner = torch.arange(sets, device=seen.device).repeat_interleave(per_set)
    return (owner[:, None] == owner[None]).expand(len(seen), -1, -1)


def _expected_offsets(num_points: int, device: torch.device) -> Tensor:
    """Where points lie before any evidence, in half box sides from the centre: float[num_points, 2]."""
    if num_points == 2:
        return torch.tensor([[-1.0, -1.0], [1.0, 1.0]], device=device)
    angles = torch.arange(num_points, device=device) * (2 * math.pi / num_points)
    return torch.stack([angles.cos(), angles.sin()], -1)


def location_bins(points_xy: Tensor, centres_xy: Tensor, codec: OffsetCodec) -> Tensor:
    """The location tokens that tell points, what learning aims at and `decode_points` undoes.

    Args:
        points_xy: float[..., P, 2], xy fractions of the network's input.
        centres_xy: float[..., 2], the centres l_i, without gradient.
    Returns:
        int[..., 2 * P], order x1, y1, x2, y2, ...
    """
    return codec.encode(points_xy - centres_xy.unsqueeze(-2)).long().flatten(-2)


def decode_points(logits: SetLogits, tokens: ImageTokens, reach: int = 2) -> Tensor:
    """Points from location logits.

    A corner is at the likeliest bin, refined by the mean over its neighbours. An outline point is at the mean of its
    whole distribution: that is wide, and the likeliest bins of neighbouring points make a ragged outline.

    Returns:
        float[B, M, num_points, 2], xy fractions of the network's input.
    """
    codec = OffsetCodec(logits.locations.shape[-1])
    best = logits.locations.argmax(-1, keepdim=True)
    reach = reach if logits.locations.shape[-2] == 4 else codec.bins
    bins = torch.arange(codec.bins, device=best.device)
    weights = functional.softmax(logits.locations.masked_fill((bins - best).abs() > reach, -torch.inf), -1)
    offsets = codec.decode((weights * bins).sum(-1))
    return tokens.centres.unsqueeze(2) + offsets.reshape(*offsets.shape[:-1], -1, 2)
