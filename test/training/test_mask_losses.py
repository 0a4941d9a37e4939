from __future__ import annotations

import torch
from torch.nn import functional

from vision_llm_ros.training.mask_losses import claimed_twice, dice_loss, refinement_loss, token_loss

ALL = torch.ones(1, 3, dtype=torch.bool)


def masks() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 4, generator=generator)
    return logits, (torch.rand(3, 4, 4, generator=generator) > 0.5).float()


def test_an_alpha_of_one_is_the_plain_cross_entropy() -> None:
    logits, targets = masks()
    plain = functional.binary_cross_entropy_with_logits(logits, targets)
    assert torch.allclose(refinement_loss(logits, targets, targets > 0, 1.0), plain)


def test_overlap_pixels_weigh_alpha() -> None:
    logits, targets = masks()
    overlap = torch.zeros_like(logits, dtype=torch.bool)
    overlap[0, 1] = True
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    expected = (each.sum() + each[0, 1].sum()) / each.numel()
    assert torch.allclose(refinement_loss(logits, targets, overlap, 2.0), expected)


def test_pixels_are_claimed_twice_only_by_masks_of_one_answer() -> None:
    inside = torch.zeros(3, 1, 2, dtype=torch.bool)
    inside[:, 0, 0] = True
    assert claimed_twice(inside, torch.tensor([0, 0, 1])).squeeze(1).tolist() == [
        [True, False],
        [True, False],
        [False, False],
    ]


def test_dice_is_zero_for_the_right_mask_and_one_for_the_opposite() -> None:
    targets = masks()[1]
    logits = (targets * 2 - 1) * 50
    assert dice_loss(logits, targets).item() < 1e-3
    assert dice_loss(-logits, targets).item() > 0.99


def test_a_candidate_left_open_does_not_count() -> None:
    logits = torch.tensor([[2.0, -1.0, 5.0]])
    wanted = torch.tensor([[True, False, False]])
    known = torch.tensor([[True, True, False]])
    single = torch.tensor([True])
    changed = logits.clone()
    changed[0, 2] = -9.0
    assert torch.equal(token_loss(logits, wanted, known, single), token_loss(changed, wanted, known, single))


def test_one_target_is_also_a_choice_among_the_candidates() -> None:
    logits, wanted = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[True, False, False]])
    several = token_loss(logits, wanted, ALL, torch.tensor([False]))
    one = token_loss(logits, wanted, ALL, torch.tensor([True]))
    assert torch.allclose(one - several, logits.logsumexp(-1)[0] - 2.0)
