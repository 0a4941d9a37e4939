from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.evaluation.sequences import LEAST_VISIBLE, Mover, Seen, Sequence, draw_sequences, render
from vision_llm_ros.evaluation.tracking import Course, OverlapTracker, load_metrics, tracking_metrics
from vision_llm_ros.interfaces import Box, Detection

CAT = 3  # cut along an oval, which takes no time
A, B = (0.0, 0.0, 40.0, 40.0), (100.0, 0.0, 140.0, 40.0)


def seen(number: int, box: Box, visible: float = 1.0) -> Seen:
    return Seen(number, "cat", box, visible)


def found(number: int, box: Box, label: str = "cat") -> Detection:
    return Detection(label, 0, 0.9, box, track_id=number)


def measured(*frames: tuple[list[Seen], list[Detection]]) -> dict[str, float]:
    pytest.importorskip("trackeval")
    course = Course()
    for truth, given in frames:
        course.note(truth, given)
    return tracking_metrics({"one": course})


BOTH = [seen(0, A), seen(1, B)]


def test_ids_that_stay_are_perfect() -> None:
    values = measured(*[(BOTH, [found(7, A), found(9, B)])] * 5)
    assert (values["idf1"], values["mota"], values["id_switches"], values["objects"]) == (1.0, 1.0, 0, 10)


def test_ids_that_are_swapped_count_as_switches() -> None:
    before, after = [found(7, A), found(9, B)], [found(9, A), found(7, B)]
    values = measured(*[(BOTH, before)] * 2, *[(BOTH, after)] * 2)
    assert (values["idf1"], values["id_switches"], values["mota"]) == (0.5, 2, 0.75)


def test_what_is_missed_and_what_is_invented_lowers_mota() -> None:
    values = measured(*[(BOTH, [found(7, A), found(8, (300.0, 0.0, 340.0, 40.0))])] * 4)
    assert (values["misses"], values["false_positives"], values["mota"]) == (4, 4, 0.0)


def test_a_box_with_another_label_is_no_match() -> None:
    assert measured((BOTH[:1], [found(7, A, "dog")]))["misses"] == 1


@pytest.mark.parametrize("given", [[], [found(7, A)]])
def test_a_hardly_visible_object_may_be_found_but_need_not_be(given: list[Detection]) -> None:
    hidden = seen(0, A, LEAST_VISIBLE / 2)
    values = measured(([hidden, BOTH[1]], [*given, found(9, B)]))
    assert (values["misses"], values["false_positives"], values["objects"]) == (0, 0, 1)


def test_the_baseline_keeps_ids_by_overlap_and_loses_them_with_it() -> None:
    tracker = OverlapTracker()
    steps = [A, (5.0, 0.0, 45.0, 40.0), (90.0, 0.0, 130.0, 40.0)]
    assert [tracker.update([found(-1, box)])[0].track_id for box in steps] == [1, 1, 2]


def test_without_trackeval_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    with pytest.raises(ConfigError, match="pip install --no-deps trackeval tabulate"):
        load_metrics()


def test_the_same_seed_draws_the_same_scenes() -> None:
    assert draw_sequences(4, 3) == draw_sequences(4, 3)
    assert draw_sequences(4, 3) != draw_sequences(4, 4)


CROSSING = Sequence("crossing", 0, (Mover(CAT, 0.3, 1.0, 0.1, 0.5, sway=0.0),), pillar=True, seconds=0.9)


def test_truth_follows_the_object_behind_the_pillar_and_out_of_the_picture() -> None:
    truth = [items for _, _, items in render(CROSSING)]
    visible = [items[0].visible if items else 0.0 for items in truth]
    assert visible[1] > 0.9 and visible[4] < LEAST_VISIBLE and visible[7] > 0.9
    assert truth[1][0].label == "cat"
    for items in truth:
        for item in items:
            x_min, y_min, x_max, y_max = item.box_xyxy_px
            assert 0 <= x_min < x_max <= 640 and 0 <= y_min < y_max <= 480


def test_frames_are_stamped_and_show_what_the_truth_says() -> None:
    (_, empty, _), *_ = render(replace(CROSSING, movers=(replace(CROSSING.movers[0], start_x=-2.0),), seconds=0.1))
    (stamp, image, (cat,)), (later, *_), *_ = render(replace(CROSSING, seconds=0.2))
    assert later - stamp == 100_000_000
    x_min, y_min, x_max, y_max = map(int, cat.box_xyxy_px)
    changed = (image != empty).any(-1)
    assert changed[y_min:y_max, x_min:x_max].mean() > 0.8
    changed[y_min - 3 : y_max + 3, max(x_min - 3, 0) : x_max + 3] = False
    assert not changed.any()
    assert np.array_equal(image, next(iter(render(replace(CROSSING, seconds=0.1))))[1])
