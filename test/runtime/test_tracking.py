from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from vision_llm_ros.config import VideoConfig
from vision_llm_ros.interfaces import Detection
from vision_llm_ros.runtime.tracking import Tracker, distances, nesting, overlaps

RED, BLUE = np.eye(2, dtype=np.float32)


def found(x: float, y: float = 100.0, score: float = 0.9, size: float = 40.0, kind: int = 0) -> Detection:
    return Detection(("car", "dog")[kind], kind, score, (x, y, x + size, y + size))


def looks(*vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.array(vectors, np.float32).reshape(-1, 2)


def follow(
    tracker: Tracker, *frames: list[tuple[Detection, NDArray[np.float32]]], start_s: float = 0.0
) -> list[list[int]]:
    """Ids by frame, ten frames a second."""
    ids = []
    for number, frame in enumerate(frames):
        seen = tracker.update(start_s + 0.1 * number, [d for d, _ in frame], looks(*(a for _, a in frame)))
        ids.append([item.track_id for item in seen])
    return ids


def test_an_object_keeps_its_id_while_it_moves() -> None:
    assert follow(Tracker(VideoConfig()), *([(found(30.0 * n), RED)] for n in range(8))) == [[1]] * 8


def test_two_that_cross_keep_their_ids() -> None:
    frames = [
        [(found(20.0 * n, 100, score=0.9), RED), (found(300 - 20.0 * n, 104, score=0.8), BLUE)] for n in range(16)
    ]
    assert follow(Tracker(VideoConfig()), *frames) == [[1, 2]] * 16


def test_an_object_is_recognised_behind_an_occlusion_by_its_looks() -> None:
    tracker = Tracker(VideoConfig())
    follow(tracker, *([(found(20.0 * n), RED)] for n in range(3)))
    assert follow(tracker, *([[]] * 20), start_s=0.3) == [[]] * 20
    assert follow(tracker, [(found(160.0), RED)], start_s=2.3) == [[1]]


def test_another_object_that_comes_later_is_not_taken_for_the_lost_one() -> None:
    tracker = Tracker(VideoConfig())
    follow(tracker, *([(found(20.0 * n), RED)] for n in range(3)))
    assert follow(tracker, [(found(60.0), BLUE)], [(found(62.0), BLUE)], start_s=3.0) == [[], [2]]


def test_a_lost_object_is_forgotten_after_its_time() -> None:
    tracker = Tracker(VideoConfig(track_forget_s=5.0))
    follow(tracker, [(found(0.0), RED)])
    tracker.update(6.0, [], looks())
    assert tracker.known() == []


def test_a_class_never_becomes_another() -> None:
    assert follow(Tracker(VideoConfig()), [(found(0.0), RED)], *([[(found(0.0, kind=1), RED)]] * 2)) == [[1], [], [2]]


def test_a_weak_detection_goes_on_with_a_track_but_begins_none() -> None:
    tracker = Tracker(VideoConfig())
    assert follow(tracker, [(found(0.0), RED), (found(300.0, score=0.2), BLUE)]) == [[1]]
    assert follow(tracker, [(found(5.0, score=0.2), RED)], start_s=0.1) == [[1]]


def test_a_weak_detection_that_looks_otherwise_is_not_the_object() -> None:
    tracker = Tracker(VideoConfig())
    follow(tracker, [(found(0.0), RED)])
    assert follow(tracker, [(found(5.0, score=0.2), BLUE)], start_s=0.1) == [[]]


def test_weak_detections_do_not_confirm_what_was_seen_once() -> None:
    tracker = Tracker(VideoConfig())
    later = [[(found(0.0), RED)], *([(found(0.0, score=0.3), RED)] for _ in range(4))]
    assert follow(tracker, [], *later, [(found(0.0), RED)])[1:] == [[]] * 5 + [[1]]


def test_what_is_seen_only_once_is_not_reported_later() -> None:
    tracker = Tracker(VideoConfig())
    assert follow(tracker, [], [(found(0.0), RED)], [], [(found(200.0), BLUE)], [(found(204.0), BLUE)])[1:] == [
        [], [], [], [2],
    ]  # fmt: skip


def test_a_second_box_on_a_known_object_is_no_new_object() -> None:
    tracker = Tracker(VideoConfig())
    follow(tracker, [(found(0.0), RED)])
    doubled = [(found(0.0), RED), (found(6.0, score=0.5), RED)]
    assert follow(tracker, doubled, doubled, start_s=0.1) == [[1], [1]]


def test_a_part_of_a_known_object_is_no_new_object_but_one_of_another_class_is() -> None:
    tracker = Tracker(VideoConfig())
    follow(tracker, [(found(0.0), RED)])
    part, other = found(20.0, 120.0, size=15.0), found(20.0, 120.0, size=15.0, kind=1)
    assert follow(tracker, *([[(found(0.0), RED), (part, BLUE)]] * 3), start_s=0.1) == [[1]] * 3
    assert follow(tracker, *([[(found(0.0), RED), (other, BLUE)]] * 2), start_s=0.4) == [[1], [1, 2]]


def test_an_object_that_passes_before_another_goes_on_inside_its_box() -> None:
    frames = [[(found(0.0, 0.0, size=200.0), RED), (found(260.0 - 20 * n, 60.0, size=50.0), BLUE)] for n in range(14)]
    assert follow(Tracker(VideoConfig()), *frames) == [[1, 2]] * 14


def test_trackers_that_share_their_ids_give_none_twice() -> None:
    ids = itertools.count(1)
    first, second = Tracker(VideoConfig(), ids), Tracker(VideoConfig(), ids)
    assert follow(first, [(found(0.0), RED)]) + follow(second, [(found(0.0), RED)]) == [[1], [2]]


def test_boxes_of_another_shape_overlap_as_they_should() -> None:
    wide, tall = np.array([[0.0, 0.0, 40.0, 10.0]]), np.array([[0.0, 0.0, 10.0, 40.0]])
    assert overlaps(wide, tall)[0, 0] == pytest.approx(100 / 700)
    assert nesting(wide, tall)[0, 0] == pytest.approx(100 / 400)
    assert distances(wide, tall)[0, 0] == pytest.approx(np.hypot(15, 15) / np.hypot(40, 10))
