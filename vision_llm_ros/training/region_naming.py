"""The region token learns from boxes and outlines what things are called, in the space of the text encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from vision_llm_ros.config import RegionConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import PROMPT_MARGIN
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.model.marks import Square, draw_box, draw_line, draw_outline
from vision_llm_ros.model.region_token import Look, RegionToken, Vocabulary, look_at
from vision_llm_ros.training.datasets import Instance, choose_some, load_instances
from vision_llm_ros.training.scenes import Scene, read_scene

_LOOSENESS = 0.08  # by which an operator's box is off, as a share of its sides
_LEAST_SIDE = 0.01
_BALANCE = 0.3  # 0 draws classes as often as they occur, 1 all alike


class Mark(IntEnum):
    """How an object is marked."""

    OUTLINE = 0
    BOX = 1
    LOOSE_BOX = 2
    POINT = 3


@dataclass(frozen=True)
class Regions:
    """Annotated objects of several pictures, each marked in several ways.

    Attributes:
        look, whole: of N marks, and of the whole pictures that they lie in.
        names: int[N], rows of `vocabulary`.
        marks: int[N], see `Mark`.
        pictures: int[N], which picture each lies in.
        vocabulary: the class words.
    """

    look: Look
    whole: Look
    names: Tensor
    marks: Tensor
    pictures: Tensor
    vocabulary: Vocabulary


@torch.no_grad()
def read_regions(
    annotations: Path, images: Path, model: VisionLLM, limit: int, seed: int, quiet: bool = True
) -> Regions:
    """Marks on the objects of at most `limit` pictures (0: all), without crowds; features in half precision.

    Raises:
        InputError: a file is missing or damaged, or there is no object.
    """
    dataset = load_instances(annotations, images)
    names = list(dataset.categories.values())
    objects: dict[int, list[Instance]] = {}
    for item in dataset.instances:
        if not item.crowd:
            objects.setdefault(item.image_id, []).append(item)
    pictures = choose_some([some for some in dataset.pictures if some.image_id in objects], limit, seed)
    looks, wholes, rows = [], [], []
    rng = np.random.default_rng(seed)
    for number, picture in enumerate(tqdm(pictures, "regions", unit="picture", disable=quiet)):
        scene = read_scene(picture.path, objects[picture.image_id], dataset.categories)
        height, width = scene.image_rgb_u8.shape[:2]
        transform = Letterbox((width, height), model.config.image_size_px, model.config.stretch)
        marked = list(_marks(scene, transform, rng))
        look, whole = _look(scene, transform, [item[2] for item in marked], [item[3] for item in marked], model)
        looks.append(look)
        wholes.append(whole)
        rows += [(names.index(scene.names[index]), kind, number) for index, kind, _, _ in marked]
    if not rows:
        raise InputError(f"{annotations}: no object in the pictures of {images}")
    named, kinds, places = torch.tensor(rows).T
    return Regions(_joined(looks), _joined(wholes), named, kinds, places, vocabulary(model, tuple(names)))


def vocabulary(model: VisionLLM, names: tuple[str, ...]) -> Vocabulary:
    """Class words as the text encoder and the detector understand them."""
    words = model.text_encoder(names).float()
    return Vocabulary(words.cpu().clone(), model.tokenizer.scorer.mixtures(words).cpu().clone())


def _marks(
    scene: Scene, transform: Letterbox, rng: np.random.Generator
) -> Iterator[tuple[int, Mark, Square, NDArray[np.float32]]]:
    """Place of the object, how it is marked, the mark and its box in fractions of the network's square."""
    boxes = transform.to_unit(scene.boxes_xyxy_px.reshape(-1, 2, 2)).reshape(-1, 4)
    for index, (box, outline) in enumerate(zip(boxes, scene.masks, strict=True)):
        if outline is not None:
            yield index, Mark.OUTLINE, draw_outline(outline, transform), box
        yield index, Mark.BOX, draw_box(box), box
        loose = _loosened(box, rng)
        yield index, Mark.LOOSE_BOX, draw_box(loose), loose
        point = _point(box, outline, transform, rng)
        around = np.concatenate([point - PROMPT_MARGIN, point + PROMPT_MARGIN]).clip(0, 1).astype(np.float32)
        yield index, Mark.POINT, draw_line(point[None]), around


def _loosened(box: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    sides = np.tile(box[2:] - box[:2], 2)
    loose = (box + sides * rng.normal(0, _LOOSENESS, 4)).clip(0, 1).astype(np.float32)
    return loose if (loose[2:] - loose[:2] >= _LEAST_SIDE).all() else box


def _point(
    box: NDArray[np.float32], outline: NDArray[np.bool_] | None, transform: Letterbox, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Somewhere on an object; in the middle half of its box where its outline is not known."""
    if outline is None:
        return (box[:2] + rng.uniform(0.25, 0.75, 2) * (box[2:] - box[:2])).astype(np.float32)
    rows, columns = np.nonzero(outline)
    chosen = int(rng.integers(len(rows)))
    return transform.to_unit(np.array([columns[chosen] + 0.5, rows[chosen] + 0.5]))


def _look(
    scene: Scene, transform: Letterbox, masks: list[Square], boxes: list[NDArray[np.float32]], model: VisionLLM
) -> tuple[Look, Look]:
    """At every mark of a picture, and at the whole picture as often; the latter is looked at as one mark more."""
    square = torch.from_numpy(transform.apply(scene.image_rgb_u8)).permute(2, 0, 1).unsqueeze(0)
    pyramid = model.backbone(square.to(model.device))
    dense = model.tokenizer.dense(pyramid[1:])
    corners = transform.to_unit(np.array([[0, 0], transform.source_wh_px])).reshape(4)
    drawn = torch.from_numpy(np.stack([*masks, draw_box(corners)])).to(model.device)
    seen = look_at(pyramid, dense, drawn, torch.from_numpy(np.stack([*boxes, corners])).to(model.device))
    parts = [seen.means.half().cpu(), seen.evidence.half().cpu(), seen.boxes.cpu()]
    return Look(*(part[:-1] for part in parts)), Look(*(part[-1:].expand(len(masks), -1) for part in parts))


def _joined(looks: list[Look]) -> Look:
    return Look(*(torch.cat(parts) for parts in zip(*((x.means, x.evidence, x.boxes) for x in looks), strict=True)))


def draw_regions(regions: Regions, count: int, generator: torch.Generator) -> Tensor:
    """Rows int[count]; rare classes are drawn more often than they occur."""
    chance = torch.bincount(regions.names)[regions.names].float() ** -_BALANCE
    return torch.multinomial(chance, count, replacement=True, generator=generator)


def naming_loss(token: RegionToken, regions: Regions, rows: Tensor) -> Tensor:
    """Cross-entropy of the class words."""
    return cross_entropy(token.names(regions.look[rows].exact(), regions.vocabulary), regions.names[rows])


def learn(config: RegionConfig, regions: Regions, seed: int) -> RegionToken:
    """Learn the token of regions at once, for comparisons; `region_run` has the resumable loop."""
    torch.manual_seed(seed)
    token = RegionToken(regions.look.means.shape[1], regions.vocabulary.words.shape[1], config.hidden_width)
    optimizer = torch.optim.AdamW(token.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(config.steps):
        optimizer.zero_grad()
        loss = naming_loss(token, regions, draw_regions(regions, config.batch_size, generator))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return token.eval()
