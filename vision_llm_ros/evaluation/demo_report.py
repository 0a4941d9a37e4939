"""What a recorded run of the nodes shows: summary.json and report.html out of the recording alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.bag_types import IMAGE_TYPES, stamp_of, typestore
from vision_llm_ros.evaluation.bags import BagReader
from vision_llm_ros.evaluation.plots import latency_plot, timeline_plot
from vision_llm_ros.evaluation.replay_report import add_commands, add_problems, command_spans, percentile_row
from vision_llm_ros.evaluation.report import Page, percentiles
from vision_llm_ros.interfaces import COMPUTED, CommandState, Detection, Perception, Result, Status, Task, TaskSpec
from vision_llm_ros.runtime.draw import draw_result

DETECTIONS = "vision_llm_ros/msg/Detections"
STATUS = "vision_llm_ros/msg/CommandStatus"


@dataclass
class Run:
    """A recorded run.

    Attributes:
        frames_ns: stamps of the pictures the camera sent.
        results: in order of recording, with the seconds since the first picture.
        commands: one entry per command generation, in order of their first say-back.
    """

    frames_ns: list[int] = field(default_factory=list)
    results: list[tuple[float, Result]] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    end_s: float = 0.0

    def summary(self) -> dict[str, Any]:
        """The keys of summary.json."""
        results = [result for _, result in self.results]
        computed = [result for result in results if result.perception.status in COMPUTED]
        sent = set(self.frames_ns)
        return {
            "frames_in": len(self.frames_ns),
            "results": len(results),
            "stamps_match": bool(results) and all(result.stamp_ns in sent for result in results),
            "commands": [
                {key: entry[key] for key in ("id", "text", "task", "state", "say_back")} for entry in self.commands
            ],
            "status_counts": dict(Counter(result.perception.status.name for result in results)),
            "detections": sum(len(result.perception.detections) for result in results),
            "labels": dict(Counter(item.label for result in results for item in result.perception.detections)),
            "latency_ms": percentiles([result.latency_ms for result in computed]),
            "age_ms": percentiles([result.frame_age_ms for result in computed]),
            "model": results[0].model if results else "",
            "weights_hash": results[0].weights_hash if results else "",
        }


def read_run(recording: Path) -> Run:
    """Read pictures' stamps, results and say-backs.

    Raises:
        RecordingError: the recording cannot be opened.
    """
    run = Run()
    begin_ns: int | None = None
    says: dict[tuple[str, int, str], dict[str, Any]] = {}
    for msgtype, recorded_ns, message in _messages(recording):
        begin_ns = recorded_ns if begin_ns is None else begin_ns
        at_s = (recorded_ns - begin_ns) / 1e9
        run.end_s = max(run.end_s, at_s)
        if msgtype in IMAGE_TYPES:
            run.frames_ns.append(stamp_of(message))
        elif msgtype == DETECTIONS:
            run.results.append((at_s, result_of(message)))
        elif msgtype == STATUS:
            _note(says, message, at_s)
    counts = Counter((result.command_id, result.generation) for _, result in run.results)
    for (command_id, generation, _), entry in says.items():
        run.commands.append({**entry, "results": counts[command_id, generation]})
    return run


def result_of(message: Any) -> Result:
    """The interface type of a recorded Detections message."""
    info = message.info
    task = Task(info.task)
    detections = tuple(
        Detection(
            item.label,
            int(item.class_index),
            float(item.score),
            (float(item.x_min), float(item.y_min), float(item.x_max), float(item.y_max)),
            np.asarray(item.polygon, np.float32).reshape(-1, 2) if len(item.polygon) else None,
            int(item.track_id),
        )
        for item in message.detections
    )
    stages = {stage.stage: float(stage.duration_ms) for stage in info.stages}
    return Result(
        command_id=info.command_id,
        generation=int(info.generation),
        spec=TaskSpec(task, tuple(dict.fromkeys(message.classes))),
        stamp_ns=stamp_of(message),
        frame_id=message.header.frame_id,
        camera=info.camera,
        image_size_wh_px=(int(message.image_width), int(message.image_height)),
        perception=Perception(task, Status(info.status), info.text, detections, stage_ms=stages),
        model=info.model,
        weights_hash=info.weights_hash,
        latency_ms=float(info.latency_ms),
        frame_age_ms=float(info.frame_age_ms),
    )


def demo_page(run: Run, recording: Path, credits: list[str], num_pictures: int = 12) -> Page:
    """The report: pictures, commands, time, counts, attribution."""
    summary = run.summary()
    page = Page("vision_llm_ros at work", f"model {summary['model']} ({summary['weights_hash']}), {recording.name}")
    wrong = [] if summary["stamps_match"] else ["A result carries a stamp that no picture had."]
    add_problems(page, wrong, [])
    page.numbers(
        {
            "pictures in": summary["frames_in"],
            "results": summary["results"],
            "detections": summary["detections"],
            "latency p50, ms": summary["latency_ms"]["p50"],
            "latency p95, ms": summary["latency_ms"]["p95"],
            "age p95, ms": summary["age_ms"]["p95"],
            "stamps match": summary["stamps_match"],
        }
    )
    page.section("What the robot saw")
    page.pictures(drawn(run, recording, num_pictures))
    page.section("Commands")
    add_commands(page, run.commands)
    page.plot(
        timeline_plot(command_spans(run.commands, run.end_s), {"results": [at for at, _ in run.results]}, run.end_s)
    )
    page.section("Time")
    page.plot(latency_plot(_series(run)))
    page.table(("", "p50 ms", "p95 ms", "p99 ms"), [percentile_row(name, summary) for name in ("latency", "age")])
    page.section("Results by status")
    page.table(("status", "results"), summary["status_counts"].items())
    page.section("Findings by label")
    page.table(("label", "findings"), summary["labels"].items())
    page.section("Photographs")
    page.items(credits)
    return page


def drawn(run: Run, recording: Path, most: int) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """Pictures with results drawn on them, spread over the run."""
    chosen = {result.stamp_ns: (at_s, result) for at_s, result in choose(run, most)}
    with BagReader(recording) as bag:
        for image in bag.images(bag.choose()):
            if image.stamp_ns not in chosen:
                continue
            at_s, result = chosen.pop(image.stamp_ns)
            try:
                picture = image.decode().image_rgb_u8
            except InputError:
                continue
            said = next((entry["text"] for entry in run.commands if entry["id"] == result.command_id), "")
            yield draw_result(picture, result), f"{at_s:.1f} s: {said}"


def choose(run: Run, most: int) -> list[tuple[float, Result]]:
    """Of each stretch of the run the result that says most: a failure, else the surest findings."""
    best: dict[int, tuple[float, Result]] = {}
    for at_s, result in run.results:
        place = min(most - 1, int(at_s / max(run.end_s, 1e-3) * most))
        if place not in best or _weight(result) > _weight(best[place][1]):
            best[place] = (at_s, result)
    return [best[place] for place in sorted(best)]


def _weight(result: Result) -> float:
    failed = result.perception.status in (Status.ERROR, Status.REJECTED)
    return 1e6 * failed + sum(item.score for item in result.perception.detections)


def _series(run: Run) -> dict[str, list[tuple[float, float]]]:
    computed = [(at_s, result) for at_s, result in run.results if result.perception.status in COMPUTED]
    return {
        "latency": [(at_s, result.latency_ms) for at_s, result in computed],
        "age": [(at_s, result.frame_age_ms) for at_s, result in computed],
    }


def _note(says: dict[tuple[str, int, str], dict[str, Any]], message: Any, at_s: float) -> None:
    key = (message.command_id, int(message.generation), message.command_text)
    entry = says.setdefault(
        key, {"id": message.command_id, "text": message.command_text, "task": message.task, "begin_s": at_s}
    )
    state = CommandState(message.state)
    # The first say-back tells what was understood; the last state how it ended.
    entry.setdefault("say_back", message.text)
    entry |= {"state": state.name, "end_s": at_s}


def _messages(recording: Path) -> Iterator[tuple[str, int, Any]]:
    with BagReader(recording):
        pass  # names every way in which a recording can be unusable
    with AnyReader([recording], default_typestore=typestore()) as reader:
        for connection, recorded_ns, data in reader.messages():
            if connection.msgtype in (*IMAGE_TYPES, DETECTIONS, STATUS):
                yield connection.msgtype, recorded_ns, reader.deserialize(data, connection.msgtype)
