"""The torch engine: one model in memory, frames and task specs in, validated perceptions out."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from vision_llm_ros.config import ModelConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError, EngineError, UnsupportedTaskError, VisionLLMError, WeightsError
from vision_llm_ros.interfaces import Engine, Frame, Perception, Task, TaskSpec
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.precision import arithmetic
from vision_llm_ros.model.set_decoder import ADAPTER
from vision_llm_ros.resources import load_preset, weights_path
from vision_llm_ros.runtime.backends import with_backends
from vision_llm_ros.runtime.counting_off import counted_off
from vision_llm_ros.runtime.edit_route import EditRoute
from vision_llm_ros.runtime.hardware import choose_device, choose_dtype, set_threads
from vision_llm_ros.runtime.naming_route import PART as NAMES
from vision_llm_ros.runtime.naming_route import Namer, NamingRoute
from vision_llm_ros.runtime.regions import within
from vision_llm_ros.runtime.restore_route import RestoreRoute
from vision_llm_ros.runtime.restored_first import on_restored
from vision_llm_ros.runtime.router import PART as ROUTER
from vision_llm_ros.runtime.router import load_router
from vision_llm_ros.runtime.routes import Route, Stopwatch, View
from vision_llm_ros.runtime.set_route import SetRoute
from vision_llm_ros.runtime.video_route import VideoRoute

logger = logging.getLogger(__name__)

# where pretrained parts lie and how they are held; the weights fit all the same
_PLACES = (
    *("backbone_source", "backbone_revision", "text_encoder", "text_revision"),
    *("llm", "llm_revision", "llm_quantization"),
)
# Further systems: name of their folder inside the weights folder, and the function that makes their route of
# (folder, the VisionLLM in memory, RuntimeConfig).
_FURTHER: dict[str, str] = {
    "text": "vision_llm_ros.runtime.decoder_text_route:load_route",
    "qformer": "vision_llm_ros.runtime.text_route:load_route",
    "restore": "vision_llm_ros.runtime.restore_route:load_route",
    "mask": "vision_llm_ros.runtime.mask_route:load_route",
}
# The parts that write text, by their name in `RuntimeConfig.text_route`.
_WRITERS = {"qformer": "qformer", "decoder": "text"}


class TorchEngine:
    """Fulfils `interfaces.Engine` with the nano or base network."""

    def __init__(
        self,
        model: VisionLLM,
        manifest: weights.Manifest[ModelConfig],
        runtime: RuntimeConfig,
        further: Sequence[Route] = (),
        router: Path | None = None,
        namer: Path | None = None,
    ) -> None:
        """Put the model on its device.

        Args:
            further: routes beside the VisionLLM's own; a task that two serve is the later one's.
            router: weights of the language model that reads what the grammar does not know.
            namer: weights of the region token, which names what is marked.
        """
        self.config, self.runtime = model.config, runtime
        self._device = choose_device(runtime.device)
        self._dtype = choose_dtype(runtime.dtype, self._device)
        self.threads = set_threads(runtime)
        self.model = model.to(self._device).eval()
        model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.no_grad():
            model.llm.merge(ADAPTER)
        self.router = load_router(router, model.llm, model.text_encoder, runtime) if router else None
        trained = frozenset(Task(name) for name in manifest.trained)
        self.sets = SetRoute(model, trained, manifest.short_hash, runtime)
        segments = any(Task.SEGMENT in route.tasks for route in further)
        self.video = VideoRoute(self.sets, runtime, segments)
        routes: tuple[Route, ...] = (self.sets, self.video, *further)
        self._routes: dict[Task, Route] = {task: route for route in routes for task in route.tasks}
        if isinstance(restoring := self._routes.get(Task.RESTORE), RestoreRoute):
            self._routes[Task.RESTORE] = EditRoute(restoring, frozenset(self._routes))
        hashed: tuple[Route, ...] = (self.sets, *further)
        telling: dict[Task, Route] = {
            task: self._routes[task] for task in (Task.CAPTION, Task.ANSWER) if task in self._routes
        }
        if namer and telling:
            naming = NamingRoute(Namer(namer, model), telling)
            self._routes |= dict.fromkeys(telling, naming)
            hashed += (naming,)
        self._hash = weights.joint_hash(route.weights_hash for route in hashed)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def weights_hash(self) -> str:
        return self._hash

    @property
    def device(self) -> str:
        return str(self._device)

    @property
    def dtype(self) -> str:
        return str(self._dtype).removeprefix("torch.")

    @property
    def tasks(self) -> frozenset[Task]:
        return frozenset(self._routes)

    def route(self, task: Task) -> Route | None:
        """What serves a task; None where nothing does."""
        return self._routes.get(task)

    def warm_up(self) -> None:
        """Run the whole path twice on a grey picture, masks too where served, text where the settings say so."""
        frame = Frame(np.full((480, 640, 3), 128, np.uint8))
        specs: tuple[TaskSpec, ...] = (TaskSpec(Task.DETECT, ("person",)),)
        if Task.SEGMENT in self.tasks:
            specs += (TaskSpec(Task.SEGMENT, ("person",), "the person"),)
        if self.runtime.warm_text and Task.CAPTION in self.tasks:
            specs += (TaskSpec(Task.CAPTION),)
        for _ in range(2):
            self.perceive(frame, specs)

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        """See `interfaces.Engine.perceive`."""
        for spec in specs:
            if spec.task not in self.tasks:
                served = ", ".join(sorted(self.tasks))
                raise UnsupportedTaskError(f"Model {self.name!r} cannot {spec.task}; it serves {served}")
            if spec.restore_first and Task.RESTORE not in self.tasks:
                raise UnsupportedTaskError(f"Model {self.name!r} cannot restore a frame before it answers")
        try:
            with torch.inference_mode(), arithmetic(self._device, self._dtype):
                self.video.remember(frame)
                view = self._view(frame)
                return tuple(self._answer(view, spec) for spec in specs)
        except VisionLLMError:
            raise
        except Exception as error:
            raise EngineError(f"{self.name} failed on a {frame.size_wh_px} frame: {error}") from error

    def _view(self, frame: Frame) -> View:
        view = View(frame, self.model, lambda spec: self._answer(view, spec))
        return view

    def _answer(self, view: View, spec: TaskSpec) -> Perception:
        watch = Stopwatch()

        def answer(frame: Frame, wanted: TaskSpec) -> Perception:
            seen = view if frame is view.frame else self._view(frame)
            return self._routes[wanted.task].answer(seen, wanted, watch)

        perception = on_restored(partial(within, partial(counted_off, answer)), view.frame, spec)
        return replace(perception, stage_ms=view.watch.stage_ms | watch.stage_ms | perception.stage_ms)


def load_model(
    folder: Path, expected: ModelConfig | None = None, llm_dtype: torch.dtype = torch.float32
) -> tuple[VisionLLM, weights.Manifest[ModelConfig]]:
    """Build the network a weights folder describes and fill it.

    Args:
        expected: the preset; it may name other places of the same pretrained parts, e.g. local folders.
        llm_dtype: see `VisionLLM`.
    Raises:
        WeightsError: files are missing, damaged or of another shape.
        ConfigError: the weights belong to another preset than `expected`.
    """
    manifest = weights.read_manifest(folder, ModelConfig)
    if expected is not None:
        _check_same(manifest.config, expected, folder)
    model = VisionLLM(expected or manifest.config, llm_dtype)
    own = model.learned()
    stored = weights.load(folder, sorted({key.partition(".")[0] for key in own}))
    weights.fill(own, stored, str(folder))
    return model, manifest


def load_further(folder: Path, model: VisionLLM, runtime: RuntimeConfig) -> list[Route]:
    """The routes of the further systems whose weights lie inside a weights folder.

    Raises:
        WeightsError: weights of one are damaged.
        ConfigError: `runtime.text_route` names one that has no weights.
    """
    routes = []
    for name, part in _wanted_parts(folder, runtime.text_route).items():
        if name in (ROUTER, NAMES):
            continue
        if name not in _FURTHER:
            logger.warning("Weights of an unknown system are left alone: %s", part)
            continue
        module, _, function = _FURTHER[name].partition(":")
        routes.append(getattr(importlib.import_module(module), function)(part, model, runtime))
    return routes


def _wanted_parts(folder: Path, text_route: str) -> dict[str, Path]:
    """The parts to load; of the two that write text the one asked for comes last, so that it serves what both can.

    The decoder goes first where nobody asks: it is the better one, and needs fewer layers of the language model. A
    Q-Former that goes first in everything leaves it out.
    """
    parts = weights.part_folders(folder)
    if text_route != "auto" and _WRITERS[text_route] not in parts:
        raise ConfigError(f"text_route={text_route} needs weights in {folder / _WRITERS[text_route]}; set it to auto")
    first, second = (_WRITERS["qformer"], _WRITERS["decoder"])
    if text_route != "qformer" or not {first, second} <= parts.keys():
        return dict(sorted(parts.items(), key=lambda part: part[0] == second))
    able, needed = (set(weights.read_any_manifest(parts[name]).trained) for name in (first, second))
    if needed <= able:
        del parts[second]
    return dict(sorted(parts.items(), key=lambda part: part[0] == first))


def _check_same(trained: ModelConfig, wanted: ModelConfig, folder: Path) -> None:
    changed = {
        entry.name: f"{entry.name} {getattr(trained, entry.name)!r}, not {getattr(wanted, entry.name)!r}"
        for entry in fields(ModelConfig)
        if getattr(trained, entry.name) != getattr(wanted, entry.name)
    }
    if moved := [changed.pop(name) for name in _PLACES if name in changed]:
        logger.warning("The weights in %s were trained with %s", folder, "; ".join(moved))
    if changed:
        raise ConfigError(f"The weights in {folder} do not fit preset {wanted.name!r}: {'; '.join(changed.values())}")


def load_engine(preset: str = "nano", runtime: RuntimeConfig | None = None) -> Engine:
    """Load a preset by name (config/NAME.yaml) or by the path of a YAML file, with its trained weights.

    Raises:
        ConfigError: no such preset, or a bad value in it.
        WeightsError: weights are missing or damaged.
    """
    runtime = runtime or RuntimeConfig()
    config = load_preset(preset)
    folder = Path(runtime.weights) if runtime.weights else weights_path() / config.name
    if not runtime.weights and not (folder / weights.MANIFEST).is_file():
        raise WeightsError(_how_to_get_weights(config.name, preset))
    started = time.perf_counter()
    model, manifest = load_model(folder, config, choose_dtype(runtime.dtype, choose_device(runtime.device)))
    parts = weights.part_folders(folder)
    router = parts.get(ROUTER) if runtime.router else None
    namer = parts.get(NAMES) if runtime.region_names else None
    engine = TorchEngine(model, manifest, runtime, load_further(folder, model, runtime), router, namer)
    seconds = time.perf_counter() - started
    logger.info(
        "Loaded %s %s on %s, %s, in %.1f s", engine.name, engine.weights_hash, engine.device, engine.dtype, seconds
    )
    return with_backends(engine, runtime)


def _how_to_get_weights(name: str, preset: str) -> str:
    train = f"vision-llm train detect --preset {preset} --annotations A.json --images DIR --out RUN"
    reinstall = "install the package again, or " if name == ModelConfig().name else ""
    return (
        f"Preset {name!r} has no trained weights in {weights_path() / name}: {reinstall}train it with `{train}` and "
        "`vision-llm train export RUN --out FOLDER`, then name FOLDER in the setting `weights`"
    )
