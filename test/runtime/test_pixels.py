"""Every encoding to RGB and the errors that name what is wrong."""

from __future__ import annotations

import struct
from array import array

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.runtime.pixels import (
    LAYOUTS,
    decode_compressed,
    decode_raw,
    encode_compressed,
    encode_raw,
    stretch,
)


def smooth_picture(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """uint8[H, W, 3] RGB with three different slopes, so that swapped channels and axes show."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([40 + 2 * x, 200 - 2 * y, 60 + x + y], -1).astype(np.uint8)


def decode(pixels: NDArray[np.generic], encoding: str, height: int = 48, width: int = 64, **options: bool) -> object:
    data = np.ascontiguousarray(pixels)
    return decode_raw(data.tobytes(), height, width, encoding, data.nbytes // data.shape[0], **options)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "8UC3", "8UC4"])
def test_colour_encodings_return_the_same_rgb(encoding: str) -> None:
    rgb = smooth_picture()
    assert np.array_equal(decode(encode_raw(rgb, encoding), encoding), rgb)


@pytest.mark.parametrize(("encoding", "order"), [("rgb16", [0, 1, 2]), ("bgr16", [2, 1, 0]), ("16UC3", [2, 1, 0])])
@pytest.mark.parametrize("is_bigendian", [False, True])
def test_sixteen_bit_colour_is_scaled_by_its_full_range(encoding: str, order: list[int], is_bigendian: bool) -> None:
    rgb = smooth_picture()
    wide = (rgb[..., order].astype(np.uint16) * 257).astype(">u2" if is_bigendian else "<u2")
    assert np.array_equal(decode(wide.reshape(48, -1), encoding, is_bigendian=is_bigendian), rgb)


def test_mono8_gives_equal_channels() -> None:
    grey = smooth_picture()[..., 0]
    assert np.array_equal(decode(grey, "mono8"), np.dstack([grey] * 3))


def test_mono16_is_scaled_by_its_full_range() -> None:
    grey = np.array([[0, 257, 65535]], np.uint16)
    assert decode(grey, "mono16", 1, 3)[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize(("encoding", "dtype", "low", "high"), [("8SC1", "i1", -128, 127), ("8UC1", "u1", 0, 255)])
def test_one_byte_numbers_are_scaled_by_their_full_range(encoding: str, dtype: str, low: int, high: int) -> None:
    assert decode(np.array([[low, high]], dtype), encoding, 1, 2)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(("encoding", "dtype"), [("16SC1", "i2"), ("32SC1", "i4"), ("32FC1", "f4"), ("64FC1", "f8")])
@pytest.mark.parametrize("order", ["<", ">"])
def test_wide_numbers_are_stretched_between_lowest_and_highest(encoding: str, dtype: str, order: str) -> None:
    values = np.array([[-20, 0, 20]]).astype(order + dtype)
    decoded = decode(values, encoding, 1, 3, is_bigendian=order == ">")
    assert decoded[0, :, 0].tolist() == [1, 128, 255]


def test_depth_with_nan_and_infinities_is_stretched_over_the_valid_pixels() -> None:
    depth = np.array([[np.nan, 1.0, np.inf, 3.0, -np.inf, 5.0]], np.float32)
    assert decode(depth, "32FC1", 1, 6)[0, :, 0].tolist() == [0, 1, 0, 128, 0, 255]


def test_depth_of_nan_only_is_black() -> None:
    assert not decode(np.full((2, 2), np.nan, np.float32), "32FC1", 2, 2).any()


def test_zero_of_integer_depth_means_no_measurement() -> None:
    depth = np.array([[0, 1000, 3000]], np.uint16)
    assert decode(depth, "16UC1", 1, 3)[0, :, 0].tolist() == [0, 1, 255]


def test_extreme_floats_do_not_overflow() -> None:
    assert stretch(np.array([-1.7e308, 0.0, 1.7e308])).tolist() == [1, 128, 255]
    assert stretch(np.array([-3e38, 3e38], np.float32)).tolist() == [1, 255]


def test_float_colour_within_unit_range_is_not_stretched() -> None:
    bgr = np.array([[[0.2, 0.4, 0.6]]], np.float32)
    assert decode(bgr.reshape(1, -1), "32FC3", 1, 1)[0, 0].tolist() == [153, 102, 51]


def test_two_and_five_channels_take_the_first_ones() -> None:
    assert decode(np.array([[7, 9]], np.uint8), "8UC2", 1, 1)[0, 0].tolist() == [7, 7, 7]
    assert decode(np.array([[1, 2, 3, 4, 5]], np.uint8), "8UC5", 1, 1)[0, 0].tolist() == [3, 2, 1]


def limited_range_yuv(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """BT.601 limited range, written down from the standard rather than taken from the code under test."""
    red, green, blue = (rgb[..., index].astype(float) / 255 for index in range(3))
    luma = 16 + 65.481 * red + 128.553 * green + 24.966 * blue
    blueness = 128 - 37.797 * red - 74.203 * green + 112.0 * blue
    redness = 128 + 112.0 * red - 93.786 * green - 18.214 * blue
    return tuple(np.rint(plane).astype(np.uint8) for plane in (luma, blueness, redness))  # type: ignore[return-value]


def pack_yuv(rgb: NDArray[np.uint8], encoding: str) -> NDArray[np.uint8]:
    luma, u, v = limited_range_yuv(rgb)
    height, width = luma.shape
    if encoding in {"yuv422", "uyvy"}:
        parts = [u[:, ::2], luma[:, ::2], v[:, ::2], luma[:, 1::2]]
    elif encoding in {"yuv422_yuy2", "yuyv"}:
        parts = [luma[:, ::2], u[:, ::2], luma[:, 1::2], v[:, ::2]]
    elif encoding == "nv21":
        return np.vstack([luma, np.dstack([v[::2, ::2], u[::2, ::2]]).reshape(height // 2, width)])
    else:
        return np.vstack([luma, np.dstack([u, v]).reshape(height * 2, width)])
    return np.dstack(parts).reshape(height, 2 * width)


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv21", "nv24"])
def test_yuv_layouts_return_the_colours_that_were_packed(encoding: str) -> None:
    rgb = smooth_picture()
    packed = pack_yuv(rgb, encoding)
    step = packed.size // (48 * LAYOUTS[encoding].planes // 2)
    decoded = decode_raw(packed.tobytes(), 48, 64, encoding, step)
    assert np.abs(decoded.astype(int) - rgb).max() <= 6


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_patterns_return_the_colour_that_was_sampled(pattern: str, bits: int) -> None:
    rgb = smooth_picture()
    mosaic = np.zeros((48, 64), np.uint8)
    for place, letter in enumerate(pattern):
        cell = np.s_[place // 2 :: 2, place % 2 :: 2]
        mosaic[cell] = rgb[cell][..., "rgb".index(letter)]
    samples = mosaic if bits == 8 else mosaic.astype("<u2") * 257
    decoded = decode(samples, f"bayer_{pattern}{bits}")
    assert np.abs(decoded.astype(int) - rgb)[2:-2, 2:-2].max() <= 3


@pytest.mark.parametrize("encoding", ["rgb8", "mono8"])
def test_padding_at_the_end_of_rows_is_skipped(encoding: str) -> None:
    rows = encode_raw(smooth_picture(), encoding)
    padded = np.pad(rows, ((0, 0), (0, 13)), constant_values=255)
    assert np.array_equal(decode(padded, encoding), decode(rows, encoding))


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview, lambda data: array("B", data)])
def test_any_bytes_container_is_read(container: type) -> None:
    rgb = smooth_picture()
    assert np.array_equal(decode_raw(container(rgb.tobytes()), 48, 64, "rgb8", 192), rgb)


def test_result_is_writable_and_contiguous() -> None:
    decoded = decode_raw(smooth_picture().tobytes(), 48, 64, "rgb8", 192)
    assert decoded.flags.writeable and decoded.flags.c_contiguous


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"encoding": "rgb9"}, "'rgb9'"),
        ({"encoding": "8UC0"}, "'8UC0'"),
        ({"encoding": ""}, "''"),
        ({"height": 0}, "64x0"),
        ({"width": 0}, "0x48"),
        ({"step": 191}, "191"),
        ({"step": 0}, "got 0"),
        ({"step": 193}, "truncated"),
        ({"height": 47}, "too much data"),
        ({"data": b"\0" * 100}, "got 100 "),
        ({"data": b""}, "got 0 "),
        ({"max_pixels": 3071}, "3072"),
        ({"height": 2**31, "width": 2**31, "step": 2**33}, "at most"),
        ({"encoding": "yuv422", "width": 63, "step": 126}, "even width"),
        ({"encoding": "nv21", "height": 47, "step": 64}, "even height"),
    ],
)
def test_a_bad_field_is_named(change: dict[str, object], named: str) -> None:
    fields = {"data": bytes(48 * 192), "height": 48, "width": 64, "encoding": "rgb8", "step": 192} | change
    with pytest.raises(InputError, match=named):
        decode_raw(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", [*LAYOUTS, "8UC1", "8SC3", "16UC1", "32SC4", "32FC2", "64FC3"])
def test_tiny_pictures_decode_or_are_refused_by_name(encoding: str) -> None:
    from vision_llm_ros.runtime.pixels import layout_of

    layout = layout_of(encoding)
    for size in (1, 2):
        step = size * layout.pixel_bytes
        data = bytes(step * (size * layout.planes // 2))
        try:
            assert decode_raw(data, size, size, encoding, step).shape == (size, size, 3)
        except InputError as error:
            assert encoding in str(error)


@pytest.mark.parametrize("format", ["png", "bgr8; png compressed bgr8", "rgb8; png compressed bgr8", "anything"])
def test_png_returns_the_same_rgb_whatever_the_format_says(format: str) -> None:
    rgb = smooth_picture()
    assert np.array_equal(decode_compressed(encode_compressed(rgb, "png"), format), rgb)


@pytest.mark.parametrize("format", ["jpeg", "jpg", "rgb8; jpeg compressed bgr8", ""])
def test_jpeg_returns_about_the_same_rgb(format: str) -> None:
    rgb = smooth_picture()
    decoded = decode_compressed(encode_compressed(rgb, "jpeg", 95), format)
    assert np.abs(decoded.astype(int) - rgb).max() <= 12


def test_jpeg_compressed_as_rgb_is_swapped_back() -> None:
    rgb = smooth_picture()
    swapped = encode_compressed(np.ascontiguousarray(rgb[..., ::-1]), "png")
    assert np.array_equal(decode_compressed(swapped, "rgb8; jpeg compressed rgb8"), rgb)


def png(pixels: NDArray[np.generic]) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_grey_and_alpha_files_give_three_channels() -> None:
    grey = smooth_picture()[..., 0]
    assert np.array_equal(decode_compressed(png(grey), "mono8; png compressed "), np.dstack([grey] * 3))
    rgba = np.dstack([smooth_picture()[..., ::-1], np.full((48, 64), 9, np.uint8)])
    assert np.array_equal(decode_compressed(png(rgba), "png"), smooth_picture())


def test_sixteen_bit_png_is_depth_unless_called_mono16() -> None:
    values = np.array([[0, 1000, 3000]], np.uint16)
    assert decode_compressed(png(values), "16UC1; png compressed ")[0, :, 0].tolist() == [0, 1, 255]
    assert decode_compressed(png(values), "mono16; png compressed ")[0, :, 0].tolist() == [0, 4, 12]


def test_compressed_depth_returns_metres_in_order() -> None:
    metres = np.array([1.0, 2.0, 3.0])
    a, b = 1000.0, 50.0
    quantized = np.append(0, np.rint(a / metres + b)).astype(np.uint16)[None]
    data = struct.pack("<iff", 0, a, b) + png(quantized)
    assert decode_compressed(data, "32FC1; compressedDepth png")[0, :, 0].tolist() == pytest.approx(
        [0, 1, 128, 255], abs=1
    )


@pytest.mark.parametrize("format", ["jpeg", "png"])
def test_a_truncated_file_is_refused(format: str) -> None:
    data = encode_compressed(smooth_picture(), format)
    for kept in (3, 20, len(data) // 2, len(data) - 12):
        with pytest.raises(InputError, match=f"{format}"):
            decode_compressed(data[:kept], format)


def test_zero_padding_after_a_jpeg_is_tolerated() -> None:
    data = encode_compressed(smooth_picture(), "jpeg") + bytes(100_000)
    assert decode_compressed(data, "jpeg").shape == (48, 64, 3)


@pytest.mark.parametrize("data", [b"", b"not a picture", bytes(1000), b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="jpeg"):
        decode_compressed(data, "jpeg")


def test_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    bomb = png(np.zeros((4000, 4000), np.uint8))
    with pytest.raises(InputError, match="4000x4000"):
        decode_compressed(bomb, "png", max_pixels=1_000_000)


@pytest.mark.parametrize("seed", range(30))
def test_damaged_bytes_raise_input_error_or_decode(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(encode_compressed(smooth_picture(), ["jpeg", "png"][seed % 2]))
    for place in rng.integers(0, len(data), 20):
        data[place] = rng.integers(256)
    try:
        assert decode_compressed(data, "jpeg").shape[2] == 3
    except InputError as error:
        assert "jpeg" in str(error)


def test_unwritable_encodings_and_formats_are_named() -> None:
    with pytest.raises(InputError, match="'nv21'"):
        encode_raw(smooth_picture(), "nv21")
    with pytest.raises(InputError, match="'webp'"):
        encode_compressed(smooth_picture(), "webp")
