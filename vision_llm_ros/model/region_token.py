"""A region as one token: the frozen pyramid under its mask, what the detector's anchors say of it, where it lies.

Source: Vitron's region extractor, after Osprey (mean features under the mask, and an MLP of the box). The mask is
indexed rows first: the released code of the paper has them swapped. We add the detector's evidence, which is there
anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from vision_llm_ros.model.geometry import pairwise_iou, to_xyxy
from vision_llm_ros.model.proposals import NUM_CONCEPTS, SEMANTIC_SCALE, DenseFeatures

LEVELS = 3  # strides 8, 16, 32
EVIDENCE = 2 * NUM_CONCEPTS
_LOWEST, _HIGHEST = -1.5, 1.0  # of scaled concept logits
_DROPOUT = 0.3
_NEAREST = 8
_SHARPNESS = 20.0


@dataclass(frozen=True)
class Look:
    """Frozen features of N regions, so that training may keep them.

    Attributes:
        means: float[N, C], see `masked_means`.
        evidence: float[N, 2 * 80], see `hear_anchors`.
        boxes: float[N, 4], xyxy, fractions of the picture.
    """

    means: Tensor
    evidence: Tensor
    boxes: Tensor

    def __getitem__(self, rows: Tensor) -> Look:
        return Look(self.means[rows], self.evidence[rows], self.boxes[rows])

    def exact(self) -> Look:
        """In float32, whatever it was kept in."""
        return Look(self.means.float(), self.evidence.float(), self.boxes.float())


@dataclass(frozen=True)
class Vocabulary:
    """K names that a region may have.

    Attributes:
        words: float[K, D], the text encoder's unit vectors.
        mixtures: float[K, 80], how much of each of the detector's concepts is in each (see `PhraseScorer`).
    """

    words: Tensor
    mixtures: Tensor


def look_at(pyramid: list[Tensor], dense: DenseFeatures, masks: Tensor, boxes: Tensor) -> Look:
    """Regions of one picture: masks float[N, H, W] and boxes float[N, 4], see `masked_means` and `Look`."""
    return Look(masked_means(pyramid, masks), hear_anchors(dense, boxes), boxes)


def masked_means(pyramid: list[Tensor], masks: Tensor) -> Tensor:
    """Mean features of regions of one picture.

    Args:
        pyramid: maps float[1, C_l, H_l, W_l], finest first.
        masks: float[N, H, W], 0..1 (or bool), over the picture that the maps are of.
    Returns:
        float[N, C_1 + C_2 + C_3], each level divided by its root mean square over the picture.
    """
    means = []
    for level in pyramid[:LEVELS]:
        features = level[0].flatten(1)
        features = features / (features.square().mean().sqrt() + 1e-4)
        share = interpolate(masks.float().unsqueeze(1), level.shape[-2:], mode="area")[:, 0].flatten(1)
        means.append(share @ features.T / share.sum(1, keepdim=True).clamp(min=1e-6))
    return torch.cat(means, 1)


def hear_anchors(dense: DenseFeatures, boxes: Tensor) -> Tensor:
    """What the anchors whose boxes are most like a region's show.

    Args:
        dense: of one picture.
        boxes: float[N, 4], xyxy, fractions of the picture.
    Returns:
        float[N, 2 * 80]: concept logits, scaled, as their mean weighted by likeness and as the highest of the nearest.
    """
    likeness, _ = pairwise_iou(boxes.to(dense.boxes_cxcywh), to_xyxy(dense.boxes_cxcywh[0]))
    logits = (dense.semantics[0].float() * SEMANTIC_SCALE).clamp(_LOWEST, _HIGHEST)
    mean = torch.softmax(likeness.float() * _SHARPNESS, 1) @ logits
    nearest = likeness.topk(min(_NEAREST, likeness.shape[1]), dim=1).indices
    return torch.cat([mean, logits[nearest].amax(1)], 1)


class RegionToken(nn.Module):
    """Means of features, the detector's evidence and a box to one token, by way of a narrow layer.

    Attributes:
        scale: of the likeness of token and word; trust: of the detector's two kinds of evidence beside it.
    """

    def __init__(self, channels: int, width: int, hidden_width: int) -> None:
        super().__init__()
        self.scale, self.trust = nn.Parameter(torch.tensor(5.0)), nn.Parameter(torch.tensor([3.0, 3.0]))
        self.look = nn.Linear(channels, hidden_width)
        self.hear = nn.Linear(EVIDENCE, hidden_width)
        self.where = nn.Linear(4, hidden_width)
        self.tell = nn.Sequential(nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(hidden_width, width))

    def forward(self, look: Look) -> Tensor:
        """Tokens float[N, width]."""
        return self.tell(self.look(look.means) + self.hear(look.evidence) + self.where(look.boxes))  # type: ignore[no-any-return]

    def names(self, look: Look, vocabulary: Vocabulary) -> Tensor:
        """Logits float[N, K] of names: how near a region's token is to each word, and what the detector says of it."""
        near = normalize(self(look), dim=-1) @ vocabulary.words.T
        heard = (look.evidence - _LOWEST).reshape(-1, 2, NUM_CONCEPTS) @ vocabulary.mixtures.T
        return self.scale * near + (self.trust[:, None] * heard).sum(1)


def num_channels(channels: Sequence[int]) -> int:
    """Of `masked_means`, for a pyramid whose maps have these channels, finest first."""
    return sum(channels[:LEVELS])
