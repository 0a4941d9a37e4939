"""Pictures and boxes, changed together: crop, shrink, mirror, colour; objects pasted from other pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

_GREY = 128


@dataclass(frozen=True)
class Sample:
    """A picture with its objects.

    Attributes:
        image_rgb_u8: uint8[H, W, 3].
        boxes_xyxy_px: float[N, 4].
        labels: int[N], indices into the class names.
        crowd: bool[N], regions that are neither object nor background.
        outlines_px: per object float[K, 2] or None where there is no mask.
        instance_ids: int[N], annotation ids.
    """

    image_rgb_u8: NDArray[np.uint8]
    boxes_xyxy_px: NDArray[np.float32]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    outlines_px: tuple[NDArray[np.float32] | None, ...]
    instance_ids: NDArray[np.int64]

    def keep(self, chosen: NDArray[np.bool_]) -> Sample:
        """Only the chosen objects (bool[N])."""
        return replace(
            self,
            boxes_xyxy_px=self.boxes_xyxy_px[chosen],
            labels=self.labels[chosen],
            crowd=self.crowd[chosen],
            outlines_px=tuple(outline for outline, wanted in zip(self.outlines_px, chosen, strict=True) if wanted),
            instance_ids=self.instance_ids[chosen],
        )

    def moved(self, scale: float, shift_xy: tuple[float, float], image_rgb_u8: NDArray[np.uint8]) -> Sample:
        """The objects under `new = old * scale + shift` on a new picture."""
        shift = np.array(shift_xy, np.float32)
        boxes = (self.boxes_xyxy_px.reshape(-1, 2, 2) * scale + shift).reshape(-1, 4)
        outlines = tuple(None if outline is None else outline * scale + shift for outline in self.outlines_px)
        return replace(self, image_rgb_u8=image_rgb_u8, boxes_xyxy_px=boxes.astype(np.float32), outlines_px=outlines)


def mirror(sample: Sample) -> Sample:
    """Swap left and right."""
    width = sample.image_rgb_u8.shape[1]
    boxes = sample.boxes_xyxy_px.copy()
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    flip = np.array([-1, 1], np.float32)
    outlines = tuple(
        None if outline is None else (outline * flip + np.array([width, 0], np.float32))[::-1]
        for outline in sample.outlines_px
    )
    image = np.ascontiguousarray(sample.image_rgb_u8[:, ::-1])
    return replace(sample, image_rgb_u8=image, boxes_xyxy_px=boxes, outlines_px=outlines)


def crop(sample: Sample, rng: np.random.Generator) -> Sample:
    """Keep a random part of 40..100 % of each side and the objects that have their centre in it."""
    height, width = sample.image_rgb_u8.shape[:2]
    new_w, new_h = (max(int(side * rng.uniform(0.4, 1.0)), 16) for side in (width, height))
    left, top = int(rng.integers(0, width - new_w + 1)), int(rng.integers(0, height - new_h + 1))
    centres = (sample.boxes_xyxy_px[:, :2] + sample.boxes_xyxy_px[:, 2:]) / 2 - [left, top]
    inside = ((centres >= 0) & (centres < [new_w, new_h])).all(1) if len(centres) else np.zeros(0, bool)
    part = np.ascontiguousarray(sample.image_rgb_u8[top : top + new_h, left : left + new_w])
    moved = sample.keep(inside | sample.crowd).moved(1.0, (-left, -top), part)
    boxes = moved.boxes_xyxy_px.clip(0, np.array([new_w, new_h, new_w, new_h], np.float32))
    outlines = tuple(
        None if outline is None else outline.clip(0, np.array([new_w, new_h], np.float32))
        for outline in moved.outlines_px
    )
    clipped = replace(moved, boxes_xyxy_px=boxes.astype(np.float32), outlines_px=outlines)
    return clipped.keep(((boxes[:, 2:] - boxes[:, :2]) > 2).all(1))


def shrink(sample: Sample, rng: np.random.Generator) -> Sample:
    """Place the picture on a larger grey canvas, which makes objects up to 1.8 times smaller."""
    height, width = sample.image_rgb_u8.shape[:2]
    factor = rng.uniform(1.0, 1.8)
    canvas = np.full((int(height * factor), int(width * factor), 3), _GREY, np.uint8)
    top = int(rng.integers(0, canvas.shape[0] - height + 1))
    left = int(rng.integers(0, canvas.shape[1] - width + 1))
    canvas[top : top + height, left : left + width] = sample.image_rgb_u8
    return sample.moved(1.0, (left, top), canvas)


def recolour(image_rgb_u8: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vary brightness, contrast, saturation and colour balance mildly."""
    image = image_rgb_u8.astype(np.float32)
    grey = image.mean(2, keepdims=True)
    image = grey + (image - grey) * rng.uniform(0.6, 1.4)
    image = (image - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-24, 24)
    image *= rng.uniform(0.93, 1.07, 3).astype(np.float32)
    return np.asarray(image.clip(0, 255).astype(np.uint8))


