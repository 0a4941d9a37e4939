"""The region token learns from boxes and outlines what things are called, in the space of the text encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from vision_llm_ros.config import LoopConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.model.pyramid import MobileNetV2Pyramid
from vision_llm_ros.model.region_token import RegionToken, masked_means
from vision_llm_ros.training.datasets import Instance, choose_some, load_instances
from vision_llm_ros.training.scenes import Scene, read_scene

SIDE_PX = 320
TEMPERATURE = 0.05
Encode = Callable[[tuple[str, ...]], Tensor]


@dataclass(frozen=True)
class Regions:
    """Annotated regions of several pictures.

    Attributes:
        means: float[N, C], see `masked_means`.
        whole: float[N, C], the same of the whole picture that each lies in.
        boxes: float[N, 4], xyxy, fractions of the picture.
        names: int[N], rows of `words`.
        words: float[K, M], the text encoder's vectors of the class words.
    """

    means: Tensor
    whole: Tensor
    boxes: Tensor
    names: Tensor
    words: Tensor


@torch.no_grad()
def read_regions(
    annotations: Path, images: Path, backbone: MobileNetV2Pyramid, encode: Encode, limit: int, seed: int
) -> Regions:
    """Objects of at most `limit` pictures (0: all), without crowds.

    Raises:
        InputError: a file is missing or damaged, or there is no object.
    """
    dataset = load_instances(annotations, images)
    names = list(dataset.categories.values())
    objects: dict[int, list[Instance]] = {}
    for item in dataset.instances:
        if not item.crowd:
            objects.setdefault(item.image_id, []).append(item)
    means, whole, boxes, called = [], [], [], []
    for picture in choose_some([some for some in dataset.pictures if some.image_id in objects], limit, seed):
        scene = read_scene(picture.path, objects[picture.image_id], dataset.categories)
        height, width = scene.image_rgb_u8.shape[:2]
        square = cv2.resize(scene.image_rgb_u8, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        pyramid = backbone(torch.from_numpy(square).permute(2, 0, 1).unsqueeze(0))
        # the last mask is the whole picture
        seen = masked_means(pyramid, torch.cat([_masks(scene), torch.ones(1, height, width)]))
        means.append(seen[:-1])
        whole.append(seen[-1:].expand(len(seen) - 1, -1))
        boxes.append(torch.from_numpy(scene.boxes_xyxy_px) / torch.tensor([width, height, width, height]))
        called += [names.index(name) for name in scene.names]
    if not called:
        raise InputError(f"{annotations}: no object in the pictures of {images}")
    rows = torch.tensor(called)
    return Regions(torch.cat(means), torch.cat(whole), torch.cat(boxes), rows, encode(tuple(names)))


def _masks(scene: Scene) -> Tensor:
    """Outlines, and boxes where there is none: float[N, H, W]."""
    masks = torch.zeros(len(scene.names), *scene.image_rgb_u8.shape[:2])
    for row, (mask, box) in enumerate(zip(scene.masks, scene.boxes_xyxy_px.round().astype(int), strict=True)):
        if mask is not None:
            masks[row] = torch.from_numpy(mask).float()
        else:
            x_min, y_min, x_max, y_max = box.clip(0)
            masks[row, y_min : max(y_max, y_min + 1), x_min : max(x_max, x_min + 1)] = 1
    return masks


def name_of(token: RegionToken, means: Tensor, boxes: Tensor, words: Tensor) -> Tensor:
    """Logits float[N, K] of class words: how near a region's token is to each."""
    return normalize(token(means, boxes), dim=-1) @ words.T / TEMPERATURE


def learn(config: LoopConfig, regions: Regions, seed: int) -> RegionToken:
    """Learn the token of regions; rare classes are drawn as often as common ones."""
    torch.manual_seed(seed)
    token = RegionToken(regions.means.shape[1], regions.words.shape[1])
    optimizer = torch.optim.AdamW(token.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    chance = 1 / torch.bincount(regions.names)[regions.names].float().sqrt()
    for _ in range(config.steps):
        some = torch.multinomial(chance, config.batch_size, replacement=True)
        logits = name_of(token, regions.means[some], regions.boxes[some], regions.words)
        optimizer.zero_grad()
        cross_entropy(logits, regions.names[some]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return token.eval()
