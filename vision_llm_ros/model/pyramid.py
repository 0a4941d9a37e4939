"""The multi-scale backbone: a MobileNetV2 pyramid, batch norms folded into the convolutions.

The layout (strides, widths, TensorFlow's SAME padding) is that of the SSD-MobileNetV2 of the TensorFlow
object detection model zoo, so its COCO-trained parameters can be imported (`training.import_ssd`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# expansion, output channels, repeats, stride of the first (MobileNetV2, table 2)
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))


def _pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Zero-pad the way TensorFlow does: the odd pixel goes to the right and to the bottom."""
    height, width = x.shape[-2:]
    pad_y = max((-(-height // stride) - 1) * stride + kernel - height, 0)
    pad_x = max((-(-width // stride) - 1) * stride + kernel - width, 0)
    return functional.pad(x, (pad_x // 2, pad_x - pad_x // 2, pad_y // 2, pad_y - pad_y // 2))


class ConvUnit(nn.Module):
    """Convolution with SAME padding, bias (a folded batch norm) and, unless linear, ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.stride[0] > 1:
            x = _pad_same(x, self.conv.kernel_size[0], self.conv.stride[0])
        x = self.conv(x)
        return x if self.linear else functional.relu6(x, inplace=True)


class InvertedResidual(nn.Module):
    """Expand, depthwise, project (MobileNetV2, section 3.3). `expanded` is kept: SSD reads it at stride 16."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvUnit(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvUnit(hidden, hidden, 3, stride, groups=hidden)
        self.project = ConvUnit(hidden, outputs, 1, linear=True)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        expanded = self.expand(x)
        y = self.project(self.depthwise(expanded))
        return (x + y if self.shortcut else y), expanded


class MobileNetV2Pyramid(nn.Module):
    """Features at strides 8, 16, 32, 64, 128, 256, 512 of an RGB picture."""

    channels = (192, 576, 1280, 512, 256, 256, 128)
    strides = (8, 16, 32, 64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvUnit(3, 32, 3, 2)
        blocks: list[nn.Module] = []
        width = 32
        for expansion, outputs, repeats, stride in _STAGES:
            for index in range(repeats):
                blocks.append(InvertedResidual(width, outputs, stride if index == 0 else 1, expansion))
                width = outputs
        self.blocks = nn.ModuleList(blocks)
        self.top = ConvUnit(320, 1280, 1)
        extras: list[nn.Module] = []
        width = 1280
        for narrow, outputs in _EXTRAS:
            extras.append(
                nn.Sequential(
                    ConvUnit(width, narrow, 1),
                    ConvUnit(narrow, narrow, 3, 2, groups=narrow),
                    ConvUnit(narrow, outputs, 1),
                )
            )
            width = outputs
        self.extras = nn.ModuleList(extras)

    def forward(self, image_rgb_u8: Tensor) -> list[Tensor]:
        """Encode pictures.

        Args:
            image_rgb_u8: uint8[B, 3, H, W] or the same values as floats 0..255.
        Returns:
            seven maps float[B, C_l, ceil(H/s_l), ceil(W/s_l)], finest first.
        """
        x = image_rgb_u8.to(self.stem.conv.weight.dtype) * (2 / 255) - 1
        x = self.stem(x)
        maps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x, expanded = block(x)
            if index in (6, 13):
                maps.append(expanded)
        x = self.top(x)
        maps.append(x)
        for extra in self.extras:
            x = extra(x)
            maps.append(x)
        return maps


def make_anchors(sizes_hw: list[tuple[int, int]], device: torch.device | None = None) -> Tensor:
    """SSD default boxes of the maps from stride 16 on.

    Returns:
        float[A, 4], cx, cy, w, h as fractions of the input; map by map, row-major, three boxes
        per cell of the first map and six of the others.

    Source: SSD, section 2.2, with the scales 0.2..0.95 of the model zoo's configuration.
    """
    step = 0.75 / max(len(sizes_hw) - 1, 1)
    scales = [0.2 + step * index for index in range(len(sizes_hw))] + [1.0]
    anchors = []
    for level, (height, width) in enumerate(sizes_hw):
        scale, larger = scales[level], (scales[level] * scales[level + 1]) ** 0.5
        if level == 0:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            shapes = [(scale, ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)] + [(larger, 1.0)]
        sides = torch.tensor([[size * ratio**0.5, size / ratio**0.5] for size, ratio in shapes], device=device)
        ys = (torch.arange(height, device=device) + 0.5) / height
        xs = (torch.arange(width, device=device) + 0.5) / width
        grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
        centres = torch.stack([grid_x, grid_y], -1).reshape(-1, 1, 2).expand(-1, len(shapes), 2)
        anchors.append(torch.cat([centres, sides.expand(len(centres), -1, -1)], -1).reshape(-1, 4))
    return torch.cat(anchors)
