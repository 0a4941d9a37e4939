"""Time of commands on frames, end to end: what every benchmark of a route counts in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.interfaces import Engine, Frame, Perception, TaskSpec

Progress = Callable[[Sequence[Any], str], Iterable[Any]]
Asked = tuple[NDArray[np.uint8], TaskSpec]


@dataclass(frozen=True)
class Timed:
    """One command on one frame.

    Attributes:
        wall_ms: as the operator waits.
        cpu_ms: of all threads together, which others on the machine hardly move.
    """

    wall_ms: float
    cpu_ms: float
    answer: Perception


def timed(engine: Engine, asked: Sequence[Asked], title: str, progress: Progress) -> list[Timed]:
    """Answer every pair of frame and command in turn; the last one once before, to warm up."""
    image, spec = asked[-1]
    engine.perceive(Frame(image), (spec,))
    times = []
    for image, spec in progress(asked, title):
        wall, cpu = time.perf_counter(), time.process_time()
        (answer,) = engine.perceive(Frame(image), (spec,))
        times.append(Timed((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3, answer))
    return times


def summary(times: Sequence[Timed]) -> dict[str, Any]:
    """p50_ms, p95_ms, cpu_p50_ms and stages {name: p50 of the answers that went through it}, milliseconds."""
    p50, p95 = np.percentile([entry.wall_ms for entry in times], [50, 95])
    passed = [entry.answer.stage_ms for entry in times]
    names = dict.fromkeys(name for stages in passed for name in stages)
    stages = {name: np.median([stages[name] for stages in passed if name in stages]) for name in names}
    cpu = np.median([entry.cpu_ms for entry in times])
    return {
        **{name: round(float(value), 3) for name, value in (("p50_ms", p50), ("p95_ms", p95), ("cpu_p50_ms", cpu))},
        "stages": {name: round(float(value), 3) for name, value in stages.items()},
    }
