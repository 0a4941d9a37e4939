"""The lightweight pixel decoder (PixelLM, section 3.2): seg-token states and two feature maps to mask logits.

Every scale has a two-way transformer of its own. The mask of the coarse scale gates the pixels of the fine one by
(1 + sigmoid(mask)); the final mask is the sum of both with learned weights gamma. There is no SAM.

We depart in two points. A mask is decoded in a window around its candidate's box, onto which the maps are sampled, and
the box is the mask before any evidence: small objects have as many cells as large ones, and what is learnt at one
place holds at every other. And the fine scale, whose map is the shallower one here, sees the coarse map beside its
own. `box_prompt` off restores the paper's first point: the whole picture and a learned dense prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import MaskConfig
from vision_llm_ros.language.vocabulary import SEG_TOKENS
from vision_llm_ros.model.tokenizer import FeedForward, sine_embedding

NUM_SCALES = 2
TOKENS_PER_SCALE = SEG_TOKENS // NUM_SCALES
_GROUPS = 8
_PLACE_WIDTH = 16
_PROMPT_FEATURES = 10
_WINDOW = 1.5  # side of a window, in sides of the box
_LEAST_SIDE = 0.02  # of a window, as a fraction of the picture's
_PRIOR_EDGE, _PRIOR_HIGH = 1.05, 0.5
_OUTSIDE = -12.0


@dataclass(frozen=True)
class MaskLogits:
    """Masks of K targets.

    Attributes:
        combined: float[K, m, m], over each target's window; a pixel is inside above 0.
        scales: the same of every scale alone, coarse first, each at its own size.
        windows_cxcywh: float[K, 4], fractions of the network's square; may reach beyond it.
    """

    combined: Tensor
    scales: list[Tensor]
    windows_cxcywh: Tensor

    def on_square(self, side: int) -> Tensor:
        """The masks over the whole square, float[K, side, side]; beyond a window nothing is inside."""
        cells = _cell_centres(side, self.combined)
        windows = self.windows_cxcywh[:, None, None]
        inner = (cells - windows[..., :2]) / (windows[..., 2:] / 2)
        pasted = functional.grid_sample(self.combined.unsqueeze(1), inner, align_corners=False, padding_mode="border")
        return pasted.squeeze(1).masked_fill((inner.abs() > 1).any(-1), _OUTSIDE)


class TwoWayBlock(nn.Module):
    """Tokens ask each other, then the pixels; the pixels ask the tokens."""

    def __init__(self, width: int, num_heads: int, hidden: int) -> None:
        super().__init__()
        self.among = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.to_pixels = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.to_tokens = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.feedforward = FeedForward(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, tokens: Tensor, pixels: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """float[K, T, D] tokens and float[K, P, D] pixels with their places float[P, D], all updated."""
        normed = self.norms[0](tokens)
        tokens = tokens + self.among(normed, normed, normed, need_weights=False)[0]
        keys = pixels + places
        tokens = tokens + self.to_pixels(self.norms[1](tokens), keys, pixels, need_weights=False)[0]
        tokens = self.feedforward(tokens)
        pixels = self.norms[2](pixels + self.to_tokens(keys, tokens, tokens, need_weights=False)[0])
        return tokens, pixels


class ScaleDecoder(nn.Module):
    """One scale: pixels and a fused seg token to a mask of twice the map's side."""

    def __init__(self, config: MaskConfig) -> None:
        super().__init__()
        width, fine = config.width, config.width // 4
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.level = nn.Parameter(torch.randn(width) * 0.02)
        blocks = (TwoWayBlock(width, config.num_heads, config.feedforward) for _ in range(config.depth))
        self.blocks = nn.ModuleList(blocks)
        self.last_norm = nn.LayerNorm(width)
        self.last = nn.MultiheadAttention(width, config.num_heads, batch_first=True)
        self.upscale = nn.Sequential(nn.ConvTranspose2d(width, fine, 2, 2), nn.GroupNorm(1, fine), nn.GELU())
        self.hypernet = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, fine))

    def forward(self, pixels: Tensor, prompt: Tensor, places: Tensor) -> Tensor:
        """Decode one mask per prompt.

        Args:
            pixels: float[K, D, H, W].
            prompt: float[K, D], fused seg tokens.
            places: float[H * W, D].
        Returns:
            mask logits float[K, 2H, 2W].
        """
        tokens = torch.stack([self.mask_token.expand_as(prompt), prompt], 1) + self.level
        flat = pixels.flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens, flat = block(tokens, flat, places)
        tokens = tokens + self.last(self.last_norm(tokens), flat + places, flat, need_weights=False)[0]
        fine = self.upscale(flat.transpose(1, 2).reshape(pixels.shape))
        return torch.einsum("kc,kchw->khw", self.hypernet(tokens[:, 0]), fine)


