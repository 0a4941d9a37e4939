"""Language-guided image tokenizer (VisionLLM, section 3.2): a pyramid and phrases in, M image tokens out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.model.deformable import DeformableAttention
from vision_llm_ros.model.geometry import apply_deltas, suppress_overlaps, to_xyxy
from vision_llm_ros.model.proposals import NUM_CONCEPTS, SEMANTIC_SCALE, DenseFeatures, DenseHead, PhraseScorer

_PROPOSAL_IOU = 0.6
_POOL_FACTOR = 4


@dataclass(frozen=True)
class EncodedImage:
    """A batch of pictures before any words: shared by every command on the frame.

    Attributes:
        levels: per level float[B, D, H_l, W_l], projected features.
        dense: concept logits and boxes of every anchor.
    """

    levels: list[Tensor]
    dense: DenseFeatures


@dataclass(frozen=True)
class ImageTokens:
    """M image tokens for one command.

    Attributes:
        embeddings: float[B, M, D], the semantic embeddings e_i.
        centres: float[B, M, 2], the centres l_i, xy fractions of the input.
        boxes_cxcywh: float[B, M, 4], the tokenizer's own box estimate.
        semantics: float[B, M, S], concept logits of the proposal behind the token.
        class_logits: float[B, M, K], logit that the token shows each listed phrase.
        dense_logits: float[B, A, K], the same for every anchor (for the auxiliary loss).
    """

    embeddings: Tensor
    centres: Tensor
    boxes_cxcywh: Tensor
    semantics: Tensor
    class_logits: Tensor
    dense_logits: Tensor

    @property
    def objectness(self) -> Tensor:
        """float[B, M]: probability that the token shows anything listed at all."""
        return self.class_logits.amax(-1).sigmoid()


def sine_embedding(values: Tensor, width: int) -> Tensor:
    """Encode fractions float[..., C] as float[..., C * width] sines of geometric frequencies."""
    octaves = torch.arange(width // 2, device=values.device, dtype=values.dtype)
    angles = values.unsqueeze(-1) * (2 * math.pi) * 1.6**octaves
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


class LanguageInjection(nn.Module):
    """Pre-norm cross-attention: pixels ask, phrases answer; one weight set per level."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, num_heads, batch_first=True)

    def forward(self, level: Tensor, text: Tensor) -> Tensor:
        """Add what the phrases float[B, K, D] mean to the pixels float[B, D, H, W]."""
        pixels = level.flatten(2).transpose(1, 2)
        answer = self.attention(self.norm(pixels), text, text, need_weights=False)[0]
        return (pixels + answer).transpose(1, 2).reshape(level.shape)  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Pre-norm two-layer perceptron with a residual."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Every pixel of every level attends deformably to all levels."""

    def __init__(self, config: ModelConfig, num_levels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.attention = DeformableAttention(config.width, config.num_heads, num_levels, config.num_points)
        self.feedforward = FeedForward(config.width, config.feedforward)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        pixels = torch.cat([level.flatten(2) for level in levels], -1).transpose(1, 2)
        boxes = torch.cat([_cells(level) for level in levels]).expand(len(pixels), -1, -1)
        pixels = self.feedforward(pixels + self.attention(self.norm(pixels), boxes, levels))
        parts = pixels.transpose(1, 2).split([level.shape[-2] * level.shape[-1] for level in levels], -1)
        return [part.reshape(level.shape) for part, level in zip(parts, levels, strict=True)]


def _cells(level: Tensor) -> Tensor:
    """Each cell of a level as a box four cells wide: float[H*W, 4], cxcywh fractions."""
    height, width = level.shape[-2:]
    ys = (torch.arange(height, device=level.device, dtype=level.dtype) + 0.5) / height
    xs = (torch.arange(width, device=level.device, dtype=level.dtype) + 0.5) / width
    grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
    sides = torch.tensor([4 / width, 4 / height], device=level.device, dtype=level.dtype)
    return torch.cat([torch.stack([grid_x, grid_y], -1).reshape(-1, 2), sides.expand(height * width, 2)], -1)


class DecoderLayer(nn.Module):
    """Queries talk to each other, then look at the pyramid around their boxes."""

    def __init__(self, config: ModelConfig, num_levels: int) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(config.width)
        self.self_attention = nn.MultiheadAttention(config.width, config.num_heads, batch_first=True)
        self.cross_norm = nn.LayerNorm(config.width)
        self.cross_attention = DeformableAttention(config.width, config.num_heads, num_levels, config.num_points)
        self.feedforward = FeedForward(config.width, config.feedforward)

    def forward(self, queries: Tensor, places: Tensor, boxes_cxcywh: Tensor, levels: list[Tensor]) -> Tensor:
        normed = self.self_norm(queries)
        keys = normed + places
        queries = queries + self.self_attention(keys, keys, normed, need_weights=False)[0]
        queries = queries + self.cross_attention(self.cross_norm(queries) + places, boxes_cxcywh, levels)
        return self.feedforward(queries)  # type: ignore[no-any-return]


class ImageTokenizer(nn.Module):
    """Pyramid maps and phrase embeddings to `ImageTokens`.

    We depart from the paper in one point: the M learned queries start at the best proposals of a dense branch
    (two-stage Deformable-DETR), which converges in minutes where fresh queries need days.
    """

    def __init__(self, config: ModelConfig, channels: tuple[int, ...], text_width: int) -> None:
        super().__init__()
        self.config = config
        width, levels = config.width, len(channels)
        self.dense = DenseHead(channels)
        self.scorer = PhraseScorer(text_width)
        self.project = nn.ModuleList(nn.Sequential(nn.Conv2d(c, width, 1), nn.GroupNorm(8, width)) for c in channels)
        self.text_project = nn.Linear(text_width, width)
        self.injections = nn.ModuleList(LanguageInjection(width, config.num_heads) for _ in channels)
        self.encoder = nn.ModuleList(EncoderLayer(config, levels) for _ in range(config.encoder_layers))
        self.queries = nn.Parameter(torch.randn(config.num_queries, width) * 0.02)
        self.from_semantics = nn.Linear(NUM_CONCEPTS, width)
        self.place = nn.Linear(4 * 16, width)
        self.decoder = nn.ModuleList(DecoderLayer(config, levels) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(width)
        hidden, box_delta = nn.Linear(width, width), nn.Linear(width, 4)
        self.box_delta = nn.Sequential(hidden, nn.GELU(), box_delta)
        self.object_delta = nn.Linear(width, 1)
        self.class_key = nn.Linear(text_width, width)
        self.class_query = nn.Linear(width, width)
        for layer in (box_delta, self.object_delta, self.class_query):
            nn.init.zeros_(layer.weight)  # start exactly at the proposals
            nn.init.zeros_(layer.bias)

    def encode(self, maps: list[Tensor]) -> EncodedImage:
        """Words-free part, once per frame: maps float[B, C_l, H_l, W_l] at stride 16 and coarser."""
        levels = [project(features) for project, features in zip(self.project, maps, strict=True)]
        return EncodedImage(levels, self.dense(maps))

    def forward(self, image: EncodedImage, text: Tensor) -> ImageTokens:
        """Look for phrases.

        Args:
            image: what `encode` returned for a batch of B pictures.
            text: float[K, D_text] unit embeddings of the K listed phrases.
        """
        levels = self._inject(image.levels, text)
        dense_logits = self.scorer(image.dense.semantics, text)
        chosen = self._choose(dense_logits, image.dense.boxes_cxcywh)
        boxes = _gather(image.dense.boxes_cxcywh, chosen)
        semantics = _gather(image.dense.semantics, chosen)
        if self.config.tokenizer == "average_pool":
            queries = self._average_pool(levels, chosen.shape[1])
        else:
            queries = self._decode(levels, boxes.detach(), semantics)
        refined = apply_deltas(boxes, self.box_delta(queries))
        similarity = self.class_query(queries) @ self.class_key(text).T / math.sqrt(queries.shape[-1])
        class_logits = _gather(dense_logits, chosen) + similarity + self.object_delta(queries)
        return ImageTokens(queries, refined[..., :2], refined, semantics, class_logits, dense_logits)

    def _inject(self, levels: list[Tensor], text: Tensor) -> list[Tensor]:
        if self.config.text_mode != "none":
            words = self.text_project(text).expand(len(levels[0]), -1, -1)
            levels = [injection(level, words) for injection, level in zip(self.injections, levels, strict=True)]
        for layer in self.encoder:
            levels = layer(levels)
        return levels

    @torch.no_grad()
    def _choose(self, logits: Tensor, boxes_cxcywh: Tensor) -> Tensor:
        """Indices int[B, M] of the best proposals, overlaps of one phrase removed, padded with the next best."""
        count = min(self.config.num_queries, logits.shape[1])
        scores, labels = logits.max(-1)
        ranked = scores.topk(min(count * _POOL_FACTOR, logits.shape[1]), dim=-1).indices
        rows = []
        for order, box, label in zip(ranked, boxes_cxcywh, labels, strict=True):
            kept = suppress_overlaps(to_xyxy(box[order]), label[order], _PROPOSAL_IOU, count)
            spare = torch.ones(len(order), dtype=torch.bool, device=order.device)
            spare[kept] = False
            rows.append(order[torch.cat([kept, spare.nonzero().flatten()])[:count]])
        return torch.stack(rows)

    def _decode(self, levels: list[Tensor], boxes: Tensor, semantics: Tensor) -> Tensor:
        queries = self.queries[: boxes.shape[1]] + self.from_semantics(semantics * SEMANTIC_SCALE)
        places = self.place(sine_embedding(boxes, 16))
        for layer in self.decoder:
            queries = layer(queries, places, boxes, levels)
        return self.norm(queries)  # type: ignore[no-any-return]

    def _average_pool(self, levels: list[Tensor], count: int) -> Tensor:
        """The ablation of the paper's table 6b: the mean of the finest level stands for every token."""
        return self.norm(levels[0].mean((2, 3)).unsqueeze(1).expand(-1, count, -1))  # type: ignore[no-any-return]


def _gather(values: Tensor, index: Tensor) -> Tensor:
    """Pick rows int[B, M] of float[B, A, C]."""
    return values.gather(1, index.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
