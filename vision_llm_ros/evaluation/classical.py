"""What plain image processing restores: several OpenCV and SciPy methods for each kind, the best one counts.

No method is told how strongly or where the picture was degraded; it may know the kind. All map uint8[H, W, 3] RGB
to the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from vision_llm_ros.training.degradations import line_kernel

Image = NDArray[np.uint8]
Method = Callable[[Image], Image]
ANGLES_DEG = tuple(np.arange(0, 180, 15.0))
BLOCK_PX = 4
# Mean over photographs of 224 px: log amplitude at 0.1 cycles/px minus that at 0.25, by window of Gaussian blur.
SPECTRUM_FALL = {1: 1.30, 3: 2.04, 5: 2.76, 7: 4.06}
SECOND_DIFFERENCE = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)


def noise_sigma(image: Image) -> float:
    """Noise level in grey values: median response of a second-difference mask that is blind to ramps and edges.

    Source: Immerkaer 1996; the median instead of the mean keeps texture from counting as noise.
    """
    response = np.abs(cv2.filter2D(image, cv2.CV_32F, SECOND_DIFFERENCE))
    return float(np.median(response) / 0.6745 / 6)


def non_local_means(image: Image, strength: float) -> Image:
    level = strength * noise_sigma(image)
    return image if level < 1 else _u8(cv2.fastNlMeansDenoisingColored(image, None, level, level, 5, 15))


def bilateral(image: Image, strength: float) -> Image:
    level = strength * noise_sigma(image)
    return image if level < 1 else _u8(cv2.bilateralFilter(image, 7, level, 2.0))


def gaussian(image: Image) -> Image:
    return image if noise_sigma(image) < 1 else _u8(cv2.GaussianBlur(image, (0, 0), 0.8))


def median(image: Image, window: int) -> Image:
    return _u8(cv2.medianBlur(image, window))


def unsharp(image: Image, amount: float, sigma: float) -> Image:
    """Add back what a Gaussian takes away."""
    soft = cv2.GaussianBlur(image, (0, 0), sigma)
    return _u8(cv2.addWeighted(image, 1 + amount, soft, -amount, 0))


def wiener(image: Image, window: int, noise_share: float) -> Image:
    """Invert a Gaussian blur of `window` px in the frequency domain; edges are mirrored against ringing."""
    pad, (height, width) = 16, image.shape[:2]
    wide = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="reflect" if min(height, width) > pad else "edge")
    line = cv2.getGaussianKernel(window, 0)
    kernel = np.zeros(wide.shape[:2])
    kernel[:window, :window] = line @ line.T
    response = np.fft.rfft2(np.roll(kernel, (-(window // 2), -(window // 2)), (0, 1)))
    inverse = np.conj(response) / (np.abs(response) ** 2 + noise_share)
    sharp = np.fft.irfft2(np.fft.rfft2(wide, axes=(0, 1)) * inverse[..., None], s=wide.shape[:2], axes=(0, 1))
    return _u8(sharp[pad : pad + height, pad : pad + width])


def wiener_by_slope(image: Image, noise_share: float) -> Image:
    """`wiener` with the window that the picture's spectrum speaks for; a sharp picture stays as it is."""
    window = blur_window(image)
    return image if window == 1 else wiener(image, window, noise_share)


def blur_window(image: Image) -> int:
    """The Gaussian window, 1..7 px, that the fall of the spectrum from coarse to fine detail speaks for."""
    grey = image.astype(float).mean(axis=2)
    taper = np.hanning(grey.shape[0])[:, None] * np.hanning(grey.shape[1])
    amplitude = np.abs(np.fft.rfft2((grey - grey.mean()) * taper))
    frequency = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.rfftfreq(grey.shape[1]))
    coarse, fine = (amplitude[(frequency > low) & (frequency < 1.25 * low)].mean() for low in (0.1, 0.25))
    fall = float(np.log(max(coarse, 1e-9) / max(fine, 1e-9)))
    return min(SPECTRUM_FALL, key=lambda window: abs(SPECTRUM_FALL[window] - fall))


def fill_black_pixels(image: Image, method: int) -> Image:
    """Inpaint pixels that are black in all channels."""
    return _inpainted(image, _black(image), method)


def median_at_black_pixels(image: Image, window: int) -> Image:
    return np.where(_black(image)[..., None] > 0, median(image, window), image)


