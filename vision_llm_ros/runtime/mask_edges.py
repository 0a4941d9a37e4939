"""Mask logits of the network's square as masks of the source picture, edges drawn to those of the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import Box
from vision_llm_ros.model.letterbox import Letterbox

Floats = NDArray[np.float32]

_COARSE_PX = 128  # longer side of the small picture that the filter's coefficients are found on
_NOISE = 1e-4  # variance of a colour channel (0..1) that counts as noise, not as an edge
_LARGEST_LOGIT, _SURELY_OUTSIDE = 15.0, -5.0


class MaskEdges:
    """Masks of one picture; what depends on the picture alone is computed once."""

    def __init__(self, transform: Letterbox, image_rgb_u8: NDArray[np.uint8]) -> None:
        """Take uint8[H, W, 3], the picture that `transform` was made for.

        Raises:
            InputError: it has another size.
        """
        width, height = transform.source_wh_px
        if image_rgb_u8.shape != (height, width, 3):
            raise InputError(f"Expected a {width}x{height} RGB picture, got shape {image_rgb_u8.shape}")
        self._transform, self._image = transform, image_rgb_u8
        self._guides: dict[int, _Guide] = {}

    def to_source(self, logits: Floats, refine: bool = True) -> NDArray[np.bool_]:
        """Map logits float32[h, w] of the whole square to bool[H, W]: true where the logit is above 0.

        Args:
            refine: move edges to those of the picture, by about one cell of `logits` at most.
        Raises:
            InputError: not two axes, no values, or one that is not a number.
        """
        if logits.ndim != 2 or not logits.size or np.isnan(logits).any():
            raise InputError(f"Expected mask logits float[h, w] without NaN, got shape {logits.shape}")
        cells, pitch_px = self._of_picture(logits)
        width, height = self._transform.source_wh_px
        smooth = _enlarged(cells, pitch_px, (0, 0, width, height))
        inside = np.asarray(smooth > 0)
        if refine and inside.any():
            x, y, width, height = area = cv2.boundingRect((smooth > _SURELY_OUTSIDE).view(np.uint8))
            soft = 1 / (1 + cv2.exp(-smooth))
            inside[y : y + height, x : x + width] = self._guide(max(pitch_px)).refined(soft, area) > 0.5
        return inside

    def _of_picture(self, logits: Floats) -> tuple[Floats, tuple[float, float]]:
        """The cells whose centre lies in the picture, not in the padding, and source pixels per cell in x and y."""
        side, (height, width) = self._transform.side_px, logits.shape
        inner = self._transform.inner_wh_px
        columns, rows = (max(1, round(count * part / side)) for count, part in zip((width, height), inner, strict=True))
        cells = np.clip(logits[:rows, :columns], -_LARGEST_LOGIT, _LARGEST_LOGIT).astype(np.float32)
        source = self._transform.source_wh_px
        pitch = (source[0] * side / (inner[0] * width), source[1] * side / (inner[1] * height))
        return cells, pitch

    def _guide(self, cell_px: float) -> _Guide:
        radius_px = max(1, round(cell_px))
        if radius_px not in self._guides:
            self._guides[radius_px] = _Guide(self._image, radius_px)
        return self._guides[radius_px]


class _Guide:
    """A picture as the guide of filtered masks.

    Source: He, Sun and Tang, Guided Image Filtering, section 3.5 (colour guide), and Fast Guided Filter (coefficients
    on a small picture). Departure: the window's own smoothing is taken out again. It would pull every edge towards
    the inside of its curve; without it a mask stays as it is where the picture offers no edge.
    """

    def __init__(self, image_rgb_u8: NDArray[np.uint8], radius_px: int) -> None:
        self._image = image_rgb_u8
        height, width = image_rgb_u8.shape[:2]
        scale = min(1.0, _COARSE_PX / max(width, height))
        self._size_wh = max(1, round(width * scale)), max(1, round(height * scale))
        self._window = 2 * max(1, round(radius_px * scale)) + 1
        self._coarse = self._shrunk(image_rgb_u8) * np.float32(1 / 255)
        self._mean = self._blurred(self._coarse)
        products = self._coarse[..., :, None] * self._coarse[..., None, :]
        squares = self._blurred(products.reshape(*products.shape[:2], 9)).reshape(products.shape)
        covariance = squares - self._mean[..., :, None] * self._mean[..., None, :]
        self._inverse = _inverse(covariance + _NOISE * np.eye(3, dtype=np.float32))

    def refined(self, soft: Floats, area_xywh: tuple[int, int, int, int]) -> Floats:
        """Move the edges of a soft mask float32[H, W], values 0..1, to those of the picture.

        Returns:
            float32[h, w], the new values within the area.
        """
        small = self._shrunk(soft)
        mean = self._blurred(small)
        together = self._blurred(self._coarse * small[..., None]) - self._mean * mean[..., None]
        slope = np.einsum("hwij,hwj->hwi", self._inverse, together)
        offset = mean - (slope * self._mean).sum(-1)
        pitch_px = soft.shape[1] / self._size_wh[0], soft.shape[0] / self._size_wh[1]
        slopes = _enlarged(self._blurred(slope) * np.float32(1 / 255), pitch_px, area_xywh)
        offsets = _enlarged(self._blurred(offset - mean), pitch_px, area_xywh)
        x, y, width, height = area_xywh
        part = np.s_[y : y + height, x : x + width]
        colours = cv2.multiply(slopes, self._image[part].astype(np.float32))
        return np.asarray(cv2.transform(colours, np.ones((1, 3), np.float32)) + offsets + soft[part], np.float32)

    def _shrunk(self, values: NDArray[np.generic]) -> Floats:
        return np.asarray(cv2.resize(values, self._size_wh, interpolation=cv2.INTER_AREA), np.float32)

    def _blurred(self, values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, (self._window, self._window)), np.float32)


def to_source(
    logits: Floats, transform: Letterbox, image_rgb_u8: NDArray[np.uint8], refine: bool = True
) -> NDArray[np.bool_]:
    """One mask of a picture; see `MaskEdges.to_source`, which is faster for several of the same picture."""
    return MaskEdges(transform, image_rgb_u8).to_source(logits, refine)


def tight_box(inside: NDArray[np.bool_]) -> Box | None:
    """The smallest box xyxy, source pixels, around a mask bool[H, W]; None around an empty one."""
    left, top, width, height = cv2.boundingRect(inside.view(np.uint8))
    return (float(left), float(top), float(left + width), float(top + height)) if width else None


def _enlarged(cells: Floats, pitch_px: tuple[float, float], area_xywh: tuple[int, int, int, int]) -> Floats:
    """Interpolate float32[h, w, ...] linearly at the centre of every source pixel of an area.

    Args:
        pitch_px: source pixels per cell in x and y; the outermost cells go on to the border of the picture.
    """
    (across, down), (x, y, width, height) = (1 / np.array(pitch_px)).tolist(), area_xywh
    to_cells = np.array([[across, 0, across * (x + 0.5) - 0.5], [0, down, down * (y + 0.5) - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(cells, to_cells, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _inverse(matrices: Floats) -> Floats:
    """Invert float[..., 3, 3] by cofactors: for many small matrices faster than LAPACK by far."""
    first, second, third = (matrices[..., row, :] for row in range(3))
    columns = np.cross(second, third), np.cross(third, first), np.cross(first, second)
    determinant = (first * columns[0]).sum(-1)
    return np.asarray(np.stack(columns, -1) / determinant[..., None, None], np.float32)
