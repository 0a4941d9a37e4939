"""Contact sheets: what is learnt from, as the network sees it; what referring sentences mean."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.seeing import object_mask
from vision_llm_ros.interfaces import Detection, Mask, Perception, Task
from vision_llm_ros.model.geometry import to_xyxy
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.runtime.draw import draw_perception
from vision_llm_ros.runtime.mask_edges import tight_box
from vision_llm_ros.runtime.pictures import read_picture
from vision_llm_ros.training.data import Batch, DetectionData
from vision_llm_ros.training.datasets import Expression, Instance, InstanceSet
from vision_llm_ros.training.losses import Target

logger = logging.getLogger(__name__)

_GAP_PX, _BACKGROUND = 6, 24
_SIDE_PX = 300


def contact_sheet(data: DetectionData, count: int, seed: int) -> NDArray[np.uint8]:
    """Draw `count` augmented samples of the tasks the data serve, in turn, with what is to be found in each.

    Returns:
        uint8[H, W, 3] RGB, about as wide as high.
    Raises:
        InputError: too many pictures cannot be read.
    """
    return _arranged([tile for number in range(count) for tile in _tiles(data, number, seed)])


def referring_sheet(
    dataset: InstanceSet, expressions: Sequence[Expression], count: int, seed: int
) -> NDArray[np.uint8]:
    """Draw `count` sentences over their pictures, with the masks they mean.

    Returns:
        uint8[H, W, 3] RGB, about as wide as high.
    Raises:
        InputError: none of the pictures can be read.
    """
    pictures = {picture.image_id: picture for picture in dataset.pictures}
    homes = {item.annotation_id: item for item in dataset.instances}
    tiles = []
    for index in np.random.default_rng(seed).permutation(len(expressions)):
        expression = expressions[int(index)]
        targets = [homes[target] for target in expression.annotation_ids]
        try:
            tiles.append(_meant(read_picture(pictures[expression.image_id].path), expression.sentence, targets))
        except InputError as error:
            logger.warning("%s; it is left out of the sheet", error)
        if len(tiles) == count:
            break
    if not tiles:
        raise InputError(f"None of the pictures of {len(expressions)} sentences can be read")
    return _arranged(tiles)


def _meant(image: NDArray[np.uint8], sentence: str, targets: Sequence[Instance]) -> NDArray[np.uint8]:
    square = Letterbox((image.shape[1], image.shape[0]), _SIDE_PX)
    small = square.apply(image)
    masks = []
    for number, item in enumerate(targets):
        coloured = np.repeat(object_mask(item, image.shape)[..., None].astype(np.uint8) * np.uint8(255), 3, axis=2)
        inside = (square.apply(coloured) > 128)[..., 0]
        inside[square.inner_wh_px[1] :] = inside[:, square.inner_wh_px[0] :] = False
        if (box := tight_box(inside)) is not None:
            masks.append(Mask(f"{number + 1}", 1.0, inside, box))
    return draw_perception(small, Perception(Task.SEGMENT, masks=tuple(masks)), sentence)


def _arranged(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    columns = max(1, round(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    pitch = _SIDE_PX + _GAP_PX
    sheet = np.full((rows * pitch + _GAP_PX, columns * pitch + _GAP_PX, 3), _BACKGROUND, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (_GAP_PX + pitch * index for index in divmod(place, columns))
        sheet[top : top + _SIDE_PX, left : left + _SIDE_PX] = tile
    return sheet


def _tiles(data: DetectionData, number: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    tasks = [Task.DETECT, *([Task.POLYGON] if data.outlined else []), *([Task.GROUND] if data.expressions else [])]
    for batch in data.draw(tasks[number % len(tasks)], 1, (seed, number)):
        yield _tile(batch)


def _tile(batch: Batch) -> NDArray[np.uint8]:
    square = np.ascontiguousarray(batch.images_rgb_u8[0].permute(1, 2, 0).numpy())
    image = np.asarray(cv2.resize(square, (_SIDE_PX, _SIDE_PX)), np.uint8)
    found = tuple(_detections(batch.targets[0], batch.instruction.classes))
    return draw_perception(image, Perception(batch.instruction.task, detections=found), str(batch.instruction.task))


def _detections(target: Target, classes: tuple[str, ...]) -> Iterator[Detection]:
    """The targets of one picture in pixels of the tile."""
    boxes = (to_xyxy(target.boxes_cxcywh) * _SIDE_PX).tolist()
    outlines = (target.points_xy * _SIDE_PX).numpy().astype(np.float32)
    for label, box, outline, known in zip(
        target.labels.tolist(), boxes, outlines, target.has_points.tolist(), strict=True
    ):
        polygon = outline if known and len(outline) > 2 else None
        x_min, y_min, x_max, y_max = box
        yield Detection(classes[label], label, 1.0, (x_min, y_min, x_max, y_max), polygon)
