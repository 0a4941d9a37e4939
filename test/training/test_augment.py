from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vision_llm_ros.training.augment import Sample, crop, mirror, paste, recolour, shrink

COLOURS = {0: (250, 20, 20), 1: (20, 250, 20), 2: (20, 20, 250)}
BOXES = {0: (20, 30, 60, 70), 1: (90, 20, 140, 110), 2: (40, 80, 80, 112)}


def scene(labels: tuple[int, ...] = (0, 1, 2), seed: int = 0) -> Sample:
    """Coloured rectangles on grey noise, their outlines and boxes."""
    image = np.random.default_rng(seed).integers(100, 140, (120, 160, 3), dtype=np.uint8)
    outlines = []
    for label in labels:
        x0, y0, x1, y1 = BOXES[label]
        image[y0:y1, x0:x1] = COLOURS[label]
        outlines.append(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32))
    return Sample(
        image,
        np.array([BOXES[label] for label in labels], np.float32),
        np.array(labels, np.int64),
        np.zeros(len(labels), bool),
        tuple(outlines),
        np.arange(len(labels), dtype=np.int64),
    )


def coloured(image: NDArray[np.uint8], label: int) -> NDArray[np.bool_]:
    difference = np.abs(image.astype(int) - COLOURS[label]).max(2)
    return np.asarray(difference < 60)


def check_boxes_on_objects(sample: Sample, tolerance_px: float = 2.0) -> None:
    """Every box is tight around pixels of its object's colour, and the outline lies in the box."""
    height, width = sample.image_rgb_u8.shape[:2]
    for box, label, outline in zip(sample.boxes_xyxy_px, sample.labels, sample.outlines_px, strict=True):
        x0, y0, x1, y1 = box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        rows, columns = np.nonzero(coloured(sample.image_rgb_u8, int(label)))
        tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.allclose(box, tight, atol=tolerance_px), f"label {label}"
        assert outline is not None
        assert np.allclose(np.r_[outline.min(0), outline.max(0)], box, atol=tolerance_px)


def test_the_scene_itself_is_right() -> None:
    check_boxes_on_objects(scene())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("change", [crop, shrink])
def test_boxes_stay_on_their_objects(change: Callable[..., Sample], seed: int) -> None:
    changed = change(scene(), np.random.default_rng(seed))
    whole = changed.keep(_whole(changed))
    check_boxes_on_objects(whole)


def _whole(sample: Sample) -> NDArray[np.bool_]:
    """Objects whose every pixel belongs to their box: a cropped-away centre takes the box but leaves pixels."""
    return np.array([coloured(sample.image_rgb_u8, int(label)).any() for label in sample.labels], bool)


def test_mirror_moves_boxes_and_outlines_and_is_its_own_inverse() -> None:
    sample = scene()
    mirrored = mirror(sample)
    check_boxes_on_objects(mirrored)
    assert mirrored.boxes_xyxy_px[0].tolist() == [100, 30, 140, 70]
    twice = mirror(mirrored)
    assert np.array_equal(twice.image_rgb_u8, sample.image_rgb_u8)
    assert np.array_equal(twice.boxes_xyxy_px, sample.boxes_xyxy_px)


def test_mirror_keeps_outlines_clockwise() -> None:
    outline = scene().outlines_px[0]
    mirrored = mirror(scene()).outlines_px[0]
    assert outline is not None
    assert mirrored is not None
    assert np.sign(_turn(outline)) == np.sign(_turn(mirrored))


def _turn(outline: NDArray[np.float32]) -> float:
    x, y = outline.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


@pytest.mark.parametrize("seed", range(12))
def test_crop_keeps_exactly_the_objects_with_their_centre_inside(seed: int) -> None:
    sample = scene()
    cropped = crop(sample, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    width, height = max(int(160 * rng.uniform(0.4, 1.0)), 16), max(int(120 * rng.uniform(0.4, 1.0)), 16)
    assert cropped.image_rgb_u8.shape == (height, width, 3)
    left, top = int(rng.integers(0, 160 - width + 1)), int(rng.integers(0, 120 - height + 1))
    assert np.array_equal(cropped.image_rgb_u8, sample.image_rgb_u8[top : top + height, left : left + width])
    centres = {label: ((x0 + x1) / 2 - left, (y0 + y1) / 2 - top) for label, (x0, y0, x1, y1) in BOXES.items()}
    inside = {label for label, (x, y) in centres.items() if 0 <= x < width and 0 <= y < height}
    assert set(cropped.labels.tolist()) == inside


def test_shrink_makes_objects_smaller_in_the_picture_and_grey_around() -> None:
    shrunk = shrink(scene(), np.random.default_rng(3))
    assert shrunk.image_rgb_u8.shape[0] > 120
    sides = shrunk.boxes_xyxy_px[:, 2:] - shrunk.boxes_xyxy_px[:, :2]
    assert np.allclose(sides, scene().boxes_xyxy_px[:, 2:] - scene().boxes_xyxy_px[:, :2])


def test_recolour_keeps_form_and_changes_colour() -> None:
    image = scene().image_rgb_u8
    changed = recolour(image, np.random.default_rng(1))
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, image)
    edges = [cv2.Canny(picture, 80, 160) > 0 for picture in (image, changed)]
    assert (edges[0] & edges[1]).sum() > 0.6 * edges[0].sum()


@pytest.mark.parametrize("seed", range(8))
def test_pasted_objects_bring_their_box_label_and_outline(seed: int) -> None:
    pasted = paste(scene((0,)), scene((1,), seed=5), np.random.default_rng(seed), most=1)
    assert pasted.labels[-1] == 1
    assert pasted.instance_ids[-1] == -1
    check_boxes_on_objects(pasted.keep(pasted.labels == 1), tolerance_px=3.0)


def test_objects_that_are_mostly_covered_are_no_longer_wanted() -> None:
    kept = {len(paste(scene((0,)), scene((1,)), np.random.default_rng(seed), most=1).labels) for seed in range(40)}
    assert kept == {1, 2}


def test_a_donor_without_outlines_gives_nothing() -> None:
    donor = scene((1,))
    bare = Sample(**{**vars(donor), "outlines_px": (None,)})
    assert paste(scene((0,)), bare, np.random.default_rng(0)).labels.tolist() == [0]


@pytest.mark.parametrize(
    "change", [mirror, lambda s: crop(s, np.random.default_rng(0)), lambda s: shrink(s, np.random.default_rng(0))]
)
def test_pictures_without_objects_pass(change: Callable[[Sample], Sample]) -> None:
    empty = scene(())
    empty = Sample(**{**vars(empty), "boxes_xyxy_px": np.zeros((0, 4), np.float32)})
    assert change(empty).boxes_xyxy_px.shape == (0, 4)


def test_the_source_is_never_changed() -> None:
    sample, donor = scene((0, 2)), scene((1,))
    before = sample.image_rgb_u8.copy()
    rng = np.random.default_rng(0)
    for changed in (mirror(sample), crop(sample, rng), shrink(sample, rng), paste(sample, donor, rng)):
        changed.image_rgb_u8[:] = 0
    assert np.array_equal(sample.image_rgb_u8, before)
