from __future__ import annotations

import torch

from vision_llm_ros.model.region_token import RegionToken, masked_means


def _pyramid(height: int, width: int) -> list[torch.Tensor]:
    torch.manual_seed(5)
    return [
        torch.randn(1, channels, height // stride, width // stride) for channels, stride in ((4, 8), (6, 16), (8, 32))
    ]


def test_a_regions_features_are_those_under_its_mask_rows_first() -> None:
    """On a wide picture: what lies right is not what lies below."""
    maps = [torch.zeros(1, 1, 8 // step, 16 // step) for step in (1, 2, 4)]
    for level in maps:
        level[..., level.shape[-1] // 2 :] = 1.0
    mask = torch.zeros(2, 64, 128)
    mask[0, :, 64:] = 1
    mask[1, 32:, :] = 1
    right, below = masked_means(maps, mask)
    assert (right > 0.9).all() and torch.allclose(below, right / 2, atol=1e-4)


def test_a_region_smaller_than_a_cell_has_features_too() -> None:
    mask = torch.zeros(1, 96, 160)
    mask[0, 40, 70] = 1
    assert masked_means(_pyramid(96, 160), mask).abs().sum() > 0


def test_the_token_tells_what_is_there_and_where() -> None:
    token = RegionToken(18, 12)
    means, boxes = torch.randn(2, 18), torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    out = token(means, boxes)
    assert out.shape == (2, 12)
    assert not torch.allclose(out, token(means.flip(0), boxes)) and not torch.allclose(out, token(means, boxes.flip(0)))
    out.sum().backward()
    assert all(value.grad is not None for value in token.parameters())
