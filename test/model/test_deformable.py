from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vision_llm_ros.model.deformable import DeformableAttention

HEADS, LEVELS, POINTS, WIDTH = 2, 2, 3, 8


@pytest.fixture
def attention() -> DeformableAttention:
    torch.manual_seed(0)
    module = DeformableAttention(WIDTH, HEADS, LEVELS, POINTS)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return module


def bilinear(level: Tensor, x: float, y: float) -> Tensor:
    """Value of float[C, H, W] at fractions (x, y), cell centres at half-integers, zero outside."""
    height, width = level.shape[-2:]
    column, row = x * width - 0.5, y * height - 0.5
    left, top = math.floor(column), math.floor(row)
    value = torch.zeros(len(level))
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < height and 0 <= j < width:
                value = value + level[:, i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return value


def slow(module: DeformableAttention, queries: Tensor, boxes: Tensor, levels: list[Tensor]) -> Tensor:
    """Deformable attention by the words of its paper, one sample after another."""
    answer = torch.zeros_like(queries)
    for b, picture in enumerate(queries):
        for m, query in enumerate(picture):
            offsets = module.offsets(query).view(HEADS, LEVELS, POINTS, 2)
            weights = module.weights(query).view(HEADS, LEVELS * POINTS).softmax(-1).view(HEADS, LEVELS, POINTS)
            heads = []
            for h in range(HEADS):
                part = slice(h * WIDTH // HEADS, (h + 1) * WIDTH // HEADS)
                total = torch.zeros(WIDTH // HEADS)
                for index, level in enumerate(levels):
                    values = (module.values.weight @ level[b].flatten(1) + module.values.bias[:, None])[part]
                    for k in range(POINTS):
                        x, y = (boxes[b, m, :2] + offsets[h, index, k] * boxes[b, m, 2:]).tolist()
                        total = total + weights[h, index, k] * bilinear(values.unflatten(-1, level.shape[-2:]), x, y)
                heads.append(total)
            answer[b, m] = module.output(torch.cat(heads))
    return answer


@torch.no_grad()
def test_deformable_attention_matches_a_slow_reference(attention: DeformableAttention) -> None:
    queries, boxes = torch.randn(2, 4, WIDTH), torch.rand(2, 4, 4)
    levels = [torch.randn(2, WIDTH, 5, 7), torch.randn(2, WIDTH, 3, 4)]
    assert torch.allclose(attention(queries, boxes, levels), slow(attention, queries, boxes, levels), atol=1e-5)


@torch.no_grad()
def test_a_new_module_looks_within_its_box_and_evenly_around() -> None:
    module = DeformableAttention(16, 8, 1, 4)
    offsets = module.offsets(torch.randn(1, 16)).view(8, 4, 2)
    assert offsets.abs().max() <= 0.5 + 1e-6
    assert torch.allclose(offsets.sum((0, 1)), torch.zeros(2), atol=1e-5)


@torch.no_grad()
def test_a_query_reads_nothing_far_from_its_box() -> None:
    module = DeformableAttention(16, 8, 1, 4)
    level = torch.zeros(1, 16, 10, 10)
    box = torch.tensor([[[0.25, 0.25, 0.2, 0.2]]])
    queries = torch.randn(1, 1, 16)
    empty = module(queries, box, [level])
    level[:, :, 6:, 6:] = 9.0
    assert torch.equal(module(queries, box, [level]), empty)
    level[:, :, 2, 2] = 9.0
    assert not torch.allclose(module(queries, box, [level]), empty, atol=1e-3)
