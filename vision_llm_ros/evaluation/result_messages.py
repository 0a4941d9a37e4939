"""Results and say-backs as ROS messages for recordings, without ROS; fields as in msg/*.msg.

Detections are written a second time as Foxglove image annotations, which viewers draw over the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vision_llm_ros.evaluation.bag_types import ANNOTATIONS, header_message, time_message, typestore
from vision_llm_ros.interfaces import Box, Caption, Detection, Mask, Restored, Result, Task
from vision_llm_ros.runtime.draw import colours_of
from vision_llm_ros.runtime.scheduler import CommandEvent

OURS = "vision_llm_ros/msg/"
Topical = tuple[str, str, Any]


def result_messages(result: Result, prefix: str = "/perception") -> Iterator[Topical]:
    """(topic, type, message) of a result, on the topic of its task; also when nothing was found."""
    header, info = header_message(result.stamp_ns, result.frame_id), _info(result)
    task = result.spec.task
    if task is Task.SEGMENT:
        yield f"{prefix}/masks", f"{OURS}Masks", _masks(result, header, info)
    elif task in (Task.CAPTION, Task.ANSWER, Task.MATCH):
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
    """Detections as foxglove_msgs/ImageAnnotations: outlines and labels in pixels of the source image."""
    types, time = typestore().types, time_message(result.stamp_ns)
    point, colour = types["foxglove_msgs/msg/Point2"], types["foxglove_msgs/msg/Color"]
    colours = colours_of((*result.spec.classes, *(item.label for item in result.perception.detections)))
    thickness = max(1.0, min(result.image_size_wh_px) / 220)
    outlines, texts = [], []
    for item in result.perception.detections:
        red, green, blue = (value / 255 for value in colours[item.label])
        line, corners = colour(red, green, blue, 1.0), [point(float(x), float(y)) for x, y in _outline(item)]
        fill = colour(red, green, blue, 0.1)
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
    height, width = restored.image_rgb_u8.shape[:2]
    pixels = np.ascontiguousarray(restored.image_rgb_u8).reshape(-1)
    image = typestore().types["sensor_msgs/msg/Image"](header, height, width, "rgb8", 0, 3 * width, pixels)
    quality = (restored.quality_before, restored.quality_after)
    return _type("RestoredFrame")(header, info, restored.kind, *quality, restored.synthetic, image)


def _outline(item: Detection) -> Any:
    if item.polygon_xy_px is not None:
        return item.polygon_xy_px
    x_min, y_min, x_max, y_max = item.box_xyxy_px
    return ((x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max))
