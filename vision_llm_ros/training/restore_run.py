"""A restoration run on disk: RUN/settings.json, and a folder a stage with its checkpoint, log and curves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vision_llm_ros.config import RestoreConfig, RestoreTrainConfig, from_mapping
from vision_llm_ros.errors import WeightsError
from vision_llm_ros.model import weights
from vision_llm_ros.model.restorer import Restorer
from vision_llm_ros.training.loop import CHECKPOINT
from vision_llm_ros.training.run_folder import SETTINGS, check_alike, kept_settings
from vision_llm_ros.training.start import read_checkpoint

SYSTEM = "restore"
READOUT, BLEND = "readout", "blend"
# what a stage needs to have been learnt before it
NEEDS: dict[str, tuple[str, ...]] = {
    "masked": (),
    "autoencoder": (),
    "detail": (),
    "estimator": (),
    "language": ("autoencoder",),
    READOUT: ("autoencoder", "language"),
    BLEND: ("autoencoder", "detail", "language"),
}
_SERVED_WITHOUT = {"masked", "language", READOUT, BLEND}  # stages that an export can do without


def write_settings(run: Path, config: RestoreConfig, train: RestoreTrainConfig, about: dict[str, Any]) -> None:
    """Keep what a stage is learnt from and how; a resumed stage must be started alike.

    Raises:
        ConfigError: the run has another network, or the stage other settings.
    """
    known = _settings(run) if (run / SETTINGS).is_file() else {"system": SYSTEM, "network": None, "stages": {}}
    now = json.loads(json.dumps({"network": dataclasses.asdict(config), "stage": dataclasses.asdict(train)}))
    check_alike(run, known["network"] or {}, now["network"])
    check_alike(run, known["stages"].get(train.stage, {}), now["stage"])
    known["network"], known["stages"][train.stage] = now["network"], now["stage"]
    run.mkdir(parents=True, exist_ok=True)
    (run / SETTINGS).write_text(json.dumps({**known, "about": about}, indent=2) + "\n", encoding="utf-8")


def read_network(run: Path) -> RestoreConfig:
    """The network of a run.

    Raises:
        ConfigError: no run, or its settings are damaged.
    """
    return from_mapping(RestoreConfig, _settings(run)["network"], str(run / SETTINGS))


def learnt(run: Path) -> dict[str, Tensor]:
    """The averaged tensors of every stage so far, by their names in `Restorer.learned`."""
    found: dict[str, Tensor] = {}
    for stage in NEEDS:
        if (run / stage / CHECKPOINT).is_file():
            found |= read_checkpoint(run / stage)["average"]
    return found


def fill(restorer: Restorer, run: Path) -> Restorer:
    """Give a network what a run has learnt so far.

    Raises:
        WeightsError: a checkpoint is damaged or of another form.
    """
    own = restorer.learned()
    known = {key: value for key, value in learnt(run).items() if key in own}
    weights.fill({key: own[key] for key in known}, known, str(run))
    return restorer


def require(run: Path, stage: str) -> None:
    """Raise `WeightsError` where an earlier stage that this one builds on is missing."""
    for earlier in NEEDS[stage]:
        if not (run / earlier / CHECKPOINT).is_file():
            raise WeightsError(f"Stage {stage} builds on stage {earlier}, which {run} does not hold; learn that first")


def save_solved(run: Path, stage: str, tensors: dict[str, Tensor]) -> None:
    """Keep as a stage of the run what is solved rather than learnt: `READOUT` or `BLEND` (see `fit_blend`)."""
    (run / stage).mkdir(parents=True, exist_ok=True)
    torch.save({"stage": stage, "step": 0, "average": tensors}, run / stage / CHECKPOINT)


def export(run: Path, out: Path, text: str = "") -> weights.Manifest[RestoreConfig]:
    """Write the averaged weights of a run as the part `restore` of a weights folder.

    Raises:
        ConfigError: no run.
        WeightsError: a stage is missing.
    """
    values = _settings(run)
    missing = [stage for stage in NEEDS if stage not in _SERVED_WITHOUT and not (run / stage / CHECKPOINT).is_file()]
    if missing:
        raise WeightsError(f"{run} has not learnt {', '.join(missing)}; train these stages before the export")
    config = from_mapping(RestoreConfig, values["network"], str(run / SETTINGS))
    tensors = learnt(run)
    steps = {stage: train["steps"] for stage, train in values["stages"].items()}
    notes = {**values["about"], "steps": steps, **({"text": text} if text else {})}
    return weights.save(out, config, tensors, ("restore",), notes)


def _settings(run: Path) -> dict[str, Any]:
    return kept_settings(run, (SYSTEM,), ("network", "stages", "about"))
