"""Are regions called by their names: by the token of what lies in them, of the whole picture, of where they lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from vision_llm_ros.config import LoopConfig
from vision_llm_ros.evaluation.seeds import over_seeds
from vision_llm_ros.model.region_token import RegionToken
from vision_llm_ros.training.region_naming import Regions, learn, name_of

ARMS: dict[str, Callable[[Regions], Regions]] = {
    "region token": lambda regions: regions,
    "without its place": lambda regions: replace(regions, boxes=torch.zeros_like(regions.boxes)),
    "whole picture": lambda regions: replace(regions, means=regions.whole),
    "place alone": lambda regions: replace(regions, means=torch.zeros_like(regions.means)),
}


def compare(
    config: LoopConfig, learnt: Regions, dev: Regions, seeds: int, told: Callable[[str], None]
) -> dict[str, Any]:
    """Learn each arm from every seed and measure it, beside the commonest class.

    Args:
        told: gets a line after each run.
    """
    common = int(torch.bincount(learnt.names).argmax())
    right = float((dev.names == common).float().mean())
    base = {"accuracy": right, "class_accuracy": 1 / len(set(dev.names.tolist())) if right else 0.0}
    arms = [{"name": "commonest class", "mean": base, "deviation": dict.fromkeys(base, 0.0), "runs": [base]}]
    seeds_used = range(config.seed, config.seed + seeds)

    def run(view: Callable[[Regions], Regions]) -> Callable[[int], dict[str, float]]:
        return lambda seed: measure(learn(config, view(learnt), seed), view(dev))

    arms += [over_seeds(name, seeds_used, run(view), told) for name, view in ARMS.items()]
    return {"arms": arms, "regions": len(learnt.names), "dev_regions": len(dev.names), "steps": config.steps}


@torch.no_grad()
def measure(token: RegionToken, dev: Regions) -> dict[str, float]:
    """Share of regions whose class word is the nearest of all, over regions and as the mean over classes."""
    right = (name_of(token, dev.means, dev.boxes, dev.words).argmax(-1) == dev.names).float()
    by_class = [float(right[dev.names == name].mean()) for name in sorted(set(dev.names.tolist()))]
    return {"accuracy": float(right.mean()), "class_accuracy": float(np.mean(by_class))}
