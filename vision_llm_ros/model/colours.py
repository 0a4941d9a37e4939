"""Colour names of pixels: how much of an object is red, and how well that fits "the red car"."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.language.words import BASIC_COLOURS, COLOUR_WORDS

# upper ends of hue in OpenCV's half degrees, by name
_HUES = ((8, "red"), (20, "orange"), (33, "yellow"), (85, "green"), (130, "blue"), (158, "purple"), (180, "red"))
_BLACK_VALUE, _WHITE_VALUE, _GREY_SATURATION = 50, 180, 45
_BROWN_VALUE, _PINK_VALUE, _PINK_SATURATION = 150, 170, 130
_PINK_HUES = (150, 176)
_CLEAR_SHARE = 0.5
_MINKOWSKI = 6
_SMALLEST_PX = 600
_SOME, _ENOUGH = 0.1, 0.4  # of an object's pixels: from here on a colour is its own, and is so without doubt
_HUE_NAMES = np.array(
    [BASIC_COLOURS.index(next((name for end, name in _HUES if hue <= end), "red")) for hue in range(256)], np.uint8
)
_BLACK, _WHITE, _GREY, _RED, _ORANGE, _PINK, _BROWN = map(
    BASIC_COLOURS.index, ("black", "white", "gray", "red", "orange", "pink", "brown")
)


def name_pixels(image_rgb_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Index into `BASIC_COLOURS` of every pixel: uint8[H, W] of uint8[H, W, 3]."""
    hue, saturation, value = (np.asarray(part) for part in cv2.split(cv2.cvtColor(image_rgb_u8, cv2.COLOR_RGB2HSV)))
    names: NDArray[np.uint8] = _HUE_NAMES[hue]
    names[np.isin(names, (_RED, _ORANGE)) & (value < _BROWN_VALUE)] = _BROWN
    rosy = (hue >= _PINK_HUES[0]) & (hue < _PINK_HUES[1]) | (names == _RED) & (saturation < _PINK_SATURATION)
    names[rosy & (value >= _PINK_VALUE)] = _PINK
    grey = saturation < _GREY_SATURATION
    names[grey] = np.where(value > _WHITE_VALUE, _WHITE, _GREY)[grey]
    names[value < _BLACK_VALUE] = _BLACK
    return names


def colour_shares(names: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of each of `BASIC_COLOURS` among the named pixels inside a mask; zeros where the mask is empty."""
    counts = np.bincount(names[inside], minlength=len(BASIC_COLOURS))
    return counts / max(int(counts.sum()), 1)


def colour_fit(shares: NDArray[np.float64], words: tuple[str, ...]) -> float:
    """How well an object of these `colour_shares` is called by colour words, 0..1; 1 where none are said.

    Of several words ("black and white") the pixels of all count together.
    """
    meant = {name for word in words for name in COLOUR_WORDS[word]}
    if not meant:
        return 1.0
    share = sum(float(shares[BASIC_COLOURS.index(name)]) for name in meant)
    return min(max((share - _SOME) / (_ENOUGH - _SOME), 0.0), 1.0)


def main_colour(image_rgb_u8: NDArray[np.uint8], inside: NDArray[np.bool_]) -> str:
    """The colour of more than half of the pixels inside a mask; "" where there is none or the mask is tiny."""
    if int(inside.sum()) < _SMALLEST_PX:
        return ""
    shares = colour_shares(name_pixels(image_rgb_u8), inside)
    best = int(shares.argmax())
    return BASIC_COLOURS[best] if shares[best] > _CLEAR_SHARE else ""


class Palette:
    """The colours of one picture, as they are and as under white light; pixels are named when first asked for."""

    def __init__(self, image_rgb_u8: NDArray[np.uint8]) -> None:
        self._image = image_rgb_u8

    @cached_property
    def names(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """See `name_pixels`."""
        return name_pixels(self._image), name_pixels(white_light(self._image))

    def fit(self, inside: NDArray[np.bool_], words: tuple[str, ...]) -> float:
        """How well colour words fit what is inside a mask bool[H, W], 0..1, in the better light; see `colour_fit`."""
        return max(colour_fit(colour_shares(names, inside), words) for names in self.names) if words else 1.0


def white_light(image_rgb_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo a cast of the light: a white cup under a warm lamp is white.

    Source: Finlayson and Trezzi 2004, "Shades of gray and colour constancy": the Minkowski norms (p = 6) of the three
    channels become equal.
    """
    norms = ((image_rgb_u8.reshape(-1, 3) / 255.0) ** _MINKOWSKI).mean(0) ** (1 / _MINKOWSKI)
    gains = norms.max() / np.maximum(norms, 1e-3)
    ramp = np.clip(np.arange(256)[:, None] * gains, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image_rgb_u8, ramp[None]), np.uint8)
