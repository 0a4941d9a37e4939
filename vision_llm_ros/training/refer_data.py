"""From COCO-style folders to pictures with phrases and the objects they mean, anew at every step."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_llm_ros.config import MaskTrainConfig, ModelConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.language.phrases import Phrase, read_phrase, split_phrases
from vision_llm_ros.language.words import SYNONYMS
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.training.augment import recolour
from vision_llm_ros.training.datasets import Expression, Instance, Picture, load_expressions, load_instances
from vision_llm_ros.training.scenes import Scene, compose, mirror_scene, read_scene
from vision_llm_ros.training.sentences import Meaning, by_geometry, mirrored_words, of_class, of_kind

logger = logging.getLogger(__name__)

_TRIES = 20
_MOST_COUNTED = 4  # a picture with more outlines is not drawn more often
# what is asked of a picture: a given expression, its classes, geometry, a kind of classes, a class that is not there
_ASKED = ("given", "class", "geometry", "kind", "absent")
_SHARES = (0.32, 0.28, 0.18, 0.06, 0.16)


@dataclass(frozen=True)
class ReferBatch:
    """One picture and what is asked of it.

    Attributes:
        image_rgb_u8: uint8[1, 3, S, S].
        phrases: P of them.
        boxes_cxcywh: float[N, 4], objects, fractions of the square.
        meant: bool[P, N], which objects each phrase means.
        crowd: bool[N], regions of many objects: a candidate inside one is neither right nor wrong.
        masks: float[N, S, S], 0..1; zeros where there is no outline.
        outlined: bool[N].
    """

    image_rgb_u8: Tensor
    phrases: tuple[Phrase, ...]
    boxes_cxcywh: Tensor
    meant: Tensor
    crowd: Tensor
    masks: Tensor
    outlined: Tensor


class ReferData:
    """Draws pictures with phrases, each determined by its seed alone."""

    def __init__(
        self, config: ModelConfig, train: MaskTrainConfig, annotations: Path, images: Path, referring: Sequence[Path]
    ) -> None:
        """Read the annotation files; pictures are read when drawn.

        Args:
            config: of the network the pictures are for.
            train: the data mix.
            referring: referring expressions about the same annotations; may be empty.
        Raises:
            InputError: a file is missing or damaged, or no object has an outline.
        """
        self.config, self.train = config, train
        self.dataset = load_instances(annotations, images)
        self._objects: dict[int, list[Instance]] = {}
        for item in self.dataset.instances:
            self._objects.setdefault(item.image_id, []).append(item)
        self.pictures = [picture for picture in self.dataset.pictures if picture.image_id in self._objects]
        outlines = Counter(item.image_id for item in self.dataset.instances if _has_outline(item))
        self.outlined = [picture for picture in self.pictures if outlines[picture.image_id]]
        counts = np.array([min(outlines[picture.image_id], _MOST_COUNTED) for picture in self.outlined], float)
        self._chance = counts / max(counts.sum(), 1.0)
        if not self.outlined:
            raise InputError(f"{annotations}: no object has an outline; masks cannot be learnt from boxes alone")
        self._given: dict[int, list[Expression]] = {}
        for path in referring:
            for expression in load_expressions(path, self.dataset)[0]:
                self._given.setdefault(expression.image_id, []).append(expression)
        self._unreadable: set[Path] = set()

    @property
    def expressions(self) -> int:
        """How many referring expressions there are."""
        return sum(map(len, self._given.values()))

    def draw(self, size: int, seed: tuple[int, ...]) -> list[ReferBatch]:
        """Draw `size` pictures."""
        rng = np.random.default_rng(seed)
        return [self._one(rng) for _ in range(size)]

    def _one(self, rng: np.random.Generator) -> ReferBatch:
        picture, scene = self._readable(rng, rng.random() < self.train.outline_share)
        given = self._given.get(picture.image_id, [])
        if rng.random() < self.train.compose_share:
            scene, given = compose(scene, self._readable(rng, True)[1], rng), []
        mirrored = rng.random() < self.train.mirror_share
        meanings = self._meanings(scene, given, rng, mirrored)
        if mirrored:
            scene = mirror_scene(scene)
        scene = replace(scene, image_rgb_u8=recolour(scene.image_rgb_u8, rng))
        return self._batch(scene, meanings)

    def _readable(self, rng: np.random.Generator, outlined: bool) -> tuple[Picture, Scene]:
        """A picture that can be read, rather one with many outlines: one bad file does not end a run."""
        for _ in range(_TRIES):
            picture = self._pick(rng, outlined)
            try:
                return picture, read_scene(picture.path, self._objects[picture.image_id], self.dataset.categories)
            except InputError as error:
                if picture.path not in self._unreadable:
                    self._unreadable.add(picture.path)
                    logger.warning("%s; another picture takes its place", error)
        raise InputError(f"{_TRIES} pictures in a row cannot be read, the last {picture.path}")

    def _pick(self, rng: np.random.Generator, outlined: bool) -> Picture:
        if outlined:
            return self.outlined[int(rng.choice(len(self.outlined), p=self._chance))]
        return self.pictures[int(rng.integers(len(self.pictures)))]

    def _meanings(
        self, scene: Scene, given: Sequence[Expression], rng: np.random.Generator, mirrored: bool
    ) -> list[Meaning]:
        """What is asked of a scene; on one to be mirrored, left and right are swapped in what is said."""
        found: dict[str, Meaning] = {}
        for _ in range(self.train.phrases):
            for meaning in self._ask(str(rng.choice(_ASKED, p=_SHARES)), scene, given, rng):
                text = mirrored_words(meaning.text) if mirrored else meaning.text
                found.setdefault(text, Meaning(text, meaning.meant))
        return list(found.values())[: self.train.phrases]

    def _ask(self, how: str, scene: Scene, given: Sequence[Expression], rng: np.random.Generator) -> list[Meaning]:
        if how == "given" and given:
            return _parted(given[int(rng.integers(len(given)))], scene)
        if how == "geometry" and (found := by_geometry(scene, rng)) is not None:
            return [found]
        if how == "kind":
            return [of_kind(scene, rng)]
        if how == "absent":
            absent = sorted(set(self.dataset.categories.values()) - set(scene.names))
            return [of_class(scene, str(rng.choice(absent)), rng)] if absent else []
        return [of_class(scene, str(rng.choice(sorted(set(scene.names)))), rng)]

    def _batch(self, scene: Scene, meanings: list[Meaning]) -> ReferBatch:
        height, width = scene.image_rgb_u8.shape[:2]
        square = Letterbox((width, height), self.config.image_size_px, self.config.stretch)
        corners = torch.from_numpy(square.to_unit(scene.boxes_xyxy_px.reshape(-1, 2, 2)).reshape(-1, 4))
        meant = np.array([meaning.meant for meaning in meanings], bool).reshape(len(meanings), -1)
        used = meant.any(0)
        outlined = np.array([mask is not None for mask in scene.masks], bool) & used
        masks = [_square_mask(mask, square) if use else None for mask, use in zip(scene.masks, outlined, strict=True)]
        empty = np.zeros((square.side_px, square.side_px), np.float32)
        return ReferBatch(
            torch.from_numpy(square.apply(scene.image_rgb_u8)).permute(2, 0, 1).unsqueeze(0),
            tuple(read_phrase(meaning.text) for meaning in meanings),
            torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], -1),
            torch.from_numpy(meant),
            torch.from_numpy(scene.crowd),
            torch.from_numpy(np.stack([empty if mask is None else mask for mask in masks])),
            torch.from_numpy(outlined),
        )


def _has_outline(item: Instance) -> bool:
    return isinstance(item.segmentation, list) and bool(item.segmentation) and not item.crowd


def _parted(expression: Expression, scene: Scene) -> list[Meaning]:
    """One meaning per phrase of a sentence; several phrases share its targets out by their nouns."""
    targets = np.array([identity in expression.annotation_ids for identity in scene.ids], bool)
    phrases = split_phrases(expression.sentence)
    if len(phrases) == 1:
        return [Meaning(expression.sentence, targets)]
    names = np.array(scene.names, object)
    return [Meaning(p.text, targets & (names == SYNONYMS.get(p.subject, p.subject))) for p in phrases]


def _square_mask(mask: NDArray[np.bool_] | None, square: Letterbox) -> NDArray[np.float32]:
    """bool[H, W] of the source as float[side, side] of the square, by area."""
    assert mask is not None
    inner = square.inner_wh_px
    canvas = np.zeros((square.side_px, square.side_px), np.float32)
    canvas[: inner[1], : inner[0]] = cv2.resize(mask.astype(np.float32), inner, interpolation=cv2.INTER_AREA)
    return canvas
