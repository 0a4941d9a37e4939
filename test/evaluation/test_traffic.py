from __future__ import annotations

import pytest

from vision_llm_ros.evaluation.traffic import TopicRecord

MS = 1_000_000


def _record(stamps_ms: list[float], delay_ms: float = 5.0) -> TopicRecord:
    record = TopicRecord("sensor_msgs/msg/Image")
    for stamp in stamps_ms:
        record.add(int(stamp * MS) + 1, int((stamp + delay_ms) * MS) + 1, 1000)
    return record


def test_steady_topic_has_its_rate_and_no_drops() -> None:
    summary = _record([100.0 * number for number in range(21)]).summary(2.0)
    assert summary["rate_hz"] == pytest.approx(10.0)
    assert (summary["drops"], summary["jitter_ms"], summary["age_ms"]["p50"]) == (0, 0.0, pytest.approx(5.0))


def test_pause_counts_the_messages_it_would_hold() -> None:
    stamps = [100.0 * number for number in range(20) if number not in (5, 6, 12)]
    summary = _record(stamps).summary(2.0)
    assert summary["drops"] == 3
    assert summary["longest_gap_ms"] == pytest.approx(300.0)


def test_drops_are_unknown_for_too_few_messages() -> None:
    assert _record([0.0, 100.0]).summary(1.0)["drops"] is None


def test_silent_topic_has_no_numbers_but_a_rate_of_zero() -> None:
    summary = _record([]).summary(1.0)
    assert (summary["messages"], summary["rate_hz"], summary["age_ms"]["p95"]) == (0, 0.0, None)


def test_messages_without_time_have_no_age() -> None:
    record = TopicRecord("std_msgs/msg/String")
    for number in range(5):
        record.add(None, number * 100 * MS, 10)
    summary = record.summary(1.0)
    assert summary["age_ms"]["p50"] is None and summary["drops"] == 0


def test_stamps_that_run_backwards_are_counted() -> None:
    assert _record([0.0, 100.0, 50.0, 200.0]).summary(1.0)["out_of_order"] == 1