def fill_black_blocks(image: Image, method: int) -> Image:
    """Inpaint black squares of 4 px or more; single dark pixels stay."""
    block, last = np.ones((BLOCK_PX, BLOCK_PX), np.uint8), BLOCK_PX - 1
    corners = cv2.erode(_black(image), block, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return _inpainted(image, _u8(cv2.dilate(corners, block, anchor=(last, last))), method)


def median_across_rain(image: Image, length: int) -> Image:
    """Median along the line that crosses the streaks, at pixels that stand out against it."""
    across = _rain_angle(image) + 90
    footprint = line_kernel(length, across) > 0.25
    calm = median_filter(image, footprint=footprint[..., None])
    brighter = image.astype(int).min(axis=2) - calm.astype(int).min(axis=2) > 30
    return np.where(_widened(brighter)[..., None], calm, image)


def open_across_rain(image: Image, length: int) -> Image:
    """Grey opening along the line that crosses the streaks, at pixels that it darkens much."""
    footprint = (line_kernel(length, _rain_angle(image) + 90) > 0.25).astype(np.uint8)
    calm = _u8(cv2.morphologyEx(image, cv2.MORPH_OPEN, footprint))
    brighter = np.min(image.astype(int) - calm, axis=2) > 40
    return np.where(_widened(brighter)[..., None], calm, image)


def inpaint_streaks(image: Image, length: int, contrast: int) -> Image:
    """Inpaint bright lines along the rain; spots shorter than `length` px and lines of other directions stay."""
    along = (line_kernel(length, _rain_angle(image)) > 0.25).astype(np.uint8)
    bright = (_spots(image) > contrast).astype(np.uint8)
    streaks = cv2.morphologyEx(_widened(bright).astype(np.uint8), cv2.MORPH_OPEN, along)
    return _inpainted(image, _u8(cv2.bitwise_and(streaks, _u8(_widened(bright)))), cv2.INPAINT_TELEA)


METHODS: dict[str, dict[str, Method]] = {
    "denoise": {
        "non-local means 0.8": partial(non_local_means, strength=0.8),
        "non-local means 1.1": partial(non_local_means, strength=1.1),
        "bilateral 3": partial(bilateral, strength=3.0),
        "median 3": partial(median, window=3),
        "gaussian 0.8": gaussian,
    },
    "deblur": {
        "unsharp 0.5": partial(unsharp, amount=0.5, sigma=1.0),
        "unsharp 1.0": partial(unsharp, amount=1.0, sigma=1.0),
        "wiener 3": partial(wiener, window=3, noise_share=0.01),
        "wiener 5": partial(wiener, window=5, noise_share=0.01),
        "wiener 7": partial(wiener, window=7, noise_share=0.01),
        "wiener, window estimated": partial(wiener_by_slope, noise_share=0.005),
    },
    "pepper": {
        "median 3": partial(median, window=3),
        "median 3 at black pixels": partial(median_at_black_pixels, window=3),
        "inpaint (Telea)": partial(fill_black_pixels, method=cv2.INPAINT_TELEA),
        "inpaint (Navier-Stokes)": partial(fill_black_pixels, method=cv2.INPAINT_NS),
    },
    "derain": {
        "directional median 7": partial(median_across_rain, length=7),
        "directional opening 5": partial(open_across_rain, length=5),
        "median 3": partial(median, window=3),
        "inpaint streaks 9": partial(inpaint_streaks, length=9, contrast=60),
        "inpaint streaks 11": partial(inpaint_streaks, length=11, contrast=80),
    },
    "mask": {
        "inpaint (Telea)": partial(fill_black_blocks, method=cv2.INPAINT_TELEA),
        "inpaint (Navier-Stokes)": partial(fill_black_blocks, method=cv2.INPAINT_NS),
        "median 7 at black pixels": partial(median_at_black_pixels, window=7),
    },
    "rotate": {"90 degrees counter-clockwise": lambda image: np.ascontiguousarray(np.rot90(image))},
    "flip": {"left-right": lambda image: np.ascontiguousarray(image[:, ::-1])},
}


def _u8(values: NDArray[np.generic]) -> Image:
    if values.dtype == np.uint8:
        return np.asarray(values, dtype=np.uint8)
    return np.asarray(np.clip(np.rint(np.asarray(values, dtype=float)), 0, 255), dtype=np.uint8)


def _black(image: Image) -> Image:
    return np.asarray(image.max(axis=2) == 0, dtype=np.uint8)


def _widened(inside: NDArray[np.generic]) -> NDArray[np.bool_]:
    return np.asarray(cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)), dtype=bool)


def _inpainted(image: Image, holes: Image, method: int) -> Image:
    return _u8(cv2.inpaint(image, holes, 3, method)) if holes.any() else image


def _spots(image: Image) -> NDArray[np.float32]:
    """float32[H, W]: by how much a pixel stands out against its surroundings, in the darkest channel."""
    calm = cv2.medianBlur(image, 7).min(axis=2).astype(np.float32)
    return np.asarray(np.maximum(image.min(axis=2) - calm, 0), dtype=np.float32)


def _rain_angle(image: Image) -> float:
    """Degrees (as in `line_kernel`) of the direction in which thin bright spots stretch most."""
    spots = np.maximum(_spots(image) - 40, 0)
    strength = [float(np.sum(cv2.filter2D(spots, -1, line_kernel(9, angle)) ** 2)) for angle in ANGLES_DEG]
    return float(ANGLES_DEG[int(np.argmax(strength))])
