"""Small networks in place of the language branch, of its size: what an untouched language model is compared to.

Source: LM4LV, section "Ablations": linear layers alone, a two-layer MLP, a one-layer transformer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vision_llm_ros.model.task_linear import StrengthLinear
from vision_llm_ros.training.restore_data import Damaged
from vision_llm_ros.training.restore_language import FeatureLoop


class Expert(nn.Module):
    """Restored tokens are a linear map of the damaged ones and what a small network adds, nothing at its start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.skip = StrengthLinear(1, width)

    def forward(self, damaged: Tensor, strengths: Tensor) -> Tensor:
        """float[B, N, D] damaged with strengths float[B] to float[B, N, D]."""
        task = torch.zeros(len(damaged), dtype=torch.long, device=damaged.device)
        return self.skip(damaged, task, strengths) + self.added(damaged)  # type: ignore[no-any-return]

    def added(self, damaged: Tensor) -> Tensor:
        """Nothing: a linear map alone."""
        return damaged.new_zeros(damaged.shape)


class MLPExpert(Expert):
    """Two layers, each token by itself."""

    def __init__(self, width: int, parameters: int) -> None:
        super().__init__(width)
        hidden = parameters // (2 * width + 1)
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), _silent(hidden, width))

    def added(self, damaged: Tensor) -> Tensor:
        return self.layers(damaged)  # type: ignore[no-any-return]


class TransformerExpert(Expert):
    """One block: attention among the tokens of a tile, and a feed-forward network."""

    def __init__(self, width: int, parameters: int, heads: int) -> None:
        super().__init__(width)
        hidden = max((parameters - 5 * width * width) // (2 * width), 1)
        self.block = nn.TransformerEncoderLayer(width, heads, hidden, 0.0, batch_first=True, norm_first=True)
        self.last = _silent(width, width)

    def added(self, damaged: Tensor) -> Tensor:
        return self.last(self.block(damaged))  # type: ignore[no-any-return]


def _silent(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class ExpertLoop(FeatureLoop):
    """An expert of one task learns on the tiles that the language branch would learn on, from the same linear start."""

    module: Expert
    name, parts = "expert", ("error",)

    @torch.no_grad()
    def start(self, tiles: int, seed: int = 0) -> None:
        """Begin as the best linear map, solved for `tiles` tiles; as an identity where geometry is learnt."""
        self.solve_skip(self.module.skip, tiles, seed)
        self.average = {key: value.detach().clone() for key, value in self.learned().items()}

    def loss(self, batch: Damaged) -> tuple[Tensor, dict[str, float]]:
        damaged, clean, _ = self.encoded(batch)
        return self.error(self.module(damaged, batch.strength.to(self.device)), clean, batch)
