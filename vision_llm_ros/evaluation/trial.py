"""One run of a model over pictures: reading, asking, counting what failed, and saying what it was run on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from vision_llm_ros.errors import EngineError, InputError, UnsupportedTaskError
from vision_llm_ros.interfaces import Engine, Frame, Perception, Status, Task, TaskSpec
from vision_llm_ros.runtime.pictures import read_picture
from vision_llm_ros.training.datasets import Notes, Picture

Image = NDArray[np.uint8]


@dataclass
class Trial:
    """What every task's evaluation shares.

    Attributes:
        engine: the model; None measures baselines only.
        seed: of everything drawn at random.
        quiet: no progress bar.
        images: pictures read so far.
        skipped: pictures that could not be read; failed: calls of the model that failed.
    """

    engine: Engine | None = None
    seed: int = 0
    quiet: bool = False
    images: int = 0
    skipped: int = 0
    failed: int = 0
    notes: Notes = field(default_factory=Notes)
    latencies_ms: list[float] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    _digest: Any = field(default_factory=hashlib.sha256)

    def require(self, task: Task) -> None:
        """Raise `UnsupportedTaskError` when the model has no head for the task."""
        if self.engine is not None and task not in self.engine.tasks:
            served = ", ".join(sorted(self.engine.tasks)) or "nothing"
            raise UnsupportedTaskError(f"Model {self.engine.name!r} has no trained head for {task}; it serves {served}")

    def read(self, pictures: Sequence[Picture], title: str) -> Iterator[tuple[Picture, Image]]:
        """Pictures one after another with a progress bar; unreadable ones are named, counted and passed over.

        Raises:
            InputError: not a single picture could be read.
        """
        before = self.images
        for picture in tqdm(pictures, desc=title, unit="picture", disable=self.quiet):
            image = self._read(picture)
            if image is not None:
                self.images += 1
                yield picture, image
        if self.images == before:
            first = "; ".join(self.notes.lines()[:3])
            raise InputError(f"None of {len(pictures)} pictures could be read: {first or 'the list is empty'}")

    def see(self, image: Image) -> None:
        """Count a picture that was made, not read."""
        self.images += 1
        self._digest.update(np.ascontiguousarray(image).data)

    def ask(self, name: str, image: Image | Frame, specs: Sequence[TaskSpec]) -> tuple[Perception, ...]:
        """The model's answers on one picture; where it fails, that is counted and all are Status.ERROR."""
        assert self.engine is not None
        started = time.perf_counter()
        try:
            frame = image if isinstance(image, Frame) else Frame(image)
            answers = self.engine.perceive(frame, tuple(specs))
        except UnsupportedTaskError:
            raise
        except Exception as error:
            self.failed += 1
            self.notes.add(f"{name}: model failed: {type(error).__name__}: {error}")
            return tuple(Perception(spec.task, Status.ERROR, str(error)) for spec in specs)
        self.latencies_ms.append((time.perf_counter() - started) * 1e3)
        return answers

    def finish(self) -> None:
        """Raise `EngineError` when the model failed every time."""
        if self.failed and not self.latencies_ms:
            raise EngineError(f"The model failed in all {self.failed} calls: {self.notes.lines()[0]}")

    def account(self, files: Iterable[Path]) -> dict[str, Any]:
        """images, seconds, latency, model, skipped, failed, notes and the hash of everything read."""
        hashes = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        pixels = self._digest.hexdigest()
        return {
            "images": self.images,
            "seconds": round(time.perf_counter() - self.started, 3),
            "latency_ms": _percentiles(self.latencies_ms),
            "model": None if self.engine is None else model_values(self.engine),
            "skipped": self.skipped,
            "failed": self.failed,
            "notes": list(self.notes.lines()),
            "inputs": {
                "files": hashes,
                "pictures": pixels,
                "hash": hash_values([*sorted(hashes.values()), pixels]),
            },
            "machine": machine_values(),
        }

    def _read(self, picture: Picture) -> Image | None:
        try:
            image = read_picture(picture.path)
        except InputError as error:
            self._skip(str(error))
            return None
        height, width = image.shape[:2]
        if picture.width and picture.height and (width, height) != (picture.width, picture.height):
            told = f"{picture.width}x{picture.height}"
            self._skip(f"{picture.path} has {width}x{height} pixels, the annotations say {told}")
            return None
        self._digest.update(np.ascontiguousarray(image).data)
        return image

    def _skip(self, reason: str) -> None:
        self.skipped += 1
        self.notes.add(f"skipped: {reason}")


def model_values(engine: Engine) -> dict[str, str]:
    return {
        "name": engine.name,
        "weights_hash": engine.weights_hash,
        "device": engine.device,
        "dtype": engine.dtype,
    }


def machine_values() -> dict[str, Any]:
    """What explains the seconds: CPU model, cores, threads in use, system, Python."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "threads": _threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def hash_values(values: Mapping[str, Any] | Sequence[Any]) -> str:
    """SHA-256 over the canonical JSON of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _threads() -> int:
    """Threads of torch where it runs, else those of OpenCV."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads() if torch is not None else cv2.getNumThreads())
