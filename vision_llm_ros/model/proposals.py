"""The dense branch of the image tokenizer: a semantic vector and a box for every anchor of the pyramid.

The semantic vector has one slot per known concept (the logits of the imported SSD class predictor, its 3x3 kernels
factored to a low rank, behind fewer channels where the pyramid is wide); a phrase becomes a mixture of slots by a
linear map from its text embedding, fitted so that the known names map to their own slot. So any phrase scores every
anchor, and a phrase close in meaning to known names inherits their detector (two-stage queries, Deformable-DETR
section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vision_llm_ros.model.geometry import apply_deltas
from vision_llm_ros.model.pyramid import MobileNetV2Pyramid, make_anchors

RANKS = (128, 160, 128, 96, 96, 64)
NARROWED = (0, 256, 0, 0, 0, 0)  # channels that a level is brought to before its class kernels; 0: as it is
NUM_CONCEPTS = 80
SEMANTIC_SCALE = 0.1  # brings concept logits to the size layers like
_ABSENT_LOGIT = 6.0
_OTHER_RANK = 128


@dataclass(frozen=True)
class DenseFeatures:
    """What the dense branch knows of a batch, before any words.

    Attributes:
        semantics: float[B, A, S] concept logits per anchor.
        boxes_cxcywh: float[B, A, 4] fractions of the input.
    """

    semantics: Tensor
    boxes_cxcywh: Tensor


class DenseHead(nn.Module):
    """Concept logits and box deltas from every level at stride 16 and coarser."""

    def __init__(self, channels: tuple[int, ...] = MobileNetV2Pyramid.channels[1:], ranks: tuple[int, ...] = ()):
        super().__init__()
        nano = channels == MobileNetV2Pyramid.channels[1:]
        ranks = ranks or (RANKS if nano else tuple(min(count, _OTHER_RANK) for count in channels))
        narrowed = NARROWED if nano else (0,) * len(channels)
        self.anchors_per_cell = (3, *[6] * (len(channels) - 1))
        self.reduce = nn.ModuleList(_class_kernels(c, n, r) for c, n, r in zip(channels, narrowed, ranks, strict=True))
        self.concepts = nn.ModuleList(
            nn.Conv2d(r, a * NUM_CONCEPTS, 1) for r, a in zip(ranks, self.anchors_per_cell, strict=True)
        )
        self.deltas = nn.ModuleList(
            nn.Conv2d(c, a * 4, 3, padding=1) for c, a in zip(channels, self.anchors_per_cell, strict=True)
        )
        for name, parameter in self.concepts.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(parameter, -_ABSENT_LOGIT)  # untrained, nothing is anywhere

    def forward(self, maps: list[Tensor]) -> DenseFeatures:
        """Score every anchor of the maps float[B, C_l, H_l, W_l] at stride 16 and coarser."""
        semantics, deltas = [], []
        for features, reduce, concepts, box in zip(maps, self.reduce, self.concepts, self.deltas, strict=True):
            semantics.append(concepts(reduce(features)).permute(0, 2, 3, 1).reshape(len(features), -1, NUM_CONCEPTS))
            deltas.append(box(features).permute(0, 2, 3, 1).reshape(len(features), -1, 4))
        # float32 at least: in bfloat16 a position would be off by up to 1/512 of the side
        exact = torch.promote_types(maps[0].dtype, torch.float32)
        anchors = make_anchors([(m.shape[-2], m.shape[-1]) for m in maps], maps[0].device).to(exact)
        boxes = apply_deltas(anchors.expand(len(maps[0]), -1, -1), torch.cat(deltas, 1).to(exact))
        return DenseFeatures(torch.cat(semantics, 1), boxes)


def _class_kernels(channels: int, narrowed: int, rank: int) -> nn.Sequential:
    """What all classes of a level share: 3x3 kernels of `rank` outputs, the last layer, behind `narrowed` channels."""
    narrow = [nn.Conv2d(channels, narrowed, 1, bias=False)] if narrowed else []
    return nn.Sequential(*narrow, nn.Conv2d(narrowed or channels, rank, 3, padding=1, bias=False))


class PhraseScorer(nn.Module):
    """Scores semantic vectors against any phrases by way of their text embeddings."""

    def __init__(self, text_width: int) -> None:
        super().__init__()
        self.to_concepts = nn.Linear(text_width, NUM_CONCEPTS, bias=False)
        self.absent = nn.Parameter(torch.tensor(_ABSENT_LOGIT))

    def mixtures(self, text: Tensor) -> Tensor:
        """How much of each concept is in each phrase: float[K, D] unit text embeddings to float[K, S]."""
        return self.to_concepts(text)  # type: ignore[no-any-return]

    def forward(self, semantics: Tensor, text: Tensor) -> Tensor:
        """Logits float[B, A, K] that an anchor shows a phrase.

        A phrase unlike every known concept mixes to nothing and stays at the logit of an absent object.
        """
        return (semantics + self.absent) @ self.mixtures(text).T - self.absent
