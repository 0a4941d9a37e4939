"""How long a fresh process takes to its first answer, and how much memory it comes to need."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.config import RuntimeConfig, from_mapping
from vision_llm_ros.errors import EngineError
from vision_llm_ros.resources import PACKAGE_DIR
from vision_llm_ros.runtime.pictures import read_picture, write_picture

_TIMEOUT_S = 600
_FRAMES = 10


def measure(
    preset: str, runtime: RuntimeConfig, classes: tuple[str, ...], image_rgb_u8: NDArray[np.uint8]
) -> dict[str, Any]:
    """Start a process that answers one command on a picture a few times over.

    Returns:
        cold_start_s from the start of Python to the first answer, memory_mb peak resident memory,
        gpu_memory_mb where the model runs on a GPU.
    Raises:
        EngineError: the process failed; its last line is quoted.
    """
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        write_picture(picture, image_rgb_u8)
        job = {"preset": preset, "runtime": dataclasses.asdict(runtime), "classes": classes, "picture": str(picture)}
        started = time.time()
        done = _run(json.dumps(job))
    if done.returncode != 0:
        raise EngineError(f"A fresh process cannot answer: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    values = json.loads(done.stdout.splitlines()[-1])
    return {"cold_start_s": round(values.pop("answered_at") - started, 3), **values}


def _run(job: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(part for part in (str(PACKAGE_DIR.parent), os.environ.get("PYTHONPATH", "")) if part)
    command, environment = [sys.executable, "-m", __name__, job], {**os.environ, "PYTHONPATH": path}
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, env=environment)
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"No answer from a fresh process within {_TIMEOUT_S} s") from error


def main(job: str) -> None:
    """The fresh process: prints one line of JSON."""
    values = json.loads(job)
    runtime = from_mapping(RuntimeConfig, values["runtime"])
    answered_at, device = _answer(values["preset"], runtime, tuple(values["classes"]), Path(values["picture"]))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report = {"answered_at": answered_at, "memory_mb": round(memory_mb, 1)}
    if device.startswith("cuda"):
        import torch

        report["gpu_memory_mb"] = round(torch.cuda.max_memory_reserved() / 2**20, 1)
    print(json.dumps(report))


def _answer(preset: str, runtime: RuntimeConfig, classes: tuple[str, ...], picture: Path) -> tuple[float, str]:
    from vision_llm_ros.interfaces import Frame, Task, TaskSpec
    from vision_llm_ros.runtime.engine import load_engine

    engine = load_engine(preset, runtime)
    frame, spec = Frame(read_picture(picture)), TaskSpec(Task.DETECT, classes)
    answered_at = 0.0
    for _ in range(_FRAMES):
        engine.perceive(frame, (spec,))
        answered_at = answered_at or time.time()
    return answered_at, engine.device


if __name__ == "__main__":
    main(sys.argv[1])
