"""Read and write picture files as uint8[H, W, 3] RGB."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def read_picture(path: Path, max_pixels: int = 100_000_000) -> NDArray[np.uint8]:
    """Decode a picture file; its orientation tag is applied.

    Returns:
        uint8[H, W, 3] RGB.
    Raises:
        InputError: missing, not a file, empty, not a picture, or more than `max_pixels`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read picture {path}: {error.strerror}; give the path of a picture file") from error
    if not data:
        raise InputError(f"Picture {path} is empty (0 bytes)")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"Picture {path} cannot be decoded: {error.err or error}") from error
    if image is None:
        raise InputError(f"Picture {path} cannot be decoded: {len(data)} bytes beginning {data[:8]!r}; use JPEG or PNG")
    if image.shape[0] * image.shape[1] > max_pixels:
        raise InputError(
            f"Picture {path} has {image.shape[1]}x{image.shape[0]} pixels, at most {max_pixels} are served"
        )
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)


def write_picture(path: Path, image_rgb_u8: NDArray[np.uint8]) -> None:
    """Write uint8[H, W, 3] RGB or uint8[H, W] grey in the format of the suffix; the folder is made when missing.

    Raises:
        InputError: unknown suffix or no right to write there.
    """
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise InputError(f"Cannot write {path}: unknown picture suffix {path.suffix!r}, use .png or .jpg")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_encoded(image_rgb_u8, path.suffix.lower()))
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}") from error


def _encoded(image_rgb_u8: NDArray[np.uint8], suffix: str) -> bytes:
    pixels = image_rgb_u8 if image_rgb_u8.ndim == 2 else image_rgb_u8[..., ::-1]
    done, data = cv2.imencode(suffix, np.ascontiguousarray(pixels))
    if not done:
        raise InputError(f"Cannot encode {image_rgb_u8.shape[1]}x{image_rgb_u8.shape[0]} pixels as {suffix}")
    return data.tobytes()