def paste(sample: Sample, donor: Sample, rng: np.random.Generator, most: int = 3) -> Sample:
    """Cut up to `most` outlined objects out of a donor and paste them in, covering what lies under them."""
    chosen = [index for index, outline in enumerate(donor.outlines_px) if outline is not None and len(outline) > 3]
    for index in rng.permutation(chosen)[:most]:
        sample = _paste_one(sample, donor, int(index), rng)
    return sample


def _paste_one(sample: Sample, donor: Sample, index: int, rng: np.random.Generator) -> Sample:
    height, width = sample.image_rgb_u8.shape[:2]
    x0, y0, x1, y1 = donor.boxes_xyxy_px[index].round().astype(int)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return sample
    outline = donor.outlines_px[index]
    assert outline is not None
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(mask, [(outline - [x0, y0]).round().astype(np.int32)], 255)
    scale = min(rng.uniform(0.5, 1.2), 0.7 * width / (x1 - x0), 0.7 * height / (y1 - y0))
    size = (max(int((x1 - x0) * scale), 4), max(int((y1 - y0) * scale), 4))
    cut = cv2.resize(donor.image_rgb_u8[y0:y1, x0:x1], size)
    alpha = cv2.GaussianBlur(cv2.resize(mask, size), (3, 3), 0)[..., None] / 255
    left, top = int(rng.integers(0, width - size[0] + 1)), int(rng.integers(0, height - size[1] + 1))
    image = sample.image_rgb_u8.copy()
    view = image[top : top + size[1], left : left + size[0]]
    if cut.shape != view.shape:
        return sample
    view[:] = (view * (1 - alpha) + cut * alpha).astype(np.uint8)
    box = np.array([left, top, left + size[0], top + size[1]], np.float32)
    visible = _uncovered(sample.boxes_xyxy_px, box) | sample.crowd
    kept = sample.keep(visible)
    moved = ((outline - [x0, y0]) * scale + [left, top]).astype(np.float32)
    return Sample(
        image,
        np.vstack([kept.boxes_xyxy_px, box[None]]).astype(np.float32),
        np.append(kept.labels, donor.labels[index]),
        np.append(kept.crowd, False),
        (*kept.outlines_px, moved),
        np.append(kept.instance_ids, -1),
    )


def _uncovered(boxes: NDArray[np.float32], cover: NDArray[np.float32]) -> NDArray[np.bool_]:
    """True for boxes of which less than 60 % lies under the cover."""
    low, high = np.maximum(boxes[:, :2], cover[:2]), np.minimum(boxes[:, 2:], cover[2:])
    hidden = (high - low).clip(0).prod(1)
    return np.asarray(hidden < 0.6 * (boxes[:, 2:] - boxes[:, :2]).prod(1).clip(1e-6))
