"""How far the language branch is trusted beside the residual path: a gate by task and channel, in closed form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.model.detail import KINDS
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.restoration import TASKS
from vision_llm_ros.model.restorer import Restorer
from vision_llm_ros.training.restore_data import Photographs

_BATCH = 16


@torch.no_grad()
def fit_blend(restorer: Restorer, llm: LanguageModel, photographs: Photographs, tiles: int, seed: int = 0) -> Tensor:
    """The least-squares weights w of `detail + w * (language - detail)` against the clean features.

    Args:
        tiles: how many to fit each kind by.
    Returns:
        float[tasks, D], 0..1; zero for tasks without a residual path.
    """
    weight = torch.zeros(len(TASKS), restorer.config.width)
    for kind in KINDS:
        above, below = torch.zeros(restorer.config.width), torch.full((restorer.config.width,), 1e-9)
        for number in range(-(-tiles // _BATCH)):
            own, said, clean = _three(restorer, llm, photographs, kind, (seed, 2, number))
            above += ((said - own) * (clean - own)).sum((0, 1)).cpu()
            below += (said - own).square().sum((0, 1)).cpu()
        weight[TASKS.index(kind)] = (above / below).clamp(0, 1)
    return weight


def _three(
    restorer: Restorer, llm: LanguageModel, photographs: Photographs, kind: str, seed: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Features float[B, N, D] of the residual path's tiles, of the language branch, and of the clean tiles."""
    device = restorer.blend["weight"].device
    batch = photographs.damaged(_BATCH, restorer.config.tile_px, (kind,), np.random.default_rng(seed))
    damaged, encode = batch.damaged.to(device), restorer.autoencoder.encode
    places = torch.full((_BATCH,), KINDS.index(kind), device=device)
    tasks = torch.full((_BATCH,), TASKS.index(kind), device=device)
    said = restorer.language.generate(llm, encode(damaged), tasks)
    return encode(restorer.detail(damaged, places).clamp(0, 1)), said, encode(batch.clean.to(device))
