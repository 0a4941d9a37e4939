"""Ablations at a fixed budget: every arm learns the same steps from the same seed, one setting apart.

The published numbers (VisionLLM, tables 6 and 7, COCO box AP after 50 epochs) stand beside ours. With a budget of
minutes only directions can be compared, not sizes: `agrees` says whether the same arm is the better one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from vision_llm_ros.config import ModelConfig, RuntimeConfig, TrainConfig
from vision_llm_ros.errors import ConfigError, VisionLLMError
from vision_llm_ros.evaluation import seeing
from vision_llm_ros.evaluation.trial import Trial, machine_values
from vision_llm_ros.interfaces import Task
from vision_llm_ros.model.autoregressive import OneByOneVisionLLM
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.weights import Manifest
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.hardware import choose_device, choose_dtype, set_threads
from vision_llm_ros.training import start
from vision_llm_ros.training.data import DetectionData
from vision_llm_ros.training.datasets import InstanceSet, Picture, choose_some, load_expressions, load_instances
from vision_llm_ros.training.detect import Trainer
from vision_llm_ros.training.run_folder import Settings, check_continues

logger = logging.getLogger(__name__)

Progress = Callable[[str, int], Callable[[int, dict[str, float]], None]]


@dataclass(frozen=True)
class Arm:
    """One setting of an ablation.

    Attributes:
        model: changes of ModelConfig.
        randomness: class sets, order, words and tokens change from step to step.
        one_by_one: answers are decoded token by token.
        learnt_as: arm whose training this one shares.
        published: what the paper says, where it gives no number.
        stages: 2 spends half of the budget on the tokenizer alone; 1 spends all on the whole.
        published_ap: COCO box AP in the paper, None where it gives none.
    """

    name: str
    published_ap: float | None = None
    model: dict[str, Any] = field(default_factory=dict)
    randomness: bool = True
    stages: int = 2
    one_by_one: bool = False
    learnt_as: str = ""
    published: str = ""


ABLATIONS: dict[str, tuple[Arm, ...]] = {
    "text": (
        Arm("no text", 44.7, {"text_mode": "none"}),
        Arm("frozen", 1.3, {"text_mode": "frozen"}),
        Arm("trained", 44.8, {"text_mode": "trained"}),
    ),
    "tokenizer": (
        Arm("average pool", 23.1, {"tokenizer": "average_pool"}),
        Arm("queries", 44.8, {"tokenizer": "query"}),
    ),
    "bins": tuple(
        Arm(f"{bins} bins", published, {"location_bins": bins})
        for bins, published in ((257, 34.9), (513, 40.8), (1025, 44.8), (2049, 44.8))
    ),
    "tokens": tuple(
        Arm(f"{count} tokens", published, {"num_queries": count})
        for count, published in ((25, None), (50, 44.5), (100, 44.8))
    ),
    "lora": (
        Arm("no LoRA, fixed words", 45.2, {"lora_rank": 0}, randomness=False),
        Arm("no LoRA, random words", 1.2, {"lora_rank": 0}),
        Arm("LoRA, fixed words", None, randomness=False),
        Arm("LoRA, random words", 44.8),
    ),
    "prior": (
        Arm("no region prior", None, {"region_prior": False}),
        Arm("region prior", None, {"region_prior": True}),
    ),
    "decoding": (
        Arm("in parallel", 44.8),
        Arm(
            "token by token, same weights",
            one_by_one=True,
            learnt_as="in parallel",
            published="learnt token by token it did not converge",
        ),
    ),
    "stages": (Arm("one stage", 28.0, stages=1), Arm("two stages", 44.8, stages=2)),
}


@dataclass(frozen=True)
class AblationOptions:
    """What is compared, on what.

    Attributes:
        budget_steps: optimizer steps of every arm, over all its stages.
        limit: at most so many pictures for the evaluation; 0 takes all.
        init: weights or run folder to start every arm from; None imports the COCO-trained detector.
        folder: where the runs are kept; an arm with a finished run is not learnt again.
    """

    annotations: Path
    images: Path
    dev_annotations: Path
    dev_images: Path
    folder: Path
    budget_steps: int
    referring: tuple[Path, ...] = ()
    dev_referring: Path | None = None
    limit: int = 0
    init: Path | None = None
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        if self.budget_steps < 2:
            raise ConfigError(f"--budget-steps: expected at least 2, one for each stage, got {self.budget_steps}")


def ablate(name: str, options: AblationOptions, progress: Progress) -> dict[str, Any]:
    """Learn and measure every arm of a group. An arm that fails is named with its reason; the others go on.

    Args:
        progress: gives for (title, steps) what is called after each step.
    Returns:
        name, arms [{name, published_ap, box_ap, box_ap50, box_ap50_ci95, p_at_50, error}], agreement, and what was run.
    Raises:
        ConfigError: no such group.
        InputError: annotations are missing or damaged.
    """
    if name not in ABLATIONS:
        raise ConfigError(f"No ablation {name!r}; there are {', '.join(ABLATIONS)}")
    dev = load_instances(options.dev_annotations, options.dev_images)
    pictures = choose_some(dev.pictures, options.limit, options.train.seed)
    arms = [_arm_values(arm, options, dev, pictures, progress) for arm in ABLATIONS[name]]
    return {
        "name": name,
        "arms": arms,
        "agreement": agreement(arms),
        "budget_steps": options.budget_steps,
        "batch_size": options.train.batch_size,
        "seed": options.train.seed,
        "dev_pictures": len(pictures),
        "machine": machine_values(),
    }


def agreement(arms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For every pair of arms with a published difference: which is better there and here.

    `agrees` is None where our difference is smaller than half the width of either 95 % interval.
    """
    known = [arm for arm in arms if arm["published_ap"] is not None and arm["box_ap50"] is not None]
    pairs = []
    for place, first in enumerate(known):
        for second in known[place + 1 :]:
            published = second["published_ap"] - first["published_ap"]
            ours = second["box_ap50"] - first["box_ap50"]
            if published == 0:
                continue
            clear = abs(ours) > max(_half_width(first), _half_width(second))
            agrees = (published > 0) == (ours > 0) if clear else None
            better = second["name"] if published > 0 else first["name"]
            pairs.append(
                {
                    "arms": [first["name"], second["name"]],
                    "published_better": better,
                    "published_difference_ap": round(published, 3),
                    "our_difference_ap50": round(ours, 4),
                    "agrees": agrees,
                }
            )
    return pairs


