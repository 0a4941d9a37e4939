from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from vision_llm_ros.model.half_products import HalfLinear, can_halve, loses_nothing

X86 = can_halve(torch.float32, torch.device("cpu"))


def published(wide: int = 24, high: int = 16) -> nn.Linear:
    """Weights as bfloat16 checkpoints have them."""
    torch.manual_seed(1)
    linear = nn.Linear(wide, high, bias=False)
    linear.weight.data = linear.weight.data.bfloat16().float()
    return linear.requires_grad_(False)


def test_only_float32_on_a_cpu_is_halved() -> None:
    assert not can_halve(torch.bfloat16, torch.device("cpu"))
    assert not can_halve(torch.float32, torch.device("cuda"))


def test_weights_that_are_no_float16_numbers_are_not_halved() -> None:
    linear = published()
    assert loses_nothing(linear)
    linear.weight.data[3, 4] += 1e-5
    assert not loses_nothing(linear)
    assert not loses_nothing(nn.Linear(4, 4))


@pytest.mark.skipif(not X86, reason="FBGEMM multiplies on x86 only")
def test_half_products_are_those_of_the_linear_map() -> None:
    linear = published()
    half = HalfLinear(linear.weight)
    with torch.inference_mode():
        for shape in ((5, 24), (2, 3, 24)):
            rows = torch.randn(shape)
            assert torch.allclose(half(rows), linear(rows), atol=1e-5)
    assert copy.deepcopy(half) is half


@pytest.mark.skipif(not X86, reason="FBGEMM multiplies on x86 only")
def test_half_products_refuse_to_cut_a_gradient_silently() -> None:
    half = HalfLinear(published().weight)
    with pytest.raises(AssertionError, match="no gradient"):
        half(torch.randn(2, 24, requires_grad=True))
