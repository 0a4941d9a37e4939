from __future__ import annotations

import math

import pytest

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.evaluation.requirements import flatten, parse_requirement, parse_requirements, unmet

REPORT = {"box_ap50": 0.31, "latency_ms": {"p95": 240.0}, "name": "nano", "ci": [0.1, 0.2], "missing": None, "ok": True}


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("box_ap50>=0.31", True),
        ("box_ap50 > 0.31", False),
        ("latency_ms.p95<=250", True),
        ("latency_ms.p95<240", False),
        ("ok==1", True),
        ("missing>=0", False),
    ],
)
def test_requirement_compares_the_reported_value(text: str, met: bool) -> None:
    assert (unmet(parse_requirements([text]), REPORT) == []) is met


@pytest.mark.parametrize(
    "text", ["", "box_ap50", ">=0.3", "box_ap50=>0.3", "box_ap50>=abc", "box_ap50>=nan", "a>=1>=2"]
)
def test_malformed_requirement_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_requirement(text)
    assert repr(text) in str(error.value)


def test_missed_requirement_names_the_measured_value() -> None:
    assert unmet(parse_requirements(["box_ap50>=0.5"]), REPORT) == ["box_ap50>=0.5 missed: 0.31"]


def test_typo_names_the_nearest_metric_before_and_after_the_run() -> None:
    with pytest.raises(ConfigError, match="did you mean 'box_ap50'"):
        parse_requirements(["box_ap5>=0.3"], known=("box_ap50", "box_ap"))
    with pytest.raises(ConfigError, match="did you mean 'box_ap50'"):
        unmet(parse_requirements(["box_ap5>=0.3"]), REPORT)


def test_known_metrics_are_compared_by_their_first_part() -> None:
    assert parse_requirements(["latency_ms.p95<=250"], known=("latency_ms",))[0].metric == "latency_ms.p95"


def test_flatten_keeps_numbers_only() -> None:
    flat = flatten(REPORT)
    assert set(flat) == {"box_ap50", "latency_ms.p95", "missing", "ok"}
    assert math.isnan(flat["missing"])
