"""One arm of an ablation: learn it in a fixed number of steps, measure it on fixed pictures."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vision_llm_ros.config import AblationConfig, ModelConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.evaluation import seeing
from vision_llm_ros.evaluation.arms import Arm
from vision_llm_ros.evaluation.detection import Finding, box_metrics, resampled_ap
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.model import weights
from vision_llm_ros.model.autoregressive import OneByOneVisionLLM
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.hardware import choose_device, choose_dtype, set_threads
from vision_llm_ros.training import start
from vision_llm_ros.training.data import DetectionData
from vision_llm_ros.training.datasets import InstanceSet, load_expressions, load_instances, narrow
from vision_llm_ros.training.detect import Trainer
from vision_llm_ros.training.run_folder import Settings, check_continues

logger = logging.getLogger(__name__)

Progress = Callable[[str, int], Callable[[int, dict[str, float]], None]]
_IMPORTED = ("backbone.", "tokenizer.dense.", "tokenizer.scorer.")
_FIRST_STAGE_SHARE = 0.25


@dataclass(frozen=True)
class AblationOptions:
    """What is compared, on what.

    Attributes:
        folder: where the runs are kept; an arm with a finished run is not learnt again.
        budget_steps: optimizer steps of every arm, over all its stages.
        start: weights folder whose imported parts (pyramid, dense branch, phrase scorer) all arms have.
        whole: arms start from everything in `start` that fits, not from the imported parts alone.
        classes: as `datasets.choose_classes`; pictures, limit: at most so many to learn from, to measure on (0: all).
    """

    annotations: Path
    images: Path
    dev_annotations: Path
    dev_images: Path
    folder: Path
    budget_steps: int
    start: Path
    whole: bool = False
    classes: str = ""
    pictures: int = 0
    limit: int = 0
    referring: tuple[Path, ...] = ()
    dev_referring: Path | None = None
    model: ModelConfig = field(default_factory=ModelConfig)
    train: AblationConfig = field(default_factory=AblationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        if self.budget_steps < 2:
            raise ConfigError(f"--budget-steps: expected at least 2, one for each stage, got {self.budget_steps}")


@dataclass
class Ground:
    """What all arms share: pictures, and the frozen pyramid's maps of those seen so far, in half precision."""

    options: AblationOptions
    train: InstanceSet
    dev: InstanceSet
    maps: dict[bytes, list[Tensor]] = field(default_factory=dict)

    @classmethod
    def prepare(cls, options: AblationOptions) -> Ground:
        """Raises `InputError` or `ConfigError` where the annotations or the choice of classes are faulty."""
        seed = options.train.seed
        train = load_instances(options.annotations, options.images)
        dev = load_instances(options.dev_annotations, options.dev_images)
        return cls(
            options,
            narrow(train, options.classes, options.pictures, seed),
            narrow(dev, options.classes, options.limit, seed),
        )

    def remember(self, backbone: torch.nn.Module) -> None:
        """Let a pyramid compute each picture once; all arms have the same pyramid."""
        compute = backbone.forward

        def forward(images_rgb_u8: Tensor) -> list[Tensor]:
            rows = [self._maps(compute, image) for image in images_rgb_u8]
            device = images_rgb_u8.device
            return [torch.cat(level).to(device).float() for level in zip(*rows, strict=True)]

        backbone.forward = forward

    def _maps(self, compute: Callable[[Tensor], list[Tensor]], image: Tensor) -> list[Tensor]:
        key = hashlib.blake2b(image.cpu().numpy().tobytes(), digest_size=16).digest()
        if key not in self.maps:
            with torch.no_grad():
                self.maps[key] = [level.half().cpu() for level in compute(image.unsqueeze(0))]
        return self.maps[key]


def learn(arm: Arm, ground: Ground, progress: Progress) -> VisionLLM:
    """Train one arm from the common start; the model holds its averaged weights."""
    options = ground.options
    device = choose_device(options.runtime.device)
    set_threads(options.runtime)
    config = replace(options.model, **arm.model)
    data = DetectionData.for_model(config, ground.train, options.images, options.referring, arm.randomness, False)
    torch.manual_seed(options.train.seed)
    model = OneByOneVisionLLM(config) if arm.one_by_one else VisionLLM(config)
    _begin(model, options)
    model.to(device)
    ground.remember(model.backbone)
    dtype = choose_dtype(options.runtime.dtype, device)
    for stage, steps in _schedule(arm, options.budget_steps):
        plan = start.fitting_shares(replace(options.train, stage=stage, steps=steps), data)
        folder = options.folder / arm.learnt_as(options.model) / f"stage{stage}"
        about = {"randomness": arm.randomness, "classes": options.classes, "pictures": len(data.pictures)}
        settings = Settings(config, plan, about)
        check_continues(folder, settings)
        trainer = Trainer(model, data, plan, folder, dtype)
        trainer.resume()
        settings.write(folder)
        if trainer.step < steps:
            trainer.run(progress(f"{arm.name}, stage {stage}", steps - trainer.step))
        for key, value in model.learned().items():
            value.data.copy_(trainer.average[key])
    return model


def _begin(model: VisionLLM, options: AblationOptions) -> None:
    """Fill from the start what is imported, or all that fits the arm; the rest stays as it is made."""
    if options.whole:
        start.from_folder(model, options.start, partly=True)
        return
    own = {key: value for key, value in model.learned().items() if key.startswith(_IMPORTED)}
    stored = weights.load(options.start, sorted({key.partition(".")[0] for key in own}))
    weights.fill(own, {key: stored[key] for key in own if key in stored}, str(options.start))


def _schedule(arm: Arm, budget: int) -> list[tuple[int, int]]:
    """(stage, steps) of an arm; all arms take the same number of steps."""
    first = max(1, int(budget * _FIRST_STAGE_SHARE))
    return [(2, budget)] if arm.stages == 1 else [(1, first), (2, budget - first)]


def measure(model: VisionLLM, ground: Ground) -> dict[str, Any]:
    """box_ap, box_ap50, box_ap50_ci95, ap_resampled (see `detection.resampled_ap`) and, with sentences, p_at_50."""
    options, dev = ground.options, ground.dev
    runtime = replace(options.runtime, score_threshold=0.0, max_detections=100)
    tasks = tuple(str(task) for task in (Task.DETECT, Task.GROUND, Task.POLYGON))
    engine = TorchEngine(model.eval(), weights.Manifest(model.config, {}, tasks, {}), runtime)
    trial = Trial(engine, options.train.seed, quiet=True)
    spec = TaskSpec(Task.DETECT, tuple(dev.categories.values()))
    found: list[Finding] = []
    for picture, image in trial.read(dev.pictures, "detect"):
        (answer,) = trial.ask(str(picture.path), image, (spec,))
        found += seeing.findings(trial, picture, answer, dev.categories)
    trial.finish()
    judged = (dev.pictures, dev.instances, found, dev.categories, options.train.seed)
    report = box_metrics(*judged)
    values = {key: report[key] for key in ("box_ap", "box_ap50", "box_ap50_ci95")}
    values["ap_resampled"] = [round(value, 5) for value in resampled_ap(*judged)]
    if options.dev_referring:
        expressions, _ = load_expressions(options.dev_referring, dev)
        values["p_at_50"] = seeing.ground(trial, dev, dev.pictures, expressions)["p_at_50"]
    return values