class BoxPrompt(nn.Module):
    """Where the cells of a window lie relative to its box: features for the decoder, and the box as a first mask."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(_PROMPT_FEATURES, width), nn.GELU(), nn.Linear(width, width))
        self.strength = nn.Parameter(torch.tensor(4.0))

    def forward(self, boxes_cxcywh: Tensor, side: int) -> Tensor:
        """float[K, 4] fractions to float[K, D, side, side]."""
        relative = self._relative(boxes_cxcywh, side)
        distance = relative.abs()
        farthest = distance.amax(-1, keepdim=True)
        cells = torch.cat([relative, distance, farthest, (farthest <= 1).to(relative.dtype)], -1)
        boxes = boxes_cxcywh[:, None, None].expand(-1, side, side, -1)
        return self.layers(torch.cat([cells.expand(len(boxes), -1, -1, -1), boxes], -1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]

    def prior(self, like: Tensor) -> Tensor:
        """The box as mask logits, for masks float[K, H, H] of windows."""
        distance = self._relative(like, like.shape[-1]).abs().amax(-1)
        return self.strength * (_PRIOR_EDGE - distance).clamp(max=_PRIOR_HIGH)

    @staticmethod
    def _relative(like: Tensor, side: int) -> Tensor:
        """Cells of a window in half box sides from the centre: float[1, side, side, 2]."""
        return (_cell_centres(side, like).unsqueeze(0) * 2 - 1) * _WINDOW


class PixelDecoder(nn.Module):
    """Feature maps of two depths and L x N seg tokens per target to masks."""

    def __init__(self, config: MaskConfig, channels: tuple[int, int]) -> None:
        """Args:
        channels: of the coarse and the fine map.
        """
        super().__init__()
        width = config.width
        self.grid = config.grid
        self.necks = nn.ModuleList(_neck(count, width) for count in channels)
        self.fusion = nn.ModuleList(nn.Linear(TOKENS_PER_SCALE * width, width) for _ in channels)
        self.place = nn.Linear(2 * _PLACE_WIDTH, width)
        self.decoders = nn.ModuleList(ScaleDecoder(config) for _ in channels)
        self.mix = nn.Parameter(torch.tensor(0.5))
        self.gamma = nn.Parameter(torch.full((NUM_SCALES,), 1 / NUM_SCALES))
        self.prompt = BoxPrompt(width) if config.box_prompt else None
        self.no_mask = None if config.box_prompt else nn.Parameter(torch.zeros(width))

    def project(self, maps: list[Tensor]) -> list[Tensor]:
        """Words-free part, once per frame: the two maps float[1, C, H, W], coarse first, as float[1, D, H, W]."""
        return [neck(features) for neck, features in zip(self.necks, maps, strict=True)]

    def forward(self, projected: list[Tensor], segs: Tensor, boxes_cxcywh: Tensor) -> MaskLogits:
        """Decode the masks of K targets of one picture.

        Args:
            projected: of `project`.
            segs: float[K, L, N, D], seg-token states; the first N belong to the coarse scale.
            boxes_cxcywh: float[K, 4], the targets' candidates, fractions of the square.
        """
        windows, masks = self._windows(boxes_cxcywh), list[Tensor]()
        for level, features in enumerate(projected):
            side = self.grid >> (NUM_SCALES - 1 - level)
            pixels = sample_windows(features, windows, side) + self._dense_prompt(boxes_cxcywh, side)
            if masks:
                pixels = pixels + self.mix * sample_windows(projected[level - 1], windows, side)
                pixels = pixels * (1 + _resized(masks[-1], side).sigmoid().unsqueeze(1))
            fused = self.fusion[level](segs[:, level].flatten(1))
            mask = self.decoders[level](pixels, fused, self._places(pixels))
            masks.append(mask if self.prompt is None else mask + self.prompt.prior(mask))
        size = masks[-1].shape[-1]
        combined = sum(gamma * _resized(mask, size) for gamma, mask in zip(self.gamma, masks, strict=True))
        return MaskLogits(cast(Tensor, combined), masks, windows)

    def _windows(self, boxes_cxcywh: Tensor) -> Tensor:
        if self.prompt is None:
            return boxes_cxcywh.new_tensor([[0.5, 0.5, 1.0, 1.0]]).expand(len(boxes_cxcywh), -1)
        sides = (boxes_cxcywh[:, 2:] * _WINDOW).clamp(min=_LEAST_SIDE)
        return torch.cat([boxes_cxcywh[:, :2], sides], -1)

    def _dense_prompt(self, boxes_cxcywh: Tensor, side: int) -> Tensor:
        if self.prompt is not None:
            return self.prompt(boxes_cxcywh, side)  # type: ignore[no-any-return]
        assert self.no_mask is not None
        return self.no_mask.view(1, -1, 1, 1)

    def _places(self, pixels: Tensor) -> Tensor:
        """Sine embeddings of the cells' centres: float[H * W, D]."""
        cells = _cell_centres(pixels.shape[-1], pixels).reshape(-1, 2)
        return self.place(sine_embedding(cells, _PLACE_WIDTH))  # type: ignore[no-any-return]


def sample_windows(maps: Tensor, windows_cxcywh: Tensor, side: int, padding: str = "border") -> Tensor:
    """Sample windows float[K, 4], fractions, of maps float[1 or K, C, H, W]: float[K, C, side, side]."""
    windows = windows_cxcywh[:, None, None]
    points = windows[..., :2] + (_cell_centres(side, maps) - 0.5) * windows[..., 2:]
    grid = points * 2 - 1
    if len(maps) == 1:  # one call for all windows of a picture
        grid = grid.reshape(1, -1, side, 2)
    found = functional.grid_sample(maps, grid, align_corners=False, padding_mode=padding)
    return found if len(maps) > 1 else found.view(maps.shape[1], -1, side, side).transpose(0, 1)


def _neck(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 1),
        nn.GroupNorm(_GROUPS, width),
        nn.GELU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.GroupNorm(_GROUPS, width),
    )


def _resized(masks: Tensor, side: int) -> Tensor:
    """Bilinear, float[K, h, h] to float[K, side, side]; cell centres keep their places."""
    if masks.shape[-1] == side:
        return masks
    return functional.interpolate(masks.unsqueeze(1), (side, side), mode="bilinear", align_corners=False).squeeze(1)


def _cell_centres(side: int, like: Tensor) -> Tensor:
    """xy fractions of the cells' centres: float[side, side, 2]."""
    line = (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