def _half_width(arm: dict[str, Any]) -> float:
    interval = arm["box_ap50_ci95"]
    return (interval[1] - interval[0]) / 2 if interval else 0.0


def _arm_values(
    arm: Arm, options: AblationOptions, dev: InstanceSet, pictures: list[Picture], progress: Progress
) -> dict[str, Any]:
    values: dict[str, Any] = {"name": arm.name, "published_ap": arm.published_ap, "published": arm.published}
    measured = dict.fromkeys(("box_ap", "box_ap50", "box_ap50_ci95", "p_at_50", "error"))
    try:
        model = learn(arm, options, progress)
        measured |= _measure(model, options, dev, pictures)
    except VisionLLMError as error:
        logger.error("Arm %r: %s", arm.name, error)
        measured["error"] = str(error)
    return values | measured


def learn(arm: Arm, options: AblationOptions, progress: Progress) -> VisionLLM:
    """Train one arm from the common start; the model holds its averaged weights."""
    device = choose_device(options.runtime.device)
    set_threads(options.runtime)
    config = replace(options.model, **arm.model)
    data = DetectionData.for_model(config, options.annotations, options.images, options.referring, arm.randomness)
    torch.manual_seed(options.train.seed)
    model = OneByOneVisionLLM(config) if arm.one_by_one else VisionLLM(config)
    _begin(model, data, options)
    model.to(device)
    dtype = choose_dtype(options.runtime.dtype, device)
    for stage, steps in _schedule(arm, options.budget_steps):
        plan = start.fitting_shares(replace(options.train, stage=stage, steps=steps), data)
        folder = options.folder / _slug(arm.learnt_as or arm.name) / f"stage{stage}"
        settings = Settings(config, plan, {"randomness": arm.randomness})
        check_continues(folder, settings)
        trainer = Trainer(model, data, plan, folder, dtype)
        trainer.resume()
        settings.write(folder)
        if trainer.step < steps:
            trainer.run(progress(f"{arm.name}, stage {stage}", steps - trainer.step))
        for key, value in model.learned().items():
            value.data.copy_(trainer.average[key])
    return model


