"""How close a restored picture is to the clean one: PSNR and SSIM, RGB, 8 bit, border of 4 pixels cropped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from vision_llm_ros.errors import InputError

BORDER_PX = 4
IDENTICAL_DB = 100.0
SMALLEST_PX = 2 * BORDER_PX + 11


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio, dB, of two uint8[H, W, 3]; 100 for identical pictures."""
    a, b = _cropped(first, second)
    error = float(np.mean((a.astype(float) - b.astype(float)) ** 2))
    return IDENTICAL_DB if error == 0 else 10 * float(np.log10(255.0**2 / error))


def ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Structural similarity, -1..1, of two uint8[H, W, 3]: Gaussian window 11 px, sigma 1.5, mean over channels."""
    a, b = _cropped(first, second)
    value = structural_similarity(
        a, b, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(value)


def quality(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> dict[str, float]:
    """Both measures: {"psnr": dB, "ssim": -1..1}."""
    return {"psnr": psnr(first, second), "ssim": ssim(first, second)}


def _cropped(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    for image in (first, second):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"Expected uint8[H, W, 3], got {image.dtype}{list(image.shape)}")
    if first.shape != second.shape:
        raise InputError(f"Expected pictures of one size, got {list(first.shape)} and {list(second.shape)}")
    if min(first.shape[:2]) < SMALLEST_PX:
        raise InputError(f"Expected at least {SMALLEST_PX} pixels a side, got {first.shape[1]}x{first.shape[0]}")
    inner = (slice(BORDER_PX, -BORDER_PX), slice(BORDER_PX, -BORDER_PX))
    return first[inner], second[inner]
