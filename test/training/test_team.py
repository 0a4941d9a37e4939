from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from vision_llm_ros.training.team import Team, join_team


def _member(rank: int, size: int, meeting: str, out: str) -> None:
    """One of the processes: learns one step from its own example."""
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
    team = Team(rank, size)
    torch.manual_seed(rank)
    layer, unused = nn.Linear(2, 1), nn.Linear(2, 1)
    team.agree([*layer.state_dict().values()])
    (layer(torch.tensor([[float(rank), 1.0]])) * (rank + 1)).sum().backward()
    if rank == 0:
        unused(torch.ones(1, 2)).sum().backward()
    team.mean_gradients([*layer.parameters(), *unused.parameters()])
    team.wait()
    torch.save([layer.weight, layer.weight.grad, unused.weight.grad], f"{out}/{rank}.pt")
    team.leave()


def test_processes_agree_on_weights_and_mean_gradients(tmp_path: Path) -> None:
    arguments = (2, str(tmp_path / "meeting"), str(tmp_path))
    torch.multiprocessing.spawn(_member, arguments, nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    torch.testing.assert_close(first[1], torch.tensor([[1.0, 1.5]]))  # mean of 1*(0, 1) and 2*(1, 1)
    torch.testing.assert_close(first[2], torch.tensor([[0.5, 0.5]]))  # one process did not use it


def test_alone_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    team = join_team("cpu")
    layer = nn.Linear(2, 1)
    team.agree(layer.state_dict().values())
    team.mean_gradients(list(layer.parameters()))
    assert team.leads
    assert layer.weight.grad is None
    team.wait()
    team.leave()
