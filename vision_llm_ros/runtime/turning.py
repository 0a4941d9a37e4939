"""Pictures turned and mirrored exactly, and what was found on them brought back to the camera's pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.interfaces import Box, Detection, Mask, Perception

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class Turn:
    """One of the eight ways to turn and mirror a picture.

    Attributes:
        across: what the new x is made of: the share of the old x and that of the old y, -1, 0 or 1, about the centre.
        down: likewise the new y.
    """

    across: tuple[int, int] = (1, 0)
    down: tuple[int, int] = (0, 1)

    def then(self, later: Turn) -> Turn:
        """This turn and another after it."""
        first, second = np.array([self.across, self.down]), np.array([later.across, later.down])
        (a, b), (c, d) = (second @ first).tolist()
        return Turn((a, b), (c, d))

    @property
    def back(self) -> Turn:
        """The turn that undoes this one."""
        return Turn((self.across[0], self.down[0]), (self.across[1], self.down[1]))

    def pixels(self, image: NDArray[Value]) -> NDArray[Value]:
        """An image [H, W, ...] turned; [W, H, ...] if it comes to lie on its side."""
        turned = image.swapaxes(0, 1) if self.across[1] else image
        turned = turned[:, ::-1] if sum(self.across) < 0 else turned
        turned = turned[::-1] if sum(self.down) < 0 else turned
        return np.ascontiguousarray(turned)

    def points(self, points_xy: NDArray[np.floating[Any]], size_wh_px: tuple[int, int]) -> NDArray[np.float64]:
        """Where points float[N, 2] of an image of that size come to lie, pixels."""
        matrix, size = np.array([self.across, self.down]), np.array(size_wh_px)
        return np.asarray((points_xy - size / 2) @ matrix.T + np.abs(matrix) @ size / 2, np.float64)

    def box(self, box_xyxy_px: Box, size_wh_px: tuple[int, int]) -> Box:
        """Where a box of an image of that size comes to lie."""
        corners = self.points(np.array(box_xyxy_px, np.float64).reshape(2, 2), size_wh_px)
        (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
        return left, top, right, bottom


UNTURNED = Turn()
# restore kind -> what it does to the picture
TURNS: dict[str, Turn] = {
    "rotate": Turn((0, 1), (-1, 0)),
    "rotate_clockwise": Turn((0, -1), (1, 0)),
    "rotate_half": Turn((-1, 0), (0, -1)),
    "flip": Turn((-1, 0), (0, 1)),
    "flip_vertical": Turn((1, 0), (0, -1)),
}
TOLD = {
    "rotate": "turned a quarter counter-clockwise",
    "rotate_clockwise": "turned a quarter clockwise",
    "rotate_half": "turned upside down",
    "flip": "left and right swapped",
    "flip_vertical": "top and bottom swapped",
}


def turned(perception: Perception, turn: Turn, size_wh_px: tuple[int, int]) -> Perception:
    """What was found on a picture of that size, where it lies once the picture is turned.

    Boxes, outlines (clockwise as before) and masks are moved; a restored picture stays as it is.
    """
    if turn == UNTURNED:
        return perception
    detections = tuple(_detection(item, turn, size_wh_px) for item in perception.detections)
    return replace(perception, detections=detections, masks=tuple(_mask(m, turn, size_wh_px) for m in perception.masks))


def _detection(item: Detection, turn: Turn, size_wh_px: tuple[int, int]) -> Detection:
    outline = item.polygon_xy_px
    if outline is not None:
        mirrored = turn.across[0] * turn.down[1] - turn.across[1] * turn.down[0] < 0
        outline = turn.points(outline[::-1] if mirrored else outline, size_wh_px).astype(np.float32)
    return replace(item, box_xyxy_px=turn.box(item.box_xyxy_px, size_wh_px), polygon_xy_px=outline)


def _mask(item: Mask, turn: Turn, size_wh_px: tuple[int, int]) -> Mask:
    return replace(item, inside=turn.pixels(item.inside), box_xyxy_px=turn.box(item.box_xyxy_px, size_wh_px))
