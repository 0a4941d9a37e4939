"""The last seconds of each camera, bounded in time, number and size of frames."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.config import VideoConfig
from vision_llm_ros.interfaces import Detection, Frame

MAX_CAMERAS = 16
MAX_QUESTIONS = 8
Found = tuple[tuple[Detection, ...], NDArray[np.float32]]


@dataclass
class Remembered:
    """A frame of the past, made small, and what has been found in it.

    Attributes:
        found: question -> detections in pixels of `frame`, and what they look like, float32[N, D].
    """

    frame: Frame
    found: OrderedDict[tuple[str, ...], Found] = field(default_factory=OrderedDict)

    def note(self, question: tuple[str, ...], found: Found) -> None:
        """Keep an answer; the oldest questions are forgotten."""
        self.found[question] = found
        while len(self.found) > MAX_QUESTIONS:
            self.found.popitem(last=False)


class FrameMemory:
    """Frames by camera. A camera whose clock goes back starts anew, e.g. a recording that is played again."""

    def __init__(self, config: VideoConfig) -> None:
        self.config = config
        self._cameras: OrderedDict[str, deque[Remembered]] = OrderedDict()

    def note(self, frame: Frame) -> None:
        """Remember a frame, unless one was remembered a moment ago or frames carry no time."""
        if not self.config.memory_s or frame.stamp_ns <= 0:
            return
        kept = self._camera(frame.camera)
        if kept and frame.stamp_ns < kept[-1].frame.stamp_ns:
            kept.clear()
        period_ns = self.config.memory_s / self.config.memory_frames * 1e9
        if kept and frame.stamp_ns - kept[-1].frame.stamp_ns < 0.98 * period_ns:
            return
        kept.append(Remembered(small(frame, self.config.memory_size_px)))
        while len(kept) > self.config.memory_frames or self._age_s(kept[0], frame) > self.config.memory_s:
            kept.popleft()

    def last(self, frame: Frame, past_s: float = 0.0) -> Iterator[Remembered]:
        """What is remembered of a frame's camera up to that frame, oldest first.

        Args:
            past_s: how far back; 0 for everything.
        """
        for kept in self._cameras.get(frame.camera, ()):
            if 0 <= self._age_s(kept, frame) <= (past_s or self.config.memory_s):
                yield kept

    def _camera(self, name: str) -> deque[Remembered]:
        self._cameras.setdefault(name, deque())
        self._cameras.move_to_end(name)
        while len(self._cameras) > MAX_CAMERAS:
            self._cameras.popitem(last=False)
        return self._cameras[name]

    @staticmethod
    def _age_s(kept: Remembered, frame: Frame) -> float:
        return (frame.stamp_ns - kept.frame.stamp_ns) / 1e9


def small(frame: Frame, longest_px: int) -> Frame:
    """A copy of which the longer side is at most `longest_px`."""
    width, height = frame.size_wh_px
    scale = min(1.0, longest_px / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = cv2.resize(frame.image_rgb_u8, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame.image_rgb_u8
    return replace(frame, image_rgb_u8=np.array(image, np.uint8))
