"""Results as plain values for JSON files. Boxes are xyxy in pixels of the source picture."""

from __future__ import annotations

from typing import Any

from vision_llm_ros.interfaces import Caption, Detection, Mask, Perception, Restored, Result, TaskSpec


def spec_values(spec: TaskSpec) -> dict[str, Any]:
    """What was understood of a command."""
    return {
        "task": str(spec.task),
        "classes": list(spec.classes),
        "phrase": spec.phrase,
        "mode": str(spec.mode),
        "rate_hz": spec.rate_hz,
        "region_xyxy": list(spec.region),
        "read_by": "language model" if spec.routed else "grammar",
        "confidence": round(spec.routed, 4) if spec.routed else 1.0,
        "prompt": None if spec.prompt is None else {"kind": str(spec.prompt.kind), "points_xy": spec.prompt.points_xy},
    }


def perception_values(perception: Perception) -> dict[str, Any]:
    """What an engine returned; pictures and masks are summed up by their numbers."""
    return {
        "status": perception.status.name,
        "text": perception.text,
        "detections": [_detection(item) for item in perception.detections],
        "masks": [_mask(item) for item in perception.masks],
        "caption": None if perception.caption is None else _caption(perception.caption),
        "restored": None if perception.restored is None else _restored(perception.restored),
        "stage_ms": {name: round(value, 3) for name, value in perception.stage_ms.items()},
    }


def result_values(result: Result) -> dict[str, Any]:
    """A result with the command and the frame it belongs to."""
    return {
        "command_id": result.command_id,
        "generation": result.generation,
        "camera": result.camera,
        "stamp_ns": result.stamp_ns,
        "latency_ms": round(result.latency_ms, 3),
        "frame_age_ms": round(result.frame_age_ms, 3),
        "task": str(result.spec.task),
        **perception_values(result.perception),
    }


def _detection(item: Detection) -> dict[str, Any]:
    points = item.polygon_xy_px
    return {
        "label": item.label,
        "score": round(float(item.score), 4),
        "box_xyxy_px": [round(float(value), 2) for value in item.box_xyxy_px],
        "polygon_xy_px": None if points is None else [[round(float(x), 2), round(float(y), 2)] for x, y in points],
        "track_id": item.track_id,
    }


def _mask(item: Mask) -> dict[str, Any]:
    return {
        "label": item.label,
        "score": round(float(item.score), 4),
        "box_xyxy_px": [round(float(value), 2) for value in item.box_xyxy_px],
        "pixel_count": int(item.inside.sum()),
        "track_id": item.track_id,
    }


def _caption(item: Caption) -> dict[str, Any]:
    values: dict[str, Any] = {"question": item.question, "text": item.text, "score": round(float(item.score), 4)}
    if item.seen_ns is not None:
        values |= {"first_seen_ns": item.seen_ns[0], "last_seen_ns": item.seen_ns[1]}
    return values


def _restored(item: Restored) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "quality_before": round(item.quality_before, 4),
        "quality_after": round(item.quality_after, 4),
        "synthetic": item.synthetic,
    }
