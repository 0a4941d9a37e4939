"""Ablations at a fixed budget: every arm learns the same steps from the same seed, one setting apart.

The published numbers (VisionLLM, tables 6 and 7, COCO box AP after 50 epochs) stand beside ours. With a budget of
minutes only directions can be compared, not sizes. Whether two arms differ is judged pair by pair on the same
pictures: the interval of the difference is much narrower than those of the two values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from vision_llm_ros.errors import ConfigError, VisionLLMError
from vision_llm_ros.evaluation import arm_run
from vision_llm_ros.evaluation.arm_run import AblationOptions, Ground, Progress
from vision_llm_ros.evaluation.arms import ABLATIONS, NETWORK, Arm
from vision_llm_ros.evaluation.detection import percentiles
from vision_llm_ros.evaluation.trial import machine_values

logger = logging.getLogger(__name__)

_MEASURED = ("box_ap", "box_ap50", "box_ap50_ci95", "ap_resampled", "p_at_50", "error")


def ablate(
    names: tuple[str, ...], options: AblationOptions, progress: Progress, keep: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    """Learn and measure every arm of some ablations. An arm that fails is named with its reason; the others go on.

    Args:
        progress: gives for (title, steps) what is called after each step.
        keep: is given the report so far after each ablation.
    Returns:
        ablations [{name, arms [{name, published_ap, box_ap, box_ap50, box_ap50_ci95, ap_resampled, p_at_50, error}],
        pairs}], and what was run.
    Raises:
        ConfigError: no such ablation.
        InputError: annotations are missing or damaged.
    """
    for name in names:
        if name not in ABLATIONS:
            raise ConfigError(f"No ablation {name!r}; there are {', '.join(ABLATIONS)}")
    ground = Ground.prepare(options)
    known: dict[tuple[str, bool], dict[str, Any]] = {}
    report: dict[str, Any] = {
        "ablations": [],
        "budget_steps": options.budget_steps,
        "batch_size": options.train.batch_size,
        "seed": options.train.seed,
        "classes": list(ground.dev.categories.values()),
        "pictures": len(ground.train.pictures),
        "dev_pictures": len(ground.dev.pictures),
        "network": {key: getattr(options.model, key) for key in NETWORK},
        "machine": machine_values(),
    }
    for name in names:
        arms = [_arm_values(arm, ground, known, progress) for arm in ABLATIONS[name]]
        report["ablations"].append({"name": name, "arms": arms, "pairs": compare(arms)})
        keep(report)
    return report


def compare(arms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every pair of measured arms: the difference of AP with its 95 % interval, from a paired bootstrap.

    `clear` where the interval does not hold 0; `agrees` is None where it is not clear, or nothing is published.
    """
    measured = [arm for arm in arms if arm["box_ap"] is not None]
    pairs = []
    for place, first in enumerate(measured):
        for second in measured[place + 1 :]:
            ours = second["box_ap"] - first["box_ap"]
            low, high = percentiles(np.subtract(second["ap_resampled"], first["ap_resampled"]).tolist())
            clear = low > 0 or high < 0
            there = _published_difference(first, second)
            pairs.append(
                {
                    "arms": [first["name"], second["name"]],
                    "published_better": "" if not there else second["name"] if there > 0 else first["name"],
                    "our_difference_ap": round(ours, 4),
                    "our_difference_ci95": [round(low, 4), round(high, 4)],
                    "clear": clear,
                    "agrees": (there > 0) == (ours > 0) if clear and there else None,
                }
            )
    return pairs


def _published_difference(first: dict[str, Any], second: dict[str, Any]) -> float:
    """Published AP of the second arm above the first's; 0 where one has none."""
    values = first["published_ap"], second["published_ap"]
    return 0.0 if None in values else float(values[1] - values[0])


def _arm_values(
    arm: Arm, ground: Ground, known: dict[tuple[str, bool], dict[str, Any]], progress: Progress
) -> dict[str, Any]:
    """What was measured of an arm; an arm that was learnt and decoded alike before is not measured again."""
    key = (arm.learnt_as(ground.options.model), arm.one_by_one)
    measured: dict[str, Any] = dict.fromkeys(_MEASURED)
    try:
        if key not in known:
            known[key] = arm_run.measure(arm_run.learn(arm, ground, progress), ground)
        measured |= known[key]
    except VisionLLMError as error:
        logger.error("Arm %r: %s", arm.name, error)
        measured["error"] = str(error)
    return {"name": arm.name, "published_ap": arm.published_ap, "published": arm.published} | measured


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown tables with the published numbers beside ours."""
    network = ", ".join(f"{key} {value}" for key, value in report["network"].items())
    lines = [
        f"{report['budget_steps']} steps of {report['batch_size']} pictures out of {report['pictures']}, seed "
        f"{report['seed']}, measured on {report['dev_pictures']} others; classes: {', '.join(report['classes'])}; "
        f"unless an arm says otherwise: {network}. Published: COCO box AP after 50 epochs. "
        "Intervals draw pictures anew, not training: repeat with another --seed before you believe a difference.",
    ]
    for group in report["ablations"]:
        lines += ["", f"## {group['name']}", "", *_arm_rows(group["arms"])]
        if group["pairs"]:
            lines += ["", *_pair_rows(group["pairs"])]
    return "\n".join(lines) + "\n"


def _arm_rows(arms: list[dict[str, Any]]) -> list[str]:
    lines = ["| arm | published AP | our AP | our AP50 | AP50 95 % interval | P@0.5 |", "|---|---|---|---|---|---|"]
    for arm in arms:
        published = arm["published"] or _cell(arm["published_ap"])
        if arm["error"]:
            lines.append(f"| {arm['name']} | {published} | failed: {arm['error']} | | | |")
            continue
        interval = arm["box_ap50_ci95"]
        shown = f"{interval[0]:.3f} .. {interval[1]:.3f}" if interval else "-"
        numbers = " | ".join(_cell(arm[key]) for key in ("box_ap", "box_ap50"))
        lines.append(f"| {arm['name']} | {published} | {numbers} | {shown} | {_cell(arm['p_at_50'])} |")
    return lines


def _pair_rows(pairs: list[dict[str, Any]]) -> list[str]:
    lines = ["| pair | better as published | our AP difference (95 % interval) | verdict |", "|---|---|---|---|"]
    for pair in pairs:
        low, high = pair["our_difference_ci95"]
        first, second = pair["arms"]
        better = second if pair["our_difference_ap"] > 0 else first
        told = {True: "as published", False: "the other way", None: f"{better} is better"}[pair["agrees"]]
        lines.append(
            f"| {first} / {second} | {pair['published_better'] or '-'} | {pair['our_difference_ap']:+.3f} "
            f"({low:+.3f} .. {high:+.3f}) | {told if pair['clear'] else 'too close to tell'} |"
        )
    return lines


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value > 1 else f"{value:.3f}"
