"""From COCO-style folders to training batches: random classes, order, words and composition at every step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.language.instructions import MAX_CLASSES, Instruction, build
from vision_llm_ros.language.polygons import resample
from vision_llm_ros.language.words import SYNONYMS
from vision_llm_ros.model.geometry import to_cxcywh
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.training.augment import Sample, crop, mirror, paste, recolour, shrink
from vision_llm_ros.training.datasets import Expression, InstanceSet, load_expressions, load_instances
from vision_llm_ros.training.losses import Target

logger = logging.getLogger(__name__)

_ALL_CLASSES_SHARE, _DROPPED_SHARE, _SYNONYM_SHARE = 0.3, 0.25, 0.2
_MOST_CLASSES = 20
_SINGLE_TARGET_KINDS = ("unique", "position", "size", "relation")
_POLYGON_POINTS = (8, 12, 16)
_TRIES = 20


@dataclass(frozen=True)
class Batch:
    """Pictures that share one instruction: uint8[B, 3, S, S] and what each holds of the listed classes."""

    images_rgb_u8: Tensor
    instruction: Instruction
    targets: list[Target]


def _synonyms() -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for word, name in SYNONYMS.items():
        table.setdefault(name, []).append(word)
    return table


class DetectionData:
    """Draws detection, polygon and grounding batches, each determined by its seed alone."""

    def __init__(
        self,
        annotations: Path | InstanceSet,
        images: Path,
        referring: Sequence[Path] = (),
        side_px: int = 300,
        randomness: bool = True,
        stretch: bool = True,
        location_range: int = 512,
        class_tokens: int = MAX_CLASSES,
        augmented: bool = True,
    ) -> None:
        """Read the annotation files; pictures are read when drawn.

        Args:
            annotations: COCO file, or what was read from one.
            side_px: side of the network's square input; `stretch` as in ModelConfig.
            location_range: half the number of location bins, told in the instructions.
            class_tokens: how many the network has; no more classes are listed at once.
            randomness: False lists every class in the same order, words and tokens at each step (for an ablation).
            augmented: False leaves pictures as they are, so that frozen features of them can be kept.
        Raises:
            InputError: a file is missing or damaged, or there is nothing to learn from.
        """
        self.side_px, self.stretch = side_px, stretch
        self.randomness, self.location_range, self.augmented = randomness, location_range, augmented
        self.class_tokens = min(class_tokens, MAX_CLASSES)
        self.dataset = annotations if isinstance(annotations, InstanceSet) else load_instances(annotations, images)
        self.names = tuple(self.dataset.categories.values())
        told = "The annotations" if isinstance(annotations, InstanceSet) else annotations
        if not self.dataset.pictures or not self.names:
            raise InputError(f"{told}: expected pictures and categories, got none")
        self._label = {category: index for index, category in enumerate(self.dataset.categories)}
        self._of_picture: dict[int, list[int]] = {picture.image_id: [] for picture in self.dataset.pictures}
        for index, item in enumerate(self.dataset.instances):
            self._of_picture[item.image_id].append(index)
        self.pictures = [picture for picture in self.dataset.pictures if self._of_picture[picture.image_id]]
        if not self.pictures:
            raise InputError(f"{told}: none of {len(self.dataset.pictures)} pictures has an annotated object")
        self._unreadable: set[Path] = set()
        self._chance = self._balanced()
        self._outlined = [
            position
            for position, picture in enumerate(self.pictures)
            if any(self.dataset.instances[i].segmentation for i in self._of_picture[picture.image_id])
        ]
        self._synonyms = _synonyms()
        self._expressions: list[Expression] = []
        for path in referring:
            found, _ = load_expressions(path, self.dataset)
            self._expressions += [e for e in found if e.kind in _SINGLE_TARGET_KINDS and len(e.annotation_ids) == 1]
        self._position = {picture.image_id: position for position, picture in enumerate(self.pictures)}

    @classmethod
    def for_model(
        cls,
        config: ModelConfig,
        annotations: Path | InstanceSet,
        images: Path,
        referring: Sequence[Path] = (),
        randomness: bool = True,
        augmented: bool = True,
    ) -> DetectionData:
        """The data in the form that a network of this configuration reads. Raises as the constructor."""
        bins, side = config.location_bins // 2, config.image_size_px
        return cls(
            annotations, images, referring, side, randomness, config.stretch, bins, config.class_tokens, augmented
        )

    @property
    def expressions(self) -> int:
        """How many referring expressions there are to learn grounding from."""
        return len(self._expressions)

    @property
    def outlined(self) -> int:
        """How many pictures have outlines to learn polygons from."""
        return len(self._outlined)

    def _balanced(self) -> NDArray[np.float64]:
        """Chance of each picture: by its rarest class (repeat-factor sampling, LVIS, appendix B)."""
        holding = np.zeros(len(self.names))
        per_picture = []
        for picture in self.pictures:
            labels = {self._label[self.dataset.instances[i].category_id] for i in self._of_picture[picture.image_id]}
            per_picture.append(labels)
            holding[list(labels)] += 1
        wanted = 0.05 * len(self.pictures)
        needed = np.maximum(1.0, np.sqrt(wanted / np.maximum(holding, 1)))
        repeat = np.array([max(needed[label] for label in labels) for labels in per_picture])
        return np.asarray(repeat / repeat.sum())

    def load(self, position: int) -> Sample:
        """One picture as it is on disk, with its objects.

        Raises:
            InputError: the picture is missing or cannot be decoded.
        """
        picture = self.pictures[position]
        pixels = cv2.imread(str(picture.path))
        if pixels is None:
            raise InputError(f"Cannot decode {picture.path}")
        items = [self.dataset.instances[index] for index in self._of_picture[picture.image_id]]
        outlines = tuple(_outline(item.segmentation) for item in items)
        return Sample(
            np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8),
            np.array([item.box_xyxy_px for item in items], np.float32).reshape(-1, 4),
            np.array([self._label[item.category_id] for item in items], np.int64),
            np.array([item.crowd for item in items], bool),
            outlines,
            np.array([item.annotation_id for item in items], np.int64),
        )

    def _load_or_other(self, position: int, rng: np.random.Generator) -> Sample:
        """The picture, or another one where it cannot be read: one bad file does not end a run."""
        for _ in range(_TRIES):
            try:
                return self.load(position)
            except InputError as error:
                self._name_once(self.pictures[position].path, error)
                position = int(rng.integers(len(self.pictures)))
        raise InputError(f"{_TRIES} pictures in a row cannot be read, the last {self.pictures[position].path}")

    def _name_once(self, path: Path, error: InputError) -> None:
        if path not in self._unreadable:
            self._unreadable.add(path)
            logger.warning("%s; another picture takes its place", error)

    def draw(self, task: Task, size: int, seed: tuple[int, ...]) -> list[Batch]:
        """Draw `size` pictures for a task; grounding gives one batch a picture, each with its own phrase."""
        rng = np.random.default_rng(seed)
        if task is Task.GROUND:
            return [self._grounding(rng) for _ in range(size)]
        return [self._detection(rng, size, task)]

    def _detection(self, rng: np.random.Generator, size: int, task: Task) -> Batch:
        if task is Task.POLYGON:
            positions = rng.choice(self._outlined, size)
        else:
            positions = rng.choice(len(self.pictures), size, p=self._chance)
        samples = [self._augmented(int(position), rng) for position in positions]
        if task is Task.POLYGON:
            samples = [sample.keep(_has_outline(sample) | sample.crowd) for sample in samples]
        listed = self._listed(samples, rng)
        points = int(rng.choice(_POLYGON_POINTS)) if task is Task.POLYGON else 2
        words = tuple(self._wording(self.names[label], rng) for label in listed)
        if len(set(words)) < len(words):
            words = tuple(self.names[label] for label in listed)
        spec = TaskSpec(task, words, num_points=points)
        tokens = tuple(int(k) for k in rng.permutation(self.class_tokens)[: len(listed)]) if rng.random() < 0.5 else ()
        wording = int(rng.integers(1 << 30))
        instruction = self._instruction(spec, wording if self.randomness else None)
        if self.randomness:
            instruction = _renumbered(instruction, tokens)
        places = {label: index for index, label in enumerate(listed)}
        return Batch(self._pixels(samples), instruction, [self._target(s, places, points) for s in samples])

    def _instruction(self, spec: TaskSpec, wording: int | None) -> Instruction:
        return build(spec, wording, location_range=self.location_range)

    def _augmented(self, position: int, rng: np.random.Generator) -> Sample:
        sample = self._load_or_other(position, rng)
        if not self.augmented:
            return sample
        if rng.random() < 0.3 and self._outlined:
            sample = paste(sample, self._load_or_other(int(rng.choice(self._outlined)), rng), rng)
        if rng.random() < 0.5:
            sample = mirror(sample)
        fate = rng.random()
        if fate < 0.5:
            sample = crop(sample, rng)
        elif fate < 0.65:
            sample = shrink(sample, rng)
        return replace(sample, image_rgb_u8=recolour(sample.image_rgb_u8, rng))

    def _listed(self, samples: list[Sample], rng: np.random.Generator) -> list[int]:
        """A random subset of the classes in random order: most of those present, some that are not."""
        if not self.randomness:
            return list(range(min(len(self.names), self.class_tokens)))
        if rng.random() < _ALL_CLASSES_SHARE:
            return [int(label) for label in rng.permutation(len(self.names))][: self.class_tokens]
        present = sorted({int(label) for sample in samples for label in sample.labels})
        kept = [label for label in present if rng.random() > _DROPPED_SHARE][:_MOST_CLASSES]
        absent = [label for label in range(len(self.names)) if label not in present]
        extra = rng.permutation(absent)[: int(rng.integers(1, 9))]
        listed = (kept + [int(label) for label in extra])[: self.class_tokens]
        return [listed[index] for index in rng.permutation(len(listed))]

    def _wording(self, name: str, rng: np.random.Generator) -> str:
        others = self._synonyms.get(name) if self.randomness else None
        return str(rng.choice(others)) if others and rng.random() < _SYNONYM_SHARE else name

    def _grounding(self, rng: np.random.Generator) -> Batch:
        """A picture, a phrase that means one object in it; not mirrored or cropped, words speak of places."""
        if not self._expressions:
            raise InputError("Grounding needs referring expressions; name them with --referring")
        expression, sample = self._spoken_of(rng)
        sample = replace(sample, image_rgb_u8=recolour(sample.image_rgb_u8, rng))
        chosen = sample.keep(sample.instance_ids == expression.annotation_ids[0])
        phrase = expression.phrase
        wording = int(rng.integers(1 << 30))
        spec = TaskSpec(Task.GROUND, (phrase,), phrase=phrase)
        instruction = self._instruction(spec, wording if self.randomness else None)
        places = {int(chosen.labels[0]): 0}
        return Batch(self._pixels([chosen]), instruction, [self._target(chosen, places, 2)])

    def _spoken_of(self, rng: np.random.Generator) -> tuple[Expression, Sample]:
        for _ in range(_TRIES):
            expression = self._expressions[int(rng.integers(len(self._expressions)))]
            position = self._position[expression.image_id]
            try:
                return expression, self.load(position)
            except InputError as error:
                self._name_once(self.pictures[position].path, error)
        raise InputError(f"{_TRIES} pictures in a row cannot be read, the last {self.pictures[position].path}")

    def _pixels(self, samples: list[Sample]) -> Tensor:
        squares = [self._square(sample).apply(sample.image_rgb_u8) for sample in samples]
        return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).contiguous()

    def _square(self, sample: Sample) -> Letterbox:
        return Letterbox((sample.image_rgb_u8.shape[1], sample.image_rgb_u8.shape[0]), self.side_px, self.stretch)

    def _target(self, sample: Sample, places: dict[int, int], num_points: int) -> Target:
        wanted = np.array([int(label) in places for label in sample.labels], bool)
        objects, crowds = sample.keep(wanted & ~sample.crowd), sample.keep(wanted & sample.crowd)
        square = self._square(sample)
        points, known = _points(objects, num_points)
        return Target(
            torch.tensor([places[int(label)] for label in objects.labels], dtype=torch.long),
            _unit_boxes(objects.boxes_xyxy_px, square),
            torch.tensor([places[int(label)] for label in crowds.labels], dtype=torch.long),
            _unit_boxes(crowds.boxes_xyxy_px, square),
            torch.from_numpy(square.to_unit(points)),
            torch.from_numpy(known),
        )


def _unit_boxes(boxes_xyxy_px: NDArray[np.float32], square: Letterbox) -> Tensor:
    """Boxes as float[N, 4], cxcywh fractions of the network's square."""
    return to_cxcywh(torch.from_numpy(square.to_unit(boxes_xyxy_px.reshape(-1, 2, 2)).reshape(-1, 4)))


