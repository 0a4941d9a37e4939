"""Write a replay as a Rerun recording (.rrd) for its viewer; needs the package rerun-sdk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.interfaces import Result, Task
from vision_llm_ros.runtime.draw import colours_of, label_image
from vision_llm_ros.runtime.scheduler import CommandEvent


class RerunSink:
    """Pictures, boxes, masks, latency and say-backs on one timeline.

    Raises:
        ConfigError: rerun-sdk is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import rerun
        except ImportError as error:
            raise ConfigError("--rerun needs the Rerun SDK, which is not installed: pip install rerun-sdk") from error
        self._rerun: Any = rerun
        path.parent.mkdir(parents=True, exist_ok=True)
        rerun.init("vision_llm_ros")
        rerun.save(str(path))

    def result(self, result: Result, at_s: float) -> None:
        self._at(at_s)
        name = f"latency_ms/{result.command_id}"
        self._rerun.log(name, self._rerun.Scalars(result.latency_ms))

    def frame(self, image_rgb_u8: NDArray[np.uint8], results: tuple[Result, ...], at_s: float) -> None:
        self._at(at_s)
        camera = results[0].camera or "camera"
        self._rerun.log(camera, self._rerun.Image(image_rgb_u8).compress(jpeg_quality=85))
        for result in results:
            found = result.perception.detections
            colours = colours_of((*result.spec.classes, *(item.label for item in found)))
            boxes = self._rerun.Boxes2D(
                array=[item.box_xyxy_px for item in found],
                array_format=self._rerun.Box2DFormat.XYXY,
                labels=[f"{item.label} {item.score:.2f}" for item in found],
                colors=[colours[item.label] for item in found],
            )
            self._rerun.log(f"{camera}/{result.command_id}", boxes)
            if result.spec.task is Task.SEGMENT or result.perception.masks:
                self._masks(f"{camera}/{result.command_id}/masks", result)

    def _masks(self, name: str, result: Result) -> None:
        """Also when there is none: the viewer shows the latest until the next."""
        masks = result.perception.masks
        colours = colours_of((*result.spec.classes, *(item.label for item in masks)))
        legend = [(i + 1, f"{item.label} {item.score:.2f}", colours[item.label]) for i, item in enumerate(masks)]
        self._rerun.log(name, self._rerun.AnnotationContext(legend))
        self._rerun.log(name, self._rerun.SegmentationImage(label_image(masks, result.image_size_wh_px)))

    def event(self, event: CommandEvent, line: int, at_s: float) -> None:
        self._at(at_s)
        text = f"{event.command_id}: {event.state.name} {event.command_text!r}: {event.text}"
        self._rerun.log("commands", self._rerun.TextLog(text))

    def _at(self, at_s: float) -> None:
        self._rerun.set_time("replay", duration=at_s)
