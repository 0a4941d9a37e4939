from __future__ import annotations

import numpy as np
import pytest
import torch

from vision_llm_ros.interfaces import Prompt, PromptKind
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.model.marks import SIDE, draw_outline, mark_of
from vision_llm_ros.model.proposals import NUM_CONCEPTS, DenseFeatures
from vision_llm_ros.model.region_token import EVIDENCE, Look, RegionToken, Vocabulary, hear_anchors, masked_means


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


def test_the_anchors_most_like_a_region_are_heard() -> None:
    boxes = torch.tensor([[[0.25, 0.25, 0.5, 0.5], [0.75, 0.75, 0.5, 0.5]]]).repeat(1, 8, 1)
    semantics = torch.full((1, 16, NUM_CONCEPTS), -12.0)
    semantics[0, 0::2, 3] = 8.0  # upper left
    semantics[0, 1::2, 5] = 8.0
    upper, lower = hear_anchors(
        DenseFeatures(semantics, boxes), torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    )
    for values, shown, other in ((upper, 3, 5), (lower, 5, 3)):
        mean, best = values[:NUM_CONCEPTS], values[NUM_CONCEPTS:]
        assert mean[shown] > 0.7 and mean[other] < -1 and best[shown] > 0.7


def test_the_token_tells_what_is_there_and_where() -> None:
    token = RegionToken(18, 12, 10).eval()
    look = Look(
        torch.randn(2, 18), torch.randn(2, EVIDENCE), torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    )
    out, swap = token(look), torch.tensor([1, 0])
    assert out.shape == (2, 12)
    for changed in (
        Look(look.means[swap], look.evidence, look.boxes),
        Look(look.means, look.evidence[swap], look.boxes),
        Look(look.means, look.evidence, look.boxes[swap]),
    ):
        assert not torch.allclose(out, token(changed))
    words = Vocabulary(torch.randn(5, 12), torch.rand(5, NUM_CONCEPTS))
    token.names(look, words)[:, 0].sum().backward()
    assert all(value.grad is not None for value in token.parameters())


@pytest.mark.parametrize("stretch", [False, True])
def test_marks_lie_in_the_networks_square_where_they_lie_in_a_wide_picture(stretch: bool) -> None:
    transform = Letterbox((320, 160), 96, stretch)
    tall = 1.0 if stretch else 0.5  # share of the square that the picture fills downwards
    mask, box = mark_of((0.5, 0.0, 1.0, 0.5), None, transform)
    assert np.allclose(box, [0.5, 0.0, 1.0, 0.5 * tall], atol=0.02)
    rows, columns = np.nonzero(mask)
    assert columns.min() == SIDE // 2 and rows.max() + 1 == round(SIDE * 0.5 * tall)
    ring = ((0.5, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5), (0.5, 0.0))
    drawn, _ = mark_of((0.5, 0.0, 1.0, 0.5), Prompt(PromptKind.POLYGON, ring), transform)
    assert abs(drawn.sum() - mask.sum()) < 0.05 * mask.sum()
    inside = np.zeros((160, 320), bool)
    inside[:80, 160:] = True
    assert np.abs(draw_outline(inside, transform) - mask).mean() < 0.01


def test_a_point_and_a_scribble_mean_what_is_around_them() -> None:
    transform = Letterbox((200, 100), 64, stretch=True)
    click, line = Prompt(PromptKind.POINT, ((0.5, 0.5),)), Prompt(PromptKind.SCRIBBLE, ((0.2, 0.5), (0.8, 0.5)))
    (point, _), (scribble, _) = (mark_of(prompt.box, prompt, transform) for prompt in (click, line))
    assert point[SIDE // 2, SIDE // 2] and not point[SIDE // 2, SIDE // 5] and not point[SIDE // 5, SIDE // 2]
    assert scribble[SIDE // 2, SIDE // 5 : -SIDE // 5].all() and not scribble[SIDE // 5].any()
    assert (scribble >= point).all()