def _points(objects: Sample, num_points: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The points to decode, float[N, num_points, 2] source pixels, and bool[N] where they are known."""
    if num_points == 2:
        return objects.boxes_xyxy_px.reshape(-1, 2, 2), np.ones(len(objects.labels), bool)
    points = np.zeros((len(objects.labels), num_points, 2), np.float32)
    known = _has_outline(objects)
    for index in np.flatnonzero(known):
        outline = objects.outlines_px[index]
        assert outline is not None
        points[index] = resample(outline, num_points)
    return points, known


def _has_outline(sample: Sample) -> NDArray[np.bool_]:
    return np.array([outline is not None and len(outline) > 2 for outline in sample.outlines_px], bool)


def _outline(segmentation: object) -> NDArray[np.float32] | None:
    """The largest polygon of a COCO segmentation; None for RLE or no mask."""
    if not isinstance(segmentation, list) or not segmentation:
        return None
    parts = [np.array(part, np.float32).reshape(-1, 2) for part in segmentation if len(part) >= 6]
    return max(parts, key=lambda part: float(cv2.contourArea(part)), default=None)


def _renumbered(instruction: Instruction, tokens: tuple[int, ...]) -> Instruction:
    """The same instruction with other class tokens, so that no token keeps a meaning of its own."""
    if not tokens:
        return instruction
    old_map = instruction.class_map
    changed = replace(instruction, class_tokens=tokens)
    return replace(changed, text=instruction.text.replace(old_map, changed.class_map))
