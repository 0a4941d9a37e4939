"""The residual path of restoration: a small convolutional network over whole pictures.

The residual path gives back the detail that visual tokens cannot carry, as LM4LV's authors suggest. It changes a
picture only as far as its gate opens, and a picture with holes (black pixels, masked blocks) only in the holes.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import RestoreConfig

# What can be undone without changing geometry, in the order of the networks' channels.
KINDS = ("denoise", "deblur", "pepper", "derain", "mask")
WITH_HOLES = ("pepper", "mask")
_FILL_ROUNDS = 4
_MULTIPLE_PX = 8
_GATE_LEAST = 0.2  # a gate that closes wholly would never learn to open again


class GatedBlock(nn.Module):
    """Normalise, widen, look around (depthwise), multiply the halves, add as much as the kind of damage calls for.

    Source: NAFNet, section 3, without channel attention, whose pooling would make tiles differ from whole frames.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(width, width, 1)
        self.depthwise = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.scale = nn.Parameter(torch.full((len(KINDS), width, 1, 1), 0.1))

    def forward(self, x: Tensor, kinds: Tensor) -> Tensor:
        """float[B, C, H, W] to the same shape; kinds int[B]."""
        normal = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-4)
        first, second = self.depthwise(self.wide(normal)).chunk(2, 1)
        return x + self.scale[kinds] * self.narrow(first * second)  # type: ignore[no-any-return]


class GatedBlocks(nn.Module):
    """Several in a row."""

    def __init__(self, width: int, number: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(GatedBlock(width) for _ in range(number))

    def forward(self, x: Tensor, kinds: Tensor) -> Tensor:
        """As `GatedBlock.forward`."""
        for block in self.blocks:
            x = block(x, kinds)
        return x


class DetailNet(nn.Module):
    """A U of three levels, at half, quarter and eighth resolution; what it adds is gated pixel by pixel."""

    def __init__(self, config: RestoreConfig) -> None:
        super().__init__()
        widths = (config.detail_width, 2 * config.detail_width, 3 * config.detail_width)
        self.enter = nn.Conv2d(4 * 4, widths[0], 3, padding=1)
        self.kind = nn.Embedding(len(KINDS), widths[0])
        nn.init.normal_(self.kind.weight, std=0.2)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in itertools.pairwise(widths))
        self.fine = nn.ModuleList(GatedBlocks(width, 2) for width in widths)
        self.merged = nn.ModuleList(GatedBlocks(width, 2) for width in widths[:-1])
        last = [nn.Conv2d(widths[0], 4 * 4, 3, padding=1) for _ in KINDS]
        for layer in last:
            nn.init.normal_(layer.weight, std=1e-3)
        self.leave = nn.ModuleList(last)

    def forward(self, images: Tensor, kinds: Tensor) -> Tensor:
        """Restore pictures.

        Args:
            images: float[B, 3, H, W], RGB 0..1, any size.
            kinds: int[B], places in `KINDS`.
        Returns:
            float[B, 3, H, W], about 0..1. Pixels outside the holes of a kind with holes are those of the input.
        """
        holed = torch.isin(kinds, torch.tensor([KINDS.index(k) for k in WITH_HOLES], device=kinds.device))
        holes = find_holes(images) * holed[:, None, None, None]
        filled = fill_holes(images, holes) if holed.any() else images
        change = self._residual(torch.cat([filled, holes], 1), kinds)
        added, gate = change[:, :3], change[:, 3:]
        restored = filled + (_GATE_LEAST + (1 - _GATE_LEAST) * torch.sigmoid(gate)) * added
        return torch.where(holed[:, None, None, None] & (holes == 0), images, restored)

    def _residual(self, x: Tensor, kinds: Tensor) -> Tensor:
        """float[B, 4, H, W] to residual and gate logit float[B, 4, H, W]."""
        height, width = x.shape[-2:]
        x = functional.pad(x, (0, -width % _MULTIPLE_PX, 0, -height % _MULTIPLE_PX), mode="replicate")
        x = self.enter(functional.pixel_unshuffle(x, 2)) + self.kind(kinds)[:, :, None, None]
        passed = []
        for blocks, down in zip(self.fine, self.down, strict=False):
            x = blocks(x, kinds)
            passed.append(x)
            x = down(x)
        x = self.fine[-1](x, kinds)
        for earlier, up, blocks in zip(reversed(passed), reversed(self.up), reversed(self.merged), strict=True):
            x = blocks(earlier + functional.pixel_shuffle(up(x), 2), kinds)
        left = [self.leave[kind](one) for kind, one in zip(kinds.tolist(), x.unsqueeze(1), strict=True)]
        return functional.pixel_shuffle(torch.cat(left), 2)[..., :height, :width]


def find_holes(images: Tensor) -> Tensor:
    """float[B, 3, H, W] to float[B, 1, H, W]: 1 where all channels are black."""
    return (images.amax(1, keepdim=True) <= 0).to(images.dtype)


def fill_holes(images: Tensor, holes: Tensor) -> Tensor:
    """Fill holes float[B, 1, H, W] from their rims inwards by means of what is known around them."""
    known, filled = 1 - holes, images * (1 - holes)
    line = images.new_tensor([1.0, 2.0, 1.0])
    kernel = (line[:, None] * line)[None, None]
    for _ in range(_FILL_ROUNDS):
        weight = functional.conv2d(known, kernel, padding=1)
        spread = functional.conv2d(filled, kernel.expand(3, -1, -1, -1), padding=1, groups=3) / weight.clamp(min=1e-6)
        filled = torch.where(known > 0, filled, spread)
        known = torch.maximum(known, (weight > 0).to(known.dtype))
    return filled
