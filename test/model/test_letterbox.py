from __future__ import annotations

import numpy as np
import pytest

from vision_llm_ros.errors import InputError
from vision_llm_ros.model.letterbox import Letterbox

SIZES = [(640, 480), (480, 640), (300, 300), (1, 1), (1920, 3), (37, 1201)]


@pytest.mark.parametrize("stretch", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_letterbox_inverse_returns_source_pixels(size: tuple[int, int], stretch: bool) -> None:
    transform = Letterbox(size, 300, stretch)
    points = np.random.default_rng(0).random((20, 2)) * size
    assert np.allclose(transform.to_source(transform.to_unit(points)), points, atol=1e-3 * max(size))


@pytest.mark.parametrize("stretch", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_every_picture_fills_the_square(size: tuple[int, int], stretch: bool) -> None:
    picture = np.full((size[1], size[0], 3), 77, np.uint8)
    square = Letterbox(size, 64, stretch).apply(picture)
    assert square.shape == (64, 64, 3)
    width, height = Letterbox(size, 64, stretch).inner_wh_px
    assert (square[:height, :width] == 77).all()
    assert (square[height:] == 128).all()
    assert (square[:, width:] == 128).all()


@pytest.mark.parametrize("stretch", [True, False])
def test_boxes_lie_on_their_object_in_the_square(stretch: bool) -> None:
    """What is painted in the source is found where `to_unit` says, xyxy."""
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[120:240, 320:480] = 255
    transform = Letterbox((640, 480), 256, stretch)
    rows, columns = np.nonzero(transform.apply(picture)[..., 0] > 200)
    low, high = transform.to_unit(np.array([[320, 120], [480, 240]])) * 256
    assert np.allclose(low, (columns.min(), rows.min()), atol=1.5)
    assert np.allclose(high, (columns.max() + 1, rows.max() + 1), atol=1.5)


def test_aspect_is_kept_or_not() -> None:
    assert Letterbox((640, 480), 320, stretch=False).inner_wh_px == (320, 240)
    assert Letterbox((640, 480), 320, stretch=True).inner_wh_px == (320, 320)
    assert np.allclose(Letterbox((640, 480), 320).to_unit(np.array([[640, 480]])), [[1.0, 0.75]])


def test_points_outside_are_clipped_to_the_picture() -> None:
    transform = Letterbox((640, 480), 320)
    assert transform.to_source(np.array([[1.0, 1.0], [-0.5, 0.1]])).tolist() == [[640, 480], [0, 64]]


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(640, 480\) picture, got \(480, 640\)"):
        Letterbox((640, 480), 320).apply(np.zeros((640, 480, 3), np.uint8))
