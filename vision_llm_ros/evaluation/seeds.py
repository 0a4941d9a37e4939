"""Arms that are cheap enough to be learnt from several seeds: means, deviations and a table of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def over_seeds(
    name: str, seeds: range, run: Callable[[int], dict[str, float]], told: Callable[[str], None]
) -> dict[str, Any]:
    """Learn and measure one arm from every seed.

    Args:
        run: gives what is measured for a seed.
        told: gets a line after each run.
    Returns:
        name, mean and deviation by measure, and the single runs.
    """
    runs = []
    for seed in seeds:
        runs.append(run(seed))
        told(f"{name}, seed {seed}: " + ", ".join(f"{key} {value:.3f}" for key, value in runs[-1].items()))
    mean = {key: float(np.mean([one[key] for one in runs])) for key in runs[0]}
    spread = {key: float(np.std([one[key] for one in runs])) for key in runs[0]}
    return {"name": name, "mean": mean, "deviation": spread, "runs": runs}


def markdown(report: dict[str, Any]) -> str:
    """A table of means and deviations."""
    keys = list(report["arms"][0]["mean"])
    lines = [f"| arm | {' | '.join(keys)} |", "|---" * (len(keys) + 1) + "|"]
    for arm in report["arms"]:
        cells = (f"{arm['mean'][key]:.3f} ± {arm['deviation'][key]:.3f}" for key in keys)
        lines.append(f"| {arm['name']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
