from __future__ import annotations

import torch

from vision_llm_ros.model.signals import Discriminator, SignalledMap, Signals, reverse_gradient


def test_the_reversed_gradient_is_the_plain_one_times_minus_strength() -> None:
    x = torch.randn(5, 3, requires_grad=True)
    (plain,) = torch.autograd.grad((x**2).sum(), x)
    assert torch.equal(reverse_gradient(x, 0.3), x)
    (turned,) = torch.autograd.grad((reverse_gradient(x, 0.3) ** 2).sum(), x)
    assert torch.allclose(turned, -0.3 * plain)


def _told(shift: float) -> float:
    """How often a discriminator tells the task of unseen shared parts, which differ by `shift` between two tasks."""
    torch.manual_seed(0)
    judge = Discriminator(8, 2, layers=1)
    optimizer = torch.optim.Adam(judge.parameters(), lr=5e-3)
    wanted = torch.arange(256) % 2

    def drawn() -> torch.Tensor:
        return torch.randn(256, 8) + shift * wanted[:, None]

    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(judge(drawn()), wanted).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        return float((judge(drawn()).argmax(-1) == wanted).float().mean())


def test_a_discriminator_tells_what_differs_and_guesses_where_nothing_does() -> None:
    assert _told(3.0) > 0.95
    assert 0.35 < _told(0.0) < 0.65


def test_a_signal_has_a_part_of_its_task_and_a_part_that_all_tasks_share() -> None:
    torch.manual_seed(1)
    signals, words = Signals(6, 8, 2), torch.randn(3, 6)
    (own, shared), (other, same) = signals(words, 0), signals(words, 1)
    assert torch.equal(shared, same) and not torch.allclose(own, other)
    assert own.shape == shared.shape == (3, 8)


def test_every_part_of_a_signal_reaches_the_map() -> None:
    torch.manual_seed(2)
    module = SignalledMap(5, 4)
    own, shared = torch.randn(2, 4, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    logits = module(torch.randn(2, 5, 3, 3), own, shared)
    assert logits.shape == (2, 3, 3)
    logits.sum().backward()
    assert own.grad is not None and shared.grad is not None
    assert own.grad.abs().sum() > 0 and shared.grad.abs().sum() > 0
