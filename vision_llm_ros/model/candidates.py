"""What a sentence may mean: the likely objects of a picture, and the evidence that each phrase finds in them.

Candidates come from the dense branch of the image tokenizer, which is frozen, so they stay as they are when the
detection route is trained anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.language.phrases import ASKS, Phrase
from vision_llm_ros.model.geometry import pairwise_iou, suppress_overlaps, to_xyxy
from vision_llm_ros.model.proposals import NUM_CONCEPTS, DenseFeatures
from vision_llm_ros.model.text import TextEncoder

ABSENT = 6.0  # minus this is the logit of a concept that is not there
EVIDENCE = 26
_OVERLAP_IOU = 0.6
_POOL_FACTOR = 4
_ASKED_BONUS = 3.0
_STEP = 0.04  # of a side: differences of place below this count as none
_GRID = 3


@dataclass(frozen=True)
class PhraseText:
    """P phrases as text embeddings of unit length.

    Attributes:
        subjects, wholes: float[P, D_text], the noun sought and the whole phrase.
        anchors: float[P, D_text], the noun it stands beside; zeros where there is none.
        asks: float[P, len(ASKS)], 1 where the words name a place, size or side.
    """

    subjects: Tensor
    wholes: Tensor
    anchors: Tensor
    asks: Tensor

    @property
    def words(self) -> Tensor:
        """What is said, float[P, D_text + len(ASKS)]."""
        return torch.cat([self.wholes, self.asks], -1)


@dataclass(frozen=True)
class Candidates:
    """M likely objects of one picture, best first.

    Attributes:
        boxes_cxcywh: float[M, 4] fractions of the square.
        semantics: float[M, S] concept logits.
    """

    boxes_cxcywh: Tensor
    semantics: Tensor


class Evidence(nn.Module):
    """How well each candidate fits each phrase: meaning, and place and size among its like."""

    def __init__(self, text_width: int) -> None:
        super().__init__()
        self.to_concepts = nn.Linear(text_width, NUM_CONCEPTS, bias=False)

    def relevance(self, semantics: Tensor, text: Tensor) -> Tensor:
        """Logits float[P, A] that float[A, S] concept logits show what the embeddings float[P, D_text] say."""
        mixtures = self.to_concepts(text)
        return mixtures @ (semantics + ABSENT).T - ABSENT  # type: ignore[no-any-return]

    @torch.no_grad()
    def propose(self, dense: DenseFeatures, text: PhraseText, count: int) -> Candidates:
        """The `count` most likely objects of a picture (batch 1), those asked for first, overlaps removed."""
        semantics, boxes = dense.semantics[0].float(), dense.boxes_cxcywh[0].float()
        scores, labels = semantics.max(-1)
        asked = self.relevance(semantics, torch.cat([text.subjects, text.anchors])).amax(0)
        scores = torch.maximum(scores, asked + _ASKED_BONUS)
        order = scores.topk(min(count * _POOL_FACTOR, len(scores))).indices
        kept = order[suppress_overlaps(to_xyxy(boxes[order]), labels[order], _OVERLAP_IOU, count)]
        return Candidates(boxes[kept], semantics[kept])

    def forward(self, candidates: Candidates, text: PhraseText) -> Tensor:
        """Evidence float[P, M, EVIDENCE]; every value is about 0..1, the logits divided by 6."""
        own = self.relevance(candidates.semantics, text.subjects)
        whole = self.relevance(candidates.semantics, text.wholes)
        beside = self.relevance(candidates.semantics, text.anchors)
        has_anchor = text.anchors.abs().amax(-1, keepdim=True).sign().expand_as(own)
        like, anchor = own.sigmoid(), beside.sigmoid() * has_anchor
        return torch.stack(
            [
                *(own / ABSENT, whole / ABSENT, like),
                *_among(candidates.boxes_cxcywh, like),
                *_beside(candidates.boxes_cxcywh, anchor, like),
                *(anchor, has_anchor),
                *candidates.boxes_cxcywh.T.unsqueeze(1).expand(-1, *own.shape),
                *_repeated(candidates.boxes_cxcywh, like),
            ],
            -1,
        )


def _ahead(values: Tensor) -> Tensor:
    """float[M, M]: how clearly the column's value is below the row's, 0..1."""
    return ((values[:, None] - values[None]) / _STEP).clamp(0, 1)


def _among(boxes: Tensor, weights: Tensor) -> list[Tensor]:
    """Is there another of its like (float[P, M], 0..1) further left, right, up, down, smaller, larger; how many; twin.

    Candidates that overlap count as one object.
    """
    corners = to_xyxy(boxes)
    same = (2 * pairwise_iou(corners, corners)[0]).clamp(max=1.0)
    better = (weights.unsqueeze(1) > weights.unsqueeze(2)).to(weights.dtype)
    twin = (weights.unsqueeze(1) * same * better).amax(-1)
    objects = (weights * (1 - twin)).unsqueeze(1) * (1 - same)
    area = boxes[:, 2:].clamp(min=1e-4).log().sum(-1) * (_STEP / 0.3)
    steps = [ahead for values in (boxes[:, 0], boxes[:, 1], area) for ahead in (_ahead(values), _ahead(values).T)]
    others = [(objects * step).amax(-1) for step in steps]
    return [*others, objects.sum(-1).log1p() / 3, twin]


def _repeated(boxes: Tensor, weights: Tensor) -> list[Tensor]:
    """What a better candidate of its like leaves of it: their IoU, the share of itself inside that, that inside it."""
    corners = to_xyxy(boxes)
    iou = pairwise_iou(corners, corners)[0]
    sides = torch.minimum(corners[:, None, 2:], corners[None, :, 2:]) - torch.maximum(
        corners[:, None, :2], corners[None, :, :2]
    )
    shared = sides.clamp(min=0).prod(-1)
    areas = boxes[:, 2:].prod(-1).clamp(min=1e-6)
    better = weights.unsqueeze(1) * (weights.unsqueeze(1) > weights.unsqueeze(2)).to(weights.dtype)
    return [(better * part).amax(-1) for part in (iou, shared / areas[:, None], shared / areas[None])]


def _beside(boxes: Tensor, anchors: Tensor, weights: Tensor) -> list[Tensor]:
    """Is the anchor (float[P, M], 0..1) on its left, right, above, below; how near; is another of its like nearer."""
    gaps = (boxes[:, None, :2] - boxes[None, :, :2]).abs() - (boxes[:, None, 2:] + boxes[None, :, 2:]) / 2
    near = (-4 * gaps.clamp(min=0).norm(dim=-1)).exp() * (1 - torch.eye(len(boxes), device=boxes.device))
    steps = [ahead for axis in (0, 1) for ahead in (_ahead(boxes[:, axis]), _ahead(boxes[:, axis]).T)]
    nearness = (anchors.unsqueeze(1) * near).amax(-1)
    nearer = (weights * nearness).amax(-1, keepdim=True) - weights * nearness
    return [*((anchors.unsqueeze(1) * step).amax(-1) for step in steps), nearness, nearer]


def pool_regions(features: Tensor, boxes_cxcywh: Tensor) -> Tensor:
    """Mean of a map float[1, C, H, W] over a grid of points in each box: float[M, C]."""
    offsets = (torch.arange(_GRID, device=features.device, dtype=features.dtype) + 0.5) / _GRID - 0.5
    grid = torch.stack(torch.meshgrid(offsets, offsets, indexing="xy"), -1).reshape(1, -1, 2)
    points = boxes_cxcywh[:, None, :2] + grid * boxes_cxcywh[:, None, 2:]
    sampled = functional.grid_sample(features, points.unsqueeze(0) * 2 - 1, align_corners=False, padding_mode="border")
    return sampled[0].mean(-1).T


def read_phrases(encoder: TextEncoder, phrases: tuple[Phrase, ...]) -> PhraseText:
    """Embed phrases; a subject of "" stands for the whole phrase, an anchor of "" for none."""
    wholes = encoder(tuple(phrase.text for phrase in phrases))
    named = torch.tensor([[float(bool(phrase.anchor))] for phrase in phrases], device=wholes.device)
    return PhraseText(
        encoder(tuple(phrase.subject or phrase.text for phrase in phrases)),
        wholes,
        encoder(tuple(phrase.anchor or "nothing" for phrase in phrases)) * named,
        torch.tensor([[float(ask in phrase.asks) for ask in ASKS] for phrase in phrases], device=wholes.device),
    )
