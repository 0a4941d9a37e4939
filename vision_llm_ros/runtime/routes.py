"""What every route through the model shares: the view of one frame, the stopwatch, the protocol."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Protocol

import torch

from vision_llm_ros.interfaces import Frame, Perception, Task, TaskSpec
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.model.tokenizer import EncodedImage


class Stopwatch:
    """Wall-clock milliseconds by stage."""

    def __init__(self) -> None:
        self.stage_ms: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            elapsed = (time.perf_counter() - started) * 1e3
            self.stage_ms[name] = self.stage_ms.get(name, 0.0) + elapsed


class View:
    """One frame and what is computed of it once for all commands.

    Attributes:
        frame: as it came.
        transform: from its pixels to the network's square and back.
        watch: times what is shared; every command's answer carries these times.
        perceive: another command's answer on the same frame, for routes that build on it.
    """

    def __init__(self, frame: Frame, model: VisionLLM, perceive: Callable[[TaskSpec], Perception]) -> None:
        self.frame, self._model, self.perceive = frame, model, perceive
        self.transform = Letterbox(frame.size_wh_px, model.config.image_size_px, stretch=model.config.stretch)
        self.watch = Stopwatch()

    def of(self, frame: Frame) -> View:
        """The view of another frame; its commands are still answered on this one."""
        return View(frame, self._model, self.perceive)

    @cached_property
    def pyramid(self) -> list[torch.Tensor]:
        """The backbone's maps, finest first (see `MobileNetV2Pyramid.forward`)."""
        with self.watch.stage("prepare"):
            pixels = torch.from_numpy(self.transform.apply(self.frame.image_rgb_u8)).permute(2, 0, 1).unsqueeze(0)
        with self.watch.stage("backbone"):
            return self._model.backbone(pixels.to(self._model.device))  # type: ignore[no-any-return]

    @cached_property
    def image(self) -> EncodedImage:
        """The image tokenizer's words-free part."""
        pyramid = self.pyramid
        with self.watch.stage("backbone"):
            return self._model.tokenizer.encode(pyramid[1:])


class Route(Protocol):
    """One way through the model. Runs inside inference mode and the engine's arithmetic.

    Attributes:
        tasks: served by it.
        weights_hash: of what it was trained to.
    """

    tasks: frozenset[Task]
    weights_hash: str

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        """Answer one command on one frame; `watch` takes the times of its own stages."""
