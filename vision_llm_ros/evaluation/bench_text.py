"""What captions and answers cost: latency of one on a frame, and the CPU time behind it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.evaluation.latency import Progress, summary, timed
from vision_llm_ros.interfaces import Engine, Task, TaskSpec

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
        by task the `latency.summary`; no entry for what the model does not do.
    """
    found = {}
    for task in TASKS:
        if task in engine.tasks:
            texts = questions(classes) if task is Task.ANSWER else itertools.repeat("")
            asked = [(image, TaskSpec(task, phrase=text)) for image, text in zip(frames, texts, strict=False)]
            found[str(task)] = summary(timed(engine, asked, str(task), progress))
    return found
