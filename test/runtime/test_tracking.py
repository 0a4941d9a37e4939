from __future__ import annotations

import itertools
from dataclasses import replace

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


def test_an_object_keeps_its_box_when_one_that_is_hidden_now_could_have_it_too() -> None:
    """A second, worse box of the object seen would let both tracks have one."""
    tracker, seen, hidden = Tracker(VideoConfig()), found(60.0), found(20.0)
    between = np.array([0.8, 0.6], np.float32)
    follow(tracker, *([[(seen, RED), (hidden, between)]] * 3))
    assert follow(tracker, [(seen, RED), (found(85.0, score=0.7), RED)], start_s=0.3)[0][0] == 1
    assert tracker.tracks[0].last.box_xyxy_px == seen.box_xyxy_px


def test_an_object_is_recognised_behind_an_occlusion_by_its_looks() -> None:
    tracker = Tracker(VideoConfig())
    follow(tracker, *([(found(20.0 * n), RED)] for n in range(3)))
    assert follow(tracker, *([[]] * 20), start_s=0.3) == [[]] * 20
    assert follow(tracker, [(found(160.0), RED)], start_s=2.3) == [[1]]


def test_what_comes_out_where_another_has_just_gone_in_is_known_by_its_looks() -> None:
    tracker, near = Tracker(VideoConfig()), np.array([0.6, 0.8], np.float32)
    follow(tracker, [(found(100.0), RED), (found(0.0), near)], *([[(found(0.0), near)]] * 9))
    assert follow(tracker, [(found(22.0), RED)], start_s=1.0) == [[1]]


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


def test_a_strong_detection_that_looks_otherwise_is_another_object_at_the_same_place() -> None:
    tracker = Tracker(VideoConfig())
    assert follow(tracker, [(found(0.0), RED)], *([[(found(1.0), BLUE)]] * 2)) == [[1], [], [2]]


@pytest.mark.parametrize(("hidden", "ids"), [(0, []), (3, [1])])
def test_an_object_may_have_shrunk_much_only_while_it_was_not_seen(hidden: int, ids: list[int]) -> None:
    tracker = Tracker(VideoConfig())
    rest = replace(found(0.0), box_xyxy_px=(0.0, 100.0, 15.0, 140.0))
    assert follow(tracker, *([[(found(0.0), RED)]] * 3), *([[]] * hidden), [(rest, RED)])[-1] == ids


def test_a_strong_box_is_averaged_with_the_weak_ones_of_its_class_around_it() -> None:
    strong, weak = found(0.0, score=0.6), replace(found(0.0, score=0.3), box_xyxy_px=(0.0, 100.0, 40.0, 170.0))
    other, far = replace(weak, class_index=1, label="dog"), replace(weak, box_xyxy_px=(30.0, 130.0, 70.0, 170.0))
    for around, bottom in ((weak, 150.0), (other, 140.0), (far, 140.0)):
        (seen,) = Tracker(VideoConfig()).update(0.0, [strong, around], looks(RED, RED))
        assert seen.box_xyxy_px == pytest.approx((0.0, 100.0, 40.0, bottom)) and seen.score == 0.6


def test_a_box_whose_size_jumps_is_believed_in_part_at_first_and_any_other_is_reported_as_it_is() -> None:
    tracker, steady = Tracker(VideoConfig()), found(0.0)
    tall = replace(steady, box_xyxy_px=(0.0, 100.0, 40.0, 170.0))
    (first,), (jumped,), (after,) = (
        tracker.update(0.1 * n, [d], looks(RED)) for n, d in enumerate((steady, tall, tall))
    )
    assert first.box_xyxy_px == steady.box_xyxy_px
    assert 150 < jumped.box_xyxy_px[3] < 165
    assert after.box_xyxy_px == tall.box_xyxy_px
    nearly = replace(steady, box_xyxy_px=(5.0, 100.0, 45.0, 142.0))
    tracker = Tracker(VideoConfig())
    assert [tracker.update(0.1 * n, [d], looks(RED))[0].box_xyxy_px for n, d in enumerate((steady, nearly))] == [
        steady.box_xyxy_px,
        nearly.box_xyxy_px,
    ]


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
