"""One thread between newest frames and finished results.

Callbacks hand in frames and commands and return at once. The thread decodes the newest frame, lets
the engine answer every due command on it in one go, and hands out results and say-backs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError, TooLargeError
from vision_llm_ros.interfaces import (
    Command,
    CommandState,
    Engine,
    Frame,
    Perception,
    Result,
    Status,
    TaskSpec,
)
from vision_llm_ros.runtime.plans import Steps, answer_all
from vision_llm_ros.runtime.scheduler import CommandBook, CommandEvent, LiveCommand
from vision_llm_ros.runtime.slots import Drop, LatestFrameSlot
from vision_llm_ros.runtime.statistics import Statistics, Summary

logger = logging.getLogger(__name__)
SHORTEST_PAUSE_S = 0.002  # a paused clock may stand a moment before the due time
LONGEST_PAUSE_S = 0.5  # with a frame at hand: the clock may run faster than the wall


@dataclass(frozen=True)
class Arrival:
    """A frame that came and is not decoded yet.

    Attributes:
        stamp_ns: of the source; 0 means it has none, its age is then unknown and reported as 0.
        decode: gives uint8[H, W, 3] RGB; raises `InputError`.
        source: whatever the receiver needs to answer, untouched, e.g. the message header.
    """

    camera: str
    stamp_ns: int
    frame_id: str
    decode: Callable[[], NDArray[np.uint8]]
    source: Any = None


class Sink(Protocol):
    """Who receives what the worker has to say. Called from the worker's and the callers' threads, never at once."""

    def on_event(self, event: CommandEvent) -> None:
        """A command changed its state."""

    def on_result(self, result: Result, arrival: Arrival) -> None:
        """A result of a command that is still live."""

    def on_frame(self, image_rgb_u8: NDArray[np.uint8], results: tuple[Result, ...], arrival: Arrival) -> None:
        """All results of one decoded frame have been given; holds nobody up."""


@dataclass(frozen=True)
class _Job:
    """A frame, the commands it was taken up for, and when."""

    arrival: Arrival
    commands: tuple[LiveCommand, ...]
    taken_s: float


@dataclass(frozen=True)
class _Computed:
    """Answers on one frame in the order of its commands; `image_rgb_u8` is None if it could not be read."""

    answers: tuple[Steps, ...]
    latency_ms: float
    image_rgb_u8: NDArray[np.uint8] | None = None


@dataclass
class _Turns:
    """Who was served when, so that cameras take turns."""

    count: int = 0
    last: dict[str, int] = field(default_factory=dict)

    def note(self, camera: str) -> None:
        self.count += 1
        self.last[camera] = self.count


class Worker:
    """Owns the engine's thread, the slots and every access to the command book.

    Args:
        clock: seconds for scheduling; must not be set back without `shift_clock`.
        stamp_clock: seconds of the clock that stamps the frames; `clock` if not given.
        statistics: where rates and drops are collected, on the steady clock.
    """

    def __init__(
        self,
        engine: Engine,
        book: CommandBook,
        clock: Callable[[], float],
        sink: Sink,
        statistics: Statistics,
        stamp_clock: Callable[[], float] | None = None,
    ) -> None:
        self.engine = engine
        self.book = book
        self.statistics = statistics
        self._clock = clock
        self._stamp_clock = stamp_clock or clock
        self._sink = sink
        self._slots: dict[str, LatestFrameSlot[Arrival]] = {camera: LatestFrameSlot() for camera in book.cameras}
        self._turns = _Turns()
        self._wake = threading.Condition(threading.RLock())
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._stopping = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._stopping,), name="inference", daemon=True)
            self._thread.start()

    def stop(self, reason: str, timeout_s: float = 10.0) -> bool:
        """Stop the thread, end every command, forget the frames. False if the engine did not return in time."""
        self._stopping.set()
        with self._wake:
            self._wake.notify_all()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout_s)
        with self._wake:
            self._emit(self.book.end_all(reason))
            for slot in self._slots.values():
                slot.clear()
        return thread is None or not thread.is_alive()

    def offer(self, arrival: Arrival) -> None:
        """Hand in the newest frame of a camera; costs microseconds."""
        with self._wake:
            now, camera = self._clock(), arrival.camera
            watched = self.book.watches(camera)
            idle = Drop.NOT_DUE if watched else Drop.NO_COMMAND
            reason = Drop.OVERWRITTEN if self.book.due(camera, now) else idle
            self._slots[camera].offer(arrival, time.monotonic(), reason)
            if watched:
                self._wake.notify()

    def submit(self, command: Command, arrival: Arrival | None = None) -> tuple[CommandEvent, ...]:
        """Give a command; the last event returned is its own say-back. All events go to the sink as well.

        Args:
            arrival: answer about this picture instead of the cameras; its `camera` must equal the command's
                and be no camera of the node.
        """
        understood = self.book.understand(command)
        with self._wake:
            now = self._clock()
            expired = self.book.expire(now)
            events = self.book.admit(command, understood, now, guest=arrival is not None)
            if arrival is not None and events[-1].state is CommandState.ACCEPTED:
                self._slots[arrival.camera] = LatestFrameSlot()
                self._slots[arrival.camera].offer(arrival, time.monotonic())
            self._emit((*expired, *events))
            self._wake.notify()
        return events

    def refuse(self, event: CommandEvent) -> None:
        """Say back a refusal decided elsewhere, in line with all other say-backs."""
        with self._wake:
            self._emit((event,))

    def end(
        self, command_id: str, generation: int, text: str, state: CommandState = CommandState.STOPPED
    ) -> tuple[CommandEvent, ...]:
        """End one command if it is still live."""
        with self._wake:
            events = self.book.end(command_id, generation, text, state)
            self._emit(events)
        return events

    def shift_clock(self, delta_s: float) -> None:
        """The clock has jumped by `delta_s`."""
        with self._wake:
            self.book.shift(delta_s)
            self._wake.notify()

    def camera_slot(self, camera: str) -> LatestFrameSlot[Arrival]:
        """Counters of a camera, for reading."""
        return self._slots[camera]

    def summary(self) -> Summary:
        with self._wake:
            drops = [slot.drops for slot in self._slots.values()]
            return self.statistics.summary(time.monotonic(), drops)

    def live_commands(self) -> tuple[LiveCommand, ...]:
        with self._wake:
            return self.book.live

    def serve_next(self) -> bool:
        """Serve one frame if one is due, in the caller's thread; the worker's thread does nothing else."""
        with self._wake:
            job = self._next_job()
        if job is not None:
            self._serve(job)
        return job is not None

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                if not self.serve_next():
                    self._pause(stopping)
            except Exception:
                logger.exception("A frame was lost; the next one is served")
                stopping.wait(LONGEST_PAUSE_S)

    def _pause(self, stopping: threading.Event) -> None:
        with self._wake:
            # Asked again under the lock: what came since the last look must not be slept through.
            seconds = self._pause_s()
            if not stopping.is_set() and (seconds is None or seconds > 0):
                self._wake.wait(seconds)

    def _next_job(self) -> _Job | None:
        """Take the frame whose command has the highest priority, of equals the camera served longest ago."""
        now = self._clock()
        self._emit(self.book.expire(now))
        self._forget_guests()
        waiting = {camera: self.book.due(camera, now) for camera, slot in self._slots.items() if slot.is_full}
        ready = {camera: commands for camera, commands in waiting.items() if commands}
        if not ready:
            return None
        last = self._turns.last
        camera = min(ready, key=lambda name: (-ready[name][0].command.priority, last.get(name, 0)))
        self._turns.note(camera)
        arrival = self._slots[camera].take()
        return None if arrival is None else _Job(arrival, ready[camera], now)

    def _pause_s(self) -> float | None:
        """How long nothing can become due, at most 0 if something is; None: until somebody calls."""
        now = self._clock()
        waits = [self.book.next_due_s(camera) - now for camera, slot in self._slots.items() if slot.is_full]
        next_s = min([*waits, self.book.next_expiry_s() - now])
        if next_s == float("inf"):
            return None
        return min(max(next_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S) if next_s > 0 else 0.0

    def _forget_guests(self) -> None:
        for camera in [name for name in self._slots if name not in self.book.cameras and not self.book.watches(name)]:
            del self._slots[camera]
            self._turns.last.pop(camera, None)

    def _serve(self, job: _Job) -> None:
        arrival = job.arrival
        computed = self._compute(arrival, tuple(command.spec for command in job.commands))
        results = []
        with self._wake:
            for command, steps in zip(job.commands, computed.answers, strict=True):
                if not self.book.is_live(*command.key):
                    self.statistics.drops[Drop.SUPERSEDED] += 1
                    continue
                results += [self._give(command, spec, perception, job, computed) for spec, perception in steps]
                self._note_answered(command, steps, job, computed)
            if computed.image_rgb_u8 is not None:
                self.statistics.note_frame(time.monotonic())
        if computed.image_rgb_u8 is not None and results:
            self._guard(self._sink.on_frame, computed.image_rgb_u8, tuple(results), arrival)

    def _compute(self, arrival: Arrival, specs: tuple[TaskSpec, ...]) -> _Computed:
        """Decode and perceive; whatever goes wrong becomes a status that says so."""
        started = time.perf_counter()

        def same_for_all(status: Status, text: str, drop: Drop) -> _Computed:
            self.statistics.drops[drop] += 1
            answers = tuple(tuple((step, Perception(step.task, status, text)) for step in spec.steps) for spec in specs)
            return _Computed(answers, (time.perf_counter() - started) * 1e3)

        age_s, limit_s = age_ms(arrival.stamp_ns, self._stamp_clock()) / 1e3, self.book.config.max_frame_age_s
        # A guest's picture is asked about as it is, however old.
        if 0 < limit_s < age_s and arrival.camera in self.book.cameras:
            text = f"the frame is {age_s:.1f} s old, allowed are {limit_s:g} s (max_frame_age_s)"
            return same_for_all(Status.STALE, text, Drop.TOO_OLD)
        try:
            image = arrival.decode()
            frame = Frame(image, arrival.stamp_ns, arrival.frame_id, arrival.camera)
        except InputError as error:
            drop = Drop.TOO_LARGE if isinstance(error, TooLargeError) else Drop.UNDECODABLE
            return same_for_all(Status.REJECTED, str(error), drop)
        except Exception as error:
            logger.exception("Decoding a frame of camera %r failed", arrival.camera)
            return same_for_all(Status.REJECTED, f"{type(error).__name__}: {error}", Drop.UNDECODABLE)
        answers = answer_all(self.engine, frame, specs)
        return _Computed(answers, (time.perf_counter() - started) * 1e3, image)

    def _give(
        self, command: LiveCommand, spec: TaskSpec, perception: Perception, job: _Job, computed: _Computed
    ) -> Result:
        arrival, image = job.arrival, computed.image_rgb_u8
        result = Result(
            command_id=command.id,
            generation=command.generation,
            spec=spec,
            stamp_ns=arrival.stamp_ns,
            frame_id=arrival.frame_id,
            camera=arrival.camera,
            image_size_wh_px=(0, 0) if image is None else (image.shape[1], image.shape[0]),
            perception=perception,
            model=self.engine.name,
            weights_hash=self.engine.weights_hash,
            latency_ms=computed.latency_ms,
            frame_age_ms=age_ms(arrival.stamp_ns, self._stamp_clock()),
        )
        self.statistics.note_result(result, time.monotonic())
        self._guard(self._sink.on_result, result, arrival)
        return result

    def _note_answered(self, command: LiveCommand, steps: Steps, job: _Job, computed: _Computed) -> None:
        failures = [perception.text for _, perception in steps if perception.status is Status.ERROR]
        camera = job.arrival.camera
        final = computed.image_rgb_u8 is not None or camera not in self.book.cameras
        failure = failures[0] if failures else ""
        self._emit(self.book.answered(*command.key, camera, job.taken_s, failure, final))

    def _emit(self, events: tuple[CommandEvent, ...]) -> None:
        for event in events:
            self._guard(self._sink.on_event, event)

    def _guard(self, call: Callable[..., None], *args: Any) -> None:
        """A receiver that fails must not take the worker with it."""
        try:
            call(*args)
        except Exception:
            logger.exception("%s failed", getattr(call, "__name__", call))


def age_ms(stamp_ns: int, now_s: float) -> float:
    """Age of a frame; 0 when it has no stamp, or when the camera's clock runs ahead of ours."""
    return max(0.0, now_s * 1e3 - stamp_ns / 1e6) if stamp_ns > 0 else 0.0