def _begin(model: VisionLLM, data: DetectionData, options: AblationOptions) -> None:
    """Fill from `init` what fits this arm: parts of another shape (bins, tokens, adapters) stay as they are made."""
    if options.init is None:
        start.from_detector(model, data)
        return
    start.from_folder(model, options.init, partly=True)


def _schedule(arm: Arm, budget: int) -> list[tuple[int, int]]:
    """(stage, steps) of an arm; all arms take the same number of steps."""
    return [(2, budget)] if arm.stages == 1 else [(1, budget // 2), (2, budget - budget // 2)]


def _measure(model: VisionLLM, options: AblationOptions, dev: InstanceSet, pictures: list[Picture]) -> dict[str, Any]:
    runtime = replace(options.runtime, score_threshold=0.0, max_detections=100)
    tasks = tuple(str(task) for task in (Task.DETECT, Task.GROUND, Task.POLYGON))
    engine = TorchEngine(model, Manifest(model.config, {}, tasks, {}), runtime)
    trial = Trial(engine, options.train.seed, quiet=True)
    report = seeing.detect(trial, dev, pictures, dev.categories)
    values = {key: report[key] for key in ("box_ap", "box_ap50", "box_ap50_ci95")}
    if options.dev_referring:
        expressions, _ = load_expressions(options.dev_referring, dev)
        values["p_at_50"] = seeing.ground(trial, dev, pictures, expressions)["p_at_50"]
    return values


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def markdown(report: dict[str, Any]) -> str:
    """The report as a Markdown table with the published numbers beside ours."""
    lines = [
        f"### {report['name']}",
        "",
        f"{report['budget_steps']} steps of {report['batch_size']} pictures, seed {report['seed']}, "
        f"{report['dev_pictures']} pictures for the evaluation. Published: COCO box AP after 50 epochs.",
        "",
        "| arm | published AP | our AP | our AP50 | AP50 95 % interval | P@0.5 |",
        "|---|---|---|---|---|---|",
    ]
    for arm in report["arms"]:
        published = arm["published"] or _cell(arm["published_ap"])
        if arm["error"]:
            lines.append(f"| {arm['name']} | {published} | failed: {arm['error']} | | | |")
            continue
        interval = arm["box_ap50_ci95"]
        shown = f"{interval[0]:.3f} .. {interval[1]:.3f}" if interval else "-"
        numbers = " | ".join(_cell(arm[key]) for key in ("box_ap", "box_ap50"))
        lines.append(f"| {arm['name']} | {published} | {numbers} | {shown} | {_cell(arm['p_at_50'])} |")
    if report["agreement"]:
        lines += ["", "| pair | better as published | our AP50 difference | agrees |", "|---|---|---|---|"]
    for pair in report["agreement"]:
        told = {True: "yes", False: "no", None: "too close to tell"}[pair["agrees"]]
        names = " / ".join(pair["arms"])
        lines.append(f"| {names} | {pair['published_better']} | {pair['our_difference_ap50']:+.3f} | {told} |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value > 1 else f"{value:.3f}"
