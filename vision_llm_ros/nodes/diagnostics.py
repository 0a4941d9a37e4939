"""What /diagnostics says about the perception node."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from vision_llm_ros.runtime.slots import LatestFrameSlot
from vision_llm_ros.runtime.statistics import Percentiles, Summary
from vision_llm_ros.runtime.worker import Arrival, Worker

SILENT_AFTER_S = 2.0


def diagnostics(
    node: Node, state: str, worker: Worker | None, dialogue: Sequence[Mapping[str, Any]] = ()
) -> DiagnosticArray:
    """One status for the node and its model, one for the commands, one for the dialogue, one for each camera.

    Args:
        dialogue: what follow-up sentences may refer to, the last answer first.
    """
    message = DiagnosticArray()
    message.header.stamp = node.get_clock().now().to_msg()
    if worker is None:
        entries = [_status(node, "model", DiagnosticStatus.WARN, f"{state}: no model is loaded", {})]
    else:
        referable = {str(number): json.dumps(turn) for number, turn in enumerate(dialogue)}
        told = _status(node, "dialogue", DiagnosticStatus.OK, f"{len(dialogue)} answers can be referred to", referable)
        entries = [_model(node, state, worker), _commands(node, worker), told, *_cameras(node, state, worker)]
    message.status = entries
    return message


def _model(node: Node, state: str, worker: Worker) -> DiagnosticStatus:
    engine, summary = worker.engine, worker.summary()
    level = DiagnosticStatus.WARN if state != "active" else DiagnosticStatus.OK
    text = f"{state}: {engine.name} on {engine.device} in {engine.dtype}"
    if summary.failure:
        level, text = DiagnosticStatus.ERROR, f"computing failed: {summary.failure}"
    values = {
        "model": engine.name,
        "weights_hash": engine.weights_hash,
        "device": engine.device,
        "dtype": engine.dtype,
        "tasks": ", ".join(sorted(engine.tasks)),
        **measured(summary),
    }
    return _status(node, "model", level, text, values)


def measured(summary: Summary) -> dict[str, str]:
    """Rate, percentiles and counters as diagnostic values."""
    return {
        "fps": f"{summary.fps:.2f}",
        **_percentiles("latency_ms", summary.latency_ms),
        **_percentiles("frame_age_ms", summary.age_ms),
        **{f"results_{status.name.lower()}": str(count) for status, count in sorted(summary.statuses.items())},
        **{f"dropped_{reason}": str(count) for reason, count in sorted(summary.drops.items())},
    }


def _percentiles(name: str, values: Percentiles) -> dict[str, str]:
    numbers = {"p50": values.p50, "p95": values.p95, "p99": values.p99}
    return {f"{name}_{key}": "" if math.isnan(number) else f"{number:.1f}" for key, number in numbers.items()}


def _commands(node: Node, worker: Worker) -> DiagnosticStatus:
    live = worker.live_commands()
    values = {f"{entry.id} generation {entry.generation}": entry.command.text for entry in live}
    return _status(node, "commands", DiagnosticStatus.OK, f"{len(live)} live", values)


def _cameras(node: Node, state: str, worker: Worker) -> Iterable[DiagnosticStatus]:
    for camera in worker.book.cameras:
        slot = worker.camera_slot(camera)
        text = camera_state(slot, time.monotonic())
        calm = text == "ok" or state != "active"
        values = {"state": text, "frames": str(slot.offered), "taken_up": str(slot.taken)}
        level = DiagnosticStatus.OK if calm else DiagnosticStatus.WARN
        yield _status(node, f"camera {camera}".rstrip(), level, text, values)


def camera_state(slot: LatestFrameSlot[Arrival], now: float) -> str:
    """ "waiting" before the first frame, "ok", or for how long nothing has come."""
    if slot.last_offer_s is None:
        return "waiting for the first frame"
    silent_s = now - slot.last_offer_s
    return "ok" if silent_s <= SILENT_AFTER_S else f"silent for {silent_s:.0f} s"


def _status(node: Node, part: str, level: bytes, text: str, values: Mapping[str, str]) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level,
        name=f"{node.get_name()}: {part}",
        message=text,
        hardware_id=node.get_fully_qualified_name(),
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
