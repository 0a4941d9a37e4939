"""Pictures with exact masks for referring: loaded whole, mirrored, recoloured, composed from cut-outs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.training.datasets import Instance

Bools = NDArray[np.bool_]
_LEAST_CUT_PX = 12
_HIDDEN = 0.4  # an object of which less is left is gone


@dataclass(frozen=True)
class Scene:
    """A picture with its objects.

    Attributes:
        image_rgb_u8: uint8[H, W, 3].
        boxes_xyxy_px: float[N, 4].
        names: class names.
        crowd: bool[N], regions of many objects of a class.
        masks: bool[H, W] each, None where there is no outline.
        ids: annotation ids, -1 for a pasted one.
    """

    image_rgb_u8: NDArray[np.uint8]
    boxes_xyxy_px: NDArray[np.float32]
    names: tuple[str, ...]
    crowd: Bools
    masks: tuple[Bools | None, ...]
    ids: tuple[int, ...]

    def keep(self, chosen: Bools) -> Scene:
        """Only the chosen objects (bool[N])."""
        places = np.flatnonzero(chosen)
        return Scene(
            self.image_rgb_u8,
            self.boxes_xyxy_px[chosen],
            tuple(self.names[i] for i in places),
            self.crowd[chosen],
            tuple(self.masks[i] for i in places),
            tuple(self.ids[i] for i in places),
        )


def read_scene(path: Path, items: list[Instance], categories: dict[int, str]) -> Scene:
    """Read a picture with its annotated objects.

    Raises:
        InputError: the picture is missing or cannot be decoded.
    """
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise InputError(f"Cannot decode {path}")
    size = (pixels.shape[0], pixels.shape[1])
    return Scene(
        np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8),
        np.array([item.box_xyxy_px for item in items], np.float32).reshape(-1, 4),
        tuple(categories[item.category_id] for item in items),
        np.array([item.crowd for item in items], bool),
        tuple(None if item.crowd else fill_outline(item.segmentation, size) for item in items),
        tuple(item.annotation_id for item in items),
    )


def fill_outline(segmentation: Any, size_hw: tuple[int, int]) -> Bools | None:
    """COCO polygons as bool[H, W]; None where there are none (an RLE counts as none)."""
    from pycocotools import mask as coco_mask

    parts = [part for part in segmentation if len(part) >= 6] if isinstance(segmentation, list) else []
    if not parts:
        return None
    filled = np.asarray(coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(parts, *size_hw))), bool)
    return filled if filled.any() else None


def mirror_scene(scene: Scene) -> Scene:
    """Swap left and right."""
    boxes = scene.boxes_xyxy_px.copy()
    boxes[:, [0, 2]] = scene.image_rgb_u8.shape[1] - boxes[:, [2, 0]]
    masks = tuple(None if mask is None else np.ascontiguousarray(mask[:, ::-1]) for mask in scene.masks)
    image = np.ascontiguousarray(scene.image_rgb_u8[:, ::-1])
    return replace(scene, image_rgb_u8=image, boxes_xyxy_px=boxes, masks=masks)


def compose(scene: Scene, donor: Scene, rng: np.random.Generator, most: int = 3) -> Scene:
    """Paste up to `most` outlined objects of a donor; their masks are exact, what they cover loses those pixels."""
    outlined = [index for index, mask in enumerate(donor.masks) if mask is not None]
    for index in rng.permutation(outlined)[: int(rng.integers(1, most + 1))]:
        scene = _paste(scene, donor, int(index), rng)
    return scene


def _paste(scene: Scene, donor: Scene, index: int, rng: np.random.Generator) -> Scene:
    height, width = scene.image_rgb_u8.shape[:2]
    mask = donor.masks[index]
    assert mask is not None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    if min(bottom - top, right - left) < _LEAST_CUT_PX:
        return scene
    scale = min(rng.uniform(0.6, 1.3), 0.7 * width / (right - left), 0.7 * height / (bottom - top))
    size = (max(int((right - left) * scale), 4), max(int((bottom - top) * scale), 4))
    cut = cv2.resize(donor.image_rgb_u8[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
    soft = cv2.resize(mask[top:bottom, left:right].astype(np.float32), size, interpolation=cv2.INTER_AREA)[..., None]
    x, y = int(rng.integers(0, width - size[0] + 1)), int(rng.integers(0, height - size[1] + 1))
    image = scene.image_rgb_u8.copy()
    view = image[y : y + size[1], x : x + size[0]]
    view[:] = (view * (1 - soft) + cut * soft).astype(np.uint8)
    pasted = np.zeros((height, width), bool)
    pasted[y : y + size[1], x : x + size[0]] = soft[..., 0] > 0.5
    return _with_object(replace(scene, image_rgb_u8=image), donor.names[index], pasted)


def _with_object(scene: Scene, name: str, mask: Bools) -> Scene:
    """Add an object in front; objects mostly hidden by it are dropped, boxes of outlined ones stay tight."""
    if not mask.any():
        return scene
    front = tight_box(mask)
    masks, boxes, visible = [], scene.boxes_xyxy_px.copy(), []
    for place, behind in enumerate(scene.masks):
        left = None if behind is None else behind & ~mask
        if left is None or behind is None:
            visible.append(_share_left(boxes[place], front) > _HIDDEN or bool(scene.crowd[place]))
        else:
            visible.append(left.sum() > _HIDDEN * behind.sum())
            boxes[place] = tight_box(left) if left.any() else boxes[place]
        masks.append(left)
    kept = replace(scene, boxes_xyxy_px=boxes, masks=tuple(masks)).keep(np.array(visible, bool))
    return Scene(
        kept.image_rgb_u8,
        np.vstack([kept.boxes_xyxy_px, front[None]]).astype(np.float32),
        (*kept.names, name),
        np.append(kept.crowd, False),
        (*kept.masks, mask),
        (*kept.ids, -1),
    )


def tight_box(mask: Bools) -> NDArray[np.float32]:
    """float[4] xyxy around the true pixels of bool[H, W]."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def _share_left(box: NDArray[np.float32], cover: NDArray[np.float32]) -> float:
    shared = (np.minimum(box[2:], cover[2:]) - np.maximum(box[:2], cover[:2])).clip(0).prod()
    return float(1 - shared / (box[2:] - box[:2]).prod().clip(1e-6))
