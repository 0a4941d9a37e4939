"""What captions and answers cost: latency of one on a frame, and the CPU time behind it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.interfaces import Engine, Frame, Perception, Task, TaskSpec

Progress = Callable[[Sequence[Any], str], Iterable[Any]]
TASKS = (Task.CAPTION, Task.ANSWER)


def questions(classes: Sequence[str]) -> Iterator[str]:
    """Questions without end, closed and free in turns: "is there a cup?", "what is next to the cup?"."""
    forms = ("is there a {}?", "how many {}s are there?", "what is next to the {}?")
    for name, form in itertools.cycle(itertools.product(classes, forms)):
        yield form.format(name)


def text_latency(
    engine: Engine, frames: Sequence[NDArray[np.uint8]], classes: Sequence[str], progress: Progress
) -> dict[str, dict[str, Any]]:
    """One caption, and one answer, on each frame end to end; an answer includes what the detector is asked for it.

    Returns:
        by task p50_ms, p95_ms, cpu_p50_ms (of all threads together: what others on the machine do hardly moves it),
        stages {name: p50}; no entry for what the model does not do.
    """
    return {str(task): _timed(engine, task, frames, classes, progress) for task in TASKS if task in engine.tasks}


def _timed(
    engine: Engine, task: Task, frames: Sequence[NDArray[np.uint8]], classes: Sequence[str], progress: Progress
) -> dict[str, Any]:
    asked = questions(classes)
    specs = [TaskSpec(task, phrase=next(asked) if task is Task.ANSWER else "") for _ in frames]
    engine.perceive(Frame(frames[0]), (specs[-1],))
    walls, cpus, answers = list[float](), list[float](), list[Perception]()
    for image, spec in zip(progress(frames, str(task)), specs, strict=True):
        wall, cpu = time.perf_counter(), time.process_time()
        answers += engine.perceive(Frame(image), (spec,))
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
    p50, p95 = np.percentile(walls, [50, 95])
    names = dict.fromkeys(name for answer in answers for name in answer.stage_ms)
    stages = {name: float(np.median([a.stage_ms[name] for a in answers if name in a.stage_ms])) for name in names}
    return {
        "p50_ms": round(float(p50), 3),
        "p95_ms": round(float(p95), 3),
        "cpu_p50_ms": round(float(np.median(cpus)), 3),
        "stages": {name: round(value, 3) for name, value in stages.items()},
    }
