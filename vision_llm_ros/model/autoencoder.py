"""A small masked autoencoder of picture tiles: what LM4LV calls the visual module. It never sees a word.

A tile is float[3, T, T], RGB 0..1, of T/P x T/P patches in row-major order. At mask ratio 0 nothing is shuffled: token
n of the features is patch n of the tile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import RestoreConfig


def patchify(tiles: Tensor, patch_px: int) -> Tensor:
    """Cut float[B, 3, T, T] into patches float[B, N, 3 * P * P], row-major, channel first inside a patch."""
    return functional.unfold(tiles, patch_px, stride=patch_px).transpose(1, 2)


def unpatchify(patches: Tensor, patch_px: int) -> Tensor:
    """Undo `patchify` for square tiles."""
    side = round(patches.shape[1] ** 0.5) * patch_px
    return functional.fold(patches.transpose(1, 2), (side, side), patch_px, stride=patch_px)


class Block(nn.Module):
    """Pre-norm transformer block whose branches start at zero: a fresh block changes nothing."""

    def __init__(self, width: int, num_heads: int, feedforward: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_attention, self.norm_feedforward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        for last in (self.out, self.narrow):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, N, D] to the same shape; every token sees every other."""
        queries, keys, values = self.qkv(self.norm_attention(x)).unflatten(-1, (3, self.num_heads, -1)).unbind(-3)
        seen = functional.scaled_dot_product_attention(*(part.transpose(1, 2) for part in (queries, keys, values)))
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.narrow(functional.gelu(self.wide(self.norm_feedforward(x))))  # type: ignore[no-any-return]


class VisualModule(nn.Module, ABC):
    """What the language branch speaks about: an autoencoder of tiles."""

    @abstractmethod
    def encode(self, tiles: Tensor) -> Tensor:
        """Map tiles float[B, 3, T, T], 0..1, to features float[B, N, D]."""

    @abstractmethod
    def decode(self, features: Tensor) -> Tensor:
        """Map features back to tiles float[B, 3, T, T], about 0..1."""

    def forward(self, tiles: Tensor) -> Tensor:
        """Pass tiles through: what is lost here, no restoration can give back."""
        return self.decode(self.encode(tiles))


class MaskedAutoencoder(VisualModule):
    """Encoder and decoder of tiles.

    Features are float[B, N, D]. Their first dimensions start as principal components of a patch, so that an error of
    the features is an error of the pixels; the last N dimensions start as the patch's place, one-hot.

    Source: MAE, section 3; LM4LV, section "Visual module". We keep the encoder linear at its start, as tiles are few.
    """

    def __init__(self, config: RestoreConfig) -> None:
        super().__init__()
        self.patch_px, self.num_tokens = config.patch_px, config.num_tokens
        pixels, width = 3 * config.patch_px**2, config.width
        self.embed = nn.Linear(pixels, width)
        self.places = nn.Parameter(torch.zeros(config.num_tokens, width))
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.decoder_places = nn.Parameter(torch.randn(config.num_tokens, width) * 0.02)
        self.encoder = nn.ModuleList(self._block(config) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(self._block(config) for _ in range(config.decoder_layers))
        self.head = nn.Linear(width, pixels)

    @staticmethod
    def _block(config: RestoreConfig) -> Block:
        return Block(config.width, config.num_heads, config.feedforward)

    @torch.no_grad()
    def start_from(self, patches: Tensor) -> None:
        """Begin as principal components of patches float[M, 3 * P * P]; M must exceed the width."""
        mean = patches.mean(0)
        content = self.embed.out_features - self.num_tokens
        _, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean))
        components = vectors.flip(1)[:, :content].T
        for tensor in (self.embed.weight, self.embed.bias, self.head.weight, self.places):
            tensor.zero_()
        self.embed.weight[:content] = components
        self.embed.bias[:content] = -components @ mean
        self.head.weight[:, :content] = components.T
        self.head.bias.copy_(mean)
        self.places[:, content:] = torch.eye(self.num_tokens)

    def encode(self, tiles: Tensor, kept: Tensor | None = None) -> Tensor:
        """Map tiles float[B, 3, T, T] to features float[B, N, D], or of the patches `kept` int[B, K] alone."""
        x = self.embed(patchify(tiles, self.patch_px)) + self.places
        if kept is not None:
            x = x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        for block in self.encoder:
            x = block(x)
        return x  # type: ignore[no-any-return]

    def decode(self, features: Tensor, kept: Tensor | None = None) -> Tensor:
        """Map features back to tiles float[B, 3, T, T], about 0..1; patches not `kept` are imagined."""
        if kept is not None:
            whole = self.mask_token.expand(len(features), self.num_tokens, -1)
            features = whole.scatter(1, kept.unsqueeze(-1).expand(-1, -1, features.shape[-1]), features)
        x = features + self.decoder_places
        for block in self.decoder:
            x = block(x)
        return unpatchify(self.head(x), self.patch_px)
