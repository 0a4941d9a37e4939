"""The torch engine: one model in memory, frames and task specs in, validated perceptions out."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_llm_ros.config import ModelConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError, EngineError, UnsupportedTaskError, VisionLLMError, WeightsError
from vision_llm_ros.interfaces import Detection, Engine, Frame, Perception, Status, Task, TaskSpec
from vision_llm_ros.language.instructions import build, class_windows
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM, Words, select_tokens
from vision_llm_ros.model.geometry import suppress_overlaps
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.model.set_decoder import decode_points
from vision_llm_ros.model.tokenizer import EncodedImage, ImageTokens
from vision_llm_ros.resources import load_preset, weights_path
from vision_llm_ros.runtime.hardware import choose_device, choose_dtype, set_threads

logger = logging.getLogger(__name__)

# where pretrained parts lie and how they are held; the weights fit all the same
_PLACES = (
    *("backbone_source", "backbone_revision", "text_encoder", "text_revision"),
    *("llm", "llm_revision", "llm_quantization"),
)
_SET_TASKS = frozenset({Task.DETECT, Task.GROUND, Task.POLYGON})
_REMEMBERED_COMMANDS = 16


class Stopwatch:
    """Wall-clock milliseconds by stage."""

    def __init__(self) -> None:
        self.stage_ms: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            elapsed = (time.perf_counter() - started) * 1e3
            self.stage_ms[name] = self.stage_ms.get(name, 0.0) + elapsed


class TorchEngine:
    """Fulfils `interfaces.Engine` with the nano or base network."""

    def __init__(self, model: VisionLLM, manifest: weights.Manifest, runtime: RuntimeConfig) -> None:
        self.config, self.runtime = model.config, runtime
        self._manifest = manifest
        self._device = choose_device(runtime.device)
        self._dtype = choose_dtype(runtime.dtype, self._device)
        self.threads = set_threads(runtime)
        self.model = model.to(self._device).eval()
        self._words: OrderedDict[tuple[object, ...], Words] = OrderedDict()

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def weights_hash(self) -> str:
        return self._manifest.short_hash

    @property
    def device(self) -> str:
        return str(self._device)

    @property
    def dtype(self) -> str:
        return str(self._dtype).removeprefix("torch.")

    @property
    def tasks(self) -> frozenset[Task]:
        return frozenset(Task(name) for name in self._manifest.trained)

    def warm_up(self) -> None:
        """Run the whole path twice on a grey picture."""
        frame = Frame(np.full((480, 640, 3), 128, np.uint8))
        for _ in range(2):
            self.perceive(frame, (TaskSpec(Task.DETECT, ("person",)),))

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        """See `interfaces.Engine.perceive`."""
        for spec in specs:
            if spec.task not in self.tasks:
                served = ", ".join(sorted(self.tasks))
                raise UnsupportedTaskError(f"Model {self.name!r} cannot {spec.task}; it serves {served}")
        try:
            with torch.inference_mode(), self._arithmetic():
                watch = Stopwatch()
                transform = Letterbox(frame.size_wh_px, self.config.image_size_px, stretch=self.config.stretch)
                with watch.stage("prepare"):
                    pixels = torch.from_numpy(transform.apply(frame.image_rgb_u8)).permute(2, 0, 1).unsqueeze(0)
                with watch.stage("backbone"):
                    image = self.model.encode_image(pixels.to(self._device))
                return tuple(self._answer(image, transform, spec, dict(watch.stage_ms)) for spec in specs)
        except VisionLLMError:
            raise
        except Exception as error:
            raise EngineError(f"{self.name} failed on a {frame.size_wh_px} frame: {error}") from error

    def _arithmetic(self) -> contextlib.AbstractContextManager[object]:
        if self._dtype is torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, dtype=self._dtype)

    def _answer(
        self, image: EncodedImage, transform: Letterbox, spec: TaskSpec, before_ms: dict[str, float]
    ) -> Perception:
        watch = Stopwatch()
        watch.stage_ms |= before_ms
        found: list[Detection] = []
        windows = list(class_windows(spec.classes, self.config.class_tokens)) or [()]
        for number, window in enumerate(windows):
            part = replace(spec, classes=window) if len(windows) > 1 else spec
            offset = number * self.config.class_tokens
            found += [
                replace(d, class_index=d.class_index + offset) for d in self._detect(image, transform, part, watch)
            ]
        found.sort(key=lambda detection: -detection.score)
        limit = min(spec.max_objects or self.runtime.max_detections, self.runtime.max_detections)
        if spec.task is Task.GROUND:
            limit = 1
        status = Status.OK if found else Status.NOTHING_FOUND
        return Perception(spec.task, status, detections=tuple(found[:limit]), stage_ms=watch.stage_ms)

    def _detect(self, image: EncodedImage, transform: Letterbox, spec: TaskSpec, watch: Stopwatch) -> list[Detection]:
        with watch.stage("instruction"):
            words = self._read(spec)
        with watch.stage("tokenizer"):
            tokens = self.model.tokens(image, words)
            chosen = select_tokens(tokens, self._worth_decoding(tokens))
        if chosen.centres.shape[1] == 0:
            return []
        with watch.stage("decode"):
            logits = self.model.decode(words, chosen)
            points = decode_points(logits, chosen)[0].float()
            scores = logits.classes[0].float().softmax(-1)[:, :-1]
        with watch.stage("finish"):
            return self._detections(points, scores, words.instruction.classes, transform, spec)

    def _read(self, spec: TaskSpec) -> Words:
        """What depends on words alone, kept for the commands used last."""
        key = (spec.task, spec.classes, spec.phrase, spec.num_points, spec.instruction)
        if key not in self._words:
            instruction = build(spec, location_range=self.config.location_bins // 2)
            self._words[key] = self.model.read(instruction)
        self._words.move_to_end(key)
        while len(self._words) > _REMEMBERED_COMMANDS:
            self._words.popitem(last=False)
        return self._words[key]

    def _worth_decoding(self, tokens: ImageTokens) -> Tensor:
        """Adaptive decoding: int[1, M'] of the image tokens that may show something listed."""
        return (tokens.objectness[0] >= self.runtime.objectness_threshold).nonzero().T

    def _detections(
        self, points: Tensor, scores: Tensor, classes: tuple[str, ...], transform: Letterbox, spec: TaskSpec
    ) -> list[Detection]:
        """Tuples to detections: inside the region, thresholded, overlaps removed, in source pixels.

        Args:
            points: float[M, P, 2] fractions; two corners or an outline.
            scores: float[M, K].
        """
        outlines = transform.to_source(points.cpu().numpy())
        boxes = np.concatenate([outlines.min(1), outlines.max(1)], -1)
        acceptable = torch.from_numpy(_acceptable(boxes, spec, transform.source_wh_px)).to(scores.device)
        good = (scores >= max(self.runtime.score_threshold, 1e-3)) & acceptable[:, None]
        rows, labels = good.nonzero(as_tuple=True)
        order = scores[rows, labels].argsort(descending=True)[: 4 * self.runtime.max_detections]
        rows, labels = rows[order], labels[order]
        unit = torch.cat([points.amin(1), points.amax(1)], -1)[rows]
        kept = suppress_overlaps(unit, labels, self.runtime.iou_threshold, self.runtime.max_detections)
        answers = []
        for row, label in zip(rows[kept].tolist(), labels[kept].tolist(), strict=True):
            x_min, y_min, x_max, y_max = map(float, boxes[row])
            polygon = outlines[row] if spec.num_points > 2 else None
            score = float(scores[row, label])
            answers.append(Detection(classes[label], label, score, (x_min, y_min, x_max, y_max), polygon))
        return answers


def _acceptable(boxes_xyxy_px: NDArray[np.float32], spec: TaskSpec, size_wh_px: tuple[int, int]) -> NDArray[np.bool_]:
    """bool[M]: boxes of at least one pixel with their centre in the command's region."""
    low, high = boxes_xyxy_px[:, :2], boxes_xyxy_px[:, 2:]
    centres = (low + high) / 2 / np.array(size_wh_px, np.float32)
    inside = (centres >= spec.region[:2]) & (centres <= spec.region[2:])
    return np.asarray(inside.all(1) & (high - low >= 1).all(1))


def load_model(
    folder: Path, expected: ModelConfig | None = None, llm_dtype: torch.dtype = torch.float32
) -> tuple[VisionLLM, weights.Manifest]:
    """Build the network a weights folder describes and fill it.

    Args:
        expected: the preset; it may name other places of the same pretrained parts, e.g. local folders.
        llm_dtype: see `VisionLLM`.
    Raises:
        WeightsError: files are missing, damaged or of another shape.
        ConfigError: the weights belong to another preset than `expected`.
    """
    manifest = weights.read_manifest(folder)
    if expected is not None:
        _check_same(manifest.config, expected, folder)
    model = VisionLLM(expected or manifest.config, llm_dtype)
    own = model.learned()
    stored = weights.load(folder, sorted({key.partition(".")[0] for key in own}))
    weights.fill(own, stored, str(folder))
    return model, manifest


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
    engine = TorchEngine(model, manifest, runtime)
    seconds = time.perf_counter() - started
    logger.info(
        "Loaded %s %s on %s, %s, in %.1f s", engine.name, engine.weights_hash, engine.device, engine.dtype, seconds
    )
    return engine


def _how_to_get_weights(name: str, preset: str) -> str:
    train = f"vision-llm train detect --preset {preset} --annotations A.json --images DIR --out RUN"
    reinstall = "install the package again, or " if name == ModelConfig().name else ""
    return (
        f"Preset {name!r} has no trained weights in {weights_path() / name}: {reinstall}train it with `{train}` and "
        "`vision-llm train export RUN --out FOLDER`, then name FOLDER in the setting `weights`"
    )
