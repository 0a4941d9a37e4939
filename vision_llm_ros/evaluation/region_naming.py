"""Are regions called by their names: by parts of their token, by the whole picture, by where they lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from vision_llm_ros.config import RegionConfig
from vision_llm_ros.evaluation.seeds import over_seeds
from vision_llm_ros.model.region_token import Look, RegionToken
from vision_llm_ros.training.region_naming import Regions, learn


def _seen(*parts: str) -> Callable[[Regions], Regions]:
    """Regions of which only the named parts are looked at."""

    def view(regions: Regions) -> Regions:
        kept = {name: getattr(regions.look, name) for name in ("means", "evidence", "boxes")}
        return replace(regions, look=Look(**{n: v if n in parts else torch.zeros_like(v) for n, v in kept.items()}))

    return view


ARMS: dict[str, Callable[[Regions], Regions]] = {
    "region token": lambda regions: regions,
    "without the detector's evidence": _seen("means", "boxes"),
    "without its features": _seen("evidence", "boxes"),
    "without its place": _seen("means", "evidence"),
    "whole picture": lambda regions: replace(regions, look=replace(regions.whole, boxes=regions.look.boxes)),
    "place alone": _seen("boxes"),
}


def compare(
    config: RegionConfig, learnt: Regions, dev: Regions, seeds: int, told: Callable[[str], None]
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
    right = (token.names(dev.look.exact(), dev.vocabulary).argmax(-1) == dev.names).float()
    by_class = [float(right[dev.names == name].mean()) for name in sorted(set(dev.names.tolist()))]
    return {"accuracy": float(right.mean()), "class_accuracy": float(np.mean(by_class))}
