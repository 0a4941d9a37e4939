"""Results and say-backs as ROS messages for recordings, without ROS; fields as in msg/*.msg.

Detections and masks are written a second time as Foxglove image annotations, which viewers draw over the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.evaluation.bag_types import ANNOTATIONS, header_message, time_message, typestore
from vision_llm_ros.interfaces import COMPUTED, Box, Caption, Detection, Mask, Restored, Result, Task
from vision_llm_ros.runtime.draw import colours_of, label_image
from vision_llm_ros.runtime.scheduler import CommandEvent

OURS = "vision_llm_ros/msg/"
Topical = tuple[str, str, Any]


def result_messages(result: Result, prefix: str = "/perception") -> Iterator[Topical]:
    """(topic, type, message) of a result, on the topic of its task; also when nothing was found."""
    header, info = header_message(result.stamp_ns, result.frame_id), _info(result)
    task = result.spec.task
    masks = task is Task.SEGMENT or bool(result.perception.masks)
    if masks:
        yield f"{prefix}/masks", f"{OURS}Masks", _masks(result, header, info)
    if masks and result.perception.status in COMPUTED:
        labels = label_image(result.perception.masks, result.image_size_wh_px)
        yield f"{prefix}/mask_image", "sensor_msgs/msg/Image", _image(labels, "mono8", header)
    if task is Task.SEGMENT:
        yield f"{prefix}/annotations", ANNOTATIONS, image_annotations(result)
    elif task in (Task.CAPTION, Task.ANSWER, Task.MATCH, Task.RECALL):
        caption = result.perception.caption or Caption("", 0.0, result.spec.phrase)
        message = _type("Caption")(header, info, caption.question, caption.text, caption.score)
        yield f"{prefix}/caption", f"{OURS}Caption", message
    elif task is Task.RESTORE:
        yield f"{prefix}/restored", f"{OURS}RestoredFrame", _restored(result, header, info)
    else:
        yield f"{prefix}/detections", f"{OURS}Detections", _detections(result, header, info)
        yield f"{prefix}/annotations", ANNOTATIONS, image_annotations(result)


def status_message(event: CommandEvent, stamp_ns: int, prefix: str = "/perception") -> Topical:
    """(topic, type, message) of one say-back."""
    spec = event.spec
    message = _type("CommandStatus")(
        header_message(stamp_ns, ""),
        event.command_id,
        event.generation,
        int(event.state),
        event.command_text,
        str(spec.task) if spec else "",
        list(spec.classes) if spec else [],
        spec.phrase if spec else "",
        spec.rate_hz if spec else 0.0,
        event.text,
        event.nearest,
    )
    return f"{prefix}/status", f"{OURS}CommandStatus", message


def image_annotations(result: Result) -> Any:
    """Findings as foxglove_msgs/ImageAnnotations: outlines and labels in pixels of the source image."""
    items: tuple[Detection | Mask, ...] = (*result.perception.detections, *result.perception.masks)
    types, time = typestore().types, time_message(result.stamp_ns)
    point, colour = types["foxglove_msgs/msg/Point2"], types["foxglove_msgs/msg/Color"]
    colours = colours_of((*result.spec.classes, *(item.label for item in items)))
    thickness = max(1.0, min(result.image_size_wh_px) / 220)
    outlines, texts = [], []
    for item in items:
        red, green, blue = (value / 255 for value in colours[item.label])
        line, fill = colour(red, green, blue, 1.0), colour(red, green, blue, 0.1)
        for outline in _outlines(item):
            corners = [point(float(x), float(y)) for x, y in outline]
            outlines.append(types["foxglove_msgs/msg/PointsAnnotation"](time, 2, corners, line, [], fill, thickness))
        place, label = point(*(float(value) for value in item.box_xyxy_px[:2])), f"{item.label} {item.score:.2f}"
        dark = colour(0.09, 0.1, 0.13, 1.0)
        texts.append(types["foxglove_msgs/msg/TextAnnotation"](time, place, label, 8 * thickness, dark, line))
    return types[ANNOTATIONS]([], outlines, texts)


def _type(name: str) -> Any:
    return typestore().types[OURS + name]


def _info(result: Result) -> Any:
    perception = result.perception
    return _type("ResultInfo")(
        result.command_id,
        result.generation,
        str(result.spec.task),
        int(perception.status),
        perception.text,
        result.model,
        result.weights_hash,
        [_type("StageTime")(name, value) for name, value in perception.stage_ms.items()],
        result.latency_ms,
        result.frame_age_ms,
        result.camera,
    )


def _detections(result: Result, header: Any, info: Any) -> Any:
    items = [
        _type("Detection")(
            item.label,
            item.class_index,
            item.score,
            *(float(value) for value in item.box_xyxy_px),
            np.zeros(0, np.float32) if item.polygon_xy_px is None else np.float32(item.polygon_xy_px).reshape(-1),
            item.track_id,
        )
        for item in result.perception.detections
    ]
    return _type("Detections")(header, info, *result.image_size_wh_px, list(result.spec.classes), items)


def _masks(result: Result, header: Any, info: Any) -> Any:
    masks = [_mask(item) for item in result.perception.masks]
    return _type("Masks")(header, info, *result.image_size_wh_px, result.perception.text, masks)


def _mask(item: Mask) -> Any:
    x_min, y_min, x_max, y_max = whole_pixels(item.box_xyxy_px, item.inside.shape)
    crop = item.inside[y_min:y_max, x_min:x_max]
    data = (crop.astype(np.uint8) * 255).reshape(-1)
    height, width = crop.shape
    count = int(item.inside.sum())
    return _type("Mask")(item.label, item.score, x_min, y_min, width, height, data, count, item.track_id)


def whole_pixels(box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The smallest whole-pixel box around `box` (xyxy, pixels) inside a picture of `shape` (H, W)."""
    x_min, y_min, x_max, y_max = box
    left, top = max(0, int(np.floor(x_min))), max(0, int(np.floor(y_min)))
    return left, top, max(left, min(shape[1], int(np.ceil(x_max)))), max(top, min(shape[0], int(np.ceil(y_max))))


def _restored(result: Result, header: Any, info: Any) -> Any:
    nothing = Restored(np.zeros((0, 0, 3), np.uint8), "none", 0.0, 0.0)
    restored = result.perception.restored or nothing
    image = _image(restored.image_rgb_u8, "rgb8", header)
    quality = (restored.quality_before, restored.quality_after)
    return _type("RestoredFrame")(header, info, restored.kind, *quality, restored.synthetic, image)


def _image(pixels: NDArray[np.uint8], encoding: str, header: Any) -> Any:
    height, width = pixels.shape[:2]
    step, data = pixels.size // max(height, 1), np.ascontiguousarray(pixels).reshape(-1)
    return typestore().types["sensor_msgs/msg/Image"](header, height, width, encoding, 0, step, data)


def _outlines(item: Detection | Mask) -> Iterator[Any]:
    """Closed lines through points xy in source pixels; a mask in several parts has several."""
    if isinstance(item, Mask):
        contours, _ = cv2.findContours(item.inside.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        # OpenCV counts from the centre of the first pixel, we from its corner
        yield from (contour.reshape(-1, 2) + 0.5 for contour in contours)
    elif item.polygon_xy_px is not None:
        yield item.polygon_xy_px
    else:
        x_min, y_min, x_max, y_max = item.box_xyxy_px
        yield ((x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max))
