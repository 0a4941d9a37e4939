"""Two modules learn from signals of words, with or without an adversary on what the signals share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, interpolate

from vision_llm_ros.config import SynergyConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.model.pyramid import MobileNetV2Pyramid
from vision_llm_ros.model.signals import Discriminator, SignalledMap, Signals, reverse_gradient
from vision_llm_ros.training.datasets import Instance, choose_some, load_expressions, load_instances
from vision_llm_ros.training.scenes import Scene, read_scene

TASKS = ("detect", "mask")
SIDE_PX = 320
CELLS = 20  # stride 16
Encode = Callable[[tuple[str, ...]], Tensor]


@dataclass(frozen=True)
class Asked:
    """A picture with what is asked of it.

    Attributes:
        features: float16[C, 20, 20] of the frozen pyramid, strides 16 and 32.
        words: by task, float[Q, M] of the text encoder.
        cells: by task, bool[Q, 20, 20], the cells that are meant.
    """

    features: Tensor
    words: tuple[Tensor, Tensor]
    cells: tuple[Tensor, Tensor]


@torch.no_grad()
def read_asked(
    annotations: Path,
    images: Path,
    referring: Path,
    backbone: MobileNetV2Pyramid,
    encode: Encode,
    limit: int,
    seed: int,
) -> list[Asked]:
    """Pictures with referring expressions that have masks, and the classes in them.

    Raises:
        InputError: a file is missing or damaged, or nothing can be asked.
    """
    dataset = load_instances(annotations, images)
    objects: dict[int, list[Instance]] = {}
    for item in dataset.instances:
        objects.setdefault(item.image_id, []).append(item)
    phrases: dict[int, list[tuple[str, tuple[int, ...]]]] = {}
    for expression in load_expressions(referring, dataset)[0]:
        if expression.annotation_ids:
            phrases.setdefault(expression.image_id, []).append((expression.phrase, expression.annotation_ids))
    found = []
    known = [picture for picture in dataset.pictures if picture.image_id in phrases]
    for picture in choose_some(known, limit, seed):
        scene = read_scene(picture.path, objects[picture.image_id], dataset.categories)
        names, boxes = _classes(scene)
        sentences, masks = _meant(scene, phrases[picture.image_id])
        if sentences:
            asked = (encode(names), encode(sentences))
            found.append(Asked(_features(scene.image_rgb_u8, backbone), asked, (_cells(boxes), _cells(masks))))
    if not found:
        raise InputError(f"{referring}: no expression with masks for the pictures of {annotations}")
    return found


def _classes(scene: Scene) -> tuple[tuple[str, ...], list[NDArray[np.bool_]]]:
    """The classes of a scene and the area that their boxes cover."""
    areas: dict[str, NDArray[np.bool_]] = {}
    height, width = scene.image_rgb_u8.shape[:2]
    for name, (x_min, y_min, x_max, y_max) in zip(scene.names, scene.boxes_xyxy_px.round().astype(int), strict=True):
        area = areas.setdefault(name, np.zeros((height, width), bool))
        area[max(y_min, 0) : y_max, max(x_min, 0) : x_max] = True
    return tuple(areas), list(areas.values())


def _meant(scene: Scene, phrases: list[tuple[str, tuple[int, ...]]]) -> tuple[tuple[str, ...], list[NDArray[np.bool_]]]:
    """Expressions all of whose objects have masks, and the area of these."""
    known = {item: mask for item, mask in zip(scene.ids, scene.masks, strict=True) if mask is not None}
    told = [(text, [known[item] for item in ids]) for text, ids in phrases if all(item in known for item in ids)]
    return tuple(text for text, _ in told), [np.logical_or.reduce(masks) for _, masks in told]


def _cells(areas: Sequence[NDArray[np.bool_]]) -> Tensor:
    small = [cv2.resize(area.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA) for area in areas]
    return torch.from_numpy(np.stack(small)) >= 0.5


def _features(image_rgb_u8: NDArray[np.uint8], backbone: MobileNetV2Pyramid) -> Tensor:
    square = cv2.resize(image_rgb_u8, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    maps = backbone(torch.from_numpy(square).permute(2, 0, 1).unsqueeze(0))[1:3]
    joined = torch.cat([interpolate(level, (CELLS, CELLS), mode="bilinear") for level in maps], 1)[0]
    return ((joined - joined.mean((1, 2), keepdim=True)) / (joined.std((1, 2), keepdim=True) + 1e-4)).half()


class Synergy(nn.Module):
    """Signals of words and the two modules that get them."""

    def __init__(self, config: SynergyConfig, channels: int, words: int) -> None:
        super().__init__()
        self.signals = Signals(words, config.width, len(TASKS))
        self.maps = nn.ModuleList(SignalledMap(channels, config.width) for _ in TASKS)
        self.discriminator = Discriminator(config.width, len(TASKS))

    def forward(self, task: int, features: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Logits float[N, 20, 20] of what is meant, and the shared parts of the signals float[N, width]."""
        own, shared = self.signals(words, task)
        return self.maps[task](features, own, shared), shared


def learn(config: SynergyConfig, asked: list[Asked], adversary: bool, seed: int) -> Synergy:
    """Learn both modules; with an adversary the shared parts learn to hide the task."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Synergy(config, asked[0].features.shape[0], asked[0].words[0].shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    for _ in range(config.steps):
        optimizer.zero_grad()
        loss_of(network, config, draw(asked, config, rng), adversary).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        optimizer.step()
        schedule.step()
    return network.eval()


Drawn = tuple[Tensor, Tensor, Tensor]


def draw(asked: list[Asked], config: SynergyConfig, rng: np.random.Generator) -> tuple[Drawn, Drawn]:
    """By task features, words and meant cells; now and then words of another picture's, of which nothing is meant."""
    drawn = []
    for task in range(len(TASKS)):
        features, words, cells = [], [], []
        for place in rng.integers(len(asked), size=config.batch_size):
            item = asked[place]
            query = rng.integers(len(item.words[task]))
            features.append(item.features)
            words.append(item.words[task][query])
            cells.append(item.cells[task][query])
            if task == 0 and rng.random() < config.absent_share:
                other = asked[rng.integers(len(asked))].words[0]
                words[-1] = other[rng.integers(len(other))]
                same = (item.words[0] @ words[-1]) > 0.999
                cells[-1] = item.cells[0][same].any(0)
        drawn.append((torch.stack(features).float(), torch.stack(words), torch.stack(cells)))
    return drawn[0], drawn[1]


def loss_of(network: Synergy, config: SynergyConfig, drawn: tuple[Drawn, Drawn], adversary: bool) -> Tensor:
    """What both modules get wrong, and how well the task is told from what their signals share."""
    losses, told = [], []
    weight = torch.tensor(config.meant_weight)
    for task, (features, words, cells) in enumerate(drawn):
        logits, shared = network(task, features, words)
        losses.append(binary_cross_entropy_with_logits(logits, cells.float(), pos_weight=weight))
        # without the adversary the discriminator learns all the same, as a measure, and nothing flows back
        seen = reverse_gradient(shared, config.strength) if adversary else shared.detach()
        guessed = network.discriminator(seen)
        told.append(cross_entropy(guessed, torch.full((len(guessed),), task)))
    return torch.stack([*losses, *told]).sum()
