"""Run a recording through the node's own worker and scheduler, in virtual time.

Every frame: each picture is answered, whatever the engine costs; rates do not apply. For accuracy.
Real time: pictures arrive as they were recorded, computing takes the time it really takes, the latest picture
wins and the others are counted as dropped, exactly as in the node. For latency.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.config import NodeConfig
from vision_llm_ros.evaluation.bags import RecordedImage
from vision_llm_ros.evaluation.commands_file import TimedCommand
from vision_llm_ros.interfaces import CommandState, Engine, Frame, Perception, Result, Status, Task, TaskSpec
from vision_llm_ros.runtime.scheduler import CommandBook, CommandEvent, Parser
from vision_llm_ros.runtime.slots import Drop
from vision_llm_ros.runtime.statistics import Statistics
from vision_llm_ros.runtime.worker import Arrival, Worker

# Stamps further than this from the time of recording belong to another clock; arrivals are then moved to it.
OTHER_CLOCK_NS = 60 * 1_000_000_000
EVERY_FRAME = NodeConfig(default_rate_hz=1000.0, max_frame_age_s=0.0, time_to_live_s=86_400.0)
LEAST_INTERVAL_S = 2.0 / EVERY_FRAME.default_rate_hz
KEPT_NOTES = 20


class Sink(Protocol):
    """Takes what a replay produces while it runs; `at_s` is virtual time after the first picture."""

    def result(self, result: Result, at_s: float) -> None:
        """One answer."""

    def frame(self, image_rgb_u8: NDArray[np.uint8], results: tuple[Result, ...], at_s: float) -> None:
        """A picture that could be read, with its answers."""

    def event(self, event: CommandEvent, line: int, at_s: float) -> None:
        """One say-back; `line` of the commands file, 0 if it does not come from there."""


@dataclass
class Tally:
    """What a replay counted. `*_s` are seconds of wall time, `end_s` of virtual time.

    Attributes:
        dropped_s: virtual times at which pictures were dropped.
        notes: the first pictures that could not be used, and why.
    """

    frames_in: int = 0
    frames_answered: int = 0
    engine_s: float = 0.0
    decode_s: float = 0.0
    wall_s: float = 0.0
    end_s: float = 0.0
    drops: Counter[Drop] = field(default_factory=Counter)
    dropped_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Replay:
    """One recording's run. Holds one picture per camera, and one more, at a time.

    Args:
        engine: answers; its failures become results with status ERROR.
        parse: sentence -> task.
        cameras: of the recording.
        commands: in order of time.
        sink: takes results and say-backs.
        realtime: see the module's text.
        timer: seconds of wall time; replaced in tests.
    """

    def __init__(
        self,
        engine: Engine,
        parse: Parser,
        cameras: tuple[str, ...],
        commands: Iterable[TimedCommand],
        sink: Sink,
        realtime: bool = False,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.tally = Tally()
        self._sink, self._realtime, self.timer = sink, realtime, timer
        book = CommandBook(parse if realtime else _without_rate(parse), engine.tasks, _config(realtime), cameras)
        self._worker = Worker(_Timed(engine, self), book, self._clock, self, Statistics())
        self._cameras = cameras
        self._commands = list(commands) if realtime else [_hasty(entry) for entry in commands]
        self._lines: dict[str, int] = {}
        self._line = 0
        self._images: Iterator[RecordedImage] = iter(())
        self._next: RecordedImage | None = None
        self._begin_s = self._now_s = 0.0
        self._shift_ns = 0
        self._serving_since: float | None = None

    def run(self, images: Iterable[RecordedImage]) -> Tally:
        """Replay to the end; commands that are still live then are left open."""
        started = self.timer()
        self._images = iter(images)
        self._next = next(self._images, None)
        if self._next is not None:
            transport_ns = self._next.recorded_ns - self._next.stamp_ns
            self._shift_ns = -transport_ns if self._next.stamp_ns and abs(transport_ns) > OTHER_CLOCK_NS else 0
            self._begin_s = self._now_s = self._arrival_s(self._next)
            run = self._run_realtime if self._realtime else self._run_every_frame
            run()
        self._submit_until(float("inf"))
        self._sum_up()
        self.tally.wall_s = self.timer() - started
        return self.tally

    def _run_every_frame(self) -> None:
        while self._next is not None:
            # A little apart at least, so that commands are due again even if the recorder wrote equal times.
            self._now_s = max(self._arrival_s(self._next), self._now_s + LEAST_INTERVAL_S)
            self._submit_until(self._now_s)
            self._offer()
            while self._serve():
                pass
            self._leave_waiting()

    def _run_realtime(self) -> None:
        while True:
            self._deliver(self._now_s)
            if self._serve():
                continue
            if self._next is None:
                return
            self._now_s = max(self._now_s, self._next_moment(self._next))

    def _serve(self) -> bool:
        """Let the worker answer one picture; in real time the clock runs on while it does."""
        started = self.timer()
        self._serving_since = started if self._realtime else None
        served = self._worker.serve_next()
        self._serving_since = None
        if served and self._realtime:
            self._now_s += self.timer() - started
        return served

    def _deliver(self, until_s: float) -> None:
        """Let every picture and command arrive that arrives until then, in their order."""
        while self._next is not None and (picture_s := self._arrival_s(self._next)) <= until_s:
            self._submit_until(picture_s)
            self._at(picture_s, self._offer)
        self._submit_until(until_s)

    def _submit_until(self, until_s: float) -> None:
        while self._commands and (command_s := self._begin_s + self._commands[0].at_s) <= until_s:
            self._at(command_s, self._submit)

    def _at(self, moment_s: float, action: Callable[[], None]) -> None:
        """Do something at its own time, also when it is noticed later, after a long computation."""
        kept = self._now_s, self._serving_since
        self._now_s, self._serving_since = moment_s, None
        action()
        self._now_s, self._serving_since = kept

    def _submit(self) -> None:
        entry = self._commands.pop(0)
        self._line = entry.line
        events = self._worker.submit(entry.command)
        self._lines[events[-1].command_id] = entry.line
        self._line = 0

    def _offer(self) -> None:
        image = self._next
        assert image is not None
        self._next = next(self._images, None)
        self.tally.frames_in += 1
        before = self._dropped().total()
        decode = _TimedDecode(image, self)
        self._worker.offer(Arrival(image.topic.camera, image.stamp_ns, image.frame_id, decode, image))
        if self._dropped().total() > before:
            self.tally.dropped_s.append(self._since_begin())

    def _next_moment(self, coming: RecordedImage) -> float:
        """When something can happen: a picture or a command arrives, or a waiting picture becomes due."""
        moments = [self._arrival_s(coming), *(self._begin_s + entry.at_s for entry in self._commands[:1])]
        full = [camera for camera in self._cameras if self._worker.camera_slot(camera).is_full]
        moments += [self._worker.book.next_due_s(camera) for camera in full]
        return min(moments)

    def _sum_up(self) -> None:
        self._leave_waiting()
        self.tally.end_s = self._since_begin()
        self.tally.drops += self._dropped() + self._worker.statistics.drops

    def _leave_waiting(self) -> None:
        """Pictures nobody wants any more are dropped, with the reason."""
        for camera in self._cameras:
            if self._worker.camera_slot(camera).take() is not None:
                self.tally.drops[Drop.NOT_DUE if self._worker.book.watches(camera) else Drop.NO_COMMAND] += 1
                self.tally.dropped_s.append(self._since_begin())

    def _dropped(self) -> Counter[Drop]:
        return sum((self._worker.camera_slot(camera).drops for camera in self._cameras), Counter())

    def _arrival_s(self, image: RecordedImage) -> float:
        return (image.recorded_ns + self._shift_ns) / 1e9

    def _clock(self) -> float:
        since = self._serving_since
        return self._now_s if since is None else self._now_s + self.timer() - since

    def _since_begin(self) -> float:
        return max(0.0, self._clock() - self._begin_s)

    def note(self, text: str) -> None:
        if len(self.tally.notes) < KEPT_NOTES:
            self.tally.notes.append(text)

    def computed(self) -> None:
        """The engine has finished: whatever came meanwhile arrives before its answers are given."""
        if self._realtime:
            self._deliver(self._clock())

    def on_event(self, event: CommandEvent) -> None:
        ended = event.state in (CommandState.STOPPED, CommandState.REPLACED, CommandState.EXPIRED)
        line = self._lines.get(event.command_id, 0) if ended or not self._line else self._line
        self._sink.event(event, line, self._since_begin())

    def on_result(self, result: Result, arrival: Arrival) -> None:
        if not self._realtime:
            result = replace(result, frame_age_ms=result.frame_age_ms + result.latency_ms)
        perception = result.perception
        if perception.status in (Status.ERROR, Status.REJECTED):
            self.note(f"{arrival.source.topic.name} at stamp {arrival.stamp_ns} ns: {perception.text}")
        self._sink.result(result, self._since_begin())

    def on_frame(self, image_rgb_u8: NDArray[np.uint8], results: tuple[Result, ...], arrival: Arrival) -> None:
        self.tally.frames_answered += 1
        self._sink.frame(image_rgb_u8, results, self._since_begin())


class _Timed:
    """The engine, with its time added up and the replay told when it has finished."""

    def __init__(self, engine: Engine, replay: Replay) -> None:
        self._engine, self._replay = engine, replay

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def weights_hash(self) -> str:
        return self._engine.weights_hash

    @property
    def device(self) -> str:
        return self._engine.device

    @property
    def dtype(self) -> str:
        return self._engine.dtype

    @property
    def tasks(self) -> frozenset[Task]:
        return self._engine.tasks

    def warm_up(self) -> None:
        self._engine.warm_up()

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        started = self._replay.timer()
        try:
            return self._engine.perceive(frame, specs)
        finally:
            self._replay.tally.engine_s += self._replay.timer() - started
            self._replay.computed()


@dataclass(frozen=True)
class _TimedDecode:
    """Decodes one picture when called, with its time added up."""

    image: RecordedImage
    replay: Replay

    def __call__(self) -> NDArray[np.uint8]:
        started = self.replay.timer()
        try:
            return self.image.decode().image_rgb_u8
        finally:
            self.replay.tally.decode_s += self.replay.timer() - started


def _config(realtime: bool) -> NodeConfig:
    return NodeConfig() if realtime else EVERY_FRAME


def _without_rate(parse: Parser) -> Parser:
    """Every frame: "at 2 Hz" in the words does not apply."""
    return lambda text: replace(parse(text), rate_hz=0.0)


def _hasty(entry: TimedCommand) -> TimedCommand:
    """Every frame: a rate beside the words says "continuous", nothing more."""
    if entry.command.rate_hz <= 0:
        return entry
    return replace(entry, command=replace(entry.command, rate_hz=EVERY_FRAME.default_rate_hz))
