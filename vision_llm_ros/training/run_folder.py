"""A training run on disk: RUN/stage1 and RUN/stage2, each with checkpoint.pt, log.csv, losses.png and settings.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_llm_ros.config import LoopConfig, ModelConfig, TrainConfig, from_mapping
from vision_llm_ros.errors import ConfigError, WeightsError
from vision_llm_ros.model import weights
from vision_llm_ros.training.data import DetectionData
from vision_llm_ros.training.loop import CHECKPOINT
from vision_llm_ros.training.start import read_checkpoint

SETTINGS = "settings.json"
_HASH_DIGITS = 12
_PARTS = ("network", "train", "about")
# may change from call to call without making another run of it
_FREE = {"save_every"}


@dataclass(frozen=True)
class Settings:
    """What a stage is learnt from and how, as kept in settings.json."""

    model: ModelConfig
    train: TrainConfig
    about: dict[str, Any]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        (folder / SETTINGS).write_text(text, encoding="utf-8")


def read_settings(folder: Path) -> Settings | None:
    """The settings of a stage's folder; None where it has none.

    Raises:
        ConfigError: the file is damaged.
    """
    path = folder / SETTINGS
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        model = from_mapping(ModelConfig, values["model"], str(path))
        return Settings(model, from_mapping(TrainConfig, values["train"], str(path)), dict(values["about"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged ({error!r}); restore it, or train into another folder") from error


def run_system(folder: Path) -> str:
    """Which further system a run is of, as its settings.json says; "" for the VisionLLM route or a bare checkpoint."""
    try:
        return str(json.loads((folder / SETTINGS).read_text(encoding="utf-8")).get("system", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def stage_folder(run: Path, stage: int) -> Path:
    return run / f"stage{stage}"


def has_checkpoint(run: Path, stage: int) -> bool:
    return (stage_folder(run, stage) / CHECKPOINT).is_file()


def check_continues(folder: Path, wanted: Settings) -> None:
    """Compare with the settings the checkpoint was made under.

    Raises:
        ConfigError: one differs; a resumed run would not be what either of the two asked for.
    """
    known = read_settings(folder)
    if known is None:
        return
    for part in ("model", "train"):
        before, now = (dataclasses.asdict(getattr(each, part)) for each in (known, wanted))
        check_alike(folder, before, now)


def check_alike(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compare settings of a run with those it is to go on with; a setting that only one of them knows does not count.

    Raises:
        ConfigError: one differs.
    """
    for key in sorted((before.keys() & now.keys()) - _FREE):
        if before[key] != now[key]:
            raise ConfigError(
                f"{folder} was started with {key}={before[key]}, not {now[key]}: resume with the former, "
                "or train into another --out"
            )


def keep_settings(folder: Path, system: str, config: Any, train: LoopConfig, about: dict[str, Any]) -> None:
    """Keep in settings.json what a run is learnt from and how; a resumed run must be started alike.

    Raises:
        ConfigError: the folder holds a run with other settings.
    """
    network, learning = dataclasses.asdict(config), dataclasses.asdict(train)
    values = json.loads(json.dumps({"system": system, "network": network, "train": learning, "about": about}))
    path = folder / SETTINGS
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        for part in ("network", "train"):
            check_alike(folder, known[part], values[part])
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def kept_settings(run: Path, systems: Iterable[str] = (), parts: Iterable[str] = _PARTS) -> dict[str, Any]:
    """What settings.json of a run holds.

    Args:
        systems: which of them the run may be of; any, if empty.
        parts: what it must hold.
    Raises:
        ConfigError: it is missing or damaged, or the run is of another system.
    """
    path, allowed = run / SETTINGS, tuple(systems)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if allowed and values["system"] not in allowed:
            raise ConfigError(f"{run} is a run of {values['system']!r}, expected one of {', '.join(allowed)}")
        return {**values, **{key: dict(values[key]) for key in parts}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is missing or damaged ({error!r}); name the folder of a run") from error


def data_facts(data: DetectionData, annotations: Path, referring: list[Path]) -> dict[str, Any]:
    """What the data are, for the notes that go with the weights."""
    files = [annotations, *referring]
    return {
        "files": {path.name: weights.file_hash(path)[:_HASH_DIGITS] for path in files},
        "pictures": len(data.pictures),
        "objects": len(data.dataset.instances),
        "classes": len(data.names),
        "expressions": data.expressions,
        "pictures_with_outlines": data.outlined,
    }


def export(source: Path, out: Path, config: ModelConfig | None = None, text: str = "") -> weights.Manifest[ModelConfig]:
    """Write the averaged weights of a run's second stage as a weights folder.

    Args:
        source: run folder, stage folder or checkpoint file.
        config: of the network, for a checkpoint without settings beside it.
        text: anything to be kept in the notes.
    Raises:
        WeightsError: no checkpoint, or the language model is not trained yet.
    """
    saved = read_checkpoint(source)
    if saved["stage"] != 2:
        raise WeightsError(f"{source} has only learnt stage {saved['stage']}; train --stage 2 before the export")
    settings, first = _settings_of(source, 2), _settings_of(source, 1)
    if settings is None and config is None:
        raise WeightsError(f"{source} has no {SETTINGS}; name the preset it was trained with: --preset nano")
    about = settings.about if settings else {}
    steps = {"stage1": first.train.steps} if first else {}
    notes = {**about, "steps": {**steps, "stage2": saved["step"]}, **({"text": text} if text else {})}
    if settings:
        notes["seed"] = settings.train.seed
    chosen = settings.model if settings else config
    assert chosen is not None
    return weights.save(out, chosen, saved["average"], _trained(settings), notes)


def _settings_of(source: Path, stage: int) -> Settings | None:
    places = (stage_folder(source, stage), source if stage == 2 else source.parent / "stage1", source.parent)
    return next((found for place in places if (found := read_settings(place)) and found.train.stage == stage), None)


def _trained(settings: Settings | None) -> tuple[str, ...]:
    """Tasks that had a share of the second stage."""
    if settings is None:
        return ("detect", "ground", "polygon")
    shares = {"ground": settings.train.ground_share, "polygon": settings.train.polygon_share}
    return ("detect", *(task for task, share in shares.items() if share > 0))
