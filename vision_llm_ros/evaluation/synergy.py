"""What an adversary on the shared part of signals does for detection and for referring masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vision_llm_ros.config import SynergyConfig
from vision_llm_ros.evaluation.seeds import over_seeds
from vision_llm_ros.training.synergy import TASKS, Asked, Synergy, learn

ARMS = {"without adversary": False, "with adversary": True}


def compare(
    config: SynergyConfig, learnt: list[Asked], dev: list[Asked], seeds: int, told: Callable[[str], None]
) -> dict[str, Any]:
    """Learn each arm from every seed and measure it; means, deviations and the single runs.

    Args:
        told: gets a line after each run.
    """
    seeds_used = range(config.seed, config.seed + seeds)

    def run(adversary: bool) -> Callable[[int], dict[str, float]]:
        return lambda seed: measure(learn(config, learnt, adversary, seed), dev)

    arms = [over_seeds(name, seeds_used, run(adversary), told) for name, adversary in ARMS.items()]
    return {"arms": arms, "pictures": len(learnt), "dev_pictures": len(dev), "steps": config.steps}


@torch.no_grad()
def measure(network: Synergy, dev: list[Asked]) -> dict[str, float]:
    """detect_ap over cells of all classes in each picture, mask_ciou and mask_giou over cells, task_told.

    task_told is the share of shared parts of which the discriminator tells the task, 0..1; 0.5 is a guess.
    """
    scores: list[NDArray[np.float32]] = []
    right: list[NDArray[np.bool_]] = []
    overlaps, joint, either, told = [], 0, 0, []
    for item in dev:
        for task in range(len(TASKS)):
            words, cells = item.words[task], item.cells[task]
            logits, shared = network(task, item.features.float().expand(len(words), -1, -1, -1), words)
            told += (network.discriminator(shared).argmax(-1) == task).tolist()
            if task == 0:
                scores.append(logits.flatten().numpy())
                right.append(cells.flatten().numpy())
                continue
            meant = logits > 0
            both, any_of = (meant & cells).flatten(1).sum(1), (meant | cells).flatten(1).sum(1)
            overlaps += (both / any_of.clamp(min=1)).tolist()
            joint, either = joint + int(both.sum()), either + int(any_of.sum())
    return {
        "detect_ap": average_precision(np.concatenate(scores), np.concatenate(right)),
        "mask_ciou": joint / max(either, 1),
        "mask_giou": float(np.mean(overlaps)),
        "task_told": float(np.mean(told)),
    }


def average_precision(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """Mean precision at every right one, ranked by score; 0 if none is right."""
    ranked = right[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].mean()) if ranked.any() else 0.0
