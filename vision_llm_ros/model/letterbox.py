"""The one way from source pixels to the network's square and back, shared by boxes, polygons and masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError

_GREY = 128


@dataclass(frozen=True)
class Letterbox:
    """Scale and place a source picture inside a square of `side_px`.

    With `stretch` the picture fills the square (both axes scaled on their own), as the nano pyramid was
    pretrained; otherwise the aspect ratio is kept and the rest is grey, right and below.

    Attributes:
        source_wh_px: width and height of the source.
        side_px: side of the network's square input.
    """

    source_wh_px: tuple[int, int]
    side_px: int
    stretch: bool = False

    @property
    def inner_wh_px(self) -> tuple[int, int]:
        """Width and height the picture takes inside the square."""
        if self.stretch:
            return self.side_px, self.side_px
        scale = self.side_px / max(self.source_wh_px)
        width, height = self.source_wh_px
        return max(round(width * scale), 1), max(round(height * scale), 1)

    def apply(self, image_rgb_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize uint8[H, W, 3] to uint8[side, side, 3].

        Raises:
            InputError: the picture is not of the size this object was made for.
        """
        height, width = image_rgb_u8.shape[:2]
        if (width, height) != self.source_wh_px:
            raise InputError(f"Expected a {self.source_wh_px} picture, got {(width, height)}")
        inner = self.inner_wh_px
        shrinking = inner[0] < width / 2 or inner[1] < height / 2
        resized = cv2.resize(image_rgb_u8, inner, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
        if inner == (self.side_px, self.side_px):
            return np.asarray(resized, np.uint8)
        square = np.full((self.side_px, self.side_px, 3), _GREY, np.uint8)
        square[: inner[1], : inner[0]] = resized
        return square

    def to_unit(self, points_xy_px: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map float[..., 2] source pixels to fractions of the network's square."""
        factor = np.array(self.inner_wh_px, np.float32) / np.array(self.source_wh_px, np.float32) / self.side_px
        return (points_xy_px * factor).astype(np.float32)

    def to_source(self, points_xy: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map float[..., 2] fractions of the square back to source pixels, clipped to the picture."""
        factor = np.array(self.source_wh_px, np.float32) / np.array(self.inner_wh_px, np.float32) * self.side_px
        return np.clip(points_xy * factor, 0, np.array(self.source_wh_px)).astype(np.float32)
