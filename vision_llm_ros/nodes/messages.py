"""Generated messages <-> the package's own types. Source headers go through untouched."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from vision_llm_ros import msg
from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import Command, Detection, Mask, Mode, Result, Task
from vision_llm_ros.nodes.images import as_bytes, to_image
from vision_llm_ros.runtime.draw import label_image
from vision_llm_ros.runtime.regions import read_region
from vision_llm_ros.runtime.scheduler import CommandEvent

MODES = {0: None, 1: Mode.ONCE, 2: Mode.CONTINUOUS, 3: Mode.STOP}
TOPICS: dict[Task, str] = {
    Task.DETECT: "detections",
    Task.GROUND: "detections",
    Task.POLYGON: "detections",
    Task.TRACK: "detections",
    Task.SEGMENT: "masks",
    Task.RESTORE: "restored",
    Task.CAPTION: "caption",
    Task.ANSWER: "caption",
    Task.MATCH: "caption",
    Task.RECALL: "caption",
}


def stamp_ns_of(header: Header) -> int:
    """Nanoseconds of a header's stamp; 0 if it was left empty."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def to_command(message: msg.Command) -> Command:
    """Read Command.msg.

    Raises:
        InputError: unknown mode, or a bad region (see `regions.read_region`).
    """
    if message.mode not in MODES:
        raise InputError(f"mode: expected 0..3 (Command.MODE_*), got {message.mode}")
    return Command(
        text=message.text,
        id=message.id,
        mode=MODES[message.mode],
        rate_hz=_meant(message.rate_hz),
        time_to_live_s=_meant(message.time_to_live_s),
        priority=message.priority,
        camera=message.camera,
        region=read_region([_meant(value) for value in message.region]),
        asr_confidence=_meant(message.asr_confidence),
    )


def _meant(value: float) -> float:
    """The decimal number that was put into a float32 field: 0.9, not 0.8999999761581421."""
    return float(str(np.float32(value)))


def status_message(event: CommandEvent, stamp: Time) -> msg.CommandStatus:
    """Write a say-back."""
    message = msg.CommandStatus(
        header=Header(stamp=stamp),
        command_id=event.command_id,
        generation=event.generation,
        state=int(event.state),
        command_text=event.command_text,
        text=event.text,
        nearest=event.nearest,
    )
    if event.spec is not None:
        message.task = str(event.spec.task)
        message.classes = list(event.spec.classes)
        message.phrase = event.spec.phrase
        message.rate_hz = float(event.spec.rate_hz)
    return message


def info_message(result: Result) -> msg.ResultInfo:
    """Who asked, what came of it, how long it took."""
    perception = result.perception
    return msg.ResultInfo(
        command_id=result.command_id,
        generation=result.generation,
        task=str(perception.task),
        status=int(perception.status),
        text=perception.text,
        model=result.model,
        weights_hash=result.weights_hash,
        stages=[msg.StageTime(stage=name, duration_ms=float(ms)) for name, ms in perception.stage_ms.items()],
        latency_ms=float(result.latency_ms),
        frame_age_ms=float(result.frame_age_ms),
        camera=result.camera,
    )


def result_message(result: Result, header: Header) -> Any:
    """The one message that carries this task's result; `TOPICS` names its topic."""
    writers = {
        "detections": detections_message,
        "masks": masks_message,
        "restored": restored_message,
        "caption": caption_message,
    }
    return writers[TOPICS[result.perception.task]](result, header)


def detections_message(result: Result, header: Header) -> msg.Detections:
    width, height = result.image_size_wh_px
    return msg.Detections(
        header=header,
        info=info_message(result),
        image_width=width,
        image_height=height,
        classes=list(result.spec.classes),
        detections=[_detection_message(item) for item in result.perception.detections],
    )


