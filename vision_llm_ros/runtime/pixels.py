"""Bytes of a camera message <-> uint8[H, W, 3] RGB. No ROS: the node and the replay room share it.

What has more than eight bits comes down to eight as follows:
- 16-bit colour and mono16 by their full range (value / 257);
- 16UC1, 16SC1, 32SC1, 32FC1, 64FC1 (depth, thermal) by the frame's own range: the lowest valid
  value becomes 1, the highest 255. NaN, infinities and the 0 of 16UC1 ("no measurement") are not
  valid and become 0;
- float colour is 0..1; when values leave that range, by the frame's own range.
Numbered types (8UC3, ...) are OpenCV's, so three and four channels are BGR(A); of two channels
the first is taken as grey, of more than four the first three.
"""

from __future__ import annotations

import io
import re
import struct
from array import array
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError, TooLargeError

RGB = NDArray[np.uint8]
Pixels = NDArray[np.generic]
Buffer: TypeAlias = "bytes | bytearray | memoryview | array[int] | NDArray[np.uint8]"

MAX_PIXELS = 100_000_000
# BT.601, limited range, rows R G B over (Y, U, V, 1); what OpenCV uses for the other YUV layouts.
YUV_TO_RGB = np.array(
    [[1.164, 0.0, 1.596, -222.912], [1.164, -0.391, -0.813, 135.488], [1.164, 2.018, 0.0, -276.928]], np.float32
)


@dataclass(frozen=True)
class Layout:
    """How the rows of an encoding lie in memory.

    Attributes:
        kind: rgb, bgr, grey, number, uyvy, yuyv, nv21, nv24 or a Bayer pattern such as RGGB.
        dtype: numpy type of one channel.
        channels: interleaved channels of one pixel.
        planes: rows of data for each row of the picture, times two (2, or 3 for nv21, 6 for nv24).
    """

    kind: str
    dtype: np.dtype[np.generic]
    channels: int
    planes: int = 2

    @property
    def pixel_bytes(self) -> int:
        return self.dtype.itemsize * self.channels


