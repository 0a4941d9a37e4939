"""Runs of the four stages of the Q-Former on disk: settings, start from an earlier stage, export."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from vision_llm_ros.config import QFormerConfig, from_mapping
from vision_llm_ros.errors import WeightsError
from vision_llm_ros.interfaces import Task
from vision_llm_ros.model import weights
from vision_llm_ros.model.blip import Blip, fill
from vision_llm_ros.training.calibrate import calibrated
from vision_llm_ros.training.loop import CHECKPOINT
from vision_llm_ros.training.run_folder import SETTINGS, kept_settings
from vision_llm_ros.training.start import read_checkpoint

# what a run of a stage can do when it is over
TASKS = {
    "align": (Task.MATCH,),
    "match": (Task.MATCH,),
    "caption": (Task.MATCH, Task.CAPTION),
    "instruct": (Task.MATCH, Task.CAPTION, Task.ANSWER),
}


def read_settings(run: Path) -> dict[str, Any]:
    """The settings of a run; "network" as `QFormerConfig`.

    Raises:
        ConfigError: they are missing or damaged, or of another system.
    """
    values = kept_settings(run, TASKS)
    return values | {"network": from_mapping(QFormerConfig, values["network"], str(run / SETTINGS))}


def config_of(source: Path) -> QFormerConfig:
    """The network of a run or of a weights folder, with what was calibrated after it."""
    if (source / weights.MANIFEST).is_file():
        return weights.read_manifest(source, QFormerConfig).config
    network: QFormerConfig = read_settings(source)["network"]
    return dataclasses.replace(network, **calibrated(source))


def start_from(blip: Blip, source: Path) -> None:
    """Fill the network from a weights folder or from the averaged weights of an earlier run.

    The soft prompt's queries start as stage 1's where only that has been learnt.

    Raises:
        WeightsError: there is neither, it is damaged, or it belongs to another network.
    """
    if (source / weights.MANIFEST).is_file():
        fill(blip, source)
        only_aligned = set(weights.read_manifest(source, QFormerConfig).trained) == set(TASKS["align"])
    else:
        own = blip.state_dict()
        stored = read_checkpoint(source)["average"]
        weights.fill(own, {key: value for key, value in stored.items() if not key.startswith("speaker.")}, str(source))
        only_aligned = read_settings(source)["system"] == "align"
    if only_aligned:
        blip.teller.queries.data.copy_(blip.qformer.queries)


def amend(run: Path, blip: Blip) -> None:
    """Put what was fitted after a run into its averaged weights."""
    path = run / CHECKPOINT
    saved = torch.load(path, map_location="cpu", weights_only=True)
    saved["average"] |= {key: value.detach().cpu() for key, value in blip.state_dict().items()}
    torch.save(saved, path)


def export(source: Path, out: Path, text: str = "") -> weights.Manifest[QFormerConfig]:
    """Write the averaged weights of a run as the part `qformer` of a weights folder.

    Raises:
        WeightsError: no checkpoint, or it is damaged.
        ConfigError: the run has no settings.json.
    """
    settings = read_settings(source)
    saved = read_checkpoint(source)
    if "average" not in saved:
        raise WeightsError(f"{source} holds no averaged weights; train again")
    train = settings["train"]
    notes = {**settings["about"], "steps": saved["step"], "batch_size": train["batch_size"], "seed": train["seed"]}
    tasks = map(str, TASKS[settings["system"]])
    state = {key: value for key, value in saved["average"].items() if not key.startswith("writer.")}
    return weights.save(out, config_of(source), state, tasks, notes | ({"text": text} if text else {}))
