"""Stand-ins for what tests must control: the model, the clock, the receiver."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import CommandError, InputError
from vision_llm_ros.interfaces import (
    Caption,
    Detection,
    Frame,
    Mask,
    Mode,
    Perception,
    Restored,
    Result,
    Status,
    Task,
    TaskSpec,
)
from vision_llm_ros.runtime.scheduler import CommandEvent
from vision_llm_ros.runtime.worker import Arrival

EVERYTHING = frozenset(set(Task) - {Task.STOP})


@dataclass
class FakeEngine:
    """Finds one object per class in every frame, a quarter of the picture each; nothing in black frames.

    Attributes:
        gate: cleared, `perceive` waits inside until it is set again.
        failing: raised by `perceive`, for these tasks only if `failing_tasks` is given.
        calls: the frame and specs of every call.
    """

    name: str = "fake"
    weights_hash: str = "0123456789ab"
    device: str = "cpu"
    dtype: str = "float32"
    tasks: frozenset[Task] = EVERYTHING
    failing: Exception | None = None
    failing_tasks: frozenset[Task] = EVERYTHING
    calls: list[tuple[Frame, tuple[TaskSpec, ...]]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    warmed_up: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def warm_up(self) -> None:
        self.warmed_up += 1

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        self.calls.append((frame, specs))
        self.entered.set()
        assert self.gate.wait(10)
        if self.failing is not None and any(spec.task in self.failing_tasks for spec in specs):
            raise self.failing
        return tuple(self._answer(frame, spec) for spec in specs)

    def _answer(self, frame: Frame, spec: TaskSpec) -> Perception:
        width, height = frame.size_wh_px
        if not frame.image_rgb_u8.any():
            return Perception(spec.task, Status.NOTHING_FOUND, "nothing there", stage_ms={"look": 1.0})
        box = (0.0, 0.0, width / 2, height / 2)
        inside = np.zeros((height, width), np.bool_)
        inside[: height // 2, : width // 2] = True
        kept: dict[str, Any] = {}
        if spec.task is Task.SEGMENT:
            kept["masks"] = (Mask(spec.phrase or "thing", 0.8, inside, box),)
        elif spec.task is Task.RESTORE:
            kept["restored"] = Restored(255 - frame.image_rgb_u8, "denoise", 0.2, 0.9)
        elif spec.task in (Task.CAPTION, Task.ANSWER, Task.MATCH, Task.RECALL):
            kept["caption"] = Caption("a test picture", 0.7, spec.phrase)
        else:
            labels = spec.classes or (spec.phrase,)
            kept["detections"] = tuple(Detection(label, i, 0.9, box) for i, label in enumerate(labels))
        return Perception(spec.task, Status.OK, "", stage_ms={"look": 1.0}, **kept)


@dataclass
class FakeClock:
    """Seconds that pass when told to."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSink:
    """Remembers what the worker had to say; `order` holds events and results as they came."""

    events: list[CommandEvent] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    frames: list[tuple[Result, ...]] = field(default_factory=list)
    order: list[CommandEvent | Result] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def on_event(self, event: CommandEvent) -> None:
        self._note(self.events, event)

    def on_result(self, result: Result, arrival: Arrival) -> None:
        self._note(self.results, result)

    def on_frame(self, image_rgb_u8: NDArray[np.uint8], results: tuple[Result, ...], arrival: Arrival) -> None:
        self.frames.append(results)

    def wait_for(self, reached: Callable[[], bool], timeout_s: float = 5.0) -> bool:
        with self.arrived:
            return self.arrived.wait_for(reached, timeout_s)

    def _note(self, kept: list[Any], item: Any) -> None:
        with self.arrived:
            kept.append(item)
            self.order.append(item)
            self.arrived.notify_all()


def fake_parse(text: str) -> TaskSpec:
    """A toy grammar: "<task> a,b", "watch a,b", "watch a at 5", "stop"; anything else is refused."""
    verb, _, rest = text.partition(" ")
    if verb == "stop":
        return TaskSpec(Task.STOP, tuple(filter(None, rest.split(","))), mode=Mode.STOP)
    what, _, rate = rest.partition(" at ")
    if verb == "watch":
        return TaskSpec(Task.DETECT, tuple(what.split(",")), mode=Mode.CONTINUOUS, rate_hz=float(rate or 0))
    if verb == "detect":
        return TaskSpec(Task.DETECT, tuple(what.split(",")))
    if verb in set(Task):
        return TaskSpec(Task(verb), phrase=what)
    raise CommandError(f"Not understood: {text!r}", "detect person")


def grey_frame(level: int = 127, width: int = 16, height: int = 12) -> NDArray[np.uint8]:
    return np.full((height, width, 3), level, np.uint8)


def arrival(
    camera: str = "", stamp_ns: int = 100_000_000_000, level: int = 127, fault: str = "", source: Any = None
) -> Arrival:
    """A frame that came; with a `fault` its decoding raises `InputError`."""

    def decode() -> NDArray[np.uint8]:
        if fault:
            raise InputError(fault)
        return grey_frame(level)

    return Arrival(camera, stamp_ns, "optical", decode, source)
