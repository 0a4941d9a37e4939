"""Ways a camera picture goes bad, seeded: uint8[H, W, 3] RGB in, the same out.

Source: LM4LV, section "Degradations", whose strengths are the defaults. Where the paper is silent we choose: blur
sigma by OpenCV from the window; rain as short bright streaks (uniform noise thresholded by the amount, smeared along
a random angle, added); rotation by 90 degrees clockwise; flip left-right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.config import check_ranges, setting
from vision_llm_ros.errors import ConfigError, InputError

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class DegradationConfig:
    """Strengths; a range (low, high) is drawn from uniformly for each picture."""

    noise_sigma: tuple[float, float] = setting(
        (0.0, 50 / 255), "standard deviation of Gaussian noise, 0..1 of full scale"
    )
    blur_windows_px: tuple[int, ...] = setting((1, 3, 5, 7), "windows of Gaussian blur, odd, pixels")
    pepper_fraction: tuple[float, float] = setting((0.0, 0.1), "share of pixels set to black, 0..1")
    rain_amount: tuple[float, float] = setting(
        (0.0, 20.0), "amount of rain; 20 starts about 0.08 % of the pixels as drops"
    )
    rain_length_px: int = setting(10, "length of a rain streak, pixels", low=1, high=200)
    rain_brightness: float = setting(0.8, "what a streak adds, 0..1 of full scale", low=0.0, high=1.0)
    mask_block_px: int = setting(4, "side of a masked block, pixels", low=1, high=512)
    mask_ratio: float = setting(0.1, "share of blocks set to black, 0..1", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        check_ranges(self)
        _check_range("noise_sigma", self.noise_sigma, 1.0)
        _check_range("pepper_fraction", self.pepper_fraction, 1.0)
        _check_range("rain_amount", self.rain_amount, 25600.0)
        if not self.blur_windows_px or any(window < 1 or window % 2 == 0 for window in self.blur_windows_px):
            raise ConfigError(f"DegradationConfig.blur_windows_px: expected odd windows, got {self.blur_windows_px}")


def degrade(image_rgb_u8: Image, kind: str, rng: np.random.Generator, config: DegradationConfig | None = None) -> Image:
    """Degrade one picture.

    Args:
        image_rgb_u8: uint8[H, W, 3] RGB; left as it is.
        kind: one of `DEGRADATIONS`, or the restoration that undoes it (`RESTORATIONS`).
    Returns:
        uint8[H, W, 3] RGB; "rotation" gives uint8[W, H, 3].
    Raises:
        ConfigError: unknown kind.
        InputError: not a picture.
    """
    name = RESTORATIONS.get(kind, kind)
    if name not in DEGRADATIONS:
        raise ConfigError(f"Expected a degradation of {', '.join((*DEGRADATIONS, *RESTORATIONS))}, got {kind!r}")
    if image_rgb_u8.ndim != 3 or image_rgb_u8.shape[2] != 3 or image_rgb_u8.dtype != np.uint8 or not image_rgb_u8.size:
        raise InputError(f"Expected uint8[H, W, 3] with pixels, got {image_rgb_u8.dtype}{list(image_rgb_u8.shape)}")
    return DEGRADATIONS[name](image_rgb_u8, rng, config or DegradationConfig())


def add_noise(image: Image, rng: np.random.Generator, config: DegradationConfig) -> Image:
    """Zero-mean Gaussian noise, independent for each pixel and channel."""
    sigma = rng.uniform(*config.noise_sigma) * 255
    return _clipped(image + sigma * rng.standard_normal(image.shape))


def blur(image: Image, rng: np.random.Generator, config: DegradationConfig) -> Image:
    """Gaussian blur; a window of 1 leaves the picture as it is."""
    window = int(rng.choice(config.blur_windows_px))
    return np.asarray(cv2.GaussianBlur(image, (window, window), 0), dtype=np.uint8)


def add_pepper(image: Image, rng: np.random.Generator, config: DegradationConfig) -> Image:
    """Black pixels, all three channels at once."""
    black = rng.random(image.shape[:2]) < rng.uniform(*config.pepper_fraction)
    return np.where(black[..., None], np.uint8(0), image)


def add_rain(image: Image, rng: np.random.Generator, config: DegradationConfig) -> Image:
    """Bright streaks of one direction."""
    amount, angle_deg = rng.uniform(*config.rain_amount), rng.uniform(0, 180)
    drops = (rng.uniform(0, 256, image.shape[:2]) >= 256 - amount / 100).astype(np.float32)
    streaks = cv2.filter2D(drops, -1, line_kernel(config.rain_length_px, angle_deg), borderType=cv2.BORDER_CONSTANT)
    return _clipped(image + 255 * config.rain_brightness * np.clip(streaks, 0, 1)[..., None])


def mask_blocks(image: Image, rng: np.random.Generator, config: DegradationConfig) -> Image:
    """Black square blocks on a grid from the top-left corner; the share of blocks is exact."""
    rows, columns = (-(-side // config.mask_block_px) for side in image.shape[:2])
    hidden = np.zeros(rows * columns, bool)
    hidden[rng.permutation(hidden.size)[: round(config.mask_ratio * hidden.size)]] = True
    block = np.ones((config.mask_block_px, config.mask_block_px), bool)
    inside = np.kron(hidden.reshape(rows, columns), block)[: image.shape[0], : image.shape[1]]
    return np.where(inside[..., None], np.uint8(0), image)


def rotate(image: Image, rng: np.random.Generator, config: DegradationConfig) -> Image:
    """90 degrees clockwise."""
    return np.ascontiguousarray(np.rot90(image, -1))


def flip(image: Image, rng: np.random.Generator, config: DegradationConfig) -> Image:
    """Left and right swapped."""
    return np.ascontiguousarray(image[:, ::-1])


def repeat(image: Image, rng: np.random.Generator, config: DegradationConfig) -> Image:
    """Nothing at all: whoever restores it shows what is lost by passing a picture through."""
    return image.copy()


def line_kernel(length_px: int, angle_deg: float) -> NDArray[np.float32]:
    """float32[S, S], a line of ones (soft edges) through the centre; 0 degrees is along x, 90 down."""
    side = length_px | 1
    half, centre = (length_px - 1) / 2, side // 2
    step = np.array([np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))]) * half
    kernel = np.zeros((side, side), np.uint8)
    ends = [tuple(round(float(centre + sign * value) * 16) for value in step) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
    return (kernel / 255).astype(np.float32)


DEGRADATIONS: dict[str, Callable[[Image, np.random.Generator, DegradationConfig], Image]] = {
    "noise": add_noise,
    "blur": blur,
    "pepper": add_pepper,
    "rain": add_rain,
    "mask": mask_blocks,
    "rotation": rotate,
    "flip": flip,
    "repeat": repeat,
}
RESTORATIONS = {
    "denoise": "noise",
    "deblur": "blur",
    "pepper": "pepper",
    "derain": "rain",
    "mask": "mask",
    "rotate": "rotation",
    "flip": "flip",
}


def _clipped(values: NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _check_range(name: str, given: tuple[float, float], high: float) -> None:
    if len(given) != 2 or not 0 <= given[0] <= given[1] <= high:
        raise ConfigError(f"DegradationConfig.{name}: expected 0 <= low <= high <= {high:g}, got {given}")
