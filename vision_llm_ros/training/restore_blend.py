"""How far the language branch is trusted, by task and feature channel, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.model.detail import KINDS
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.restoration import TASKS
from vision_llm_ros.model.restorer import Restorer
from vision_llm_ros.training.restore_data import Photographs

_BATCH = 16
_LEAST_GAIN_DB = 0.05
_LEAST_ERROR = 1e-10


@dataclass(frozen=True)
class _Seen:
    """A batch of tiles of one kind: clean and by the residual path float[B, 3, T, T]; the others float[B, N, D]."""

    clean: Tensor
    detailed: Tensor
    truth: Tensor
    damaged: Tensor
    said: Tensor


@torch.no_grad()
def fit_blend(
    restorer: Restorer, llm: LanguageModel, photographs: Photographs, tiles: int, seed: int = 0
) -> dict[str, Tensor]:
    """The least-squares shares of what the language branch says, against the clean features.

    Args:
        tiles: how many to fit each kind by; as many again tell whether the branch adds to the residual path.
    Returns:
        the `Restorer.blend`, each float[tasks, D], 0..1: "weight" beside the residual path, zero for a kind that gains
        less than 0.05 dB by it and for tasks without a residual path; "alone" beside the damaged tokens.
    """
    weight, alone = torch.zeros(len(TASKS), restorer.config.width), torch.ones(len(TASKS), restorer.config.width)
    for kind in KINDS:
        fitted, checked = (_look(restorer, llm, photographs, kind, tiles, (seed, 2 + half)) for half in (0, 1))
        place = TASKS.index(kind)
        alone[place] = _share([(batch.damaged, batch.said, batch.truth) for batch in fitted])
        own = [restorer.autoencoder.encode(batch.detailed) for batch in fitted]
        beside = _share([(mine, batch.said, batch.truth) for mine, batch in zip(own, fitted, strict=True)])
        if _gain(restorer, checked, beside) >= _LEAST_GAIN_DB:
            weight[place] = beside
    return {"weight": weight, "alone": alone}


def _look(
    restorer: Restorer, llm: LanguageModel, photographs: Photographs, kind: str, tiles: int, seed: tuple[int, int]
) -> list[_Seen]:
    device, encode = restorer.blend["weight"].device, restorer.autoencoder.encode
    places = torch.full((_BATCH,), KINDS.index(kind), device=device)
    tasks = torch.full((_BATCH,), TASKS.index(kind), device=device)
    seen = []
    for number in range(-(-tiles // _BATCH)):
        batch = photographs.damaged(_BATCH, restorer.config.tile_px, (kind,), np.random.default_rng((*seed, number)))
        clean, pixels = batch.clean.to(device), batch.damaged.to(device)
        damaged, detailed = encode(pixels), restorer.detail(pixels, places).clamp(0, 1)
        seen.append(_Seen(clean, detailed, encode(clean), damaged, restorer.language.generate(llm, damaged, tasks)))
    return seen


def _share(parts: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The w float[D], 0..1, that brings `first + w * (second - first)` nearest to the third."""
    above = sum(((second - first) * (truth - first)).sum((0, 1)) for first, second, truth in parts)
    below = sum((second - first).square().sum((0, 1)) for first, second, _ in parts)
    return (torch.as_tensor(above) / torch.as_tensor(below).clamp(min=_LEAST_ERROR)).clamp(0, 1).cpu()


def _gain(restorer: Restorer, checked: list[_Seen], weight: Tensor) -> float:
    """What the language branch adds to the residual path, mean over tiles, dB."""
    share = weight.to(checked[0].clean.device)
    gains = []
    for batch in checked:
        changed = restorer.blended(batch.detailed, restorer.autoencoder.encode(batch.detailed), batch.said, share)
        gains.append(_psnr(changed, batch.clean) - _psnr(batch.detailed, batch.clean))
    return float(torch.cat(gains).mean())


def _psnr(tiles: Tensor, clean: Tensor) -> Tensor:
    return -10 * (tiles.clamp(0, 1) - clean).square().mean((1, 2, 3)).clamp(min=_LEAST_ERROR).log10()
