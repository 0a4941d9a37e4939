"""How far the language branch is trusted with each kind of damage, by what it gains on tiles it has not learnt from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vision_llm_ros.model.detail import KINDS
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.restoration import TASKS
from vision_llm_ros.model.restorer import Restorer
from vision_llm_ros.training.restore_data import Photographs, psnr
from vision_llm_ros.training.restore_language import drawn

logger = logging.getLogger(__name__)

SHARES = (0.25, 0.5, 0.75, 1.0)
_BATCH = 16
_LEAST_BESIDE_DB, _LEAST_ALONE_DB = 0.5, 0.05


@dataclass(frozen=True)
class _Seen:
    """Tiles of one kind: clean and by the residual path float[B, 3, T, T]; features float[B, N, D]; see `Damaged`."""

    clean: Tensor
    detailed: Tensor
    damaged: Tensor
    said: Tensor
    together: int


Change = Callable[[_Seen, float], Tensor]


@torch.no_grad()
def fit_blend(
    restorer: Restorer, llm: LanguageModel, photographs: Photographs, tiles: int, seed: int = 0
) -> dict[str, Tensor]:
    """The share of what the language branch says that gains most, mean PSNR of pictures of a few tiles.

    Args:
        tiles: how many choose the share of each kind; as many again must confirm that it gains 0.5 dB beside the
            residual path, which alone is some thirty times faster, or 0.05 dB alone; else it is 0.
    Returns:
        "blend.weight" beside the residual path and "blend.alone" beside the reconstruction (`Restorer.blend`), each
        float[tasks], 0..1; 0 and 1 for tasks that the residual path does not know.
    """
    weight, alone = torch.zeros(len(TASKS)), torch.ones(len(TASKS))
    for kind in KINDS:
        halves = [_look(restorer, llm, photographs, kind, tiles, (seed, 2 + half)) for half in (0, 1)]
        weight[TASKS.index(kind)] = _share(halves, lambda seen, share: _beside(restorer, seen, share), _LEAST_BESIDE_DB)
        alone[TASKS.index(kind)] = _share(halves, lambda seen, share: _alone(restorer, seen, share), _LEAST_ALONE_DB)
    return {"blend.weight": weight, "blend.alone": alone}


def _look(
    restorer: Restorer, llm: LanguageModel, photographs: Photographs, kind: str, tiles: int, seed: tuple[int, int]
) -> list[_Seen]:
    device, encode = restorer.blend["weight"].device, restorer.autoencoder.encode
    place, task = (
        torch.tensor([number], device=device) for number in (KINDS.index(kind), restorer.language.place(kind))
    )
    seen = []
    for number in range(-(-tiles // _BATCH)):
        batch = drawn(photographs, _BATCH, restorer.config, (kind,), (*seed, number)).harmed()
        pixels = batch.damaged.to(device)
        if not len(pixels):
            continue
        damaged, detailed = encode(pixels), restorer.detail(pixels, place.expand(len(pixels))).clamp(0, 1)
        said = restorer.language.generate(llm, damaged, task.expand(len(pixels)), batch.strength.to(device))
        seen.append(_Seen(batch.clean.to(device), detailed, damaged, said, batch.together))
    return seen


def _beside(restorer: Restorer, seen: _Seen, share: float) -> Tensor:
    return restorer.blended(seen.detailed, seen.said, share)


def _alone(restorer: Restorer, seen: _Seen, share: float) -> Tensor:
    return restorer.autoencoder.decode(seen.damaged + share * (seen.said - seen.damaged))


def _share(halves: list[list[_Seen]], change: Change, least_db: float) -> float:
    gains = _gains(halves[0], change, SHARES)
    best = max(gains, key=lambda share: gains[share])
    gain = _gains(halves[1], change, (best,))[best]
    logger.info("Share %.2f gains %.2f dB, %.2f dB are asked for", best, gain, least_db)
    return best if gain >= least_db else 0.0


def _gains(batches: list[_Seen], change: Change, shares: tuple[float, ...]) -> dict[float, float]:
    """Mean over pictures of each share against a share of nothing, dB."""
    nothing, *values = (
        torch.cat([psnr(change(seen, share), seen.clean, seen.together) for seen in batches])
        for share in (0.0, *shares)
    )
    return {share: float((value - nothing).mean()) for share, value in zip(shares, values, strict=True)}
