"""Continuous signals from words to modules, and the adversary that keeps a part of them free of the task.

A signal is [task-specific, shared]. A discriminator tells the task from the shared part; its gradient is reversed on
the way back, so that the shared part learns to hide the task. Source: Vitron, section 3.3; its printed loss has the
roles of the label and the prediction swapped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


def reverse_gradient(x: Tensor, strength: float = 1.0) -> Tensor:
    """`x` itself; on the way back its gradient times `-strength` (Ganin and Lempitsky, 2015)."""
    return _Reversed.apply(x, strength)  # type: ignore[no-any-return, no-untyped-call]


class Signals(nn.Module):
    """Vectors of words to the signals of every task."""

    def __init__(self, inputs: int, width: int, tasks: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(inputs, 2 * width), nn.GELU())
        self.own = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(tasks))
        self.shared = nn.Linear(2 * width, width)

    def forward(self, words: Tensor, task: int) -> tuple[Tensor, Tensor]:
        """Words float[N, inputs] to the task-specific and the shared part of the signal, float[N, width] each."""
        hidden = self.trunk(words)
        return self.own[task](hidden), self.shared(hidden)


class Discriminator(nn.Module):
    """Tells the task from the shared parts of a batch of signals: a small Transformer over them, then a classifier."""

    def __init__(self, width: int, tasks: int, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.task = nn.Linear(width, tasks)

    def forward(self, shared: Tensor) -> Tensor:
        """Shared parts float[N, width] to logits float[N, tasks]; each signal is a sequence of its own."""
        return self.task(self.layers(shared.unsqueeze(1))[:, 0])  # type: ignore[no-any-return]


class SignalledMap(nn.Module):
    """What a module makes of a signal: which cells of the picture are meant."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(channels, 2 * width, 1)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor, own: Tensor, shared: Tensor) -> Tensor:
        """Features float[N, C, H, W] and signals float[N, width] x 2 to logits float[N, H, W]."""
        signal = torch.cat([own, shared], -1)
        cells = self.look(features)
        meant: Tensor = torch.einsum("nchw,nc->nhw", cells, signal) / signal.shape[-1] ** 0.5
        return meant + self.bias
