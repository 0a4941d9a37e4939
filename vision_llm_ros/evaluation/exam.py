"""The exam of one recording: replay it, collect numbers and pictures, write the files of the report."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import RecordingError
from vision_llm_ros.evaluation.bag_metrics import Annotated, load_annotated
from vision_llm_ros.evaluation.bag_writer import BagWriter
from vision_llm_ros.evaluation.bags import BagReader, ImageTopic, RecordedImage
from vision_llm_ros.evaluation.commands_file import TimedCommand
from vision_llm_ros.evaluation.pictures_to_bag import file_names
from vision_llm_ros.evaluation.replay import Replay, Sink, Tally
from vision_llm_ros.evaluation.report import percentiles
from vision_llm_ros.evaluation.result_messages import result_messages, status_message
from vision_llm_ros.interfaces import COMPUTED, CommandState, Engine, Result, Status
from vision_llm_ros.runtime.draw import draw_result
from vision_llm_ros.runtime.scheduler import CommandEvent, Parser
from vision_llm_ros.runtime.slots import Drop

ACCURACY = ("box_ap", "box_ap50", "box_ap75", "per_class", "images")
THRESHOLDS = (
    *("frames_in", "frames_answered", "frames_dropped", "drop_rate", "drops", "results", "results_per_s"),
    *("detections", "labels", "status_counts", "latency_ms", "age_ms", "latency_p50_ms", "latency_p95_ms"),
    *("latency_p99_ms", "age_p50_ms", "age_p95_ms", "age_p99_ms", "engine_s", "decode_s", "wall_s"),
    "overhead_percent",
)


@dataclass(frozen=True)
class ExamOptions:
    """How a recording is examined.

    Attributes:
        realtime: recorded timing and dropped pictures instead of every frame.
        topics: image topics; empty: all.
        annotations: COCO instances file for accuracy, or None.
        pictures: most drawn pictures in the report.
        limit: stop after so many pictures; 0: all.
    """

    realtime: bool = False
    topics: tuple[str, ...] = ()
    annotations: Path | None = None
    pictures: int = 12
    limit: int = 0


@dataclass
class Collector:
    """Sink of a replay: numbers for the report, a few drawn pictures, results into a recording.

    Attributes:
        points: per result (seconds, latency ms, age ms, status).
        samples: drawn pictures with captions, spread over the whole recording.
    """

    writer: BagWriter
    begin_ns: int
    most_pictures: int
    annotated: Annotated | None = None
    others: tuple[Sink, ...] = ()
    points: list[tuple[float, float, float, Status]] = field(default_factory=list)
    samples: list[tuple[NDArray[np.uint8], str]] = field(default_factory=list)
    events: list[tuple[float, int, CommandEvent]] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    results_of: Counter[tuple[str, int]] = field(default_factory=Counter)
    _frames: int = 0
    _stride: int = 1

    def result(self, result: Result, at_s: float) -> None:
        perception = result.perception
        self.points.append((at_s, result.latency_ms, result.frame_age_ms, perception.status))
        self.labels.update(item.label for item in perception.detections)
        self.labels.update(item.label for item in perception.masks)
        self.results_of[result.command_id, result.generation] += 1
        for topic, msgtype, message in result_messages(result):
            self.writer.write(topic, msgtype, self.begin_ns + round(at_s * 1e9), message)
        if self.annotated is not None:
            self.annotated.add(result)
        for sink in self.others:
            sink.result(result, at_s)

    def frame(self, image_rgb_u8: NDArray[np.uint8], results: tuple[Result, ...], at_s: float) -> None:
        """Draw every n-th; when there are too many, drop every other and double n: the length need not be known."""
        if self.most_pictures and self._frames % self._stride == 0:
            result = results[self._frames // self._stride % len(results)]
            camera = f"{result.camera}, " if result.camera else ""
            caption = f"{at_s:.1f} s, {camera}command {result.command_id}: {result.perception.status.name}"
            self.samples.append((draw_result(image_rgb_u8, result), caption))
            if len(self.samples) > self.most_pictures:
                del self.samples[1::2]
                self._stride *= 2
        self._frames += 1
        for sink in self.others:
            sink.frame(image_rgb_u8, results, at_s)

    def event(self, event: CommandEvent, line: int, at_s: float) -> None:
        self.events.append((at_s, line, event))
        stamp_ns = self.begin_ns + round(at_s * 1e9)
        topic, msgtype, message = status_message(event, stamp_ns)
        self.writer.write(topic, msgtype, stamp_ns, message)
        for sink in self.others:
            sink.event(event, line, at_s)


@dataclass
class Exam:
    """Outcome of a recording: `values` is report.json; `collector` feeds the pictures and plots."""

    values: dict[str, Any]
    collector: Collector
    tally: Tally


def examine(
    recording: Path,
    out: Path,
    engine: Engine,
    parse: Parser,
    commands: list[TimedCommand],
    options: ExamOptions,
    *,
    faults: Iterable[str] = (),
    others: tuple[Sink, ...] = (),
    progress: Callable[[Iterable[RecordedImage], int], Iterable[RecordedImage]] = lambda images, _: images,
) -> Exam:
    """Replay one recording and write `out`/results.mcap.

    Args:
        faults: what was wrong with the commands file, passed on into the report.
        progress: wraps the pictures to show progress; gets their number, -1 if unknown.
    Raises:
        RecordingError: nothing of the recording can be read, or `out` cannot be written.
    """
    with BagReader(recording) as bag:
        topics = bag.choose(options.topics)
        names = file_names(recording)
        annotated = load_annotated(options.annotations, names) if options.annotations else None
        images = _first(bag.images(topics), options.limit, annotated)
        first = next(images, None)
        if first is None:
            raise RecordingError(f"{recording}: no picture could be read. {' '.join(bag.damage)}".strip())
        with _results_file(out) as writer:
            collector = Collector(writer, first.recorded_ns, options.pictures, annotated, others)
            cameras = tuple(topic.camera for topic in topics)
            replay = Replay(engine, parse, cameras, commands, collector, options.realtime)
            tally = replay.run(progress(_again(first, images), _count(topics, options.limit)))
        values = report_values(recording, bag, topics, engine, collector, tally, options)
        values["faults"] = [*faults, *_refused(collector), *(annotated.strangers() if annotated else [])]
        return Exam(values, collector, tally)


def report_values(
    recording: Path,
    bag: BagReader,
    topics: list[ImageTopic],
    engine: Engine,
    collector: Collector,
    tally: Tally,
    options: ExamOptions,
) -> dict[str, Any]:
    """Everything in report.json; the flat names (latency_p95_ms, ...) serve as thresholds."""
    latency = percentiles([point[1] for point in collector.points if point[3] in COMPUTED])
    age = percentiles([point[2] for point in collector.points if point[3] in COMPUTED])
    dropped = sum(number for reason, number in tally.drops.items() if reason is not Drop.SUPERSEDED)
    statuses = Counter(point[3] for point in collector.points)
    metrics = collector.annotated.metrics() if collector.annotated else {}
    return {
        "recording": str(recording),
        "topics": [{"name": topic.name, "type": topic.msgtype, "camera": topic.camera} for topic in topics],
        "mode": "realtime" if options.realtime else "every-frame",
        "model": engine.name,
        "weights_hash": engine.weights_hash,
        "device": engine.device,
        "dtype": engine.dtype,
        "frames_in": tally.frames_in,
        "frames_answered": tally.frames_answered,
        "frames_dropped": dropped,
        "drop_rate": round(dropped / tally.frames_in, 4) if tally.frames_in else 0.0,
        "drops": {str(reason): tally.drops[reason] for reason in Drop},
        "unreadable_messages": dict(bag.skipped),
        "results": len(collector.points),
        "results_per_s": round(len(collector.points) / tally.end_s, 3) if tally.end_s else None,
        "status_counts": {status.name: statuses[status] for status in Status},
        "detections": sum(collector.labels.values()),
        "labels": dict(collector.labels.most_common()),
        "commands": command_values(collector),
        "latency_ms": latency,
        "age_ms": age,
        **{f"latency_{rank}_ms": value for rank, value in latency.items()},
        **{f"age_{rank}_ms": value for rank, value in age.items()},
        **metrics,
        "engine_s": round(tally.engine_s, 3),
        "decode_s": round(tally.decode_s, 3),
        "wall_s": round(tally.wall_s, 3),
        "overhead_percent": round(100 * (tally.wall_s / tally.engine_s - 1), 2) if tally.engine_s else None,
        "damage": list(bag.damage),
        "notes": [*tally.notes, *(collector.annotated.notes if collector.annotated else [])],
        "options": {key: str(value) if isinstance(value, Path) else value for key, value in asdict(options).items()},
    }


def command_values(collector: Collector) -> list[dict[str, Any]]:
    """One entry per command generation: what was said, what was understood, how it ended."""
    found: dict[tuple[str, int, str], dict[str, Any]] = {}
    for at_s, line, event in collector.events:
        entry = found.setdefault(
            (event.command_id, event.generation, event.command_text),
            {
                "id": event.command_id,
                "generation": event.generation,
                "text": event.command_text,
                "task": str(event.spec.task) if event.spec else "",
                "line": line,
                "begin_s": round(at_s, 3),
            },
        )
        entry |= {"state": event.state.name, "end_s": round(at_s, 3), "say_back": event.text, "nearest": event.nearest}
        entry["results"] = collector.results_of[event.command_id, event.generation]
    return list(found.values())


def _refused(collector: Collector) -> list[str]:
    return [
        f"line {line}: {event.command_text!r} was refused: {event.text}"
        for _, line, event in collector.events
        if event.state is CommandState.REFUSED
    ]


def _first(images: Iterator[RecordedImage], limit: int, annotated: Annotated | None) -> Iterator[RecordedImage]:
    for number, image in enumerate(images):
        if limit and number >= limit:
            return
        if annotated is not None:
            annotated.recorded(image.stamp_ns)
        yield image


def _again(first: RecordedImage, rest: Iterator[RecordedImage]) -> Iterator[RecordedImage]:
    yield first
    yield from rest


def _count(topics: list[ImageTopic], limit: int) -> int:
    if any(topic.count < 0 for topic in topics):
        return limit or -1
    total = sum(topic.count for topic in topics)
    return min(total, limit) if limit else total


@contextmanager
def _results_file(out: Path) -> Iterator[BagWriter]:
    """A writer whose storage file becomes `out`/results.mcap, a recording in one file; also after an interruption."""
    draft = out / ".results"
    try:
        out.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        with BagWriter(draft, compression="chunk") as writer:
            yield writer
    except OSError as error:
        raise RecordingError(f"Cannot write to {out}: {error.strerror}") from error
    finally:
        if (draft / ".results.mcap").exists():
            (draft / ".results.mcap").replace(out / "results.mcap")
        shutil.rmtree(draft, ignore_errors=True)
