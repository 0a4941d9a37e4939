"""What the untouched language model does for restoration, beside what replaces it: arms at one budget.

Source: LM4LV, section "Ablations". Every arm learns one task from the same tiles; all are measured on the same tiles
of photographs that no arm has seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vision_llm_ros.config import RestoreConfig, RestoreTrainConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.evaluation.arms import RESTORE_ARMS
from vision_llm_ros.evaluation.detection import percentiles
from vision_llm_ros.evaluation.trial import machine_values
from vision_llm_ros.model.autoencoder import VisualModule
from vision_llm_ros.model.detail import KINDS
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.restoration import TASKS, LanguageRestorer
from vision_llm_ros.training.loop import Loop
from vision_llm_ros.training.restore_data import Damaged, Photographs, psnr
from vision_llm_ros.training.restore_experts import Expert, ExpertLoop, MLPExpert, TransformerExpert
from vision_llm_ros.training.restore_language import LanguageLoop, drawn

logger = logging.getLogger(__name__)

_DRAWS = 2000
Answer = Callable[[Tensor, Tensor], Tensor]
Progress = Callable[[str, int], Callable[[int, dict[str, float]], None]]


@dataclass(frozen=True)
class Ground:
    """What all arms share.

    Attributes:
        network: `llm_layers` and sizes; the arms set `aligned`.
        train: steps, batch size, learning rate of the language arms and seed.
        expert_rate: learning rate of the arms without a language model.
        start_tiles: what a layer out is solved on before it learns.
        load_llm: gives a fresh language model of `network.llm_layers`.
    """

    network: RestoreConfig
    train: RestoreTrainConfig
    visual: VisualModule
    learnt: Photographs
    held_out: Photographs
    load_llm: Callable[[], LanguageModel]
    folder: Path
    device: torch.device
    expert_rate: float = 5e-4
    start_tiles: int = 256
    tiles: int = 64


def compare(ground: Ground, tasks: tuple[str, ...], arms: tuple[str, ...], progress: Progress) -> dict[str, Any]:
    """Learn and measure arms for some tasks.

    Returns:
        tasks [{task, ceiling_psnr, arms [{name, psnr, gain, gain_ci95, parameters}]}]; PSNR in dB, means over pictures;
        `gain` over the reconstruction, with the interval of a paired bootstrap.
    Raises:
        ConfigError: an unknown task or arm.
    """
    for name, known in (*((task, TASKS) for task in tasks), *((arm, tuple(RESTORE_ARMS)) for arm in arms)):
        if name not in known:
            raise ConfigError(f"Expected some of {', '.join(known)}, got {name!r}")
    found = [_measured(ground, task, tasks, arms, progress) for task in tasks]
    train = ground.train
    shared = {"steps": train.steps, "batch_size": train.batch_size, "seed": train.seed, "tiles": ground.tiles}
    return {**shared, "llm_layers": ground.network.llm_layers, "tasks": found, "machine": machine_values()}


def _measured(
    ground: Ground, task: str, tasks: tuple[str, ...], arms: tuple[str, ...], progress: Progress
) -> dict[str, Any]:
    exam = drawn(ground.held_out, ground.tiles, ground.network, (task,), (ground.train.seed, 17, TASKS.index(task)))
    exam = exam.harmed() if task in KINDS else exam
    damaged, clean = _encode(ground, exam.damaged), _encode(ground, exam.clean)
    base, strengths = _psnr(ground, damaged, exam), exam.strength.to(ground.device)
    rows = []
    for arm in arms:
        learnt = tasks if arm.endswith("joint") else (task,)
        answer, parameters = _learn(ground, task, learnt, arm, progress)
        with torch.no_grad():
            values = base if arm == "reconstruction" else _psnr(ground, answer(damaged, strengths), exam)
        rows.append({"name": arm, "psnr": _mean(values), **_gain(values - base), "parameters": parameters})
        logger.info("%s %s: %.2f dB", task, arm, rows[-1]["psnr"])
    return {"task": task, "ceiling_psnr": _mean(_psnr(ground, clean, exam)), "arms": rows}


def _learn(ground: Ground, task: str, learnt: tuple[str, ...], arm: str, progress: Progress) -> tuple[Answer, int]:
    """What an arm makes of a task after learning some, and its number of parameters."""
    if arm == "reconstruction":
        return lambda damaged, strengths: damaged, 0
    torch.manual_seed(ground.train.seed)
    ground = replace(ground, network=replace(ground.network, tasks=",".join(learnt)))
    train, folder = ground.train, ground.folder / "+".join(learnt) / arm
    if arm in ("linear", "mlp", "transformer"):
        expert = _expert(ground, arm)
        train = replace(train, learning_rate=ground.expert_rate)
        exercise = ExpertLoop(expert, ground.visual, ground.learnt, ground.network, train, folder, ground.device)
        _run(exercise, progress, lambda: exercise.start(ground.start_tiles, ground.train.seed))
        return expert.eval(), _count(expert)
    network = replace(ground.network, aligned=arm.startswith("aligned"))
    llm = ground.load_llm()
    if arm.endswith("random"):
        _scramble(llm, ground.train.seed)
    module, at_once = LanguageRestorer(network, llm.width), arm.endswith("at-once")
    loop = LanguageLoop(module, llm, ground.visual, ground.learnt, network, train, folder, ground.device, at_once)
    _run(loop, progress, lambda: loop.start(ground.start_tiles, ground.train.seed))
    place = module.place(task)

    def answer(damaged: Tensor, strengths: Tensor) -> Tensor:
        tasks = torch.full((len(damaged),), place, device=damaged.device)
        if at_once:
            return module.at_once(llm, damaged, tasks, strengths).features
        return module.generate(llm, damaged, tasks, strengths)

    return answer, _count(module)


def _expert(ground: Ground, arm: str) -> Expert:
    width, llm_width = ground.network.width, ground.load_llm().width
    size = 2 * width * llm_width + width + llm_width + ground.network.task_tokens * llm_width
    if arm == "mlp":
        return MLPExpert(width, size)
    return TransformerExpert(width, size, ground.network.num_heads) if arm == "transformer" else Expert(width)


def _run(loop: Loop[Damaged], progress: Progress, start: Callable[[], None] = lambda: None) -> None:
    """Learn to the last step, from the checkpoint if there is one, and take the averaged weights."""
    if not loop.resume():
        start()
    if remaining := loop.config.steps - loop.step:
        loop.run(progress(loop.folder.name, remaining))
    for key, tensor in loop.learned().items():
        tensor.data.copy_(loop.average[key])


def _scramble(llm: LanguageModel, seed: int) -> None:
    """Random matrices of the same size in every layer; embeddings and norms stay."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in llm.base.layers.parameters():
        if parameter.dim() > 1:
            values = torch.randn(parameter.shape, generator=generator) * float(parameter.std())
            parameter.data.copy_(values)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _encode(ground: Ground, tiles: Tensor) -> Tensor:
    with torch.no_grad():
        return ground.visual.encode(tiles.to(ground.device))


