from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_llm_ros.errors import ConfigError, InputError
from vision_llm_ros.language.codec import OffsetCodec
from vision_llm_ros.language.polygons import largest_contour, mask_to_polygon, polygon_to_mask, resample


@pytest.mark.parametrize("bins", [3, 257, 513, 1025, 2049])
def test_error_is_at_most_half_a_bin_of_the_side(bins: int) -> None:
    codec = OffsetCodec(bins)
    offsets = np.random.default_rng(0).uniform(-1, 1, (500, 8))
    assert np.abs(codec.decode(codec.encode(offsets)) - offsets).max() <= 0.5 / codec.half + 1e-12


def test_bins_are_offsets_in_sides() -> None:
    assert OffsetCodec(1025).encode(np.array([-1.0, -0.5, 0.0, 0.5, 1.0])).tolist() == [0, 256, 512, 768, 1024]


@given(st.floats(-1e9, 1e9))
def test_offsets_beyond_one_side_saturate(offset: float) -> None:
    assert 0 <= OffsetCodec(1025).encode(np.array(offset)) <= 1024


def test_a_fractional_bin_is_told_exactly() -> None:
    codec = OffsetCodec(65)
    assert codec.decode(codec.place(np.array(0.123))) == pytest.approx(0.123, abs=1e-12)


@pytest.mark.parametrize("bins", [0, 2, 1024])
def test_even_bins_are_refused(bins: int) -> None:
    with pytest.raises(ConfigError, match=str(bins)):
        OffsetCodec(bins)


def _ellipse() -> np.ndarray:
    mask = np.zeros((120, 160), np.uint8)
    cv2.ellipse(mask, (80, 60), (60, 30), 20, 0, 360, 1, -1)
    return mask.astype(bool)


@pytest.mark.parametrize("num_points", [8, 14, 16, 24])
def test_polygon_starts_right_of_the_centre_and_runs_clockwise(num_points: int) -> None:
    polygon = mask_to_polygon(_ellipse(), num_points)
    contour = largest_contour(_ellipse())
    centre = (contour.min(0) + contour.max(0)) / 2
    angles = np.unwrap(np.arctan2(*(polygon - centre).T[::-1]))
    assert polygon.shape == (num_points, 2)
    assert angles[0] == pytest.approx(0.0, abs=1e-6)
    assert (np.diff(angles) > 0).all()


@pytest.mark.parametrize(("num_points", "overlap"), [(8, 0.85), (16, 0.93), (24, 0.95)])
def test_mask_survives_the_polygon(num_points: int, overlap: float) -> None:
    mask = _ellipse()
    back = polygon_to_mask(mask_to_polygon(mask, num_points), (160, 120))
    assert (back & mask).sum() / (back | mask).sum() > overlap


def test_polygon_does_not_depend_on_where_or_how_the_outline_runs() -> None:
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    expected = [[10, 5], [10, 10], [5, 10], [0, 10], [0, 5], [0, 0], [5, 0], [10, 0]]
    for outline in (square, square[::-1], np.roll(square, 2, 0)):
        assert resample(outline, 8).tolist() == expected


def test_largest_part_is_outlined() -> None:
    mask = np.zeros((50, 50), bool)
    mask[2:6, 2:6] = mask[20:45, 20:45] = True
    assert largest_contour(mask).min(0).tolist() == [20, 20]


def test_single_pixel_and_far_centre_still_give_a_polygon() -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    assert (mask_to_polygon(mask, 8) == 4).all()
    assert resample([[0, 0], [4, 0], [4, 4]], 8, centre_xy=[100, 2]).shape == (8, 2)


def test_empty_mask_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        largest_contour(np.zeros((4, 4), bool))
