from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vision_llm_ros.errors import InputError
from vision_llm_ros.training.scenes import Scene, compose, fill_outline, mirror_scene, read_scene, tight_box


def scene(*boxes: tuple[str, tuple[int, int, int, int]], size: tuple[int, int] = (80, 100)) -> Scene:
    """Rectangles with exact masks on noise."""
    masks = []
    for _, (left, top, right, bottom) in boxes:
        mask = np.zeros(size, bool)
        mask[top:bottom, left:right] = True
        masks.append(mask)
    return Scene(
        np.random.default_rng(1).integers(0, 255, (*size, 3), dtype=np.uint8),
        np.array([box for _, box in boxes], np.float32).reshape(-1, 4),
        tuple(name for name, _ in boxes),
        np.zeros(len(boxes), bool),
        tuple(masks),
        tuple(range(len(boxes))),
    )


def test_an_outline_is_filled_to_the_pixel() -> None:
    mask = fill_outline([[10, 5, 30, 5, 30, 25, 10, 25]], (40, 40))
    assert mask is not None
    assert tight_box(mask).tolist() == [10, 5, 30, 25]


def test_all_parts_of_an_outline_are_filled() -> None:
    mask = fill_outline([[0, 0, 5, 0, 5, 5, 0, 5], [20, 20, 30, 20, 30, 30, 20, 30]], (40, 40))
    assert mask is not None
    assert mask[2, 2]
    assert mask[25, 25]
    assert not mask[12, 12]


def test_no_outline_is_none() -> None:
    assert fill_outline([], (4, 4)) is None
    assert fill_outline({"counts": [16], "size": [4, 4]}, (4, 4)) is None


def test_mirrored_twice_it_is_the_same() -> None:
    once = mirror_scene(scene(("dog", (10, 10, 30, 40))))
    assert once.boxes_xyxy_px.tolist() == [[70, 10, 90, 40]]
    assert once.masks[0] is not None
    assert tight_box(once.masks[0]).tolist() == [70, 10, 90, 40]
    twice = mirror_scene(once)
    assert twice.boxes_xyxy_px.tolist() == [[10, 10, 30, 40]]


def test_a_pasted_object_has_an_exact_mask_and_takes_pixels_from_those_behind() -> None:
    below, donor = scene(("cat", (0, 0, 100, 80))), scene(("dog", (20, 20, 60, 60)))
    found = compose(below, donor, np.random.default_rng(2), most=1)
    assert found.names == ("cat", "dog")
    behind, front = found.masks
    assert behind is not None
    assert front is not None
    assert front.any()
    assert not (behind & front).any()
    assert (behind | front).all()
    assert tight_box(front).tolist() == found.boxes_xyxy_px[1].tolist()
    assert found.ids[1] == -1


def test_what_is_hidden_by_a_pasted_object_is_gone() -> None:
    donor = scene(("dog", (0, 0, 60, 60)), size=(60, 60))
    for seed in range(40):
        found = compose(scene(("cat", (48, 38, 52, 42))), donor, np.random.default_rng(seed), most=1)
        if found.masks[0] is None or found.names[0] == "dog":
            break
    assert found.names == ("dog",)


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"Cannot decode .*a\.png"):
        read_scene(path, [], {})


def test_a_picture_without_objects_is_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((6, 8, 3), np.uint8))
    found = read_scene(tmp_path / "b.png", [], {})
    assert found.boxes_xyxy_px.shape == (0, 4)
    assert found.image_rgb_u8.shape == (6, 8, 3)