def _detection_message(item: Detection) -> msg.Detection:
    x_min, y_min, x_max, y_max = (float(value) for value in item.box_xyxy_px)
    message = msg.Detection(
        label=item.label,
        class_index=item.class_index,
        score=float(item.score),
        x_min=x_min,
        y_min=y_min,
        x_max=x_max,
        y_max=y_max,
        track_id=item.track_id,
    )
    if item.polygon_xy_px is not None:
        message.polygon = array("f", np.asarray(item.polygon_xy_px, np.float32).reshape(-1).tolist())
    return message


def masks_message(result: Result, header: Header) -> msg.Masks:
    width, height = result.image_size_wh_px
    return msg.Masks(
        header=header,
        info=info_message(result),
        image_width=width,
        image_height=height,
        answer=result.perception.text,
        masks=[_mask_message(item) for item in result.perception.masks],
    )


def _mask_message(item: Mask) -> msg.Mask:
    """Crop to the box, widened to whole pixels."""
    height, width = item.inside.shape
    x_min, y_min = (max(0, int(np.floor(value))) for value in item.box_xyxy_px[:2])
    x_max, y_max = (int(np.ceil(value)) for value in item.box_xyxy_px[2:])
    crop = item.inside[y_min : min(y_max, height), x_min : min(x_max, width)]
    message = msg.Mask(
        label=item.label,
        score=float(item.score),
        x_offset=x_min,
        y_offset=y_min,
        width=crop.shape[1],
        height=crop.shape[0],
        pixel_count=int(np.count_nonzero(crop)),
        track_id=item.track_id,
    )
    message.data = as_bytes(np.ascontiguousarray(crop.astype(np.uint8) * np.uint8(255)))
    return message


def restored_message(result: Result, header: Header) -> msg.RestoredFrame:
    message = msg.RestoredFrame(header=header, info=info_message(result), kind="none")
    restored = result.perception.restored
    if restored is not None:
        message.kind = restored.kind or "none"
        message.quality_before, message.quality_after = float(restored.quality_before), float(restored.quality_after)
        message.synthetic = restored.synthetic
        message.image = to_image(restored.image_rgb_u8, header=header)
    else:
        message.image.header = header
    return message


def caption_message(result: Result, header: Header) -> msg.Caption:
    caption = result.perception.caption
    message = msg.Caption(header=header, info=info_message(result))
    if caption is not None:
        message.question, message.text, message.score = caption.question, caption.text, float(caption.score)
    elif result.perception.task is not Task.CAPTION:
        message.question = result.spec.phrase
    return message


def mask_image(result: Result, header: Header) -> Image:
    """All masks as one mono8 label image, see `draw.label_image`."""
    width, height = result.image_size_wh_px
    message = Image(header=header, height=height, width=width, encoding="mono8", step=width)
    message.data = as_bytes(label_image(result.perception.masks, (width, height)))
    return message


def label_info(result: Result, header: Header, vision_msgs: Any) -> Any:
    """What the values of `mask_image` mean, as vision_msgs/LabelInfo; 0, which means nothing, is not listed."""
    message = vision_msgs.LabelInfo(header=header)
    for value, item in enumerate(result.perception.masks[:255], 1):
        message.class_map.append(vision_msgs.VisionClass(class_id=value, class_name=item.label))
    return message


def detection_2d_array(result: Result, header: Header, vision_msgs: Any) -> Any:
    """The same detections as vision_msgs/Detection2DArray; `vision_msgs` is that package's msg module."""
    message = vision_msgs.Detection2DArray(header=header)
    for item in result.perception.detections:
        x_min, y_min, x_max, y_max = (float(value) for value in item.box_xyxy_px)
        one = vision_msgs.Detection2D(header=header, id="" if item.track_id < 0 else str(item.track_id))
        one.bbox.center.position.x, one.bbox.center.position.y = (x_min + x_max) / 2, (y_min + y_max) / 2
        one.bbox.size_x, one.bbox.size_y = x_max - x_min, y_max - y_min
        hypothesis = vision_msgs.ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = item.label, float(item.score)
        one.results.append(hypothesis)
        message.detections.append(one)
    return message
