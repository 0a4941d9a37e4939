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


def _probe(parts: torch.Tensor, wanted: torch.Tensor) -> float:
    """How often a fresh linear classifier tells the task of every second signal, learnt from the others."""
    head = torch.nn.Linear(parts.shape[1], 2)
    optimizer = torch.optim.Adam(head.parameters(), lr=2e-2)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(head(parts[::2]), wanted[::2]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float((head(parts[1::2]).argmax(-1) == wanted[1::2]).float().mean())


def _task_told(strength: float) -> tuple[float, float]:
    """How well the task can be told from the own part, and by the discriminator from the shared one.

    The words themselves tell the task by their last number; the shared part is to keep the others.
    """
    torch.manual_seed(4)
    signals, judge, keeper = Signals(4, 8, 2), Discriminator(8, 2, layers=1), torch.nn.Linear(8, 3)
    modules = (signals, judge, keeper)
    optimizer = torch.optim.Adam([p for module in modules for p in module.parameters()], lr=5e-3)
    wanted = torch.arange(200) // 2 % 2

    def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        words = torch.cat([torch.randn(200, 3), 2.0 * wanted[:, None] - 1], 1)
        parts = [signals(words, task) for task in (0, 1)]
        own, shared = (torch.where(wanted[:, None] == 0, parts[0][k], parts[1][k]) for k in (0, 1))
        return words, own, shared

    for _ in range(300):
        words, _, shared = drawn()
        told = torch.nn.functional.cross_entropy(judge(reverse_gradient(shared, strength)), wanted)
        loss = told + (keeper(shared) - words[:, :3]).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    _, own, shared = (part.detach() for part in drawn())
    return _probe(own, wanted), float((judge(shared).argmax(-1) == wanted).float().mean())


def test_the_adversary_takes_the_task_out_of_the_shared_part_and_leaves_it_in_the_own() -> None:
    (own, shared), (_, helped) = _task_told(1.0), _task_told(-1.0)
    assert own > 0.9 and helped > 0.95
    assert shared < 0.65
