from __future__ import annotations

import math
from collections import Counter

import pytest

from vision_llm_ros.interfaces import Perception, Result, Status, Task, TaskSpec
from vision_llm_ros.runtime.slots import Drop
from vision_llm_ros.runtime.statistics import Percentiles, Statistics


def make_result(latency_ms: float = 10.0, status: Status = Status.OK, text: str = "") -> Result:
    perception = Perception(Task.DETECT, status, text)
    return Result("a", 1, TaskSpec(Task.DETECT), 0, "", "", (4, 4), perception, "fake", "", latency_ms, latency_ms + 5)


def test_percentiles_follow_numpy_and_are_nan_without_values() -> None:
    values = Percentiles.of(float(value) for value in range(101))
    assert (values.p50, values.p95, values.p99) == (50.0, 95.0, 99.0)
    assert math.isnan(Percentiles.of([]).p99)


def test_rate_covers_the_window_only() -> None:
    statistics = Statistics(window_s=10.0)
    for number in range(200):
        statistics.note_frame(number * 0.1)
    assert statistics.summary(19.9).fps == pytest.approx(10.0, rel=0.02)
    assert statistics.summary(40.0).fps == 0.0


def test_rate_of_the_first_seconds_is_not_thinned_by_the_window() -> None:
    statistics = Statistics(window_s=10.0)
    for number in range(21):
        statistics.note_frame(50.0 + number * 0.1)
    assert statistics.summary(52.0).fps == pytest.approx(10.5)


def test_latency_counts_computed_results_only() -> None:
    statistics = Statistics()
    statistics.note_result(make_result(100.0), 1.0)
    statistics.note_result(make_result(0.1, Status.STALE), 1.0)
    summary = statistics.summary(2.0)
    assert summary.latency_ms.p50 == 100.0 and summary.age_ms.p50 == 105.0
    assert summary.statuses == {Status.OK: 1, Status.STALE: 1}


def test_failure_is_shown_while_it_is_recent() -> None:
    statistics = Statistics(window_s=10.0)
    statistics.note_result(make_result(status=Status.ERROR, text="out of memory"), 1.0)
    assert statistics.summary(5.0).failure == "out of memory"
    assert statistics.summary(20.0).failure == ""


def test_drops_of_slots_and_worker_are_added_up() -> None:
    statistics = Statistics()
    statistics.drops[Drop.SUPERSEDED] += 1
    slots = [Counter({Drop.OVERWRITTEN: 2}), Counter({Drop.OVERWRITTEN: 3})]
    assert statistics.summary(0.0, slots).drops == {Drop.OVERWRITTEN: 5, Drop.SUPERSEDED: 1}
    assert statistics.drops == {Drop.SUPERSEDED: 1}
