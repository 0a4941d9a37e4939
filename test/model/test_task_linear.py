from __future__ import annotations

import torch

from vision_llm_ros.model.task_linear import KNOTS, StrengthLinear, TaskLinear, least_squares


def test_least_squares_find_the_map_and_heed_importance() -> None:
    inputs, weight, bias = torch.randn(200, 5), torch.randn(5, 3), torch.randn(3)
    wanted = inputs @ weight + bias
    solved, offset = least_squares(inputs, wanted, 1e-9)
    assert torch.allclose(solved, weight, atol=1e-4)
    assert torch.allclose(offset, bias, atol=1e-4)
    wrong = wanted.clone()
    wrong[:100] = 0
    heeded, _ = least_squares(inputs, wrong, 1e-9, torch.cat([torch.zeros(100), torch.full((100,), 2.0)]))
    assert torch.allclose(heeded, weight, atol=1e-4)


def test_solving_adds_what_is_missing_to_the_task_asked_for() -> None:
    layer, inputs = TaskLinear(3, 4, 2), torch.randn(100, 4)
    before, task = layer.weight.clone(), torch.tensor([1])
    wanted = layer(inputs[None], task)[0] + inputs[:, :2]
    layer.solve(1, inputs, wanted - layer(inputs[None], task)[0], 1e-9)
    assert torch.allclose(layer(inputs[None], task)[0], wanted, atol=1e-3)
    assert torch.equal(layer.weight[::2], before[::2])


def test_each_item_of_a_batch_takes_the_layer_of_its_task() -> None:
    layer, inputs = TaskLinear(3, 4, 2), torch.randn(2, 5, 4)
    given = layer(inputs, torch.tensor([2, 0]))
    for item, task in enumerate((2, 0)):
        assert torch.allclose(given[item], inputs[item] @ layer.weight[task] + layer.bias[task], atol=1e-5)


def test_the_diagonal_follows_the_strength() -> None:
    """Against white noise the best share of a component is its variance beside that of the noise (Wiener)."""
    torch.manual_seed(0)
    spread, number = torch.tensor([2.0, 0.5, 0.1]), 40_000
    clean, strengths = torch.randn(number, 3) * spread, torch.rand(number)
    damaged = clean + torch.randn(number, 3) * strengths.unsqueeze(1)
    layer = StrengthLinear(1, 3)
    assert torch.equal(layer(damaged[None], torch.tensor([0]), torch.tensor([0.3]))[0], damaged)
    layer.solve(0, damaged, clean, strengths, 1e-6, torch.ones(number))
    for strength in (0.2, 0.6, 1.0):  # knots
        kept = layer(torch.eye(3)[None], torch.tensor([0]), torch.tensor([strength]))[0] - layer.linear.bias[0]
        assert torch.allclose(kept.diagonal(), spread**2 / (spread**2 + strength**2), atol=0.06)
    between, *ends = (
        layer(damaged[None, :5], torch.tensor([0]), torch.tensor([strength])) for strength in (0.5, 0.4, 0.6)
    )
    assert torch.allclose(between, (ends[0] + ends[1]) / 2, atol=1e-5)
    assert KNOTS == 6
