"""Trained weights on disk: one safetensors file a module, a manifest with checksums, a model card.

A weights folder holds the VisionLLM route; each further system lies in a folder inside it, in the same form.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vision_llm_ros.config import SYSTEMS, ModelConfig, from_mapping
from vision_llm_ros.errors import ConfigError, WeightsError

MANIFEST = "manifest.json"
_FORMAT = 1
_HASH_DIGITS = 12

C = TypeVar("C")


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Manifest(Generic[C]):
    """What a weights folder promises.

    Attributes:
        config: the network the weights belong to.
        files: file name to SHA-256.
        trained: tasks whose head is trained.
        notes: what they were trained on and how, in a few words.
    """

    config: C
    files: dict[str, str]
    trained: tuple[str, ...]
    notes: dict[str, Any]

    @property
    def short_hash(self) -> str:
        """First 12 hex digits of the SHA-256 over the files' hashes: names this set of weights."""
        joined = "".join(f"{name}:{self.files[name]};" for name in sorted(self.files))
        return hashlib.sha256(joined.encode()).hexdigest()[:_HASH_DIGITS]


def joint_hash(hashes: Iterable[str]) -> str:
    """One name for several sets of weights that serve together; a single one keeps its own."""
    names = list(hashes)
    return names[0] if len(names) == 1 else hashlib.sha256(";".join(names).encode()).hexdigest()[:_HASH_DIGITS]


def part_folders(folder: Path) -> dict[str, Path]:
    """The folders of further systems inside a weights folder, by name."""
    return {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{MANIFEST}"))}


def read_manifest(folder: Path, config_type: type[C]) -> Manifest[C]:
    """Read manifest.json of the system that `config_type` describes.

    Raises:
        WeightsError: missing, not readable, or another system's.
    """
    manifest = read_any_manifest(folder)
    if not isinstance(manifest.config, config_type):
        raise WeightsError(f"{folder} holds {type(manifest.config).__name__}, not {config_type.__name__}")
    return manifest


def read_any_manifest(folder: Path) -> Manifest[Any]:
    """Read manifest.json of whatever system.

    Raises:
        WeightsError: missing or not readable.
    """
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != _FORMAT:
            raise WeightsError(f"{path}: format {values['format']} is not {_FORMAT}; update the package or the weights")
        config_type = SYSTEMS[values.get("system", ModelConfig.__name__)]
        config: Any = from_mapping(config_type, values["config"], str(path))
        return Manifest(config, dict(values["files"]), tuple(values["trained"]), dict(values["notes"]))
    except FileNotFoundError as error:
        advice = "install the package again, or train: vision-llm train --help"
        raise WeightsError(f"No weights in {folder}: {MANIFEST} is missing; {advice}") from error
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise WeightsError(f"{path} is damaged ({error}); reinstall the package or restore the folder") from error


def verify(folder: Path) -> list[str]:
    """Check every file against the manifest; one sentence for each fault, none if all is well."""
    try:
        manifest = read_any_manifest(folder)
    except WeightsError as error:
        return [str(error)]
    faults = []
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{path} is missing")
        elif (found := file_hash(path)) != expected:
            faults.append(f"{path} is damaged: SHA-256 {found[:_HASH_DIGITS]}.. is not {expected[:_HASH_DIGITS]}..")
    return faults


def save(
    folder: Path, config: C, state: dict[str, Tensor], trained: Iterable[str], notes: dict[str, Any]
) -> Manifest[C]:
    """Write tensors named `module.rest`, one float16 file per module, and the manifest; other modules' files stay."""
    folder.mkdir(parents=True, exist_ok=True)
    modules: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        module, _, rest = key.partition(".")
        modules.setdefault(module, {})[rest] = value.detach().cpu().to(torch.float16).contiguous()
    for module, tensors in modules.items():
        path = folder / f"{module}.safetensors"
        save_file(tensors, path, metadata={"module": module})
        path.chmod(0o644)  # an installed package is read by others than its installer
    files = {path.name: file_hash(path) for path in sorted(folder.glob("*.safetensors"))}
    manifest = Manifest(config, files, tuple(sorted(set(trained))), notes)
    values = {
        "format": _FORMAT,
        "system": type(config).__name__,
        "config": dataclasses.asdict(config),  # type: ignore[call-overload]
        "files": files,
        "trained": list(manifest.trained),
        "notes": notes,
    }
    (folder / MANIFEST).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return manifest


def load(folder: Path, modules: Iterable[str]) -> dict[str, Tensor]:
    """Read modules as float32 tensors named `module.rest`.

    Raises:
        WeightsError: a file is missing, truncated or not safetensors.
    """
    state: dict[str, Tensor] = {}
    for module in modules:
        path = folder / f"{module}.safetensors"
        try:
            tensors = load_file(path)
        except FileNotFoundError as error:
            raise WeightsError(f"{path} is missing; reinstall, or name a folder of weights") from error
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path} is damaged ({error}); run: vision-llm weights verify") from error
        state |= {f"{module}.{key}": value.to(torch.float32) for key, value in tensors.items()}
    return state


def fill(target: dict[str, Tensor], source: dict[str, Tensor], where: str) -> None:
    """Copy tensors of the same names and shapes, all or none.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape.
    """
    odd = sorted(target.keys() ^ source.keys())
    if odd:
        raise WeightsError(f"{where}: tensors do not match this model, e.g. {', '.join(odd[:3])}")
    for key, value in target.items():
        if value.shape != source[key].shape:
            raise WeightsError(f"{where}: {key} has shape {list(source[key].shape)}, expected {list(value.shape)}")
    for key, value in target.items():
        value.data.copy_(source[key])
