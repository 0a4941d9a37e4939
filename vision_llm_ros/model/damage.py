"""The estimator of damage: what is wrong with a picture, and how strongly, from statistics of its pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import RestoreConfig
from vision_llm_ros.model.detail import KINDS, fill_holes, find_holes

_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)
_SAMPLES = 20_000
_BANDS = 3
_LINE_PX, _ANGLES = 9, 8
_BRIGHT = (0.1, 0.25, 0.5)
_BLOCK_PX = 4
_LEAST = 1e-4
NUM_STATISTICS = 2 + len(_QUANTILES) + _BANDS + 2 + len(_BRIGHT) + 2


class DamageEstimator(nn.Module):
    """A small network over `statistics`: kinds of damage leave unlike traces in them, and they cost milliseconds."""

    mean: Tensor
    spread: Tensor

    def __init__(self, config: RestoreConfig) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(NUM_STATISTICS))
        self.register_buffer("spread", torch.ones(NUM_STATISTICS))
        width = config.estimator_width
        self.judge = nn.Sequential(nn.Linear(NUM_STATISTICS, width), nn.GELU(), nn.Linear(width, len(KINDS)))

    @torch.no_grad()
    def normalise(self, statistics: Tensor) -> None:
        """Take the scale of the network's inputs from examples float[M, F]."""
        self.mean.copy_(statistics.mean(0))
        self.spread.copy_(statistics.std(0).clamp(min=1e-3))

    def forward(self, statistics: Tensor) -> Tensor:
        """float[B, F] to logits float[B, 5]; their sigmoid is each kind's strength, 1 the strongest learnt."""
        return self.judge((statistics - self.mean) / self.spread)  # type: ignore[no-any-return]


@torch.no_grad()
def measure(image: Tensor) -> Tensor:
    """Statistics float[F] of a picture float[3, H, W], 0..1, as the camera gave it (not resized).

    Shares of black pixels and black blocks; with these filled, how rough the picture is (quantiles of the second
    differences, the energy of bands), how far roughness is alike in the channels (texture is, noise is not), and how
    much stands out brightly along one direction (rain).
    """
    image = functional.pad(image.unsqueeze(0), _margins(image), mode="replicate")
    holes = find_holes(image)
    blocks = functional.avg_pool2d(holes, _BLOCK_PX, _BLOCK_PX) > 0.999
    filled = fill_holes(image, holes) if holes.any() else image
    shares = torch.log(torch.stack([holes.mean(), blocks.to(image.dtype).mean()]) + _LEAST)
    return torch.cat([shares, *_roughness(filled), *_streaks(filled)])


def _margins(image: Tensor) -> tuple[int, int, int, int]:
    least = 4 * _LINE_PX
    return 0, max(least - image.shape[2], 0), 0, max(least - image.shape[1], 0)


def _roughness(image: Tensor) -> tuple[Tensor, ...]:
    line = image.new_tensor([1.0, -2.0, 1.0])
    kernel = (line[:, None] * line)[None, None].expand(3, -1, -1, -1)
    rough = functional.conv2d(image, kernel, groups=3)[0].flatten(1)
    rough = rough[:, :: max(1, rough.shape[1] // _SAMPLES)]
    levels = torch.quantile(rough.abs().mean(0), image.new_tensor(_QUANTILES))
    bands = []
    for _ in range(_BANDS):
        smaller = functional.avg_pool2d(image, 2)
        bands.append((image - functional.interpolate(smaller, image.shape[-2:], mode="bilinear")).abs().mean())
        image = smaller
    power = rough.square().mean(1) + _LEAST**2
    alike = [(rough[1] * rough[other]).mean() / (power[1] * power[other]).sqrt() for other in (0, 2)]
    return torch.log(levels + _LEAST), torch.log(torch.stack(bands) + _LEAST), torch.stack(alike)


def _streaks(image: Tensor) -> tuple[Tensor, ...]:
    darkest = image.amin(1, keepdim=True)
    opened = functional.max_pool2d(-functional.max_pool2d(-darkest, 3, 1, 1), 3, 1, 1)
    bright = darkest - opened
    shares = torch.stack([(bright > level).to(image.dtype).mean() for level in _BRIGHT])
    along = functional.conv2d((bright - 0.1).clamp(min=0), _lines(image)).square().mean((0, 2, 3))
    standing = torch.stack([along.max(), along.max() / (along.mean() + _LEAST**2)])
    return torch.log(shares + _LEAST), torch.log(standing + _LEAST)


def _lines(like: Tensor) -> Tensor:
    """float[A, 1, L, L]: lines through the centre in evenly spread directions."""
    kernels = like.new_zeros(_ANGLES, 1, _LINE_PX, _LINE_PX)
    steps = torch.arange(_LINE_PX, device=like.device) - _LINE_PX // 2
    for index in range(_ANGLES):
        angle = torch.tensor(torch.pi * index / _ANGLES)
        rows, columns = ((steps * part).round().long() + _LINE_PX // 2 for part in (angle.sin(), angle.cos()))
        kernels[index, 0, rows, columns] = 1.0
    return kernels