_U8, _U16 = np.dtype(np.uint8), np.dtype(np.uint16)
_COLOURS = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4}
LAYOUTS: dict[str, Layout] = {
    **{f"{name}8": Layout(name[:3], _U8, channels) for name, channels in _COLOURS.items()},
    **{f"{name}16": Layout(name[:3], _U16, channels) for name, channels in _COLOURS.items()},
    "mono8": Layout("grey", _U8, 1),
    "mono16": Layout("grey", _U16, 1),
    **{f"bayer_{pattern}8": Layout(pattern.upper(), _U8, 1) for pattern in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{pattern}16": Layout(pattern.upper(), _U16, 1) for pattern in ("rggb", "bggr", "gbrg", "grbg")},
    "yuv422": Layout("uyvy", _U8, 2),
    "uyvy": Layout("uyvy", _U8, 2),
    "yuv422_yuy2": Layout("yuyv", _U8, 2),
    "yuyv": Layout("yuyv", _U8, 2),
    "nv21": Layout("nv21", _U8, 1, planes=3),
    "nv24": Layout("nv24", _U8, 1, planes=6),
}
_NUMBERED = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C(\d{1,3})?")
_TYPES = {"8U": "u1", "8S": "i1", "16U": "u2", "16S": "i2", "32S": "i4", "32F": "f4", "64F": "f8"}


def layout_of(encoding: str) -> Layout:
    """Look up an encoding of sensor_msgs/image_encodings.

    Raises:
        InputError: the encoding is unknown; the message lists the known ones.
    """
    if encoding in LAYOUTS:
        return LAYOUTS[encoding]
    match = _NUMBERED.fullmatch(encoding)
    channels = int(match[2] or 1) if match else 0
    if match is None or not 1 <= channels <= 512:
        raise InputError(
            f"Unknown encoding {encoding!r}; known are {', '.join(LAYOUTS)} and OpenCV types such as 8UC3 or 32FC1"
        )
    return Layout("number", np.dtype(_TYPES[match[1]]), channels)


def decode_raw(
    data: Buffer,
    height: int,
    width: int,
    encoding: str,
    step: int,
    is_bigendian: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> RGB:
    """Read the fields of a sensor_msgs/Image.

    Args:
        data: height * step bytes (nv21: half as many again, nv24: three times as many).
        height: rows of the picture, pixels.
        width: columns of the picture, pixels.
        encoding: name from sensor_msgs/image_encodings.
        step: bytes from one row to the next; may be more than a row needs.
        is_bigendian: byte order of channels wider than a byte.
        max_pixels: larger pictures are refused.
    Returns:
        uint8[height, width, 3] RGB, writable; for rgb8 it may share memory with `data`.
    Raises:
        InputError: unknown encoding, zero or excessive size, or size and step that do not fit the data.
    """
    layout = layout_of(encoding)
    check_size(width, height, max_pixels, encoding)
    rows = _rows(data, height, width, encoding, step, layout)
    try:
        rgb = _to_rgb(rows, height, width, encoding, layout, is_bigendian)
    except cv2.error as error:
        raise InputError(f"Cannot convert {encoding} of {width}x{height} pixels: {error.err}") from error
    rgb = np.ascontiguousarray(rgb)
    return rgb if rgb.flags.writeable else rgb.copy()


def check_size(width: int, height: int, max_pixels: int, encoding: str) -> None:
    """Raise `InputError` for an empty picture or one of more than `max_pixels`."""
    if width <= 0 or height <= 0:
        raise InputError(f"Expected a picture with pixels, got {width}x{height} ({encoding})")
    if width * height > max_pixels:
        size = f"{width}x{height} = {width * height}"
        raise TooLargeError(f"Expected at most {max_pixels} pixels, got {size} ({encoding})")


def _rows(data: Buffer, height: int, width: int, encoding: str, step: int, layout: Layout) -> NDArray[np.uint8]:
    """Check the sizes against each other and return uint8[rows, bytes of a row], without the padding."""
    row_bytes = width * layout.pixel_bytes
    if step < row_bytes:
        raise InputError(f"Expected a step of at least {row_bytes} bytes for {width} pixels of {encoding}, got {step}")
    if layout.kind in {"uyvy", "yuyv", "nv21"} and width % 2:
        raise InputError(f"Expected an even width for {encoding}, got {width}")
    if layout.kind == "nv21" and height % 2:
        raise InputError(f"Expected an even height for {encoding}, got {height}")
    num_rows = height * layout.planes // 2
    raw = np.frombuffer(data, np.uint8)
    if raw.size != num_rows * step:
        fault = "truncated" if raw.size < num_rows * step else "too much data"
        raise InputError(
            f"Expected {num_rows * step} bytes for {encoding} of {width}x{height} with step {step}, "
            f"got {raw.size} ({fault})"
        )
    return raw.reshape(num_rows, step)[:, :row_bytes]


def _to_rgb(rows: NDArray[np.uint8], height: int, width: int, encoding: str, layout: Layout, is_bigendian: bool) -> RGB:
    if layout.kind in {"uyvy", "yuyv"}:
        code = cv2.COLOR_YUV2RGB_UYVY if layout.kind == "uyvy" else cv2.COLOR_YUV2RGB_YUY2
        return _convert(np.ascontiguousarray(rows).reshape(height, width, 2), code)
    if layout.kind == "nv21":
        return _convert(np.ascontiguousarray(rows), cv2.COLOR_YUV2RGB_NV21)
    if layout.kind == "nv24":
        chroma = np.ascontiguousarray(rows[height:]).reshape(height, width, 2)
        return _as_rgb(cv2.transform(np.dstack([rows[:height], chroma]), YUV_TO_RGB))
    pixels = _channels(rows, height, width, layout, is_bigendian)
    if layout.kind == "grey":
        return _grey_to_rgb(_full_range(pixels[..., 0]))
    if layout.kind == "number":
        return _numbered_to_rgb(pixels, encoding)
    if layout.kind in {"rgb", "bgr"}:
        return _colour_to_rgb(_full_range(pixels), layout.kind)
    code = int(getattr(cv2, f"COLOR_Bayer{layout.kind}2RGB"))
    return _full_range(_convert(np.ascontiguousarray(pixels[..., 0]), code))


def _channels(rows: NDArray[np.uint8], height: int, width: int, layout: Layout, is_bigendian: bool) -> Pixels:
    """View rows as [height, width, channels] of the layout's type, in this machine's byte order."""
    dtype = layout.dtype.newbyteorder(">" if is_bigendian else "<")
    if layout.dtype.itemsize > 1:
        rows = np.ascontiguousarray(rows)
    pixels: Pixels = rows.view(dtype).reshape(height, width, layout.channels)
    return pixels.astype(layout.dtype, copy=False)


def _numbered_to_rgb(pixels: Pixels, encoding: str) -> RGB:
    channels = pixels.shape[2]
    pixels = pixels[..., :3] if channels >= 3 else pixels[..., 0]
    kind, item_bytes = pixels.dtype.kind, pixels.dtype.itemsize
    if item_bytes == 1 or (item_bytes == 2 and channels > 1):
        narrow = _full_range(pixels)
    elif kind == "f" and channels > 1 and _within_unit(pixels):
        narrow = np.rint(np.nan_to_num(pixels) * 255).astype(np.uint8)
    else:
        narrow = stretch(pixels, zero_is_valid=encoding not in {"16UC", "16UC1"})
    return _colour_to_rgb(narrow, "bgr") if channels >= 3 else _grey_to_rgb(narrow)


def _within_unit(pixels: Pixels) -> bool:
    finite = pixels[np.isfinite(pixels)]
    return bool(finite.size == pixels.size and finite.min() >= 0 and finite.max() <= 1)


def _full_range(pixels: Pixels) -> NDArray[np.uint8]:
    """Bring 8- or 16-bit integers to uint8 by the range of their type; signed zero becomes 128."""
    if pixels.dtype.kind == "i":
        unsigned = np.dtype(f"u{pixels.dtype.itemsize}")
        pixels = pixels.view(unsigned) ^ unsigned.type(1 << (8 * unsigned.itemsize - 1))
    if pixels.dtype.itemsize == 2:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return pixels.view(np.uint8)


def stretch(values: Pixels, zero_is_valid: bool = True) -> NDArray[np.uint8]:
    """Spread the valid values of one frame linearly over 1..255; 0 marks the pixels without a value.

    Args:
        values: any numeric array. NaN and infinities are never valid.
        zero_is_valid: False where 0 means "no measurement", as in 16UC1 depth.
    """
    valid = np.isfinite(values)
    if not zero_is_valid:
        valid &= values != 0
    if not valid.any():
        return np.zeros(values.shape, np.uint8)
    wide: NDArray[np.floating] = values.astype(np.float64 if values.dtype.itemsize == 8 else np.float32)
    low, high = float(wide[valid].min()), float(wide[valid].max())
    # Halved first: the span of two extreme floats overflows.
    scale = 127.0 / (high / 2 - low / 2) if high > low else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        spread = np.where(valid, (wide - low) * scale + 1 if scale else 255.0, 0.0)
    narrow: NDArray[np.uint8] = np.rint(np.clip(spread, 0, 255)).astype(np.uint8)
    return narrow


def _convert(pixels: Pixels, code: int) -> RGB:
    return _as_rgb(cv2.cvtColor(pixels, code))


def _as_rgb(pixels: object) -> RGB:
    rgb: RGB = np.asarray(pixels)
    return rgb


def _grey_to_rgb(grey: NDArray[np.uint8]) -> RGB:
    return _convert(np.ascontiguousarray(grey), cv2.COLOR_GRAY2RGB)


def _colour_to_rgb(pixels: NDArray[np.uint8], order: str) -> RGB:
    if order == "rgb":
        return pixels[..., :3]
    # Ten times as fast as a reversed view made contiguous.
    return _convert(np.ascontiguousarray(pixels), cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGB)


def decode_compressed(data: Buffer, format: str, max_pixels: int = MAX_PIXELS) -> RGB:
    """Read the fields of a sensor_msgs/CompressedImage.

    Args:
        data: a whole JPEG, PNG or any other file OpenCV reads; for compressedDepth with its header.
        format: e.g. "jpeg", "png", "rgb8; jpeg compressed bgr8", "16UC1; compressedDepth png".
        max_pixels: larger pictures are refused before they are decoded.
    Returns:
        uint8[H, W, 3] RGB; JPEG orientation tags are not applied, as pixels are the source's.
    Raises:
        InputError: empty, truncated, not a picture, too large, or a compressedDepth that is not PNG.
    """
    content = bytes(np.frombuffer(data, np.uint8)) if len(data) else b""
    header = b""
    if "compressedDepth" in format:
        header, content = content[:12], content[12:]
    _check_file(content, format, max_pixels)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise InputError(f"Cannot decode {len(content)} bytes of format {format!r}: the picture is damaged")
    if header and format.startswith("32FC1"):
        return _grey_to_rgb(stretch(_inverse_depth(pixels, header)))
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if pixels.dtype == np.uint16 and pixels.shape[2] == 1 and format.startswith("mono16"):
        return _grey_to_rgb(_full_range(pixels[..., 0]))
    rgb = np.ascontiguousarray(_numbered_to_rgb(pixels, "16UC1" if pixels.dtype == np.uint16 else ""))
    # Named so, the sender compressed RGB as if it were BGR.
    swapped = "compressed rgb" in format and pixels.shape[2] >= 3
    return np.ascontiguousarray(rgb[..., ::-1]) if swapped else rgb


def _check_file(content: bytes, format: str, max_pixels: int) -> None:
    """Look at the file's header and end: OpenCV decodes bombs, and fills a cut JPEG with grey, without a word."""
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise InputError(f"Expected a picture, got no data (format {format!r})")
    try:
        with Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
    except Image.DecompressionBombError as error:
        raise TooLargeError(f"Expected at most {max_pixels} pixels: {error}") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error) as error:
        start = content[:8].hex(" ")
        raise InputError(
            f"Cannot decode {len(content)} bytes of format {format!r} starting {start}: not a picture"
        ) from error
    check_size(width, height, max_pixels, format)
    tail = content.rstrip(b"\0")[-1024:]
    ends = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}
    end = ends.get(content[:2], b"")
    if end not in tail:
        raise InputError(f"Picture of format {format!r} is truncated: {len(content)} bytes without an end mark")


