"""A run of `train refer` on disk: settings, start from an earlier run, export."""

from __future__ import annotations

from pathlib import Path

from vision_llm_ros.config import MaskConfig, from_mapping
from vision_llm_ros.errors import WeightsError
from vision_llm_ros.interfaces import Task
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.pixel_lm import PixelLM
from vision_llm_ros.training import uses
from vision_llm_ros.training.run_folder import SETTINGS, kept_settings
from vision_llm_ros.training.start import read_checkpoint

SYSTEM = "refer"


def config_of(source: Path) -> MaskConfig:
    """The network of a run or of a weights folder.

    Raises:
        ConfigError, WeightsError: it is neither, or damaged.
    """
    if (source / weights.MANIFEST).is_file():
        return weights.read_manifest(source, MaskConfig).config
    return from_mapping(MaskConfig, kept_settings(source, (SYSTEM,))["network"], str(source / SETTINGS))


def start(network: PixelLM, shared: VisionLLM, source: Path | None) -> None:
    """Begin with an earlier run's averaged weights, with a weights folder, or (None) with what the shared parts know.

    Raises:
        WeightsError: nothing is there, it is damaged, or it belongs to another network.
    """
    if source is None:
        network.start(shared.llm, shared.tokenizer.scorer)
        uses.fit(network.knowledge, shared.llm, shared.text_encoder)
        return
    own = network.learned(shared.llm)
    if (source / weights.MANIFEST).is_file():
        stored = weights.load(source, sorted({key.partition(".")[0] for key in own}))
    else:
        stored = read_checkpoint(source)["average"]
    weights.fill(own, stored, str(source))


def export(source: Path, out: Path, text: str = "") -> weights.Manifest[MaskConfig]:
    """Write the averaged weights of a run's second stage as the part `mask` of a weights folder.

    Args:
        text: kept in the notes.
    Raises:
        WeightsError: no checkpoint, it is damaged, or masks are not learnt yet.
        ConfigError: the run has no settings.json.
    """
    saved, values = read_checkpoint(source), kept_settings(source, (SYSTEM,))
    if saved["stage"] != 2:
        raise WeightsError(f"{source} has only learnt stage {saved['stage']}; train --stage 2 before the export")
    train = values["train"]
    notes = {**values["about"], "steps": saved["step"], "batch_size": train["batch_size"], "seed": train["seed"]}
    return weights.save(
        out, config_of(source), saved["average"], [str(Task.SEGMENT)], notes | ({"text": text} if text else {})
    )
