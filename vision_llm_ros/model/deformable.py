"""Multi-scale deformable attention in plain PyTorch (Deformable-DETR, section 4.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class DeformableAttention(nn.Module):
    """Every query looks at `num_points` places on each level around its reference box.

    Offsets are fractions of the reference box, so a query of any size looks over its own object.
    """

    def __init__(self, width: int, num_heads: int, num_levels: int, num_points: int) -> None:
        super().__init__()
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        self.offsets = nn.Linear(width, num_heads * num_levels * num_points * 2)
        self.weights = nn.Linear(width, num_heads * num_levels * num_points)
        self.values = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self._reset()

    def _reset(self) -> None:
        nn.init.zeros_(self.offsets.weight)
        angles = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        rays = torch.stack([angles.cos(), angles.sin()], -1)
        rays = rays / rays.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.num_points + 1) / self.num_points
        grid = rays[:, None, None] * steps[None, None, :, None] * 0.5
        self.offsets.bias.data = grid.expand(-1, self.num_levels, -1, -1).reshape(-1).clone()
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)

    def forward(self, queries: Tensor, boxes_cxcywh: Tensor, levels: list[Tensor]) -> Tensor:
        """Gather from the pyramid.

        Args:
            queries: float[B, M, D].
            boxes_cxcywh: float[B, M, 4], fractions of the input.
            levels: per level float[B, D, H_l, W_l].
        Returns:
            float[B, M, D].
        """
        batch, count, width = queries.shape
        heads, points = self.num_heads, self.num_points
        offsets = self.offsets(queries).view(batch, count, heads, self.num_levels, points, 2)
        weights = self.weights(queries).view(batch, count, heads, self.num_levels * points).softmax(-1)
        places = boxes_cxcywh[:, :, None, None, None, :2] + offsets * boxes_cxcywh[:, :, None, None, None, 2:]
        grid = (places * 2 - 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 1)
        samples = []
        for index, level in enumerate(levels):
            values = functional.linear(level.flatten(2).transpose(1, 2), self.values.weight, self.values.bias)
            values = values.transpose(1, 2).reshape(batch * heads, width // heads, *level.shape[-2:])
            samples.append(functional.grid_sample(values, grid[:, index], align_corners=False))
        stacked = torch.cat(samples, -1).view(batch, heads, width // heads, count, self.num_levels * points)
        mixed = (stacked * weights.permute(0, 2, 1, 3).unsqueeze(2)).sum(-1)
        return self.output(mixed.flatten(1, 2).transpose(1, 2))  # type: ignore[no-any-return]
