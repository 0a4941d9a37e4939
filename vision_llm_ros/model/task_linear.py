"""Linear layers, one for each of some tasks, that are solved rather than learnt step by step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

KNOTS = 6  # strengths of damage at which a diagonal is kept, evenly from 0 to 1; between them it is interpolated
_ROUNDS = 2


class TaskLinear(nn.Module):
    """A linear layer for each of some tasks."""

    def __init__(self, tasks: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter((2 * torch.rand(tasks, inputs, outputs) - 1) * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(tasks, outputs))

    def forward(self, inputs: Tensor, tasks: Tensor) -> Tensor:
        """float[B, N, I] of the tasks int[B] to float[B, N, O]."""
        by_every_task = torch.einsum("bni,tio->tbno", inputs, self.weight)
        chosen = by_every_task[tasks, torch.arange(len(inputs), device=inputs.device)]
        return chosen + self.bias[tasks].unsqueeze(1)

    @torch.no_grad()
    def solve(self, task: int, inputs: Tensor, missing: Tensor, ridge: float, importance: Tensor | None = None) -> None:
        """Change a task's layer by what maps inputs float[M, I] to what it lacks, float[M, O], with least squares.

        Args:
            ridge: weight of the squared change, in mean squares of the inputs, beside the mean squared error.
            importance: float[M], of each row's squared error, 1 on average.
        """
        weight, bias = least_squares(inputs, missing, ridge * float(inputs.square().mean()), importance)
        self.weight[task] += weight
        self.bias[task] += bias


class StrengthLinear(nn.Module):
    """A square linear layer for each of some tasks, with a diagonal more that changes with the strength of the damage.

    Along principal components the best linear map against white noise is a diagonal, and how much of each component to
    keep depends on how strong the noise is (Wiener). It starts as an identity.
    """

    def __init__(self, tasks: int, width: int) -> None:
        super().__init__()
        self.linear = TaskLinear(tasks, width, width)
        self.gains = nn.Parameter(torch.zeros(tasks, KNOTS, width))
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Become an identity."""
        self.linear.weight.copy_(torch.eye(self.gains.shape[-1]))
        self.linear.bias.zero_()
        self.gains.zero_()

    def forward(self, inputs: Tensor, tasks: Tensor, strengths: Tensor) -> Tensor:
        """float[B, N, D] of the tasks int[B] and strengths float[B], 0..1, to float[B, N, D]."""
        gains = torch.einsum("bk,bkd->bd", _hats(strengths), self.gains[tasks]).unsqueeze(1)
        return self.linear(inputs, tasks) + gains * inputs  # type: ignore[no-any-return]

    @torch.no_grad()
    def solve(
        self, task: int, inputs: Tensor, wanted: Tensor, strengths: Tensor, ridge: float, importance: Tensor
    ) -> None:
        """Make a task's layer the best from inputs float[M, D] at strengths float[M] to wanted float[M, D].

        Args:
            ridge, importance: see `TaskLinear.solve`.
        """
        tasks, hats = torch.full((len(inputs),), task, device=inputs.device), _hats(strengths)
        scale = ridge * float(inputs.square().mean())
        for _ in range(_ROUNDS):
            missing = wanted - self(inputs.unsqueeze(1), tasks, strengths)[:, 0]
            squares = torch.einsum("mk,ml,md->dkl", hats * importance.unsqueeze(1), hats, inputs.square())
            right = torch.einsum("mk,md->dk", hats * importance.unsqueeze(1), inputs * missing)
            squares += scale * len(inputs) / KNOTS * torch.eye(KNOTS, device=inputs.device)
            self.gains[task] += torch.linalg.solve(squares, right).T
            missing = wanted - self(inputs.unsqueeze(1), tasks, strengths)[:, 0]
            self.linear.solve(task, inputs, missing, ridge, importance)


def least_squares(
    inputs: Tensor, wanted: Tensor, ridge: float, importance: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The weight float[D, E] and bias float[E] that map inputs float[M, D] to wanted float[M, E] with least error.

    Args:
        ridge: weight of the squared weights beside the mean squared error.
        importance: float[M], of each row's squared error, 1 on average.
    """
    rows = functional.pad(inputs, (0, 1), value=1.0).double()
    weighed = rows if importance is None else rows * importance.double().unsqueeze(1)
    square = weighed.T @ rows + ridge * len(rows) * torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    solved = torch.linalg.solve(square, weighed.T @ wanted.double()).float()
    return solved[:-1], solved[-1]


def _hats(strengths: Tensor) -> Tensor:
    """float[M, KNOTS]: how much each knot counts at strengths float[M]; at most two do, 1 together."""
    knots = torch.arange(KNOTS, device=strengths.device)
    return functional.relu(1 - (strengths.clamp(0, 1).unsqueeze(1) * (KNOTS - 1) - knots).abs())
