"""A region as one token: the mean of the frozen pyramid under its mask, and where it lies.

Source: Vitron's region extractor, after Osprey. The mask is indexed rows first: the released code of the paper has
them swapped.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

LEVELS = 3  # strides 8, 16, 32


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


class RegionToken(nn.Module):
    """Means of features and a box to one token."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width))
        self.where = nn.Sequential(nn.Linear(4, width // 2), nn.ReLU(), nn.Linear(width // 2, width))

    def forward(self, means: Tensor, boxes: Tensor) -> Tensor:
        """Means float[N, C] and boxes float[N, 4], xyxy, fractions of the picture, to tokens float[N, width]."""
        return self.look(means) + self.where(boxes)  # type: ignore[no-any-return]
