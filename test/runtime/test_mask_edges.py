from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.runtime.mask_edges import MaskEdges, tight_box, to_source

SIZES_WH = [(640, 480), (333, 517), (97, 61), (1001, 299)]


def distance(points_xy: NDArray[np.floating], size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """Pixels inside the edge of a disc a little beside the middle of the picture."""
    centre = np.array(size_wh) * (0.47, 0.54)
    return np.asarray(0.3 * min(size_wh) - np.linalg.norm(points_xy - centre, axis=-1), np.float32)


def pixel_centres(width: int, height: int) -> NDArray[np.float64]:
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)


def disc_logits(transform: Letterbox, side: int) -> NDArray[np.float32]:
    """What a network that sees perfectly says of the disc at the centre of each cell, padding unbounded."""
    scale = np.array(transform.source_wh_px) / np.array(transform.inner_wh_px) * transform.side_px
    return distance(pixel_centres(side, side) / side * scale, transform.source_wh_px) / 4


def picture(size_wh: tuple[int, int], contrast: int) -> NDArray[np.uint8]:
    """A disc that stands out by `contrast` grey values in red, over a little texture."""
    inside = distance(pixel_centres(*size_wh), size_wh) > 0
    image = np.random.default_rng(0).integers(90, 96, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    image[inside, 0] += np.uint8(contrast)
    return image


@pytest.mark.parametrize("stretch", [True, False])
@pytest.mark.parametrize("size_wh", SIZES_WH)
@pytest.mark.parametrize(("refine", "contrast"), [(False, 0), (True, 0), (True, 90)])
def test_the_edge_of_a_disc_comes_back_within_half_a_pixel(
    size_wh: tuple[int, int], stretch: bool, refine: bool, contrast: int
) -> None:
    transform = Letterbox(size_wh, 300, stretch)
    found = to_source(disc_logits(transform, 76), transform, picture(size_wh, contrast), refine)
    away = distance(pixel_centres(*size_wh), size_wh)
    assert found.shape == away.shape
    assert found[away > 0.5].all()
    assert not found[away < -0.5].any()


@pytest.mark.parametrize("stretch", [True, False])
def test_a_round_trip_of_a_drawn_mask_does_not_move_it(stretch: bool) -> None:
    size_wh = (333, 517)
    inside = distance(pixel_centres(*size_wh), size_wh) > 0
    transform = Letterbox(size_wh, 300, stretch)
    square = transform.apply(np.repeat(inside[..., None].astype(np.uint8) * np.uint8(255), 3, 2))[..., 0]
    found = to_source(square.astype(np.float32) - 127.5, transform, picture(size_wh, 0), refine=False)
    centres = [np.argwhere(mask).mean(0) for mask in (found, inside)]
    assert np.abs(centres[0] - centres[1]).max() < 0.15
    assert abs(int(found.sum()) / int(inside.sum()) - 1) < 0.01


def test_refinement_moves_a_displaced_mask_to_the_edge_of_the_object() -> None:
    size_wh = (640, 480)
    truth = distance(pixel_centres(*size_wh), size_wh) > 0
    transform = Letterbox(size_wh, 300, True)
    cells = cv2.warpAffine(disc_logits(transform, 76), np.array([[1, 0, 0.5], [0, 1, -0.4]]), (76, 76))
    wrong = {
        refine: int((to_source(cells, transform, picture(size_wh, 90), refine) != truth).sum())
        for refine in (False, True)
    }
    assert wrong[True] < 0.6 * wrong[False]


def test_padding_does_not_eat_the_border_of_the_picture() -> None:
    transform = Letterbox((640, 300), 300)
    logits = np.full((40, 40), -9, np.float32)
    logits[:19] = 9  # 300 rows of 640 px are 18.75 of 40 cells
    assert to_source(logits, transform, picture((640, 300), 0), refine=False).all()


def test_further_masks_of_a_picture_equal_single_ones() -> None:
    transform = Letterbox((97, 61), 96, True)
    image = picture((97, 61), 60)
    edges, rng = MaskEdges(transform, image), np.random.default_rng(1)
    for _ in range(3):
        logits = rng.normal(size=(12, 12)).astype(np.float32)
        assert np.array_equal(edges.to_source(logits), to_source(logits, transform, image))


def test_extreme_and_empty_logits() -> None:
    transform, image = Letterbox((33, 21), 96, True), picture((33, 21), 0)
    assert not to_source(np.full((8, 8), -np.inf, np.float32), transform, image).any()
    assert to_source(np.full((8, 8), np.inf, np.float32), transform, image).all()
    assert to_source(np.full((1, 1), 1, np.float32), transform, image).all()
    assert to_source(np.full((8, 8), 1, np.float32), Letterbox((1, 1), 96), image[:1, :1]).all()


def test_values_that_are_no_mask_are_refused() -> None:
    transform, image = Letterbox((33, 21), 96, True), picture((33, 21), 0)
    with pytest.raises(InputError, match="without NaN"):
        to_source(np.full((8, 8), np.nan, np.float32), transform, image)
    with pytest.raises(InputError, match=r"float\[h, w\].*\(2, 8, 8\)"):
        to_source(np.zeros((2, 8, 8), np.float32), transform, image)
    with pytest.raises(InputError, match="Expected a 33x21 RGB picture"):
        to_source(np.zeros((8, 8), np.float32), transform, image[1:])


def test_box_is_tight_and_none_around_nothing() -> None:
    inside = np.zeros((20, 30), np.bool_)
    assert tight_box(inside) is None
    inside[4:9, 29] = True
    assert tight_box(inside) == (29.0, 4.0, 30.0, 9.0)


def test_one_mask_of_a_camera_picture_takes_few_milliseconds() -> None:
    transform, image = Letterbox((640, 480), 300, True), picture((640, 480), 60)
    logits = disc_logits(transform, 76)
    seconds = []
    for _ in range(5):
        started = time.process_time()
        to_source(logits, transform, image)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.045  # 10 ms on one quiet core; three times that on a loaded machine
