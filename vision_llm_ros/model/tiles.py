"""Whole frames from square tiles: cut with overlap, join with windows that sum to one, so that no seam shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Tiling:
    """Evenly spread tiles that cover a picture.

    Attributes:
        size_hw_px: of the picture.
        tile_px: side of a tile; a smaller picture is continued at its right and bottom edge by its last pixels.
        overlap_px: least overlap of neighbours.
    """

    size_hw_px: tuple[int, int]
    tile_px: int
    overlap_px: int

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Top-left corners (y, x), row by row."""
        rows, columns = (self._starts(side) for side in self.size_hw_px)
        return [(top, left) for top in rows for left in columns]

    def _starts(self, side: int) -> list[int]:
        room = max(side - self.tile_px, 0)
        number = -(-room // (self.tile_px - self.overlap_px)) + 1
        return [round(room * index / max(number - 1, 1)) for index in range(number)]

    def cut(self, image: Tensor) -> Tensor:
        """Picture float[3, H, W] to tiles float[n, 3, T, T]."""
        height, width = self.size_hw_px
        beyond = (0, max(self.tile_px - width, 0), 0, max(self.tile_px - height, 0))
        wide = functional.pad(image.unsqueeze(0), beyond, mode="replicate")[0]
        return torch.stack([wide[:, y : y + self.tile_px, x : x + self.tile_px] for y, x in self.corners])

    def join(self, tiles: Tensor) -> Tensor:
        """Tiles float[n, 3, T, T] to the picture float[3, H, W]; where they overlap they are blended."""
        height, width = (max(side, self.tile_px) for side in self.size_hw_px)
        total, weight = tiles.new_zeros(tiles.shape[1], height, width), tiles.new_zeros(height, width)
        window = self._window(tiles)
        for tile, (y, x) in zip(tiles, self.corners, strict=True):
            total[:, y : y + self.tile_px, x : x + self.tile_px] += tile * window
            weight[y : y + self.tile_px, x : x + self.tile_px] += window
        return (total / weight)[:, : self.size_hw_px[0], : self.size_hw_px[1]]

    def _window(self, like: Tensor) -> Tensor:
        """float[T, T]: rises linearly over the overlap, flat within."""
        steps = torch.arange(self.tile_px, device=like.device, dtype=like.dtype)
        rise = torch.minimum(steps, self.tile_px - 1 - steps) + 1
        line = (rise / (self.overlap_px + 1)).clamp(max=1)
        return line[:, None] * line