def _psnr(ground: Ground, features: Tensor, exam: Damaged) -> Tensor:
    """dB, of the tiles of each picture together."""
    with torch.no_grad():
        return psnr(ground.visual.decode(features).cpu(), exam.clean, exam.together)


def _mean(values: Tensor) -> float:
    return round(float(values.mean()), 3)


def _gain(differences: Tensor) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    values = differences.numpy()
    means = values[rng.integers(0, len(values), (_DRAWS, len(values)))].mean(1)
    interval = [round(edge, 3) for edge in percentiles(means.tolist())]
    return {"gain": round(float(values.mean()), 3), "gain_ci95": interval}


def markdown(report: dict[str, Any]) -> str:
    """A table a task."""
    lines = [
        f"{report['steps']} steps of {report['batch_size']} tiles, seed {report['seed']}, "
        f"{report['llm_layers'] or 'all'} layers of the language model; PSNR, dB, over {report['tiles']} tiles "
        "of other photographs."
    ]
    for group in report["tasks"]:
        lines += ["", f"### {group['task']} (clean tiles, encoded and decoded: {group['ceiling_psnr']:.2f} dB)", ""]
        lines += ["| arm | parameters | PSNR | above MAE-r (95 % interval) |", "|---|---|---|---|"]
        for arm in group["arms"]:
            low, high = arm["gain_ci95"]
            gain = f"{arm['gain']:+.2f} ({low:+.2f} .. {high:+.2f})"
            lines.append(f"| {arm['name']} | {arm['parameters']:,} | {arm['psnr']:.2f} | {gain} |")
    return "\n".join(lines) + "\n"
