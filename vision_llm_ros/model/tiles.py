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

    def join(self, tiles: Tensor, task: str = "") -> Tensor:
        """Tiles float[n, 3, T, T] to the picture float[3, H, W]; where they overlap they are blended.

        Args:
            task: "rotate" or "flip" if the tiles' content was: they take their places in the picture so changed,
                a quarter counter-clockwise (float[3, W, H]) or left-right.
        """
        height, width = self.size_hw_px
        wide, corners = (max(height, self.tile_px), max(width, self.tile_px)), self.corners
        if task == "rotate":
            corners = [(wide[1] - x - self.tile_px, y) for y, x in corners]
            return self._place(tiles, corners, (wide[1], wide[0]))[:, wide[1] - width :, :height]
        if task == "flip":
            corners = [(y, wide[1] - x - self.tile_px) for y, x in corners]
            return self._place(tiles, corners, wide)[:, :height, wide[1] - width :]
        return self._place(tiles, corners, wide)[:, :height, :width]

    def _place(self, tiles: Tensor, corners: list[tuple[int, int]], size_hw: tuple[int, int]) -> Tensor:
        total, weight = tiles.new_zeros(tiles.shape[1], *size_hw), tiles.new_zeros(size_hw)
        window = self._window(tiles)
        for tile, (y, x) in zip(tiles, corners, strict=True):
            total[:, y : y + self.tile_px, x : x + self.tile_px] += tile * window
            weight[y : y + self.tile_px, x : x + self.tile_px] += window
        return total / weight

    def _window(self, like: Tensor) -> Tensor:
        """float[T, T]: rises linearly over the overlap, flat within."""
        steps = torch.arange(self.tile_px, device=like.device, dtype=like.dtype)
        rise = torch.minimum(steps, self.tile_px - 1 - steps) + 1
        line = (rise / (self.overlap_px + 1)).clamp(max=1)
        return line[:, None] * line