def _inverse_depth(quantized: Pixels, header: bytes) -> NDArray[np.float32]:
    """Undo compressedDepth's quantization, metres = a / (q - b); 0 means no measurement.

    Source: ROS compressed_depth_image_transport; the header is an int32 and the floats a and b.
    """
    _, a, b = struct.unpack("<iff", header)
    with np.errstate(divide="ignore", invalid="ignore"):
        metres = a / (quantized.astype(np.float32) - b)
    return np.where(quantized == 0, np.nan, metres).astype(np.float32)


_WRITERS = {
    "rgb8": None,
    "bgr8": cv2.COLOR_RGB2BGR,
    "8UC3": cv2.COLOR_RGB2BGR,
    "rgba8": cv2.COLOR_RGB2RGBA,
    "bgra8": cv2.COLOR_RGB2BGRA,
    "8UC4": cv2.COLOR_RGB2BGRA,
    "mono8": cv2.COLOR_RGB2GRAY,
    "8UC1": cv2.COLOR_RGB2GRAY,
}


def encode_raw(image_rgb_u8: RGB, encoding: str = "rgb8") -> NDArray[np.uint8]:
    """Write uint8[H, W, 3] RGB as rows of bytes: uint8[H, step].

    Raises:
        InputError: the encoding cannot be written; the message lists those that can.
    """
    if encoding not in _WRITERS:
        raise InputError(f"Cannot write encoding {encoding!r}; choose one of {', '.join(_WRITERS)}")
    code = _WRITERS[encoding]
    pixels = image_rgb_u8 if code is None else cv2.cvtColor(image_rgb_u8, code)
    return np.ascontiguousarray(pixels).reshape(image_rgb_u8.shape[0], -1)


def encode_compressed(image_rgb_u8: RGB, format: str = "jpeg", quality: int = 90) -> bytes:
    """Write uint8[H, W, 3] RGB as a JPEG (`quality` 1..100) or PNG file.

    Raises:
        InputError: another format, or OpenCV cannot encode the picture.
    """
    if format not in {"jpeg", "png"}:
        raise InputError(f"Cannot write format {format!r}; choose jpeg or png")
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if format == "jpeg" else []
    written, data = cv2.imencode(f".{format}", cv2.cvtColor(image_rgb_u8, cv2.COLOR_RGB2BGR), options)
    if not written:
        raise InputError(f"Cannot encode {image_rgb_u8.shape[1]}x{image_rgb_u8.shape[0]} pixels as {format}")
    return data.tobytes()
